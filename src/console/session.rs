//! Who sits in front of the page.
//!
//! A session's secret lives in a cookie that scripts cannot read and, where the public address is https, that only https
//! carries; the database holds its hash. It ends by itself after eight hours without use or a day in any case, at once when it is
//! signed out or revoked: each page asks the database, so that there is nothing to forget. What an open page asks for by itself
//! is no use: a screen that nobody sits at signs its person out.

use std::time::Duration;

use axum::extract::{FromRequestParts, OriginalUri};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::response::{IntoResponse, Redirect, Response};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

use super::form::encoded;
use super::frame::Look;
use super::{Console, trouble};
use crate::api::hash;
use crate::api::permit::{Action, Role, allows};
use crate::engine::ports::sessions::{Person, SessionRow};
use crate::engine::ports::store::StoreError;

/// Unused for longer, a session is over.
pub(super) const IDLE: Duration = Duration::from_hours(8);
/// However much it is used, a session is over then.
pub(super) const LONGEST: Duration = Duration::from_hours(24);
/// How exactly its last use is known: not every page writes.
const SEEN_WITHIN: Duration = Duration::from_mins(1);

/// A signed-in person, with how they want pages to look.
#[derive(Debug, Clone)]
pub(super) struct Seat {
    /// Who.
    pub(super) person: Person,
    /// The token of this session's forms.
    pub(super) csrf: String,
    /// Language, theme, time zone.
    pub(super) look: Look,
}

impl Seat {
    /// May they do this?
    pub(super) fn may(&self, action: Action) -> bool {
        self.person.roles.iter().filter_map(|word| Role::parse(word)).any(|role| allows(role, action))
    }

    /// Is this the token of this session's forms? In constant time.
    pub(super) fn csrf_fits(&self, given: &str) -> bool {
        self.csrf.as_bytes().ct_eq(given.as_bytes()).into()
    }
}

/// The cookie's name: with the prefix, browsers take it only from https, for this host and the whole of it.
pub(super) fn cookie_name(console: &Console) -> &'static str {
    if console.secure() { "__Host-mozhao" } else { "mozhao_session" }
}

/// A cookie of the request.
pub(super) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = all.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(known, _)| *known == name).map(|(_, value)| value)
}

/// A Set-Cookie header's value. `lasts`: `None` until the browser is closed, zero removes it.
pub(super) fn set_cookie(console: &Console, name: &str, value: &str, lasts: Option<Duration>, script: bool) -> HeaderValue {
    let mut text = format!("{name}={value}; Path=/; SameSite=Lax");
    if let Some(lasts) = lasts {
        text.extend(["; Max-Age=", lasts.as_secs().to_string().as_str()]);
    }
    if !script {
        text.push_str("; HttpOnly");
    }
    if console.secure() {
        text.push_str("; Secure");
    }
    HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static("mozhao_none=; Max-Age=0"))
}

/// The forms' token, which only who has the cookie's secret can make.
fn csrf(secret: &str) -> String {
    // HMAC takes a key of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else { return String::new() };
    mac.update(b"console form");
    let mut token = hex::encode(mac.finalize().into_bytes());
    token.truncate(40);
    token
}

/// The session's secret, as it is in the cookie.
pub(super) fn secret<'a>(console: &Console, headers: &'a HeaderMap) -> Option<&'a str> {
    cookie(headers, cookie_name(console)).filter(|secret| secret.len() == 43)
}

/// The valid session of these headers, which is used by this.
pub(super) async fn find(console: &Console, headers: &HeaderMap) -> Result<Option<Seat>, StoreError> {
    found(console, headers, true).await
}

async fn found(console: &Console, headers: &HeaderMap, used: bool) -> Result<Option<Seat>, StoreError> {
    let Some(secret) = secret(console, headers) else { return Ok(None) };
    let (sessions, now) = (console.engine().store().sessions(), console.engine().clock().now());
    let row: SessionRow = match sessions.session(&hash(secret)).await {
        Ok(row) => row,
        Err(StoreError::NotFound(_)) => return Ok(None),
        Err(error) => return Err(error),
    };
    if row.ended_at.is_some() || row.expires_at <= now || now.since(row.seen_at) > IDLE {
        return Ok(None);
    }
    if now.since(row.seen_at) > SEEN_WITHIN && used {
        sessions.session_seen(&row.sha256, now).await?;
    }
    Ok(Some(Seat { person: row.person, csrf: csrf(secret), look: Look::of(headers) }))
}

impl FromRequestParts<Console> for Seat {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, console: &Console) -> Result<Self, Response> {
        // What a page asks for by itself: its live parts, and whether there is anything to ask for.
        let by_itself = parts.headers.contains_key("hx-request") || parts.uri.path() == "/console/live";
        match found(console, &parts.headers, !by_itself).await {
            Ok(Some(seat)) => Ok(seat),
            Ok(None) => Err(to_sign_in(parts)),
            Err(error) => Err(unknown(&parts.headers, &error)),
        }
    }
}

/// Nobody knows at the moment who that is.
pub(super) fn unknown(headers: &HeaderMap, error: &StoreError) -> Response {
    tracing::warn!(%error, "a session cannot be looked up at the moment");
    trouble::unavailable(&Look::of(headers))
}

/// To the sign-in page, and from there back to here where here is a page.
fn to_sign_in(parts: &Parts) -> Response {
    let here = parts.extensions.get::<OriginalUri>().map_or(&parts.uri, |uri| &uri.0);
    let to = match (&parts.method, here.path_and_query()) {
        (&Method::GET, Some(here)) if local(here.as_str()).is_some() && here.path() != "/console" => {
            format!("/console/sign-in?to={}", encoded(here.as_str()))
        }
        _ => "/console/sign-in".to_owned(),
    };
    Redirect::to(&to).into_response()
}

/// An address inside the console, as it may be redirected to.
pub(super) fn local(address: &str) -> Option<&str> {
    let plain = address.len() <= 2000 && address.bytes().all(|byte| (0x21..=0x7e).contains(&byte) && byte != b'\\');
    let inside = address == "/console" || address.starts_with("/console/") || address.starts_with("/console?");
    (plain && inside && !address.contains("//") && !address.contains("/../")).then_some(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_inside_are_redirected_to() {
        for good in ["/console", "/console/reviews?tab=mine&x=%20", "/console/requests/1"] {
            assert_eq!(local(good), Some(good));
        }
        for bad in [
            "",
            "/",
            "//evil.example",
            "/consoles",
            "https://evil.example/console/",
            "/console//evil.example",
            "/console/\\evil",
            "/console/../v1",
            "/console/a b",
            "/console/\r\nSet-Cookie: x",
        ] {
            assert_eq!(local(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_forms_token_belongs_to_its_session() {
        assert_eq!(csrf("a"), csrf("a"));
        assert_ne!(csrf("a"), csrf("b"));
        assert_eq!(csrf("a").len(), 40);
    }

    #[test]
    fn cookies_are_found_by_their_whole_name() {
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, HeaderValue::from_static("xmozhao=1; mozhao=2; a=b=c"));
        assert_eq!(cookie(&headers, "mozhao"), Some("2"));
        assert_eq!(cookie(&headers, "a"), Some("b=c"));
        assert_eq!(cookie(&headers, "oz"), None);
    }
}
