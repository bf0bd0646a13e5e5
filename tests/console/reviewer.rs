//! A reviewer's work: the inbox, claiming, looking, deciding, four eyes, and what happens when two are at it.

use std::time::Duration;

use serde_json::json;

use crate::browser::Browser;
use crate::world::{CANARY, World};

async fn review_in(world: &World, customer: &str) -> (String, String) {
    let id = world.submit_until(customer, "in_review").await;
    let review = world.review_of(&id).await;
    (id, format!("/console/reviews/{review}"))
}

#[tokio::test]
async fn a_morning() {
    let world = World::start().await;
    let mut li = Browser::signed_in(&world, "li", &["reviewer"]).await;
    li.get("/console/reviews").await.expect(200).says("Nothing waits for a reviewer.");
    let (first, _) = review_in(&world, "grey-1").await;
    let (second, _) = review_in(&world, "grey-2").await;
    li.get("/console/reviews").await.expect(200).says("Is this the customer?").says("grey-1").says("left");
    let here = li.act("/console/reviews/next", &[]).await.to().to_owned();
    li.get("/console/reviews?tab=mine").await.expect(200).says("grey-1").silent_about("grey-2");
    let page = li.get(&here).await.expect(200);
    let page = page.says("Is this the customer?").says("A-1").says("The customer is known").says("answer.sure == true");
    let page = page.says("You work on this until").says("The step counts as passed").says("We do not know you any more.");
    let page = page.silent_about(CANARY).says("********34");
    let version = page.field("version");
    let fields = [("version", version.as_str()), ("choice", "approve"), ("note", "same person"), ("then", "next")];
    let next = li.act(&format!("{here}/decide"), &fields).await.to().to_owned();
    assert_ne!(next, here);
    li.get(&next).await.expect(200).says("Decided, and applied.").says("grey-2");
    world.until(&first, "done").await;
    li.get(&here).await.expect(200).says("Decided: Approve by li").says("same person");
    let fields = [("version", "1"), ("choice", "refuse"), ("reason", "gone"), ("note", "not them"), ("then", "stay")];
    assert_eq!(li.act(&format!("{next}/decide"), &fields).await.to(), next);
    world.until(&second, "refused").await;
    li.get(&format!("/console/requests/{second}")).await.expect(200).says("We do not know you any more.").says("请致电客服。");
    li.get("/console/reviews?tab=done").await.expect(200).says("grey-1").says("grey-2");
    assert_eq!(li.act("/console/reviews/next", &[]).await.to(), "/console/reviews?tab=mine");
    li.get("/console/reviews?tab=mine").await.expect(200).says("Nothing unassigned is left for you.");
}

#[tokio::test]
async fn a_form_that_lacks_something_comes_back_with_what_was_written() {
    let world = World::start().await;
    let mut li = Browser::signed_in(&world, "li", &["reviewer"]).await;
    let (id, here) = review_in(&world, "grey-1").await;
    li.act(&format!("{here}/claim"), &[]).await.expect(303);
    let decide = format!("{here}/decide");
    li.act(&decide, &[("version", "1"), ("note", "kept words")]).await.expect(422).says("Choose an answer.").says("kept words");
    li.act(&decide, &[("version", "1"), ("choice", "approve")]).await.expect(422).says("Say why.");
    let fields = [("version", "1"), ("choice", "refuse"), ("note", "kept words")];
    li.act(&decide, &fields).await.expect(422).says("Choose a reason.").says("value=\"refuse\" checked");
    let fields = [("version", "1"), ("choice", "amend"), ("note", "typo"), ("field.who", ""), ("field.phone", "")];
    li.act(&decide, &fields).await.expect(422).says("Enter at least one new value.");
    let too_long = "x".repeat(65);
    let fields = [("version", "1"), ("choice", "amend"), ("note", "typo"), ("field.known_as", too_long.as_str())];
    li.act(&decide, &fields).await.expect(422).says("known_as: at most 64 characters.").says("typo");
    // Whose request it is was settled when it was accepted.
    let fields = [("version", "1"), ("choice", "amend"), ("note", "typo"), ("field.who", "sure-1")];
    let page = li.act(&decide, &fields).await.expect(422).says("That was settled when it was accepted").says("typo");
    page.silent_about("${request").silent_about("name=\"field.who\"").says("name=\"field.known_as\"");
    assert_eq!(world.store.request(id.parse().unwrap()).await.unwrap().state, "in_review");
    // Amended, it is checked anew and passes by itself.
    let fields = [("version", "1"), ("choice", "amend"), ("note", "typo"), ("field.known_as", "sure-1"), ("field.phone", "")];
    li.act(&decide, &fields).await.expect(303);
    world.until(&id, "done").await;
}

#[tokio::test]
async fn one_works_on_it_at_a_time() {
    let world = World::start().await;
    let mut li = Browser::signed_in(&world, "li", &["reviewer"]).await;
    let mut wang = Browser::signed_in(&world, "wang", &["reviewer"]).await;
    let (_, here) = review_in(&world, "grey-1").await;
    li.act(&format!("{here}/claim"), &[]).await.expect(303);
    wang.get(&here).await.expect(200).says("li works on this until").silent_about("name=\"choice\"");
    assert_eq!(wang.act(&format!("{here}/claim"), &[]).await.to(), here);
    wang.get(&here).await.expect(200).says("Somebody was faster.");
    wang.act("/console/reviews/next", &[]).await.expect(303);
    // Taken over, with a reason that the record keeps.
    wang.act(&format!("{here}/claim"), &[("said.claim", "li is away")]).await.expect(303);
    wang.get(&here).await.expect(200).says("You work on this until").says("li is away");
    let fields =
        [("version", "1"), ("choice", "approve"), ("note", "my own words"), ("seen_state", "open"), ("seen_holder", "li")];
    let page = li.act(&format!("{here}/decide"), &fields).await.expect(423);
    page.says("This has changed since you looked")
        .says("<b>li</b>")
        .says("<b>wang</b>")
        .says("wang works on this until")
        .says("my own words");
    wang.act(&format!("{here}/release"), &[]).await.expect(303);
    li.get(&here).await.expect(200).says("Claim it to decide.");
}

#[tokio::test]
async fn a_stale_decision_is_refused_with_the_difference() {
    let world = World::start().await;
    let mut li = Browser::signed_in(&world, "li", &["reviewer"]).await;
    let (id, here) = review_in(&world, "grey-1").await;
    li.act(&format!("{here}/claim"), &[]).await.expect(303);
    let seen = li.get(&here).await.expect(200).field("version");
    let review = world.review_of(&id).await;
    let decide = json!({"version": 1, "choice": "approve", "note": "by a tool"});
    world.post("li", &format!("/v1/reviews/{review}/decide"), &decide).await.expect(200);
    let fields = [("version", seen.as_str()), ("choice", "refuse"), ("reason", "gone"), ("note", "my words")];
    let fields: Vec<(&str, &str)> = fields.into_iter().chain([("seen_state", "open"), ("seen_holder", "li")]).collect();
    let page = li.act(&format!("{here}/decide"), &fields).await.expect(409);
    page.says("This has changed since you looked").says("You saw <b>open</b>").says("<b>decided</b>");
}

#[tokio::test]
async fn the_same_form_sent_twice_decides_once() {
    let world = World::start().await;
    let mut li = Browser::signed_in(&world, "li", &["reviewer"]).await;
    let (id, here) = review_in(&world, "grey-1").await;
    li.act(&format!("{here}/claim"), &[]).await.expect(303);
    let key = li.get(&here).await.expect(200).field("key");
    let fields = [("version", "1"), ("choice", "approve"), ("note", "fine"), ("key", key.as_str()), ("then", "stay")];
    for _ in 0..2 {
        li.act(&format!("{here}/decide"), &fields).await.expect(303);
    }
    world.until(&id, "done").await;
    let list = world.get("audit", &format!("/v1/requests/{id}/timeline")).await.expect(200);
    let decided = list.body["items"].as_array().unwrap().iter().filter(|entry| entry["kind"] == "decided").count();
    assert_eq!(decided, 1);
}

#[tokio::test]
async fn four_eyes_are_two_people() {
    let world = World::start().await;
    let mut li = Browser::signed_in(&world, "li", &["reviewer"]).await;
    let mut wang = Browser::signed_in(&world, "wang", &["reviewer"]).await;
    let (id, first) = review_in(&world, "big-1").await;
    let first = first.replace("/console", "/v1") + "/decide";
    world.post("root", &first, &json!({"version": 1, "choice": "approve", "note": "sure"})).await.expect(200);
    let here = loop {
        let list = world.get("audit", &format!("/v1/reviews?request={id}&name=big_change")).await.expect(200);
        match list.body["items"][0]["id"].as_str() {
            Some(review) => break format!("/console/reviews/{review}"),
            None => world.engine.changed(id.parse().unwrap(), Duration::from_millis(50)).await,
        }
    };
    let decide = format!("{here}/decide");
    li.act(&format!("{here}/claim"), &[]).await.expect(303);
    let fields = [("version", "1"), ("choice", "approve"), ("note", "secret thoughts"), ("then", "stay")];
    li.act(&decide, &fields).await.expect(303);
    li.get(&here).await.expect(200).says("You have decided first.").silent_about("data-claim").silent_about("name=\"choice\"");
    wang.get("/console/reviews?tab=second").await.expect(200).says("big-1").says("first: li");
    // Taking the next one never gives somebody their own.
    assert_eq!(li.act("/console/reviews/next", &[]).await.to(), "/console/reviews?tab=mine");
    assert_eq!(wang.act("/console/reviews/next", &[]).await.to(), here);
    let page = wang.get(&here).await.expect(200).says("li has decided.").silent_about("secret thoughts");
    let version = page.field("version");
    // They differ: nothing is applied, and two must decide anew.
    let fields = [("version", version.as_str()), ("choice", "refuse"), ("reason", "gone"), ("note", "no"), ("then", "stay")];
    wang.act(&decide, &fields).await.expect(303);
    wang.get(&here).await.expect(200).says("The first person decided otherwise.");
    li.act(&format!("{here}/claim"), &[]).await.expect(303);
    let version = li.get(&here).await.expect(200).field("version");
    let fields = [("version", version.as_str()), ("choice", "approve"), ("note", "still"), ("then", "stay")];
    li.act(&decide, &fields).await.expect(303);
    wang.act(&format!("{here}/claim"), &[]).await.expect(303);
    let version = wang.get(&here).await.expect(200).field("version");
    let fields = [("version", version.as_str()), ("choice", "approve"), ("note", "agreed"), ("then", "stay")];
    wang.act(&decide, &fields).await.expect(303);
    world.until(&id, "done").await;
    wang.get(&here).await.expect(200).says("Decided: Approve by li and wang");
}

#[tokio::test]
async fn a_masked_value_is_shown_once_and_recorded_first() {
    let world = World::start().await;
    let mut li = Browser::signed_in(&world, "li", &["reviewer"]).await;
    let mut ops = Browser::signed_in(&world, "ops", &["operator"]).await;
    let mut audit = Browser::signed_in(&world, "audit", &["auditor"]).await;
    let (id, here) = review_in(&world, "grey-1").await;
    li.get(&here).await.expect(200).says("?reveal=").silent_about(CANARY);
    li.get(&format!("{here}?reveal=%2Fphone")).await.expect(200).says("Record and show").silent_about(CANARY);
    let reveal = format!("{here}/reveal");
    li.act(&reveal, &[("reveal", "/phone"), ("seen_for", "")]).await.expect(422).silent_about(CANARY);
    li.act(&reveal, &[("reveal", "/who"), ("seen_for", "curious")]).await.expect(422);
    assert_eq!(world.get("audit", "/v1/looks").await.expect(200).body["items"], json!([]));
    let page = li.act(&reveal, &[("reveal", "/phone"), ("seen_for", "the customer is on the phone")]).await.expect(200);
    let page = page.says(CANARY).says("data-hide-after=\"30\"");
    assert_eq!(page.headers["cache-control"], "no-store");
    li.get(&here).await.expect(200).silent_about(CANARY);
    ops.get(&here).await.expect(200).silent_about("?reveal=");
    ops.act(&reveal, &[("reveal", "/phone"), ("seen_for", "me too")]).await.expect(403).silent_about(CANARY);
    audit.get("/console/decisions?tab=looks").await.expect(200).says("the customer is on the phone").says("/phone").says("li");
    audit.get(&format!("/console/requests/{id}")).await.expect(200).says("the customer is on the phone");
    // After the decision there is no need to see it any more.
    li.act(&format!("{here}/claim"), &[]).await.expect(303);
    li.act(&format!("{here}/decide"), &[("version", "1"), ("choice", "approve"), ("note", "fine")]).await.expect(303);
    world.until(&id, "done").await;
    li.act(&reveal, &[("reveal", "/phone"), ("seen_for", "once more")]).await.expect(403).silent_about(CANARY);
}

#[tokio::test]
async fn others_look_but_do_not_decide() {
    let world = World::start().await;
    let (_, here) = review_in(&world, "grey-1").await;
    for (name, role) in [("ops", "operator"), ("audit", "auditor")] {
        let mut browser = Browser::signed_in(&world, name, &[role]).await;
        browser.get("/console/reviews").await.expect(200).says("grey-1").silent_about("Take the next one");
        browser.get(&here).await.expect(200).says("You may look, but not decide").silent_about("data-claim");
        browser.act(&format!("{here}/claim"), &[]).await.expect(403);
        browser.act(&format!("{here}/decide"), &[("version", "1"), ("choice", "approve"), ("note", "x")]).await.expect(403);
        browser.act("/console/reviews/next", &[]).await.expect(403);
    }
    let mut other = Browser::for_processes(&world, "narrow", &["reviewer"], &["texted"]).await;
    other.get(&here).await.expect(404);
    other.get("/console/reviews?tab=team").await.expect(200).silent_about("grey-1");
    let mut app = Browser::signed_in(&world, "app", &["submitter"]).await;
    app.get(&here).await.expect(403).says("Not for your roles");
}
