//! Where everything meets: the one place that knows every concrete type.

pub mod process_test;

use crate::cli::signals::Stop;
use crate::config::Config;

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

/// Runs a worker with the HTTP API until it is stopped.
///
/// # Errors
/// What kept it from running; causes that are a `StoreError` or a `ProcessesError` decide the exit code.
#[expect(clippy::unused_async, reason = "stands in for what comes next")]
pub async fn serve(_config: Config, _stop: Stop) -> anyhow::Result<()> {
    anyhow::bail!("this build has no worker yet")
}

/// Runs the demo; whether the balance holds at its end.
///
/// # Errors
/// What kept it from running.
#[expect(clippy::unused_async, reason = "stands in for what comes next")]
pub async fn demo(_options: DemoOptions, _stop: Stop) -> anyhow::Result<bool> {
    anyhow::bail!("this build has no demo yet")
}
