//! Bad input of every kind gets a reason that a front-end developer can act on.

use serde_json::json;

use crate::world::World;

#[tokio::test]
async fn queries_that_are_not_understood() {
    let world = World::start().await;
    for (path, detail) in [
        ("/v1/requests?stat=done", "did you mean `state`?"),
        ("/v1/requests?state=finished", "`state` takes queued,"),
        ("/v1/requests?limit=0", "`limit` is 1 to 200"),
        ("/v1/requests?limit=5&limit=6", "`limit` is given twice"),
        ("/v1/requests?cursor=x", "`cursor` is not a UUID"),
        ("/v1/requests?after=yesterday", "`after` is not a time"),
        ("/v1/requests?customer=%ff", "not UTF-8"),
        ("/v1/me?x=1", "no query parameter `x`; it has none"),
        ("/v1/requests/0192f3a4-0000-7000-8000-00000000000a?wait=1h", "`wait` is at most 60s"),
    ] {
        let reply = world.get("root", path).await.expect(400);
        assert_eq!(reply.problem(), "bad-query", "{path}");
        assert!(reply.body["detail"].as_str().unwrap().contains(detail), "{path}: {}", reply.text);
    }
}

#[tokio::test]
async fn paths_that_lead_nowhere() {
    let world = World::start().await;
    for path in ["/v1", "/v2/requests", "/v1/requests/", "/v1//requests", "/v1/requests/../me/x"] {
        assert_eq!(world.get("root", path).await.expect(404).problem(), "not-found", "{path}");
    }
    for path in ["/v1/requests/x", "/v1/requests/%00", "/v1/requests/%ff", "/v1/requests/0192F3A4-0000-7000-8000-00000000000A"] {
        assert_eq!(world.get("root", path).await.expect(400).problem(), "bad-id", "{path}");
    }
    let reply = world.send(world.http.put(world.url("/v1/requests"))).await.expect(405);
    assert_eq!(reply.problem(), "method-not-allowed");
    let allow = reply.headers["allow"].to_str().unwrap();
    assert!(allow.contains("GET") && allow.contains("POST"), "{allow}");
}

#[tokio::test]
async fn bodies_that_are_not_taken() {
    let world = World::start().await;
    let send = |kind: &'static str, body: String| {
        let request = world.http.post(world.url("/v1/requests")).bearer_auth(world.secret("app"));
        world.send(request.header("idempotency-key", "k").header("content-type", kind).body(body))
    };
    for (kind, body, status, word) in [
        ("text/plain", "{}".to_owned(), 415, "media-type"),
        ("application/json", "{".to_owned(), 400, "bad-json"),
        ("application/json", String::new(), 400, "bad-json"),
        ("application/json", "{\"process\": \"a\", \"process\": \"b\", \"payload\": {}}".to_owned(), 400, "bad-json"),
        (
            "application/json",
            "{\"process\": \"change\", \"payload\": {\"who\": \"a\", \"who\": \"b\"}}".to_owned(),
            400,
            "bad-json",
        ),
        ("application/json", "[]".to_owned(), 422, "bad-body"),
        ("application/json", "{\"process\": \"change\"}".to_owned(), 422, "bad-body"),
        ("application/json", "{\"process\": \"change\", \"payload\": {}, \"reply_to\": \"q\"}".to_owned(), 422, "bad-body"),
        ("application/json", format!("{{\"payload\": {}", "[".repeat(10_000)), 400, "bad-json"),
        ("application/json", format!("\"{}\"", "x".repeat(1024 * 1024)), 413, "too-large"),
        ("application/json", "{\"process\": \"change\", \"payload\": {}, \"channel\": \"\"}".to_owned(), 422, "invalid"),
    ] {
        let shown: String = body.chars().take(60).collect();
        let reply = send(kind, body).await.expect(status);
        assert_eq!(reply.problem(), word, "{shown}: {}", reply.text);
    }
}

#[tokio::test]
async fn a_key_is_needed_and_has_a_form() {
    let world = World::start().await;
    let body = json!({"process": "change", "payload": {"who": "sure", "phone": "1"}});
    let missing = world.post("app", "/v1/requests", &body).await.expect(400);
    assert_eq!(missing.problem(), "idempotency-key");
    for key in ["", " ", "a b", &"x".repeat(201)] {
        assert_eq!(world.submit_with("app", key, &body, "").await.expect(400).problem(), "idempotency-key", "{key}");
    }
    let twice = world.http.post(world.url("/v1/requests")).bearer_auth(world.secret("app"));
    let twice = twice.header("idempotency-key", "a").header("idempotency-key", "b").json(&body);
    assert_eq!(world.send(twice).await.expect(400).problem(), "idempotency-key");
}

#[tokio::test]
async fn only_so_many_requests_are_stored_at_once() {
    let world = World::with(|settings| settings.submits = 0).await;
    let body = json!({"process": "change", "payload": {"who": "sure", "phone": "1"}});
    let busy = world.submit_with("app", "k-1", &body, "").await.expect(503);
    assert_eq!((busy.problem(), &busy.headers["retry-after"]), ("busy", &"5".parse().unwrap()));
}

#[tokio::test]
async fn a_value_that_cannot_be_stored_is_not_called_a_key() {
    let world = World::start().await;
    let body = json!({"process": "texted", "payload": {"phone": "1\u{0}2"}});
    let reply = world.submit_with("app", "k", &body, "").await.expect(422);
    assert_eq!(reply.body["code"], "bad_value", "{}", reply.text);
}

#[tokio::test]
async fn every_answer_has_its_id_and_is_not_stored() {
    let world = World::start().await;
    for path in ["/healthz", "/v1/me", "/nowhere", "/v1/requests?x=1"] {
        let reply = world.send(world.http.get(world.url(path)).header("x-request-id", "from-the-gateway.7")).await;
        assert_eq!(reply.headers["x-request-id"], "from-the-gateway.7", "{path}");
        assert_eq!(reply.headers["cache-control"], "no-store", "{path}");
        assert_eq!(reply.headers["x-content-type-options"], "nosniff", "{path}");
        if !reply.status.is_success() {
            assert_eq!(reply.body["request_id"], "from-the-gateway.7", "{path}");
        }
    }
    let own = world.send(world.http.get(world.url("/healthz")).header("x-request-id", "a b")).await;
    assert_eq!(own.headers["x-request-id"].len(), 36);
}

#[tokio::test]
async fn a_problem_leads_to_its_explanation() {
    let world = World::start().await;
    let problem = world.send(world.http.get(world.url("/v1/me"))).await.expect(401);
    let shown = world.send(world.http.get(world.url(problem.body["type"].as_str().unwrap()))).await.expect(200);
    assert_eq!((&shown.body["code"], &shown.body["title"]), (&"token".into(), &problem.body["title"]));
    let all = world.send(world.http.get(world.url("/problems"))).await.expect(200);
    assert!(all.body.as_array().unwrap().len() > 20);
    world.send(world.http.get(world.url("/problems/nothing"))).await.expect(404);
}
