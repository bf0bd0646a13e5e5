//! What a reviewer puts aside: a decision for some seconds, a review for some hours.

use std::time::Duration;

use mozhao::api::{ApiSettings, Desk, release, router, serve};
use mozhao::console::{self, Doors};
use tokio_util::sync::CancellationToken;

use crate::browser::Browser;
use crate::world::World;

/// A console whose decisions can be taken back for as long as the test lasts.
async fn world_with_undo() -> World {
    let mut world = World::start().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    world.addr = listener.local_addr().unwrap();
    let doors = Doors { public_url: format!("http://{}", world.addr), undo: Duration::from_mins(1), ..Doors::default() };
    let interface = router(world.engine.clone(), ApiSettings::default());
    let pages = console::router(Desk::new(interface.clone()), world.engine.clone(), doors);
    tokio::spawn(serve(listener, interface.merge(pages), CancellationToken::new()));
    world
}

#[tokio::test]
async fn a_decision_is_taken_back_from_the_next_page() {
    let world = world_with_undo().await;
    let id = world.submit_until("grey", "in_review").await;
    let review = world.review_of(&id).await;
    let path = |act: &str| format!("/console/reviews/{review}/{act}");
    let mut li = Browser::signed_in(&world, "li", &["reviewer"]).await;
    li.act(&path("claim"), &[]).await.expect(303);
    let page = li.get(&format!("/console/reviews/{review}")).await.expect(200);
    let (version, key) = (page.field("version"), page.field("key"));
    let decision = [("choice", "approve"), ("note", "same person"), ("then", "next"), ("version", &version), ("key", &key)];
    let decision: Vec<_> = decision.into_iter().chain([("tab", "unassigned"), ("process", "change")]).collect();
    let list = "/console/reviews?tab=unassigned&process=change";
    assert_eq!(li.act(&path("decide"), &decision).await.to(), list);
    let next = li.get(list).await.expect(200);
    // Taken back from there, it is shown beside the same list.
    let csrf = next.field("csrf");
    let hidden = |name: &str, value: &str| format!("<input type=\"hidden\" name=\"{name}\" value=\"{value}\">");
    let way = format!("{}{}{}", hidden("csrf", &csrf), hidden("tab", "unassigned"), hidden("process", "change"));
    let form = format!("action=\"{}\" method=\"post\">{way}<button class=\"tiny\" data-undo>", path("undo"));
    next.says("It takes effect in a few seconds").says(&form);
    // It waits, on the review's own page, too; and nobody decides anything else there.
    let page = li.get(&format!("/console/reviews/{review}")).await.expect(200);
    page.says("You decided: Approve").says(&path("undo")).silent_about(&path("decide"));
    let mut wang = Browser::signed_in(&world, "wang", &["reviewer"]).await;
    let page = wang.get(&format!("/console/reviews/{review}")).await.expect(200);
    page.says("li decided, and can take it back").silent_about(&path("undo")).silent_about("Approve.");
    assert_eq!(world.store.request(id.parse().unwrap()).await.unwrap().state, "in_review");
    assert_eq!(li.act(&path("undo"), &[]).await.to(), format!("/console/reviews/{review}"));
    li.get(&format!("/console/reviews/{review}")).await.expect(200).says("Taken back").says(&path("decide"));
    let there = format!("/console/reviews/{review}?tab=unassigned");
    assert_eq!(li.act(&path("undo"), &[("tab", "unassigned")]).await.to(), there);
    li.get(&format!("/console/reviews/{review}")).await.expect(200).says("Somebody was faster");
    // Decided again, and this time it takes effect.
    let again = [("choice", "approve"), ("note", "same person"), ("then", "stay"), ("version", &version), ("key", "another")];
    li.act(&path("decide"), &again).await.expect(303);
    let reviewing = world.store.reviewing();
    let mut row = reviewing.held(review.parse().unwrap()).await.unwrap().unwrap();
    reviewing.drop_held(row.decision.review, row.signal_id).await.unwrap();
    row.release_at = world.engine.clock().now();
    assert!(reviewing.hold(&row).await.unwrap());
    assert_eq!(release(&world.engine).await.unwrap(), 1);
    world.until(&id, "done").await;
}

#[tokio::test]
async fn a_review_is_put_aside_and_taken_up() {
    let world = world_with_undo().await;
    let id = world.submit_until("grey", "in_review").await;
    let review = world.review_of(&id).await;
    let (here, path) = (format!("/console/reviews/{review}"), |act: &str| format!("/console/reviews/{review}/{act}"));
    let mut li = Browser::signed_in(&world, "li", &["reviewer"]).await;
    li.get(&here).await.expect(200).says(&path("snooze"));
    li.act(&path("snooze"), &[("for", "4h"), ("said.snooze", "")]).await.expect(422);
    assert_eq!(li.act(&path("snooze"), &[("for", "4h"), ("said.snooze", "<b>opens</b> at nine")]).await.to(), here);
    let page = li.get(&here).await.expect(200);
    page.says("Put aside. It comes back").says("li put it aside until").says("&#60;b&#62;opens").silent_about("<b>opens");
    li.get("/console/reviews?tab=unassigned").await.expect(200).silent_about(&here);
    let list = li.get("/console/reviews?tab=snoozed").await.expect(200).says(&here).says("Put aside until");
    list.says("<b>you</b>").says("&#60;b&#62;opens&#60;/b&#62; at nine").silent_about("<b>opens");
    li.get("/console/reviews?tab=team").await.expect(200).says("<span class=\"chip\">put aside</span>");
    assert_eq!(li.act("/console/reviews/next", &[]).await.to(), "/console/reviews?tab=mine", "it is not the next one");
    li.act(&path("wake"), &[]).await.expect(303);
    li.get("/console/reviews?tab=unassigned").await.expect(200).says(&here);
    li.get("/console/reviews?tab=snoozed").await.expect(200).says("Nothing is put aside.");
    // In the other language, and for who may only look.
    let mut audit = Browser::signed_in(&world, "wu", &["auditor"]).await;
    audit.cookies.insert("mozhao_lang".to_owned(), "zh-CN".to_owned());
    audit.get("/console/reviews?tab=snoozed").await.expect(200).says("没有已暂缓的复核。");
    audit.get(&here).await.expect(200).silent_about(&path("snooze"));
    audit.act(&path("snooze"), &[("for", "4h"), ("said.snooze", "x")]).await.expect(403);
}

/// What was done is on the auditors' page; what came to nothing, on the review's.
#[tokio::test]
async fn what_came_to_nothing_and_what_was_done_are_shown() {
    let world = world_with_undo().await;
    let id = world.submit_until("grey", "in_review").await;
    let review = world.review_of(&id).await;
    let (here, path) = (format!("/console/reviews/{review}"), |act: &str| format!("/console/reviews/{review}/{act}"));
    let mut li = Browser::signed_in(&world, "li", &["reviewer"]).await;
    li.act(&path("claim"), &[]).await.expect(303);
    let page = li.get(&here).await.expect(200);
    let version = page.field("version");
    for key in ["one", "two"] {
        let decision = [("choice", "approve"), ("note", "same person"), ("then", "stay"), ("version", &version), ("key", key)];
        li.act(&path("decide"), &decision).await.expect(303);
        if key == "one" {
            li.act(&path("undo"), &[]).await.expect(303);
        }
    }
    world.store.sessions().end_sessions_of("li", world.engine.clock().now()).await.unwrap();
    world.store.revoke_token("li", world.engine.clock().now()).await.unwrap();
    let reviewing = world.store.reviewing();
    let mut row = reviewing.held(review.parse().unwrap()).await.unwrap().unwrap();
    reviewing.drop_held(row.decision.review, row.signal_id).await.unwrap();
    row.release_at = world.engine.clock().now();
    assert!(reviewing.hold(&row).await.unwrap());
    assert_eq!(release(&world.engine).await.unwrap(), 1);
    let mut wang = Browser::signed_in(&world, "wang", &["reviewer"]).await;
    wang.get(&here)
        .await
        .expect(200)
        .says("was not applied: Who decided may not decide this any more.")
        .silent_about("Approve, ");
    let mut audit = Browser::signed_in(&world, "wu", &["auditor"]).await;
    audit.get("/console/decisions?tab=acts").await.expect(200).says("took a decision back").says("li").says(&here);
    audit.get("/console/decisions?tab=acts&by=wang").await.expect(200).says("Nothing else has been done.");
    audit.cookies.insert("mozhao_lang".to_owned(), "zh-CN".to_owned());
    audit.get("/console/decisions?tab=acts").await.expect(200).says("撤回了决定");
    audit.get(&here).await.expect(200).says("决定人已不再有权作出此决定。");
    wang.get("/console/decisions?tab=acts").await.expect(200).silent_about("took a decision back");
}
