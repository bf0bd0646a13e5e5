//! The rules of the house that no compiler checks: layers, who may name which crate, sizes, and documents
//! that name what exists. Each failure says what to do about it; all failures of a rule are shown at once.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use regex::Regex;

/// What each top-level module of `src` may name (itself aside). A new module is a decision: say here where it stands.
const LAYERS: [(&str, &[&str]); 15] = [
    ("domain", &[]),
    ("faults", &[]),
    ("engine", &["domain", "faults"]),
    ("store", &["domain", "engine", "faults"]),
    // As engine and store: an acknowledgement too early or a failure called safe is one line here, and tests must see it.
    ("queue", &["domain", "engine", "faults"]),
    ("connectors", &["domain", "engine", "faults"]),
    ("config", &["domain", "engine"]),
    ("telemetry", &["domain", "engine", "config"]),
    ("sandbox", &[]),
    ("proof", &["domain", "engine", "store", "connectors"]),
    ("api", &["domain", "engine", "store", "queue", "connectors", "config", "telemetry"]),
    ("console", &["domain", "engine", "store", "queue", "connectors", "config", "telemetry", "api"]),
    ("cli", ANY),
    ("app", ANY),
    ("main", ANY),
];
/// `app` wires every concrete type together, and `cli` starts it.
const ANY: &[&str] = &["*"];

/// Which files may name a crate: those whose path starts with one of these.
const CRATES: [(&str, &[&str]); 6] = [
    ("sqlx", &["src/store"]),
    ("lapin", &["src/queue"]),
    ("reqwest", &["src/connectors", "src/cli", "src/sandbox", "src/app/demo"]),
    ("cel", &["src/domain/expr"]),
    ("axum", &["src/api", "src/console", "src/sandbox", "src/app"]),
    ("tower_http", &["src/api", "src/console", "src/sandbox", "src/app", "src/connectors/wire.rs"]),
];

/// What the pure layer may not name: no I/O, no clock, no randomness.
const NOT_IN_DOMAIN: [&str; 10] =
    ["tokio", "sqlx", "lapin", "reqwest", "axum", "rand", "governor", "metrics", "std::fs", "std::net"];

const MAX_LINES: usize = 500;

struct Source {
    path: String,
    text: String,
}

impl Source {
    /// Without comments, the insides of strings (a log target is not a path) and the tests at its end: what the
    /// rules about layers look at.
    fn code(&self) -> String {
        let is_tests = self.path.ends_with("/tests.rs") || self.path.contains("/tests/");
        let text = if is_tests { "" } else { self.text.split("#[cfg(test)]\nmod ").next().unwrap() };
        let string = Regex::new(r#""(\\.|[^"\\])*""#).unwrap();
        let bare = text.lines().map(|line| string.replace_all(line, r#""""#));
        bare.map(|line| line.split("//").next().unwrap().to_owned()).collect::<Vec<_>>().join("\n")
    }

    /// Its top-level module.
    fn module(&self) -> &str {
        let inside = self.path.strip_prefix("src/").unwrap();
        inside.split_once('/').map_or_else(|| inside.strip_suffix(".rs").unwrap(), |(folder, _)| folder)
    }
}

/// Every file of the project, by its path from the root: what git tracks or would track.
fn files() -> Vec<String> {
    let root = env!("CARGO_MANIFEST_DIR");
    let git = Command::new("git").args(["ls-files", "-co", "--exclude-standard"]).current_dir(root).output();
    match git {
        Ok(output) if output.status.success() => {
            let names = String::from_utf8(output.stdout).unwrap();
            // Deleted but not yet committed ones are listed too.
            names.lines().filter(|path| Path::new(root).join(path).is_file()).map(str::to_owned).collect()
        }
        _ => {
            let mut found = Vec::new();
            walk(Path::new(root), "", &mut found);
            found
        }
    }
}

fn walk(folder: &Path, prefix: &str, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap();
        let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}/{name}") };
        if !entry.file_type().unwrap().is_dir() {
            found.push(path);
        } else if !["target", ".git", "node_modules"].contains(&name.as_str()) {
            walk(&entry.path(), &path, found);
        }
    }
}

fn read(path: &str) -> Option<Source> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).ok()?;
    Some(Source { path: path.to_owned(), text })
}

fn sources(folder: &str) -> Vec<Source> {
    let wanted = |path: &&String| path.starts_with(folder) && has_extension(path, "rs");
    files().iter().filter(wanted).filter_map(|path| read(path)).collect()
}

fn has_extension(path: &str, extension: &str) -> bool {
    Path::new(path).extension().is_some_and(|found| found == extension)
}

#[track_caller]
fn none(rule: &str, violations: &[String]) {
    assert!(violations.is_empty(), "{rule}\n  {}", violations.join("\n  "));
}

/// The top-level modules that code names through `crate::`, grouped imports included.
fn named_modules(code: &str) -> BTreeSet<String> {
    let mut named = BTreeSet::new();
    for (start, _) in code.match_indices("crate::") {
        let rest = &code[start + "crate::".len()..];
        let Some(group) = rest.strip_prefix('{') else {
            named.insert(identifier(rest));
            continue;
        };
        let mut depth = 1;
        let mut member = true;
        for (at, character) in group.char_indices() {
            match character {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 1 => member = true,
                _ if member && !character.is_whitespace() => {
                    named.insert(identifier(&group[at..]));
                    member = false;
                }
                _ => {}
            }
            if depth == 0 {
                break;
            }
        }
    }
    named.remove("");
    named
}

fn identifier(text: &str) -> String {
    text.chars().take_while(|character| character.is_alphanumeric() || *character == '_').collect()
}

/// Whether code names a crate (or a path like `std::fs`), as in `sqlx::query` or `use sqlx;`.
fn names(code: &str, name: &str) -> bool {
    code.match_indices(name).any(|(at, _)| {
        let part_of_longer = |before: char| before.is_alphanumeric() || before == '_' || before == ':';
        let rest = &code[at + name.len()..];
        let used = rest.starts_with("::") || rest.starts_with(';') || rest.starts_with(" as ");
        used && !code[..at].ends_with(part_of_longer)
    })
}

#[test]
fn the_rules_see_what_they_look_for() {
    let code = "use crate::{domain::{a, b}, store::C};\nlet x = crate::queue::d();\nuse crate::api;";
    let named: Vec<String> = named_modules(code).into_iter().collect();
    assert_eq!(named, ["api", "domain", "queue", "store"]);
    assert!(names("use sqlx::Row;", "sqlx") && names("    sqlx::query(x)", "sqlx") && names("use cel;", "cel"));
    assert!(!names("let parcel = x::parcel::y(); self::cel::z();", "cel"));
    let text =
        "//! crate::store\nuse a; // crate::cli\nf(\"crate::api\");\n#[cfg(test)]\nmod tests { use crate::app; }".to_owned();
    let source = Source { path: "src/engine/x.rs".to_owned(), text };
    assert_eq!(source.module(), "engine");
    assert!(named_modules(&source.code()).is_empty());
}

#[test]
fn dependencies_between_layers_point_one_way() {
    let modules: BTreeSet<&str> = LAYERS.iter().map(|(name, _)| *name).collect();
    let mut violations = Vec::new();
    for source in sources("src/").iter().filter(|source| source.path != "src/lib.rs") {
        let Some((_, allowed)) = LAYERS.iter().find(|(name, _)| *name == source.module()) else {
            violations.push(format!("{}: say in tests/tidy.rs, LAYERS, what it may name", source.path));
            continue;
        };
        for name in named_modules(&source.code()) {
            let fine = name == source.module() || *allowed == ANY || allowed.contains(&name.as_str());
            // Names that are no module are items of lib.rs.
            if modules.contains(name.as_str()) && !fine {
                violations.push(format!("{} names crate::{name}", source.path));
            }
        }
    }
    none("a layer names one above or beside it (src/ARCHITECTURE.md):", &violations);
}

#[test]
fn each_driver_has_its_place() {
    let mut violations = Vec::new();
    let mut with_backoff = Vec::new();
    for source in sources("src/") {
        let code = source.code();
        for (name, places) in CRATES {
            if names(&code, name) && !places.iter().any(|place| source.path.starts_with(place)) {
                violations.push(format!("{} names {name}, which belongs to {}", source.path, places.join(", ")));
            }
        }
        if source.path.starts_with("src/domain/") {
            let impure = NOT_IN_DOMAIN.iter().filter(|name| names(&code, name));
            violations.extend(impure.map(|name| format!("{} names {name}: the domain is pure", source.path)));
        }
        if names(&code, "backoff") {
            with_backoff.push(source.path.clone());
        }
    }
    if with_backoff.len() > 1 {
        violations.push(format!("backoff (unmaintained) belongs into one module: {}", with_backoff.join(", ")));
    }
    none("a crate is named outside its place:", &violations);
}

#[test]
fn files_say_one_thing() {
    let lines = |source: &Source| source.text.lines().count();
    let all = sources("src/").into_iter().chain(sources("tests/")).chain(sources("benches/"));
    let long: Vec<String> = all
        .filter(|source| lines(source) > MAX_LINES)
        .map(|source| format!("{}: {} lines", source.path, lines(&source)))
        .collect();
    none("split these (500 lines at most, better 100 to 400):", &long);
}

#[test]
fn no_machine_is_named() {
    // In pieces, so that this file does not match itself.
    let patterns = [
        concat!("/wo", r"rk/(wt|main|shared|\.)"),
        concat!("/ro", r"ot/[\w.]"),
        concat!("/ho", r"me/[a-z]"),
        concat!("/Us", r"ers/[a-z]"),
        concat!("index.crates", r"\.io"),
        concat!(r#""resolved": "https?://"#, r"(?:[^r]|r[^e]|re[^g]|registry\.[^n])"),
        concat!(r"\b(art", r"ifactory|nex", r"us)\.[\w.-]+/"),
    ];
    let machine = Regex::new(&patterns.join("|")).unwrap();
    let mut violations = Vec::new();
    for source in files().iter().filter_map(|path| read(path)) {
        for (number, line) in source.text.lines().enumerate() {
            if let Some(found) = machine.find(line) {
                violations.push(format!("{}:{}: {}", source.path, number + 1, found.as_str()));
            }
        }
    }
    none("paths or hosts of one machine:", &violations);
}

#[test]
fn known_bugs_are_in_no_release() {
    // The compiler itself: this file is built alone, as a release and as the tests build it.
    let folder = tempfile::tempdir().unwrap();
    let build = |assertions: &str| {
        let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
        rustc.args(["--edition=2024", "--crate-type=lib", "--emit=metadata", "--cfg=feature=\"faults\"", "src/faults.rs"]);
        rustc.arg(format!("-Cdebug-assertions={assertions}")).arg("--out-dir").arg(folder.path());
        let output = rustc.current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (built, said) = build("on");
    assert!(built, "{said}");
    let (built, said) = build("off");
    assert!(!built && said.contains("never for a release"), "a release with known bugs is refused: {said}");
    // So whoever wants them in a release has to turn on debug assertions there.
    let manifest = read("Cargo.toml").unwrap().text;
    assert!(!manifest.contains("debug-assertions"), "profiles keep cargo's debug assertions: off in a release");
    assert!(!manifest.contains("\ndefault = "), "no feature is on by default");
    let mut violations = Vec::new();
    let builds = ["deploy/Dockerfile", "deploy/compose.yaml", ".ci/run", "Makefile", "tests/run.sh", "tests/chaos.sh"];
    let builds = builds.map(|path| read(path).unwrap()).into_iter().chain(sources("benches/"));
    for Source { path, text } in builds {
        let release = |line: &str| line.contains("--release") || line.contains("profile release");
        if text.contains("all-features") || text.lines().any(|line| release(line) && line.contains("faults")) {
            violations.push(format!("{path} builds a release with every feature"));
        }
        // Elsewhere than in cargo's own profiles.
        if text.contains("DEBUG_ASSERTIONS") || text.contains("debug-assertions") {
            violations.push(format!("{path} turns debug assertions on or off"));
        }
    }
    none("the feature `faults` is for tests only:", &violations);
}

#[test]
fn known_bugs_are_built_in_and_named() {
    let found = |text: &str, pattern: &str| -> BTreeSet<String> {
        Regex::new(pattern).unwrap().captures_iter(text).map(|found| found[1].to_owned()).collect()
    };
    let named = found(&read("src/faults.rs").unwrap().text, r#"(?m)^    \("([a-z_]+)", ""#);
    let code: String = sources("src/").iter().map(|source| source.text.as_str()).collect();
    let built_in = found(&code, r#"(?:\bbug\(|\bsql\([A-Z_]+, )"([a-z_]+)""#);
    let not_built_in = named.difference(&built_in).map(|name| format!("`{name}` is switched on nowhere"));
    let unnamed = built_in.difference(&named).map(|name| format!("`{name}` is not in src/faults.rs"));
    none("known bugs:", &not_built_in.chain(unnamed).collect::<Vec<_>>());
    assert!(named.len() >= 49, "{} known bugs", named.len());
}

#[test]
fn every_test_runs_and_none_sleeps() {
    let ignored = Regex::new(concat!(r"#\[ign", r"ore\b")).unwrap();
    // A sleep on the engine's own clock is virtual time.
    let sleep = Regex::new(concat!(r"\bsl", r"eep\(")).unwrap();
    let mut violations = Vec::new();
    for source in sources("src/").into_iter().chain(sources("tests/")) {
        let in_tests = source.path.starts_with("tests/") && source.path != "tests/harness/wait.rs";
        for (number, line) in source.text.lines().enumerate() {
            if ignored.is_match(line) {
                violations.push(format!("{}:{}: a test that never runs", source.path, number + 1));
            }
            // A virtual clock takes no time.
            let is_virtual = line.contains("clock.sleep(") || line.contains("inner.sleep(");
            if in_tests && sleep.is_match(line) && !line.contains("fn sleep") && !is_virtual {
                let hint = "wait for a condition (tests/harness/wait.rs) or pause time";
                violations.push(format!("{}:{}: {hint}", source.path, number + 1));
            }
        }
    }
    none("tests:", &violations);
}

#[test]
fn both_databases_have_the_same_migrations() {
    let of = |database: &str| -> BTreeSet<String> {
        let folder = format!("migrations/{database}/");
        files().iter().filter_map(|path| path.strip_prefix(&folder).map(str::to_owned)).collect()
    };
    let (postgres, sqlite) = (of("postgres"), of("sqlite"));
    let different: Vec<String> = postgres.symmetric_difference(&sqlite).cloned().collect();
    none("only one of migrations/postgres and migrations/sqlite has (see migrations/README.md):", &different);
    let name = Regex::new(r"^\d{4}_[a-z0-9_]+\.sql$").unwrap();
    let odd: Vec<String> = postgres.iter().filter(|file| !name.is_match(file)).cloned().collect();
    none("migrations are named 0001_what_it_does.sql:", &odd);
    let numbers: Vec<&str> = postgres.iter().map(|file| &file[..4]).collect();
    let expected: Vec<String> = (1..=numbers.len()).map(|number| format!("{number:04}")).collect();
    assert_eq!(numbers, expected, "migrations are numbered without gaps or doubles");
}

#[test]
fn documents_name_what_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = Regex::new(r"`((?:src|tests|deploy|migrations|benches|docs)/[\w./-]*)`").unwrap();
    let mut violations = Vec::new();
    for document in files().iter().filter(|path| has_extension(path, "md")).filter_map(|path| read(path)) {
        for (number, line) in document.text.lines().enumerate() {
            for found in path.captures_iter(line) {
                if !root.join(&found[1]).exists() {
                    violations.push(format!("{}:{}: {}", document.path, number + 1, &found[1]));
                }
            }
        }
    }
    none("documents name files that do not exist:", &violations);
}

/// What an operator is told to look for can be found: metrics, log lines, and what `mozhao doctor` looks at.
#[test]
fn the_runbook_names_what_is_logged_and_measured() {
    let runbook = read("deploy/runbook.md").expect("deploy/runbook.md").text;
    let code: String = sources("src/").into_iter().map(|source| source.text).collect();
    let patterns = [r"`(mozhao_[a-z_]+)", r"`log: ([^`]+)`", r"`doctor: ([^`]+)`"];
    let mut violations = Vec::new();
    let mut found = 0;
    for pattern in patterns {
        for named in Regex::new(pattern).unwrap().captures_iter(&runbook) {
            let there = if pattern.contains("doctor") { format!("\"{}\"", &named[1]) } else { named[1].to_owned() };
            found += 1;
            if !code.contains(&there) {
                violations.push(named[0].to_owned());
            }
        }
    }
    assert!(found > 40, "only {found} names were found: has the runbook's form changed?");
    none("deploy/runbook.md names what src does not:", &violations);
}

/// `tests/faults.md` names tests that there are, and every scenario.
#[test]
fn every_fault_has_its_scenarios() {
    let map = read("tests/faults.md").expect("tests/faults.md").text;
    let named = Regex::new(r"`([a-z_]+)`").unwrap();
    let named: BTreeSet<String> = named.captures_iter(&map).map(|found| found[1].to_owned()).collect();
    // Tests as they are written, and those that macros make of lines like `name: Shared Database Resets;`.
    let test =
        Regex::new(r"#\[(?:tokio::)?test[^\n]*\]\s+(?:async )?fn (\w+)\(|\n +(\w+): (?:Shared|Embedded)\w* [\w ]+;").unwrap();
    let tests = |folder: &str| -> BTreeSet<String> {
        let of = |source: &Source| -> Vec<String> {
            let name = |found: regex::Captures<'_>| found.get(1).or(found.get(2)).map(|name| name.as_str().to_owned());
            test.captures_iter(&source.text).filter_map(name).collect()
        };
        sources(folder).iter().flat_map(of).collect()
    };
    let (all, scenarios) = (tests("tests/"), tests("tests/chaos/"));
    assert!(scenarios.len() > 60, "only {} scenarios were found: has their form changed?", scenarios.len());
    none("tests/faults.md names tests that there are not:", &named.difference(&all).cloned().collect::<Vec<_>>());
    none("scenarios that tests/faults.md does not name:", &scenarios.difference(&named).cloned().collect::<Vec<_>>());
}

#[test]
fn the_changelog_has_a_place_for_what_comes_next() {
    let changelog = read("CHANGELOG.md").expect("CHANGELOG.md");
    assert!(changelog.text.contains("\n## [Unreleased]\n"), "CHANGELOG.md needs a section `## [Unreleased]`");
}
