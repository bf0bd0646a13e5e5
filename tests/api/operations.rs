//! Defects, dependencies, the balance, metrics, readiness.

use std::sync::Arc;
use std::time::Duration;

use mozhao::api::permit::Role;
use mozhao::api::tokens::{NewToken, fresh};
use mozhao::domain::time::Time;
use mozhao::engine::clock::SystemClock;
use mozhao::engine::ports::records::WorkerRow;
use mozhao::store::memory::MemoryStore;
use serde_json::json;
use uuid::Uuid;

use crate::world::{CANARY, World};

#[tokio::test]
async fn a_defect_is_found_fixed_and_resumed() {
    let world = World::start().await;
    let id = world.submit_until("odd-1", "parked").await;
    world.submit_until("odd-2", "parked").await;
    let list = world.get("ops", "/v1/defects").await.expect(200);
    assert_eq!(list.body["items"].as_array().unwrap().len(), 1, "{}", list.text);
    let defect = &list.body["items"][0];
    assert_eq!((&defect["count"], &defect["parked"]), (&2.into(), &2.into()));
    assert_eq!((&defect["slot"], &defect["connector"], &defect["status"]), (&"known".into(), &"bank".into(), &418.into()));
    let path = format!("/v1/defects/{}", defect["fingerprint"].as_str().unwrap());
    assert_eq!(world.get("audit", &path).await.expect(200).body["pattern"], defect["pattern"]);
    world.get("narrow-ops", &path).await.expect(404);
    assert!(world.get("app", &format!("/v1/requests/{id}")).await.body.get("parked").is_none());

    world.post("li", &format!("{path}/resume"), &json!({})).await.expect(403);
    world.post("ops", &format!("{path}/resume"), &json!({"rate": 0})).await.expect(422);
    world.post("ops", &format!("{path}/resume"), &json!({"to_version": 9})).await.expect(422);
    *world.bank.healed.lock().unwrap() = true;
    let resumed = world.post("ops", &format!("{path}/resume"), &json!({"rate": 100})).await.expect(200);
    assert_eq!((&resumed.body["by"], &resumed.body["rate"]), (&"ops".into(), &100.into()));
    world.until(&id, "done").await;
}

#[tokio::test]
async fn one_parked_request_is_tried_again_or_put_to_a_person() {
    let world = World::start().await;
    let (first, second) = (world.submit_until("odd-1", "parked").await, world.submit_until("odd-2", "parked").await);
    let asked = world.post("ops", &format!("/v1/requests/{second}/review"), &json!({"note": "the customer is waiting"})).await;
    asked.expect(200);
    world.until(&second, "in_review").await;
    *world.bank.healed.lock().unwrap() = true;
    world.post("li", &format!("/v1/requests/{first}/retry"), &json!({})).await.expect(403);
    world.post("ops", &format!("/v1/requests/{first}/retry"), &json!({})).await.expect(200);
    world.until(&first, "done").await;
}

#[tokio::test]
async fn a_dependency_is_tripped_and_reset_by_hand() {
    let world = World::start().await;
    let list = world.get("audit", "/v1/dependencies").await.expect(200);
    assert_eq!((&list.body["items"][0]["name"], &list.body["items"][0]["state"]), (&"bank".into(), &"closed".into()));
    assert_eq!(list.body["items"][0]["processes"], json!(["change"]));
    let why = json!({"reason": "the bank has announced a maintenance"});
    world.post("narrow-ops", "/v1/dependencies/bank/trip", &why).await.expect(403);
    world.post("ops", "/v1/dependencies/bnak/trip", &why).await.expect(404);
    world.post("ops", "/v1/dependencies/bank/trip", &json!({})).await.expect(422);
    let tripped = world.post("ops", "/v1/dependencies/bank/trip", &why).await.expect(200);
    assert_eq!((&tripped.body["state"], &tripped.body["by"]), (&"open".into(), &"ops".into()));
    let id = world.submit_until("sure", "parked").await;
    let list = world.get("ops", "/v1/dependencies").await;
    assert_eq!((&list.body["items"][0]["state"], &list.body["items"][0]["parked"]), (&"open".into(), &1.into()));
    let parked = world.get("ops", &format!("/v1/requests/{id}")).await;
    assert_eq!(parked.body["parked"], "dependency:bank");
    world.post("ops", "/v1/dependencies/bank/reset", &json!({"reason": "it is back"})).await.expect(200);
    world.until(&id, "done").await;
}

/// A worker writes a dependency's row, too, whenever it likes: nobody who stops it is sent away to look again.
#[tokio::test]
async fn whoever_stops_a_dependency_is_heard_whoever_else_writes() {
    let world = World::start().await;
    let why = json!({"reason": "the bank is away"});
    let trips = (0..8).map(|_| world.post("ops", "/v1/dependencies/bank/trip", &why));
    for tripped in futures_util::future::join_all(trips).await {
        assert_eq!(tripped.expect(200).body["state"], "open");
    }
    let acts = world.get("audit", "/v1/acts?what=dependency_tripped").await.expect(200).body;
    assert_eq!(acts["items"].as_array().unwrap().len(), 8);
}

#[tokio::test]
async fn a_narrow_role_is_told_of_its_processes_only() {
    let world = World::start().await;
    world.submit("app", "sure").await.expect(202);
    world.submit_until("grey", "in_review").await;
    world.submit_until("down-1", "parked").await;
    let list = world.get("narrow-ops", "/v1/dependencies").await.expect(200);
    assert!(!list.text.contains("bank"), "{}", list.text);
    let balance = world.get("narrow-ops", "/v1/balance").await.expect(200).body;
    let expected = json!({"open": 0, "queued": 0, "running": 0, "waiting": 0, "parked": 0, "in_review": 0, "by_process": []});
    assert_eq!(balance, expected);
    let list = world.get("ops", "/v1/dependencies").await.expect(200).body;
    assert_eq!((&list["items"][0]["name"], &list["items"][0]["parked"]), (&"bank".into(), &1.into()));
    assert_eq!(world.get("ops", "/v1/balance").await.expect(200).body["accepted"], 3);
}

#[tokio::test]
async fn what_waits_of_a_shared_dependency_is_counted_by_process() {
    let other = include_str!("processes/change.yaml").replace("process: change", "process: mine");
    let world = World::on(Arc::new(MemoryStore::new(Arc::new(SystemClock))), &[("mine.yaml", &other)], |_| {}).await;
    world.submit_until("down-1", "parked").await;
    let body = json!({"process": "mine", "payload": {"who": "down-2", "phone": CANARY}});
    let id = world.submit_with("app", "own", &body, "").await.expect(202).id();
    world.until(&id, "parked").await;
    let caller = NewToken {
        name: "mine-ops".into(),
        roles: vec![Role::Operator],
        processes: vec!["mine".into()],
        review_roles: Vec::new(),
        expires_in: None,
    };
    let (secret, row) = fresh(&caller, world.engine.clock().now()).unwrap();
    world.store.add_token(&row).await.unwrap();
    let list = world.send(world.http.get(world.url("/v1/dependencies")).bearer_auth(&secret)).await.expect(200).body;
    assert_eq!((&list["items"][0]["parked"], &list["items"][0]["processes"]), (&1.into(), &json!(["mine"])));
    assert!(list["items"][0]["control"].get("canary").is_none());
    let balance = world.send(world.http.get(world.url("/v1/balance")).bearer_auth(&secret)).await.expect(200).body;
    assert_eq!((&balance["open"], &balance["parked"], &balance["accepted"]), (&1.into(), &1.into(), &json!(null)));
}

#[tokio::test]
async fn staff_see_how_many_attempts_are_left() {
    let once = "retry: {first: 1ms, factor: 1, max: 1ms, attempts: 1, within: 1s}";
    let patient = include_str!("processes/change.yaml").replace("process: change", "process: patient");
    let patient = patient.replace(once, "retry: {first: 1h, factor: 1, max: 1h, attempts: 5, within: 1d}");
    assert!(patient.contains("attempts: 5"));
    let world = World::on(Arc::new(MemoryStore::new(Arc::new(SystemClock))), &[("patient.yaml", &patient)], |_| {}).await;
    let body = json!({"process": "patient", "payload": {"who": "down-1", "phone": CANARY}});
    let id = world.submit_with("app", "patient", &body, "").await.expect(202).id();
    let path = format!("/v1/requests/{id}");
    let tried = loop {
        let shown = world.get("ops", &path).await.expect(200).body;
        if shown["tried"].is_object() && shown["wake_at"].is_string() {
            break shown["tried"].clone();
        }
        world.engine.changed(id.parse().unwrap(), Duration::from_millis(50)).await;
    };
    assert_eq!((&tried["step"], &tried["made"], &tried["of"]), (&"known".into(), &1.into(), &5.into()));
    assert!(tried["until"].is_string());
    // How patient the bank is with its own systems is nothing for those who sent it.
    assert!(world.get("app", &path).await.expect(200).body.get("tried").is_none());
    let id = world.submit("app", "sure").await.id();
    assert!(world.get("ops", &format!("/v1/requests/{id}")).await.expect(200).body.get("tried").is_none());
}

#[tokio::test]
async fn the_books_add_up_in_the_api_and_in_the_metrics() {
    let world = World::start().await;
    world.submit("app", "sure").await.expect(202);
    world.submit("app", "gone").await.expect(202);
    world.submit_until("grey", "in_review").await;
    world.submit_until("odd", "parked").await;
    let balance = world.get("audit", "/v1/balance").await.expect(200).body;
    assert_eq!((&balance["holds"], &balance["difference"], &balance["accepted"]), (&true.into(), &0.into(), &4.into()));
    assert_eq!((&balance["done"], &balance["refused"], &balance["open"]), (&1.into(), &1.into(), &2.into()));
    assert_eq!(balance["automation_rate"], 1.0);
    let metrics = world.send(world.http.get(world.url("/metrics"))).await.expect(200);
    for line in [
        "mozhao_requests_accepted_total 4",
        "mozhao_requests_ended_total{outcome=\"done\"} 1",
        "mozhao_automation_ratio 1",
        "mozhao_balance_difference 0",
        "mozhao_requests_open{state=\"in_review\"} 1",
        "mozhao_process_requests_open{process=\"change\",state=\"parked\",parked=\"defect\"} 1",
        "mozhao_ready 1",
    ] {
        assert!(metrics.text.lines().any(|found| found == line), "{line}\n{}", metrics.text);
    }
}

#[tokio::test]
async fn events_and_workers_are_for_operators() {
    let world = World::start().await;
    let id = world.submit("app", "sure").await.id();
    world.get("app", "/v1/events").await.expect(403);
    world.get("narrow-ops", "/v1/events").await.expect(403);
    let first = world.get("ops", "/v1/events?limit=1").await.expect(200).body;
    assert_eq!((&first["items"][0]["topic"], &first["items"][0]["request"]), (&"request.change.accepted".into(), &id.into()));
    let rest = world.get("ops", &format!("/v1/events?after={}", first["next"].as_str().unwrap())).await.expect(200).body;
    let topics: Vec<&str> = rest["items"].as_array().unwrap().iter().map(|one| one["topic"].as_str().unwrap()).collect();
    assert_eq!(topics, ["request.change.done"]);
    assert_eq!(rest["items"][0]["event"]["specversion"], "1.0");
    let workers = world.get("audit", "/v1/workers").await.expect(200).body;
    assert_eq!((workers["items"].as_array().unwrap().len(), &workers["items"][0]["answering"]), (1, &true.into()));
}

#[tokio::test]
async fn processes_tell_front_ends_what_to_send() {
    let world = World::start().await;
    let list = world.get("narrow", "/v1/processes").await.expect(200).body;
    let names: Vec<&str> = list["items"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["texted"]);
    let page = world.get("app", "/v1/processes/change?version=1").await.expect(200).body;
    assert_eq!(page["schema"]["required"], json!(["who", "phone"]));
    assert_eq!(page["sensitive"], json!(["/phone"]));
    assert!(page["mermaid"].as_str().unwrap().contains("known"));
    world.get("app", "/v1/processes/change?version=2").await.expect(404);
    world.get("narrow", "/v1/processes/change").await.expect(404);
}

#[tokio::test]
async fn readiness_ends_before_the_worker_does() {
    let world = World::start().await;
    let ask = |path: &'static str| world.send(world.http.get(world.url(path)));
    ask("/healthz").await.expect(200);
    ask("/readyz").await.expect(200);
    world.engine.stop();
    let stopping = ask("/readyz").await.expect(503);
    assert_eq!(stopping.body["reasons"][0], "the worker is stopping");
    ask("/healthz").await.expect(200);
    let body = json!({"process": "change", "payload": {"who": "sure", "phone": "1"}});
    let refused = world.submit_with("app", "k", &body, "").await.expect(503);
    assert_eq!((refused.problem(), refused.headers["retry-after"].to_str().unwrap()), ("unavailable", "1"));
}

/// The drives of the dead incarnation wait for a target; the next one does not wait for them (a drain may take 20 s).
#[tokio::test]
async fn a_worker_that_was_declared_dead_starts_anew_at_once() {
    let world = World::start().await;
    let body = json!({"process": "change", "payload": {"who": "hang-1", "phone": CANARY}});
    world.submit_with("app", "hang", &body, "").await.expect(202);
    let (dead, rescuer) = (world.engine.status().worker, Uuid::now_v7());
    let row = WorkerRow { id: rescuer, name: "other".into(), version: "0".into(), started_at: Time(0), heartbeat_at: Time(0) };
    world.store.register(&row).await.unwrap();
    assert_eq!(world.store.rescue(rescuer, Duration::ZERO).await.unwrap(), [dead]);
    let anew = async {
        while world.engine.status().worker == dead {
            world.get("audit", "/v1/workers").await;
        }
    };
    // Its heartbeat, which finds that it is dead, comes every two seconds.
    tokio::time::timeout(Duration::from_secs(8), anew).await.expect("a new incarnation");
}

#[tokio::test]
async fn acts_are_narrowed_by_what_and_when() {
    let world = World::start().await;
    let id = world.submit_until("grey-1", "in_review").await;
    let review = world.review_of(&id).await;
    for _ in 0..3 {
        for act in ["claim", "release"] {
            world.post("li", &format!("/v1/reviews/{review}/{act}"), &json!({})).await.expect(200);
        }
        world.post("ops", &format!("/v1/reviews/{review}/escalate"), &json!({"note": "look"})).await.expect(200);
    }
    // Page by page there is each once, however few of a page's rows are wanted.
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = world.get("audit", &format!("/v1/acts?what=review_released&limit=2{cursor}")).await.expect(200).body;
        seen.extend(page["items"].as_array().unwrap().iter().map(|act| act["id"].clone()));
        assert!(page["items"].as_array().unwrap().iter().all(|act| act["what"] == "review_released"), "{page}");
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    let all = world.get("audit", "/v1/acts").await.expect(200).body;
    let all = all["items"].as_array().unwrap();
    let released: Vec<_> = all.iter().filter(|act| act["what"] == "review_released").map(|act| act["id"].clone()).collect();
    assert_eq!((seen.len(), &seen), (3, &released));
    let at = all[2]["at"].as_str().unwrap();
    let count = async |query: String| {
        let page = world.get("audit", &format!("/v1/acts?{query}")).await.expect(200).body;
        page["items"].as_array().unwrap().len()
    };
    assert_eq!(count(format!("after={at}")).await, 3, "and later ones");
    assert_eq!(count(format!("before={at}")).await, all.len() - 3, "before, and not at it");
    let later = all[0]["at"].as_str().unwrap();
    assert_eq!(count(format!("after={at}&before={later}")).await, 2);
    world.get("audit", &format!("/v1/acts?after={at}&before={at}")).await.expect(400);
    world.get("audit", "/v1/acts?what=nothing").await.expect(400);
}
