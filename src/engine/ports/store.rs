//! The one port to durable state. PostgreSQL, SQLite and memory implement it; one conformance suite runs on all.
//!
//! The rules that every implementation keeps:
//! - [`Store::commit`] is one transaction. It first proves that the writing worker's row still exists
//!   (`FOR KEY SHARE` on PostgreSQL); if not, the whole batch is [`StoreError::Fenced`].
//! - An [`Advance`] happens only where the request is owned by the worker and its head is `expect_seq`; otherwise
//!   that one write is [`Written::Lost`] and the rest of the batch stands.
//! - A batch holds one [`Advance`] per request; a second one is [`Written::Lost`]. Lanes take the batch's new requests
//!   before its endings release them.
//! - A queued request that is not in its turn has no owner and rests until its turn comes, a signal, or its `expires_at`: it may
//!   be claimed out of turn, to be withdrawn or to expire, never to run ([`RequestRow::turn`]).
//! - Text with a NUL character is [`StoreError::Data`]; bytes (payloads, entries, raw messages) may hold anything.
//! - Entries are numbered by their request; the primary key (request, seq) decides, not a SELECT.
//! - Leases, heartbeats and due times are compared with the database's clock ([`Store::now`]); times inside
//!   entries are the writer's.
//! - Reads that return what grows with requests take a limit and a cursor. What people make (tokens, groups, workers) is read whole.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use super::balance::{Balance, Went};
use super::batches::Batches;
use super::records::{
    ControlRow, DecisionFilter, DefectRow, Event, Heartbeat, ProcessRow, RejectedRow, RequestFilter, RequestRow, Retention,
    ReviewFilter, ReviewRow, TokenRow, Version, WorkerRow,
};
use super::reviewing::{ActRow, Reviewing};
use super::sessions::Sessions;
use crate::domain::request::chain::Entry;
use crate::domain::request::signal::{Decision, Signal};
use crate::domain::time::Time;

/// A worker incarnation's id: a UUIDv7 made at process start.
pub type WorkerId = Uuid;
/// A request's id: a UUIDv7.
pub type RequestId = Uuid;

/// Why a store call failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The worker's row is gone: another took over. The worker must forget everything it owns and start anew.
    #[error("this worker was declared dead; another one has taken over its requests")]
    Fenced,
    /// Certainly not applied, worth another try: serialization, deadlock, connection refused, resources.
    #[error("the database is not available at the moment: {0}")]
    Transient(String),
    /// The commit may or may not have happened: its reply did not come. Read the heads again.
    #[error("the database did not say whether it committed: {0}")]
    Unknown(String),
    /// A value that the database refuses; a batch with it is bisected until it stands alone.
    #[error("the database refused the data: {0}")]
    Data(String),
    /// Anything else: a missing table, wrong credentials, a bug.
    #[error("the database failed: {0}")]
    Broken(String),
    /// Somebody else works on the database, and only one may.
    #[error("{0}")]
    InUse(String),
    /// What the call is about does not exist.
    #[error("{0} was not found")]
    NotFound(&'static str),
}

/// One write of the group committer.
#[derive(Debug, Clone)]
pub enum Write {
    /// A new request.
    Accept(Box<Accept>),
    /// A message that never became a request.
    Reject(Box<RejectedRow>),
    /// An owner's step forward.
    Advance(Box<Advance>),
}

/// A new request. In one transaction: the inbox row (whose unique key decides about duplicates), its number in its
/// lane, the count of its limit, the request row, its first entry, its events.
#[derive(Debug, Clone)]
pub struct Accept {
    /// Who sent it; with `message` the inbox key.
    pub producer: String,
    /// The producer's id of the message.
    pub message: String,
    /// SHA-256 of the canonical body: the same key with another body is a conflict.
    pub body_sha256: [u8; 32],
    /// The row as it is to be inserted: `seq`, `head` of the first entry; `lane_no`, `turn` and `over_limit` are
    /// set by the store; `owner` is the worker where it is to run at once. Out of turn the store clears `owner` and sets `wake_at` to
    /// `expires_at`.
    pub row: RequestRow,
    /// The payload's canonical JSON.
    pub payload: Arc<[u8]>,
    /// The first entry.
    pub first: Entry,
    /// Counts in this limit window.
    pub limit: Option<LimitCount>,
    /// Events to publish.
    pub events: Vec<Event>,
}

/// A count in a fixed window.
#[derive(Debug, Clone)]
pub struct LimitCount {
    /// Process and key.
    pub key: String,
    /// The window's start.
    pub window: Time,
    /// When the row may be removed.
    pub until: Time,
    /// More than this is over the limit.
    pub max: u32,
}

/// A request under which this many workers died is carried alone. Whoever waits for its turn alone belongs to nobody: the next
/// death is not its.
pub const SUSPECT: u32 = 2;

/// An owner's step forward.
#[derive(Debug, Clone)]
pub struct Advance {
    /// The request.
    pub request: RequestId,
    /// The head that this builds on; the write is lost where it differs.
    pub expect_seq: u64,
    /// The new entries, numbered from `expect_seq + 1`. May be empty (to release ownership, or to consume signals).
    pub entries: Vec<Entry>,
    /// The row's new summary. `owner` `None` gives up ownership; `wake_at` is when somebody should look again —
    /// at once instead where `signalled` in the database is above [`Advance::seen`], or where it is `queued` and its turn has come.
    /// Queued out of turn, `None` means its expiry. Releasing it sets its count of deaths to zero.
    pub summary: Summary,
    /// How many signals of this request the owner has consumed, these included.
    pub seen: u64,
    /// Refuse ([`Written::Signalled`]) where the database holds a signal beyond `seen`: for intents and endings.
    pub quiet: bool,
    /// Signals consumed by this step, with what their senders are told.
    pub consumed: Vec<Consumed>,
    /// A review that opens (state `open`), closes (`decided`, `cancelled`), or is asked anew.
    pub review: Option<ReviewChange>,
    /// A technical failure to count under its defect.
    pub defect: Option<DefectRow>,
    /// Replaces the payload (amended, supplemented).
    pub payload: Option<Arc<[u8]>>,
    /// Events to publish.
    pub events: Vec<Event>,
}

/// What of a request's row an [`Advance`] sets.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// The new head.
    pub seq: u64,
    /// Its hash.
    pub head: [u8; 32],
    /// The process version (changes when moved).
    pub version: u32,
    /// `queued`, `running`, `waiting`, `parked`, `in_review`, `done`, `refused`, `withdrawn`, `expired`.
    pub state: &'static str,
    /// The slot it stands at.
    pub step: Option<String>,
    /// The refusal's reason, the review's name, or the parked cause's code.
    pub reason: Option<String>,
    /// The parked group.
    pub parked: Option<String>,
    /// The open review.
    pub review: Option<Uuid>,
    /// Keep the owner?
    pub owned: bool,
    /// When somebody should look at it again; `None` while owned and for what rests until a signal.
    pub wake_at: Option<Time>,
    /// When it ended; also releases the lane's next request.
    pub ended_at: Option<Time>,
    /// A person has decided something.
    pub person: bool,
    /// Written at.
    pub at: Time,
}

/// A consumed signal.
#[derive(Debug, Clone, PartialEq)]
pub struct Consumed {
    /// Which.
    pub signal: Uuid,
    /// What its sender is told: `applied`, or why not.
    pub answer: String,
}

/// A change of a review's row by the request's owner.
#[derive(Debug, Clone)]
pub enum ReviewChange {
    /// A new one.
    Open(Box<ReviewRow>),
    /// It was decided and the decision applied.
    Decided(Uuid),
    /// Its decision was not applied: what waits as `deciding` is asked anew, by the version that it has by now.
    Reopened(Uuid),
    /// It is not asked any more (withdrawn, expired, resumed elsewhere).
    Cancelled(Uuid),
}

/// What came of one [`Write`].
#[derive(Debug, Clone, PartialEq)]
pub enum Written {
    /// A new request: whether it may run, whether it is over its limit.
    Accepted {
        /// It is its turn.
        turn: bool,
        /// More than its limit allows.
        over_limit: bool,
    },
    /// The same key and body came before: that request.
    Duplicate(RequestId),
    /// The same key came before with another body; `None`: what came was rejected.
    KeyConflict(Option<RequestId>),
    /// A rejected message was recorded (also when the same one was recorded before).
    Rejected,
    /// The step was written.
    Advanced,
    /// Not written: a signal is there that the owner has not seen.
    Signalled,
    /// Not written: the request is not the worker's, or its head has moved.
    Lost,
}

/// A request that this worker should look at now.
#[derive(Debug, Clone, PartialEq)]
pub struct Claimed {
    /// Which.
    pub request: RequestId,
    /// It was the worker's already: a signal has come for it.
    pub mine_already: bool,
}

/// Everything about one request.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// Its row.
    pub row: RequestRow,
    /// Its payload's JSON.
    pub payload: Arc<[u8]>,
    /// Its ledger.
    pub entries: Vec<Entry>,
    /// Signals not consumed yet, oldest first, with their ids.
    pub signals: Vec<(Uuid, Signal)>,
}

/// What came of sending a signal.
#[derive(Debug, Clone, PartialEq)]
pub enum Sent {
    /// Stored; the owner will consume it. Ask [`Store::signal_answer`].
    Stored(Uuid),
    /// The request has ended with this outcome.
    Ended(&'static str),
}

/// What came of claiming, releasing or deciding a review.
#[derive(Debug, Clone, PartialEq)]
pub enum ReviewPut {
    /// Done; the row as it is now, and for a decision that went to the owner the signal's id.
    Done(Box<ReviewRow>, Option<Uuid>),
    /// The second person came to another decision than the first: both are in the ledger and count no more. The row as it is now.
    SetAside(Box<ReviewRow>),
    /// Not done: the row is not what the caller saw. The row as it is now says what changed.
    Stale(Box<ReviewRow>),
    /// Not done: somebody else holds it, or the second person must differ.
    Taken(Box<ReviewRow>),
}

/// What a reviewer does to an open review; `version` is the one that was shown.
#[derive(Debug, Clone, PartialEq)]
pub enum ReviewAct {
    /// Take or renew the lease until then; `steal` takes it from somebody else (the reason is a note).
    Claim {
        /// Who.
        by: String,
        /// Until when.
        until: Time,
        /// Take it over from another holder.
        steal: bool,
    },
    /// Give it back.
    Release {
        /// Who.
        by: String,
    },
    /// Decide. With four eyes the first decision is kept on the row (version + 1) and the second, by another person and
    /// with the same choice, reason and fields, goes to the owner; a different one reopens the review (first decision cleared,
    /// version + 1). A decision ends the claim.
    Decide {
        /// The version that the reviewer saw.
        version: u32,
        /// The decision.
        decision: Decision,
    },
    /// Raise its level: `escalated` + 1, the claim is released.
    Escalate {
        /// Who.
        by: String,
    },
}

impl ReviewAct {
    /// Who acts.
    #[must_use]
    pub fn by(&self) -> &str {
        match self {
            ReviewAct::Claim { by, .. } | ReviewAct::Release { by } | ReviewAct::Escalate { by } => by,
            ReviewAct::Decide { decision, .. } => &decision.by,
        }
    }
}

/// Durable state.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// `postgres`, `sqlite` or `memory`.
    fn kind(&self) -> &'static str;
    /// Whether two commits of one worker run at the same time; else one waits for the other.
    fn side_by_side(&self) -> bool {
        false
    }
    /// The database's clock.
    async fn now(&self) -> Result<Time, StoreError>;

    // Workers.
    /// Adds the worker's row.
    async fn register(&self, worker: &WorkerRow) -> Result<(), StoreError>;
    /// Renews the heartbeat; [`Heartbeat::Gone`] where the row was deleted.
    async fn heartbeat(&self, worker: WorkerId) -> Result<Heartbeat, StoreError>;
    /// Deletes workers whose heartbeat is older than `lease` and makes their requests unowned and due (`deaths` + 1), in
    /// one transaction each; also requests whose owner has no row. Never the caller's own row, which must exist
    /// ([`StoreError::Fenced`]). A `lease` of zero takes over from every other worker (SQLite after a restart).
    async fn rescue(&self, by: WorkerId, lease: Duration) -> Result<Vec<WorkerId>, StoreError>;
    /// Removes the worker's own row; requests that it still owns become due without counting a death.
    async fn deregister(&self, worker: WorkerId) -> Result<(), StoreError>;

    // The owner's side.
    /// Writes a batch in one transaction; one answer per write, in order.
    async fn commit(&self, worker: WorkerId, batch: &[Write]) -> Result<Vec<Written>, StoreError>;
    /// Takes up to `limit` due requests: unowned ones become the worker's (`wake_at` cleared), its own with new signals are
    /// reported once. Oldest `wake_at` first; requests locked by another claim are skipped. Of those under which [`SUSPECT`] workers or
    /// more died it takes one, and none while the worker owns one. [`StoreError::Fenced`] where the worker's row is gone.
    async fn claim(&self, worker: WorkerId, limit: usize) -> Result<Vec<Claimed>, StoreError>;
    /// Up to `limit` requests that the worker owns: for its audit that it really carries them.
    async fn owned(&self, worker: WorkerId, limit: usize) -> Result<Vec<RequestId>, StoreError>;
    /// Everything about a request.
    async fn load(&self, request: RequestId) -> Result<Loaded, StoreError>;
    /// Unconsumed signals of a request, oldest first.
    async fn signals(&self, request: RequestId) -> Result<Vec<(Uuid, Signal)>, StoreError>;

    // From outside.
    /// Stores a signal and makes its request due, in one transaction, unless it has ended. `id` makes it idempotent: the same id
    /// twice is stored once, and still [`Sent::Stored`] after the request has ended.
    async fn signal(&self, id: Uuid, request: RequestId, signal: &Signal, at: Time) -> Result<Sent, StoreError>;
    /// What the owner answered; `None` while it has not. An unknown or swept signal is [`StoreError::NotFound`].
    async fn signal_answer(&self, id: Uuid) -> Result<Option<String>, StoreError>;
    /// Changes a review under its own guard; a decision's signal is stored in the same transaction under `signal_id`. The same
    /// `signal_id` again, after it was stored, changes nothing and is answered as before, with the row as it is by then.
    async fn review_act(&self, review: Uuid, act: &ReviewAct, signal_id: Uuid, at: Time) -> Result<ReviewPut, StoreError>;

    // Events.
    /// Up to `limit` unpublished events, in order of id, written by this worker or left by a dead one (which become this worker's).
    async fn unpublished(&self, worker: WorkerId, limit: usize) -> Result<Vec<Event>, StoreError>;
    /// This worker has no broker: none of its events waits to be published any more. They stay in the feed for their window.
    async fn publish_none(&self, worker: WorkerId) -> Result<(), StoreError>;
    /// Marks events of this worker as published; only after a confirm.
    async fn published(&self, worker: WorkerId, ids: &[Uuid]) -> Result<(), StoreError>;
    /// Events of all requests after a cursor (an event id), oldest first.
    async fn events(&self, after: Option<Uuid>, limit: usize) -> Result<Vec<Event>, StoreError>;

    // Reads for people and programs.
    /// One request's row.
    async fn request(&self, request: RequestId) -> Result<RequestRow, StoreError>;
    /// One request's entries above `after`, oldest first, at most `limit`.
    async fn entries(&self, request: RequestId, after: u64, limit: usize) -> Result<Vec<Entry>, StoreError>;
    /// The entries of these requests, the newest request first, each oldest entry first; at least the first `limit` of them where
    /// there are more, and about as many: the last request's may be cut. A request without entries has none.
    async fn entries_of(&self, requests: &[RequestId], limit: usize) -> Result<Vec<(RequestId, Entry)>, StoreError>;
    /// Requests, newest first, before the cursor (a request id). A store with very many looks at a bounded number of them: a list
    /// that comes out short may go on behind [`Self::end_of_walk`].
    async fn requests(
        &self,
        filter: &RequestFilter,
        before: Option<RequestId>,
        limit: usize,
    ) -> Result<Vec<RequestRow>, StoreError>;
    /// The cursor behind which a list goes on that came out short; `None`: it is complete.
    async fn end_of_walk(&self, filter: &RequestFilter, before: Option<RequestId>) -> Result<Option<RequestId>, StoreError>;
    /// One review.
    async fn review(&self, review: Uuid) -> Result<ReviewRow, StoreError>;
    /// Reviews by due time, after the cursor (due, id).
    async fn reviews(
        &self,
        filter: &ReviewFilter,
        after: Option<(Time, Uuid)>,
        limit: usize,
    ) -> Result<Vec<ReviewRow>, StoreError>;
    /// Decided reviews, those closed last first, before the cursor (closed, id).
    async fn decisions(
        &self,
        filter: &DecisionFilter,
        before: Option<(Time, Uuid)>,
        limit: usize,
    ) -> Result<Vec<ReviewRow>, StoreError>;
    /// Rejected messages, newest first.
    async fn rejected(&self, before: Option<Uuid>, limit: usize) -> Result<Vec<RejectedRow>, StoreError>;
    /// How the requests went that were accepted since then, newest first, at most `limit`: of these processes, or of all if none is named.
    async fn lately(&self, processes: &[String], since: Time, limit: usize) -> Result<Vec<Went>, StoreError>;
    /// Counters and open counts, read in one snapshot.
    async fn balance(&self) -> Result<Balance, StoreError>;
    /// Living workers.
    async fn workers(&self) -> Result<Vec<WorkerRow>, StoreError>;

    // Defects and dependencies (groups that requests are parked under).
    /// Defects of these processes (of all where none is named), last seen first.
    async fn defects(&self, processes: &[String], limit: usize) -> Result<Vec<DefectRow>, StoreError>;
    /// One defect.
    async fn defect(&self, fingerprint: &str) -> Result<DefectRow, StoreError>;
    /// All control rows: `dependency:<name>` and `defect:<fingerprint>`.
    async fn controls(&self) -> Result<Vec<ControlRow>, StoreError>;
    /// Inserts or replaces a control row where its `version` in the database is `row.version - 1` (or it is absent and
    /// `row.version` is 1); false where somebody else was faster. What a person did is recorded in the same transaction.
    async fn put_control(&self, row: &ControlRow, act: Option<&ActRow>) -> Result<bool, StoreError>;
    /// Sends `Resume` signals to up to `limit` requests that have been parked under the group since before `before`
    /// (`updated_at`) and whose ids are above `after`, oldest request first, in one transaction; changes nothing else. Returns the requests.
    /// A request gets one unconsumed signal at most (`signalled = seen` is the guard), so that two resumers do not wake the same one twice.
    async fn resume_some(
        &self,
        group: &str,
        signal: &Signal,
        at: Time,
        before: Time,
        after: RequestId,
        limit: usize,
    ) -> Result<Vec<RequestId>, StoreError>;
    /// The groups that requests are parked under, in order. One step in an index per group, however many requests wait.
    async fn parked_groups(&self) -> Result<Vec<String>, StoreError>;
    /// How many requests are parked under the group (at most `cap` are counted).
    async fn parked_under(&self, group: &str, cap: u64) -> Result<u64, StoreError>;

    // Processes, tokens, settings.
    /// Publishes a version: the digest already stored for (process, version), or this one when it is new.
    async fn publish_process(&self, row: &ProcessRow) -> Result<String, StoreError>;
    /// The first `limit` published versions, by name and version.
    async fn processes(&self, limit: usize) -> Result<Vec<Version>, StoreError>;
    /// One published version.
    async fn process(&self, name: &str, version: u32) -> Result<ProcessRow, StoreError>;
    /// Adds a token; a name or secret that is there already is [`StoreError::Data`].
    async fn add_token(&self, token: &TokenRow) -> Result<(), StoreError>;
    /// The token with this SHA-256.
    async fn token(&self, sha256: &[u8; 32]) -> Result<TokenRow, StoreError>;
    /// All tokens (hashes, names, roles).
    async fn tokens(&self) -> Result<Vec<TokenRow>, StoreError>;
    /// Revokes a token by name; false where there is none.
    async fn revoke_token(&self, name: &str, at: Time) -> Result<bool, StoreError>;
    /// A setting: the stored value, or `fresh`, which is stored then (one winner).
    async fn setting(&self, name: &str, fresh: &[u8]) -> Result<Vec<u8>, StoreError>;
    /// Removes what is past its window ([`Retention`], and limit counts after theirs), at most `limit` rows of each kind; how many rows.
    /// Open requests, what they wait for and what is not published stay, however old. PostgreSQL drops ended requests by whole months.
    async fn sweep(&self, now: Time, keep: &Retention, limit: usize) -> Result<u64, StoreError>;
    /// Who is let into the console, and who has looked at what is masked.
    fn sessions(&self) -> &dyn Sessions;
    /// How people work on reviews.
    fn reviewing(&self) -> &dyn Reviewing;
    /// Batches of decisions.
    fn batches(&self) -> &dyn Batches;
}
