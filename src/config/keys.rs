//! Every key there is, in one table: reading, validation, `config show`, the JSON Schema and the help text all go
//! through it, so that none of them can forget one.

/// What a key's value looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A URL that may hold a password.
    SecretUrl,
    /// A URL.
    Url,
    /// A secret that no file of ours and no argument holds: it comes from a variable, or the file that one names.
    Secret,
    /// Some words.
    Text,
    /// A short name.
    Name,
    /// A path; in a file, or where it is the default, it is relative to the configuration file's folder.
    Path,
    /// An address and a port.
    Address,
    /// A length of time.
    Length,
    /// A whole number.
    Count,
    /// `true` or `false`.
    Flag,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A log filter.
    Filter,
}

/// One key.
#[derive(Debug)]
pub struct Key {
    /// Section and name: `database.url`.
    pub path: &'static str,
    /// What its value looks like.
    pub kind: Kind,
    /// What it is where nobody sets it; `None`: unset.
    pub default: Option<&'static str>,
    /// What it is for, in one sentence.
    pub about: &'static str,
}

/// The word for human-readable log lines.
pub const HUMAN: &str = "human";
/// The word for log lines that are JSON.
pub const JSON: &str = "json";
/// The map of decision secrets, which is not a plain value.
pub const DECISION_SECRETS: &str = "amqp.decision_secrets";
/// What every variable of ours starts with; two underscores, so that `MOZHAO_URL` and the like stay apart.
pub const ENV_PREFIX: &str = "MOZHAO__";

/// All keys with a plain value, in the order that people read them.
pub const KEYS: &[Key] = &[
    Key {
        path: "database.url",
        kind: Kind::SecretUrl,
        default: Some("sqlite://mozhao.db"),
        about: "Where requests are kept: sqlite://FILE (one worker process; relative to this file) or postgres://USER@HOST/DATABASE.",
    },
    Key {
        path: "amqp.url",
        kind: Kind::SecretUrl,
        default: None,
        about: "The RabbitMQ broker, amqp:// or amqps://; without it requests come over HTTP only.",
    },
    Key {
        path: "amqp.prefix",
        kind: Kind::Name,
        default: Some("mozhao"),
        about: "What the names of all exchanges and queues start with.",
    },
    Key {
        path: "amqp.reviews",
        kind: Kind::Flag,
        default: Some("false"),
        about: "Declare a queue of opened reviews for reviewers' own tools.",
    },
    Key { path: "amqp.decisions", kind: Kind::Flag, default: Some("false"), about: "Consume signed decisions of such tools." },
    Key {
        path: "http.listen",
        kind: Kind::Address,
        default: Some("127.0.0.1:8080"),
        about: "The address and port of the HTTP API.",
    },
    Key {
        path: "http.public_url",
        kind: Kind::Url,
        default: None,
        about: "How others reach the API (callbacks carry it); without it http://<listen>.",
    },
    Key {
        path: "console.undo",
        kind: Kind::Length,
        default: Some("5s"),
        about: "How long a decision in the console can be taken back before it takes effect; 0s: not at all.",
    },
    Key {
        path: "oidc.issuer",
        kind: Kind::Url,
        default: None,
        about: "The OpenID Connect provider where people sign in to the console; without it by links and passwords only.",
    },
    Key { path: "oidc.client_id", kind: Kind::Text, default: None, about: "The console's name at the provider." },
    Key {
        path: "oidc.client_secret",
        kind: Kind::Secret,
        default: None,
        about: "The console's secret at the provider, from a variable or the file that one names; without it a public client with PKCE.",
    },
    Key {
        path: "oidc.scopes",
        kind: Kind::Text,
        default: Some("openid profile email"),
        about: "What is asked for, between blanks; openid is among it.",
    },
    Key {
        path: "oidc.name_claim",
        kind: Kind::Text,
        default: Some("preferred_username"),
        about: "The claim that names a person in every record: one that people cannot change themselves.",
    },
    Key {
        path: "oidc.roles_claim",
        kind: Kind::Text,
        default: Some("roles"),
        about: "The claim with a person's roles, a list of words; dots lead into objects (realm_access.roles).",
    },
    Key {
        path: "oidc.roles_prefix",
        kind: Kind::Text,
        default: Some("mozhao-"),
        about: "How words begin that are meant here: mozhao-reviewer, mozhao-review:identity, mozhao-process:card_unbind.",
    },
    Key { path: "processes", kind: Kind::Path, default: Some("processes"), about: "The folder with the process files." },
    Key {
        path: "connectors",
        kind: Kind::Path,
        default: Some("connectors.yaml"),
        about: "The file that says how remote systems are reached.",
    },
    Key {
        path: "worker.in_flight",
        kind: Kind::Count,
        default: Some("512"),
        about: "How many requests one worker process advances at the same time.",
    },
    Key {
        path: "worker.lease",
        kind: Kind::Length,
        default: Some("10s"),
        about: "After this long without a heartbeat another worker takes over; at least 3s.",
    },
    Key {
        path: "worker.drain",
        kind: Kind::Length,
        default: Some("20s"),
        about: "How long a stopping worker lets running attempts finish.",
    },
    Key {
        path: "retention.requests",
        kind: Kind::Length,
        default: None,
        about: "How long ended requests are kept, with their ledgers, payloads and reviews; at least 31d; without it for ever.",
    },
    Key {
        path: "log.format",
        kind: Kind::Word(&[HUMAN, JSON]),
        default: Some(HUMAN),
        about: "human or json; always on standard error.",
    },
    Key {
        path: "log.level",
        kind: Kind::Filter,
        default: Some("info"),
        about: "error, warn, info, debug, trace, or a filter such as info,mozhao=debug.",
    },
];

/// The key with this path.
#[must_use]
pub fn find(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.path == path)
}

impl Key {
    /// The variable that sets it: `MOZHAO__DATABASE__URL`.
    #[must_use]
    pub fn env(&self) -> String {
        env_name(self.path)
    }

    /// May its value come from a file that a variable names (`…_FILE`)?
    #[must_use]
    pub fn secret(&self) -> bool {
        matches!(self.kind, Kind::SecretUrl | Kind::Secret)
    }
}

/// The variable that sets the key with this path.
#[must_use]
pub fn env_name(path: &str) -> String {
    format!("{ENV_PREFIX}{}", path.replace('.', "__").to_ascii_uppercase())
}

/// The sections in order, without repetition.
pub(super) fn sections() -> Vec<&'static str> {
    let mut sections = Vec::new();
    for (section, _) in KEYS.iter().filter_map(|key| key.path.split_once('.')) {
        if !sections.contains(&section) {
            sections.push(section);
        }
    }
    sections
}

/// The keys that may stand in a section (`None`: at the top), the map of secrets included.
pub(super) fn names_in(section: Option<&str>) -> Vec<&'static str> {
    let Some(section) = section else {
        let plain = KEYS.iter().map(|key| key.path).filter(|path| !path.contains('.'));
        return sections().into_iter().chain(plain).collect();
    };
    let all = KEYS.iter().map(|key| key.path).chain([DECISION_SECRETS]);
    all.filter_map(|path| path.split_once('.')).filter(|(of, _)| *of == section).map(|(_, name)| name).collect()
}

/// What somebody who wrote `wrong` meant, if one of `known` is near enough.
#[must_use]
pub fn near<'k>(wrong: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let allowed = (wrong.chars().count() / 3).clamp(1, 3);
    let best = known.into_iter().map(|name| (distance(wrong, name), name)).min();
    best.filter(|(distance, _)| *distance <= allowed).map(|(_, name)| name)
}

/// Edits (insert, remove, replace, swap two neighbours) between two words, case ignored.
fn distance(a: &str, b: &str) -> usize {
    let letters = |word: &str| word.to_lowercase().chars().take(80).collect::<Vec<char>>();
    let (a, b) = (letters(a), letters(b));
    let mut table = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            table[i][j] = if i == 0 || j == 0 {
                i + j
            } else {
                let replaced = table[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                let swapped = if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                    table[i - 2][j - 2] + 1
                } else {
                    usize::MAX
                };
                replaced.min(swapped).min(table[i - 1][j] + 1).min(table[i][j - 1] + 1)
            };
        }
    }
    table[a.len()][b.len()]
}
