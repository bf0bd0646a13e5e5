//! HTTP/1.1 by hand: a client library would refuse to send most of what is sent here.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// The longest that an answer may take; above the server's longest wait for a decision.
const PATIENCE: Duration = Duration::from_secs(40);

pub(crate) struct Reply {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub(crate) fn shown(&self) -> String {
        String::from_utf8_lossy(&self.body).chars().take(700).collect()
    }
}

/// A connection that is opened again whenever the server closes it.
pub(crate) struct Wire {
    addr: SocketAddr,
    stream: Option<TcpStream>,
    read: Vec<u8>,
}

impl Wire {
    pub(crate) fn to(addr: SocketAddr) -> Wire {
        Wire { addr, stream: None, read: Vec::new() }
    }

    /// Sends bytes as they are; `None` where the server closes without an answer.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> Option<Reply> {
        // A kept connection may have been closed meanwhile: only a fresh one that gives no answer says something.
        let kept = self.stream.is_some();
        match self.once(bytes).await {
            None if kept => self.once(bytes).await,
            reply => reply,
        }
    }

    async fn once(&mut self, bytes: &[u8]) -> Option<Reply> {
        if self.stream.is_none() {
            let stream = TcpStream::connect(self.addr).await.unwrap();
            stream.set_nodelay(true).unwrap();
            (self.stream, self.read) = (Some(stream), Vec::new());
        }
        let stream = self.stream.as_mut().unwrap();
        let (mut from, mut to) = stream.split();
        let read = &mut self.read;
        // The server may answer and close before it has read everything: that is its right.
        let write = async {
            drop(to.write_all(bytes).await);
            std::future::pending::<()>().await;
        };
        let answer = async {
            let end = loop {
                if let Some(at) = read.windows(4).position(|four| four == b"\r\n\r\n") {
                    break at + 4;
                }
                more(&mut from, read).await?;
            };
            let head = String::from_utf8_lossy(&read[..end]).into_owned();
            read.drain(..end);
            let status = head.split(' ').nth(1)?.parse().ok()?;
            let mut reply = Reply { status, head, body: Vec::new() };
            let length = reply.header("content-length").and_then(|text| text.parse::<usize>().ok());
            if let Some(length) = length {
                while read.len() < length {
                    more(&mut from, read).await?;
                }
                reply.body = read.drain(..length).collect();
            }
            Some(reply)
        };
        let reply = timeout(PATIENCE, async {
            tokio::select! {
                reply = answer => reply,
                () = write => None,
            }
        });
        let reply = reply.await.unwrap_or_else(|_| panic!("no answer within {PATIENCE:?}"));
        if reply.as_ref().is_none_or(|reply| reply.header("connection") == Some("close")) {
            self.stream = None;
        }
        reply
    }

    /// The next request goes over a new connection.
    pub(crate) fn close(&mut self) {
        self.stream = None;
    }
}

async fn more(from: &mut tokio::net::tcp::ReadHalf<'_>, read: &mut Vec<u8>) -> Option<()> {
    match from.read_buf(read).await {
        Ok(1..) => Some(()),
        _ => None,
    }
}
