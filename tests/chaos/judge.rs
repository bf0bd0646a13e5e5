//! What the judge is worth: a worker with a known bug (`src/faults.rs`) goes through a short scenario on real servers, and the books
//! have to say so, by the name of the promise that it breaks. Each scene is also played without a bug, and then they say nothing.
//!
//! A scene is a process of its own: books that fail end it, and what it said is read.

use std::process::Stdio;
use std::time::Duration;

use futures_util::StreamExt as _;
use mozhao::sandbox::{Fault, Trouble};
use serde_json::{Value, json};

use super::bank;
use super::broker::{self, Message};
use super::scenario::{Case, Scenario, unbind};
use super::world::{PATIENCE, Place};
use crate::harness::proxy::{Flow, Way};
use crate::harness::record::{self, Record};
use crate::harness::wait;

/// Each bug, the scene that shows it, and the check that has to see it.
const SEEN: [(&str, &str, &str); 16] = [
    ("acked_at_delivery", "killed_before_the_commit", "G1"),
    ("ack_before_commit", "killed_before_the_commit", "G1"),
    ("body_unread", "another_body", "G1"),
    ("turn_kept", "killed", "G2"),
    ("rescue_off", "killed", "G2"),
    ("break_is_safe", "unanswered", "G3"),
    ("timeout_is_failure", "unanswered", "G3"),
    ("key_changes", "unanswered", "G3"),
    ("undo_skipped", "undone", "G3"),
    ("skipped_intent", "killed_in_a_call", "G4"),
    ("outcome_told_twice", "killed", "G7"),
    ("marked_unconfirmed", "unconfirmed", "G7"),
    ("confirm_assumed", "unconfirmed", "G7"),
    ("head_kept", "killed", "G8"),
    ("payload_told", "killed", "G9"),
    ("permit_leaked", "killed", "G10"),
];
/// How long a scene may take to come to rest; with some bugs it never does.
const REST: Duration = Duration::from_secs(45);
/// How long a scene may take in all.
const LONGEST: Duration = Duration::from_mins(4);
/// How many are played at once: they wait more than they work.
const SIDE_BY_SIDE: usize = 4;
/// The scene to play, and its bug.
const SCENE: &str = "MOZHAO_JUDGE_SCENE";
const BUG: &str = "MOZHAO_JUDGE_BUG";
/// The name of the test that plays it.
const CHILD: &str = "suite::judge::scene_of_a_known_bug";

#[tokio::test(flavor = "multi_thread")]
async fn known_bugs_show_in_the_books() {
    if !mozhao::faults::BUILT_IN {
        record::not_run("known_bugs_show_in_the_books", "the program is built without the feature `faults`");
        return;
    }
    let mut record = Record::new("known_bugs_show_in_the_books", 0);
    let mut scenes: Vec<&str> = SEEN.iter().map(|(_, scene, _)| *scene).collect();
    scenes.sort_unstable();
    scenes.dedup();
    let without = scenes.into_iter().map(|scene| ("", scene, ""));
    let all: Vec<_> = without.chain(SEEN).collect();
    let count = all.len();
    let played = futures_util::stream::iter(all).map(async |(bug, scene, check)| (bug, scene, check, play(scene, bug).await));
    let played: Vec<_> = played.buffer_unordered(SIDE_BY_SIDE).collect().await;
    let mut wrong = Vec::new();
    for (bug, scene, check, (right, said)) in played {
        let found = said.lines().find(|line| names(line, check)).unwrap_or_default();
        let found: String = found.chars().take(160).collect();
        match (bug, right) {
            ("", true) => {}
            ("", false) => wrong.push(format!("{scene}, without a bug: {said}")),
            (_, false) if !found.is_empty() => println!("| `{bug}` | {scene} | {found} |"),
            _ => wrong.push(format!("{bug} is not seen as {check} in {scene}: {said}")),
        }
    }
    record::faults(SEEN.len() as u64);
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    record.found_right(count);
}

/// Does the line name this check? What was merely waited for in vain names none, since a slow machine may be why.
fn names(line: &str, check: &str) -> bool {
    line.strip_prefix(check).is_some_and(|rest| rest.starts_with([' ', ':']))
}

#[test]
fn patience_is_no_evidence() {
    assert!(names("G1 4 messages were acknowledged and are stored nowhere", "G1"));
    assert!(!names("G10 a worker at rest holds a permit", "G1"));
    assert!(!names("waited 45s in vain: every message is taken in (G1)", "G1"));
}

/// A bug at the edges that no scene shows would be shown by nothing.
#[cfg(feature = "faults")]
#[test]
fn every_bug_at_the_edges_has_a_scene() {
    for (bug, _) in mozhao::faults::EDGE_BUGS {
        assert!(SEEN.iter().any(|(seen, ..)| *seen == bug), "no scene shows `{bug}`");
    }
}

/// Plays a scene in a process of its own: whether it ended well, and what it said when it did not.
async fn play(scene: &str, bug: &str) -> (bool, String) {
    let mut this = tokio::process::Command::new(std::env::current_exe().unwrap());
    this.args(["--exact", CHILD, "--nocapture"]).env(SCENE, scene).env(BUG, bug).env("RUST_BACKTRACE", "0");
    // Its books are no row of the table.
    this.env_remove(record::RECORD).env_remove(record::SEEDS).env_remove(record::SEED);
    this.stdin(Stdio::null()).kill_on_drop(true);
    let Ok(output) = tokio::time::timeout(LONGEST, this.output()).await else {
        return (false, format!("did not end within {LONGEST:?}"));
    };
    let output = output.unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let said = text.split_once("panicked at").map_or(text.as_str(), |(_, said)| said);
    (output.status.success(), said.chars().take(4_000).collect())
}

/// Not a test of its own: what [`play`] starts.
#[tokio::test(flavor = "multi_thread")]
async fn scene_of_a_known_bug() {
    let Ok(scene) = std::env::var(SCENE) else { return };
    let bug = std::env::var(BUG).unwrap_or_default().leak();
    let scenario = |name| Scenario::new(name).workers(1).patient(REST).with("MOZHAO_BUG", bug);
    match scene.as_str() {
        "killed" => scenario("killed").workers(2).load(40, 80).bank(50).run(killed).await,
        "killed_before_the_commit" => scenario("killed_before_the_commit").load(0, 1).run(killed_before_the_commit).await,
        "killed_in_a_call" => scenario("killed_in_a_call").load(0, 1).run(killed_in_a_call).await,
        "unanswered" => scenario("unanswered").load(24, 100).run(unanswered).await,
        "unconfirmed" => scenario("unconfirmed").through(Place::Broker).load(40, 20).run(unconfirmed).await,
        "another_body" => scenario("another_body").load(16, 100).run(another_body).await,
        "undone" => scenario("undone").load(0, 1).run(undone).await,
        other => panic!("no scene is called {other}"),
    }
}

/// A worker dies with requests in flight.
async fn killed(case: &mut Case) {
    case.more(4).await;
    case.kill(0);
}

/// A worker dies while the database keeps it waiting: what it has taken from the broker is stored nowhere.
async fn killed_before_the_commit(case: &mut Case) {
    let messages: Vec<Message> = (0..40).map(|number| unbind(&case.world, number)).collect();
    let held = case.world.hold_writes().await;
    case.confirmed(&messages).await;
    case.sent.extend(messages);
    let (amqp, queue) = (case.world.amqp.clone().unwrap(), format!("{}.requests", case.world.prefix));
    wait::until("every message to be delivered", PATIENCE, || async { broker::depth(&amqp, &queue).await == Some(0) }).await;
    // Seconds later the database has refused a batch for its lock: whoever acknowledges before the commit has done so long ago.
    let gave_up = ["it is tried again until the database answers", "it is tried in halves"];
    let log = || case.workers[0].process.logs();
    wait::until_true("a batch to be given up", PATIENCE, || gave_up.iter().any(|said| log().contains(said))).await;
    case.kill(0);
    held.release().await;
}

/// A worker dies between an effect's call and its answer.
async fn killed_in_a_call(case: &mut Case) {
    let hang = case.trouble(Fault::new("/bank/cards/*/unbind", Trouble::ApplyThenHang { answer_after_ms: None }));
    let messages = (0..24).map(|number| unbind(&case.world, number)).collect();
    case.send(messages).await;
    met(case, 4).await;
    case.kill(0);
    case.world.bank.lift(hang);
}

/// Waits until so many effects have met their trouble: what comes after a scene heals whatever is left of it.
async fn met(case: &Case, count: usize) {
    let bank = case.world.bank.clone();
    let met = || bank.calls(|call| call.path.ends_with("/unbind") && call.fault.is_some_and(|fault| fault != "delay")).len();
    wait::until_true("effects to meet their trouble", PATIENCE, || met() >= count).await;
}

/// Connections break after the effect has happened; among them such whose target recognises a key.
async fn unanswered(case: &mut Case) {
    let mut keyed = Vec::new();
    for number in 0..8 {
        let (customer, card) = (format!("C-{number}"), format!("X-{number}"));
        bank::put_card(&case.world.bank, &customer, &card);
        case.trouble(Fault::new(format!("/bank/cards/{card}/unbind"), Trouble::ApplyThenReset).times(1));
        keyed.push(Message::plain("app", &card, "matrix_keys", &json!({"customer_id": customer, "card_id": card})));
    }
    case.trouble(Fault::new("/bank/cards/K*/unbind", Trouble::ApplyThenReset).times(12));
    case.send(keyed).await;
    met(case, 16).await;
}

/// The connection to the broker breaks with events on their way.
async fn unconfirmed(case: &mut Case) {
    case.more(4).await;
    case.world.proxy(Place::Broker).flow(Way::Up, Flow::Hold);
    case.more(4).await;
    case.world.proxy(Place::Broker).reset();
    case.world.heal();
}

/// Somebody uses the ids of accepted messages for other ones.
async fn another_body(case: &mut Case) {
    case.all_confirmed().await;
    let all = case.sent.len();
    case.world.until("all to be taken in", PATIENCE, |balance| balance.accepted == all as u64).await;
    let mut others = case.sent[..4].to_vec();
    for (number, other) in others.iter_mut().enumerate() {
        // Valid but for its id: nothing else is wrong with it.
        let mut payload: Value = serde_json::from_slice(&other.body).unwrap();
        payload["card_id"] = json!(format!("K{}", 100 + number));
        other.body = payload.to_string().into_bytes();
    }
    case.rejected += others.len();
    case.confirmed(&others).await;
    case.kill(0);
}

/// Codes that never come: what was sent is cancelled.
async fn undone(case: &mut Case) {
    let message = |number: usize| {
        let phone = format!("+86{number:04}");
        case.world.bank.with_sms(|sms| sms.script(phone.clone(), Vec::new()));
        Message::plain("app", &format!("m-{number}"), "code_wait", &json!({"phone": phone}))
    };
    let messages = (0..6).map(message).collect();
    case.send(messages).await;
    case.kill(0);
}
