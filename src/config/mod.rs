//! The configuration: flags over environment over file over defaults, every value with the place it came from.
//!
//! The hard part is not reading values but telling a person what is wrong with them. So nothing stops at the first
//! mistake, an unknown key or variable is an error with the one that was meant (a misspelt `worker.leese` would
//! silently run with the default), and secrets never reach a message. [`resolve`] is pure: the file's text, the variables,
//! the flags and a way to read secret files come in as arguments; [`load`] is the part that touches the machine.

mod check;
mod file;
pub mod keys;
pub mod load;
mod problem;
pub mod schema;
mod secret;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::SecretString;
use serde::Serialize;

pub use self::problem::{File, Origin, Problem};
pub use self::secret::{MASK, SecretRef, SecretUrl, mask_url};

use self::keys::{DECISION_SECRETS, ENV_PREFIX, KEYS, Key, Kind};
use self::problem::Span;

/// A checked configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where requests are kept.
    pub database: DatabaseConfig,
    /// The broker.
    pub amqp: AmqpConfig,
    /// The HTTP API.
    pub http: HttpConfig,
    /// How long a decision in the console can be taken back.
    pub undo: Duration,
    /// The identity provider, where there is one.
    pub oidc: Option<OidcConfig>,
    /// The folder with the process files.
    pub processes: PathBuf,
    /// The file that says how remote systems are reached.
    pub connectors: PathBuf,
    /// The worker.
    pub worker: WorkerConfig,
    /// How long ended requests are kept, where that is bounded.
    pub keep: Option<Duration>,
    /// Logs.
    pub log: LogConfig,
    shown: Vec<Shown>,
}

/// `database.*`.
#[derive(Debug, Clone)]
pub struct DatabaseConfig {
    /// `sqlite://…` or `postgres://…`.
    pub url: SecretUrl,
}

/// `amqp.*`.
#[derive(Debug, Clone)]
pub struct AmqpConfig {
    /// `amqp://…` or `amqps://…`; `None`: there is no broker.
    pub url: Option<SecretUrl>,
    /// What all names start with.
    pub prefix: String,
    /// Declare the queue of opened reviews.
    pub reviews: bool,
    /// Consume decisions.
    pub decisions: bool,
    /// Tool to where its secret is.
    pub decision_secrets: BTreeMap<String, SecretRef>,
}

/// `oidc.*`.
#[derive(Debug, Clone)]
pub struct OidcConfig {
    /// The provider's name for itself, an address; as it was written, because tokens are compared with it.
    pub issuer: String,
    /// Our name there.
    pub client_id: String,
    /// Our secret there.
    pub client_secret: Option<SecretString>,
    /// What is asked for.
    pub scopes: String,
    /// The claim with a person's name.
    pub name_claim: String,
    /// The claim with their roles.
    pub roles_claim: String,
    /// How words of that claim begin that are meant for us.
    pub roles_prefix: String,
}

/// `http.*`.
#[derive(Debug, Clone)]
pub struct HttpConfig {
    /// Where the API listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// How others reach it, without a slash at the end, where it was set. See [`HttpConfig::public_url`].
    pub public: Option<String>,
}

impl HttpConfig {
    /// How others reach the API that listens at `bound`.
    #[must_use]
    pub fn public_url(&self, bound: SocketAddr) -> String {
        self.public.clone().unwrap_or_else(|| {
            let mut at = bound;
            if at.ip().is_unspecified() {
                at.set_ip(if at.is_ipv6() { std::net::Ipv6Addr::LOCALHOST.into() } else { std::net::Ipv4Addr::LOCALHOST.into() });
            }
            format!("http://{at}")
        })
    }
}

/// `worker.*`.
#[derive(Debug, Clone)]
pub struct WorkerConfig {
    /// Requests advanced at the same time.
    pub in_flight: usize,
    /// Without a heartbeat for this long the worker counts as dead.
    pub lease: Duration,
    /// The longest that stopping waits for running attempts.
    pub drain: Duration,
}

/// `log.*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConfig {
    /// Lines of JSON instead of lines for people.
    pub json: bool,
    /// A filter such as `info,mozhao=debug`.
    pub level: String,
}

/// A key as `config show` prints it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Shown {
    /// Its path.
    pub key: String,
    /// Its value, secrets masked; `None`: unset.
    pub value: Option<String>,
    /// Where the value comes from.
    pub origin: String,
}

/// A value set by a flag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flag {
    /// The flag as it was typed, for messages: `--listen` or `--set`.
    pub flag: String,
    /// The key's path.
    pub key: String,
    /// The value.
    pub value: String,
}

/// Everything that a configuration is made from.
pub struct Sources<'a> {
    /// The file, where there is one.
    pub file: Option<File<'a>>,
    /// The environment; only variables that start with `MOZHAO__` are looked at.
    pub env: &'a BTreeMap<String, String>,
    /// The flags.
    pub flags: &'a [Flag],
    /// Reads the file that a `…_FILE` variable names.
    pub read: &'a dyn Fn(&Path) -> io::Result<String>,
}

/// A value before it is understood.
struct Raw {
    text: String,
    origin: Origin,
    /// Its place in the file, where it is from there.
    at: Option<Span>,
}

impl Config {
    /// Every key with its value and where it comes from, secrets masked.
    #[must_use]
    pub fn shown(&self) -> &[Shown] {
        &self.shown
    }
}

/// Makes a configuration from all its sources.
///
/// # Errors
/// Everything that is wrong, in the order file, environment, flags, values.
pub fn resolve(sources: &Sources<'_>) -> Result<Config, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut secrets = BTreeMap::new();
    let mut values = BTreeMap::new();
    // A worker and a command started in different folders must mean the same database: with a file, its folder counts.
    let base = sources.file.and_then(|file| Path::new(file.name).parent()).unwrap_or(Path::new(""));
    if let Some(file) = sources.file {
        let contents = file::read(file, &mut problems);
        for found in contents.values {
            let origin = Origin::File { name: file.name.to_owned(), line: file.line(found.at) };
            let text = below(base, found.key.kind, &found.text);
            values.insert(found.key.path, Raw { text, origin, at: Some(found.at) });
        }
        for (tool, secret, at) in contents.secrets {
            let secret = match secret {
                SecretRef::File(path) => SecretRef::File(base.join(path)),
                other @ SecretRef::Env(_) => other,
            };
            secrets.insert(tool, (secret, Origin::File { name: file.name.to_owned(), line: file.line(at) }));
        }
    }
    from_env(sources, &mut values, &mut secrets, &mut problems);
    from_flags(sources.flags, &mut values, &mut problems);
    for key in KEYS {
        if let (Some(default), false) = (key.default, values.contains_key(key.path)) {
            values.insert(key.path, Raw { text: below(base, key.kind, default), origin: Origin::Default, at: None });
        }
    }
    check::build(sources.file, values, &secrets, problems)
}

/// A value of the file, or a default: a relative path, also that of a SQLite database, starts at the file's folder.
fn below(base: &Path, kind: Kind, text: &str) -> String {
    match (kind, text.split_once("://")) {
        (Kind::Path, _) => base.join(text).display().to_string(),
        (Kind::SecretUrl, Some(("sqlite", file))) if !matches!(file, "" | ":memory:") => {
            format!("sqlite://{}", base.join(file).display())
        }
        _ => text.to_owned(),
    }
}

fn from_env(
    sources: &Sources<'_>,
    values: &mut BTreeMap<&'static str, Raw>,
    secrets: &mut BTreeMap<String, (SecretRef, Origin)>,
    problems: &mut Vec<Problem>,
) {
    let ours = sources.env.iter().filter(|(name, _)| name.starts_with(ENV_PREFIX));
    let tools = format!("{}__", keys::env_name(DECISION_SECRETS));
    for (name, value) in ours {
        let problem = |message: String, hint: Option<String>| Problem {
            place: format!("environment {name}"),
            snippet: String::new(),
            message,
            hint,
        };
        if let Some(tool) = name.strip_prefix(&tools) {
            let (tool, secret) = match tool.strip_suffix("_FILE") {
                Some(tool) => (tool, SecretRef::File(value.into())),
                None => (tool, SecretRef::Env(name.clone())),
            };
            secrets.insert(tool.to_ascii_lowercase(), (secret, Origin::Env(name.clone())));
        } else if let Some(key) = KEYS.iter().find(|key| key.env() == *name) {
            if sources.env.contains_key(&format!("{name}_FILE")) && key.secret() {
                problems.push(problem(format!("both {name} and {name}_FILE are set"), Some("unset one of them".to_owned())));
            }
            values.insert(key.path, Raw { text: value.clone(), origin: Origin::Env(name.clone()), at: None });
        } else if let Some(key) = name.strip_suffix("_FILE").and_then(|name| KEYS.iter().find(|key| key.env() == name)) {
            if !key.secret() {
                let hint = format!("set {} to the value itself", key.env());
                problems.push(problem(format!("`{}` is no secret and is not read from a file", key.path), Some(hint)));
                continue;
            }
            let path = PathBuf::from(value);
            match (sources.read)(&path) {
                Ok(text) => {
                    let origin = Origin::EnvFile { variable: name.clone(), path };
                    values.insert(key.path, Raw { text: text.trim().to_owned(), origin, at: None });
                }
                Err(error) => {
                    let hint = "name a file that this user may read".to_owned();
                    problems.push(problem(format!("cannot read {}: {error}", path.display()), Some(hint)));
                }
            }
        } else {
            let known: Vec<String> = KEYS.iter().map(Key::env).collect();
            let hint = match keys::near(name, known.iter().map(String::as_str)) {
                Some(near) => format!("did you mean {near}?"),
                None => "`mozhao config show` lists all keys; `worker.lease` is MOZHAO__WORKER__LEASE".to_owned(),
            };
            problems.push(problem("this variable sets no key of the configuration".to_owned(), Some(hint)));
        }
    }
}

fn from_flags(flags: &[Flag], values: &mut BTreeMap<&'static str, Raw>, problems: &mut Vec<Problem>) {
    for Flag { flag, key, value } in flags {
        if let Some(known) = keys::find(key) {
            if known.kind == Kind::Secret {
                let message = format!("`{key}` is a secret, and arguments are seen by everybody on the machine");
                let hint = format!("set {0}, or {0}_FILE to the name of a file that holds it", known.env());
                let place = format!("flag {flag}");
                problems.push(Problem { place, snippet: String::new(), message, hint: Some(hint) });
                continue;
            }
            values.insert(known.path, Raw { text: value.clone(), origin: Origin::Flag(flag.clone()), at: None });
            continue;
        }
        let hint = match keys::near(key, KEYS.iter().map(|key| key.path)) {
            Some(near) => format!("did you mean `{near}`?"),
            None if key == DECISION_SECRETS => "secrets come from the file or the environment".to_owned(),
            None => "`mozhao config show` lists all keys".to_owned(),
        };
        let place = format!("flag {flag}");
        problems.push(Problem { place, snippet: String::new(), message: format!("there is no key `{key}`"), hint: Some(hint) });
    }
}
