//! The summary of a demo, as text. Only numbers that were read from the books; no adjectives.

use std::fmt::Write as _;
use std::time::Duration;

use super::books::Books;
use super::{Seen, counted};
use crate::cli::output::Out;
use crate::engine::ports::balance::Balance;

/// Writing into a `String` does not fail.
macro_rules! line {
    ($text:expr, $($arg:tt)*) => { writeln!($text, $($arg)*).ok() };
}

/// The whole summary.
pub(super) fn summary(books: &Books, seen: &Seen, out: Out) -> String {
    let mut text = String::new();
    let balance = &books.balance;
    line!(text, "\n{}", out.bold(&format!("{} in {:.1} s", counted(balance.accepted, "request"), seen.took.as_secs_f64())));
    outcomes(&mut text, books, seen);
    refused(&mut text, books, out);
    asked(&mut text, books, out);
    parked(&mut text, books, seen, out);
    waiting(&mut text, books, out);
    checks(&mut text, books, out);
    text
}

fn outcomes(text: &mut String, books: &Books, seen: &Seen) {
    let balance = &books.balance;
    let (alone, share) = (balance.automated, percent(balance.automated, balance.accepted));
    line!(text, "  settled with no person  {alone} of {} = {share} ({})", balance.accepted, endings(balance));
    line!(text, "  waiting for a person    {}", balance.in_review);
    line!(text, "  waiting for a customer  {}", balance.waiting);
    line!(text, "  parked until a fix      {}", balance.parked);
    if seen.moving > 0 {
        line!(text, "  still moving            {}", seen.moving);
    }
    if let (Some(half), Some(most)) = (books.within(50), books.within(95)) {
        line!(text, "  time to the outcome     p50 {}, p95 {} (the outage is in it)", seconds(half), seconds(most));
    }
    if seen.repeated + balance.rejected > 0 {
        let twice = format!("{} sent twice and taken once", seen.repeated);
        line!(text, "  at the door             {twice}, {} rejected with the reason", counted(balance.rejected, "message"));
    }
}

fn endings(balance: &Balance) -> String {
    let mut parts = vec![format!("{} done", balance.done), format!("{} refused", balance.refused)];
    parts.extend((balance.withdrawn > 0).then(|| format!("{} withdrawn by the customer", balance.withdrawn)));
    parts.extend((balance.expired > 0).then(|| format!("{} expired", balance.expired)));
    parts.join(", ")
}

fn refused(text: &mut String, books: &Books, out: Out) {
    if books.refused.is_empty() {
        return;
    }
    line!(text, "\n{}", out.bold("Refused, by clause"));
    let rows =
        books.refused.iter().map(|row| vec![row.count.to_string(), row.clause.clone(), row.reason.clone(), row.text.clone()]);
    table(text, &rows.collect::<Vec<_>>());
}

fn asked(text: &mut String, books: &Books, out: Out) {
    if books.asked.is_empty() {
        return;
    }
    line!(text, "\n{}", out.bold("In review, by question, and who is asked"));
    let rows = books.asked.iter().map(|row| {
        let who = row.first.role.as_deref().unwrap_or("anybody");
        let who = if row.first.four_eyes { format!("{who}, two people") } else { who.to_owned() };
        vec![row.count.to_string(), row.first.process.clone(), who, row.question.clone()]
    });
    table(text, &rows.collect::<Vec<_>>());
}

fn parked(text: &mut String, books: &Books, seen: &Seen, out: Out) {
    if books.defects.is_empty() && books.dependencies.is_empty() && seen.outage.is_none() {
        return;
    }
    line!(text, "\n{}", out.bold("Parked"));
    for (defect, parked) in &books.defects {
        line!(text, "  {parked}  defect {}", defect.fingerprint);
        let connector = defect.connector.as_deref().map(|name| format!(", connector {name}")).unwrap_or_default();
        let status = defect.status.map(|status| format!(", status {status}")).unwrap_or_default();
        line!(text, "     {} at {}{connector}: {} {}{status}", defect.process, defect.slot, defect.class, defect.code);
        line!(text, "     {}", defect.pattern);
    }
    for (name, parked) in &books.dependencies {
        line!(text, "  {parked}  dependency {name}");
    }
    if let Some(outage) = seen.outage {
        let back = if books.dependencies.is_empty() { "all came back by themselves" } else { "not all are back yet" };
        line!(
            text,
            "  The bank was down for {}: {} parked under dependency core_banking, {back}",
            seconds(outage),
            counted(seen.parked_by_outage, "request"),
        );
    }
}

fn waiting(text: &mut String, books: &Books, out: Out) {
    if books.waiting.is_empty() {
        return;
    }
    line!(text, "\n{}", out.bold("Waiting"));
    for row in &books.waiting {
        let until = row.until.map(|at| format!(", until {}", at.to_string().split('.').next().unwrap_or_default()));
        line!(text, "  {}  {} at {}{}", row.count, row.process, row.step, until.map(|until| until + "Z").unwrap_or_default());
    }
}

fn checks(text: &mut String, books: &Books, out: Out) {
    let verdict = |good: bool, yes: &str, no: &str| if good { out.good(yes) } else { out.bad(no) };
    line!(text, "\n{}", out.bold("The books"));
    let balance = &books.balance;
    line!(
        text,
        "  balance  accepted {} = done {} + refused {} + withdrawn {} + expired {} + open {}: {}",
        balance.accepted,
        balance.done,
        balance.refused,
        balance.withdrawn,
        balance.expired,
        balance.open(),
        verdict(balance.holds(), "holds", "does not hold"),
    );
    let targets = &books.targets;
    let effects: u64 = targets.by_effect.values().sum();
    line!(
        text,
        "  effects  {effects} applied at the sandbox; exactly once for each of {} done, none left of {} refused or withdrawn: {}",
        targets.done,
        targets.other,
        verdict(targets.wrong.is_empty(), "agrees", "does not agree"),
    );
    for wrong in targets.wrong.iter().take(10) {
        line!(text, "           {wrong}");
    }
    let lost: u64 = ["apply_then_hang", "apply_then_reset"].iter().filter_map(|name| targets.by_fault.get(name)).sum();
    if lost > 0 {
        line!(
            text,
            "           {} applied without an answer, and settled by reading, or by asking again under the same key",
            if lost == 1 { "1 effect was".to_owned() } else { format!("{lost} effects were") },
        );
    }
    line!(
        text,
        "  ledger   {} of {}, every hash computed again: {}",
        if books.ledger.entries == 1 { "1 entry".to_owned() } else { format!("{} entries", books.ledger.entries) },
        counted(books.ledger.requests, "request"),
        verdict(books.ledger.broken.is_empty(), "verified", "broken"),
    );
    for (request, why) in books.ledger.broken.iter().take(10) {
        line!(text, "           {request}: {why}");
    }
}

/// Columns with two spaces between them; the first is a number.
fn table(text: &mut String, rows: &[Vec<String>]) {
    let wide = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0);
    for row in rows {
        let mut shown = String::from(" ");
        for (column, cell) in row.iter().enumerate() {
            let fill = " ".repeat(wide(column).saturating_sub(cell.chars().count()));
            let cell = if column == 0 { format!("{fill}{cell}") } else { format!("{cell}{fill}") };
            shown.extend([if column == 0 { " " } else { "  " }, &cell]);
        }
        line!(text, "{}", shown.trim_end());
    }
}

fn percent(part: u64, whole: u64) -> String {
    let tenths = (part * 1_000 + whole / 2) / whole.max(1);
    format!("{}.{} %", tenths / 10, tenths % 10)
}

fn seconds(length: Duration) -> String {
    if length < Duration::from_secs(1) { format!("{} ms", length.as_millis()) } else { format!("{:.1} s", length.as_secs_f64()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Out = Out { json: false, terminal: false, color: false };

    #[test]
    fn an_empty_run_has_a_summary() {
        let text = summary(&Books::default(), &Seen::default(), PLAIN);
        assert!(text.contains("accepted 0 = done 0 + refused 0 + withdrawn 0 + expired 0 + open 0: holds"), "{text}");
    }

    #[test]
    fn what_does_not_add_up_is_said() {
        let balance = Balance { accepted: 3, done: 1, in_review: 1, automated: 1, ..Balance::default() };
        let mut books = Books { balance, ..Books::default() };
        books.targets.wrong.push("unbind was applied 2 times to C1".into());
        let text = summary(&books, &Seen::default(), PLAIN);
        assert!(
            text.contains("open 1: does not hold") && text.contains("does not agree\n           unbind was applied 2"),
            "{text}"
        );
        assert!(text.contains("1 of 3 = 33.3 % (1 done, 0 refused)"), "{text}");
    }

    #[test]
    fn columns() {
        let mut text = String::new();
        table(&mut text, &[vec!["1".into(), "a".into(), "x".into()], vec!["12".into(), "bcd".into(), "y".into()]]);
        assert_eq!(text, "   1  a    x\n  12  bcd  y\n");
    }
}
