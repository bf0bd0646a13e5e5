//! The database: reachable, up to date, its clock, its books.

use std::sync::Arc;
use std::time::Duration;

use super::Findings;
use crate::cli::{database, exit::Failure, ledger};
use crate::config::Config;
use crate::domain::process::Process;
use crate::domain::time::{Time, show_duration};
use crate::engine::clock::SystemClock;
use crate::engine::ports::clock::Clock as _;
use crate::engine::ports::records::RequestFilter;
use crate::engine::ports::store::{Store, StoreError};
use crate::engine::processes::MAX_VERSIONS;
use crate::engine::verify::{self, Verified};
use crate::store::Role;

const CHECK: &str = "database";
/// A clock that is off by more than this is worth knowing.
const SKEW_NOTE: Duration = Duration::from_secs(1);
/// Events that wait for the broker.
const MANY_UNPUBLISHED: u64 = 10_000;

/// Looks at the database.
pub(super) async fn look(config: &Config, sample: u32, processes: &[Process], findings: &mut Findings) {
    let mend = |failure: &Failure| failure.hint.clone().unwrap_or_default();
    let told = |failure: &Failure| format!("{}: {}", failure.message, failure.causes.join(": "));
    match database::pending(config).await {
        Ok(None) => {
            let missing = format!("there is no database {} yet", config.database.url);
            findings.problem(CHECK, missing, "`mozhao migrate` or the first `mozhao serve` makes it; is `database.url` right?");
            return findings.skipped("books", "there is no database");
        }
        Ok(Some(pending)) if pending.is_empty() => findings.ok(CHECK, format!("{} is up to date", config.database.url)),
        Ok(Some(pending)) => {
            let missing = format!("{} lacks {}", config.database.url, pending.join(", "));
            findings.problem(CHECK, missing, "`mozhao migrate` (or the next start of `mozhao serve`) brings it up to date");
            return findings.skipped("books", "the database is not up to date");
        }
        Err(failure) => {
            findings.problem(CHECK, told(&failure), mend(&failure));
            return findings.skipped("books", "the database cannot be opened");
        }
    }
    let store = match database::open(config, Role::Tool).await {
        Ok(store) => store,
        Err(failure) => {
            findings.problem(CHECK, told(&failure), mend(&failure));
            return findings.skipped("books", "the database cannot be opened");
        }
    };
    if let Err(error) = books(&store, config, sample, processes, findings).await {
        findings.problem(CHECK, format!("a read failed: {error}"), "is it up? Its own log has the cause");
    }
}

async fn books(
    store: &Arc<dyn Store>,
    config: &Config,
    sample: u32,
    processes: &[Process],
    findings: &mut Findings,
) -> Result<(), StoreError> {
    clock(store, config, findings).await?;
    balance(store, findings).await?;
    ledgers(store, sample, findings).await?;
    workers(store, findings).await?;
    groups(store, findings).await?;
    published(store, processes, findings).await
}

async fn clock(store: &Arc<dyn Store>, config: &Config, findings: &mut Findings) -> Result<(), StoreError> {
    let before = SystemClock.now();
    let theirs = store.now().await?;
    let after = SystemClock.now();
    match skew(before, theirs, after) {
        skew if skew >= config.worker.lease / 3 => findings.problem(
            "clock",
            format!("this machine's clock and the database's differ by at least {}", show(skew)),
            "run a time service (chrony, systemd-timesyncd) on both: retries and deadlines are timed by this clock, leases by that one",
        ),
        skew if skew >= SKEW_NOTE => findings.note(
            "clock",
            format!("this machine's clock and the database's differ by at least {}", show(skew)),
            "run a time service on both machines",
        ),
        _ => findings.ok("clock", "agrees with the database's"),
    }
    Ok(())
}

/// By how much their clock certainly differs from ours, which was read before and after.
fn skew(before: Time, theirs: Time, after: Time) -> Duration {
    before.since(theirs).max(theirs.since(after))
}

fn show(length: Duration) -> String {
    show_duration(Duration::from_millis(u64::try_from(length.as_millis()).unwrap_or(u64::MAX)))
}

async fn balance(store: &Arc<dyn Store>, findings: &mut Findings) -> Result<(), StoreError> {
    let balance = store.balance().await?;
    let (accepted, ended, open) = (balance.accepted, balance.ended(), balance.open());
    if balance.holds() {
        findings.ok("balance", format!("{accepted} accepted = {ended} ended + {open} open"));
    } else {
        findings.problem(
            "balance",
            format!("{accepted} accepted, but {ended} ended + {open} open"),
            "something besides mozhao changed the tables, or this is a bug: keep the database and report it with `mozhao ledger verify`",
        );
    }
    if balance.overdue > 0 {
        findings.problem(
            "overdue",
            format!("due for longer than a minute, and nobody looks after them: {}", balance.overdue),
            "start a worker (`mozhao serve`), or more of them; `mozhao request list --open` shows the requests",
        );
    }
    if balance.unpublished > MANY_UNPUBLISHED {
        findings.note(
            "events",
            format!("{} events wait to be published", balance.unpublished),
            "is the broker up, and `amqp.url` set? They stay readable over HTTP at /v1/events",
        );
    }
    Ok(())
}

async fn ledgers(store: &Arc<dyn Store>, sample: u32, findings: &mut Findings) -> Result<(), StoreError> {
    let mut found = Verified::default();
    let counted = store.balance().await?;
    let mut before = None;
    let mut left = usize::try_from(sample).unwrap_or(usize::MAX);
    while left > 0 {
        let rows = store.requests(&RequestFilter::default(), before, left.min(200)).await?;
        let Some(last) = rows.last() else {
            // All of them have been seen, so that their number can be compared with the books.
            // What went by its window meanwhile is not missing.
            let gone = store.balance().await?.removed.saturating_sub(counted.removed);
            found.missing = counted.kept().saturating_sub(found.requests + gone);
            break;
        };
        before = Some(last.id);
        left = left.saturating_sub(rows.len());
        for row in &rows {
            verify::one(store.as_ref(), row, &mut found).await?;
        }
    }
    if found.missing > 0 {
        let mend = "compare with a backup, and find out who removed them; `mozhao ledger verify` counts all";
        findings.problem("ledger", ledger::missing(found.missing), mend);
    }
    match found.broken.first() {
        None if found.requests == 1 => findings.ok("ledger", "the newest request's chain verifies"),
        None => findings.ok("ledger", format!("the newest {} requests' chains verify", found.requests)),
        Some(first) => findings.problem(
            "ledger",
            format!(
                "{} of {} chains are broken; {} entry {}: {}",
                found.broken.len(),
                found.requests,
                first.request,
                first.entry,
                first.problem
            ),
            "`mozhao ledger verify` shows all; compare with a backup, and find out who wrote to the database besides mozhao",
        ),
    }
    Ok(())
}

async fn workers(store: &Arc<dyn Store>, findings: &mut Findings) -> Result<(), StoreError> {
    let workers = store.workers().await?;
    if workers.is_empty() {
        findings.note("workers", "no worker is running", "`mozhao serve` starts one");
        return Ok(());
    }
    let names: Vec<String> = workers.iter().map(|worker| format!("{} ({})", worker.name, worker.version)).collect();
    findings.ok("workers", names.join(", "));
    Ok(())
}

async fn groups(store: &Arc<dyn Store>, findings: &mut Findings) -> Result<(), StoreError> {
    for control in store.controls().await?.iter().filter(|control| control.state != "closed") {
        let parked = store.parked_under(&control.group, 100_000).await?;
        let (kind, name) = control.group.split_once(':').unwrap_or(("", &control.group));
        let mend = if kind == "dependency" {
            format!("once it is well, the next probe resumes them; `mozhao dependency resume {name}` does it now")
        } else {
            format!("`mozhao defect show {name}` shows the cause; after the fix: `mozhao defect resume {name}`")
        };
        let waiting = wait(parked);
        findings.note("parked", format!("{} is {} ({}); {waiting}", control.group, control.state, control.reason), mend);
    }
    let defects = store.defects(&[], 50).await?;
    for defect in &defects {
        let parked = store.parked_under(&format!("defect:{}", defect.fingerprint), 100_000).await?;
        if parked > 0 {
            let place = format!("{} version {} at {}", defect.process, defect.version, defect.slot);
            let times = if defect.count == 1 { "once".to_owned() } else { format!("{} times", defect.count) };
            let finding = format!("defect {}: {place}, {times}; {}", defect.fingerprint, wait(parked));
            findings.note(
                "defects",
                finding,
                format!("`mozhao defect show {}` shows the cause and what to do", defect.fingerprint),
            );
        }
    }
    Ok(())
}

/// How many requests wait, in words.
fn wait(parked: u64) -> String {
    match parked {
        1 => "one request waits".to_owned(),
        more => format!("{more} requests wait"),
    }
}

/// A file that was changed without a new version keeps the next worker from starting: better to know before.
async fn published(store: &Arc<dyn Store>, processes: &[Process], findings: &mut Findings) -> Result<(), StoreError> {
    let published = store.processes(MAX_VERSIONS).await?;
    for process in processes {
        let same = published.iter().find(|row| row.name == process.name && row.version == process.version);
        if same.is_some_and(|row| row.digest != process.digest) {
            findings.problem(
                "processes",
                format!("{} version {} was published before with other content", process.name, process.version),
                "give the changed file a new version number",
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_certain_counts_as_skew() {
        let seconds = |length: u64| Duration::from_secs(length);
        let at = |second: i64| Time(second * 1_000_000);
        assert_eq!(skew(at(10), at(11), at(12)), seconds(0), "within the round trip");
        assert_eq!(skew(at(10), at(15), at(12)), seconds(3));
        assert_eq!(skew(at(10), at(4), at(12)), seconds(6));
    }
}
