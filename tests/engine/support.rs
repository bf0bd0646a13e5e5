//! A world with scripted remote systems, and short words for what tests do in it.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use mozhao::domain::process::cases::{Fail, Reply, Scripted};
use mozhao::domain::process::{Known, parse};
use mozhao::domain::request::signal::{Decision, Signal};
use mozhao::domain::words::Choice;
use mozhao::engine::ports::store::{Sent, Store};
use mozhao::engine::processes::Processes;
use mozhao::proof::clock::{BEGINNING, VirtualClock, run};
use mozhao::proof::script::Script;
use mozhao::proof::world::{Parts, World};
use mozhao::store::memory::MemoryStore;
use serde_json::{Value, json};
use uuid::Uuid;

pub(crate) const TRANSFER: &str = include_str!("transfer.yaml");

/// A world and what it is made of.
pub(crate) struct Stage {
    pub(crate) world: World,
    pub(crate) script: Arc<Script>,
    pub(crate) clock: Arc<VirtualClock>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) processes: Arc<Processes>,
}

/// An answer.
pub(crate) fn says(body: Value) -> Scripted {
    Reply::Answer { status: 200, body: Some(body), retry_after: None, takes: Duration::ZERO }.into()
}

/// An answer that takes its time.
pub(crate) fn slowly(body: Value, seconds: u64) -> Scripted {
    Reply::Answer { status: 200, body: Some(body), retry_after: None, takes: Duration::from_secs(seconds) }.into()
}

pub(crate) fn fails(fail: Fail) -> Scripted {
    Reply::Fail(fail).into()
}

pub(crate) fn fails_until(fail: Fail, minutes: u64) -> Scripted {
    Scripted { reply: Reply::Fail(fail), until: Some(Duration::from_mins(minutes)) }
}

/// Answers under which a transfer is done at once.
pub(crate) fn good_answers() -> BTreeMap<String, Vec<Scripted>> {
    let ok = || vec![says(json!({}))];
    let there = || vec![says(json!({ "there": true }))];
    let mut answers: BTreeMap<String, Vec<Scripted>> =
        ["hold", "book", "tell", "undo.hold", "undo.book"].map(|slot| (slot.to_owned(), ok())).into();
    answers.insert("funds".to_owned(), vec![says(json!({ "ok": true }))]);
    answers.insert("done_when".to_owned(), there());
    answers.insert("reconcile.book".to_owned(), there());
    answers
}

/// Plays in a world of transfers whose remote systems answer well except for these slots.
pub(crate) fn play<T, F>(except: Vec<(&'static str, Vec<Scripted>)>, test: impl FnOnce(Stage) -> F + Send + 'static) -> T
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let clock = VirtualClock::new(11);
    let mut answers = good_answers();
    answers.extend(except.into_iter().map(|(slot, replies)| (slot.to_owned(), replies)));
    let names = ["bank", "post_office"].map(str::to_owned);
    let script = Script::new(clock.clone(), &names, &BTreeMap::new(), answers);
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new(clock.clone()));
    let processes = Arc::new(Processes::default());
    processes.add(parse("transfer.yaml", TRANSFER, &Known::default()).unwrap().process);
    let inside = clock.clone();
    let played = run(&clock, async move {
        let parts = Parts { clock: inside.clone(), store: store.clone(), remote: script.clone(), processes: processes.clone() };
        let world = World::begin(parts).await.unwrap();
        test(Stage { world, script, clock: inside, store, processes }).await
    });
    played.unwrap()
}

impl Stage {
    /// Takes a transfer of this customer in.
    pub(crate) async fn transfer(&mut self, customer: &str) -> Uuid {
        let submission = self.world.submission("transfer", &json!({ "customer": customer }));
        self.world.accept(&submission, true).await.unwrap()
    }

    /// Runs until so many seconds after the beginning.
    pub(crate) async fn at(&self, seconds: u64) {
        self.world.run_until(BEGINNING.plus(Duration::from_secs(seconds))).await.unwrap();
    }

    pub(crate) async fn state(&self, request: Uuid) -> String {
        self.world.row(request).await.unwrap().state
    }

    /// The kinds of a request's facts, in order.
    pub(crate) async fn words(&self, request: Uuid) -> Vec<&'static str> {
        self.world.facts(request).await.unwrap().iter().map(|(_, fact)| fact.word()).collect()
    }

    pub(crate) async fn withdraw(&self, request: Uuid) -> Uuid {
        self.send(request, &Signal::Withdraw { by: "customer".into(), note: None }).await
    }

    pub(crate) async fn resume(&self, request: Uuid, to_version: Option<u32>) -> Uuid {
        let group = self.world.row(request).await.unwrap().parked.expect("a parked request");
        self.send(request, &Signal::Resume { by: "operator".into(), group, to_version }).await
    }

    pub(crate) async fn send(&self, request: Uuid, signal: &Signal) -> Uuid {
        let (id, sent) = self.world.signal(request, signal).await.unwrap();
        assert_eq!(sent, Sent::Stored(id));
        id
    }

    /// What the signal's sender was told.
    pub(crate) async fn told(&self, signal: Uuid) -> String {
        self.store.signal_answer(signal).await.unwrap().expect("an answer")
    }

    /// The slots that were called, in order.
    pub(crate) fn calls(&self) -> Vec<String> {
        self.script.made().iter().map(|made| made.call.slot.to_string()).collect()
    }
}

pub(crate) fn decision(by: &str, choice: Choice) -> Decision {
    Decision {
        review: Uuid::nil(),
        choice,
        by: by.to_owned(),
        first_by: None,
        first_note: None,
        reason: None,
        note: String::new(),
        fields: BTreeMap::new(),
    }
}

/// A process whose two checks and whose effect name the card, and whose undo does, too.
pub(crate) const SWAP: &str = include_str!("swap.yaml");

impl Stage {
    /// Knows one more process.
    pub(crate) fn add(&self, source: &str) {
        self.processes.add(parse("more.yaml", source, &Known::default()).unwrap().process);
    }

    /// Takes a request of this process in.
    pub(crate) async fn submit(&mut self, process: &str, payload: &Value) -> Uuid {
        let submission = self.world.submission(process, payload);
        self.world.accept(&submission, true).await.unwrap()
    }

    /// The paths that a slot was called with, in order.
    pub(crate) fn paths(&self, slot: &str) -> Vec<String> {
        self.script.made().iter().filter(|made| &*made.call.slot == slot).map(|made| made.call.path.clone()).collect()
    }
}
