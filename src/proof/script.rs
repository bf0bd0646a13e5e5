//! Remote systems that answer what a script says, slot by slot and attempt by attempt. What a failure means is decided
//! by the very table that the HTTP connectors use.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use super::clock::BEGINNING;
use crate::connectors::status::{Seen, StatusRules, classify};
use crate::domain::process::cases::{ConnectorSpec, Fail, Reply, Scripted};
use crate::domain::time::Time;
use crate::engine::ports::clock::Clock;
use crate::engine::ports::remote::{Answer, BreakerSettings, Failure, Remote, RemoteCall};

/// A call that was made.
#[derive(Debug, Clone)]
pub struct Made {
    /// When.
    pub at: Time,
    /// The call.
    pub call: RemoteCall,
}

/// Scripted remote systems.
pub struct Script {
    clock: Arc<dyn Clock>,
    connectors: BTreeMap<String, ConnectorSpec>,
    breakers: Mutex<BTreeMap<String, BreakerSettings>>,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    answers: BTreeMap<String, Vec<Scripted>>,
    used: BTreeMap<String, usize>,
    made: Vec<Made>,
    missing: BTreeSet<String>,
}

impl Script {
    /// Remote systems with these answers; connectors that have no spec behave as [`ConnectorSpec::default`].
    #[must_use]
    pub fn new(
        clock: Arc<dyn Clock>,
        names: &[String],
        specs: &BTreeMap<String, ConnectorSpec>,
        answers: BTreeMap<String, Vec<Scripted>>,
    ) -> Arc<Script> {
        let spec = |name: &String| (name.clone(), specs.get(name).cloned().unwrap_or_default());
        let connectors = names.iter().map(spec).collect();
        Arc::new(Script {
            clock,
            connectors,
            breakers: Mutex::default(),
            inner: Mutex::new(Inner { answers, ..Inner::default() }),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on the slot answers this.
    pub fn answer(&self, slot: &str, replies: Vec<Scripted>) {
        let mut inner = self.lock();
        inner.answers.insert(slot.to_owned(), replies);
        inner.used.remove(slot);
    }

    /// From now on the connector has a breaker; without this its breaker never opens: a process test is about the
    /// process, and one request's failures in a row say nothing about a dependency that serves thousands.
    pub fn breaker(&self, connector: &str, settings: BreakerSettings) {
        self.breakers.lock().unwrap_or_else(PoisonError::into_inner).insert(connector.to_owned(), settings);
    }

    /// Every call so far, in order.
    #[must_use]
    pub fn made(&self) -> Vec<Made> {
        self.lock().made.clone()
    }

    /// How often a slot was called.
    #[must_use]
    pub fn count(&self, slot: &str) -> u32 {
        let count = self.lock().made.iter().filter(|made| &*made.call.slot == slot).count();
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    /// Slots that were called and have no answer.
    #[must_use]
    pub fn missing(&self) -> Vec<String> {
        self.lock().missing.iter().cloned().collect()
    }

    fn next(&self, call: &RemoteCall) -> Option<Reply> {
        let mut inner = self.lock();
        inner.made.push(Made { at: self.clock.now(), call: call.clone() });
        let slot = call.slot.to_string();
        let length = self.clock.now().since(BEGINNING);
        let replies = inner.answers.get(&slot).map(Vec::as_slice).unwrap_or_default();
        let over = |scripted: &Scripted| scripted.until.is_some_and(|until| length >= until);
        let last = replies.len().saturating_sub(1);
        let mut at = inner.used.get(&slot).copied().unwrap_or(0).min(last);
        while at < last && replies.get(at).is_some_and(over) {
            at += 1;
        }
        let scripted = replies.get(at).cloned();
        let used = if scripted.as_ref().is_some_and(|scripted| scripted.until.is_some()) { at } else { at + 1 };
        inner.used.insert(slot.clone(), used);
        let reply = scripted.map(|scripted| scripted.reply);
        if reply.is_none() {
            inner.missing.insert(slot);
        }
        reply
    }

    fn spec(&self, connector: &str) -> ConnectorSpec {
        self.connectors.get(connector).cloned().unwrap_or_default()
    }
}

#[async_trait]
impl Remote for Script {
    async fn call(&self, call: &RemoteCall) -> Result<Answer, Failure> {
        let spec = self.spec(&call.connector);
        let rules = StatusRules { retry_on: spec.retry_on.clone(), safe_on: spec.safe_on.clone() };
        let to = Target { call, rules: &rules };
        let Some(reply) = self.next(call) else {
            return Err(to.fail(Seen::Body { status: 200 }, "no_answer", None, "the case has no answer for this call"));
        };
        match reply {
            Reply::Answer { status, body, retry_after, takes } => {
                if !takes.is_zero() {
                    self.clock.sleep(takes).await;
                }
                to.answer(status, body.map(|body| body.to_string()), retry_after)
            }
            Reply::Fail(Fail::Timeout) => {
                self.clock.sleep(call.timeout.unwrap_or(spec.timeout)).await;
                Err(to.fail(Seen::Broke, "timeout", None, "gave no answer in time"))
            }
            Reply::Fail(Fail::Refused) => Err(to.fail(Seen::NotSent, "connect", None, "could not be connected to")),
            Reply::Fail(Fail::Reset) => Err(to.fail(Seen::Broke, "reset", None, "broke off without an answer")),
            Reply::Fail(Fail::Garbage) => {
                Err(to.fail(Seen::Body { status: 200 }, "not_json", Some(200), "answered 200 with a body that is not JSON"))
            }
        }
    }

    fn timeout(&self, connector: &str) -> Duration {
        self.spec(connector).timeout
    }

    fn key_window(&self, connector: &str) -> Option<Duration> {
        self.spec(connector).keys
    }

    fn breaker(&self, connector: &str) -> BreakerSettings {
        let set = self.breakers.lock().unwrap_or_else(PoisonError::into_inner).get(connector).copied();
        set.unwrap_or(BreakerSettings { failures: u32::MAX, ..BreakerSettings::default() })
    }

    fn names(&self) -> Vec<String> {
        self.connectors.keys().cloned().collect()
    }
}

struct Target<'c> {
    call: &'c RemoteCall,
    rules: &'c StatusRules,
}

impl Target<'_> {
    fn answer(&self, status: u16, body: Option<String>, retry_after: Option<Duration>) -> Result<Answer, Failure> {
        if !self.call.accept.takes(status) {
            let seen = Seen::Status { status, asks_to_wait: retry_after.is_some() };
            let code = if (300..400).contains(&status) { "redirect" } else { "status" };
            let mut failure = self.fail(seen, code, Some(status), &format!("answered {status}"));
            failure.retry_after = retry_after;
            return Err(failure);
        }
        match body {
            Some(body) => Ok(Answer { status, body: Bytes::from(body), value: None }),
            None if self.call.effect || matches!(status, 204 | 205) || !(200..300).contains(&status) => {
                Ok(Answer { status, body: Bytes::new(), value: None })
            }
            None => Err(self.fail(Seen::Body { status }, "empty", Some(status), &format!("answered {status} without a body"))),
        }
    }

    fn fail(&self, seen: Seen, code: &'static str, status: Option<u16>, detail: &str) -> Failure {
        let class = classify(seen, self.call.effect, self.rules);
        Failure { class, code, status, detail: format!("{}: {detail}", self.call.connector), retry_after: None }
    }
}
