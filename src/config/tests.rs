#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::time::Duration;

use super::*;

/// What `resolve` makes of a file, variables (`NAME=value`) and flags (`key=value`).
fn resolved(text: Option<&str>, env: &[&str], flags: &[&str]) -> Result<Config, Vec<Problem>> {
    let env: BTreeMap<String, String> =
        env.iter().map(|pair| pair.split_once('=').unwrap()).map(|(k, v)| (k.into(), v.into())).collect();
    let flags: Vec<Flag> = flags
        .iter()
        .map(|pair| pair.split_once('=').unwrap())
        .map(|(key, value)| Flag { flag: "--set".into(), key: key.into(), value: value.into() })
        .collect();
    let read = |path: &Path| match path.to_str().unwrap() {
        "/run/secrets/db" => Ok("postgres://u:from_file@db/mozhao\n".to_owned()),
        _ => Err(io::Error::from(io::ErrorKind::NotFound)),
    };
    let file = text.map(|text| File { name: "etc/mozhao.yaml", text });
    resolve(&Sources { file, env: &env, flags: &flags, read: &read })
}

fn problems(text: &str) -> Vec<Problem> {
    resolved(Some(text), &[], &[]).unwrap_err()
}

fn origin(config: &Config, key: &str) -> (String, String) {
    let shown = config.shown().iter().find(|shown| shown.key == key).unwrap();
    (shown.value.clone().unwrap_or_default(), shown.origin.clone())
}

#[test]
fn nothing_at_all_is_a_configuration() {
    for text in [None, Some(""), Some("# only a comment\n"), Some("amqp:\nworker:\n")] {
        let config = resolved(text, &[], &[]).unwrap();
        let at = if text.is_some() { "sqlite://etc/mozhao.db" } else { "sqlite://mozhao.db" };
        assert_eq!(config.database.url.expose(), at);
        assert!(config.amqp.url.is_none());
        assert_eq!(config.amqp.prefix, "mozhao");
        assert_eq!(config.http.listen.to_string(), "127.0.0.1:8080");
        assert_eq!(config.http.public_url(config.http.listen), "http://127.0.0.1:8080");
        assert_eq!(config.worker.in_flight, 512);
        assert_eq!(config.worker.lease, Duration::from_secs(10));
        assert_eq!(config.worker.drain, Duration::from_secs(20));
        assert_eq!(config.log, LogConfig { json: false, level: "info".into() });
        assert_eq!(config.shown().iter().filter(|shown| shown.origin == "default").count(), 17);
        assert_eq!(config.undo, Duration::from_secs(5));
        assert!(config.oidc.is_none());
    }
}

/// What the example leaves commented out is read too.
#[test]
fn the_shipped_file_shows_every_setting() {
    let text = include_str!("../../deploy/mozhao.yaml");
    let setting =
        |line: &str| line.strip_prefix('#').filter(|rest| !rest.starts_with(' ') || rest.starts_with("  ")).map(str::to_owned);
    let indented =
        |line: &str| line.find('#').filter(|at| *at > 0 && !line[at + 1..].starts_with(' ')).map(|_| line.replacen('#', "", 1));
    let whole: Vec<String> =
        text.lines().map(|line| setting(line).or_else(|| indented(line)).unwrap_or_else(|| line.to_owned())).collect();
    let config =
        resolved(Some(&whole.join("\n")), &[], &[]).unwrap_or_else(|problems| panic!("{problems:?}\n{}", whole.join("\n")));
    let said = |shown: &&Shown| shown.origin.starts_with("etc/mozhao.yaml") || shown.key == "oidc.client_secret";
    let unset: Vec<&Shown> = config.shown().iter().filter(|shown| !said(shown)).collect();
    assert!(unset.is_empty(), "{unset:?}");
    assert!(!config.amqp.decision_secrets.is_empty());
    assert!(resolved(Some(text), &[], &[]).is_ok(), "as it is shipped");
}

#[test]
fn an_identity_provider() {
    let file = "oidc: {issuer: 'https://id.example/realms/bank/', client_id: mozhao, roles_claim: realm_access.roles}\n";
    let config = resolved(Some(file), &["MOZHAO__OIDC__CLIENT_SECRET=hunter2"], &[]).unwrap();
    let oidc = config.oidc.as_ref().unwrap();
    assert_eq!(oidc.issuer, "https://id.example/realms/bank/", "as it is written: tokens are compared with it");
    assert_eq!((oidc.scopes.as_str(), oidc.roles_prefix.as_str()), ("openid profile email", "mozhao-"));
    assert_eq!(oidc.client_secret.as_ref().map(secrecy::ExposeSecret::expose_secret), Some("hunter2"));
    assert_eq!(origin(&config, "oidc.client_secret"), ("***".to_owned(), "environment MOZHAO__OIDC__CLIENT_SECRET".to_owned()));
    assert!(!format!("{config:?}").contains("hunter2"));
    for (text, flags, said) in [
        ("oidc: {issuer: 'https://id.example'}", &[][..], "needs `oidc.client_id`"),
        ("oidc: {client_id: mozhao}", &[], "there is no provider"),
        ("oidc: {issuer: 'http://id.example', client_id: mozhao}", &[], "is not https"),
        ("oidc: {issuer: 'http://127.0.0.1.example', client_id: mozhao}", &[], "is not https"),
        ("oidc: {issuer: id.example, client_id: mozhao}", &[], "no http:// or https:// URL"),
        ("oidc: {issuer: 'https://id.example', client_id: mozhao, scopes: profile}", &[], "`openid` is not among them"),
        ("oidc: {issuer: 'https://id.example', client_id: mozhao, client_secret: hunter2}", &[], "does not stand in this file"),
        ("oidc: {issuer: 'https://id.example', client_id: m}", &["oidc.client_secret=hunter2"], "arguments are seen"),
    ] {
        let problems = resolved(Some(text), &[], flags).unwrap_err();
        assert!(problems.iter().any(|problem| problem.message.contains(said)), "{text}: {problems:?}");
        assert!(!format!("{problems:?}").contains("hunter2"), "{text}: {problems:?}");
    }
    assert!(resolved(Some("oidc: {issuer: 'http://localhost:8443/x', client_id: mozhao}"), &[], &[]).is_ok());
}

#[test]
fn a_whole_file() {
    let text = "
database: {url: 'postgres://mozhao:s3cret@db.internal/mozhao?sslmode=verify-full'}
amqp:
  url: amqps://mozhao:s3cret@mq.internal:5671/%2f
  prefix: prod
  reviews: true
  decisions: true
  decision_secrets:
    desk: {env: DESK_SECRET}
    bank-tool: {file: secrets/bank}
http: {listen: '0.0.0.0:80', public_url: 'https://requests.example.com/mozhao/'}
processes: processes
connectors: /etc/connectors.yaml
worker: {in_flight: 64, lease: 30s, drain: 1m}
retention: {requests: 400d}
log: {format: json, level: 'info,mozhao=debug'}
";
    let config = resolved(Some(text), &[], &[]).unwrap();
    assert_eq!(config.database.url.scheme(), "postgres");
    assert_eq!(config.processes, Path::new("etc/processes"), "paths of a file are relative to it");
    assert_eq!(config.connectors, Path::new("/etc/connectors.yaml"));
    let relative = resolved(Some("database: {url: 'sqlite://mine.db'}"), &[], &[]).unwrap();
    assert_eq!(relative.database.url.expose(), "sqlite://etc/mine.db");
    assert_eq!(relative.connectors, Path::new("etc/connectors.yaml"), "and so are defaults beside a file");
    let flag = resolved(Some("{}"), &["MOZHAO__PROCESSES=mine"], &["database.url=sqlite://mine.db"]).unwrap();
    assert_eq!((flag.database.url.expose(), flag.processes.as_path()), ("sqlite://mine.db", Path::new("mine")));
    assert_eq!(config.http.public_url("127.0.0.1:1".parse().unwrap()), "https://requests.example.com/mozhao");
    assert_eq!(config.keep, Some(Duration::from_hours(400 * 24)));
    assert_eq!(relative.keep, None, "for ever");
    assert!(config.log.json && config.amqp.reviews && config.amqp.decisions);
    assert_eq!(config.amqp.decision_secrets["desk"], SecretRef::Env("DESK_SECRET".into()));
    assert_eq!(config.amqp.decision_secrets["bank-tool"], SecretRef::File("etc/secrets/bank".into()));
    let all = format!("{config:?}");
    assert!(!all.contains("s3cret"), "{all}");
    assert_eq!(origin(&config, "amqp.url"), ("amqps://mozhao:***@mq.internal:5671/%2f".into(), "etc/mozhao.yaml:4".into()));
}

#[test]
fn flags_beat_the_environment_beats_the_file_beats_defaults() {
    let file = "worker: {lease: 11s}\n";
    let env = ["MOZHAO__WORKER__LEASE=12s", "MOZHAO_TOKEN=not ours", "PATH=/bin"];
    let seen = |config: Result<Config, Vec<Problem>>| origin(&config.unwrap(), "worker.lease");
    let pair = |value: &str, origin: &str| (value.to_owned(), origin.to_owned());
    assert_eq!(seen(resolved(None, &[], &[])), pair("10s", "default"));
    assert_eq!(seen(resolved(Some(file), &[], &[])), pair("11s", "etc/mozhao.yaml:1"));
    assert_eq!(seen(resolved(Some(file), &env, &[])), pair("12s", "environment MOZHAO__WORKER__LEASE"));
    assert_eq!(seen(resolved(Some(file), &env, &["worker.lease=13s"])), pair("13s", "flag --set"));
}

#[test]
fn secrets_come_from_files_that_variables_name() {
    let config = resolved(None, &["MOZHAO__DATABASE__URL_FILE=/run/secrets/db"], &[]).unwrap();
    assert_eq!(config.database.url.expose(), "postgres://u:from_file@db/mozhao");
    assert_eq!(
        origin(&config, "database.url"),
        ("postgres://u:***@db/mozhao".into(), "/run/secrets/db (environment MOZHAO__DATABASE__URL_FILE)".into())
    );
    let env = ["MOZHAO__AMQP__DECISION_SECRETS__DESK=x", "MOZHAO__AMQP__DECISION_SECRETS__BANK_FILE=/run/b"];
    let config = resolved(None, &env, &[]).unwrap();
    assert_eq!(config.amqp.decision_secrets["desk"], SecretRef::Env("MOZHAO__AMQP__DECISION_SECRETS__DESK".into()));
    assert_eq!(config.amqp.decision_secrets["bank"], SecretRef::File("/run/b".into()));
}

#[test]
fn wrong_variables_and_flags() {
    let cases: &[(&[&str], &[&str], &str)] = &[
        (
            &["MOZHAO__WORKER__LEESE=3s"],
            &[],
            "environment MOZHAO__WORKER__LEESE: error: this variable sets no key of the configuration\n  = did you mean MOZHAO__WORKER__LEASE?",
        ),
        (
            &["MOZHAO__DATABASE__URL_FILE=/nowhere"],
            &[],
            "environment MOZHAO__DATABASE__URL_FILE: error: cannot read /nowhere: entity not found\n  = name a file that this user may read",
        ),
        (
            &["MOZHAO__DATABASE__URL=sqlite://a.db", "MOZHAO__DATABASE__URL_FILE=/run/secrets/db"],
            &[],
            "environment MOZHAO__DATABASE__URL: error: both MOZHAO__DATABASE__URL and MOZHAO__DATABASE__URL_FILE are set\n  = unset one of them",
        ),
        (
            &["MOZHAO__HTTP__LISTEN_FILE=/x"],
            &[],
            "environment MOZHAO__HTTP__LISTEN_FILE: error: `http.listen` is no secret and is not read from a file\n  = set MOZHAO__HTTP__LISTEN to the value itself",
        ),
        (&[], &["http.lissen=1"], "flag --set: error: there is no key `http.lissen`\n  = did you mean `http.listen`?"),
        (
            &["MOZHAO__DATABASE__URL=mysql://root:hunter2@db/x"],
            &[],
            "environment MOZHAO__DATABASE__URL: error: `database.url`: a database of the kind `mysql` is not supported\n  = write sqlite://FILE (one worker process) or postgres://USER:PASSWORD@HOST/DATABASE",
        ),
    ];
    for (env, flags, expected) in cases {
        let found = resolved(None, env, flags).unwrap_err();
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(found, [*expected]);
    }
}

#[test]
fn a_misspelt_key_is_shown_at_its_place_with_what_was_meant() {
    let found = problems("database:\n  ulr: sqlite://x.db\n");
    assert_eq!(
        found[0].to_string(),
        "etc/mozhao.yaml:2:3: error: `database` has no key `ulr`\n  |   ulr: sqlite://x.db\n  |   ^^^\n  = did you mean `url`?"
    );
    let hint = |text: &str| problems(text)[0].hint.clone().unwrap();
    assert_eq!(hint("databse: {}\n"), "did you mean `database`?");
    assert_eq!(hint("listen: 127.0.0.1:80\n"), "did you mean `http.listen`?");
    assert_eq!(hint("worker: {threads: 4}\n"), "the keys here are `in_flight`, `lease`, `drain`");
}

/// File, place, message, hint.
const WRONG: &[(&str, &str, &str, &str)] = &[
    (
        "worker: {lease: 2s}",
        "1:17",
        "`worker.lease`: 2s is too short",
        "write at least 3s: a shorter one takes a busy worker for a dead one",
    ),
    ("worker: {lease: 10}", "1:17", "`worker.lease` has no unit", "write `10s` or `10m`"),
    ("worker: {lease: 1d}", "1:17", "`worker.lease`: 1d is too long", "write at most 10m"),
    (
        "worker: {drain: ten}",
        "1:17",
        "`worker.drain`: `ten` is not a length of time",
        "write a whole number and a unit: 500ms, 30s or 10m",
    ),
    (
        "retention: {requests: 30d}",
        "1:23",
        "`retention.requests`: 30d is too short",
        "write at least 31d, or leave this out to keep them for ever",
    ),
    ("worker: {in_flight: 0}", "1:21", "`worker.in_flight`: 0 is out of range", "write a number from 1 to 65536"),
    ("worker: {in_flight: '8'}", "1:21", "`worker.in_flight` must be a whole number, not text", "leave out the quotes"),
    ("worker: [1]", "1:9", "`worker` must be a map, not a list", "its keys are `in_flight`, `lease`, `drain`"),
    (
        "http: {listen: 8080}",
        "1:16",
        "`http.listen` is a port without an address",
        "write `127.0.0.1:8080`, or `0.0.0.0:8080` to be reached from other machines",
    ),
    ("http: {listen: 'localhost:80'}", "1:16", "`http.listen`: `localhost:80` is no address with a port", "write 127.0.0.1:80"),
    (
        "http: {listen: ':80'}",
        "1:16",
        "`http.listen`: `:80` is no address with a port",
        "write 0.0.0.0:80 to be reached from other machines, or 127.0.0.1:80",
    ),
    ("http: {listen: 127.0.0.1}", "1:16", "`http.listen`: `127.0.0.1` is no address with a port", "add the port: 127.0.0.1:8080"),
    (
        "http: {public_url: example.com}",
        "1:20",
        "`http.public_url`: `example.com` is no http:// or https:// URL",
        "write something like https://mozhao.example.com",
    ),
    (
        "database: {url: mozhao.db}",
        "1:17",
        "`database.url`: this is no database URL",
        "write sqlite://FILE (one worker process) or postgres://USER:PASSWORD@HOST/DATABASE",
    ),
    (
        "database: {url: 'sqlite://:memory:'}",
        "1:17",
        "`database.url`: a database in memory would lose every request",
        "write sqlite://FILE (one worker process) or postgres://USER:PASSWORD@HOST/DATABASE",
    ),
    ("database: {url: }", "1:12", "`database.url` is empty", "leave the key out to take the default"),
    (
        "amqp: {url: 'http://mq/'}",
        "1:13",
        "`amqp.url`: a broker of the kind `http` is not supported",
        "write amqp://USER:PASSWORD@HOST:5672/VHOST, or amqps:// for TLS (%2f is the vhost /)",
    ),
    (
        "amqp: {prefix: Mo zhao}",
        "1:16",
        "`amqp.prefix`: `Mo zhao` cannot start the names of queues",
        "write lower-case letters, digits, `_`, `-` and `.`, at most 64",
    ),
    ("amqp: {reviews: true}", "1:17", "`amqp.reviews`: is on, and there is no broker", "set `amqp.url`, or leave this out"),
    ("amqp: {reviews: yes}", "1:17", "`amqp.reviews` must be true or false, not text", "leave out the quotes"),
    (
        "amqp: {url: 'amqp://mq', decisions: true}",
        "1:37",
        "`amqp.decisions`: is on, and no tool has a secret to sign with",
        "add `amqp.decision_secrets: {TOOL: {env: VARIABLE}}`, one secret per tool",
    ),
    (
        "amqp: {decision_secrets: {desk: hunter2}}",
        "1:27",
        "the secret of the tool `desk` must say where it is",
        "write {env: VARIABLE} or {file: PATH}; a secret does not stand in this file",
    ),
    ("log: {format: pretty}", "1:15", "`log.format`: `pretty` is not known", "write human or json"),
    (
        "log: {level: loud}",
        "1:14",
        "`log.level`: `loud` is no log level",
        "write error, warn, info, debug or trace, or a filter such as info,mozhao=debug",
    ),
];

#[test]
fn wrong_values_and_what_to_write_instead() {
    for (text, place, message, hint) in WRONG {
        let found = problems(text);
        assert_eq!(found.len(), 1, "{text}: {found:?}");
        assert_eq!(found[0].place, format!("etc/mozhao.yaml:{place}"), "{text}");
        assert_eq!((found[0].message.as_str(), found[0].hint.as_deref()), (*message, Some(*hint)), "{text}");
    }
}

#[test]
fn all_problems_come_at_once() {
    let found = problems("database: {url: x}\nworker: {lease: 1s, leese: 2s}\nlog: {level: info, level: info}\n");
    let places: Vec<&str> = found.iter().map(|problem| problem.place.as_str()).collect();
    assert_eq!(places, ["etc/mozhao.yaml:2:21", "etc/mozhao.yaml:3:20", "etc/mozhao.yaml:1:17", "etc/mozhao.yaml:2:17"]);
}

#[test]
fn what_yaml_refuses_has_a_place_too() {
    for text in ["a: [", "a: b: c", "\tx: 1", "worker: {lease: 10s", "--- 1\n--- 2\n", "<<: {a: 1}", "a: &a [*a]"] {
        let found = problems(text);
        assert_eq!(found.len(), 1, "{text}: {found:?}");
        assert!(found[0].place.starts_with("etc/mozhao.yaml:"), "{text}");
    }
    let bomb = format!("a: {}{}", "[".repeat(100), "]".repeat(100));
    assert!(problems(&bomb)[0].message.starts_with("this is not YAML that can be read"));
    assert!(problems(&"#".repeat(file::MAX_FILE + 1))[0].message.contains("longer than"));
}

#[test]
fn no_message_holds_a_secret() {
    for text in [
        "database: {url: 'mysql://root:hunter2@db/x'}",
        "database: {ulr: postgres://root:hunter2@db/x}",
        "amqp:\n  url: amqp://u:hunter2@\n",
        "http: {public_url: 'https://u:hunter2@x'}",
        "database: {url: [postgres://root:hunter2@db/x]}",
    ] {
        for problem in problems(text) {
            assert!(!problem.to_string().contains("hunter2"), "{problem}");
        }
    }
}

#[test]
fn urls_are_masked() {
    for (url, masked) in [
        ("sqlite://mozhao.db", "sqlite://mozhao.db"),
        ("postgres://u:p@h/d", "postgres://u:***@h/d"),
        ("postgres://u@h/d", "postgres://u@h/d"),
        ("postgres://u:p@ss@h/d", "postgres://u:***@h/d"),
        ("postgres://u:p/x@h/d", "postgres://u:***@h/d"),
        ("postgres://h/d?user=u&password=p&sslmode=require", "postgres://h/d?user=u&password=***&sslmode=require"),
        ("hunter2", "***"),
    ] {
        assert_eq!(mask_url(url), masked);
    }
}

#[test]
fn the_checked_in_schema_is_current() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/config.schema.json");
    let made = format!("{:#}\n", schema::schema());
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(path, &made).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path).unwrap(), made, "run the tests with UPDATE_SNAPSHOTS=1 and look at the difference");
}

#[test]
fn every_key_is_in_the_schema_and_has_a_variable() {
    let schema = schema::schema();
    for key in keys::KEYS {
        let pointer = format!("/properties/{}", key.path.replace('.', "/properties/"));
        assert!(schema.pointer(&pointer).is_some_and(serde_json::Value::is_object), "{}", key.path);
        assert!(key.env().starts_with(keys::ENV_PREFIX));
    }
}
