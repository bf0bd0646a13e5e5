//! One test's world: database, broker, sandbox in this process, workers as processes of their own.
//!
//! The worlds of one test program come one after the other: several of them at once would measure each other's load.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use mozhao::engine::ports::records::{Balance, RequestFilter, RequestRow};
use mozhao::engine::ports::store::Store;
use mozhao::sandbox::{Handle, Sandbox};
use mozhao::store::{Role, open};
use sqlx::{Connection as _, PgConnection};
use tokio::sync::{Mutex, MutexGuard};
use uuid::Uuid;

use super::broker::{self, Message, Sink};
use super::client::Client;
use crate::harness::child::Folder;
use crate::harness::postgres::{self, Database, Postgres};
use crate::harness::process::{Mozhao, Process};
use crate::harness::rabbitmq::{self, Broker, RabbitMq};
use crate::harness::{ports, wait};

/// The lease of every worker here: the shortest that the configuration takes.
pub const LEASE: Duration = Duration::from_secs(3);
/// How long a busy machine may take for what should take seconds.
pub const PATIENCE: Duration = Duration::from_mins(1);

static ALONE: Mutex<()> = Mutex::const_new(());

/// Written by triggers: a ledger moved, or an event was written, by a worker whose row was gone.
const FENCE: &str = "
    CREATE TABLE e2e_fence (what TEXT NOT NULL, worker UUID, request UUID);
    CREATE FUNCTION e2e_moved() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF NEW.seq <> OLD.seq AND NOT EXISTS (SELECT 1 FROM workers WHERE id = OLD.owner) THEN
            INSERT INTO e2e_fence VALUES ('ledger', OLD.owner, OLD.id);
        END IF;
        RETURN NULL;
    END $$;
    CREATE FUNCTION e2e_sent() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF NOT EXISTS (SELECT 1 FROM workers WHERE id = NEW.worker) THEN
            INSERT INTO e2e_fence VALUES ('event', NEW.worker, (SELECT request FROM outbox WHERE id = NEW.id));
        END IF;
        RETURN NULL;
    END $$;
    CREATE TRIGGER e2e_moved AFTER UPDATE ON requests FOR EACH ROW EXECUTE FUNCTION e2e_moved();
    CREATE TRIGGER e2e_sent AFTER INSERT ON unpublished FOR EACH ROW EXECUTE FUNCTION e2e_sent();";

/// Where the servers of a world come from.
enum Servers {
    /// The run's shared ones (or, without a run, ones that nobody kills).
    Shared { _database: Database, _broker: Broker },
    /// Its own, to be killed.
    Own { postgres: Postgres, rabbitmq: RabbitMq },
    /// None: SQLite, no broker.
    Embedded,
}

/// Everything that a case needs. Workers are the case's own and must be dropped before it.
pub struct World {
    servers: Servers,
    pub database: String,
    pub amqp: Option<String>,
    pub prefix: String,
    pub store: Arc<dyn Store>,
    pub bank: Handle,
    _sandbox: Sandbox,
    files: Folder,
    /// Hears every event; declared with the first worker.
    pub sink: Option<Sink>,
    _alone: MutexGuard<'static, ()>,
}

/// A running worker.
pub struct Worker {
    pub process: Process,
    pub port: u16,
}

impl World {
    /// On the run's servers, with a fresh database and fresh names.
    pub async fn shared() -> World {
        let alone = ALONE.lock().await;
        let (database, broker) = (postgres::database().await, rabbitmq::broker().await);
        let (url, amqp, prefix) = (database.url().to_owned(), broker.url.clone(), broker.prefix.clone());
        World::on(Servers::Shared { _database: database, _broker: broker }, url, Some(amqp), prefix, alone).await
    }

    /// On servers of its own.
    pub async fn own() -> World {
        let alone = ALONE.lock().await;
        let (postgres, rabbitmq) = tokio::join!(Postgres::start(), RabbitMq::start());
        let (url, amqp) = (postgres.create_database().await, rabbitmq.url());
        World::on(Servers::Own { postgres, rabbitmq }, url, Some(amqp), "mozhao".to_owned(), alone).await
    }

    /// On a SQLite file, without a broker.
    pub async fn embedded() -> World {
        let alone = ALONE.lock().await;
        let file = Folder::new("sqlite");
        let url = format!("sqlite://{}", file.path().join("mozhao.db").display());
        World::at(Servers::Embedded, url, None, "mozhao".to_owned(), file, alone).await
    }

    async fn on(
        servers: Servers,
        database: String,
        amqp: Option<String>,
        prefix: String,
        alone: MutexGuard<'static, ()>,
    ) -> World {
        World::at(servers, database, amqp, prefix, Folder::new("e2e"), alone).await
    }

    async fn at(
        servers: Servers,
        database: String,
        amqp: Option<String>,
        prefix: String,
        files: Folder,
        alone: MutexGuard<'static, ()>,
    ) -> World {
        let sandbox = Sandbox::start(([127, 0, 0, 1], 0).into()).await.unwrap();
        write_files(&files, &sandbox);
        let store = open::open(&database, Role::Tool).await.unwrap();
        if amqp.is_some() {
            let mut connection = PgConnection::connect(&database).await.unwrap();
            sqlx::raw_sql(FENCE).execute(&mut connection).await.unwrap();
        }
        let bank = sandbox.handle().clone();
        World { servers, database, amqp, prefix, store, bank, _sandbox: sandbox, files, sink: None, _alone: alone }
    }

    /// The configuration of a worker on this port, as variables.
    fn command(&self, arguments: &[&str], port: u16, settings: &[(&str, &str)]) -> Mozhao {
        let path = |name: &str| self.files.path().join(name).display().to_string();
        let mut command = Mozhao::new(arguments)
            .env("MOZHAO__DATABASE__URL", &self.database)
            .env("MOZHAO__AMQP__PREFIX", &self.prefix)
            .env("MOZHAO__HTTP__LISTEN", format!("127.0.0.1:{port}"))
            .env("MOZHAO__PROCESSES", path("processes"))
            .env("MOZHAO__CONNECTORS", path("connectors.yaml"))
            .env("MOZHAO__WORKER__LEASE", format!("{}s", LEASE.as_secs()));
        if let Some(amqp) = &self.amqp {
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
            if let Servers::Own { rabbitmq, .. } = &self.servers {
                rabbitmq.settle().await;
            }
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
        Client::new(worker.port, &self.token(name, "admin", "identity").await)
    }

    /// Publishes requests; returns when all are confirmed.
    pub async fn publish(&self, messages: &[Message]) {
        broker::publish(self.amqp.as_ref().unwrap(), &format!("{}.requests", self.prefix), messages).await;
    }

    pub fn postgres(&mut self) -> &mut Postgres {
        let Servers::Own { postgres, .. } = &mut self.servers else { panic!("the servers are shared") };
        postgres
    }

    pub fn rabbitmq(&mut self) -> &mut RabbitMq {
        let Servers::Own { rabbitmq, .. } = &mut self.servers else { panic!("the servers are shared") };
        rabbitmq
    }

    /// The balance, if the database answers.
    pub async fn balance(&self) -> Option<Balance> {
        self.store.balance().await.ok()
    }

    /// Waits until the balance is as wanted.
    pub async fn until(&self, what: &str, deadline: Duration, wanted: impl Fn(&Balance) -> bool) -> Balance {
        let start = std::time::Instant::now();
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

    /// What the fence's triggers saw.
    pub async fn fence_breaches(&self) -> i64 {
        let mut connection = PgConnection::connect(&self.database).await.unwrap();
        sqlx::query_scalar("SELECT COUNT(*) FROM e2e_fence").fetch_one(&mut connection).await.unwrap()
    }
}

/// The shipped processes and connectors, pointed at this sandbox; settle times that suit a test; and the tests' own.
fn write_files(files: &Folder, sandbox: &Sandbox) {
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
    let at = sandbox.addr().to_string();
    fs::write(files.path().join("connectors.yaml"), connectors.replace("127.0.0.1:9900", &at)).unwrap();
}
