//! Signing in at an identity provider: to its page, and back with a code.
//!
//! Between the two, the browser alone holds what belongs together: a cookie with the attempt's state, nonce and verifier, which
//! no script reads and which is used up when its owner comes back. So strangers who open the sign-in page a million times
//! leave nothing here, and an answer that was begun in another browser lets nobody in. Who comes back is known by what the
//! provider's signed token says (`src/connectors/identity`), and what they may do by words in one of its claims.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};
use subtle::ConstantTimeEq as _;

use super::enter::{entered, fresh, leave_old, sign_in_page};
use super::form::{Fields, Query, encoded};
use super::frame::Look;
use super::session::{cookie, local, set_cookie};
use super::{Console, links, trouble};
use crate::api::permit::Role;
use crate::connectors::identity::{Attempt, IdentityError, Provider};
use crate::engine::ports::sessions::Person;
use crate::engine::ports::store::StoreError;

/// Where people come back to, below the public address.
pub const BACK: &str = "/console/sign-in/back";
/// How long somebody may be away.
const AWAY: Duration = Duration::from_mins(10);
/// The most words of a claim that are looked at.
const WORDS: usize = 1000;

/// How people sign in at a provider.
#[derive(Debug)]
pub struct Oidc {
    /// The provider.
    pub provider: Provider,
    /// How its claims are read.
    pub claims: Claims,
}

/// Which claims say what.
#[derive(Debug, Clone)]
pub struct Claims {
    /// Who it is.
    pub name: String,
    /// What they may do; dots lead into objects.
    pub roles: String,
    /// How a word begins that is meant for us: `mozhao-reviewer`, `mozhao-review:identity`, `mozhao-process:card_unbind`.
    pub prefix: String,
}

/// Why a person of the provider's is none of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unfit {
    Name,
    Roles,
}

impl Claims {
    /// The person that the claims speak of.
    fn person(&self, claims: &Map<String, Value>) -> Result<Person, Unfit> {
        let name = at(claims, &self.name).and_then(Value::as_str).unwrap_or("").to_ascii_lowercase();
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-@".contains(&byte);
        if !(1..=64).contains(&name.len()) || !name.bytes().all(fits) || name.matches('@').count() > 1 {
            return Err(Unfit::Name);
        }
        // In our records `wang@desk` is wang at the tool desk, so an address is written with a sign that no other name has.
        let name = name.replace('@', "+");
        // An address that its owner has not proved may be anybody's.
        if self.name == "email" && claims.get("email_verified") != Some(&Value::Bool(true)) {
            return Err(Unfit::Name);
        }
        let (mut roles, mut processes, mut review_roles) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for word in words(at(claims, &self.roles)) {
            let Some(word) = word.strip_prefix(&self.prefix) else { continue };
            match (word.split_once(':'), Role::parse(word)) {
                (None, Some(role)) => drop(roles.insert(role.as_str().to_owned())),
                (Some(("review", name)), _) => drop(review_roles.insert(name.to_owned())),
                (Some(("process", name)), _) => drop(processes.insert(name.to_owned())),
                _ => tracing::warn!(word, "a role of the identity provider's is not known here"),
            }
        }
        if roles.is_empty() {
            return Err(Unfit::Roles);
        }
        let list = |set: BTreeSet<String>| set.into_iter().take(100).collect();
        Ok(Person { name, roles: list(roles), processes: list(processes), review_roles: list(review_roles) })
    }
}

/// The claim at a path; a claim whose own name has dots is taken first.
fn at<'a>(claims: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    if let Some(value) = claims.get(path) {
        return Some(value);
    }
    let mut parts = path.split('.');
    let first = claims.get(parts.next()?)?;
    parts.try_fold(first, |value, part| value.get(part))
}

/// The words of a claim: a list, or text between blanks or commas.
fn words(claim: Option<&Value>) -> Vec<&str> {
    match claim {
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).take(WORDS).collect(),
        Some(Value::String(text)) => text.split([' ', ',']).take(WORDS).collect(),
        _ => Vec::new(),
    }
}

fn cookie_name(console: &Console) -> &'static str {
    if console.secure() { "__Host-mozhao_away" } else { "mozhao_away" }
}

/// To the provider's page.
pub(super) async fn away(State(console): State<Console>, headers: HeaderMap, Query(query): Query) -> Response {
    let look = Look::of(&headers);
    let Some(oidc) = console.oidc() else { return Redirect::to("/console/sign-in").into_response() };
    let to = local(query.one("to")).unwrap_or("/console");
    let [state, nonce, verifier] = [links::secret(), links::secret(), links::secret()];
    let attempt = Attempt { state: &state, nonce: &nonce, verifier: &verifier };
    match oidc.provider.sign_in_url(attempt).await {
        Ok(url) => {
            let held = format!("{state}.{nonce}.{verifier}.{}", encoded(to));
            let cookie = set_cookie(&console, cookie_name(&console), &held, Some(AWAY), false);
            ([(header::SET_COOKIE, cookie)], Redirect::to(&url)).into_response()
        }
        Err(error) => failed(&console, &look, to, &error).await,
    }
}

/// Back with a code. Whatever comes of it, the attempt is used up.
pub(super) async fn back(State(console): State<Console>, headers: HeaderMap, Query(query): Query) -> Response {
    let mut response = returned(&console, &headers, &query).await;
    let gone = set_cookie(&console, cookie_name(&console), "", Some(Duration::ZERO), false);
    response.headers_mut().append(header::SET_COOKIE, gone);
    response
}

async fn returned(console: &Console, headers: &HeaderMap, query: &Fields) -> Response {
    let look = Look::of(headers);
    let t = &look.lang.texts().enter;
    let Some(oidc) = console.oidc() else { return Redirect::to("/console/sign-in").into_response() };
    let held = cookie(headers, cookie_name(console)).and_then(Held::parse);
    let same = |held: &Held| bool::from(held.state.as_bytes().ct_eq(query.one("state").as_bytes()));
    let issuer = query.some("iss").is_none_or(|issuer| issuer == oidc.provider.issuer());
    let Some(held) = held.filter(same).filter(|_| issuer) else {
        tracing::warn!("somebody came back from the identity provider with another state");
        return denied(console, &look, "/console", t.sso_state).await;
    };
    let to = held.to.as_str();
    let Some(code) = query.some("code") else {
        // `error` is one of the standard's words; it is written by whoever made the address.
        let word: String = query.one("error").chars().filter(char::is_ascii_graphic).take(60).collect();
        tracing::info!(error = word, "the identity provider let somebody not in");
        return denied(console, &look, to, t.sso_refused).await;
    };
    let attempt = Attempt { state: held.state, nonce: held.nonce, verifier: held.verifier };
    let now = console.engine().clock().now().0.div_euclid(1_000_000);
    let claims = match oidc.provider.redeem(code, attempt, now).await {
        Ok(claims) => claims,
        Err(error) => return failed(console, &look, to, &error).await,
    };
    let person = match oidc.claims.person(&claims) {
        Ok(person) => person,
        Err(unfit) => {
            tracing::warn!(?unfit, "somebody of the identity provider's is nobody here");
            return denied(console, &look, to, if unfit == Unfit::Name { t.sso_name } else { t.sso_roles }).await;
        }
    };
    match begin(console, headers, person).await {
        Ok(Some(secret)) => entered(console, to, &secret),
        Ok(None) => denied(console, &look, to, t.sso_name).await,
        Err(error) => {
            tracing::warn!(%error, "nobody can sign in at the moment");
            trouble::unavailable(&look)
        }
    }
}

/// Begins the session; `None` where the name is that of somebody with a password here, who may be somebody else.
async fn begin(console: &Console, headers: &HeaderMap, person: Person) -> Result<Option<String>, StoreError> {
    let sessions = console.engine().store().sessions();
    match sessions.user(&person.name).await {
        Ok(_) => {
            tracing::warn!(name = person.name, "the identity provider's person has the name of a local user");
            return Ok(None);
        }
        Err(StoreError::NotFound(_)) => {}
        Err(error) => return Err(error),
    }
    let (secret, row) = fresh(console, person);
    sessions.add_session(&row).await?;
    leave_old(console, headers).await?;
    tracing::info!(name = row.person.name, "signed in to the console at the identity provider");
    Ok(Some(secret))
}

/// What the browser held while its owner was away.
struct Held<'a> {
    state: &'a str,
    nonce: &'a str,
    verifier: &'a str,
    to: String,
}

impl Held<'_> {
    fn parse(text: &str) -> Option<Held<'_>> {
        let parts: Vec<&str> = text.split('.').collect();
        let [state, nonce, verifier, to] = parts[..] else { return None };
        let whole = [state, nonce, verifier].iter().all(|part| part.len() == 43);
        let to = percent_decode_str(to).decode_utf8().ok()?.into_owned();
        whole.then(|| Held { state, nonce, verifier, to: local(&to).unwrap_or("/console").to_owned() })
    }
}

async fn denied(console: &Console, look: &Look, to: &str, why: &str) -> Response {
    let page = sign_in_page(console, look, to, "", why.to_owned()).await;
    (StatusCode::FORBIDDEN, page).into_response()
}

async fn failed(console: &Console, look: &Look, to: &str, error: &IdentityError) -> Response {
    tracing::warn!(%error, "nobody can sign in at the identity provider");
    let t = &look.lang.texts().enter;
    match error {
        IdentityError::Unavailable(_) => {
            let page = sign_in_page(console, look, to, "", t.sso_unavailable.to_owned()).await;
            (StatusCode::SERVICE_UNAVAILABLE, page).into_response()
        }
        IdentityError::Refused(_) | IdentityError::Token(_) => denied(console, look, to, t.sso_refused).await,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use serde_json::json;

    use super::*;

    fn person(claims: &Value) -> Result<Person, Unfit> {
        let settings = Claims { name: "preferred_username".into(), roles: "realm_access.roles".into(), prefix: "mozhao-".into() };
        settings.person(claims.as_object().unwrap())
    }

    #[test]
    fn words_of_a_claim_become_rights() {
        let words = json!(["mozhao-reviewer", "mozhao-review:identity", "mozhao-process:card_unbind", "mozhao-king", "admin", 7]);
        let li = person(&json!({"preferred_username": "Li@Example.com", "realm_access": {"roles": words}})).unwrap();
        assert_eq!((li.name.as_str(), li.roles), ("li+example.com", vec!["reviewer".to_owned()]));
        assert_eq!((li.processes, li.review_roles), (vec!["card_unbind".to_owned()], vec!["identity".to_owned()]));
        let wang = person(&json!({"preferred_username": "wang", "realm_access.roles": "mozhao-auditor,mozhao-operator x"}));
        assert_eq!(wang.unwrap().roles, ["auditor", "operator"]);
    }

    #[test]
    fn who_is_nobody_here() {
        let roles = json!({"roles": ["mozhao-reviewer"]});
        for name in
            [json!(""), json!("a b"), json!("李"), json!("a@b@c"), json!("a+b"), json!(7), json!("a".repeat(65)), Value::Null]
        {
            assert_eq!(person(&json!({"preferred_username": name, "realm_access": roles})), Err(Unfit::Name), "{name}");
        }
        for roles in [json!(null), json!({"roles": ["reviewer"]}), json!({"roles": ["mozhao-king"]}), json!({"roles": {"x": 1}})]
        {
            assert_eq!(person(&json!({"preferred_username": "li", "realm_access": roles})), Err(Unfit::Roles), "{roles}");
        }
        let by_email = Claims { name: "email".into(), roles: "roles".into(), prefix: String::new() };
        for (verified, fits) in [(json!(true), true), (json!(false), false), (json!("true"), false), (Value::Null, false)] {
            let claims = json!({"email": "li@example.com", "email_verified": verified, "roles": ["reviewer"]});
            assert_eq!(by_email.person(claims.as_object().unwrap()).is_ok(), fits, "{verified}");
        }
    }

    #[test]
    fn what_a_browser_holds_is_read_back() {
        let [state, nonce, verifier] = [links::secret(), links::secret(), links::secret()];
        let text = format!("{state}.{nonce}.{verifier}.%2Fconsole%2Freviews%3Ftab%3Dmine");
        let held = Held::parse(&text).unwrap();
        assert_eq!(
            (held.state, held.nonce, held.verifier, held.to.as_str()),
            (&*state, &*nonce, &*verifier, "/console/reviews?tab=mine")
        );
        let evil = format!("{state}.{nonce}.{verifier}.%2F%2Fevil%2Eexample");
        assert_eq!(Held::parse(&evil).unwrap().to, "/console");
        for bad in ["", "a.b.c.d", &format!("{state}.{nonce}.{verifier}"), &format!("{text}.x")] {
            assert!(Held::parse(bad).is_none(), "{bad}");
        }
    }
}
