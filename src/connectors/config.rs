//! `connectors.yaml`: how each remote system is reached. Strict, because a misspelt `retry_on` would silently turn
//! "certainly not applied" into "nobody knows": an unknown key is an error at its line, with the key that was meant.
//!
//! Secrets are never in the file: it names an environment variable or a file, and both are read when the connectors
//! are built, so that the file itself can be checked on a machine that has no secrets. Files that it names are relative to it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use serde_saphyr::{Location, Spanned};

use super::headers;
use super::sizes::{Rate, parse_rate, parse_size};
use super::status::StatusRules;
use crate::domain::time::parse_duration;
use crate::engine::ports::remote::BreakerSettings;

/// The largest file that is read, in bytes.
const MAX_FILE: usize = 1024 * 1024;

/// What is wrong with `connectors.yaml`, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError {
    /// The file's name as it was given.
    pub file: String,
    /// The line, from 1; 0 where it is about the whole file.
    pub line: u64,
    /// The column, from 1.
    pub column: u64,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        write!(f, ": {}", self.message)?;
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, "; {hint}"))
    }
}

/// The whole file, checked.
#[derive(Debug, Clone, Default)]
pub struct ConnectorsConfig {
    /// By name.
    pub connectors: BTreeMap<String, ConnectorConfig>,
}

/// One remote system.
#[derive(Debug, Clone)]
pub struct ConnectorConfig {
    /// The base URL as written; may hold `${env:NAME}`.
    pub base_url: String,
    /// Where `base_url` stands, for errors found once the environment is known.
    pub at: (u64, u64),
    /// How we prove who we are.
    pub auth: Option<AuthConfig>,
    /// The whole call's deadline, waiting for a place included.
    pub timeout: Duration,
    /// The longest that connecting may take; at most half of `timeout`.
    pub connect_timeout: Duration,
    /// Calls at the same time.
    pub concurrency: usize,
    /// Calls in a stretch of time.
    pub rate: Option<Rate>,
    /// The most decompressed bytes of an answer.
    pub max_answer: usize,
    /// When the dependency counts as down.
    pub breaker: BreakerSettings,
    /// The target recognises a key.
    pub idempotency: Option<Idempotency>,
    /// What the target promises about its statuses.
    pub statuses: StatusRules,
    /// Fixed headers.
    pub headers: BTreeMap<String, String>,
    /// The path that says whether it is well.
    pub health: Option<String>,
    /// A PEM file with the certificates of a private authority to trust besides the system's.
    pub ca_file: Option<String>,
}

/// How a target recognises a repeated effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idempotency {
    /// The header that carries the key.
    pub header: String,
    /// How long it remembers.
    pub window: Duration,
}

/// How we prove who we are.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum AuthConfig {
    /// `Authorization: Bearer …`.
    Bearer(SecretRef),
    /// `Authorization: Basic …`.
    Basic {
        /// The user.
        user: String,
        /// The password.
        password: SecretRef,
    },
    /// A header of its own.
    Header {
        /// Its name.
        name: String,
        /// Its value.
        value: SecretRef,
    },
}

/// Where a secret is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecretRef {
    /// In an environment variable.
    Env(String),
    /// In a file; white space around it is cut off, and it is read again when the file changes.
    File(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    connectors: BTreeMap<String, Spanned<Raw>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    base_url: Spanned<String>,
    auth: Option<Spanned<AuthConfig>>,
    timeout: Option<Spanned<String>>,
    connect_timeout: Option<Spanned<String>>,
    concurrency: Option<Spanned<u32>>,
    rate: Option<Spanned<String>>,
    max_answer: Option<Spanned<String>>,
    breaker: Option<Spanned<RawBreaker>>,
    idempotency: Option<Spanned<RawIdempotency>>,
    #[serde(default)]
    retry_on: Vec<Spanned<u16>>,
    #[serde(default)]
    safe_on: Vec<Spanned<u16>>,
    #[serde(default)]
    headers: BTreeMap<String, Spanned<String>>,
    health: Option<Spanned<RawHealth>>,
    ca_file: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawBreaker {
    failures: Option<u32>,
    open_for: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawIdempotency {
    header: Option<String>,
    window: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawHealth {
    get: String,
}

impl ConnectorsConfig {
    /// Reads the file's text. Touches neither the environment nor other files.
    pub fn parse(file: &str, text: &str) -> Result<ConnectorsConfig, ConfigError> {
        let report = Report { file };
        if text.len() > MAX_FILE {
            return Err(report.whole(format!("is longer than {MAX_FILE} bytes")));
        }
        let options = serde_saphyr::options! {
            with_snippet: false,
            strict_booleans: true,
        };
        let raw: RawFile = serde_saphyr::from_str_with_options(text, options).map_err(|error| report.yaml(&error))?;
        let mut connectors = BTreeMap::new();
        for (name, entry) in raw.connectors {
            let at = entry.referenced;
            let snake = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
            if !snake || !name.starts_with(|first: char| first.is_ascii_lowercase()) || name.len() > 64 {
                let hint = "write lower-case letters, digits and `_`, a letter first, at most 64";
                return Err(report.at(at, format!("`{name}` is no name for a connector"), Some(hint)));
            }
            let mut connector = report.connector(&name, entry.value)?;
            connector.place_files(Path::new(file).parent().unwrap_or(Path::new("")));
            connectors.insert(name, connector);
        }
        Ok(ConnectorsConfig { connectors })
    }
}

impl ConnectorConfig {
    /// Relative paths start at the folder of the connectors' file, wherever the program was started.
    fn place_files(&mut self, folder: &Path) {
        let place = |file: &mut String| *file = folder.join(&*file).display().to_string();
        self.ca_file.iter_mut().for_each(place);
        let secret = match &mut self.auth {
            Some(AuthConfig::Bearer(secret) | AuthConfig::Basic { password: secret, .. }) => secret,
            Some(AuthConfig::Header { value, .. }) => value,
            None => return,
        };
        if let SecretRef::File(file) = secret {
            place(file);
        }
    }
}

/// Makes errors of this file.
struct Report<'f> {
    file: &'f str,
}

impl Report<'_> {
    fn whole(&self, message: String) -> ConfigError {
        ConfigError { file: self.file.to_owned(), line: 0, column: 0, message, hint: None }
    }

    fn at(&self, at: Location, message: impl Into<String>, hint: Option<&str>) -> ConfigError {
        ConfigError {
            file: self.file.to_owned(),
            line: at.line(),
            column: at.column(),
            message: message.into(),
            hint: hint.map(str::to_owned),
        }
    }

    fn yaml(&self, error: &serde_saphyr::Error) -> ConfigError {
        let error = error.without_snippet();
        let at = error.location().map_or((0, 0), |at| (at.line(), at.column()));
        let (message, hint) = match error {
            serde_saphyr::Error::SerdeUnknownField { field, expected, .. } => {
                (format!("the key `{field}` is not known here"), Some(meant(field, expected)))
            }
            serde_saphyr::Error::SerdeUnknownVariant { variant, expected, .. } => {
                (format!("`{variant}` is not known here"), Some(meant(variant, expected)))
            }
            serde_saphyr::Error::SerdeMissingField { field, .. } => (format!("`{field}` is missing"), None),
            other => {
                let text = other.to_string();
                let text = text.lines().next().unwrap_or_default();
                // The place is ours to show; the parser repeats it in its text.
                let cut = text.find(" at line ").or_else(|| text.find(": line ")).unwrap_or(text.len());
                (text[..cut].to_owned(), None)
            }
        };
        ConfigError { file: self.file.to_owned(), line: at.0, column: at.1, message, hint }
    }

    fn connector(&self, name: &str, raw: Raw) -> Result<ConnectorConfig, ConfigError> {
        let timeout = self.length(raw.timeout.as_ref(), Duration::from_secs(5))?;
        let connect = self.length(raw.connect_timeout.as_ref(), Duration::from_secs(2))?;
        let concurrency = match &raw.concurrency {
            Some(given) if given.value == 0 || given.value > 10_000 => {
                return Err(self.at(given.referenced, "`concurrency` is a number from 1 to 10000", None));
            }
            given => given.as_ref().map_or(32, |given| given.value),
        };
        let max_answer = self.read(raw.max_answer.as_ref(), parse_size)?.unwrap_or(1024 * 1024);
        let idempotency = match &raw.idempotency {
            None => None,
            Some(given) => Some(Idempotency {
                header: self.header(given.referenced, given.value.header.as_deref().unwrap_or("Idempotency-Key"))?,
                window: parse_duration(&given.value.window).map_err(|message| self.at(given.referenced, message, None))?,
            }),
        };
        let base_at = raw.base_url.referenced;
        if !raw.base_url.value.contains("${env:") {
            super::egress::Base::parse(&raw.base_url.value)
                .map_err(|message| self.at(base_at, format!("`base_url` of {name} {message}"), None))?;
        }
        let auth_header = match raw.auth.as_ref().map(|auth| &auth.value) {
            Some(AuthConfig::Header { name, .. }) => Some(name.as_str()),
            _ => None,
        };
        if let (Some(auth), Some(header)) = (&raw.auth, auth_header) {
            self.header(auth.referenced, header)?;
        }
        let own = headers::Protected::new(auth_header, idempotency.as_ref().map(|own| own.header.as_str()));
        for (header, value) in &raw.headers {
            own.check(header, &value.value).map_err(|message| self.at(value.referenced, message, None))?;
        }
        if let Some(health) = &raw.health {
            super::egress::check_path(&health.value.get).map_err(|message| self.at(health.referenced, message, None))?;
        }
        Ok(ConnectorConfig {
            at: (base_at.line(), base_at.column()),
            base_url: raw.base_url.value,
            auth: raw.auth.map(|auth| auth.value),
            timeout,
            connect_timeout: connect.min(timeout / 2),
            concurrency: concurrency as usize,
            rate: self.read(raw.rate.as_ref(), parse_rate)?,
            max_answer,
            breaker: self.breaker(raw.breaker.as_ref())?,
            idempotency,
            statuses: StatusRules {
                retry_on: self.statuses(&raw.retry_on, &[])?,
                safe_on: self.statuses(&raw.safe_on, &raw.retry_on)?,
            },
            headers: raw.headers.into_iter().map(|(name, value)| (name, value.value)).collect(),
            health: raw.health.map(|health| health.value.get),
            ca_file: raw.ca_file,
        })
    }

    fn read<T>(
        &self,
        given: Option<&Spanned<String>>,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>, ConfigError> {
        given.map(|given| read(&given.value).map_err(|message| self.at(given.referenced, message, None))).transpose()
    }

    fn length(&self, given: Option<&Spanned<String>>, default: Duration) -> Result<Duration, ConfigError> {
        let length = self.read(given, parse_duration)?.unwrap_or(default);
        match given {
            Some(given) if length < Duration::from_millis(10) || length > Duration::from_mins(10) => {
                Err(self.at(given.referenced, "a call's time is from 10ms to 10m", None))
            }
            _ => Ok(length),
        }
    }

    fn header(&self, at: Location, name: &str) -> Result<String, ConfigError> {
        headers::check_name(name).map_err(|message| self.at(at, message, None))?;
        Ok(name.to_owned())
    }

    fn breaker(&self, given: Option<&Spanned<RawBreaker>>) -> Result<BreakerSettings, ConfigError> {
        let mut settings = BreakerSettings::default();
        let Some(given) = given else { return Ok(settings) };
        if let Some(failures) = given.value.failures {
            if failures == 0 {
                return Err(self.at(given.referenced, "`failures` is at least 1", None));
            }
            settings.failures = failures;
        }
        if let Some(open_for) = &given.value.open_for {
            settings.open_for = parse_duration(open_for).map_err(|message| self.at(given.referenced, message, None))?;
        }
        Ok(settings)
    }

    fn statuses(&self, list: &[Spanned<u16>], other: &[Spanned<u16>]) -> Result<Vec<u16>, ConfigError> {
        let mut statuses = Vec::new();
        for given in list {
            if !(400..600).contains(&given.value) {
                return Err(self.at(given.referenced, format!("{} is no status from 400 to 599", given.value), None));
            }
            if other.iter().any(|other| other.value == given.value) {
                let hint = "`retry_on` says that trying again may help, `safe_on` that it never will";
                return Err(self.at(given.referenced, format!("{} is in `retry_on` as well", given.value), Some(hint)));
            }
            statuses.push(given.value);
        }
        Ok(statuses)
    }
}

/// "did you mean …", else the list of what there is.
fn meant(given: &str, known: &[&str]) -> String {
    match known.iter().map(|name| (distance(given, name), *name)).min() {
        Some((steps, name)) if steps <= 2.max(given.len() / 3) => format!("did you mean `{name}`?"),
        _ => format!("known are {}", known.join(", ")),
    }
}

/// How many letters must change, go or come.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().take(64).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let change = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
