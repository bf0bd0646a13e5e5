//! A reviewers' tool says what a person decided: JSON, signed with a secret of that tool. Pure.
//!
//! The signature is an HMAC-SHA256 over the body's bytes, in the header `mozhao-signature: sha256=<hex>`. It proves which
//! tool speaks; what that tool may decide says the token of its name; who the reviewer is, the tool vouches for. A message that is sent twice, by whomever, carries a review's
//! version that has passed, and changes nothing; `at` only keeps very old ones out.
//!
//! ```json
//! {"tool": "desk", "reviewer": "wang", "review": "0198…", "version": 1, "choice": "refuse", "reason": "face_mismatch",
//!  "note": "another person", "nonce": "d-81723", "at": "2026-11-22T10:00:00Z"}
//! ```

use std::collections::BTreeMap;
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::Value;
use sha2::Sha256;
use uuid::Uuid;

use super::Tools;
use crate::domain::json;
use crate::domain::message::Incoming;
use crate::domain::time::Time;
use crate::domain::words::Choice;
use crate::engine::ports::broker::{RefusedDecision, ToolDecision};

/// The header that carries the signature.
pub const SIGNATURE: &str = "mozhao-signature";
/// The longest message, in bytes.
const MAX_BYTES: usize = 256 * 1024;
/// The longest note, in bytes.
const MAX_NOTE: usize = 8 * 1024;
/// The longest name or nonce, in bytes.
const MAX_NAME: usize = 128;
/// A decision may wait in the queue so long.
const MAX_AGE: Duration = Duration::from_hours(24);
/// A tool's clock may be ahead so far.
const MAX_AHEAD: Duration = Duration::from_mins(5);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    tool: String,
    reviewer: String,
    review: Uuid,
    version: u32,
    choice: Choice,
    reason: Option<String>,
    #[serde(default)]
    note: String,
    #[serde(default)]
    fields: BTreeMap<String, Value>,
    nonce: String,
    at: String,
}

/// The signature of a body, as the header's value.
#[must_use]
pub fn sign(body: &[u8], secret: &[u8]) -> String {
    match Hmac::<Sha256>::new_from_slice(secret) {
        Ok(mac) => format!("sha256={}", hex::encode(mac.chain_update(body).finalize().into_bytes())),
        // HMAC takes keys of any length.
        Err(_) => String::new(),
    }
}

/// Reads and verifies one message at the time `now`.
pub fn read(message: &Incoming, tools: &Tools, now: Time) -> Result<ToolDecision, Box<RefusedDecision>> {
    let mut refused = RefusedDecision { code: "too_large", detail: String::new(), tool: None, review: None, nonce: None };
    let refuse =
        |code: &'static str, detail: String, about: &RefusedDecision| Box::new(RefusedDecision { code, detail, ..about.clone() });
    if message.body.len() > MAX_BYTES {
        return Err(refuse("too_large", format!("a decision has at most {MAX_BYTES} bytes"), &refused));
    }
    let body = json::parse(&message.body, json::MAX_DEPTH)
        .map_err(|fault| refuse("bad_json", format!("the body is not JSON that is read here: {fault}"), &refused))?;
    let text = |name: &str| body.get(name).and_then(Value::as_str).filter(|text| proper(text)).map(str::to_owned);
    refused.tool = text("tool");
    refused.review = text("review").and_then(|review| review.parse().ok());
    refused.nonce = text("nonce");
    let secrets = refused.tool.as_ref().and_then(|tool| tools.get(tool));
    let Some(secrets) = secrets else {
        return Err(refuse("unknown_tool", "`tool` names no tool that is known here".to_owned(), &refused));
    };
    let given = message.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(SIGNATURE)).map(|(_, value)| value.as_str());
    if !secrets.iter().any(|secret| fits(&message.body, secret.expose_secret().as_bytes(), given)) {
        let detail = format!(
            "the header `{SIGNATURE}: sha256=<hex>` is missing, or not the HMAC-SHA256 of the body with the tool's secret"
        );
        return Err(refuse("bad_signature", detail, &refused));
    }
    let raw: Raw = serde_json::from_value(body).map_err(|error| refuse("bad_decision", shape(&error), &refused))?;
    for (name, value) in [("tool", &raw.tool), ("reviewer", &raw.reviewer), ("nonce", &raw.nonce)] {
        if !proper(value) {
            let detail = format!("`{name}` is 1 to {MAX_NAME} bytes long, without control characters");
            return Err(refuse("bad_decision", detail, &refused));
        }
    }
    if raw.note.len() > MAX_NOTE || raw.reason.as_ref().is_some_and(|reason| !proper(reason)) {
        return Err(refuse("bad_decision", format!("`note` has at most {MAX_NOTE} bytes, `reason` is a name"), &refused));
    }
    let at = raw.at.parse::<jiff::Timestamp>().map(|at| Time(at.as_microsecond()));
    let at = at.map_err(|_| refuse("bad_decision", "`at` is no time such as 2026-11-22T10:00:00Z".to_owned(), &refused))?;
    if now.since(at) > MAX_AGE || at.since(now) > MAX_AHEAD {
        let detail = "`at` is more than a day ago, or more than five minutes ahead".to_owned();
        return Err(refuse("too_old", detail, &refused));
    }
    Ok(ToolDecision {
        tool: raw.tool,
        reviewer: raw.reviewer,
        review: raw.review,
        version: raw.version,
        choice: raw.choice,
        reason: raw.reason,
        note: raw.note,
        fields: raw.fields,
        nonce: raw.nonce,
        at,
    })
}

fn proper(text: &str) -> bool {
    (1..=MAX_NAME).contains(&text.len()) && text.trim() == text && !text.chars().any(char::is_control)
}

/// In constant time, as far as the signature's content goes.
fn fits(body: &[u8], secret: &[u8], given: Option<&str>) -> bool {
    let Some(given) = given.and_then(|given| given.strip_prefix("sha256=")) else { return false };
    let (Ok(given), Ok(mac)) = (hex::decode(given), Hmac::<Sha256>::new_from_slice(secret)) else { return false };
    !secret.is_empty() && mac.chain_update(body).verify_slice(&given).is_ok()
}

/// What serde misses, without the values that it repeats.
fn shape(error: &serde_json::Error) -> String {
    // It may repeat a word of the message, whatever characters that is made of.
    let text = json::shown(&error.to_string(), 300);
    let known = ["missing field", "unknown field", "unknown variant"].iter().any(|start| text.starts_with(start));
    let rule = "a decision has tool, reviewer, review (a UUID), version (a number), choice, nonce, at; and reason, note, fields where the choice needs them";
    if known && text.len() < 300 { format!("{text}; {rule}") } else { rule.to_owned() }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

    use bytes::Bytes;
    use serde_json::json;

    use super::*;

    /// 2026-11-22T10:00:00Z.
    const NOW: Time = Time(1_795_341_600_000_000);
    const SECRET: &str = "desk-secret";

    fn tools() -> Tools {
        BTreeMap::from([
            ("desk".to_owned(), vec![SECRET.into(), "old-secret".into()]),
            ("other".to_owned(), vec!["other-secret".into()]),
            ("unset".to_owned(), vec!["".into()]),
        ])
    }

    fn decision() -> Value {
        json!({"tool": "desk", "reviewer": "wang", "review": "01980000-0000-7000-8000-000000000001", "version": 1,
            "choice": "refuse", "reason": "face_mismatch", "nonce": "d-1", "at": "2026-11-22T09:59:00Z"})
    }

    fn with(name: &str, value: Value) -> Value {
        let mut decision = decision();
        decision[name] = value;
        decision
    }

    fn without(name: &str) -> Value {
        let mut decision = decision();
        decision.as_object_mut().unwrap().remove(name);
        decision
    }

    fn signed(body: &Value, secret: &str) -> Incoming {
        let body = Bytes::from(body.to_string());
        let headers = BTreeMap::from([(SIGNATURE.to_owned(), sign(&body, secret.as_bytes()))]);
        Incoming { body, headers, ..Incoming::default() }
    }

    #[test]
    fn a_signed_decision_is_read() {
        for secret in [SECRET, "old-secret"] {
            let read = read(&signed(&decision(), secret), &tools(), NOW).unwrap();
            assert_eq!((read.tool.as_str(), read.reviewer.as_str(), read.version), ("desk", "wang", 1));
            assert_eq!((read.choice, read.reason.as_deref()), (Choice::Refuse, Some("face_mismatch")));
            assert_eq!((read.nonce.as_str(), read.note.as_str()), ("d-1", ""));
            assert_eq!(NOW.since(read.at), Duration::from_mins(1));
        }
        let amended = read(&signed(&with("fields", json!({"phone": "1"})), SECRET), &tools(), NOW).unwrap();
        assert_eq!(amended.fields, BTreeMap::from([("phone".to_owned(), json!("1"))]));
    }

    #[test]
    fn the_signature_is_the_usual_one() {
        // RFC 4231, test case 2.
        let expected = "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(sign(b"what do ya want for nothing?", b"Jefe"), expected);
    }

    #[test]
    fn what_is_forged_or_broken_is_refused() {
        let unsigned = |body: &[u8]| Incoming { body: Bytes::copy_from_slice(body), ..Incoming::default() };
        let header = |value: &str| {
            let mut message = signed(&decision(), SECRET);
            message.headers.insert(SIGNATURE.to_owned(), value.to_owned());
            message
        };
        let good = signed(&decision(), SECRET).headers[SIGNATURE].clone();
        let moved = Incoming { body: signed(&with("version", json!(2)), SECRET).body, ..signed(&decision(), SECRET) };
        let table = [
            ("not JSON", unsigned(b"no"), "bad_json"),
            ("a key twice", unsigned(b"{\"tool\":\"desk\",\"tool\":\"other\"}"), "bad_json"),
            ("too large", unsigned(&vec![b' '; MAX_BYTES + 1]), "too_large"),
            ("a list", unsigned(b"[]"), "unknown_tool"),
            ("a stranger", signed(&with("tool", json!("stranger")), SECRET), "unknown_tool"),
            ("no tool", signed(&without("tool"), SECRET), "unknown_tool"),
            ("unsigned", unsigned(decision().to_string().as_bytes()), "bad_signature"),
            ("another body", moved, "bad_signature"),
            ("another tool's secret", signed(&decision(), "other-secret"), "bad_signature"),
            ("another tool's name", signed(&with("tool", json!("other")), SECRET), "bad_signature"),
            ("an empty secret", signed(&with("tool", json!("unset")), ""), "bad_signature"),
            ("cut off", header(&good[..40]), "bad_signature"),
            ("longer", header(&format!("{good}00")), "bad_signature"),
            ("no prefix", header(&good[7..]), "bad_signature"),
            ("another hash", header(&good.replace("sha256", "sha1")), "bad_signature"),
            ("no hex", header("sha256=zz"), "bad_signature"),
            ("empty", header(""), "bad_signature"),
            ("no review", signed(&without("review"), SECRET), "bad_decision"),
            ("no version", signed(&without("version"), SECRET), "bad_decision"),
            ("no reviewer", signed(&without("reviewer"), SECRET), "bad_decision"),
            ("an empty reviewer", signed(&with("reviewer", json!("")), SECRET), "bad_decision"),
            ("no nonce", signed(&without("nonce"), SECRET), "bad_decision"),
            ("another choice", signed(&with("choice", json!("promote")), SECRET), "bad_decision"),
            ("a choice with NUL", signed(&with("choice", json!("a\0\u{202e}b")), SECRET), "bad_decision"),
            ("another key", signed(&with("admin", json!(true)), SECRET), "bad_decision"),
            ("a long note", signed(&with("note", json!("x".repeat(MAX_NOTE + 1))), SECRET), "bad_decision"),
            ("no time", signed(&with("at", json!("yesterday")), SECRET), "bad_decision"),
            ("old", signed(&with("at", json!("2026-11-21T09:59:59Z")), SECRET), "too_old"),
            ("ahead", signed(&with("at", json!("2026-11-22T10:05:01Z")), SECRET), "too_old"),
        ];
        for (name, message, code) in table {
            let refused = read(&message, &tools(), NOW).expect_err(name);
            assert_eq!(refused.code, code, "{name}: {refused:?}");
            assert!(!refused.detail.is_empty() && !refused.detail.contains(SECRET), "{name}: {refused:?}");
            assert!(!refused.detail.contains(['\0', '\u{202e}']), "{name}: {refused:?}");
        }
    }
}
