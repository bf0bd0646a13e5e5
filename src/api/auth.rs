//! Who is asking: the bearer token, and what it may see.
//!
//! Secrets are 256 random bits, so their SHA-256 needs no salt and can be looked up by an index; comparing hashes tells an
//! attacker nothing about secrets. A revoked token must die soon and everywhere, and yet not every request may cost a
//! query: tokens are cached for a few seconds, known ones only, so that guessing fills nothing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::header;
use axum::http::request::Parts;
use sha2::{Digest, Sha256};

use super::Api;
use super::kinds;
use super::permit::{Action, Role, allows, roles_for};
use super::problem::Problem;
use crate::domain::time::Time;
use crate::engine::ports::records::{RequestRow, TokenRow};
use crate::engine::ports::sessions::Person;
use crate::engine::ports::store::StoreError;

/// How long a token is believed without asking the store: so long a revoked one lives on.
const BELIEVED: Duration = Duration::from_secs(3);
/// The most tokens that are remembered.
const REMEMBERED: usize = 1024;
/// What every secret starts with, so that leaked ones can be found.
pub const PREFIX: &str = "mz_";

/// Tokens seen lately, by their hash.
#[derive(Debug, Default)]
pub(super) struct TokenCache(Mutex<HashMap<[u8; 32], Seen>>);

/// A token and when it was read.
type Seen = (Arc<TokenRow>, Time);

impl TokenCache {
    fn get(&self, sha256: &[u8; 32], now: Time) -> Option<Arc<TokenRow>> {
        let tokens = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.get(sha256).filter(|(_, seen)| now.since(*seen) < BELIEVED && now >= *seen).map(|(token, _)| token.clone())
    }

    fn put(&self, token: Arc<TokenRow>, now: Time) {
        let mut tokens = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if tokens.len() >= REMEMBERED {
            tokens.retain(|_, (_, seen)| now.since(*seen) < BELIEVED);
        }
        if tokens.len() < REMEMBERED {
            tokens.insert(token.sha256, (token, now));
        }
    }

    /// Forgets everything: called where this process revokes a token.
    pub(super) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// The hash that a secret is stored under.
#[must_use]
pub fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

/// Somebody with a valid token.
#[derive(Debug, Clone)]
pub(super) struct Caller(Arc<TokenRow>);

impl FromRequestParts<Api> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        // Nothing that comes over a connection can carry this: it was put there inside the program, for a session.
        if let Some(caller) = parts.extensions.get::<Caller>() {
            return Ok(caller.clone());
        }
        let mut headers = parts.headers.get_all(header::AUTHORIZATION).iter();
        let (given, more) = (headers.next(), headers.next());
        let given = given.ok_or_else(|| Problem::new(&kinds::TOKEN, "there is no Authorization header"))?;
        let secret = given.to_str().ok().filter(|_| more.is_none()).and_then(secret_of);
        let secret = secret.ok_or_else(|| Problem::new(&kinds::TOKEN, "the Authorization header is not `Bearer mz_…`"))?;
        let token = api.token(&hash(secret)).await?;
        Ok(Caller(token))
    }
}

fn secret_of(header: &str) -> Option<&str> {
    let (scheme, secret) = header.split_once(' ')?;
    let secret = secret.trim();
    let shape = secret.starts_with(PREFIX) && (20..=100).contains(&secret.len());
    (scheme.eq_ignore_ascii_case("bearer") && shape).then_some(secret)
}

impl Api {
    /// The valid token with this hash.
    async fn token(&self, sha256: &[u8; 32]) -> Result<Arc<TokenRow>, Problem> {
        let now = self.engine().clock().now();
        let token = match self.tokens().get(sha256, now) {
            Some(token) => token,
            None => match self.engine().store().token(sha256).await {
                Ok(token) => {
                    let token = Arc::new(token);
                    self.tokens().put(token.clone(), now);
                    token
                }
                Err(StoreError::NotFound(_)) => return Err(Problem::new(&kinds::TOKEN, "there is no such token")),
                Err(error) => return Err(error.into()),
            },
        };
        check(&token, now)?;
        Ok(token)
    }
}

fn check(token: &TokenRow, now: Time) -> Result<(), Problem> {
    match token.over(now) {
        Some(why) => Err(Problem::new(&kinds::TOKEN, format!("the token {why}"))),
        None => Ok(()),
    }
}

impl Caller {
    /// Somebody whose session was checked.
    pub(super) fn signed_in(person: &Person) -> Caller {
        Caller(Arc::new(TokenRow {
            name: person.name.clone(),
            sha256: [0; 32],
            roles: person.roles.clone(),
            processes: person.processes.clone(),
            review_roles: person.review_roles.clone(),
            created_at: Time(0),
            expires_at: None,
            revoked_at: None,
        }))
    }

    /// Who acts: the token's name.
    pub(super) fn name(&self) -> &str {
        &self.0.name
    }

    /// The token.
    pub(super) fn token(&self) -> &TokenRow {
        &self.0
    }

    /// May it do this?
    pub(super) fn may(&self, action: Action) -> bool {
        self.0.roles.iter().filter_map(|word| Role::parse(word)).any(|role| allows(role, action))
    }

    /// Else a problem that names the roles which may.
    pub(super) fn require(&self, action: Action) -> Result<(), Problem> {
        if self.may(action) {
            return Ok(());
        }
        let roles = roles_for(action).join(", ");
        Err(Problem::new(&kinds::FORBIDDEN, format!("this needs one of the roles: {roles}")))
    }

    /// Else a problem: what concerns the whole installation is not for tokens that are good for some processes only.
    pub(super) fn require_everywhere(&self, action: Action) -> Result<(), Problem> {
        self.require(action)?;
        if self.0.processes.is_empty() {
            return Ok(());
        }
        Err(Problem::new(&kinds::FORBIDDEN, "this concerns all processes; the token is good for some of them only"))
    }

    /// Is the token good for this process?
    pub(super) fn covers(&self, process: &str) -> bool {
        self.0.covers(process)
    }

    /// May it read everybody's requests, with what is inside them?
    pub(super) fn is_staff(&self) -> bool {
        self.may(Action::ReadRequests)
    }

    /// May it see this request?
    pub(super) fn sees(&self, row: &RequestRow) -> bool {
        let own = self.may(Action::ReadOwn) && row.producer == self.0.name;
        self.covers(&row.process) && (self.is_staff() || own)
    }

    /// Has it the reviewers' role that a review asks for?
    pub(super) fn has_review_role(&self, role: Option<&str>) -> bool {
        self.0.has_review_role(role)
    }

    /// The processes that a list may show: what was asked for, as far as the token covers it. `None`: nothing at all (an
    /// empty list of processes would mean all of them).
    pub(super) fn narrow(&self, asked: Vec<String>) -> Option<Vec<String>> {
        if self.0.processes.is_empty() {
            return Some(asked);
        }
        if asked.is_empty() {
            return Some(self.0.processes.clone());
        }
        let both: Vec<String> = asked.into_iter().filter(|process| self.covers(process)).collect();
        (!both.is_empty()).then_some(both)
    }
}

#[cfg(test)]
pub(super) mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    pub(in crate::api) fn caller(name: &str, roles: &[&str], processes: &[&str]) -> Caller {
        let owned = |list: &[&str]| list.iter().map(|word| (*word).to_owned()).collect();
        Caller(Arc::new(TokenRow {
            name: name.into(),
            sha256: hash(name),
            roles: owned(roles),
            processes: owned(processes),
            review_roles: vec!["identity".into()],
            created_at: Time(0),
            expires_at: None,
            revoked_at: None,
        }))
    }

    #[test]
    fn the_header_has_one_form() {
        let secret = "mz_aaaaaaaaaaaaaaaaaaaaaaaa";
        assert_eq!(secret_of(&format!("Bearer {secret}")), Some(secret));
        assert_eq!(secret_of(&format!("bearer {secret}")), Some(secret));
        for bad in ["", "Bearer", "Bearer mz_", "Bearer aaaaaaaaaaaaaaaaaaaaaaaaaaa", "Basic mz_aaaaaaaaaaaaaaaaaaaaaaaa"] {
            assert_eq!(secret_of(bad), None, "{bad}");
        }
    }

    #[test]
    fn tokens_end() {
        let mut token = caller("a", &["admin"], &[]).token().clone();
        token.expires_at = Some(Time(10));
        assert!(check(&token, Time(9)).is_ok());
        assert_eq!(check(&token, Time(10)).unwrap_err().code(), "token");
        token.expires_at = None;
        token.revoked_at = Some(Time(1));
        assert!(check(&token, Time(0)).is_err());
    }

    #[test]
    fn the_cache_forgets() {
        let cache = TokenCache::default();
        let token = Arc::new(caller("a", &[], &[]).token().clone());
        cache.put(token.clone(), Time(0));
        assert!(cache.get(&token.sha256, Time(2_999_999)).is_some());
        assert!(cache.get(&token.sha256, Time(3_000_000)).is_none());
        for number in 0..3_000 {
            let mut other = (*token).clone();
            other.sha256 = hash(&number.to_string());
            cache.put(Arc::new(other), Time(0));
        }
        assert_eq!(cache.0.lock().unwrap().len(), REMEMBERED);
        cache.clear();
        assert!(cache.get(&token.sha256, Time(0)).is_none());
    }

    #[test]
    fn lists_never_widen() {
        let list = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let some = caller("a", &["operator"], &["x", "y"]);
        assert_eq!(some.narrow(list(&[])), Some(list(&["x", "y"])));
        assert_eq!(some.narrow(list(&["y", "z"])), Some(list(&["y"])));
        assert_eq!(some.narrow(list(&["z"])), None);
        assert_eq!(caller("a", &["operator"], &[]).narrow(list(&[])), Some(list(&[])));
    }

    #[test]
    fn the_engine_and_the_table_agree_who_decides() {
        for role in crate::api::permit::ROLES {
            assert_eq!(caller("a", &[role.as_str()], &[]).token().decides(), allows(role, Action::Review), "{role:?}");
        }
    }

    #[test]
    fn roles_of_reviews() {
        assert!(caller("a", &["reviewer"], &[]).has_review_role(Some("identity")));
        assert!(!caller("a", &["reviewer"], &[]).has_review_role(Some("money")));
        assert!(caller("a", &["reviewer"], &[]).has_review_role(None));
        assert!(caller("a", &["admin"], &[]).has_review_role(Some("money")));
    }
}
