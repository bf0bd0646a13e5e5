//! Process files, written by engineers: read, or refused with findings that have a place and help; never a panic, never long.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use mozhao::domain::process::{Known, parse, parse_cases};

use crate::answers::says_enough;
use crate::mutate;
use crate::run::{Kind, cases};

/// The longest that one file may take, in an unoptimised build on a busy machine.
const LONGEST: Duration = Duration::from_secs(20);

fn seeds() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = ["deploy/processes", "tests/data/processes", "tests/input/processes"].map(|folder| root.join(folder));
    let files = folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap()).map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = files.filter(|path| path.extension().is_some_and(|ending| ending == "yaml")).collect();
    files.sort();
    files.into_iter().map(|path| fs::read_to_string(path).unwrap()).collect()
}

/// Reads a text as a process and as a test of one; whether it is a process.
fn read(text: &str, about: &str) -> bool {
    let began = Instant::now();
    let parsed = parse("mutated.yaml", text, &Known::default());
    let good = parsed.is_ok();
    match parsed {
        Ok(parsed) => {
            drop(mozhao::domain::process::describe(&parsed.process));
            drop(mozhao::domain::process::mermaid(&parsed.process));
            drop(parse_cases("mutated.test.yaml", text, &parsed.process));
        }
        Err(findings) => {
            assert!(!findings.is_empty() && findings.len() <= 201, "{} findings about {about}", findings.len());
            for finding in &findings {
                let shown = finding.to_string();
                assert!(shown.starts_with("mutated.yaml:"), "{about}: {shown}");
                assert!(shown.len() < 16 * 1024, "{about}: a finding of {} bytes", shown.len());
            }
        }
    }
    assert!(began.elapsed() < LONGEST, "{about} took {:?}", began.elapsed());
    good
}

#[test]
fn every_mutated_file_gets_an_answer() {
    let seeds = seeds();
    // Most of the seeds are broken already, each in one way; what lies behind the reader is reached by the others.
    let right: Vec<&String> = seeds.iter().filter(|seed| read(seed, "a seed")).collect();
    assert!(right.len() >= 10, "only {} of the seeds are processes", right.len());
    let (mut good, mut all) = (0, 0);
    for (case, mut random) in cases(Kind::Files) {
        let seed = if random.one_in(2) { right[random.below(right.len())] } else { &seeds[random.below(seeds.len())] };
        let other = &seeds[random.below(seeds.len())];
        let bytes = mutate::bytes(&mut random, seed.as_bytes(), other.as_bytes());
        good += usize::from(read(&String::from_utf8_lossy(&bytes), &format!("case {}", case.number)));
        all += 1;
    }
    println!("{good} of {all} files are processes all the same");
    // Of 600, 8 and 13 with two seeds.
    assert!(all == 1 || good * 200 >= all, "only {good} of {all} mutated files are processes");
}

fn with_schema(schema: &str) -> String {
    format!(
        "process: p\nversion: 1\ntitle: {{en: P}}\npromise: 1m\nexpire_after: 1d\ncustomer: \"${{request.who}}\"\n\
         request: {schema}\nsteps:\n  - review: look\ndone_when: {{is: \"request.who != ''\", within: 1m}}\n\
         reviews: {{look: {{question: {{en: \"Yes?\"}}, options: [approve, refuse], due: 1h}}}}\n"
    )
}

/// Bombs: small texts that mean much. Refused, and quickly.
#[test]
fn bombs_are_refused_quickly() {
    let lists = (1..12).map(|n| format!("l{n}: &l{n} [{}]\n", vec![format!("*l{}", n - 1); 10].join(","))).collect::<String>();
    let merges = (1..30).map(|n| format!("m{n}: &m{n} {{<<: [*m{0}, *m{0}], k{n}: 1}}\n", n - 1)).collect::<String>();
    let references = (1..40)
        .map(|n| format!("\"d{n}\": {{\"allOf\": [{{\"$ref\": \"#/$defs/d{0}\"}}, {{\"$ref\": \"#/$defs/d{0}\"}}]}}", n - 1))
        .collect::<Vec<_>>()
        .join(", ");
    let bombs = [
        ("lists of lists of aliases", format!("l0: &l0 [a,a,a,a,a,a,a,a,a,a]\n{lists}process: *l11\n")),
        ("merges of merges", format!("m0: &m0 {{a: 1}}\n{merges}process: *m29\n")),
        ("an alias of itself", "a: &a [*a]\nprocess: *a\n".to_owned()),
        ("deep flow", "[".repeat(100_000)),
        ("deep block", (0..3_000).map(|n| format!("{}a:\n", " ".repeat(n))).collect()),
        ("deep lists", "- ".repeat(50_000)),
        ("a long key", format!("{}: 1\n", "k".repeat(900_000))),
        ("many keys", (0..200_000).map(|n| format!("k{n}: 1\n")).collect()),
        ("many documents", "---\na: 1\n".repeat(50_000)),
        ("tags", "process: !!python/object/apply:os.system [\"echo\"]\nversion: !!binary aGk=\n".to_owned()),
        ("a byte order mark", "\u{feff}process: p\n".to_owned()),
        ("NUL", "process: \"a\0b\"\n".to_owned()),
        ("huge numbers", format!("process: p\nversion: {}\n", "9".repeat(5_000))),
        ("a schema that is itself", with_schema("{type: object, $ref: \"#\"}")),
        (
            "a schema in two steps of itself",
            with_schema("{allOf: [{$ref: \"#/$defs/a\"}], $defs: {a: {anyOf: [{$ref: \"#\"}]}}}"),
        ),
        (
            "a schema of references",
            with_schema(&format!("{{\"$defs\": {{\"d0\": {{\"type\": \"object\"}}, {references}}}, \"$ref\": \"#/$defs/d39\"}}")),
        ),
        (
            "a long pattern",
            with_schema(&format!(
                "{{type: object, properties: {{who: {{type: string, pattern: \"{}\"}}}}}}",
                "(a|b)*".repeat(10_000)
            )),
        ),
        (
            "a fat pattern",
            with_schema("{type: object, properties: {who: {type: string, pattern: \"((a{1,1000}){1,1000}){1,1000}\"}}}"),
        ),
        (
            "a fat pattern of names",
            with_schema("{type: object, patternProperties: {\"((a{1,1000}){1,1000}){1,1000}\": {type: string}}}"),
        ),
        (
            "an expression bomb",
            with_schema("{type: object, properties: {who: {type: string}}}").replace("request.who != ''", &"1+".repeat(1_600)),
        ),
    ];
    for (name, text) in bombs {
        let began = Instant::now();
        let text = if text.len() > 1024 * 1024 { text[..1024 * 1024].to_owned() } else { text };
        match parse("bomb.yaml", &text, &Known::default()) {
            Ok(_) => panic!("{name} is accepted"),
            Err(findings) => {
                let shown = findings[0].to_string();
                println!(
                    "{name}: {} findings in {:?}: {}",
                    findings.len(),
                    began.elapsed(),
                    shown.chars().take(200).collect::<String>()
                );
                says_enough(&findings[0].message, name);
                assert!(
                    findings.len() <= 201 && shown.len() < 16 * 1024,
                    "{name}: {} findings, {} bytes",
                    findings.len(),
                    shown.len()
                );
            }
        }
        assert!(began.elapsed() < LONGEST, "{name} took {:?}", began.elapsed());
    }
}
