//! The shipped processes on the real engine, over real HTTP, against the sandbox: every request of a generated world must
//! end where the world says, and the target ledger must show each effect once.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::{Json, Router, routing::post};
use mozhao::connectors::{Connectors, ConnectorsConfig};
use mozhao::domain::request::signal::Signal;
use mozhao::engine::clock::SystemClock;
use mozhao::engine::intake::{Submission, Submitted};
use mozhao::engine::ports::clock::Clock;
use mozhao::engine::service::{Engine, Parts, Settings};
use mozhao::sandbox::{Fault, Planned, Road, Sandbox, Trouble, World};
use mozhao::store::memory::MemoryStore;
use serde_json::Value;
use tokio::net::TcpListener;
use uuid::Uuid;

/// Within this time everything that can come to rest has.
const PATIENCE: Duration = Duration::from_mins(1);

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy")
}

/// Takes customers' callbacks in, as the API does.
async fn call_back(
    State((engine, clock)): State<(Engine, SystemClock)>,
    axum::extract::Path((request, name, token)): axum::extract::Path<(Uuid, String, String)>,
    Json(body): Json<Value>,
) -> StatusCode {
    if !engine.callback_token_fits(request, &name, &token) {
        return StatusCode::FORBIDDEN;
    }
    let signal = Signal::Callback { name, body };
    match engine.send(request, clock.id(), signal, Duration::from_secs(5)).await {
        Ok(_) => StatusCode::ACCEPTED,
        Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

struct Running {
    sandbox: Sandbox,
    engine: Engine,
}

async fn start() -> Running {
    let sandbox = Sandbox::start(([127, 0, 0, 1], 0).into()).await.unwrap();
    let file = std::fs::read_to_string(deploy().join("connectors.sandbox.yaml")).unwrap();
    let file = file.replace("http://127.0.0.1:9900", &sandbox.url()).replace("500/s", "100000/s");
    let connectors = Connectors::new(ConnectorsConfig::parse("connectors.sandbox.yaml", &file).unwrap()).unwrap();
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let settings = Settings {
        processes: Some(deploy().join("processes")),
        public_url: format!("http://{}", listener.local_addr().unwrap()),
        ..Settings::default()
    };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let store = Arc::new(MemoryStore::new(clock.clone()));
    let parts = Parts { store, remote: Arc::new(connectors), publisher: None, clock, settings };
    let engine = Engine::start(parts).await.unwrap();
    let router =
        Router::new().route("/v1/callbacks/{request}/{name}/{token}", post(call_back)).with_state((engine.clone(), SystemClock));
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let running = engine.clone();
    tokio::spawn(async move { running.run().await.unwrap() });
    Running { sandbox, engine }
}

async fn submit(engine: &Engine, number: usize, planned: &Planned) -> Uuid {
    let submission = Submission {
        producer: "world".into(),
        message: Some(format!("m{number}")),
        channel: "test".into(),
        process: planned.process.into(),
        payload: Bytes::from(planned.payload.to_string()).into(),
        reply_to: None,
        correlation: None,
        traceparent: None,
    };
    match engine.submit_with_room(submission).await.unwrap() {
        Submitted::Accepted(id) => id,
        other => unreachable!("{planned:?}: {other:?}"),
    }
}

/// Where a request stands, in the words of [`Road`].
async fn stands(engine: &Engine, request: Uuid) -> String {
    let row = engine.store().request(request).await.unwrap();
    let reason = row.reason.unwrap_or_default();
    match row.state.as_str() {
        "refused" => format!("refused:{reason}"),
        "in_review" => format!("review:{reason}"),
        "parked" if row.parked.unwrap_or_default().starts_with("defect:") => "parked".into(),
        other => other.into(),
    }
}

/// Waits until the request stands there; what it came to otherwise.
async fn reaches(engine: &Engine, request: Uuid, road: Road) -> Result<(), String> {
    let waiting = async {
        while stands(engine, request).await != road.to_string() {
            engine.changed(request, Duration::from_millis(200)).await;
        }
    };
    match tokio::time::timeout(PATIENCE, waiting).await {
        Ok(()) => Ok(()),
        Err(_) => Err(stands(engine, request).await),
    }
}

/// Submits a world's requests and checks where each comes to; the ledger then shows each effect once.
async fn walk(running: &Running, seed: u64, n: u32) {
    let world = World::generate(seed, n);
    running.sandbox.handle().load(&world);
    let mut submitted = Vec::new();
    for (number, planned) in world.requests.iter().enumerate() {
        submitted.push((submit(&running.engine, number, planned).await, planned));
    }
    let checks = submitted.iter().map(|(request, planned)| async {
        reaches(&running.engine, *request, planned.road).await.map_err(|stands| {
            format!("seed {seed}: {} {} should be {}, stands at {stands}", planned.process, planned.payload, planned.road)
        })
    });
    let wrong: Vec<_> = futures_util::future::join_all(checks).await.into_iter().filter_map(Result::err).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(running.sandbox.handle().effects(2), [], "applied more than once");
    let mut done: BTreeMap<&str, u64> = BTreeMap::new();
    for planned in world.requests.iter().filter(|planned| planned.road == Road::Done) {
        *done.entry(planned.process).or_default() += 1;
    }
    let effects = running.sandbox.handle().totals().by_effect;
    for (process, effect) in [
        ("card_unbind", "unbind"),
        ("phone_change", "phone"),
        ("account_close", "close"),
        ("name_correction", "hr_name"),
        ("name_correction", "legacy_name"),
    ] {
        assert_eq!(effects.get(effect), done.get(process), "{effect}");
    }
    // Every account that was found moving is as it was before.
    let count = |effect: &str| effects.get(effect).copied().unwrap_or(0);
    assert_eq!(count("freeze"), count("close") + count("unfreeze"));
    assert_eq!(count("stop_statements"), count("close") + count("resume_statements"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_world_ends_where_it_should() {
    let running = start().await;
    walk(&running, 7, 300).await;
    running.engine.stop();
    running.sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn troubles_change_no_outcome() {
    let running = start().await;
    let handle = running.sandbox.handle();
    // Resets only: a timeout or a "did not happen" would cost real minutes of settling here.
    handle.fault(Fault::new("/bank/**", Trouble::ApplyThenReset).method("POST").probability(0.2));
    handle.fault(Fault::new("/bank/customers/*/phone", Trouble::ApplyThenReset).probability(0.2));
    handle.fault(Fault::new("/legacy/**", Trouble::ApplyThenReset).method("POST").probability(0.2));
    handle.fault(Fault::new("/bank/**", Trouble::Status { status: 503, retry_after_s: Some(0) }).method("GET").probability(0.02));
    walk(&running, 11, 200).await;
    assert_ne!(handle.totals().by_fault.get("apply_then_reset"), None);
    running.engine.stop();
    running.sandbox.stop().await;
}
