//! One decision for several reviews: what was seen is decided, once, whoever works on it and however often.

use mozhao::api::turn;
use mozhao::engine::ports::batches::Progress;
use mozhao::engine::ports::reviewing::HeldRow;
use serde_json::{Value, json};

use crate::reviews::{approve, four_eyes};
use crate::world::World;

/// Reviews of as many customers, with their requests.
async fn several(world: &World, many: usize) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for number in 1..=many {
        let id = world.submit_until(&format!("grey-{number}"), "in_review").await;
        all.push((world.review_of(&id).await, id));
    }
    all
}

fn seen(reviews: &[(String, String)]) -> Value {
    json!(reviews.iter().map(|(review, _)| json!({"id": review, "version": 1})).collect::<Vec<_>>())
}

fn approve_all(reviews: &[(String, String)]) -> Value {
    json!({"reviews": seen(reviews), "choice": "approve", "note": "all on the list"})
}

/// Each item as `state code`.
fn words(batch: &Value) -> Vec<String> {
    let word = |item: &Value| format!("{} {}", item["state"].as_str().unwrap(), item["code"].as_str().unwrap_or("-"));
    batch["items"].as_array().unwrap().iter().map(word).collect()
}

async fn work(world: &World) {
    while turn(&world.engine).await.unwrap() {}
}

async fn decisions(world: &World, request: &str) -> usize {
    let list = world.get("audit", &format!("/v1/requests/{request}/timeline")).await.expect(200);
    list.body["items"].as_array().unwrap().iter().filter(|entry| entry["kind"] == "decided").count()
}

/// What a batch comes to whose reviews were changed, claimed, held and decided by others after they were seen.
async fn what_was_seen_is_decided(world: &World) {
    let all = several(world, 6).await;
    let batch = world.post("li", "/v1/batches", &approve_all(&all)).await.expect(202);
    assert_eq!(batch.body["counts"], json!({"pending": 6, "done": 0, "skipped": 0, "failed": 0}));
    assert_eq!(batch.body["items"][0]["customer"], "grey-1");
    // Nothing is decided in the request that made it.
    assert_eq!(world.store.request(all[0].1.parse().unwrap()).await.unwrap().state, "in_review");
    let path = |at: usize, act: &str| format!("/v1/reviews/{}/{act}", all[at].0);
    world.post("wang", &path(1, "claim"), &json!({})).await.expect(200);
    world.post("wang", &path(2, "decide"), &approve(1)).await.expect(200);
    let mut later = approve(1);
    later["hold"] = json!("1m");
    world.post("wang", &path(3, "decide"), &later).await.expect(202);
    world.post("app", &format!("/v1/requests/{}/withdraw", all[4].1), &json!({})).await.expect(200);
    let late = world.submit_until("grey-late", "in_review").await;
    work(world).await;
    let here = format!("/v1/batches/{}", batch.id());
    let done = world.get("li", &here).await.expect(200).body;
    let expected = ["done applied", "skipped taken", "skipped stale", "skipped held", "skipped stale", "done applied"];
    assert_eq!(words(&done), expected);
    assert_eq!(done["counts"], json!({"pending": 0, "done": 2, "skipped": 4, "failed": 0}));
    assert!(done["done_at"].is_string());
    assert_eq!((&done["items"][1]["why"], &done["items"][3]["why"]), (&"wang".into(), &"wang".into()));
    assert!(done["items"][2]["why"].as_str().unwrap().contains("version 2"), "{done}");
    for at in [0, 5] {
        world.until(&all[at].1, "done").await;
        assert_eq!(decisions(world, &all[at].1).await, 1);
    }
    assert_eq!(world.store.request(late.parse().unwrap()).await.unwrap().state, "in_review", "it came later");
    assert_eq!(world.get("li", "/v1/batches").await.expect(200).body["items"][0]["id"], batch.body["id"]);
    // It is its maker's business.
    world.get("wang", &here).await.expect(404);
    world.get("audit", &here).await.expect(403);
    world.post("wang", &format!("{here}/stop"), &json!({})).await.expect(404);
    assert_eq!(world.get("wang", "/v1/batches").await.expect(200).body["items"], json!([]));
}

#[tokio::test]
async fn what_was_seen_is_decided_and_the_rest_says_why() {
    what_was_seen_is_decided(&World::start().await).await;
}

#[tokio::test]
async fn what_was_seen_is_decided_on_a_database() {
    what_was_seen_is_decided(&World::on_sqlite().await).await;
}

#[tokio::test]
async fn a_key_makes_one_batch_and_a_dead_worker_decides_nothing_twice() {
    let world = World::on_sqlite().await;
    let all = several(&world, 3).await;
    let (key, body) = (world.key(), approve_all(&all));
    let batch = world.post_once("li", "/v1/batches", &key, &body).await.expect(202);
    assert_eq!(world.post_once("li", "/v1/batches", &key, &body).await.expect(202).body["id"], batch.body["id"]);
    let other = approve_all(&all[..2]);
    assert_eq!(world.post_once("li", "/v1/batches", &key, &other).await.expect(409).problem(), "key-conflict");
    assert_ne!(world.post_once("wang", "/v1/batches", &key, &other).await.expect(202).body["id"], batch.body["id"]);
    // A worker took it, marked one, sent it, and died before it wrote down what came of that.
    let (store, id) = (world.store.clone(), batch.id().parse().unwrap());
    let batches = store.batches();
    let now = world.engine.clock().now();
    let taken = batches.take_batch(now, now).await.unwrap().unwrap();
    assert_eq!(taken.id, id);
    let item = &batches.batch_items(id).await.unwrap()[0];
    assert!(batches.begin_item(id, item.review).await.unwrap());
    let review = world.store.review(item.review).await.unwrap();
    let decision = mozhao::domain::request::signal::Decision { review: review.id, ..taken.decision.clone() };
    let act = mozhao::engine::ports::store::ReviewAct::Decide { version: 1, decision };
    world.engine.review_act(&review, act, item.signal_id, std::time::Duration::from_secs(5)).await.unwrap();
    work(&world).await;
    let done = world.get("li", &format!("/v1/batches/{id}")).await.expect(200).body;
    assert_eq!(words(&done), ["done applied"; 3]);
    for (_, request) in &all {
        world.until(request, "done").await;
        assert_eq!(decisions(&world, request).await, 1);
    }
    // Wang's found them decided.
    let theirs = world.get("wang", "/v1/batches").await.body["items"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(words(&world.get("wang", &format!("/v1/batches/{theirs}")).await.body), ["skipped stale"; 2]);
}

/// What cannot be read keeps no other item back, and comes to an end.
#[tokio::test]
async fn what_cannot_be_read_is_tried_and_given_up() {
    let world = World::on_sqlite().await;
    let all = several(&world, 3).await;
    let batch = world.post("li", "/v1/batches", &approve_all(&all)).await.expect(202).id();
    let id = batch.parse().unwrap();
    let mut later = approve(1);
    later["hold"] = json!("1m");
    world.post("wang", &format!("/v1/reviews/{}/decide", all[0].0), &later).await.expect(202);
    world.damage("UPDATE held SET decision = x'00' WHERE review = ", &all[0].0).await;
    world.damage("UPDATE reviews SET options = 'x' WHERE id = ", &all[1].0).await;
    let items = async || {
        let items = world.store.batches().batch_items(id).await.unwrap();
        items.into_iter().map(|item| (item.came.to, item.came.code)).collect::<Vec<_>>()
    };
    assert!(!turn(&world.engine).await.unwrap(), "it waits");
    let sending = (Progress::Sending, String::new());
    assert_eq!(items().await, [sending.clone(), sending, (Progress::Done, "applied".to_owned())]);
    world.damage("UPDATE batches SET start_at = start_at - 660000000, taken_until = 0 WHERE id = ", &batch).await;
    turn(&world.engine).await.unwrap();
    let ended = [(Progress::Skipped, "taken"), (Progress::Failed, "internal"), (Progress::Done, "applied")];
    assert_eq!(items().await, ended.map(|(to, code)| (to, code.to_owned())));
    assert!(world.store.batches().batch(id).await.unwrap().done_at.is_some());
}

/// An item that was sent is asked for what came of it, whatever somebody holds by now.
#[tokio::test]
async fn what_is_held_after_an_item_was_sent_is_another_matter() {
    let world = World::start().await;
    let all = several(&world, 1).await;
    let id = world.post("li", "/v1/batches", &approve_all(&all)).await.expect(202).id().parse().unwrap();
    let (batches, clock) = (world.store.batches(), world.engine.clock());
    let taken = batches.take_batch(clock.now(), clock.now()).await.unwrap().unwrap();
    let item = &batches.batch_items(id).await.unwrap()[0];
    assert!(batches.begin_item(id, item.review).await.unwrap());
    let review = world.store.review(item.review).await.unwrap();
    let decision = mozhao::domain::request::signal::Decision { review: review.id, ..taken.decision.clone() };
    let held = HeldRow {
        decision: decision.clone(),
        request: review.request,
        version: 2,
        signal_id: clock.id(),
        at: clock.now(),
        release_at: clock.now().plus(std::time::Duration::from_mins(1)),
    };
    let act = mozhao::engine::ports::store::ReviewAct::Decide { version: 1, decision };
    world.engine.review_act(&review, act, item.signal_id, std::time::Duration::from_secs(5)).await.unwrap();
    assert!(world.store.reviewing().hold(&held).await.unwrap());
    work(&world).await;
    assert_eq!(words(&world.get("li", &format!("/v1/batches/{id}")).await.body), ["done applied"]);
}

#[tokio::test]
async fn two_workers_on_one_batch_decide_each_once() {
    let world = World::start().await;
    let all = several(&world, 8).await;
    let batch = world.post("li", "/v1/batches", &approve_all(&all)).await.expect(202);
    let id = batch.id().parse().unwrap();
    let other = async {
        // As if the lease of the first had ended at once.
        world.store.batches().leave_batch(id, world.engine.clock().now()).await.unwrap();
        turn(&world.engine).await.unwrap();
    };
    let (first, ()) = tokio::join!(turn(&world.engine), other);
    first.unwrap();
    world.store.batches().leave_batch(id, world.engine.clock().now()).await.unwrap();
    work(&world).await;
    assert_eq!(words(&world.get("li", &format!("/v1/batches/{id}")).await.body), ["done applied"; 8]);
    for (_, request) in &all {
        world.until(request, "done").await;
        assert_eq!(decisions(&world, request).await, 1);
    }
}

#[tokio::test]
async fn a_preview_stores_nothing() {
    let world = World::start().await;
    let all = several(&world, 3).await;
    world.post("wang", &format!("/v1/reviews/{}/claim", all[1].0), &json!({})).await.expect(200);
    let mut body = approve_all(&all);
    body["preview"] = json!(true);
    body["reviews"].as_array_mut().unwrap().push(json!({"id": uuid::Uuid::nil(), "version": 1}));
    body["reviews"][2]["version"] = json!(7);
    let preview = world.post("li", "/v1/batches", &body).await.expect(200).body;
    assert_eq!(words(&preview), ["pending -", "skipped taken", "skipped stale", "skipped not_found"]);
    assert_eq!(preview.get("id"), None);
    body["choice"] = json!("refuse");
    body["reason"] = json!("no_such_reason");
    assert_eq!(words(&world.post("li", "/v1/batches", &body).await.expect(200).body)[0], "failed invalid");
    assert_eq!(world.get("li", "/v1/batches").await.body["items"], json!([]));
    assert!(turn(&world.engine).await.is_ok_and(|more| !more));
    assert_eq!(world.store.request(all[0].1.parse().unwrap()).await.unwrap().state, "in_review");
}

#[tokio::test]
async fn four_eyes_and_roles_are_those_of_single_decisions() {
    let world = World::start().await;
    let (request, _) = four_eyes(&world).await;
    let review = world.review_of(&request).await;
    let plain = several(&world, 1).await;
    let both = [(review.clone(), request.clone()), plain[0].clone()];
    // Another role's.
    let zhao = world.post("zhao", "/v1/batches", &approve_all(&both)).await.expect(202).body;
    assert_eq!(words(&zhao), ["skipped forbidden"; 2]);
    for who in ["ops", "audit", "app"] {
        world.post(who, "/v1/batches", &approve_all(&both)).await.expect(403);
        // Who operates stops them; nobody else has to do with them.
        world.get(who, "/v1/batches").await.expect(if who == "ops" { 200 } else { 403 });
    }
    let first = world.post("li", "/v1/batches", &approve_all(&both[..1])).await.expect(202).id();
    work(&world).await;
    assert_eq!(words(&world.get("li", &format!("/v1/batches/{first}")).await.body), ["done second_needed"]);
    assert_eq!(world.store.request(request.parse().unwrap()).await.unwrap().state, "in_review");
    let mut again = approve_all(&both[..1]);
    again["reviews"][0]["version"] = json!(2);
    assert_eq!(words(&world.post("li", "/v1/batches", &again).await.expect(202).body), ["skipped taken"], "one's own second");
    let second = world.post("wang", "/v1/batches", &again).await.expect(202).id();
    work(&world).await;
    assert_eq!(words(&world.get("wang", &format!("/v1/batches/{second}")).await.body), ["done applied"]);
    world.until(&request, "done").await;
}

#[tokio::test]
async fn a_batch_is_stopped() {
    let world = World::start().await;
    let all = several(&world, 2).await;
    let mut body = approve_all(&all);
    body["hold"] = json!("1m");
    let id = world.post("li", "/v1/batches", &body).await.expect(202).id();
    assert!(!turn(&world.engine).await.unwrap(), "it has not begun");
    let stopped = world.post("li", &format!("/v1/batches/{id}/stop"), &json!({})).await.expect(200).body;
    assert_eq!(words(&stopped), ["skipped stopped"; 2]);
    assert!(stopped["done_at"].is_string());
    world.post("li", &format!("/v1/batches/{id}/stop"), &json!({})).await.expect(200);
    work(&world).await;
    assert_eq!(world.store.request(all[0].1.parse().unwrap()).await.unwrap().state, "in_review");
}

/// Whose rights are taken away while a batch waits: nothing of it is decided, and each item says why. Operators see and stop anybody's.
#[tokio::test]
async fn rights_are_looked_at_again_and_operators_reach_everything() {
    let world = World::start().await;
    let all = several(&world, 2).await;
    let mut body = approve_all(&all);
    body["hold"] = json!("1m");
    let waits = world.post("li", "/v1/batches", &body).await.expect(202).id();
    let id = world.post("li", "/v1/batches", &approve_all(&all)).await.expect(202).id();
    world.store.revoke_token("li", world.engine.clock().now()).await.unwrap();
    work(&world).await;
    for who in ["wang", "narrow-ops"] {
        world.get(who, &format!("/v1/batches/{id}")).await.expect(404);
        world.post(who, &format!("/v1/batches/{waits}/stop"), &json!({})).await.expect(404);
        world.get(who, "/v1/batches?everybody=true").await.expect(403);
    }
    assert_eq!(words(&world.get("ops", &format!("/v1/batches/{id}")).await.expect(200).body), ["failed revoked"; 2]);
    for (_, request) in &all {
        assert_eq!(world.store.request(request.parse().unwrap()).await.unwrap().state, "in_review");
    }
    let list = world.get("ops", "/v1/batches?everybody=true").await.expect(200).body;
    assert_eq!((list["items"].as_array().unwrap().len(), &list["items"][0]["by"]), (2, &"li".into()));
    assert_eq!(world.get("ops", "/v1/batches").await.expect(200).body["items"], json!([]));
    let stopped = world.post("ops", &format!("/v1/batches/{waits}/stop"), &json!({})).await.expect(200).body;
    assert_eq!(words(&stopped), ["skipped stopped"; 2]);
    let acts = world.get("audit", "/v1/acts").await.expect(200).body;
    assert_eq!((&acts["items"][0]["by"], &acts["items"][0]["what"]), (&"ops".into(), &"batch_stopped".into()));
}

#[tokio::test]
async fn what_is_no_batch() {
    let world = World::start().await;
    let all = several(&world, 1).await;
    let good = approve_all(&all);
    let mut twice = good.clone();
    twice["reviews"] = json!([good["reviews"][0], good["reviews"][0]]);
    let many: Vec<Value> = (0..201).map(|n| json!({"id": uuid::Uuid::from_u128(n), "version": 1})).collect();
    for (field, value) in [
        ("reviews", json!([])),
        ("reviews", twice["reviews"].clone()),
        ("reviews", json!(many)),
        ("choice", json!("amend")),
        ("note", json!("")),
        ("hold", json!("2m")),
    ] {
        let mut bad = good.clone();
        bad[field] = value;
        assert_eq!(world.post("li", "/v1/batches", &bad).await.expect(422).problem(), "invalid", "{field}");
    }
    let mut held = good.clone();
    held["hold"] = json!("1m");
    for _ in 0..5 {
        world.post("li", "/v1/batches", &held).await.expect(202);
    }
    assert!(world.post("li", "/v1/batches", &held).await.expect(422).body["detail"].as_str().unwrap().contains("not done yet"));
}
