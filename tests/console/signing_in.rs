//! Links, sessions, signing out.

use std::time::Duration;

use mozhao::api::hash;
use mozhao::domain::time::Time;
use mozhao::engine::ports::sessions::{LinkRow, Person, SessionRow};

use crate::browser::{Browser, link};
use crate::world::World;

#[tokio::test]
async fn a_link_signs_in_once() {
    let world = World::start().await;
    let path = link(&world, "li", &["reviewer"], &[]).await;
    let mut browser = Browser::new(&world);
    // Looked at by a program first: nothing is used up.
    for _ in 0..2 {
        browser.get(&path).await.expect(200).says("li").says("reviewer");
    }
    let page = browser.post(&path, &[]).await.expect(303);
    assert_eq!(page.to(), "/console");
    let cookie = page.headers.get_all("set-cookie").iter().map(|value| value.to_str().unwrap());
    let cookie = cookie.into_iter().find(|value| value.starts_with("mozhao_session=")).unwrap();
    for part in ["HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=86400"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert_eq!(browser.get("/console").await.to(), "/console/reviews");
    browser.get("/console/reviews").await.expect(200).says("You are signed in.").says(">li</summary>");
    // Said once.
    browser.get("/console/reviews").await.expect(200).silent_about("You are signed in.");
    let mut thief = Browser::new(&world);
    thief.get(&path).await.expect(410);
    thief.post(&path, &[]).await.expect(410).says("does not let anybody in");
    assert!(thief.cookies.is_empty());
}

#[tokio::test]
async fn two_that_use_one_link_at_once() {
    let world = World::start().await;
    let path = link(&world, "li", &["reviewer"], &[]).await;
    let (mut one, mut two) = (Browser::new(&world), Browser::new(&world));
    let (one, two) = tokio::join!(one.post(&path, &[]), two.post(&path, &[]));
    let mut statuses = [one.status.as_u16(), two.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [303, 410]);
}

#[tokio::test]
async fn strangers_are_sent_to_sign_in_and_come_back() {
    let world = World::start().await;
    let mut nobody = Browser::new(&world);
    let to = nobody.get("/console/reviews?tab=mine").await.to().to_owned();
    assert_eq!(to, "/console/sign-in?to=%2Fconsole%2Freviews%3Ftab%3Dmine");
    nobody.get(&to).await.expect(200).says("mozhao console link");
    assert_eq!(nobody.get("/").await.to(), "/console");
    assert_eq!(nobody.get("/console").await.to(), "/console/sign-in");
    assert_eq!(nobody.post("/console/reviews/next", &[]).await.to(), "/console/sign-in");
    let mut li = Browser::signed_in(&world, "li", &["reviewer"]).await;
    assert_eq!(li.get(&to).await.to(), "/console/reviews?tab=mine");
    assert_eq!(li.get("/console/sign-in?to=https%3A%2F%2Fevil.example").await.to(), "/console");
    assert_eq!(li.get("/console/sign-in?to=%2F%2Fevil.example").await.to(), "/console");
}

#[tokio::test]
async fn signing_out_ends_the_session_everywhere() {
    let world = World::start().await;
    let mut li = Browser::signed_in(&world, "li", &["reviewer"]).await;
    let mut copy = Browser::new(&world);
    copy.cookies = li.cookies.clone();
    copy.get("/console/reviews").await.expect(200);
    assert_eq!(li.act("/console/sign-out", &[]).await.to(), "/console/sign-in");
    assert!(!li.cookies.contains_key("mozhao_session"));
    assert!(copy.get("/console/reviews").await.to().starts_with("/console/sign-in"));
}

#[tokio::test]
async fn revoking_ends_sessions_and_links_at_once() {
    let world = World::start().await;
    let mut li = Browser::signed_in(&world, "li", &["reviewer"]).await;
    let mut wang = Browser::signed_in(&world, "wang", &["reviewer"]).await;
    let unused = link(&world, "li", &["reviewer"], &[]).await;
    let ended = world.store.sessions().end_sessions_of("li", world.engine.clock().now()).await.unwrap();
    assert_eq!(ended, 2);
    assert!(li.get("/console/reviews").await.to().starts_with("/console/sign-in"));
    wang.get("/console/reviews").await.expect(200);
    Browser::new(&world).post(&unused, &[]).await.expect(410);
}

#[tokio::test]
async fn sessions_end_by_themselves() {
    let world = World::start().await;
    let now = world.engine.clock().now();
    let hour = Duration::from_hours(1);
    let person = Person { name: "li".into(), roles: vec!["reviewer".into()], processes: Vec::new(), review_roles: Vec::new() };
    // Since when it is, when it was last used, when it ends; and whether it is good.
    let table = [
        ("fresh", now, now, now.plus(hour), true),
        ("in use for long", now.minus(hour * 20), now, now.plus(hour * 4), true),
        ("idle", now.minus(hour * 9), now.minus(hour * 9), now.plus(hour * 15), false),
        ("over", now.minus(hour * 24), now, Time(now.0 - 1), false),
    ];
    for (at, (what, created_at, seen_at, expires_at, good)) in table.into_iter().enumerate() {
        let secret = format!("{at}").repeat(43);
        let link = LinkRow {
            sha256: [u8::try_from(at).unwrap(); 32],
            person: person.clone(),
            created_at,
            expires_at: created_at.plus(hour),
            used_at: None,
            revoked_at: None,
        };
        let row = SessionRow { sha256: hash(&secret), person: person.clone(), created_at, seen_at, expires_at, ended_at: None };
        world.store.sessions().add_link(&link).await.unwrap();
        assert!(world.store.sessions().redeem(&link.sha256, &row).await.unwrap());
        let mut browser = Browser::new(&world);
        browser.cookies.insert("mozhao_session".to_owned(), secret);
        let status = browser.get("/console/reviews").await.status.as_u16();
        assert_eq!(status == 200, good, "{what}: {status}");
    }
}

#[tokio::test]
async fn a_second_link_in_one_browser_replaces_the_first_session() {
    let world = World::start().await;
    let mut browser = Browser::signed_in(&world, "li", &["reviewer"]).await;
    let old = browser.cookies["mozhao_session"].clone();
    let path = link(&world, "ops", &["operator"], &[]).await;
    browser.post(&path, &[]).await.expect(303);
    assert_ne!(browser.cookies["mozhao_session"], old);
    browser.get("/console/help").await.expect(200).says(">ops</summary>");
    browser.cookies.insert("mozhao_session".to_owned(), old);
    assert!(browser.get("/console/help").await.to().starts_with("/console/sign-in"));
}
