//! What the simulation is worth: each known bug, switched on alone, breaks a world within a few seeds, and the books say so.

use std::process::Command;

use mozhao::faults::BUGS;

/// How many seeds a bug may hide in.
const SEEDS: u64 = 600;

/// The first violation that the simulation finds with this bug, and its seed.
fn caught(bug: &str) -> Option<(String, String)> {
    let mut this = Command::new(std::env::current_exe().unwrap());
    this.args(["--exact", "the_books_hold_in_every_world", "--nocapture"]);
    this.env("MOZHAO_BUG", bug).env("MOZHAO_SEEDS", format!("1..{SEEDS}")).env("RUST_BACKTRACE", "0");
    let output = this.output().unwrap();
    if output.status.success() {
        return None;
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    let line = text.lines().find(|line| line.starts_with("seed "))?;
    let (seed, what) = line.split_once(": ")?;
    Some((seed.to_owned(), what.chars().take(120).collect()))
}

#[test]
fn every_known_bug_is_caught() {
    let mut missed = Vec::new();
    for (bug, breaks) in BUGS {
        if let Some((seed, what)) = caught(bug) {
            println!("| `{bug}` | {breaks} | simulation, {seed}: {what} |");
        } else {
            println!("| `{bug}` | {breaks} | MISSED |");
            missed.push(bug);
        }
    }
    assert!(missed.is_empty(), "no suite catches {}", missed.join(", "));
}
