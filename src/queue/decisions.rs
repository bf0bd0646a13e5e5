//! The decisions queue: a signed message becomes a decision, anything else is answered as refused. Neither comes back.

use std::sync::Arc;

use async_trait::async_trait;

use super::{Tools, signed};
use crate::domain::message::Incoming;
use crate::engine::ports::broker::{DecisionSink, IntakeSink, Taken};
use crate::engine::ports::clock::Clock;

/// Hands decisions on.
pub(super) struct DecisionIntake {
    pub(super) tools: Tools,
    pub(super) sink: Arc<dyn DecisionSink>,
    pub(super) clock: Arc<dyn Clock>,
}

#[async_trait]
impl IntakeSink for DecisionIntake {
    async fn take(&self, message: Incoming) -> Taken {
        match signed::read(&message, &self.tools, self.clock.now()) {
            Ok(decision) => self.sink.decide(decision).await,
            Err(refused) => {
                tracing::warn!(code = refused.code, "a tool's decision is refused");
                self.sink.refuse(*refused).await
            }
        }
    }

    async fn ready(&self) {
        self.sink.ready().await;
    }
}
