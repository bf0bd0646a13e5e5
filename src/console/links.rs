//! One-time links: how the first person gets in, and everybody where there is no other way to sign in.
//!
//! A link is for one person, good once and for minutes. What it grants stands in the database beside its hash, so nothing of
//! it can be changed by who holds it; opening it does nothing yet (programs that look at links before people do must not use
//! them up): the page behind it says who is about to be signed in, and its button does it.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::api::hash;
use crate::api::permit::Role;
use crate::domain::time::Time;
use crate::engine::ports::sessions::{LinkRow, Person};

/// How long a link is good when nothing else is said.
pub const GOOD_FOR: Duration = Duration::from_mins(15);
/// The longest that a link may be good.
pub const LONGEST: Duration = Duration::from_hours(24);

/// A secret of 256 random bits.
pub(super) fn secret() -> String {
    let random: [u8; 32] = rand::random();
    URL_SAFE_NO_PAD.encode(random)
}

/// Makes a link: its path below the public address, to be shown once, and the row to store.
///
/// # Errors
/// A sentence that says what is not right.
pub fn fresh(person: Person, good_for: Duration, now: Time) -> Result<(String, LinkRow), String> {
    check(&person)?;
    if good_for.is_zero() || good_for > LONGEST {
        return Err(format!("a link is good for at most {} hours", LONGEST.as_secs() / 3600));
    }
    let secret = secret();
    let row = LinkRow {
        sha256: hash(&secret),
        person,
        created_at: now,
        expires_at: now.plus(good_for),
        used_at: None,
        revoked_at: None,
    };
    Ok((format!("{}/enter/{secret}", super::ROOT), row))
}

/// May somebody be named so, and have these rights?
///
/// # Errors
/// A sentence that says what is not right.
pub fn check(person: &Person) -> Result<(), String> {
    let word = |text: &str| {
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'_' | b'-');
        (1..=64).contains(&text.len()) && text.bytes().all(fits)
    };
    if !word(&person.name) {
        return Err("the name is 1 to 64 of the characters a-z 0-9 . _ -".to_owned());
    }
    if person.roles.is_empty() || person.roles.iter().any(|role| Role::parse(role).is_none()) {
        return Err("at least one known role is needed".to_owned());
    }
    if !person.processes.iter().chain(&person.review_roles).all(|name| word(name)) {
        return Err("names of processes and reviewers' roles are 1 to 64 of the characters a-z 0-9 . _ -".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn person(name: &str, roles: &[&str]) -> Person {
        let roles = roles.iter().map(|role| (*role).to_owned()).collect();
        Person { name: name.into(), roles, processes: Vec::new(), review_roles: Vec::new() }
    }

    #[test]
    fn a_link_is_new_each_time_and_only_its_hash_is_kept() {
        let (path, row) = fresh(person("li", &["reviewer"]), GOOD_FOR, Time(5)).unwrap();
        let (other, _) = fresh(person("li", &["reviewer"]), GOOD_FOR, Time(5)).unwrap();
        assert_ne!(path, other);
        let secret = path.strip_prefix("/console/enter/").unwrap();
        assert_eq!((secret.len(), row.sha256), (43, hash(secret)));
        assert_eq!(row.expires_at, Time(5 + 900_000_000));
        assert!(!format!("{row:?}").contains(secret));
    }

    #[test]
    fn what_makes_no_link() {
        assert!(fresh(person("Li", &["reviewer"]), GOOD_FOR, Time(0)).is_err());
        assert!(fresh(person("li", &["root"]), GOOD_FOR, Time(0)).is_err());
        assert!(fresh(person("li", &[]), GOOD_FOR, Time(0)).is_err());
        assert!(fresh(person("li", &["reviewer"]), LONGEST * 2, Time(0)).is_err());
        assert!(fresh(person("li", &["reviewer"]), Duration::ZERO, Time(0)).is_err());
    }
}
