//! Two people and one question.

use std::sync::Arc;
use std::time::Duration;

use mozhao::domain::request::fact::Fact;
use mozhao::sandbox::{Document, Person, PersonStatus};
use serde_json::{Value, json};
use tokio::sync::Barrier;
use uuid::Uuid;

use super::bank;
use super::books::{self, Expect};
use super::broker::Message;
use super::client::Client;
use super::world::{PATIENCE, World};

const REVIEWS: usize = 24;

/// The open review of this request and its version.
async fn review_of(client: &Client, world: &World, id: Uuid) -> (String, u64) {
    let row = world.request_until("a review to open", &id.to_string(), |row| row.review.is_some()).await;
    let review = row.review.unwrap().to_string();
    let (status, body) = client.get(&format!("/v1/reviews/{review}")).await;
    assert_eq!(status, 200, "{body}");
    (review, body["version"].as_u64().expect("a version"))
}

fn decision(version: u64, choice: &str, reason: Option<&str>) -> Value {
    let mut body = json!({"version": version, "choice": choice, "note": "looked at it"});
    if let Some(reason) = reason {
        body["reason"] = json!(reason);
    }
    body
}

#[tokio::test(flavor = "multi_thread")]
async fn two_reviewers_decide_at_the_same_moment() {
    let mut world = World::shared().await;
    let (first, second) = (world.worker().await, world.worker().await);
    let (ada, ben) = (world.client(&first, "ada").await, world.client(&second, "ben").await);
    let messages: Vec<Message> = (0..REVIEWS)
        .map(|number| {
            let (customer, card) = (format!("U{number}"), format!("K{number}"));
            bank::put_card(&world.bank, &customer, &card);
            Message::plain("app", &format!("m-{number}"), "card_unbind", &bank::unbind_with(&customer, &card, bank::GREY))
        })
        .collect();
    world.publish(&messages).await;
    world.until("all to be in review", PATIENCE, |balance| balance.in_review == REVIEWS as u64).await;

    let mut approved = 0;
    for row in world.requests().await {
        let (review, version) = review_of(&ada, &world, row.id).await;
        let (barrier, path) = (Arc::new(Barrier::new(2)), format!("/v1/reviews/{review}/decide"));
        let decide = |client: Client, body: Value| {
            let (barrier, path) = (barrier.clone(), path.clone());
            tokio::spawn(async move {
                barrier.wait().await;
                client.post(&path, &body).await
            })
        };
        let yes = decide(ada.clone(), decision(version, "approve", None));
        let no = decide(ben.clone(), decision(version, "refuse", Some("face_mismatch")));
        let (yes, no) = (yes.await.unwrap(), no.await.unwrap());
        let (winner, loser) = if yes.0 < 300 { (&yes, &no) } else { (&no, &yes) };
        assert!(matches!(winner.0, 200 | 202), "{yes:?} {no:?}");
        assert_eq!(loser.0, 409, "{yes:?} {no:?}");
        // What changed: the loser sees the review as it is now.
        assert_eq!(loser.1["current"]["id"], review.as_str(), "{loser:?}");
        assert_ne!(loser.1["current"]["version"], json!(version), "{loser:?}");
        approved += usize::from(yes.0 < 300);
    }
    println!("of {REVIEWS} questions, {approved} were approved by the one and the others refused by the other");

    let expect = Expect { sent: &messages, ended: REVIEWS, workers: &[&first, &second], ..Expect::default() };
    let books = books::check(&mut world, expect).await;
    for ledger in &books.ledgers {
        let decided: Vec<_> =
            ledger.facts.iter().filter_map(|(_, fact)| if let Fact::Decided(made) = fact { Some(made) } else { None }).collect();
        assert_eq!(decided.len(), 1);
        let road = if decided[0].by == "ada" { "done" } else { "refused:face_mismatch" };
        assert_eq!(ledger.road(), road);
    }
    let done = books.ledgers.iter().filter(|ledger| ledger.road() == "done").count();
    assert_eq!(done, approved);
}

#[tokio::test(flavor = "multi_thread")]
async fn four_eyes_are_those_of_two_people() {
    let mut world = World::shared().await;
    let worker = world.worker().await;
    let (ada, ben) = (world.client(&worker, "ada").await, world.client(&worker, "ben").await);
    let person = Person {
        person_id: "P1".to_owned(),
        name: "Wang".to_owned(),
        department: "finance".to_owned(),
        status: PersonStatus::Active,
        signing_limit_minor: 200_000_000,
        document: Some(Document { kind: "passport".to_owned(), name: "Wang Li".to_owned(), verified: true }),
    };
    world.bank.with_hr(|hr| hr.put(person.clone()));
    world.bank.with_legacy(|legacy| legacy.put(person));
    let payload = json!({"person_id": "P1", "new_name": "Wang Li", "ground": "marriage"});
    let id = ada.submit("four-eyes", "name_correction", &payload).await;
    let id = Uuid::parse_str(&id).unwrap();

    let (review, version) = review_of(&ada, &world, id).await;
    let path = format!("/v1/reviews/{review}/decide");
    let (status, body) = ada.post(&path, &decision(version, "approve", None)).await;
    assert_eq!((status, body["answer"].as_str()), (200, Some("second_needed")), "{body}");
    let (_, version) = review_of(&ada, &world, id).await;
    let (status, body) = ada.post(&path, &decision(version, "approve", None)).await;
    assert_eq!(status, 423, "the same person a second time: {body}");
    assert_eq!(world.bank.applied("hr_name", "P1"), 0);
    let (status, body) = ben.post(&path, &decision(version, "approve", None)).await;
    assert!(matches!(status, 200 | 202), "{status} {body}");

    let deadline = Some(Duration::from_secs(30));
    let expect = Expect { ended: 1, workers: &[&worker], deadline, ..Expect::default() };
    let books = books::check(&mut world, expect).await;
    let ledger = &books.ledgers[0];
    let decided: Vec<_> =
        ledger.facts.iter().filter_map(|(_, fact)| if let Fact::Decided(made) = fact { Some(made) } else { None }).collect();
    assert_eq!(decided.len(), 1);
    assert_eq!((decided[0].first_by.as_deref(), decided[0].by.as_str()), (Some("ada"), "ben"));
    assert_eq!(ledger.road(), "done");
    assert_eq!((world.bank.applied("hr_name", "P1"), world.bank.applied("legacy_name", "P1")), (1, 1));
}
