//! What `deploy/` promises, as far as it can be known without a container engine: the rules of a good
//! Dockerfile, the schema of compose files and the hardening of every service, systemd's own opinion of the unit.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use regex::Regex;
use serde_json::{Map, Value};

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn read(path: &str) -> String {
    fs::read_to_string(root(path)).unwrap_or_else(|error| unreachable!("{path}: {error}"))
}

// --- Dockerfile -------------------------------------------------------------------------------------------

/// The instructions of a Dockerfile: name and argument, continued lines joined, comments gone.
fn instructions(text: &str) -> Vec<(String, String)> {
    let code: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with('#')).collect();
    let joined = code.join("\n").replace("\\\n", " ");
    let lines = joined.lines().filter(|line| !line.trim().is_empty());
    lines
        .map(|line| line.trim().split_once(' ').expect("an instruction with an argument"))
        .map(|(name, argument)| (name.to_uppercase(), argument.split_whitespace().collect::<Vec<_>>().join(" ")))
        .collect()
}

/// A tag with at least a major and a minor number, or a digest.
fn is_pinned(image: &str) -> bool {
    let tag = Regex::new(r":v?\d+\.\d+[\w.-]*$").unwrap();
    image.contains("@sha256:") || tag.is_match(image)
}

#[test]
fn the_image_is_built_and_run_as_it_should_be() {
    let all = instructions(&read("deploy/Dockerfile"));
    let mut stages = Vec::new();
    for (name, argument) in &all {
        let words: Vec<&str> = argument.split(' ').collect();
        match name.as_str() {
            "FROM" => {
                assert!(stages.contains(&words[0]) || is_pinned(words[0]), "not pinned: {argument}");
                stages.push(words.last().unwrap());
            }
            "COPY" => {
                let from = words.iter().find_map(|word| word.strip_prefix("--from="));
                assert!(from.is_none_or(|stage| stages.contains(&stage)), "no such stage: {argument}");
            }
            "RUN" => {
                let apt = argument.contains("apt-get install");
                let lean = argument.contains("--no-install-recommends") && argument.contains("rm -rf /var/lib/apt/lists");
                assert!(!apt || lean, "leaves apt's lists or recommends: {argument}");
                assert!(!argument.contains("sudo ") && !argument.contains("| sh"), "{argument}");
            }
            "WORKDIR" => assert!(argument.starts_with('/'), "relative: {argument}"),
            "ENTRYPOINT" | "CMD" => assert!(argument.starts_with('['), "a shell between us and the signals: {argument}"),
            "ADD" | "MAINTAINER" => unreachable!("{name} is not used: COPY, LABEL"),
            _ => {}
        }
    }
    let last_stage: Vec<_> = all.rsplit(|(name, _)| name == "FROM").next().unwrap().to_vec();
    let one = |wanted: &str| {
        let mut found = last_stage.iter().filter(|(name, _)| name == wanted).map(|(_, argument)| argument.as_str());
        let first = found.next().unwrap_or_else(|| unreachable!("the last stage has no {wanted}"));
        assert_eq!(found.next(), None, "{wanted} twice");
        first.to_owned()
    };
    assert!(Regex::new("^[1-9][0-9]*:[1-9][0-9]*$").unwrap().is_match(&one("USER")), "a number, not root");
    assert_eq!(one("STOPSIGNAL"), "SIGTERM");
    assert!(one("ENTRYPOINT").contains("mozhao"));
    let check = one("HEALTHCHECK");
    let (_, command) = check.split_once(" CMD ").expect("HEALTHCHECK … CMD");
    serde_json::from_str::<Vec<String>>(command).expect("a JSON list");
}

// --- compose ----------------------------------------------------------------------------------------------

fn compose() -> Value {
    serde_saphyr::from_str(&read("deploy/compose.yaml")).unwrap()
}

fn services(compose: &Value) -> &Map<String, Value> {
    compose["services"].as_object().unwrap()
}

fn words(value: &Value) -> Vec<&str> {
    value.as_array().map(|list| list.iter().filter_map(Value::as_str).collect()).unwrap_or_default()
}

#[test]
fn compose_file_fits_its_schema() {
    let schema: Value = serde_json::from_str(&read("tests/fixtures/compose-spec.json")).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let file = compose();
    let errors: Vec<String> = validator.iter_errors(&file).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{}", errors.join("\n"));
    assert!(!validator.is_valid(&serde_json::json!({"services": {"x": {"imagee": "y"}}})), "the schema checks nothing");
}

#[test]
fn every_service_is_hardened_and_bounded() {
    let file = compose();
    for (name, service) in services(&file) {
        assert_eq!(service["read_only"], true, "{name}: read_only");
        assert_eq!(words(&service["cap_drop"]), ["ALL"], "{name}: cap_drop");
        assert!(words(&service["security_opt"]).contains(&"no-new-privileges:true"), "{name}: security_opt");
        assert!(service["user"].as_str().is_some_and(|user| !user.starts_with('0')), "{name}: user");
        assert!(is_pinned(service["image"].as_str().unwrap()), "{name}: image is not pinned");
        let limits = &service["deploy"]["resources"]["limits"];
        for limit in ["cpus", "memory", "pids"] {
            assert!(!limits[limit].is_null(), "{name}: no limit of {limit}");
        }
        let health = &service["healthcheck"];
        let one_shot = service["restart"] == "no";
        assert!(one_shot || words(&health["test"]).first() == Some(&"CMD"), "{name}: healthcheck");
        assert!(service["privileged"].is_null() && service["cap_add"].is_null(), "{name}: privileges");
    }
}

#[test]
fn services_refer_to_what_is_there() {
    let file = compose();
    let all = services(&file);
    for (name, service) in all {
        for (other, how) in service["depends_on"].as_object().into_iter().flatten() {
            let target = all.get(other).unwrap_or_else(|| unreachable!("{name} depends on {other}"));
            let tells = !words(&target["healthcheck"]["test"]).is_empty();
            assert!(how["condition"] != "service_healthy" || tells, "{name} waits for the health of {other}, which tells none");
        }
        for network in words(&service["networks"]) {
            assert!(file["networks"].get(network).is_some(), "{name}: network {network}");
        }
        for secret in service["secrets"].as_array().into_iter().flatten() {
            let secret = secret.as_str().or_else(|| secret["source"].as_str()).unwrap();
            let source = file["secrets"][secret]["file"].as_str().unwrap_or_else(|| unreachable!("{name}: secret {secret}"));
            let made = source.rsplit('/').next().unwrap();
            let maker = read("deploy/make-secrets.sh");
            assert!(maker.contains(&format!(">secrets/{made}\n")), "make-secrets.sh does not make {made}");
        }
        for volume in service["volumes"].as_array().into_iter().flatten() {
            if let Some(volume) = volume.as_str() {
                let (volume, _) = volume.split_once(':').unwrap();
                assert!(file["volumes"].get(volume).is_some(), "{name}: volume {volume}");
            } else {
                let source = volume["source"].as_str().unwrap();
                assert!(root("deploy").join(source).exists(), "{name}: {source} does not exist");
                assert_eq!(volume["read_only"], true, "{name}: {source} can be written");
            }
        }
    }
}

#[test]
fn no_secret_stands_in_the_files() {
    let file = compose();
    let secret = Regex::new("(?i)pass|secret|token|url").unwrap();
    for (name, service) in services(&file) {
        for (variable, _) in service["environment"].as_object().into_iter().flatten() {
            assert!(!secret.is_match(variable) || variable.ends_with("_FILE"), "{name}: {variable} is not a file");
        }
    }
    let with_password = Regex::new(r"\w+://[^\s/:@]+:[^\s/@%]+@").unwrap();
    for path in
        ["deploy/compose.yaml", "deploy/mozhao.yaml", "deploy/mozhao.service", "deploy/Dockerfile", "deploy/rabbitmq.conf"]
    {
        assert!(!with_password.is_match(&read(path)), "{path} holds a password");
    }
    assert!(read(".gitignore").contains("/deploy/secrets"), "secrets could be committed");
    assert!(read(".dockerignore").contains("deploy/secrets"), "secrets would get into the image's build");
}

/// `disk_free_limit` keeps the headroom under which quorum queues were seen to lose nothing.
#[test]
fn the_broker_stops_before_its_disk_is_full() {
    let conf = read("deploy/rabbitmq.conf");
    let limit = Regex::new(r"(?m)^disk_free_limit\.absolute = (\d+)GB$").unwrap();
    let gigabytes: u64 = limit.captures(&conf).expect("disk_free_limit.absolute = …GB")[1].parse().unwrap();
    let wal_bytes = 512 * 1024 * 1024_u64;
    assert!(!conf.lines().any(|line| line.starts_with("raft.wal_max_size_bytes")), "changed: compute with it here");
    assert!(gigabytes * 1_000_000_000 >= 3 * wal_bytes);
}

// --- systemd ----------------------------------------------------------------------------------------------

/// systemd's tool on the unit, with a program that exists here in place of the installed one; `None` where there is no systemd.
fn systemd_analyze(arguments: &[&str]) -> Option<(bool, String)> {
    let program = env!("CARGO_BIN_EXE_mozhao");
    let unit = read("deploy/mozhao.service").replace("/usr/local/bin/mozhao", program);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mozhao.service");
    fs::write(&path, unit).unwrap();
    match Command::new("systemd-analyze").args(arguments).arg(&path).output() {
        Ok(output) => {
            let text = [output.stdout, output.stderr].concat();
            Some((output.status.success(), String::from_utf8_lossy(&text).into_owned()))
        }
        Err(error) => {
            eprintln!("NOT CHECKED: systemd-analyze {arguments:?} cannot run here ({error})");
            None
        }
    }
}

#[test]
fn systemd_accepts_the_unit() {
    if let Some((accepted, said)) = systemd_analyze(&["verify", "--recursive-errors=no"]) {
        assert!(accepted && !said.contains("mozhao.service:"), "{said}");
    }
}

#[test]
fn systemd_finds_the_unit_hardened() {
    // The exposure in tenths: 1.5 of 10 at most. It needs the network; that is nearly all that is left.
    if let Some((fine, said)) = systemd_analyze(&["security", "--offline=true", "--threshold=15", "--no-pager"]) {
        assert!(fine, "{said}");
    }
}

#[test]
fn the_unit_stops_and_restarts_as_promised() {
    let unit = read("deploy/mozhao.service");
    for line in ["KillSignal=SIGTERM", "TimeoutStopSec=30", "Restart=always", "DynamicUser=yes", "StateDirectory=mozhao"] {
        assert!(unit.lines().any(|found| found == line), "{line}");
    }
}
