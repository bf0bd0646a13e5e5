//! The people around a run: customers who send, repeat themselves and take back; reviewers who decide, also twice, late and
//! against each other; operators who bring back what is parked.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use mozhao::domain::request::signal::{Decision, Signal};
use mozhao::domain::words::Choice;
use mozhao::engine::ports::broker::{DecisionSink, Incoming, ToolDecision};
use mozhao::engine::ports::clock::{Clock, within};
use mozhao::engine::ports::records::{RequestFilter, RequestRow, ReviewFilter, ReviewRow};
use mozhao::engine::ports::store::ReviewAct;
use mozhao::engine::service::{Acted, ResumeHow, Submission, Submitted, Told};
use serde_json::{Value, json};

use crate::answers::{self, Asked};
use crate::bank::{LATE, traceparent};
use crate::dice::Dice;
use crate::world::World;

/// How long anybody waits for an answer of a worker.
const PATIENCE: Duration = Duration::from_secs(20);
const OWN: [&str; 2] = ["transfer", "letter"];
const SHIPPED: [&str; 4] = ["card_unbind", "phone_change", "account_close", "name_correction"];
const REVIEWERS: [&str; 3] = ["li", "han", "mei"];

/// Sends one message until it is certain that it was taken, and perhaps takes it back.
pub(crate) async fn customer(world: Arc<World>, n: u64) {
    let dice = Dice::new(world.weather.seed, &format!("customer {n}"));
    world.clock.sleep(dice.millis(0, u64::try_from(world.weather.length.as_millis()).unwrap() * 3 / 4)).await;
    let process = *if world.weather.shipped && dice.chance(500) { dice.pick(&SHIPPED) } else { dice.pick(&OWN) };
    let customer = format!("C{}", dice.between(1, 3));
    let payload = answers::payload(process, &customer, n, &dice);
    world.bank.knows(n, Asked { process, customer, payload: payload.clone() });
    let over_http = dice.chance(500);
    world.trace.say(format!("m{n} is a {process}, {}", if over_http { "by HTTP" } else { "by queue" }));
    let mut repeats = if dice.chance(250) { dice.between(1, 3) } else { 0 };
    loop {
        let certain = if over_http {
            submit(&world, &dice, n, process, &payload).await
        } else {
            publish(&world, n, process, &payload).await
        };
        if certain {
            world.books.confirmed(n);
            if repeats == 0 {
                break;
            }
            repeats -= 1;
        }
        world.clock.sleep(dice.millis(200, 3_000)).await;
    }
    if over_http && dice.chance(80) {
        let other = answers::payload(process, "C9", n, &dice);
        conflict(&world, &dice, n, process, &other).await;
    }
    if dice.chance(world.weather.withdrawals) {
        world.clock.sleep(dice.millis(0, 30_000)).await;
        withdraw(&world, &dice, n).await;
    }
}

fn submission(n: u64, process: &str, payload: &Value) -> Submission {
    Submission {
        producer: "app".to_owned(),
        message: Some(format!("m{n}")),
        channel: "app".to_owned(),
        process: process.to_owned(),
        payload: bytes::Bytes::from(payload.to_string()).into(),
        reply_to: None,
        correlation: None,
        traceparent: Some(traceparent(n)),
    }
}

async fn submit(world: &World, dice: &Dice, n: u64, process: &str, payload: &Value) -> bool {
    let Some(engine) = world.engine(dice) else { return false };
    match within(world.clock.as_ref(), PATIENCE, engine.submit(submission(n, process, payload))).await {
        Some(Ok(Submitted::Accepted(id) | Submitted::Duplicate(id))) => {
            world.books.is_stored(n, id);
            true
        }
        Some(Ok(other)) => {
            world.trace.violation(format!("m{n} G1: a good message came to {other:?}"));
            true
        }
        Some(Err(_)) | None => false,
    }
}

async fn publish(world: &World, n: u64, process: &str, payload: &Value) -> bool {
    let message = Incoming {
        body: bytes::Bytes::from(payload.to_string()),
        routing_key: process.to_owned(),
        message_id: Some(format!("m{n}")),
        app_id: Some("app".to_owned()),
        user_id: Some("app".to_owned()),
        traceparent: Some(traceparent(n)),
        ..Incoming::default()
    };
    world.broker.publish(message).await
}

/// The same key with another body is refused, never taken.
async fn conflict(world: &World, dice: &Dice, n: u64, process: &str, payload: &Value) {
    let Some(engine) = world.engine(dice) else { return };
    match within(world.clock.as_ref(), PATIENCE, engine.submit(submission(n, process, payload))).await {
        Some(Ok(Submitted::Conflict(_))) => world.trace.say(format!("m{n} conflicts")),
        Some(Ok(other)) => world.trace.violation(format!("m{n} G1: the same key with another body came to {other:?}")),
        Some(Err(_)) | None => {}
    }
}

async fn withdraw(world: &World, dice: &Dice, n: u64) {
    let id = world.clock.id();
    loop {
        let Some(request) = world.books.request(n) else { return };
        if let Some(engine) = world.engine(dice) {
            let sent =
                engine.send(request, id, Signal::Withdraw { by: "customer".to_owned(), note: None }, Duration::from_secs(5));
            match within(world.clock.as_ref(), PATIENCE, sent).await {
                Some(Ok(Told::Answer(answer))) => {
                    world.trace.say(format!("m{n} withdrawal: {answer}"));
                    world.books.withdrawal(n, &answer);
                    return;
                }
                Some(Ok(Told::Ended(_))) => return,
                Some(Ok(Told::Pending) | Err(_)) | None => {}
            }
        }
        world.clock.sleep(dice.millis(500, 4_000)).await;
    }
}

/// Decides what is open, as long as the run lasts.
pub(crate) async fn reviewer(world: Arc<World>, me: usize) {
    let dice = Dice::new(world.weather.seed, &format!("reviewer {me}"));
    loop {
        world.clock.sleep(dice.millis(2_000, 7_000)).await;
        let open = world.store.reviews(&ReviewFilter::default(), None, 50).await.unwrap();
        if open.is_empty() {
            continue;
        }
        let row = dice.pick(&open).clone();
        let Some(decision) = decide(&world, &dice, &row, REVIEWERS[me]) else { continue };
        if dice.chance(100) && !world.weather.is_fair() {
            // Two at once, with other ideas.
            let other = decide(&world, &dice, &row, REVIEWERS[(me + 1) % REVIEWERS.len()]);
            if let Some(other) = other {
                let (world, row, seed) = (world.clone(), row.clone(), dice.next());
                tokio::spawn(async move { send(&world, &Dice::new(seed, "double"), &row, other).await });
            }
        }
        send(&world, &dice, &row, decision).await;
    }
}

/// What a careful person answers.
fn decide(world: &World, dice: &Dice, row: &ReviewRow, by: &str) -> Option<Decision> {
    let n = world.books.number(row.request)?;
    let fair = world.weather.is_fair();
    let asked = world.bank.asked(n)?;
    let process = world.processes.latest(&row.process)?;
    let choice = match row.name.as_str() {
        "unknown_effect" => {
            // Whoever looks too early may miss what is still on its way.
            if world.clock.now().since(row.opened_at) < LATE + Duration::from_secs(1) {
                return None;
            }
            let (step, undone) = row.slot.strip_prefix("undo.").map_or((row.slot.as_str(), false), |step| (step, true));
            let stands = world.bank.effect(n, step).standing > 0;
            if stands != undone {
                Choice::Applied
            } else if dice.chance(300) {
                Choice::Retry
            } else {
                Choice::NotApplied
            }
        }
        "undo_failed" if dice.chance(300) && !fair => Choice::Retry,
        "undo_failed" => {
            world.bank.undo_by_hand(n, row.slot.strip_prefix("undo.").unwrap_or(&row.slot));
            Choice::Applied
        }
        _ => {
            let bold = [Choice::Refuse, Choice::Retry, Choice::AskCustomer, Choice::Amend];
            let calm = [Choice::Approve, Choice::Retry];
            let bold: Vec<Choice> = bold.into_iter().filter(|choice| row.options.contains(choice)).collect();
            if !fair && dice.chance(300) && !bold.is_empty() {
                *dice.pick(&bold)
            } else {
                calm.into_iter().find(|choice| row.options.contains(choice))?
            }
        }
    };
    let reasons: Vec<&String> = process.reasons.keys().collect();
    Some(Decision {
        review: row.id,
        choice,
        by: by.to_owned(),
        first_by: None,
        first_note: None,
        reason: if choice == Choice::Refuse { Some((*reasons.first()?).clone()) } else { None },
        note: "as I see it".to_owned(),
        fields: if choice == Choice::Amend { amendment(&asked) } else { BTreeMap::new() },
    })
}

fn amendment(asked: &Asked) -> BTreeMap<String, Value> {
    let (name, value) = match asked.process {
        "transfer" | "letter" => ("amount", json!(50)),
        "card_unbind" => ("selfie", json!("https://pictures.example/CANARY-other.jpg")),
        "account_close" => ("comment", json!("yes")),
        "phone_change" => ("old_phone", asked.payload["old_phone"].clone()),
        _ => ("ground", json!("other")),
    };
    BTreeMap::from([(name.to_owned(), value)])
}

async fn send(world: &World, dice: &Dice, row: &ReviewRow, decision: Decision) {
    let Some(engine) = world.engine(dice) else { return };
    let n = world.books.number(row.request).unwrap_or_default();
    let stale = dice.chance(60) && !world.weather.is_fair();
    let version = if stale { row.version + 100 } else { row.version };
    let said = format!("m{n} {} decides {} of {}: {:?}", decision.by, row.name, row.slot, decision.choice);
    if dice.chance(250) {
        let tool = ToolDecision {
            tool: "desk".to_owned(),
            reviewer: decision.by,
            review: row.id,
            version,
            choice: decision.choice,
            reason: decision.reason,
            note: decision.note,
            fields: decision.fields,
            nonce: world.clock.id().to_string(),
            at: world.clock.now(),
        };
        let taken = within(world.clock.as_ref(), PATIENCE, engine.decide(tool)).await;
        world.trace.say(format!("{said} by tool: {taken:?}"));
        return;
    }
    if dice.chance(150) {
        let until = world.clock.now().plus(Duration::from_secs(8));
        let claim = ReviewAct::Claim { by: decision.by.clone(), until, steal: dice.chance(300) };
        let _ = within(world.clock.as_ref(), PATIENCE, engine.review_act(row, claim, world.clock.id(), Duration::ZERO)).await;
    }
    let id = world.clock.id();
    for _ in 0..if dice.chance(100) { 2 } else { 1 } {
        let act = ReviewAct::Decide { version, decision: decision.clone() };
        let result = within(world.clock.as_ref(), PATIENCE, engine.review_act(row, act, id, Duration::from_secs(4))).await;
        let short = match &result {
            Some(Ok(answer)) => format!("{:?}", answer.came),
            Some(Err(error)) => error.to_string(),
            None => "no answer".to_owned(),
        };
        if stale && matches!(&result, Some(Ok(answer)) if !matches!(answer.came, Acted::Stale | Acted::Taken { .. })) {
            world.trace.violation(format!("m{n} a decision about another version than the open one was taken"));
        }
        world.trace.say(format!("{said}: {short}"));
    }
}

/// Brings back what is parked under defects, and plays with the breakers.
pub(crate) async fn operator(world: Arc<World>) {
    let dice = Dice::new(world.weather.seed, "operator");
    loop {
        world.clock.sleep(dice.millis(3_000, 9_000)).await;
        let Some(engine) = world.engine(&dice) else { continue };
        let groups: Vec<String> =
            world.store.balance().await.unwrap().places.into_iter().filter_map(|counted| counted.parked).collect();
        for group in groups.into_iter().filter(|group| group.starts_with("defect:")) {
            let to_version = (world.has_second_version() && dice.chance(500)).then_some(2);
            let how = ResumeHow { by: "operator".to_owned(), rate: Some(20), to_version };
            let result = within(world.clock.as_ref(), PATIENCE, engine.resume_group(&group, how.clone())).await;
            if let Some(Err(mozhao::engine::service::EngineError::Invalid(_))) = result {
                let how = ResumeHow { to_version: None, ..how };
                let _ = within(world.clock.as_ref(), PATIENCE, engine.resume_group(&group, how)).await;
            }
            world.trace.say(format!("operator resumes {group}"));
        }
        if dice.chance(40) && !world.weather.is_fair() {
            let dependency = *dice.pick(&["bank", "registry", "post"]);
            world.trace.say(format!("operator trips {dependency}"));
            let _ = within(world.clock.as_ref(), PATIENCE, engine.trip(dependency, "operator", "to see")).await;
        } else if dice.chance(150) || world.weather.is_fair() {
            for dependency in ["bank", "registry", "post"] {
                let control = within(world.clock.as_ref(), PATIENCE, engine.control(&format!("dependency:{dependency}"))).await;
                let tripped = matches!(&control, Some(Ok(Some(row))) if row.state == "open" && row.probe_at.is_none());
                if tripped {
                    let _ = within(world.clock.as_ref(), PATIENCE, engine.reset(dependency, "operator", "seen")).await;
                }
            }
        }
    }
}

/// Those who call back, and customers who are asked.
pub(crate) async fn outside(world: Arc<World>) {
    let dice = Dice::new(world.weather.seed, "outside");
    loop {
        world.clock.sleep(dice.millis(2_000, 8_000)).await;
        let filter = RequestFilter { states: vec!["waiting".to_owned(), "running".to_owned()], ..RequestFilter::default() };
        let rows = world.store.requests(&filter, None, 100).await.unwrap();
        for row in rows {
            if !world.weather.is_fair() && !dice.chance(400) {
                continue;
            }
            let Some((n, signal)) = answer(&world, &dice, &row) else { continue };
            let Some(engine) = world.engine(&dice) else { continue };
            let id = world.clock.id();
            for _ in 0..if dice.chance(100) { 2 } else { 1 } {
                let told = within(world.clock.as_ref(), PATIENCE, engine.send(row.id, id, signal.clone(), Duration::ZERO)).await;
                world.trace.say(format!(
                    "m{n} outside sends {}: {told:?}",
                    if matches!(signal, Signal::Supplement { .. }) { "a supplement" } else { "a callback" }
                ));
            }
        }
    }
}

fn answer(world: &World, dice: &Dice, row: &RequestRow) -> Option<(u64, Signal)> {
    let n = world.books.number(row.id)?;
    let asked = world.bank.asked(n)?;
    if row.state == "waiting" && row.reason.is_some() {
        return Some((n, Signal::Supplement { fields: amendment(&asked), by: "customer".to_owned() }));
    }
    let (name, mut body) = answers::callback(asked.process)?;
    let reached = matches!(row.step.as_deref(), Some("receipt" | "sms_code"));
    let early = || dice.chance(50) && !world.weather.is_fair();
    if !reached && !early() {
        return None;
    }
    if dice.chance(world.weather.answers) && !world.weather.is_fair() {
        body = dice.pick(&[json!({}), json!({ "broken": true }), json!({ "code": "x" }), json!([1])]).clone();
    }
    Some((n, Signal::Callback { name: name.to_owned(), body }))
}
