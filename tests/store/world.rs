//! A store to test, and short ways to say what is written to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use mozhao::domain::request::chain::Entry;
use mozhao::domain::time::Time;
use mozhao::domain::words::Choice;
use mozhao::engine::ports::clock::Clock;
use mozhao::engine::ports::records::{DefectRow, Event, RejectedRow, RequestRow, Retention, ReviewRow, WorkerRow};
use mozhao::engine::ports::store::{Accept, Advance, LimitCount, Store, Summary, WorkerId, Write, Written};
use mozhao::store::Role;
use mozhao::store::memory::MemoryStore;
use mozhao::store::postgres::PostgresStore;
use mozhao::store::sqlite::SqliteStore;
use uuid::Uuid;

/// When things happen in these tests: long past, by the database's clock.
pub(super) const T0: Time = Time(1_700_000_000_000_000);
/// Far in the future.
pub(super) const LATER: Time = Time(4_000_000_000_000_000);

/// The smallest id that is made at a time.
pub(super) fn id_at(at: Time) -> Uuid {
    Uuid::from_u128(u128::try_from(at.0 / 1000).unwrap() << 80)
}

/// An id that is made at [`T0`].
fn numbered(n: u64) -> Uuid {
    Uuid::from_u128(id_at(T0).as_u128() | u128::from(n))
}

/// A store, once or as two processes would have it.
pub(super) struct World {
    pub(super) store: Arc<dyn Store>,
    /// Another connection to the same state.
    pub(super) other: Arc<dyn Store>,
    next: AtomicU64,
    pub(super) keep: Box<dyn std::any::Any + Send + Sync>,
}

impl World {
    pub(super) fn new(store: Arc<dyn Store>, other: Arc<dyn Store>, keep: impl std::any::Any + Send + Sync) -> Self {
        World { store, other, next: AtomicU64::new(1), keep: Box::new(keep) }
    }

    #[expect(clippy::unused_async, reason = "made like the others")]
    pub(super) async fn memory() -> Self {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new(Arc::new(WallClock)));
        Self::new(store.clone(), store, ())
    }

    pub(super) async fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("test.db"), Role::Worker).await.unwrap();
        store.migrate().await.unwrap();
        let store: Arc<dyn Store> = Arc::new(store);
        Self::new(store.clone(), store, folder)
    }

    pub(super) async fn postgres() -> Self {
        let database = crate::harness::postgres::database().await;
        let url = database.url().to_owned();
        Self::on(&url, database).await
    }

    /// On this PostgreSQL database.
    pub(super) async fn on(url: &str, keep: impl std::any::Any + Send + Sync) -> Self {
        let store = PostgresStore::open(url).await.unwrap();
        store.migrate().await.unwrap();
        let other = PostgresStore::open(url).await.unwrap();
        Self::new(Arc::new(store), Arc::new(other), keep)
    }

    /// Sweeps what is past its usual window.
    pub(super) async fn sweep(&self, now: Time, limit: usize) -> u64 {
        self.store.sweep(now, &Retention::default(), limit).await.unwrap()
    }

    /// A number that was not there before.
    pub(super) fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Ids in the order in which they are made.
    pub(super) fn id(&self) -> Uuid {
        numbered(self.number())
    }

    /// A living worker.
    pub(super) async fn worker(&self) -> WorkerId {
        let id = Uuid::now_v7();
        let row = WorkerRow { id, name: "host:1".into(), version: "0".into(), started_at: T0, heartbeat_at: T0 };
        self.store.register(&row).await.unwrap();
        id
    }

    /// Commits one write.
    pub(super) async fn write(&self, worker: WorkerId, write: impl Into<OneWrite>) -> Written {
        let OneWrite(write) = write.into();
        self.store.commit(worker, &[write]).await.unwrap().remove(0)
    }

    /// A request that the worker owns and has started: its id.
    pub(super) async fn running(&self, worker: WorkerId) -> Uuid {
        let accept = self.accept(worker);
        let id = accept.row.id;
        assert!(matches!(self.write(worker, accept).await, Written::Accepted { turn: true, .. }));
        assert_eq!(self.write(worker, step(id, 1)).await, Written::Advanced);
        id
    }

    /// A request that rests, owned by nobody: its id. Its head is 2.
    pub(super) async fn resting(&self, worker: WorkerId, wake_at: Option<Time>) -> Uuid {
        let accept = self.accept(worker);
        let id = accept.row.id;
        self.write(worker, accept).await;
        let mut rest = step(id, 1);
        (rest.summary.owned, rest.summary.wake_at, rest.summary.state) = (false, wake_at, "waiting");
        assert_eq!(self.write(worker, rest).await, Written::Advanced);
        id
    }

    /// A request that is parked under a group: its id.
    pub(super) async fn parked(&self, worker: WorkerId, group: &str, at: Time) -> Uuid {
        let accept = self.accept(worker);
        let id = accept.row.id;
        self.write(worker, accept).await;
        let mut park = step(id, 1);
        (park.summary.owned, park.summary.state, park.summary.parked) = (false, "parked", Some(group.into()));
        park.summary.at = at;
        assert_eq!(self.write(worker, park).await, Written::Advanced);
        id
    }

    /// A request in review, with its open review: the request and the review's row.
    pub(super) async fn in_review(&self, worker: WorkerId, four_eyes: bool) -> (Uuid, ReviewRow) {
        let accept = self.accept(worker);
        let request = accept.row.id;
        self.write(worker, accept).await;
        let review = ReviewRow {
            id: self.id(),
            request,
            process: "card_unbind".into(),
            process_version: 1,
            name: "face_uncertain".into(),
            slot: "face".into(),
            customer: "c-1".into(),
            options: vec![Choice::Approve, Choice::Refuse, Choice::AskCustomer],
            role: Some("identity".into()),
            four_eyes,
            state: "open".into(),
            version: 1,
            claimed_by: None,
            claimed_until: None,
            escalated: 0,
            decision: None,
            opened_at: T0,
            due_at: T0.plus(Duration::from_hours(4)),
            closed_at: None,
        };
        let mut ask = step(request, 1);
        (ask.summary.owned, ask.summary.state, ask.summary.review) = (false, "in_review", Some(review.id));
        ask.review = Some(mozhao::engine::ports::store::ReviewChange::Open(Box::new(review.clone())));
        assert_eq!(self.write(worker, ask).await, Written::Advanced);
        (request, review)
    }

    /// A new request that its worker wants to run at once.
    pub(super) fn accept(&self, owner: WorkerId) -> Accept {
        let n = self.number();
        let id = numbered(n);
        let first = entry(1);
        Accept {
            producer: "web".into(),
            message: format!("m-{n}"),
            body_sha256: [7; 32],
            payload: format!(r#"{{"n":{n}}}"#).into_bytes().into(),
            row: RequestRow {
                id,
                process: "card_unbind".into(),
                version: 1,
                customer: "c-1".into(),
                producer: "web".into(),
                message: format!("m-{n}"),
                channel: "app".into(),
                reply_to: Some("replies".into()),
                correlation: Some("x".into()),
                traceparent: None,
                lane: None,
                lane_no: None,
                turn: false,
                over_limit: false,
                seq: 1,
                head: first.hash,
                state: "queued".into(),
                step: None,
                reason: None,
                parked: None,
                review: None,
                owner: Some(owner),
                wake_at: None,
                signalled: 0,
                seen: 0,
                deaths: 0,
                person: false,
                accepted_at: T0,
                updated_at: T0,
                expires_at: LATER,
                ended_at: None,
            },
            first,
            limit: None,
            events: vec![],
        }
    }

    /// The same in a lane.
    pub(super) fn in_lane(&self, owner: WorkerId, lane: &str) -> Accept {
        let mut accept = self.accept(owner);
        accept.row.lane = Some(lane.into());
        accept
    }

    /// A rejected message.
    pub(super) fn reject(&self, message: Option<&str>, raw: &[u8]) -> RejectedRow {
        let mut sha = [0; 32];
        sha.iter_mut().zip(raw).for_each(|(to, from)| *to = *from);
        let id = self.id();
        RejectedRow {
            id,
            producer: "web".into(),
            message: message.map(Into::into),
            channel: "app".into(),
            process: None,
            code: "bad_json".into(),
            detail: "line 1: expected a value".into(),
            raw: raw.into(),
            raw_len: raw.len() as u64,
            raw_sha256: sha,
            at: T0,
            events: vec![],
        }
    }

    /// An event about a request.
    pub(super) fn event(&self, request: Option<Uuid>) -> Event {
        Event {
            id: self.id(),
            request,
            seq: 1,
            topic: "request.card_unbind.accepted".into(),
            body: br#"{"specversion":"1.0"}"#.as_slice().into(),
            reply_to: None,
            correlation: None,
            at: T0,
        }
    }
}

/// One write of any kind.
pub(super) struct OneWrite(pub(super) Write);

impl From<Accept> for OneWrite {
    fn from(accept: Accept) -> Self {
        OneWrite(Write::Accept(Box::new(accept)))
    }
}

impl From<Advance> for OneWrite {
    fn from(advance: Advance) -> Self {
        OneWrite(Write::Advance(Box::new(advance)))
    }
}

impl From<RejectedRow> for OneWrite {
    fn from(reject: RejectedRow) -> Self {
        OneWrite(Write::Reject(Box::new(reject)))
    }
}

/// As a batch's element.
pub(super) fn w(write: impl Into<OneWrite>) -> Write {
    write.into().0
}

/// An entry; stores do not look into it.
pub(super) fn entry(seq: u64) -> Entry {
    Entry {
        seq,
        at: T0,
        body: format!(r#"{{"kind":"noted","seq":{seq}}}"#).into_bytes(),
        hash: [u8::try_from(seq % 251).unwrap(); 32],
    }
}

/// A step with one entry that keeps its request running and owned.
pub(super) fn step(request: Uuid, expect_seq: u64) -> Advance {
    let entry = entry(expect_seq + 1);
    Advance {
        request,
        expect_seq,
        summary: Summary {
            seq: entry.seq,
            head: entry.hash,
            version: 1,
            state: "running",
            step: Some("face".into()),
            reason: None,
            parked: None,
            review: None,
            owned: true,
            wake_at: None,
            ended_at: None,
            person: false,
            at: T0,
        },
        entries: vec![entry],
        seen: 0,
        quiet: false,
        consumed: vec![],
        review: None,
        defect: None,
        payload: None,
        events: vec![],
    }
}

/// A release without an entry.
pub(super) fn release(request: Uuid, seq: u64, state: &'static str, wake_at: Option<Time>) -> Advance {
    let mut advance = step(request, seq);
    advance.entries.clear();
    (advance.summary.seq, advance.summary.head) = (seq, entry(seq).hash);
    (advance.summary.owned, advance.summary.state, advance.summary.wake_at) = (false, state, wake_at);
    advance
}

/// The last step.
pub(super) fn end(request: Uuid, expect_seq: u64, outcome: &'static str) -> Advance {
    let mut advance = step(request, expect_seq);
    advance.quiet = true;
    (advance.summary.owned, advance.summary.state, advance.summary.ended_at) = (false, outcome, Some(T0));
    advance
}

/// A limit of so many in the window that starts at `T0`.
pub(super) fn limit(key: &str, max: u32) -> LimitCount {
    LimitCount { key: key.into(), window: T0, until: T0.plus(Duration::from_hours(24)), max }
}

/// A technical failure.
pub(super) fn defect(fingerprint: &str, sample: Uuid, at: Time) -> DefectRow {
    DefectRow {
        fingerprint: fingerprint.into(),
        process: "card_unbind".into(),
        version: 1,
        slot: "card".into(),
        connector: Some("core_banking".into()),
        class: "contract".into(),
        code: "schema".into(),
        status: Some(200),
        pattern: "answer.items: # is no array".into(),
        detail: "answer.items: 3 is no array".into(),
        sample,
        count: 99,
        first_seen: at,
        last_seen: at,
    }
}

/// The wall clock.
pub(super) struct WallClock;

#[async_trait]
impl Clock for WallClock {
    fn steady(&self) -> Duration {
        Duration::from_micros(u64::try_from(self.now().0).unwrap())
    }

    fn now(&self) -> Time {
        let now = Uuid::now_v7();
        // The milliseconds of a fresh UUIDv7: tests read no clock.
        Time(i64::try_from(now.as_u128() >> 80).unwrap() * 1000)
    }

    fn id(&self) -> Uuid {
        Uuid::now_v7()
    }

    fn jitter(&self) -> f64 {
        0.5
    }

    async fn sleep(&self, _length: Duration) {
        // No store sleeps.
        std::future::pending::<()>().await;
    }
}
