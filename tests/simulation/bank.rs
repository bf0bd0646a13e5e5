//! The remote systems: every kind of target, every kind of trouble, and the books of what really happened there.
//!
//! What a call does there goes on without its caller: it may be applied after the caller has given up or died. A target that
//! recognises keys does so for as long as it says; one that can only be read has everything applied by the settle time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use mozhao::connectors::status::{Seen, StatusRules, classify};
use mozhao::domain::request::fact::FailureClass;
use mozhao::domain::time::Time;
use mozhao::engine::ports::clock::{Clock, within};
use mozhao::engine::ports::remote::{Answer, BreakerSettings, Failure, Remote, RemoteCall};
use mozhao::proof::clock::VirtualClock;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::sync::oneshot;

use crate::answers::{self, Asked, Mood};
use crate::books::Books;
use crate::dice::Dice;
use crate::life::Life;
use crate::trace::Trace;
use crate::weather::Weather;

/// The connectors, and for how long each recognises a key.
pub(crate) const CONNECTORS: [(&str, Option<Duration>); 8] = [
    ("bank", Some(Duration::from_secs(20))),
    ("registry", None),
    ("post", None),
    ("core_banking", Some(Duration::from_hours(24))),
    ("face", None),
    ("sms", Some(Duration::from_hours(24))),
    ("hr", Some(Duration::from_hours(24))),
    ("directory", None),
];
const TIMEOUT: Duration = Duration::from_secs(2);
/// The latest that an effect takes place after its call has given up; below every settle time.
pub(crate) const LATE: Duration = Duration::from_secs(4);

/// How a connector is down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outage {
    Refuses,
    Swallows,
}

/// What really happened with an effect.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Effect {
    /// Applied minus undone.
    pub(crate) standing: i32,
    pub(crate) most: i32,
    pub(crate) least: i32,
}

#[derive(Default)]
struct Inner {
    asked: BTreeMap<u64, Asked>,
    effects: BTreeMap<(u64, String), Effect>,
    /// Calls of an effect's slot (undo or not) that were sent, less those whose caller knows that they came to nothing.
    open_calls: BTreeMap<(u64, String), i64>,
    sent: BTreeMap<(u64, String), u32>,
    keys: BTreeMap<String, Time>,
    /// The keys of effects that were declined: whoever recognises a key gives it one answer.
    declined: BTreeSet<String>,
    /// The digests of the answers that keep the contract.
    good: BTreeSet<(u64, String, String)>,
    outages: BTreeMap<String, Outage>,
    broken: BTreeSet<String>,
}

pub(crate) struct Bank {
    pub(crate) clock: Arc<VirtualClock>,
    pub(crate) weather: Arc<Weather>,
    pub(crate) trace: Arc<Trace>,
    pub(crate) dice: Dice,
    inner: Mutex<Inner>,
}

/// What happens to one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    None,
    Slow,
    Refused,
    LostRequest,
    LostReply,
    Late,
    /// An answer with this status; an effect has taken place or not.
    Status(u16, bool),
    Garbage(bool),
}

impl Bank {
    pub(crate) fn new(clock: Arc<VirtualClock>, weather: Arc<Weather>, trace: Arc<Trace>) -> Arc<Bank> {
        let dice = Dice::new(weather.seed, "bank");
        Arc::new(Bank { clock, weather, trace, dice, inner: Mutex::default() })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn knows(&self, n: u64, asked: Asked) {
        self.lock().asked.insert(n, asked);
    }

    pub(crate) fn asked(&self, n: u64) -> Option<Asked> {
        self.lock().asked.get(&n).cloned()
    }

    pub(crate) fn effect(&self, n: u64, step: &str) -> Effect {
        self.lock().effects.get(&(n, step.to_owned())).copied().unwrap_or_default()
    }

    /// A person reverses an effect that we cannot.
    pub(crate) fn undo_by_hand(&self, n: u64, step: &str) {
        let mut inner = self.lock();
        let effect = inner.effects.entry((n, step.to_owned())).or_default();
        if effect.standing > 0 {
            effect.standing -= 1;
            drop(inner);
            self.trace.say(format!("m{n} {step} is undone by hand"));
        }
    }

    pub(crate) fn open_calls(&self, n: u64, slot: &str) -> i64 {
        self.lock().open_calls.get(&(n, slot.to_owned())).copied().unwrap_or_default()
    }

    pub(crate) fn gave(&self, n: u64, slot: &str, sha256: &str) -> bool {
        self.lock().good.contains(&(n, slot.to_owned(), sha256.to_owned()))
    }

    pub(crate) fn outage(&self, connector: &str, outage: Option<Outage>) {
        let mut inner = self.lock();
        match outage {
            Some(outage) => inner.outages.insert(connector.to_owned(), outage),
            None => inner.outages.remove(connector),
        };
    }

    /// From now on (or no more) this slot's answers break their contract.
    pub(crate) fn breaks(&self, slot: &str, broken: bool) {
        let mut inner = self.lock();
        if broken {
            inner.broken.insert(slot.to_owned());
        } else {
            inner.broken.remove(slot);
        }
    }

    pub(crate) fn keeps_contract(&self, slot: &str) -> bool {
        !self.lock().broken.contains(slot)
    }

    fn trouble(&self, call: &RemoteCall) -> Trouble {
        let down = self.lock().outages.get(&*call.connector).copied();
        match down {
            Some(Outage::Refuses) => return Trouble::Refused,
            Some(Outage::Swallows) => return Trouble::LostRequest,
            None => {}
        }
        if !self.weather.strikes(&self.dice, self.weather.remote) {
            return Trouble::None;
        }
        let applied = self.dice.chance(500);
        match self.dice.below(12) {
            0 | 1 => Trouble::Slow,
            2 | 3 => Trouble::Refused,
            4 => Trouble::LostRequest,
            5 | 6 => Trouble::LostReply,
            7 if &*call.connector != "bank" => Trouble::Late,
            7 => Trouble::LostReply,
            8 => match *self.dice.pick(&[500, 502, 503, 409, 302]) {
                // What the process was told to read as a refusal is one.
                status if answers::declines_with(&call.slot, status) => Trouble::Status(500, applied),
                status => Trouble::Status(status, applied),
            },
            9 => Trouble::Status(429, false),
            10 if self.dice.chance(300) => Trouble::Status(422, false),
            10 => Trouble::Status(500, applied),
            _ => Trouble::Garbage(applied),
        }
    }

    fn mood(&self, slot: &str) -> Mood {
        if !self.keeps_contract(slot) {
            return Mood::Nonsense;
        }
        if !self.weather.strikes(&self.dice, self.weather.answers) {
            return Mood::Yes;
        }
        *self.dice.pick(&[Mood::No, Mood::No, Mood::Unsure, Mood::Unsure, Mood::Unsure, Mood::Nonsense])
    }

    /// The call has arrived: it takes place, once for each key that is recognised.
    fn apply(&self, n: u64, call: &RemoteCall) {
        let mut inner = self.lock();
        let window = CONNECTORS.iter().find(|(name, _)| *name == &*call.connector).and_then(|(_, window)| *window);
        if let (Some(key), Some(window)) = (&call.key, window) {
            let now = self.clock.now();
            if inner.keys.get(key).is_some_and(|first| now.since(*first) < window) {
                return;
            }
            inner.keys.insert(key.clone(), now);
        }
        let (step, change) = call.slot.strip_prefix("undo.").map_or((&*call.slot, 1), |step| (step, -1));
        let effect = inner.effects.entry((n, step.to_owned())).or_default();
        effect.standing += change;
        effect.most = effect.most.max(effect.standing);
        effect.least = effect.least.min(effect.standing);
        let effect = *effect;
        drop(inner);
        self.trace.say(format!("m{n} {} takes place, stands {}", call.slot, effect.standing));
        if effect.standing > 1 || effect.standing < 0 {
            self.trace.violation(format!("m{n} G3: {} has taken place twice: stands {}", call.slot, effect.standing));
        }
    }

    /// The answer of a call that has arrived.
    fn answer(&self, n: u64, call: &RemoteCall, trouble: Trouble) -> (u16, String) {
        let Some(asked) = self.asked(n) else { return (404, String::new()) };
        if call.effect {
            let again = call.key.as_ref().is_some_and(|key| self.lock().declined.contains(key));
            if let Some(status) = answers::declines(asked.process, &call.slot)
                && (again || self.weather.strikes(&self.dice, self.weather.answers / 2))
                && (again || matches!(trouble, Trouble::None | Trouble::Slow | Trouble::LostReply))
                && call.accept.takes(status)
                && self.effect(n, &call.slot).standing == 0
            {
                self.trace.say(format!("m{n} {} is declined", call.slot));
                self.lock().declined.extend(call.key.clone());
                return (status, "{}".to_owned());
            }
            match trouble {
                Trouble::Status(_, false) | Trouble::Garbage(false) => {}
                _ => self.apply(n, call),
            }
        }
        match trouble {
            Trouble::Status(status, _) => (status, r#"{"error":"simulated"}"#.to_owned()),
            Trouble::Garbage(_) => (200, "<html>Please log in</html>".to_owned()),
            _ if call.effect => (200, answers::effect(&call.slot).to_string()),
            _ => {
                let mood = self.mood(&call.slot);
                let there = |step: &str| self.effect(n, step).standing > 0;
                let body = answers::read(&asked, &call.slot, mood, there, &self.dice).to_string();
                if mood != Mood::Nonsense {
                    let sha256 = hex::encode(Sha256::digest(body.as_bytes()));
                    self.lock().good.insert((n, call.slot.to_string(), sha256));
                }
                (200, body)
            }
        }
    }
}

/// The message that a call is about, from its trace context.
pub(crate) fn number(traceparent: Option<&str>) -> Option<u64> {
    u64::from_str_radix(traceparent?.get(19..35)?, 16).ok()
}

pub(crate) fn traceparent(n: u64) -> String {
    format!("00-{n:032x}-{n:016x}-01")
}

/// A process's way to the remote systems.
pub(crate) struct Wire {
    pub(crate) bank: Arc<Bank>,
    pub(crate) life: Arc<Life>,
    pub(crate) clock: Arc<VirtualClock>,
    pub(crate) books: Arc<Books>,
    pub(crate) trace: Arc<Trace>,
}

fn failed(call: &RemoteCall, seen: Seen, code: &'static str, status: Option<u16>) -> Failure {
    let class = classify(seen, call.effect, &StatusRules::default());
    Failure { class, code, status, detail: format!("{}: simulated {code}", call.connector), retry_after: None }
}

fn judged(call: &RemoteCall, (status, body): (u16, String)) -> Result<Answer, Failure> {
    if !call.accept.takes(status) {
        let mut failure = failed(call, Seen::Status { status, asks_to_wait: status == 429 }, "status", Some(status));
        failure.retry_after = (status == 429).then(|| Duration::from_secs(3));
        return Err(failure);
    }
    if serde_json::from_str::<Value>(&body).is_err() {
        return Err(failed(call, Seen::Body { status }, "not_json", Some(status)));
    }
    Ok(Answer { status, body: Bytes::from(body), value: None })
}

impl Wire {
    async fn send(&self, n: u64, call: &RemoteCall) -> Result<Answer, Failure> {
        let begun = self.clock.now();
        let deadline = begun.plus(call.timeout.unwrap_or(TIMEOUT));
        let timeout = || Err(failed(call, Seen::Broke, "timeout", None));
        // A frozen process's timer has run out when it wakes up, before it has written a byte.
        self.life.gate().await;
        if self.clock.now() >= deadline || call.until.is_some_and(|until| self.clock.steady() >= until) {
            return Err(failed(call, Seen::NotSent, "late", None));
        }
        let bank = &self.bank;
        let trouble = bank.trouble(call);
        if call.effect {
            let slot = (n, call.slot.to_string());
            let sent = {
                let mut inner = bank.lock();
                *inner.open_calls.entry(slot.clone()).or_default() += 1;
                let sent = inner.sent.entry(slot).or_default();
                *sent += 1;
                *sent
            };
            self.books.effect_sent(n, call, sent).await;
        }
        self.trace.say(format!("m{n} {} calls {} {trouble:?}", self.life.name, call.slot));
        if trouble == Trouble::Refused {
            self.clock.sleep(bank.dice.millis(1, 20)).await;
            return Err(failed(call, Seen::NotSent, "connect", None));
        }
        let left = deadline.since(self.clock.now());
        let (tell, told) = oneshot::channel();
        if trouble != Trouble::LostRequest {
            let way = match trouble {
                Trouble::Slow => left / 2,
                Trouble::Late => left + bank.dice.millis(0, 3_900),
                _ => bank.dice.millis(1, 40),
            };
            let (bank, call, clock) = (bank.clone(), call.clone(), self.clock.clone());
            tokio::spawn(async move {
                clock.sleep(way).await;
                let answer = bank.answer(n, &call, trouble);
                clock.sleep(bank.dice.millis(1, 40)).await;
                drop(tell.send((trouble != Trouble::LostReply).then_some(answer)));
            });
        }
        let answer = within(self.clock.as_ref(), left, async {
            match told.await {
                Ok(Some(answer)) => answer,
                _ => std::future::pending().await,
            }
        });
        match answer.await {
            Some(answer) => judged(call, answer),
            None => timeout(),
        }
    }
}

#[async_trait]
impl Remote for Wire {
    async fn call(&self, call: &RemoteCall) -> Result<Answer, Failure> {
        let Some(n) = number(call.traceparent.as_deref()) else {
            self.trace.violation(format!("{} is called without its trace context", call.slot));
            return Err(failed(call, Seen::NotSent, "connect", None));
        };
        let result = self.send(n, call).await;
        self.life.gate().await;
        if call.effect {
            let declined = |answer: &Answer| answers::declines_with(&call.slot, answer.status);
            let nothing = match &result {
                Ok(answer) => declined(answer),
                Err(failure) => failure.class != FailureClass::Unknown,
            };
            if nothing {
                *self.bank.lock().open_calls.entry((n, call.slot.to_string())).or_default() -= 1;
            }
        }
        result
    }

    fn timeout(&self, _connector: &str) -> Duration {
        TIMEOUT
    }

    fn key_window(&self, connector: &str) -> Option<Duration> {
        CONNECTORS.iter().find(|(name, _)| *name == connector).and_then(|(_, window)| *window)
    }

    fn breaker(&self, _connector: &str) -> BreakerSettings {
        BreakerSettings { failures: 5, open_for: Duration::from_secs(5) }
    }

    fn names(&self) -> Vec<String> {
        CONNECTORS.iter().map(|(name, _)| (*name).to_owned()).collect()
    }
}
