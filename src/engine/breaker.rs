//! Breakers: whether a dependency is called at all. Each worker judges by its own calls and tells the others through
//! the dependency's control row; a person trips and resets it through the same row.
//!
//! While a breaker is open no call is made and no attempt is used up. When its time is up it lets one call through
//! at a time, the probe; its answer closes the breaker, its failure opens it again. Calls from before it opened say
//! nothing any more: a maintenance that a person has announced must not end because one of them came through.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::ports::records::ControlRow;
use super::ports::remote::{Failure, Remote};
use crate::domain::request::fact::FailureClass;
use crate::domain::time::Time;

/// The group of a dependency's parked requests.
#[must_use]
pub fn dependency_group(connector: &str) -> String {
    format!("dependency:{connector}")
}

/// What a finished call means for its breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Nothing changed.
    None,
    /// It opened, until then.
    Opened(Time),
    /// It closed.
    Closed,
}

/// A breaker as a list shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BreakerView {
    /// The connector.
    pub connector: String,
    /// `closed`, `open`, `half_open`.
    pub state: &'static str,
    /// Failures in a row.
    pub failures: u32,
    /// When it lets a call through again.
    pub until: Option<Time>,
}

#[derive(Debug, Default)]
struct Breaker {
    failures: u32,
    /// Open until then.
    open_until: Option<Time>,
    /// A probe is on its way.
    probing: bool,
    /// The newest control row that was taken in.
    control: u32,
}

/// All breakers of a worker.
pub struct Breakers {
    remote: Arc<dyn Remote>,
    breakers: Mutex<HashMap<String, Breaker>>,
}

impl Breakers {
    /// Breakers for the connectors of `remote`, all closed.
    #[must_use]
    pub fn new(remote: Arc<dyn Remote>) -> Breakers {
        Breakers { remote, breakers: Mutex::default() }
    }

    /// Would this connector be called now? Asked before an intent is written; takes no turn.
    ///
    /// # Errors
    /// The failure to treat the call with.
    pub fn peek(&self, connector: &str, now: Time) -> Result<(), Failure> {
        self.with(connector, |breaker| match breaker.open_until {
            Some(until) if now < until || breaker.probing => Err(down()),
            _ => Ok(()),
        })
    }

    /// May this connector be called now? How the call ends is told to the [`Admission`].
    ///
    /// # Errors
    /// The failure to treat the call with.
    pub fn admit<'a>(&'a self, connector: &'a str, now: Time) -> Result<Admission<'a>, Failure> {
        let probe = self.with(connector, |breaker| match breaker.open_until {
            None => Ok(None),
            Some(until) if now >= until && !breaker.probing => {
                breaker.probing = true;
                Ok(Some(until))
            }
            Some(_) => Err(down()),
        })?;
        Ok(Admission { breakers: self, connector, probe })
    }

    /// Takes in what others wrote about the dependencies.
    pub fn learn(&self, rows: &[ControlRow]) {
        for row in rows {
            let Some(connector) = row.group.strip_prefix("dependency:") else { continue };
            self.with(connector, |breaker| {
                if row.version <= breaker.control {
                    return;
                }
                breaker.control = row.version;
                match row.state.as_str() {
                    // Without a time somebody tripped it: it stays open until it is reset.
                    "open" => breaker.open_until = Some(row.probe_at.unwrap_or(Time(i64::MAX))),
                    // Some requests could not go on with it; whether it is down is for each breaker to find out.
                    "waiting" => {}
                    "half_open" => breaker.open_until = breaker.open_until.map(|until| until.min(row.changed_at)),
                    _ => (breaker.open_until, breaker.failures) = (None, 0),
                }
            });
        }
    }

    /// All breakers, by connector.
    #[must_use]
    pub fn views(&self, now: Time) -> Vec<BreakerView> {
        let breakers = self.breakers.lock().unwrap_or_else(PoisonError::into_inner);
        let mut names = self.remote.names();
        names.sort();
        let view = |connector: String| {
            let breaker = breakers.get(&connector);
            let until = breaker.and_then(|breaker| breaker.open_until);
            let state = match until {
                None => "closed",
                Some(until) if now >= until => "half_open",
                Some(_) => "open",
            };
            BreakerView { connector, state, failures: breaker.map_or(0, |breaker| breaker.failures), until }
        };
        names.into_iter().map(view).collect()
    }

    /// How long the connector's breaker stays open before a probe.
    #[must_use]
    pub fn open_for(&self, connector: &str) -> Duration {
        self.remote.breaker(connector).open_for
    }

    fn with<T>(&self, connector: &str, change: impl FnOnce(&mut Breaker) -> T) -> T {
        let mut breakers = self.breakers.lock().unwrap_or_else(PoisonError::into_inner);
        change(breakers.entry(connector.to_owned()).or_default())
    }
}

impl std::fmt::Debug for Breakers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Breakers").finish_non_exhaustive()
    }
}

/// A call that may be made. Dropped without a report (the worker gave up in the middle) it frees the probe's place.
#[derive(Debug)]
pub struct Admission<'a> {
    breakers: &'a Breakers,
    connector: &'a str,
    /// It is the probe of a breaker that was open until then.
    probe: Option<Time>,
}

impl Admission<'_> {
    /// Takes in how the call ended. Failures that say nothing about the dependency's health count as neither.
    pub fn report(self, result: Result<(), &Failure>, now: Time) -> Change {
        let settings = self.breakers.remote.breaker(self.connector);
        let probe = self.probe.is_some();
        self.breakers.with(self.connector, |breaker| match result {
            // It was opened anew in the meantime, perhaps by hand: an older probe does not decide about that.
            _ if self.probe.is_some_and(|until| breaker.open_until.is_some_and(|now| now > until)) => Change::None,
            Err(failure) if failure.code == "busy" => Change::None,
            Err(failure) if matches!(failure.class, FailureClass::Transient | FailureClass::Unknown) => {
                breaker.failures = breaker.failures.saturating_add(1);
                if probe || (breaker.open_until.is_none() && breaker.failures >= settings.failures.max(1)) {
                    let until = now.plus(settings.open_for);
                    breaker.open_until = Some(until);
                    return Change::Opened(until);
                }
                Change::None
            }
            _ if breaker.open_until.is_some() && !probe => Change::None,
            _ => {
                breaker.failures = 0;
                if breaker.open_until.take().is_some() { Change::Closed } else { Change::None }
            }
        })
    }
}

impl Drop for Admission<'_> {
    fn drop(&mut self) {
        if self.probe.is_some() {
            self.breakers.with(self.connector, |breaker| breaker.probing = false);
        }
    }
}

fn down() -> Failure {
    Failure {
        class: FailureClass::Unavailable,
        code: "breaker_open",
        status: None,
        detail: "the dependency is down: its breaker is open".to_owned(),
        retry_after: None,
    }
}
