//! The process that is killed: one worker on a real database that carries one request, with remote systems and a broker that
//! are files, so that they outlive it. The person who looks at the target lives in it, too.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use mozhao::domain::process::{Known, parse};
use mozhao::domain::request::fact::FailureClass;
use mozhao::domain::request::signal::{Decision, Signal};
use mozhao::domain::words::Choice;
use mozhao::engine::clock::SystemClock;
use mozhao::engine::ports::clock::Clock as _;
use mozhao::engine::ports::records::ReviewFilter;
use mozhao::engine::ports::remote::{Answer, Failure, Remote, RemoteCall};
use mozhao::engine::ports::store::{ReviewAct, Store};
use mozhao::engine::processes::Processes;
use mozhao::engine::service::{Engine, Parts, Settings, Submission, Submitted};
use mozhao::store::{Role, open};
use serde_json::json;
use uuid::Uuid;

use crate::LEASE;
use crate::harness::wait::{until, until_some};
use crate::points::{Blow, Chosen, PointPublisher, PointRemote, PointStore, Points, append};

/// How long a process may take.
const PATIENCE: Duration = Duration::from_secs(40);

/// A target that is a file: a line for each effect that took place.
pub(crate) struct Target(pub(crate) PathBuf);

impl Target {
    fn lines(&self) -> Vec<String> {
        fs::read_to_string(&self.0).unwrap_or_default().lines().map(str::to_owned).collect()
    }

    /// How often the effect stands.
    pub(crate) fn standing(&self, step: &str) -> i32 {
        let count = |slot: &str| self.lines().iter().filter(|line| line.split(' ').next() == Some(slot)).count();
        i32::try_from(count(step)).unwrap() - i32::try_from(count(&format!("undo.{step}"))).unwrap()
    }
}

#[async_trait]
impl Remote for Target {
    async fn call(&self, call: &RemoteCall) -> Result<Answer, Failure> {
        if !call.effect {
            let step = match &*call.slot {
                "funds" => return Ok(Answer { status: 200, body: Bytes::from_static(br#"{"ok": true}"#), value: None }),
                "done_when" => "tell",
                other => other.rsplit('.').next().unwrap_or(other),
            };
            let body = json!({ "there": self.standing(step) > 0 }).to_string();
            return Ok(Answer { status: 200, body: Bytes::from(body), value: None });
        }
        if call.until.is_some_and(|until| SystemClock.steady() >= until) {
            // As a connector does: a process that was frozen on the way to the wire does not begin the call.
            let detail = "its time was over".to_owned();
            return Err(Failure { class: FailureClass::Transient, code: "late", status: None, detail, retry_after: None });
        }
        let first = self.standing("book") == 0;
        let line = format!("{} {}", call.slot, call.key.as_deref().unwrap_or("-"));
        if call.key.is_none() || !self.lines().contains(&line) {
            append(&self.0, &line);
        }
        if &*call.slot == "book" && first {
            // It is done, and nobody hears of it.
            let detail = "the line broke".to_owned();
            return Err(Failure { class: FailureClass::Unknown, code: "reset", status: None, detail, retry_after: None });
        }
        Ok(Answer { status: 200, body: Bytes::from_static(b"{}"), value: None })
    }

    fn timeout(&self, _connector: &str) -> Duration {
        Duration::from_millis(300)
    }

    fn key_window(&self, connector: &str) -> Option<Duration> {
        (connector == "bank").then(|| Duration::from_hours(24))
    }

    fn names(&self) -> Vec<String> {
        ["bank", "registry", "post"].map(str::to_owned).to_vec()
    }
}

/// `kill 2 before commit of accepted`.
fn chosen(text: &str) -> Option<Chosen> {
    let mut parts = text.splitn(3, ' ');
    let blow = match parts.next()? {
        "kill" => Blow::Kill,
        "error" => Blow::Error,
        "stall" => Blow::Stall,
        _ => return None,
    };
    Some(Chosen { blow, hit: parts.next()?.parse().ok()?, name: parts.next()?.to_owned() })
}

/// Runs until the request has its outcome and everything is told.
pub(crate) fn live() {
    let Ok(folder) = std::env::var("MOZHAO_CRASH_FOLDER") else { return };
    let database = std::env::var("MOZHAO_CRASH_DATABASE").unwrap();
    let chosen = std::env::var("MOZHAO_CRASH_AT").ok().as_deref().and_then(chosen);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(work(Path::new(&folder), &database, chosen));
}

async fn work(folder: &Path, database: &str, chosen: Option<Chosen>) {
    let points = Points::new(chosen, folder);
    let inner = until_some("the database", PATIENCE, async || open::open(database, Role::Worker).await.ok()).await;
    let store: Arc<dyn Store> = Arc::new(PointStore { inner: inner.clone(), points: points.clone() });
    let target = || Target(folder.join("target"));
    let processes = Processes::default();
    processes.add(parse("transfer.yaml", include_str!("transfer.yaml"), &Known::default()).unwrap().process);
    let begin = async || {
        let parts = Parts {
            store: store.clone(),
            remote: Arc::new(PointRemote { inner: target(), points: points.clone() }),
            publisher: Some(Arc::new(PointPublisher { sink: folder.join("sink"), points: points.clone() })),
            clock: Arc::new(SystemClock),
            settings: Settings { lease: LEASE, drain: Duration::from_secs(2), ..Settings::default() },
        };
        Engine::start_knowing(parts, processes.copy()).await.ok()
    };
    let engine = until_some("the engine to start", PATIENCE, begin).await;
    let running = tokio::spawn({
        let engine = engine.clone();
        async move { engine.run().await }
    });
    let request = until_some("the request to be accepted", PATIENCE, async || submit(&engine).await).await;
    let callback = Uuid::new_v5(&request, b"callback");
    until("the request to end", PATIENCE, async || {
        // On a busy machine the database may be late: it is asked again.
        let Ok(row) = inner.request(request).await else { return false };
        if row.ended_at.is_some() && inner.balance().await.is_ok_and(|balance| balance.unpublished == 0) {
            return true;
        }
        if row.step.as_deref() == Some("receipt") {
            let signal = Signal::Callback { name: "receipt".to_owned(), body: json!({ "code": 1 }) };
            drop(engine.send(request, callback, signal, Duration::ZERO).await);
        }
        if let Some(group) = row.parked {
            let signal = Signal::Resume { by: "operator".to_owned(), group, to_version: None };
            drop(engine.send(request, Uuid::now_v7(), signal, Duration::ZERO).await);
        }
        look(&engine, inner.as_ref(), &target()).await;
        false
    })
    .await;
    engine.stop();
    running.await.unwrap().unwrap();
}

async fn submit(engine: &Engine) -> Option<Uuid> {
    let submission = Submission {
        producer: "app".to_owned(),
        message: Some("m1".to_owned()),
        channel: "app".to_owned(),
        process: "transfer".to_owned(),
        payload: Bytes::from_static(br#"{"customer": "C1"}"#).into(),
        reply_to: None,
        correlation: None,
        traceparent: None,
    };
    match engine.submit(submission).await {
        Ok(Submitted::Accepted(id) | Submitted::Duplicate(id)) => Some(id),
        Ok(other) => panic!("a good message came to {other:?}"),
        Err(_) => None,
    }
}

/// A person looks at the target, when nothing can be on its way any more, and answers what nobody else can know.
async fn look(engine: &Engine, store: &dyn Store, target: &Target) {
    let now = SystemClock.now();
    let Ok(reviews) = store.reviews(&ReviewFilter::default(), None, 10).await else { return };
    for review in reviews {
        if review.name != "unknown_effect" || now.since(review.opened_at) < Duration::from_millis(500) {
            continue;
        }
        let choice = if target.standing(&review.slot) > 0 { Choice::Applied } else { Choice::NotApplied };
        let decision = Decision {
            review: review.id,
            choice,
            by: "li".to_owned(),
            first_by: None,
            first_note: None,
            reason: None,
            note: String::new(),
            fields: BTreeMap::new(),
        };
        let act = ReviewAct::Decide { version: review.version, decision };
        drop(engine.review_act(&review, act, Uuid::now_v7(), Duration::ZERO).await);
    }
}
