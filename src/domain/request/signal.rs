//! What reaches a request's owner from outside. Everyone but the owner writes signals; only the owner writes the
//! ledger, so an intent and a withdrawal, or two decisions, meet in one place and one of them wins.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::domain::words::Choice;

/// Something from outside for a request's owner.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Signal {
    /// The sender takes the request back.
    Withdraw {
        /// Who.
        by: String,
        /// Why, in their words.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<String>,
    },
    /// An external system calls back.
    Callback {
        /// The callback's name.
        name: String,
        /// The JSON body.
        body: Value,
    },
    /// The customer sends what was asked for.
    Supplement {
        /// Fields of the payload that are replaced.
        fields: BTreeMap<String, Value>,
        /// Who.
        by: String,
    },
    /// A reviewer decided; the store has already checked that the review was open at the version seen.
    Decide(Decision),
    /// A parked request goes on.
    Resume {
        /// `probe`, or who.
        by: String,
        /// The group that is resumed; ignored when the request is parked under another by now.
        group: String,
        /// Move to this version first.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to_version: Option<u32>,
    },
    /// A waiting retry is done at once.
    RetryNow {
        /// Who.
        by: String,
    },
    /// A parked or waiting request is put to a person.
    MoveToReview {
        /// Who.
        by: String,
        /// Why.
        note: String,
    },
    /// A note.
    Note {
        /// Who.
        by: String,
        /// What.
        text: String,
    },
}

/// The person behind a name: a reviewers' tool says `wang@desk` of the person whose own token is `wang` (tokens have no `@`).
#[must_use]
pub fn person(by: &str) -> &str {
    by.rsplit_once('@').map_or(by, |(person, _)| person)
}

/// A reviewer's decision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// The review.
    pub review: Uuid,
    /// What.
    pub choice: Choice,
    /// Who.
    pub by: String,
    /// Who decided first, where two had to agree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_by: Option<String>,
    /// What the first wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_note: Option<String>,
    /// The refusal's reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Why; or what the customer is asked.
    #[serde(default)]
    pub note: String,
    /// Fields that are replaced (amend).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, Value>,
}
