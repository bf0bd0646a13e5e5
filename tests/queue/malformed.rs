//! Messages that AMQP forbids and RabbitMQ passes on all the same: one of them must not keep the others from being taken.
//!
//! No client library sends them, so this one speaks the protocol by hand, as far as publishing needs it.

use std::sync::atomic::Ordering;

use lapin::uri::AMQPUri;
use mozhao::domain::message::HeadersFault;
use mozhao::queue::Queue;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::harness::{rabbitmq, wait};
use super::support::{Raw, SOON, Sink, config, left};

fn short(text: &[u8]) -> Vec<u8> {
    [&[u8::try_from(text.len()).expect("short")], text].concat()
}

fn long(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).expect("long").to_be_bytes()[..], bytes].concat()
}

/// A header that holds tables in tables, or lists in lists.
fn nested(kind: u8, levels: usize) -> Vec<u8> {
    let mut value = vec![b'V'];
    for _ in 0..levels {
        let inside = if kind == b'F' { [short(b"a"), value].concat() } else { value };
        value = [vec![kind], long(&inside)].concat();
    }
    [short(b"a"), value].concat()
}

/// A producer that sends whatever it is told.
struct Producer(TcpStream);

impl Producer {
    async fn connect(url: &str) -> Producer {
        let uri: AMQPUri = url.parse().expect("a URL");
        let stream = TcpStream::connect((uri.authority.host.as_str(), uri.authority.port)).await.expect("connect");
        let mut producer = Producer(stream);
        producer.0.write_all(b"AMQP\x00\x00\x09\x01").await.expect("write");
        producer.expect(10, 10).await;
        let user = &uri.authority.userinfo;
        let login = format!("\0{}\0{}", user.username, user.password);
        producer.method(0, 10, 11, &[long(b""), short(b"PLAIN"), long(login.as_bytes()), short(b"en_US")].concat()).await;
        let tune = producer.expect(10, 30).await;
        producer.method(0, 10, 31, &[&tune[..6], &[0, 0]].concat()).await;
        producer.method(0, 10, 40, &[short(uri.vhost.as_bytes()), short(b""), vec![0]].concat()).await;
        producer.expect(10, 41).await;
        producer.method(1, 20, 10, &short(b"")).await;
        producer.expect(20, 11).await;
        producer.method(1, 85, 10, &[0]).await;
        producer.expect(85, 11).await;
        producer
    }

    async fn frame(&mut self, kind: u8, channel: u16, payload: &[u8]) {
        let frame = [&[kind], &channel.to_be_bytes()[..], &long(payload), &[0xce]].concat();
        self.0.write_all(&frame).await.expect("write");
    }

    async fn method(&mut self, channel: u16, class: u16, method: u16, arguments: &[u8]) {
        let payload = [&class.to_be_bytes()[..], &method.to_be_bytes(), arguments].concat();
        self.frame(1, channel, &payload).await;
    }

    /// The arguments of the next method, which must be this one.
    async fn expect(&mut self, class: u16, method: u16) -> Vec<u8> {
        loop {
            let mut head = [0; 7];
            self.0.read_exact(&mut head).await.expect("the broker answers");
            let size = u32::from_be_bytes(head[3..].try_into().expect("four"));
            let mut payload = vec![0; size as usize + 1];
            self.0.read_exact(&mut payload).await.expect("the broker answers");
            if head[0] != 8 {
                let shown = String::from_utf8_lossy(&payload);
                assert_eq!(payload[..4], [class.to_be_bytes(), method.to_be_bytes()].concat(), "{shown}");
                return payload[4..].to_vec();
            }
        }
    }

    /// Publishes `{}` with these properties, given as bits and bytes; returns once it is confirmed.
    async fn publish(&mut self, exchange: &str, key: &[u8], flags: u16, properties: &[u8]) {
        self.method(1, 60, 40, &[vec![0, 0], short(exchange.as_bytes()), short(key), vec![0]].concat()).await;
        let head = [&[0, 60, 0, 0][..], &2_u64.to_be_bytes(), &flags.to_be_bytes(), properties].concat();
        self.frame(2, 1, &head).await;
        self.frame(3, 1, b"{}").await;
        self.expect(60, 80).await;
    }
}

const HEADERS: u16 = 1 << 13;
const REPLY_TO: u16 = 1 << 9;
const MESSAGE_ID: u16 = 1 << 7;
const TYPE: u16 = 1 << 5;
const APP_ID: u16 = 1 << 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_the_library_cannot_read_keeps_nobody_waiting() {
    let broker = rabbitmq::broker().await;
    let queue = Queue::start(config(&broker.url, &broker.prefix)).unwrap();
    let sink = Sink::stores();
    queue.consume(sink.clone()).unwrap();
    queue.consuming().wait_up().await;

    let mut producer = Producer::connect(&broker.url).await;
    let latin = b"caf\xe9";
    let to = &queue.names().requests.clone();
    producer.publish(to, b"card_unbind", MESSAGE_ID, &short(latin)).await;
    producer.publish(to, b"card_\xffunbind", MESSAGE_ID, &short(b"key")).await;
    producer.publish(to, b"card_unbind", MESSAGE_ID | APP_ID, &[short(b"app"), short(latin)].concat()).await;
    producer.publish(to, b"card_unbind", MESSAGE_ID | TYPE, &[short(b"type"), short(latin)].concat()).await;
    producer.publish(to, b"card_unbind", REPLY_TO | MESSAGE_ID, &[short(latin), short(b"reply")].concat()).await;
    let named = [short(latin), vec![b't', 1]].concat();
    producer.publish(to, b"card_unbind", HEADERS | MESSAGE_ID, &[long(&named), short(b"name")].concat()).await;
    for kind in [b'F', b'A'] {
        let headers = long(&nested(kind, 15_000));
        producer.publish(to, b"card_unbind", HEADERS | MESSAGE_ID, &[headers, short(b"deep")].concat()).await;
    }
    Raw::new(&broker.url).await.request(queue.names(), "good").await;

    wait::until_true("all to be taken", SOON, || sink.seen.lock().unwrap().len() >= 9).await;
    let seen = sink.seen.lock().unwrap().clone();
    let ids: Vec<_> = seen.iter().map(|message| message.message_id.as_deref().unwrap_or_default()).collect();
    assert_eq!(ids, ["caf\u{1a}", "key", "app", "type", "reply", "name", "deep", "deep", "good"]);
    assert_eq!(seen[1].routing_key, "card_\u{1a}unbind");
    assert_eq!(seen[2].app_id.as_deref(), Some("caf\u{1a}"));
    assert_eq!(seen[4].reply_to.as_deref(), Some("caf\u{1a}"));
    assert_eq!(seen[5].headers.keys().collect::<Vec<_>>(), ["caf\u{1a}"]);
    let unreadable: Vec<bool> = seen.iter().map(|message| message.headers_fault == Some(HeadersFault::Unreadable)).collect();
    assert_eq!(unreadable, [false, false, false, false, false, false, true, true, false]);
    assert_eq!(sink.readied.load(Ordering::SeqCst), 1, "the connection was never lost");
    queue.stop().await;
    assert_eq!(left(&broker.url, &queue).await, 0);
}
