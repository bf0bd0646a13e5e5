//! What a caller is told when something is not done: problem+json (RFC 9457).
//!
//! Two readers, one body. A front-end developer needs to know what to change; somebody who attacks us must learn nothing
//! about what is inside. So every problem has a stable type with a text that says how to mend it (served at its own
//! address), the caller's own mistakes are explained in detail, and our own become one fixed sentence with the
//! request's id: the cause goes to the log, once.

use std::error::Error;
use std::sync::Arc;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::kinds::{self, Kind};
use crate::engine::ports::store::StoreError;
use crate::engine::service::EngineError;

tokio::task_local! {
    /// The id of the HTTP request that is being answered.
    pub(super) static REQUEST_ID: Arc<str>;
}

/// A problem, on its way to the caller.
#[derive(Debug)]
pub struct Problem(Box<Inner>);

#[derive(Debug)]
struct Inner {
    kind: &'static Kind,
    detail: String,
    errors: Vec<Fault>,
    more: Map<String, Value>,
    retry_after: Option<u64>,
    challenge: bool,
}

/// What is wrong with one place of a body, a query or a payload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Fault {
    /// JSON pointer to the place; empty for the whole.
    pub pointer: String,
    /// What is wrong with it and what was expected; never the value.
    pub message: String,
}

/// `application/problem+json` (RFC 9457). Some types carry more members, such as `current` or `request`.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ProblemBody {
    /// What kind of problem: a path below this server that explains it.
    #[serde(rename = "type")]
    #[schema(example = "/problems/schema")]
    kind: String,
    /// The kind in a few words.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// This occurrence, and how to mend it.
    detail: String,
    /// The answer's `x-request-id`; name it when you ask for help.
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
    /// What is wrong, place by place.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Fault>,
    #[serde(flatten)]
    #[schema(value_type = Object, additional_properties)]
    more: Map<String, Value>,
}

/// How many characters of a long detail are kept: of its beginning, which names the place, and of its end, which says how to mend it.
const KEPT: (usize, usize) = (600, 300);

fn cut(text: String) -> String {
    let begin = text.char_indices().nth(KEPT.0).map(|(at, _)| at);
    let end = text.char_indices().rev().nth(KEPT.1 - 1).map(|(at, _)| at);
    match (begin, end) {
        (Some(begin), Some(end)) if begin < end => format!("{}…{}", &text[..begin], &text[end..]),
        _ => text,
    }
}

impl Problem {
    /// A problem of this kind. A long detail loses its middle: what is long is the caller's own text.
    pub(super) fn new(kind: &'static Kind, detail: impl Into<String>) -> Problem {
        Problem(Box::new(Inner {
            kind,
            detail: cut(detail.into()),
            errors: Vec::new(),
            more: Map::new(),
            retry_after: None,
            challenge: kind.status == 401,
        }))
    }

    /// What is wrong, place by place.
    #[must_use]
    pub(super) fn with_errors(mut self, errors: Vec<Fault>) -> Problem {
        self.0.errors = errors;
        self
    }

    /// One more member.
    #[must_use]
    pub(super) fn with(mut self, name: &str, value: impl Serialize) -> Problem {
        if let Ok(value) = serde_json::to_value(value) {
            self.0.more.insert(name.to_owned(), value);
        }
        self
    }

    /// When another try makes sense, in seconds.
    #[must_use]
    pub(super) fn retry_after(mut self, seconds: u64) -> Problem {
        self.0.retry_after = Some(seconds);
        self
    }

    /// There is no such thing, or it is none of the caller's business: the two look the same.
    pub(super) fn not_found(what: &str) -> Problem {
        Problem::new(&kinds::NOT_FOUND, format!("{what} was not found"))
    }

    /// Our own mistake: logged here, fixed text to the caller.
    pub(super) fn internal(error: &dyn Error) -> Problem {
        tracing::error!(request_id = request_id().as_deref(), error = %chain(error), "a request could not be answered");
        Problem::new(&kinds::INTERNAL, "something went wrong on our side; the cause is in the log under this request id")
    }

    /// Which kind it is.
    #[cfg(test)]
    pub(super) fn code(&self) -> &'static str {
        self.0.kind.code
    }
}

/// The id of the HTTP request that is being answered, inside the middleware that gives it.
pub(super) fn request_id() -> Option<String> {
    REQUEST_ID.try_with(ToString::to_string).ok()
}

fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let inner = *self.0;
        let status = StatusCode::from_u16(inner.kind.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = ProblemBody {
            kind: inner.kind.path(),
            title: inner.kind.title,
            status: status.as_u16(),
            detail: inner.detail,
            request_id: request_id(),
            errors: inner.errors,
            more: inner.more,
        };
        let mut response = (status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = inner.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if inner.challenge {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"mozhao\""));
        }
        response
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Problem {
        match error {
            // The store says "the view".
            StoreError::NotFound(what) => Problem::not_found(&format!("this {}", what.strip_prefix("the ").unwrap_or(what))),
            StoreError::Transient(_) | StoreError::Unknown(_) | StoreError::Fenced => {
                tracing::warn!(request_id = request_id().as_deref(), error = %error, "the store is not available");
                Problem::new(&kinds::UNAVAILABLE, "the database is not available at the moment; try again with the same key")
                    .retry_after(2)
            }
            StoreError::Data(_) | StoreError::Broken(_) | StoreError::InUse(_) => Problem::internal(&error),
        }
    }
}

impl From<EngineError> for Problem {
    fn from(error: EngineError) -> Problem {
        match error {
            EngineError::Store(error) => error.into(),
            EngineError::Invalid(text) => Problem::new(&kinds::INVALID, text),
            EngineError::NotFound(what) => StoreError::NotFound(what).into(),
            EngineError::Busy(why) => {
                tracing::warn!(request_id = request_id().as_deref(), why, "a request was not taken");
                let text = "it could not be stored at the moment; nothing is lost: try again with the same key";
                Problem::new(&kinds::UNAVAILABLE, text).retry_after(1)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    async fn told(problem: Problem) -> (StatusCode, Response, Value) {
        let response = REQUEST_ID.scope("r-1".into(), async { problem.into_response() }).await;
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, 10_000).await.unwrap();
        let status = parts.status;
        (status, Response::from_parts(parts, axum::body::Body::empty()), serde_json::from_slice(&bytes).unwrap())
    }

    #[tokio::test]
    async fn a_problem_says_what_and_where() {
        let fault = Fault { pointer: "/card_id".into(), message: "/card_id is missing".into() };
        let problem = Problem::new(&kinds::SCHEMA, "no").with_errors(vec![fault]).with("request", 7);
        let (status, response, body) = told(problem).await;
        assert_eq!(status, 422);
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
        let expected = serde_json::json!({
            "type": "/problems/schema", "title": "The payload does not fit the process", "status": 422, "detail": "no",
            "request_id": "r-1", "errors": [{"pointer": "/card_id", "message": "/card_id is missing"}], "request": 7,
        });
        assert_eq!(body, expected);
    }

    #[tokio::test]
    async fn a_long_text_of_the_callers_is_cut_and_the_hint_stays() {
        let wrong = crate::domain::time::parse_duration(&"时".repeat(5_000)).unwrap_err();
        let (_, _, body) = told(Problem::new(&kinds::INVALID, format!("`for`: {wrong}"))).await;
        let detail = body["detail"].as_str().unwrap();
        assert_eq!(detail.chars().count(), 901, "{detail}");
        assert!(detail.starts_with("`for`: `时时") && detail.ends_with("500ms, 30s, 10m, 4h or 7d"), "{detail}");
        for whole in [String::new(), "x".repeat(900)] {
            assert_eq!(cut(whole.clone()), whole);
        }
    }

    #[tokio::test]
    async fn our_mistakes_are_not_shown() {
        let (status, _, body) = told(StoreError::Broken("password of db-7 is hunter2".into()).into()).await;
        assert_eq!(status, 500);
        assert!(!body.to_string().contains("hunter2"));
        let (status, response, body) = told(StoreError::Transient("db-7 refused".into()).into()).await;
        assert_eq!(status, 503);
        assert_eq!(response.headers()[header::RETRY_AFTER], "2");
        assert!(!body.to_string().contains("db-7"));
    }

    #[tokio::test]
    async fn a_missing_token_is_challenged() {
        let (status, response, _) = told(Problem::new(&kinds::TOKEN, "none")).await;
        assert_eq!(status, 401);
        assert_eq!(response.headers()[header::WWW_AUTHENTICATE], "Bearer realm=\"mozhao\"");
    }
}
