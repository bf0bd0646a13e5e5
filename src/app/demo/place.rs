//! Where a demo happens: a sandbox, a worker on SQLite, and a folder with all its files; gone when the demo is.

use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::DemoOptions;
use super::show::Show;
use crate::api::permit::Role;
use crate::api::tokens::{NewToken, fresh};
use crate::app::{Assembly, Running};
use crate::connectors::{Connectors, ConnectorsConfig};
use crate::console::links;
use crate::engine::clock::SystemClock;
use crate::engine::ports::clock::Clock as _;
use crate::engine::ports::sessions::Person;
use crate::engine::ports::store::Store;
use crate::engine::service::{Engine, Settings};
use crate::sandbox::{Sandbox, World};
use crate::store::{self, open::open};

/// The shipped processes.
const PROCESSES: [(&str, &str); 4] = [
    ("card_unbind.yaml", include_str!("../../../deploy/processes/card_unbind.yaml")),
    ("phone_change.yaml", include_str!("../../../deploy/processes/phone_change.yaml")),
    ("account_close.yaml", include_str!("../../../deploy/processes/account_close.yaml")),
    ("name_correction.yaml", include_str!("../../../deploy/processes/name_correction.yaml")),
];
/// The shipped connectors for a sandbox, and where they look for it.
const CONNECTORS: (&str, &str) = (include_str!("../../../deploy/connectors.sandbox.yaml"), "http://127.0.0.1:9900");
/// A breaker that stays open for ten seconds is right for a bank and long for somebody who watches.
const BREAKER: (&str, &str) = ("open_for: 10s", "open_for: 3s");
/// Somebody who tries the console for the first time has to find out that a decision can be taken back.
const UNDO: Duration = Duration::from_secs(10);
/// Whoever runs the demo: this token is shown.
const VISITOR: &str = "you";
/// The front end that sends the stream: this one is not.
const FRONT_END: &str = "demo-app";

/// The folder of a demo; removed when it goes out of scope.
struct Folder {
    path: PathBuf,
    keep: bool,
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.keep
            && let Err(error) = fs::remove_dir_all(&self.path)
        {
            tracing::warn!(%error, folder = %self.path.display(), "the demo's folder was not removed");
        }
    }
}

/// A running demo.
pub(super) struct Place {
    /// The engine, to read from.
    pub(super) engine: Engine,
    /// The remote systems.
    pub(super) sandbox: Sandbox,
    /// The API's address.
    pub(super) url: String,
    /// The token that may do everything.
    pub(super) token: String,
    /// A link that signs the visitor in to the console.
    pub(super) link: String,
    /// The token of the front end.
    pub(super) front_end: SecretString,
    worker: JoinHandle<anyhow::Result<()>>,
    stop: CancellationToken,
    folder: Folder,
}

impl Place {
    /// Starts everything; the worker drains when `drain` is cancelled.
    pub(super) async fn start(options: &DemoOptions, world: &World, drain: &CancellationToken) -> anyhow::Result<Place> {
        let folder = Folder { path: make_folder()?, keep: options.keep };
        let settings = crate::sandbox::Settings { seed: options.seed, ..crate::sandbox::Settings::default() };
        let sandbox = Sandbox::start_with(([127, 0, 0, 1], 0).into(), &settings).await?;
        sandbox.handle().load(world);
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.context("cannot listen on a free port of 127.0.0.1")?;
        let url = format!("http://{}", listener.local_addr()?);
        let connectors = write_files(&folder.path, &url, &sandbox.url())?;
        let store = open(&database(&folder.path), store::Role::Worker).await.context("cannot make the database")?;
        let token = make_token(store.as_ref(), VISITOR, Role::Admin).await?;
        let link = format!("{url}{}", make_link(store.as_ref(), VISITOR).await?);
        let front_end = make_token(store.as_ref(), FRONT_END, Role::Submitter).await?.into();
        let settings = Settings {
            processes: Some(folder.path.join("processes")),
            public_url: url.clone(),
            drain: Duration::from_secs(5),
            ..Settings::default()
        };
        let connectors = ConnectorsConfig::parse("connectors.yaml", &connectors)?;
        let assembly = Assembly {
            store,
            remote: Arc::new(Connectors::new(connectors)?),
            broker: None,
            listener,
            settings,
            oidc: None,
            undo: UNDO,
        };
        let running: Running = assembly.start().await?;
        let (engine, stop) = (running.engine.clone(), drain.child_token());
        let drained = stop.clone();
        let worker = tokio::spawn(async move {
            let result = running.run(drained.clone()).await;
            // Also where it ended by itself: nobody waits for a worker that is gone.
            drained.cancel();
            result
        });
        Ok(Place { engine, sandbox, url, token, link, front_end, worker, stop, folder })
    }

    /// The folder with the database, the configuration and the processes.
    pub(super) fn folder(&self) -> &Path {
        &self.folder.path
    }

    /// The configuration that a worker or a tool would need to run on the same files.
    pub(super) fn config(&self) -> PathBuf {
        self.folder.path.join("mozhao.yaml")
    }

    /// How many processes are known.
    pub(super) fn processes(&self) -> usize {
        self.engine.processes().all().len()
    }

    /// Cancelled when the worker stops, for whatever reason.
    pub(super) fn stopping(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Drains the worker, then stops the sandbox; keeps the folder if that was asked for, or removes it.
    pub(super) async fn stop(self, show: &Show) -> anyhow::Result<()> {
        let Place { sandbox, worker, stop, folder, .. } = self;
        stop.cancel();
        let ended = worker.await.context("the worker was cut off")?;
        sandbox.stop().await;
        if folder.keep {
            show.say(&format!("kept: {}", folder.path.display()));
        }
        ended
    }
}

/// A new folder that nobody else may read.
fn make_folder() -> anyhow::Result<PathBuf> {
    let id = SystemClock.id().simple().to_string();
    let path = std::env::temp_dir().join(format!("mozhao-demo-{}", &id[id.len() - 8..]));
    fs::DirBuilder::new().mode(0o700).create(&path).with_context(|| format!("cannot make the folder {}", path.display()))?;
    Ok(path)
}

fn database(folder: &Path) -> String {
    format!("sqlite://{}", folder.join("mozhao.db").display())
}

/// Writes the processes, the connectors and a configuration; the connectors' text.
fn write_files(folder: &Path, url: &str, sandbox: &str) -> anyhow::Result<String> {
    let processes = folder.join("processes");
    fs::create_dir(&processes)?;
    for (name, text) in PROCESSES {
        fs::write(processes.join(name), text)?;
    }
    let connectors = CONNECTORS.0.replace(CONNECTORS.1, sandbox).replace(BREAKER.0, BREAKER.1);
    fs::write(folder.join("connectors.yaml"), &connectors)?;
    let listen = url.trim_start_matches("http://");
    // JSON text is YAML text: paths need no other quoting.
    let config = format!(
        "database: {{url: {}}}\nhttp: {{listen: {listen:?}}}\nprocesses: processes\nconnectors: connectors.yaml\n",
        serde_json::Value::from(database(folder)),
    );
    fs::write(folder.join("mozhao.yaml"), config)?;
    Ok(connectors)
}

async fn make_token(store: &dyn Store, name: &str, role: Role) -> anyhow::Result<String> {
    let new = NewToken {
        name: name.to_owned(),
        roles: vec![role],
        processes: Vec::new(),
        review_roles: Vec::new(),
        expires_in: Some("1d".to_owned()),
    };
    let (secret, row) = fresh(&new, store.now().await?).map_err(anyhow::Error::msg)?;
    store.add_token(&row).await.context("cannot store a token")?;
    Ok(secret)
}

async fn make_link(store: &dyn Store, name: &str) -> anyhow::Result<String> {
    let roles = vec![Role::Admin.as_str().to_owned()];
    let person = Person { name: name.to_owned(), roles, processes: Vec::new(), review_roles: Vec::new() };
    let (path, row) = links::fresh(person, links::LONGEST, store.now().await?).map_err(anyhow::Error::msg)?;
    store.sessions().add_link(&row).await.context("cannot store a link")?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_connectors_are_those_that_are_replaced() {
        assert!(CONNECTORS.0.contains(CONNECTORS.1) && CONNECTORS.0.contains(BREAKER.0));
    }
}
