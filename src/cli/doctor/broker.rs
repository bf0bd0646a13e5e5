//! The broker and its queues.

use std::time::Duration;

use secrecy::SecretString;

use super::Findings;
use crate::config::Config;
use crate::queue::{Depth, Queue, QueueConfig, QueueError};

const CHECK: &str = "broker";
/// How long a look at the broker may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// Looks at the broker, where there is one.
pub(super) async fn look(config: &Config, findings: &mut Findings) {
    let Some(url) = &config.amqp.url else {
        return findings.ok(CHECK, "none is configured: requests come over HTTP only");
    };
    let queue = QueueConfig {
        prefix: config.amqp.prefix.clone(),
        reviews: config.amqp.reviews,
        ..QueueConfig::new(SecretString::from(url.expose().to_owned()))
    };
    let (found, mend) = match tokio::time::timeout(PATIENCE, Queue::inspect(&queue)).await {
        Ok(Ok(depths)) => {
            findings.ok(CHECK, format!("{url} answers"));
            for depth in &depths {
                judge(depth, findings);
            }
            return;
        }
        Ok(Err(QueueError::Refused { name, detail })) => (
            format!("{url} refuses {name}: {detail}"),
            "`mozhao serve` declares it; if it is there with other settings, or may not be used, mend that in the broker",
        ),
        Ok(Err(error)) => (format!("{url}: {error}"), "is it up, and are user, password and vhost right?"),
        Err(_) => (format!("{url} does not answer"), "is it up, and does a firewall let this machine through?"),
    };
    findings.problem(CHECK, found, mend);
}

/// What a queue's depth means: in some a message is normal, in others somebody should look at it.
fn judge(depth: &Depth, findings: &mut Findings) {
    let Depth { queue, messages, consumers } = depth;
    let there = format!("{messages} messages in {queue}");
    // The names are the prefix and what the queue is for.
    let is = |what: &str| queue.rsplit('.').next() == Some(what);
    if is("dead") && *messages > 0 {
        let mend = "workers died with them again and again: look at them, then move them back (a shovel, or the management page)";
        findings.problem(CHECK, there, mend);
    } else if is("unrouted") && *messages > 0 {
        findings.note(CHECK, there, "no queue is bound to these events: bind one to the exchange of events, or purge this queue");
    } else if is("requests") && *consumers == 0 {
        findings.note(CHECK, format!("{there}, and nobody reads it"), "`mozhao serve` starts a worker");
    } else {
        findings.ok(CHECK, format!("{there}, {consumers} consumers"));
    }
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    #[test]
    fn a_depth_means_what_its_queue_is_for() {
        for (queue, messages, consumers, level) in [
            ("mozhao.requests", 500, 3, Level::Ok),
            ("mozhao.requests", 0, 0, Level::Note),
            ("mozhao.requests.dead", 0, 0, Level::Ok),
            ("mozhao.requests.dead", 1, 0, Level::Problem),
            ("mozhao.unrouted", 9, 0, Level::Note),
            ("mozhao.reviews", 9, 0, Level::Ok),
        ] {
            let mut findings = Findings::default();
            judge(&Depth { queue: queue.to_owned(), messages, consumers }, &mut findings);
            assert_eq!(findings.0.iter().map(|finding| finding.level).collect::<Vec<_>>(), [level], "{queue} {messages}");
        }
    }
}
