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
use crate::domain::request::chain::{self, GENESIS};
use crate::engine::ports::records::{RequestFilter, RequestRow};
use crate::engine::ports::store::{Store, StoreError};
use crate::store::Role;

/// Requests in one read.
const REQUESTS: usize = 200;
/// Entries in one read.
const ENTRIES: usize = 500;

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

/// What is wrong with one request's ledger.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub(super) struct Broken {
    /// The request.
    pub(super) request: Uuid,
    /// Its process.
    pub(super) process: String,
    /// The first entry that does not fit.
    pub(super) entry: u64,
    /// What is wrong with it.
    pub(super) problem: String,
}

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Verified {
    /// Requests looked at.
    pub(super) requests: u64,
    /// Entries looked at.
    pub(super) entries: u64,
    /// The broken ones.
    pub(super) broken: Vec<Broken>,
    /// How many were accepted and are not there any more.
    pub(super) missing: u64,
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
        let total = store.balance().await.map_err(failed)?.accepted;
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
        // The count is from before: requests that came since are no excuse.
        found.missing = total.saturating_sub(found.requests);
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

/// Checks one request's chain, and that its row agrees with it.
pub(super) async fn one(store: &dyn Store, row: &RequestRow, found: &mut Verified) -> Result<(), StoreError> {
    let mut broken = |entry: u64, problem: String| {
        found.broken.push(Broken { request: row.id, process: row.process.clone(), entry, problem });
    };
    found.requests += 1;
    let (mut seq, mut prev) = (0, GENESIS);
    // The row was read first; entries above its head were written since then and are none of its business.
    while seq < row.seq {
        let most = ENTRIES.min(usize::try_from(row.seq - seq).unwrap_or(ENTRIES));
        let entries = store.entries(row.id, seq, most).await?;
        let Some(last) = entries.last().map(|entry| entry.seq) else {
            broken(seq + 1, format!("is missing: the request has {} entries", row.seq));
            return Ok(());
        };
        match chain::verify_after(row.id, seq, prev, &entries) {
            Ok(head) => prev = head,
            Err(error) => {
                let at = match &error {
                    chain::ChainError::OutOfOrder { expected, .. } => *expected,
                    chain::ChainError::Broken { seq } | chain::ChainError::Unreadable { seq, .. } => *seq,
                };
                broken(at, error.to_string());
                return Ok(());
            }
        }
        seq = last;
        found.entries += u64::try_from(entries.len()).unwrap_or(u64::MAX);
    }
    if prev != row.head {
        broken(row.seq, "is not the head that the request's row names".to_owned());
    }
    Ok(())
}
