//! Process files and connectors: are they there, can they be used, do the remote systems answer?

use std::collections::BTreeSet;

use futures_util::future::join_all;

use super::Findings;
use crate::config::{Config, load};
use crate::connectors::{Connectors, ConnectorsConfig};
use crate::domain::process::{Known, Process, parse};

/// Looks at the connectors; their names, where the file can be read.
pub(super) async fn connectors(config: &Config, findings: &mut Findings) -> Option<BTreeSet<String>> {
    const CHECK: &str = "connectors";
    for problem in load::missing(config) {
        let check = if problem.message.starts_with("`processes`") { "processes" } else { CHECK };
        findings.problem(check, problem.message, problem.hint.unwrap_or_default());
    }
    let file = config.connectors.display().to_string();
    let text = std::fs::read_to_string(&config.connectors).ok()?;
    let parsed = match ConnectorsConfig::parse(&file, &text) {
        Ok(parsed) => parsed,
        Err(error) => {
            findings.problem(CHECK, error.to_string(), "mend the file at that place");
            return None;
        }
    };
    let names: BTreeSet<String> = parsed.connectors.keys().cloned().collect();
    let connectors = match Connectors::new(parsed) {
        Ok(connectors) => connectors,
        Err(error) => {
            findings.problem(CHECK, error.to_string(), "set the variable or put the file there that the connector names");
            return Some(names);
        }
    };
    let connectors = &connectors;
    let probes = names.iter().map(|name| async move { (name, connectors.probe_health(name).await) });
    for (name, result) in join_all(probes).await {
        match result {
            Ok(()) => findings.ok(CHECK, format!("{name} answers")),
            Err(failure) => {
                let mend =
                    format!("is it up, and is its `base_url` in {file} right? Requests that need it are parked until it answers");
                let what = if failure.status.is_some() { "is not well" } else { "does not answer" };
                findings.problem(CHECK, format!("{name} {what}: {}", failure.detail), mend);
            }
        }
    }
    Some(names)
}

/// Looks at the process files; those that can be used.
pub(super) fn processes(config: &Config, connectors: Option<&BTreeSet<String>>, findings: &mut Findings) -> Vec<Process> {
    const CHECK: &str = "processes";
    let known = Known { connectors: connectors.cloned() };
    let mut usable = Vec::new();
    if !config.processes.is_dir() {
        return usable;
    }
    let files = match crate::cli::process::process_files(std::slice::from_ref(&config.processes)) {
        Ok(files) => files,
        Err(failure) => {
            findings.problem(CHECK, failure.message, format!("put process files into {}", config.processes.display()));
            return usable;
        }
    };
    let count = files.len();
    for path in files {
        let file = path.display().to_string();
        let result = std::fs::read_to_string(&path).map(|source| parse(&file, &source, &known));
        match result {
            Ok(Ok(parsed)) => usable.push(parsed.process),
            Ok(Err(found)) => {
                let first =
                    found.first().map(|first| format!("{}:{}:{}: {}", first.file, first.line, first.column, first.message));
                let mend = format!("`mozhao process check {file}` shows all {} findings", found.len());
                findings.problem(CHECK, first.unwrap_or(file), mend);
            }
            Err(error) => findings.problem(CHECK, format!("{file}: {error}"), "make it readable for this user"),
        }
    }
    if usable.len() == count {
        findings.ok(CHECK, format!("{count} files can be used"));
    }
    usable
}
