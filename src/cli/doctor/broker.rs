//! The broker and its queues.

use super::Findings;
use crate::config::Config;

/// Looks at the broker, where there is one.
#[expect(clippy::unused_async, reason = "stands in for what comes next")]
pub(super) async fn look(config: &Config, findings: &mut Findings) {
    if config.amqp.url.is_none() {
        findings.ok("broker", "none is configured: requests come over HTTP only");
    }
}
