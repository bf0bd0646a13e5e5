//! What this suite is worth: each known bug of the databases, switched on alone, makes a test fail that passes without it, on a
//! real PostgreSQL and, where the bug is not about a lock, on a real file of SQLite.

use std::process::{Command, Output};

use mozhao::faults::DATABASE_BUGS;

/// Who looks for which bug: the tests of this suite, without the database's name in front.
const LOOKS_FOR: [(&str, &str); DATABASE_BUGS.len()] = [
    ("fence_unread", "advancing::a_worker_without_a_row_is_fenced"),
    ("fence_unlocked", "only_postgres::a_batch_waits_for_the_rescuer_and_is_fenced"),
    ("guard_unread", "advancing::a_stale_or_foreign_step_is_lost_and_the_rest_stands"),
    ("signals_unread", "signals::quiet_steps_see_signals_first"),
    ("head_kept", "advancing::a_step_moves_the_head"),
    ("body_unread", "accepting::a_key_is_accepted_once"),
    ("turn_kept", "lanes::turns_are_taken_in_order"),
    ("claim_unlocked", "only_postgres::a_claim_passes_by_what_is_locked"),
    ("events_left", "outbox::events_of_the_gone_are_adopted"),
    ("marked_early", "outbox::events_wait_for_their_worker"),
    ("control_unread", "groups::controls_have_one_winner"),
    ("review_unlocked", "only_postgres::a_decision_waits_for_whoever_decides"),
    ("taken_back_late", "setting_aside::a_decision_is_held_and_taken_back_or_told"),
    ("other_dropped", "setting_aside::a_decision_is_held_and_taken_back_or_told"),
    ("item_sent_again", "batches::a_batch_is_taken_worked_off_and_done"),
    ("signal_forgotten", "reviewing::the_same_decision_again"),
];

/// The test's names, with the database that each is about.
fn tests(test: &str) -> Vec<(&'static str, String)> {
    if test.starts_with("only_postgres::") {
        return vec![("PostgreSQL", format!("suite::{test}"))];
    }
    vec![("PostgreSQL", format!("suite::postgres::{test}")), ("SQLite", format!("suite::sqlite::{test}"))]
}

fn run(names: &[String], bug: Option<&str>) -> Output {
    let mut this = Command::new(std::env::current_exe().unwrap());
    this.arg("--exact").args(names).env("RUST_BACKTRACE", "0").env_remove("MOZHAO_BUG");
    this.envs(bug.map(|bug| ("MOZHAO_BUG", bug))).output().unwrap()
}

/// What a failing test said first; `None` where it did not fail.
fn caught(name: &str, bug: &str) -> Option<String> {
    let output = run(&[name.to_owned()], Some(bug));
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    if output.status.success() || !text.contains(&format!("test {name} ... FAILED")) {
        return None;
    }
    let said = text.lines().skip_while(|line| !line.contains("panicked at")).skip(1).take(3);
    Some(said.map(str::trim).collect::<Vec<_>>().join(" ").chars().take(120).collect())
}

#[test]
fn every_known_bug_of_the_databases_is_caught() {
    let all: Vec<String> = LOOKS_FOR.iter().flat_map(|(_, test)| tests(test)).map(|(_, name)| name).collect();
    let mut different = all.clone();
    different.sort_unstable();
    different.dedup();
    let without = run(&all, None);
    let text = String::from_utf8_lossy(&without.stdout);
    assert!(without.status.success() && text.contains(&format!(" {} passed", different.len())), "without a bug: {text}");
    let mut missed = Vec::new();
    for (bug, breaks) in DATABASE_BUGS {
        let (_, test) = LOOKS_FOR.iter().find(|(name, _)| *name == bug).unwrap();
        for (database, name) in tests(test) {
            if let Some(said) = caught(&name, bug) {
                println!("| `{bug}` | {breaks} | store on {database}, `{test}`: {said} |");
            } else {
                println!("| `{bug}` | {breaks} | MISSED by `{name}` |");
                missed.push(format!("{bug} on {database}"));
            }
        }
    }
    assert!(missed.is_empty(), "no test catches {}", missed.join(", "));
}
