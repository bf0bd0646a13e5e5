//! Connectors against targets that misbehave, over real sockets: each row of the classification table, each limit.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::let_underscore_must_use,
    unreachable_pub,
    reason = "tests stop at the first surprise"
)]
mod kept;
mod late;
mod target;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::future::pending;
use std::net::TcpListener;
use std::sync::{Arc, atomic::AtomicUsize, atomic::Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use mozhao::connectors::{Connectors, ConnectorsConfig};
use mozhao::domain::request::fact::FailureClass::{self, Broken, Permanent, Transient, Unavailable, Unknown};
use mozhao::domain::words::{Accept, Method};
use mozhao::engine::ports::remote::{Answer, Failure, Remote, RemoteCall};
use target::{Target, http};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::Barrier;

/// Headers of a scripted answer.
type Headers<'h> = &'h [(&'h str, &'h str)];

fn connectors(base_url: &str, settings: &str) -> Connectors {
    let text = format!("connectors:\n  bank: {{base_url: \"{base_url}\"{settings}}}\n");
    let env = |name: &str| (name == "TOKEN").then(|| "canary-secret".to_owned());
    Connectors::with_env(ConnectorsConfig::parse("c.yaml", &text).expect("parses"), &env).expect("builds")
}

fn at(target: &Target, settings: &str) -> Connectors {
    connectors(&format!("http://127.0.0.1:{}/api", target.port), settings)
}

fn read(path: &str) -> RemoteCall {
    RemoteCall {
        slot: "card".into(),
        connector: "bank".into(),
        method: Method::Get,
        path: path.to_owned(),
        headers: Vec::new(),
        body: None,
        key: None,
        timeout: None,
        until: None,
        effect: false,
        accept: Accept::Success,
        traceparent: None,
    }
}

fn effect(path: &str) -> RemoteCall {
    RemoteCall {
        method: Method::Post,
        body: Some(Bytes::from_static(b"{\"a\":1}")),
        effect: true,
        key: Some("key-1".to_owned()),
        ..read(path)
    }
}

/// Calls once as an effect and once as a read; both must fail with this code.
async fn fails(connectors: &Connectors, code: &str) -> (FailureClass, FailureClass) {
    let mut classes = Vec::new();
    for call in [effect("/x?canary=path"), read("/x?canary=path")] {
        let failure = connectors.call(&call).await.expect_err(code);
        assert_eq!(failure.code, code, "{failure:?}");
        assert!(failure.detail.starts_with("bank: "), "{failure:?}");
        assert!(!failure.detail.contains("canary"), "a detail repeats the path, the body or the secret: {failure:?}");
        classes.push(failure.class);
    }
    (classes[0], classes[1])
}

async fn answers(bytes: Vec<u8>, code: &str) -> (FailureClass, FailureClass) {
    let target = Target::bytes(bytes).await;
    fails(&at(&target, ", timeout: 3s"), code).await
}

#[tokio::test]
async fn an_answer_comes_back_with_its_status_and_body() {
    let target = Target::json(200, "{\"status\":\"bound\"}").await;
    let answer = at(&target, "").call(&read("/cards/1?x=2")).await;
    let (body, value) = (Bytes::from_static(b"{\"status\":\"bound\"}"), serde_json::json!({ "status": "bound" }));
    assert_eq!(answer, Ok(Answer { status: 200, body, value: Some(value) }));
    assert!(target.seen()[0].starts_with("GET /api/cards/1?x=2 HTTP/1.1\r\n"), "{:?}", target.seen());

    let target = Target::json(404, "").await;
    let call = RemoteCall { accept: Accept::Listed(vec![200, 404]), ..read("/cards/1") };
    assert_eq!(at(&target, "").call(&call).await, Ok(Answer { status: 404, body: Bytes::new(), value: None }));

    let target = Target::bytes("HTTP/1.1 204 No Content\r\n\r\n").await;
    assert_eq!(at(&target, "").call(&read("/")).await, Ok(Answer { status: 204, body: Bytes::new(), value: None }));
    let target = Target::json(200, " \n").await;
    assert_eq!(at(&target, "").call(&effect("/")).await, Ok(Answer { status: 200, body: Bytes::new(), value: None }));
}

#[tokio::test]
async fn the_connector_says_who_asks_and_the_process_cannot() {
    let target = Target::json(200, "{}").await;
    let settings = ", auth: {bearer: {env: TOKEN}}, headers: {X-Client: mozhao}, idempotency: {header: X-Once, window: 24h}";
    let bank = at(&target, settings);
    let call = RemoteCall {
        headers: vec![("X-Reason".to_owned(), "test".to_owned())],
        traceparent: Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned()),
        ..effect("/do")
    };
    assert!(bank.call(&call).await.is_ok());
    let seen = target.seen().remove(0).to_ascii_lowercase();
    for line in [
        "authorization: bearer canary-secret",
        "x-client: mozhao",
        "x-once: key-1",
        "x-reason: test",
        "content-type: application/json",
        "accept: application/json",
        "traceparent: 00-4bf9",
        "user-agent: mozhao/",
        "\r\n\r\n{\"a\":1}",
    ] {
        assert!(seen.contains(line), "{line} in {seen}");
    }
    for (name, value) in [("Authorization", "x"), ("Host", "x"), ("X-Once", "x"), ("Content-Length", "0"), ("X-A", "a\r\nX-B: c")]
    {
        let call = RemoteCall { headers: vec![(name.to_owned(), value.to_owned())], ..effect("/do") };
        let failure = bank.call(&call).await.expect_err(name);
        assert_eq!((failure.class, failure.code), (Broken, "header"), "{failure:?}");
    }
    for path in ["/../admin", "//evil/", "/a\\b", "/%2e%2e/x", "@evil/x", "/x@y", ""] {
        let failure = bank.call(&read(path)).await.expect_err(path);
        assert_eq!((failure.class, failure.code), (Broken, "path"), "{failure:?}");
    }
    let failure = bank.call(&RemoteCall { connector: "nobody".into(), ..read("/") }).await.expect_err("no connector");
    assert_eq!((failure.class, failure.code), (Broken, "connector"));
    assert_eq!(target.seen().len(), 1, "a refused call is not made");
    assert_eq!(bank.key_window("bank"), Some(Duration::from_hours(24)));
    assert_eq!(format!("{bank:?}"), "{\"bank\"}");
}

#[tokio::test]
async fn before_the_first_byte_nothing_happened() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    assert_eq!(fails(&connectors(&format!("http://127.0.0.1:{free}"), ""), "connect").await, (Transient, Transient));
    assert_eq!(fails(&connectors("http://mozhao-no-such-host.invalid", ""), "dns").await, (Transient, Transient));

    // Speaks plain text where TLS is expected.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let bank = connectors(&format!("https://127.0.0.1:{}", listener.local_addr().unwrap().port()), "");
    let talker = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            drop(stream.write_all(b"220 not what you think\r\n").await);
        }
    });
    assert_eq!(fails(&bank, "tls").await, (Transient, Transient));
    talker.abort();

    // A listener whose queue is full drops what asks to connect: a black hole.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let full = listener.local_addr().unwrap();
    let mut held = Vec::new();
    while let Ok(Ok(stream)) = tokio::time::timeout(Duration::from_millis(300), TcpStream::connect(full)).await {
        held.push(stream);
    }
    let bank = connectors(&format!("http://{full}"), ", timeout: 600ms");
    assert_eq!(fails(&bank, "connect").await, (Transient, Transient));
}

#[tokio::test]
async fn after_the_first_byte_an_effect_is_unknown() {
    let silent = Target::new(|stream| async move {
        pending::<()>().await;
        drop(stream);
    })
    .await;
    let start = Instant::now();
    assert_eq!(fails(&at(&silent, ", timeout: 300ms"), "timeout").await, (Unknown, Transient));
    assert!(start.elapsed() < Duration::from_secs(3), "the deadline holds: {:?}", start.elapsed());

    let reset = Target::new(|stream| async move {
        stream.set_zero_linger().unwrap();
        drop(stream);
    })
    .await;
    assert_eq!(fails(&at(&reset, ""), "reset").await, (Unknown, Transient));
    assert_eq!(answers(Vec::new(), "reset").await, (Unknown, Transient));
    assert_eq!(answers(b"HTTP/1.1 20".to_vec(), "reset").await, (Unknown, Transient));
    assert_eq!(answers(b"220 smtp.example ESMTP\r\n".to_vec(), "reset").await, (Unknown, Transient));
    // Half an answer, then nothing; half an answer, then a reset; chunks that are none.
    assert_eq!(answers(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"a\":".to_vec(), "reset").await, (Unknown, Transient));
    let half = Target::new(|mut stream| async move {
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"a\":").await.unwrap();
        stream.set_zero_linger().unwrap();
    })
    .await;
    assert_eq!(fails(&at(&half, ""), "reset").await, (Unknown, Transient));
    let chunks = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n";
    assert_eq!(answers(chunks.to_vec(), "reset").await, (Unknown, Transient));
    let no_gzip = http(200, &[("Content-Encoding", "gzip")], b"this is no gzip");
    assert_eq!(answers(no_gzip, "reset").await, (Unknown, Transient));
    assert_eq!(answers(b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n{}".to_vec(), "reset").await, (Unknown, Transient));

    // One byte at a time, for ever.
    let slow = Target::new(|mut stream| async move {
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n").await.unwrap();
        while stream.write_all(b" ").await.is_ok() {
            tick.tick().await;
        }
    })
    .await;
    assert_eq!(fails(&at(&slow, ", timeout: 300ms"), "timeout").await, (Unknown, Transient));
    let slow_head = Target::new(|mut stream| async move {
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        stream.write_all(b"HTTP/1.1 200 OK\r\nX-A: ").await.unwrap();
        while stream.write_all(b"a").await.is_ok() {
            tick.tick().await;
        }
    })
    .await;
    assert_eq!(fails(&at(&slow_head, ", timeout: 300ms"), "timeout").await, (Unknown, Transient));
}

#[tokio::test]
async fn a_status_says_what_its_contract_says() {
    let body = b"canary body";
    let status = |status, headers: &[(&str, &str)]| http(status, headers, body);
    assert_eq!(answers(status(500, &[]), "status").await, (Unknown, Transient));
    assert_eq!(answers(status(502, &[]), "status").await, (Unknown, Transient));
    assert_eq!(answers(status(503, &[]), "status").await, (Unknown, Transient));
    assert_eq!(answers(status(503, &[("Retry-After", "3")]), "status").await, (Transient, Transient));
    assert_eq!(answers(status(429, &[]), "status").await, (Transient, Transient));
    for unclear in [408, 409, 425] {
        assert_eq!(answers(status(unclear, &[]), "status").await, (Unknown, Transient));
    }
    for refused in [400, 401, 403, 404, 410, 422] {
        assert_eq!(answers(status(refused, &[]), "status").await, (Broken, Broken));
    }
    let target = Target::bytes(status(503, &[])).await;
    assert_eq!(fails(&at(&target, ", retry_on: [503]"), "status").await, (Transient, Transient));
    let target = Target::bytes(status(409, &[])).await;
    assert_eq!(fails(&at(&target, ", safe_on: [409]"), "status").await, (Permanent, Permanent));

    // A redirect to another host is not followed.
    let other = Target::json(200, "{}").await;
    let there = format!("http://127.0.0.1:{}/steal", other.port);
    assert_eq!(answers(status(302, &[("Location", &there)]), "redirect").await, (Unknown, Broken));
    assert_eq!(answers(status(307, &[("Location", &there)]), "redirect").await, (Broken, Broken));
    assert_eq!(other.seen(), Vec::<String>::new());

    let dates = [("Retry-After", "Sun, 06 Nov 1994 08:50:37 GMT"), ("Date", "Sun, 06 Nov 1994 08:49:37 GMT")];
    let table: [(u16, Headers, Option<u64>); 5] = [
        (429, &[("Retry-After", "7")], Some(7)),
        (503, &dates, Some(60)),
        (503, &[("Retry-After", "1000000")], Some(3600)),
        (429, &[("Retry-After", "tomorrow")], None),
        (429, &[], None),
    ];
    for (code, headers, seconds) in table {
        let target = Target::bytes(status(code, headers)).await;
        let failure = at(&target, "").call(&effect("/")).await.expect_err("throttled");
        assert_eq!((failure.class, failure.status), (Transient, Some(code)));
        assert_eq!(failure.retry_after, seconds.map(Duration::from_secs), "{failure:?}");
    }
}

#[tokio::test]
async fn an_answer_that_is_no_answer() {
    let ok = |body: &[u8]| http(200, &[("Content-Type", "text/html")], body);
    assert_eq!(answers(ok(b"<html>canary</html>"), "not_json").await, (Unknown, Broken));
    assert_eq!(answers(ok(b"{\"a\":1}{\"canary\":2}"), "not_json").await, (Unknown, Broken));
    assert_eq!(answers(ok(b"{\"canary\":1,\"canary\":2}"), "not_json").await, (Unknown, Broken));
    assert_eq!(answers(ok(b"\"\xFF\""), "not_json").await, (Unknown, Broken));
    assert_eq!(answers(ok("[".repeat(1000).as_bytes()), "not_json").await, (Unknown, Broken));
    assert_eq!(answers(ok(b"{}").into_iter().take(40).collect(), "reset").await, (Unknown, Transient));
    // Longer than it says: what is left over belongs to nothing.
    let longer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}{\"more\":1}".to_vec();
    let target = Target::bytes(longer).await;
    assert_eq!(at(&target, "").call(&read("/")).await.map(|answer| answer.body), Ok(Bytes::from_static(b"{}")));

    let target = Target::json(200, "").await;
    let failure = at(&target, "").call(&read("/")).await.expect_err("a read needs an answer");
    assert_eq!((failure.class, failure.code), (Broken, "empty"));
    // An error page with an accepted status is not the answer that the status would be.
    let target = Target::bytes(http(404, &[], b"<html>no route</html>")).await;
    let call = RemoteCall { accept: Accept::Listed(vec![200, 404]), ..read("/") };
    let failure = at(&target, "").call(&call).await.expect_err("HTML");
    assert_eq!((failure.class, failure.code, failure.status), (Broken, "not_json", Some(404)));

    let mut head = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n".to_owned();
    for number in 0..99 {
        write!(head, "X-{number}: {number}\r\n").unwrap();
    }
    let target = Target::bytes(head.clone() + "\r\n{}").await;
    assert!(at(&target, "").call(&read("/")).await.is_ok(), "100 headers are allowed");
    assert_eq!(answers((head + "X-100: 1\r\n\r\n{}").into_bytes(), "reset").await, (Unknown, Transient));
    let long = format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: {}\r\n\r\n{{}}", "a".repeat(2_000_000));
    assert_eq!(answers(long.into_bytes(), "reset").await, (Unknown, Transient));
}

/// Peak resident memory of this process, in KiB.
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// A gzip stream of `blocks` stored-or-repeated blocks: 1 MiB of spaces in about 1 KiB, made without a compressor.
fn bomb() -> Vec<u8> {
    // One fixed-Huffman block: a literal space, then copies of 258 bytes at distance 1, 4 million bytes in all.
    let (mut bytes, mut bit, mut hold) = (b"\x1f\x8b\x08\0\0\0\0\0\0\xff".to_vec(), 0_u32, 0_u32);
    let mut put = |bytes: &mut Vec<u8>, value: u32, count: u32| {
        for index in 0..count {
            hold |= (value >> index & 1) << bit;
            bit += 1;
            if bit == 8 {
                bytes.push(u8::try_from(hold).unwrap());
                (hold, bit) = (0, 0);
            }
        }
    };
    put(&mut bytes, 1, 1); // the last block
    put(&mut bytes, 1, 2); // fixed codes
    put(&mut bytes, (0x30_u32 + 32).reverse_bits() >> 24, 8); // the literal 32
    for _ in 0..16_000 {
        put(&mut bytes, 0b1100_0101_u32.reverse_bits() >> 24, 8); // length 258: symbol 285
        put(&mut bytes, 0, 5); // distance 1
    }
    put(&mut bytes, 0, 14); // end of block, and padding
    bytes
}

#[tokio::test]
async fn an_answer_that_never_ends_costs_no_memory() {
    let before = peak_kib();
    // A gigabyte, chunked, as fast as it is taken; then one that says so beforehand.
    let endless = |head: &'static [u8]| {
        Target::new(move |mut stream| async move {
            stream.write_all(head).await.unwrap();
            let chunk = [b"10000\r\n".as_slice(), &vec![b' '; 65536], b"\r\n"].concat();
            for _ in 0..16_384 {
                if stream.write_all(&chunk).await.is_err() {
                    return;
                }
            }
        })
    };
    let target = endless(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    assert_eq!(fails(&at(&target, ", timeout: 20s"), "too_large").await, (Unknown, Broken));
    let target = endless(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n").await;
    assert_eq!(fails(&at(&target, ", timeout: 20s"), "too_large").await, (Unknown, Broken));

    let bomb = bomb();
    assert!(bomb.len() < 30_000);
    let gzip = http(200, &[("Content-Encoding", "gzip")], &bomb);
    assert_eq!(answers(gzip.clone(), "too_large").await, (Unknown, Broken));
    // The same bytes are only too many, not broken: with room they are read (and are no JSON).
    let target = Target::bytes(gzip).await;
    let failure = at(&target, ", max_answer: 8MiB").call(&read("/")).await.expect_err("spaces");
    assert!(matches!(failure.code, "empty" | "reset"), "{failure:?}");
    let grown = peak_kib() - before;
    assert!(grown < 40_000, "{grown} KiB more at the peak");
}

#[tokio::test]
async fn exactly_the_limit_is_allowed() {
    let body = format!("\"{}\"", "a".repeat(1022));
    let target = Target::json(200, &body).await;
    assert!(at(&target, ", max_answer: 1KiB").call(&read("/")).await.is_ok());
    let failure = at(&target, ", max_answer: 1023").call(&read("/")).await.expect_err("too large");
    assert_eq!(failure.code, "too_large");
}

#[tokio::test]
async fn so_many_calls_and_no_more_run_at_once() {
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let barrier = Arc::new(Barrier::new(4));
    let target = {
        let (running, most, barrier) = (Arc::clone(&running), Arc::clone(&most), Arc::clone(&barrier));
        Target::new(move |mut stream| {
            let (running, most, barrier) = (Arc::clone(&running), Arc::clone(&most), Arc::clone(&barrier));
            async move {
                most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                // Answers only when four calls are there together.
                barrier.wait().await;
                running.fetch_sub(1, Ordering::SeqCst);
                stream.write_all(&http(200, &[("Connection", "close")], b"{}")).await.unwrap();
            }
        })
        .await
    };
    let bank = Arc::new(at(&target, ", concurrency: 4, timeout: 20s"));
    let calls: Vec<_> = (0..32)
        .map(|_| {
            let bank = Arc::clone(&bank);
            tokio::spawn(async move { bank.call(&read("/")).await })
        })
        .collect();
    for call in calls {
        assert!(call.await.unwrap().is_ok());
    }
    assert_eq!(most.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn waiting_for_a_place_is_no_attempt() {
    let silent = Target::new(|stream| async move {
        pending::<()>().await;
        drop(stream);
    })
    .await;
    let bank = Arc::new(at(&silent, ", concurrency: 1, timeout: 10s"));
    let holder = tokio::spawn({
        let bank = Arc::clone(&bank);
        async move { bank.call(&effect("/")).await }
    });
    while silent.seen().is_empty() {
        tokio::task::yield_now().await;
    }
    let start = Instant::now();
    let call = RemoteCall { timeout: Some(Duration::from_millis(400)), ..effect("/") };
    let failure: Failure = bank.call(&call).await.expect_err("busy");
    assert_eq!((failure.class, failure.code), (Unavailable, "busy"));
    assert!(start.elapsed() < Duration::from_millis(400));
    assert_eq!(silent.seen().len(), 1);
    holder.abort();
    let failure = bank.call(&call).await.expect_err("silent");
    assert_eq!((failure.class, failure.code), (Unknown, "timeout"));
}

#[tokio::test]
async fn the_pace_is_kept() {
    let target = Target::json(200, "{}").await;
    let bank = Arc::new(at(&target, ", rate: 50/s, timeout: 10s"));
    let start = Instant::now();
    let calls: Vec<_> = (0..25)
        .map(|_| {
            let bank = Arc::clone(&bank);
            tokio::spawn(async move { bank.call(&read("/")).await })
        })
        .collect();
    for call in calls {
        assert!(call.await.unwrap().is_ok());
    }
    // A burst of five at once, the other twenty 20 ms apart.
    assert!(start.elapsed() > Duration::from_millis(380), "{:?}", start.elapsed());

    let bank = at(&target, ", rate: 1/m");
    assert!(bank.call(&read("/")).await.is_ok());
    let call = RemoteCall { timeout: Some(Duration::from_millis(100)), ..read("/") };
    let failure = bank.call(&call).await.expect_err("too early");
    assert_eq!((failure.class, failure.code), (Unavailable, "busy"));
}

#[tokio::test]
async fn health_is_asked_without_touching_anything() {
    let target = Target::bytes(http(200, &[], b"OK")).await;
    assert_eq!(at(&target, ", health: {get: /health}").probe_health("bank").await, Ok(()));
    assert_eq!(at(&target, "").probe_health("bank").await, Ok(()));
    assert_eq!(target.seen().iter().filter(|seen| seen.starts_with("GET /api/health ")).count(), 1);
    let sick = Target::json(500, "{}").await;
    let failure = at(&sick, ", health: {get: /health}").probe_health("bank").await.expect_err("sick");
    assert_eq!((failure.code, failure.status), ("status", Some(500)));
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let failure = connectors(&format!("http://127.0.0.1:{free}"), "").probe_health("bank").await.expect_err("gone");
    assert_eq!(failure.code, "connect");
}

#[test]
fn what_cannot_be_built_says_why() {
    let build = |settings: &str| {
        let text = format!("connectors: {{bank: {{{settings}}}}}");
        Connectors::with_env(ConnectorsConfig::parse("c.yaml", &text).unwrap(), &|name| {
            (name == "HOST").then(|| "bank.internal".to_owned())
        })
    };
    assert!(build("base_url: \"http://${env:HOST}:80/x\"").is_ok());
    let mut messages = BTreeSet::new();
    for settings in [
        "base_url: \"http://x\", auth: {bearer: {env: NOPE}}",
        "base_url: \"http://${env:NOPE}\"",
        "base_url: \"http://x\", ca_file: /nowhere.pem",
        "base_url: \"${env:HOST}\"",
    ] {
        let message = build(settings).expect_err(settings).to_string();
        assert!(message.starts_with("connector bank: "), "{message}");
        messages.insert(message);
    }
    assert_eq!(messages.len(), 4, "{messages:?}");
}
