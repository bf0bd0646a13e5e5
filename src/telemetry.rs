//! Logs: one line per event on standard error, for people or as JSON.
//!
//! What passes through this program is personal data. Our own code logs ids, names and codes only; libraries that can print
//! what passes through them (frames, bodies, bound values) are held at INFO whatever the filter says, and the broker library's
//! list of returned messages, which holds whole payloads, is off.

use tracing::{Level, Metadata};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, fmt};

use crate::config::LogConfig;

/// Crates that print what passes through them when asked for details.
const TALKATIVE: &[&str] = &["lapin", "sqlx", "h2", "hyper", "hyper_util", "reqwest", "rustls", "tower_http", "amq_protocol"];

/// Logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter is no filter.
    #[error("the log filter is not understood")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// Logging was set up before.
    #[error("logging was set up before")]
    Twice(#[from] tracing_subscriber::util::TryInitError),
}

/// Starts logging; once per process.
pub fn init(log: &LogConfig, color: bool) -> Result<(), TelemetryError> {
    let filter = EnvFilter::builder().parse(&log.level)?;
    let lines = fmt::layer().with_writer(std::io::stderr);
    let layer = if log.json {
        lines.json().flatten_event(true).with_current_span(true).with_span_list(false).boxed()
    } else {
        lines.with_ansi(color).with_target(false).boxed()
    };
    // Filters of the whole, not of the layer: a layer's own filter remembers the answer to a library's question whether a level
    // is enabled, and applies it to the thread's next event, which is then lost.
    tracing_subscriber::registry().with(filter).with(filter_fn(harmless)).with(layer).try_init()?;
    Ok(())
}

/// May this event be written at all?
fn harmless(metadata: &Metadata<'_>) -> bool {
    may_print(metadata.target(), *metadata.level())
}

fn may_print(target: &str, level: Level) -> bool {
    let origin = target.split("::").next().unwrap_or(target);
    !target.starts_with("lapin::returned_messages") && (level <= Level::INFO || !TALKATIVE.contains(&origin))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_hold_a_payload_is_never_printed() {
        for (target, level, printed) in [
            ("mozhao::engine", Level::TRACE, true),
            ("lapin::returned_messages", Level::ERROR, false),
            ("lapin::channel", Level::WARN, true),
            ("lapin::channel", Level::DEBUG, false),
            ("sqlx::query", Level::DEBUG, false),
            ("hyper_util::client", Level::TRACE, false),
            ("lapin", Level::INFO, true),
        ] {
            assert_eq!(may_print(target, level), printed, "{target} {level}");
        }
    }
}
