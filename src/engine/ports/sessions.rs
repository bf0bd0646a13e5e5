//! The part of durable state that lets people in: one-time links, sessions, and who has looked at a masked value.
//!
//! Secrets never get here, only their SHA-256: they are 256 random bits, so a hash needs no salt and can be looked up by an
//! index. Who a person is stands on the row itself, as it stands on a token: revoking is one UPDATE, and nothing is cached.

use async_trait::async_trait;
use uuid::Uuid;

use super::store::StoreError;
use super::users::Users;
use crate::domain::time::Time;

/// Who signs in, and what they may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// Who acts.
    pub name: String,
    /// `reviewer`, `operator`, `auditor`, `admin` …
    pub roles: Vec<String>,
    /// The processes that it is good for; empty: all.
    pub processes: Vec<String>,
    /// The reviewers' roles (`identity` …); for reviews that ask for one.
    pub review_roles: Vec<String>,
}

/// A link that signs somebody in once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkRow {
    /// SHA-256 of the secret in its address.
    pub sha256: [u8; 32],
    /// Whom it lets in.
    pub person: Person,
    /// When it was made.
    pub created_at: Time,
    /// Until when it may be used.
    pub expires_at: Time,
    /// When it was used.
    pub used_at: Option<Time>,
    /// When it was revoked.
    pub revoked_at: Option<Time>,
}

/// A session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRow {
    /// SHA-256 of the secret in the cookie.
    pub sha256: [u8; 32],
    /// Who is signed in.
    pub person: Person,
    /// Since when.
    pub created_at: Time,
    /// When it was last used, to within a minute.
    pub seen_at: Time,
    /// When it ends however much it is used.
    pub expires_at: Time,
    /// When it was ended: signed out, or revoked.
    pub ended_at: Option<Time>,
}

/// A masked value was shown to a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LookRow {
    /// UUIDv7.
    pub id: Uuid,
    /// When.
    pub at: Time,
    /// To whom.
    pub by: String,
    /// Of which request.
    pub request: Uuid,
    /// JSON pointer into the payload.
    pub field: String,
    /// Why, in their words.
    pub reason: String,
}

/// Which looks a list shows; empty fields match all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LookFilter {
    /// By this person.
    pub by: Option<String>,
    /// Of this request.
    pub request: Option<Uuid>,
}

/// Who is let in, and who has looked.
#[async_trait]
pub trait Sessions: Users + Send + Sync {
    /// Adds a link.
    async fn add_link(&self, link: &LinkRow) -> Result<(), StoreError>;
    /// The link with this hash, used or not.
    async fn link(&self, sha256: &[u8; 32]) -> Result<LinkRow, StoreError>;
    /// Uses a link and adds the session, in one transaction, where the link is unused, not revoked and not past its time at
    /// `session.created_at`; false where it is not. Of two that use one link at the same moment, one wins.
    async fn redeem(&self, link: &[u8; 32], session: &SessionRow) -> Result<bool, StoreError>;
    /// Adds a session of somebody whom an identity provider knows.
    async fn add_session(&self, session: &SessionRow) -> Result<(), StoreError>;
    /// The session with this hash, ended or not.
    async fn session(&self, sha256: &[u8; 32]) -> Result<SessionRow, StoreError>;
    /// It was used at this time.
    async fn session_seen(&self, sha256: &[u8; 32], at: Time) -> Result<(), StoreError>;
    /// Ends a session; one that was ended before keeps its first date.
    async fn end_session(&self, sha256: &[u8; 32], at: Time) -> Result<(), StoreError>;
    /// Ends all sessions of a name and revokes its unused links; how many were good until then.
    async fn end_sessions_of(&self, name: &str, at: Time) -> Result<u64, StoreError>;
    /// What somebody may do at this time, by whichever way they came in: a token that is good, a password, or the last session, signed
    /// out or not, that has neither been revoked nor ended by itself. Empty where their rights were taken away.
    async fn rights_of(&self, name: &str, now: Time) -> Result<Vec<Person>, StoreError>;
    /// Sessions, newest first.
    async fn sessions(&self, limit: usize) -> Result<Vec<SessionRow>, StoreError>;
    /// Records that a masked value is about to be shown.
    async fn add_look(&self, look: &LookRow) -> Result<(), StoreError>;
    /// Who has looked, newest first, before the cursor (a look's id).
    async fn looks(&self, filter: &LookFilter, before: Option<Uuid>, limit: usize) -> Result<Vec<LookRow>, StoreError>;
    /// Removes links and sessions that ended before `before`, `limit` of each at most; how many. Looks stay.
    async fn sweep_sessions(&self, before: Time, limit: usize) -> Result<u64, StoreError>;
}
