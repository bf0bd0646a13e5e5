//! What is wrong with a configuration, at its place: a line of the file, a variable or a flag. All of them are
//! collected, because somebody who mends a configuration wants the whole list.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// The file, at this line.
    File {
        /// Its name as it was given.
        name: String,
        /// The line, from 1.
        line: usize,
    },
    /// A variable.
    Env(String),
    /// The file that a variable names.
    EnvFile {
        /// The variable.
        variable: String,
        /// The file.
        path: PathBuf,
    },
    /// A flag as it was typed.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::File { name, line } => write!(f, "{name}:{line}"),
            Origin::Env(variable) => write!(f, "environment {variable}"),
            Origin::EnvFile { variable, path } => write!(f, "{} (environment {variable})", path.display()),
            Origin::Flag(flag) => write!(f, "flag {flag}"),
        }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// `mozhao.yaml:3:7`, `environment MOZHAO__HTTP__LISTEN`, `flag --listen`; empty where there is no place.
    pub place: String,
    /// The line of the file, and under it carets below the place; empty for variables and flags.
    pub snippet: String,
    /// What is wrong, in one sentence, free of secrets.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.place.is_empty() {
            write!(f, "{}: ", self.place)?;
        }
        write!(f, "error: {}", self.message)?;
        for line in self.snippet.lines() {
            write!(f, "\n  | {line}")?;
        }
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, "\n  = {hint}"))
    }
}

/// A place in the file: bytes from its start, end excluded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Span {
    pub(super) start: usize,
    pub(super) end: usize,
}

/// The file's name and text, for places and snippets.
#[derive(Debug, Clone, Copy)]
pub struct File<'a> {
    /// Its name as it was given.
    pub name: &'a str,
    /// What is in it.
    pub text: &'a str,
}

impl File<'_> {
    pub(super) fn line(&self, at: Span) -> usize {
        self.text.get(..at.start).unwrap_or(self.text).matches('\n').count() + 1
    }

    pub(super) fn problem(&self, at: Span, message: String, hint: Option<String>) -> Problem {
        let start = self.text.get(..at.start).map_or(0, |before| before.rfind('\n').map_or(0, |newline| newline + 1));
        let whole = self.text.get(start..).unwrap_or("").lines().next().unwrap_or("");
        let before = self.text.get(start..at.start).unwrap_or("").chars().count();
        let under = self
            .text
            .get(at.start..at.end)
            .and_then(|part| part.lines().next())
            .map_or(1, |part| part.trim_end().chars().count());
        // A line with a secret in it must not end up in a terminal's log: passwords in URLs are masked.
        let shown: String = super::secret::mask_line(whole).chars().take(160).collect();
        let masked = shown.chars().count() != whole.chars().count().min(160);
        let carets = if masked { 1 } else { under.max(1) };
        Problem {
            place: format!("{}:{}:{}", self.name, self.line(at), before + 1),
            snippet: format!("{shown}\n{}{}", " ".repeat(before), "^".repeat(carets)),
            message,
            hint,
        }
    }
}
