//! One customer's request, from the front end's message to the outcome in the front end's queue.

use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable};
use serde_json::{Value, json};

use super::bank;
use super::books::{self, Expect};
use super::broker::{Message, Sink};
use super::world::World;

/// A structured CloudEvent.
fn structured(id: &str, payload: &Value) -> Message {
    let event = json!({
        "specversion": "1.0", "id": id, "source": "app", "type": "request.card_unbind", "data": payload,
    });
    let properties = BasicProperties::default().with_content_type("application/cloudevents+json".into()).with_delivery_mode(2);
    Message { process: "card_unbind".into(), body: event.to_string().into_bytes(), properties }
}

/// A binary CloudEvent, with the prefix that this kind of library uses.
fn binary(prefix: &str, id: &str, payload: &Value) -> Message {
    let mut headers = FieldTable::default();
    for (name, value) in [("specversion", "1.0"), ("id", id), ("source", "app"), ("type", "request.card_unbind")] {
        headers.insert(format!("{prefix}{name}").into(), AMQPValue::LongString(value.into()));
    }
    let properties =
        BasicProperties::default().with_content_type("application/json".into()).with_headers(headers).with_delivery_mode(2);
    Message { process: "card_unbind".into(), body: payload.to_string().into_bytes(), properties }
}

fn with_reply(mut message: Message, queue: &str) -> Message {
    let correlation = format!("about-{}", message.process);
    message.properties = message.properties.with_reply_to(queue.into()).with_correlation_id(correlation.into());
    message
}

#[tokio::test(flavor = "multi_thread")]
async fn a_card_is_unbound_and_the_front_end_hears_of_it() {
    let mut world = World::shared().await;
    let worker = world.worker().await;
    let mut replies = Sink::declare(world.amqp.as_ref().unwrap(), &format!("{}-replies", world.prefix), None).await;
    // The inbox key of each: a CloudEvent's producer is its source.
    let key = |id: &str, payload: &Value| Message::plain("app", id, "card_unbind", payload);
    let payloads: Vec<Value> = (0..4).map(|number| bank::card(&world.bank, number, 1)).collect();
    let sent = [
        (key("m-0", &payloads[0]), key("m-0", &payloads[0])),
        (key("m-1", &payloads[1]), structured("m-1", &payloads[1])),
        (key("m-2", &payloads[2]), binary("cloudEvents:", "m-2", &payloads[2])),
        (key("m-3", &payloads[3]), binary("ce-", "m-3", &payloads[3])),
    ];
    let messages: Vec<Message> = sent.iter().map(|(_, message)| with_reply(message.clone(), &replies.queue)).collect();
    world.publish(&messages).await;
    world.publish(&messages).await;
    replies.read_until("four replies", |replies| replies.seen.len() == 4).await;

    let keys: Vec<Message> = sent.into_iter().map(|(key, _)| key).collect();
    let expect = Expect { sent: &keys, ended: 4, workers: &[&worker], ..Expect::default() };
    let books = books::check(&mut world, expect).await;
    for (number, key) in keys.iter().enumerate() {
        let ledger = books.of(key);
        assert_eq!(ledger.road(), "done");
        assert_eq!(world.bank.applied("unbind", &format!("K{number}")), 1);
        let subject = ledger.row.id.to_string();
        let heard: Vec<_> = replies.seen.iter().filter(|seen| seen.event["subject"] == subject.as_str()).collect();
        assert_eq!(heard.len(), 1, "one reply");
        assert_eq!(heard[0].event["type"], "mozhao.request.card_unbind.done");
        assert_eq!(heard[0].event["data"]["outcome"], "done");
        assert_eq!(heard[0].event["data"]["message"], format!("m-{number}"));
        assert_eq!(heard[0].correlation.as_deref(), Some("about-card_unbind"));
        let told: Vec<_> =
            world.sink.as_ref().unwrap().seen.iter().filter(|seen| seen.event["subject"] == subject.as_str()).collect();
        let topics: Vec<_> = told.iter().map(|seen| seen.topic.as_str()).collect();
        assert_eq!(topics, ["request.card_unbind.accepted", "request.card_unbind.done"]);
    }
}
