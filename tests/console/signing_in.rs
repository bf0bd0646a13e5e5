//! Links, sessions, signing out.

use std::time::Duration;

use mozhao::api::hash;
use mozhao::console::passwords;
use mozhao::domain::time::Time;
use mozhao::engine::ports::sessions::{LinkRow, Person, SessionRow};
use mozhao::engine::ports::users::{Tries, UserRow};
use regex::Regex;
use reqwest::Method;

use crate::browser::{Browser, form, link};
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

const PASSWORD: &str = "correct horse battery";

async fn user(world: &World, name: &str, roles: &[&str]) -> UserRow {
    let roles = roles.iter().map(|role| (*role).to_owned()).collect();
    let person = Person { name: name.into(), roles, processes: Vec::new(), review_roles: vec!["identity".into()] };
    let now = world.engine.clock().now();
    let password = passwords::hash(name, PASSWORD).unwrap();
    let row = UserRow { person, password, version: 1, created_at: now, changed_at: now, signed_in_at: None };
    assert!(world.store.sessions().add_user(&row).await.unwrap());
    row
}

fn with<'a>(name: &'a str, password: &'a str) -> [(&'a str, &'a str); 3] {
    [("name", name), ("password", password), ("to", "/console/reviews?tab=mine")]
}

#[tokio::test]
async fn a_name_and_its_password_sign_in() {
    let world = World::start().await;
    let mut browser = Browser::new(&world);
    browser.get("/console/sign-in").await.expect(200).silent_about("type=\"password\"");
    user(&world, "li", &["reviewer"]).await;
    let page = browser.get("/console/sign-in?to=%2Fconsole%2Freviews%3Ftab%3Dmine").await.expect(200);
    assert_eq!(page.field("to"), "/console/reviews?tab=mine");
    page.says("type=\"password\"").says("mozhao console link");
    let wrong = browser.post("/console/sign-in", &with("li", "correct horse batterY")).await.expect(403);
    wrong.says("nobody of this name with this password").silent_about("batterY");
    assert!(browser.cookies.is_empty());
    let page = browser.post("/console/sign-in", &with("li", PASSWORD)).await;
    assert_eq!(page.to(), "/console/reviews?tab=mine");
    browser.get("/console/reviews").await.expect(200).says("You are signed in.").says(">li</summary>");
    assert!(world.store.sessions().user("li").await.unwrap().signed_in_at.is_some());
    // Nowhere else.
    let mut other = Browser::new(&world);
    let fields = [("name", "li"), ("password", PASSWORD), ("to", "//evil.example")];
    assert_eq!(other.post("/console/sign-in", &fields).await.to(), "/console");
    // From another site: refused before anybody looks.
    let mut stranger = Browser::new(&world);
    let request = form(stranger.request(Method::POST, "/console/sign-in"), &with("li", PASSWORD));
    stranger.send(request.header("sec-fetch-site", "cross-site")).await.expect(403);
    assert!(stranger.cookies.is_empty());
}

#[tokio::test]
async fn nobody_is_told_from_somebody() {
    let world = World::start().await;
    user(&world, "somebody", &["reviewer"]).await;
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    let nonce = Regex::new("nonce=\"[^\"]*\"").unwrap();
    let seconds = Regex::new("looked at in [0-9]+ (s|min)").unwrap();
    for (name, seen) in [("somebody", &mut known), ("nobody-here", &mut unknown)] {
        let mut browser = Browser::new(&world);
        for attempt in 0..6 {
            if attempt == 5 {
                // Not by tries in a row: how many are looked at depends on how long each of them takes.
                let (sessions, now) = (world.store.sessions(), world.engine.clock().now());
                let bucket = u16::from_be_bytes([hash(name)[0], hash(name)[1]]);
                let seen = sessions.tries(bucket).await.unwrap();
                assert_eq!(seen.unwrap().failures, 5, "names that nobody has are counted, too");
                assert!(sessions.count_try(bucket, seen, Tries { failures: 30, last_at: now }).await.unwrap());
            }
            let page = browser.post("/console/sign-in", &with(name, "wrong and long enough")).await;
            let text = nonce.replace_all(&page.text.replace(name, "NAME"), "").into_owned();
            seen.push((page.status.as_u16(), seconds.replace_all(&text, "").into_owned()));
        }
    }
    assert_eq!(known, unknown);
    assert_eq!(known.iter().map(|(status, _)| *status).collect::<Vec<_>>(), [403, 403, 403, 403, 403, 429]);
}

#[tokio::test]
async fn tries_are_slowed_down_and_then_the_right_one_gets_in() {
    let world = World::start().await;
    user(&world, "li", &["reviewer"]).await;
    let mut browser = Browser::new(&world);
    let now = world.engine.clock().now();
    let bucket = u16::from_be_bytes([hash("li")[0], hash("li")[1]]);
    let sessions = world.store.sessions();
    assert!(sessions.count_try(bucket, None, Tries { failures: 30, last_at: now }).await.unwrap());
    let page = browser.post("/console/sign-in", &with("li", PASSWORD)).await.expect(429);
    let seconds: u64 = page.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((50..=60).contains(&seconds), "{seconds}");
    page.says("Too many tries");
    assert_eq!(sessions.tries(bucket).await.unwrap().unwrap().failures, 30, "who has to wait does not wait longer for asking");
    let before = Tries { failures: 30, last_at: now.minus(Duration::from_mins(2)) };
    assert!(sessions.count_try(bucket, Some(Tries { failures: 30, last_at: now }), before).await.unwrap());
    browser.post("/console/sign-in", &with("li", PASSWORD)).await.expect(303);
    assert_eq!(sessions.tries(bucket).await.unwrap(), None, "forgotten");
}

#[tokio::test]
async fn a_thousand_tries_at_once_are_one() {
    let world = World::start().await;
    user(&world, "li", &["reviewer"]).await;
    let now = world.engine.clock().now();
    let bucket = u16::from_be_bytes([hash("li")[0], hash("li")[1]]);
    let slow = Tries { failures: 20, last_at: now.minus(Duration::from_mins(2)) };
    assert!(world.store.sessions().count_try(bucket, None, slow).await.unwrap());
    let tries = (0..20).map(|_| async {
        let mut browser = Browser::new(&world);
        browser.post("/console/sign-in", &with("li", "wrong and long enough")).await.status.as_u16()
    });
    let statuses = futures_util::future::join_all(tries).await;
    assert_eq!(statuses.iter().filter(|status| **status == 403).count(), 1, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 429).count(), 19, "{statuses:?}");
}

#[tokio::test]
async fn who_is_changed_or_removed_is_signed_out() {
    let world = World::start().await;
    let row = user(&world, "li", &["reviewer"]).await;
    let mut li = Browser::new(&world);
    li.post("/console/sign-in", &with("li", PASSWORD)).await.expect(303);
    li.get("/console/reviews").await.expect(200);
    let mut changed = row.clone();
    changed.person.roles = vec!["auditor".into()];
    changed.changed_at = world.engine.clock().now();
    assert!(world.store.sessions().change_user(&changed).await.unwrap());
    assert!(li.get("/console/reviews").await.to().starts_with("/console/sign-in"));
    li.post("/console/sign-in", &with("li", PASSWORD)).await.expect(303);
    li.get("/console/help").await.expect(200).says("auditor");
    assert!(world.store.sessions().remove_user("li", world.engine.clock().now()).await.unwrap());
    assert!(li.get("/console/help").await.to().starts_with("/console/sign-in"));
    li.post("/console/sign-in", &with("li", PASSWORD)).await.expect(403);
}
