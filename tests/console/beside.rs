//! A review beside the list that it was opened from, and who else has it open.

use std::sync::Arc;

use mozhao::engine::clock::SystemClock;
use mozhao::store::memory::MemoryStore;
use reqwest::Method;
use serde_json::json;

use crate::browser::Browser;
use crate::world::{CANARY, World, later_change};

#[tokio::test]
async fn a_review_is_shown_beside_its_list() {
    let world = World::start().await;
    let mut reviews = Vec::new();
    for number in 1..=3 {
        reviews.push(world.review_of(&world.submit_until(&format!("grey-{number}"), "in_review").await).await);
    }
    let mut li = Browser::signed_in(&world, "li", &["reviewer"]).await;
    let way = "?tab=unassigned&process=change";
    let there = |at: usize| format!("/console/reviews/{}{way}", reviews[at]);
    let link = |at: usize| format!("class=\"go\" href=\"{}\"", there(at).replace('&', "&#38;"));
    li.get(&format!("/console/reviews{way}")).await.expect(200).says(&link(0)).says(&link(2));
    let page = li.get(&there(1)).await.expect(200).says("Is this the customer?").says("<nav id=\"list\"");
    let page = page
        .says(&format!("{}>", link(0)))
        .says(&format!("{} aria-current=\"true\">", link(1)))
        .says("grey-3")
        .says("left</span>");
    page.says("href=\"/console/reviews?tab=unassigned&#38;process=change\">Reviews</a>").silent_about(CANARY);
    // Opened from somewhere else it has none.
    li.get(&format!("/console/reviews/{}", reviews[1])).await.expect(200).silent_about("id=\"list\"");
    li.get(&format!("/console/reviews/{}?tab=odd", reviews[1])).await.expect(200).silent_about("id=\"list\"");
    // Every act leads back to where one is, and the next one stays in the list.
    let fields = [("tab", "unassigned"), ("process", "change")];
    assert_eq!(li.act(&format!("/console/reviews/{}/claim", reviews[1]), &fields).await.to(), there(1));
    // It is unassigned no more, and the list keeps the row that one is on, in its place.
    li.get(&format!("/console/reviews{way}")).await.expect(200).says(&link(0)).silent_about(&link(1));
    let page = li.get(&there(1)).await.expect(200).says("You work on this until");
    let rows: Vec<usize> = [0, 1, 2].map(|at| page.text.find(&link(at)).unwrap()).to_vec();
    assert!(rows.is_sorted(), "{rows:?}");
    let page = page.says(&format!("{} aria-current=\"true\">", link(1))).says("<span class=\"muted who\">you</span>");
    let page = page.says("name=\"tab\" value=\"unassigned\"");
    page.says("href=\"/console/reviews?tab=unassigned&#38;process=change\">Unassigned</a>");
    let decide = [("version", "1"), ("choice", "approve"), ("note", "known"), ("then", "next")];
    let decide: Vec<_> = decide.into_iter().chain(fields).collect();
    let next = li.act(&format!("/console/reviews/{}/decide", reviews[1]), &decide).await.to().to_owned();
    assert!(next == there(0) || next == there(2), "{next}");
    // The list follows by itself, and as what it is.
    let part = li.request(Method::GET, &format!("{}&part=list", there(0))).header("hx-request", "true");
    let part = li.send(part).await.expect(200);
    assert!(part.text.starts_with("<nav id=\"list\""), "{}", part.text);
    let part = li.request(Method::GET, &format!("/console/reviews/{}?part=list", reviews[0])).header("hx-request", "true");
    li.send(part).await.expect(204);
    // Others of its tabs, in the other language, and for who only looks.
    li.cookies.insert("mozhao_lang".to_owned(), "zh-CN".to_owned());
    li.get(&format!("/console/reviews/{}?tab=done", reviews[1]))
        .await
        .expect(200)
        .says(">我已处理</a>")
        .says("跳过列表")
        .says("通过");
    let mut audit = Browser::signed_in(&world, "audit", &["auditor"]).await;
    let page = audit.get(&format!("/console/reviews/{}?tab=snoozed", reviews[0])).await.expect(200);
    page.says("Nothing is left in this list.").says("aria-current=\"true\">");
    let odd = "tab=team&process=%22%3E%3Cscript%3E&cursor=%3Cb%3E";
    audit
        .get(&format!("/console/reviews/{}?{odd}", reviews[0]))
        .await
        .expect(200)
        .silent_about("<script>alert")
        .silent_about("<b>\"");
}

#[tokio::test]
async fn lists_show_the_customer_masked() {
    // Whose request it is, is a number that is masked everywhere.
    let hidden = later_change().replace("process: change", "process: hidden").replace("${request.who}", "${request.phone}");
    let store = Arc::new(MemoryStore::new(Arc::new(SystemClock)));
    let world = World::on(store, &[("hidden.yaml", &hidden)], |_| {}).await;
    let body = json!({"process": "hidden", "payload": {"who": "grey-1", "phone": CANARY}});
    let id = world.submit_with("app", "k-1", &body, "").await.expect(202).id();
    world.until(&id, "in_review").await;
    let review = world.review_of(&id).await;
    for role in ["reviewer", "operator", "auditor", "admin"] {
        let mut browser = Browser::signed_in(&world, role, &[role]).await;
        for path in ["/console/reviews?tab=team".to_owned(), format!("/console/reviews/{review}?tab=team")] {
            browser.get(&path).await.expect(200).says("********34").silent_about(CANARY);
        }
    }
    let mut narrow = Browser::for_processes(&world, "narrow", &["reviewer"], &["change"]).await;
    narrow.get("/console/reviews?tab=team").await.expect(200).silent_about("********34");
    narrow.get(&format!("/console/reviews/{review}?tab=team")).await.expect(404);
}

#[tokio::test]
async fn who_else_has_it_open_is_told() {
    let world = World::start().await;
    let review = world.review_of(&world.submit_until("grey-1", "in_review").await).await;
    let here = format!("/console/reviews/{review}");
    let part = |browser: &Browser<'_>| browser.request(Method::GET, &format!("{here}?part=present")).header("hx-request", "true");
    let mut li = Browser::signed_in(&world, "li", &["reviewer"]).await;
    let mut wang = Browser::signed_in(&world, "wang", &["reviewer"]).await;
    let mut audit = Browser::signed_in(&world, "audit", &["auditor"]).await;
    // Who only looks is not told of.
    audit.get(&here).await.expect(200).says("data-present");
    li.get(&here).await.expect(200).says("data-present").silent_about("looking at this");
    wang.get("/console/reviews").await.expect(200).says("li is looking at this");
    wang.get(&here).await.expect(200).says("li is looking at this");
    // The part that says so is also what tells.
    let told = li.send(part(&li)).await.expect(200).says("wang is looking at this");
    assert!(told.text.starts_with("<span id=\"present\""), "{}", told.text);
    audit.cookies.insert("mozhao_lang".to_owned(), "zh-CN".to_owned());
    audit.get(&here).await.expect(200).says("li、wang 正在查看");
    audit.send(part(&audit)).await.expect(200).says("li、wang 正在查看");
    let mut narrow = Browser::for_processes(&world, "narrow", &["reviewer"], &["texted"]).await;
    narrow.send(part(&narrow)).await.expect(404);
    // Who works on it is told once.
    li.act(&format!("{here}/claim"), &[]).await.expect(303);
    wang.get(&here).await.expect(200).says("li works on this until").silent_about("is looking at this");
    // Where it is over nobody has to know: the part that said it says nothing, and asks no more.
    audit.send(part(&audit)).await.expect(200).says("data-present").says("data-follow").says("wang 正在查看");
    let decide = [("version", "1"), ("choice", "approve"), ("note", "known"), ("then", "stay")];
    li.act(&format!("{here}/decide"), &decide).await.expect(303);
    wang.get(&here).await.expect(200).says("Decided: Approve by li").silent_about("data-present");
    for part in ["present", "standing"] {
        let request = audit.request(Method::GET, &format!("{here}?part={part}")).header("hx-request", "true");
        let over = audit.send(request).await.expect(200).says("<span id=\"present\" role=\"status\"></span>");
        over.silent_about("正在查看").silent_about("data-present");
    }
}
