//! Secrets: read from the environment or from files, shown to nobody. A file is read again when it changes, so that a
//! rotated token needs no restart.

use std::fs;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::Instant;

use super::config::{AuthConfig, SecretRef};

/// How often a secret's file is looked at, at most.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// The longest secret, in bytes.
const MAX_SECRET: u64 = 16 * 1024;

/// Looks up an environment variable.
pub type Env<'e> = &'e (dyn Fn(&str) -> Option<String> + Sync);

/// A connector's way to say who we are.
pub(super) struct Auth {
    kind: Kind,
    secret: Secret,
}

enum Kind {
    Bearer,
    Basic { user: String },
    Header { name: HeaderName },
}

impl Auth {
    /// Reads the secret once; an error names the variable or file, never its content.
    pub(super) fn new(config: &AuthConfig, env: Env<'_>) -> Result<Auth, String> {
        let (kind, from) = match config {
            AuthConfig::Bearer(from) => (Kind::Bearer, from),
            AuthConfig::Basic { user, password } => (Kind::Basic { user: user.clone() }, password),
            AuthConfig::Header { name, value } => {
                let name =
                    HeaderName::from_bytes(name.as_bytes()).map_err(|_| "the auth header has no proper name".to_owned())?;
                (Kind::Header { name }, value)
            }
        };
        let auth = Auth { kind, secret: Secret::new(from, env)? };
        auth.header().map(|_| auth)
    }

    /// The header of a call.
    pub(super) fn header(&self) -> Result<(HeaderName, HeaderValue), String> {
        let secret = self.secret.current(Instant::now());
        let secret = secret.expose_secret();
        let (name, text) = match &self.kind {
            Kind::Bearer => (AUTHORIZATION, format!("Bearer {secret}")),
            Kind::Basic { user } => (AUTHORIZATION, format!("Basic {}", STANDARD.encode(format!("{user}:{secret}")))),
            Kind::Header { name } => (name.clone(), secret.to_owned()),
        };
        let mut value = HeaderValue::from_str(&text)
            .map_err(|_| format!("{} holds a character that no header may have", self.secret.place))?;
        value.set_sensitive(true);
        Ok((name, value))
    }
}

struct Secret {
    /// Where it is, for messages.
    place: String,
    file: Option<String>,
    held: Mutex<Held>,
}

struct Held {
    value: SecretString,
    modified: Option<SystemTime>,
    looked: Instant,
}

impl Secret {
    fn new(from: &SecretRef, env: Env<'_>) -> Result<Secret, String> {
        let (place, file, value, modified) = match from {
            SecretRef::Env(name) => {
                let place = format!("the environment variable {name}");
                let value = env(name).ok_or_else(|| format!("{place} is not set"))?;
                let value = value.trim().to_owned();
                if value.is_empty() {
                    return Err(format!("{place} is empty"));
                }
                (place, None, value.into(), None)
            }
            SecretRef::File(path) => {
                let (value, modified) = read(path)?;
                (format!("the file {path}"), Some(path.clone()), value, modified)
            }
        };
        Ok(Secret { place, file, held: Mutex::new(Held { value, modified, looked: Instant::now() }) })
    }

    /// The secret as it is now. A file that cannot be read at the moment leaves the last one in use.
    fn current(&self, now: Instant) -> SecretString {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(path) = &self.file
            && now.saturating_duration_since(held.looked) >= LOOK_EVERY
        {
            held.looked = now;
            let modified = fs::metadata(path).and_then(|meta| meta.modified()).ok();
            if modified.is_some() && modified != held.modified {
                match read(path) {
                    Ok((value, modified)) => (held.value, held.modified) = (value, modified),
                    Err(error) => tracing::warn!(%error, "a changed secret cannot be read; the last one stays in use"),
                }
            }
        }
        held.value.clone()
    }
}

fn read(path: &str) -> Result<(SecretString, Option<SystemTime>), String> {
    let say = |error: std::io::Error| format!("the file {path} cannot be read: {error}");
    let meta = fs::metadata(path).map_err(say)?;
    if meta.len() > MAX_SECRET {
        return Err(format!("the file {path} is longer than {MAX_SECRET} bytes"));
    }
    let text = fs::read_to_string(path).map_err(say)?;
    let text = text.trim().to_owned();
    if text.is_empty() {
        return Err(format!("the file {path} is empty"));
    }
    Ok((text.into(), meta.modified().ok()))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn each_kind_makes_its_header() {
        let env = |name: &str| (name == "T").then(|| "s3cret\n".to_owned());
        let from = || SecretRef::Env("T".to_owned());
        let table = [
            (AuthConfig::Bearer(from()), "authorization", "Bearer s3cret"),
            (AuthConfig::Basic { user: "u".to_owned(), password: from() }, "authorization", "Basic dTpzM2NyZXQ="),
            (AuthConfig::Header { name: "X-Key".to_owned(), value: from() }, "x-key", "s3cret"),
        ];
        for (config, name, value) in table {
            let (header, held) = Auth::new(&config, &env).unwrap().header().unwrap();
            assert_eq!((header.as_str(), held.to_str().unwrap()), (name, value));
            assert!(held.is_sensitive());
        }
    }

    #[test]
    fn a_missing_secret_is_named() {
        let none = |_: &str| None;
        let error = Auth::new(&AuthConfig::Bearer(SecretRef::Env("BANK_TOKEN".to_owned())), &none).err().unwrap();
        assert_eq!(error, "the environment variable BANK_TOKEN is not set");
        let error = Auth::new(&AuthConfig::Bearer(SecretRef::File("/nowhere/token".to_owned())), &none).err().unwrap();
        assert!(error.starts_with("the file /nowhere/token cannot be read"), "{error}");
        let bad = |_: &str| Some("a\nb".to_owned());
        let error = Auth::new(&AuthConfig::Bearer(SecretRef::Env("T".to_owned())), &bad).err().unwrap();
        assert!(!error.contains("a\nb") && error.contains('T'), "{error}");
    }

    #[test]
    fn a_rotated_file_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        fs::write(&path, "one\n").unwrap();
        let secret = Secret::new(&SecretRef::File(path.to_str().unwrap().to_owned()), &|_| None).unwrap();
        let start = Instant::now();
        fs::write(&path, "two\n").unwrap();
        let changed = SystemTime::UNIX_EPOCH + Duration::from_secs(4_000_000_000);
        fs::File::options().write(true).open(&path).unwrap().set_modified(changed).unwrap();
        assert_eq!(secret.current(start).expose_secret(), "one");
        assert_eq!(secret.current(start + 2 * LOOK_EVERY).expose_secret(), "two");
        fs::remove_file(&path).unwrap();
        assert_eq!(secret.current(start + 4 * LOOK_EVERY).expose_secret(), "two");
    }
}
