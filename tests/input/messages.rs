//! Messages from the broker, in every mode, through the production intake into the store in memory: each is accounted for.

use std::collections::HashSet;
use std::time::Duration;

use bytes::Bytes;
use mozhao::domain::json;
use mozhao::domain::message::{HeadersFault, Incoming, Limits, read};
use mozhao::engine::ports::broker::{IntakeSink, Taken};
use serde_json::{Value, json};

use crate::answers::says_enough;
use crate::corpus;
use crate::dictionary::TEXTS;
use crate::mutate;
use crate::run::{Kind, Random, cases};
use crate::stored;
use crate::world::World;

/// Our own names, as the worker passes them.
const OWN: &str = "mozhao.";
/// Cases of one world: what it holds is looked at after each.
const WORLD: usize = 500;

/// Takes messages and checks after each that it went exactly one way.
pub(crate) struct Books {
    pub(crate) world: World,
    keys: HashSet<(String, String)>,
    rejected: u64,
    accepted: u64,
    pub(crate) taken: usize,
}

impl Books {
    pub(crate) fn new(world: World) -> Books {
        Books { world, keys: HashSet::new(), rejected: 0, accepted: 0, taken: 0 }
    }

    /// Gives whether it was accepted.
    pub(crate) async fn take(&mut self, message: Incoming, about: &str) -> bool {
        let limits = Limits { own_names: OWN.to_owned(), ..Limits::default() };
        let envelope = read(&message, "amqp", &limits);
        if let Err(unreadable) = &envelope {
            says_enough(&unreadable.detail, about);
            assert!(!unreadable.producer.is_empty() && !unreadable.channel.is_empty(), "{about}: {unreadable:?}");
        }
        let shown = format!("{about}: {:?}", Shown(&message));
        let taken = tokio::time::timeout(Duration::from_secs(30), self.world.engine.take(message)).await;
        assert_eq!(taken, Ok(Taken::Stored), "{shown}");
        self.taken += 1;
        let balance = self.world.store.balance().await.unwrap();
        let (accepted, rejected) = (balance.accepted - self.accepted, balance.rejected - self.rejected);
        (self.accepted, self.rejected) = (balance.accepted, balance.rejected);
        let new =
            envelope.as_ref().map_or(true, |envelope| self.keys.insert((envelope.producer.clone(), envelope.message.clone())));
        match (accepted, rejected) {
            (1, 0) => assert!(envelope.is_ok(), "{shown}"),
            (0, 1) => {
                let row = self.world.store.rejected(None, 1).await.unwrap().remove(0);
                says_enough(&row.detail, &shown);
                assert!(!row.code.is_empty() && !row.producer.is_empty(), "{shown}: {row:?}");
            }
            (0, 0) => assert!(!new, "{shown} was taken and left no trace"),
            other => panic!("{shown} was counted {other:?}"),
        }
        accepted == 1
    }

    /// At the end: every rejection has its event, the balance holds, and what was accepted can be read.
    pub(crate) async fn close(self) {
        let told = stored::adds_up(&self.world).await;
        assert_eq!(told, self.rejected, "each rejected message is answered by an event");
        println!("{} messages: {} accepted, {} rejected", self.taken, self.accepted, self.rejected);
    }
}

struct Shown<'m>(&'m Incoming);

impl std::fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let body: String = String::from_utf8_lossy(&self.0.body).chars().take(300).collect();
        write!(f, "{body:?} with {:?} {:?}", self.0.headers, self.0.message_id)
    }
}

fn payload(random: &mut Random) -> (&'static str, Value) {
    match random.below(3) {
        0 => ("change", json!({"who": format!("sure-{}", random.below(1_000)), "phone": "13800001234"})),
        1 => ("texted", json!({"phone": "13800001234"})),
        _ => ("anything", json!({"who": "a", "list": [1, "x", {"y": null}], "deep": {"a": {"b": [true]}}})),
    }
}

/// A message as a good producer sends it, in one of the three modes.
fn good(random: &mut Random) -> (Incoming, Value) {
    let (process, payload) = payload(random);
    let id = format!("m-{:x}", random.next());
    let mut message = Incoming { routing_key: process.to_owned(), ..Incoming::default() };
    let body = match random.below(3) {
        0 => {
            (message.message_id, message.app_id) = (Some(id), Some("web".to_owned()));
            message.content_type = Some("application/json".to_owned());
            payload
        }
        1 => {
            let prefix = ["cloudEvents:", "cloudEvents_", "ce-", "ce_"][random.below(4)];
            for (name, value) in
                [("specversion", "1.0"), ("id", &id), ("source", "/web"), ("type", &format!("request.{process}"))]
            {
                message.headers.insert(format!("{prefix}{name}"), value.to_owned());
            }
            payload
        }
        _ => {
            message.content_type = Some("application/cloudevents+json".to_owned());
            json!({"specversion": "1.0", "id": id, "source": "/web", "type": format!("request.{process}"),
                "datacontenttype": "application/json", "data": payload})
        }
    };
    (message, body)
}

/// Makes a broken message out of a good one.
pub(crate) fn broken(random: &mut Random) -> Incoming {
    let (mut message, body) = good(random);
    let (_, other) = good(random);
    let other = other.to_string();
    message.body = match random.below(4) {
        0 => body.to_string().into(),
        1 => mutate::bytes(random, body.to_string().as_bytes(), other.as_bytes()).into(),
        _ => mutate::json(random, &body, other.as_bytes()).into(),
    };
    for _ in 0..random.below(3) {
        break_properties(random, &mut message);
    }
    message
}

/// Short texts of AMQP have at most 255 bytes.
fn short(mut text: String) -> String {
    while text.len() > 255 {
        text.pop();
    }
    text
}

fn break_properties(random: &mut Random, message: &mut Incoming) {
    let field = match random.below(11) {
        0 => &mut message.message_id,
        1 => &mut message.app_id,
        2 => &mut message.user_id,
        3 => &mut message.content_type,
        4 => &mut message.content_encoding,
        5 => &mut message.reply_to,
        6 => &mut message.correlation_id,
        7 => &mut message.traceparent,
        8 => {
            message.routing_key = short(mutate::text(random, &message.routing_key.clone()));
            return;
        }
        9 => {
            message.headers_fault = [None, None, Some(HeadersFault::Cut), Some(HeadersFault::Unreadable)][random.below(4)];
            message.redelivered = random.one_in(2);
            return;
        }
        _ => {
            let name = if random.one_in(2) {
                message.headers.keys().nth(random.below(message.headers.len())).cloned().unwrap_or_default()
            } else {
                short(mutate::text(random, "ce-id"))
            };
            let value = mutate::text(random, "x");
            message.headers.insert(name, value);
            return;
        }
    };
    let seed = field.clone().unwrap_or_else(|| "x".to_owned());
    *field = (!random.one_in(4)).then(|| short(mutate::text(random, &seed)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_mutated_message_is_accounted_for() {
    let mut books: Option<Books> = None;
    let (mut accepted, mut all) = (0_usize, 0_usize);
    for (case, mut random) in cases(Kind::Messages) {
        if books.as_ref().is_none_or(|books| books.taken >= WORLD) {
            if let Some(full) = books.take() {
                full.close().await;
            }
            books = Some(Books::new(stored::memory().await));
        }
        let message = broken(&mut random);
        let taken = books.as_mut().unwrap().take(message, &format!("case {}", case.number)).await;
        accepted += usize::from(taken);
        all += 1;
    }
    books.unwrap().close().await;
    // A mutator that breaks everything, or nothing, shows nothing.
    assert!(all < 100 || (accepted > all / 20 && accepted < all * 9 / 10), "{accepted} of {all} were accepted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_parsing_corpus_as_bodies() {
    let mut books = Books::new(stored::memory().await);
    for (name, text) in corpus::json_cases() {
        let parsed = json::parse(&text, json::MAX_DEPTH);
        let strict = name.starts_with("y_object_duplicated_key");
        match &name[..2] {
            // A key twice is good JSON that means two things: refused here.
            "y_" => assert_eq!(parsed.is_ok(), !strict, "{name}: {parsed:?}"),
            "n_" => assert!(parsed.is_err(), "{name}: {parsed:?}"),
            _ => {}
        }
        let id = Some(name.clone());
        let wrapped = [b"{\"who\":\"a\",\"any\":", text.as_slice(), b"}"].concat();
        for (mode, body) in [("bare", text.clone()), ("inside", wrapped)] {
            let message_id = id.clone().map(|id| format!("{mode}-{id}").chars().take(200).collect());
            let message =
                Incoming { body: Bytes::from(body), routing_key: "anything".to_owned(), message_id, ..Incoming::default() };
            let accepted = books.take(message, &name).await;
            if mode == "inside" && name.starts_with("y_") {
                assert_eq!(accepted, !strict, "{name}");
            }
            assert!(!(accepted && name.starts_with("n_")), "{name} ({mode}) was accepted");
        }
    }
    books.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn naughty_texts_in_every_place() {
    let mut books = Books::new(stored::memory().await);
    for (number, text) in corpus::naughty().into_iter().enumerate() {
        let id = Some(format!("naughty-{number}"));
        let plain = |payload: Value| Incoming {
            body: payload.to_string().into(),
            routing_key: "anything".to_owned(),
            message_id: id.clone(),
            ..Incoming::default()
        };
        let value = books.take(plain(json!({"who": "a", "any": text})), &text).await;
        assert!(value, "a text in a field that takes any is taken: {text:?}");
        let places = [
            Incoming { message_id: Some(text.clone()), ..plain(json!({"who": "a"})) },
            Incoming { message_id: Some(format!("k{number}")), ..plain(json!({"who": "a", text.clone(): 1})) },
            Incoming { message_id: Some(format!("c{number}")), ..plain(json!({"who": text})) },
            Incoming { app_id: Some(text.clone()), message_id: Some(format!("a{number}")), ..plain(json!({"who": "a"})) },
            Incoming { user_id: Some(text.clone()), message_id: Some(format!("u{number}")), ..plain(json!({"who": "a"})) },
            Incoming { reply_to: Some(text.clone()), message_id: Some(format!("r{number}")), ..plain(json!({"who": "a"})) },
            Incoming {
                correlation_id: Some(text.clone()),
                reply_to: Some("mine".to_owned()),
                message_id: Some(format!("o{number}")),
                ..plain(json!({"who": "a"}))
            },
            Incoming { routing_key: text.clone(), message_id: Some(format!("p{number}")), ..plain(json!({"who": "a"})) },
        ];
        for message in places {
            books.take(message, &text).await;
        }
    }
    assert!(books.taken >= TEXTS.len() * 9);
    books.close().await;
}
