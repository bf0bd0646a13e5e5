//! A process over time: what its clauses decided, and what changed from one version to the next.

use std::sync::Arc;

use mozhao::engine::clock::SystemClock;
use mozhao::store::memory::MemoryStore;
use serde_json::json;

use crate::world::{World, later_change};

async fn two_versions() -> World {
    World::on(Arc::new(MemoryStore::new(Arc::new(SystemClock))), &[("change2.yaml", &later_change())], |_| {}).await
}

#[tokio::test]
async fn clauses_are_counted_by_their_last_verdicts() {
    let world = two_versions().await;
    let none = world.get("ops", "/v1/processes/change/clauses").await.expect(200);
    assert_eq!((&none.body["requests"], &none.body["cut"]), (&0.into(), &false.into()));
    let grey = world.submit_until("grey-1", "in_review").await;
    for (customer, state) in
        [("sure-1", "done"), ("sure-2", "done"), ("gone", "refused"), ("odd-1", "parked"), ("big", "in_review")]
    {
        world.submit_until(customer, state).await;
    }
    let review = world.review_of(&grey).await;
    let decide = json!({"version": 1, "choice": "approve", "note": "it is them"});
    world.post("li", &format!("/v1/reviews/{review}/decide"), &decide).await.expect(200);
    world.until(&grey, "done").await;
    let counted = world.get("audit", "/v1/processes/change/clauses?within=1h").await.expect(200);
    assert_eq!((&counted.body["version"], &counted.body["requests"]), (&2.into(), &6.into()), "{}", counted.text);
    let slots: Vec<&str> = counted.body["items"].as_array().unwrap().iter().map(|item| item["slot"].as_str().unwrap()).collect();
    assert_eq!(slots, ["known", "big_change", "change", "done_when"]);
    let known = &counted.body["items"][0];
    assert_eq!((&known["clause"], &known["text"]), (&"A-1".into(), &"The customer is known to us".into()));
    assert_eq!(known["texts"], json!({"en": "The customer is known to us", "zh-CN": "客户身份已知"}));
    let numbers = ["passed", "refused", "asked", "skipped", "stopped"].map(|name| known[name].as_u64().unwrap());
    assert_eq!(numbers, [2, 1, 2, 0, 1], "{}", counted.text);
    assert_eq!(known["refused_for"], json!([{"name": "gone", "count": 1}]));
    assert_eq!(known["asked_for"], json!([{"name": "unsure", "count": 2}]));
    assert_eq!(known["answers"], json!([{"name": "approve", "count": 1}]));
    assert_eq!(counted.body["items"][1]["skipped"], 3, "{}", counted.text);
    let change = &counted.body["items"][2];
    let numbers = ["passed", "applied", "unknown", "undone"].map(|name| change[name].as_u64().unwrap());
    assert_eq!(numbers, [0, 3, 0, 0], "{}", counted.text);
    let before = world.get("ops", "/v1/processes/change/clauses?version=1").await.expect(200);
    assert_eq!((&before.body["version"], &before.body["requests"]), (&1.into(), &0.into()));
    for (who, path, status) in [
        ("app", "/v1/processes/change/clauses", 403),
        ("li", "/v1/processes/change/clauses", 403),
        ("narrow-ops", "/v1/processes/change/clauses", 404),
        ("ops", "/v1/processes/change/clauses?version=9", 404),
        ("ops", "/v1/processes/change/clauses?within=8d", 400),
    ] {
        world.get(who, path).await.expect(status);
    }
}

#[tokio::test]
async fn versions_are_compared() {
    let world = two_versions().await;
    let found = world.get("li", "/v1/processes/change/difference").await.expect(200);
    assert_eq!((&found.body["from"], &found.body["to"]), (&1.into(), &2.into()));
    let expected = json!([
        {"kind": "process", "name": "", "change": "changed", "places": [{"place": "promise", "from": "10m", "to": "1h"}]},
        {"kind": "step", "name": "known", "change": "changed", "clause": "A-1",
            "places": [{"place": "clause.text.en", "from": "The customer is known", "to": "The customer is known to us"}]},
        {"kind": "reason", "name": "late", "change": "added", "places": [
            {"place": "customer.en", "to": "Too <b>late</b>."}, {"place": "customer.zh-CN", "to": "太晚。"}]},
    ]);
    assert_eq!(found.body["parts"], expected, "{}", found.text);
    let lines = found.body["lines"].as_array().unwrap();
    assert!(lines.contains(&json!({"from": 2, "text": "version: 1"})) && lines.contains(&json!({"to": 2, "text": "version: 2"})));
    let back = world.get("ops", "/v1/processes/change/difference?from=2&to=1").await.expect(200);
    assert_eq!(back.body["parts"][2]["change"], "removed");
    for (who, path, status) in [
        ("app", "/v1/processes/change/difference", 403),
        ("narrow-ops", "/v1/processes/change/difference", 404),
        ("ops", "/v1/processes/change/difference?from=9", 404),
        ("ops", "/v1/processes/change/difference?to=1", 404),
        ("ops", "/v1/processes/change/difference?from=x", 400),
    ] {
        world.get(who, path).await.expect(status);
    }
}
