//! The file's errors are for people who type: each says where and what was meant.
#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;

const FULL: &str = r#"
connectors:
  core_banking: {base_url: "http://127.0.0.1:9900/bank", auth: {bearer: {env: BANK_TOKEN}}, timeout: 2s, concurrency: 64, rate: 500/s, max_answer: 1MiB,
    breaker: {failures: 5, open_for: 10s}, idempotency: {header: Idempotency-Key, window: 24h}, retry_on: [503], safe_on: [409], headers: {X-Client: mozhao}, health: {get: /health}}
  face: {base_url: "https://${env:FACE_HOST}/v1", auth: {basic: {user: mozhao, password: {file: /run/secrets/face}}}}
  sms: {base_url: "http://sms.internal", auth: {header: {name: X-Key, value: {env: SMS_KEY}}}}
"#;

#[test]
fn a_full_file_is_read() {
    let config = ConnectorsConfig::parse("connectors.yaml", FULL).unwrap();
    let bank = &config.connectors["core_banking"];
    assert_eq!(bank.timeout, Duration::from_secs(2));
    assert_eq!(bank.connect_timeout, Duration::from_secs(1));
    assert_eq!(bank.concurrency, 64);
    assert_eq!(bank.max_answer, 1_048_576);
    assert_eq!(bank.breaker, BreakerSettings { failures: 5, open_for: Duration::from_secs(10) });
    let idempotency = Idempotency { header: "Idempotency-Key".to_owned(), window: Duration::from_hours(24) };
    assert_eq!(bank.idempotency, Some(idempotency));
    assert_eq!(bank.statuses, StatusRules { retry_on: vec![503], safe_on: vec![409] });
    assert_eq!(bank.health.as_deref(), Some("/health"));
    assert_eq!(bank.auth, Some(AuthConfig::Bearer(SecretRef::Env("BANK_TOKEN".to_owned()))));
    let sms = &config.connectors["sms"];
    assert_eq!((sms.timeout, sms.concurrency, sms.rate, sms.key_window()), (Duration::from_secs(5), 32, None, None));
}

impl ConnectorConfig {
    fn key_window(&self) -> Option<Duration> {
        self.idempotency.as_ref().map(|own| own.window)
    }
}

#[test]
fn each_mistake_is_named_at_its_place() {
    let one = |settings: &str| format!("connectors:\n  bank:\n    base_url: http://bank\n    {settings}\n");
    let table = [
        (one("retry_om: [503]"), 4, "did you mean `retry_on`?"),
        (one("frobnicate: 1"), 4, "known are"),
        (one("timeout: 2"), 4, "not a length of time"),
        (one("timeout: 20m"), 4, "10ms to 10m"),
        (one("concurrency: 0"), 4, "from 1 to 10000"),
        (one("rate: 500"), 4, "500/s"),
        (one("rate: 0/s"), 4, "500/s"),
        (one("max_answer: 1GiB"), 4, "1MiB"),
        (one("max_answer: 100MiB"), 4, "64MiB"),
        (one("auth: {bearer: secret}"), 4, ""),
        (one("auth: {bearer: {evn: X}}"), 4, "did you mean `env`?"),
        (one("auth: {token: {env: X}}"), 4, "known are bearer, basic, header"),
        (one("auth: {header: {name: \"X Y\", value: {env: X}}}"), 4, "no name for a header"),
        (one("safe_on: [200]"), 4, "400 to 599"),
        (
            one("{retry_on: [503], safe_on: [503]}")
                .replace("    {retry_on: [503], ", "    retry_on: [503]\n    ")
                .replace("]}", "]"),
            5,
            "as well",
        ),
        (one("headers: {Authorization: x}"), 4, "set by the connector itself"),
        (one("headers: {Idempotency-Key: x}"), 4, "set by the connector itself"),
        (one("health: {get: health}"), 4, "begin with `/`"),
        (one("health: {post: /h}"), 4, "get"),
        (one("breaker: {failures: 0}"), 4, "at least 1"),
        (one("idempotency: {window: 1w}"), 4, "not a length of time"),
        ("connectors: {bank: {base_url: \"ftp://x\"}}".to_owned(), 1, "http and https"),
        ("connectors: {bank: {base_url: \"http://u:p@x\"}}".to_owned(), 1, "under `auth`"),
        ("connectors: {Bank: {base_url: \"http://x\"}}".to_owned(), 1, "no name for a connector"),
        ("connectors: {bank: {timeout: 1s}}".to_owned(), 1, "`base_url` is missing"),
        ("connector: {}".to_owned(), 1, "did you mean `connectors`?"),
        ("connectors: {bank: {base_url: http://a}, bank: {base_url: http://b}}".to_owned(), 1, "uplicate"),
        ("connectors: [".to_owned(), 1, ""),
    ];
    for (text, line, words) in table {
        let error = ConnectorsConfig::parse("connectors.yaml", &text).unwrap_err();
        let shown = error.to_string();
        assert!(shown.starts_with(&format!("connectors.yaml:{line}:")), "{text}\n{shown}");
        assert!(shown.contains(words), "{text}\n{shown}");
        assert!(!shown.contains('\n'), "{shown}");
    }
}

#[test]
fn bombs_are_refused() {
    let mut text = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n".to_owned();
    for level in 1..12 {
        let before = format!("*a{},", level - 1).repeat(9);
        text.extend([format!("a{level}: &a{level} ["), before, "]\n".to_owned()]);
    }
    assert!(ConnectorsConfig::parse("c.yaml", &text).is_err());
    assert!(ConnectorsConfig::parse("c.yaml", &"[".repeat(100_000)).is_err());
    assert!(ConnectorsConfig::parse("c.yaml", &" ".repeat(MAX_FILE + 1)).is_err());
}

#[test]
fn the_examples_that_we_ship_are_right() {
    let examples = [
        ("deploy/connectors.yaml", include_str!("../../deploy/connectors.yaml")),
        ("deploy/connectors.sandbox.yaml", include_str!("../../deploy/connectors.sandbox.yaml")),
    ];
    for (file, text) in examples {
        let config = ConnectorsConfig::parse(file, text).unwrap();
        assert!(config.connectors.contains_key("core_banking"), "{file}");
    }
}
