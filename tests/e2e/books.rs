//! The books: what must be true after any fault, once everything is at rest (G1 to G12 of the promises).
//!
//! Three witnesses that know nothing of each other are compared: the database, the sandbox's ledger of what really
//! happened at the targets, and a queue that heard every event. Everything that is wrong is collected first: one lost
//! request and two thousand are different bugs.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use mozhao::domain::request::fact::Ending;
use mozhao::engine::ports::balance::Balance;
use mozhao::engine::ports::records::Event;
use mozhao::engine::ports::store::Store;
use uuid::Uuid;

use super::bank::{ID_NUMBER, NAME, PHONE, SELFIE};
use super::broker::{self, Message, Sink};
use super::ledgers::{Expected, Ledger, asks_for_effect, digest};
use super::world::{Worker, World};
use super::{evidence, readers, witness};
use crate::harness::wait;

/// How long it may take until everything is at rest, where nothing else is said.
const REST: Duration = Duration::from_mins(1);
/// How late a due request may be noticed.
const LATE: Duration = Duration::from_secs(5);
/// How long events may be on their way to whoever listens.
const HEARD: Duration = Duration::from_mins(2);

/// What the case knows.
#[derive(Default)]
pub struct Expect<'a> {
    /// Every valid message whose publish was confirmed.
    pub sent: &'a [Message],
    /// Exactly so many requests have ended.
    pub ended: usize,
    /// Workers that live.
    pub workers: &'a [&'a Worker],
    /// Logs of workers that do not.
    pub logs: Vec<String>,
    /// More values that must be nowhere.
    pub secrets: Vec<String>,
    /// Exactly so many messages were no requests, and are recorded as such.
    pub rejected: usize,
    /// How long it may take until everything is at rest.
    pub deadline: Option<Duration>,
}

/// What the books hold.
#[derive(Debug)]
pub struct Books {
    pub ledgers: Vec<Ledger>,
    pub events: Vec<Event>,
    /// As [`witness::steps`]; empty where there is no such witness.
    steps: HashMap<Uuid, Vec<(u64, i64)>>,
}

impl Books {
    /// The request of this key.
    pub fn of(&self, message: &Message) -> &Ledger {
        let key = message.key();
        let found = self.ledgers.iter().find(|ledger| ledger.row.producer == key.0 && ledger.row.message == key.1);
        found.expect("a request of this message")
    }
}

/// Waits for rest, reads everything and compares.
pub async fn check(world: &mut World, expect: Expect<'_>) -> Books {
    let begun = Instant::now();
    rest(world, &expect).await;
    let rested = begun.elapsed();
    let mut wrong = Vec::new();
    let store = world.store.clone();
    let ids: Vec<Uuid> = world.requests().await.into_iter().map(|row| row.id).collect();
    let mut ledgers = Vec::with_capacity(ids.len());
    let mut reads = futures_util::stream::iter(ids).map(|id| Ledger::read(store.as_ref(), id)).buffer_unordered(8);
    while let Some(read) = reads.next().await {
        read.map_or_else(|error| wrong.push(error), |ledger| ledgers.push(ledger));
    }
    drop(reads);
    ledgers.sort_by_key(|ledger| ledger.row.id);
    let steps = if world.is_embedded() { HashMap::new() } else { witness::steps(&world.database).await };
    let books = Books { ledgers, events: all_events(store.as_ref()).await, steps };
    books.one_request_per_message(world, &expect, &mut wrong);
    books.callers_are_told_the_truth(world, &expect, &mut wrong).await;
    books.nobody_is_forgotten(world, &mut wrong).await;
    books.targets_agree(world, &mut wrong);
    books.lanes_are_in_order(&mut wrong);
    books.events_tell_the_ledger(&mut wrong);
    books.sink_heard_everything(world, expect.deadline.unwrap_or(HEARD), &mut wrong).await;
    books.nothing_sensitive_leaks(world, &expect, &mut wrong).await;
    books.balance_holds(world, &expect, &mut wrong).await;
    if !world.is_embedded() {
        wrong.extend(witness::breaches(&world.database).await.into_iter().map(|breach| format!("G5 {breach}")));
    }
    println!(
        "{} requests at rest after {rested:?}, checked in {:?}",
        books.ledgers.len(),
        begun.elapsed().saturating_sub(rested)
    );
    let first: Vec<&str> = wrong.iter().take(20).map(String::as_str).collect();
    assert!(wrong.is_empty(), "{} things are wrong in the books:\n{}", wrong.len(), first.join("\n"));
    world.record.found_right(books.ledgers.len());
    books
}

/// Everything was taken in, has come to rest, and was told.
async fn rest(world: &World, expect: &Expect<'_>) {
    let deadline = expect.deadline.unwrap_or(REST);
    let (accepted, ended) = ((expect.sent.len() + world.posted.len()) as u64, expect.ended as u64);
    let broker = world.amqp.is_some();
    let rejected = expect.rejected as u64;
    come_to(world, expect, "every message is taken in (G1)", |balance| balance.accepted >= accepted).await;
    come_to(world, expect, "what is no request is recorded (G1)", |balance| balance.rejected >= rejected).await;
    come_to(world, expect, "the requests end (G2)", |balance| balance.ended() >= ended && balance.running == 0).await;
    come_to(world, expect, "the outbox drains (G7)", |balance| !broker || balance.unpublished == 0).await;
    if let Some(amqp) = &world.amqp {
        let queue = format!("{}.requests", world.prefix);
        wait::until("the queue of requests to be empty", deadline, || async { broker::depth(amqp, &queue).await == Some(0) })
            .await;
    }
    for worker in expect.workers {
        super::rest::reached(world, worker, deadline).await;
    }
}

/// Waits for a balance; where it does not come, says what is certainly wrong.
async fn come_to(world: &World, expect: &Expect<'_>, what: &str, wanted: impl Fn(&Balance) -> bool) {
    let (begun, deadline) = (Instant::now(), expect.deadline.unwrap_or(REST));
    // Beyond that time nobody waits: this is what ends it.
    wait::until(what, deadline * 2, || async {
        let found = world.balance().await;
        if found.as_ref().is_some_and(&wanted) {
            return true;
        }
        if begun.elapsed() > deadline {
            let certain = evidence::of(world, expect).await;
            panic!("waited {deadline:?} in vain: {what}; {found:?}\n{certain}");
        }
        false
    })
    .await;
}

async fn metrics(worker: &Worker) -> String {
    super::client::Client::new(worker.port, "").text("/metrics").await
}

async fn all_events(store: &dyn Store) -> Vec<Event> {
    let mut events: Vec<Event> = Vec::new();
    loop {
        let page = store.events(events.last().map(|event| event.id), 1_000).await.unwrap();
        if page.is_empty() {
            return events;
        }
        events.extend(page);
    }
}

impl Books {
    /// G1: each message and each submission over HTTP has one request, of its process and with its payload, and nobody else has one.
    fn one_request_per_message(&self, world: &World, expect: &Expect<'_>, wrong: &mut Vec<String>) {
        let mut found: HashMap<(String, String), usize> = HashMap::new();
        for ledger in &self.ledgers {
            *found.entry((ledger.row.producer.clone(), ledger.row.message.clone())).or_default() += 1;
        }
        wrong
            .extend(found.iter().filter(|(_, count)| **count > 1).map(|(key, count)| format!("G1 {key:?} has {count} requests")));
        let posted = world.posted.all();
        let mut wanted = HashMap::new();
        for message in expect.sent {
            wanted.insert(message.key(), (message.process.as_str(), None, message.body.clone()));
        }
        for (key, (id, process, payload)) in &posted {
            wanted.insert(key.clone(), (process, Some(id.as_str()), payload.to_string().into_bytes()));
        }
        wrong.extend(wanted.keys().filter(|key| !found.contains_key(*key)).map(|key| format!("G1 {key:?} has no request")));
        for ledger in &self.ledgers {
            let row = &ledger.row;
            let key = (row.producer.clone(), row.message.clone());
            let Some((process, id, body)) = wanted.get(&key) else {
                wrong.push(format!("G1 {} is {key:?}, which nobody sent", row.id));
                continue;
            };
            if row.process != *process || id.is_some_and(|id| id != row.id.to_string()) {
                wrong
                    .push(format!("G1 {key:?} was sent as {process} and answered with {id:?}; it is {} {}", row.process, row.id));
            }
            if ledger.payload_sha256() != digest(body) {
                wrong.push(format!("G1 {key:?} was accepted with another payload than it was sent with"));
            }
        }
    }

    /// Who has submitted over HTTP is told of each request by its id: the same key, and where it stands.
    async fn callers_are_told_the_truth(&self, world: &World, expect: &Expect<'_>, wrong: &mut Vec<String>) {
        let posted = world.posted.all();
        let (Some(worker), false) = (expect.workers.first(), posted.is_empty()) else { return };
        let caller = world.client(worker, "caller").await;
        for (key, (id, ..)) in posted {
            let (status, told) = caller.get(&format!("/v1/requests/{id}")).await;
            let (producer, message) = (told["producer"].as_str(), told["message"].as_str());
            let Some(ledger) = self.ledgers.iter().find(|ledger| ledger.row.id.to_string() == id) else { continue };
            let outcome = ledger.ending().map(Ending::outcome);
            let right = (producer, message) == (Some(&key.0), Some(&key.1))
                && told["state"].as_str() == Some(&ledger.row.state)
                && told["outcome"].as_str() == outcome;
            if status != 200 || !right {
                wrong.push(format!("G1 {key:?} was answered with {id}; told of it: {status} {told}; it ended as {outcome:?}"));
            }
        }
    }

    /// G2.
    async fn nobody_is_forgotten(&self, world: &World, wrong: &mut Vec<String>) {
        let now = world.store.now().await.unwrap();
        let living: HashSet<Uuid> = world.store.workers().await.unwrap().iter().map(|row| row.id).collect();
        for Ledger { row, .. } in self.ledgers.iter().filter(|ledger| ledger.row.ended_at.is_none()) {
            let kept = match (row.owner, row.wake_at) {
                (Some(owner), _) => living.contains(&owner),
                (None, Some(at)) => at.plus(LATE) >= now,
                (None, None) => false,
            };
            let named = match row.state.as_str() {
                "parked" => row.parked.is_some(),
                "in_review" => row.review.is_some(),
                _ => true,
            };
            if !kept || !named {
                wrong.push(format!("G2 {} is nobody's: {row:?}", row.id));
            }
        }
    }

    /// G3 and G4: what the ledgers say happened, happened so often; nothing else did; nothing was asked for without an intent.
    fn targets_agree(&self, world: &World, wrong: &mut Vec<String>) {
        let mut expected = Expected::default();
        for ledger in &self.ledgers {
            ledger.expect(&mut expected, wrong);
        }
        let mut found: BTreeMap<(String, String), u32> = BTreeMap::new();
        for (effect, object, times) in world.bank.effects(1) {
            found.insert((effect, object), times);
        }
        for (key, times) in &found {
            let (least, most) = expected.effects.get(key).copied().unwrap_or_default();
            if !(least..=most).contains(times) {
                wrong.push(format!("G3 {key:?} was applied {times} times; the ledgers say {least} to {most}"));
            }
        }
        for (key, (least, _)) in expected.effects.iter().filter(|(key, (least, _))| *least > 0 && !found.contains_key(*key)) {
            wrong.push(format!("G3 {key:?} never happened; the ledgers say {least}"));
        }
        let mut calls: HashMap<String, usize> = HashMap::new();
        for call in world.bank.calls(|call| call.method != "GET" && asks_for_effect(&call.path)) {
            *calls.entry(call.path).or_default() += 1;
        }
        for (path, count) in calls {
            let intents = expected.calls.get(&path).copied().unwrap_or(0);
            if count > intents {
                wrong.push(format!("G4 {path} was called {count} times, on {intents} intents"));
            }
        }
    }

    /// G6.
    fn lanes_are_in_order(&self, wrong: &mut Vec<String>) {
        let mut lanes: BTreeMap<&str, BTreeMap<u64, &Ledger>> = BTreeMap::new();
        for ledger in &self.ledgers {
            let (Some(lane), Some(number)) = (&ledger.row.lane, ledger.row.lane_no) else { continue };
            if lanes.entry(lane).or_default().insert(number, ledger).is_some() {
                wrong.push(format!("G6 the lane {lane} has two numbers {number}"));
            }
        }
        for members in lanes.into_values() {
            // Who ended without having started (withdrawn, expired, over the limit) holds nobody up.
            let span = |ledger: &Ledger| ledger.span(self.steps.get(&ledger.row.id));
            let started: Vec<_> = members.values().filter(|ledger| span(ledger).0.is_some()).collect();
            for pair in started.windows(2) {
                let (before, after) = (span(pair[0]).1, span(pair[1]).0);
                if before.is_none() || before > after {
                    wrong.push(format!("G6 {} ran before {} had ended", pair[1].row.id, pair[0].row.id));
                }
            }
        }
    }

    /// Every event tells of an entry of its own (but for cancelled reviews); each end is told once, and last.
    fn events_tell_the_ledger(&self, wrong: &mut Vec<String>) {
        let mut told: HashMap<Uuid, Vec<(u64, &str)>> = HashMap::new();
        for event in &self.events {
            if let Some(request) = event.request {
                told.entry(request).or_default().push((event.seq, &event.topic));
            }
        }
        for ledger in &self.ledgers {
            let row = &ledger.row;
            let mut topics = told.remove(&row.id).unwrap_or_default();
            topics.sort_unstable();
            // An end with an open review is told twice: as the request's end, and to those who would have been asked.
            let own: Vec<_> = topics.iter().filter(|(_, topic)| !topic.ends_with(".cancelled")).collect();
            if !own.is_sorted_by(|a, b| a.0 < b.0) || topics.last().is_some_and(|(seq, _)| *seq > row.seq) {
                wrong.push(format!("G7 {}: events with the seqs {topics:?}, the ledger has {}", row.id, row.seq));
            }
            let topic = |word: &str| format!("request.{}.{word}", row.process);
            if topics.first().is_none_or(|first| *first != (1, &topic("accepted"))) {
                wrong.push(format!("G7 {}: its acceptance was not told first: {topics:?}", row.id));
            }
            let outcomes = ["done", "refused", "withdrawn", "expired"].map(topic);
            let ends: Vec<_> = topics.iter().filter(|(_, topic)| outcomes.iter().any(|known| known == topic)).collect();
            let right = match ledger.ending() {
                Some(ending) => ends.len() == 1 && *ends[0] == (row.seq, &topic(ending.outcome())),
                None => ends.is_empty(),
            };
            if !right || ledger.ending().map(Ending::outcome) != row.ended_at.map(|_| row.state.as_str()) {
                wrong.push(format!("G7 {} is {}; told: {topics:?}", row.id, row.state));
            }
        }
        wrong.extend(told.keys().map(|request| format!("G7 events tell of {request}, which is no request")));
    }

    /// G7.
    async fn sink_heard_everything(&self, world: &mut World, deadline: Duration, wrong: &mut Vec<String>) {
        let Some(sink) = &mut world.sink else { return };
        // Asked after each arrival: it goes on where it had stopped.
        let heard = Cell::new(0);
        let all = |sink: &Sink| {
            let more = self.events[heard.get()..].iter().take_while(|event| sink.by_id(&event.id.to_string()).is_some());
            heard.set(heard.get() + more.count());
            heard.get() == self.events.len()
        };
        if !sink.read_within(deadline, all).await {
            let missing = self.events.iter().filter(|event| sink.by_id(&event.id.to_string()).is_none());
            wrong.extend(missing.map(|event| format!("G7 {} of {:?} was marked and never heard", event.topic, event.request)));
        }
        let known: HashMap<String, &Event> = self.events.iter().map(|event| (event.id.to_string(), event)).collect();
        for seen in &sink.seen {
            match known.get(seen.event["id"].as_str().unwrap_or_default()) {
                Some(event) if *event.body == *seen.raw && event.topic == seen.topic => {}
                _ => wrong.push(format!("G7 an event that the outbox does not have: {}", seen.event)),
            }
        }
    }

    /// G9.
    async fn nothing_sensitive_leaks(&self, world: &World, expect: &Expect<'_>, wrong: &mut Vec<String>) {
        let mut places: Vec<(String, String)> = Vec::new();
        if let Some(worker) = expect.workers.first() {
            places.extend(readers::all(world, worker, &self.ledgers).await);
        }
        for worker in expect.workers {
            places.push(("the metrics".into(), metrics(worker).await));
            places.push(("a worker's log".into(), worker.process.logs()));
            places.push(("a worker's output".into(), worker.process.stdout()));
        }
        places.extend(expect.logs.iter().map(|log| ("a dead worker's log".to_owned(), log.clone())));
        let events: Vec<String> = self.events.iter().map(|event| String::from_utf8_lossy(&event.body).into_owned()).collect();
        places.push(("the events".into(), events.join("\n")));
        let entries: Vec<&str> = self.ledgers.iter().map(|ledger| ledger.text.as_str()).collect();
        places.push(("the ledgers".into(), entries.join("\n")));
        let secrets: Vec<&str> =
            [ID_NUMBER, SELFIE, NAME, PHONE].into_iter().chain(expect.secrets.iter().map(String::as_str)).collect();
        for (place, text) in &places {
            for secret in found_in(text, &secrets) {
                let line = text.lines().find(|line| line.contains(secret)).unwrap_or_default();
                wrong.push(format!("G9 {secret} stands in {place}: {line}"));
            }
        }
    }

    /// G11, G12.
    async fn balance_holds(&self, world: &World, expect: &Expect<'_>, wrong: &mut Vec<String>) {
        let balance = world.balance().await.unwrap();
        let count = |state: &str| self.ledgers.iter().filter(|ledger| ledger.row.state == state).count() as u64;
        let counters = [balance.done, balance.refused, balance.withdrawn, balance.expired];
        let rows = ["done", "refused", "withdrawn", "expired"].map(count);
        if !balance.holds() || counters != rows || balance.accepted != self.ledgers.len() as u64 || balance.overdue != 0 {
            wrong.push(format!("G11 {balance:?}; ended rows {rows:?} of {}", self.ledgers.len()));
        }
        if balance.rejected != expect.rejected as u64 {
            wrong.push(format!("G1 {} messages were rejected, not {}", balance.rejected, expect.rejected));
        }
        if balance.ended() != expect.ended as u64 {
            wrong.push(format!("G12 {} requests ended, not {}", balance.ended(), expect.ended));
        }
    }
}

/// Which of many values stand in a long text: one pass for each length that they have.
fn found_in<'s>(text: &str, secrets: &[&'s str]) -> BTreeSet<&'s str> {
    let mut lengths: BTreeMap<usize, HashMap<&[u8], &'s str>> = BTreeMap::new();
    for secret in secrets {
        lengths.entry(secret.len()).or_default().insert(secret.as_bytes(), secret);
    }
    let mut found = BTreeSet::new();
    for (length, secrets) in lengths {
        let mut begins = [false; 256];
        for secret in secrets.keys() {
            begins[usize::from(secret[0])] = true;
        }
        for part in text.as_bytes().windows(length).filter(|part| begins[usize::from(part[0])]) {
            found.extend(secrets.get(part));
        }
    }
    found
}

#[test]
fn leaks_are_found() {
    let text = format!("a log line about {ID_NUMBER}, and {}", &SELFIE[..SELFIE.len() - 1]);
    assert_eq!(found_in(&text, &[SELFIE, ID_NUMBER, "110105194912310021"]), BTreeSet::from([ID_NUMBER]));
}
