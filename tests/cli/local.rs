//! What needs neither a server nor a database: usage, configuration, process files, output.

use serde_json::Value;

use super::program::{command, finish, folder, run, shipped, write};

#[test]
fn wrong_usage_is_2_with_a_suggestion_on_standard_error() {
    let folder = folder();
    for arguments in
        [&["serv"][..], &["request", "show", "not-an-id"], &["review", "decide"], &["config", "show", "--set", "x"], &[]]
    {
        let ran = run(folder.path(), arguments);
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{arguments:?}");
        assert!(!ran.err.is_empty());
    }
    assert!(run(folder.path(), &["serv"]).err.contains("'serve'"));
    assert!(run(folder.path(), &["request", "show", "REQUEST"]).err.contains("it is no id"));
}

#[test]
fn help_and_version_are_data() {
    let folder = folder();
    let help = run(folder.path(), &["--help"]);
    assert_eq!((help.code, help.err.as_str()), (0, ""));
    for code in 0..=7 {
        assert!(help.out.contains(&format!("\n  {code}  ")), "exit code {code} is explained");
    }
    let version = run(folder.path(), &["--version"]);
    assert_eq!(version.out, concat!("mozhao ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn a_wrong_configuration_is_4_and_names_file_line_and_column() {
    let folder = folder();
    write(&folder, "mozhao.yaml", "worker:\n  leese: 10s\nhttp:\n  listen: 8080\n");
    let ran = run(folder.path(), &["config", "check"]);
    assert_eq!((ran.code, ran.out.as_str()), (4, ""));
    let expected = "mozhao.yaml:2:3: error: `worker` has no key `leese`
  |   leese: 10s
  |   ^^^^^
  = did you mean `lease`?
mozhao.yaml:4:11: error: `http.listen` is a port without an address
  |   listen: 8080
  |           ^^^^
  = write `127.0.0.1:8080`, or `0.0.0.0:8080` to be reached from other machines
error: the configuration is not valid: 2 problems
  hint: `mozhao config show` tells where each value comes from
";
    assert_eq!(ran.err, expected);
    for arguments in [&["config", "show"][..], &["serve"], &["migrate"], &["ledger", "verify"]] {
        assert_eq!(run(folder.path(), arguments).code, 4, "{arguments:?}");
    }
    let json = run(folder.path(), &["config", "check", "--json"]);
    assert_eq!(json.code, 4);
    assert_eq!(json.json()["problems"][0]["place"], "mozhao.yaml:2:3");
    assert!(!json.err.contains("leese"), "said once");
}

#[test]
fn what_serve_would_refuse_is_found_before() {
    let folder = folder();
    std::fs::create_dir(folder.path().join("processes")).unwrap();
    for (connectors, place, message) in [
        ("connectors: {bank: {base_url: 'http://b', timeuot: 1s}}", "connectors.yaml:1:", "the key `timeuot` is not known here"),
        ("connectors: {bank: {base_url: 'http://b', timeout: soon}}", "connectors.yaml:1:", "soon"),
        (
            "connectors: {bank: {base_url: 'http://b', auth: {bearer: {env: NOT_SET_TOKEN}}}}",
            "connectors.yaml: ",
            "NOT_SET_TOKEN is not set",
        ),
        ("connectors: {bank: {base_url: 'http://b', auth: {bearer: {file: none/token}}}}", "connectors.yaml: ", "none/token"),
    ] {
        write(&folder, "connectors.yaml", connectors);
        for arguments in [&["config", "check"][..], &["serve", "--listen", "127.0.0.1:0"]] {
            let ran = run(folder.path(), arguments);
            assert_eq!((ran.code, ran.out.as_str()), (4, ""), "{arguments:?}: {}", ran.err);
            assert!(ran.err.starts_with(place) && ran.err.lines().next().unwrap().contains(message), "{}", ran.err);
        }
    }
    write(&folder, "token", "t");
    write(&folder, "connectors.yaml", "connectors: {bank: {base_url: 'http://b', auth: {bearer: {file: token}}}}");
    let file = folder.path().join("mozhao.yaml").display().to_string();
    write(&folder, "mozhao.yaml", "{}");
    let ran = run(std::path::Path::new("/"), &["config", "check", "--config", &file]);
    assert_eq!((ran.code, ran.out.as_str()), (0, "the configuration can be used\n"), "{}", ran.err);
}

#[test]
fn serve_says_what_to_do_about_its_surroundings() {
    let folder = folder();
    write(&folder, "connectors.yaml", "connectors: {bank: {base_url: 'http://b'}}");
    std::fs::create_dir(folder.path().join("processes")).unwrap();
    let ran = run(folder.path(), &["serve", "--listen", "127.0.0.1:0", "--set", "database.url=sqlite://no/such/x.db"]);
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("there is no folder no/such for the database: make it"), "{}", ran.err);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let ran = run(folder.path(), &["serve", "--listen", &taken.local_addr().unwrap().to_string()]);
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("hint: another program listens there"), "{}", ran.err);
}

#[test]
fn a_configuration_that_is_not_there_is_said_so() {
    let folder = folder();
    let ran = run(folder.path(), &["config", "show", "--config", "nowhere.yaml"]);
    assert_eq!(ran.code, 4);
    assert!(ran.err.starts_with("nowhere.yaml: error: cannot read the configuration: "), "{}", ran.err);
}

#[test]
fn flags_beat_variables_beat_the_file_and_each_origin_is_shown() {
    let folder = folder();
    write(&folder, "mozhao.yaml", "worker: {lease: 11s, in_flight: 11, drain: 11s}\n");
    write(&folder, "db.txt", "postgres://mozhao:hunter2@db/mozhao\n");
    let mut command = command(folder.path(), &["config", "show", "--json", "--set", "worker.lease=13s"]);
    command.env("MOZHAO__WORKER__LEASE", "12s").env("MOZHAO__WORKER__IN_FLIGHT", "12");
    command.env("MOZHAO__DATABASE__URL_FILE", folder.path().join("db.txt"));
    let ran = finish(command);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let shown = |key: &str| {
        let line = ran.lines().into_iter().find(|line| line["key"] == key).expect(key);
        format!("{} from {}", line["value"].as_str().unwrap(), line["origin"].as_str().unwrap())
    };
    assert_eq!(shown("worker.lease"), "13s from flag --set");
    assert_eq!(shown("worker.in_flight"), "12 from environment MOZHAO__WORKER__IN_FLIGHT");
    assert_eq!(shown("worker.drain"), "11s from mozhao.yaml:1");
    assert_eq!(shown("http.listen"), "127.0.0.1:8080 from default");
    assert!(shown("database.url").starts_with("postgres://mozhao:***@db/mozhao from "));
    assert!(!ran.out.contains("hunter2") && !ran.err.contains("hunter2"));
}

#[test]
fn text_for_a_pipe_has_no_colours_no_tabs_and_no_borders() {
    let folder = folder();
    for arguments in [&["config", "show"][..], &["process", "check", &shipped("processes")], &["doctor"], &["--help"]] {
        let ran = run(folder.path(), arguments);
        let both = format!("{}{}", ran.out, ran.err);
        assert!(!both.contains(['\u{1b}', '\t', '│', '─']), "{arguments:?}: {both}");
    }
    let text = run(folder.path(), &["config", "show"]).out;
    // The columns are as wide as what is in them.
    let heads: Vec<&str> = text.lines().next().unwrap().split("  ").map(str::trim).filter(|head| !head.is_empty()).collect();
    assert_eq!(heads, ["key", "value", "from"]);
}

#[test]
fn shipped_processes_are_usable_with_the_shipped_connectors() {
    let folder = folder();
    let (processes, connectors) = (shipped("processes"), shipped("connectors.yaml"));
    let ran = run(folder.path(), &["process", "check", &processes, "--connectors", &connectors, "--json"]);
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    let names: Vec<Value> = ran.lines().into_iter().map(|line| line["process"].clone()).collect();
    assert_eq!(names, ["account_close", "card_unbind", "name_correction", "phone_change"]);
    assert!(ran.lines().iter().all(|line| line["cases"].as_u64().is_some_and(|cases| cases > 0)));
}

#[test]
fn a_broken_process_is_4_at_its_place_and_a_missing_one_3() {
    let folder = folder();
    let good = std::fs::read_to_string(shipped("processes/card_unbind.yaml")).unwrap();
    write(&folder, "bad.yaml", &good.replacen("steps:", "stepps:", 1));
    let ran = run(folder.path(), &["process", "check", "bad.yaml"]);
    assert_eq!(ran.code, 4);
    assert!(ran.out.contains("bad.yaml:") && ran.out.contains("did you mean `steps`?"), "{}", ran.out);
    assert_eq!(ran.err.lines().next(), Some("error: one process file cannot be used"));
    let json = run(folder.path(), &["process", "check", "bad.yaml", "--json"]);
    assert_eq!((json.code, json.json()["ok"].clone()), (4, Value::Bool(false)));
    assert!(json.json()["findings"][0]["line"].as_u64().is_some());
    assert_eq!(run(folder.path(), &["process", "show", "bad.yaml"]).code, 4);
    assert_eq!(run(folder.path(), &["process", "check", "none.yaml"]).code, 3);
    std::fs::create_dir(folder.path().join("empty")).unwrap();
    assert_eq!(run(folder.path(), &["process", "check", "empty"]).code, 3);
    let unknown = run(folder.path(), &["process", "check", &shipped("processes/card_unbind.yaml"), "--connectors", "bad.yaml"]);
    assert_eq!(unknown.code, 4);
}

#[test]
fn a_process_is_drawn_with_its_reasons() {
    let folder = folder();
    let file = shipped("processes/card_unbind.yaml");
    let chart = run(folder.path(), &["process", "show", &file, "--mermaid"]);
    assert!(chart.out.starts_with("flowchart TD\n"), "{}", chart.out);
    let text = run(folder.path(), &["process", "show", &file]);
    assert!(text.out.contains("no_such_card") && text.out.contains("```mermaid\nflowchart TD"));
    let json = run(folder.path(), &["process", "show", &file, "--json"]).json();
    let reason = json["reasons"].as_array().unwrap().iter().find(|reason| reason["reason"] == "no_such_card").unwrap();
    assert_eq!(reason["used_by"][0], "card (CARD-3.1)");
}

#[test]
fn an_unreachable_server_is_5_with_what_to_do() {
    let folder = folder();
    // A port that was just free, and that nobody listens on.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{port}");
    for arguments in [
        &["request", "list"][..],
        &["review", "list"],
        &["defect", "list"],
        &["dependency", "list"],
        &["token", "list"],
        &["request", "submit", "card_unbind", "{}"],
    ] {
        let mut command = command(folder.path(), arguments);
        command.env("MOZHAO_URL", &url);
        let ran = finish(command);
        assert_eq!((ran.code, ran.out.as_str()), (5, ""), "{arguments:?}");
        assert!(ran.err.starts_with(&format!("error: cannot reach {url}\n  because: ")), "{}", ran.err);
        assert!(ran.err.contains("hint: start it with `mozhao serve`"), "{}", ran.err);
    }
    let wrong = run(folder.path(), &["request", "list", "--url", "localhost"]);
    assert_eq!(wrong.code, 2);
}

#[test]
fn payloads_come_from_flags_files_and_text() {
    let folder = folder();
    write(&folder, "list.json", "[1]");
    for (payload, message) in [
        ("{not json", "error: the payload is not JSON\n"),
        ("@list.json", "error: the payload is not a JSON object\n"),
        ("@none.json", "error: cannot read none.json\n"),
    ] {
        let ran = run(folder.path(), &["request", "submit", "card_unbind", payload]);
        assert_eq!(ran.code, 2);
        assert!(ran.err.starts_with(message), "{}", ran.err);
    }
    let ran = run(folder.path(), &["request", "submit", "card_unbind", "-f", "amount:=x"]);
    assert_eq!((ran.code, ran.err.lines().next()), (2, Some("error: the value of `amount` is not JSON")));
}

#[test]
fn completions_for_every_shell() {
    let folder = folder();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = run(folder.path(), &["completions", shell]);
        assert_eq!((ran.code, ran.err.as_str()), (0, ""));
        assert!(ran.out.contains("doctor"), "{shell}");
    }
}

#[test]
fn schemas_are_json() {
    let folder = folder();
    assert_eq!(run(folder.path(), &["config", "schema"]).json()["additionalProperties"], false);
    assert_eq!(run(folder.path(), &["process", "schema"]).json()["type"], "object");
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let folder = folder();
    let mut child = command(folder.path(), &["completions", "bash"]).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(0));
}

#[test]
fn doctor_says_how_to_mend_each_problem() {
    let folder = folder();
    let ran = run(folder.path(), &["doctor", "--json"]);
    assert_eq!(ran.code, 7);
    let report = ran.json();
    assert_eq!(report["ok"], false);
    let findings = report["findings"].as_array().unwrap();
    let problems: Vec<&Value> = findings.iter().filter(|finding| finding["level"] == "problem").collect();
    assert!(problems.iter().all(|problem| problem["mend"].as_str().is_some_and(|mend| !mend.is_empty())));
    for check in ["processes", "connectors"] {
        assert!(problems.iter().any(|problem| problem["check"] == check), "{check}: {}", ran.out);
    }
    write(&folder, "mozhao.yaml", "databse: {}\n");
    let ran = run(folder.path(), &["doctor"]);
    assert_eq!(ran.code, 7);
    assert!(ran.out.contains("problem  configuration") && ran.out.contains("-> did you mean `database`?"), "{}", ran.out);
}

#[test]
fn cases_are_for_every_version_without_its_own() {
    let folder = folder();
    let (process, cases) = (shipped("processes/card_unbind.yaml"), shipped("processes/card_unbind.test.yaml"));
    let (process, cases) = (std::fs::read_to_string(process).unwrap(), std::fs::read_to_string(cases).unwrap());
    write(&folder, "card_unbind.yaml", &process);
    write(&folder, "card_unbind.test.yaml", &cases);
    write(&folder, "card_unbind_v2.yaml", &process.replacen("version: 1", "version: 2", 1));
    let check = run(folder.path(), &["process", "check", "."]);
    let said = |line: &str| line.starts_with("ok ") && line.contains(" cases");
    assert_eq!(check.out.lines().filter(|line| said(line)).count(), 2, "{}", check.out);
    for path in [".", "card_unbind_v2.yaml"] {
        let ran = run(folder.path(), &["process", "test", path, "--json"]);
        assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
        let report = ran.json();
        let second = report["files"].as_array().unwrap().iter().find(|file| file["version"] == 2).expect("version 2 was run");
        assert!(second["cases"].as_array().unwrap().len() > 10 && second["coverage"]["missing"].as_array().unwrap().is_empty());
        assert!(report["untested"].as_array().unwrap().is_empty());
    }
    // Its own cases replace them.
    write(&folder, "card_unbind_v2.test.yaml", "process: card_unbind\ncases: []\n");
    let own = run(folder.path(), &["process", "test", "card_unbind_v2.yaml"]);
    assert_ne!(own.code, 0, "{}", own.out);
    // Nothing is said to have passed where nothing was run.
    write(&folder, "lonely/card_unbind_v2.yaml", &process);
    let none = run(folder.path(), &["process", "test", "lonely"]);
    assert_eq!((none.code, none.out.lines().last()), (3, Some("no case was run")), "{}", none.out);
    assert!(run(folder.path(), &["process", "check", "lonely"]).out.contains("no cases"));
}

#[test]
fn cases_that_fail_are_1_and_say_what_happened_instead() {
    let folder = folder();
    write(&folder, "p.yaml", &std::fs::read_to_string(shipped("processes/phone_change.yaml")).unwrap());
    let case = |expect: &str| {
        let request = r#"{customer_id: C1, old_phone: "+8613800000001", new_phone: "+8613800000001"}"#;
        format!("process: phone_change\ncases:\n  - {{name: the same, request: {request}, expect: {expect}}}\n")
    };
    write(&folder, "p.test.yaml", &case("{outcome: refused, reason: same_phone}"));
    let ran = run(folder.path(), &["process", "test", "p.yaml"]);
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("phone_change version 1: 1 of 1 cases passed, 2 of 43 ways covered"), "{}", ran.out);
    assert!(ran.out.contains("p.yaml:69: not covered: `send_code` is never carried out"), "{}", ran.out);
    assert_eq!(run(folder.path(), &["process", "test", "p.yaml", "--covered"]).code, 7);
    assert_eq!(run(folder.path(), &["process", "test", "p.yaml", "--only", "another"]).code, 3);

    write(&folder, "p.test.yaml", &case("{outcome: done}"));
    let ran = run(folder.path(), &["process", "test", "p.test.yaml"]);
    assert_eq!(ran.code, 1, "{}", ran.err);
    let said = "p.test.yaml:3: failed: the same\n  - expected outcome done, but the request is refused (same_phone) at `numbers`";
    assert!(ran.out.contains(said), "{}", ran.out);
    assert!(ran.out.contains("numbers: refuse (same_phone) [TEL-1.1]"), "{}", ran.out);
    let json = run(folder.path(), &["process", "test", ".", "--json"]);
    assert_eq!((json.code, json.json()["failed"].clone()), (1, 1.into()));

    write(&folder, "p.test.yaml", &case("{outcome: finished}"));
    let ran = run(folder.path(), &["process", "test", "."]);
    assert_eq!(ran.code, 4, "{}", ran.err);
    assert!(ran.out.contains("p.test.yaml:3:"), "{}", ran.out);
    assert_eq!(run(folder.path(), &["process", "test", "none.yaml"]).code, 3);
}
