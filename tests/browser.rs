//! The console in a real browser, over a running demo: what people see, with and without scripts, and whether everybody can
//! use it. What is done there stands in `tests/browser/run.mjs`; this starts the demo, the browser's libraries and the script.
//!
//! `CONSOLE_PICTURES=deploy/screenshots` keeps pictures of the main pages, of a demo that took its time: a plot of what happened
//! within ten seconds shows nothing. It takes a quarter of an hour.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests stop at the first surprise")]

mod harness;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use harness::process::Mozhao;
use regex::Regex;
use tokio::process::Command;

/// How long the demo may take until its summary, and how long the one of the pictures is at work.
const DEMO: Duration = Duration::from_mins(3);
const DEMO_OF_PICTURES: u64 = 10;
/// How long the browser may take for everything.
const BROWSER: Duration = Duration::from_mins(8);

const NPM: &str = "npm ci in tests/browser, which fetches playwright-core and axe-core by its lock file (it needs the npm registry, once; \
                   where there is none, bring tests/browser/node_modules from a machine that has it)";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser")
}

/// Runs a program to its end; what it printed.
async fn run(command: &mut Command, most: Duration, what: &str) -> String {
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output();
    let output = tokio::time::timeout(most, output).await;
    let output = output.unwrap_or_else(|_| panic!("{what} took longer than {most:?}"));
    let output = output.unwrap_or_else(|error| panic!("{what}: {error}; tests/run.sh installs what it needs"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{what}: {}\n{text}", output.status);
    text
}

/// The libraries of the lock file, where they are not there yet.
async fn libraries() {
    if folder().join("node_modules/playwright-core/package.json").exists()
        && folder().join("node_modules/axe-core/package.json").exists()
    {
        return;
    }
    run(Command::new("npm").arg("ci").current_dir(folder()), Duration::from_mins(3), NPM).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_console_in_a_browser() {
    libraries().await;
    let pictures = std::env::var_os("CONSOLE_PICTURES");
    let over = format!("{DEMO_OF_PICTURES}m");
    let (how, patience) = match &pictures {
        None => (vec!["--requests", "150"], DEMO),
        Some(_) => (vec!["--requests", "260", "--over", &over], DEMO + Duration::from_mins(DEMO_OF_PICTURES)),
    };
    let demo = Mozhao::new(["demo", "--seed", "5"].into_iter().chain(how));
    let home = demo.folder().to_owned();
    let mut demo = demo.env("TMPDIR", &home).start();
    demo.wait_for_line("mozhao doctor", patience).await;
    let summary = demo.stdout();
    let found = |pattern: &str| Regex::new(pattern).unwrap().captures(&summary).expect("in the summary")[1].to_owned();
    let url = found(r"export MOZHAO_URL=(\S+)");
    let sandbox = found(r"DELETE (\S+)/sandbox/faults");
    let config = found(r"export MOZHAO_CONFIG=(\S+)");
    let mut browser = Command::new("node");
    browser.arg("run.mjs").current_dir(folder()).env("CONSOLE_URL", url).env("SANDBOX_URL", sandbox);
    browser.env("MOZHAO", env!("CARGO_BIN_EXE_mozhao")).env("MOZHAO_CONFIG", config);
    if let Some(pictures) = pictures {
        browser.env("CONSOLE_PICTURES", Path::new(env!("CARGO_MANIFEST_DIR")).join(pictures));
    }
    let text = run(&mut browser, BROWSER, "the browser").await;
    println!("{text}");
    assert!(text.matches("ok   ").count() >= 12, "{text}");
}
