//! The unknown-outcome matrix: what kind of target it is, times what it answers, times where the worker dies.
//!
//! Four kinds (recognises our key, can be read, both, neither), each answer that leaves or seems to leave open what happened,
//! and a crash before the target sees the call, while it handles it, or after the worker has its answer and before that is
//! written: that it has it, the worker itself says, in the details of its log. Each cell is a request with a card of its own,
//! all of them in flight at once. Whatever the cell: the card is cut once.

use std::collections::BTreeSet;
use std::time::Instant;

use mozhao::sandbox::{Fault, Trouble};
use serde_json::json;

use super::bank;
use super::books::Books;
use super::broker::Message;
use super::scenario::{Case, Scenario};
use super::world::{On, PATIENCE, Place};
use crate::harness::proxy::{Flow, Way};
use crate::harness::wait;

const KINDS: [&str; 4] = ["none", "keys", "reads", "both"];

/// What is known after the first answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    /// Nothing, and it happened.
    NothingAndApplied,
    /// Nothing, and it did not happen.
    NothingAndNot,
    /// That it did not happen, and may be tried again.
    Not,
    /// That it did not happen, and somebody has to look why.
    Defect,
    /// That it happened.
    Applied,
}

/// The answers that are none, but a connection's end.
const RESETS: [&str; 2] = ["reset", "apply_reset"];
/// Those that never come: nothing arrives that a worker could die after.
const SILENT: [&str; 2] = ["hang", "apply_hang"];
/// What a worker's log says of a call that it knows the end of, and the connectors of these effects.
const CALLED: [&str; 2] = ["call answered", "call failed"];
const CONNECTORS: [&str; 2] = ["keyed", "plain"];

/// What a target does with the first call, and what can be known of it.
fn answers() -> Vec<(&'static str, Trouble, Known)> {
    use Known::{Applied, Defect, Not, NothingAndApplied, NothingAndNot};
    let status = |status| Trouble::Status { status, retry_after_s: None };
    let wait = |status| Trouble::Status { status, retry_after_s: Some(1) };
    let field = || "status".to_owned();
    vec![
        ("hang", Trouble::Hang, NothingAndNot),
        ("apply_hang", Trouble::ApplyThenHang { answer_after_ms: None }, NothingAndApplied),
        ("apply_late", Trouble::ApplyLate { ms: 4_300 }, NothingAndApplied),
        ("reset", Trouble::Reset, NothingAndNot),
        ("apply_reset", Trouble::ApplyThenReset, NothingAndApplied),
        ("500", status(500), NothingAndNot),
        ("apply_500", Trouble::ApplyThenStatus { status: 500 }, NothingAndApplied),
        ("502", status(502), NothingAndNot),
        ("apply_504", Trouble::ApplyThenStatus { status: 504 }, NothingAndApplied),
        ("503", status(503), NothingAndNot),
        ("503_wait", wait(503), Not),
        ("429", wait(429), Not),
        ("409", status(409), NothingAndNot),
        ("apply_409", Trouble::ApplyThenStatus { status: 409 }, NothingAndApplied),
        ("408", status(408), NothingAndNot),
        ("422", status(422), Defect),
        ("302", Trouble::Redirect { to: "/elsewhere".to_owned() }, NothingAndNot),
        ("html", Trouble::Html, NothingAndNot),
        ("empty", Trouble::EmptyBody, NothingAndApplied),
        ("truncated", Trouble::Truncated, NothingAndApplied),
        ("wrong_type", Trouble::Retype { field: field() }, NothingAndApplied),
        ("renamed", Trouble::Rename { field: field(), to: "state".to_owned() }, NothingAndApplied),
        ("1_gigabyte", Trouble::Huge { bytes: 1 << 30 }, NothingAndNot),
        ("gzip_bomb", Trouble::GzipBomb { bytes: 1 << 30 }, NothingAndNot),
        ("slow_body", Trouble::Trickle { ms_per_byte: 100 }, NothingAndApplied),
        ("slow", Trouble::Delay { ms: 1_000 }, Applied),
    ]
}

/// Where the worker dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Crash {
    Never,
    /// The intent is written; the call has left us and has not arrived.
    Before,
    /// The target has the call; its answer has not arrived.
    During,
    /// The worker has the answer, if one ever comes; what it says has not been written.
    After,
}

struct Cell {
    name: String,
    kind: &'static str,
    known: Known,
    card: String,
    message: Message,
}

fn cells(case: &mut Case) -> Vec<Cell> {
    let mut cells = Vec::new();
    for kind in KINDS {
        for (answer, trouble, known) in answers() {
            let (name, card) = (format!("{kind} x {answer}"), format!("X-{kind}-{answer}"));
            let customer = format!("C-{kind}-{answer}");
            bank::put_card(&case.world.bank, &customer, &card);
            case.trouble(Fault::new(format!("/bank/cards/{card}/unbind"), trouble).times(1));
            let payload = json!({"customer_id": customer, "card_id": card});
            let message = Message::plain("app", &card, &format!("matrix_{kind}"), &payload);
            cells.push(Cell { name, kind, known, card, message });
        }
    }
    case.dice.shuffle(&mut cells);
    cells
}

/// How long an effect may take where a worker dies: every call has to be on its way before the first one is given up.
const LONG: &str = "20s";
/// How long it may take else, and for whoever comes after the dead.
const SHORT: &str = "4s";

async fn run(name: &'static str, on: On, crash: Crash) {
    let within = if crash == Crash::Never { SHORT } else { LONG };
    let scenario = Scenario::new(name).on(on).through(Place::Effects).effects_within(within).workers(1).load(0, 50).seeds(2);
    let scenario = scenario.with("MOZHAO__LOG__LEVEL", "info,mozhao::engine::worker=debug,mozhao::connectors=debug");
    scenario.run_and(async |case| play(case, crash).await, async |case, books| judge(case, books, crash)).await;
}

async fn play(case: &mut Case, crash: Crash) {
    let cells = cells(case);
    let proxy = |case: &Case, way, flow| case.world.proxy(Place::Effects).flow(way, flow);
    match crash {
        Crash::Never => {}
        Crash::Before | Crash::After => proxy(case, Way::Up, Flow::Hold),
        Crash::During => proxy(case, Way::Down, Flow::Hold),
    }
    let messages: Vec<Message> = cells.iter().map(|cell| cell.message.clone()).collect();
    let count = messages.len();
    case.send(messages).await;
    let bank = case.world.bank.clone();
    // Cells, not calls: without a crash some are called again before others are called at all.
    let arrived = move || -> usize {
        let calls = bank.calls(|call| call.path.ends_with("/unbind"));
        calls.into_iter().map(|call| call.path).collect::<BTreeSet<_>>().len()
    };
    let begun = Instant::now();
    let mut held = None;
    match crash {
        Crash::Never => {
            wait::until_true("every call to arrive", PATIENCE, || arrived() >= count).await;
            return;
        }
        Crash::Before => intents(case, count).await,
        Crash::During => wait::until_true("every call to arrive", PATIENCE, || arrived() >= count).await,
        Crash::After => {
            intents(case, count).await;
            println!("{count} calls were on their way after {:?}", begun.elapsed());
            // Nothing more can be written; then the answers come.
            held = Some(case.world.hold_writes().await);
            case.world.heal();
            let answers = count - KINDS.len() * SILENT.len();
            let have = || arrived() >= count && answered(case) >= answers;
            wait::until_true("every call to arrive, and its answer to be known here", PATIENCE, have).await;
            let calls = case.world.bank.calls(|call| call.path.ends_with("/unbind")).len();
            assert_eq!(calls, count, "no call is repeated before the end of the first one is written");
        }
    }
    println!("every call was where its worker dies after {:?}; {} had come to an end", begun.elapsed(), answered(case));
    case.world.effects_within(SHORT);
    case.strike(0);
    // A call that was given up before would be a cell without its crash. A reset is no answer that could be held back.
    let written = with(case, &["result", "failed"]).await;
    assert!(crash != Crash::Before || arrived() == 0, "a call had arrived before the crash");
    let resets = if crash == Crash::During { KINDS.len() * RESETS.len() } else { 0 };
    assert!(written <= resets, "of {count} calls {written} had come to something before the crash");
    // Before a successor, which would be reset with the dead.
    case.world.proxy(Place::Effects).reset();
    case.world.heal();
    case.replace(0);
    if let Some(held) = held {
        held.release().await;
    }
}

/// Waits until so many requests have an intent in their ledgers.
async fn intents(case: &Case, count: usize) {
    loop {
        let found = with(case, &["intent"]).await;
        if found >= count {
            return;
        }
        let all = wait::until_some("the balance", PATIENCE, || case.world.balance()).await;
        assert!(all.ended() == 0, "{all:?}: something ended before every intent was written ({found} of {count})");
    }
}

/// How many calls for these effects the worker knows the end of, those aside that it has given up.
fn answered(case: &Case) -> usize {
    let ended = |line: &str| {
        CALLED.iter().any(|said| line.contains(said))
            && CONNECTORS.iter().any(|name| line.contains(name))
            && !line.contains("timeout")
    };
    case.workers[0].process.logs().lines().filter(|line| ended(line)).count()
}

/// How many requests have an entry of one of these kinds.
async fn with(case: &Case, kinds: &[&str]) -> usize {
    let text = if case.world.is_embedded() { "CAST(body AS TEXT)" } else { "encode(packed, 'escape')" };
    let any: Vec<_> = kinds.iter().map(|kind| format!(r#"{text} LIKE '%"kind":"{kind}"%'"#)).collect();
    let sql = format!("SELECT COUNT(DISTINCT request) FROM entries WHERE {}", any.join(" OR "));
    usize::try_from(case.world.number(&sql).await).unwrap()
}

fn judge(case: &mut Case, books: &Books, crash: Crash) {
    let mut wrong = Vec::new();
    for kind in KINDS {
        for (answer, _, known) in answers() {
            let card = format!("X-{kind}-{answer}");
            let ledger = books.ledgers.iter().find(|ledger| ledger.payload["card_id"] == card.as_str()).unwrap();
            let applied = case.world.bank.applied("unbind", &card);
            let path = format!("/bank/cards/{card}/unbind");
            let calls = case.world.bank.calls(|call| call.path == path);
            let asked = ledger.count("decided");
            let unknown = matches!(known, Known::NothingAndApplied | Known::NothingAndNot);
            let mut expect = |right: bool, what: &str| {
                if !right {
                    wrong.push(format!(
                        "{kind} x {answer}: {what}: applied {applied} times, calls met {:?}, {asked} decisions, {:?}",
                        calls.iter().map(|call| call.fault).collect::<Vec<_>>(),
                        ledger.facts.iter().map(|(_, fact)| fact.word()).collect::<Vec<_>>()
                    ));
                }
            };
            expect(applied == 1 && ledger.road() == "done", "cut once");
            if kind == "none" {
                expect(calls.len() <= 1 + asked || !unknown, "no second call unless a person said so");
                if crash == Crash::Never {
                    expect(asked == usize::from(unknown), "asked exactly where nobody can know");
                    expect(known != Known::NothingAndApplied || calls.len() == 1, "one call, since it happened");
                } else {
                    expect(asked >= 1, "asked, since the call's end was lost with the worker");
                }
            } else {
                expect(asked == 0, "no person is needed");
            }
            if kind == "reads" && crash == Crash::Never {
                expect(
                    calls.len() == 1 + usize::from(!matches!(known, Known::NothingAndApplied | Known::Applied)),
                    "read, not repeated",
                );
            }
            let keys: BTreeSet<_> = calls.iter().map(|call| call.key.clone()).collect();
            if known != Known::Defect && matches!(kind, "keys" | "both") {
                expect(keys.len() == 1 && !keys.contains(&None), "one key for all calls");
            }
        }
    }
    assert!(wrong.is_empty(), "{} cells are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

macro_rules! matrices {
    ($($name:ident: $on:ident $crash:ident;)*) => { $(
        #[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            run(stringify!($name), On::$on, Crash::$crash).await;
        }
    )* };
}

matrices! {
    unknown_outcomes: Shared Never;
    unknown_outcomes_crash_before_the_call: Shared Before;
    unknown_outcomes_crash_during_the_call: Shared During;
    unknown_outcomes_crash_after_the_answer: Shared After;
    embedded_unknown_outcomes: Embedded Never;
    embedded_unknown_outcomes_crash_before_the_call: Embedded Before;
    embedded_unknown_outcomes_crash_during_the_call: Embedded During;
    embedded_unknown_outcomes_crash_after_the_answer: Embedded After;
}

/// Each answer to a check instead of an effect: it is asked again, or parked until somebody has looked; nobody is asked
/// whether it happened, nothing passes by accident, and the effect is called once.
async fn checks(name: &'static str, on: On) {
    let scenario = Scenario::new(name).on(on).workers(1).load(0, 50).seeds(2);
    scenario
        .run_and(
            async |case| {
                let mut messages = Vec::new();
                for (answer, trouble, _) in answers() {
                    let (customer, card) = (format!("C-{answer}"), format!("X-{answer}"));
                    bank::put_card(&case.world.bank, &customer, &card);
                    case.trouble(Fault::new(format!("/bank/cards/{card}"), trouble).method("GET").times(1));
                    messages.push(Message::plain(
                        "app",
                        &card,
                        "matrix_none",
                        &json!({"customer_id": customer, "card_id": card}),
                    ));
                }
                case.dice.shuffle(&mut messages);
                let count = messages.len();
                case.send(messages).await;
                let bank = case.world.bank.clone();
                let asked = || bank.calls(|call| call.method == "GET" && call.fault.is_some_and(|fault| fault != "delay")).len();
                // `slow` is a delay, too.
                wait::until_true("every trouble to be met", PATIENCE, || asked() + 1 >= count).await;
            },
            async |case, books| {
                for ledger in &books.ledgers {
                    let card = ledger.payload["card_id"].as_str().unwrap();
                    let path = format!("/bank/cards/{card}/unbind");
                    let calls = case.world.bank.calls(|call| call.path == path).len();
                    let found = (ledger.road(), calls, case.world.bank.applied("unbind", card), ledger.count("decided"));
                    assert_eq!(found, ("done".to_owned(), 1, 1, 0), "{card}: {:?}", ledger.facts);
                }
            },
        )
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn checks_meet_every_answer() {
    checks("checks_meet_every_answer", On::Shared).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn embedded_checks_meet_every_answer() {
    checks("embedded_checks_meet_every_answer", On::Embedded).await;
}
