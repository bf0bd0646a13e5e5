//! What happens around every page: the rules that the browser is given, a net under panics, and who may send forms.
//!
//! The policy is the second line behind escaping: no script runs that does not carry this answer's nonce, no inline script or
//! style at all, nothing is loaded from elsewhere, no form goes elsewhere, and the page is shown in no frame. A form that was
//! not sent from our own pages is refused before anybody looks at it, whether its sender is signed in or not.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use futures_util::FutureExt as _;

use super::frame::Look;
use super::session::local;
use super::{Console, links, trouble};

/// What belongs to the answer that is being made.
#[derive(Debug, Clone)]
struct Answering {
    nonce: String,
    here: String,
    back: String,
}

tokio::task_local! {
    static ANSWERING: Answering;
}

/// The nonce of the answer that is being made; empty outside of one, where no script will run.
pub(super) fn nonce() -> String {
    ANSWERING.try_with(|answering| answering.nonce.clone()).unwrap_or_default()
}

/// The page's own address, where it can be come back to.
pub(super) fn here() -> String {
    ANSWERING.try_with(|answering| answering.here.clone()).unwrap_or_default()
}

/// The page that a form or a link was on, where it is one of ours.
pub(super) fn back() -> String {
    ANSWERING.try_with(|answering| answering.back.clone()).unwrap_or_default()
}

/// The layer.
pub(super) async fn around(State(console): State<Console>, request: Request, next: Next) -> Response {
    let path = request.uri().path_and_query().map_or("", |path| path.as_str());
    let here = local(path).filter(|_| request.method() == Method::GET).unwrap_or_default().to_owned();
    let back = page_before(request.headers()).filter(|back| *back != here).unwrap_or_default();
    let part = request.headers().contains_key("hx-request");
    let acts = request.method() == Method::POST;
    let answering = Answering { nonce: links::secret(), here, back };
    let look = Look::of(request.headers());
    let foreign = request.method() != Method::GET && request.method() != Method::HEAD && !own_form(request.headers());
    let answer = async {
        if foreign {
            return trouble::foreign(&look);
        }
        let answered = std::panic::AssertUnwindSafe(next.run(request)).catch_unwind().await;
        answered.unwrap_or_else(|_| {
            tracing::error!("a page panicked");
            trouble::internal(&look)
        })
    };
    let mut response = ANSWERING.scope(answering.clone(), answer).await;
    // Whoever looks at the same thing sees what came of it: not every act leaves an event behind, a claim leaves none.
    let to = response.headers().get(header::LOCATION).and_then(|to| to.to_str().ok()).unwrap_or_default();
    let done = response.status().is_success() || response.status().is_redirection();
    if acts && done && !to.starts_with("/console/sign-in") {
        console.0.live.tell();
    }
    // A part of a page cannot be another page: its script is told where to go instead.
    if part && response.status().is_redirection() {
        let to = response.headers_mut().remove(header::LOCATION);
        *response.status_mut() = StatusCode::NO_CONTENT;
        if let Some(to) = to {
            response.headers_mut().insert("hx-redirect", to);
        }
    }
    let headers = response.headers_mut();
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{}'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; \
         form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        answering.nonce
    );
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    // Not `no-referrer`: browsers would then hide the origin of our own forms from us, too.
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert("cross-origin-opener-policy", HeaderValue::from_static("same-origin"));
    headers.insert("permissions-policy", HeaderValue::from_static("camera=(), microphone=(), geolocation=()"));
    if console.secure() {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
    }
    response
}

/// The page before, by the browser's word: only for a link back.
fn page_before(headers: &HeaderMap) -> Option<String> {
    let text = |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let (_, rest) = text(header::REFERER)?.split_once("://")?;
    let (from, path) = rest.split_at(rest.find('/')?);
    (Some(from) == text(header::HOST)).then_some(path).and_then(local).map(str::to_owned)
}

/// Was the form sent from a page of ours? Browsers say so; what says nothing is no browser and has no cookies of others.
fn own_form(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = text("sec-fetch-site") {
        return site == "same-origin" || site == "none";
    }
    match (text("origin"), text("host")) {
        (Some(origin), Some(host)) => origin.split_once("://").is_some_and(|(_, from)| from == host),
        (Some(_), None) => false,
        (None, _) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (header::HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn the_page_before_is_one_of_ours() {
        let before = |referer| page_before(&headers(&[("referer", referer), ("host", "a:1")]));
        assert_eq!(before("http://a:1/console/reviews?tab=mine").as_deref(), Some("/console/reviews?tab=mine"));
        for other in
            ["http://b:1/console", "http://a:1/v1/requests", "http://a:1", "http://a:1/console//b:1", "/console", "a:1/console"]
        {
            assert_eq!(before(other), None, "{other}");
        }
    }

    #[test]
    fn forms_from_elsewhere_are_known() {
        assert!(own_form(&headers(&[("sec-fetch-site", "same-origin")])));
        assert!(own_form(&headers(&[("origin", "http://a:1"), ("host", "a:1")])));
        assert!(own_form(&headers(&[("host", "a:1")])));
        for foreign in [
            &[("sec-fetch-site", "cross-site"), ("origin", "http://a:1"), ("host", "a:1")][..],
            &[("sec-fetch-site", "same-site")],
            &[("origin", "http://b:1"), ("host", "a:1")],
            &[("origin", "null"), ("host", "a:1")],
            &[("origin", "http://a:1")],
        ] {
            assert!(!own_form(&headers(foreign)), "{foreign:?}");
        }
    }
}
