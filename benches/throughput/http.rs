//! Just enough HTTP/1.1 for a client that costs little beside what it measures: kept-alive connections, bodies with a
//! declared length.

use std::net::SocketAddr;

use anyhow::{Context as _, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A kept-alive connection.
pub(crate) struct Connection {
    stream: TcpStream,
    got: Vec<u8>,
}

impl Connection {
    /// Connects.
    pub(crate) async fn open(address: SocketAddr) -> anyhow::Result<Connection> {
        let stream = TcpStream::connect(address).await.with_context(|| format!("cannot connect to {address}"))?;
        stream.set_nodelay(true)?;
        Ok(Connection { stream, got: Vec::with_capacity(8192) })
    }

    /// Sends a whole request; the answer's status and body.
    pub(crate) async fn call(&mut self, request: &[u8]) -> anyhow::Result<(u16, Vec<u8>)> {
        self.stream.write_all(request).await?;
        loop {
            if let Some(head) = end_of_head(&self.got) {
                let length = length_of_body(&self.got[..head]).context("an answer without Content-Length")?;
                if self.got.len() >= head + length {
                    let status = std::str::from_utf8(self.got.get(9..12).unwrap_or_default())?.parse()?;
                    let body = self.got[head..head + length].to_vec();
                    self.got.drain(..head + length);
                    return Ok((status, body));
                }
            }
            if self.stream.read_buf(&mut self.got).await? == 0 {
                bail!("the connection was closed");
            }
        }
    }
}

/// Where the body begins, once the head is whole.
pub(crate) fn end_of_head(got: &[u8]) -> Option<usize> {
    got.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4)
}

/// The declared length.
pub(crate) fn length_of_body(head: &[u8]) -> Option<usize> {
    head.split(|byte| *byte == b'\n').find_map(|line| {
        let (name, value) = line.split_at(line.iter().position(|byte| *byte == b':')?);
        let value = std::str::from_utf8(value.get(1..)?).ok()?;
        name.eq_ignore_ascii_case(b"content-length").then(|| value.trim().parse().ok())?
    })
}
