//! The part of durable state that knows people by a password.
//!
//! A person's row has a version: who signs in proves a password of one version, and the session begins only where that version
//! still is the current one. So nobody gets in with what was changed or removed at the same moment. Tries are counted before a
//! password is looked at, not after it failed: of many at once only one is.

use async_trait::async_trait;

use super::sessions::{Person, SessionRow};
use super::store::StoreError;
use crate::domain::time::Time;

/// Somebody who signs in with a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserRow {
    /// Who, and what they may do.
    pub person: Person,
    /// The password's Argon2id hash as a PHC string; never the password.
    pub password: String,
    /// Counts changes, from 1.
    pub version: i64,
    /// When they were added.
    pub created_at: Time,
    /// When password or rights were changed last.
    pub changed_at: Time,
    /// When they signed in last.
    pub signed_in_at: Option<Time>,
}

/// Tries to sign in under one name that did not succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tries {
    /// How many in a row.
    pub failures: u32,
    /// When the last one was.
    pub last_at: Time,
}

/// Who signs in with a password.
#[async_trait]
pub trait Users: Send + Sync {
    /// Adds somebody, with version 1; false where the name is taken.
    async fn add_user(&self, user: &UserRow) -> Result<bool, StoreError>;
    /// The one of this name.
    async fn user(&self, name: &str) -> Result<UserRow, StoreError>;
    /// All, by name.
    async fn users(&self, limit: usize) -> Result<Vec<UserRow>, StoreError>;
    /// Replaces rights, password and `changed_at` where the version is still that of `user`, counts the version up, ends their
    /// sessions and revokes their unused links, in one transaction; false where it is another version, or nobody.
    async fn change_user(&self, user: &UserRow) -> Result<bool, StoreError>;
    /// Removes somebody, ends their sessions and revokes their unused links, in one transaction; false where there is nobody.
    async fn remove_user(&self, name: &str, at: Time) -> Result<bool, StoreError>;
    /// Begins a session where the user's version is still this one, in one transaction; false where it is not.
    async fn enter(&self, version: i64, session: &SessionRow) -> Result<bool, StoreError>;
    /// The tries of a bucket.
    async fn tries(&self, bucket: u16) -> Result<Option<Tries>, StoreError>;
    /// Writes the tries of a bucket where they still are what was seen; false where somebody else was there before.
    async fn count_try(&self, bucket: u16, seen: Option<Tries>, now: Tries) -> Result<bool, StoreError>;
    /// Forgets the tries of a bucket: the last one succeeded.
    async fn forget_tries(&self, bucket: u16) -> Result<(), StoreError>;
}
