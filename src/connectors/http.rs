//! One call over HTTP. Everything that a target can do wrong ends here, within the call's deadline and within the
//! answer's limit, as a classified failure: it may answer nothing, half, too much, something else, or late.
//!
//! Connecting has its own, shorter deadline, so that a target behind a black hole is known to have received nothing.

use std::time::Duration;

use bytes::Bytes;
use hyper::Method;
use hyper::header::{ACCEPT, CONTENT_TYPE, DATE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, USER_AGENT};
use tokio::time::{Instant, timeout_at};

use super::Connector;
use super::status::{Seen, StatusRules, classify};
use super::wire::{Cut, NoAnswer, Outgoing};
use crate::domain::json;
use crate::domain::request::fact::FailureClass;
use crate::domain::words;
use crate::engine::ports::remote::{Answer, Failure, RemoteCall};

/// The longest wait that a target can ask for.
const MAX_RETRY_AFTER: Duration = Duration::from_hours(1);
/// Who asks, unless the connector says otherwise.
const AGENT: HeaderValue = HeaderValue::from_static(concat!("mozhao/", env!("CARGO_PKG_VERSION")));

/// Makes a call that has its place already.
pub(super) async fn send(connector: &Connector, call: &RemoteCall, deadline: Instant) -> Result<Answer, Failure> {
    let to = Target { name: &call.connector, effect: call.effect, rules: &connector.config.statuses };
    let request = build(connector, call).map_err(|(code, detail)| to.fail(FailureClass::Broken, code, None, &detail))?;
    // Others may believe that the call is over. A future that is ready wins against its timer: look at the clock before it is begun.
    if Instant::now() >= deadline {
        return Err(to.late());
    }
    let answer = match timeout_at(deadline, connector.wire.send(request)).await {
        Err(_) => return Err(to.broke("timeout", "gave no answer in time")),
        Ok(Err(none)) => return Err(to.not_answered(&none)),
        Ok(Ok(answer)) => answer,
    };
    let status = answer.status.as_u16();
    if !call.accept.takes(status) {
        let failure = to.status(status, &answer.headers);
        answer.leave();
        return Err(failure);
    }
    let body = match timeout_at(deadline, answer.body(connector.config.max_answer)).await {
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
    match timeout_at(deadline, connector.wire.send(request)).await {
        Err(_) => Err(to.broke("timeout", "gave no answer in time")),
        Ok(Err(none)) => Err(to.not_answered(&none)),
        Ok(Ok(answer)) if answer.status.is_success() => Ok(()),
        Ok(Ok(answer)) => Err(to.status(answer.status.as_u16(), &answer.headers)),
    }
}

fn build(connector: &Connector, call: &RemoteCall) -> Result<Outgoing, (&'static str, String)> {
    let uri = connector.base.join(&call.path).map_err(|detail| ("path", detail))?;
    let method = match call.method {
        words::Method::Get => Method::GET,
        words::Method::Post => Method::POST,
        words::Method::Put => Method::PUT,
        words::Method::Patch => Method::PATCH,
        words::Method::Delete => Method::DELETE,
    };
    let mut request = Outgoing::default();
    (*request.method_mut(), *request.uri_mut()) = (method, uri);
    let headers = request.headers_mut();
    headers.insert(USER_AGENT, AGENT);
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
        *request.body_mut() = body.clone();
    }
    Ok(request)
}

fn put(headers: &mut HeaderMap, name: &str, value: &str) -> Result<(), (&'static str, String)> {
    let refuse = || ("header", format!("the header `{}` cannot be sent", name.escape_default()));
    let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| refuse())?;
    headers.insert(header, HeaderValue::from_str(value).map_err(|_| refuse())?);
    Ok(())
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

    fn not_answered(&self, none: &NoAnswer) -> Failure {
        let not_sent = |code, detail: String| self.fail(classify(Seen::NotSent, self.effect, self.rules), code, None, &detail);
        match none {
            NoAnswer::NoHost(why) => not_sent("dns", format!("its host's name was not found: {why}")),
            NoAnswer::NotConnected { why, tls } => {
                not_sent(if *tls { "tls" } else { "connect" }, format!("could not be connected to: {why}"))
            }
            NoAnswer::Broke(why) => self.broke("reset", &format!("broke off without an answer: {why}")),
        }
    }
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
