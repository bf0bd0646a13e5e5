//! What happens around every request: an id, a deadline, a net under panics, the headers of every answer, one line of log and
//! the metrics.
//!
//! A handler runs as a task of its own: a caller who hangs up, and the deadline, must not cancel it in the middle of a database
//! transaction.
//!
//! Neither log nor metrics ever see an address as it was sent — a callback's secret is part of it, and whatever people put
//! into a query — only the route that it matched.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use tokio::time::Instant;
use tracing::Instrument;
use utoipa::openapi::OpenApi;

use super::Api;
use super::extract::Query;
use super::kinds;
use super::openapi::query_names;
use super::problem::{Problem, REQUEST_ID};
use crate::domain::json::shown;

/// No answer takes longer to begin; above the longest wait.
const LONGEST: Duration = Duration::from_secs(75);
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The query parameters of each operation.
type Known = Arc<HashMap<(Method, String), Vec<String>>>;

/// Puts everything around the routes.
pub(super) fn wrap(router: Router<Api>, document: &OpenApi, api: Api) -> Router {
    let known: Known = Arc::new(query_names(document));
    router
        .fallback(nowhere)
        .method_not_allowed_fallback(no_such_method)
        .layer(from_fn_with_state(known, check_query))
        .layer(from_fn_with_state(api.clone(), around))
        .with_state(api)
}

async fn nowhere() -> Problem {
    Problem::new(&kinds::NOT_FOUND, "there is nothing at this address; /openapi.json lists what there is")
}

async fn no_such_method() -> Problem {
    Problem::new(&kinds::METHOD, "the address is right, the method is not")
}

/// Refuses query parameters that the operation does not have: a misspelt filter must not widen a list.
async fn check_query(State(known): State<Known>, request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    if let (Some(query), Some(path)) = (request.uri().query(), path) {
        // A HEAD is answered by the operation for GET.
        let method = if request.method() == Method::HEAD { Method::GET } else { request.method().clone() };
        let names: &[String] = known.get(&(method, path)).map_or(&[], Vec::as_slice);
        let query = match Query::parse(query) {
            Ok(query) => query,
            Err(problem) => return problem.into_response(),
        };
        if let Some(name) = query.names().find(|name| !names.iter().any(|known| known == name)) {
            return unknown_parameter(name, names).into_response();
        }
    }
    next.run(request).await
}

fn unknown_parameter(name: &str, names: &[String]) -> Problem {
    let shown = shown(name, 40);
    let near =
        names.iter().min_by_key(|known| distance(name, known)).filter(|known| distance(name, known) <= 2.max(known.len() / 3));
    let hint = match near {
        Some(near) => format!("; did you mean `{near}`?"),
        None if names.is_empty() => "; it has none".to_owned(),
        None => format!("; it has {}", names.join(", ")),
    };
    Problem::new(&kinds::BAD_QUERY, format!("the operation has no query parameter `{shown}`{hint}"))
}

/// Levenshtein's distance, over the first 40 characters.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(40).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (at, c) in a.chars().take(40).enumerate() {
        let mut corner = row[0];
        row[0] = at + 1;
        for (to, d) in b.iter().enumerate() {
            let best = (corner + usize::from(c != *d)).min(row[to] + 1).min(row[to + 1] + 1);
            corner = std::mem::replace(&mut row[to + 1], best);
        }
    }
    row[b.len()]
}

async fn around(State(api): State<Api>, request: Request, next: Next) -> Response {
    let id: Arc<str> =
        request.headers().get(X_REQUEST_ID).and_then(given_id).unwrap_or_else(|| api.engine().clock().id().to_string()).into();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    let started = Instant::now();
    let span = tracing::info_span!("http", request_id = %id, %method, route);
    let mut response = REQUEST_ID.scope(id.clone(), answer(request, next, id.clone())).instrument(span).await;
    let (status, took) = (response.status(), started.elapsed());
    finish(&mut response, &id);
    tracing::debug!(request_id = %id, %method, route, status = status.as_u16(), took_ms = took.as_millis(), "answered");
    let labels = [("method", known_method(&method).to_owned()), ("route", route), ("status", status.as_u16().to_string())];
    ::metrics::counter!("mozhao_http_requests_total", &labels).increment(1);
    ::metrics::histogram!("mozhao_http_seconds", &labels[..2]).record(took.as_secs_f64());
    response
}

/// Strangers invent methods; each would be a time series of its own, for ever.
fn known_method(method: &Method) -> &str {
    match *method {
        Method::GET | Method::HEAD | Method::POST | Method::PUT | Method::PATCH | Method::DELETE | Method::OPTIONS => {
            method.as_str()
        }
        _ => "other",
    }
}

async fn answer(request: Request, next: Next, id: Arc<str>) -> Response {
    let task = tokio::spawn(REQUEST_ID.scope(id, next.run(request)).in_current_span());
    match tokio::time::timeout(LONGEST, task).await {
        Ok(Ok(response)) => response,
        Ok(Err(_)) => Problem::internal(&Panicked).into_response(),
        Err(_) => Problem::new(&kinds::TIMEOUT, "the answer was not there in time").retry_after(5).into_response(),
    }
}

#[derive(Debug, thiserror::Error)]
#[error("a handler panicked")]
struct Panicked;

/// An id that the caller's side gave, where it can do no harm in a log.
fn given_id(value: &HeaderValue) -> Option<String> {
    let text = value.to_str().ok()?;
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    ((1..=64).contains(&text.len()) && text.bytes().all(fits)).then(|| text.to_owned())
}

fn finish(response: &mut Response, id: &str) {
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(id) {
        headers.insert(X_REQUEST_ID, value);
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]
    use tower::ServiceExt;

    use super::*;

    #[tokio::test]
    async fn a_panic_is_answered_and_not_shown() {
        async fn boom() -> &'static str {
            panic!("the secret is hunter2")
        }
        let catch = |request, next| REQUEST_ID.scope("r-7".into(), answer(request, next, "r-7".into()));
        let router: Router = Router::new().route("/", axum::routing::get(boom)).layer(axum::middleware::from_fn(catch));
        let response = router.oneshot(Request::new(axum::body::Body::empty())).await.unwrap();
        assert_eq!(response.status(), 500);
        let body = axum::body::to_bytes(response.into_body(), 10_000).await.unwrap();
        let text = String::from_utf8_lossy(&body);
        assert!(text.contains("\"request_id\":\"r-7\"") && !text.contains("hunter2"), "{text}");
    }

    #[test]
    fn strangers_make_no_time_series() {
        assert_eq!(known_method(&Method::DELETE), "DELETE");
        for invented in ["X1", "get", "PROPFIND"] {
            assert_eq!(known_method(&Method::from_bytes(invented.as_bytes()).unwrap()), "other", "{invented}");
        }
    }

    #[test]
    fn distances() {
        for (a, b, far) in
            [("state", "state", 0), ("stat", "state", 1), ("statee", "state", 1), ("", "abc", 3), ("proces", "process", 1)]
        {
            assert_eq!(distance(a, b), far, "{a} {b}");
        }
    }

    #[test]
    fn ids_that_are_taken_over() {
        let given = |text: &'static str| given_id(&HeaderValue::from_static(text));
        assert_eq!(given("abc-1_2.3"), Some("abc-1_2.3".into()));
        for bad in ["", "a b", "a\tb", "{}"] {
            assert_eq!(given(bad), None, "{bad}");
        }
        assert_eq!(given_id(&HeaderValue::from_str(&"a".repeat(65)).unwrap_or(HeaderValue::from_static(""))), None);
    }
}
