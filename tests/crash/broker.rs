//! A broker that is two files, so that it outlives the process: what was acknowledged, and what was published and confirmed.
//!
//! What is not acknowledged is delivered again, to whoever comes. The consumer takes by the port that the real one takes by, and as it
//! does: it acknowledges what the sink calls stored; otherwise, and where an acknowledgement is lost, it begins anew when the
//! sink is ready.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use mozhao::engine::ports::broker::{Incoming, IntakeSink, Publisher, Taken};
use mozhao::engine::ports::records::Event;

use crate::points::{Points, append};
use crate::stories::Story;

/// The ids of the messages that were acknowledged.
pub(crate) fn acknowledged(folder: &Path) -> Vec<String> {
    fs::read_to_string(folder.join("acknowledged")).unwrap_or_default().lines().map(str::to_owned).collect()
}

/// A consumer of the story's messages.
pub(crate) struct Consumer {
    pub(crate) story: &'static Story,
    pub(crate) folder: PathBuf,
    pub(crate) points: Arc<Points>,
}

impl Consumer {
    /// Takes what is not acknowledged, one after the other; `None` where the channel is lost before nothing is left.
    pub(crate) async fn consume(&self, sink: &impl IntakeSink) -> Option<()> {
        sink.ready().await;
        for (id, process) in self.story.messages() {
            if acknowledged(&self.folder).iter().any(|known| known == id) {
                continue;
            }
            if sink.take(message(id, process)).await != Taken::Stored || self.points.pass("before ack") {
                return None;
            }
            append(&self.folder.join("acknowledged"), id);
            if self.points.pass("after ack") {
                return None;
            }
        }
        Some(())
    }
}

fn message(id: &str, process: &str) -> Incoming {
    Incoming {
        body: Bytes::from_static(br#"{"customer": "C1"}"#),
        routing_key: process.to_owned(),
        message_id: Some(id.to_owned()),
        app_id: Some("app".to_owned()),
        content_type: Some("application/json".to_owned()),
        ..Incoming::default()
    }
}

/// Publishes into the sink: a line for each event that the broker has confirmed.
pub(crate) struct PointPublisher {
    pub(crate) sink: PathBuf,
    pub(crate) points: Arc<Points>,
}

#[async_trait]
impl Publisher for PointPublisher {
    async fn publish(&self, events: &[Event]) -> Vec<bool> {
        if self.points.pass("before publish") {
            return vec![false; events.len()];
        }
        for event in events {
            append(&self.sink, &format!("{} {}", event.topic, event.id));
        }
        vec![!self.points.pass("after publish"); events.len()]
    }

    fn connected(&self) -> bool {
        true
    }
}
