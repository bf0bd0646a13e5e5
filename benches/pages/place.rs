//! A worker with its pages in this process, and somebody signed in.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use async_trait::async_trait;
use bytes::Bytes;
use mozhao::api::permit::Role;
use mozhao::api::tokens::{NewToken, fresh};
use mozhao::api::{ApiSettings, Desk, router, serve};
use mozhao::console::{self, links};
use mozhao::engine::clock::SystemClock;
use mozhao::engine::ports::clock::Clock;
use mozhao::engine::ports::remote::{Answer, Failure, Remote, RemoteCall};
use mozhao::engine::ports::sessions::Person;
use mozhao::engine::ports::store::Store;
use mozhao::engine::service::{Engine, Parts, Settings};
use mozhao::store::postgres::PostgresStore;
use reqwest::redirect::Policy;
use serde_json::json;
use tokio_util::sync::CancellationToken;

const CHANGE: &str = include_str!("../../tests/api/processes/change.yaml");
const TEXTED: &str = include_str!("../../tests/api/processes/texted.yaml");

/// A remote system that answers at once; the customer's name says what.
struct Bank;

#[async_trait]
impl Remote for Bank {
    async fn call(&self, call: &RemoteCall) -> Result<Answer, Failure> {
        let who = call.path.split('/').nth(2).unwrap_or_default();
        let answer = json!({"gone": who == "gone", "sure": !who.starts_with("grey"), "changed": true});
        Ok(Answer { status: 200, body: Bytes::from(answer.to_string()), value: None })
    }

    fn timeout(&self, _: &str) -> Duration {
        Duration::from_secs(2)
    }

    fn key_window(&self, _: &str) -> Option<Duration> {
        Some(Duration::from_hours(24))
    }

    fn names(&self) -> Vec<String> {
        vec!["bank".to_owned()]
    }
}

/// The worker.
pub(crate) struct Place {
    pub(crate) address: SocketAddr,
    pub(crate) http: reqwest::Client,
    pub(crate) token: String,
    pub(crate) cookie: String,
    pub(crate) engine: Engine,
    stopping: CancellationToken,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.stopping.cancel();
        self.engine.kill();
    }
}

impl Place {
    pub(crate) async fn start(url: &str, folder: &Path) -> anyhow::Result<Place> {
        let later = CHANGE.replace("version: 1", "version: 2").replace("promise: 10m", "promise: 1h");
        let files = [("change.yaml", CHANGE.to_owned()), ("change2.yaml", later), ("texted.yaml", TEXTED.to_owned())];
        let rare = ("rare.yaml", CHANGE.replace("process: change", "process: rare"));
        for (name, text) in files.into_iter().chain([rare]) {
            std::fs::write(folder.join(name), text)?;
        }
        let store = PostgresStore::open(url).await?;
        store.migrate().await?;
        let store: Arc<dyn Store> = Arc::new(store);
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let settings = Settings { processes: Some(folder.to_owned()), own_names: "mozhao.".to_owned(), ..Settings::default() };
        let parts = Parts { store: store.clone(), remote: Arc::new(Bank), publisher: None, clock: clock.clone(), settings };
        let engine = Engine::start(parts).await?;
        let running = engine.clone();
        tokio::spawn(async move { running.run().await });
        let new = NewToken {
            name: "root".into(),
            roles: vec![Role::Admin],
            processes: vec![],
            review_roles: vec!["identity".into()],
            expires_in: None,
        };
        let (token, row) = fresh(&new, clock.now()).map_err(|error| anyhow::anyhow!("{error:?}"))?;
        store.add_token(&row).await?;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let stopping = CancellationToken::new();
        let interface = router(engine.clone(), ApiSettings { stopping: stopping.clone(), ..ApiSettings::default() });
        let doors = console::Doors { public_url: format!("http://{address}"), oidc: None, undo: Duration::ZERO };
        let pages = console::router(Desk::new(interface.clone()), engine.clone(), doors);
        tokio::spawn(serve(listener, interface.merge(pages), stopping.clone()));
        let http = reqwest::Client::builder().no_proxy().redirect(Policy::none()).timeout(Duration::from_mins(2)).build()?;
        let words = |list: &[&str]| list.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let person =
            Person { name: "root".into(), roles: words(&["admin"]), processes: vec![], review_roles: words(&["identity"]) };
        let (path, row) = links::fresh(person, links::GOOD_FOR, clock.now()).map_err(|error| anyhow::anyhow!("{error:?}"))?;
        store.sessions().add_link(&row).await?;
        let entered = http.post(format!("http://{address}{path}")).send().await?;
        let cookies = entered.headers().get_all("set-cookie").iter().filter_map(|cookie| cookie.to_str().ok()?.split(';').next());
        let cookie = cookies.into_iter().find(|cookie| cookie.starts_with("mozhao_session=")).context("no session")?.to_owned();
        Ok(Place { address, http, token, cookie, engine, stopping })
    }

    /// Asks for a page or a list, and gives its body.
    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<String> {
        let mut request = self.http.get(format!("http://{}{path}", self.address)).header("cookie", &self.cookie);
        if path.starts_with("/v1/") {
            request = request.bearer_auth(&self.token);
        }
        let response = request.send().await?;
        let status = response.status();
        let text = response.text().await?;
        ensure!(status.is_success(), "{path}: {status}: {}", text.chars().take(300).collect::<String>());
        Ok(text)
    }

    /// Sends a request and waits for its outcome, where it comes soon.
    pub(crate) async fn submit(&self, customer: &str, key: &str, wait: &str) -> anyhow::Result<()> {
        let body = json!({"process": "change", "payload": {"who": customer, "phone": "13900000000"}});
        let request = self.http.post(format!("http://{}/v1/requests?wait={wait}", self.address)).bearer_auth(&self.token);
        let response = request.header("idempotency-key", key).json(&body).send().await?;
        let status = response.status();
        ensure!(status.is_success(), "{key}: {status}: {}", response.text().await?);
        Ok(())
    }
}
