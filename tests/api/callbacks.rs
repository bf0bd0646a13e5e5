//! Callbacks: the address is the right to call, and a wrong one learns nothing.

use serde_json::{Value, json};

use crate::world::{CANARY, Reply, World};

async fn waiting(world: &World) -> String {
    let body = json!({"process": "texted", "payload": {"phone": CANARY}});
    let id = world.submit_with("app", &world.key(), &body, "").await.expect(202).id();
    world.until(&id, "waiting").await;
    id
}

fn address(world: &World, id: &str) -> String {
    let url = world.engine.callback_url(id.parse().unwrap(), "sms");
    let path = url.split_once("/v1/").unwrap().1;
    world.url(&format!("/v1/{path}"))
}

async fn call(world: &World, url: &str, body: &Value) -> Reply {
    world.send(world.http.post(url).json(body)).await
}

#[tokio::test]
async fn a_callback_moves_its_request_on() {
    let world = World::start().await;
    let id = waiting(&world).await;
    let url = address(&world, &id);
    call(&world, &url, &json!({"code": "000000"})).await.expect(202);
    for wrong in [json!({"code": 846_213}), json!({}), json!("846213")] {
        let refused = call(&world, &url, &wrong).await.expect(422);
        assert_eq!(refused.problem(), "schema");
        assert!(!refused.text.contains("846213"), "{}", refused.text);
    }
    call(&world, &url, &json!({"code": "846213"})).await.expect(202);
    world.until(&id, "done").await;
    let shown = world.get("audit", &format!("/v1/requests/{id}/timeline")).await;
    assert!(shown.text.contains("callback") && !shown.text.contains("846213"), "{}", shown.text);
    let summary = world.get("audit", &format!("/v1/requests/{id}")).await;
    assert_eq!(summary.body["customer"], "********34", "the customer is a phone number");
    call(&world, &url, &json!({"code": "846213"})).await.expect(202);
}

#[tokio::test]
async fn a_wrong_address_learns_nothing() {
    let world = World::start().await;
    let id = waiting(&world).await;
    let url = address(&world, &id);
    let other = waiting(&world).await;
    let token = url.rsplit('/').next().unwrap();
    let mut details = Vec::new();
    for wrong in [
        format!("/v1/callbacks/{id}/sms/{}", "0".repeat(token.len())),
        format!("/v1/callbacks/{id}/sms/{}", &token[1..]),
        format!("/v1/callbacks/{id}/other/{token}"),
        format!("/v1/callbacks/{other}/sms/{token}"),
        format!("/v1/callbacks/0192f3a4-0000-7000-8000-00000000000a/sms/{token}"),
        format!("/v1/callbacks/not-an-id/sms/{token}"),
    ] {
        let reply = call(&world, &world.url(&wrong), &json!({"code": "846213"})).await.expect(404);
        details.push(reply.body["detail"].clone());
    }
    details.dedup();
    assert_eq!(details.len(), 1, "{details:?}");
    let row = world.store.request(id.parse().unwrap()).await.unwrap();
    assert_eq!(row.signalled, 0);
}

#[tokio::test]
async fn a_key_makes_a_repeated_callback_one() {
    let world = World::start().await;
    let id = waiting(&world).await;
    let url = address(&world, &id);
    for _ in 0..3 {
        let request = world.http.post(&url).header("idempotency-key", "a").json(&json!({"code": "1"}));
        world.send(request).await.expect(202);
    }
    let row = world.store.request(id.parse().unwrap()).await.unwrap();
    assert_eq!(row.signalled, 1);
}

#[tokio::test]
async fn a_body_is_json_of_a_bounded_size() {
    let world = World::start().await;
    let url = address(&world, &waiting(&world).await);
    let large = json!({"code": "x".repeat(64 * 1024)});
    assert_eq!(call(&world, &url, &large).await.expect(413).problem(), "too-large");
    let not_json = world.http.post(&url).header("content-type", "application/json").body("code=1");
    assert_eq!(world.send(not_json).await.expect(400).problem(), "bad-json");
    assert_eq!(world.send(world.http.post(&url).body("{}")).await.expect(415).problem(), "media-type");
}
