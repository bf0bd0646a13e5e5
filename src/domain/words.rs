//! Small words that process files, ledgers and ports share.

use serde::{Deserialize, Serialize};

/// The written rule a step rests on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clause {
    /// The rule's identifier, `CARD-3.1`.
    pub id: String,
    /// The rule in words.
    pub text: String,
}

/// An HTTP method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// Reads.
    Get,
    /// Creates or acts.
    Post,
    /// Replaces.
    Put,
    /// Changes in part.
    Patch,
    /// Removes.
    Delete,
}

impl Method {
    /// Its name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Patch => "PATCH",
            Method::Delete => "DELETE",
        }
    }
}

/// The statuses that reach the rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Accept {
    /// 200 to 299.
    Success,
    /// Just these.
    Listed(Vec<u16>),
}

impl Accept {
    /// Does this status reach the rules?
    #[must_use]
    pub fn takes(&self, status: u16) -> bool {
        match self {
            Accept::Success => (200..300).contains(&status),
            Accept::Listed(list) => list.contains(&status),
        }
    }
}

/// What a reviewer may answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Choice {
    /// The step counts as passed.
    Approve,
    /// The request is refused, with a reason.
    Refuse,
    /// The step is done again.
    Retry,
    /// Fields of the request are corrected and the process is done again from its first verify step.
    Amend,
    /// The customer is asked for more.
    AskCustomer,
    /// The effect did happen.
    Applied,
    /// The effect did not happen.
    NotApplied,
}

impl Choice {
    /// Its name in files, on the wire and on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Choice::Approve => "approve",
            Choice::Refuse => "refuse",
            Choice::Retry => "retry",
            Choice::Amend => "amend",
            Choice::AskCustomer => "ask_customer",
            Choice::Applied => "applied",
            Choice::NotApplied => "not_applied",
        }
    }
}
