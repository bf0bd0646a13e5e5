//! Connections that are kept from one call to the next.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::Notify;

use mozhao::domain::request::fact::FailureClass::Unknown;
use mozhao::engine::ports::remote::Remote;

use super::target::{http, request};
use super::{connectors, effect};

#[tokio::test]
async fn one_is_used_again_until_its_other_side_closes_it() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let bank = connectors(&format!("http://{}", listener.local_addr().unwrap()), "");
    let (opened, gone) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let target = {
        let (opened, gone) = (Arc::clone(&opened), Arc::clone(&gone));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                opened.fetch_add(1, Ordering::SeqCst);
                for _ in 0..3 {
                    assert!(request(&mut stream).await.starts_with("POST /do HTTP/1.1\r\n"));
                    stream.write_all(&http(200, &[], b"{}")).await.unwrap();
                }
                stream.shutdown().await.unwrap();
                // The worker has seen that, and closed its side.
                assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
                gone.notify_one();
            }
        })
    };
    for _ in 0..3 {
        for _ in 0..3 {
            assert!(bank.call(&effect("/do")).await.is_ok());
        }
        gone.notified().await;
    }
    assert_eq!(opened.load(Ordering::SeqCst), 3);
    target.abort();
}

#[tokio::test]
async fn an_answer_that_came_too_late_is_nobody_elses() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let bank = connectors(&format!("http://{}", listener.local_addr().unwrap()), ", timeout: 300ms");
    let target = tokio::spawn(async move {
        let (mut first, _) = listener.accept().await.unwrap();
        request(&mut first).await;
        let (mut second, _) = listener.accept().await.unwrap();
        // By now the first call has been given up.
        drop(first.write_all(&http(200, &[], b"{\"n\":1}")).await);
        request(&mut second).await;
        second.write_all(&http(200, &[], b"{\"n\":2}")).await.unwrap();
        (first, second)
    });
    let late = bank.call(&effect("/do")).await.expect_err("late");
    assert_eq!((late.class, late.code), (Unknown, "timeout"));
    let answer = bank.call(&effect("/do")).await.expect("the second");
    assert_eq!(&answer.body[..], b"{\"n\":2}");
    drop(target.await.unwrap());
}

#[tokio::test]
async fn an_error_leaves_its_connection_to_the_next_call() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let bank = connectors(&format!("http://{}", listener.local_addr().unwrap()), "");
    let target = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        for status in [404, 200] {
            request(&mut stream).await;
            stream.write_all(&http(status, &[], b"{}")).await.unwrap();
        }
        stream
    });
    assert_eq!(bank.call(&effect("/do")).await.expect_err("no such thing").status, Some(404));
    assert!(bank.call(&effect("/do")).await.is_ok());
    drop(target.await.unwrap());
}
