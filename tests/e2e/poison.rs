//! Messages that are no requests: each is recorded with its code, answered, acknowledged, and holds nobody up.

use std::collections::BTreeMap;
use std::time::Duration;

use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable};
use serde_json::{Value, json};

use super::bank;
use super::books::{self, Expect};
use super::broker::{self, Message, Sink};
use super::world::World;
use crate::harness::wait;

/// A poisonous message and the code that it is rejected with.
struct Poison {
    code: &'static str,
    message: Message,
}

fn properties(id: &str) -> BasicProperties {
    BasicProperties::default().with_app_id("app".into()).with_message_id(id.into()).with_delivery_mode(2)
}

fn poison(code: &'static str, process: &str, body: Vec<u8>, properties: BasicProperties) -> Poison {
    Poison { code, message: Message { process: process.to_owned(), body, properties } }
}

/// One of each kind. `good` was sent before under the id `good-0`.
fn kinds(good: &Value, prefix: &str) -> Vec<Poison> {
    let body = || good.to_string().into_bytes();
    let text = |text: &str| text.as_bytes().to_vec();
    let mut wrong = good.clone();
    wrong["card_id"] = json!(7);
    let mut other = good.clone();
    other["selfie"] = json!("https://pictures.example/other.jpg");
    let event = json!({"specversion": "0.3", "id": "e", "source": "app", "type": "card_unbind", "data": good});
    let mut headers = FieldTable::default();
    for number in 0..100 {
        headers.insert(format!("x-{number}").into(), AMQPValue::LongString("v".into()));
    }
    let own = format!("{prefix}.requests");
    vec![
        poison("bad_json", "card_unbind", text("{\"customer_id\": "), properties("x-json")),
        poison("bad_json", "card_unbind", Vec::new(), properties("x-empty")),
        poison("bad_encoding", "card_unbind", vec![b'"', 0xff, 0xfe, b'"'], properties("x-utf8")),
        poison("duplicate_key", "card_unbind", text(r#"{"card_id": "K1", "card_id": "K2"}"#), properties("x-double")),
        poison("too_deep", "card_unbind", "[".repeat(100_000).into_bytes(), properties("x-deep")),
        poison("not_an_object", "card_unbind", text("[1, 2]"), properties("x-list")),
        poison("too_large", "card_unbind", vec![b' '; 2 << 20], properties("x-large")),
        poison("no_id", "card_unbind", body(), BasicProperties::default().with_app_id("app".into())),
        poison("bad_id", "card_unbind", body(), properties(" x-space ")),
        poison("unknown_process", "no_such_process", body(), properties("x-process")),
        poison("bad_process", "No.Such-Process", body(), properties("x-name")),
        poison("schema", "card_unbind", wrong.to_string().into_bytes(), properties("x-schema")),
        poison("key_conflict", "card_unbind", other.to_string().into_bytes(), properties("good-0")),
        poison("bad_content_type", "card_unbind", body(), properties("x-gzip").with_content_encoding("gzip".into())),
        poison("bad_content_type", "card_unbind", body(), properties("x-xml").with_content_type("text/xml".into())),
        poison(
            "bad_specversion",
            "card_unbind",
            event.to_string().into_bytes(),
            properties("x-version").with_content_type("application/cloudevents+json".into()),
        ),
        poison("bad_header", "card_unbind", body(), properties("x-headers").with_headers(headers)),
        poison("bad_reply_to", "card_unbind", body(), properties("x-reply").with_reply_to(own.into())),
        poison("bad_correlation", "card_unbind", body(), properties("x-correlation").with_correlation_id("a\0b".into())),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn poison_of_many_kinds() {
    let mut world = World::shared().await;
    let worker = world.worker().await;
    let amqp = world.amqp.clone().unwrap();
    let mut replies = Sink::declare(&amqp, &format!("{}-replies", world.prefix), None).await;
    let good = |number: usize| {
        let payload = bank::card(&world.bank, number, 1);
        Message::plain("app", &format!("good-{number}"), "card_unbind", &payload)
    };
    let mut sent = vec![good(0)];
    world.publish(&sent).await;
    world.until("the first good one", Duration::from_secs(30), |balance| balance.accepted == 1).await;
    let first: Value = serde_json::from_slice(&sent[0].body).unwrap();
    let mut poisons = kinds(&first, &world.prefix);
    for poison in poisons.iter_mut().filter(|poison| poison.code != "bad_reply_to") {
        let properties = poison.message.properties.clone();
        let properties = properties.with_reply_to(replies.queue.as_str().into());
        poison.message.properties =
            if poison.code == "bad_correlation" { properties } else { properties.with_correlation_id(poison.code.into()) };
    }
    // A good one after each, and each poison twice: it is recorded once.
    for (number, poison) in poisons.iter().enumerate() {
        let good = good(number + 1);
        world.publish(&[poison.message.clone(), good.clone(), poison.message.clone()]).await;
        sent.push(good);
    }
    let mut expected: BTreeMap<&str, usize> = BTreeMap::new();
    for poison in &poisons {
        // Without an id nobody can tell that it is the same one.
        *expected.entry(poison.code).or_default() += if matches!(poison.code, "no_id" | "bad_id") { 2 } else { 1 };
    }
    let rejected = expected.values().sum();
    let expect = Expect { sent: &sent, ended: sent.len(), workers: &[&worker], rejected, ..Expect::default() };
    let books = books::check(&mut world, expect).await;

    let rejected = world.store.rejected(None, 1_000).await.unwrap();
    let mut found: BTreeMap<&str, usize> = BTreeMap::new();
    for row in &rejected {
        *found.entry(&row.code).or_default() += 1;
        assert!(!row.detail.is_empty() && row.producer == "app", "{row:?}");
    }
    assert_eq!(found, expected);

    let told: Vec<_> = books.events.iter().filter(|event| event.topic == "intake.rejected").collect();
    assert_eq!(told.len(), rejected.len(), "one answer for each");
    let mut answered: BTreeMap<String, usize> = BTreeMap::new();
    for event in told {
        let event: Value = serde_json::from_slice(&event.body).unwrap();
        *answered.entry(event["data"]["code"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    assert_eq!(answered, expected.iter().map(|(code, count)| ((*code).to_owned(), *count)).collect());
    // Whoever named a queue of its own hears of it there, too.
    expected.remove("bad_reply_to");
    let replied = expected.values().sum::<usize>();
    replies.read_until("an answer for each", |replies| replies.seen.len() == replied).await;
    for seen in &replies.seen {
        let code = seen.event["data"]["code"].as_str().filter(|code| *code != "bad_correlation");
        assert_eq!(code, seen.correlation.as_deref(), "with the correlation id, if that can be stored");
    }
    for queue in ["requests", "requests.dead"] {
        let queue = format!("{}.{queue}", world.prefix);
        wait::until("an empty queue", Duration::from_secs(10), || async { broker::depth(&amqp, &queue).await == Some(0) }).await;
    }
}
