//! One request as its ledger tells it, and what that means for the targets.

use std::collections::BTreeMap;

use mozhao::domain::request::chain;
use mozhao::domain::request::fact::{Accepted, EffectResult, Ending, Fact};
use mozhao::domain::request::slot;
use mozhao::domain::request::state::{Mark, State};
use mozhao::domain::time::Time;
use mozhao::domain::words::Choice;
use mozhao::engine::ports::records::RequestRow;
use mozhao::engine::ports::store::Store;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// An effect of a process: what the sandbox counts it as, and the call that asks for it.
struct Target {
    process: &'static str,
    slot: &'static str,
    /// As the sandbox counts it.
    effect: &'static str,
    /// The field of the payload that names the object.
    object: &'static str,
    /// `{}` stands for the object.
    path: &'static str,
}

const fn target(
    process: &'static str,
    slot: &'static str,
    effect: &'static str,
    object: &'static str,
    path: &'static str,
) -> Target {
    Target { process, slot, effect, object, path }
}

const TARGETS: &[Target] = &[
    target("card_unbind", "unbind", "unbind", "card_id", "/bank/cards/{}/unbind"),
    target("card_unbind", "undo.unbind", "bind", "card_id", "/bank/cards/{}/bind"),
    target("card_cut", "cut", "unbind", "card_id", "/bank/cards/{}/unbind"),
    target("matrix_none", "cut", "unbind", "card_id", "/bank/cards/{}/unbind"),
    target("matrix_keys", "cut", "unbind", "card_id", "/bank/cards/{}/unbind"),
    target("matrix_reads", "cut", "unbind", "card_id", "/bank/cards/{}/unbind"),
    target("matrix_both", "cut", "unbind", "card_id", "/bank/cards/{}/unbind"),
    target("code_wait", "send", "sms", "phone", "/sms/send"),
    target("code_wait", "undo.send", "sms_cancel", "phone", "/sms/cancel"),
    target("phone_change", "send_code", "sms", "new_phone", "/sms/send"),
    target("phone_change", "undo.send_code", "sms_cancel", "new_phone", "/sms/cancel"),
    target("phone_change", "change", "phone", "customer_id", "/bank/customers/{}/phone"),
    target("phone_change", "undo.change", "phone", "customer_id", "/bank/customers/{}/phone"),
    target("account_close", "freeze", "freeze", "account_id", "/bank/accounts/{}/freeze"),
    target("account_close", "undo.freeze", "unfreeze", "account_id", "/bank/accounts/{}/unfreeze"),
    target("account_close", "stop_statements", "stop_statements", "account_id", "/bank/accounts/{}/statements/stop"),
    target("account_close", "undo.stop_statements", "resume_statements", "account_id", "/bank/accounts/{}/statements/resume"),
    target("account_close", "pay_out", "pay_out", "account_id", "/bank/accounts/{}/payout"),
    target("account_close", "undo.pay_out", "reverse_payout", "account_id", "/bank/accounts/{}/payout/reverse"),
    target("account_close", "close", "close", "account_id", "/bank/accounts/{}/close"),
    target("account_close", "undo.close", "reopen", "account_id", "/bank/accounts/{}/reopen"),
    target("name_correction", "hr_name", "hr_name", "person_id", "/hr/people/{}/name"),
    target("name_correction", "undo.hr_name", "hr_name", "person_id", "/hr/people/{}/name"),
    target("name_correction", "directory_name", "legacy_name", "person_id", "/legacy/people/{}/rename"),
    target("name_correction", "undo.directory_name", "legacy_name", "person_id", "/legacy/people/{}/rename"),
];

/// Effects whose target neither recognises our key nor can be read: only a person may have them called again.
const KEYLESS: &[(&str, &str)] = &[("card_cut", "cut"), ("matrix_none", "cut")];

/// Is this a call that asks for an effect?
pub fn asks_for_effect(path: &str) -> bool {
    let fits = |pattern: &str| match pattern.split_once("{}") {
        Some((before, after)) => path.starts_with(before) && path.ends_with(after) && path.len() > before.len() + after.len(),
        None => path == pattern,
    };
    TARGETS.iter().any(|target| fits(target.path))
}

/// What the sandbox counts this slot's effect as, on which object, and the path that asks for it.
pub fn object_of(ledger: &Ledger, slot: &str) -> Option<(String, String, String)> {
    let target = TARGETS.iter().find(|target| target.process == ledger.row.process && target.slot == slot)?;
    let object = ledger.payload[target.object].as_str()?.to_owned();
    Some((target.effect.to_owned(), object.clone(), target.path.replace("{}", &object)))
}

/// A request with its whole ledger.
#[derive(Debug)]
pub struct Ledger {
    pub row: RequestRow,
    pub payload: Value,
    /// `facts[n]` is entry n + 1.
    pub facts: Vec<(Time, Fact)>,
    /// What they come to.
    effects: Effects,
    /// The entries as they are stored.
    pub text: String,
}

/// What is looked at while one effect is tried.
#[derive(Debug, Default)]
struct Tried {
    /// Written down, and no result yet.
    intended: bool,
    /// It may have happened.
    unknown: bool,
    /// A person has said something since.
    asked: bool,
    intents: usize,
}

/// What became of all effects, by the product's own reading of the ledger.
#[derive(Debug, Clone)]
struct Effects {
    state: State,
    /// How often each slot came to be applied.
    applied: BTreeMap<String, u32>,
    /// How often a person let it be called again although nobody knew.
    let_again: BTreeMap<String, u32>,
}

impl Effects {
    fn of(request: Uuid, payload: &Value, facts: &[(Time, Fact)]) -> Result<Effects, String> {
        let Some((at, Fact::Accepted(accepted))) = facts.first() else { return Err("no acceptance".to_owned()) };
        let state = State::begin(request, Accepted::clone(accepted), *at, payload.clone(), chain::GENESIS);
        let mut effects = Effects { state, applied: BTreeMap::new(), let_again: BTreeMap::new() };
        for (at, fact) in &facts[1..] {
            let before = effects.state.slots.clone();
            effects.state.apply(fact, *at).map_err(|error| error.to_string())?;
            for (name, slot) in &effects.state.slots {
                let before = before.get(name).map_or(&Mark::Open, |slot| &slot.mark);
                let was_unknown = matches!(before, Mark::Intended { .. } | Mark::Unknown { .. });
                if slot.mark == Mark::Applied && *before != Mark::Applied {
                    *effects.applied.entry(name.clone()).or_default() += 1;
                }
                let again = matches!(fact, Fact::Decided(decided) if decided.choice == Choice::Retry);
                if again && was_unknown && slot.mark == Mark::Open {
                    *effects.let_again.entry(name.clone()).or_default() += 1;
                }
            }
        }
        Ok(effects)
    }

    fn applied(&self, slot: &str) -> u32 {
        self.applied.get(slot).copied().unwrap_or_default()
    }

    /// May it have happened once more than it is known to have?
    fn is_open(&self, slot: &str) -> bool {
        matches!(self.state.mark(slot), Mark::Intended { .. } | Mark::Unknown { .. })
    }

    /// A person has said that the effect may stay although its undo failed.
    fn may_stay(&self, step: &str) -> bool {
        matches!(self.state.mark(&slot::undo(step)), Mark::Passed { by_person: true, .. })
    }

    /// G3, as far as the ledger alone shows it: each effect once; in the end all of them, or none that nobody let stay.
    fn wrong(&self, ending: Option<&Ending>) -> Vec<String> {
        let mut wrong = Vec::new();
        let tried = self
            .state
            .slots
            .keys()
            .filter(|name| slot::is_forward(name) || self.state.effects.iter().any(|step| **name == slot::undo(step)));
        for name in tried.filter(|name| self.applied(name) > 1) {
            wrong.push(format!("`{name}` was applied {} times", self.applied(name)));
        }
        let Some(ending) = ending else { return wrong };
        for step in &self.state.effects {
            let undo = slot::undo(step);
            let (done, undone) = (self.applied(step), self.applied(&undo));
            let right = match ending {
                Ending::Done => (done, undone) == (1, 0) && !self.is_open(step) && *self.state.mark(&undo) == Mark::Open,
                _ if self.may_stay(step) => true,
                _ => done == undone && !self.is_open(step) && !self.is_open(&undo),
            };
            if !right {
                let (it, way) = (self.state.mark(step), self.state.mark(&undo));
                wrong.push(format!(
                    "ended as {}: `{step}` was applied {done} times, undone {undone} times; {it:?}, {way:?}",
                    ending.outcome()
                ));
            }
        }
        wrong
    }
}

/// What a ledger says that must be found at the targets.
#[derive(Debug, Default)]
pub struct Expected {
    /// Effect and object: how often at least and at most.
    pub effects: BTreeMap<(String, String), (u32, u32)>,
    /// Path: how many calls at most.
    pub calls: BTreeMap<String, usize>,
}

impl Ledger {
    /// Reads and verifies it.
    pub async fn read(store: &dyn Store, request: Uuid) -> Result<Ledger, String> {
        let loaded = store.load(request).await.map_err(|error| format!("{request}: {error}"))?;
        let head = chain::verify(request, &loaded.entries).map_err(|error| format!("G8 {request}: {error}"))?;
        if head != loaded.row.head || loaded.entries.len() as u64 != loaded.row.seq {
            return Err(format!("G8 {request}: the row's head is not the ledger's"));
        }
        let facts = loaded.entries.iter().map(|entry| entry.fact().map(|fact| (entry.at, fact)));
        let facts = facts.collect::<Result<Vec<_>, _>>().map_err(|error| format!("G8 {request}: {error}"))?;
        let payload = serde_json::from_slice(&loaded.payload).map_err(|error| format!("{request}: {error}"))?;
        let effects = Effects::of(request, &payload, &facts)
            .map_err(|error| format!("G8 {request}: its ledger cannot be replayed: {error}"))?;
        let text: Vec<_> = loaded.entries.iter().map(|entry| String::from_utf8_lossy(&entry.body)).collect();
        Ok(Ledger { row: loaded.row, payload, facts, effects, text: text.join("\n") })
    }

    /// The outcome that the ledger ends with.
    pub fn ending(&self) -> Option<&Ending> {
        match self.facts.last() {
            Some((_, Fact::Ended { ending })) => Some(ending),
            _ => None,
        }
    }

    /// `done`, `refused:REASON`, `review:NAME`, `waiting`, `parked`, …: as the sandbox names roads.
    pub fn road(&self) -> String {
        match (self.row.state.as_str(), &self.row.reason) {
            ("refused", Some(reason)) => format!("refused:{reason}"),
            ("in_review", Some(review)) => format!("review:{review}"),
            (state, _) => state.to_owned(),
        }
    }

    /// How many facts of this kind.
    pub fn count(&self, word: &str) -> usize {
        self.facts.iter().filter(|(_, fact)| fact.word() == word).count()
    }

    /// Adds what this ledger says about the targets; complains about what cannot be.
    pub fn expect(&self, expected: &mut Expected, wrong: &mut Vec<String>) {
        let mut slots: BTreeMap<&str, Tried> = BTreeMap::new();
        for (_, fact) in &self.facts {
            match fact {
                Fact::Intent { slot, .. } => {
                    let at = slots.entry(slot).or_default();
                    if at.intended {
                        wrong.push(format!("G4 {}: `{slot}` was intended again before it had a result", self.row.id));
                    }
                    if at.unknown && !at.asked && KEYLESS.contains(&(self.row.process.as_str(), slot.as_str())) {
                        wrong.push(format!("G4 {}: `{slot}` was called again, and nobody had said so", self.row.id));
                    }
                    (at.intended, at.intents, at.asked) = (true, at.intents + 1, false);
                }
                Fact::Result(result) => {
                    let at = slots.entry(&result.slot).or_default();
                    at.intended = false;
                    at.unknown = result.result == EffectResult::Unknown;
                }
                Fact::Decided(_) => slots.values_mut().for_each(|at| at.asked = true),
                // Certainly without effect; what an earlier attempt came to is as unknown as before.
                Fact::Failed(failed) => {
                    if let Some(at) = slots.get_mut(failed.slot.as_str()) {
                        at.intended = false;
                    }
                }
                _ => {}
            }
        }
        wrong.extend(self.effects.wrong(self.ending()).into_iter().map(|what| format!("G3 {}: {what}", self.row.id)));
        // Whoever ended as done has done everything: an effect that was never tried is missing, too.
        let forward = TARGETS.iter().filter(|target| target.process == self.row.process && slot::is_forward(target.slot));
        for target in forward.filter(|_| matches!(self.ending(), Some(Ending::Done))) {
            if self.effects.applied(target.slot) != 1 && *self.effects.state.mark(target.slot) != Mark::Skipped {
                let mark = self.effects.state.mark(target.slot);
                wrong.push(format!("G3 {}: ended as done without `{}`: {mark:?}", self.row.id, target.slot));
            }
        }
        for (slot, at) in slots {
            let found = TARGETS.iter().find(|target| target.process == self.row.process && target.slot == slot);
            let Some(target) = found else {
                wrong.push(format!("the test knows no target of {} `{slot}`", self.row.process));
                continue;
            };
            // A way back that a person called off may have happened all the same.
            let called_off = slot != slot::step_of(slot) && self.effects.may_stay(slot::step_of(slot));
            let open = u32::from(self.effects.is_open(slot) || called_off);
            let again = self.effects.let_again.get(slot).copied().unwrap_or_default();
            let (applied, intents) = (self.effects.applied(slot), at.intents);
            let object = self.payload[target.object].as_str().unwrap_or_default().to_owned();
            let at = expected.effects.entry((target.effect.to_owned(), object.clone())).or_default();
            (at.0, at.1) = (at.0 + applied, at.1 + applied + open + again);
            *expected.calls.entry(target.path.replace("{}", &object)).or_default() += intents;
        }
    }

    /// When it started and ended: by its steps, as the database saw them, else by its writers' clocks.
    pub fn span(&self, steps: Option<&Vec<(u64, i64)>>) -> (Option<Time>, Option<Time>) {
        let at = |wanted: fn(&Fact) -> bool| {
            let (place, (written, _)) = self.facts.iter().enumerate().find(|(_, (_, fact))| wanted(fact))?;
            let step = steps.and_then(|steps| steps.iter().find(|(seq, _)| *seq > place as u64));
            Some(step.map_or(*written, |(_, at)| Time(*at)))
        };
        (at(|fact| matches!(fact, Fact::Started)), at(|fact| matches!(fact, Fact::Ended { .. })))
    }

    /// The digest of the payload that it was accepted with.
    pub fn payload_sha256(&self) -> String {
        let accepted =
            self.facts.iter().find_map(|(_, fact)| if let Fact::Accepted(accepted) = fact { Some(accepted) } else { None });
        accepted.expect("a ledger begins with its acceptance").payload_sha256.clone()
    }
}

/// The digest of what a message says: its body, or the data of a structured event.
pub fn digest(body: &[u8]) -> String {
    let said: Value = serde_json::from_slice(body).expect("a valid message is JSON");
    hex::encode(Sha256::digest(mozhao::engine::intake::canonical(&said)))
}
