//! `mozhao process`: check, test and draw process files, without a server.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::{Args as ClapArgs, Subcommand};
use serde_json::{Value, json};

use super::Done;
use super::exit::{Exit, Failure};
use super::output::{Out, say};
use crate::connectors::ConnectorsConfig;
use crate::domain::process::model::{Otherwise, Process, StepKind};
use crate::domain::process::{self, Finding, Known, MAX_FILE_BYTES, Parsed, Severity, parse, parse_cases};
use crate::domain::time::show_duration;

/// `mozhao process …`
#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Find everything that is wrong with process files, each at its line with a hint
    ///
    /// Exits with 4 when a file cannot be used.
    Check {
        #[command(flatten)]
        files: Files,
    },
    /// Run the cases of *.test.yaml on the real engine with a virtual clock
    ///
    /// Prints what differs, and with its line what no case reaches: verdicts, rules, branches, questions and their answers,
    /// roads back. Exits with 1 when a case fails, with 4 when a file cannot be used.
    Test {
        /// Folders, process files or test files
        #[arg(value_name = "PATH", default_value = "processes")]
        paths: Vec<PathBuf>,
        /// Run only cases whose name contains this
        #[arg(long, value_name = "TEXT", conflicts_with = "covered")]
        only: Option<String>,
        /// Exit with 7 when something is not covered
        #[arg(long)]
        covered: bool,
    },
    /// Show a process: its flowchart (Mermaid), its reasons and its questions
    Show {
        #[command(flatten)]
        files: Files,
        /// Print the flowchart only
        #[arg(long)]
        mermaid: bool,
    },
    /// Print the JSON Schema of process files, for editors
    Schema,
}

#[derive(Debug, ClapArgs)]
struct Files {
    /// Process files, or folders with them
    #[arg(value_name = "PATH", default_value = "processes")]
    paths: Vec<PathBuf>,
    /// The connectors' file: calls of connectors that it does not name are errors
    #[arg(long, value_name = "FILE")]
    connectors: Option<PathBuf>,
}

/// Runs it.
pub(super) async fn run(args: Args, out: Out) -> Done {
    match args.command {
        Command::Check { files } => check(&files, out),
        Command::Show { files, mermaid } => show(&files, mermaid, out),
        Command::Schema => {
            out.line(&format!("{:#}", process::json_schema()))?;
            Ok(Exit::Ok)
        }
        Command::Test { paths, only, covered } => test(paths, only, covered, out).await,
    }
}

/// A file and what came of reading it.
struct Read {
    file: String,
    result: Result<Box<Parsed>, Vec<Finding>>,
    /// The cases beside it, where there are any: how many, or what is wrong with them.
    cases: Option<Result<usize, Vec<Finding>>>,
}

impl Read {
    fn findings(&self) -> Vec<&Finding> {
        let own = match &self.result {
            Ok(parsed) => &parsed.warnings,
            Err(findings) => findings,
        };
        let cases = self.cases.as_ref().and_then(|cases| cases.as_ref().err());
        own.iter().chain(cases.into_iter().flatten()).collect()
    }

    fn usable(&self) -> bool {
        self.result.is_ok() && !matches!(self.cases, Some(Err(_)))
    }
}

fn read_all(files: &Files) -> Result<Vec<Read>, Failure> {
    let known = Known { connectors: files.connectors.as_deref().map(connectors).transpose()? };
    let mut all = Vec::new();
    for path in process_files(&files.paths)? {
        let file = path.display().to_string();
        let size = std::fs::metadata(&path).map_or(0, |metadata| metadata.len());
        if size > u64::try_from(MAX_FILE_BYTES).unwrap_or(u64::MAX) {
            return Err(Failure::new(Exit::Invalid, format!("{file} is larger than {MAX_FILE_BYTES} bytes")));
        }
        let source = std::fs::read_to_string(&path)
            .map_err(|error| Failure::new(Exit::NotFound, format!("cannot read {file}")).because(&error))?;
        let result = parse(&file, &source, &known).map(Box::new);
        let cases = result.as_ref().ok().and_then(|parsed| cases_of(&path, &parsed.process)).transpose()?;
        all.push(Read { file, result, cases });
    }
    Ok(all)
}

/// Counts the cases of a process file: in `NAME.test.yaml` beside `NAME.yaml`, else in the folder's test files for its process.
fn cases_of(path: &Path, process: &Process) -> Option<Result<Result<usize, Vec<Finding>>, Failure>> {
    let read = |test: PathBuf| {
        let file = test.display().to_string();
        match std::fs::read_to_string(&test) {
            Ok(source) => Ok(parse_cases(&file, &source, process).map(|cases| cases.len())),
            Err(error) => Err(Failure::new(Exit::Failed, format!("cannot read {file}")).because(&error)),
        }
    };
    let all = crate::proof::tests_of(path).into_iter().map(read);
    all.reduce(|sum, one| {
        let (sum, one) = (sum?, one?);
        Ok(sum.and_then(|sum| one.map(|one| sum + one)))
    })
}

/// The process files among the paths: a folder stands for its `*.yaml` without the tests.
pub(super) fn process_files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut files = BTreeSet::new();
    for path in paths {
        if !path.is_dir() {
            files.insert(path.clone());
            continue;
        }
        let entries = std::fs::read_dir(path).map_err(|error| {
            Failure::new(Exit::NotFound, format!("cannot read the folder {}", path.display())).because(&error)
        })?;
        let yaml = |path: &PathBuf| {
            let ends = path.extension().is_some_and(|end| end == "yaml" || end == "yml");
            let test = path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.contains(".test."));
            ends && !test && path.is_file()
        };
        files.extend(entries.flatten().map(|entry| entry.path()).filter(yaml));
    }
    if files.is_empty() {
        return Err(
            Failure::new(Exit::NotFound, "there are no process files here").hint("name a file, or a folder with *.yaml files")
        );
    }
    Ok(files.into_iter().collect())
}

fn connectors(path: &Path) -> Result<BTreeSet<String>, Failure> {
    let file = path.display().to_string();
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::new(Exit::NotFound, format!("cannot read {file}")).because(&error))?;
    match ConnectorsConfig::parse(&file, &text) {
        Ok(config) => Ok(config.connectors.into_keys().collect()),
        Err(error) => Err(Failure::new(Exit::Invalid, error.to_string())),
    }
}

fn check(files: &Files, out: Out) -> Done {
    let all = read_all(files)?;
    let broken = all.iter().filter(|read| !read.usable()).count();
    if out.json {
        out.objects(all.iter().map(|read| {
            let process = read.result.as_ref().ok().map(|parsed| &parsed.process);
            json!({
                "file": read.file,
                "ok": read.usable(),
                "process": process.map(|process| &process.name),
                "version": process.map(|process| process.version),
                "digest": process.map(|process| &process.digest),
                "cases": read.cases.as_ref().and_then(|cases| cases.as_ref().ok()),
                "findings": read.findings(),
            })
        }))?;
    } else {
        for read in &all {
            for finding in read.findings() {
                out.line(&painted(finding, out))?;
            }
            match &read.result {
                Ok(parsed) if read.usable() => {
                    let process = &parsed.process;
                    let warnings = match parsed.warnings.len() {
                        0 => String::new(),
                        1 => ", one warning".to_owned(),
                        more => format!(", {more} warnings"),
                    };
                    let cases = match read.cases {
                        Some(Ok(cases)) => format!(", {cases} cases"),
                        _ => ", no cases".to_owned(),
                    };
                    out.line(&format!(
                        "{} {}: {} version {}{cases}{warnings}",
                        out.good("ok"),
                        read.file,
                        process.name,
                        process.version
                    ))?;
                }
                _ => out.line(&format!("{} {}", out.bad("not usable"), read.file))?,
            }
        }
    }
    if broken > 0 {
        let what = if broken == 1 {
            "one process file cannot be used".to_owned()
        } else {
            format!("{broken} process files cannot be used")
        };
        return Err(Failure::new(Exit::Invalid, what).hint("each finding above names the place, and what to write instead"));
    }
    Ok(Exit::Ok)
}

fn painted(finding: &Finding, out: Out) -> String {
    let text = finding.to_string();
    if !out.color {
        return text;
    }
    let word = format!(": {}: ", finding.severity.as_str());
    let painted = match finding.severity {
        Severity::Error => out.bad(finding.severity.as_str()),
        Severity::Warning => out.bold(finding.severity.as_str()),
    };
    text.replacen(&word, &format!(": {painted}: "), 1)
}

fn show(files: &Files, only_chart: bool, out: Out) -> Done {
    let all = read_all(files)?;
    let broken: Vec<&Read> = all.iter().filter(|read| read.result.is_err()).collect();
    if let Some(first) = broken.first() {
        let mut failure = Failure::new(Exit::Invalid, format!("{} cannot be used", first.file));
        failure.findings = first.findings().iter().map(ToString::to_string).collect();
        return Err(failure);
    }
    for (number, parsed) in all.iter().filter_map(|read| read.result.as_ref().ok()).enumerate() {
        let process = &parsed.process;
        if out.json {
            out.objects([shown(process)])?;
        } else if only_chart {
            out.line(process::mermaid(process).trim_end())?;
        } else {
            if number > 0 {
                out.line("")?;
            }
            out.line(process::describe(process).trim_end())?;
            out.line(&format!("\n```mermaid\n{}\n```", process::mermaid(process).trim_end()))?;
        }
    }
    Ok(Exit::Ok)
}

fn shown(process: &Process) -> Value {
    let reasons: Vec<Value> = process
        .reasons
        .iter()
        .map(|(name, reason)| json!({"reason": name, "used_by": users(process, name), "customer": reason.customer, "remedy": reason.remedy}))
        .collect();
    json!({
        "process": process.name,
        "version": process.version,
        "digest": process.digest,
        "title": process.title,
        "owner": process.owner,
        "promise": show_duration(process.promise),
        "expire_after": show_duration(process.expire_after),
        "steps": process.steps.iter().map(|step| json!({"step": step.name, "kind": kind(&step.kind), "line": step.line})).collect::<Vec<_>>(),
        "reasons": reasons,
        "reviews": process.reviews,
        "mermaid": process::mermaid(process),
    })
}

fn kind(kind: &StepKind) -> &'static str {
    match kind {
        StepKind::Verify(_) => "verify",
        StepKind::Execute(_) => "execute",
        StepKind::Wait(_) => "wait",
        StepKind::Review { .. } => "review",
    }
}

/// Where a reason is given: steps with their clause, or the limit.
fn users(process: &Process, reason: &str) -> Vec<String> {
    let mut users = Vec::new();
    if let Some(limit) = process.limit.as_ref().filter(|limit| limit.refuse == reason) {
        users.push(format!("limit ({})", limit.clause.id));
    }
    for step in &process.steps {
        let (rules, otherwise, clause) = match &step.kind {
            StepKind::Verify(verify) => (&verify.rules.refuse_when, Some(&verify.rules.otherwise), Some(&verify.clause)),
            StepKind::Execute(execute) => (&execute.refuse_when, None, execute.clause.as_ref()),
            StepKind::Wait(wait) => (&wait.refuse_when, Some(&wait.otherwise), wait.clause.as_ref()),
            StepKind::Review { .. } => continue,
        };
        let by_otherwise = matches!(otherwise, Some(Otherwise::Refuse(name)) if name == reason);
        if by_otherwise || rules.iter().any(|rule| rule.reason == reason) {
            users.push(clause.map_or_else(|| step.name.clone(), |clause| format!("{} ({})", step.name, clause.id)));
        }
    }
    users
}

async fn test(paths: Vec<PathBuf>, only: Option<String>, covered: bool, out: Out) -> Done {
    if let Some(missing) = paths.iter().find(|path| !path.exists()) {
        return Err(Failure::new(Exit::NotFound, format!("{} is not there", missing.display())));
    }
    // Each case has a runtime of its own, which needs a thread without one.
    let run = tokio::task::spawn_blocking(move || crate::proof::run_files(&paths, only.as_deref()));
    let report = run.await.map_err(|error| Failure::new(Exit::Failed, "the cases could not be run").because(&error))?;
    if out.json {
        out.object(&report.json())?;
    } else {
        out.line(&report.to_string())?;
    }
    if !report.findings.is_empty() {
        return Err(Failure::new(Exit::Invalid, "some files cannot be used").hint("`mozhao process check` shows what is wrong"));
    }
    if report.cases() == 0 {
        return Err(
            Failure::new(Exit::NotFound, "there are no cases here").hint("cases stand in NAME.test.yaml beside NAME.yaml; they are for all versions in the folder without a test file of their own")
        );
    }
    if !report.passed() {
        say("error: some cases failed");
        return Ok(Exit::Failed);
    }
    if covered && (report.uncovered() > 0 || !report.untested.is_empty()) {
        say("error: not everything is covered");
        return Ok(Exit::Problems);
    }
    Ok(Exit::Ok)
}
