//! Lists over the API: page after page until there are enough rows.

use clap::Args as ClapArgs;
use serde_json::Value;

use super::Done;
use super::client::Call;
use super::exit::{Exit, Failure};
use super::output::{Out, field, say};
use crate::domain::time::{Time, show_duration};
use crate::engine::clock::SystemClock;
use crate::engine::ports::clock::Clock as _;

/// The most rows of one page that the API gives.
const PAGE: usize = 200;

/// How many rows.
#[derive(Debug, ClapArgs)]
pub(super) struct ListArgs {
    /// The most rows
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// All rows, however many
    #[arg(long, conflicts_with = "limit")]
    all: bool,
}

impl ListArgs {
    fn most(&self) -> usize {
        if self.all { usize::MAX } else { usize::try_from(self.limit).unwrap_or(usize::MAX) }
    }
}

/// A column: its heading, and its text for a row.
pub(super) type Column = (&'static str, fn(&Value) -> String);

/// Fetches rows and prints them; `call` makes the call for a page, given its size.
pub(super) async fn print<'c>(args: &ListArgs, out: Out, columns: &[Column], call: impl Fn() -> Call<'c>) -> Done {
    let mut rows = Vec::new();
    let mut cursor: Option<String> = None;
    let mut left = args.most();
    loop {
        let page = call().query("limit", Some(left.min(PAGE))).query("cursor", cursor.as_ref()).send().await?;
        let items = items(&page)?;
        left = left.saturating_sub(items.len());
        if out.json {
            out.objects(items)?;
        } else {
            rows.extend(items.iter().map(|item| columns.iter().map(|(_, text)| text(item)).collect::<Vec<_>>()));
        }
        cursor = Some(field(&page, "/next")).filter(|next| !next.is_empty());
        if left == 0 || cursor.is_none() {
            break;
        }
    }
    let headings: Vec<&str> = columns.iter().map(|(heading, _)| *heading).collect();
    out.table(&headings, &rows)?;
    if rows.is_empty() && !out.json {
        say("nothing here");
    } else if cursor.is_some() && !out.json {
        say("there is more: --limit N or --all");
    }
    Ok(Exit::Ok)
}

/// The rows of an answer: its `items`.
pub(super) fn items(answer: &Value) -> Result<&Vec<Value>, Failure> {
    let unexpected = || {
        Failure::new(Exit::Failed, "the server answered something that is not a list")
            .hint("is it the same version as this program?")
    };
    answer.get("items").and_then(Value::as_array).ok_or_else(unexpected)
}

/// How long ago an API time was, roughly: `5m`, `3d`; `in 2h` for the future.
pub(super) fn ago(at: &str) -> String {
    rough(at, SystemClock.now())
}

fn rough(at: &str, now: Time) -> String {
    let Ok(at) = at.parse::<jiff::Timestamp>() else { return at.to_owned() };
    let at = Time(at.as_microsecond());
    let (length, before) = if at > now { (at.since(now), "in ") } else { (now.since(at), "") };
    let seconds = length.as_secs();
    let unit = match seconds {
        0..60 => 1,
        60..3_600 => 60,
        3_600..86_400 => 3_600,
        _ => 86_400,
    };
    let text = if seconds == 0 { "0s".to_owned() } else { show_duration(std::time::Duration::from_secs(seconds / unit * unit)) };
    format!("{before}{text}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rough() {
        let now = Time(1_000_000_000_000);
        let at = |seconds: i64| Time(now.0 + seconds * 1_000_000).to_string();
        for (seconds, text) in
            [(0, "0s"), (-59, "59s"), (-61, "1m"), (-7_300, "2h"), (-90_000, "1d"), (-2_592_000, "30d"), (3_700, "in 1h")]
        {
            assert_eq!(rough(&at(seconds), now), text);
        }
        assert_eq!(rough("", now), "");
    }
}
