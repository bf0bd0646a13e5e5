//! What reviewers' tools hear: a question that was put to them is closed again, whatever became of it.

use std::time::Duration;

use mozhao::domain::process::cases::Fail;
use mozhao::domain::request::signal::{Decision, Signal};
use mozhao::domain::words::Choice;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::amend::answers;
use crate::support::{SWAP, Stage, decision, fails, play};

/// Topics and reviews of the events about reviews, in order.
async fn heard(stage: &Stage) -> Vec<(String, Uuid)> {
    let events = stage.store.events(None, 1_000).await.unwrap();
    let about = events.iter().filter(|event| event.topic.starts_with("review."));
    about
        .map(|event| {
            let body: Value = serde_json::from_slice(&event.body).unwrap();
            (event.topic.clone(), body["data"]["review"].as_str().unwrap().parse().unwrap())
        })
        .collect()
}

async fn asked(stage: &mut Stage) -> Uuid {
    stage.add(SWAP);
    let request = stage.submit("swap", &json!({"customer": "C1", "card": "K1", "note": ""})).await;
    stage.at(60).await;
    request
}

fn topics(heard: &[(String, Uuid)]) -> Vec<&str> {
    assert!(heard.iter().all(|(_, review)| *review == heard[0].1), "one review: {heard:?}");
    heard.iter().map(|(topic, _)| topic.as_str()).collect()
}

#[test]
fn asking_the_customer_decides_the_review() {
    play(answers(), |mut stage| async move {
        let request = asked(&mut stage).await;
        let decision = Decision { note: "Which?".into(), ..decision("li", Choice::AskCustomer) };
        stage.world.decide(request, "look", decision).await.unwrap();
        stage.at(70).await;
        assert_eq!(topics(&heard(&stage).await), ["review.swap.opened", "review.swap.decided"]);
        let events = stage.store.events(None, 1_000).await.unwrap();
        assert!(events.iter().any(|event| event.topic == "request.swap.waiting"), "the customer's side hears of it, too");
    });
}

#[test]
fn a_withdrawal_cancels_the_review_aloud() {
    play(answers(), |mut stage| async move {
        let request = asked(&mut stage).await;
        stage.withdraw(request).await;
        stage.at(120).await;
        assert_eq!(stage.state(request).await, "withdrawn");
        assert_eq!(topics(&heard(&stage).await), ["review.swap.opened", "review.swap.cancelled"]);
    });
}

#[test]
fn an_expiry_cancels_the_review_aloud_and_what_a_person_was_asked_early_expires_all_the_same() {
    play(vec![("funds", vec![fails(Fail::Refused)])], |mut stage| async move {
        let request = stage.transfer("C1").await;
        stage.at(3_600).await;
        assert_eq!(stage.state(request).await, "parked");
        stage.send(request, &Signal::MoveToReview { by: "li".into(), note: "look".into() }).await;
        stage.at(3_700).await;
        stage.world.decide(request, "handed_over", decision("li", Choice::Retry)).await.unwrap();
        stage.at(2 * 3_600).await;
        assert_eq!(stage.state(request).await, "parked");
        stage.send(request, &Signal::MoveToReview { by: "li".into(), note: "look again".into() }).await;
        stage.at(3 * 3_600).await;
        assert_eq!(stage.state(request).await, "in_review");
        stage.at(Duration::from_hours(8 * 24).as_secs()).await;
        assert_eq!(stage.state(request).await, "expired");
        let heard = heard(&stage).await;
        let topics: Vec<&str> = heard.iter().map(|(topic, _)| topic.rsplit('.').next().unwrap()).collect();
        assert_eq!(topics, ["opened", "decided", "opened", "cancelled"]);
    });
}
