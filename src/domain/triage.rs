//! The four roads out of trouble. One pure function decides which road a technical failure takes; the table in its
//! tests is the specification. (A clause that says no, and a rule that asks a person, are verdicts, not trouble.)

use std::time::Duration;

use sha2::{Digest, Sha256};

use super::process::model::Retry;
use super::request::fact::{Cause, FailureClass};
use super::time::Time;

/// The longest time that a target's Retry-After is followed.
pub const MAX_RETRY_AFTER: Duration = Duration::from_mins(5);
/// How long a call waits that found no free permit at its connector.
const BUSY_DELAY: Duration = Duration::from_millis(500);

/// Where a failed attempt goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Road {
    /// Again, then. `counted` is false where no attempt was made.
    Retry {
        /// When.
        at: Time,
        /// Does it use up an attempt?
        counted: bool,
    },
    /// Nobody knows whether the effect happened; looked at again then.
    Unknown {
        /// When.
        at: Time,
    },
    /// Wait for the dependency.
    ParkDependency,
    /// Wait for a fix.
    ParkDefect,
}

/// What was tried, and how often.
#[derive(Debug, Clone, Copy)]
pub struct Tried<'a> {
    /// The call has effects.
    pub effect: bool,
    /// This attempt's number, from 1.
    pub attempt: u32,
    /// The first attempt of this budget.
    pub first_try: Time,
    /// The budget.
    pub retry: &'a Retry,
}

/// Decides the road of a failed attempt. `jitter` is in `0.0..1.0`.
#[must_use]
pub fn triage(class: FailureClass, code: &str, retry_after: Option<Duration>, tried: Tried<'_>, now: Time, jitter: f64) -> Road {
    match (class, tried.effect) {
        (FailureClass::Unavailable, _) if code == "busy" => {
            Road::Retry { at: now.plus(BUSY_DELAY + BUSY_DELAY.mul_f64(jitter.clamp(0.0, 1.0))), counted: false }
        }
        (FailureClass::Unavailable, _) => Road::ParkDependency,
        (FailureClass::Permanent | FailureClass::Broken | FailureClass::Poison, _) => Road::ParkDefect,
        (FailureClass::Unknown, true) => Road::Unknown { at: now.plus(backoff(tried.retry, tried.attempt, jitter)) },
        (FailureClass::Transient | FailureClass::Unknown, _) => {
            let wait = match retry_after {
                Some(asked) => asked.min(MAX_RETRY_AFTER),
                None => backoff(tried.retry, tried.attempt, jitter),
            };
            let at = now.plus(wait);
            if tried.attempt < tried.retry.attempts && at <= tried.first_try.plus(tried.retry.within) {
                Road::Retry { at, counted: true }
            } else {
                Road::ParkDependency
            }
        }
    }
}

/// The delay after attempt `attempt` (from 1): exponential, capped, with full jitter but at least a tenth.
#[must_use]
pub fn backoff(retry: &Retry, attempt: u32, jitter: f64) -> Duration {
    let factor = f64::from(retry.factor_percent) / 100.0;
    let grown = retry.first.as_secs_f64() * factor.powi(i32::try_from(attempt.saturating_sub(1).min(64)).unwrap_or(64));
    let capped = grown.min(retry.max.as_secs_f64());
    Duration::from_secs_f64(capped * (0.1 + 0.9 * jitter.clamp(0.0, 1.0)))
}

/// A defect's identity: the parts are shown to people, the hex names the group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint {
    /// 16 hex characters.
    pub hex: String,
    /// The detail without what differs from case to case.
    pub pattern: String,
}

/// The fingerprint of a failure: stable over ids, times and numbers in the detail; different by process, slot,
/// connector, class, code and status.
#[must_use]
pub fn fingerprint(process: &str, slot: &str, cause: &Cause) -> Fingerprint {
    let pattern = pattern(&cause.detail);
    let status = cause.status.map(|status| status.to_string()).unwrap_or_default();
    let mut hasher = Sha256::new();
    let class = format!("{:?}", cause.class);
    for part in [process, slot, cause.connector.as_deref().unwrap_or(""), &class, &cause.code, &status, &pattern] {
        hasher.update(part.as_bytes());
        hasher.update([0]);
    }
    let mut hex = hex::encode(hasher.finalize());
    hex.truncate(16);
    Fingerprint { hex, pattern }
}

/// The detail with every word that holds a digit replaced: ids, times and numbers differ from request to request, the words
/// between them do not. Quoted texts stay: a detail quotes names of the process file, by which two mistakes differ, and no values.
fn pattern(detail: &str) -> String {
    let mut words: Vec<&str> = Vec::new();
    for word in detail.split_whitespace().take(60) {
        let shown = if word.chars().any(char::is_numeric) { "#" } else { word };
        if shown != "#" || words.last() != Some(&"#") {
            words.push(shown);
        }
    }
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time(1_000_000_000);

    fn road(class: FailureClass, code: &str, effect: bool, attempt: u32, after: Option<u64>) -> Road {
        let retry = Retry { attempts: 3, ..Retry::default() };
        triage(class, code, after.map(Duration::from_secs), Tried { effect, attempt, first_try: NOW, retry: &retry }, NOW, 1.0)
    }

    #[test]
    fn the_table_of_roads() {
        use FailureClass::{Broken, Permanent, Poison, Transient, Unavailable, Unknown};
        let again = |millis| Road::Retry { at: NOW.plus(Duration::from_millis(millis)), counted: true };
        for effect in [false, true] {
            assert_eq!(road(Transient, "connect", effect, 1, None), again(200));
            assert_eq!(road(Transient, "connect", effect, 2, None), again(400));
            assert_eq!(road(Transient, "status", effect, 1, Some(7)), again(7_000));
            assert_eq!(road(Transient, "status", effect, 1, Some(100_000)), again(300_000));
            assert_eq!(road(Transient, "connect", effect, 3, None), Road::ParkDependency);
            assert_eq!(road(Unavailable, "breaker_open", effect, 1, None), Road::ParkDependency);
            assert_eq!(
                road(Unavailable, "busy", effect, 3, None),
                Road::Retry { at: NOW.plus(Duration::from_secs(1)), counted: false }
            );
            for class in [Permanent, Broken, Poison] {
                assert_eq!(road(class, "status", effect, 1, None), Road::ParkDefect);
            }
        }
        assert_eq!(road(Unknown, "timeout", false, 1, None), again(200));
        assert_eq!(road(Unknown, "timeout", true, 1, None), Road::Unknown { at: NOW.plus(Duration::from_millis(200)) });
        assert_eq!(
            road(Unknown, "timeout", true, 9, None),
            Road::Unknown { at: NOW.plus(Duration::from_millis(51_200)) },
            "an unknown effect never becomes a plain retry or a park"
        );
    }

    #[test]
    fn delays_grow_are_capped_and_jittered() {
        let retry = Retry::default();
        assert_eq!(backoff(&retry, 1, 0.0), Duration::from_millis(20));
        assert_eq!(backoff(&retry, 1, 1.0), Duration::from_millis(200));
        assert_eq!(backoff(&retry, 4, 1.0), Duration::from_millis(1_600));
        assert_eq!(backoff(&retry, 4_000_000_000, 1.0), Duration::from_mins(1));
    }

    #[test]
    fn fingerprints_group_what_belongs_together() {
        let cause = |status, detail: &str| Cause {
            class: FailureClass::Broken,
            code: "status".into(),
            connector: Some("bank".into()),
            status,
            detail: detail.into(),
        };
        let base = fingerprint("unbind", "card", &cause(Some(418), "card 0192ab at 12:30:01 was odd after 17 tries"));
        assert_eq!(base.pattern, "card # at # was odd after # tries");
        assert_eq!(base.hex.len(), 16);
        assert_eq!(fingerprint("unbind", "card", &cause(Some(418), "card 77 at 09:00 was odd after 3 tries")), base);
        for other in [
            fingerprint("close", "card", &cause(Some(418), "card 1 at 1 was odd after 1 tries")),
            fingerprint("unbind", "face", &cause(Some(418), "card 1 at 1 was odd after 1 tries")),
            fingerprint("unbind", "card", &cause(Some(422), "card 1 at 1 was odd after 1 tries")),
            fingerprint("unbind", "card", &cause(Some(418), "card 1 at 1 was strange after 1 tries")),
            fingerprint("unbind", "card", &cause(Some(418), "there is no `status`")),
        ] {
            assert_ne!(other.hex, base.hex);
        }
        let no = |name: &str| fingerprint("unbind", "card", &cause(None, &format!("there is no `{name}`")));
        assert_ne!(no("status"), no("state"), "two mistakes in a process");
    }
}
