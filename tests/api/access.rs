//! Tokens: who gets in, and that nobody gets in without one.

use mozhao::domain::time::Time;
use reqwest::Method;
use serde_json::{Value, json};

use crate::world::World;

#[tokio::test]
async fn every_operation_but_the_open_ones_wants_a_token() {
    let world = World::start().await;
    let document: Value = world.send(world.http.get(world.url("/openapi.json"))).await.expect(200).body;
    let mut checked = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let open = operation["security"] == json!([{}]);
            let id = "0192f3a4-0000-7000-8000-00000000000a";
            let path = path.replace("{id}", id).replace("{request}", id).replace("{fingerprint}", "00").replace("{version}", "1");
            let path = path.replace("{name}", "x").replace("{token}", "t").replace("{code}", "schema");
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            let bare = world.send(world.http.request(method.clone(), world.url(&path)).json(&json!({}))).await;
            if open {
                assert_ne!(bare.status, 401, "{path}");
            } else {
                assert_eq!((bare.status.as_u16(), bare.problem()), (401, "token"), "{method} {path}");
                assert_eq!(bare.headers["www-authenticate"], "Bearer realm=\"mozhao\"");
                checked += 1;
            }
        }
    }
    assert!(checked > 30, "{checked}");
}

#[tokio::test]
async fn a_token_is_made_shown_once_used_and_revoked() {
    let world = World::start().await;
    let new = json!({"name": "shop", "roles": ["submitter"], "processes": ["texted"], "expires_in": "90d"});
    world.post("ops", "/v1/tokens", &new).await.expect(403);
    let made = world.post("root", "/v1/tokens", &new).await.expect(201);
    let secret = made.body["secret"].as_str().unwrap();
    assert!(secret.starts_with("mz_"));
    assert_eq!(world.post("root", "/v1/tokens", &new).await.expect(409).problem(), "exists");
    let me = || world.send(world.http.get(world.url("/v1/me")).bearer_auth(secret));
    let shown = me().await.expect(200);
    assert_eq!(
        (&shown.body["name"], &shown.body["may"]),
        (&"shop".into(), &json!(["submit", "read_own", "follow", "read_processes"]))
    );
    let list = world.get("audit", "/v1/tokens").await.expect(200);
    assert!(list.text.contains("shop") && !list.text.contains(secret));
    let revoke = |who: &'static str, name: &'static str| {
        let request = world.http.delete(world.url(&format!("/v1/tokens/{name}"))).bearer_auth(world.secret(who));
        world.send(request)
    };
    revoke("audit", "shop").await.expect(403);
    revoke("root", "shop").await.expect(204);
    assert_eq!(me().await.expect(401).body["detail"], "the token was revoked");
    revoke("root", "nobody").await.expect(404);
    assert_eq!(revoke("root", "root").await.expect(409).problem(), "own-token");
    for bad in [
        json!({"name": "A b", "roles": ["admin"]}),
        json!({"name": "a", "roles": []}),
        json!({"name": "a", "roles": ["root"]}),
        json!({"name": "a", "roles": ["admin"], "expires_in": "soon"}),
    ] {
        world.post("root", "/v1/tokens", &bad).await.expect(422);
    }
}

#[tokio::test]
async fn tokens_that_do_not_open() {
    let world = World::start().await;
    let (secret, mut row) = mozhao::api::tokens::fresh(
        &mozhao::api::tokens::NewToken {
            name: "old".into(),
            roles: vec![mozhao::api::permit::Role::Admin],
            processes: vec![],
            review_roles: vec![],
            expires_in: None,
        },
        Time(0),
    )
    .unwrap();
    row.expires_at = Some(Time(1));
    world.store.add_token(&row).await.unwrap();
    let with = |header: String| world.send(world.http.get(world.url("/v1/me")).header("authorization", header));
    assert_eq!(with(format!("Bearer {secret}")).await.expect(401).body["detail"], "the token has expired");
    for header in [
        "Bearer mz_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".to_owned(),
        format!("Basic {}", world.secret("root")),
        format!("Bearer x{}", world.secret("root")),
        format!("Bearer {}x", world.secret("root")),
        "Bearer".to_owned(),
    ] {
        assert_eq!(with(header.clone()).await.expect(401).problem(), "token", "{header}");
    }
    let twice = world.http.get(world.url("/v1/me")).bearer_auth(world.secret("root")).bearer_auth(world.secret("app"));
    world.send(twice).await.expect(401);
}
