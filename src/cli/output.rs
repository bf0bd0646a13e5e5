//! What a command prints: data on standard output, messages on standard error; tables for a terminal, aligned text
//! without colours for a pipe, and with `--json` one object, or one object per line for lists.

use std::io::{self, IsTerminal, Write};

use comfy_table::presets::NOTHING;
use comfy_table::{Attribute, Cell, ColumnConstraint, ContentArrangement, Table};
use serde::Serialize;
use serde_json::Value;

/// Where and how output goes.
#[derive(Debug, Clone, Copy)]
pub struct Out {
    /// Machine-readable.
    pub json: bool,
    /// Standard output is a terminal.
    pub terminal: bool,
    /// Colours are wanted.
    pub color: bool,
}

impl Out {
    /// Looks at the terminal and `NO_COLOR`.
    #[must_use]
    pub fn new(json: bool) -> Out {
        let terminal = io::stdout().is_terminal();
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Out { json, terminal, color: wanted && terminal && !json }
    }

    /// Prints one object.
    pub fn object(self, value: &impl Serialize) -> io::Result<()> {
        let text = if self.terminal { serde_json::to_string_pretty(value) } else { serde_json::to_string(value) };
        self.line(&text.map_err(io::Error::other)?)
    }

    /// Prints one object per line.
    pub fn objects<T: Serialize>(self, values: impl IntoIterator<Item = T>) -> io::Result<()> {
        let mut out = io::stdout().lock();
        for value in values {
            serde_json::to_writer(&mut out, &value)?;
            out.write_all(b"\n")?;
        }
        out.flush()
    }

    /// Prints a line.
    pub fn line(self, text: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        writeln!(out, "{text}")?;
        out.flush()
    }

    /// Prints rows under headings.
    pub fn table(self, headings: &[&str], rows: &[Vec<String>]) -> io::Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        if !self.terminal {
            return self.line(&aligned(headings, rows));
        }
        let mut table = Table::new();
        table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
        let heading = |text: &&str| if self.color { Cell::new(text).add_attribute(Attribute::Bold) } else { Cell::new(text) };
        table.set_header(headings.iter().map(heading)).add_rows(rows);
        // The first column names the row: it is copied into the next command, so it is never broken into lines.
        if let Some(first) = table.column_mut(0) {
            first.set_constraint(ColumnConstraint::ContentWidth);
        }
        self.line(&table.trim_fmt())
    }

    /// Prints names and values, one pair per line; pairs without a value are left out.
    pub fn pairs(self, pairs: &[(&str, String)]) -> io::Result<()> {
        let pairs: Vec<_> = pairs.iter().filter(|(_, value)| !value.is_empty()).collect();
        let width = pairs.iter().map(|(name, _)| width(name)).max().unwrap_or(0);
        for (name, value) in pairs {
            self.line(&format!("{name}{}  {value}", " ".repeat(width - self::width(name))))?;
        }
        Ok(())
    }

    /// The text in bold, where colours are wanted.
    #[must_use]
    pub fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    /// Good news.
    #[must_use]
    pub fn good(self, text: &str) -> String {
        self.paint("32", text)
    }

    /// Bad news.
    #[must_use]
    pub fn bad(self, text: &str) -> String {
        self.paint("31", text)
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.color { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// Prints a message on standard error; nothing is left to do when even that fails.
pub fn say(text: &str) {
    drop(writeln!(io::stderr().lock(), "{text}"));
}

/// Columns padded with spaces, two between them, none at the end of a line.
fn aligned(headings: &[&str], rows: &[Vec<String>]) -> String {
    let headings: Vec<String> = headings.iter().map(|heading| heading.to_lowercase().replace(' ', "_")).collect();
    let all: Vec<&Vec<String>> = std::iter::once(&headings).chain(rows).collect();
    let widths: Vec<usize> = (0..headings.len())
        .map(|column| all.iter().filter_map(|row| row.get(column)).map(|cell| width(cell)).max().unwrap_or(0))
        .collect();
    let lines = all.iter().map(|row| {
        let cells = row.iter().zip(&widths).map(|(cell, wide)| {
            let cell = if cell.is_empty() { "-" } else { cell };
            format!("{cell}{}", " ".repeat(wide.saturating_sub(width(cell))))
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Columns that a text takes on a terminal: East Asian wide characters take two.
fn width(text: &str) -> usize {
    let wide = |c: char| matches!(u32::from(c), 0x1100..=0x115F | 0x2E80..=0xA4CF | 0xAC00..=0xD7A3 | 0xF900..=0xFAFF | 0xFE30..=0xFE6F | 0xFF00..=0xFF60 | 0x1F300..=0x1FAFF | 0x20000..=0x3FFFD);
    text.chars().map(|c| 1 + usize::from(wide(c))).sum()
}

/// A field of a JSON object as text for people: empty where it is missing, lists joined. A JSON pointer names it.
#[must_use]
pub fn field(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).map_or_else(String::new, plain)
}

/// A JSON value as text for people.
#[must_use]
pub fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => clean(text),
        Value::Array(items) if items.iter().all(|item| !item.is_object() && !item.is_array()) => {
            items.iter().map(plain).collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    }
}

/// Without control characters: what others wrote must not steer a terminal.
fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_with_spaces() {
        let rows = vec![vec!["card_unbind".into(), "解绑".into(), String::new()], vec!["x".into(), "abcdef".into(), "2".into()]];
        assert_eq!(
            aligned(&["Process", "The title", "N"], &rows),
            "process      the_title  n\ncard_unbind  解绑       -\nx            abcdef     2"
        );
    }

    #[test]
    fn json_becomes_text_that_cannot_steer_a_terminal() {
        let value = serde_json::json!({"a": {"b": "x\u{1b}[31m\ny"}, "l": ["p", 1], "n": null, "t": true});
        assert_eq!(field(&value, "/a/b"), "x [31m y");
        assert_eq!(field(&value, "/l"), "p, 1");
        assert_eq!(
            (field(&value, "/n"), field(&value, "/none"), field(&value, "/t")),
            (String::new(), String::new(), "true".into())
        );
    }
}
