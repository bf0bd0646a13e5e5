//! `cargo run --example private-servers`: one private PostgreSQL and one private RabbitMQ, for a whole test
//! run (`tests/run.sh`) or for trying things by hand.
//!
//! Prints where they are as `NAME=VALUE` lines, then `ready`. Serves until its standard input ends or it
//! is interrupted: the input is a pipe held by the test script, so whatever way that ends, this notices.
//! Then it stops both servers and whatever tests that were killed themselves have left in the run's folder.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a small program for people and scripts")]
#![allow(dead_code, unreachable_pub, clippy::expect_used, clippy::panic, reason = "made of the tests' harness")]

mod child;
mod disk;
mod ports;
mod postgres;
mod rabbitmq;
mod record;
mod wait;

use std::path::Path;
use std::{fs, io, thread};

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let folder = std::env::var_os(child::RUN_DIR);
    let mut interrupt = signal(SignalKind::interrupt()).expect("listen for SIGINT");
    let mut terminate = signal(SignalKind::terminate()).expect("listen for SIGTERM");
    let stopped = async {
        tokio::select! {
            () = end_of_input() => {}
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    };
    tokio::select! {
        () = serve() => {}
        () = stopped => {}
    }
    // `serve` is dropped by now, and its servers with it.
    if let Some(folder) = folder {
        sweep(Path::new(&folder));
    }
}

/// Starts both side by side, says where they are, and never returns.
async fn serve() {
    let (postgres, rabbitmq) = tokio::join!(postgres::Postgres::start(), rabbitmq::RabbitMq::start());
    println!("{}={}", postgres::SHARED, postgres.url("postgres"));
    println!("{}={}", rabbitmq::SHARED, rabbitmq.url());
    println!("ready");
    std::future::pending::<()>().await;
}

/// Read in a thread that the runtime knows nothing of: it would wait for a reader of its own, and a server that did not start, or a
/// signal, would end nothing for as long as the script lives, which waits for us.
async fn end_of_input() {
    let (reading, ended) = oneshot::channel::<()>();
    thread::spawn(move || {
        drop(io::copy(&mut io::stdin(), &mut io::sink()));
        drop(reading);
    });
    drop(ended.await);
}

/// Kills the processes recorded under `run` that still live there, and removes their folders.
fn sweep(run: &Path) {
    for server in fs::read_dir(run).into_iter().flatten().flatten() {
        for file in fs::read_dir(server.path()).into_iter().flatten().flatten() {
            let path = file.path();
            if path.extension().is_none_or(|extension| extension != "pid") {
                continue;
            }
            let pid = fs::read_to_string(&path).ok().and_then(|text| text.parse().ok());
            if let Some(pid) = pid.filter(|pid| works_in(*pid, &server.path())) {
                eprintln!("still running, stopped now: {}", path.display());
                for pid in child::descendants(pid).into_iter().chain([pid]) {
                    child::signal_if_there("KILL", &pid.to_string());
                }
            }
        }
        let mount = server.path().join("mount");
        if is_mounted(&mount) {
            disk::unmount(&mount);
        }
        if let Err(error) = fs::remove_dir_all(server.path()) {
            eprintln!("cannot remove {}: {error}", server.path().display());
        }
    }
}

/// Whether a small disk (`disk.rs`) is still mounted there.
fn is_mounted(folder: &Path) -> bool {
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    mounts.lines().any(|line| line.split(' ').nth(1).is_some_and(|place| Path::new(place) == folder))
}

/// Whether the process has to do with the folder: a pid alone may by now be somebody else's.
fn works_in(pid: u32, folder: &Path) -> bool {
    let output = fs::read_link(format!("/proc/{pid}/fd/1"));
    child::alive(pid) && output.is_ok_and(|output| output.starts_with(folder))
}
