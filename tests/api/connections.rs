//! The listener itself: heads that are too large, stopping in the middle of a wait.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::world::World;

async fn raw(world: &World, text: &str) -> String {
    let mut socket = TcpStream::connect(world.addr).await.unwrap();
    socket.write_all(text.as_bytes()).await.unwrap();
    let mut answer = vec![0; 4096];
    let read = tokio::time::timeout(Duration::from_secs(10), socket.read(&mut answer)).await.unwrap();
    // The server may close while we still write.
    String::from_utf8_lossy(&answer[..read.unwrap_or(0)]).into_owned()
}

#[tokio::test]
async fn heads_are_bounded() {
    let world = World::start().await;
    let many = "x-many: 1\r\n".repeat(100);
    let answer = raw(&world, &format!("GET /healthz HTTP/1.1\r\nhost: x\r\n{many}\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    // The bound is that of a buffer that grows by doubling, so what is a little over it may pass.
    let long = "x".repeat(200 * 1024);
    let answer = raw(&world, &format!("GET /healthz HTTP/1.1\r\nhost: x\r\nx-long: {long}\r\n\r\n")).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    let fine = raw(&world, "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(fine.starts_with("HTTP/1.1 200"), "{fine}");
}

#[tokio::test]
async fn a_stop_answers_those_who_wait_and_ends() {
    let mut world = World::start().await;
    let id = world.submit_until("grey", "in_review").await;
    let waiting = {
        let request = world.http.get(world.url(&format!("/v1/requests/{id}?wait=60s"))).bearer_auth(world.secret("app"));
        tokio::spawn(async move { request.send().await.unwrap().status().as_u16() })
    };
    // The wait has begun when the server has asked for the request's row: a second request behind it is answered.
    world.get("app", &format!("/v1/requests/{id}")).await.expect(200);
    world.stopping.cancel();
    let status = tokio::time::timeout(Duration::from_secs(5), waiting).await.expect("the wait ends").unwrap();
    assert_eq!(status, 200);
    tokio::time::timeout(Duration::from_secs(5), world.server.take().unwrap()).await.expect("the server ends").unwrap();
    assert!(TcpStream::connect(world.addr).await.is_err(), "nobody listens any more");
}
