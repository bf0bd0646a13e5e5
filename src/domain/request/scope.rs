//! What expressions of a request can see, and when: `request`, `answers`, `meta`, `now`, `callbacks`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::state::{Mark, State};
use crate::domain::expr::Scope;
use crate::domain::process::Reads;
use crate::domain::time::Time;

/// What the planner needs to know beside the request and its process.
pub struct Surroundings<'a> {
    /// Now.
    pub now: Time,
    /// The address of each callback.
    pub callbacks: &'a BTreeMap<String, String>,
    /// How long a connector's target recognises our keys; `None`: it does not.
    pub key_window: &'a dyn Fn(&str) -> Option<Duration>,
    /// It is this request's turn in its lane.
    pub turn: bool,
    /// Its limit was exceeded when it was accepted.
    pub over_limit: bool,
}

/// The scope for the expressions of one step, with what they read; `attempt` counts from 1.
#[must_use]
pub fn scope(state: &State, around: &Surroundings<'_>, attempt: u32, reads: Reads) -> Scope {
    let mut scope = Scope::new();
    if reads.request {
        scope.share("request", Arc::clone(&state.payload));
    }
    if reads.answers {
        scope.share("answers", Arc::new(Value::Object(answers(state))));
    }
    if reads.meta {
        scope.share("meta", Arc::new(meta(state, attempt)));
    }
    if reads.now {
        scope.set_time("now", around.now.0);
    }
    if reads.callbacks {
        let callbacks: Map<String, Value> =
            around.callbacks.iter().map(|(name, url)| (name.clone(), json!({ "url": url }))).collect();
        scope.share("callbacks", Arc::new(Value::Object(callbacks)));
    }
    scope
}

/// What earlier steps kept. On the way back also where a correction has reopened a step: nothing is checked again there, and an
/// undo is made of what its effect was made of.
fn answers(state: &State) -> Map<String, Value> {
    let through = |mark: &Mark| match mark {
        Mark::Passed { .. } | Mark::Applied | Mark::Undecided => true,
        Mark::Open => state.turned.is_some(),
        _ => false,
    };
    let kept = state.slots.iter().filter(|(_, slot)| through(&slot.mark) && !slot.kept.is_null());
    kept.map(|(name, slot)| (name.clone(), slot.kept.clone())).collect()
}

/// The scope before there is a state: `request` alone, for `customer`, `serialize_by` and `limit`.
#[must_use]
pub fn intake_scope(payload: &Arc<Value>) -> Scope {
    let mut scope = Scope::new();
    scope.share("request", Arc::clone(payload));
    scope
}

fn meta(state: &State, attempt: u32) -> Value {
    json!({
        "id": state.id.to_string(),
        "channel": state.accepted.channel,
        "received_at": state.accepted_at.to_string(),
        "attempt": attempt,
        "process": state.accepted.process,
        "version": state.accepted.version,
    })
}
