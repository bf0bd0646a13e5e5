//! The part of durable state that is about how people work on reviews, and not about what becomes of a request.
//!
//! A held decision is not on the review's row: until its time has come nobody but its maker has decided anything. What
//! carries it out sends it as an act like any other, under the signal's id that it was given when it was made, so that
//! carrying it out twice is carrying it out once; the row goes only afterwards, so that a crash in between loses nothing.

use async_trait::async_trait;
use uuid::Uuid;

use super::store::StoreError;
use crate::domain::request::signal::Decision;
use crate::domain::time::Time;
use crate::domain::words::Choice;

/// A decision that takes effect later.
#[derive(Debug, Clone, PartialEq)]
pub struct HeldRow {
    /// The decision, with its review.
    pub decision: Decision,
    /// The review's request.
    pub request: Uuid,
    /// The review's version that was shown.
    pub version: u32,
    /// Under which it is sent.
    pub signal_id: Uuid,
    /// When it was made.
    pub at: Time,
    /// When it is sent.
    pub release_at: Time,
}

/// A held decision that was not applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndRow {
    /// Its review; one row for each, the last one.
    pub review: Uuid,
    /// Whose it was.
    pub by: String,
    /// What was decided.
    pub choice: Choice,
    /// When.
    pub at: Time,
    /// When it came to nothing.
    pub ended_at: Time,
    /// Why, as a stable word.
    pub code: String,
    /// Why, in words; may be empty.
    pub why: String,
}

/// Something that somebody did and that no request's ledger says. It is written in the transaction of what it tells of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActRow {
    /// UUIDv7.
    pub id: Uuid,
    /// When.
    pub at: Time,
    /// Who.
    pub by: String,
    /// What, as a stable word.
    pub what: String,
    /// About which request.
    pub request: Option<Uuid>,
    /// About which review.
    pub review: Option<Uuid>,
    /// Which view, which batch, and what else there is to be said.
    pub detail: String,
}

/// A review that was put aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnoozeRow {
    /// The review.
    pub review: Uuid,
    /// By whom.
    pub by: String,
    /// When.
    pub at: Time,
    /// Until when; what arrives for the request after `at` ends it, too.
    pub until: Time,
    /// Why.
    pub note: String,
}

/// Somebody has a review open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PresenceRow {
    /// The review.
    pub review: Uuid,
    /// Who.
    pub by: String,
    /// Until when that is believed.
    pub until: Time,
}

/// A search or filter that was given a name, for everybody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewRow {
    /// UUIDv7.
    pub id: Uuid,
    /// `reviews`.
    pub place: String,
    /// Its name, once per place.
    pub name: String,
    /// The query of the list's address.
    pub query: String,
    /// Who saved it.
    pub by: String,
    /// When.
    pub at: Time,
}

/// How people work on reviews.
#[async_trait]
pub trait Reviewing: Send + Sync {
    /// Holds a decision; false where one is held for this review already.
    async fn hold(&self, held: &HeldRow) -> Result<bool, StoreError>;
    /// Takes a held decision of whose act this is back, and records which choice that was; what it was, or `None` where there is none or its time has come.
    async fn take_back(&self, review: Uuid, now: Time, act: &ActRow) -> Result<Option<HeldRow>, StoreError>;
    /// The decision that is held for a review.
    async fn held(&self, review: Uuid) -> Result<Option<HeldRow>, StoreError>;
    /// Those whose time has come, the oldest first; from now on they are not taken back. Where there are more than `limit`: those
    /// that were never told of, then those that were told of longest ago. One that cannot be read is passed by.
    async fn due_held(&self, now: Time, limit: usize) -> Result<Vec<HeldRow>, StoreError>;
    /// It was sent. Only the decision with this id goes: by now another one may be held for the review.
    async fn drop_held(&self, review: Uuid, signal_id: Uuid) -> Result<(), StoreError>;
    /// It never can be sent: the decision with this id goes, and why is kept, in one transaction.
    async fn end_held(&self, signal_id: Uuid, end: &EndRow) -> Result<(), StoreError>;
    /// The last decision of a review that was held and not applied.
    async fn held_end(&self, review: Uuid) -> Result<Option<EndRow>, StoreError>;
    /// Removes those that ended before `before`; how many.
    async fn sweep_ends(&self, before: Time, limit: usize) -> Result<u64, StoreError>;
    /// Puts a review aside, or again.
    async fn snooze(&self, snooze: &SnoozeRow, act: &ActRow) -> Result<(), StoreError>;
    /// The review is wanted again; false where it was not put aside, and nothing was done.
    async fn wake(&self, review: Uuid, act: &ActRow) -> Result<bool, StoreError>;
    /// Since when and by whom these reviews are put aside, those of them that still are: their time has not come, and nothing has
    /// arrived since. By review.
    async fn snoozed(&self, reviews: &[Uuid], now: Time) -> Result<Vec<SnoozeRow>, StoreError>;
    /// Removes those whose time was over before `before`; how many.
    async fn sweep_snoozes(&self, before: Time, limit: usize) -> Result<u64, StoreError>;
    /// Somebody has a review open; believed until then.
    async fn be_present(&self, presence: &PresenceRow) -> Result<(), StoreError>;
    /// Who has one of these reviews open, by review and name.
    async fn present(&self, reviews: &[Uuid], now: Time, limit: usize) -> Result<Vec<PresenceRow>, StoreError>;
    /// Removes those that are not believed any more; how many.
    async fn sweep_presences(&self, now: Time, limit: usize) -> Result<u64, StoreError>;
    /// Saves a view; false where the place has one of this name.
    async fn add_view(&self, view: &ViewRow, act: &ActRow) -> Result<bool, StoreError>;
    /// The views of a place, by name.
    async fn views(&self, place: &str, limit: usize) -> Result<Vec<ViewRow>, StoreError>;
    /// The view with this id.
    async fn view(&self, id: Uuid) -> Result<ViewRow, StoreError>;
    /// Gives a view another name; false where the place has one of that name.
    async fn rename_view(&self, id: Uuid, name: &str, act: &ActRow) -> Result<bool, StoreError>;
    /// Removes a view; false where there is none.
    async fn remove_view(&self, id: Uuid, act: &ActRow) -> Result<bool, StoreError>;
    /// What somebody did, or everybody, newest first, before the cursor (an act's id).
    async fn acts(&self, by: Option<&str>, before: Option<Uuid>, limit: usize) -> Result<Vec<ActRow>, StoreError>;
}
