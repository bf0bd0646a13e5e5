//! `mozhao doctor`: looks at everything that a worker needs, one after the other, and says for each thing that is wrong how to
//! mend it. It changes nothing, and goes on after a finding: what can still be looked at is looked at.

mod broker;
mod checks;
mod database;
mod files;
mod server;

use clap::Args as ClapArgs;
use serde::Serialize;
use serde_json::json;

use super::Done;
use super::args::ConfigArgs;
use super::exit::Exit;
use super::output::{Out, say};

/// Find out what is wrong, and how to mend it
///
/// Looks at the configuration, process files, connectors, the database and its schema, clocks, the balance, a sample of the
/// ledger, workers, parked groups, the broker and its queues. Exits with 7 when it finds a problem; notes alone do not count.
#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigArgs,
    /// How many requests' ledgers to verify, newest first (`mozhao ledger verify` does all)
    #[arg(long, value_name = "N", default_value_t = 200)]
    sample: u32,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Level {
    /// Fine.
    Ok,
    /// Worth knowing.
    Note,
    /// Something is wrong.
    Problem,
    /// Could not be looked at, because of another problem.
    Skipped,
}

/// What one look found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// What was looked at.
    pub(super) check: &'static str,
    /// How bad it is.
    pub(super) level: Level,
    /// What was found, in one line.
    pub(super) found: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mend: Option<String>,
}

/// All findings, in the order of looking.
#[derive(Debug, Default)]
pub(super) struct Findings(pub(super) Vec<Finding>);

impl Findings {
    pub(super) fn ok(&mut self, check: &'static str, finding: impl Into<String>) {
        self.0.push(Finding { check, level: Level::Ok, found: finding.into(), mend: None });
    }

    pub(super) fn note(&mut self, check: &'static str, finding: impl Into<String>, mend: impl Into<String>) {
        self.0.push(Finding { check, level: Level::Note, found: finding.into(), mend: Some(mend.into()) });
    }

    pub(super) fn problem(&mut self, check: &'static str, finding: impl Into<String>, mend: impl Into<String>) {
        self.0.push(Finding { check, level: Level::Problem, found: finding.into(), mend: Some(mend.into()) });
    }

    pub(super) fn skipped(&mut self, check: &'static str, why: &str) {
        self.0.push(Finding { check, level: Level::Skipped, found: format!("not looked at: {why}"), mend: None });
    }
}

/// Runs it.
pub(super) async fn run(args: Args, out: Out) -> Done {
    let mut findings = Findings::default();
    match args.config.try_load() {
        Ok(config) => {
            findings.ok("configuration", "can be used");
            checks::all(&config, args.sample, &mut findings).await;
        }
        Err(problems) => {
            for problem in problems {
                let place = if problem.place.is_empty() { String::new() } else { format!("{}: ", problem.place) };
                let mend = problem.hint.unwrap_or_else(|| "mend the configuration".to_owned());
                findings.problem("configuration", format!("{place}{}", problem.message), mend);
            }
            findings.skipped("everything else", "the configuration cannot be used");
        }
    }
    report(&findings.0, out)
}

fn report(findings: &[Finding], out: Out) -> Done {
    let problems = findings.iter().filter(|finding| finding.level == Level::Problem).count();
    if out.json {
        out.object(&json!({ "ok": problems == 0, "findings": findings }))?;
    } else {
        let wide = findings.iter().map(|finding| finding.check.len()).max().unwrap_or(0);
        for finding in findings {
            // Padded before painting: colours take no room on the screen.
            let mark = match finding.level {
                Level::Ok => out.good("ok     "),
                Level::Note => out.bold("note   "),
                Level::Problem => out.bad("problem"),
                Level::Skipped => "skipped".to_owned(),
            };
            out.line(&format!("{mark}  {:wide$}  {}", finding.check, finding.found))?;
            if let Some(mend) = &finding.mend {
                out.line(&format!("{:wide$}           -> {mend}", ""))?;
            }
        }
    }
    match problems {
        0 => return Ok(Exit::Ok),
        1 => say("error: one problem was found"),
        more => say(&format!("error: {more} problems were found")),
    }
    Ok(Exit::Problems)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn only_problems_count() {
        let mut findings = Findings::default();
        findings.ok("a", "fine");
        findings.note("b", "worth knowing", "look");
        findings.skipped("c", "no database");
        let out = Out { json: true, terminal: false, color: false };
        assert_eq!(report(&findings.0, out).unwrap(), Exit::Ok);
        findings.problem("d", "broken", "mend");
        assert_eq!(report(&findings.0, out).unwrap(), Exit::Problems);
        assert!(findings.0.iter().all(|finding| (finding.level == Level::Problem) <= finding.mend.is_some()));
    }
}
