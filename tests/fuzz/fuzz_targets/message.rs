//! A message in one of the three modes: the first line says how it comes (content type, id, routing key, a header, separated
//! by tabs), the rest is the body.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mozhao::domain::message::{Incoming, Limits, read};

fuzz_target!(|data: &[u8]| {
    let at = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let head = String::from_utf8_lossy(&data[..at]).into_owned();
    let parts: Vec<&str> = head.split('\t').collect();
    let part = |number: usize| parts.get(number).filter(|text| !text.is_empty()).map(|text| (*text).to_owned());
    let mut message = Incoming {
        body: bytes::Bytes::copy_from_slice(data.get(at + 1..).unwrap_or_default()),
        content_type: part(0),
        message_id: part(1),
        routing_key: part(2).unwrap_or_default(),
        reply_to: part(3),
        correlation_id: part(4),
        ..Incoming::default()
    };
    for pair in parts.iter().skip(5) {
        if let Some((name, value)) = pair.split_once('=') {
            message.headers.insert(name.to_owned(), value.to_owned());
        }
    }
    let limits = Limits { own_names: "mozhao.".to_owned(), ..Limits::default() };
    match read(&message, "amqp", &limits) {
        Ok(envelope) => {
            // What is taken can be written and read again.
            let text = mozhao::engine::intake::canonical(&serde_json::Value::Object(envelope.payload));
            assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok());
            assert!(!envelope.process.is_empty() && !envelope.message.is_empty());
        }
        Err(unreadable) => assert!(!unreadable.detail.is_empty() && !unreadable.producer.is_empty()),
    }
});
