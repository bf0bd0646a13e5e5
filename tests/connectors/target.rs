//! A target that answers byte for byte what a test says, and records what it was asked.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

type Answering = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A listening target; gone when dropped.
pub struct Target {
    pub port: u16,
    seen: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Drop for Target {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Target {
    /// Reads one request per connection, then lets `script` do with the connection what it likes.
    pub async fn new<F, Fut>(script: F) -> Target
    where
        F: Fn(TcpStream) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("listen");
        let port = listener.local_addr().expect("address").port();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let record = Arc::clone(&seen);
        let script: Arc<dyn Fn(TcpStream) -> Answering + Send + Sync> = Arc::new(move |stream| Box::pin(script(stream)));
        let task = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (record, script) = (Arc::clone(&record), Arc::clone(&script));
                tokio::spawn(async move {
                    let text = request(&mut stream).await;
                    record.lock().expect("lock").push(text);
                    script(stream).await;
                });
            }
        });
        Target { port, seen, task }
    }

    /// Answers these bytes and closes.
    pub async fn bytes(answer: impl Into<Vec<u8>>) -> Target {
        let answer = answer.into();
        Target::new(move |mut stream| {
            let answer = answer.clone();
            async move {
                // The caller may have had enough before the end.
                drop(stream.write_all(&answer).await);
                drop(stream.shutdown().await);
                // Closing with unread bytes would reset the connection and lose the answer.
                let mut rest = Vec::new();
                drop(stream.read_to_end(&mut rest).await);
            }
        })
        .await
    }

    /// Answers this status with this JSON.
    pub async fn json(status: u16, body: &str) -> Target {
        Target::bytes(http(status, &[("Content-Type", "application/json")], body.as_bytes())).await
    }

    /// What was asked: head and body of each request.
    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().expect("lock").clone()
    }
}

/// An answer with its right length.
pub fn http(status: u16, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut text = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in headers {
        text.extend([name, ": ", value, "\r\n"]);
    }
    let mut bytes = (text + "\r\n").into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// Reads a request's head, and its body by its length.
pub async fn request(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut chunk = [0_u8; 4096];
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length =
                head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ").map(str::to_owned));
            let length: usize = length.map_or(0, |length| length.parse().expect("length"));
            if body.len() >= length {
                return text;
            }
        }
        match stream.read(&mut chunk).await {
            Ok(0) | Err(_) => return text,
            Ok(read) => bytes.extend_from_slice(&chunk[..read]),
        }
    }
}
