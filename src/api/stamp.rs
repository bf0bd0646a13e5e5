//! Points in time and cursors as they are written on the wire.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Serialize, Serializer};
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};
use uuid::Uuid;

use super::extract::bad;
use super::problem::Problem;
use crate::domain::time::Time;

/// RFC 3339 in UTC with microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Stamp(pub(super) Time);

impl From<Time> for Stamp {
    fn from(at: Time) -> Stamp {
        Stamp(at)
    }
}

impl Serialize for Stamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl PartialSchema for Stamp {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new().schema_type(Type::String).format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime))).into()
    }
}

impl ToSchema for Stamp {
    fn name() -> Cow<'static, str> {
        "Stamp".into()
    }
}

/// Where a list sorted by (time, id) goes on: opaque to the caller.
pub(super) fn write_cursor(at: Time, id: Uuid) -> String {
    let mut bytes = at.0.to_be_bytes().to_vec();
    bytes.extend_from_slice(id.as_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Reads it back.
pub(super) fn read_cursor(text: &str) -> Result<(Time, Uuid), Problem> {
    let wrong = || bad("cursor", "is not one of ours; copy `next` of the page before");
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| wrong())?;
    let (at, id) = bytes.split_at_checked(8).ok_or_else(wrong)?;
    let at: [u8; 8] = at.try_into().map_err(|_| wrong())?;
    let id = Uuid::from_slice(id).map_err(|_| wrong())?;
    Ok((Time(i64::from_be_bytes(at)), id))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn cursors_come_back() {
        let (at, id) = (Time(-5), Uuid::from_u128(77));
        assert_eq!(read_cursor(&write_cursor(at, id)).unwrap(), (at, id));
        for text in ["", "x", "!!", "AAAAAAAAAAA", &"A".repeat(64)] {
            assert!(read_cursor(text).is_err(), "{text}");
        }
        assert_eq!(serde_json::to_string(&Stamp(Time(1))).unwrap(), "\"1970-01-01T00:00:00.000001Z\"");
    }
}
