//! CloudEvents 1.0 over AMQP: structured mode (the body is the event) and binary mode (the body is the data, the
//! attributes are headers).

use serde_json::{Map, Value};

use super::text::{ID_RULE, is_name, plain_text};
use super::{Code, Fault, Incoming, Known, fault};

/// The prefixes that libraries put before an attribute's name: AMQP 1.0's binding (with its JMS spelling), and HTTP's.
const PREFIXES: [&str; 4] = ["cloudEvents:", "cloudEvents_", "ce-", "ce_"];

/// The attribute that a header carries.
pub(super) fn attribute(header: &str) -> Option<String> {
    PREFIXES.iter().find_map(|prefix| {
        let start = header.get(..prefix.len())?;
        start.eq_ignore_ascii_case(prefix).then(|| header[prefix.len()..].to_ascii_lowercase())
    })
}

fn header<'m>(message: &'m Incoming, wanted: &str) -> Option<&'m str> {
    message.headers.iter().find(|(name, _)| attribute(name).is_some_and(|name| name == wanted)).map(|(_, value)| value.as_str())
}

/// Binary mode: who sent it is known before the body is looked at.
pub(super) fn attributes_of_headers(message: &Incoming, known: &mut Known) {
    known.id = header(message, "id").filter(|id| plain_text(id)).map(str::to_owned);
    known.source = header(message, "source").filter(|source| plain_text(source)).map(str::to_owned);
    name_by_type(header(message, "type"), known);
}

/// Binary mode: checks the attributes; the data is the body. Also gives the trace context.
pub(super) fn binary(message: &Incoming, body: Value) -> Result<(Value, Option<String>), Fault> {
    check(|name| header(message, name).map(Some))?;
    Ok((body, header(message, "traceparent").map(str::to_owned)))
}

/// Structured mode: takes the data out of the event. Also gives the trace context.
pub(super) fn structured(event: Value, known: &mut Known) -> Result<(Value, Option<String>), Fault> {
    let Value::Object(mut event) = event else {
        return fault(Code::BadCloudEvent, "the body is no JSON object, so it is no CloudEvent");
    };
    let text = |event: &Map<String, Value>, name: &str| event.get(name).and_then(Value::as_str).map(str::to_owned);
    known.id = text(&event, "id").filter(|id| plain_text(id));
    known.source = text(&event, "source").filter(|source| plain_text(source));
    name_by_type(event.get("type").and_then(Value::as_str), known);
    check(|name| event.get(name).map(Value::as_str))?;
    if let Some(given) = event.get("datacontenttype") {
        let json = given.as_str().map(|given| given.split(';').next().unwrap_or_default().trim().to_ascii_lowercase());
        if !json.is_some_and(|given| given == "application/json" || given == "text/json" || given.ends_with("+json")) {
            return fault(Code::BadContentType, "the CloudEvent's `datacontenttype` is not JSON");
        }
    }
    let traceparent = text(&event, "traceparent");
    match (event.remove("data"), event.contains_key("data_base64")) {
        (_, true) => fault(Code::DataBase64, "the CloudEvent's data is base64; send JSON in `data`"),
        (Some(data), false) => Ok((data, traceparent)),
        (None, false) => fault(Code::BadCloudEvent, "the CloudEvent has no `data`; the payload belongs there"),
    }
}

/// What every CloudEvent has. `get` gives `None` for an attribute that is not there, `Some(None)` for one that is no text.
fn check<'e>(get: impl Fn(&str) -> Option<Option<&'e str>>) -> Result<(), Fault> {
    match get("specversion") {
        Some(Some("1.0")) => {}
        Some(_) => return fault(Code::BadSpecVersion, "the CloudEvent's `specversion` is not \"1.0\""),
        None => return fault(Code::BadSpecVersion, "the CloudEvent has no `specversion`; it is \"1.0\""),
    }
    for name in ["id", "source", "type"] {
        match get(name) {
            None if name == "id" => return fault(Code::NoId, "the CloudEvent has no `id`"),
            None => return fault(Code::BadCloudEvent, format!("the CloudEvent has no `{name}`")),
            Some(Some(text)) if plain_text(text) => {}
            Some(_) if name == "type" => return fault(Code::BadCloudEvent, "the CloudEvent's `type` is no proper text"),
            Some(_) => return fault(Code::BadId, format!("the CloudEvent's `{name}` is not proper: {ID_RULE}")),
        }
    }
    Ok(())
}

/// The routing key names the process; `type` does where there is none.
fn name_by_type(given: Option<&str>, known: &mut Known) {
    if known.process.is_none() {
        let name = given.map(|given| given.strip_prefix("request.").unwrap_or(given));
        known.process = name.filter(|name| is_name(name)).map(str::to_owned);
    }
}
