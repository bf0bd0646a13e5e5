//! The questions put to people: found, claimed, decided once.

use std::time::Duration;

use serde_json::{Value, json};

use crate::world::World;

pub(crate) fn approve(version: u32) -> Value {
    json!({"version": version, "choice": "approve", "note": "the passport fits"})
}

#[tokio::test]
async fn a_reviewer_finds_understands_and_decides() {
    let world = World::start().await;
    let id = world.submit_until("grey", "in_review").await;
    let list = world.get("li", "/v1/reviews?unclaimed=true").await.expect(200);
    let listed = &list.body["items"][0];
    assert_eq!((&listed["question"]["zh-CN"], &listed["role"]), (&"是否为本人？".into(), &"identity".into()));
    let review = listed["id"].as_str().unwrap();
    let page = world.get("li", &format!("/v1/reviews/{review}")).await.expect(200).body;
    assert_eq!(page["clause"]["id"], "A-1");
    assert_eq!(page["expected"], "answer.sure == true");
    assert_eq!((&page["evidence"][0]["slot"], &page["evidence"][0]["verdict"]), (&"known".into(), &"review".into()));
    assert_eq!(page["evidence"][0]["kept"]["sure"], false);
    assert_eq!(page["options"][0]["next_effect"], "change");
    assert_eq!(page["reasons"][0]["name"], "gone");
    assert_eq!(page["request_body"]["payload"]["phone"], "********34");
    assert_eq!(page["timeline"], format!("/v1/requests/{id}/timeline"));

    let claimed = world.post("li", &format!("/v1/reviews/{review}/claim"), &json!({})).await.expect(200);
    assert_eq!(claimed.body["review"]["claimed_by"], "li");
    assert_eq!(world.get("wang", "/v1/reviews?unclaimed=true").await.body["items"], json!([]));
    assert_eq!(world.get("li", "/v1/reviews?claimed_by=me").await.body["items"].as_array().unwrap().len(), 1);

    let version = u32::try_from(claimed.body["review"]["version"].as_u64().unwrap()).unwrap();
    let decided = world.post("li", &format!("/v1/reviews/{review}/decide"), &approve(version)).await.expect(200);
    assert_eq!(decided.body["answer"], "applied");
    world.until(&id, "done").await;
    let request = world.get("app", &format!("/v1/requests/{id}")).await.body;
    assert_eq!(request["person"], true);
    assert_eq!(world.get("li", "/v1/reviews").await.body["items"], json!([]));
    let done = world.get("li", "/v1/reviews?state=decided").await;
    assert_eq!(done.body["items"][0]["decision"]["by"], "li");
}

#[tokio::test]
async fn two_reviewers_do_not_decide_twice() {
    let world = World::start().await;
    let id = world.submit_until("grey", "in_review").await;
    let review = world.review_of(&id).await;
    let path = |act: &str| format!("/v1/reviews/{review}/{act}");
    world.post("li", &path("claim"), &json!({})).await.expect(200);
    let taken = world.post("wang", &path("claim"), &json!({})).await.expect(423);
    assert_eq!((taken.problem(), &taken.body["current"]["claimed_by"]), ("taken", &"li".into()));
    world.post("wang", &path("decide"), &approve(1)).await.expect(423);
    assert_eq!(world.post("wang", &path("claim"), &json!({"steal": true})).await.expect(422).problem(), "invalid");
    let stolen = world.post("wang", &path("claim"), &json!({"steal": true, "note": "li is on leave"})).await.expect(200);
    assert_eq!(stolen.body["review"]["claimed_by"], "wang");
    world.post("li", &path("release"), &json!({})).await.expect(423);
    let version = stolen.body["review"]["version"].as_u64().unwrap();
    let stale = world.post("wang", &path("decide"), &approve(u32::try_from(version).unwrap() + 7)).await.expect(409);
    assert_eq!((stale.problem(), &stale.body["current"]["version"]), ("stale", &version.into()));
    let refuse = json!({"version": version, "choice": "refuse", "reason": "gone", "note": "another face"});
    world.post("wang", &path("decide"), &refuse).await.expect(200);
    world.until(&id, "refused").await;
    let late = world.post("wang", &path("decide"), &refuse).await.expect(409);
    assert_eq!((late.problem(), &late.body["current"]["state"]), ("stale", &"decided".into()));
    let shown = world.get("audit", &format!("/v1/requests/{id}/timeline")).await;
    assert!(shown.text.contains("li is on leave"));
}

#[tokio::test]
async fn of_decisions_at_the_same_moment_one_counts() {
    let world = World::start().await;
    for _ in 0..20 {
        let id = world.submit_until("grey", "in_review").await;
        let path = format!("/v1/reviews/{}/decide", world.review_of(&id).await);
        let refuse = json!({"version": 1, "choice": "refuse", "reason": "gone", "note": "no"});
        let (approve, first, second) = (approve(1), world.post("li", &path, &refuse), world.post("wang", &path, &refuse));
        let third = world.post("root", &path, &approve);
        let replies = tokio::join!(first, second, third);
        let mut statuses = [replies.0.status.as_u16(), replies.1.status.as_u16(), replies.2.status.as_u16()];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 409, 409], "{replies:?}");
        let outcome = if replies.2.status == 200 { "done" } else { "refused" };
        world.until(&id, outcome).await;
    }
}

/// A request whose open review asks for four eyes, and where that is decided.
pub(crate) async fn four_eyes(world: &World) -> (String, String) {
    let id = world.submit_until("big-1", "in_review").await;
    // The verify step of this customer asks first.
    let unsure = world.review_of(&id).await;
    world.post("li", &format!("/v1/reviews/{unsure}/decide"), &approve(1)).await.expect(200);
    loop {
        world.until(&id, "in_review").await;
        let open = world.get("audit", &format!("/v1/reviews?request={id}")).await;
        if open.body["items"][0]["name"] == "big_change" {
            let review = open.body["items"][0]["id"].as_str().unwrap();
            return (id, format!("/v1/reviews/{review}"));
        }
    }
}

/// The notes in a request's timeline, as soon as there are so many.
pub(crate) async fn notes(world: &World, request: &str, count: usize) -> Vec<String> {
    let id = request.parse().unwrap();
    loop {
        let changed = world.engine.changed(id, Duration::from_secs(1));
        let shown = world.get("audit", &format!("/v1/requests/{request}/timeline?limit=200")).await.expect(200).body;
        let entries = shown["items"].as_array().unwrap().iter().filter(|entry| entry["kind"] == "noted");
        let notes: Vec<_> = entries.map(|entry| entry["fact"]["text"].as_str().unwrap().to_owned()).collect();
        if notes.len() >= count {
            return notes;
        }
        changed.await;
    }
}

#[tokio::test]
async fn four_eyes_are_two_people_who_agree() {
    let world = World::start().await;
    let (id, review) = four_eyes(&world).await;
    let decide = format!("{review}/decide");
    let kept = world.post("li", &decide, &approve(1)).await.expect(200).body;
    assert_eq!((&kept["answer"], &kept["review"]["first_by"]), (&"second_needed".into(), &"li".into()));
    assert_eq!((&kept["review"]["state"], &kept["review"]["version"]), (&"open".into(), &2.into()));
    let same = world.post("li", &decide, &approve(2)).await.expect(423);
    assert_eq!(same.body["detail"], "you decided first; a second person must decide too");
    // The second person is not told how the first decided.
    assert!(world.get("wang", &review).await.body.get("decision").is_none());
    let second = world.post("wang", &decide, &approve(2)).await.expect(200).body;
    assert_eq!((&second["answer"], &second["review"]["state"]), (&"applied".into(), &"decided".into()));
    world.until(&id, "done").await;
}

#[tokio::test]
async fn two_people_who_disagree_start_over() {
    for world in [World::start().await, World::on_sqlite().await] {
        let (id, review) = four_eyes(&world).await;
        let decide = format!("{review}/decide");
        let refuse = |version: u32, reason: &str| json!({"version": version, "choice": "refuse", "reason": reason, "note": "the photo is old"});
        world.post("li", &decide, &approve(1)).await.expect(200);
        world.post("wang", &format!("{review}/claim"), &json!({})).await.expect(200);
        let apart = world.post_once("wang", &decide, "apart-1", &refuse(2, "gone")).await.expect(200).body;
        // The review is as if nobody had decided, and anybody's.
        assert_eq!(apart["answer"], "set_aside");
        let open = &apart["review"];
        assert_eq!((&open["state"], &open["version"]), (&"open".into(), &3.into()));
        for gone in ["first_by", "decision", "claimed_by", "closed_at"] {
            assert_eq!(open.get(gone), None, "{gone}");
        }
        let shown = world.get("root", &review).await.expect(200).body;
        assert_eq!((&shown["state"], &shown["version"], shown.get("first_by")), (&"open".into(), &3.into(), None));
        let text = "two people disagree, and both decisions are set aside: li decided approve: the passport fits; \
                    wang decided refuse (gone): the photo is old";
        assert_eq!(notes(&world, &id, 1).await, [text]);
        // The request waits on, and nothing was done to the customer.
        assert_eq!(world.get("app", &format!("/v1/requests/{id}")).await.body["state"], "in_review");
        assert!(world.bank.changed.lock().unwrap().is_empty());

        // Whoever looked before, or did not hear the answer.
        let stale = world.post("root", &decide, &approve(2)).await.expect(409);
        assert_eq!((stale.problem(), &stale.body["current"]["version"]), ("stale", &3.into()));
        let again = world.post_once("wang", &decide, "apart-1", &refuse(2, "gone")).await.expect(200).body;
        // The review is shown as it is now, and so is the time that is left for it.
        let timeless = |mut answer: Value| {
            answer["review"]["seconds_left"].take();
            answer
        };
        assert_eq!(timeless(again), timeless(apart.clone()));

        // The one who decided second may be the first now; the lost answer is heard as it was even then.
        let first = world.post("wang", &decide, &approve(3)).await.expect(200).body;
        assert_eq!((&first["answer"], &first["review"]["first_by"]), (&"second_needed".into(), &"wang".into()));
        let again = world.post_once("wang", &decide, "apart-1", &refuse(2, "gone")).await.expect(200).body;
        assert_eq!((&again["answer"], &again["review"]["version"]), (&"set_aside".into(), &4.into()));
        let second = world.post("li", &decide, &approve(4)).await.expect(200).body;
        assert_eq!((&second["answer"], &second["review"]["state"]), (&"applied".into(), &"decided".into()));
        world.until(&id, "done").await;
        let again = world.post_once("wang", &decide, "apart-1", &refuse(2, "gone")).await.expect(200).body;
        assert_eq!((&again["answer"], &again["review"]["state"]), (&"set_aside".into(), &"decided".into()));
        assert_eq!(notes(&world, &id, 1).await, [text], "one note of one disagreement");
        assert_eq!(*world.bank.changed.lock().unwrap(), ["big-1"]);
    }
}

#[tokio::test]
async fn an_ill_formed_decision_is_told_at_once() {
    let world = World::start().await;
    let id = world.submit_until("grey", "in_review").await;
    let path = format!("/v1/reviews/{}/decide", world.review_of(&id).await);
    for (body, word) in [
        (json!({"version": 1, "choice": "approve"}), "bad-body"),
        (json!({"version": 1, "choice": "approve", "note": "  "}), "invalid"),
        (json!({"version": 1, "choice": "allow", "note": "x"}), "bad-body"),
        (json!({"version": 1, "choice": "retry", "note": "x"}), "invalid"),
        (json!({"version": 1, "choice": "refuse", "note": "x"}), "invalid"),
        (json!({"version": 1, "choice": "refuse", "reason": "rude", "note": "x"}), "invalid"),
        (json!({"version": 1, "choice": "refuse", "reason": "r".repeat(129), "note": "x"}), "invalid"),
        (json!({"version": 1, "choice": "refuse", "reason": "\u{0}", "note": "x"}), "invalid"),
        (json!({"version": 1, "choice": "amend", "note": "x", "fields": {"known_as": 5}}), "invalid"),
        (json!({"version": 1, "choice": "amend", "note": "x", "fields": {"who": "other"}}), "invalid"),
        (json!({"version": 1, "choice": "approve", "note": "x", "force": true}), "bad-body"),
    ] {
        let reply = world.post("li", &path, &body).await.expect(422);
        assert_eq!(reply.problem(), word, "{body}: {}", reply.text);
    }
    let amend = json!({"version": 1, "choice": "amend", "note": "typing error", "fields": {"known_as": "sure"}});
    world.post("li", &path, &amend).await.expect(200);
    world.until(&id, "done").await;
}

#[tokio::test]
async fn a_review_is_for_those_with_its_role() {
    let world = World::start().await;
    let id = world.submit_until("grey", "in_review").await;
    let review = world.review_of(&id).await;
    assert_eq!(world.get("zhao", "/v1/reviews").await.expect(200).body["items"], json!([]));
    let denied = world.post("zhao", &format!("/v1/reviews/{review}/claim"), &json!({})).await.expect(403);
    assert!(denied.body["detail"].as_str().unwrap().contains("identity"));
    world.post("ops", &format!("/v1/reviews/{review}/claim"), &json!({})).await.expect(403);
    world.get("app", &format!("/v1/reviews/{review}")).await.expect(403);
    world.get("narrow-ops", &format!("/v1/reviews/{review}")).await.expect(404);
    world.post("root", &format!("/v1/reviews/{review}/claim"), &json!({})).await.expect(200);
}

#[tokio::test]
async fn escalating_releases_and_counts() {
    let world = World::start().await;
    let id = world.submit_until("grey", "in_review").await;
    let review = world.review_of(&id).await;
    world.post("li", &format!("/v1/reviews/{review}/claim"), &json!({})).await.expect(200);
    let up = world.post("li", &format!("/v1/reviews/{review}/escalate"), &json!({"note": "beyond me"})).await.expect(200);
    assert_eq!(up.body["review"]["escalated"], 1);
    assert!(up.body["review"].get("claimed_by").is_none());
    world.post("wang", &format!("/v1/reviews/{review}/notes"), &json!({"note": "I will look"})).await.expect(202);
}

#[tokio::test]
async fn lists_are_paged_by_due_time() {
    let world = World::start().await;
    for _ in 0..3 {
        world.submit_until("grey", "in_review").await;
    }
    let (mut seen, mut query) = (Vec::new(), "limit=1".to_owned());
    while seen.len() < 10 {
        let page = world.get("li", &format!("/v1/reviews?{query}")).await.expect(200).body;
        seen.extend(page["items"].as_array().unwrap().iter().map(|one| one["due_at"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        query = format!("limit=1&cursor={next}");
    }
    let mut sorted = seen.clone();
    sorted.sort();
    assert_eq!((seen.len(), &seen), (3, &sorted));
}
