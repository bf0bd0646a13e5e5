//! Several reviews that ask the same, decided together.

use mozhao::api::turn;
use serde_json::json;

use crate::browser::{Browser, Page};
use crate::world::World;

const PLACE: &str = "/console/reviews/together?process=change&name=unsure";

/// The reviews that a page would decide: names and values of its fields.
fn picks(page: &Page) -> Vec<(String, String)> {
    let pick = regex::Regex::new(r#"name="(pick\.[^"]+)" value="(\d+)" checked"#).unwrap();
    pick.captures_iter(&page.text).map(|found| (found[1].to_owned(), found[2].to_owned())).collect()
}

async fn send(browser: &mut Browser<'_>, page: &Page, fields: &[(&str, &str)]) -> Page {
    let (picks, key) = (picks(page), page.field("key"));
    let mut all: Vec<(&str, &str)> = picks.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    all.extend([("key", key.as_str()), ("process", "change"), ("name", "unsure")]);
    all.extend_from_slice(fields);
    browser.act("/console/reviews/together", &all).await
}

/// The page of the batch that a form made, when all of it is worked off.
async fn worked_off(browser: &mut Browser<'_>, sent: Page) -> Page {
    let there = sent.to().to_owned();
    while turn(&browser.world.engine).await.unwrap() {}
    browser.get(&there).await.expect(200)
}

#[tokio::test]
async fn what_was_shown_is_decided_and_nothing_else() {
    let world = World::start().await;
    let mut li = Browser::signed_in(&world, "li", &["reviewer"]).await;
    let mut ids = Vec::new();
    for number in 1..=3 {
        ids.push(world.submit_until(&format!("grey-{number}"), "in_review").await);
    }
    li.get("/console/reviews").await.expect(200).says("Decide 3 together: Is this the customer?");
    let page = li.get(PLACE).await.expect(200).says("3 wait for an answer").says("grey-1").says("grey-3");
    assert_eq!(picks(&page).len(), 3);
    // Meanwhile one comes in, one is claimed by somebody else, and one is decided.
    let late = world.submit_until("grey-late", "in_review").await;
    let (taken, gone) = (world.review_of(&ids[1]).await, world.review_of(&ids[2]).await);
    world.post("wang", &format!("/v1/reviews/{taken}/claim"), &json!({})).await.expect(200);
    let approve = json!({"version": 1, "choice": "approve", "note": "by wang"});
    world.post("wang", &format!("/v1/reviews/{gone}/decide"), &approve).await.expect(200);
    let fields = [("choice", "refuse"), ("reason", "gone"), ("note", "the same list")];
    let sent = send(&mut li, &page, &fields).await;
    let here = sent.to().to_owned();
    let waits = li.get(&here).await.expect(200).says("0 decided, 1 under way, 2 skipped, 0 failed").says("/stop");
    assert!(waits.text.contains("every 2s"));
    li.get("/console/reviews").await.expect(200).says("Batches of decisions").says("under way");
    let done = worked_off(&mut li, sent).await;
    let done = done.says("1 decided, 0 under way, 2 skipped, 0 failed").says("wang is working on it").says("grey-1");
    let done = done
        .says("It has changed since you looked: version 2")
        .says("the same list")
        .silent_about("every 2s")
        .silent_about("/stop");
    world.until(&ids[0], "refused").await;
    world.until(&ids[2], "done").await;
    for open in [&ids[1], &late] {
        assert_eq!(world.store.request(open.parse().unwrap()).await.unwrap().state, "in_review");
    }
    assert!(!done.text.contains("grey-late"));
    // The same form again decides nothing twice.
    assert_eq!(send(&mut li, &page, &fields).await.to(), here);
    while turn(&world.engine).await.unwrap() {}
    let list = world.get("audit", &format!("/v1/requests/{}/timeline", ids[0])).await.expect(200);
    assert_eq!(list.body["items"].as_array().unwrap().iter().filter(|entry| entry["kind"] == "decided").count(), 1);
}

#[tokio::test]
async fn a_form_that_lacks_something_decides_nothing() {
    let world = World::start().await;
    let mut li = Browser::signed_in(&world, "li", &["reviewer"]).await;
    li.get(PLACE).await.expect(200).says("Nothing waits for a reviewer.");
    let mut ids = Vec::new();
    for number in 1..=11 {
        ids.push(world.submit_until(&format!("grey-{number}"), "in_review").await);
    }
    let page = li.get(PLACE).await.expect(200).says("type how many");
    for (fields, says) in [
        (&[("note", "x")][..], "Choose an answer."),
        (&[("choice", "amend"), ("note", "x")], "Choose an answer."),
        (&[("choice", "approve"), ("note", "")], "Say why."),
        (&[("choice", "refuse"), ("note", "kept words")], "Choose a reason."),
        (&[("choice", "approve"), ("note", "kept words")], "is not how many are ticked"),
        (&[("choice", "approve"), ("note", "kept words"), ("confirm", "10")], "is not how many are ticked"),
    ] {
        let answer = send(&mut li, &page, fields).await.expect(422).says(says);
        assert_eq!(picks(&answer).len(), 11, "all of them are still there");
    }
    let none = [("choice", "approve"), ("note", "x"), ("process", "change"), ("name", "unsure")];
    li.act("/console/reviews/together", &none).await.expect(422).says("Tick at least one.");
    for id in &ids {
        assert_eq!(world.store.request(id.parse().unwrap()).await.unwrap().state, "in_review");
    }
    let fields = [("choice", "approve"), ("note", "all known"), ("confirm", "11")];
    let sent = send(&mut li, &page, &fields).await;
    worked_off(&mut li, sent).await.says("11 decided, 0 under way, 0 skipped, 0 failed");
    for id in &ids {
        world.until(id, "done").await;
    }
}

#[tokio::test]
async fn who_may_not_decide_one_may_not_decide_many() {
    let world = World::start().await;
    let id = world.submit_until("grey-1", "in_review").await;
    let review = world.review_of(&id).await;
    let pick = format!("pick.{review}");
    let fields = [(pick.as_str(), "1"), ("choice", "approve"), ("note", "x"), ("key", "k")];
    for (name, role) in [("ops", "operator"), ("audit", "auditor"), ("app", "submitter")] {
        let mut browser = Browser::signed_in(&world, name, &[role]).await;
        browser.get(PLACE).await.expect(403);
        browser.act("/console/reviews/together", &fields).await.expect(403);
    }
    let mut narrow = Browser::for_processes(&world, "narrow", &["reviewer"], &["texted"]).await;
    let sent = narrow.act("/console/reviews/together", &fields).await;
    let here = sent.to().to_owned();
    worked_off(&mut narrow, sent).await.says("0 decided, 0 under way, 1 skipped, 0 failed").silent_about("grey-1");
    let mut li = Browser::signed_in(&world, "li", &["reviewer"]).await;
    li.get(&here).await.expect(404);
    li.act(&format!("{here}/stop"), &[]).await.expect(404);
    li.post("/console/reviews/together", &fields).await.expect(403).says("not sent from your session");
    assert_eq!(world.store.request(id.parse().unwrap()).await.unwrap().state, "in_review");
}

#[tokio::test]
async fn a_batch_is_stopped_from_its_page() {
    let world = World::start().await;
    let ids = [world.submit_until("grey-1", "in_review").await, world.submit_until("grey-2", "in_review").await];
    let mut li = Browser::signed_in(&world, "li", &["reviewer"]).await;
    li.get("/console/reviews/batches").await.expect(200).says("Nothing has been decided in a batch.");
    let page = li.get(PLACE).await.expect(200);
    let sent = send(&mut li, &page, &[("choice", "approve"), ("note", "<i>all</i> known")]).await;
    let here = sent.to().to_owned();
    assert_eq!(li.act(&format!("{here}/stop"), &[]).await.to(), here);
    let page = li.get(&here).await.expect(200).says("0 decided, 0 under way, 2 skipped, 0 failed").says("It was stopped before");
    page.says("What was decided stays decided.").silent_about("<i>all");
    while turn(&world.engine).await.unwrap() {}
    for id in &ids {
        assert_eq!(world.store.request(id.parse().unwrap()).await.unwrap().state, "in_review");
    }
    li.cookies.insert("mozhao_lang".to_owned(), "zh-CN".to_owned());
    li.get("/console/reviews/batches").await.expect(200).says("&#60;i&#62;all").says("已完成");
    li.get(&here).await.expect(200).says("轮到该项之前已停止。");
}
