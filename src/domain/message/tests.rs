//! Poison of every kind, and what is read of the rest.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use serde_json::json;

use super::*;

fn plain(body: &[u8]) -> Incoming {
    Incoming {
        body: Bytes::copy_from_slice(body),
        routing_key: "card_unbind".to_owned(),
        message_id: Some("m-1".to_owned()),
        app_id: Some("web".to_owned()),
        content_type: Some("application/json".to_owned()),
        ..Incoming::default()
    }
}

fn structured(event: &Value) -> Incoming {
    Incoming {
        message_id: None,
        content_type: Some("application/cloudevents+json; charset=utf-8".to_owned()),
        ..plain(event.to_string().as_bytes())
    }
}

fn binary(prefix: &str, attributes: &[(&str, &str)]) -> Incoming {
    let headers = attributes.iter().map(|(name, value)| (format!("{prefix}{name}"), (*value).to_owned())).collect();
    Incoming { message_id: None, headers, ..plain(b"{\"card_id\":\"1\"}") }
}

const EVENT: [(&str, &str); 4] =
    [("specversion", "1.0"), ("id", "e-1"), ("source", "/web/shop"), ("type", "request.card_unbind")];

fn event() -> Value {
    let mut event: Map<String, Value> = EVENT.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    event.insert("data".to_owned(), json!({"card_id": "1"}));
    Value::Object(event)
}

fn event_with(name: &str, value: Value) -> Value {
    let mut event = event();
    event[name] = value;
    event
}

fn event_without(name: &str) -> Value {
    let mut event = event();
    event.as_object_mut().unwrap().remove(name);
    event
}

fn limits() -> Limits {
    Limits { own_names: "mozhao.".to_owned(), ..Limits::default() }
}

#[test]
fn poison_is_named_and_its_sender_is_known() {
    let deep = [b"{\"a\":".repeat(100), b"1".to_vec(), b"}".repeat(100)].concat();
    let large = format!("{{\"a\":\"{}\"}}", "x".repeat(1024 * 1024));
    let table: Vec<(&str, Incoming, &str)> = vec![
        ("no JSON", plain(b"{card: 1}"), "bad_json"),
        ("cut off", plain(b"{\"card_id\":\"1\""), "bad_json"),
        ("two texts", plain(b"{}{}"), "bad_json"),
        ("empty", plain(b""), "bad_json"),
        ("byte order mark", plain(b"\xEF\xBB\xBF{}"), "bad_encoding"),
        ("not UTF-8", plain(b"{\"a\":\"\xC3\x28\"}"), "bad_encoding"),
        ("UTF-16", plain(b"\xFF\xFE{\0}\0"), "bad_encoding"),
        ("duplicate keys", plain(b"{\"card_id\":\"1\",\"card_id\":\"2\"}"), "duplicate_key"),
        ("too deep", plain(&deep), "too_deep"),
        ("too large", plain(large.as_bytes()), "too_large"),
        ("a list", plain(b"[1]"), "not_an_object"),
        ("a number", plain(b"1"), "not_an_object"),
        ("null", plain(b"null"), "not_an_object"),
        ("no id", Incoming { message_id: None, ..plain(b"{}") }, "no_id"),
        ("an empty id", Incoming { message_id: Some(String::new()), ..plain(b"{}") }, "bad_id"),
        ("an id with a line end", Incoming { message_id: Some("a\nb".to_owned()), ..plain(b"{}") }, "bad_id"),
        ("a long id", Incoming { message_id: Some("a".repeat(256)), ..plain(b"{}") }, "bad_id"),
        (
            "a correlation id with NUL",
            Incoming { reply_to: Some("web.replies".to_owned()), correlation_id: Some("a\0b".to_owned()), ..plain(b"{}") },
            "bad_correlation",
        ),
        ("no process", Incoming { routing_key: String::new(), ..plain(b"{}") }, "no_process"),
        ("no process's name", Incoming { routing_key: "Card-Unbind".to_owned(), ..plain(b"{}") }, "bad_process"),
        ("a path", Incoming { routing_key: "../etc".to_owned(), ..plain(b"{}") }, "bad_process"),
        ("XML", Incoming { content_type: Some("application/xml".to_owned()), ..plain(b"<a/>") }, "bad_content_type"),
        ("a form", Incoming { content_type: Some("multipart/form-data".to_owned()), ..plain(b"{}") }, "bad_content_type"),
        (
            "another charset",
            Incoming { content_type: Some("application/json; charset=GBK".to_owned()), ..plain(b"{}") },
            "bad_content_type",
        ),
        ("compressed", Incoming { content_encoding: Some("gzip".to_owned()), ..plain(b"{}") }, "bad_content_type"),
        ("headers that nest", Incoming { headers_fault: Some(HeadersFault::Unreadable), ..plain(b"{}") }, "bad_header"),
        // It was stored beside the answer, and no database holds a NUL: the message came again for ever.
        ("a correlation with NUL", Incoming { correlation_id: Some("a\0b".to_owned()), ..plain(b"{}") }, "bad_correlation"),
        ("a number that would be rounded", plain(b"{\"account\":123456789012345678901}"), "bad_json"),
        ("many values", plain(format!("{{\"a\":[{}]}}", vec!["0"; 60_000].join(",")).as_bytes()), "too_large"),
        ("huge headers", Incoming { headers_fault: Some(HeadersFault::Cut), ..plain(b"{}") }, "bad_header"),
        ("a reply to ourselves", Incoming { reply_to: Some("mozhao.requests".to_owned()), ..plain(b"{}") }, "bad_reply_to"),
        ("a reply to nowhere", Incoming { reply_to: Some("a\nb".to_owned()), ..plain(b"{}") }, "bad_reply_to"),
        (
            "a batch",
            Incoming { content_type: Some("application/cloudevents-batch+json".to_owned()), ..plain(b"[]") },
            "bad_content_type",
        ),
        ("an old event", structured(&event_with("specversion", json!("0.3"))), "bad_specversion"),
        ("a number as version", structured(&event_with("specversion", json!(1.0))), "bad_specversion"),
        ("no version", structured(&event_without("specversion")), "bad_specversion"),
        ("no event id", structured(&event_without("id")), "no_id"),
        ("an id that is a number", structured(&event_with("id", json!(7))), "bad_id"),
        ("no source", structured(&event_without("source")), "bad_cloudevent"),
        ("an empty source", structured(&event_with("source", json!(""))), "bad_id"),
        ("no type", structured(&event_without("type")), "bad_cloudevent"),
        ("no data", structured(&event_without("data")), "bad_cloudevent"),
        ("base64", structured(&event_with("data_base64", json!("e30="))), "data_base64"),
        ("data of another type", structured(&event_with("datacontenttype", json!("text/plain"))), "bad_content_type"),
        ("data that is a list", structured(&event_with("data", json!([1]))), "not_an_object"),
        ("an event that is a list", structured(&json!([1])), "bad_cloudevent"),
        (
            "binary, an old one",
            binary("ce-", &[("specversion", "0.2"), ("id", "e-1"), ("source", "/s"), ("type", "x")]),
            "bad_specversion",
        ),
        ("binary, no id", binary("ce-", &[("specversion", "1.0"), ("source", "/s"), ("type", "x")]), "no_id"),
        ("binary, no source", binary("ce-", &[("specversion", "1.0"), ("id", "e-1"), ("type", "x")]), "bad_cloudevent"),
    ];
    for (name, message, code) in table {
        let unreadable = read(&message, "amqp", &limits()).expect_err(name);
        assert_eq!(unreadable.code.as_str(), code, "{name}: {unreadable:?}");
        assert!(!unreadable.producer.is_empty() && !unreadable.detail.is_empty(), "{name}: {unreadable:?}");
        assert_eq!(unreadable.channel, "web", "{name}");
    }
}

#[test]
fn as_much_as_possible_is_known_of_poison() {
    let message = Incoming { user_id: Some("shop".to_owned()), ..plain(b"no") };
    let unreadable = read(&message, "amqp", &limits()).unwrap_err();
    assert_eq!(unreadable.producer, "shop");
    assert_eq!(unreadable.message.as_deref(), Some("m-1"));
    assert_eq!(unreadable.process.as_deref(), Some("card_unbind"));

    let message = Incoming { body: Bytes::from_static(b"no"), routing_key: String::new(), ..binary("ce-", &EVENT) };
    let unreadable = read(&message, "amqp", &limits()).unwrap_err();
    assert_eq!((unreadable.producer.as_str(), unreadable.message.as_deref()), ("/web/shop", Some("e-1")));
    assert_eq!(unreadable.process.as_deref(), Some("card_unbind"));

    let unreadable = read(&structured(&event_without("data")), "amqp", &limits()).unwrap_err();
    assert_eq!((unreadable.producer.as_str(), unreadable.message.as_deref()), ("/web/shop", Some("e-1")));
}

#[test]
fn a_detail_never_repeats_the_payload() {
    for body in
        ["{\"id_number\": 11010519491231002X}", "{\"id_number\":\"11010519491231002X\",\"a\":1,\"a\":2}", "11010519491231002X"]
    {
        let unreadable = read(&plain(body.as_bytes()), "amqp", &limits()).unwrap_err();
        assert!(!unreadable.to_string().contains("110105"), "{unreadable}");
    }
}

#[test]
fn plain_json_is_the_payload() {
    let message = Incoming {
        reply_to: Some("shop.answers".to_owned()),
        correlation_id: Some("c-1".to_owned()),
        traceparent: Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned()),
        ..plain(b"{\"card_id\":\"1\"}")
    };
    let envelope = read(&message, "amqp", &limits()).unwrap();
    assert_eq!((envelope.process.as_str(), envelope.message.as_str()), ("card_unbind", "m-1"));
    assert_eq!((envelope.producer.as_str(), envelope.channel.as_str()), ("web", "web"));
    assert_eq!(Value::Object(envelope.payload), json!({"card_id": "1"}));
    assert_eq!((envelope.reply_to.as_deref(), envelope.correlation.as_deref()), (Some("shop.answers"), Some("c-1")));
    assert_eq!(envelope.traceparent, message.traceparent);

    // The least that is needed; a bad trace context is dropped, not refused.
    let message = Incoming {
        app_id: None,
        content_type: None,
        traceparent: Some("00-0-0-0".to_owned()),
        correlation_id: Some("c-1".to_owned()),
        ..plain(b" {} ")
    };
    let envelope = read(&message, "amqp", &limits()).unwrap();
    assert_eq!((envelope.producer.as_str(), envelope.channel.as_str()), ("amqp", "amqp"));
    assert_eq!((envelope.traceparent, envelope.correlation), (None, None));
}

#[test]
fn events_are_read_in_both_modes() {
    let envelope = read(&structured(&event()), "amqp", &limits()).unwrap();
    assert_eq!((envelope.producer.as_str(), envelope.message.as_str()), ("/web/shop", "e-1"));
    for prefix in PREFIXES {
        assert_eq!(read(&binary(prefix, &EVENT), "amqp", &limits()).unwrap(), envelope, "{prefix}");
    }
    let straight = Incoming { routing_key: String::new(), ..structured(&event()) };
    assert_eq!(read(&straight, "amqp", &limits()).unwrap(), envelope, "the type names the process");
    let straight = Incoming { routing_key: String::new(), ..structured(&event_with("type", json!("Card.Unbind"))) };
    assert_eq!(read(&straight, "amqp", &limits()).unwrap_err().code, Code::NoProcess);

    let mine = Incoming { user_id: Some("shop".to_owned()), ..structured(&event()) };
    assert_eq!(read(&mine, "amqp", &limits()).unwrap().producer, "shop /web/shop");
    let traced = event_with("traceparent", json!("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"));
    assert!(read(&structured(&traced), "amqp", &limits()).unwrap().traceparent.is_some());
}

const PREFIXES: [&str; 5] = ["cloudEvents:", "cloudEvents_", "ce-", "CE-", "ce_"];

mod properties {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(body: Vec<u8>, key: String, id: Option<String>, kind: Option<String>) {
            let message = Incoming { body: body.into(), routing_key: key, message_id: id, content_type: kind, ..Incoming::default() };
            if let Ok(envelope) = read(&message, "amqp", &Limits::default()) {
                prop_assert!(is_name(&envelope.process) && plain_text(&envelope.message));
            }
        }

        #[test]
        fn any_event_is_read_or_refused(name in "[a-z_]{2,12}", value: i64, text: String) {
            for value in [json!(value), json!(text), json!([text]), Value::Null] {
                drop(read(&structured(&event_with(&name, value)), "amqp", &Limits::default()));
            }
        }
    }
}
