//! How the program ends: a number that scripts can rely on, and an error that a person can act on.

use std::error::Error;
use std::fmt;
use std::process::ExitCode;

use crate::config::Problem;
use crate::engine::ports::store::StoreError;

/// What the exit code says. The table also stands in `mozhao --help`.
///
/// | code | meaning |
/// |---|---|
/// | 0 | it worked |
/// | 1 | it failed |
/// | 2 | wrong usage: unknown flags, missing arguments |
/// | 3 | what it is about was not found |
/// | 4 | a process file or the configuration is not valid |
/// | 5 | something it needs cannot be reached: the server, the database, the broker |
/// | 6 | conflict: it has changed, somebody else was faster, or a key was used before |
/// | 7 | a check found problems |
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// It worked.
    Ok = 0,
    /// It failed.
    Failed = 1,
    /// Wrong usage.
    Usage = 2,
    /// What it is about was not found.
    NotFound = 3,
    /// A definition or the configuration is not valid.
    Invalid = 4,
    /// Something that it needs cannot be reached.
    Unreachable = 5,
    /// It has changed, or somebody else was faster.
    Conflict = 6,
    /// A check found problems.
    Problems = 7,
}

/// The table of [`Exit`] for `--help`.
pub const TABLE: &str = "\
Exit codes:
  0  it worked
  1  it failed
  2  wrong usage
  3  what it is about was not found
  4  a process file or the configuration is not valid
  5  something it needs cannot be reached: the server, the database, the broker
  6  conflict: it has changed, somebody else was faster, or a key was used before
  7  a check found problems";

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// Why a command failed: one line, its causes, and what to do.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// One line.
    pub message: String,
    /// Why, the nearest cause first.
    pub causes: Vec<String>,
    /// What to do.
    pub hint: Option<String>,
    /// Findings that are printed before it, several lines each.
    pub findings: Vec<String>,
    /// The reader of our output has gone (`| head`): nothing to complain about.
    pub silent: bool,
}

impl Failure {
    /// A failure without causes.
    pub fn new(exit: Exit, message: impl Into<String>) -> Failure {
        Failure { exit, message: message.into(), causes: Vec::new(), hint: None, findings: Vec::new(), silent: false }
    }

    /// With what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Failure {
        self.hint = Some(hint.into());
        self
    }

    /// With an error and everything below it as causes.
    #[must_use]
    pub fn because(mut self, error: &(dyn Error + 'static)) -> Failure {
        let mut next = Some(error);
        while let Some(error) = next {
            let text = error.to_string();
            // Many errors repeat their source's text in their own.
            if !self.causes.iter().any(|cause| cause.contains(&text)) {
                self.causes.push(text);
            }
            next = error.source();
        }
        self
    }

    /// A configuration that is not valid.
    pub fn config(problems: &[Problem]) -> Failure {
        let count = match problems.len() {
            1 => "one problem".to_owned(),
            more => format!("{more} problems"),
        };
        let mut failure = Failure::new(Exit::Invalid, format!("the configuration is not valid: {count}"));
        failure.findings = problems.iter().map(ToString::to_string).collect();
        failure.hint("`mozhao config show` tells where each value comes from")
    }

    /// A failed call of the store.
    pub fn store(what: &str, error: &StoreError) -> Failure {
        let (exit, hint) = match error {
            StoreError::NotFound(_) => (Exit::NotFound, "check the id"),
            StoreError::Transient(_) | StoreError::Unknown(_) => (Exit::Unreachable, "is the database up? `mozhao doctor` looks"),
            StoreError::Fenced => (Exit::Conflict, "another worker has taken over"),
            StoreError::InUse(_) => (Exit::Conflict, "stop the other worker first"),
            StoreError::Data(_) | StoreError::Broken(_) => (Exit::Failed, "`mozhao doctor` checks the database and its schema"),
        };
        Failure::new(exit, what).because(error).hint(hint)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.findings {
            writeln!(f, "{finding}")?;
        }
        write!(f, "error: {}", self.message)?;
        for cause in &self.causes {
            write!(f, "\n  because: {cause}")?;
        }
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, "\n  hint: {hint}"))
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Failure {
        let mut failure = Failure::new(Exit::Failed, "cannot write the output").because(&error);
        failure.silent = error.kind() == std::io::ErrorKind::BrokenPipe;
        failure
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Failure {
        let mut failure = Failure::new(Exit::Failed, error.to_string());
        failure.causes = error.chain().skip(1).map(ToString::to_string).collect();
        failure
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_names_every_code() {
        for code in 0..=7 {
            assert!(TABLE.contains(&format!("\n  {code}  ")), "{code}");
        }
        assert_eq!(Exit::Problems as u8, 7);
    }

    #[test]
    fn one_line_causes_hint() {
        let failure = Failure::store("cannot read the balance", &StoreError::Transient("connection refused".into()));
        assert_eq!(
            failure.to_string(),
            "error: cannot read the balance\n  because: the database is not available at the moment: connection refused\n  hint: is the database up? `mozhao doctor` looks"
        );
        assert_eq!(failure.exit, Exit::Unreachable);
    }
}
