//! The shared state of all services. One mutex holds every record together with the stored answers of the keys: an
//! effect, its counting and the remembering of its key must be one indivisible thing, or the sandbox itself would
//! sometimes apply a call twice and accuse the engine of it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::body::Bytes;
use serde::de::DeserializeOwned;
use tokio::time::Instant;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    answer::Answer, bank::Records, faults::Faults, keys::Keys, ledger::Ledger, people::Registry, sms::SmsBook, world::Planned,
};

/// Everything that the handlers share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) core: Mutex<Core>,
    /// Locked inside `core` where both are needed, never the other way round.
    pub(super) ledger: Mutex<Ledger>,
    pub(super) faults: Mutex<Faults>,
    pub(super) started: Instant,
    /// For the calls that "customers" make back.
    pub(super) http: reqwest::Client,
    /// Late effects and call-backs, which outlive the call that caused them.
    pub(super) tasks: TaskTracker,
    /// Ends every wait.
    pub(super) stop: CancellationToken,
}

/// The records of all systems, and the keys of those that recognise them.
#[derive(Debug, Default)]
pub(super) struct Core {
    pub(super) bank: Records,
    pub(super) bank_keys: Keys,
    pub(super) hr: Registry,
    pub(super) hr_keys: Keys,
    pub(super) legacy: Registry,
    pub(super) sms: SmsBook,
    pub(super) sms_keys: Keys,
    /// Requests that a generated world proposes, for clients outside this process.
    pub(super) planned: Vec<Planned>,
}

/// A system, as far as keys are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum System {
    Bank,
    Hr,
    Sms,
    /// Ignores keys: every call is applied.
    Legacy,
}

/// A call as the middleware recorded it; handlers find it as an extension.
#[derive(Debug, Clone)]
pub(super) struct Arrived {
    /// `Idempotency-Key`.
    pub(super) key: Option<String>,
    /// Digest of method, path and body: what a key stands for.
    pub(super) fingerprint: [u8; 32],
}

impl Core {
    fn keys(&mut self, system: System) -> Option<&mut Keys> {
        match system {
            System::Bank => Some(&mut self.bank_keys),
            System::Hr => Some(&mut self.hr_keys),
            System::Sms => Some(&mut self.sms_keys),
            System::Legacy => None,
        }
    }
}

impl Shared {
    pub(super) fn core(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Microseconds since the start.
    pub(super) fn now_us(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Carries out an effect on one object, once per key where the system recognises keys, and counts it.
    pub(super) fn effect(
        &self,
        system: System,
        call: &Arrived,
        effect: &'static str,
        object: &str,
        act: impl FnOnce(&mut Core) -> Answer,
    ) -> Answer {
        let mut core = self.core();
        if let (Some(key), Some(keys)) = (&call.key, core.keys(system))
            && let Some(answer) = keys.recall(key, &call.fingerprint)
        {
            return answer;
        }
        let answer = act(&mut core);
        if answer.applied {
            self.ledger().count(effect, object);
        }
        if let (Some(key), Some(keys)) = (&call.key, core.keys(system)) {
            keys.remember(key, call.fingerprint, &answer);
        }
        answer
    }
}

/// Parses a JSON body; the error is the answer.
pub(super) fn parse<T: DeserializeOwned>(body: &Bytes) -> Result<T, Answer> {
    serde_json::from_slice(body).map_err(|error| Answer::invalid(&format!("invalid_body: {error}")))
}
