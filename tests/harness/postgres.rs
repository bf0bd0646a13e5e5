//! Private PostgreSQL clusters: real, with fsync, on a port of their own, made in a temporary folder.

use std::fs;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection, PgConnection};

use super::child::{Folder, Running};
use super::{ports, record, wait};

/// URL of a running server (its `postgres` database) that tests may create databases on.
pub const SHARED: &str = "MOZHAO_TEST_POSTGRES";

/// How long a server may take to accept connections, recovery after kill -9 included.
const START: Duration = Duration::from_mins(1);

/// Memory for the pages of tables and indexes.
const BUFFERS: &str = "64MB";

/// A cluster of this test alone. Stopped and removed on drop.
#[derive(Debug)]
pub struct Postgres {
    // Before the folder: fields drop in order, and the server must be gone first.
    running: Option<Running>,
    port: u16,
    owner: Option<(u32, u32)>,
    data: PathBuf,
    buffers: &'static str,
    folder: Folder,
}

impl Postgres {
    /// Makes and starts a cluster.
    pub async fn start() -> Self {
        Self::start_at(None, BUFFERS).await
    }

    /// As [`Self::start`], with its data in this folder, which somebody else removes: a small disk, say.
    pub async fn start_on(folder: &Path) -> Self {
        Self::start_at(Some(folder), BUFFERS).await
    }

    /// As [`Self::start`], with so much memory for the pages of tables and indexes (`512MB`): a large database.
    pub async fn start_large(buffers: &'static str) -> Self {
        Self::start_at(None, buffers).await
    }

    async fn start_at(disk: Option<&Path>, buffers: &'static str) -> Self {
        let folder = Folder::new("postgres");
        let owner = unprivileged();
        if let Some((uid, gid)) = owner {
            for folder in [Some(folder.path()), disk].into_iter().flatten() {
                chown(folder, Some(uid), Some(gid)).expect("chown the cluster's folder");
            }
        }
        let data = disk.unwrap_or(folder.path()).join("data");
        let mut initdb = program("initdb", owner);
        initdb.args(["-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync", "-D"]);
        // Small pieces of log: a small disk holds few of them.
        initdb.arg(&data).args(disk.map(|_| "--wal-segsize=1"));
        let made = initdb.output().expect("run initdb");
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        let mut server = Self { running: None, port: ports::free_port(), owner, data, buffers, folder };
        server.restart().await;
        server
    }

    /// URL of the `postgres` database, or of the one named.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The postmaster's process; every other one of the server is below it.
    pub fn pid(&self) -> u32 {
        self.running.as_ref().expect("running").pid()
    }

    /// kill -9 of the postmaster and all its backends.
    pub fn kill(&mut self) {
        record::fault();
        if let Some(mut running) = self.running.take() {
            running.kill();
        }
    }

    /// A fast shutdown, as an operator would do it: clients are disconnected, nothing is lost.
    pub async fn stop(&mut self) {
        record::fault();
        if let Some(mut running) = self.running.take() {
            running.signal("INT");
            running.wait(START).await;
        }
    }

    /// Freezes (SIGSTOP) the postmaster: new connections hang, running backends go on.
    pub fn freeze(&self) {
        record::fault();
        self.running.as_ref().expect("running").signal("STOP");
    }

    /// Ends [`Self::freeze`].
    pub fn thaw(&self) {
        self.running.as_ref().expect("running").signal("CONT");
    }

    /// Starts the server on the same data and port, and waits until it answers a query.
    pub async fn restart(&mut self) {
        let mut command = program("postgres", self.owner);
        command.arg("-D").arg(&self.data);
        command.arg("-k").arg(self.folder.path());
        command.args(["-h", "127.0.0.1", "-p", &self.port.to_string()]);
        for setting in ["fsync=on", "max_connections=200", &format!("shared_buffers={}", self.buffers)] {
            command.args(["-c", setting]);
        }
        let mut running = Running::start(command, self.folder.path(), "postgres");
        let url = self.url("postgres");
        wait::until("PostgreSQL to accept connections", START, || {
            if let Some(status) = running.ended() {
                panic!("postgres ended: {status}\n{}", self.folder.tail("postgres.err"));
            }
            answers(&url)
        })
        .await;
        self.running = Some(running);
    }

    /// Waits until it answers; starts it again if it has ended by itself, or ends while it recovers.
    pub async fn ensure_running(&mut self) {
        let url = self.url("postgres");
        let running = &mut self.running;
        let ended = wait::until_some("PostgreSQL to answer or to end", START, || {
            let ended = running.as_mut().is_none_or(|running| running.ended().is_some());
            let url = &url;
            async move { if ended { Some(true) } else { answers(url).await.then_some(false) } }
        })
        .await;
        if ended {
            self.running = None;
            self.restart().await;
        }
    }

    /// A new, empty database on this server: its URL.
    pub async fn create_database(&self) -> String {
        create_database(&self.url("postgres")).await
    }
}

/// A fresh database for one test.
#[derive(Debug)]
pub struct Database {
    url: String,
    admin: String,
    // Kept so that a server started for this test alone lives as long as its database.
    server: Option<Postgres>,
}

impl Database {
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Database {
    /// Drops the database of a shared server: hundreds of tests would fill the disk with them.
    fn drop(&mut self) {
        if self.server.is_some() {
            return;
        }
        let name = self.url.rsplit('/').next().expect("a database name").to_owned();
        let statement = format!(r#"DROP DATABASE "{name}" WITH (FORCE)"#);
        let done = program("psql", None).args(["-X", "-q", "-c", &statement, &self.admin]).output();
        if !done.is_ok_and(|output| output.status.success()) {
            eprintln!("cannot drop the test database {name}");
        }
    }
}

/// A fresh database, on the run's shared server if there is one, else on a server of its own.
pub async fn database() -> Database {
    let (admin, server) = if let Ok(url) = std::env::var(SHARED) {
        (url, None)
    } else {
        let server = Postgres::start().await;
        (server.url("postgres"), Some(server))
    };
    Database { url: create_database(&admin).await, admin, server }
}

async fn create_database(admin: &str) -> String {
    let name = format!("t_{}", uuid::Uuid::now_v7().simple());
    let mut connection = PgConnection::connect(admin).await.expect("connect to the test server");
    let statement = AssertSqlSafe(format!("CREATE DATABASE {name} TEMPLATE template0"));
    sqlx::query(statement).execute(&mut connection).await.expect("create a database");
    connection.close().await.expect("close");
    let (server, _) = admin.rsplit_once('/').expect("a URL with a database");
    format!("{server}/{name}")
}

async fn answers(url: &str) -> bool {
    match PgConnection::connect(url).await {
        Ok(connection) => connection.close().await.is_ok(),
        Err(_) => false,
    }
}

/// A program of the newest installed PostgreSQL, to be run by `owner`.
fn program(name: &str, owner: Option<(u32, u32)>) -> Command {
    let mut command = Command::new(bin_folder().join(name));
    if let Some((uid, gid)) = owner {
        command.uid(uid).gid(gid);
    }
    // The caller's folder may be closed to that user.
    command.current_dir("/").env("LC_ALL", "C.UTF-8");
    command
}

/// Debian keeps the servers' programs out of PATH, in a folder per version.
fn bin_folder() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = versions
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter(|version| Path::new(&format!("/usr/lib/postgresql/{version}/bin/initdb")).exists())
        .max();
    if let Some(version) = newest {
        return PathBuf::from(format!("/usr/lib/postgresql/{version}/bin"));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .find(|folder| folder.join("initdb").exists())
        .expect("PostgreSQL's programs (initdb) are not installed: `make test` installs them")
}

/// PostgreSQL refuses to run as root: the user and group to become then.
fn unprivileged() -> Option<(u32, u32)> {
    use std::os::unix::fs::MetadataExt;
    if fs::metadata("/proc/self").expect("procfs").uid() != 0 {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").expect("read the users");
    let ids = |name: &str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    Some(ids("postgres").or_else(|| ids("nobody")).expect("a user postgres or nobody"))
}
