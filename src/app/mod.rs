//! Where everything meets: the one place that knows every concrete type.

mod assembly;
mod serve;

pub use assembly::{Assembly, Broker, Running};
pub use serve::serve;

use crate::cli::signals::Stop;

/// What `mozhao demo` was asked for.
#[derive(Debug, Clone)]
pub struct DemoOptions {
    /// End with the summary instead of staying up.
    pub exit: bool,
    /// How many requests to send.
    pub requests: u32,
    /// The seed of customers, requests and troubles.
    pub seed: u64,
    /// Standard error is a terminal: show live progress.
    pub terminal: bool,
}

/// Runs the demo; whether the balance holds at its end.
///
/// # Errors
/// What kept it from running.
#[expect(clippy::unused_async, reason = "stands in for what comes next")]
pub async fn demo(_options: DemoOptions, _stop: Stop) -> anyhow::Result<bool> {
    anyhow::bail!("this build has no demo yet")
}
