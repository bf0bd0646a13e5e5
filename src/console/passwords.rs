//! Passwords: hashing them, and how often somebody may try.
//!
//! Three things must not be told apart from outside: a name that nobody has, a wrong password, and somebody who was removed.
//! So a name without a row costs the same hash, and its tries are counted like those of any other. Tries are slowed down, not
//! locked out: a locked name is a way to keep its owner out. A try is counted before the password is looked at, so that a
//! thousand at the same moment are one try; and only [`AT_ONCE`] are looked at in this process at the same time, since each
//! takes 19 MiB and a processor.

use std::sync::Arc;
use std::time::Duration;

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use tokio::sync::Semaphore;

use crate::api::hash as sha256;
use crate::domain::time::Time;
use crate::engine::ports::sessions::Sessions;
use crate::engine::ports::store::StoreError;
use crate::engine::ports::users::{Tries, UserRow};

/// The fewest characters of a password.
const LEAST: usize = 12;
/// The most bytes of a password.
const MOST: usize = 512;
/// How many tries are free before they are slowed down.
const FREE: u32 = 5;
/// The longest that somebody waits for their next try.
const LONGEST: Duration = Duration::from_mins(1);
/// So long after the last try, none of them counts any more.
const FORGOTTEN: Duration = Duration::from_mins(15);
/// How many passwords are looked at at the same time.
const AT_ONCE: usize = 2;
/// How long a try waits for one of these places.
const PATIENCE: Duration = Duration::from_secs(3);

/// Hashes a new password; takes as long as looking at one.
///
/// # Errors
/// A sentence that says why it is no good password.
pub fn hash(name: &str, password: &str) -> Result<String, String> {
    let length = password.chars().count();
    if length < LEAST {
        return Err(format!("a password has at least {LEAST} characters"));
    }
    if password.len() > MOST {
        return Err(format!("a password has at most {MOST} bytes"));
    }
    let mut different: Vec<char> = password.chars().collect();
    different.sort_unstable();
    different.dedup();
    if different.len() < 5 || password.to_lowercase().contains(&name.to_lowercase()) && length < LEAST + name.len() {
        return Err("this password is too easy to guess: it is made of a few characters, or of the name".to_owned());
    }
    match Argon2::default().hash_password(password.as_bytes()) {
        Ok(hash) => Ok(hash.to_string()),
        Err(error) => Err(format!("the password cannot be hashed: {error}")),
    }
}

/// Does the password belong to this hash?
fn fits(hash: &str, password: &str) -> bool {
    PasswordHash::new(hash).is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
}

/// How a try ended.
#[derive(Debug)]
pub(super) enum Tried {
    /// They are who they say.
    In(Box<UserRow>),
    /// There is nobody of this name with this password.
    No,
    /// Too many tries; the next one is looked at so much later.
    Wait(Duration),
}

/// Looks at passwords, a few at a time.
#[derive(Debug, Clone)]
pub(super) struct Passwords {
    places: Arc<Semaphore>,
    /// The hash that nobody's password belongs to, with today's cost.
    nobody: Arc<str>,
}

impl Default for Passwords {
    fn default() -> Passwords {
        let random: [u8; 32] = rand::random();
        // Without one, names that nobody has would be answered faster; it cannot fail with the default cost.
        let nobody = Argon2::default().hash_password(&random).map(|hash| hash.to_string()).unwrap_or_default();
        Passwords { places: Arc::new(Semaphore::new(AT_ONCE)), nobody: nobody.into() }
    }
}

impl Passwords {
    /// One try.
    pub(super) async fn attempt(
        &self,
        sessions: &dyn Sessions,
        name: &str,
        password: &str,
        now: Time,
    ) -> Result<Tried, StoreError> {
        let bucket = bucket(name);
        let seen = sessions.tries(bucket).await?;
        let tries = match next(seen, now) {
            Ok(tries) => tries,
            Err(wait) => return Ok(Tried::Wait(wait)),
        };
        if !sessions.count_try(bucket, seen, tries).await? {
            // Another try at the same moment was counted, and this one was not looked at.
            return Ok(Tried::Wait(Duration::from_secs(1)));
        }
        let user = match sessions.user(name).await {
            Ok(user) => Some(user),
            Err(StoreError::NotFound(_)) => None,
            Err(error) => return Err(error),
        };
        let Ok(Ok(place)) = tokio::time::timeout(PATIENCE, self.places.clone().acquire_owned()).await else {
            return Ok(Tried::Wait(Duration::from_secs(5)));
        };
        let hash = user.as_ref().map_or_else(|| self.nobody.to_string(), |user| user.password.clone());
        let password = if password.len() > MOST { String::new() } else { password.to_owned() };
        let looked = tokio::task::spawn_blocking(move || {
            let fits = fits(&hash, &password);
            drop(place);
            fits
        });
        // A panic in there is a password that does not fit.
        let fits = looked.await.unwrap_or(false);
        match user {
            Some(user) if fits => {
                sessions.forget_tries(bucket).await?;
                Ok(Tried::In(Box::new(user)))
            }
            user => {
                // A name that nobody has is not logged: it may be a password in the wrong field.
                let name = user.as_ref().map_or("(nobody)", |user| user.person.name.as_str());
                tracing::warn!(name, failures = tries.failures, "a password did not fit");
                Ok(Tried::No)
            }
        }
    }
}

/// Where tries under a name are counted.
fn bucket(name: &str) -> u16 {
    let sha256 = sha256(name);
    u16::from_be_bytes([sha256[0], sha256[1]])
}

/// The tries with one more, where it may be made now; else how long to wait.
fn next(seen: Option<Tries>, now: Time) -> Result<Tries, Duration> {
    let seen = seen.filter(|tries| now.since(tries.last_at) < FORGOTTEN);
    let Some(tries) = seen else { return Ok(Tries { failures: 1, last_at: now }) };
    let left = pause(tries.failures).saturating_sub(now.since(tries.last_at));
    if left.is_zero() { Ok(Tries { failures: tries.failures.saturating_add(1), last_at: now }) } else { Err(left) }
}

/// How long after so many tries the next one is looked at.
fn pause(failures: u32) -> Duration {
    match failures.checked_sub(FREE) {
        None => Duration::ZERO,
        Some(more) => Duration::from_secs(1 << more.min(10)).min(LONGEST),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_password_is_hashed_with_its_own_salt() {
        let (one, two) = (hash("li", "correct horse battery").unwrap(), hash("li", "correct horse battery").unwrap());
        assert_ne!(one, two);
        assert!(one.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{one}");
        assert!(fits(&one, "correct horse battery") && fits(&two, "correct horse battery"));
        for wrong in ["", "correct horse batterY", "correct horse battery ", "正确"] {
            assert!(!fits(&one, wrong), "{wrong}");
        }
        assert!(!fits("", "correct horse battery") && !fits("$argon2id$", ""));
    }

    #[test]
    fn what_is_no_good_password() {
        for bad in ["", "short", "elevenchars", "aaaaaaaaaaaaaaaa", "abababababab", &"x1y2z".repeat(200)] {
            assert!(hash("li", bad).is_err(), "{bad}");
        }
        assert!(hash("wang.xiaoming", "wang.xiaoming1").is_err());
        assert!(hash("li", "十二个汉字也是一个好密码吗").is_ok());
    }

    #[test]
    fn tries_are_slowed_down_and_forgotten() {
        let seconds = |seconds: u64| Duration::from_secs(seconds);
        let pauses: Vec<u64> = (0..14).map(|failures| pause(failures).as_secs()).collect();
        assert_eq!(pauses, [0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60]);
        let (start, mut seen) = (Time(1_000_000_000), None);
        for failures in 1..=5 {
            let tries = next(seen, start).unwrap();
            assert_eq!(tries, Tries { failures, last_at: start });
            seen = Some(tries);
        }
        assert_eq!(next(seen, start).unwrap_err(), seconds(1));
        assert_eq!(next(seen, start.plus(seconds(1))).unwrap().failures, 6);
        let many = Some(Tries { failures: u32::MAX, last_at: start });
        assert_eq!(next(many, start.plus(seconds(59))).unwrap_err(), seconds(1));
        assert_eq!(next(many, start.plus(seconds(60))).unwrap().failures, u32::MAX);
        assert_eq!(next(many, start.plus(FORGOTTEN)).unwrap().failures, 1);
        // A clock that went back does not let anybody try more often.
        assert!(next(many, Time(0)).is_err());
    }
}
