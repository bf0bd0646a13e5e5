//! What a refusal must look like, wherever it is given.

use serde_json::Value;

use crate::run::Case;

/// Says what, where and how to mend it: a sentence, short enough for a log, harmless on a terminal.
#[track_caller]
pub(crate) fn says_enough(detail: &str, about: &str) {
    assert!(detail.chars().count() >= 12, "`{detail}` says too little about {about}");
    assert!(detail.len() <= 4096, "{} bytes of detail about {about}", detail.len());
    let bad = |c: char| (c.is_control() && c != '\n') || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    assert!(!detail.contains(bad), "{detail:?} has control or direction characters, about {about}");
    for word in ["Some(", "Err(", "Error(", "None,", "panicked", "src/", "sqlx", "serde"] {
        assert!(!detail.contains(word), "`{detail}` shows our insides, about {about}");
    }
}

/// An answer of the API: no 5xx, and what is refused is a problem that helps.
#[track_caller]
pub(crate) fn fits(case: &Case, what: &str, reply: &crate::raw::Reply) {
    let (status, number) = (reply.status, case.number);
    assert!((200..500).contains(&status), "case {number}: {what} was answered {status}: {}", reply.shown());
    if status < 400 {
        return;
    }
    assert_eq!(reply.header("content-type"), Some("application/problem+json"), "case {number}: {what}: {}", reply.shown());
    let problem: Value = serde_json::from_slice(&reply.body).unwrap();
    assert!(problem["type"].as_str().unwrap().starts_with("/problems/"), "{}", reply.shown());
    says_enough(problem["detail"].as_str().unwrap(), &format!("case {number}: {what}"));
}
