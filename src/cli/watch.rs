//! `mozhao request watch`: a request's entries while they are written, from the API's server-sent events. A stream may break
//! at any moment; it is opened again after the last entry that was seen, so that none is missing and none comes twice.

use std::time::Duration;

use serde_json::Value;

use super::client::Client;
use super::exit::{Exit, Failure};
use super::output::{Out, say};
use super::{Done, timeline};

/// How often a broken stream is opened again in a row before giving up.
const MOST_TRIES: u32 = 5;
/// The longest line of a stream.
const MAX_LINE: usize = 4 * 1024 * 1024;

/// Prints entries until the request has ended.
pub(super) async fn watch(client: &Client, id: &str, out: Out) -> Done {
    let path = format!("/v1/requests/{}/events", super::client::segment(id));
    let mut seen: Option<String> = None;
    let mut tries = 0;
    loop {
        let mut response = match client.get(path.clone()).stream(seen.as_deref()).await {
            Ok(response) => response,
            Err(failure) if seen.is_none() || failure.exit != Exit::Unreachable || tries >= MOST_TRIES => return Err(failure),
            Err(_) => {
                tries += 1;
                say("the connection was lost; trying again");
                tokio::time::sleep(Duration::from_secs(1)).await;
                continue;
            }
        };
        let mut lines = Lines::default();
        while let Ok(Some(chunk)) = response.chunk().await {
            for event in lines.push(&chunk) {
                let entry: Value = serde_json::from_str(&event.data).unwrap_or_default();
                tries = 0;
                seen = Some(event.id);
                if out.json { out.objects([&entry])? } else { out.line(&timeline::line(&entry))? }
            }
            if lines.rest.len() > MAX_LINE {
                return Err(Failure::new(Exit::Failed, "the server sends something that is not an event stream"));
            }
        }
        let request = client.get(format!("/v1/requests/{}", super::client::segment(id))).send().await;
        match request {
            Ok(request) if request.get("outcome").is_some() => return Ok(Exit::Ok),
            // The stream's time was up, or the server stops: go on after the last entry.
            Ok(_) => tokio::time::sleep(Duration::from_millis(500)).await,
            Err(failure) if failure.exit != Exit::Unreachable || tries >= MOST_TRIES => return Err(failure),
            Err(_) => {
                tries += 1;
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

/// An event of a stream.
#[derive(Debug, Default, PartialEq, Eq)]
struct Event {
    id: String,
    data: String,
}

/// Bytes of a stream as events; what is not complete yet stays.
#[derive(Debug, Default)]
struct Lines {
    rest: Vec<u8>,
    event: Event,
}

impl Lines {
    fn push(&mut self, chunk: &[u8]) -> Vec<Event> {
        self.rest.extend_from_slice(chunk);
        let mut events = Vec::new();
        while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            let line = line.trim_end_matches(['\n', '\r']);
            match line.split_once(':') {
                None if line.is_empty() => {
                    let event = std::mem::take(&mut self.event);
                    if !event.data.is_empty() {
                        events.push(event);
                    }
                }
                Some(("id", value)) => value.trim_start().clone_into(&mut self.event.id),
                Some(("data", value)) => {
                    if !self.event.data.is_empty() {
                        self.event.data.push('\n');
                    }
                    self.event.data.push_str(value.strip_prefix(' ').unwrap_or(value));
                }
                _ => {}
            }
        }
        events
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_in_pieces() {
        let text =
            ": still here\n\nid: 1\nevent: accepted\ndata: {\"a\":\"解\"}\n\nid: 2\r\ndata: x\r\ndata: y\r\n\r\nid: 3\ndata: cut";
        for size in [1, 2, 7, 1000] {
            let mut lines = Lines::default();
            let events: Vec<Event> = text.as_bytes().chunks(size).flat_map(|chunk| lines.push(chunk)).collect();
            let expected =
                [Event { id: "1".into(), data: "{\"a\":\"解\"}".into() }, Event { id: "2".into(), data: "x\ny".into() }];
            assert_eq!(events, expected, "{size}");
        }
    }
}
