//! What opens the database itself: `migrate`, `token create`, `ledger verify`, `doctor`; and the sandbox.

use std::io::Write as _;
use std::process::Stdio;
use std::time::Duration;

use super::harness::process::Mozhao;
use super::program::{Ran, command, folder, run, shipped, write};

const URL: &str = "sqlite://mozhao.db";

#[test]
fn a_database_is_made_once_and_looking_makes_none() {
    let folder = folder();
    let check = run(folder.path(), &["migrate", "--check"]);
    assert_eq!((check.code, check.out), (7, format!("there is no database {URL} yet\n")));
    let verify = run(folder.path(), &["ledger", "verify"]);
    assert_eq!((verify.code, verify.err.lines().next()), (3, Some("error: there is no database sqlite://mozhao.db yet")));
    assert!(!folder.path().join("mozhao.db").exists(), "whoever only looks makes no file");
    let first = run(folder.path(), &["migrate"]);
    assert_eq!((first.code, first.out), (0, format!("made {URL}\n")), "{}", first.err);
    let again = run(folder.path(), &["migrate", "--json"]);
    assert_eq!((again.code, again.json()["state"].clone()), (0, "current".into()));
    assert_eq!(run(folder.path(), &["migrate", "--check"]).code, 0);
    let verify = run(folder.path(), &["ledger", "verify"]);
    assert_eq!((verify.code, verify.out.as_str()), (0, "0 requests, 0 entries: every chain verifies\n"));
}

#[test]
fn a_token_is_made_without_a_server_and_shown_once() {
    let folder = folder();
    let none = run(folder.path(), &["token", "create", "web-app", "--role", "submitter"]);
    assert_eq!((none.code, none.out.as_str()), (3, ""), "a tool makes no database: {}", none.err);
    assert!(none.err.contains("`mozhao migrate`") && !folder.path().join("mozhao.db").exists(), "{}", none.err);
    assert_eq!(run(folder.path(), &["migrate"]).code, 0);
    let made = run(folder.path(), &["token", "create", "web-app", "--role", "submitter", "--expires-in", "90d"]);
    assert_eq!(made.code, 0, "{}", made.err);
    assert!(made.out.starts_with("mz_") && made.out.lines().count() == 1, "only the secret: {}", made.out);
    assert!(!made.err.contains(made.out.trim()), "and it only there");
    let again = run(folder.path(), &["token", "create", "web-app", "--role", "admin"]);
    assert_eq!((again.code, again.out.as_str()), (6, ""));
    let json = run(folder.path(), &["token", "create", "root", "--role", "admin", "--role", "auditor", "--json"]);
    assert_eq!(json.json()["roles"], serde_json::json!(["admin", "auditor"]));
    let bad = run(folder.path(), &["token", "create", "Web App", "--role", "admin"]);
    assert_eq!(bad.code, 2, "{}", bad.err);
    assert_eq!(run(folder.path(), &["token", "create", "x", "--role", "root"]).code, 2);
}

#[test]
fn a_database_is_beside_its_configuration_wherever_the_command_runs() {
    let (place, elsewhere) = (folder(), folder());
    write(&place, "mozhao.yaml", "database: {url: 'sqlite://mine.db'}\n");
    let file = place.path().join("mozhao.yaml").display().to_string();
    assert_eq!(run(place.path(), &["migrate"]).code, 0);
    let made = run(elsewhere.path(), &["token", "create", "x", "--role", "admin", "--config", &file]);
    assert_eq!(made.code, 0, "{}", made.err);
    let again = run(place.path(), &["token", "create", "x", "--role", "admin"]);
    assert_eq!(again.code, 6, "it is the same database: {}", again.err);
    assert_eq!(std::fs::read_dir(elsewhere.path()).unwrap().count(), 0, "nothing is made elsewhere");
    let shown = run(elsewhere.path(), &["config", "show", "--config", &file, "--json"]).lines();
    for (key, path) in [("processes", "processes"), ("connectors", "connectors.yaml")] {
        let value = shown.iter().find(|shown| shown["key"] == key).unwrap()["value"].clone();
        assert_eq!(value, place.path().join(path).display().to_string().as_str());
    }
}

#[test]
fn a_database_that_cannot_be_reached_is_5_and_the_password_stays_hidden() {
    let folder = folder();
    let url = "postgres://mozhao:hunter2@127.0.0.1:1/mozhao";
    let ran = run(folder.path(), &["ledger", "verify", "--database-url", url]);
    assert_eq!(ran.code, 5, "{}", ran.err);
    assert!(ran.err.starts_with("error: cannot open the database postgres://mozhao:***@127.0.0.1:1/mozhao"), "{}", ran.err);
    let doctor = run(folder.path(), &["doctor", "--database-url", url]);
    assert_eq!(doctor.code, 7);
    assert!(!format!("{}{}{}", ran.err, doctor.out, doctor.err).contains("hunter2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_is_content_with_a_good_setup() {
    let sandbox = mozhao::sandbox::Sandbox::start(([127, 0, 0, 1], 0).into()).await.unwrap();
    let folder = folder();
    let connectors = std::fs::read_to_string(shipped("connectors.sandbox.yaml")).unwrap();
    write(&folder, "connectors.yaml", &connectors.replace("http://127.0.0.1:9900", &sandbox.url()));
    write(&folder, "mozhao.yaml", &format!("processes: {}\nhttp: {{listen: '127.0.0.1:1'}}\n", shipped("processes")));
    assert_eq!(run(folder.path(), &["migrate"]).code, 0);
    let ran = run(folder.path(), &["doctor", "--json"]);
    assert_eq!((ran.code, ran.json()["ok"].clone()), (0, true.into()), "{}", ran.out);
    let text = ran.out;
    for found in
        ["4 files can be used", "core_banking answers", "is up to date", "agrees with the database's", "0 accepted = 0 ended"]
    {
        assert!(text.contains(found), "{found}: {text}");
    }
    sandbox.stop().await;
}

#[tokio::test]
async fn the_sandbox_says_where_it_is_and_stops_when_asked() {
    let mut sandbox = Mozhao::new(["sandbox", "--listen", "127.0.0.1:0"]).start();
    let line = sandbox.wait_for_line("http://127.0.0.1:", Duration::from_secs(20)).await;
    let port = line.trim().rsplit(':').next().unwrap().parse().unwrap();
    assert_eq!(super::harness::process::status(port, "/bank/health").await, Some(200));
    assert!(sandbox.stop(Duration::from_secs(20)).await.success());
}

fn run_with_input(folder: &std::path::Path, arguments: &[&str], input: &str) -> Ran {
    let mut command = command(folder, arguments);
    command.stdin(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // Whoever refuses before reading closes it.
    drop(child.stdin.take().unwrap().write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

#[test]
fn people_with_passwords_are_added_changed_listed_and_removed() {
    let folder = folder();
    let add = ["user", "add", "li", "--role", "reviewer", "--review-role", "identity"];
    assert_eq!(run_with_input(folder.path(), &add, "correct horse battery\n").code, 3, "a tool makes no database");
    assert_eq!(run(folder.path(), &["migrate"]).code, 0);
    for bad in ["", "short\n", "aaaaaaaaaaaaaaaa\n"] {
        let ran = run_with_input(folder.path(), &add, bad);
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{bad:?}: {}", ran.err);
    }
    let added = run_with_input(folder.path(), &add, "correct horse battery\n");
    assert_eq!((added.code, added.out.as_str()), (0, ""), "{}", added.err);
    assert!(!added.err.contains("horse"), "{}", added.err);
    assert_eq!(run_with_input(folder.path(), &add, "correct horse battery\n").code, 6);
    let in_arguments = run(folder.path(), &["user", "add", "an", "--role", "reviewer", "--password", "correct horse battery"]);
    assert_eq!(in_arguments.code, 2, "a password is no argument: {}", in_arguments.err);
    let listed = run(folder.path(), &["user", "list", "--json"]);
    assert_eq!(listed.lines()[0]["review_roles"], serde_json::json!(["identity"]));
    assert!(!listed.out.contains("argon2"), "{}", listed.out);
    let changed = run(folder.path(), &["user", "change", "li", "--role", "auditor", "--role", "operator"]);
    assert_eq!(changed.code, 0, "{}", changed.err);
    assert_eq!(run(folder.path(), &["user", "list", "--json"]).lines()[0]["roles"], serde_json::json!(["auditor", "operator"]));
    assert_eq!(run_with_input(folder.path(), &["user", "password", "li"], "another horse battery\r\n").code, 0);
    assert_eq!(run_with_input(folder.path(), &["user", "password", "an"], "another horse battery\n").code, 3);
    assert_eq!(run(folder.path(), &["user", "change", "an", "--role", "auditor"]).code, 3);
    let bad_name = run_with_input(folder.path(), &["user", "add", "Li", "--role", "reviewer"], "correct horse battery\n");
    assert_eq!(bad_name.code, 2, "{}", bad_name.err);
    assert_eq!(run(folder.path(), &["user", "remove", "li"]).code, 0);
    assert_eq!(run(folder.path(), &["user", "remove", "li"]).code, 3);
    assert_eq!(run(folder.path(), &["user", "list"]).out, "");
}
