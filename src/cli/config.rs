//! `mozhao config`: check it, show where each value comes from, print its schema.

use clap::{Args as ClapArgs, Subcommand};
use serde_json::json;

use super::Done;
use super::args::ConfigArgs;
use super::exit::{Exit, Failure};
use super::output::Out;
use crate::config::{load, schema};

/// `mozhao config …`
#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Find everything that is wrong with the configuration, and whether its paths lead anywhere
    ///
    /// Exits with 4 when it cannot be used.
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

fn check(args: &ConfigArgs, out: Out) -> Done {
    let problems = match args.try_load() {
        Ok(config) => load::missing(&config),
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
