//! What handlers take out of a request: path values, query parameters, headers and bodies, each with a problem that says what
//! to change. axum's own extractors answer in plain text and accept what nobody asked for.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, RawPathParams, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::kinds;
use super::problem::Problem;
use super::{Api, json};
use crate::domain::time::{Time, parse_duration};

/// The longest that a body may take to come.
const BODY_TIME: Duration = Duration::from_secs(15);
/// The longest Idempotency-Key, in characters.
pub(super) const MAX_KEY: usize = 200;
/// The most parameters of a query.
const MAX_PAIRS: usize = 100;
/// The most rows of one page.
pub(super) const MAX_PAGE: usize = 200;
/// Rows of a page when none are asked for.
pub(super) const PAGE: usize = 50;

/// The values in the path, percent-decoded.
pub(super) struct InPath(Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for InPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let found = RawPathParams::from_request_parts(parts, state)
            .await
            .map_err(|_| Problem::new(&kinds::BAD_ID, "the path is not UTF-8 after percent-decoding"))?;
        Ok(InPath(found.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()))
    }
}

impl InPath {
    /// A value as text: at most 128 characters without control characters.
    pub(super) fn text(&self, name: &str) -> Result<&str, Problem> {
        let value = self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        value
            .filter(|value| !value.is_empty() && value.chars().count() <= 128 && !value.chars().any(char::is_control))
            .ok_or_else(|| {
                Problem::new(&kinds::BAD_ID, format!("`{name}` in the path is 1 to 128 characters without control characters"))
            })
    }

    /// A value as an id.
    pub(super) fn id(&self, name: &str) -> Result<Uuid, Problem> {
        // Only the one form that we write: it must not be possible to name one thing in two ways.
        let text = self.text(name)?;
        match Uuid::try_parse(text) {
            Ok(id) if id.to_string() == text => Ok(id),
            _ => Err(Problem::new(&kinds::BAD_ID, format!("`{name}` in the path is a UUID in its usual form, in lower case"))),
        }
    }
}

/// The query, decoded. Which names an operation has is checked before, against its OpenAPI description.
pub(super) struct Query(Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for Query {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Query::parse(parts.uri.query().unwrap_or(""))
    }
}

impl Query {
    /// Decodes `name=value&…`.
    pub(super) fn parse(query: &str) -> Result<Query, Problem> {
        if query.split('&').count() > MAX_PAIRS {
            return Err(Problem::new(
                &kinds::BAD_QUERY,
                format!("the query has more than {MAX_PAIRS} parameters; leave some out"),
            ));
        }
        let decode = |text: &str| {
            let text = text.replace('+', " ");
            let decoded = percent_decode_str(&text).decode_utf8().map(std::borrow::Cow::into_owned);
            let decoded =
                decoded.map_err(|_| Problem::new(&kinds::BAD_QUERY, "the query is not UTF-8 after percent-decoding"))?;
            // No value has any, and a database may not even be asked for one with NUL.
            if decoded.contains(char::is_control) {
                return Err(Problem::new(&kinds::BAD_QUERY, "the query has control characters; leave them out"));
            }
            Ok(decoded)
        };
        let mut found = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            found.push((decode(name)?, decode(value)?));
        }
        Ok(Query(found))
    }

    /// The names that were given.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    /// A parameter that may be given once.
    pub(super) fn one(&self, name: &str) -> Result<Option<&str>, Problem> {
        let mut values = self.0.iter().filter(|(known, _)| known == name);
        let first = values.next().map(|(_, value)| value.as_str());
        if values.next().is_some() {
            return Err(bad(name, "is given twice"));
        }
        match first {
            Some("") => Err(bad(name, "is empty; leave it out instead")),
            Some(value) if value.len() > 512 => Err(bad(name, "is longer than 512 bytes")),
            other => Ok(other),
        }
    }

    /// The same as owned text.
    pub(super) fn text(&self, name: &str) -> Result<Option<String>, Problem> {
        Ok(self.one(name)?.map(str::to_owned))
    }

    /// A parameter that may be given several times, or with several values between commas.
    pub(super) fn many(&self, name: &str) -> Result<Vec<String>, Problem> {
        let values = self.0.iter().filter(|(known, _)| known == name).flat_map(|(_, value)| value.split(','));
        let values: Vec<String> = values.map(|value| value.trim().to_owned()).collect();
        if values.len() > 50 || values.iter().any(String::is_empty) {
            return Err(bad(name, "has an empty value or more than 50"));
        }
        Ok(values)
    }

    /// A parameter that takes one of these words, several times.
    pub(super) fn words(&self, name: &str, known: &[&str]) -> Result<Vec<String>, Problem> {
        let values = self.many(name)?;
        match values.iter().find(|value| !known.contains(&value.as_str())) {
            Some(_) => Err(bad(name, &format!("takes {}", known.join(", ")))),
            None => Ok(values),
        }
    }

    /// A whole number.
    pub(super) fn number(&self, name: &str) -> Result<Option<u64>, Problem> {
        self.one(name)?.map(|value| whole(value).ok_or_else(|| bad(name, "is not a whole number below 2^63"))).transpose()
    }

    /// Yes or no.
    pub(super) fn yes(&self, name: &str) -> Result<bool, Problem> {
        match self.one(name)? {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(bad(name, "is true or false")),
        }
    }

    /// An id.
    pub(super) fn id(&self, name: &str) -> Result<Option<Uuid>, Problem> {
        self.one(name)?.map(|value| Uuid::try_parse(value).map_err(|_| bad(name, "is not a UUID"))).transpose()
    }

    /// A point in time, RFC 3339.
    pub(super) fn time(&self, name: &str) -> Result<Option<Time>, Problem> {
        let parsed = self.one(name)?.map(|value| {
            let at = value.parse::<jiff::Timestamp>().map_err(|_| bad(name, "is not a time such as 2026-01-31T10:00:00Z"))?;
            Ok(Time(at.as_microsecond()))
        });
        parsed.transpose()
    }

    /// `wait`: a length of time up to `most`; zero where it is not given.
    pub(super) fn wait(&self, most: Duration) -> Result<Duration, Problem> {
        match self.one("wait")? {
            None => Ok(Duration::ZERO),
            Some(value) => match parse_duration(value) {
                Ok(length) if length <= most => Ok(length),
                Ok(_) => Err(bad("wait", &format!("is at most {}s", most.as_secs()))),
                Err(_) => Err(bad("wait", "is a length of time such as 30s or 500ms")),
            },
        }
    }

    /// `limit`: how many rows.
    pub(super) fn limit(&self) -> Result<usize, Problem> {
        match self.number("limit")? {
            None => Ok(PAGE),
            Some(number) => match usize::try_from(number) {
                Ok(limit) if (1..=MAX_PAGE).contains(&limit) => Ok(limit),
                _ => Err(bad("limit", &format!("is 1 to {MAX_PAGE}"))),
            },
        }
    }
}

/// A whole number that databases have, too.
pub(super) fn whole(text: &str) -> Option<u64> {
    text.parse::<u64>().ok().filter(|number| i64::try_from(*number).is_ok())
}

/// A query parameter that is not right.
pub(super) fn bad(name: &str, what: &str) -> Problem {
    Problem::new(&kinds::BAD_QUERY, format!("`{name}` {what}"))
}

/// A JSON body of a declared form.
pub(super) struct Json<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<Api> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, api: &Api) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        check_media_type(&parts.headers)?;
        let bytes = read_body(&parts.headers, body, api.settings().max_body).await?;
        json::read_object(&bytes).map(Json)
    }
}

/// A JSON body that may be left out.
pub(super) struct OptionalJson<T>(pub(super) T);

impl<T: DeserializeOwned + Default> FromRequest<Api> for OptionalJson<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, api: &Api) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let bytes = read_body(&parts.headers, body, api.settings().max_body).await?;
        if bytes.is_empty() {
            return Ok(OptionalJson(T::default()));
        }
        check_media_type(&parts.headers)?;
        json::read_object(&bytes).map(OptionalJson)
    }
}

/// `application/json`, or `application/…+json`, in UTF-8.
pub(super) fn check_media_type(headers: &HeaderMap) -> Result<(), Problem> {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let essence = given.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    let fits = essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"));
    if !fits {
        return Err(Problem::new(&kinds::MEDIA_TYPE, "the Content-Type is not application/json"));
    }
    let charset = given
        .split(';')
        .skip(1)
        .filter_map(|part| part.split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("charset"));
    let utf8 = |text: &str| matches!(text.trim().trim_matches('"').to_ascii_lowercase().as_str(), "utf-8" | "utf8" | "us-ascii");
    if charset.is_some_and(|(_, text)| !utf8(text)) {
        return Err(Problem::new(&kinds::MEDIA_TYPE, "the charset of the Content-Type is not UTF-8; JSON is sent in UTF-8"));
    }
    let plain = |value: &axum::http::HeaderValue| value.to_str().is_ok_and(|text| text.trim().eq_ignore_ascii_case("identity"));
    if !headers.get_all(header::CONTENT_ENCODING).iter().all(plain) {
        return Err(Problem::new(&kinds::MEDIA_TYPE, "the body is compressed (Content-Encoding); send it as it is"));
    }
    Ok(())
}

/// Reads a body up to `limit` bytes, within [`BODY_TIME`].
pub(super) async fn read_body(headers: &HeaderMap, body: Body, limit: usize) -> Result<Bytes, Problem> {
    let too_large = || Problem::new(&kinds::TOO_LARGE, format!("the body is larger than {limit} bytes"));
    let declared =
        headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()).and_then(|text| text.parse::<usize>().ok());
    if declared.is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    let read = async {
        let mut whole = BytesMut::new();
        let mut chunks = body.into_data_stream();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|_| Problem::new(&kinds::BAD_JSON, "the connection broke in the middle of the body"))?;
            if whole.len() + chunk.len() > limit {
                return Err(too_large());
            }
            whole.extend_from_slice(&chunk);
        }
        Ok(whole.freeze())
    };
    tokio::time::timeout(BODY_TIME, read).await.unwrap_or_else(|_| {
        Err(Problem::new(&kinds::SLOW_BODY, format!("the body did not come within {} s", BODY_TIME.as_secs())))
    })
}

/// The header `Idempotency-Key`.
pub(super) struct Key(pub(super) Option<String>);

impl<S: Send + Sync> FromRequestParts<S> for Key {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let mut values = parts.headers.get_all("idempotency-key").iter();
        let Some(value) = values.next() else { return Ok(Key(None)) };
        let fits = |text: &&str| (1..=MAX_KEY).contains(&text.len()) && text.bytes().all(|byte| (0x21..=0x7e).contains(&byte));
        match (value.to_str().ok().filter(fits), values.next()) {
            (Some(text), None) => Ok(Key(Some(text.to_owned()))),
            (_, Some(_)) => Err(Problem::new(&kinds::KEY_MISSING, "the header Idempotency-Key is given twice")),
            (None, None) => {
                Err(Problem::new(&kinds::KEY_MISSING, format!("the Idempotency-Key is 1 to {MAX_KEY} visible ASCII characters")))
            }
        }
    }
}

impl Key {
    /// An id that is the same for the same caller, thing and key, so that a repeated call is done once; `fresh` without a key.
    pub(super) fn signal_id(&self, caller: &str, what: &str, about: Uuid, fresh: Uuid) -> Uuid {
        match &self.0 {
            Some(key) => Uuid::new_v5(&about, format!("{caller}\n{what}\n{key}").as_bytes()),
            None => fresh,
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn queries_are_decoded_and_checked() {
        let query =
            Query::parse("state=done,refused&state=parked&q=a%20b+c&limit=10&x=1&x=2&at=2026-01-31T10:00:00Z&e=").unwrap();
        assert_eq!(query.many("state").unwrap(), ["done", "refused", "parked"]);
        assert_eq!(query.one("q").unwrap(), Some("a b c"));
        assert_eq!(query.limit().unwrap(), 10);
        assert_eq!(query.time("at").unwrap(), Some(Time(1_769_853_600_000_000)));
        assert_eq!(query.one("none").unwrap(), None);
        for bad in
            [query.one("x").err(), query.one("e").err(), query.time("q").err(), query.id("q").err(), query.number("q").err()]
        {
            assert_eq!(bad.unwrap().code(), "bad-query");
        }
        assert!(Query::parse("a=%ff").is_err());
        for (number, fits) in [("9223372036854775807", true), ("9223372036854775808", false), ("-1", false), ("1.0", false)] {
            assert_eq!(Query::parse(&format!("n={number}")).unwrap().number("n").is_ok(), fits, "{number}");
        }
        // A database refuses to be asked for a NUL, and that would be a 500.
        for bad in ["customer=%00", "a%00=1", "q=a%0ab", &"a=1&".repeat(101)] {
            assert_eq!(Query::parse(bad).err().unwrap().code(), "bad-query", "{bad}");
        }
        for bad in ["limit=0", "limit=201", "limit=-1", "limit=99999999999999999999"] {
            assert!(Query::parse(bad).unwrap().limit().is_err(), "{bad}");
        }
        assert_eq!(query.words("state", &["done", "refused"]).unwrap_err().code(), "bad-query");
    }

    #[test]
    fn waits_are_bounded() {
        let most = Duration::from_mins(1);
        assert_eq!(Query::parse("wait=30s").unwrap().wait(most).unwrap(), Duration::from_secs(30));
        assert_eq!(Query::parse("").unwrap().wait(most).unwrap(), Duration::ZERO);
        for bad in ["wait=61s", "wait=30", "wait=x"] {
            assert!(Query::parse(bad).unwrap().wait(most).is_err(), "{bad}");
        }
    }

    #[test]
    fn ids_have_one_form() {
        let path = |value: &str| InPath(vec![("id".into(), value.into())]);
        assert!(path("0192f3a4-0000-7000-8000-00000000000a").id("id").is_ok());
        for bad in ["0192F3A4-0000-7000-8000-00000000000A", "0192f3a40000700080000000000000aa", "{}", "", "../x"] {
            assert_eq!(path(bad).id("id").unwrap_err().code(), "bad-id", "{bad}");
        }
    }

    #[test]
    fn a_key_makes_the_same_id_for_the_same_caller_and_thing_only() {
        let (about, fresh) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let key = Key(Some("k".into()));
        let id = key.signal_id("app", "withdraw", about, fresh);
        assert_eq!(id, key.signal_id("app", "withdraw", about, Uuid::from_u128(3)));
        assert_ne!(id, key.signal_id("web", "withdraw", about, fresh));
        assert_ne!(id, key.signal_id("app", "note", about, fresh));
        assert_eq!(Key(None).signal_id("app", "withdraw", about, fresh), fresh);
    }
}
