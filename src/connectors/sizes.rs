//! Sizes and rates as people write them.

use std::num::NonZeroU32;
use std::time::Duration;

/// Calls in a stretch of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// So many.
    pub count: NonZeroU32,
    /// In so long: a second, a minute or an hour.
    pub per: Duration,
}

/// Reads `500/s`, `100/m` or `20/h`.
pub(super) fn parse_rate(text: &str) -> Result<Rate, String> {
    let shape = || format!("`{text}` is not a rate; write a whole number, `/` and a unit: 500/s, 100/m, 20/h");
    let (count, unit) = text.split_once('/').ok_or_else(shape)?;
    let count = count.trim().parse::<NonZeroU32>().map_err(|_| shape())?;
    let per = match unit.trim() {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err(shape()),
    };
    Ok(Rate { count, per: Duration::from_secs(per) })
}

/// Reads `65536`, `512KiB` or `1MiB`: 1 byte to 64 MiB.
pub(super) fn parse_size(text: &str) -> Result<usize, String> {
    let shape = || format!("`{text}` is not a size; write a whole number of bytes, KiB or MiB: 65536, 512KiB, 1MiB");
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: usize = number.parse().map_err(|_| shape())?;
    let unit = match unit.trim() {
        "" | "B" => 1,
        "KiB" => 1024,
        "MiB" => 1024 * 1024,
        _ => return Err(shape()),
    };
    match number.checked_mul(unit) {
        Some(size) if (1..=64 * 1024 * 1024).contains(&size) => Ok(size),
        _ => Err(format!("`{text}` is not between 1 byte and 64MiB")),
    }
}
