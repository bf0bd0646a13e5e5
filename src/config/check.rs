//! From texts to typed values: what each must look like, and what to write instead when it does not.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

use super::keys::{self, DECISION_SECRETS, KEYS, Kind};
use super::problem::{File, Origin, Problem};
use super::secret::{MASK, SecretRef, SecretUrl, mask_url};
use super::{AmqpConfig, Config, DatabaseConfig, HttpConfig, LogConfig, OidcConfig, Raw, Shown, WorkerConfig};
use crate::domain::time::{parse_duration, show_duration};

/// What is wrong with a value, and what to do.
type Fault = (String, Option<String>);

fn fault<T>(message: impl Into<String>, hint: impl Into<String>) -> Result<T, Fault> {
    Err((message.into(), Some(hint.into())))
}

struct Checker<'a> {
    file: Option<File<'a>>,
    values: BTreeMap<&'static str, Raw>,
    problems: Vec<Problem>,
}

/// Understands every value; problems found before come first.
pub(super) fn build(
    file: Option<File<'_>>,
    values: BTreeMap<&'static str, Raw>,
    secrets: &BTreeMap<String, (SecretRef, Origin)>,
    problems: Vec<Problem>,
) -> Result<Config, Vec<Problem>> {
    let mut checker = Checker { file, values, problems };
    let database = checker.get("database.url", database_url);
    let amqp = checker.amqp(secrets);
    let listen = checker.get("http.listen", address);
    let public = checker.get("http.public_url", http_url);
    let undo = checker.get("console.undo", |text| length(text, Duration::ZERO, Duration::from_mins(1)));
    let oidc = checker.oidc();
    let processes = checker.get("processes", path);
    let connectors = checker.get("connectors", path);
    let in_flight = checker.get("worker.in_flight", |text| count(text, 1, 65_536));
    let lease = checker.get("worker.lease", |text| length(text, Duration::from_secs(3), Duration::from_mins(10)));
    let drain = checker.get("worker.drain", |text| length(text, Duration::ZERO, Duration::from_mins(10)));
    let keep = checker.get("retention.requests", window);
    let json = checker.get("log.format", |text| word(text, &[keys::HUMAN, keys::JSON]).map(|word| word == keys::JSON));
    let level = checker.get("log.level", filter);
    let shown = checker.shown(secrets);
    let problems = checker.problems;
    let (Some(url), Some(listen), Some(processes), Some(connectors)) = (database, listen, processes, connectors) else {
        return Err(problems);
    };
    let (Some(in_flight), Some(lease), Some(drain), Some(json), Some(level)) = (in_flight, lease, drain, json, level) else {
        return Err(problems);
    };
    let Some(undo) = undo.filter(|_| problems.is_empty()) else {
        return Err(problems);
    };
    Ok(Config {
        database: DatabaseConfig { url },
        amqp,
        http: HttpConfig { listen, public },
        undo,
        oidc,
        processes,
        connectors,
        worker: WorkerConfig { in_flight, lease, drain },
        keep,
        log: LogConfig { json, level },
        shown,
    })
}

impl Checker<'_> {
    /// The value of a key; what is wrong with it becomes a problem at its place.
    fn get<T>(&mut self, key: &str, read: impl FnOnce(&str) -> Result<T, Fault>) -> Option<T> {
        let raw = self.values.get(key)?;
        match read(raw.text.trim()) {
            Ok(value) => Some(value),
            Err((message, hint)) => {
                self.fault_at(key, &message, hint);
                None
            }
        }
    }

    fn fault_at(&mut self, key: &str, message: &str, hint: Option<String>) {
        let message = format!("`{key}`: {message}");
        let problem = match (self.values.get(key), self.file) {
            (Some(Raw { at: Some(at), origin: Origin::File { .. }, .. }), Some(file)) => file.problem(*at, message, hint),
            (raw, _) => {
                let place = raw.map(|raw| raw.origin.to_string()).unwrap_or_default();
                Problem { place, snippet: String::new(), message, hint }
            }
        };
        self.problems.push(problem);
    }

    fn amqp(&mut self, secrets: &BTreeMap<String, (SecretRef, Origin)>) -> AmqpConfig {
        let url = self.get("amqp.url", amqp_url);
        let prefix = self.get("amqp.prefix", prefix).unwrap_or_default();
        let reviews = self.get("amqp.reviews", flag).unwrap_or_default();
        let decisions = self.get("amqp.decisions", flag).unwrap_or_default();
        for (key, on) in [("amqp.reviews", reviews), ("amqp.decisions", decisions)] {
            if on && !self.values.contains_key("amqp.url") {
                self.fault_at(key, "is on, and there is no broker", Some("set `amqp.url`, or leave this out".to_owned()));
            }
        }
        if decisions && secrets.is_empty() {
            let hint = "add `amqp.decision_secrets: {TOOL: {env: VARIABLE}}`, one secret per tool".to_owned();
            self.fault_at("amqp.decisions", "is on, and no tool has a secret to sign with", Some(hint));
        }
        for (tool, (_, origin)) in secrets.iter().filter(|(tool, _)| !is_name(tool)) {
            let message = format!("`{DECISION_SECRETS}`: `{tool}` is no name for a tool");
            let hint = Some("write lower-case letters, digits, `_`, `-` and `.`".to_owned());
            self.problems.push(Problem { place: origin.to_string(), snippet: String::new(), message, hint });
        }
        let decision_secrets = secrets.iter().map(|(tool, (secret, _))| (tool.clone(), secret.clone())).collect();
        AmqpConfig { url, prefix, reviews, decisions, decision_secrets }
    }

    /// `None` where there is no provider, or what is said of it is wrong.
    fn oidc(&mut self) -> Option<OidcConfig> {
        let issuer = self.get("oidc.issuer", issuer);
        let client_id = self.get("oidc.client_id", some);
        let client_secret = self.get("oidc.client_secret", some).map(SecretString::from);
        let scopes = self.get("oidc.scopes", |text| {
            let fine = text.split(' ').any(|scope| scope == "openid");
            let hint = "write `openid profile email`, or what your provider asks for";
            if fine { Ok(text.to_owned()) } else { fault("`openid` is not among them", hint) }
        });
        let (name, roles) = (self.get("oidc.name_claim", some), self.get("oidc.roles_claim", some));
        let prefix = self.get("oidc.roles_prefix", |text| Ok(text.to_owned()));
        let there = self.values.contains_key("oidc.issuer");
        for key in ["oidc.client_id", "oidc.client_secret"] {
            if !there && self.values.contains_key(key) {
                self.fault_at(key, "is set, and there is no provider", Some("set `oidc.issuer`, or leave this out".to_owned()));
            }
        }
        if there && !self.values.contains_key("oidc.client_id") {
            let hint = "set `oidc.client_id` to the name that the console has there".to_owned();
            self.fault_at("oidc.issuer", "needs `oidc.client_id` beside it", Some(hint));
        }
        let (name_claim, roles_claim, roles_prefix) = (name?, roles?, prefix?);
        Some(OidcConfig {
            issuer: issuer?,
            client_id: client_id?,
            client_secret,
            scopes: scopes?,
            name_claim,
            roles_claim,
            roles_prefix,
        })
    }

    /// Every key for `config show`, secrets masked.
    fn shown(&self, secrets: &BTreeMap<String, (SecretRef, Origin)>) -> Vec<Shown> {
        let mut shown = Vec::new();
        for key in KEYS {
            let raw = self.values.get(key.path);
            let value = raw.map(|raw| match key.kind {
                Kind::SecretUrl | Kind::Url => mask_url(&raw.text),
                Kind::Secret => MASK.to_owned(),
                _ => raw.text.clone(),
            });
            let origin = raw.map_or_else(|| "not set".to_owned(), |raw| raw.origin.to_string());
            shown.push(Shown { key: key.path.to_owned(), value, origin });
            if key.path == "amqp.decisions" {
                if secrets.is_empty() {
                    shown.push(Shown { key: DECISION_SECRETS.to_owned(), value: None, origin: "not set".to_owned() });
                }
                for (tool, (secret, origin)) in secrets {
                    let key = format!("{DECISION_SECRETS}.{tool}");
                    shown.push(Shown { key, value: Some(secret.to_string()), origin: origin.to_string() });
                }
            }
        }
        shown
    }
}

fn database_url(url: &str) -> Result<SecretUrl, Fault> {
    let hint = "write sqlite://FILE (one worker process) or postgres://USER:PASSWORD@HOST/DATABASE";
    match url.split_once("://") {
        Some(("sqlite", "" | ":memory:")) => fault("a database in memory would lose every request", hint),
        Some(("sqlite", _)) => Ok(SecretUrl::new(url)),
        Some(("postgres" | "postgresql", rest)) if !host_of(rest).is_empty() || rest.contains("host=") => Ok(SecretUrl::new(url)),
        Some(("postgres" | "postgresql", _)) => fault("the URL names no host", hint),
        Some((scheme, _)) => fault(format!("a database of the kind `{scheme}` is not supported"), hint),
        None => fault("this is no database URL", hint),
    }
}

fn amqp_url(url: &str) -> Result<SecretUrl, Fault> {
    let hint = "write amqp://USER:PASSWORD@HOST:5672/VHOST, or amqps:// for TLS (%2f is the vhost /)";
    match url.split_once("://") {
        Some(("amqp" | "amqps", rest)) if !host_of(rest).is_empty() => Ok(SecretUrl::new(url)),
        Some(("amqp" | "amqps", _)) => fault("the URL names no host", hint),
        Some((scheme, _)) => fault(format!("a broker of the kind `{scheme}` is not supported"), hint),
        None => fault("this is no broker URL", hint),
    }
}

/// The host of what follows `://`.
fn host_of(rest: &str) -> &str {
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    if host.starts_with(':') { "" } else { host }
}

fn http_url(url: &str) -> Result<String, Fault> {
    let hint = "write something like https://mozhao.example.com";
    let trimmed = url.trim_end_matches('/');
    match trimmed.split_once("://") {
        Some(("http" | "https", rest)) if rest.contains('@') => fault("must not hold a password: callbacks carry it", hint),
        Some(("http" | "https", rest)) if rest.contains(['?', '#', ' ']) => fault("must end before any `?` or `#`", hint),
        Some(("http" | "https", rest)) if !host_of(rest).is_empty() => Ok(trimmed.to_owned()),
        _ => fault(format!("`{}` is no http:// or https:// URL", mask_if_url(url)), hint),
    }
}

/// As it is written: tokens are compared with it byte by byte.
fn issuer(url: &str) -> Result<String, Fault> {
    http_url(url)?;
    let local = ["http://127.0.0.1", "http://localhost", "http://[::1]"]
        .iter()
        .any(|start| url.strip_prefix(start).is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '/'])));
    if url.starts_with("http://") && !local {
        return fault("is not https: whoever is in between could sign in as anybody", "write https://, as your provider says it");
    }
    Ok(url.to_owned())
}

fn some(text: &str) -> Result<String, Fault> {
    if text.is_empty() { fault("is empty", "write something, or leave the key out") } else { Ok(text.to_owned()) }
}

fn mask_if_url(text: &str) -> String {
    if text.contains("://") { mask_url(text) } else { text.to_owned() }
}

fn address(text: &str) -> Result<SocketAddr, Fault> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let hint = match text.rsplit_once(':') {
        _ if text.contains("://") => "leave out the `http://`: write 127.0.0.1:8080".to_owned(),
        _ if text.parse::<u16>().is_ok() => {
            format!("write 127.0.0.1:{text}, or 0.0.0.0:{text} to be reached from other machines")
        }
        Some(("", port)) => format!("write 0.0.0.0:{port} to be reached from other machines, or 127.0.0.1:{port}"),
        Some(("localhost", port)) => format!("write 127.0.0.1:{port}"),
        None if text.parse::<std::net::IpAddr>().is_ok() => format!("add the port: {text}:8080"),
        _ => "write an IP address and a port: 127.0.0.1:8080, 0.0.0.0:8080 or [::]:8080".to_owned(),
    };
    fault(format!("`{text}` is no address with a port"), hint)
}

fn path(text: &str) -> Result<PathBuf, Fault> {
    if text.is_empty() { fault("is empty", "write a path, or leave the key out to take the default") } else { Ok(text.into()) }
}

fn prefix(text: &str) -> Result<String, Fault> {
    if !is_name(text) {
        return fault(
            format!("`{text}` cannot start the names of queues"),
            "write lower-case letters, digits, `_`, `-` and `.`, at most 64",
        );
    }
    if text.starts_with("amq.") {
        return fault("names that start with `amq.` belong to the broker", "write `mozhao`, or a name of your own");
    }
    Ok(text.to_owned())
}

fn is_name(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-' | '.');
    (1..=64).contains(&text.len()) && text.chars().all(fits)
}

fn length(text: &str, least: Duration, most: Duration) -> Result<Duration, Fault> {
    match parse_duration(text) {
        Err(_) => fault(
            format!("`{text}` is not a length of time"),
            match text.parse::<u64>() {
                Ok(number) => format!("add a unit: {number}s or {number}m"),
                Err(_) => "write a whole number and a unit: 500ms, 30s or 10m".to_owned(),
            },
        ),
        Ok(length) if length < least => fault(
            format!("{text} is too short"),
            format!("write at least {}: a shorter one takes a busy worker for a dead one", show_duration(least)),
        ),
        Ok(length) if length > most => fault(format!("{text} is too long"), format!("write at most {}", show_duration(most))),
        Ok(length) => Ok(length),
    }
}

/// What ended is dropped by the month: nobody should miss what they still work with.
fn window(text: &str) -> Result<Duration, Fault> {
    let least = Duration::from_hours(31 * 24);
    match length(text, Duration::ZERO, Duration::MAX) {
        Ok(window) if window < least => {
            let hint = format!("write at least {}, or leave this out to keep them for ever", show_duration(least));
            fault(format!("{text} is too short"), hint)
        }
        other => other,
    }
}

fn count(text: &str, least: usize, most: usize) -> Result<usize, Fault> {
    match text.parse() {
        Ok(number) if (least..=most).contains(&number) => Ok(number),
        Ok(number) => fault(format!("{number} is out of range"), format!("write a number from {least} to {most}")),
        Err(_) => fault(format!("`{text}` is no whole number"), format!("write a number from {least} to {most}")),
    }
}

fn flag(text: &str) -> Result<bool, Fault> {
    match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => fault(format!("`{text}` is neither true nor false"), "write true or false"),
    }
}

fn word<'w>(text: &str, words: &[&'w str]) -> Result<&'w str, Fault> {
    match words.iter().find(|word| **word == text) {
        Some(word) => Ok(word),
        None => fault(format!("`{text}` is not known"), format!("write {}", words.join(" or "))),
    }
}

fn filter(text: &str) -> Result<String, Fault> {
    let hint = "write error, warn, info, debug or trace, or a filter such as info,mozhao=debug";
    let levels = ["off", "error", "warn", "info", "debug", "trace"];
    // A lone word that is no level would be taken for the name of a crate, and hide everything else.
    let lone = text.split(',').find(|part| !part.contains('=') && !levels.contains(&part.trim().to_lowercase().as_str()));
    match lone {
        Some(word) => fault(format!("`{word}` is no log level"), hint),
        None => match tracing_subscriber::EnvFilter::builder().parse(text) {
            Ok(_) => Ok(text.to_owned()),
            Err(error) => fault(format!("`{text}` is no log filter: {error}"), hint),
        },
    }
}
