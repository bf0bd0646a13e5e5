//! Scripted troubles: what a dependency does to those who rely on it, on demand.
//!
//! The hard ones are those in which the call *took effect* and the caller cannot know: applied and then silent, applied
//! and then reset, applied later than the caller's deadline. Rules are data, so that a test sets them in the process
//! and a demo over HTTP; choosing a rule is pure bookkeeping (here), acting it out is `trouble.rs`.

use serde::{Deserialize, Serialize};

use super::random::Random;

/// What happens to a call that a rule catches. Durations in milliseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Trouble {
    /// Answers this status at once; nothing is applied.
    Status {
        /// HTTP status, such as 500, 503 or 429.
        status: u16,
        /// `Retry-After`, in seconds.
        #[serde(default)]
        retry_after_s: Option<u64>,
    },
    /// Applies the call and then answers this status instead of the truth.
    ApplyThenStatus {
        /// HTTP status, such as 500 or 502.
        status: u16,
    },
    /// Applies the call, then answers after `answer_after_ms`, or never.
    ApplyThenHang {
        /// Absent: never.
        #[serde(default)]
        answer_after_ms: Option<u64>,
    },
    /// Applies the call, then resets the connection (TCP RST) without an answer.
    ApplyThenReset,
    /// Applies the call `ms` later, whether or not the caller still waits; the answer comes then.
    ApplyLate {
        /// How long the effect takes to happen.
        ms: u64,
    },
    /// Never answers; nothing is applied.
    Hang,
    /// Resets the connection; nothing is applied.
    Reset,
    /// Handles the call normally after a delay.
    Delay {
        /// The delay.
        ms: u64,
    },
    /// Status 200 with an HTML page, as a proxy or a login wall would send; nothing is applied.
    Html,
    /// Applies the call and answers JSON that breaks off in the middle.
    Truncated,
    /// Applies the call and answers its status with an empty body.
    EmptyBody,
    /// Status 200 with a JSON string of this many bytes; nothing is applied.
    Huge {
        /// Bytes of the body.
        bytes: u64,
    },
    /// Status 200 with a gzip body that decompresses to about this many bytes (160 times what is sent).
    GzipBomb {
        /// Bytes after decompression.
        bytes: u64,
    },
    /// Applies the call and sends the answer one byte at a time.
    Trickle {
        /// Pause between two bytes.
        ms_per_byte: u64,
    },
    /// 302 to this address; nothing is applied.
    Redirect {
        /// The `Location`.
        to: String,
    },
    /// Handles the call, but a field of the answer has another name (a changed contract).
    Rename {
        /// Name in the contract.
        field: String,
        /// Name sent instead.
        to: String,
    },
    /// Handles the call, but a field of the answer has another type (numbers become strings, the rest becomes a list).
    Retype {
        /// Name of the field.
        field: String,
    },
}

impl Trouble {
    /// The name under which the ledger records it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Status { .. } => "status",
            Self::ApplyThenStatus { .. } => "apply_then_status",
            Self::ApplyThenHang { .. } => "apply_then_hang",
            Self::ApplyThenReset => "apply_then_reset",
            Self::ApplyLate { .. } => "apply_late",
            Self::Hang => "hang",
            Self::Reset => "reset",
            Self::Delay { .. } => "delay",
            Self::Html => "html",
            Self::Truncated => "truncated",
            Self::EmptyBody => "empty_body",
            Self::Huge { .. } => "huge",
            Self::GzipBomb { .. } => "gzip_bomb",
            Self::Trickle { .. } => "trickle",
            Self::Redirect { .. } => "redirect",
            Self::Rename { .. } => "rename",
            Self::Retype { .. } => "retype",
        }
    }
}

/// One rule: which calls it catches, how often, and what then happens to them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// HTTP method; absent: any.
    #[serde(default)]
    pub method: Option<String>,
    /// Path pattern: `*` stands for any characters within one segment, `**` for any rest: `/bank/cards/*/unbind`,
    /// `/bank/**`, `/bank/cards/NB*`.
    pub path: String,
    /// What happens.
    pub trouble: Trouble,
    /// Share of the matching calls that are caught, 0 to 1.
    #[serde(default = "certain")]
    pub probability: f64,
    /// Matching calls that pass unharmed before the rule begins.
    #[serde(default)]
    pub skip: u64,
    /// Calls to catch before the rule is spent; absent: no end.
    #[serde(default)]
    pub count: Option<u64>,
}

fn certain() -> f64 {
    1.0
}

impl Fault {
    /// A rule for all calls that match the path.
    pub fn new(path: impl Into<String>, trouble: Trouble) -> Self {
        Self { method: None, path: path.into(), trouble, probability: 1.0, skip: 0, count: None }
    }

    /// Only calls with this method.
    #[must_use]
    pub fn method(mut self, method: impl Into<String>) -> Self {
        self.method = Some(method.into());
        self
    }

    /// Only so many calls.
    #[must_use]
    pub fn times(mut self, count: u64) -> Self {
        self.count = Some(count);
        self
    }

    /// Only after so many matching calls.
    #[must_use]
    pub fn after(mut self, skip: u64) -> Self {
        self.skip = skip;
        self
    }

    /// Only this share of the calls.
    #[must_use]
    pub fn probability(mut self, probability: f64) -> Self {
        self.probability = probability;
        self
    }

    fn matches(&self, method: &str, path: &str) -> bool {
        self.method.as_deref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(method)) && glob(&self.path, path)
    }
}

/// A rule in force, with what it has done.
#[derive(Debug, Clone, Serialize)]
pub struct ActiveFault {
    /// Names the rule for removal.
    pub id: u64,
    /// The rule.
    #[serde(flatten)]
    pub fault: Fault,
    /// Matching calls seen.
    pub seen: u64,
    /// Calls caught.
    pub caught: u64,
}

/// The rules in force, in the order in which they were added; the first that catches a call decides.
#[derive(Debug)]
pub(super) struct Faults {
    rules: Vec<ActiveFault>,
    next_id: u64,
    dice: Random,
}

impl Faults {
    pub(super) fn new(seed: u64) -> Self {
        Self { rules: Vec::new(), next_id: 1, dice: Random::new(seed) }
    }

    pub(super) fn add(&mut self, fault: Fault) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        self.rules.push(ActiveFault { id, fault, seen: 0, caught: 0 });
        id
    }

    /// False when no rule has this id.
    pub(super) fn remove(&mut self, id: u64) -> bool {
        let before = self.rules.len();
        self.rules.retain(|rule| rule.id != id);
        self.rules.len() < before
    }

    pub(super) fn clear(&mut self) {
        self.rules.clear();
    }

    pub(super) fn list(&self) -> Vec<ActiveFault> {
        self.rules.clone()
    }

    /// The trouble for this call, if any; counts.
    pub(super) fn pick(&mut self, method: &str, path: &str) -> Option<Trouble> {
        for rule in &mut self.rules {
            if rule.fault.count.is_some_and(|count| rule.caught >= count) || !rule.fault.matches(method, path) {
                continue;
            }
            rule.seen += 1;
            if rule.seen > rule.fault.skip && self.dice.chance(rule.fault.probability) {
                rule.caught += 1;
                return Some(rule.fault.trouble.clone());
            }
        }
        None
    }
}

/// `*` within a segment, a final `**` for any rest (the rest may be empty).
fn glob(pattern: &str, path: &str) -> bool {
    let mut wanted = pattern.split('/');
    let mut given = path.split('/');
    loop {
        match (wanted.next(), given.next()) {
            (Some("**"), _) | (None, None) => return true,
            (Some(wanted), Some(given)) if segment(wanted, given) => {}
            _ => return false,
        }
    }
}

fn segment(pattern: &str, text: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(mut text) = text.strip_prefix(head) else {
        return false;
    };
    // The parts between stars are found leftmost; the last must stand at the end.
    let mut parts = rest.split('*').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return text.ends_with(part);
        }
        match text.find(part) {
            Some(at) => text = text.get(at + part.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, path, expected) in [
            ("/bank/cards/*/unbind", "/bank/cards/C1/unbind", true),
            ("/bank/cards/*/unbind", "/bank/cards/C1/bind", false),
            ("/bank/cards/*/unbind", "/bank/cards/a/b/unbind", false),
            ("/bank/cards/NB*", "/bank/cards/NB7", true),
            ("/bank/cards/NB*", "/bank/cards/C7", false),
            ("/bank/cards/NB*", "/bank/cards/NB7/pending", false),
            ("/bank/**", "/bank/cards/C1", true),
            ("/bank/**", "/banks", false),
            ("/bank/**", "/bank", true),
            ("/**", "/anything/at/all", true),
            ("/a*b*c", "/axxbyyc", true),
            ("/a*b*c", "/axxbyy", false),
            ("/face/compare", "/face/compare", true),
        ] {
            assert_eq!(glob(pattern, path), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn a_rule_is_spent_after_its_count_and_starts_after_its_skip() {
        let mut faults = Faults::new(1);
        faults.add(Fault::new("/bank/**", Trouble::Hang).after(1).times(2));
        let caught: Vec<_> = (0..5).map(|_| faults.pick("GET", "/bank/health").is_some()).collect();
        assert_eq!(caught, [false, true, true, false, false]);
    }

    #[test]
    fn the_first_rule_that_catches_decides() {
        let mut faults = Faults::new(1);
        faults.add(Fault::new("/bank/**", Trouble::Hang).method("POST"));
        faults.add(Fault::new("/bank/**", Trouble::Reset));
        assert_eq!(faults.pick("GET", "/bank/x"), Some(Trouble::Reset));
        assert_eq!(faults.pick("post", "/bank/x"), Some(Trouble::Hang));
    }

    #[test]
    fn the_same_seed_catches_the_same_calls() {
        let run = |seed| {
            let mut faults = Faults::new(seed);
            faults.add(Fault::new("/**", Trouble::Hang).probability(0.3));
            (0..200).map(|_| faults.pick("GET", "/x").is_some()).collect::<Vec<_>>()
        };
        assert_eq!(run(42), run(42));
        assert_ne!(run(42), run(43));
    }

    #[test]
    fn rules_are_strict_json() {
        let fault: Fault = serde_json::from_str(
            r#"{"path": "/bank/**", "trouble": {"kind": "status", "status": 503, "retry_after_s": 2}, "count": 3}"#,
        )
        .unwrap();
        assert_eq!(fault, Fault::new("/bank/**", Trouble::Status { status: 503, retry_after_s: Some(2) }).times(3));
        assert!(serde_json::from_str::<Fault>(r#"{"path": "/", "trouble": {"kind": "hang"}, "cuont": 3}"#).is_err());
        assert!(serde_json::from_str::<Fault>(r#"{"path": "/", "trouble": {"kind": "delay", "msec": 3}}"#).is_err());
    }
}
