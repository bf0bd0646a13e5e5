//! Idempotency keys as a careful target keeps them: same key and same call, the same stored answer; same key and
//! another call, refused. Refusals are stored too, as many real targets do: asking again does not change their mind.

use std::collections::{HashMap, VecDeque};

use axum::http::StatusCode;
use bytes::Bytes;

use super::answer::Answer;

/// Keys remembered; the oldest is forgotten first, as a real target's window ends.
const MAX_KEYS: usize = 1_000_000;

#[derive(Debug)]
struct Stored {
    fingerprint: [u8; 32],
    status: StatusCode,
    body: Bytes,
}

/// The stored answers of one target.
#[derive(Debug, Default)]
pub(super) struct Keys {
    stored: HashMap<String, Stored>,
    order: VecDeque<String>,
}

impl Keys {
    /// What an earlier call with this key determines: its answer again, or a refusal of a key used for something else.
    pub(super) fn recall(&self, key: &str, fingerprint: &[u8; 32]) -> Option<Answer> {
        let stored = self.stored.get(key)?;
        if stored.fingerprint != *fingerprint {
            return Some(Answer::invalid("key_used_for_another_call"));
        }
        Some(Answer { status: stored.status, body: stored.body.clone(), applied: false, replayed: true })
    }

    pub(super) fn remember(&mut self, key: &str, fingerprint: [u8; 32], answer: &Answer) {
        if self.order.len() >= MAX_KEYS
            && let Some(oldest) = self.order.pop_front()
        {
            self.stored.remove(&oldest);
        }
        let stored = Stored { fingerprint, status: answer.status, body: answer.body.clone() };
        if self.stored.insert(key.to_owned(), stored).is_none() {
            self.order.push_back(key.to_owned());
        }
    }
}
