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
    let pending = database::pending(&config).await?;
    if !args.check && !pending.is_empty() {
        database::migrate(&config).await?;
    }
    if out.json {
        let (applied, missing) = if args.check { (Vec::new(), pending.clone()) } else { (pending.clone(), Vec::new()) };
        out.object(&json!({ "database": config.database.url.to_string(), "applied": applied, "missing": missing }))?;
    } else if pending.is_empty() {
        out.line(&format!("{} is up to date", config.database.url))?;
    } else {
        let did = if args.check { "missing" } else { "applied" };
        for name in &pending {
            out.line(&format!("{did} {name}"))?;
        }
    }
    Ok(if args.check && !pending.is_empty() { Exit::Problems } else { Exit::Ok })
}
