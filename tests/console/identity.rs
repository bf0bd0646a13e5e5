//! Signing in at an identity provider, with everything that can be wrong on the way back.

use mozhao::api::{ApiSettings, Desk, router, serve};
use mozhao::connectors::identity::{Provider as Remote, ProviderSettings};
use mozhao::console::oidc::{BACK, Claims, Oidc};
use mozhao::console::{self, Doors};
use mozhao::engine::ports::users::UserRow;
use reqwest::Url;
use secrecy::SecretString;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::browser::{Browser, Page};
use crate::provider::{CLIENT, Plan, Provider, SECRET};
use crate::world::World;

/// A console whose people are known by the provider.
async fn world_of(provider: &Provider) -> World {
    let mut world = World::start().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    world.addr = listener.local_addr().unwrap();
    let public_url = format!("http://{}", world.addr);
    let settings = ProviderSettings {
        issuer: provider.issuer().to_owned(),
        client_id: CLIENT.to_owned(),
        client_secret: Some(SecretString::from(SECRET)),
        scopes: "openid profile".to_owned(),
        redirect_uri: format!("{public_url}{BACK}"),
    };
    let claims = Claims { name: "preferred_username".into(), roles: "roles".into(), prefix: "mozhao-".into() };
    let oidc = Some(Oidc { provider: Remote::new(settings).unwrap(), claims });
    let interface = router(world.engine.clone(), ApiSettings::default());
    let pages =
        console::router(Desk::new(interface.clone()), world.engine.clone(), Doors { public_url, oidc, ..Doors::default() });
    tokio::spawn(serve(listener, interface.merge(pages), CancellationToken::new()));
    world
}

/// To the provider and back, as a browser goes; the address that it comes back to, and nothing more.
async fn way(browser: &mut Browser<'_>, to: &str) -> String {
    let away = browser.get(&format!("/console/sign-in/away?to={to}")).await;
    let answer = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let answer = answer.get(away.to()).send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 303, "{}", answer.text().await.unwrap());
    let back = Url::parse(answer.headers()["location"].to_str().unwrap()).unwrap();
    format!("{}?{}", back.path(), back.query().unwrap())
}

async fn sign_in(world: &World) -> Page {
    let mut browser = Browser::new(world);
    let back = way(&mut browser, "%2Fconsole%2Freviews").await;
    let page = browser.get(&back).await;
    assert!(!browser.cookies.contains_key("mozhao_away"), "the attempt is used up");
    assert_eq!(browser.cookies.contains_key("mozhao_session"), page.status.as_u16() == 303);
    page
}

#[tokio::test]
async fn somebody_signs_in_at_the_provider() {
    let provider = Provider::start().await;
    let world = world_of(&provider).await;
    let mut browser = Browser::new(&world);
    browser.get("/console/sign-in?to=%2Fconsole%2Fhelp").await.expect(200).says("/console/sign-in/away?to=%2Fconsole%2Fhelp");
    let back = way(&mut browser, "%2Fconsole%2Fhelp").await;
    assert_eq!(browser.get(&back).await.to(), "/console/help");
    browser.get("/console/help").await.expect(200).says(">li</summary>").says("reviewer");
    let session = &world.store.sessions().sessions(9).await.unwrap()[0];
    assert_eq!(session.person.review_roles, ["identity"]);
    assert!(session.person.processes.is_empty());
    // The same answer a second time: its attempt is used up.
    Browser::new(&world).get(&back).await.expect(403);
    assert!(browser.get(&back).await.expect(403).says("was not begun in this browser").headers.contains_key("set-cookie"));
}

#[tokio::test]
async fn an_answer_lets_in_only_the_browser_that_asked() {
    let provider = Provider::start().await;
    let world = world_of(&provider).await;
    let (mut mallory, mut victim) = (Browser::new(&world), Browser::new(&world));
    let stolen = way(&mut mallory, "").await;
    // Nothing was begun there, then something else was.
    victim.get(&stolen).await.expect(403).says("was not begun in this browser");
    let own = way(&mut victim, "").await;
    victim.get(&stolen).await.expect(403);
    victim.get(&own).await.expect(403);
    assert!(!victim.cookies.contains_key("mozhao_session"));
    // Another provider's answer (RFC 9207).
    let mut browser = Browser::new(&world);
    let back = way(&mut browser, "").await;
    browser.get(&format!("{back}&iss=https%3A%2F%2Fevil.example")).await.expect(403);
    // A code that another browser's verifier belongs to.
    let (mut one, mut two) = (Browser::new(&world), Browser::new(&world));
    let code = |back: &str| back.split("code=").nth(1).unwrap().split('&').next().unwrap().to_owned();
    let (first, second) = (way(&mut one, "").await, way(&mut two, "").await);
    let mixed = second.replace(&code(&second), &code(&first));
    two.get(&mixed).await.expect(403).says("did not let you in");
    assert!(!two.cookies.contains_key("mozhao_session"));
}

#[tokio::test]
async fn tokens_that_are_not_believed() {
    let provider = Provider::start().await;
    let world = world_of(&provider).await;
    for (what, claims) in [
        ("another nonce", json!({"nonce": "x".repeat(43)})),
        ("no nonce", json!({"nonce": null})),
        ("expired", json!({"exp": "-120"})),
        ("another audience", json!({"aud": "somebody else"})),
        ("more audiences", json!({"aud": [CLIENT, "somebody else"]})),
        ("another issuer", json!({"iss": "https://evil.example"})),
        ("nobody", json!({"sub": null})),
    ] {
        provider.plan(|plan| plan.claims = claims);
        let page = sign_in(&world).await;
        assert_eq!(page.status.as_u16(), 403, "{what}: {}", page.text);
        page.says("did not let you in");
    }
    provider.plan(|plan| *plan = Plan::default());
    assert_eq!(sign_in(&world).await.to(), "/console/reviews");
    // A key that the provider does not tell, and a known name on another key.
    provider.plan(|plan| plan.signs_with = 1);
    sign_in(&world).await.expect(403);
    provider.plan(|plan| plan.kid = Some("key 0".to_owned()));
    sign_in(&world).await.expect(403);
    assert!(world.store.sessions().sessions(9).await.unwrap().len() == 1);
}

#[tokio::test]
async fn strangers_do_not_make_us_ask_for_keys_again_and_again() {
    let provider = Provider::start().await;
    let world = world_of(&provider).await;
    sign_in(&world).await.expect(303);
    provider.plan(|plan| plan.signs_with = 1);
    for _ in 0..5 {
        sign_in(&world).await.expect(403);
    }
    assert_eq!(provider.keys_told(), 1, "they were asked for a moment ago");
    // Asked for a while ago, as by a worker that was started when they were others.
    let world = world_of(&provider).await;
    provider.plan(|plan| plan.tells = vec![0, 1]);
    sign_in(&world).await.expect(303);
    assert_eq!(provider.keys_told(), 2);
}

#[tokio::test]
async fn who_is_nobody_here_is_told_so() {
    let provider = Provider::start().await;
    let world = world_of(&provider).await;
    for (claims, said) in [
        (json!({"roles": ["mozhao-king", "admin"]}), "no role here"),
        (json!({"roles": null}), "no role here"),
        (json!({"preferred_username": null}), "cannot be used here"),
        (json!({"preferred_username": "李"}), "cannot be used here"),
    ] {
        provider.plan(|plan| plan.claims = claims.clone());
        let page = sign_in(&world).await;
        assert_eq!(page.status.as_u16(), 403, "{claims}: {}", page.text);
        page.says(said);
    }
    // Somebody with a password here has that name: it may be somebody else.
    provider.plan(|plan| *plan = Plan::default());
    let person = mozhao::engine::ports::sessions::Person {
        name: "li".into(),
        roles: vec!["operator".into()],
        processes: Vec::new(),
        review_roles: Vec::new(),
    };
    let now = world.engine.clock().now();
    let password = "$argon2id$v=19$m=8,t=1,p=1$c2FsdA$aGFzaA".to_owned();
    let user = UserRow { person, password, version: 1, created_at: now, changed_at: now, signed_in_at: None };
    assert!(world.store.sessions().add_user(&user).await.unwrap());
    sign_in(&world).await.expect(403).says("cannot be used here");
    provider.plan(|plan| plan.refuses = Some("access_denied"));
    sign_in(&world).await.expect(403).says("did not let you in");
}

#[tokio::test]
async fn a_provider_that_is_away_is_said_so() {
    let provider = Provider::start().await;
    let world = world_of(&provider).await;
    provider.plan(|plan| plan.away = true);
    sign_in(&world).await.expect(503).says("does not answer");
    provider.plan(|plan| plan.away = false);
    sign_in(&world).await.expect(303);
    // Without a provider there is no such door.
    let plain = World::start().await;
    assert_eq!(Browser::new(&plain).get("/console/sign-in/away").await.to(), "/console/sign-in");
    Browser::new(&plain).get("/console/sign-in").await.expect(200).silent_about("/away");
}
