//! Points in time and lengths of time as the domain sees them: whole microseconds, handed in from outside.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A point in time: microseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Time(pub i64);

impl Time {
    /// This time plus `length`; saturates.
    #[must_use]
    pub fn plus(self, length: Duration) -> Time {
        Time(self.0.saturating_add(i64::try_from(length.as_micros()).unwrap_or(i64::MAX)))
    }

    /// This time minus `length`; saturates.
    #[must_use]
    pub fn minus(self, length: Duration) -> Time {
        Time(self.0.saturating_sub(i64::try_from(length.as_micros()).unwrap_or(i64::MAX)))
    }

    /// How long after `earlier` this is; zero where it is not after it.
    #[must_use]
    pub fn since(self, earlier: Time) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl fmt::Display for Time {
    /// RFC 3339 in UTC with microseconds; a time outside the calendar's range is shown as its number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_microsecond(self.0) {
            Ok(at) => write!(f, "{at:.6}"),
            Err(_) => write!(f, "{}us", self.0),
        }
    }
}

/// Reads a length of time such as `500ms`, `30s`, `10m`, `4h` or `7d`.
///
/// # Errors
/// A sentence that says what a length looks like.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let shape = || format!("`{text}` is not a length of time; write a whole number and a unit: 500ms, 30s, 10m, 4h or 7d");
    let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(shape)?;
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| shape())?;
    let millis = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(shape()),
    };
    let millis: u64 = number.checked_mul(millis).ok_or_else(shape)?;
    if millis > 3_660 * 86_400_000 {
        return Err(format!("`{text}` is longer than ten years"));
    }
    Ok(Duration::from_millis(millis))
}

/// Writes a length the way [`parse_duration`] reads it, in the largest unit that loses nothing.
#[must_use]
pub fn show_duration(length: Duration) -> String {
    let millis = length.as_millis();
    for (unit, size) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)] {
        if millis != 0 && millis.is_multiple_of(size) {
            return format!("{}{unit}", millis / size);
        }
    }
    format!("{millis}ms")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_read_and_written() {
        for (text, millis) in [("500ms", 500), ("30s", 30_000), ("10m", 600_000), ("4h", 14_400_000), ("7d", 604_800_000)] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)));
            assert_eq!(show_duration(Duration::from_millis(millis)), text);
        }
        for bad in ["", "10", "m", "-1s", "1.5h", "1w", "99999999999999999999s", "4000d", "１０m"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn times_saturate_and_print() {
        assert_eq!(Time(5).since(Time(9)), Duration::ZERO);
        assert_eq!(Time(i64::MAX).plus(Duration::from_secs(1)), Time(i64::MAX));
        assert_eq!(Time(1_000_001).to_string(), "1970-01-01T00:00:01.000001Z");
    }
}
