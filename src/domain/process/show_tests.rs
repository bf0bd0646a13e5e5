//! The example as a diagram and as text.

#![expect(clippy::panic, reason = "tests")]

use super::*;
use crate::domain::process::{Known, parse};

const EXAMPLE: &str = include_str!("../../../tests/data/processes/card_unbind.ok.yaml");

fn example() -> Process {
    match parse("example.yaml", EXAMPLE, &Known::default()) {
        Ok(parsed) => parsed.process,
        Err(findings) => panic!("{findings:?}"),
    }
}

#[test]
fn the_diagram_has_every_step_and_way_out() {
    same_as_file("tests/data/processes/card_unbind.mermaid", &mermaid(&example()));
}

#[test]
fn the_text_has_every_reason_and_review() {
    same_as_file("tests/data/processes/card_unbind.txt", &describe(&example()));
}

/// Compares with a file, or writes it with `UPDATE_EXPECTED=1`.
fn same_as_file(path: &str, now: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        assert!(std::fs::write(&path, now).is_ok());
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap_or_default(), now, "{}", path.display());
}

#[test]
fn labels_cannot_break_out_of_their_quotes() {
    assert_eq!(label("a\"] --> b<br/>\n#1 & c"), "a#quot;] --#gt; b#lt;br/#gt; #35;1 #amp; c");
}
