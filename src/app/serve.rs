//! `mozhao serve`: from a configuration to a worker.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use secrecy::SecretString;
use tokio::net::TcpListener;

use super::{Assembly, Broker};
use crate::cli::signals::Stop;
use crate::config::{AmqpConfig, Config, load};
use crate::connectors::identity::{Provider, ProviderSettings};
use crate::connectors::{Connectors, config::ConnectorsConfig};
use crate::console;
use crate::console::oidc::{BACK, Claims, Oidc};
use crate::engine::ports::records::Retention;
use crate::engine::service::Settings;
use crate::queue::{QueueConfig, Tools};
use crate::store::{Role, open::open};

/// Runs a worker until it is asked to stop.
///
/// # Errors
/// Whatever keeps it from starting, or from going on.
pub async fn serve(config: Config, stop: Stop) -> anyhow::Result<()> {
    let connectors = connectors(&config)?;
    let store = open(config.database.url.expose(), Role::Worker).await.context("cannot open the database")?;
    let listener = TcpListener::bind(config.http.listen)
        .await
        .with_context(|| format!("cannot listen on {} (`http.listen`)", config.http.listen))?;
    let address = listener.local_addr()?;
    let settings = Settings {
        processes: Some(config.processes.clone()),
        public_url: config.http.public_url(address),
        own_names: format!("{}.", config.amqp.prefix),
        in_flight: config.worker.in_flight,
        lease: config.worker.lease,
        drain: config.worker.drain,
        keep: Retention { requests: config.keep, ..Retention::default() },
    };
    let broker = broker(&config)?;
    let oidc = oidc(&config, address)?;
    let running =
        Assembly { store, remote: Arc::new(connectors), broker, listener, settings, oidc, undo: config.undo }.start().await?;
    // One signs in there with a link: `mozhao console link`.
    let console = format!("{}{}", config.http.public_url(address).trim_end_matches('/'), console::ROOT);
    tracing::info!(%address, console, processes = running.engine.processes().all().len(), "ready");
    running.run(stop.drain.clone()).await
}

fn connectors(config: &Config) -> anyhow::Result<Connectors> {
    let path = &config.connectors;
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read the connectors from {}", path.display()))?;
    let parsed = ConnectorsConfig::parse(&path.display().to_string(), &text)?;
    Ok(Connectors::new(parsed)?)
}

fn oidc(config: &Config, address: SocketAddr) -> anyhow::Result<Option<Oidc>> {
    let Some(oidc) = config.oidc.clone() else { return Ok(None) };
    let settings = ProviderSettings {
        issuer: oidc.issuer,
        client_id: oidc.client_id,
        client_secret: oidc.client_secret,
        scopes: oidc.scopes,
        redirect_uri: format!("{}{BACK}", config.http.public_url(address).trim_end_matches('/')),
    };
    let provider = Provider::new(settings).map_err(anyhow::Error::msg).context("the identity provider (`oidc`)")?;
    let claims = Claims { name: oidc.name_claim, roles: oidc.roles_claim, prefix: oidc.roles_prefix };
    Ok(Some(Oidc { provider, claims }))
}

fn broker(config: &Config) -> anyhow::Result<Option<Broker>> {
    let Some(url) = &config.amqp.url else { return Ok(None) };
    let queue = QueueConfig {
        prefix: config.amqp.prefix.clone(),
        in_flight: u16::try_from(config.worker.in_flight).unwrap_or(u16::MAX),
        reviews: config.amqp.reviews,
        drain: config.worker.drain,
        ..QueueConfig::new(SecretString::from(url.expose().to_owned()))
    };
    let tools = if config.amqp.decisions { Some(tools(&config.amqp)?) } else { None };
    Ok(Some(Broker { config: queue, tools }))
}

fn tools(amqp: &AmqpConfig) -> anyhow::Result<Tools> {
    let mut tools = Tools::new();
    for (tool, at) in &amqp.decision_secrets {
        let secret = load::secret(at).with_context(|| format!("the secret of the tool `{tool}` (`amqp.decision_secrets`)"))?;
        tools.insert(tool.clone(), vec![SecretString::from(secret)]);
    }
    Ok(tools)
}
