//! `mozhao config`: check it, show where each value comes from, print its schema.

use clap::{Args as ClapArgs, Subcommand};
use serde_json::json;

use super::Done;
use super::args::ConfigArgs;
use super::exit::{Exit, Failure};
use super::output::Out;
use crate::config::{Config, Problem, load, schema};
use crate::connectors::{Connectors, ConnectorsConfig};

/// `mozhao config …`
#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Find everything that is wrong with the configuration, the connectors and their secrets
    ///
    /// Looks at what a start of `mozhao serve` here would need, `process check` at the processes. Exits with 4 when it cannot be used.
    Check {
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// Show every key with its value and where it comes from, secrets masked
    ///
    /// Flags win over the environment (`MOZHAO__SECTION__KEY`, or `…_FILE` for secrets), that over the file, that over defaults.
    Show {
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// Print the JSON Schema of the configuration file, for editors
    Schema,
}

/// Runs it.
pub(super) fn run(args: Args, out: Out) -> Done {
    match args.command {
        Command::Check { config } => check(&config, out),
        Command::Show { config } => show(&config, out),
        Command::Schema => {
            out.line(&format!("{:#}", schema::schema()))?;
            Ok(Exit::Ok)
        }
    }
}

/// What keeps a worker with this configuration from starting: paths that lead nowhere, a wrong connectors' file, secrets that
/// are not there. Only opening the database and listening can tell more.
pub(super) fn unusable(config: &Config) -> Vec<Problem> {
    let mut problems = load::missing(config);
    if !config.connectors.is_file() {
        return problems;
    }
    let file = config.connectors.display().to_string();
    let mut add = |place: String, message: String, hint: Option<String>| {
        problems.push(Problem { place, snippet: String::new(), message, hint });
    };
    let parsed = match std::fs::read_to_string(&config.connectors) {
        Ok(text) => ConnectorsConfig::parse(&file, &text),
        Err(error) => {
            add(file, format!("cannot read the connectors: {error}"), Some("it must be text that this user may read".to_owned()));
            return problems;
        }
    };
    match parsed {
        // One by one: a missing secret does not hide the next one.
        Ok(parsed) => {
            for (name, connector) in parsed.connectors {
                let one = ConnectorsConfig { connectors: [(name, connector)].into() };
                if let Err(error) = Connectors::new(one) {
                    add(file.clone(), error.to_string(), Some("set the variable, or put the file there".to_owned()));
                }
            }
        }
        Err(error) => {
            let place = if error.line > 0 { format!("{file}:{}:{}", error.line, error.column) } else { file };
            add(place, error.message, error.hint);
        }
    }
    problems
}

fn check(args: &ConfigArgs, out: Out) -> Done {
    let problems = match args.try_load() {
        Ok(config) => unusable(&config),
        Err(problems) => problems,
    };
    if out.json {
        out.object(&json!({ "ok": problems.is_empty(), "problems": problems }))?;
    } else if problems.is_empty() {
        out.line(&out.good("the configuration can be used"))?;
    }
    if problems.is_empty() {
        return Ok(Exit::Ok);
    }
    let mut failure = Failure::config(&problems);
    if out.json {
        // They are on standard output already.
        failure.findings.clear();
    }
    Err(failure)
}

fn show(args: &ConfigArgs, out: Out) -> Done {
    let config = args.try_load().map_err(|problems| Failure::config(&problems))?;
    if out.json {
        out.objects(config.shown())?;
        return Ok(Exit::Ok);
    }
    let rows: Vec<Vec<String>> = config
        .shown()
        .iter()
        .map(|shown| vec![shown.key.clone(), shown.value.clone().unwrap_or_default(), shown.origin.clone()])
        .collect();
    out.table(&["Key", "Value", "From"], &rows)?;
    Ok(Exit::Ok)
}
