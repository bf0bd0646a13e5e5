//! The `mozhao` program as a process of its own: started, watched through its logs and `/readyz`,
//! stopped, frozen, killed.

use std::collections::{BTreeMap, HashSet};
use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::{Command, ExitStatus, Output};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::child::{Folder, Running};
use super::{record, wait};

/// How long a worker may take to become ready (its bound is 5 s; a busy test machine is slower).
pub const READY: Duration = Duration::from_mins(1);

/// A command line of `mozhao` that is about to run, in a new temporary folder.
#[derive(Debug)]
pub struct Mozhao {
    command: Command,
    folder: Folder,
}

impl Mozhao {
    /// `mozhao ARGUMENTS`. The environment is the test's without any `MOZHAO_*` variable.
    pub fn new<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mozhao"));
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("MOZHAO_")) {
            command.env_remove(name);
        }
        let folder = Folder::new("process");
        command.args(arguments).current_dir(folder.path()).env("NO_COLOR", "1");
        Self { command, folder }
    }

    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Its folder: where it runs, and where a test may put its files. Removed at the end.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Runs it to its end; status, standard output and standard error.
    pub async fn output(self) -> Output {
        tokio::process::Command::from(self.command).kill_on_drop(true).output().await.expect("run mozhao")
    }

    /// Starts it in the background.
    pub fn start(self) -> Process {
        let running = Running::start(self.command, self.folder.path(), "mozhao");
        Process { running, folder: self.folder }
    }
}

/// What a process has open.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Open {
    /// Connections that others have made to it.
    pub callers: usize,
    /// Connections that it has made, by their port.
    pub servers: BTreeMap<u16, usize>,
    /// Whatever is no socket.
    pub files: Vec<String>,
}

/// A running `mozhao`. Killed with -9 on drop.
#[derive(Debug)]
pub struct Process {
    // Before the folder: fields drop in order.
    running: Running,
    folder: Folder,
}

impl Process {
    pub fn pid(&self) -> u32 {
        self.running.pid()
    }

    /// The folder it runs in.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Everything that it has written to standard output so far.
    pub fn stdout(&self) -> String {
        self.read("mozhao")
    }

    /// Everything that it has written to standard error so far: the logs.
    pub fn logs(&self) -> String {
        self.read("mozhao.err")
    }

    /// Waits for a line that contains `needle` on either output; that line.
    pub async fn wait_for_line(&mut self, needle: &str, deadline: Duration) -> String {
        let what = format!("a line with {needle:?} from mozhao");
        wait::until_some(&what, deadline, || {
            // Looked at before the outputs: what it wrote just before its end is still found.
            let ended = self.running.ended();
            let find = |text: String| text.lines().find(|line| line.contains(needle)).map(str::to_owned);
            let found = find(self.stdout()).or_else(|| find(self.logs()));
            if let (None, Some(status)) = (&found, ended) {
                panic!("mozhao ended ({status}) without {needle:?}:\n{}", self.folder.tail("mozhao.err"));
            }
            std::future::ready(found)
        })
        .await
    }

    /// Waits until `/readyz` on 127.0.0.1:`port` answers 200.
    pub async fn wait_ready(&mut self, port: u16) {
        if let Some(status) = self.ready_or_ended(port).await {
            panic!("mozhao ended before it was ready: {status}\n{}", self.folder.tail("mozhao.err"));
        }
    }

    /// Waits until it is ready, or has ended before that: then its exit status.
    pub async fn ready_or_ended(&mut self, port: u16) -> Option<ExitStatus> {
        let began = Instant::now();
        wait::until_some("mozhao to be ready", 2 * READY, || {
            let ended = self.running.ended();
            assert!(began.elapsed() < READY, "mozhao is not ready after {READY:?}:\n{}", self.folder.tail("mozhao.err"));
            async move {
                match ended {
                    Some(status) => Some(Some(status)),
                    None => (status(port, "/readyz").await == Some(200)).then_some(None),
                }
            }
        })
        .await
    }

    /// kill -9; returns when it is gone.
    pub fn kill(&mut self) {
        record::fault();
        self.running.kill();
    }

    /// Asks for an orderly stop (SIGTERM) without waiting for it.
    pub fn terminate(&self) {
        record::fault();
        self.running.signal("TERM");
    }

    /// SIGTERM, and its exit status within `deadline`.
    pub async fn stop(&mut self, deadline: Duration) -> ExitStatus {
        self.terminate();
        self.running.wait(deadline).await
    }

    /// Waits for its own end.
    pub async fn wait(&mut self, deadline: Duration) -> ExitStatus {
        self.running.wait(deadline).await
    }

    /// Freezes it (SIGSTOP): a worker that sleeps through its lease.
    pub fn freeze(&self) {
        record::fault();
        self.running.signal("STOP");
    }

    /// Ends [`Self::freeze`] (SIGCONT).
    pub fn thaw(&self) {
        self.running.signal("CONT");
    }

    /// Resident memory in bytes, now.
    pub fn resident_bytes(&self) -> u64 {
        self.memory("VmRSS:")
    }

    /// The most resident memory that it ever had, in bytes: a peak between two looks counts, too.
    pub fn highest_bytes(&self) -> u64 {
        self.memory("VmHWM:")
    }

    fn memory(&self, name: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("a running process");
        let line = status.lines().find(|line| line.starts_with(name)).expect("a field of that name");
        let kib: u64 = line.split_whitespace().nth(1).and_then(|word| word.parse().ok()).expect("a number of KiB");
        kib * 1024
    }

    /// What it has open: TCP connections to this port of its own and to others, and files.
    pub fn open(&self, port: u16) -> Open {
        let (mut sockets, mut files) = (HashSet::new(), Vec::new());
        for entry in fs::read_dir(format!("/proc/{}/fd", self.pid())).expect("a running process").flatten() {
            let Ok(target) = fs::read_link(entry.path()) else { continue };
            let target = target.to_string_lossy().into_owned();
            match target.strip_prefix("socket:[").and_then(|rest| rest.strip_suffix(']')) {
                Some(inode) => drop(sockets.insert(inode.to_owned())),
                None => files.push(target),
            }
        }
        let mut open = Open { files, ..Open::default() };
        let table = fs::read_to_string(format!("/proc/{}/net/tcp", self.pid())).expect("procfs");
        for line in table.lines().skip(1) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let port_of = |address: &str| address.rsplit(':').next().and_then(|hex| u16::from_str_radix(hex, 16).ok());
            let (Some(ours), Some(theirs)) = (port_of(fields[1]), port_of(fields[2])) else { continue };
            // 0A is a listener. While connections come and go the kernel's table may name one twice.
            if fields[3] == "0A" || !sockets.remove(fields[9]) {
                continue;
            }
            if ours == port { open.callers += 1 } else { *open.servers.entry(theirs).or_default() += 1 }
        }
        open
    }

    fn read(&self, file: &str) -> String {
        String::from_utf8_lossy(&fs::read(self.folder.path().join(file)).unwrap_or_default()).into_owned()
    }
}

/// The status of `GET path` on 127.0.0.1:`port`, if anything answers HTTP there within two seconds.
pub async fn status(port: u16, path: &str) -> Option<u16> {
    let ask = async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
        let head = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).await.ok()?;
        let mut start = [0_u8; 12]; // "HTTP/1.1 200"
        stream.read_exact(&mut start).await.ok()?;
        std::str::from_utf8(&start[9..]).ok()?.parse().ok()
    };
    tokio::time::timeout(Duration::from_secs(2), ask).await.ok().flatten()
}
