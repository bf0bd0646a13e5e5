//! Random operation sequences, run on all three stores: every answer and, again and again, the whole state must be the same.
//!
//! Inputs come from a seed, so a failure is replayed by `MOZHAO_SEED=n`. What differs by design is put aside: times that
//! the store's own clock gives (only "due now" is compared), and the order inside a claim.

use std::fmt::Debug;
use std::time::Duration;

use mozhao::domain::request::signal::{Decision, Signal};
use mozhao::domain::time::Time;
use mozhao::domain::words::Choice;
use mozhao::engine::ports::records::{ControlRow, RequestFilter, RequestRow, Retention, ReviewFilter, ReviewRow, WorkerRow};
use mozhao::engine::ports::store::{Advance, Consumed, ReviewAct, ReviewChange, StoreError, Write};
use uuid::Uuid;

use super::world::{LATER, T0, World, defect, end, limit, release, step, w};

const OPERATIONS: usize = 150;
const GROUPS: [&str; 2] = ["dependency:face", "defect:f1"];

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_same_sequence_means_the_same_everywhere() {
    let seeds = match std::env::var("MOZHAO_SEED") {
        Ok(seed) => vec![seed.parse().unwrap()],
        Err(_) => (1..=8).collect(),
    };
    for seed in seeds {
        println!("seed {seed}");
        let worlds = [World::memory().await, World::sqlite().await, World::postgres().await];
        Run { worlds, random: Random(seed), workers: vec![], gone: vec![], requests: vec![], reviews: vec![], signals: vec![] }
            .go()
            .await;
    }
}

/// A small generator (splitmix64): the sequence must not change when a dependency does.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % n as u64).unwrap()
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn pick<T: Clone>(&mut self, list: &[T]) -> Option<T> {
        if list.is_empty() { None } else { Some(list[self.below(list.len())].clone()) }
    }
}

struct Run {
    worlds: [World; 3],
    random: Random,
    workers: Vec<Uuid>,
    gone: Vec<Uuid>,
    requests: Vec<Uuid>,
    reviews: Vec<Uuid>,
    signals: Vec<Uuid>,
}

/// Does the same on all worlds and compares what `shape` makes of the answers; gives the first world's.
macro_rules! same {
    ($run:expr, $what:expr, |$store:ident| $call:expr, $shape:expr) => {{
        let mut answers = Vec::new();
        for world in &$run.worlds {
            let $store = &world.store;
            answers.push($call.await);
        }
        let shapes: Vec<String> = answers.iter().map(|answer| shape(answer, $shape)).collect();
        assert_eq!(shapes[0], shapes[1], "memory and sqlite differ: {:?}", $what);
        assert_eq!(shapes[0], shapes[2], "memory and postgres differ: {:?}", $what);
        answers.swap_remove(0)
    }};
}

fn shape<T>(answer: &Result<T, StoreError>, ok: impl Fn(&T) -> String) -> String {
    match answer {
        Ok(value) => ok(value),
        Err(StoreError::Data(_)) => "data".into(),
        Err(error) => error.to_string(),
    }
}

fn plain<T: Debug>(value: &T) -> String {
    format!("{value:?}")
}

fn row(row: &RequestRow) -> String {
    let wake = match row.wake_at {
        None => "never".into(),
        Some(at) if at == T0 || at == LATER => format!("{at:?}"),
        Some(_) => "now".into(),
    };
    let numbered = row.lane_no.map(|_| 0);
    format!("{:?} wakes {wake}", RequestRow { wake_at: None, lane_no: numbered, ..row.clone() })
}

/// Rows, and in which order they came into their lanes: what is rolled back may take a number with it.
fn rows(rows: &[RequestRow]) -> String {
    let mut numbered: Vec<_> = rows.iter().filter_map(|row| Some((row.lane.clone()?, row.lane_no?, row.id))).collect();
    numbered.sort_unstable();
    let order: Vec<_> = numbered.iter().map(|(lane, _, id)| (lane, id)).collect();
    format!("{}\n{order:?}", rows.iter().map(row).collect::<Vec<_>>().join("\n"))
}

impl Run {
    async fn go(mut self) {
        for _ in 0..2 {
            self.register().await;
        }
        for n in 0..OPERATIONS {
            match self.random.below(20) {
                0..=8 => self.commit().await,
                9..=11 => self.signal().await,
                12..=13 => self.review().await,
                14..=15 => self.claim().await,
                16 => self.worker().await,
                17 => self.group().await,
                18 => self.outbox().await,
                _ => self.settings().await,
            }
            if n % 30 == 29 {
                self.compare().await;
            }
        }
    }

    /// Ids are the same everywhere: they come from the first world.
    fn id(&self) -> Uuid {
        self.worlds[0].id()
    }

    async fn register(&mut self) {
        let id = Uuid::from_u128(0xffff << 100 | u128::from(self.worlds[0].number()));
        let worker = WorkerRow { id, name: "w".into(), version: "0".into(), started_at: T0, heartbeat_at: T0 };
        same!(self, "register", |store| store.register(&worker), plain).unwrap();
        self.workers.push(id);
    }

    async fn row(&self, id: Uuid) -> Option<RequestRow> {
        self.worlds[0].store.request(id).await.ok()
    }

    async fn commit(&mut self) {
        let worker = if self.random.one_in(15) { self.random.pick(&self.gone) } else { self.random.pick(&self.workers) };
        let Some(worker) = worker else { return };
        let mut batch = Vec::new();
        for _ in 0..=self.random.below(5) {
            match self.random.below(10) {
                0..=3 => batch.push(self.accept(worker)),
                4 => batch.push(self.reject()),
                _ => {
                    let advance = self.advance(worker).await;
                    // An owner waits for one write before it makes the next.
                    let twice = |id| batch.iter().any(|write| matches!(write, Write::Advance(other) if other.request == id));
                    if let Some(advance) = advance.filter(|advance| !twice(advance.request)) {
                        batch.push(w(advance));
                    }
                }
            }
        }
        let written = same!(self, &batch, |store| store.commit(worker, &batch), plain);
        if written.is_ok() {
            for write in &batch {
                match write {
                    Write::Accept(accept) => self.requests.push(accept.row.id),
                    Write::Advance(advance) => {
                        if let Some(ReviewChange::Open(row)) = &advance.review {
                            self.reviews.push(row.id);
                        }
                    }
                    Write::Reject(_) => {}
                }
            }
        }
    }

    fn accept(&mut self, worker: Uuid) -> Write {
        let mut accept = self.worlds[0].accept(worker);
        let random = &mut self.random;
        accept.message = format!("m-{}", random.below(60));
        accept.body_sha256 = [u8::try_from(random.below(3)).unwrap(); 32];
        if random.one_in(2) {
            accept.row.lane = Some(format!("l-{}", random.below(3)));
        }
        if random.one_in(3) {
            accept.limit = Some(limit(&format!("c-{}", random.below(2)), 3));
        }
        if random.one_in(8) {
            accept.row.owner = None;
            accept.row.wake_at = Some(T0);
        }
        if random.one_in(10) {
            accept.row.expires_at = T0;
        }
        if random.one_in(40) {
            accept.row.customer = "\0".into();
        }
        if random.one_in(60) {
            accept.row.id = random.pick(&self.requests).unwrap_or(accept.row.id);
        }
        accept.events = vec![self.worlds[0].event(Some(accept.row.id))];
        w(accept)
    }

    fn reject(&mut self) -> Write {
        let message = format!("m-{}", self.random.below(60));
        let raw = [u8::try_from(self.random.below(3)).unwrap(); 32];
        let mut reject = self.worlds[0].reject(Some(&message).filter(|_| !self.random.one_in(4)).map(String::as_str), &raw);
        reject.events = vec![self.worlds[0].event(None)];
        w(reject)
    }

    /// Mostly what the owner would write, sometimes what it believes wrongly.
    async fn advance(&mut self, worker: Uuid) -> Option<Advance> {
        let mine: Vec<RequestRow> = self.worlds[0].store.requests(&RequestFilter::default(), None, 9999).await.unwrap();
        let (mine, others): (Vec<_>, Vec<_>) = mine.into_iter().partition(|row| row.owner == Some(worker));
        let row = if self.random.one_in(6) { self.random.pick(&others) } else { self.random.pick(&mine) }?;
        let random = &mut self.random;
        let expect = if random.one_in(12) { row.seq + 1 } else { row.seq };
        let mut advance = match random.below(6) {
            0 | 1 => end(row.id, expect, ["done", "refused", "withdrawn", "expired"][random.below(4)]),
            2 => release(
                row.id,
                expect,
                ["waiting", "queued", "parked"][random.below(3)],
                [None, Some(T0), Some(LATER)][random.below(3)],
            ),
            _ => step(row.id, expect),
        };
        if !row.turn && !random.one_in(6) {
            if advance.summary.state == "done" {
                advance.summary.state = "withdrawn";
            } else if advance.summary.ended_at.is_none() {
                advance.summary.state = "queued";
            }
        }
        advance.summary.parked = random.pick(&GROUPS).filter(|_| advance.summary.state == "parked").map(Into::into);
        advance.summary.person = random.one_in(4);
        advance.seen = if random.one_in(3) { row.seen } else { row.signalled + u64::from(random.one_in(25)) };
        advance.quiet |= random.one_in(3);
        let open = self.worlds[0].store.signals(row.id).await.unwrap();
        for (signal, _) in open {
            // Those that a resume sends have other ids in every store.
            if self.signals.contains(&signal) && self.random.one_in(2) {
                advance.consumed.push(Consumed { signal, answer: "applied".into() });
            }
        }
        match self.random.below(6) {
            0 => advance.review = Some(ReviewChange::Open(Box::new(self.opened(&row)))),
            1 => advance.review = self.random.pick(&self.reviews).map(ReviewChange::Decided),
            2 => advance.review = self.random.pick(&self.reviews).map(ReviewChange::Cancelled),
            3 => {
                let at = Time(i64::try_from(self.random.below(9)).unwrap());
                advance.defect = Some(defect(&format!("f{}", self.random.below(2)), row.id, at));
            }
            4 => advance.payload = Some(format!("{}", self.random.next()).into_bytes().into()),
            _ => advance.events = vec![self.worlds[0].event(Some(row.id))],
        }
        Some(advance)
    }

    fn opened(&mut self, row: &RequestRow) -> ReviewRow {
        ReviewRow {
            id: self.id(),
            request: row.id,
            process: row.process.clone(),
            process_version: 1,
            name: "face_uncertain".into(),
            slot: "face".into(),
            customer: row.customer.clone(),
            options: vec![Choice::Approve, Choice::Refuse],
            role: None,
            four_eyes: self.random.one_in(2),
            state: "open".into(),
            version: 1,
            claimed_by: None,
            claimed_until: None,
            escalated: 0,
            decision: None,
            opened_at: T0,
            due_at: Time(i64::try_from(self.random.below(3)).unwrap()),
            closed_at: None,
        }
    }

    async fn signal(&mut self) {
        let Some(request) = self.random.pick(&self.requests) else { return };
        let known = self.random.pick(&self.signals).filter(|_| self.random.one_in(6));
        let id = known.unwrap_or_else(|| self.id());
        self.signals.push(id);
        let signal = Signal::Note { by: "ann".into(), text: format!("{}", self.random.next()) };
        same!(self, (id, request), |store| store.signal(id, request, &signal, T0), plain).ok();
        same!(self, id, |store| store.signal_answer(id), plain).ok();
    }

    async fn review(&mut self) {
        let Some(review) = self.random.pick(&self.reviews) else { return };
        let current = self.worlds[0].store.review(review).await.map_or(1, |row| row.version);
        let random = &mut self.random;
        let by = ["ann", "bob", "eve"][random.below(3)].to_owned();
        let act = match random.below(6) {
            0 => ReviewAct::Claim { by, until: [T0, LATER][random.below(2)], steal: random.one_in(2) },
            1 => ReviewAct::Release { by },
            2 => ReviewAct::Escalate { by },
            _ => {
                let choice = [Choice::Approve, Choice::Refuse][random.below(2)];
                let version = current + u32::from(random.one_in(8));
                let (note, fields) = (String::new(), std::collections::BTreeMap::new());
                ReviewAct::Decide {
                    version,
                    decision: Decision { review, choice, by, first_by: None, first_note: None, reason: None, note, fields },
                }
            }
        };
        let known = random.pick(&self.signals).filter(|_| random.one_in(12));
        let signal_id = known.unwrap_or_else(|| self.id());
        self.signals.push(signal_id);
        same!(self, (review, &act), |store| store.review_act(review, &act, signal_id, T0), plain).ok();
    }

    async fn claim(&mut self) {
        let Some(worker) = self.random.pick(&self.workers) else { return };
        let sorted = |claimed: &Vec<mozhao::engine::ports::store::Claimed>| {
            let mut claimed: Vec<_> = claimed.iter().map(|claimed| (claimed.request, claimed.mine_already)).collect();
            claimed.sort_unstable();
            format!("{claimed:?}")
        };
        same!(self, "claim", |store| store.claim(worker, 9999), sorted).unwrap();
    }

    async fn worker(&mut self) {
        let Some(worker) = self.random.pick(&self.workers) else { return };
        if self.random.one_in(2) {
            same!(self, "deregister", |store| store.deregister(worker), plain).unwrap();
            self.workers.retain(|other| *other != worker);
            self.gone.push(worker);
        } else {
            for world in &self.worlds {
                // A heartbeat of this very tick is not older than now.
                let since = world.store.now().await.unwrap();
                while world.store.now().await.unwrap() == since {
                    tokio::task::yield_now().await;
                }
            }
            let dead = same!(self, "rescue", |store| store.rescue(worker, Duration::ZERO), plain).unwrap();
            self.workers = vec![worker];
            self.gone.extend(dead);
        }
        self.register().await;
    }

    async fn group(&mut self) {
        let group = GROUPS[self.random.below(2)];
        let limit = self.random.below(3);
        let signal = Signal::Resume { by: "ann".into(), group: group.into(), to_version: None };
        let before = [T0, Time(T0.0 + 1)][self.random.below(2)];
        let after = self.random.pick(&self.requests).filter(|_| self.random.one_in(2)).unwrap_or_default();
        same!(self, "groups", |store| store.parked_groups(), plain).unwrap();
        same!(self, "resume", |store| store.resume_some(group, &signal, T0, before, after, limit), plain).unwrap();
        same!(self, "parked", |store| store.parked_under(group, 3), plain).unwrap();
        let row = ControlRow {
            group: group.into(),
            state: "open".into(),
            reason: format!("{}", self.random.next()),
            by: "ann".into(),
            canary: None,
            probe_at: Some(LATER),
            rate: 3,
            to_version: None,
            since: None,
            changed_at: T0,
            version: u32::try_from(1 + self.random.below(4)).unwrap(),
        };
        same!(self, &row, |store| store.put_control(&row, None), plain).unwrap();
    }

    async fn outbox(&mut self) {
        let Some(worker) = self.random.pick(&self.workers) else { return };
        let waiting = same!(self, "unpublished", |store| store.unpublished(worker, 9999), plain).unwrap();
        let done: Vec<Uuid> = waiting.iter().map(|event| event.id).filter(|_| self.random.one_in(2)).collect();
        same!(self, "published", |store| store.published(worker, &done), plain).unwrap();
    }

    async fn settings(&mut self) {
        for id in &self.signals {
            let id = *id;
            same!(self, id, |store| store.signal_answer(id), plain).ok();
        }
        let days = [0, 2, 31, 401][self.random.below(4)];
        let now = T0.plus(Duration::from_hours(24) * days);
        // Ids of these times are strays in PostgreSQL, which go one by one as everywhere.
        let requests = self.random.one_in(2).then_some(Duration::from_hours(24) * 31);
        let keep = Retention { requests, ..Retention::default() };
        same!(self, ("sweep", days, requests), |store| store.sweep(now, &keep, 9999), plain).unwrap();
    }

    /// The whole state.
    async fn compare(&self) {
        let all = RequestFilter::default();
        let requests = same!(self, "requests", |store| store.requests(&all, None, 9999), |found: &Vec<_>| rows(found)).unwrap();
        for request in requests {
            let loaded = |loaded: &mozhao::engine::ports::store::Loaded| {
                let signals: Vec<_> = loaded.signals.iter().map(|(_, signal)| signal).collect();
                format!("{} {:?} {:?} {signals:?}", row(&loaded.row), loaded.payload, loaded.entries)
            };
            same!(self, request.id, |store| store.load(request.id), loaded).unwrap();
            assert!(self.row(request.id).await.is_some());
        }
        let states = ["open", "deciding", "decided", "cancelled"].map(Into::into).to_vec();
        let every = ReviewFilter { states, ..ReviewFilter::default() };
        same!(self, "reviews", |store| store.reviews(&every, None, 9999), plain).unwrap();
        same!(self, "rejected", |store| store.rejected(None, 9999), plain).unwrap();
        let balance = same!(self, "balance", |store| store.balance(), plain).unwrap();
        assert!(balance.holds(), "{balance:?}");
        same!(self, "defects", |store| store.defects(&[], 9999), plain).unwrap();
        same!(self, "controls", |store| store.controls(), plain).unwrap();
        same!(self, "events", |store| store.events(None, 9999), plain).unwrap();
        let ids = |rows: &Vec<WorkerRow>| format!("{:?}", rows.iter().map(|row| row.id).collect::<Vec<_>>());
        same!(self, "workers", |store| store.workers(), ids).unwrap();
    }
}
