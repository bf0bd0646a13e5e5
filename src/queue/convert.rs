//! From a delivery to a message: bounded, and never failing. What does not fit is cut off and marked; the reader decides.

use std::collections::BTreeMap;

use lapin::message::Delivery;
use lapin::types::{AMQPValue, FieldTable, ShortString};

use super::frames::UNREADABLE;
use crate::domain::message::{HeadersFault, Incoming};

/// The most headers that are kept.
const MAX_HEADERS: usize = 64;
/// The most bytes of names and values that are kept.
const MAX_HEADER_BYTES: usize = 16 * 1024;
/// The broker's count of deliveries without an acknowledgement.
const DELIVERY_COUNT: &str = "x-delivery-count";

/// Takes a delivery apart; the body is not copied.
pub(super) fn incoming(delivery: Delivery) -> Incoming {
    let properties = &delivery.properties;
    let text = |value: &Option<ShortString>| value.as_ref().map(|value| value.as_str().to_owned());
    let (headers, cut, delivery_count) = properties.headers().as_ref().map_or_else(Default::default, headers);
    let unreadable = properties.headers().as_ref().is_some_and(|table| table.inner().contains_key(UNREADABLE));
    let headers_fault = if unreadable { Some(HeadersFault::Unreadable) } else { cut.then_some(HeadersFault::Cut) };
    // Sent straight to the queue: the routing key is then the queue's name, and says nothing of a process.
    let straight = delivery.exchange.as_str().is_empty();
    Incoming {
        routing_key: if straight { String::new() } else { delivery.routing_key.as_str().to_owned() },
        message_id: text(properties.message_id()),
        app_id: text(properties.app_id()),
        user_id: text(properties.user_id()),
        content_type: text(properties.content_type()),
        content_encoding: text(properties.content_encoding()),
        traceparent: headers.get("traceparent").cloned(),
        headers,
        headers_fault,
        reply_to: text(properties.reply_to()),
        correlation_id: text(properties.correlation_id()),
        redelivered: delivery.redelivered,
        delivery_count,
        body: delivery.data.into(),
    }
}

fn headers(table: &FieldTable) -> (BTreeMap<String, String>, bool, u64) {
    let (mut kept, mut bytes, mut cut, mut count) = (BTreeMap::new(), 0, false, 0);
    for (name, value) in table {
        if name.as_str() == DELIVERY_COUNT {
            count = number(value).unwrap_or(0);
            continue;
        }
        // What the broker itself adds (x-death and the like) is no header of the producer.
        let Some(value) = scalar(value) else { continue };
        bytes += name.as_str().len() + value.len();
        if kept.len() >= MAX_HEADERS || bytes > MAX_HEADER_BYTES {
            cut = true;
            break;
        }
        kept.insert(name.as_str().to_owned(), value);
    }
    // The count may stand behind what was cut off.
    if cut {
        count = table.inner().get(DELIVERY_COUNT).and_then(number).unwrap_or(0);
    }
    (kept, cut, count)
}

fn number(value: &AMQPValue) -> Option<u64> {
    match value {
        AMQPValue::ShortShortInt(n) => u64::try_from(*n).ok(),
        AMQPValue::ShortShortUInt(n) => Some(u64::from(*n)),
        AMQPValue::ShortInt(n) => u64::try_from(*n).ok(),
        AMQPValue::ShortUInt(n) => Some(u64::from(*n)),
        AMQPValue::LongInt(n) => u64::try_from(*n).ok(),
        AMQPValue::LongUInt(n) => Some(u64::from(*n)),
        AMQPValue::LongLongInt(n) => u64::try_from(*n).ok(),
        _ => None,
    }
}

fn scalar(value: &AMQPValue) -> Option<String> {
    match value {
        AMQPValue::Boolean(flag) => Some(flag.to_string()),
        AMQPValue::ShortString(text) => Some(text.as_str().to_owned()),
        AMQPValue::LongString(text) => std::str::from_utf8(text.as_bytes()).ok().map(str::to_owned),
        AMQPValue::Float(n) => Some(n.to_string()),
        AMQPValue::Double(n) => Some(n.to_string()),
        AMQPValue::Timestamp(n) => Some(n.to_string()),
        AMQPValue::ShortShortInt(n) => Some(n.to_string()),
        AMQPValue::ShortInt(n) => Some(n.to_string()),
        AMQPValue::LongInt(n) => Some(n.to_string()),
        AMQPValue::LongLongInt(n) => Some(n.to_string()),
        other => number(other).map(|n| n.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivery(exchange: &str, headers: FieldTable) -> Delivery {
        let mut delivery = Delivery::mock(1, exchange.into(), "card_unbind".into(), true, b"{}".to_vec());
        delivery.properties = lapin::BasicProperties::default().with_headers(headers).with_message_id("m".into());
        delivery
    }

    #[test]
    fn headers_are_texts_and_bounded() {
        let mut table = FieldTable::default();
        table.insert("a".into(), AMQPValue::LongString("1".into()));
        table.insert("b".into(), AMQPValue::LongLongInt(-2));
        table.insert("c".into(), AMQPValue::Boolean(true));
        table.insert("d".into(), AMQPValue::LongString(vec![0xFF, 0xFE].into()));
        table.insert("e".into(), AMQPValue::FieldTable(FieldTable::default()));
        table.insert(DELIVERY_COUNT.into(), AMQPValue::LongLongInt(7));
        let message = incoming(delivery("x", table.clone()));
        let kept: Vec<_> = message.headers.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(kept, ["a=1", "b=-2", "c=true"]);
        assert_eq!((message.delivery_count, message.headers_fault, message.redelivered), (7, None, true));
        assert_eq!((message.routing_key.as_str(), message.message_id.as_deref()), ("card_unbind", Some("m")));
        assert_eq!(incoming(delivery("", FieldTable::default())).routing_key, "");

        for number in 0..100 {
            table.insert(format!("h{number}").into(), AMQPValue::LongInt(number));
        }
        let message = incoming(delivery("x", table));
        assert_eq!(
            (message.headers.len(), message.headers_fault, message.delivery_count),
            (MAX_HEADERS, Some(HeadersFault::Cut), 7)
        );
        let mut large = FieldTable::default();
        large.insert("a".into(), AMQPValue::LongString("x".repeat(100_000).into()));
        let message = incoming(delivery("x", large));
        assert_eq!((message.headers.len(), message.headers_fault), (0, Some(HeadersFault::Cut)));
    }
}
