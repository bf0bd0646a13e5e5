//! What is wrong with a process file, at its place: file, line, column, the line itself, and what to do.
//!
//! Findings are collected, not thrown: somebody who mends a file wants all of them in one go, and each only once.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How many findings one file may have before the rest is cut off.
const MAX_FINDINGS: usize = 200;
/// The longest part of a line that is shown, in characters.
const MAX_SHOWN: usize = 140;

/// The longest message or hint, in characters: a value that it quotes may be as long as the file.
const MAX_TEXT: usize = 600;

fn cut(text: String) -> String {
    if text.chars().nth(MAX_TEXT).is_none() { text } else { text.chars().take(MAX_TEXT).chain("…".chars()).collect() }
}

/// Does it keep the file from being used?
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The file cannot be used.
    Error,
    /// It can, and somebody should look.
    Warning,
}

impl Severity {
    /// Its name in reports.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
        }
    }
}

/// One thing to say about a process file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The file's name as it was given.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The line, and under it carets below the place.
    pub snippet: String,
    /// What is wrong, in one sentence.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// How bad it is.
    pub severity: Severity,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}: {}", self.file, self.line, self.column, self.severity.as_str(), self.message)?;
        for line in self.snippet.lines() {
            write!(f, "\n  | {line}")?;
        }
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, "\n  = {hint}"))
    }
}

/// A place in the file: bytes from the start, end excluded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Span {
    pub(super) start: usize,
    pub(super) end: usize,
}

/// The findings on one file, with what is needed to show them.
pub(super) struct Report<'s> {
    file: &'s str,
    text: &'s str,
    line_starts: Vec<usize>,
    findings: Vec<Finding>,
    cut: bool,
}

impl<'s> Report<'s> {
    pub(super) fn new(file: &'s str, text: &'s str) -> Self {
        let line_starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Report { file, text, line_starts, findings: Vec::new(), cut: false }
    }

    pub(super) fn error(&mut self, at: Span, message: impl Into<String>) {
        self.add(Severity::Error, at, message.into(), None);
    }

    pub(super) fn error_hint(&mut self, at: Span, message: impl Into<String>, hint: impl Into<String>) {
        self.add(Severity::Error, at, message.into(), Some(hint.into()));
    }

    pub(super) fn warning(&mut self, at: Span, message: impl Into<String>, hint: impl Into<String>) {
        self.add(Severity::Warning, at, message.into(), Some(hint.into()));
    }

    pub(super) fn add(&mut self, severity: Severity, at: Span, message: String, hint: Option<String>) {
        if self.findings.len() >= MAX_FINDINGS {
            self.cut = true;
            // Whether the file is usable must not depend on the order of findings.
            if severity == Severity::Error && !self.has_errors() {
                self.findings.pop();
            } else {
                return;
            }
        }
        let message = cut(message);
        let hint = hint.map(cut);
        let (line, column) = self.position(at.start);
        let snippet = self.snippet(line, at);
        let finding = Finding { file: self.file.to_owned(), line, column, snippet, message, hint, severity };
        if !self.findings.contains(&finding) {
            self.findings.push(finding);
        }
    }

    pub(super) fn has_errors(&self) -> bool {
        self.findings.iter().any(|finding| finding.severity == Severity::Error)
    }

    /// The text of a place.
    pub(super) fn slice(&self, at: Span) -> &'s str {
        self.text.get(at.start..at.end).unwrap_or("")
    }

    /// The line of a place, from 1.
    pub(super) fn line(&self, at: Span) -> usize {
        self.position(at.start).0
    }

    /// The place of a line and a column, both from 1, the column in characters.
    pub(super) fn at(&self, line: usize, column: usize) -> Span {
        let start = self.line_starts.get(line.max(1) - 1).copied().unwrap_or(self.text.len());
        let offset = self.text.get(start..).map_or(0, |rest| rest.chars().take(column.max(1) - 1).map(char::len_utf8).sum());
        Span { start: start + offset, end: start + offset }
    }

    /// All findings in the order of the file.
    pub(super) fn finish(mut self) -> Vec<Finding> {
        self.findings.sort_by(|a, b| (a.line, a.column, a.severity, &a.message).cmp(&(b.line, b.column, b.severity, &b.message)));
        if self.cut {
            let (line, column) = self.findings.last().map_or((1, 1), |last| (last.line, last.column));
            self.findings.push(Finding {
                file: self.file.to_owned(),
                line,
                column,
                snippet: String::new(),
                message: format!("there are more than {MAX_FINDINGS} findings; the rest is not shown"),
                hint: None,
                severity: Severity::Warning,
            });
        }
        self.findings
    }

    fn position(&self, offset: usize) -> (usize, usize) {
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        let line = self.line_starts.partition_point(|start| *start <= offset).max(1);
        let start = self.line_starts.get(line - 1).copied().unwrap_or(0);
        (line, self.text.get(start..offset).map_or(0, |before| before.chars().count()) + 1)
    }

    /// The line with carets under the place; a long line is cut around it.
    fn snippet(&self, line: usize, at: Span) -> String {
        let start = self.line_starts.get(line - 1).copied().unwrap_or(0);
        let end = self.line_starts.get(line).map_or(self.text.len(), |next| next - 1);
        let text: Vec<char> = self.text.get(start..end).unwrap_or("").trim_end_matches('\r').chars().collect();
        let (_, column) = self.position(at.start);
        let length = self.text.get(at.start..at.end.min(end)).map_or(1, |part| part.trim_end().chars().count()).max(1);
        let first = if column > MAX_SHOWN - 40 { column - 40 } else { 0 };
        let shown = &text[first.min(text.len())..(first + MAX_SHOWN).min(text.len())];
        let before = &shown[..(column - 1 - first).min(shown.len())];
        let under = &shown[before.len()..(before.len() + length).min(shown.len())];
        let carets = under.iter().map(|c| width(*c)).sum::<usize>().max(1);
        let line: String = shown.iter().map(|c| if *c == '\t' { ' ' } else { *c }).collect();
        format!("{line}\n{}{}", " ".repeat(before.iter().map(|c| width(*c)).sum()), "^".repeat(carets))
    }
}

/// Columns that a character takes on a terminal, near enough for carets: East Asian wide characters take two.
fn width(c: char) -> usize {
    usize::from(
        matches!(u32::from(c), 0x1100..=0x115F | 0x2E80..=0xA4CF | 0xAC00..=0xD7A3 | 0xF900..=0xFAFF | 0xFE30..=0xFE6F | 0xFF00..=0xFF60 | 0x1F300..=0x1FAFF | 0x20000..=0x3FFFD),
    ) + 1
}
