//! Open pages: what they ask for by themselves is no use of a session, and they see what others do without losing a word.

use std::time::Duration;

use mozhao::api::hash;
use mozhao::engine::ports::sessions::{LinkRow, Person, SessionRow};
use reqwest::Method;

use crate::browser::Browser;
use crate::world::World;

#[tokio::test]
async fn an_open_page_does_not_use_its_session() {
    let world = World::start().await;
    world.submit_until("grey-1", "in_review").await;
    // A session that was used last a while ago, and within the limit.
    let (sessions, now) = (world.store.sessions(), world.engine.clock().now());
    let before = now.minus(Duration::from_hours(2));
    let secret = "s".repeat(43);
    let (roles, review_roles) = (vec!["reviewer".into()], vec!["identity".into()]);
    let person = Person { name: "li".into(), roles, processes: Vec::new(), review_roles };
    let link =
        LinkRow { sha256: [7; 32], person: person.clone(), created_at: before, expires_at: now, used_at: None, revoked_at: None };
    let key = hash(&secret);
    let expires_at = now.plus(Duration::from_hours(1));
    let row = SessionRow { sha256: key, person, created_at: before, seen_at: before, expires_at, ended_at: None };
    sessions.add_link(&link).await.unwrap();
    assert!(sessions.redeem(&link.sha256, &row).await.unwrap());
    let mut li = Browser::new(&world);
    li.cookies.insert("mozhao_session".to_owned(), secret);
    let part = li.request(Method::GET, "/console/reviews").header("hx-request", "true");
    li.send(part).await.expect(200).says("grey-1");
    let cookies = format!("mozhao_session={}", li.cookies["mozhao_session"]);
    let stream = world.http.get(world.url("/console/live")).header("cookie", cookies).send().await.unwrap();
    assert_eq!(stream.status().as_u16(), 200);
    assert_eq!(sessions.session(&key).await.unwrap().seen_at, before);
    li.get("/console/reviews").await.expect(200);
    assert!(sessions.session(&key).await.unwrap().seen_at > before);
}

#[tokio::test]
async fn a_review_page_follows_what_others_do_and_touches_no_draft() {
    let world = World::start().await;
    let id = world.submit_until("grey-1", "in_review").await;
    let here = format!("/console/reviews/{}", world.review_of(&id).await);
    let mut li = Browser::signed_in(&world, "li", &["reviewer"]).await;
    let mut wang = Browser::signed_in(&world, "wang", &["reviewer"]).await;
    let page = li.get(&here).await.expect(200).says("id=\"now\" data-follow").says("id=\"bar\" data-follow");
    page.silent_about("wang works on this");
    let cookies = format!("mozhao_session={}", li.cookies["mozhao_session"]);
    let mut stream = world.http.get(world.url("/console/live")).header("cookie", cookies).send().await.unwrap();
    wang.act(&format!("{here}/claim"), &[]).await.expect(303);
    let told = tokio::time::timeout(Duration::from_secs(10), stream.chunk()).await.unwrap().unwrap().unwrap();
    assert_eq!(&told[..], b"event: changed\ndata: 1\n\n", "a claim leaves no event, and is told all the same");
    let part = |browser: &Browser<'_>, part: &str| {
        browser.request(Method::GET, &format!("{here}?part={part}")).header("hx-request", "true")
    };
    let now = li.send(part(&li, "standing")).await.expect(200).says("wang works on this until").says("data-mine=\"false\"");
    assert!(now.text.trim_start().starts_with("<div id=\"now\""), "{}", now.text);
    now.says("<div id=\"bar\"").says("said.claim");
    // Who holds it has a form, and no part of it is asked for anew.
    let mine = wang.get(&here).await.expect(200).says("id=\"decide\"").says("id=\"now\" data-follow");
    mine.silent_about("id=\"bar\"");
    let now = wang.send(part(&wang, "standing")).await.expect(200).says("data-mine=\"true\"");
    now.silent_about("id=\"decide\"").silent_about("<textarea");
}

/// Nothing is told for longer than the watcher takes for a look.
async fn quiet(stream: &mut reqwest::Response) -> bool {
    tokio::time::timeout(Duration::from_millis(2_500), stream.chunk()).await.is_err()
}

#[tokio::test]
async fn who_opens_a_review_is_told_to_open_lists_once() {
    let world = World::start().await;
    let here = format!("/console/reviews/{}", world.review_of(&world.submit_until("grey-1", "in_review").await).await);
    let li = Browser::signed_in(&world, "li", &["reviewer"]).await;
    let mut wang = Browser::signed_in(&world, "wang", &["reviewer"]).await;
    let cookies = format!("mozhao_session={}", li.cookies["mozhao_session"]);
    let mut stream = world.http.get(world.url("/console/live")).header("cookie", cookies).send().await.unwrap();
    while !quiet(&mut stream).await {}
    wang.get(&here).await.expect(200);
    let told = tokio::time::timeout(Duration::from_secs(10), stream.chunk()).await.unwrap().unwrap().unwrap();
    assert_eq!(&told[..], b"event: changed\ndata: 1\n\n");
    // Said again, it is no news.
    wang.get(&here).await.expect(200);
    assert!(quiet(&mut stream).await);
}
