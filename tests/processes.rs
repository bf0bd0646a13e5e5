//! Process files from the outside: what is said about broken ones, word for word, and that the shipped ones are fine.
//!
//! Next to each broken `tests/data/processes/NAME.yaml` stands `NAME.expected`. `UPDATE_EXPECTED=1` writes them anew; read
//! the difference before you commit it.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use mozhao::domain::process::model::{Step, StepKind};
use mozhao::domain::process::{Finding, Known, describe, json_schema, mermaid, parse, parse_cases};
use proptest::prelude::*;

/// The connectors that the test files know.
fn known() -> Known {
    Known { connectors: Some(["core_banking", "face", "sms", "personnel", "payroll"].map(str::to_owned).into()) }
}

fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let Ok(entries) = fs::read_dir(&folder) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_str().is_some_and(|path| path.ends_with(ending)))
        .collect();
    files.sort();
    files
}

fn show(findings: &[Finding]) -> String {
    findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n") + "\n"
}

fn shipped() -> Vec<PathBuf> {
    files("deploy/processes", ".yaml").into_iter().filter(|path| !path.to_str().unwrap().ends_with(".test.yaml")).collect()
}

#[test]
fn broken_files_get_exactly_the_expected_findings() {
    let broken: Vec<PathBuf> =
        files("tests/data/processes", ".yaml").into_iter().filter(|path| !path.to_str().unwrap().ends_with(".ok.yaml")).collect();
    let update = std::env::var_os("UPDATE_EXPECTED").is_some();
    let mut different = Vec::new();
    for path in &broken {
        let name = path.file_name().unwrap().to_str().unwrap();
        let source = fs::read_to_string(path).unwrap();
        let findings = match parse(name, &source, &known()) {
            Ok(parsed) => parsed.warnings,
            Err(findings) => findings,
        };
        assert!(!findings.is_empty(), "{name} has nothing wrong with it");
        let expected = path.with_extension("expected");
        if update {
            fs::write(&expected, show(&findings)).unwrap();
        } else if fs::read_to_string(&expected).unwrap_or_default() != show(&findings) {
            different.push(format!("{name} now says:\n{}", show(&findings)));
        }
    }
    assert!(broken.len() >= 30, "only {} broken files", broken.len());
    assert!(different.is_empty(), "{}", different.join("\n"));
}

#[test]
fn good_files_have_no_findings() {
    let good = files("tests/data/processes", ".ok.yaml").into_iter().chain(shipped());
    let mut seen = 0;
    for path in good {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        match parse(&name, &fs::read_to_string(&path).unwrap(), &Known::default()) {
            Ok(parsed) => assert!(parsed.warnings.is_empty(), "{}", show(&parsed.warnings)),
            Err(findings) => panic!("{}", show(&findings)),
        }
        seen += 1;
    }
    assert!(seen > 0);
}

/// Compares with a file, or writes it with `UPDATE_EXPECTED=1`.
fn same_as_file(path: &str, now: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        fs::write(&path, now).unwrap();
    }
    assert_eq!(fs::read_to_string(&path).unwrap_or_default(), now, "UPDATE_EXPECTED=1 writes {}", path.display());
}

#[test]
fn a_process_is_shown_as_a_diagram_and_as_text() {
    let source =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/processes/card_unbind.ok.yaml")).unwrap();
    let process = parse("card_unbind.yaml", &source, &known()).unwrap().process;
    same_as_file("tests/data/processes/card_unbind.mermaid", &mermaid(&process));
    same_as_file("tests/data/processes/card_unbind.txt", &describe(&process));
}

#[test]
fn the_editors_schema_is_current_and_accepts_good_files() {
    same_as_file("deploy/processes/process.schema.json", &(serde_json::to_string_pretty(&json_schema()).unwrap() + "\n"));
    let validator = jsonschema::validator_for(&json_schema()).unwrap();
    let read = |path: &Path| serde_saphyr::from_str::<serde_json::Value>(&fs::read_to_string(path).unwrap());
    for path in files("tests/data/processes", ".ok.yaml").into_iter().chain(shipped()) {
        let faults: Vec<String> =
            validator.iter_errors(&read(&path).unwrap()).map(|error| format!("{} {error}", error.instance_path())).collect();
        assert!(faults.is_empty(), "{}: {}", path.display(), faults.join("\n"));
    }
    for name in [
        "key_misspelt",
        "accept_not_a_status",
        "methods",
        "languages",
        "step_without_kind",
        "durations",
        "clause_missing_where_refused",
    ] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/data/processes/{name}.yaml"));
        assert!(!validator.is_valid(&read(&path).unwrap()), "{name} passes the schema");
    }
}

/// The names in a file of connectors of `deploy/`.
fn connectors(file: &str) -> BTreeSet<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(file);
    let value: serde_json::Value = serde_saphyr::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    value["connectors"].as_object().unwrap().keys().cloned().collect()
}

#[test]
fn shipped_processes_call_the_connectors_of_both_example_files() {
    let known = connectors("connectors.yaml");
    assert_eq!(known, connectors("connectors.sandbox.yaml"));
    for path in shipped() {
        let parsed = parse("p.yaml", &fs::read_to_string(&path).unwrap(), &Known { connectors: Some(known.clone()) });
        assert!(parsed.is_ok(), "{}", show(&parsed.unwrap_err()));
    }
}

#[test]
fn every_shipped_process_has_cases_that_fit_it() {
    for path in shipped() {
        let process = parse("p.yaml", &fs::read_to_string(&path).unwrap(), &Known::default()).unwrap().process;
        let tests = path.with_extension("test.yaml");
        let source = fs::read_to_string(&tests).unwrap();
        let cases = parse_cases(&tests.file_name().unwrap().to_string_lossy(), &source, &process);
        assert!(cases.is_ok(), "{}", show(&cases.unwrap_err()));
    }
}

/// One change to a file: lines removed, doubled, swapped or indented, bytes replaced.
#[derive(Debug, Clone)]
enum Change {
    Drop(usize),
    Double(usize),
    Indent(usize),
    Swap(usize, usize),
    Replace(usize, &'static str),
    Cut(usize),
}

fn change() -> impl Strategy<Value = Change> {
    let scraps = prop::sample::select(vec![
        "", " ", "\n", "\t", "'", "\"", "{", "}", "[", "]", ":", "- ", "&a ", "*a", "${", "#", "!!str ", "|", ">", "<<: ",
        "null", "1e999", "0x1", "-", "墨", "\u{feff}", "\r\n", "~", "true", "---\n", "%", "@", "`", "\u{0}",
    ]);
    prop_oneof![
        any::<usize>().prop_map(Change::Drop),
        any::<usize>().prop_map(Change::Double),
        any::<usize>().prop_map(Change::Indent),
        (any::<usize>(), any::<usize>()).prop_map(|(a, b)| Change::Swap(a, b)),
        (any::<usize>(), scraps).prop_map(|(at, scrap)| Change::Replace(at, scrap)),
        any::<usize>().prop_map(Change::Cut),
    ]
}

fn apply(source: &str, change: &Change) -> String {
    let mut lines: Vec<String> = source.split_inclusive('\n').map(str::to_owned).collect();
    let count = lines.len().max(1);
    let boundary = |at: usize| (0..=at % (source.len() + 1)).rev().find(|at| source.is_char_boundary(*at)).unwrap_or(0);
    match change {
        _ if lines.is_empty() => return source.to_owned(),
        Change::Drop(at) => drop(lines.remove(at % count)),
        Change::Double(at) => lines.insert(at % count, lines[at % count].clone()),
        Change::Indent(at) => lines[at % count].insert_str(0, "  "),
        Change::Swap(a, b) => lines.swap(a % count, b % count),
        Change::Replace(at, scrap) => {
            let at = boundary(*at);
            let end = source[at..].chars().next().map_or(at, |c| at + c.len_utf8());
            return format!("{}{scrap}{}", &source[..at], &source[end..]);
        }
        Change::Cut(at) => return source[..boundary(*at)].to_owned(),
    }
    lines.concat()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn a_mutated_file_never_panics_and_its_findings_have_places(changes in prop::collection::vec(change(), 1..6)) {
        let mut source = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/processes/card_unbind.ok.yaml")).unwrap();
        for change in &changes {
            source = apply(&source, change);
        }
        if let Err(findings) = parse("mutated.yaml", &source, &known()) {
            let lines = source.split('\n').count();
            prop_assert!(!findings.is_empty());
            for finding in findings {
                prop_assert!((1..=lines).contains(&finding.line), "{}", finding);
                prop_assert!(!finding.message.contains("please report this"), "{}", finding);
                prop_assert!(finding.column >= 1);
            }
        }
    }
}

#[test]
fn shipped_processes_do_what_their_cases_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/processes");
    let report = mozhao::proof::run_files(&[folder], None);
    assert!(report.passed(), "{report}");
    assert_eq!(report.uncovered(), 0, "{report}");
    assert!(report.untested.is_empty(), "{report}");
    let cases: Vec<(&str, usize)> = report.files.iter().map(|file| (file.process.as_str(), file.cases.len())).collect();
    assert_eq!(cases, [("account_close", 50), ("card_unbind", 71), ("name_correction", 40), ("phone_change", 39)]);
}

#[test]
fn shipped_clauses_are_in_both_languages() {
    let mut seen = 0;
    for path in shipped() {
        let process = parse("shipped", &fs::read_to_string(&path).unwrap(), &Known::default()).unwrap().process;
        let clause = |step: &Step| match &step.kind {
            StepKind::Verify(verify) => Some(verify.clause.clone()),
            StepKind::Execute(execute) => execute.clause.clone(),
            StepKind::Wait(wait) => wait.clause.clone(),
            StepKind::Review { .. } => None,
        };
        let limit = process.limit.as_ref().map(|limit| limit.clause.clone());
        for clause in process.steps.iter().filter_map(clause).chain(limit) {
            let texts = process.clause_texts(&clause);
            assert_eq!(texts.keys().collect::<Vec<_>>(), ["en", "zh-CN"], "{}", clause.id);
            assert_eq!(texts["en"], clause.text, "verdicts cite the English text");
            seen += 1;
        }
    }
    assert_eq!(seen, 30);
}

/// A body that fits its schema (here: none is declared) may still be one that a rule fails on.
const UNREADABLE: &str = r#"
process: phone_change
cases:
  - name: a callback that no rule can read is a defect, and once it is resumed the next callback counts
    request: {customer_id: C1, old_phone: "+8613800000001", new_phone: "+8618600000002"}
    answers:
      old_phone: {status: 200, body: {customer_id: C1, phone: "+8613800000001", status: active}}
      new_phone: {status: 200, body: {customer_ids: []}}
      send_code: {status: 202, body: {message_id: 1, status: sent}}
      code: {status: 200, body: {valid: true}}
      change: {status: 200, body: {phone: "+8618600000002"}}
      done_when: {status: 200, body: {customer_id: C1, phone: "+8618600000002", status: active}}
    callbacks:
      - {name: sms, after: 30s, body: ["123456"]}
      - {name: sms, after: 5m, body: {code: "123456"}}
    resumes: [{by: operator, after: 10m}]
    expect: {outcome: done}
    verdicts: {sms_code: pass}
    calls: {send_code: 1, code: 1, change: 1}
"#;

#[test]
fn a_callback_that_no_rule_can_read_does_not_stand_in_the_way_of_the_next_one() {
    let source = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/processes/phone_change.yaml")).unwrap();
    let declared = "    answer: {type: object, properties: {code: {type: string}}}\n";
    assert!(source.contains(declared));
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("phone_change.yaml"), source.replace(declared, "")).unwrap();
    fs::write(folder.path().join("phone_change.test.yaml"), UNREADABLE).unwrap();
    let report = mozhao::proof::run_files(&[folder.path().to_owned()], None);
    assert!(report.passed(), "{report}");
}

/// The blocks of YAML and the tables of the handbook.
mod handbook {
    use mozhao::domain::expr::{Expr, Scope};
    use serde_json::{Value, json};

    use super::*;

    fn handbook() -> String {
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/processes/README.md")).unwrap()
    }

    #[test]
    fn its_process_passes_its_cases() {
        let text = handbook();
        let blocks: Vec<&str> = text.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
        let [process, cases] = blocks.as_slice() else { panic!("{} blocks", blocks.len()) };
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("limit_raise.yaml"), process).unwrap();
        fs::write(folder.path().join("limit_raise.test.yaml"), cases).unwrap();
        let parsed = parse("limit_raise.yaml", process, &known()).unwrap_or_else(|findings| panic!("{}", show(&findings)));
        assert!(parsed.warnings.is_empty(), "{}", show(&parsed.warnings));
        let report = mozhao::proof::run_files(&[folder.path().to_owned()], None);
        assert!(report.passed() && report.cases() >= 7, "{report}");
        let validator = jsonschema::validator_for(&json_schema()).unwrap();
        assert!(validator.is_valid(&serde_saphyr::from_str::<Value>(process).unwrap()), "editors accept it");
    }

    #[test]
    fn its_expressions_have_the_values_beside_them() {
        let mut scope = Scope::new();
        scope.set("request", &json!({"customer_id": "C1", "limit_minor": 200_000, "tags": ["vip"]}));
        let items = json!([{"state": "open", "amount": 5}]);
        scope.set("answer", &json!({"status": "bound", "score": 0.75, "items": items, "until": "2026-05-01T00:00:00Z"}));
        scope.set("status", &json!(200));
        let text = handbook();
        let (_, tables) = text.split_once("| expression | value |").unwrap();
        let (values, errors) = tables.split_once("| expression | error |").unwrap();
        let rows = |table: &str| -> Vec<(String, String)> {
            let cells = |line: &str| {
                let (left, right) = line.strip_prefix("| `")?.strip_suffix("` |")?.split_once("` | `")?;
                Some((left.to_owned(), right.to_owned()))
            };
            table.lines().filter_map(cells).collect()
        };
        let (values, errors) = (rows(values), rows(errors));
        assert!(values.len() >= 20 && errors.len() >= 3, "{} and {} rows", values.len(), errors.len());
        for (source, expected) in &values {
            let expr = Expr::compile(source).unwrap_or_else(|error| panic!("{source}: {error}"));
            assert_eq!(expr.eval(&scope).unwrap(), serde_json::from_str::<Value>(expected).unwrap(), "{source}");
        }
        for (source, part) in &errors {
            let error = Expr::compile(source).unwrap().eval(&scope).unwrap_err();
            assert!(error.message.contains(part), "{source}: {}", error.message);
        }
        for function in
            ["size", "matches", "contains", "startsWith", "endsWith", "int", "double", "string", "type", "luhn", "cn_id"]
        {
            assert!(text.contains(&format!("{function}(")), "{function}");
        }
    }
}
