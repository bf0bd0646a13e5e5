//! Who may do what: the whole table, in one place, without I/O.
//!
//! A token has roles; an action is allowed when one of them allows it. What a token may *see* narrows further: the
//! processes that it is good for, and, without a role that reads all requests, only what it sent itself.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Sends requests and follows its own.
    Submitter,
    /// Answers the questions that are put to people.
    Reviewer,
    /// Keeps things running: groups, dependencies, retries.
    Operator,
    /// Reads everything, changes nothing.
    Auditor,
    /// May do everything, and makes tokens.
    Admin,
}

/// All roles.
pub const ROLES: [Role; 5] = [Role::Submitter, Role::Reviewer, Role::Operator, Role::Auditor, Role::Admin];

impl Role {
    /// The role's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Submitter => "submitter",
            Role::Reviewer => "reviewer",
            Role::Operator => "operator",
            Role::Auditor => "auditor",
            Role::Admin => "admin",
        }
    }

    /// The role of this word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Role> {
        ROLES.into_iter().find(|role| role.as_str() == word)
    }
}

/// What the API does for somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Send a request.
    Submit,
    /// Read the requests that the token itself sent.
    ReadOwn,
    /// Read everybody's requests, with evidence, notes and who decided.
    ReadRequests,
    /// Withdraw a request, or send what was asked of the customer.
    Follow,
    /// Write a note.
    Note,
    /// Try a request again now, or put it to a person.
    Steer,
    /// Read the questions put to people.
    ReadReviews,
    /// Claim, release, decide.
    Review,
    /// Raise a question's level.
    Escalate,
    /// See a masked value of a request that is in review.
    Reveal,
    /// Read how requests are handled.
    ReadProcesses,
    /// Read defects, dependencies, workers and the balance.
    ReadOperations,
    /// Resume groups, trip and reset dependencies.
    Operate,
    /// Read rejected messages and the events of all requests.
    ReadAll,
    /// List tokens.
    ReadTokens,
    /// Make and revoke tokens.
    ManageTokens,
}

/// All actions.
pub const ACTIONS: [Action; 16] = [
    Action::Submit,
    Action::ReadOwn,
    Action::ReadRequests,
    Action::Follow,
    Action::Note,
    Action::Steer,
    Action::ReadReviews,
    Action::Review,
    Action::Escalate,
    Action::Reveal,
    Action::ReadProcesses,
    Action::ReadOperations,
    Action::Operate,
    Action::ReadAll,
    Action::ReadTokens,
    Action::ManageTokens,
];

/// Does this role allow this action?
#[must_use]
pub fn allows(role: Role, action: Action) -> bool {
    use Action::{
        Escalate, Follow, ManageTokens, Note, Operate, ReadAll, ReadOperations, ReadOwn, ReadProcesses, ReadRequests,
        ReadReviews, ReadTokens, Reveal, Review, Steer, Submit,
    };
    match (role, action) {
        (Role::Admin, _) | (_, ReadProcesses) => true,
        (Role::Submitter, Submit | ReadOwn | Follow) => true,
        (Role::Reviewer, ReadOwn | ReadRequests | Note | ReadReviews | Review | Escalate | Reveal) => true,
        (Role::Operator, ReadOwn | ReadRequests | Follow | Note | Steer | ReadReviews | Escalate) => true,
        (Role::Operator, ReadOperations | Operate | ReadAll) => true,
        (Role::Auditor, ReadOwn | ReadRequests | ReadReviews | ReadOperations | ReadAll | ReadTokens) => true,
        (_, ManageTokens) => false,
        _ => false,
    }
}

/// The roles that allow an action, for the answer to somebody who has none of them.
#[must_use]
pub fn roles_for(action: Action) -> Vec<&'static str> {
    ROLES.into_iter().filter(|role| allows(*role, action)).map(Role::as_str).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table() {
        let mut table = String::from("                 sub rev ope aud adm\n");
        for action in ACTIONS {
            let marks: String = ROLES.iter().map(|role| if allows(*role, action) { "  x " } else { "  . " }).collect();
            table.push_str(format!("{:<17}{}", format!("{action:?}"), marks).trim_end());
            table.push('\n');
        }
        let expected = "                 sub rev ope aud adm
Submit             x   .   .   .   x
ReadOwn            x   x   x   x   x
ReadRequests       .   x   x   x   x
Follow             x   .   x   .   x
Note               .   x   x   .   x
Steer              .   .   x   .   x
ReadReviews        .   x   x   x   x
Review             .   x   .   .   x
Escalate           .   x   x   .   x
Reveal             .   x   .   .   x
ReadProcesses      x   x   x   x   x
ReadOperations     .   .   x   x   x
Operate            .   .   x   .   x
ReadAll            .   .   x   x   x
ReadTokens         .   .   .   x   x
ManageTokens       .   .   .   .   x
";
        assert_eq!(table, expected, "\n{table}");
    }

    #[test]
    fn roles_have_words() {
        for role in ROLES {
            assert_eq!(Role::parse(role.as_str()), Some(role));
        }
        assert_eq!(Role::parse("root"), None);
        assert_eq!(roles_for(Action::ManageTokens), ["admin"]);
    }
}
