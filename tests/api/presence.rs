//! Who has a review open: told to others for a while, with the rights of the review itself, and no claim.

use std::time::Duration;

use mozhao::engine::ports::reviewing::PresenceRow;
use serde_json::{Value, json};

use crate::reviews::approve;
use crate::world::World;

/// What is stored about a review.
async fn stored(world: &World, review: &str) -> Vec<PresenceRow> {
    let now = world.engine.clock().now();
    world.store.reviewing().present(&[review.parse().unwrap()], now, 99).await.unwrap()
}

#[tokio::test]
async fn others_are_told_who_has_a_review_open() {
    let world = World::start().await;
    let id = world.submit_until("grey-1", "in_review").await;
    world.submit_until("grey-2", "in_review").await;
    let review = world.review_of(&id).await;
    let (page, presence) = (format!("/v1/reviews/{review}"), format!("/v1/reviews/{review}/presence"));
    let present = async |who: &str| world.get(who, &page).await.expect(200).body["present"].clone();
    assert_eq!(present("wang").await, Value::Null);
    let said = world.post("li", &presence, &json!({})).await.expect(200);
    assert_eq!((&said.body["answer"], &said.body["review"]["present"]), (&"applied".into(), &Value::Null), "oneself is no other");
    let first = stored(&world, &review).await;
    let left = first[0].until.since(world.engine.clock().now());
    assert!(first.len() == 1 && left > Duration::from_secs(30) && left <= Duration::from_secs(45), "{first:?}");
    let again = world.post("li", &presence, &json!({})).await.expect(200);
    assert_eq!(again.body["answer"], "unchanged");
    assert_eq!(stored(&world, &review).await, first, "what was said just now is not written again");
    for who in ["wang", "zhao", "ops", "audit", "root"] {
        assert_eq!(present(who).await, json!(["li"]), "{who}");
    }
    let list = world.get("wang", "/v1/reviews").await.expect(200);
    let told: Vec<&Value> = list.body["items"].as_array().unwrap().iter().map(|item| &item["present"]).collect();
    assert_eq!(told, [&json!(["li"]), &Value::Null]);
    // A list that nobody wants to know it of leaves it out.
    let bare = world.get("wang", "/v1/reviews?present=false").await.expect(200);
    let items = bare.body["items"].as_array().unwrap();
    assert!(items.len() == 2 && items.iter().all(|item| item["present"] == Value::Null), "{}", bare.text);
    world.get("wang", "/v1/reviews?present=true").await.expect(200).body["items"][0]["present"].as_array().unwrap();
    world.get("wang", "/v1/reviews?present=maybe").await.expect(400);
    // It keeps nobody from anything.
    assert_eq!(list.body["items"][0]["claimed_by"], Value::Null);
    assert_eq!(world.post("wang", &presence, &json!({})).await.expect(200).body["review"]["present"], json!(["li"]));
    assert_eq!((present("li").await, present("wang").await), (json!(["wang"]), json!(["li"])));
    world.post("wang", &format!("{page}/decide"), &approve(1)).await.expect(200);
    world.until(&id, "done").await;
    // What is over is told of nobody, and nobody is added to it.
    assert_eq!(present("audit").await, Value::Null);
    world.post("zhao", &presence, &json!({})).await.expect(403);
    let before = stored(&world, &review).await;
    assert_eq!(world.post("root", &presence, &json!({})).await.expect(200).body["answer"], "unchanged");
    assert_eq!((before.len(), stored(&world, &review).await), (2, before));
}

#[tokio::test]
async fn only_who_could_decide_it_is_told_of() {
    let world = World::start().await;
    let review = world.review_of(&world.submit_until("grey-1", "in_review").await).await;
    let presence = format!("/v1/reviews/{review}/presence");
    for (who, status) in [("zhao", 403), ("audit", 403), ("ops", 403), ("app", 403), ("narrow-ops", 403)] {
        world.post(who, &presence, &json!({})).await.expect(status);
    }
    world.post("li", "/v1/reviews/00000000-0000-7000-8000-000000000000/presence", &json!({})).await.expect(404);
    world.post("li", &presence, &json!({"for": "1h"})).await.expect(422);
    assert_eq!(stored(&world, &review).await, []);
}

#[tokio::test]
async fn who_has_gone_is_forgotten_and_many_are_not_all_told() {
    let world = World::start().await;
    let review = world.review_of(&world.submit_until("grey-1", "in_review").await).await;
    let now = world.engine.clock().now();
    let row = |by: &str, until| PresenceRow { review: review.parse().unwrap(), by: by.to_owned(), until };
    let reviewing = world.store.reviewing();
    reviewing.be_present(&row("gone", now)).await.unwrap();
    for number in 0..9 {
        reviewing.be_present(&row(&format!("r{number}"), now.plus(Duration::from_mins(1)))).await.unwrap();
    }
    let shown = world.get("li", &format!("/v1/reviews/{review}")).await.expect(200);
    assert_eq!(shown.body["present"], json!(["r0", "r1", "r2", "r3", "r4"]));
    // A tool of theirs is themselves.
    reviewing.be_present(&row("li@desk", now.plus(Duration::from_mins(1)))).await.unwrap();
    let shown = world.get("li", "/v1/reviews").await.expect(200);
    assert_eq!(shown.body["items"][0]["present"], json!(["r0", "r1", "r2", "r3", "r4"]));
}
