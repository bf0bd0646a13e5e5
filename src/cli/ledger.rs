//! `mozhao ledger verify`: proves, entry by entry, that no request's record was changed, and that none was cut short. Requests that
//! are gone altogether are noticed by their number: the books count every one that was accepted, and none is ever removed. Somebody
//! who can rewrite everything, the books too, is not found; a copy of the heads kept elsewhere would be needed.
//!
//! It reads the database itself, beside a running worker, and trusts nothing that a worker says. Work is done in bounded
//! pieces: a page of requests, a page of entries; history may be long.

use clap::{Args as ClapArgs, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use uuid::Uuid;

use super::Done;
use super::args::ConfigArgs;
use super::database;
use super::exit::{Exit, Failure};
use super::output::{Out, say};
use crate::engine::ports::records::RequestFilter;
use crate::engine::ports::store::StoreError;
use crate::engine::verify::{Broken, Verified, one};
use crate::store::Role;

/// Requests in one read.
const REQUESTS: usize = 200;

/// `mozhao ledger …`
#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check every request's chain of entries, and print the first bad entry of each
    ///
    /// Opens the configured database directly. Exits with 7 when a chain is broken, or when requests are missing as a whole.
    Verify {
        /// Only this request
        #[arg(value_parser = super::args::id)]
        request: Option<Uuid>,
        #[command(flatten)]
        config: ConfigArgs,
    },
}

/// Runs it.
pub(super) async fn run(args: Args, out: Out) -> Done {
    let Command::Verify { request, config } = args.command;
    let config = config.load(&[])?;
    let store = database::open(&config, Role::Tool).await?;
    let failed = |error: StoreError| Failure::store("cannot read the ledger", &error);
    let mut found = Verified::default();
    if let Some(id) = request {
        let row = store.request(id).await.map_err(failed)?;
        one(store.as_ref(), &row, &mut found).await.map_err(failed)?;
    } else {
        let counted = store.balance().await.map_err(failed)?;
        let total = counted.kept();
        let bar = progress(total);
        let mut before = None;
        loop {
            let rows = store.requests(&RequestFilter::default(), before, REQUESTS).await.map_err(failed)?;
            for row in &rows {
                let known = found.broken.len();
                one(store.as_ref(), row, &mut found).await.map_err(failed)?;
                bar.inc(1);
                if found.broken.len() > known && !out.json {
                    bar.suspend(|| found.broken.last().map_or(Ok(()), |broken| print(broken, out)))?;
                }
            }
            before = rows.last().map(|row| row.id);
            if rows.len() < REQUESTS {
                break;
            }
        }
        bar.finish_and_clear();
        // The count is from before: requests that came since are no excuse, and those whose window ended since are one.
        let gone = store.balance().await.map_err(failed)?.removed.saturating_sub(counted.removed);
        found.missing = total.saturating_sub(found.requests + gone);
    }
    report(&found, request.is_some(), out)
}

fn report(found: &Verified, single: bool, out: Out) -> Done {
    if out.json {
        out.object(&json!({
            "ok": found.broken.is_empty() && found.missing == 0,
            "requests": found.requests,
            "entries": found.entries,
            "broken": found.broken,
            "missing": found.missing,
        }))?;
    } else {
        if single {
            found.broken.iter().try_for_each(|broken| print(broken, out))?;
        }
        out.line(&format!(
            "{} requests, {} entries: {}",
            found.requests,
            found.entries,
            match found.broken.len() {
                0 => out.good("every chain verifies"),
                1 => out.bad("one chain is broken"),
                more => out.bad(&format!("{more} chains are broken")),
            }
        ))?;
    }
    if found.missing > 0 && !out.json {
        out.line(&out.bad(&missing(found.missing)))?;
    }
    if found.broken.is_empty() && found.missing == 0 {
        return Ok(Exit::Ok);
    }
    say(
        "error: the record was changed, or the database has lost something\n  hint: compare these requests with a backup, and find out who wrote to the database besides mozhao",
    );
    Ok(Exit::Problems)
}

/// In words.
pub(super) fn missing(count: u64) -> String {
    match count {
        1 => "one request that was accepted is not there any more".to_owned(),
        more => format!("{more} requests that were accepted are not there any more"),
    }
}

fn print(broken: &Broken, out: Out) -> std::io::Result<()> {
    out.line(&format!("{} {} entry {}: {}", broken.request, broken.process, broken.entry, broken.problem))
}

fn progress(total: u64) -> ProgressBar {
    // Hidden unless standard error is a terminal.
    let bar = ProgressBar::new(total);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} requests, {eta} left") {
        bar.set_style(style);
    }
    bar
}
