//! The worker's HTTP API at the configured address.

use super::Findings;
use crate::cli::client;
use crate::config::Config;

/// Asks the worker that should listen here whether it is ready.
pub(super) async fn look(config: &Config, findings: &mut Findings) {
    let url = config.http.public_url(config.http.listen);
    match client::ready(&url).await {
        Ok(200) => findings.ok("server", format!("{url} is ready")),
        Ok(status) => findings.note(
            "server",
            format!("{url}/readyz answers {status}"),
            "is it starting or stopping? Its log says what it waits for",
        ),
        Err(error) => findings.note(
            "server",
            format!("{url} does not answer: {error}"),
            "`mozhao serve` starts it; nothing to do on a machine without one",
        ),
    }
}
