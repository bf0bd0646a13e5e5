//! What came of test files, for people and for programs.

use std::fmt;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};

use super::coverage::Coverage;
use crate::domain::process::Finding;

/// What came of some test files.
#[derive(Debug, Default)]
pub struct Report {
    /// One per test file, in order of path.
    pub files: Vec<FileReport>,
    /// What is wrong with files that could not be used.
    pub findings: Vec<Finding>,
    /// Process files without cases: no test file is beside them, and none in their folder names their process.
    pub untested: Vec<String>,
    /// How long it took, in real time.
    pub took: Duration,
}

/// What came of one test file.
#[derive(Debug, Serialize)]
pub struct FileReport {
    /// The test file.
    pub file: String,
    /// The process file.
    pub process_file: String,
    /// The process.
    pub process: String,
    /// Its version.
    pub version: u32,
    /// Each case.
    pub cases: Vec<CaseReport>,
    /// What they reach; `None` where only some cases were run.
    pub coverage: Option<Coverage>,
}

/// What came of one case.
#[derive(Debug, Serialize)]
pub struct CaseReport {
    /// Its name.
    pub name: String,
    /// Its line.
    pub line: usize,
    /// It did what it should.
    pub passed: bool,
    /// What differed.
    pub differences: Vec<String>,
    /// What happened; empty where the case passed.
    pub timeline: Vec<String>,
}

impl Report {
    /// Every file could be used and every case passed.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.findings.is_empty() && self.failed() == 0
    }

    /// How many cases were run.
    #[must_use]
    pub fn cases(&self) -> usize {
        self.files.iter().map(|file| file.cases.len()).sum()
    }

    /// How many of them failed.
    #[must_use]
    pub fn failed(&self) -> usize {
        self.files.iter().flat_map(|file| &file.cases).filter(|case| !case.passed).count()
    }

    /// How many ways no case has gone.
    #[must_use]
    pub fn uncovered(&self) -> usize {
        self.files.iter().filter_map(|file| file.coverage.as_ref()).map(|coverage| coverage.missing.len()).sum()
    }

    /// Cases per second of real time.
    #[must_use]
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate to look at")]
    pub fn rate(&self) -> u64 {
        let seconds = self.took.as_secs_f64();
        if seconds > 0.0 { (self.cases() as f64 / seconds).round() as u64 } else { 0 }
    }

    /// The report for programs; stable.
    #[must_use]
    pub fn json(&self) -> Value {
        json!({
            "passed": self.passed(),
            "cases": self.cases(),
            "failed": self.failed(),
            "uncovered": self.uncovered(),
            "took_ms": u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX),
            "cases_per_second": self.rate(),
            "files": self.files,
            "untested": self.untested,
            "findings": self.findings,
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.findings {
            writeln!(f, "{finding}")?;
        }
        for file in &self.files {
            writeln!(f, "{file}")?;
        }
        for file in &self.untested {
            writeln!(f, "{file}: no cases: no test file in its folder is for its process")?;
        }
        if self.cases() == 0 {
            return f.write_str("no case was run");
        }
        let (cases, failed) = (self.cases(), self.failed());
        let failed = if failed == 0 { "all passed".to_owned() } else { format!("{failed} failed") };
        let millis = self.took.as_millis();
        write!(f, "{cases} cases, {failed}, {} ways not covered, {millis} ms ({} cases/s)", self.uncovered(), self.rate())?;
        if self.findings.is_empty() { Ok(()) } else { write!(f, "; some files cannot be used") }
    }
}

impl fmt::Display for FileReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let passed = self.cases.iter().filter(|case| case.passed).count();
        write!(f, "{} version {}: {passed} of {} cases passed", self.process, self.version, self.cases.len())?;
        if let Some(coverage) = &self.coverage {
            write!(f, ", {} of {} ways covered", coverage.reached, coverage.ways)?;
        }
        for case in self.cases.iter().filter(|case| !case.passed) {
            write!(f, "\n\n{}:{}: failed: {}", self.file, case.line, case.name)?;
            for difference in &case.differences {
                write!(f, "\n  - {difference}")?;
            }
            for line in &case.timeline {
                write!(f, "\n    | {line}")?;
            }
        }
        for missing in self.coverage.iter().flat_map(|coverage| &coverage.missing) {
            write!(f, "\n{}:{}: not covered: {}", self.process_file, missing.line, missing.what)?;
        }
        Ok(())
    }
}
