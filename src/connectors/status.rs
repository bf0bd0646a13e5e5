//! What we know about an effect after a call went wrong: the table of "failure classes", pure.
//!
//! The hard question is not whether a call failed but whether it took effect. Before the first byte of a request is
//! written it certainly did not. Afterwards only an answer can say so, and only where HTTP's contract (4xx), the
//! usual meaning (429, 503 with Retry-After) or the connector's file (`retry_on`, `safe_on`) makes it binding.
//!
//! | seen | effect | read |
//! |---|---|---|
//! | not sent: refused, DNS, TLS, timeout while connecting | transient | transient |
//! | broke afterwards: timeout, reset, broken HTTP, body cut off | unknown | transient |
//! | status in `safe_on` | permanent | permanent |
//! | status in `retry_on`, 429, 503 with Retry-After | transient | transient |
//! | other 5xx | unknown | transient |
//! | 408, 409, 425 | unknown | transient |
//! | other 4xx | broken | broken |
//! | 307, 308 | broken | broken |
//! | other 3xx, a 2xx that is not accepted | unknown | broken |
//! | accepted 2xx whose body is no JSON, or too large | unknown | broken |
//! | accepted 2xx without a body | (an answer) | broken, except 204 and 205 |
//! | other accepted status whose body is no JSON, or too large | as if it were not accepted | broken |

use crate::domain::request::fact::FailureClass;
use crate::faults::bug;

/// What a connector's target promises about its statuses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StatusRules {
    /// Nothing was applied, and another try may help.
    pub retry_on: Vec<u16>,
    /// Nothing was applied, and another try would be the same.
    pub safe_on: Vec<u16>,
}

/// What was seen of a call without a usable answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// No byte of the request was written.
    NotSent,
    /// The call ended after bytes may have been written, and before the whole answer was there.
    Broke,
    /// An answer with a status that the call does not accept.
    Status {
        /// The status.
        status: u16,
        /// It came with a Retry-After.
        asks_to_wait: bool,
    },
    /// An answer whose status is accepted and whose body cannot be used.
    Body {
        /// The status.
        status: u16,
    },
}

/// How sure we are that nothing happened.
#[must_use]
pub fn classify(seen: Seen, effect: bool, rules: &StatusRules) -> FailureClass {
    use FailureClass::{Broken, Permanent, Transient, Unknown};
    let for_effects = |unsure: FailureClass, read: FailureClass| if effect { unsure } else { read };
    match seen {
        Seen::Broke if bug("break_is_safe") => Transient,
        Seen::Status { status, .. } if rules.safe_on.contains(&status) => Permanent,
        Seen::Status { status, .. } if rules.retry_on.contains(&status) => Transient,
        Seen::NotSent | Seen::Status { status: 429, .. } | Seen::Status { status: 503, asks_to_wait: true } => Transient,
        Seen::Broke | Seen::Status { status: 500.. | 408 | 409 | 425, .. } => for_effects(Unknown, Transient),
        Seen::Status { status: 307 | 308 | 400.., .. } => Broken,
        Seen::Status { .. } | Seen::Body { status: 200..300 } => for_effects(Unknown, Broken),
        Seen::Body { status } if effect => classify(Seen::Status { status, asks_to_wait: false }, true, rules),
        Seen::Body { .. } => Broken,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use FailureClass::{Broken, Permanent, Transient, Unknown};

    #[test]
    fn the_table() {
        let rules = StatusRules { retry_on: vec![503, 418], safe_on: vec![409, 404] };
        let none = StatusRules::default();
        let status = |status| Seen::Status { status, asks_to_wait: false };
        let waits = |status| Seen::Status { status, asks_to_wait: true };
        let body = |status| Seen::Body { status };
        // (seen, rules, effect, read)
        let table = [
            (Seen::NotSent, &none, Transient, Transient),
            (Seen::Broke, &none, Unknown, Transient),
            (status(429), &none, Transient, Transient),
            (waits(429), &none, Transient, Transient),
            (status(503), &none, Unknown, Transient),
            (waits(503), &none, Transient, Transient),
            (status(503), &rules, Transient, Transient),
            (status(418), &rules, Transient, Transient),
            (status(418), &none, Broken, Broken),
            (status(500), &none, Unknown, Transient),
            (waits(500), &none, Unknown, Transient),
            (status(502), &none, Unknown, Transient),
            (status(599), &none, Unknown, Transient),
            (status(600), &none, Unknown, Transient),
            (status(408), &none, Unknown, Transient),
            (status(409), &none, Unknown, Transient),
            (status(425), &none, Unknown, Transient),
            (status(409), &rules, Permanent, Permanent),
            (status(404), &rules, Permanent, Permanent),
            (status(404), &none, Broken, Broken),
            (status(400), &none, Broken, Broken),
            (status(401), &none, Broken, Broken),
            (status(422), &none, Broken, Broken),
            (status(301), &none, Unknown, Broken),
            (status(302), &none, Unknown, Broken),
            (status(303), &none, Unknown, Broken),
            (status(307), &none, Broken, Broken),
            (status(308), &none, Broken, Broken),
            (status(200), &none, Unknown, Broken),
            (status(204), &none, Unknown, Broken),
            (body(200), &none, Unknown, Broken),
            (body(404), &none, Broken, Broken),
            (body(409), &none, Unknown, Broken),
            (body(409), &rules, Permanent, Broken),
            (body(500), &none, Unknown, Broken),
        ];
        for (seen, rules, effect, read) in table {
            assert_eq!(classify(seen, true, rules), effect, "effect, {seen:?}");
            assert_eq!(classify(seen, false, rules), read, "read, {seen:?}");
        }
    }

    #[test]
    fn an_effect_is_never_called_safe_without_a_reason() {
        let none = StatusRules::default();
        for status in 100..=999 {
            let class = classify(Seen::Status { status, asks_to_wait: false }, true, &none);
            let certain = status == 429
                || matches!(status, 307 | 308)
                || (400..500).contains(&status) && ![408, 409, 425].contains(&status);
            assert_eq!(class == Unknown, !certain, "{status}: {class:?}");
        }
    }
}
