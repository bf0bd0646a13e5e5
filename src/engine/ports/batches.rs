//! One decision for several reviews, worked off in the background.
//!
//! What a batch decides is fixed when it is made: these reviews at these versions, and the id that each decision is sent under.
//! So whoever works on it, after whatever has happened to whoever did before, sends the same decisions under the same ids, and each
//! happens once. An item is marked before it is sent: what is marked is not stopped any more, what is not marked was never sent.

use async_trait::async_trait;
use uuid::Uuid;

use super::reviewing::ActRow;
use super::store::StoreError;
use crate::domain::request::signal::Decision;
use crate::domain::time::Time;

/// A batch.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchRow {
    /// The same for the same key of the same person.
    pub id: Uuid,
    /// What is decided, and by whom; its review is nil.
    pub decision: Decision,
    /// When it was made.
    pub at: Time,
    /// When it begins.
    pub start_at: Time,
    /// When nothing was left of it.
    pub done_at: Option<Time>,
}

/// What became of an item, or will.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// It was not sent.
    Pending,
    /// It is sent, or was, and nobody has said what came of it.
    Sending,
    /// Decided, or stored until it is.
    Done,
    /// Not decided, since something else had happened to it.
    Skipped,
    /// Not decided, since it cannot be.
    Failed,
}

impl Progress {
    /// All of them.
    pub const ALL: [Progress; 5] = [Progress::Pending, Progress::Sending, Progress::Done, Progress::Skipped, Progress::Failed];

    /// Its word in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Progress::Pending => "pending",
            Progress::Sending => "sending",
            Progress::Done => "done",
            Progress::Skipped => "skipped",
            Progress::Failed => "failed",
        }
    }

    /// The progress of this word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Progress> {
        Progress::ALL.into_iter().find(|progress| progress.as_str() == word)
    }

    /// Is something left to be done?
    #[must_use]
    pub fn open(self) -> bool {
        matches!(self, Progress::Pending | Progress::Sending)
    }
}

/// What an item came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Came {
    /// How far it is.
    pub to: Progress,
    /// Why, as a stable word; empty where it is open.
    pub code: String,
    /// Why, in words; may be empty.
    pub why: String,
}

/// A review of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemRow {
    /// The review, once in a batch.
    pub review: Uuid,
    /// The version that was shown.
    pub version: u32,
    /// Under which the decision is sent.
    pub signal_id: Uuid,
    /// What it came to.
    pub came: Came,
}

/// What came of adding a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Added {
    /// It is there.
    New,
    /// There is one of this id.
    Known,
    /// Too many of this person's are not done.
    TooMany,
}

/// Batches of decisions.
#[async_trait]
pub trait Batches: Send + Sync {
    /// Adds a batch, whole, where fewer than `most` of this person's are not done.
    async fn add_batch(&self, batch: &BatchRow, items: &[ItemRow], most: usize) -> Result<Added, StoreError>;
    /// The batch with this id.
    async fn batch(&self, id: Uuid) -> Result<BatchRow, StoreError>;
    /// Its items, in the order that they were given.
    async fn batch_items(&self, id: Uuid) -> Result<Vec<ItemRow>, StoreError>;
    /// Somebody's batches, or everybody's, the newest first.
    async fn batches(&self, by: Option<&str>, limit: usize) -> Result<Vec<BatchRow>, StoreError>;
    /// A batch that has begun, is not done and that nobody works on, the oldest first; until `until` nobody else gets it.
    async fn take_batch(&self, now: Time, until: Time) -> Result<Option<BatchRow>, StoreError>;
    /// Others may work on it from `at` on.
    async fn leave_batch(&self, id: Uuid, at: Time) -> Result<(), StoreError>;
    /// Marks an item before it is sent; false where it is not open any more.
    async fn begin_item(&self, id: Uuid, review: Uuid) -> Result<bool, StoreError>;
    /// What an item that was marked came to; what it came to before stays.
    async fn settle_item(&self, id: Uuid, review: Uuid, came: &Came) -> Result<(), StoreError>;
    /// Whatever is not marked comes to this; how many. The act is written where there was any.
    async fn stop_batch(&self, id: Uuid, came: &Came, act: &ActRow) -> Result<u64, StoreError>;
    /// It is done at this time, if nothing of it is open.
    async fn close_batch(&self, id: Uuid, at: Time) -> Result<bool, StoreError>;
    /// Removes batches that were done before `before`; how many.
    async fn sweep_batches(&self, before: Time, limit: usize) -> Result<u64, StoreError>;
}
