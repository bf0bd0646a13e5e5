//! What browsers are told, forms from elsewhere, and texts that would like to be markup.

use axum::body::Body;
use axum::http::Request;
use mozhao::api::{ApiSettings, Desk, router};
use reqwest::Method;
use serde_json::json;
use tower::ServiceExt as _;

use crate::browser::{Browser, form, link};
use crate::world::{LOUD, World};

/// Would run if it were not escaped.
const MARKUP: &str = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{7*7}}";

#[tokio::test]
async fn every_page_comes_with_its_rules() {
    let world = World::start().await;
    let mut li = Browser::signed_in(&world, "li", &["reviewer"]).await;
    let mut nonces = Vec::new();
    for path in ["/console/reviews", "/console/help", "/console/nowhere", "/console/sign-in"] {
        let page = li.get(path).await;
        let policy = page.headers["content-security-policy"].to_str().unwrap().to_owned();
        assert!(policy.starts_with("default-src 'none'; script-src 'nonce-"), "{policy}");
        assert!(!policy.contains("unsafe") && policy.contains("frame-ancestors 'none'"), "{policy}");
        assert_eq!(page.headers["cache-control"], "no-store");
        assert_eq!(page.headers["x-content-type-options"], "nosniff");
        assert_eq!(page.headers["referrer-policy"], "same-origin");
        if page.status != 200 {
            continue;
        }
        let nonce = policy.split("'nonce-").nth(1).unwrap().split('\'').next().unwrap().to_owned();
        let scripts = page.text.matches("<script").count();
        assert_eq!(page.text.matches(&format!("nonce=\"{nonce}\"")).count(), scripts, "{path}");
        for inline in ["onclick", "onload", "onsubmit", " style=", "<style", "javascript:"] {
            assert!(!page.text.contains(inline), "{path} has {inline}");
        }
        nonces.push(nonce);
    }
    nonces.sort();
    nonces.dedup();
    assert_eq!(nonces.len(), 2, "a nonce for each answer");
}

#[tokio::test]
async fn forms_need_the_token_of_their_session() {
    let world = World::start().await;
    let mut li = Browser::signed_in(&world, "li", &["reviewer"]).await;
    let mut wang = Browser::signed_in(&world, "wang", &["reviewer"]).await;
    let of_wang = wang.get("/console/help").await.field("csrf");
    for token in ["", "x", &of_wang] {
        li.post("/console/reviews/next", &[("csrf", token)]).await.expect(403).says("not sent from your session");
    }
    li.act("/console/reviews/next", &[]).await.expect(303);
}

#[tokio::test]
async fn forms_from_elsewhere_are_refused_whoever_sends_them() {
    let world = World::start().await;
    let mut li = Browser::signed_in(&world, "li", &["reviewer"]).await;
    let csrf = li.get("/console/help").await.field("csrf");
    for (name, value) in [("origin", "https://evil.example"), ("sec-fetch-site", "cross-site"), ("origin", "null")] {
        for path in ["/console/reviews/next", "/console/sign-out", "/console/enter/x"] {
            let request = form(li.request(Method::POST, path).header(name, value), &[("csrf", &csrf)]);
            li.send(request).await.expect(403);
        }
    }
    li.get("/console/reviews").await.expect(200);
}

#[tokio::test]
async fn a_cookie_is_no_token_and_a_token_is_no_session() {
    let world = World::start().await;
    let mut li = Browser::signed_in(&world, "li", &["reviewer"]).await;
    li.get("/v1/reviews").await.expect(401);
    let request = li.request(Method::GET, "/console/reviews").bearer_auth(world.secret("root"));
    let mut nobody = Browser::new(&world);
    assert!(nobody.send(request).await.to().starts_with("/console/sign-in"));
}

#[tokio::test]
async fn large_and_odd_forms_are_refused() {
    let world = World::start().await;
    let mut li = Browser::signed_in(&world, "li", &["reviewer"]).await;
    let csrf = li.get("/console/help").await.field("csrf");
    let large = "x".repeat(70_000);
    li.post("/console/reviews/next", &[("csrf", &csrf), ("x", &large)]).await.expect(400);
    let request = li.request(Method::POST, "/console/reviews/next").json(&json!({"csrf": csrf}));
    li.send(request).await.expect(400);
}

#[tokio::test]
async fn settings_are_kept_and_only_lead_back_inside() {
    let world = World::start().await;
    let mut li = Browser::signed_in(&world, "li", &["reviewer"]).await;
    let page = li.act("/console/settings", &[("lang", "zh-CN"), ("back", "/console/help")]).await;
    assert_eq!(page.to(), "/console/help");
    li.get("/console/help").await.expect(200).says("lang=\"zh-CN\"").says("快捷键");
    assert_eq!(li.act("/console/settings", &[("theme", "dark"), ("back", "//evil.example")]).await.to(), "/console");
    li.get("/console/help").await.expect(200).says("data-theme=\"dark\"");
    let page = li.act("/console/settings", &[("lang", "\"><script>"), ("theme", "x")]).await;
    assert_eq!(page.headers.get_all("set-cookie").iter().count(), 0);
}

#[tokio::test]
async fn browsers_that_speak_chinese_are_spoken_to_in_chinese() {
    let world = World::start().await;
    let mut nobody = Browser::new(&world);
    let request = nobody.request(Method::GET, "/console/sign-in").header("accept-language", "zh-CN,zh;q=0.9,en;q=0.8");
    nobody.send(request).await.expect(200).says("登录");
    let request = nobody.request(Method::GET, "/console/sign-in").header("accept-language", "en-GB,zh;q=0.1");
    nobody.send(request).await.expect(200).says("Sign in");
}

#[tokio::test]
async fn markup_is_shown_and_never_is_any() {
    let world = World::start().await;
    let who = format!("grey-{MARKUP}");
    let body = json!({"process": "change", "payload": {"who": &who[..60], "phone": MARKUP}});
    let id = world.submit_with("app", "<b>key</b>", &body, "").await.expect(202).id();
    world.until(&id, "in_review").await;
    let review = world.review_of(&id).await;
    let mut li = Browser::signed_in(&world, "li", &["reviewer"]).await;
    let here = format!("/console/reviews/{review}");
    li.act(&format!("{here}/claim"), &[]).await.expect(303);
    li.act(&format!("{here}/note"), &[("said.note", MARKUP)]).await.expect(303);
    li.act(&format!("{here}/escalate"), &[("said.escalate", MARKUP)]).await.expect(303);
    li.act(&format!("{here}/claim"), &[]).await.expect(303);
    let search = format!("/console/requests?q={}", "%3Cscript%3Ealert(1)%3C%2Fscript%3E%22%27%3E");
    let paths = [
        here.clone(),
        format!("/console/requests/{id}"),
        "/console/reviews".into(),
        search,
        format!("{here}?reveal=%22%3E%3Cscript%3E"),
    ];
    for path in &paths {
        clean(path, &li.get(path).await.text);
    }
    let answers = [
        li.act(&format!("{here}/decide"), &[("choice", MARKUP), ("note", MARKUP), ("version", "1"), ("reason", MARKUP)]).await,
        li.act(&format!("{here}/decide"), &[("choice", "amend"), ("note", MARKUP), ("version", "1"), ("field.phone", MARKUP)])
            .await,
        li.act(&format!("{here}/reveal"), &[("reveal", "/phone"), ("seen_for", MARKUP)]).await,
    ];
    for page in &answers {
        clean("an answer", &page.text);
    }
    assert!(answers[2].text.contains("&lt;img src=x") || answers[2].text.contains("&#60;img src=x"), "{}", answers[2].text);
}

#[tokio::test]
async fn what_remote_systems_say_is_shown_and_never_is_markup() {
    let world = World::start().await;
    let grey = world.submit_until("grey-loud", "in_review").await;
    let odd = world.submit_until("odd-loud", "parked").await;
    let review = world.review_of(&grey).await;
    let defects = world.get("ops", "/v1/defects").await.expect(200);
    let defect = defects.body["items"][0]["fingerprint"].as_str().unwrap().to_owned();
    let mut root = Browser::signed_in(&world, "root", &["admin"]).await;
    root.act("/console/dependencies/bank/trip", &[("reason", MARKUP)]).await.expect(303);
    let mut shown = 0;
    for path in [
        format!("/console/reviews/{review}"),
        format!("/console/requests/{grey}"),
        format!("/console/requests/{odd}"),
        format!("/console/defects/{defect}"),
        "/console/defects".to_owned(),
        "/console/dependencies".to_owned(),
        "/console/overview".to_owned(),
    ] {
        let page = root.get(&path).await.expect(200);
        clean(&path, &page.text);
        shown += usize::from(page.text.contains("alert(3)") || page.text.contains("alert(1)"));
    }
    assert!(shown >= 3, "it is shown as text: {LOUD}, on {shown} pages");
}

#[tokio::test]
async fn behind_https_cookies_are_for_https_alone() {
    let world = World::start().await;
    let desk = Desk::new(router(world.engine.clone(), ApiSettings::default()));
    let pages = mozhao::console::router(
        desk,
        world.engine.clone(),
        mozhao::console::Doors { public_url: "https://console.example".to_owned(), oidc: None, undo: std::time::Duration::ZERO },
    );
    let path = link(&world, "li", &["reviewer"], &[]).await;
    let request = Request::builder().method("POST").uri(path).body(Body::empty()).unwrap();
    let response = pages.oneshot(request).await.unwrap();
    assert_eq!(response.status(), 303);
    assert!(response.headers().contains_key("strict-transport-security"));
    let cookies: Vec<&str> = response.headers().get_all("set-cookie").iter().map(|value| value.to_str().unwrap()).collect();
    assert!(cookies.iter().any(|cookie| cookie.starts_with("__Host-mozhao=")), "{cookies:?}");
    for cookie in cookies {
        for part in ["; Secure", "; HttpOnly", "; SameSite=Lax", "; Path=/"] {
            assert!(cookie.contains(part), "{cookie}");
        }
        assert!(!cookie.contains("Domain"), "{cookie}");
    }
}

/// A page is no way around the interface: who gets nothing from one gets nothing from the other.
#[tokio::test]
async fn pages_show_what_the_interface_shows_the_same_roles() {
    let world = World::start().await;
    let id = world.submit_until("grey-1", "in_review").await;
    let review = world.review_of(&id).await;
    let people: [(&str, &str, &[&str]); 6] = [
        ("app", "submitter", &[]),
        ("other", "submitter", &[]),
        ("li", "reviewer", &[]),
        ("ops", "operator", &[]),
        ("narrow-ops", "operator", &["texted"]),
        ("audit", "auditor", &[]),
    ];
    for (name, role, processes) in people {
        let mut browser = Browser::for_processes(&world, name, &[role], processes).await;
        for place in
            [format!("reviews/{review}"), format!("requests/{id}"), "defects".into(), "workers".into(), "decisions".into()]
        {
            let page = browser.get(&format!("/console/{place}")).await.status;
            let interface = world.get(name, &format!("/v1/{place}")).await.status;
            assert_eq!(page, interface, "{name}: {place}");
        }
    }
}

#[track_caller]
fn clean(path: &str, text: &str) {
    for live in ["<script>alert", "<img src=x", "\"'><img", "'\"><img", "<b>key"] {
        assert!(!text.contains(live), "{path} holds {live}:\n{text}");
    }
}
