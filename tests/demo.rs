//! `mozhao demo` as somebody meets it who has just built it: what it prints is true, complete and safe to paste.

#![expect(clippy::unwrap_used, reason = "tests")]

mod harness;

use std::collections::BTreeMap;
use std::process::Output;
use std::time::Duration;

use harness::process::{Mozhao, Process};
use regex::Regex;
use serde_json::Value;

/// A demo in a slow build on a busy machine.
const PATIENCE: Duration = Duration::from_mins(2);

fn demo(arguments: &[&str]) -> Mozhao {
    let demo = Mozhao::new(["demo"].iter().chain(arguments));
    let folder = demo.folder().to_owned();
    // Its temporary folder lies in the test's own, where it can be seen to go.
    demo.env("TMPDIR", folder)
}

async fn run(arguments: &[&str]) -> Output {
    tokio::time::timeout(PATIENCE, demo(arguments).output()).await.unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The numbers of the balance line, by name, and whether it says that it holds.
fn balance(summary: &str) -> (BTreeMap<String, u64>, bool) {
    let line = summary.lines().find(|line| line.trim_start().starts_with("balance")).unwrap();
    let number = Regex::new(r"(accepted|done|refused|withdrawn|expired|open) (\d+)").unwrap();
    let numbers = number.captures_iter(line).map(|found| (found[1].to_owned(), found[2].parse().unwrap()));
    (numbers.collect(), line.ends_with(": holds"))
}

/// The commands of our own that a summary proposes.
fn proposed(summary: &str) -> Vec<String> {
    let commands = summary.lines().map(str::trim).filter(|line| line.starts_with("mozhao "));
    commands.map(str::to_owned).collect()
}

/// The words of a command, without the program's name.
fn words(command: &str) -> Vec<String> {
    let word = Regex::new(r#""([^"]*)"|(\S+)"#).unwrap();
    let words = word.captures_iter(command).skip(1);
    words.map(|found| found.get(1).or_else(|| found.get(2)).unwrap().as_str().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_demos_side_by_side() {
    let (run, other) =
        tokio::join!(run(&["--exit", "--requests", "60", "--seed", "3"]), run(&["--exit", "--requests", "60", "--seed", "4"]));
    let id_number = Regex::new(r"\b\d{17}[\dX]\b").unwrap();
    for output in [&run, &other] {
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(0), "{out}\n{err}");
        let (numbers, holds) = balance(&out);
        let of = |name: &str| numbers[name];
        assert!(holds, "{out}");
        assert_eq!(of("accepted"), 60, "{out}");
        assert_eq!(of("done") + of("refused") + of("withdrawn") + of("expired") + of("open"), 60, "{out}");
        for heading in ["settled with no person", "Refused, by clause", "In review, by question", "Parked", "The books"] {
            assert!(out.contains(heading), "{heading} is missing:\n{out}");
        }
        assert!(out.contains("signing_limit_minor is missing"), "the contract change is a defect with its parts:\n{out}");
        assert!(out.contains("parked under dependency core_banking, all came back by themselves"), "{out}");
        let once =
            format!("exactly once for each of {} done, none left of {} refused", of("done"), of("refused") + of("withdrawn"));
        assert!(out.contains(&once) && out.contains("or withdrawn: agrees"), "{out}");
        assert!(out.contains("every hash computed again: verified"), "{out}");
        assert!(!out.contains('\u{1b}') && !err.contains('\u{1b}'), "escape codes without a terminal:\n{out}\n{err}");
        assert!(err.contains("the bank's breaker has opened"), "{err}");
        // The one secret is the token, where it is needed.
        assert_eq!(out.matches("mz_").count(), 1, "{out}");
        assert_eq!(err.matches("mz_").count(), 0, "{err}");
        assert!(!id_number.is_match(&out) && !id_number.is_match(&err) && !out.contains("selfie:"), "{out}\n{err}");
    }
    // Another seed is another stream: other people.
    let people = |output: &Output| {
        let name = Regex::new(r"s   (\S.*) \((Unbind|Change|Close|Correct)").unwrap();
        let err = text(&output.stderr);
        name.captures_iter(&err).map(|found| found[1].to_owned()).collect::<Vec<_>>()
    };
    assert!(people(&run).len() > 5, "{}", text(&run.stderr));
    assert_ne!(people(&run), people(&other));
    assert!(people(&run).iter().chain(&people(&other)).any(|name| name.chars().any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c))));
    for command in proposed(&text(&run.stdout)) {
        let mut words = words(&command);
        words.push("--help".to_owned());
        let helped = Mozhao::new(&words).output().await;
        assert_eq!(helped.status.code(), Some(0), "{command}\n{}", text(&helped.stderr));
    }
}

/// What a visitor exports before the proposed commands.
fn exported(summary: &str, name: &str) -> String {
    let start = format!("export {name}=");
    summary.lines().find_map(|line| line.trim().strip_prefix(&start)).unwrap().to_owned()
}

/// Runs a proposed command as it stands.
async fn paste(summary: &str, command: &str) -> Output {
    let names = ["MOZHAO_URL", "MOZHAO_TOKEN", "MOZHAO_CONFIG"];
    let mozhao = names.iter().fold(Mozhao::new(words(command)), |mozhao, name| mozhao.env(name, exported(summary, name)));
    mozhao.output().await
}

/// A page of the demo's API.
async fn get(summary: &str, path: &str) -> Value {
    let call = reqwest::Client::builder().no_proxy().build().unwrap().get(exported(summary, "MOZHAO_URL") + path);
    call.bearer_auth(exported(summary, "MOZHAO_TOKEN")).send().await.unwrap().json().await.unwrap()
}

async fn summary(demo: &mut Process) -> String {
    // The last line of the last block of commands.
    demo.wait_for_line("/sandbox/effects", PATIENCE).await;
    demo.stdout()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_proposed_commands_do_what_they_say() {
    let mut demo = demo(&["--requests", "60", "--seed", "3"]).start();
    let summary = summary(&mut demo).await;
    let before = get(&summary, "/v1/balance").await;
    assert_ne!(before["parked"], 0, "{summary}");
    // The contract is mended first: a command that needs it would stop the group otherwise.
    let lift = summary.lines().find_map(|line| line.trim().strip_prefix("curl -X DELETE ")).unwrap();
    let lifted = reqwest::Client::builder().no_proxy().build().unwrap().delete(lift).send().await.unwrap();
    assert_eq!(lifted.status(), 204);
    for command in proposed(&summary) {
        let output = paste(&summary, &command).await;
        assert_eq!(output.status.code(), Some(0), "{command}\n{}\n{}", text(&output.stdout), text(&output.stderr));
        if command.starts_with("mozhao ledger verify") {
            assert!(text(&output.stdout).contains("every chain verifies"));
        }
    }
    harness::wait::until("the parked requests to come back", PATIENCE, || async {
        get(&summary, "/v1/balance").await["parked"] == 0
    })
    .await;
    let after = get(&summary, "/v1/balance").await;
    assert_eq!(after["holds"], true, "{after}");
    let ended = |balance: &Value| balance["done"].as_u64().unwrap();
    // The review that was approved, and whoever was parked and has nothing else in the way.
    assert!(ended(&after) > ended(&before), "{before}\n{after}");
    // Before the summary the first outcome of each of the four processes is told, afterwards every one.
    harness::wait::until_true("what happens after the summary to be told", PATIENCE, || {
        demo.logs().matches("done, and seen to be done").count() > 4
    })
    .await;
    let left = std::fs::read_dir(demo.folder()).unwrap().filter_map(Result::ok);
    let left: Vec<_> = left.filter(|entry| entry.file_name().to_string_lossy().starts_with("mozhao-demo-")).collect();
    assert_eq!(left.len(), 1);
    assert_eq!(demo.stop(PATIENCE).await.code(), Some(0), "{}", demo.logs());
    assert!(!left[0].path().exists(), "its folder is left behind");
}
