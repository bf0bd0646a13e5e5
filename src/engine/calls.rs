//! From a call in a process file to a call on the wire and back: rendering, the breaker, the deadline, the answer.

use std::sync::Arc;

use super::breaker::{Breakers, Change};
use super::ports::clock::Clock;
use super::ports::remote::{Failure, Remote, RemoteCall};
use crate::domain::expr::{EvalError, Scope};
use crate::domain::process::model::Call;
use crate::domain::request::fact::{Cause, FailureClass};
use crate::domain::request::judge::{self, Seen};
use crate::domain::triage::{Road, Tried, triage};

/// Told when a breaker changes: the connector, and what happened.
pub type OnChange = Arc<dyn Fn(&str, Change) + Send + Sync>;

/// Remote systems behind their breakers.
#[derive(Clone)]
pub struct Caller {
    /// The adapter.
    pub remote: Arc<dyn Remote>,
    /// The breakers.
    pub breakers: Arc<Breakers>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Told when a breaker changes.
    pub changed: OnChange,
}

/// A call that failed, with what the triage needs.
#[derive(Debug, Clone)]
pub struct CallFailure {
    /// For the ledger.
    pub cause: Cause,
    /// What the target asked for.
    pub retry_after: Option<std::time::Duration>,
}

impl CallFailure {
    /// Decides its road.
    #[must_use]
    pub fn road(&self, tried: Tried<'_>, clock: &dyn Clock) -> Road {
        triage(self.cause.class, &self.cause.code, self.retry_after, tried, clock.now(), clock.jitter())
    }
}

impl From<Cause> for CallFailure {
    fn from(cause: Cause) -> Self {
        CallFailure { cause, retry_after: None }
    }
}

/// Renders a call.
///
/// # Errors
/// An expression failed: our mistake; nothing was sent.
pub fn render(slot: &str, call: &Call, scope: &Scope, key: Option<String>, effect: bool) -> Result<RemoteCall, Cause> {
    let failed = |error: &EvalError| Cause {
        class: FailureClass::Broken,
        code: "expression".to_owned(),
        connector: Some(call.connector.clone()),
        status: None,
        detail: error.to_string(),
    };
    let mut headers = Vec::with_capacity(call.headers.len());
    for (name, value) in &call.headers {
        headers.push((name.clone(), value.render_text(scope).map_err(|error| failed(&error))?));
    }
    let body = match &call.body {
        Some(body) => Some(body.render(scope).map_err(|error| failed(&error))?.to_string().into()),
        None => None,
    };
    Ok(RemoteCall {
        slot: slot.into(),
        connector: call.connector.as_str().into(),
        method: call.method,
        path: call.path.render_path(scope).map_err(|error| failed(&error))?,
        headers,
        body,
        key,
        timeout: call.timeout,
        until: None,
        effect,
        accept: call.accept.clone(),
        traceparent: None,
    })
}

impl Caller {
    /// Makes a rendered call.
    ///
    /// # Errors
    /// How it failed: at the breaker, on the wire, or because the answer is not what the process says.
    pub async fn call(&self, call: &Call, rendered: &RemoteCall) -> Result<Seen, CallFailure> {
        let admission = self.breakers.admit(&call.connector, self.clock.now()).map_err(|failure| failed(call, failure))?;
        let result = self.remote.call(rendered).await;
        let change = admission.report(result.as_ref().map(drop), self.clock.now());
        if change != Change::None {
            (self.changed)(&call.connector, change);
        }
        let answer = result.map_err(|failure| failed(call, failure))?;
        judge::see(call, answer.status, &answer.body, answer.value).map_err(CallFailure::from)
    }
}

fn failed(call: &Call, failure: Failure) -> CallFailure {
    CallFailure {
        retry_after: failure.retry_after,
        cause: Cause {
            class: failure.class,
            code: failure.code.to_owned(),
            connector: Some(call.connector.clone()),
            status: failure.status,
            detail: failure.detail,
        },
    }
}
