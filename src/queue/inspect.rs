//! How full our queues are, asked once, for `doctor`.

use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;
use lapin::uri::AMQPUri;

use super::QueueError;
use super::supervisor::connect;
use super::topology::{Names, refused, short};

/// A queue and how full it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Depth {
    /// The queue.
    pub queue: String,
    /// Messages ready to be delivered; under-reported right after a broker's restart.
    pub messages: u32,
    /// Who reads it.
    pub consumers: u32,
}

pub(super) async fn inspect(uri: AMQPUri, names: &Names, reviews: bool) -> Result<Vec<Depth>, QueueError> {
    let connection = connect("inspect", &uri).await?;
    let mut depths = Vec::new();
    let queues = [&names.requests, &names.dead, &names.unrouted].into_iter().chain(reviews.then_some(&names.reviews));
    for name in queues {
        // A queue that is not there closes the channel: one each.
        let channel = connection.create_channel().await.map_err(|error| QueueError::Lost(error.to_string()))?;
        let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let queue =
            channel.queue_declare(short(name)?, options, FieldTable::default()).await.map_err(|error| refused(name, &error))?;
        depths.push(Depth { queue: name.clone(), messages: queue.message_count(), consumers: queue.consumer_count() });
    }
    drop(connection.close(200, "done".into()).await);
    Ok(depths)
}
