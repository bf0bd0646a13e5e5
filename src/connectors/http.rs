//! One call over HTTP. Everything that a target can do wrong ends here, within the call's deadline and within the
//! answer's limit, as a classified failure: it may answer nothing, half, too much, something else, or late.
//!
//! Connecting has its own, shorter deadline, so that a target behind a black hole is known to have received nothing.

use std::error::Error as _;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::header::{ACCEPT, CONTENT_TYPE, DATE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Method, Response};
use tokio::time::{Instant, timeout_at};

use super::Connector;
use super::status::{Seen, StatusRules, classify};
use crate::domain::json;
use crate::domain::request::fact::FailureClass;
use crate::domain::words;
use crate::engine::ports::remote::{Answer, Failure, RemoteCall};

/// The longest wait that a target can ask for.
const MAX_RETRY_AFTER: Duration = Duration::from_hours(1);
/// Kept below the five seconds after which many servers close an idle connection: an effect sent just then is unknown.
const IDLE: Duration = Duration::from_secs(4);
/// The longest cause in a failure's detail, in characters.
const MAX_CAUSE: usize = 200;

/// The client of one connector: no proxies, no redirects, no cookies.
pub(super) fn client(connect_timeout: Duration, idle: usize, https: bool, ca: Option<&[u8]>) -> Result<Client, String> {
    let mut builder = Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .connect_timeout(connect_timeout)
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(idle)
        .user_agent(concat!("mozhao/", env!("CARGO_PKG_VERSION")));
    if let Some(pem) = ca {
        let certs =
            reqwest::Certificate::from_pem_bundle(pem).map_err(|error| format!("`ca_file` holds no certificates: {error}"))?;
        builder = builder.tls_certs_merge(certs);
    } else if !https {
        // Plain HTTP needs no certificates: do not load the system's.
        builder = builder.tls_certs_only([]);
    }
    if !https {
        // What the library sends again by itself is what an HTTP/2 server says it did not look at. Plain HTTP is HTTP/1, where nothing
        // can be: do not copy each request for it.
        builder = builder.retry(reqwest::retry::never().max_retries_per_request(0));
    }
    builder.build().map_err(|error| format!("the HTTP client cannot be built: {}", cause(&error)))
}

/// Makes a call that has its place already.
pub(super) async fn send(connector: &Connector, call: &RemoteCall, deadline: Instant) -> Result<Answer, Failure> {
    let to = Target { name: &call.connector, effect: call.effect, rules: &connector.config.statuses };
    let request = build(connector, call).map_err(|(code, detail)| to.fail(FailureClass::Broken, code, None, &detail))?;
    // Others may believe that the call is over. A future that is ready wins against its timer: look at the clock before it is begun.
    if Instant::now() >= deadline {
        return Err(to.late());
    }
    let response = match timeout_at(deadline, connector.client.execute(request)).await {
        Err(_) => return Err(to.broke("timeout", "gave no answer in time")),
        Ok(Err(error)) => return Err(to.not_answered(&error, connector.base.is_https())),
        Ok(Ok(response)) => response,
    };
    let status = response.status().as_u16();
    if !call.accept.takes(status) {
        return Err(to.status(status, response.headers()));
    }
    let body = match timeout_at(deadline, body(response, connector.config.max_answer)).await {
        Err(_) => return Err(to.broke("timeout", &format!("answered {status} and did not finish in time"))),
        Ok(Err(Cut::Broke(why))) => return Err(to.broke("reset", &format!("answered {status} and broke off: {why}"))),
        Ok(Err(Cut::TooLarge)) => {
            let detail = format!("answered {status} with more than {} bytes", connector.config.max_answer);
            return Err(to.body(status, "too_large", &detail));
        }
        Ok(Ok(body)) => body,
    };
    match json::parse(&body, json::MAX_DEPTH) {
        Ok(value) => Ok(Answer { status, body, value: Some(value) }),
        // An effect needs no answer beyond its status; a read does, unless its status is the answer.
        Err(json::JsonFault::Empty) if call.effect || matches!(status, 204 | 205) || !(200..300).contains(&status) => {
            Ok(Answer { status, body: Bytes::new(), value: None })
        }
        Err(json::JsonFault::Empty) => Err(to.body(status, "empty", &format!("answered {status} without a body"))),
        Err(fault) => {
            Err(to.body(status, "not_json", &format!("answered {status} with a body that is not JSON: {}", public(&fault))))
        }
    }
}

/// A fault without anything that the target wrote.
fn public(fault: &json::JsonFault) -> String {
    match fault {
        json::JsonFault::Duplicate { line, column, .. } => format!("a key is there twice (line {line}, column {column})"),
        other => other.to_string(),
    }
}

/// Makes a health check: any status that the method's success means.
pub(super) async fn probe(connector: &Connector, name: &str, path: &str, deadline: Instant) -> Result<(), Failure> {
    let call = RemoteCall {
        slot: "health".into(),
        connector: name.into(),
        method: words::Method::Get,
        path: path.to_owned(),
        headers: Vec::new(),
        body: None,
        key: None,
        timeout: None,
        until: None,
        effect: false,
        accept: words::Accept::Success,
        traceparent: None,
    };
    let to = Target { name, effect: false, rules: &connector.config.statuses };
    let request = build(connector, &call).map_err(|(code, detail)| to.fail(FailureClass::Broken, code, None, &detail))?;
    match timeout_at(deadline, connector.client.execute(request)).await {
        Err(_) => Err(to.broke("timeout", "gave no answer in time")),
        Ok(Err(error)) => Err(to.not_answered(&error, connector.base.is_https())),
        Ok(Ok(response)) if response.status().is_success() => Ok(()),
        Ok(Ok(response)) => Err(to.status(response.status().as_u16(), response.headers())),
    }
}

fn build(connector: &Connector, call: &RemoteCall) -> Result<reqwest::Request, (&'static str, String)> {
    let url = connector.base.join(&call.path).map_err(|detail| ("path", detail))?;
    let method = match call.method {
        words::Method::Get => Method::GET,
        words::Method::Post => Method::POST,
        words::Method::Put => Method::PUT,
        words::Method::Patch => Method::PATCH,
        words::Method::Delete => Method::DELETE,
    };
    let mut request = reqwest::Request::new(method, url);
    let headers = request.headers_mut();
    for (name, value) in &connector.config.headers {
        put(headers, name, value)?;
    }
    for (name, value) in &call.headers {
        connector.protected.check(name, value).map_err(|detail| ("header", detail))?;
        put(headers, name, value)?;
    }
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    if let Some(traceparent) = &call.traceparent {
        put(headers, "traceparent", traceparent)?;
    }
    if let (Some(key), Some(own)) = (&call.key, &connector.config.idempotency) {
        put(headers, &own.header, key)?;
    }
    if let Some(auth) = &connector.auth {
        let (name, value) = auth.header().map_err(|detail| ("secret", detail))?;
        headers.insert(name, value);
    }
    if let Some(body) = &call.body {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        *request.body_mut() = Some(body.clone().into());
    }
    Ok(request)
}

fn put(headers: &mut HeaderMap, name: &str, value: &str) -> Result<(), (&'static str, String)> {
    let refuse = || ("header", format!("the header `{}` cannot be sent", name.escape_default()));
    let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| refuse())?;
    headers.insert(header, HeaderValue::from_str(value).map_err(|_| refuse())?);
    Ok(())
}

enum Cut {
    Broke(String),
    TooLarge,
}

/// Reads the decompressed body, counting: neither a declared length nor a compressed one says how much will come.
async fn body(mut response: Response, max: usize) -> Result<Bytes, Cut> {
    if response.content_length().is_some_and(|length| length > max as u64) {
        return Err(Cut::TooLarge);
    }
    let mut first: Option<Bytes> = None;
    let mut rest = BytesMut::new();
    let mut read = 0_usize;
    while let Some(chunk) = response.chunk().await.map_err(|error| Cut::Broke(cause(&error)))? {
        read = read.saturating_add(chunk.len());
        if read > max {
            return Err(Cut::TooLarge);
        }
        match first.take() {
            None if rest.is_empty() => first = Some(chunk),
            whole => {
                rest.extend_from_slice(&whole.unwrap_or_default());
                rest.extend_from_slice(&chunk);
            }
        }
    }
    Ok(first.unwrap_or_else(|| rest.freeze()))
}

/// Whom a failure is about.
struct Target<'c> {
    name: &'c str,
    effect: bool,
    rules: &'c StatusRules,
}

impl Target<'_> {
    fn fail(&self, class: FailureClass, code: &'static str, status: Option<u16>, detail: &str) -> Failure {
        Failure { class, code, status, detail: format!("{}: {detail}", self.name), retry_after: None }
    }

    fn broke(&self, code: &'static str, detail: &str) -> Failure {
        self.fail(classify(Seen::Broke, self.effect, self.rules), code, None, detail)
    }

    fn late(&self) -> Failure {
        let seen = classify(Seen::NotSent, self.effect, self.rules);
        self.fail(seen, "late", None, "its time was over before the call began")
    }

    fn body(&self, status: u16, code: &'static str, detail: &str) -> Failure {
        self.fail(classify(Seen::Body { status }, self.effect, self.rules), code, Some(status), detail)
    }

    fn status(&self, status: u16, headers: &HeaderMap) -> Failure {
        let wait = retry_after(headers);
        // An unreadable Retry-After still says that the target throttles.
        let seen = Seen::Status { status, asks_to_wait: headers.contains_key(RETRY_AFTER) };
        let class = classify(seen, self.effect, self.rules);
        let code = if (300..400).contains(&status) { "redirect" } else { "status" };
        let mut failure = self.fail(class, code, Some(status), &format!("answered {status}"));
        failure.retry_after = if class == FailureClass::Transient { wait } else { None };
        failure
    }

    fn not_answered(&self, error: &reqwest::Error, https: bool) -> Failure {
        let why = cause(error);
        if error.is_dns() {
            let seen = classify(Seen::NotSent, self.effect, self.rules);
            self.fail(seen, "dns", None, &format!("its host's name was not found: {why}"))
        } else if error.is_connect() {
            let seen = classify(Seen::NotSent, self.effect, self.rules);
            let code = if https && !error.is_timeout() && !refused(error) { "tls" } else { "connect" };
            self.fail(seen, code, None, &format!("could not be connected to: {why}"))
        } else {
            self.broke("reset", &format!("broke off without an answer: {why}"))
        }
    }
}

/// Did the operating system say so, and not the TLS library?
fn refused(error: &reqwest::Error) -> bool {
    let mut source = error.source();
    while let Some(here) = source {
        if here.downcast_ref::<std::io::Error>().is_some_and(|io| io.raw_os_error().is_some()) {
            return true;
        }
        source = here.source();
    }
    false
}

/// The innermost error's text. The outer ones repeat the URL, which may hold sensitive values.
fn cause(error: &reqwest::Error) -> String {
    let mut inner = error.source();
    while let Some(next) = inner.and_then(|here| here.source()) {
        inner = Some(next);
    }
    let text = inner.map_or_else(|| "unknown".to_owned(), ToString::to_string);
    text.chars().filter(|c| !c.is_control()).take(MAX_CAUSE).collect()
}

/// Seconds, or a date compared with the target's own `Date`: its clock and ours may differ.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = if text.bytes().all(|byte| byte.is_ascii_digit()) && !text.is_empty() {
        text.parse().map_or(MAX_RETRY_AFTER, Duration::from_secs)
    } else {
        let read = |text: &str| jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text.trim()).ok();
        let now = read(headers.get(DATE)?.to_str().ok()?)?;
        Duration::from_secs(u64::try_from(read(text)?.as_second().saturating_sub(now.as_second())).unwrap_or(0))
    };
    Some(wait.min(MAX_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        let table = [
            ("7", None, Some(7)),
            (" 7 ", None, Some(7)),
            ("0", None, Some(0)),
            ("99999999", None, Some(3600)),
            ("99999999999999999999999", None, Some(3600)),
            ("Sun, 06 Nov 1994 08:50:37 GMT", Some(date), Some(60)),
            ("Sun, 06 Nov 1994 08:40:00 GMT", Some(date), Some(0)),
            ("Sun, 06 Nov 1994 08:50:37 GMT", None, None),
            ("soon", Some(date), None),
            ("-5", Some(date), None),
            ("", Some(date), None),
        ];
        for (text, date, expected) in table {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, text.parse().unwrap());
            if let Some(date) = date {
                headers.insert(DATE, date.parse().unwrap());
            }
            assert_eq!(retry_after(&headers), expected.map(Duration::from_secs), "{text}");
        }
    }
}
