//! What is measured: the worker, started as an operator would, on files of the benchmark's own; or the floor.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};

use super::floor::{self, FLOOR};
use super::harness::child::{Folder, Running};
use super::harness::{ports, process, wait};
use super::http::Connection;

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/data");
const LOG: &str = "program";
const ERRORS: &str = "program.err";
const READY: Duration = Duration::from_mins(1);

/// What is started.
#[derive(Debug, Clone)]
pub(crate) enum Program {
    /// The minimal program.
    Floor,
    /// A build of the worker.
    Mozhao(PathBuf),
}

/// A running program under measurement.
pub(crate) struct Worker {
    // Before the folder: fields drop in order.
    running: Running,
    /// Where its HTTP interface listens; the floor has none.
    pub port: u16,
    settings: Vec<(String, String)>,
    program: Program,
    folder: Folder,
}

/// What it runs on.
pub(crate) enum Servers {
    /// A database file in the worker's folder.
    Sqlite,
    /// PostgreSQL and RabbitMQ.
    Both {
        /// The database.
        postgres: String,
        /// The broker.
        rabbitmq: String,
        /// `amqp.prefix`.
        prefix: String,
    },
}

/// What the committer has done.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Commits {
    /// Transactions.
    pub batches: f64,
    /// Writes in them.
    pub writes: f64,
}

impl Worker {
    /// Starts `program` and waits until it is ready.
    pub(crate) async fn start(program: &Program, servers: &Servers, target: &str) -> anyhow::Result<Worker> {
        match program {
            Program::Floor => Worker::start_floor(servers, target),
            Program::Mozhao(path) => Worker::start_mozhao(path, servers, target).await,
        }
    }

    /// It is ready once its names are on the broker, which the front end waits for.
    fn start_floor(servers: &Servers, target: &str) -> anyhow::Result<Worker> {
        let Servers::Both { postgres, rabbitmq, prefix } = servers else { bail!("the floor needs both servers") };
        let (postgres, rabbitmq) = (postgres.clone(), rabbitmq.clone());
        let settings = floor::Settings { postgres, rabbitmq, prefix: prefix.clone(), target: target.to_owned() };
        let folder = Folder::new("bench");
        let mut command = Command::new(std::env::current_exe()?);
        command.current_dir(folder.path()).env(FLOOR, serde_json::to_string(&settings)?);
        let running = Running::start(command, folder.path(), LOG);
        Ok(Worker { running, port: 0, settings: Vec::new(), program: Program::Floor, folder })
    }

    async fn start_mozhao(program: &Path, servers: &Servers, target: &str) -> anyhow::Result<Worker> {
        let folder = Folder::new("bench");
        let port = ports::free_port();
        let set = |name: &str, value: String| (format!("MOZHAO__{name}"), value);
        let mut settings = vec![
            ("BENCH_TARGET".to_owned(), target.to_owned()),
            set("HTTP__LISTEN", format!("127.0.0.1:{port}")),
            set("PROCESSES", format!("{DATA}/processes")),
            set("CONNECTORS", format!("{DATA}/connectors.yaml")),
        ];
        match servers {
            Servers::Sqlite => settings.push(set("DATABASE__URL", format!("sqlite://{}/bench.db", folder.path().display()))),
            Servers::Both { postgres, rabbitmq, prefix } => {
                settings.push(set("DATABASE__URL", postgres.clone()));
                settings.push(set("AMQP__URL", rabbitmq.clone()));
                settings.push(set("AMQP__PREFIX", prefix.clone()));
            }
        }
        let mut command = Command::new(program);
        command.arg("serve").current_dir(folder.path()).env("NO_COLOR", "1").envs(settings.iter().cloned());
        let running = Running::start(command, folder.path(), LOG);
        let mut worker = Worker { running, port, settings, program: Program::Mozhao(program.to_owned()), folder };
        let ready = wait::until_some("the worker to be ready", READY, || {
            let ended = worker.running.ended();
            async move {
                match (ended, process::status(port, "/readyz").await) {
                    (None, Some(200)) => Some(true),
                    (None, _) => None,
                    (Some(_), _) => Some(false),
                }
            }
        });
        let ready = ready.await;
        ensure!(ready, "the worker ended:\n{}", worker.folder.tail(ERRORS));
        Ok(worker)
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.running.pid()
    }

    /// Makes a token for sending requests.
    pub(crate) fn token(&self) -> anyhow::Result<String> {
        let Program::Mozhao(program) = &self.program else { bail!("the floor has no tokens") };
        let mut command = Command::new(program);
        command.args(["token", "create", "bench", "--role", "submitter"]).current_dir(self.folder.path());
        let made = command.envs(self.settings.iter().cloned()).stderr(Stdio::inherit()).output()?;
        ensure!(made.status.success(), "no token could be made");
        Ok(String::from_utf8(made.stdout)?.trim().to_owned())
    }

    /// What the committer has done so far, from `/metrics`.
    pub(crate) async fn commits(&self) -> anyhow::Result<Commits> {
        if let Program::Floor = self.program {
            return Ok(Commits::default());
        }
        // A page is good for two seconds, and we may have asked just before.
        tokio::time::sleep(Duration::from_millis(2100)).await;
        let mut connection = Connection::open(([127, 0, 0, 1], self.port).into()).await?;
        let (status, page) = connection.call(b"GET /metrics HTTP/1.1\r\nHost: bench\r\n\r\n").await?;
        ensure!(status == 200, "/metrics answered {status}");
        let page = String::from_utf8(page)?;
        let value = |name: &str| -> anyhow::Result<f64> {
            let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            Ok(line.with_context(|| format!("/metrics has no {name}"))?.trim().parse()?)
        };
        Ok(Commits { batches: value("mozhao_commit_batch_count")?, writes: value("mozhao_commit_batch_sum")? })
    }

    /// Stops it in order.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        self.running.signal("TERM");
        let status = self.running.wait(Duration::from_secs(30)).await;
        if !status.success() {
            bail!("the worker ended with {status}:\n{}", self.folder.tail(ERRORS));
        }
        Ok(())
    }
}
