//! The port to remote systems: one call in, one classified answer out. How sure we are that nothing happened is
//! decided here, next to the wire, because only the adapter knows whether bytes were written.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::Value;

use crate::domain::request::fact::FailureClass;
use crate::domain::words::Method;

/// A rendered call.
#[derive(Debug, Clone)]
pub struct RemoteCall {
    /// What it is for: `<step>`, `undo.<step>`, `reconcile.<slot>` or `done_when`.
    pub slot: Arc<str>,
    /// The connector's name.
    pub connector: Arc<str>,
    /// The method.
    pub method: Method,
    /// Path and query below the base URL, every value already percent-encoded.
    pub path: String,
    /// Extra headers.
    pub headers: Vec<(String, String)>,
    /// The JSON body's bytes.
    pub body: Option<Bytes>,
    /// The idempotency key of an effect.
    pub key: Option<String>,
    /// The whole call's deadline; `None`: the connector's timeout.
    pub timeout: Option<Duration>,
    /// By [`Clock::steady`](super::clock::Clock::steady): whoever takes over believes that the call is over by then. It ends by then,
    /// or does not begin, however long the process was frozen on the way to the wire. `None`: a read, which may be repeated.
    pub until: Option<Duration>,
    /// It has effects: an unclear end is [`FailureClass::Unknown`]; a read's is [`FailureClass::Transient`].
    pub effect: bool,
    /// The statuses that are answers.
    pub accept: crate::domain::words::Accept,
    /// W3C trace context to pass on.
    pub traceparent: Option<String>,
}

/// An accepted answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its decompressed body; empty or JSON.
    pub body: Bytes,
    /// What the body says, where the adapter has read it; else the engine reads it.
    pub value: Option<Value>,
}

/// A call without an accepted answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    /// How sure we are that nothing happened.
    pub class: FailureClass,
    /// A stable word: `connect`, `dns`, `tls`, `timeout`, `reset`, `status`, `too_large`, `not_json`, `breaker_open`, `redirect` …
    pub code: &'static str,
    /// The status, where there was one.
    pub status: Option<u16>,
    /// For people; never the body, never a secret.
    pub detail: String,
    /// What the target asked for (429, 503), capped by the caller.
    pub retry_after: Option<Duration>,
}

/// When a dependency counts as down. The breaker itself is the engine's: its state must be durable and visible.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerSettings {
    /// So many failures in a row open it.
    pub failures: u32,
    /// How long it stays open before a probe.
    pub open_for: Duration,
}

impl Default for BreakerSettings {
    fn default() -> Self {
        BreakerSettings { failures: 5, open_for: Duration::from_secs(10) }
    }
}

/// Remote systems by name.
#[async_trait]
pub trait Remote: Send + Sync + 'static {
    /// Makes one call. Cancel-safe in the sense that dropping the future leaves the call's result unknown.
    async fn call(&self, call: &RemoteCall) -> Result<Answer, Failure>;
    /// The call's deadline for this connector when the process names none.
    fn timeout(&self, connector: &str) -> Duration;
    /// How long this connector's target recognises our keys; `None`: it does not.
    fn key_window(&self, connector: &str) -> Option<Duration>;
    /// When this connector's target counts as down.
    fn breaker(&self, _connector: &str) -> BreakerSettings {
        BreakerSettings::default()
    }
    /// The connectors' names.
    fn names(&self) -> Vec<String>;
}
