//! A worker with its API on a free port, tokens for every role, and remote systems that answer by the customer's name.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use mozhao::api::permit::Role;
use mozhao::api::tokens::{NewToken, fresh};
use mozhao::api::{ApiSettings, Desk, router, serve};
use mozhao::console;
use mozhao::domain::request::fact::FailureClass;
use mozhao::domain::words::Method;
use mozhao::engine::clock::SystemClock;
use mozhao::engine::ports::clock::Clock;
use mozhao::engine::ports::remote::{Answer, Failure, Remote, RemoteCall};
use mozhao::engine::ports::store::Store;
use mozhao::engine::service::{Engine, Parts, Settings};
use mozhao::store::memory::MemoryStore;
use reqwest::{RequestBuilder, StatusCode};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection as _, SqliteConnection};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::contract::check;

/// A phone number that must not appear in anything that leaves.
pub(crate) const CANARY: &str = "13800001234";

/// What a remote system answers for customers who are loud: it would run where it is not escaped.
pub(crate) const LOUD: &str = "<script>alert(3)</script>'\"><img src=x onerror=alert(4)>";

const CHANGE: &str = include_str!("processes/change.yaml");
const TEXTED: &str = include_str!("processes/texted.yaml");

/// The next version of `change`: it promises less, words a clause anew, and knows one more reason.
pub(crate) fn later_change() -> String {
    let later = CHANGE.replace("version: 1", "version: 2").replace("promise: 10m", "promise: 1h");
    let later = later.replace("The customer is known", "The customer is known to us");
    later.replace("reasons:\n", "reasons:\n  late: {customer: {en: Too <b>late</b>., zh-CN: 太晚。}}\n")
}

/// Everything, stopped when dropped.
pub(crate) struct World {
    pub(crate) addr: SocketAddr,
    pub(crate) engine: Engine,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) bank: Arc<Bank>,
    pub(crate) stopping: CancellationToken,
    pub(crate) http: reqwest::Client,
    pub(crate) server: Option<JoinHandle<()>>,
    work: JoinHandle<()>,
    tokens: BTreeMap<String, String>,
    keys: AtomicU32,
    folders: Vec<tempfile::TempDir>,
}

impl Drop for World {
    fn drop(&mut self) {
        self.engine.kill();
        self.stopping.cancel();
        self.work.abort();
    }
}

/// What was answered.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: Value,
    pub(crate) text: String,
}

impl Reply {
    /// The problem's word; panics where it is none.
    pub(crate) fn problem(&self) -> &str {
        assert_eq!(self.headers["content-type"], "application/problem+json", "{self:?}");
        self.body["type"].as_str().unwrap().strip_prefix("/problems/").unwrap()
    }

    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Reply {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        self
    }

    pub(crate) fn id(&self) -> String {
        self.body["id"].as_str().unwrap().to_owned()
    }
}

impl World {
    pub(crate) async fn start() -> World {
        World::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut ApiSettings)) -> World {
        World::on(Arc::new(MemoryStore::new(Arc::new(SystemClock))), &[], change).await
    }

    /// On a database in a file.
    pub(crate) async fn on_sqlite() -> World {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("mozhao.db").display());
        let store = mozhao::store::open::open(&url, mozhao::store::Role::Worker).await.unwrap();
        let mut world = World::on(store, &[], |_| {}).await;
        world.folders.push(folder);
        world
    }

    /// Damages a row of the database, as a bug or a disk might: a statement that ends before the row's id.
    pub(crate) async fn damage(&self, statement: &'static str, id: &str) {
        let path = self.folders.last().unwrap().path().join("mozhao.db");
        let mut conn = SqliteConnection::connect(&format!("sqlite://{}", path.display())).await.unwrap();
        let id: Uuid = id.parse().unwrap();
        let sql = format!("{statement} x'{}'", id.simple());
        assert_eq!(sqlx::query(AssertSqlSafe(sql)).execute(&mut conn).await.unwrap().rows_affected(), 1);
    }

    /// On a store of its own, with more processes beside the usual two.
    pub(crate) async fn on(store: Arc<dyn Store>, more: &[(&str, &str)], change: impl FnOnce(&mut ApiSettings)) -> World {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [("change.yaml", CHANGE), ("texted.yaml", TEXTED)].iter().chain(more) {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let bank = Arc::new(Bank::default());
        let settings =
            Settings { processes: Some(folder.path().to_owned()), own_names: "mozhao.".to_owned(), ..Settings::default() };
        let parts = Parts { store: store.clone(), remote: bank.clone(), publisher: None, clock: clock.clone(), settings };
        let engine = Engine::start(parts).await.unwrap();
        let running = engine.clone();
        let work = tokio::spawn(async move { running.run().await.unwrap() });
        let mut tokens = BTreeMap::new();
        for (name, role, processes, review_roles) in [
            ("app", Role::Submitter, vec![], vec![]),
            ("other", Role::Submitter, vec![], vec![]),
            ("narrow", Role::Submitter, vec!["texted"], vec![]),
            ("li", Role::Reviewer, vec![], vec!["identity"]),
            ("wang", Role::Reviewer, vec![], vec!["identity"]),
            ("zhao", Role::Reviewer, vec![], vec!["money"]),
            ("desk", Role::Reviewer, vec![], vec!["identity"]),
            ("ops", Role::Operator, vec![], vec![]),
            ("narrow-ops", Role::Operator, vec!["texted"], vec![]),
            ("audit", Role::Auditor, vec![], vec![]),
            ("root", Role::Admin, vec![], vec![]),
        ] {
            let owned = |list: Vec<&str>| list.into_iter().map(str::to_owned).collect();
            let new = NewToken {
                name: name.into(),
                roles: vec![role],
                processes: owned(processes),
                review_roles: owned(review_roles),
                expires_in: None,
            };
            let (secret, row) = fresh(&new, clock.now()).unwrap();
            store.add_token(&row).await.unwrap();
            tokens.insert(name.to_owned(), secret);
        }
        let stopping = CancellationToken::new();
        let mut settings = ApiSettings { stopping: stopping.clone(), ..ApiSettings::default() };
        change(&mut settings);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let interface = router(engine.clone(), settings);
        let pages = console::router(
            Desk::new(interface.clone()),
            engine.clone(),
            console::Doors { public_url: format!("http://{addr}"), oidc: None, undo: Duration::ZERO },
        );
        let server = tokio::spawn(serve(listener, interface.merge(pages), stopping.clone()));
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30)).build().unwrap();
        let (server, keys) = (Some(server), AtomicU32::new(0));
        World { addr, engine, store, bank, stopping, http, server, work, tokens, keys, folders: vec![folder] }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    pub(crate) fn secret(&self, who: &str) -> &str {
        &self.tokens[who]
    }

    pub(crate) fn key(&self) -> String {
        format!("key-{}", self.keys.fetch_add(1, Ordering::SeqCst))
    }

    pub(crate) async fn send(&self, request: RequestBuilder) -> Reply {
        let request = request.build().unwrap();
        let (method, path) = (request.method().to_string(), request.url().path().to_owned());
        let response = self.http.execute(request).await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.text().await.unwrap();
        assert!(!text.contains(CANARY), "the canary got out: {text}");
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        let kind = headers.get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default();
        check(&method, &path, status.as_u16(), kind, &body, &text);
        Reply { status, headers, body, text }
    }

    pub(crate) async fn get(&self, who: &str, path: &str) -> Reply {
        self.send(self.http.get(self.url(path)).bearer_auth(self.secret(who))).await
    }

    pub(crate) async fn post(&self, who: &str, path: &str, body: &Value) -> Reply {
        self.send(self.http.post(self.url(path)).bearer_auth(self.secret(who)).json(body)).await
    }

    /// Sends it under an `Idempotency-Key`.
    pub(crate) async fn post_once(&self, who: &str, path: &str, key: &str, body: &Value) -> Reply {
        let request = self.http.post(self.url(path)).bearer_auth(self.secret(who)).header("idempotency-key", key);
        self.send(request.json(body)).await
    }

    /// Sends a request of `change` for a customer and waits until it ends.
    pub(crate) async fn submit(&self, who: &str, customer: &str) -> Reply {
        let body = json!({"process": "change", "payload": {"who": customer, "phone": CANARY}});
        self.submit_with(who, &self.key(), &body, "?wait=10s").await
    }

    pub(crate) async fn submit_with(&self, who: &str, key: &str, body: &Value, query: &str) -> Reply {
        let request = self.http.post(self.url(&format!("/v1/requests{query}"))).bearer_auth(self.secret(who));
        self.send(request.header("idempotency-key", key).json(body)).await
    }

    /// Sends a request and gives its id as soon as it is in this state.
    pub(crate) async fn submit_until(&self, customer: &str, state: &str) -> String {
        let body = json!({"process": "change", "payload": {"who": customer, "phone": CANARY}});
        let id = self.submit_with("app", &self.key(), &body, "").await.expect(202).id();
        self.until(&id, state).await;
        id
    }

    /// Waits until a request is in this state.
    pub(crate) async fn until(&self, id: &str, state: &str) {
        let id = id.parse().unwrap();
        let reached = async {
            while self.store.request(id).await.unwrap().state != state {
                self.engine.changed(id, Duration::from_millis(50)).await;
            }
        };
        let reached = tokio::time::timeout(Duration::from_secs(10), reached).await;
        assert!(reached.is_ok(), "not {state}: {:?}", self.store.request(id).await);
    }

    /// The open review of a request.
    pub(crate) async fn review_of(&self, request: &str) -> String {
        let list = self.get("audit", &format!("/v1/reviews?request={request}")).await.expect(200);
        list.body["items"][0]["id"].as_str().unwrap().to_owned()
    }
}

/// The remote system behind every connector: the customer's name says how it answers.
#[derive(Debug, Default)]
pub(crate) struct Bank {
    /// Customers whose change was carried out.
    pub(crate) changed: Mutex<Vec<String>>,
    /// Customers who behave like `sure` from now on.
    pub(crate) healed: Mutex<bool>,
}

#[async_trait]
impl Remote for Bank {
    async fn call(&self, call: &RemoteCall) -> Result<Answer, Failure> {
        let who = call.path.split('/').nth(2).unwrap_or_default();
        let healed = *self.healed.lock().unwrap();
        let fail =
            |class, code, status, detail: &str| Err(Failure { class, code, status, detail: detail.into(), retry_after: None });
        match who.split('-').next().unwrap_or_default() {
            "hang" => std::future::pending().await,
            "down" if !healed => return fail(FailureClass::Transient, "connect", None, "connection refused"),
            "odd" if !healed && who.contains("loud") => return fail(FailureClass::Permanent, "status", Some(418), LOUD),
            "odd" if !healed => return fail(FailureClass::Permanent, "status", Some(418), "unexpected status 418"),
            _ => {}
        }
        let mut changed = self.changed.lock().unwrap();
        if call.method == Method::Post {
            changed.push(who.to_owned());
        }
        let is_changed = changed.iter().any(|known| known == who);
        let sure = !who.starts_with("grey") && !who.starts_with("big");
        let mut answer = json!({"gone": who == "gone", "sure": sure, "changed": is_changed});
        if who.contains("loud") {
            answer[LOUD] = json!(LOUD);
        }
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
