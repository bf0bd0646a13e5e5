//! Taking the next one: what somebody cannot decide is stepped over, however much of it there is; and where they came from is
//! kept.

use std::time::Duration;

use mozhao::console::links;
use mozhao::domain::request::signal::Decision;
use mozhao::domain::words::Choice;
use mozhao::engine::ports::sessions::Person;
use mozhao::engine::ports::store::ReviewAct;
use serde_json::json;

use crate::browser::Browser;
use crate::world::World;

/// A review that needs two people and waits for the first.
async fn for_two(world: &World, customer: &str) -> String {
    let id = world.submit_until(customer, "in_review").await;
    let review = world.review_of(&id).await;
    let approve = json!({"version": 1, "choice": "approve", "note": "sure"});
    world.post("root", &format!("/v1/reviews/{review}/decide"), &approve).await.expect(200);
    loop {
        let list = world.get("audit", &format!("/v1/reviews?request={id}&name=big_change")).await.expect(200);
        match list.body["items"][0]["id"].as_str() {
            Some(review) => return review.to_owned(),
            None => world.engine.changed(id.parse().unwrap(), Duration::from_millis(50)).await,
        }
    }
}

/// A review that waits for a second person, the first of whom was this one.
async fn decided_first(world: &World, customer: &str, by: &str) -> String {
    let review = for_two(world, customer).await;
    let approve = json!({"version": 1, "choice": "approve", "note": "sure"});
    world.post(by, &format!("/v1/reviews/{review}/decide"), &approve).await.expect(200);
    review
}

#[tokio::test]
async fn ones_own_first_decisions_are_stepped_over() {
    let world = World::start().await;
    for number in 0..12 {
        decided_first(&world, &format!("big-{number}"), "li").await;
    }
    let id = world.submit_until("grey-1", "in_review").await;
    let here = format!("/console/reviews/{}", world.review_of(&id).await);
    let mut li = Browser::signed_in(&world, "li", &["reviewer"]).await;
    assert_eq!(li.act("/console/reviews/next", &[]).await.to(), here);
    li.get(&here).await.expect(200).says("You work on this until").says("data-next");
}

#[tokio::test]
async fn a_tool_of_the_same_person_is_no_second_pair_of_eyes() {
    let world = World::start().await;
    let review = for_two(&world, "big-1").await;
    // A tool speaks of li with its own name behind; the console and li's token do not.
    let (id, clock) = (review.parse().unwrap(), world.engine.clock());
    let decision = Decision {
        review: id,
        choice: Choice::Approve,
        by: "li@desk".to_owned(),
        first_by: None,
        first_note: None,
        reason: None,
        note: "seen".to_owned(),
        fields: [].into(),
    };
    let act = ReviewAct::Decide { version: 1, decision };
    world.store.review_act(id, &act, clock.id(), clock.now()).await.unwrap();
    let mut li = Browser::signed_in(&world, "li", &["reviewer"]).await;
    let mut wang = Browser::signed_in(&world, "wang", &["reviewer"]).await;
    let here = format!("/console/reviews/{review}");
    li.get(&here).await.expect(200).says("You have decided first.").silent_about("data-claim");
    assert_eq!(li.act("/console/reviews/next", &[]).await.to(), "/console/reviews?tab=mine");
    li.get("/console/reviews/together?process=change&name=big_change").await.expect(200).silent_about("big-1");
    wang.get(&here).await.expect(200).says("data-claim");
    // It is theirs to wait for.
    let waits = "You decided first; another person has to agree";
    li.get("/console/reviews?tab=mine").await.expect(200).says(waits).says(&here);
    li.get("/console/reviews?tab=mine&process=texted").await.expect(200).silent_about(waits);
    li.get("/console/reviews?tab=second").await.expect(200).says("you decided first");
    wang.get("/console/reviews?tab=mine").await.expect(200).silent_about(waits).silent_about(&here);
    wang.get("/console/reviews?tab=second").await.expect(200).says("first: li@desk");
    li.cookies.insert("mozhao_lang".to_owned(), "zh-CN".to_owned());
    li.get("/console/reviews?tab=mine").await.expect(200).says("您已首先决定，待他人确认").says(&here);
    let mine = world.get("li", "/v1/reviews?first_by=me").await.expect(200);
    assert_eq!(mine.body["items"][0]["id"], review);
    assert_eq!(world.get("audit", "/v1/reviews?first_by=li@desk").await.expect(200).body["items"][0]["id"], review);
    assert_eq!(world.get("wang", "/v1/reviews?first_by=me").await.expect(200).body["items"], json!([]));
}

#[tokio::test]
async fn who_sees_more_than_they_may_decide_is_not_turned_away() {
    let world = World::start().await;
    world.submit_until("grey-1", "in_review").await;
    let person = Person {
        name: "both".into(),
        roles: vec!["reviewer".into(), "operator".into()],
        processes: Vec::new(),
        review_roles: vec!["money".into()],
    };
    let (path, row) = links::fresh(person, links::GOOD_FOR, world.engine.clock().now()).unwrap();
    world.store.sessions().add_link(&row).await.unwrap();
    let mut both = Browser::new(&world);
    both.post(&path, &[]).await.expect(303);
    both.get("/console/reviews").await.expect(200).says("grey-1");
    assert_eq!(both.act("/console/reviews/next", &[]).await.to(), "/console/reviews?tab=mine");
}

#[tokio::test]
async fn the_process_that_somebody_works_through_is_kept() {
    let world = World::start().await;
    let mut ids = Vec::new();
    for number in 1..=3 {
        ids.push(world.submit_until(&format!("grey-{number}"), "in_review").await);
    }
    let mut li = Browser::signed_in(&world, "li", &["reviewer"]).await;
    li.get("/console/reviews?process=change").await.expect(200).says("?tab=unassigned&#38;process=change\"");
    let here = li.act("/console/reviews/next", &[("process", "change")]).await.to().to_owned();
    assert!(here.ends_with("?process=change"), "{here}");
    li.get(&here).await.expect(200).says("name=\"process\" value=\"change\"");
    let decide = here.replace("?process=change", "/decide");
    let fields = [("version", "1"), ("choice", "approve"), ("note", "known"), ("then", "next"), ("process", "change")];
    let next = li.act(&decide, &fields).await.to().to_owned();
    assert!(next.ends_with("?process=change") && next != here, "{next}");
    li.get(&next).await.expect(200).says("Decided, and applied.");
    // In a process where nothing waits.
    let fields = [("version", "1"), ("choice", "approve"), ("note", "known"), ("then", "next"), ("process", "texted")];
    let decide = next.replace("?process=change", "/decide");
    let to = li.act(&decide, &fields).await.to().to_owned();
    assert_eq!(to, "/console/reviews?tab=unassigned&process=texted");
    li.get(&to).await.expect(200).says("Decided, and applied.");
}
