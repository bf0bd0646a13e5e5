//! A child process in a folder of its own: recorded when it starts, and certainly gone afterwards.
//!
//! The pid is written to `FOLDER/LOG.pid` at once, so that `tests/run.sh` can end it even if this process
//! is killed (its private-servers program sweeps the run's folder, see `shared.rs`). The child gets
//! its own process group: a Ctrl-C in the terminal reaches the test runner, not the servers, and one
//! signal reaches a server's own children too.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::wait;

/// Folder under which all servers of a test run live; set by `tests/run.sh`.
pub const RUN_DIR: &str = "MOZHAO_TEST_DIR";

/// A temporary folder, removed on drop.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// A new folder `NAME-PID-N` under the run's folder, or under the system's temporary folder.
    pub fn new(name: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let parent = std::env::var_os(RUN_DIR).map_or_else(std::env::temp_dir, PathBuf::from);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = parent.join(format!("mozhao-{name}-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).expect("create a temporary folder");
        // A server that runs as another user must be able to pass through.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o711)).expect("chmod");
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The last lines of a file in the folder, for a message.
    pub fn tail(&self, file: &str) -> String {
        let text = fs::read(self.0.join(file)).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(25)..].join("\n")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if std::thread::panicking() && std::env::var_os("MOZHAO_TEST_KEEP").is_some() {
            eprintln!("kept: {}", self.0.display());
        } else if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("cannot remove {}: {error}", self.0.display());
        }
    }
}

/// A running child; killed with its whole process group on drop.
#[derive(Debug)]
pub struct Running {
    child: Child,
    record: PathBuf,
}

impl Running {
    /// Starts `command` in its own process group; stdout and stderr are appended to `FOLDER/LOG` and `FOLDER/LOG.err`.
    pub fn start(mut command: Command, folder: &Path, log: &str) -> Self {
        let open = |name: String| File::options().create(true).append(true).open(folder.join(name)).expect("open a log");
        let child = command
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(open(log.to_owned()))
            .stderr(open(format!("{log}.err")))
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {}: {error}", command.get_program().display()));
        let record = folder.join(format!("{log}.pid"));
        fs::write(&record, child.id().to_string()).expect("record the pid");
        Self { child, record }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its exit status if it has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("wait for a child")
    }

    /// Sends a signal to the process itself (`TERM`, `INT`, `STOP`, …), not to its group.
    pub fn signal(&self, name: &str) {
        signal(name, &self.child.id().to_string());
    }

    /// kill -9 of the process and all its descendants; returns when they are gone.
    ///
    /// Frozen first, so that it can neither start another child nor clean up after one: PostgreSQL's
    /// backends are in sessions of their own, and hold its shared memory until the last one is dead.
    pub fn kill(&mut self) {
        if self.ended().is_some() {
            return;
        }
        self.signal("STOP");
        let family = descendants(self.child.id());
        for pid in &family {
            // One that has ended by itself meanwhile is as good.
            signal_if_there("KILL", &pid.to_string());
        }
        self.signal("KILL");
        self.child.wait().expect("wait for a killed child");
        let start = Instant::now();
        while family.iter().any(|pid| alive(*pid)) {
            assert!(start.elapsed() < Duration::from_secs(10), "survived kill -9: {family:?}");
            std::thread::yield_now();
        }
    }

    /// Waits for its end, no longer than `deadline`.
    pub async fn wait(&mut self, deadline: Duration) -> ExitStatus {
        let what = format!("process {} to end", self.pid());
        wait::until_some(&what, deadline, || std::future::ready(self.ended())).await
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
        if let Err(error) = fs::remove_file(&self.record) {
            eprintln!("cannot remove {}: {error}", self.record.display());
        }
    }
}

/// All processes below `pid`, by the parent that procfs names.
pub fn descendants(pid: u32) -> Vec<u32> {
    let mut parents = Vec::new();
    for entry in fs::read_dir("/proc").expect("procfs").flatten() {
        let Some(child) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        if let Some((_, parent)) = state_and_parent(child) {
            parents.push((child, parent));
        }
    }
    let mut family = vec![pid];
    let mut next = 0;
    while next < family.len() {
        let parent = family[next];
        family.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(child, _)| *child));
        next += 1;
    }
    family.split_off(1)
}

/// Whether the process exists and is more than a zombie that its parent has not yet noticed.
pub fn alive(pid: u32) -> bool {
    state_and_parent(pid).is_some_and(|(state, _)| state != 'Z')
}

/// Whether the process exists and is stopped by a signal.
pub fn stopped(pid: u32) -> bool {
    state_and_parent(pid).is_some_and(|(state, _)| state == 'T')
}

/// The third and fourth field of `/proc/PID/stat`; the second, a name in parentheses, may hold anything.
fn state_and_parent(pid: u32) -> Option<(char, u32)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}

/// `kill -s NAME TARGET` by the shell's builtin: the library forbids unsafe code, and a minimal system has no kill program.
fn signal(name: &str, target: &str) {
    assert!(signal_if_there(name, target), "kill -s {name} {target} failed");
}

/// As [`signal`]; false if there is no such process.
pub fn signal_if_there(name: &str, target: &str) -> bool {
    let mut shell = Command::new("sh");
    shell.args(["-c", r#"kill -s "$0" -- "$1" 2>/dev/null"#, name, target]);
    shell.status().expect("run sh").success()
}
