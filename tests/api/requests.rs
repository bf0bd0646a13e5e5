//! Sending requests, reading them, listing them, and what is done to them.

use std::time::Duration;

use mozhao::engine::ports::records::Retention;
use serde_json::json;

use crate::world::{CANARY, World};

#[tokio::test]
async fn a_request_goes_from_sent_to_done() {
    let world = World::start().await;
    let sent = world.submit("app", "sure").await.expect(202);
    let id = sent.id();
    assert_eq!(sent.headers["location"], format!("/v1/requests/{id}"));
    assert_eq!((&sent.body["state"], &sent.body["outcome"]), (&"done".into(), &"done".into()));
    assert_eq!(sent.body["payload"], json!({"who": "sure", "phone": "********34"}));
    assert_eq!(sent.body["person"], false);
    let again = world.get("app", &format!("/v1/requests/{id}")).await.expect(200);
    assert_eq!(again.body, sent.body);
    assert_eq!(*world.bank.changed.lock().unwrap(), ["sure"]);
}

#[tokio::test]
async fn a_refusal_says_why_and_what_to_do_in_every_language() {
    let world = World::start().await;
    let sent = world.submit("app", "gone").await.expect(202);
    assert_eq!(sent.body["outcome"], "refused");
    assert_eq!(sent.body["reason"]["name"], "gone");
    assert_eq!(sent.body["reason"]["customer"]["en"], "We do not know you any more.");
    assert_eq!(sent.body["reason"]["remedy"]["zh-CN"], "请致电客服。");
}

#[tokio::test]
async fn a_key_stands_for_one_body() {
    let world = World::start().await;
    let body = json!({"process": "change", "payload": {"who": "sure", "phone": CANARY}});
    let first = world.submit_with("app", "k", &body, "").await.expect(202);
    // The same in another order is the same.
    let same = json!({"payload": {"phone": CANARY, "who": "sure"}, "process": "change"});
    let again = world.submit_with("app", "k", &same, "").await.expect(200);
    assert_eq!(first.id(), again.id());
    let other = json!({"process": "change", "payload": {"who": "gone", "phone": CANARY}});
    let conflict = world.submit_with("app", "k", &other, "").await.expect(409);
    assert_eq!((conflict.problem(), conflict.body["request"].as_str().unwrap()), ("key-conflict", first.id().as_str()));
    // Another producer's keys are its own.
    let elsewhere = world.submit_with("other", "k", &other, "").await.expect(202);
    assert_ne!(elsewhere.id(), first.id());
}

#[tokio::test]
async fn a_payload_that_does_not_fit_is_explained_place_by_place() {
    let world = World::start().await;
    let body = json!({"process": "change", "payload": {"who": 5, "fone": CANARY}});
    let refused = world.submit_with("app", "k", &body, "").await.expect(422);
    assert_eq!(refused.problem(), "schema");
    let mut pointers: Vec<&str> =
        refused.body["errors"].as_array().unwrap().iter().map(|one| one["pointer"].as_str().unwrap()).collect();
    pointers.sort_unstable();
    assert_eq!(pointers, ["/fone", "/phone", "/who"]);
    let again = world.submit_with("app", "k", &body, "").await.expect(422);
    assert_eq!(again.body["errors"], refused.body["errors"], "the same again is answered with the same");
    let mended = json!({"process": "change", "payload": {"who": "sure", "phone": CANARY}});
    let conflict = world.submit_with("app", "k", &mended, "").await.expect(409);
    assert!(conflict.body["detail"].as_str().unwrap().contains("use a new key"), "{}", conflict.text);
    let unknown = world.submit_with("app", "k2", &json!({"process": "chnage", "payload": {}}), "").await.expect(422);
    assert_eq!((unknown.problem(), &unknown.body["code"]), ("rejected", &"unknown_process".into()));
    let rejected = world.get("ops", "/v1/rejected").await.expect(200);
    let codes: Vec<&str> = rejected.body["items"].as_array().unwrap().iter().map(|one| one["code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["unknown_process", "key_conflict", "schema"]);
    let page = world.get("ops", "/v1/rejected?limit=1").await.expect(200);
    let next = page.body["next"].as_str().unwrap();
    let last = world.get("ops", &format!("/v1/rejected?limit=1&cursor={next}")).await.expect(200);
    assert_eq!(last.body["items"][0]["code"], "key_conflict");
}

#[tokio::test]
async fn lists_are_filtered_and_paged_without_gaps() {
    let world = World::start().await;
    let mut sent = Vec::new();
    for customer in ["sure", "gone", "sure", "grey", "sure"] {
        let id = if customer == "grey" {
            world.submit_until("grey", "in_review").await
        } else {
            world.submit("app", customer).await.id()
        };
        sent.push(id);
    }
    world.submit("other", "sure").await.expect(202);
    let (mut seen, mut path) = (Vec::new(), "/v1/requests?limit=2".to_owned());
    loop {
        let page = world.get("app", &path).await.expect(200);
        seen.extend(page.body["items"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned()));
        let Some(next) = page.body["next"].as_str() else { break };
        path = format!("/v1/requests?limit=2&cursor={next}");
    }
    sent.reverse();
    assert_eq!(seen, sent, "newest first, the own ones only");
    let count = |who: &'static str, query: &'static str| {
        let world = &world;
        async move { world.get(who, &format!("/v1/requests?{query}")).await.expect(200).body["items"].as_array().unwrap().len() }
    };
    assert_eq!(count("ops", "").await, 6);
    assert_eq!(count("ops", "state=done").await, 4);
    assert_eq!(count("ops", "state=done,refused&producer=app").await, 4);
    assert_eq!(count("ops", "open=true").await, 1);
    assert_eq!(count("ops", "customer=gone").await, 1);
    assert_eq!(count("ops", "reason=gone").await, 1);
    assert_eq!(count("ops", "process=texted").await, 0);
    assert_eq!(count("ops", "after=2100-01-01T00:00:00Z").await, 0);
    assert_eq!(count("app", "producer=other").await, 0);
    assert_eq!(count("narrow-ops", "").await, 0);
    // By its sender's id, which is the sender's own.
    let key = world.get("app", "/v1/requests?limit=1").await.expect(200).body["items"][0]["message"].as_str().unwrap().to_owned();
    for (who, query, found) in [
        ("ops", format!("producer=app&message={key}"), 1),
        ("audit", format!("producer=app&message={key}&process=change"), 1),
        ("ops", format!("producer=app&message={key}&process=texted"), 0),
        ("ops", format!("producer=other&message={key}"), 0),
        ("app", format!("message={key}"), 1),
        ("other", format!("message={key}"), 0),
        ("other", format!("producer=app&message={key}"), 0),
        ("narrow-ops", format!("producer=app&message={key}"), 0),
    ] {
        let list = world.get(who, &format!("/v1/requests?{query}")).await.expect(200);
        assert_eq!(list.body["items"].as_array().unwrap().len(), found, "{who} {query}");
    }
    let alone = world.get("ops", &format!("/v1/requests?message={key}")).await.expect(400);
    assert!(alone.text.contains("is given together with `producer`"), "{}", alone.text);
    assert_eq!(count("narrow-ops", "process=change").await, 0);
}

#[tokio::test]
async fn the_timeline_is_the_ledger_masked() {
    let world = World::start().await;
    let id = world.submit("app", "sure").await.id();
    let staff = world.get("audit", &format!("/v1/requests/{id}/timeline?limit=200")).await.expect(200);
    let items = staff.body["items"].as_array().unwrap();
    let kinds: Vec<&str> = items.iter().map(|one| one["kind"].as_str().unwrap()).collect();
    assert_eq!((kinds[0], *kinds.last().unwrap()), ("accepted", "ended"));
    assert!(kinds.contains(&"intent") && kinds.contains(&"verdict"), "{kinds:?}");
    for (at, item) in items.iter().enumerate() {
        assert_eq!(item["seq"], at + 1);
        assert_eq!(item["hash"].as_str().unwrap().len(), 64);
    }
    let verdict = items.iter().find(|one| one["kind"] == "verdict").unwrap();
    assert_eq!(verdict["fact"]["clause"]["id"], "A-1");
    let first = world.get("audit", &format!("/v1/requests/{id}/timeline?limit=2")).await.expect(200);
    assert_eq!(first.body["next"], 2);
    let rest = world.get("audit", &format!("/v1/requests/{id}/timeline?limit=200&cursor=2")).await.expect(200);
    assert_eq!(rest.body["items"][0], items[2]);
    assert!(rest.body.get("next").is_none());
    let own = world.get("app", &format!("/v1/requests/{id}/timeline?limit=200")).await.expect(200);
    assert_eq!(own.body["items"].as_array().unwrap().len(), items.len());
    assert!(!own.text.contains("A-1") && !own.text.contains("answer."), "{}", own.text);
}

#[tokio::test]
async fn what_is_not_yours_is_not_there() {
    let world = World::start().await;
    let id = world.submit("app", "sure").await.id();
    for (who, path) in
        [("other", ""), ("other", "/timeline"), ("other", "/events"), ("narrow-ops", ""), ("narrow-ops", "/timeline")]
    {
        let reply = world.get(who, &format!("/v1/requests/{id}{path}")).await.expect(404);
        assert_eq!(reply.problem(), "not-found");
        let unknown = world.get(who, &format!("/v1/requests/0192f3a4-0000-7000-8000-00000000000a{path}")).await.expect(404);
        assert_eq!(unknown.body["detail"], reply.body["detail"], "the two must look the same");
    }
    for path in ["withdraw", "supplement"] {
        let body = if path == "withdraw" { json!({}) } else { json!({"fields": {"who": "x"}}) };
        world.post("other", &format!("/v1/requests/{id}/{path}"), &body).await.expect(404);
    }
    let narrow = world.submit_with("narrow", "k", &json!({"process": "change", "payload": {}}), "").await.expect(422);
    assert_eq!(narrow.body["code"], "unknown_process");
}

#[tokio::test]
async fn a_withdrawal_wins_or_is_told_why_not() {
    let world = World::start().await;
    let id = world.submit_until("grey", "in_review").await;
    let done = world.post("app", &format!("/v1/requests/{id}/withdraw"), &json!({})).await.expect(200);
    assert_eq!(done.body["answer"], "applied");
    world.until(&id, "withdrawn").await;
    let again = world.post("app", &format!("/v1/requests/{id}/withdraw"), &json!({})).await.expect(409);
    assert_eq!((again.problem(), &again.body["outcome"]), ("ended", &"withdrawn".into()));
}

#[tokio::test]
async fn why_it_was_withdrawn_is_on_record() {
    let world = World::start().await;
    let id = world.submit_until("grey", "in_review").await;
    let path = format!("/v1/requests/{id}");
    for wrong in [json!({"note": ""}), json!({"note": "x".repeat(4001)}), json!({"note": "a\u{0}"}), json!({"why": "x"})] {
        world.post("app", &format!("{path}/withdraw"), &wrong).await.expect(422);
    }
    // Nothing that is written in it is taken for the outcome.
    world.post("app", &format!("{path}/withdraw"), &json!({"note": "done"})).await.expect(200);
    world.until(&id, "withdrawn").await;
    let timeline = world.get("ops", &format!("{path}/timeline")).await.expect(200).body;
    let last = timeline["items"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(last["fact"]["ending"], json!({"outcome": "withdrawn", "by": "app", "note": "done"}));
    let own = world.get("app", &format!("{path}/timeline")).await.expect(200);
    assert!(!own.text.contains("note"), "{}", own.text);
    assert_eq!(world.get("audit", &format!("/v1/ledger/verify?request={id}")).await.expect(200).body["whole"], true);
}

#[tokio::test]
async fn a_supplement_is_taken_only_when_it_was_asked_for() {
    let world = World::start().await;
    let id = world.submit_until("grey", "in_review").await;
    let path = format!("/v1/requests/{id}/supplement");
    let early = world.post("app", &path, &json!({"fields": {"who": "sure"}})).await.expect(409);
    assert_eq!((early.problem(), &early.body["detail"]), ("not-applied", &"nothing was asked of the customer".into()));
    let review = world.review_of(&id).await;
    let ask = json!({"version": 1, "choice": "ask_customer", "note": "Which name do you have?"});
    world.post("li", &format!("/v1/reviews/{review}/decide"), &ask).await.expect(200);
    world.until(&id, "waiting").await;
    let asked = world.get("app", &format!("/v1/requests/{id}")).await.expect(200);
    assert_eq!(asked.body["asked"]["note"], "Which name do you have?");
    for (fields, place) in [(json!({"known_as": ""}), "/known_as"), (json!({"who": "sure"}), "`customer`")] {
        let wrong = world.post("app", &path, &json!({"fields": fields})).await.expect(422);
        assert!(wrong.body["detail"].as_str().unwrap().contains(place), "{}", wrong.text);
    }
    world.post("app", &path, &json!({"fields": {"known_as": "sure"}})).await.expect(200);
    world.until(&id, "done").await;
    world.post("app", &path, &json!({"fields": {}})).await.expect(422);
}

#[tokio::test]
async fn notes_are_for_staff() {
    let world = World::start().await;
    let id = world.submit_until("grey", "in_review").await;
    let path = format!("/v1/requests/{id}/notes");
    world.post("app", &path, &json!({"note": "hello"})).await.expect(403);
    world.post("ops", &path, &json!({"note": "called the customer"})).await.expect(200);
    let shown = world.get("li", &format!("/v1/requests/{id}/timeline")).await;
    assert!(shown.text.contains("called the customer"));
    let hidden = world.get("app", &format!("/v1/requests/{id}/timeline")).await;
    assert!(!hidden.text.contains("called the customer"));
}

#[tokio::test]
async fn a_key_makes_an_act_one() {
    let world = World::start().await;
    let id = world.submit_until("grey", "in_review").await;
    for _ in 0..3 {
        let request = world.http.post(world.url(&format!("/v1/requests/{id}/notes"))).bearer_auth(world.secret("ops"));
        world.send(request.header("idempotency-key", "n-1").json(&json!({"note": "once"}))).await.expect(200);
    }
    let shown = world.get("ops", &format!("/v1/requests/{id}/timeline")).await;
    assert_eq!(shown.text.matches("\"once\"").count(), 1);
}

#[tokio::test]
async fn a_wait_ends_when_its_time_is_up_with_how_things_stand() {
    let world = World::start().await;
    let id = world.submit_until("grey", "in_review").await;
    let shown = world.get("app", &format!("/v1/requests/{id}?wait=100ms")).await.expect(200);
    assert_eq!(shown.body["state"], "in_review");
    assert!(shown.body["review"].get("question").is_none(), "the question is for staff");
    let staff = world.get("li", &format!("/v1/requests/{id}")).await.expect(200);
    assert_eq!(staff.body["review"]["question"]["en"], "Is this the customer?");
}

#[tokio::test]
async fn more_waiters_than_places_are_answered_at_once() {
    let world = World::with(|settings| settings.waiters = 0).await;
    let id = world.submit_until("grey", "in_review").await;
    let reply = world.get("app", &format!("/v1/requests/{id}?wait=60s")).await.expect(200);
    assert_eq!(reply.body["state"], "in_review");
}

/// Its key is known for longer than the request: the same again is no new one, and nothing fails because it is gone.
#[tokio::test]
async fn a_request_that_is_kept_no_longer_is_not_found() {
    let world = World::on_sqlite().await;
    let body = json!({"process": "change", "payload": {"who": "sure", "phone": CANARY}});
    let sent = world.submit_with("app", "k", &body, "?wait=10s").await.expect(202);
    let (id, day) = (sent.id(), Duration::from_hours(24));
    assert_eq!(sent.body["state"], "done");
    let keep = Retention { requests: Some(day * 31), ..Retention::default() };
    let later = world.store.now().await.unwrap().plus(day * 40);
    assert_eq!(world.store.sweep(later, &keep, 9).await.unwrap(), 1);
    let again = world.submit_with("app", "k", &body, "").await.expect(404);
    assert_eq!(again.body["detail"], "this request was not found");
    for path in ["", "/timeline", "/events"] {
        let gone = world.get("app", &format!("/v1/requests/{id}{path}")).await.expect(404);
        assert_eq!(gone.problem(), "not-found", "{path}");
    }
    world.post("app", &format!("/v1/requests/{id}/withdraw"), &json!({})).await.expect(404);
    assert_eq!(*world.bank.changed.lock().unwrap(), ["sure"]);
}
