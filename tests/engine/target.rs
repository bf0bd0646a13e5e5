//! A bank that remembers: what was applied, under which key, how often. The books that every run is held against.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use mozhao::domain::request::fact::FailureClass;
use mozhao::engine::ports::remote::{Answer, BreakerSettings, Failure, Remote, RemoteCall};
use serde_json::{Value, json};

/// What a slot's next call meets, instead of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is done, and the answer gets lost.
    AppliedAndLost,
    /// It is not done, and nobody says so.
    Lost,
    /// The connection is refused.
    Refused,
}

#[derive(Default)]
struct Books {
    /// How often each effect stands: applied minus reversed.
    standing: BTreeMap<String, i32>,
    most: BTreeMap<String, i32>,
    keys: BTreeSet<String>,
    faults: BTreeMap<String, VecDeque<Fault>>,
}

#[derive(Default)]
pub(crate) struct Target {
    books: Mutex<Books>,
}

impl Target {
    pub(crate) fn new(faults: &[(&str, &[Fault])]) -> Arc<Target> {
        let target = Target::default();
        for (slot, list) in faults {
            target.books.lock().unwrap().faults.insert((*slot).to_owned(), list.iter().copied().collect());
        }
        Arc::new(target)
    }

    /// How often the effect stands.
    pub(crate) fn standing(&self, step: &str) -> i32 {
        self.books.lock().unwrap().standing.get(step).copied().unwrap_or(0)
    }

    /// How often it stood at most.
    pub(crate) fn most(&self, step: &str) -> i32 {
        self.books.lock().unwrap().most.get(step).copied().unwrap_or(0)
    }

    fn meet(&self, call: &RemoteCall) -> Result<Value, Failure> {
        let mut books = self.books.lock().unwrap();
        let slot = call.slot.to_string();
        let fault = books.faults.get_mut(&slot).and_then(VecDeque::pop_front);
        if fault == Some(Fault::Refused) {
            return Err(failure(FailureClass::Transient, "connect"));
        }
        if !call.effect {
            let there = |step: &str| json!({ "there": books.standing.get(step).copied().unwrap_or(0) > 0 });
            return match (fault, call.path.as_str()) {
                (Some(_), _) => Err(failure(FailureClass::Transient, "timeout")),
                (None, path) if path.starts_with("/funds/") => Ok(json!({ "ok": true })),
                (None, "/booked") => Ok(there("book")),
                (None, _) => Ok(there("tell")),
            };
        }
        let arrives = fault != Some(Fault::Lost);
        if arrives && call.key.as_ref().is_none_or(|key| books.keys.insert(key.clone())) {
            let (step, change) = slot.strip_prefix("undo.").map_or((slot.as_str(), 1), |step| (step, -1));
            let standing = books.standing.entry(step.to_owned()).or_default();
            *standing += change;
            let standing = *standing;
            let most = books.most.entry(step.to_owned()).or_default();
            *most = standing.max(*most);
        }
        match fault {
            Some(_) => Err(failure(FailureClass::Unknown, "timeout")),
            None => Ok(json!({})),
        }
    }
}

fn failure(class: FailureClass, code: &'static str) -> Failure {
    Failure { class, code, status: None, detail: "bank: as the test wants it".to_owned(), retry_after: None }
}

#[async_trait]
impl Remote for Target {
    async fn call(&self, call: &RemoteCall) -> Result<Answer, Failure> {
        self.meet(call).map(|body| Answer { status: 200, body: Bytes::from(body.to_string()), value: None })
    }

    fn timeout(&self, _connector: &str) -> Duration {
        Duration::from_secs(2)
    }

    fn key_window(&self, connector: &str) -> Option<Duration> {
        (connector == "bank").then(|| Duration::from_hours(24))
    }

    fn breaker(&self, _connector: &str) -> BreakerSettings {
        BreakerSettings { failures: u32::MAX, ..BreakerSettings::default() }
    }

    fn names(&self) -> Vec<String> {
        vec!["bank".to_owned(), "post_office".to_owned()]
    }
}
