//! One test's world: database, broker, sandbox in this process, workers as processes of their own. Workers may be made to
//! reach each of the three through a proxy that breaks connections; the test itself sees them directly.
//!
//! The worlds of one test program come one after the other: several of them at once would measure each other's load.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mozhao::engine::ports::balance::Balance;
use mozhao::engine::ports::records::{RequestFilter, RequestRow};
use mozhao::engine::ports::store::Store;
use mozhao::sandbox::{Handle, Sandbox};
use mozhao::store::{Role, open};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, SqliteConnection};
use tokio::sync::{Mutex, MutexGuard};
use uuid::Uuid;

use super::broker::{self, Message, Sink};
use super::client::{Client, Posted};
use super::rest::{self, Idle};
use super::witness;
use crate::harness::child::Folder;
use crate::harness::disk::SmallDisk;
use crate::harness::postgres::{self, Database, Postgres};
use crate::harness::process::{Mozhao, Process};
use crate::harness::proxy::Proxy;
use crate::harness::rabbitmq::{self, Broker, RabbitMq};
use crate::harness::record::Record;
use crate::harness::{ports, wait};

/// The lease of every worker here: the shortest that the configuration takes.
pub const LEASE: Duration = Duration::from_secs(3);
/// How long a busy machine may take for what should take seconds.
pub const PATIENCE: Duration = Duration::from_mins(1);

static ALONE: Mutex<()> = Mutex::const_new(());

/// Which servers a world stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum On {
    /// The run's, with a fresh database and fresh names.
    #[default]
    Shared,
    /// Its own, to be killed.
    Own,
    /// Its own database, and the run's broker.
    OwnDatabase,
    /// Its own broker, and a fresh database of the run.
    OwnBroker,
    /// A database of its own on a disk of so many MiB (`None` where this process may not mount one), and the run's broker.
    SmallDisk(u32),
    /// None: SQLite, no broker.
    Embedded,
    /// SQLite, and the run's broker.
    EmbeddedWithBroker,
    /// None: SQLite on a disk of so many MiB, no broker.
    EmbeddedOnSmallDisk(u32),
}

/// What a world is made of.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    pub on: On,
    /// What the workers reach through a proxy.
    pub through: Vec<Place>,
    /// Its name in the record, and its seed; the test's own name without.
    pub named: Option<(&'static str, u64)>,
}

/// What a proxy may stand before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    Database,
    Broker,
    Targets,
    /// The targets, as the connectors `keyed` and `plain` reach them.
    Effects,
}

/// Where the servers of a world come from: its own, to be killed, or the run's shared ones (without a run, ones that nobody
/// kills). An embedded world has none.
#[derive(Default)]
struct Servers {
    postgres: Option<Postgres>,
    rabbitmq: Option<RabbitMq>,
    _database: Option<Database>,
    broker: Option<Broker>,
    // After the server whose data it holds.
    disk: Option<SmallDisk>,
}

impl Servers {
    /// The servers, and the URLs and the prefix for them.
    async fn start(on: On, files: &Folder) -> (Servers, String, Option<String>, String) {
        let disk = match on {
            On::SmallDisk(size) | On::EmbeddedOnSmallDisk(size) => Some(SmallDisk::mount(size).expect("see `SmallDisk::mount`")),
            _ => None,
        };
        let mut servers = Servers { disk, ..Servers::default() };
        if matches!(on, On::Embedded | On::EmbeddedOnSmallDisk(_) | On::EmbeddedWithBroker) {
            let folder = servers.disk.as_ref().map_or(files.path(), SmallDisk::path);
            let url = format!("sqlite://{}", folder.join("mozhao.db").display());
            if on != On::EmbeddedWithBroker {
                return (servers, url, None, "mozhao".to_owned());
            }
            let broker = rabbitmq::broker().await;
            let (amqp, prefix) = (broker.url.clone(), broker.prefix.clone());
            servers.broker = Some(broker);
            return (servers, url, Some(amqp), prefix);
        }
        let database = async {
            match (on, &servers.disk) {
                (_, Some(disk)) => (Some(Postgres::start_on(disk.path()).await), None),
                (On::Own | On::OwnDatabase, None) => (Some(Postgres::start().await), None),
                _ => (None, Some(postgres::database().await)),
            }
        };
        let broker = async {
            match on {
                On::Own | On::OwnBroker => (Some(RabbitMq::start().await), None),
                _ => (None, Some(rabbitmq::broker().await)),
            }
        };
        let ((own, shared), (node, broker)) = tokio::join!(database, broker);
        let url = match (&own, &shared) {
            (Some(own), _) => own.create_database().await,
            (None, shared) => shared.as_ref().expect("one of both").url().to_owned(),
        };
        let (amqp, prefix) = match (&node, &broker) {
            (Some(node), _) => (node.url(), "mozhao".to_owned()),
            (None, broker) => broker.as_ref().map(|broker| (broker.url.clone(), broker.prefix.clone())).expect("one of both"),
        };
        servers = Servers { postgres: own, rabbitmq: node, _database: shared, broker, ..servers };
        (servers, url, Some(amqp), prefix)
    }
}

/// Everything that a case needs. Workers are the case's own and must be dropped before it.
pub struct World {
    servers: Servers,
    /// As this test reaches them.
    pub database: String,
    pub amqp: Option<String>,
    /// As workers do.
    seen: (String, Option<String>),
    proxies: BTreeMap<Place, Proxy>,
    pub prefix: String,
    pub store: Arc<dyn Store>,
    pub bank: Handle,
    sandbox: Sandbox,
    /// About when the sandbox started: its ledger counts from there.
    begun: Instant,
    files: Folder,
    /// Hears every event; declared with the first worker.
    pub sink: Option<Sink>,
    /// What was answered to each submission over HTTP.
    pub posted: Posted,
    /// What the first worker had before there was anything to do.
    pub idle: Option<Idle>,
    pub record: Record,
    _alone: MutexGuard<'static, ()>,
}

/// A lock on the database, held by a connection.
pub enum Held {
    Server(PgConnection),
    Embedded(SqliteConnection),
}

impl Held {
    pub async fn release(self) {
        match self {
            Held::Server(connection) => connection.close().await.unwrap(),
            Held::Embedded(connection) => connection.close().await.unwrap(),
        }
    }
}

/// A running worker.
pub struct Worker {
    pub process: Process,
    pub port: u16,
}

impl World {
    /// On the run's servers, with a fresh database and fresh names.
    pub async fn shared() -> World {
        World::new(Plan::default()).await
    }

    /// On servers of its own.
    pub async fn own() -> World {
        World::new(Plan { on: On::Own, ..Plan::default() }).await
    }

    /// On a SQLite file, without a broker.
    pub async fn embedded() -> World {
        World::new(Plan { on: On::Embedded, ..Plan::default() }).await
    }

    /// As planned.
    pub async fn new(plan: Plan) -> World {
        let alone = ALONE.lock().await;
        let test = std::thread::current().name().unwrap_or_default().replace("suite::", "");
        let (name, seed) = plan.named.unwrap_or((&test, 0));
        let record = Record::new(name, seed);
        let files = Folder::new("e2e");
        let (servers, database, amqp, prefix) = Servers::start(plan.on, &files).await;
        let (sandbox, begun) = (Sandbox::start(([127, 0, 0, 1], 0).into()).await.unwrap(), Instant::now());
        let mut proxies = BTreeMap::new();
        for place in plan.through {
            let server = match place {
                Place::Database => port_of(&database),
                Place::Broker => port_of(amqp.as_ref().expect("a broker")),
                Place::Targets | Place::Effects => sandbox.addr().port(),
            };
            proxies.insert(place, Proxy::start(server).await);
        }
        let through = |url: &str, place: Place| match proxies.get(&place) {
            Some(proxy) => url.replace(&format!(":{}/", port_of(url)), &format!(":{}/", proxy.port())),
            None => url.to_owned(),
        };
        let seen = (through(&database, Place::Database), amqp.as_ref().map(|amqp| through(amqp, Place::Broker)));
        let targets = |place| proxies.get(&place).map_or(sandbox.addr().port(), Proxy::port);
        write_files(&files, targets(Place::Targets), targets(Place::Effects));
        let store = open::open(&database, Role::Tool).await.unwrap();
        if !is_embedded(&database) {
            sql(&database, witness::TRIGGERS).await;
        }
        let bank = sandbox.handle().clone();
        World {
            servers,
            database,
            amqp,
            seen,
            proxies,
            prefix,
            store,
            bank,
            sandbox,
            begun,
            files,
            sink: None,
            posted: Posted::default(),
            idle: None,
            record,
            _alone: alone,
        }
    }

    /// On SQLite: one worker at a time.
    pub fn is_embedded(&self) -> bool {
        is_embedded(&self.database)
    }

    /// Statements, on a connection of their own.
    pub async fn sql(&self, statements: &str) {
        sql(&self.database, statements).await;
    }

    /// Nobody else can write a ledger's entry until this is released.
    pub async fn hold_writes(&self) -> Held {
        if self.is_embedded() {
            let mut connection = SqliteConnection::connect(&self.database).await.unwrap();
            sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut connection).await.unwrap();
            return Held::Embedded(connection);
        }
        let mut connection = PgConnection::connect(&self.database).await.unwrap();
        sqlx::raw_sql("BEGIN; LOCK TABLE entries IN SHARE MODE").execute(&mut connection).await.unwrap();
        Held::Server(connection)
    }

    /// The number that a query gives.
    pub async fn number(&self, query: &str) -> i64 {
        let query = AssertSqlSafe(query.to_owned());
        if self.is_embedded() {
            let mut connection = SqliteConnection::connect(&self.database).await.unwrap();
            return sqlx::query_scalar(query).fetch_one(&mut connection).await.unwrap();
        }
        let mut connection = PgConnection::connect(&self.database).await.unwrap();
        sqlx::query_scalar(query).fetch_one(&mut connection).await.unwrap()
    }

    /// Where workers find it.
    pub fn port_to(&self, place: Place) -> Option<u16> {
        match place {
            Place::Database => (!self.is_embedded()).then(|| port_of(&self.seen.0)),
            Place::Broker => self.seen.1.as_deref().map(port_of),
            Place::Targets | Place::Effects => Some(self.proxies.get(&place).map_or(self.sandbox.addr().port(), Proxy::port)),
        }
    }

    /// The proxy before it.
    pub fn proxy(&self, place: Place) -> &Proxy {
        &self.proxies[&place]
    }

    /// Every proxy lets everything pass.
    pub fn heal(&self) {
        self.proxies.values().for_each(Proxy::heal);
    }

    /// The small disk under its database.
    pub fn disk(&self) -> &SmallDisk {
        self.servers.disk.as_ref().expect("a small disk")
    }

    /// Is a call to this path still handled? One that is never ended (its connection was cut) is given up after a while.
    pub fn is_called(&self, path: &str) -> bool {
        let young = |at_us: u64| self.since(at_us) < Duration::from_secs(10);
        !self.bank.calls(|call| call.path == path && call.took_us.is_none() && young(call.at_us)).is_empty()
    }

    /// How long ago the sandbox's ledger says that something was.
    pub fn since(&self, at_us: u64) -> Duration {
        self.begun.elapsed().saturating_sub(Duration::from_micros(at_us))
    }

    /// Where this process' own callers find the targets.
    pub fn targets(&self) -> String {
        self.sandbox.addr().to_string()
    }

    /// Effects of the connectors `keyed` and `plain` may take so long, for workers that are started from now on.
    pub fn effects_within(&self, timeout: &str) {
        let file = self.file("connectors.yaml");
        let text = fs::read_to_string(&file).unwrap();
        let (others, effects) = text.split_once("  keyed:").expect("the connectors for effects stand last");
        let line =
            |line: &str| if line.trim().starts_with("timeout:") { format!("    timeout: {timeout}") } else { line.to_owned() };
        let effects: Vec<String> = effects.lines().map(line).collect();
        fs::write(file, format!("{others}  keyed:{}\n", effects.join("\n"))).unwrap();
    }

    /// A file or folder of the workers' configuration.
    pub fn file(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }

    /// The configuration of a worker on this port, as variables.
    pub fn command(&self, arguments: &[&str], port: u16, settings: &[(&str, &str)]) -> Mozhao {
        let path = |name: &str| self.files.path().join(name).display().to_string();
        let mut command = Mozhao::new(arguments)
            .env("MOZHAO__DATABASE__URL", &self.seen.0)
            .env("MOZHAO__AMQP__PREFIX", &self.prefix)
            .env("MOZHAO__HTTP__LISTEN", format!("127.0.0.1:{port}"))
            .env("MOZHAO__PROCESSES", path("processes"))
            .env("MOZHAO__CONNECTORS", path("connectors.yaml"))
            .env("MOZHAO__WORKER__LEASE", format!("{}s", LEASE.as_secs()));
        if let Some(amqp) = &self.seen.1 {
            command = command.env("MOZHAO__AMQP__URL", amqp);
        }
        settings.iter().fold(command, |command, (name, value)| command.env(name, value))
    }

    /// A worker that is ready and consumes; the first one of a world also makes the sink.
    pub async fn worker(&mut self) -> Worker {
        self.worker_on(ports::free_port(), &[]).await
    }

    /// As [`Self::worker`], on this port and with these variables.
    pub async fn worker_on(&mut self, port: u16, settings: &[(&str, &str)]) -> Worker {
        let queue = format!("{}.requests", self.prefix);
        let others = match &self.amqp {
            Some(amqp) => broker::consumers(amqp, &queue).await,
            None => 0,
        };
        let mut worker = self.launch(port, settings);
        worker.process.wait_ready(port).await;
        if let Some(amqp) = self.amqp.clone() {
            let exchange = format!("{}.events", self.prefix);
            wait::until("the worker to declare its events", PATIENCE, || broker::has_exchange(&amqp, &exchange)).await;
            if self.sink.is_none() {
                self.sink = Some(Sink::declare(&amqp, &format!("{}-sink", self.prefix), Some(&exchange)).await);
            }
            wait::until("the worker to consume", PATIENCE, || async { broker::consumers(&amqp, &queue).await > others }).await;
            if let Some(rabbitmq) = &self.servers.rabbitmq {
                rabbitmq.settle().await;
            }
        }
        if self.idle.is_none() {
            self.idle = Some(rest::measure(self, &worker).await);
        }
        worker
    }

    /// A worker that was just started.
    pub fn launch(&self, port: u16, settings: &[(&str, &str)]) -> Worker {
        Worker { process: self.command(&["serve"], port, settings).start(), port }
    }

    /// A new token with these roles, and a reviewers' role.
    pub async fn token(&self, name: &str, role: &str, review_role: &str) -> String {
        let arguments = ["token", "create", name, "--role", role, "--review-role", review_role];
        let output = self.command(&arguments, 1, &[]).output().await;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// An administrator at this worker.
    pub async fn client(&self, worker: &Worker, name: &str) -> Client {
        Client::new(worker.port, &self.token(name, "admin", "identity").await).named(name, &self.posted)
    }

    /// Publishes requests; returns when all are confirmed.
    pub async fn publish(&self, messages: &[Message]) {
        broker::publish(self.amqp.as_ref().unwrap(), &format!("{}.requests", self.prefix), messages).await;
    }

    pub fn postgres(&mut self) -> &mut Postgres {
        self.servers.postgres.as_mut().expect("a database of its own")
    }

    pub fn rabbitmq(&mut self) -> &mut RabbitMq {
        self.servers.rabbitmq.as_mut().expect("a broker of its own")
    }

    /// The balance, if the database answers.
    pub async fn balance(&self) -> Option<Balance> {
        self.store.balance().await.ok()
    }

    /// Waits until the balance is as wanted.
    pub async fn until(&self, what: &str, deadline: Duration, wanted: impl Fn(&Balance) -> bool) -> Balance {
        let start = Instant::now();
        wait::until_some(what, deadline, || async {
            let balance = self.balance().await;
            assert!(start.elapsed() + Duration::from_millis(500) < deadline, "in vain: {what}; {balance:?}");
            balance.filter(&wanted)
        })
        .await
    }

    /// Waits until a request is as wanted.
    pub async fn request_until(&self, what: &str, id: &str, wanted: impl Fn(&RequestRow) -> bool) -> RequestRow {
        let id = Uuid::parse_str(id).unwrap();
        wait::until_some(what, PATIENCE, || async { self.store.request(id).await.ok().filter(&wanted) }).await
    }

    /// All requests, newest first.
    pub async fn requests(&self) -> Vec<RequestRow> {
        let (mut all, filter): (Vec<RequestRow>, _) = (Vec::new(), RequestFilter::default());
        loop {
            let page = self.store.requests(&filter, all.last().map(|row| row.id), 1_000).await.unwrap();
            if page.is_empty() {
                return all;
            }
            all.extend(page);
        }
    }
}

fn is_embedded(database: &str) -> bool {
    database.starts_with("sqlite:")
}

async fn sql(database: &str, statements: &str) {
    let statements = AssertSqlSafe(statements.to_owned());
    if is_embedded(database) {
        let mut connection = SqliteConnection::connect(database).await.unwrap();
        sqlx::raw_sql(statements).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    } else {
        let mut connection = PgConnection::connect(database).await.unwrap();
        sqlx::raw_sql(statements).execute(&mut connection).await.unwrap();
    }
}

/// The port in a URL.
fn port_of(url: &str) -> u16 {
    let after = url.rsplit_once(':').expect("a port").1;
    after.split('/').next().and_then(|port| port.parse().ok()).expect("a port")
}

/// The shipped processes and connectors, pointed at this sandbox; settle times that suit a test; and the tests' own.
fn write_files(files: &Folder, targets: u16, effects: u16) {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/");
    let target = files.path().join("processes");
    fs::create_dir(&target).unwrap();
    for folder in ["deploy/processes", "tests/e2e/processes"] {
        for entry in fs::read_dir(format!("{root}{folder}")).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            if path.extension().is_some_and(|extension| extension == "yaml") && !name.contains(".test.") {
                let text = fs::read_to_string(&path).unwrap();
                let text =
                    ["settle: 10s", "settle: 30s", "settle: 1m"].iter().fold(text, |text, long| text.replace(long, "settle: 1s"));
                fs::write(target.join(name), text).unwrap();
            }
        }
    }
    let mut connectors = fs::read_to_string(format!("{root}deploy/connectors.sandbox.yaml")).unwrap();
    connectors.push_str(&fs::read_to_string(format!("{root}tests/e2e/connectors.yaml")).unwrap());
    let connectors = connectors.replace(":9900/", &format!(":{targets}/")).replace(":9901/", &format!(":{effects}/"));
    let connectors = connectors.replace("open_for: 10s", "open_for: 2s");
    fs::write(files.path().join("connectors.yaml"), connectors).unwrap();
}
