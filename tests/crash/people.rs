//! The people of the stories: customers, reviewers, operators. They remember next to nothing: each act has an id of its own, and is done
//! again until it shows.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use mozhao::api::{release, turn};
use mozhao::domain::request::signal::{Decision, Signal};
use mozhao::domain::words::Choice;
use mozhao::engine::clock::SystemClock;
use mozhao::engine::ports::batches::{BatchRow, Came, ItemRow, Progress};
use mozhao::engine::ports::clock::Clock as _;
use mozhao::engine::ports::records::{RequestRow, ReviewFilter, ReviewRow, TokenRow};
use mozhao::engine::ports::reviewing::{ActRow, HeldRow};
use mozhao::engine::ports::store::{ReviewAct, Store};
use mozhao::engine::service::{Engine, ResumeHow, Told};
use serde_json::json;
use uuid::Uuid;

use crate::stories::Story;
use crate::target::Target;

/// How long somebody waits for an answer.
const WAIT: Duration = Duration::from_secs(1);

pub(crate) struct People {
    story: &'static Story,
    engine: Engine,
    /// Without points: how people see how things are.
    store: Arc<dyn Store>,
    target: Target,
    request: Uuid,
    /// The first held decision was taken back.
    took_back: Cell<bool>,
    /// The batch was worked on here before: it belongs to nobody else.
    worked: Cell<bool>,
}

/// The batch that decides this request's review.
pub(crate) fn batch_of(request: Uuid) -> Uuid {
    Uuid::new_v5(&request, b"batch")
}

impl People {
    pub(crate) fn new(story: &'static Story, engine: Engine, store: Arc<dyn Store>, target: Target, request: Uuid) -> People {
        People { story, engine, store, target, request, took_back: Cell::new(false), worked: Cell::new(false) }
    }

    fn id(&self, what: &str) -> Uuid {
        Uuid::new_v5(&self.request, what.as_bytes())
    }

    async fn send(&self, what: &str, signal: Signal, wait: Duration) -> bool {
        matches!(self.engine.send(self.request, self.id(what), signal, wait).await, Ok(Told::Answer(_)))
    }

    async fn callback(&self, what: &str, body: serde_json::Value) -> bool {
        self.send(what, Signal::Callback { name: "receipt".to_owned(), body }, WAIT).await
    }

    /// Is nothing of theirs under way?
    pub(crate) async fn done(&self) -> bool {
        if self.story.name != "reviewed" {
            return true;
        }
        match self.store.batches().batch(batch_of(self.request)).await {
            Ok(batch) if batch.done_at.is_some() => true,
            _ => {
                self.work().await;
                false
            }
        }
    }

    /// Those whose decisions take effect later must have the right to them then. Whoever was here before has said so already.
    pub(crate) async fn come_in(&self) {
        for (number, name) in [(1, "wang"), (2, "chen")] {
            let token = TokenRow {
                name: name.to_owned(),
                sha256: [number; 32],
                roles: vec!["admin".to_owned()],
                processes: Vec::new(),
                review_roles: Vec::new(),
                created_at: SystemClock.now(),
                expires_at: None,
                revoked_at: None,
            };
            drop(self.store.add_token(&token).await);
        }
    }

    /// Whatever there is to do for somebody now.
    pub(crate) async fn act(&self, row: &RequestRow) {
        if row.step.as_deref() == Some("receipt") && row.state == "waiting" {
            self.receipt().await;
        }
        if let Some(group) = &row.parked {
            self.resume(group).await;
        }
        let Ok(reviews) = self.store.reviews(&ReviewFilter::default(), None, 10).await else { return };
        for review in reviews {
            match review.name.as_str() {
                "unknown_effect" => self.look(review).await,
                "risky" => self.ask(review).await,
                "big" => self.decide_and_hold(review).await,
                "large" => self.batch(review).await,
                _ => {}
            }
        }
        if self.story.name == "reviewed" && row.state == "waiting" && row.step.as_deref() == Some("risk") {
            let fields = BTreeMap::from([("proof".to_owned(), json!("good"))]);
            self.send("note", Signal::Note { by: "li".to_owned(), text: "asked".to_owned() }, WAIT).await;
            self.send("supplement", Signal::Supplement { fields, by: "C1".to_owned() }, WAIT).await;
        }
    }

    /// It waits for a receipt: what comes depends on the story.
    async fn receipt(&self) {
        // What is told of the acceptance is marked before: on a slow machine, too, it is not marked together with the outcome.
        if !self.store.balance().await.is_ok_and(|balance| balance.unpublished == 0) {
            return;
        }
        match self.story.name {
            "withdrawn" => drop(self.send("withdraw", Signal::Withdraw { by: "C1".to_owned(), note: None }, WAIT).await),
            // One after the other: too late, of no use, good.
            "parked" => {
                let late = Signal::Withdraw { by: "C1".to_owned(), note: None };
                if self.send("withdraw", late, WAIT).await && self.callback("of no use", json!({ "other": 1 })).await {
                    self.callback("callback", json!({ "code": 1 })).await;
                }
            }
            "expired" => {}
            _ => drop(self.callback("callback", json!({ "code": 1 })).await),
        }
    }

    /// In the story of what is parked its dependency comes back by itself, and version 2 mends the defect.
    async fn resume(&self, group: &str) {
        if self.story.name != "parked" {
            let signal = Signal::Resume { by: "operator".to_owned(), group: group.to_owned(), to_version: None };
            drop(self.engine.send(self.request, Uuid::now_v7(), signal, Duration::ZERO).await);
        } else if group.starts_with("defect:") {
            let how = ResumeHow { by: "operator".to_owned(), rate: None, to_version: Some(2) };
            drop(self.engine.resume_group(group, how).await);
        }
    }

    fn decision(review: Uuid, choice: Choice, by: &str) -> Decision {
        Decision {
            review,
            choice,
            by: by.to_owned(),
            first_by: None,
            first_note: None,
            reason: None,
            note: "please".to_owned(),
            fields: BTreeMap::new(),
        }
    }

    async fn put(&self, review: &ReviewRow, act: ReviewAct, id: Uuid) {
        drop(self.engine.review_act(review, act, id, WAIT).await);
    }

    /// A person looks at the target, when nothing can be on its way any more, and answers what nobody else can know.
    async fn look(&self, review: ReviewRow) {
        if SystemClock.now().since(review.opened_at) < Duration::from_millis(500) {
            return;
        }
        let choice = if self.target.standing(&review.slot) > 0 { Choice::Applied } else { Choice::NotApplied };
        let act = ReviewAct::Decide { version: review.version, decision: Self::decision(review.id, choice, "li") };
        drop(self.engine.review_act(&review, act, Uuid::now_v7(), Duration::ZERO).await);
    }

    /// A reviewer takes the question and asks the customer.
    async fn ask(&self, review: ReviewRow) {
        if review.claimed_by.is_none() {
            let until = SystemClock.now().plus(Duration::from_hours(1));
            let claim = ReviewAct::Claim { by: "li".to_owned(), until, steal: false };
            self.put(&review, claim, self.id("claim")).await;
            return;
        }
        let decision = Self::decision(review.id, Choice::AskCustomer, "li");
        self.put(&review, ReviewAct::Decide { version: review.version, decision }, self.id("ask")).await;
    }

    /// The first of two decides at once; the second holds the decision, takes it back, and holds it again.
    async fn decide_and_hold(&self, review: ReviewRow) {
        if review.decision.is_none() {
            let decision = Self::decision(review.id, Choice::Approve, "li");
            let act = ReviewAct::Decide { version: review.version, decision };
            return self.put(&review, act, self.id("first")).await;
        }
        let (now, first, again) = (SystemClock.now(), self.id("held"), self.id("held again"));
        let reviewing = self.engine.store().reviewing();
        match self.store.reviewing().held(review.id).await {
            Ok(Some(held)) if held.signal_id == first => {
                let act = ActRow {
                    id: Uuid::now_v7(),
                    at: now,
                    by: "wang".to_owned(),
                    what: "decision_undone".to_owned(),
                    request: Some(self.request),
                    review: Some(review.id),
                    detail: String::new(),
                };
                if reviewing.take_back(review.id, now, &act).await.is_ok_and(|held| held.is_some()) {
                    self.took_back.set(true);
                }
            }
            Ok(Some(_)) => drop(release(&self.engine).await),
            Ok(None) => {
                let (signal_id, release_at) =
                    if self.took_back.get() { (again, now) } else { (first, now.plus(Duration::from_hours(1))) };
                let decision = Self::decision(review.id, Choice::Approve, "wang");
                let held = HeldRow { decision, request: self.request, version: review.version, signal_id, at: now, release_at };
                drop(reviewing.hold(&held).await);
            }
            Err(_) => {}
        }
    }

    /// A batch of one.
    async fn batch(&self, review: ReviewRow) {
        if self.store.batches().batch(batch_of(self.request)).await.is_ok() {
            return self.work().await;
        }
        let now = SystemClock.now();
        let decision = Decision { review: Uuid::nil(), ..Self::decision(review.id, Choice::Approve, "chen") };
        let batch = BatchRow { id: batch_of(self.request), decision, at: now, start_at: now, done_at: None };
        let came = Came { to: Progress::Pending, code: String::new(), why: String::new() };
        let item = ItemRow { review: review.id, version: review.version, signal_id: self.id("item"), came };
        drop(self.engine.store().batches().add_batch(&batch, &[item], 9).await);
    }

    /// Works on the batch. What a worker that failed or is gone has taken belongs to it for half a minute, which passes at once here.
    async fn work(&self) {
        if !self.worked.get() {
            drop(self.store.batches().leave_batch(batch_of(self.request), SystemClock.now()).await);
        }
        self.worked.set(turn(&self.engine).await.is_ok());
    }
}
