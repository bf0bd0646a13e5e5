//! Values that may not be shown. A URL with a password appears in `config show`, in logs and in errors; what leaves
//! here by `Display` or `Debug` is masked, and taking the real value needs a word that a reader notices.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

/// What stands where a secret was.
pub const MASK: &str = "***";

/// A URL that may hold a password.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretUrl(String);

impl SecretUrl {
    /// Wraps a URL.
    #[must_use]
    pub fn new(url: impl Into<String>) -> SecretUrl {
        SecretUrl(url.into())
    }

    /// The URL with its password.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What stands before `://`.
    #[must_use]
    pub fn scheme(&self) -> &str {
        self.0.split_once("://").map_or("", |(scheme, _)| scheme)
    }
}

impl fmt::Display for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&mask_url(&self.0))
    }
}

impl fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretUrl({self})")
    }
}

/// Where a secret is; the secret itself is read when it is needed, so that a file can be checked without it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SecretRef {
    /// In an environment variable.
    Env(String),
    /// In a file; white space around it is cut off.
    File(PathBuf),
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SecretRef::Env(variable) => write!(f, "in the variable {variable}"),
            SecretRef::File(path) => write!(f, "in the file {}", path.display()),
        }
    }
}

/// The URL with its password, and every parameter that sounds like a secret, masked. What is no URL is masked as a whole.
#[must_use]
pub fn mask_url(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return MASK.to_owned() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    // A password with an unescaped `/` in it: everything before the last `@` is then in doubt.
    let end = rest.rfind('@').map_or(end, |at| end.max(at + 1));
    let (authority, path) = rest.split_at(end);
    let authority = match authority.rsplit_once('@') {
        Some((login, host)) => match login.split_once(':') {
            Some((user, _)) => format!("{user}:{MASK}@{host}"),
            None => format!("{login}@{host}"),
        },
        None => authority.to_owned(),
    };
    let path = match path.split_once('?') {
        Some((path, query)) => format!("{path}?{}", query.split('&').map(mask_parameter).collect::<Vec<_>>().join("&")),
        None => path.to_owned(),
    };
    format!("{scheme}://{authority}{path}")
}

fn mask_parameter(parameter: &str) -> String {
    match parameter.split_once('=') {
        Some((name, _)) if ["pass", "secret", "token", "key"].iter().any(|word| name.to_lowercase().contains(word)) => {
            format!("{name}={MASK}")
        }
        _ => parameter.to_owned(),
    }
}

/// A line of a file with the URLs in it masked.
pub(super) fn mask_line(line: &str) -> String {
    line.split(' ').map(|word| if word.contains("://") { mask_url(word) } else { word.to_owned() }).collect::<Vec<_>>().join(" ")
}
