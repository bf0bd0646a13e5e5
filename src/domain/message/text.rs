//! Names, ids and media types: what a message's small texts may look like.

use super::{Code, Fault, Incoming, fault};

/// The longest id, source or application name, in bytes.
const MAX_TEXT: usize = 255;
/// What an id looks like.
pub(super) const ID_RULE: &str =
    "an id or source is 1 to 255 bytes long, without control characters and without white space at its ends";

/// How a message says what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// The body is the payload.
    Plain,
    /// The body is a CloudEvent.
    Structured,
    /// The body is a CloudEvent's data; its attributes are headers.
    Binary,
}

/// Fit for an id, a source or a name.
pub(super) fn plain_text(text: &str) -> bool {
    (1..=MAX_TEXT).contains(&text.len()) && text.trim() == text && !text.chars().any(char::is_control)
}

/// Can it be a process's name?
pub(super) fn is_name(text: &str) -> bool {
    text.len() <= 64
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

/// `00-<32 hex>-<16 hex>-<2 hex>`, ids not all zero.
pub(super) fn is_traceparent(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let hex = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    let lengths = [2, 32, 16, 2];
    parts.len() == 4
        && parts.iter().zip(lengths).all(|(part, length)| part.len() == length && hex(part))
        && parts[0] == "00"
        && parts[1..3].iter().all(|id| id.bytes().any(|byte| byte != b'0'))
}

/// Plain, structured or binary, by media type and headers.
pub(super) fn mode(message: &Incoming) -> Result<Mode, Fault> {
    if let Some(encoding) = &message.content_encoding
        && !matches!(encoding.to_ascii_lowercase().as_str(), "" | "identity" | "utf-8" | "utf8")
    {
        return fault(Code::BadContentType, "the body is compressed or encoded (`content_encoding`); send it as it is");
    }
    let binary = message.headers.keys().any(|name| super::cloudevent::attribute(name).is_some_and(|name| name == "specversion"));
    let Some(given) = message.content_type.as_deref().filter(|given| !given.trim().is_empty()) else {
        return Ok(if binary { Mode::Binary } else { Mode::Plain });
    };
    let mut parts = given.split(';').map(str::trim);
    let media = parts.next().unwrap_or_default().to_ascii_lowercase();
    for part in parts {
        if let Some((name, value)) = part.split_once('=')
            && name.trim().eq_ignore_ascii_case("charset")
            && !matches!(value.trim().trim_matches('"').to_ascii_lowercase().as_str(), "utf-8" | "utf8" | "us-ascii")
        {
            return fault(Code::BadContentType, "the charset is not UTF-8");
        }
    }
    match media.as_str() {
        "application/cloudevents+json" => Ok(Mode::Structured),
        "application/cloudevents-batch+json" => {
            fault(Code::BadContentType, "batches of CloudEvents are not read; send each by itself")
        }
        "application/json" | "text/json" => Ok(if binary { Mode::Binary } else { Mode::Plain }),
        other if other.starts_with("application/") && other.ends_with("+json") && !other.contains("cloudevents") => {
            Ok(if binary { Mode::Binary } else { Mode::Plain })
        }
        _ => fault(Code::BadContentType, "the content type is neither application/json nor application/cloudevents+json"),
    }
}
