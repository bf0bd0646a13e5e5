//! The order of looking, and what depends on what.

use crate::config::Config;

use super::Findings;

/// Looks at everything.
pub(super) async fn all(config: &Config, sample: u32, findings: &mut Findings) {
    let connectors = super::files::connectors(config, findings).await;
    let processes = super::files::processes(config, connectors.as_ref(), findings);
    super::database::look(config, sample, &processes, findings).await;
    super::broker::look(config, findings).await;
    super::server::look(config, findings).await;
}
