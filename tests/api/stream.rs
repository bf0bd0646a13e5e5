//! Server-sent events: everything once, in order, also after a break, and an end.

use std::time::Duration;

use serde_json::{Value, json};

use crate::world::{CANARY, World};

/// The events of a text: number, kind, data.
fn events(text: &str) -> Vec<(u64, String, Value)> {
    let mut found = Vec::new();
    for block in text.split("\n\n") {
        let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name).map(str::trim));
        if let (Some(id), Some(kind), Some(data)) = (field("id:"), field("event:"), field("data:")) {
            found.push((id.parse().unwrap(), kind.to_owned(), serde_json::from_str(data).unwrap()));
        }
    }
    found
}

#[tokio::test]
async fn a_stream_has_everything_once_and_ends_with_the_outcome() {
    let world = World::start().await;
    let id = world.submit_until("grey", "in_review").await;
    let following = {
        let request = world.http.get(world.url(&format!("/v1/requests/{id}/events"))).bearer_auth(world.secret("li"));
        tokio::spawn(async move { request.send().await.unwrap().text().await.unwrap() })
    };
    let review = world.review_of(&id).await;
    let approve = json!({"version": 1, "choice": "approve", "note": "fits"});
    world.post("li", &format!("/v1/reviews/{review}/decide"), &approve).await.expect(200);
    let text = tokio::time::timeout(Duration::from_secs(10), following).await.expect("the stream ends").unwrap();
    assert!(!text.contains(CANARY));
    let seen = events(&text);
    let numbers: Vec<u64> = seen.iter().map(|(number, ..)| *number).collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
    assert_eq!(seen.last().unwrap().1, "ended");
    let timeline = world.get("li", &format!("/v1/requests/{id}/timeline?limit=200")).await.body;
    let entries: Vec<Value> = seen.into_iter().map(|(.., data)| data).collect();
    assert_eq!(json!(entries), timeline["items"]);
}

#[tokio::test]
async fn who_comes_back_gets_the_rest() {
    let world = World::start().await;
    let id = world.submit("app", "sure").await.id();
    let path = world.url(&format!("/v1/requests/{id}/events"));
    let from =
        |header: &'static str| world.send(world.http.get(&path).bearer_auth(world.secret("app")).header("last-event-id", header));
    let all = events(&from("0").await.expect(200).text);
    let rest = events(&from("2").await.expect(200).text);
    assert_eq!(rest, all[2..]);
    let by_query = world.get("app", &format!("/v1/requests/{id}/events?after=2")).await.expect(200);
    assert_eq!(events(&by_query.text), rest);
    assert_eq!(by_query.headers["content-type"], "text/event-stream");
    from("x").await.expect(400);
    let last = all.last().unwrap().0;
    let nothing = world.get("app", &format!("/v1/requests/{id}/events?after={last}")).await.expect(200);
    assert_eq!(events(&nothing.text), []);
}

#[tokio::test]
async fn only_so_many_streams() {
    let world = World::with(|settings| settings.streams = 1).await;
    let id = world.submit_until("grey", "in_review").await;
    let open = || world.http.get(world.url(&format!("/v1/requests/{id}/events"))).bearer_auth(world.secret("app")).send();
    let mut first = open().await.unwrap();
    assert!(first.chunk().await.unwrap().is_some());
    let second = open().await.unwrap();
    assert_eq!((second.status().as_u16(), second.headers()["retry-after"].to_str().unwrap()), (503, "5"));
    drop(first);
    let again = async { while open().await.unwrap().status() != 200 {} };
    tokio::time::timeout(Duration::from_secs(10), again).await.expect("the place is free again");
}

#[tokio::test]
async fn streams_end_when_the_worker_stops() {
    let mut world = World::start().await;
    let id = world.submit_until("grey", "in_review").await;
    let request = world.http.get(world.url(&format!("/v1/requests/{id}/events"))).bearer_auth(world.secret("app"));
    let mut stream = request.send().await.unwrap();
    assert!(stream.chunk().await.unwrap().is_some());
    world.stopping.cancel();
    let rest = async { while stream.chunk().await.unwrap().is_some() {} };
    tokio::time::timeout(Duration::from_secs(5), rest).await.expect("the stream ends");
    tokio::time::timeout(Duration::from_secs(5), world.server.take().unwrap()).await.expect("the server ends").unwrap();
}
