//! Test files on disk: which belong to a path, and what came of them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::check;
use super::coverage::Map;
use super::play::Stage;
use super::report::{CaseReport, FileReport, Report};
use super::timeline;
use crate::domain::process::{Finding, Known, Severity, cases, parse};

/// The endings of test files, and of the process files beside them.
const ENDINGS: [(&str, &str); 2] = [(".test.yaml", ".yaml"), (".test.yml", ".yml")];

/// Runs the cases of test files. A path is a test file, a process file (its test file is run), or a folder (all of its).
/// `only` picks the cases whose name contains it; then nothing is said about coverage.
#[must_use]
pub fn run_files(paths: &[PathBuf], only: Option<&str>) -> Report {
    let begun = Instant::now();
    let mut report = Report::default();
    let (mut tests, mut processes) = (BTreeSet::new(), BTreeSet::new());
    for path in paths {
        if let Err(error) = collect(path, &mut tests, &mut processes) {
            report.findings.push(unreadable(path, &error));
        }
    }
    for test in tests {
        match run_file(&test, only) {
            Ok(file) => report.files.push(file),
            Err(findings) => report.findings.extend(findings),
        }
    }
    report.untested = processes.into_iter().filter(|path| beside(path).is_none()).map(|path| shown(&path)).collect();
    report.took = begun.elapsed();
    report
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn file_name(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

/// The process file that a test file is about.
fn process_of(test: &Path) -> Option<PathBuf> {
    let name = file_name(test);
    ENDINGS.iter().find_map(|(ending, plain)| Some(test.with_file_name(format!("{}{plain}", name.strip_suffix(ending)?))))
}

/// The test file beside a process file.
fn beside(process: &Path) -> Option<PathBuf> {
    let stem = process.file_stem()?.to_str()?;
    ENDINGS.iter().map(|(ending, _)| process.with_file_name(format!("{stem}{ending}"))).find(|path| path.is_file())
}

fn collect(path: &Path, tests: &mut BTreeSet<PathBuf>, processes: &mut BTreeSet<PathBuf>) -> std::io::Result<()> {
    if !path.is_dir() {
        if process_of(path).is_some() {
            tests.insert(path.to_owned());
        } else {
            tests.extend(beside(path));
            processes.insert(path.to_owned());
        }
        return path.metadata().map(drop);
    }
    for entry in std::fs::read_dir(path)? {
        let path = entry?.path();
        if process_of(&path).is_some() {
            tests.insert(path);
        } else if path.extension().is_some_and(|end| end == "yaml" || end == "yml") {
            processes.insert(path);
        }
    }
    Ok(())
}

fn unreadable(path: &Path, error: &std::io::Error) -> Finding {
    Finding {
        file: shown(path),
        line: 1,
        column: 1,
        snippet: String::new(),
        message: format!("the file cannot be read: {error}"),
        hint: None,
        severity: Severity::Error,
    }
}

fn run_file(test: &Path, only: Option<&str>) -> Result<FileReport, Vec<Finding>> {
    let read = |path: &Path| std::fs::read_to_string(path).map_err(|error| vec![unreadable(path, &error)]);
    let process_file = process_of(test).unwrap_or_default();
    let process = parse(&shown(&process_file), &read(&process_file)?, &Known::default())?.process;
    let file = cases::parse_cases(&shown(test), &read(test)?, &process)?;
    let stage = Stage::new(process);
    let mut map = Map::new(stage.process());
    let mut reports = Vec::new();
    for (seed, case) in (1..).zip(&file.cases) {
        if only.is_some_and(|only| !case.name.contains(only)) {
            continue;
        }
        let played = stage.play(&file, case, seed);
        map.walk(&played);
        let differences = check::differences(case, &played);
        let passed = differences.is_empty();
        let timeline = if passed { Vec::new() } else { timeline::lines(&played) };
        reports.push(CaseReport { name: case.name.clone(), line: case.line, passed, differences, timeline });
    }
    Ok(FileReport {
        file: shown(test),
        process_file: shown(&process_file),
        process: stage.process().name.clone(),
        version: stage.process().version,
        cases: reports,
        coverage: only.is_none().then(|| map.coverage()),
    })
}
