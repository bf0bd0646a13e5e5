//! What a producer sent, read strictly: plain JSON, a CloudEvent in structured mode, or one in binary mode.
//!
//! Everything here comes from outside, and a message that cannot be read must neither be lost nor come back for ever.
//! So reading never panics and never guesses: it gives an [`Envelope`], or an [`Unreadable`] with a stable code, a
//! sentence that a front-end developer can act on, and what is known of the sender so that it can be answered.
//!
//! | what | plain JSON | CloudEvent |
//! |---|---|---|
//! | process | routing key | routing key; without one (sent straight to the queue) `type`: `request.<process>` or `<process>` |
//! | message id | `message_id` | `id` |
//! | producer | `user_id` (validated by the broker), else `app_id`, else the channel | `user_id` and `source`, joined by a space, or `source` |
//! | payload | the body | `data` |

mod cloudevent;
mod text;

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use serde_json::{Map, Value};

use self::text::{is_name, plain_text};
use crate::domain::json::{self, JsonFault};

/// A message as the broker (or another channel) handed it over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Incoming {
    /// The body's bytes.
    pub body: Bytes,
    /// The routing key; empty where the message was sent straight to our queue.
    pub routing_key: String,
    /// The producer's id of the message.
    pub message_id: Option<String>,
    /// The sending application: the channel.
    pub app_id: Option<String>,
    /// The broker's user that sent it; the broker has checked it.
    pub user_id: Option<String>,
    /// Its media type.
    pub content_type: Option<String>,
    /// How the body is encoded (`gzip`); only plain bodies are read.
    pub content_encoding: Option<String>,
    /// Headers with a text, number or truth value, as text; no more than [`Limits`] of the reader allow.
    pub headers: BTreeMap<String, String>,
    /// Why the headers are not all there.
    pub headers_fault: Option<HeadersFault>,
    /// The queue that gets a copy of the outcome.
    pub reply_to: Option<String>,
    /// The correlation id of that copy.
    pub correlation_id: Option<String>,
    /// It was delivered before.
    pub redelivered: bool,
    /// How often it came back without an acknowledgement.
    pub delivery_count: u64,
    /// W3C trace context, as sent.
    pub traceparent: Option<String>,
}

/// Why a message's headers are not all there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadersFault {
    /// There were more or longer ones than are kept.
    Cut,
    /// They could not be read at all: nested too deep, or of a type that nobody knows.
    Unreadable,
}

/// What a reader accepts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The longest body, in bytes.
    pub max_bytes: usize,
    /// The deepest nesting of the body.
    pub max_depth: usize,
    /// Names that begin so are our own: never a `reply_to`. Empty: there are none.
    pub own_names: String,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { max_bytes: 1024 * 1024, max_depth: json::MAX_DEPTH, own_names: String::new() }
    }
}

/// A request to accept, as far as that can be said without knowing the process.
#[derive(Debug, Clone, PartialEq)]
pub struct Envelope {
    /// The process it names.
    pub process: String,
    /// Who sent it; with `message` the key by which a repetition is recognised.
    pub producer: String,
    /// The producer's id of the message.
    pub message: String,
    /// `app_id`, or the way it came (`amqp`).
    pub channel: String,
    /// The payload: always an object.
    pub payload: Map<String, Value>,
    /// A queue that gets a copy of the outcome; never one of our own.
    pub reply_to: Option<String>,
    /// That copy's correlation id.
    pub correlation: Option<String>,
    /// W3C trace context, well formed.
    pub traceparent: Option<String>,
}

/// Why a message is no request. The words are stable: front ends switch on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Code {
    /// Longer than is read.
    TooLarge,
    /// Too many or too long headers.
    BadHeader,
    /// A media type, or an encoding, that is not read.
    BadContentType,
    /// A byte order mark, or bytes that are not UTF-8.
    BadEncoding,
    /// No JSON.
    BadJson,
    /// A key twice in one object.
    DuplicateKey,
    /// Nested too deep.
    TooDeep,
    /// The payload is JSON, but no object.
    NotAnObject,
    /// Nothing to recognise a repetition by.
    NoId,
    /// An id, source or application name that is too long or holds control characters.
    BadId,
    /// It names no process.
    NoProcess,
    /// It names something that cannot be a process.
    BadProcess,
    /// A CloudEvent without something that every CloudEvent has.
    BadCloudEvent,
    /// A CloudEvent of a version other than 1.0.
    BadSpecVersion,
    /// A CloudEvent whose data is base64 instead of JSON.
    DataBase64,
    /// The outcome cannot be sent there.
    BadReplyTo,
    /// The outcome cannot carry it.
    BadCorrelation,
}

impl Code {
    /// Its stable word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Code::TooLarge => "too_large",
            Code::BadHeader => "bad_header",
            Code::BadContentType => "bad_content_type",
            Code::BadEncoding => "bad_encoding",
            Code::BadJson => "bad_json",
            Code::DuplicateKey => "duplicate_key",
            Code::TooDeep => "too_deep",
            Code::NotAnObject => "not_an_object",
            Code::NoId => "no_id",
            Code::BadId => "bad_id",
            Code::NoProcess => "no_process",
            Code::BadProcess => "bad_process",
            Code::BadCloudEvent => "bad_cloudevent",
            Code::BadSpecVersion => "bad_specversion",
            Code::DataBase64 => "data_base64",
            Code::BadReplyTo => "bad_reply_to",
            Code::BadCorrelation => "bad_correlation",
        }
    }
}

/// A message that is no request, and what is known of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {detail}")]
pub struct Unreadable {
    /// Why.
    pub code: Code,
    /// What, where, and how to mend it. Holds no value of the payload.
    pub detail: String,
    /// Who sent it, as far as known: never empty.
    pub producer: String,
    /// Its id, where it has a proper one.
    pub message: Option<String>,
    /// The process that it names, where that is a proper name.
    pub process: Option<String>,
    /// How it came.
    pub channel: String,
    /// The queue that its sender wants to hear from us in, where that is a proper one.
    pub reply_to: Option<String>,
    /// The correlation id of that answer.
    pub correlation: Option<String>,
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The two halves of an [`Unreadable`] while who sent it is still being found out.
type Fault = (Code, String);

fn fault<T>(code: Code, detail: impl Into<String>) -> Result<T, Fault> {
    Err((code, detail.into()))
}

/// What is known of a message, whatever its body turns out to be.
#[derive(Default)]
struct Known {
    process: Option<String>,
    id: Option<String>,
    source: Option<String>,
    payload: Map<String, Value>,
}

/// Reads one message; `way` is how it came (`amqp`).
pub fn read(message: &Incoming, way: &str, limits: &Limits) -> Result<Envelope, Box<Unreadable>> {
    let mut known = Known::default();
    let result = fill(message, limits, &mut known);
    let channel = message.app_id.as_deref().filter(|text| plain_text(text)).unwrap_or(way).to_owned();
    let user = message.user_id.clone().filter(|user| plain_text(user));
    let producer = match (user, known.source) {
        (Some(user), Some(source)) => format!("{user} {source}"),
        (Some(user), None) => user,
        (None, Some(source)) => source,
        (None, None) => channel.clone(),
    };
    match (result, known.process, known.id) {
        (Ok((reply_to, traceparent)), Some(process), Some(message_id)) => Ok(Envelope {
            process,
            producer,
            message: message_id,
            channel,
            payload: known.payload,
            correlation: correlation(message).filter(|_| reply_to.is_some()),
            reply_to,
            traceparent,
        }),
        (result, process, id) => {
            let reply_to = reply_to(message, limits).ok().flatten();
            let correlation = correlation(message).filter(|_| reply_to.is_some());
            // What was read without a fault always has a process and an id; say so rather than trust it.
            let (code, detail) = result.err().unwrap_or((Code::NoId, "the message has no id".to_owned()));
            Err(Box::new(Unreadable { code, detail, producer, message: id, process, channel, reply_to, correlation }))
        }
    }
}

/// Fills in what is known, in an order by which as much as possible is known at the first fault.
fn fill(message: &Incoming, limits: &Limits, known: &mut Known) -> Result<(Option<String>, Option<String>), Fault> {
    if is_name(&message.routing_key) {
        known.process = Some(message.routing_key.clone());
    }
    known.id = message.message_id.clone().filter(|id| plain_text(id));
    let mode = text::mode(message);
    if let Ok(text::Mode::Binary) = mode {
        cloudevent::attributes_of_headers(message, known);
    }
    if message.body.len() > limits.max_bytes {
        let (is, most) = (message.body.len(), limits.max_bytes);
        return fault(Code::TooLarge, format!("the body has {is} bytes, at most {most} are read; send a reference instead"));
    }
    match message.headers_fault {
        None => {}
        Some(HeadersFault::Cut) => {
            return fault(Code::BadHeader, "there are too many headers, or too long ones; the payload belongs into the body");
        }
        Some(HeadersFault::Unreadable) => {
            return fault(Code::BadHeader, "the headers nest too deep to be read; send texts, numbers and truth values");
        }
    }
    let mode = mode?;
    let body = json::parse(&message.body, limits.max_depth).map_err(|error| json_fault(&error))?;
    json::check_numbers(&message.body).map_err(|error| json_fault(&error))?;
    let (payload, traceparent) = match mode {
        text::Mode::Plain => (body, None),
        text::Mode::Structured => cloudevent::structured(body, known)?,
        text::Mode::Binary => cloudevent::binary(message, body)?,
    };
    let Value::Object(payload) = payload else {
        return fault(Code::NotAnObject, "the payload is no JSON object; send `{…}`");
    };
    known.payload = payload;
    check_known(message, known)?;
    let reply_to = reply_to(message, limits)?;
    if message.correlation_id.is_some() && correlation(message).is_none() {
        return fault(
            Code::BadCorrelation,
            "the `correlation_id` has control characters, or more than 255 bytes; send a plain text",
        );
    }
    let traceparent = traceparent.or_else(|| message.traceparent.clone()).filter(|text| text::is_traceparent(text));
    Ok((reply_to, traceparent))
}

/// Where the sender wants to hear from us: never one of our own queues.
fn reply_to(message: &Incoming, limits: &Limits) -> Result<Option<String>, Fault> {
    let own = !limits.own_names.is_empty();
    match message.reply_to.as_deref().filter(|queue| !queue.is_empty()) {
        Some(queue) if own && queue.starts_with(&limits.own_names) => {
            fault(Code::BadReplyTo, "`reply_to` names a queue of ours; name a queue of your own")
        }
        Some(queue) if !plain_text(queue) => fault(Code::BadReplyTo, "`reply_to` is no name of a queue"),
        queue => Ok(queue.map(str::to_owned)),
    }
}

/// What the sender will recognise our answer by, where we can store it and send it back: no control characters.
fn correlation(message: &Incoming) -> Option<String> {
    message.correlation_id.clone().filter(|text| text.len() <= 255 && !text.chars().any(char::is_control))
}

fn check_known(message: &Incoming, known: &mut Known) -> Result<(), Fault> {
    if known.id.is_none() {
        return match &message.message_id {
            Some(_) => fault(Code::BadId, text::ID_RULE),
            None => fault(
                Code::NoId,
                "the message has no id; set `message_id` (or a CloudEvent's `id`) and keep it when you send it again",
            ),
        };
    }
    if known.process.is_none() {
        return if message.routing_key.is_empty() {
            fault(Code::NoProcess, "the message names no process; set the routing key to the process's name")
        } else {
            fault(Code::BadProcess, "the routing key is no process's name: lower-case letters, digits and `_`, a letter first")
        };
    }
    Ok(())
}

fn json_fault(error: &JsonFault) -> Fault {
    let code = match error {
        JsonFault::ByteOrderMark | JsonFault::NotUtf8 { .. } => Code::BadEncoding,
        JsonFault::Duplicate { .. } => Code::DuplicateKey,
        JsonFault::TooDeep { .. } => Code::TooDeep,
        JsonFault::TooMany { .. } => Code::TooLarge,
        JsonFault::Empty | JsonFault::Number { .. } | JsonFault::Syntax { .. } => Code::BadJson,
    };
    (code, format!("the body is not JSON that is read here: {error}"))
}

#[cfg(test)]
mod tests;
