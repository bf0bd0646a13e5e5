//! `mozhao migrate`: the database's schema.

use clap::Args as ClapArgs;
use serde_json::json;

use super::Done;
use super::args::ConfigArgs;
use super::database;
use super::exit::Exit;
use super::output::Out;

/// Bring the database's schema up to date
///
/// `mozhao serve` does the same when it starts. Migrations expand first and contract later, so workers of the last version
/// go on beside the new one.
#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigArgs,
    /// Only say what is missing; exits with 7 when something is
    #[arg(long)]
    check: bool,
}

/// Runs it.
pub(super) async fn run(args: Args, out: Out) -> Done {
    let config = args.config.load(&[])?;
    let url = &config.database.url;
    let found = database::pending(&config).await?;
    let lacking = found.as_ref().is_none_or(|pending| !pending.is_empty());
    // Where nothing is lacking, too: tables for the months that come.
    if !args.check {
        database::open_or_make(&config).await?;
    }
    let (word, names) = match (found, lacking && !args.check) {
        (None, true) => ("made", Vec::new()),
        (None, false) => ("missing", Vec::new()),
        (Some(names), true) => ("applied", names),
        (Some(names), false) if names.is_empty() => ("current", names),
        (Some(names), false) => ("behind", names),
    };
    if out.json {
        out.object(&json!({ "database": url.to_string(), "state": word, "migrations": names }))?;
    } else {
        out.line(&match word {
            "made" => format!("made {url}"),
            "missing" => format!("there is no database {url} yet"),
            "applied" => format!("brought {url} up to date: {}", names.join(", ")),
            "current" => format!("{url} is up to date"),
            _ => format!("{url} lacks {}", names.join(", ")),
        })?;
    }
    Ok(if args.check && lacking { Exit::Problems } else { Exit::Ok })
}
