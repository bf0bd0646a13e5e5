//! Decisions that are taken back, reviews that are put aside, and views.

use std::time::Duration;

use mozhao::api::release;
use mozhao::domain::request::signal::Decision;
use mozhao::domain::words::Choice;
use mozhao::engine::ports::reviewing::HeldRow;
use mozhao::engine::ports::store::ReviewAct;
use serde_json::{Value, json};

use crate::reviews::{approve, four_eyes, notes};
use crate::world::World;

/// A decision that is held so long that the test takes place meanwhile.
fn held(version: u32) -> Value {
    let mut decision = approve(version);
    decision["hold"] = json!("1m");
    decision
}

/// As if a minute had passed: what is held is due.
async fn a_minute_later(world: &World, review: &str) {
    let reviewing = world.store.reviewing();
    let id = review.parse().unwrap();
    let mut row = reviewing.held(id).await.unwrap().unwrap();
    reviewing.drop_held(id, row.signal_id).await.unwrap();
    row.release_at = world.engine.clock().now();
    assert!(reviewing.hold(&row).await.unwrap());
}

/// Waits until the request's timeline says this: its owner writes it down.
async fn told(world: &World, id: &str, text: &str) {
    let said = async {
        loop {
            let changed = world.engine.changed(id.parse().unwrap(), Duration::from_millis(50));
            if world.get("audit", &format!("/v1/requests/{id}/timeline")).await.text.contains(text) {
                return;
            }
            changed.await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), said).await.unwrap_or_else(|_| panic!("it never says {text:?}"));
}

#[tokio::test]
async fn a_decision_is_taken_back_and_nothing_has_happened() {
    let world = World::start().await;
    let id = world.submit_until("grey", "in_review").await;
    let review = world.review_of(&id).await;
    let path = |act: &str| format!("/v1/reviews/{review}/{act}");
    let decided = world.post("li", &path("decide"), &held(1)).await.expect(202);
    assert_eq!(decided.body["answer"], "held");
    assert_eq!((&decided.body["review"]["held"]["by"], &decided.body["review"]["state"]), (&"li".into(), &"open".into()));
    // Its maker sees what, others that there is one; nobody else does anything meanwhile.
    assert_eq!(world.get("li", &format!("/v1/reviews/{review}")).await.body["held"]["choice"], "approve");
    let seen = world.get("wang", &format!("/v1/reviews/{review}")).await.body;
    assert_eq!((&seen["held"]["by"], &seen["held"]["choice"]), (&"li".into(), &Value::Null));
    for (act, body) in [
        ("claim", json!({"steal": true, "note": "mine"})),
        ("decide", approve(1)),
        ("decide", held(1)),
        ("escalate", json!({"note": "up"})),
        ("snooze", json!({"for": "1h", "note": "later"})),
    ] {
        assert_eq!(world.post("wang", &path(act), &body).await.expect(423).problem(), "taken", "{act}");
    }
    assert_eq!(release(&world.engine).await.unwrap(), 0, "its time has not come");
    assert_eq!(world.post("wang", &path("undo"), &json!({})).await.expect(409).problem(), "stale");
    assert_eq!(world.post("li", &path("undo"), &json!({})).await.expect(200).body["answer"], "undone");
    world.post("li", &path("undo"), &json!({})).await.expect(409);
    let page = world.get("li", &format!("/v1/reviews/{review}")).await.body;
    assert_eq!((&page["state"], &page["version"], &page["held"]), (&"open".into(), &1.into(), &Value::Null));
    // Decided at once, by the same person.
    world.post("li", &path("decide"), &approve(1)).await.expect(200);
    world.until(&id, "done").await;
}

#[tokio::test]
async fn a_held_decision_takes_effect_once() {
    let world = World::start().await;
    let id = world.submit_until("grey", "in_review").await;
    let review = world.review_of(&id).await;
    let path = format!("/v1/reviews/{review}/decide");
    let key = world.key();
    world.post_once("li", &path, &key, &held(1)).await.expect(202);
    // Sent again, by who did not hear the answer.
    assert_eq!(world.post_once("li", &path, &key, &held(1)).await.expect(202).body["answer"], "held");
    a_minute_later(&world, &review).await;
    // A worker dies after it was sent and before it was dropped: another one sends it again.
    let due = world.store.reviewing().due_held(world.engine.clock().now(), 9).await.unwrap();
    released(&world, &review).await;
    world.until(&id, "done").await;
    assert!(world.store.reviewing().hold(&due[0]).await.unwrap());
    released(&world, &review).await;
    let timeline = world.get("audit", &format!("/v1/requests/{id}/timeline")).await;
    assert_eq!(timeline.text.matches("the passport fits").count(), 1, "{}", timeline.text);
    // Who still has not heard: it has taken effect. Another one has not, and is stale.
    assert_eq!(world.post_once("li", &path, &key, &held(1)).await.expect(200).body["answer"], "applied");
    assert_eq!(world.post("li", &path, &held(1)).await.expect(409).problem(), "stale");
    world.post("li", &format!("/v1/reviews/{review}/undo"), &json!({})).await.expect(409);
}

#[tokio::test]
async fn a_held_decision_that_cannot_be_applied_is_on_record() {
    let world = World::start().await;
    let id = world.submit_until("grey", "in_review").await;
    let review = world.review_of(&id).await;
    world.post("li", &format!("/v1/reviews/{review}/decide"), &held(1)).await.expect(202);
    // As a tool might, or a colleague with an older program: over the head of who holds it.
    let mut row = world.store.reviewing().held(review.parse().unwrap()).await.unwrap().unwrap();
    world.store.reviewing().drop_held(row.decision.review, row.signal_id).await.unwrap();
    row.version = 7;
    row.release_at = world.engine.clock().now();
    assert!(world.store.reviewing().hold(&row).await.unwrap());
    for _ in 0..2 {
        release(&world.engine).await.unwrap();
    }
    told(&world, &id, "was not applied: the question had changed").await;
    let page = world.get("li", &format!("/v1/reviews/{review}")).await.body;
    assert_eq!((&page["not_applied"]["code"], &page["not_applied"]["choice"]), (&"stale".into(), &"approve".into()));
    assert_eq!(world.get("wang", &format!("/v1/reviews/{review}")).await.body["not_applied"]["choice"], Value::Null);
    assert_eq!(world.get("li", &format!("/v1/reviews/{review}")).await.body["state"], "open", "and it is asked still");
}

/// Until it is over: its owner may not have answered at once.
async fn released(world: &World, review: &str) {
    let over = async {
        while world.store.reviewing().held(review.parse().unwrap()).await.unwrap().is_some() {
            release(&world.engine).await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(10), over).await.unwrap();
}

/// The request was withdrawn, or another one decided over its maker's head: nothing happens, and its maker is told.
async fn a_held_decision_meets_the_end(world: &World) {
    for (end, code, why) in [("withdraw", "ended", "withdrawn"), ("decide", "decided", "wang")] {
        let id = world.submit_until(&format!("grey-{end}"), "in_review").await;
        let review = world.review_of(&id).await;
        let path = format!("/v1/reviews/{review}/decide");
        world.post("li", &path, &held(1)).await.expect(202);
        if end == "withdraw" {
            world.post("app", &format!("/v1/requests/{id}/withdraw"), &json!({})).await.expect(200);
            world.until(&id, "withdrawn").await;
        } else {
            // As an older program would, which knows of nothing that is held: beside the claim, too.
            let row = world.store.reviewing().held(review.parse().unwrap()).await.unwrap().unwrap();
            world.store.reviewing().drop_held(row.decision.review, row.signal_id).await.unwrap();
            world.post("li", &format!("/v1/reviews/{review}/release"), &json!({})).await.expect(200);
            world.post("wang", &path, &approve(1)).await.expect(200);
            world.until(&id, "done").await;
            assert!(world.store.reviewing().hold(&row).await.unwrap());
        }
        a_minute_later(world, &review).await;
        released(world, &review).await;
        let page = world.get("li", &format!("/v1/reviews/{review}")).await.body;
        let told = &page["not_applied"];
        let ended = world.store.request(id.parse().unwrap()).await.unwrap().state;
        assert_eq!(told["by"], "li", "{page}");
        // Where the request has ended by then, that is what it met.
        let expected = if end == "decide" && told["code"] == "ended" { ("ended", ended.as_str()) } else { (code, why) };
        assert_eq!((told["code"].as_str().unwrap(), told["why"].as_str().unwrap()), expected);
        assert_eq!(page["held"], Value::Null);
    }
}

#[tokio::test]
async fn a_held_decision_meets_the_end_in_memory() {
    a_held_decision_meets_the_end(&World::start().await).await;
}

#[tokio::test]
async fn a_held_decision_meets_the_end_in_a_file() {
    a_held_decision_meets_the_end(&World::on_sqlite().await).await;
}

/// Rights that are taken away while a decision waits are gone when its time comes.
#[tokio::test]
async fn who_was_revoked_decides_nothing_any_more() {
    let world = World::start().await;
    let id = world.submit_until("grey", "in_review").await;
    let review = world.review_of(&id).await;
    world.post("li", &format!("/v1/reviews/{review}/decide"), &held(1)).await.expect(202);
    world.store.revoke_token("li", world.engine.clock().now()).await.unwrap();
    a_minute_later(&world, &review).await;
    released(&world, &review).await;
    told(&world, &id, "was not applied: who made it may not decide this any more").await;
    let page = world.get("wang", &format!("/v1/reviews/{review}")).await.body;
    assert_eq!((&page["state"], &page["not_applied"]["code"]), (&"open".into(), &"revoked".into()));
}

/// With four eyes, what is held may be the second decision: of a disagreement its maker is told, once; and that they were the first
/// themselves, as somebody at the desk.
#[tokio::test]
async fn a_held_second_decision_is_told_of() {
    for world in [World::start().await, World::on_sqlite().await] {
        let (id, path) = four_eyes(&world).await;
        world.post("li", &format!("{path}/decide"), &approve(1)).await.expect(200);
        let mut refuse = held(2);
        (refuse["choice"], refuse["reason"]) = (json!("refuse"), json!("gone"));
        world.post("wang", &format!("{path}/decide"), &refuse).await.expect(202);
        let review = path.rsplit('/').next().unwrap().to_owned();
        a_minute_later(&world, &review).await;
        released(&world, &review).await;
        let page = world.get("wang", &path).await.body;
        assert_eq!((&page["not_applied"]["code"], &page["not_applied"]["choice"]), (&"set_aside".into(), &"refuse".into()));
        assert_eq!((&page["state"], &page["version"]), (&"open".into(), &3.into()));
        let told = notes(&world, &id, 1).await;
        assert!(told.len() == 1 && told[0].contains("two people disagree"), "{told:?}");
        // As `li@desk` the first, as `li` the second.
        let row = world.store.review(review.parse().unwrap()).await.unwrap();
        let decision = |by: &str| Decision {
            review: row.id,
            choice: Choice::Approve,
            by: by.to_owned(),
            first_by: None,
            first_note: None,
            reason: None,
            note: "seen".to_owned(),
            fields: [].into(),
        };
        let (clock, act) = (world.engine.clock(), ReviewAct::Decide { version: 3, decision: decision("li@desk") });
        world.store.review_act(row.id, &act, clock.id(), clock.now()).await.unwrap();
        let (signal_id, at) = (clock.id(), clock.now());
        let second =
            HeldRow { decision: decision("li"), request: row.request, version: 4, signal_id, at, release_at: clock.now() };
        assert!(world.store.reviewing().hold(&second).await.unwrap());
        released(&world, &review).await;
        let end = world.store.reviewing().held_end(row.id).await.unwrap().unwrap();
        assert_eq!((end.code.as_str(), end.why.as_str()), ("taken", "li@desk"));
        let words = "was not applied: li@desk had decided first, and the second must be another person";
        assert!(notes(&world, &id, 2).await.iter().any(|note| note.contains(words)));
    }
}

/// One that cannot be read, by whatever came to it, keeps no other from being sent.
#[tokio::test]
async fn what_cannot_be_read_keeps_nothing_back() {
    let world = World::on_sqlite().await;
    let mut reviews = Vec::new();
    for customer in ["grey-1", "grey-2"] {
        let id = world.submit_until(customer, "in_review").await;
        let review = world.review_of(&id).await;
        world.post("li", &format!("/v1/reviews/{review}/decide"), &held(1)).await.expect(202);
        a_minute_later(&world, &review).await;
        reviews.push((id, review));
    }
    world.damage("UPDATE held SET decision = x'00' WHERE review = ", &reviews[0].1).await;
    released(&world, &reviews[1].1).await;
    world.until(&reviews[1].0, "done").await;
}

/// Two workers send the same one at the same moment.
#[tokio::test]
async fn two_workers_send_one() {
    for world in [World::start().await, World::on_sqlite().await] {
        let id = world.submit_until("grey", "in_review").await;
        let review = world.review_of(&id).await;
        world.post("li", &format!("/v1/reviews/{review}/decide"), &held(1)).await.expect(202);
        a_minute_later(&world, &review).await;
        let (one, two) = tokio::join!(release(&world.engine), release(&world.engine));
        one.unwrap();
        two.unwrap();
        released(&world, &review).await;
        world.until(&id, "done").await;
        let timeline = world.get("audit", &format!("/v1/requests/{id}/timeline")).await;
        assert_eq!(timeline.text.matches("the passport fits").count(), 1, "{}", timeline.text);
        assert_eq!(world.get("li", &format!("/v1/reviews/{review}")).await.body["not_applied"], Value::Null);
    }
}

#[tokio::test]
async fn a_key_of_a_held_decision_is_of_that_one() {
    let world = World::start().await;
    let id = world.submit_until("grey", "in_review").await;
    let path = format!("/v1/reviews/{}/decide", world.review_of(&id).await);
    let key = world.key();
    world.post_once("li", &path, &key, &held(1)).await.expect(202);
    let mut other = held(1);
    other["note"] = json!("another reason");
    let mut shorter = held(1);
    shorter["hold"] = json!("5s");
    for body in [other, shorter, approve(1)] {
        assert_eq!(world.post_once("li", &path, &key, &body).await.expect(409).problem(), "key-conflict", "{body}");
    }
    world.post_once("li", &path, &key, &held(1)).await.expect(202);
}

/// What the ledgers do not say is said here: who did it.
#[tokio::test]
async fn what_else_was_done_is_on_record() {
    let world = World::start().await;
    let id = world.submit_until("grey", "in_review").await;
    let review = world.review_of(&id).await;
    let path = |act: &str| format!("/v1/reviews/{review}/{act}");
    world.post("li", &path("decide"), &held(1)).await.expect(202);
    world.post("li", &path("undo"), &json!({})).await.expect(200);
    world.post("wang", &path("claim"), &json!({"steal": true, "note": "li is at lunch"})).await.expect(200);
    world.post("wang", &path("release"), &json!({})).await.expect(200);
    world.post("li", &path("snooze"), &json!({"for": "2h", "note": "later"})).await.expect(200);
    world.post("wang", &path("wake"), &json!({})).await.expect(200);
    world.post("wang", &path("wake"), &json!({})).await.expect(200);
    let view = json!({"place": "reviews", "name": "Cards", "query": "tab=unassigned"});
    let view = world.post("li", "/v1/views", &view).await.expect(201).id();
    world.post("ops", &format!("/v1/views/{view}/rename"), &json!({"name": "All cards"})).await.expect(200);
    world.send(world.http.delete(world.url(&format!("/v1/views/{view}"))).bearer_auth(world.secret("ops"))).await.expect(204);
    let list = world.get("audit", "/v1/acts").await.expect(200).body;
    let said = |act: &Value| format!("{} {}", act["by"].as_str().unwrap(), act["what"].as_str().unwrap());
    let all: Vec<String> = list["items"].as_array().unwrap().iter().map(said).collect();
    let expected = [
        "ops view_removed",
        "ops view_renamed",
        "li view_saved",
        "wang review_woken",
        "li review_snoozed",
        "wang review_released",
        "wang review_taken_over",
        "li decision_undone",
    ];
    assert_eq!(all, expected, "each once, the last one first");
    assert_eq!((&list["items"][6]["detail"], &list["items"][7]["detail"]), (&"li".into(), &"approve".into()));
    assert_eq!(list["items"][7]["request"], id.as_str());
    let first = world.get("audit", "/v1/acts?by=li&limit=1").await.expect(200).body;
    assert_eq!((&first["items"][0]["what"], first["items"].as_array().unwrap().len()), (&"view_saved".into(), 1));
    let next = format!("/v1/acts?by=li&limit=1&cursor={}", first["next"].as_str().unwrap());
    assert_eq!(world.get("audit", &next).await.expect(200).body["items"][0]["what"], "review_snoozed");
    world.get("li", "/v1/acts").await.expect(403);
}

#[tokio::test]
async fn what_is_no_hold() {
    let world = World::start().await;
    let id = world.submit_until("grey", "in_review").await;
    let review = world.review_of(&id).await;
    let path = format!("/v1/reviews/{review}/decide");
    for hold in ["61s", "soon", "2m"] {
        let mut decision = approve(1);
        decision["hold"] = json!(hold);
        assert_eq!(world.post("li", &path, &decision).await.expect(422).problem(), "invalid", "{hold}");
    }
    assert_eq!(world.post("li", &path, &held(9)).await.expect(409).problem(), "stale");
    let mut wrong = held(1);
    wrong["choice"] = json!("refuse");
    wrong["reason"] = json!("no_such_reason");
    world.post("li", &path, &wrong).await.expect(422);
    assert_eq!(world.store.reviewing().held(review.parse().unwrap()).await.unwrap(), None);
    let mut at_once = approve(1);
    at_once["hold"] = json!("0s");
    world.post("li", &path, &at_once).await.expect(200);
}

#[tokio::test]
async fn a_review_is_put_aside_until_something_arrives() {
    let world = World::start().await;
    let id = world.submit_until("grey", "in_review").await;
    let review = world.review_of(&id).await;
    let path = |act: &str| format!("/v1/reviews/{review}/{act}");
    let listed = async |query: &str| {
        let list = world.get("wang", &format!("/v1/reviews?{query}")).await.expect(200).body;
        list["items"].as_array().unwrap().len()
    };
    let snooze = json!({"for": "2h", "note": "the branch opens at nine"});
    world.post("wang", &path("claim"), &json!({})).await.expect(200);
    world.post("li", &path("snooze"), &snooze).await.expect(423);
    world.post("wang", &path("snooze"), &snooze).await.expect(200);
    assert_eq!((listed("snoozed=false").await, listed("snoozed=true").await, listed("").await), (0, 1, 1));
    let page = world.get("li", &format!("/v1/reviews/{review}")).await.body;
    assert_eq!((&page["snoozed"]["by"], &page["snoozed"]["note"]), (&"wang".into(), &"the branch opens at nine".into()));
    assert_eq!(page["claimed_by"], Value::Null);
    let listed_as = world.get("li", "/v1/reviews").await.expect(200).body["items"][0]["snoozed"].clone();
    assert_eq!(listed_as, page["snoozed"], "its list says as much");
    told(&world, &id, "the branch opens at nine").await;
    assert_eq!(listed("snoozed=true").await, 1, "its own note does not end it");
    world.post("ops", &path("notes"), &json!({"note": "they called back"})).await.expect(202);
    assert_eq!((listed("snoozed=false").await, listed("snoozed=true").await), (1, 0));
    assert_eq!(world.get("li", &format!("/v1/reviews/{review}")).await.body["snoozed"], Value::Null, "nor does its page say so");
    world.post("li", &path("snooze"), &snooze).await.expect(200);
    assert_eq!(listed("snoozed=false").await, 0);
    world.post("wang", &path("wake"), &json!({})).await.expect(200);
    assert_eq!(listed("snoozed=false").await, 1);
    world.post("li", &path("snooze"), &snooze).await.expect(200);
    world.post("li", &path("claim"), &json!({})).await.expect(200);
    assert_eq!(listed("snoozed=false").await, 1, "who takes it up wants to see it");
    for (length, note) in [("0s", "x"), ("15d", "x"), ("soon", "x"), ("1h", "")] {
        world.post("li", &path("snooze"), &json!({"for": length, "note": note})).await.expect(422);
    }
    tokio::time::timeout(Duration::from_secs(10), world.post("li", &path("decide"), &approve(1))).await.unwrap().expect(200);
    world.post("li", &path("snooze"), &snooze).await.expect(409);
}

#[tokio::test]
async fn views_are_for_everybody() {
    let world = World::start().await;
    let view = json!({"place": "reviews", "name": "Cards 银行卡", "query": "tab=unassigned&process=card_unbind"});
    let saved = world.post("li", "/v1/views", &view).await.expect(201).body;
    assert_eq!(world.post("wang", "/v1/views", &view).await.expect(409).problem(), "exists");
    let list = world.get("audit", "/v1/views?place=reviews").await.expect(200).body;
    assert_eq!((&list["items"][0]["name"], &list["items"][0]["by"]), (&"Cards 银行卡".into(), &"li".into()));
    // Requests are looked for by who asked: nobody's number is to be in what everybody reads.
    assert_eq!(world.get("audit", "/v1/views?place=requests").await.expect(400).problem(), "bad-query");
    world.get("app", "/v1/views?place=reviews").await.expect(403);
    for who in ["app", "audit"] {
        world.post(who, "/v1/views", &view).await.expect(403);
    }
    for bad in [
        json!({"place": "elsewhere", "name": "a", "query": "b"}),
        json!({"place": "requests", "name": "a", "query": "customer=c-1"}),
        json!({"place": "reviews", "name": "", "query": "b"}),
        json!({"place": "reviews", "name": "a\u{7}", "query": "b"}),
        json!({"place": "reviews", "name": "a", "query": "b c"}),
        json!({"place": "reviews", "name": "a", "query": "b#c"}),
        json!({"place": "reviews", "name": "a", "query": "b".repeat(501)}),
    ] {
        assert_eq!(world.post("li", "/v1/views", &bad).await.expect(422).problem(), "invalid", "{bad}");
    }
    let path = format!("/v1/views/{}", saved["id"].as_str().unwrap());
    let other = json!({"place": "reviews", "name": "Other", "query": "tab=mine"});
    world.post("wang", "/v1/views", &other).await.expect(201);
    let rename = |name: &str| (format!("{path}/rename"), json!({"name": name}));
    let (address, new) = rename(" Cards 卡 ");
    world.post("wang", &address, &new).await.expect(403);
    assert_eq!(world.post("li", &address, &new).await.expect(200).body["name"], "Cards 卡");
    assert_eq!(world.post("li", &address, &rename("Other").1).await.expect(409).problem(), "exists");
    world.post("li", &address, &rename("").1).await.expect(422);
    world.post("ops", &address, &rename("Cards").1).await.expect(200);
    let remove = |who: &str| world.send(world.http.delete(world.url(&path)).bearer_auth(world.secret(who)));
    remove("wang").await.expect(403);
    remove("ops").await.expect(204);
    remove("li").await.expect(404);
}
