//! Connectors: named adapters to remote systems, over HTTP. The only code that uses `reqwest`.
//!
//! Two things are hard here. After a call without an answer, somebody must say whether it may have taken effect, and
//! only the code next to the wire can know ([`status`], [`http`]). And a target is not trusted to be well behaved, nor
//! a path that holds a customer's data to lead where it should ([`egress`], [`headers`]): time, memory, places and
//! addresses are bounded per connector.

pub mod config;
mod egress;
mod headers;
mod http;
pub mod identity;
mod limits;
mod plain;
mod secrets;
mod sizes;
pub mod status;
mod wire;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, timeout_at};

pub use self::config::{ConfigError, ConnectorConfig, ConnectorsConfig};
pub use self::secrets::Env;
use crate::domain::request::fact::FailureClass;
use crate::engine::clock::SystemClock;
use crate::engine::ports::clock::Clock as _;
use crate::engine::ports::remote::{Answer, BreakerSettings, Failure, Remote, RemoteCall};

/// Why connectors cannot be built from a file that is well formed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("connector {connector}: {message}")]
pub struct BuildError {
    /// Which one.
    pub connector: String,
    /// A missing secret, a variable in `base_url` that is not set, a certificate file that cannot be read.
    pub message: String,
}

/// All remote systems, ready to be called.
pub struct Connectors {
    by_name: BTreeMap<String, Connector>,
}

/// One remote system.
struct Connector {
    config: ConnectorConfig,
    base: egress::Base,
    protected: headers::Protected,
    auth: Option<secrets::Auth>,
    limits: limits::Limits,
    wire: wire::Wire,
}

impl fmt::Debug for Connectors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.by_name.keys()).finish()
    }
}

impl Connectors {
    /// Builds them; secrets come from the process's environment and from files.
    pub fn new(config: ConnectorsConfig) -> Result<Connectors, BuildError> {
        Connectors::with_env(config, &|name| std::env::var(name).ok())
    }

    /// Builds them with another environment.
    pub fn with_env(config: ConnectorsConfig, env: Env<'_>) -> Result<Connectors, BuildError> {
        let build = |(name, config)| match Connector::new(config, env) {
            Ok(connector) => Ok((name, connector)),
            Err(message) => Err(BuildError { connector: name, message }),
        };
        Ok(Connectors { by_name: config.connectors.into_iter().map(build).collect::<Result<_, _>>()? })
    }

    /// Asks a remote system whether it is well: its `health` path, or else whether its port can be connected to.
    pub async fn probe_health(&self, name: &str) -> Result<(), Failure> {
        let connector = self.find(name)?;
        let deadline = Instant::now() + connector.config.timeout;
        if let Some(path) = &connector.config.health {
            return http::probe(connector, name, path, deadline).await;
        }
        let (host, port) = connector.base.address();
        let failure = |code, detail: String| Failure {
            class: FailureClass::Transient,
            code,
            status: None,
            detail: format!("{name}: {detail}"),
            retry_after: None,
        };
        match timeout_at(deadline, tokio::net::TcpStream::connect((host.as_str(), port))).await {
            Err(_) => Err(failure("timeout", format!("{host}:{port} could not be connected to in time"))),
            Ok(Err(error)) => Err(failure("connect", format!("{host}:{port} could not be connected to: {error}"))),
            Ok(Ok(_)) => Ok(()),
        }
    }

    fn find(&self, name: &str) -> Result<&Connector, Failure> {
        self.by_name.get(name).ok_or_else(|| Failure {
            class: FailureClass::Broken,
            code: "connector",
            status: None,
            detail: format!("there is no connector `{name}`"),
            retry_after: None,
        })
    }
}

impl Connector {
    fn new(config: ConnectorConfig, env: Env<'_>) -> Result<Connector, String> {
        let base = egress::Base::parse(&fill(&config.base_url, env)?).map_err(|message| format!("`base_url` {message}"))?;
        let auth = config.auth.as_ref().map(|auth| secrets::Auth::new(auth, env)).transpose()?;
        let auth_header = match &config.auth {
            Some(config::AuthConfig::Header { name, .. }) => Some(name.as_str()),
            _ => None,
        };
        let protected = headers::Protected::new(auth_header, config.idempotency.as_ref().map(|own| own.header.as_str()));
        let ca = config.ca_file.as_ref().map(|path| std::fs::read(path).map_err(|error| format!("`ca_file` {path}: {error}")));
        let ca = ca.transpose()?;
        let wire = wire::Wire::new(config.connect_timeout, config.concurrency, base.is_https(), ca.as_deref())?;
        Ok(Connector { limits: limits::Limits::new(&config), base, protected, auth, wire, config })
    }
}

/// Replaces `${env:NAME}`.
fn fill(text: &str, env: Env<'_>) -> Result<String, String> {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${env:") {
        let (name, after) = after.split_once('}').ok_or("`base_url` has a `${env:` without its `}`")?;
        let value = env(name).ok_or_else(|| format!("`base_url` needs the environment variable {name}, which is not set"))?;
        filled.push_str(before);
        filled.push_str(value.trim());
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}

#[async_trait]
impl Remote for Connectors {
    async fn call(&self, call: &RemoteCall) -> Result<Answer, Failure> {
        let connector = self.find(&call.connector)?;
        let whole = call.timeout.unwrap_or(connector.config.timeout);
        let start = Instant::now();
        // A process that was frozen on its way here has less time left than it thinks, or none.
        let whole = call.until.map_or(whole, |until| until.saturating_sub(SystemClock.steady()).min(whole));
        // Half of the time is for waiting: a call that began in the last moment would often end unknown.
        let place = connector.limits.enter(start + whole / 2).await.map_err(|busy| Failure {
            class: FailureClass::Unavailable,
            code: "busy",
            status: None,
            detail: format!("{}: no call could begin in time: its {} is used up", call.connector, busy.limit()),
            retry_after: None,
        })?;
        let result = http::send(connector, call, start + whole).await;
        drop(place);
        let took_ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
        match &result {
            Ok(answer) => tracing::debug!(connector = %call.connector, status = answer.status, took_ms, "call answered"),
            Err(failure) => {
                tracing::debug!(connector = %call.connector, class = ?failure.class, code = failure.code, status = ?failure.status, took_ms, "call failed");
            }
        }
        result
    }

    fn timeout(&self, connector: &str) -> Duration {
        self.by_name.get(connector).map_or(Duration::from_secs(5), |connector| connector.config.timeout)
    }

    fn key_window(&self, connector: &str) -> Option<Duration> {
        self.by_name.get(connector)?.config.idempotency.as_ref().map(|own| own.window)
    }

    fn breaker(&self, connector: &str) -> BreakerSettings {
        self.by_name.get(connector).map(|connector| connector.config.breaker).unwrap_or_default()
    }

    fn names(&self) -> Vec<String> {
        self.by_name.keys().cloned().collect()
    }
}
