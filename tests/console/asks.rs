//! What pages cost: what each of them, and each part that an open one asks for anew, asks the interface.

use std::sync::{Arc, Mutex};

use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use mozhao::api::{ApiSettings, Desk, router, serve};
use mozhao::console::{self, Doors};
use reqwest::Method;
use tokio_util::sync::CancellationToken;

use crate::browser::{Browser, Page};
use crate::world::World;

/// What was asked, in order.
#[derive(Clone, Default)]
struct Asked(Arc<Mutex<Vec<String>>>);

impl Asked {
    /// What was asked since the last time.
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }

    /// Without what stands on every page of the inbox.
    fn of_reviews(&self) -> Vec<String> {
        let mut found = self.take();
        found.retain(|call| call.contains(" /v1/reviews"));
        found
    }
}

/// A console whose way to the interface is watched.
async fn watched() -> (World, Asked) {
    let (mut world, asked) = (World::start().await, Asked::default());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    world.addr = listener.local_addr().unwrap();
    let interface = router(world.engine.clone(), ApiSettings::default());
    let seen = asked.clone();
    let behind = interface.clone().layer(from_fn(move |request: Request, next: Next| {
        seen.0.lock().unwrap().push(format!("{} {}", request.method(), request.uri()));
        next.run(request)
    }));
    let doors = Doors { public_url: format!("http://{}", world.addr), ..Doors::default() };
    let pages = console::router(Desk::new(behind), world.engine.clone(), doors);
    tokio::spawn(serve(listener, interface.merge(pages), CancellationToken::new()));
    (world, asked)
}

async fn part(browser: &mut Browser<'_>, path: &str) -> Page {
    let request = browser.request(Method::GET, path).header("hx-request", "true");
    browser.send(request).await
}

#[tokio::test]
async fn who_has_a_review_open_is_asked_for_the_tab_that_is_shown() {
    let (world, asked) = watched().await;
    world.submit_until("grey-1", "in_review").await;
    let mut li = Browser::signed_in(&world, "li", &["reviewer"]).await;
    let mut audit = Browser::signed_in(&world, "audit", &["auditor"]).await;
    asked.take();
    li.get("/console/reviews").await.expect(200).says("grey-1");
    let counted = |query: &str| format!("GET /v1/reviews?{query}&limit=50&present=false");
    let unassigned = "GET /v1/reviews?unclaimed=true&snoozed=false&limit=50".to_owned();
    let [mine, team, second, snoozed] = ["claimed_by=me", "state=open", "second=true", "snoozed=true"].map(counted);
    assert_eq!(asked.of_reviews(), [unassigned, mine, team, second.clone(), snoozed.clone()]);
    part(&mut li, "/console/reviews?tab=second").await.expect(200);
    assert_eq!(asked.take(), ["GET /v1/reviews?second=true&limit=50"]);
    // Who decides nothing has no list of their own, whatever the tabs are called, and it is not counted.
    audit.cookies.insert("mozhao_lang".to_owned(), "zh-CN".to_owned());
    audit.get("/console/reviews").await.expect(200).silent_about("tab=mine").silent_about("tab=done").says("tab=snoozed");
    let shown = "GET /v1/reviews?state=open&limit=50".to_owned();
    assert_eq!(asked.of_reviews(), [shown, counted("unclaimed=true&snoozed=false"), second, snoozed]);
    // The next one is taken without asking who looks.
    li.act("/console/reviews/next", &[]).await.expect(303);
    assert_eq!(asked.of_reviews()[0], "GET /v1/reviews?unclaimed=true&snoozed=false&present=false&limit=200");
}

#[tokio::test]
async fn an_open_review_asks_for_no_more_than_its_parts_show() {
    let (world, asked) = watched().await;
    let review = world.review_of(&world.submit_until("grey-1", "in_review").await).await;
    let mut li = Browser::signed_in(&world, "li", &["reviewer"]).await;
    let here = format!("/console/reviews/{review}?tab=unassigned");
    let page = li.get(&here).await.expect(200);
    // What changes by what others do is at one address.
    let at = format!("hx-get=\"{here}&#38;part=standing\"");
    assert_eq!(page.text.matches(&at).count(), 3, "{}", page.text);
    asked.take();
    let standing = part(&mut li, &format!("{here}&part=standing")).await.expect(200);
    let standing = standing.says("<div id=\"now\"").says("<div id=\"bar\"").says("<span id=\"present\"");
    standing.silent_about("id=\"list\"").silent_about("<h1>");
    let one = format!("GET /v1/reviews/{review}");
    assert_eq!(asked.take(), std::slice::from_ref(&one));
    let list = "GET /v1/reviews?unclaimed=true&snoozed=false&limit=50".to_owned();
    part(&mut li, &format!("{here}&part=list")).await.expect(200).says("<nav id=\"list\"").says("aria-current=\"true\"");
    assert_eq!(asked.take(), std::slice::from_ref(&list));
    part(&mut li, &format!("{here}&part=present")).await.expect(200).says("<span id=\"present\"");
    assert_eq!(asked.take(), [format!("POST /v1/reviews/{review}/presence")]);
    // Claimed, it is in the list no more; the row that one is on is.
    li.act(&format!("/console/reviews/{review}/claim"), &[("tab", "unassigned")]).await.expect(303);
    asked.take();
    let left = part(&mut li, &format!("{here}&part=list")).await.expect(200).says("aria-current=\"true\"");
    left.says("Nothing is left in this list.").says("grey-1");
    assert_eq!(asked.take(), [list, one]);
}

#[tokio::test]
async fn all_parts_of_a_request_come_with_one_answer() {
    let (world, asked) = watched().await;
    let refused = world.submit_until("gone", "refused").await;
    let open = world.submit_until("grey-1", "in_review").await;
    let mut ops = Browser::signed_in(&world, "ops", &["operator"]).await;
    let here = format!("/console/requests/{open}");
    let page = ops.get(&here).await.expect(200).says("requests/").text;
    assert_eq!(page.matches(&format!("data-follow hx-get=\"{here}\" hx-select=\"#")).count(), 4, "{page}");
    asked.take();
    let again = part(&mut ops, &here).await.expect(200);
    for id in ["standing", "story", "facts", "acts"] {
        assert_eq!(again.text.matches(&format!("<div id=\"{id}\"")).count(), 1, "{id}");
    }
    let calls = ["", "/timeline?limit=200&cursor=0"].map(|rest| format!("GET /v1/requests/{open}{rest}"));
    assert_eq!(asked.take()[..2], calls);
    // Its end and what the customer was told are among what follows, and an end is followed no more.
    let page = ops.get(&format!("/console/requests/{refused}")).await.expect(200).silent_about("data-follow").text;
    let at = |text: &str| page.find(text).unwrap_or_else(|| panic!("no {text} in\n{page}"));
    let order = ["<div id=\"facts\"", "What the customer reads", "<div id=\"acts\""].map(at);
    assert!(order.is_sorted(), "{order:?}");
    assert!(!page[at("<div id=\"acts\"")..].contains("/withdraw"), "{page}");
}
