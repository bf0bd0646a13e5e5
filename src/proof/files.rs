//! Test files on disk: which belong to a path, and what came of them.
//!
//! A test file belongs to the process file beside it (`NAME.test.yaml` to `NAME.yaml`), and to every other version of its
//! process in the same folder that has no test file of its own: a new version should do what the last one did, until somebody
//! says otherwise.

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

/// Runs the cases of test files. A path is a test file, a process file (its cases are run), or a folder (all of its).
/// `only` picks the cases whose name contains it; then nothing is said about coverage.
#[must_use]
pub fn run_files(paths: &[PathBuf], only: Option<&str>) -> Report {
    let begun = Instant::now();
    let mut report = Report::default();
    let mut pairs = BTreeSet::new();
    for path in paths {
        match collect(path, &mut pairs) {
            Ok(untested) => report.untested.extend(untested.iter().map(|path| shown(path))),
            Err(error) => report.findings.push(unreadable(path, &error)),
        }
    }
    for (process, test) in pairs {
        match run_file(&process, &test, only) {
            Ok(file) => report.files.push(file),
            Err(findings) => report.findings.extend(findings),
        }
    }
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

/// The test files of a process file: the one beside it, else those in its folder that name its process.
#[must_use]
pub fn tests_of(process: &Path) -> Vec<PathBuf> {
    if let Some(own) = beside(process) {
        return vec![own];
    }
    let Some(name) = process_named_in(process) else { return Vec::new() };
    let (tests, _) = in_folder(process.parent().unwrap_or(Path::new(""))).unwrap_or_default();
    tests.into_iter().filter(|test| process_named_in(test).as_ref() == Some(&name)).collect()
}

/// Adds the pairs of process file and test file that a path stands for; returns the process files that have no cases.
fn collect(path: &Path, pairs: &mut BTreeSet<(PathBuf, PathBuf)>) -> std::io::Result<Vec<PathBuf>> {
    let processes = if path.is_dir() {
        let (tests, processes) = in_folder(path)?;
        // Also where the process file is missing: reading it says so.
        pairs.extend(tests.into_iter().filter_map(|test| Some((process_of(&test)?, test))));
        processes.into_iter().collect()
    } else if let Some(process) = process_of(path) {
        pairs.insert((process, path.to_owned()));
        Vec::new()
    } else {
        vec![path.to_owned()]
    };
    path.metadata()?;
    let mut untested = Vec::new();
    for process in processes {
        let tests = tests_of(&process);
        if tests.is_empty() {
            untested.push(process.clone());
        }
        pairs.extend(tests.into_iter().map(|test| (process.clone(), test)));
    }
    Ok(untested)
}

/// The test files and the process files of a folder.
fn in_folder(folder: &Path) -> std::io::Result<(BTreeSet<PathBuf>, BTreeSet<PathBuf>)> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let (mut tests, mut processes) = (BTreeSet::new(), BTreeSet::new());
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if process_of(&path).is_some() {
            tests.insert(path);
        } else if path.extension().is_some_and(|end| end == "yaml" || end == "yml") {
            processes.insert(path);
        }
    }
    Ok((tests, processes))
}

/// The process that a file names at its top, read without understanding the rest: the file may be broken.
fn process_named_in(file: &Path) -> Option<String> {
    let text = std::fs::read_to_string(file).ok()?;
    let value = text.lines().find_map(|line| line.strip_prefix("process:"))?;
    let value = value.split('#').next().unwrap_or_default().trim().trim_matches(['"', '\'']);
    (!value.is_empty()).then(|| value.to_owned())
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

fn run_file(process_file: &Path, test: &Path, only: Option<&str>) -> Result<FileReport, Vec<Finding>> {
    let read = |path: &Path| std::fs::read_to_string(path).map_err(|error| vec![unreadable(path, &error)]);
    let process = parse(&shown(process_file), &read(process_file)?, &Known::default())?.process;
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
        process_file: shown(process_file),
        process: stage.process().name.clone(),
        version: stage.process().version,
        cases: reports,
        coverage: only.is_none().then(|| map.coverage()),
    })
}
