//! `mozhao process`: check, test and draw process files, without a server.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::{Args as ClapArgs, Subcommand};
use serde_json::{Value, json};

use super::Done;
use super::exit::{Exit, Failure};
use super::mermaid;
use super::output::{Out, say};
use crate::connectors::ConnectorsConfig;
use crate::domain::process::model::{Otherwise, Process, StepKind, Texts};
use crate::domain::process::{Finding, Known, MAX_FILE_BYTES, Parsed, Severity, parse};
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
    /// Prints what differs and which verdicts and branches no case covers. Exits with 7 when a case fails.
    Test {
        /// Folders, process files or test files [default: processes]
        #[arg(value_name = "PATH", default_value = "processes")]
        paths: Vec<PathBuf>,
        /// Run only cases whose name contains this
        #[arg(long, value_name = "TEXT")]
        only: Option<String>,
    },
    /// Show a process: its flowchart (Mermaid), its reasons and its questions
    Show {
        #[command(flatten)]
        files: Files,
        /// Print the flowchart only
        #[arg(long)]
        mermaid: bool,
        /// The language of the texts
        #[arg(long, value_name = "TAG", default_value = "en")]
        language: String,
    },
}

#[derive(Debug, ClapArgs)]
struct Files {
    /// Process files, or folders with them [default: processes]
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
        Command::Show { files, mermaid, language } => show(&files, mermaid, &language, out),
        Command::Test { paths, only } => test(&paths, only.as_deref(), out).await,
    }
}

/// A file and what came of reading it.
struct Read {
    file: String,
    result: Result<Box<Parsed>, Vec<Finding>>,
}

impl Read {
    fn findings(&self) -> &[Finding] {
        match &self.result {
            Ok(parsed) => &parsed.warnings,
            Err(findings) => findings,
        }
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
        all.push(Read { result: parse(&file, &source, &known).map(Box::new), file });
    }
    Ok(all)
}

/// The process files among the paths: a folder stands for its `*.yaml` without the tests.
fn process_files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut files = BTreeSet::new();
    for path in paths {
        if !path.is_dir() {
            files.insert(path.clone());
            continue;
        }
        let entries = std::fs::read_dir(path)
            .map_err(|error| Failure::new(Exit::NotFound, format!("cannot read the folder {}", path.display())).because(&error))?;
        let yaml = |path: &PathBuf| {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            path.is_file() && (name.ends_with(".yaml") || name.ends_with(".yml")) && !name.contains(".test.")
        };
        files.extend(entries.flatten().map(|entry| entry.path()).filter(yaml));
    }
    if files.is_empty() {
        return Err(Failure::new(Exit::NotFound, "there are no process files here").hint("name a file, or a folder with *.yaml files"));
    }
    Ok(files.into_iter().collect())
}

fn connectors(path: &Path) -> Result<BTreeSet<String>, Failure> {
    let file = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|error| Failure::new(Exit::NotFound, format!("cannot read {file}")).because(&error))?;
    match ConnectorsConfig::parse(&file, &text) {
        Ok(config) => Ok(config.connectors.into_keys().collect()),
        Err(error) => Err(Failure::new(Exit::Invalid, error.to_string())),
    }
}

fn check(files: &Files, out: Out) -> Done {
    let all = read_all(files)?;
    let broken = all.iter().filter(|read| read.result.is_err()).count();
    if out.json {
        out.objects(all.iter().map(|read| {
            let process = read.result.as_ref().ok().map(|parsed| &parsed.process);
            json!({
                "file": read.file,
                "ok": read.result.is_ok(),
                "process": process.map(|process| &process.name),
                "version": process.map(|process| process.version),
                "digest": process.map(|process| &process.digest),
                "findings": read.findings(),
            })
        }))?;
    } else {
        for read in &all {
            for finding in read.findings() {
                out.line(&painted(finding, out))?;
            }
            match &read.result {
                Ok(parsed) => {
                    let process = &parsed.process;
                    let warnings = match parsed.warnings.len() {
                        0 => String::new(),
                        1 => ", one warning".to_owned(),
                        more => format!(", {more} warnings"),
                    };
                    out.line(&format!("{} {}: {} version {}{warnings}", out.good("ok"), read.file, process.name, process.version))?;
                }
                Err(_) => out.line(&format!("{} {}", out.bad("not usable"), read.file))?,
            }
        }
    }
    if broken > 0 {
        let what = if broken == 1 { "one process file cannot be used".to_owned() } else { format!("{broken} process files cannot be used") };
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

fn show(files: &Files, only_chart: bool, language: &str, out: Out) -> Done {
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
            out.line(mermaid::chart(process).trim_end())?;
        } else {
            if number > 0 {
                out.line("")?;
            }
            describe(process, language, out)?;
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
        "mermaid": mermaid::chart(process),
    })
}

fn describe(process: &Process, language: &str, out: Out) -> Result<(), Failure> {
    out.line(&out.bold(&format!("{} version {}: {}", process.name, process.version, text(&process.title, language))))?;
    out.pairs(&[
        ("owner", process.owner.clone()),
        ("promise", show_duration(process.promise)),
        ("expires after", show_duration(process.expire_after)),
        ("digest", process.digest.clone()),
    ])?;
    out.line("")?;
    out.line("```mermaid")?;
    out.line(mermaid::chart(process).trim_end())?;
    out.line("```")?;
    out.line("")?;
    let reasons: Vec<Vec<String>> = process
        .reasons
        .iter()
        .map(|(name, reason)| {
            let remedy = reason.remedy.as_ref().map(|texts| text(texts, language)).unwrap_or_default();
            vec![name.clone(), users(process, name).join(", "), text(&reason.customer, language), remedy]
        })
        .collect();
    out.table(&["Reason", "By", "The customer reads", "Remedy"], &reasons)?;
    let reviews: Vec<Vec<String>> = process
        .reviews
        .iter()
        .map(|(name, review)| {
            let options: Vec<&str> = review.options.iter().map(|choice| choice.as_str()).collect();
            let eyes = if review.four_eyes { "four eyes" } else { "" };
            vec![name.clone(), text(&review.question, language), options.join(", "), show_duration(review.due), eyes.to_owned()]
        })
        .collect();
    if !reviews.is_empty() {
        out.line("")?;
        out.table(&["Review", "Question", "Options", "Due", "Note"], &reviews)?;
    }
    Ok(())
}

fn text(texts: &Texts, language: &str) -> String {
    texts.get(language).or_else(|| texts.get("en")).or_else(|| texts.values().next()).cloned().unwrap_or_default()
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

async fn test(paths: &[PathBuf], only: Option<&str>, out: Out) -> Done {
    if let Some(missing) = paths.iter().find(|path| !path.exists()) {
        return Err(Failure::new(Exit::NotFound, format!("{} is not there", missing.display())));
    }
    let report = crate::app::process_test::run(paths, only).await.map_err(Failure::from)?;
    if out.json {
        out.object(&report.json())?;
    } else {
        out.line(&report.to_string())?;
    }
    if report.passed() {
        return Ok(Exit::Ok);
    }
    say("error: some cases failed");
    Ok(Exit::Problems)
}
