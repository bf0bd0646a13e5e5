//! Reviewers' tools: what they may decide, and what they hear.

use mozhao::domain::time::Time;
use mozhao::domain::words::Choice;
use mozhao::engine::ports::broker::{DecisionSink as _, RefusedDecision, Taken, ToolDecision};
use serde_json::{Value, json};

use crate::reviews::{approve, four_eyes, notes};
use crate::world::World;

/// Gives a tool its token.
async fn token(world: &World, name: &str, role: &str, processes: &[&str], review_roles: &[&str]) {
    let new = json!({"name": name, "roles": [role], "processes": processes, "review_roles": review_roles});
    world.post("root", "/v1/tokens", &new).await.expect(201);
}

/// What a tool sends of a person's decision on a review at a version.
async fn send(world: &World, tool: &str, review: &str, version: u32, choice: Choice, nonce: &str) {
    assert_eq!(world.engine.decide(decision(tool, review, version, choice, nonce)).await, Taken::Stored);
}

fn decision(tool: &str, review: &str, version: u32, choice: Choice, nonce: &str) -> ToolDecision {
    ToolDecision {
        tool: tool.to_owned(),
        reviewer: "chen".to_owned(),
        review: review.rsplit('/').next().unwrap().parse().unwrap(),
        version,
        choice,
        reason: (choice == Choice::Refuse).then(|| "gone".to_owned()),
        note: "seen at the desk".to_owned(),
        fields: std::collections::BTreeMap::new(),
        nonce: nonce.to_owned(),
        at: Time(0),
    }
}

/// The newest answer to a decision that had no effect: code and detail.
async fn refused(world: &World) -> (String, String) {
    let list = world.get("audit", "/v1/rejected?limit=1").await.expect(200).body;
    let word = |name: &str| list["items"][0][name].as_str().unwrap().to_owned();
    (word("code"), word("detail"))
}

#[tokio::test]
async fn a_tool_may_decide_what_its_token_may() {
    let world = World::start().await;
    let id = world.submit_until("grey", "in_review").await;
    let review = world.review_of(&id).await;
    token(&world, "till", "operator", &[], &["identity"]).await;
    token(&world, "branch", "reviewer", &["texted"], &["identity"]).await;
    token(&world, "cash", "reviewer", &[], &["money"]).await;
    token(&world, "old", "reviewer", &[], &["identity"]).await;
    world.send(world.http.delete(world.url("/v1/tokens/old")).bearer_auth(world.secret("root"))).await;
    for (tool, why) in [
        (
            "stranger",
            "no token is named stranger, so it may decide nothing; `mozhao token create stranger --role reviewer` gives it rights",
        ),
        ("till", "the token till has not the role reviewer"),
        ("branch", "the token branch is not good for the process change"),
        ("cash", "the token cash has not the reviewers' role identity, which the review asks for"),
        ("old", "the token old was revoked"),
    ] {
        send(&world, tool, &review, 1, Choice::Approve, &format!("by-{tool}")).await;
        assert_eq!(refused(&world).await, ("not_allowed".to_owned(), why.to_owned()));
    }
    assert_eq!(world.get("audit", &format!("/v1/reviews/{review}")).await.body["version"], 1);
    send(&world, "desk", &review, 1, Choice::Approve, "d-1").await;
    world.until(&id, "done").await;
    let decided = world.get("audit", &format!("/v1/reviews/{review}")).await.body;
    assert_eq!(decided["decision"]["by"], "chen@desk");
    send(&world, "desk", &review, 1, Choice::Refuse, "d-2").await;
    assert_eq!(refused(&world).await, ("not_applied".to_owned(), "the review is decided at version 2 by now".to_owned()));
}

#[tokio::test]
async fn a_tool_hears_that_its_decision_was_set_aside() {
    let world = World::start().await;
    let (id, review) = four_eyes(&world).await;
    let decide = format!("{review}/decide");
    world.post("li", &decide, &approve(1)).await.expect(200);
    let why = "the first person decided otherwise: both decisions are in the ledger, and two must decide anew";
    // The broker may bring it twice.
    for _ in 0..2 {
        send(&world, "desk", &review, 2, Choice::Refuse, "d-1").await;
        assert_eq!(refused(&world).await, ("set_aside".to_owned(), why.to_owned()));
    }
    let text = "two people disagree, and both decisions are set aside: li decided approve: the passport fits; \
                chen@desk decided refuse (gone): seen at the desk";
    assert_eq!(notes(&world, &id, 1).await, [text]);
    let open = world.get("audit", &review).await.body;
    assert_eq!((&open["state"], &open["version"], open.get("decision")), (&Value::from("open"), &3.into(), None));
    send(&world, "desk", &review, 3, Choice::Approve, "d-2").await;
    world.post("li", &decide, &approve(4)).await.expect(200);
    world.until(&id, "done").await;
}

#[tokio::test]
async fn one_person_is_one_at_the_desk_and_over_http() {
    let world = World::start().await;
    let id = world.submit_until("grey", "in_review").await;
    let review = world.review_of(&id).await;
    world.post("li", &format!("/v1/reviews/{review}/claim"), &json!({})).await.expect(200);
    let mut decision = decision("desk", &review, 1, Choice::Approve, "d-1");
    decision.reviewer = "wang".to_owned();
    assert_eq!(world.engine.decide(decision.clone()).await, Taken::Stored);
    assert_eq!(refused(&world).await, ("not_applied".to_owned(), "li works on it".to_owned()));
    (decision.reviewer, decision.nonce) = ("li".to_owned(), "d-2".to_owned());
    assert_eq!(world.engine.decide(decision).await, Taken::Stored);
    world.until(&id, "done").await;
}

#[tokio::test]
async fn a_refused_decision_takes_nobodys_key() {
    let world = World::start().await;
    let unsigned = RefusedDecision {
        code: "bad_signature",
        detail: "it is not signed".to_owned(),
        tool: Some("app".to_owned()),
        review: None,
        nonce: Some("order-4711".to_owned()),
    };
    assert_eq!(world.engine.refuse(unsigned.clone()).await, Taken::Stored);
    let body = json!({"process": "change", "payload": {"who": "sure", "phone": "1"}});
    world.submit_with("app", "order-4711", &body, "").await.expect(202);
    // The same one for another reason is told again, the very same is not.
    for code in ["bad_signature", "too_old"] {
        assert_eq!(world.engine.refuse(RefusedDecision { code, ..unsigned.clone() }).await, Taken::Stored);
    }
    let list = world.get("audit", "/v1/rejected").await.expect(200).body;
    let codes: Vec<_> = list["items"].as_array().unwrap().iter().map(|one| one["code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["too_old", "bad_signature"]);
}
