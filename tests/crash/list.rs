//! The fixed list of points: every name that the sources have, and the stories that play it.
//!
//! A list that is drawn up by running depends on what the run happened to pass. So it stands here, and is held against the sources
//! (`the_list_names_what_the_sources_have`: the methods of the store's ports, the facts that a ledger may hold, the slots of the stories'
//! processes) and against the runs: an undisturbed story passes each of its names as often as it is listed, and nobody ever
//! passes a name that is not listed.

use std::collections::{BTreeMap, BTreeSet};

use mozhao::domain::process::model::StepKind;
use mozhao::domain::process::{Known, parse};
use regex::Regex;

use crate::stories::{STORIES, Story};

/// Who plays a name.
#[derive(Debug, Clone, Copy)]
pub(crate) enum How {
    /// These stories, so many times each: the first, the second …
    In(&'static [(&'static str, u32)]),
    /// The same for what only reads: nothing becomes durable by it, so it is one point.
    Read(&'static [(&'static str, u32)]),
    /// Nobody can be sure to pass it, for this reason.
    Maybe(&'static str),
    /// Nobody passes it, for this reason.
    Never(&'static str),
}

use How::{In, Maybe, Never, Read};

const PAGES: &str = "a read for pages and tools; no worker calls it";
const ALONE: &str = "a statement of its own on which no request's fact rests; tests/store";
const TOKENS: &str = "tokens of tools: no request's fact rests on them; tests/store";
const SWEEP: &str = "inside sweep, by the store itself";
const TOGETHER: &str = "written together with what follows it: the point is that one's";

/// Every name, in order. Each is two points, before and after; a read is one.
#[rustfmt::skip]
pub(crate) const POINTS: &[(&str, How)] = &[
    ("ack", In(&[("transfer", 1), ("expired", 1)])),
    ("add_token", Never(TOKENS)),
    ("balance", Never(PAGES)),
    ("batches add_batch", In(&[("reviewed", 1)])),
    ("batches batch", Never(PAGES)),
    ("batches batch_items", Read(&[("reviewed", 1)])),
    ("batches batches", Never(PAGES)),
    ("batches begin_item", In(&[("reviewed", 1)])),
    ("batches close_batch", In(&[("reviewed", 1)])),
    ("batches leave_batch", In(&[("reviewed", 1)])),
    ("batches settle_item", In(&[("reviewed", 1)])),
    ("batches stop_batch", Never(ALONE)),
    ("batches sweep_batches", Never(SWEEP)),
    ("batches take_batch", In(&[("reviewed", 1)])),
    ("call act", In(&[("reviewed", 1)])),
    ("call book", In(&[("transfer", 1)])),
    ("call done_when", Read(&[("transfer", 1)])),
    ("call extra", Never("the story leaves this step out")),
    ("call funds", Read(&[("transfer", 1)])),
    ("call hold", In(&[("transfer", 1)])),
    ("call lookup", Read(&[("parked", 2)])),
    ("call reconcile.book", Read(&[("transfer", 1)])),
    ("call reconcile.undo.book", Read(&[("undone", 1)])),
    ("call risk", Read(&[("reviewed", 1)])),
    ("call run", In(&[("parked", 2)])),
    ("call send", In(&[("undone", 1)])),
    ("call tell", In(&[("transfer", 1)])),
    ("call undo.book", In(&[("undone", 1)])),
    ("call undo.hold", In(&[("undone", 1)])),
    ("claim", In(&[("transfer", 2), ("heir", 1)])),
    ("commit of accepted", In(&[("transfer", 1)])),
    ("commit of callback", In(&[("transfer", 1)])),
    ("commit of callback_ignored", In(&[("parked", 1)])),
    ("commit of decided", In(&[("reviewed", 3), ("heir", 1)])),
    ("commit of ended done", In(&[("transfer", 1), ("heir", 1)])),
    ("commit of ended expired", In(&[("expired", 1)])),
    ("commit of ended refused", In(&[("undone", 1)])),
    ("commit of ended withdrawn", In(&[("withdrawn", 1)])),
    ("commit of failed", In(&[("parked", 1)])),
    ("commit of intent act", In(&[("reviewed", 1)])),
    ("commit of intent book", In(&[("transfer", 1)])),
    ("commit of intent hold", In(&[("transfer", 1)])),
    ("commit of intent run", In(&[("parked", 2)])),
    ("commit of intent send", In(&[("undone", 1)])),
    ("commit of intent tell", In(&[("transfer", 1)])),
    ("commit of intent undo.book", In(&[("undone", 1)])),
    ("commit of intent undo.hold", In(&[("undone", 1)])),
    ("commit of moved", Maybe(TOGETHER)),
    ("commit of noted", In(&[("reviewed", 1)])),
    ("commit of nothing", In(&[("reviewed", 1)])),
    ("commit of parked", In(&[("parked", 2)])),
    ("commit of rejected", In(&[("expired", 1)])),
    ("commit of result", In(&[("transfer", 1), ("undone", 2)])),
    ("commit of resumed", In(&[("parked", 2)])),
    ("commit of review_opened", In(&[("reviewed", 3), ("heir", 1)])),
    ("commit of skipped", Maybe(TOGETHER)),
    ("commit of started", Maybe(TOGETHER)),
    ("commit of supplemented", In(&[("reviewed", 1)])),
    ("commit of turned_back", In(&[("withdrawn", 1)])),
    ("commit of verdict", Maybe(TOGETHER)),
    ("commit of waiting", In(&[("transfer", 1)])),
    ("commit of withdrawal_refused", In(&[("parked", 1)])),
    ("controls", Read(&[("transfer", 1)])),
    ("decisions", Never(PAGES)),
    ("defect", Read(&[("parked", 1)])),
    ("defects", Never(PAGES)),
    ("deregister", In(&[("transfer", 1)])),
    ("end_of_walk", Never(PAGES)),
    ("entries", Never(PAGES)),
    ("entries_of", Never(PAGES)),
    ("events", Never(PAGES)),
    ("heartbeat", In(&[("transfer", 1)])),
    ("lately", Never(PAGES)),
    ("load", Read(&[("transfer", 1), ("heir", 1)])),
    ("mark of events", In(&[("transfer", 2)])),
    ("mark of nothing", In(&[("transfer", 2)])),
    ("now", Read(&[("transfer", 1)])),
    ("owned", Read(&[("patient", 1)])),
    ("parked_groups", Read(&[("parked", 1)])),
    ("parked_under", Read(&[("parked", 1)])),
    ("process", Maybe("read where another worker has published a version meanwhile")),
    ("processes", Read(&[("transfer", 1)])),
    ("publish", In(&[("transfer", 3)])),
    ("publish_none", Never("a worker without a broker; these have one")),
    ("publish_process", In(&[("patient", 1)])),
    ("put_control", In(&[("parked", 2)])),
    ("register", In(&[("transfer", 1)])),
    ("rejected", Never(PAGES)),
    ("request", Read(&[("transfer", 1)])),
    ("requests", Never(PAGES)),
    ("rescue", In(&[("heir", 1)])),
    ("resume_some", In(&[("parked", 2)])),
    ("review", Read(&[("reviewed", 1)])),
    ("review_act", In(&[("reviewed", 5), ("heir", 1)])),
    ("reviewing acts", Never(PAGES)),
    ("reviewing add_view", Never(ALONE)),
    ("reviewing be_present", Never(ALONE)),
    ("reviewing drop_held", In(&[("reviewed", 1)])),
    ("reviewing due_held", In(&[("reviewed", 1)])),
    ("reviewing end_held", Never(ALONE)),
    ("reviewing held", Read(&[("reviewed", 1)])),
    ("reviewing held_end", Never(PAGES)),
    ("reviewing hold", In(&[("reviewed", 2)])),
    ("reviewing present", Never(PAGES)),
    ("reviewing remove_view", Never(ALONE)),
    ("reviewing rename_view", Never(ALONE)),
    ("reviewing snooze", Never(ALONE)),
    ("reviewing snoozed", Never(PAGES)),
    ("reviewing sweep_ends", Never(SWEEP)),
    ("reviewing sweep_presences", Never(SWEEP)),
    ("reviewing sweep_snoozes", Never(SWEEP)),
    ("reviewing take_back", In(&[("reviewed", 1)])),
    ("reviewing view", Never(PAGES)),
    ("reviewing views", Never(PAGES)),
    ("reviewing wake", Never(ALONE)),
    ("reviews", Never(PAGES)),
    ("revoke_token", Never(TOKENS)),
    ("setting", In(&[("transfer", 1)])),
    ("signal", In(&[("transfer", 1), ("withdrawn", 1), ("reviewed", 2), ("parked", 3)])),
    ("signal_answer", Read(&[("transfer", 1)])),
    ("signals", Maybe("read again only where a write was refused or a signal came meanwhile")),
    ("sweep", In(&[("patient", 1)])),
    ("token", Never(TOKENS)),
    ("tokens", Never(TOKENS)),
    ("unpublished", In(&[("transfer", 1)])),
    ("workers", Never(PAGES)),
];

/// What this story is listed for, and how often.
pub(crate) fn of(story: &Story) -> impl Iterator<Item = (String, u32)> {
    let name = story.name;
    POINTS.iter().flat_map(move |(point, how)| {
        let (sides, stories): (&[&str], _) = match how {
            In(stories) => (&["before", "after"], *stories),
            Read(stories) => (&["at"], *stories),
            Maybe(_) | Never(_) => (&[], &[][..]),
        };
        let times = stories.iter().find(|(story, _)| *story == name).map_or(0, |(_, times)| *times);
        sides.iter().filter(move |_| times > 0).map(move |side| (format!("{side} {point}"), times))
    })
}

/// `before claim` and `after claim` are `claim`'s, `at load` is `load`'s.
fn without_side(point: &str) -> &str {
    point.split_once(' ').map_or(point, |(_, name)| name)
}

/// Those of these points that no list knows.
pub(crate) fn unknown<'a>(passed: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    passed.filter(|point| POINTS.binary_search_by_key(&without_side(point), |(name, _)| name).is_err()).collect()
}

/// What an undisturbed story should have passed and has not, and what it passed although it is said that nobody does.
pub(crate) fn missed(story: &Story, passed: &BTreeMap<String, u32>) -> Vec<String> {
    let mut wrong = Vec::new();
    for (point, times) in of(story) {
        let hits = passed.get(&point).copied().unwrap_or_default();
        if hits == 0 {
            wrong.push(format!("{point} was not reached"));
        } else if hits < times {
            // A slow machine may do at once what is listed as two.
            eprintln!("{}: {point} was reached {hits} times of {times}", story.name);
        }
    }
    for (name, how) in POINTS {
        if let Never(why) = how
            && passed.keys().any(|point| without_side(point) == *name)
        {
            wrong.push(format!("{name} was reached, but the list says: {why}"));
        }
    }
    wrong
}

/// Names that no story is sure to pass, with the reason.
pub(crate) fn left_out() -> Vec<String> {
    let why = |(name, how): &(&str, How)| match how {
        In(_) | Read(_) => None,
        Maybe(why) | Never(why) => Some(format!("{name}: {why}")),
    };
    POINTS.iter().filter_map(why).collect()
}

fn found<'a>(pattern: &str, text: &'a str) -> Vec<&'a str> {
    Regex::new(pattern).unwrap().captures_iter(text).map(|found| found.get(1).unwrap().as_str()).collect()
}

/// The body of a function of these sources.
fn body<'a>(text: &'a str, signature: &str) -> &'a str {
    let (_, rest) = text.split_once(signature).unwrap();
    rest.split_once("\n    }").unwrap().0
}

/// Every name that the sources have.
fn of_sources() -> BTreeSet<String> {
    const METHOD: &str = r"(?m)^    async fn (\w+)\(";
    let mut names = BTreeSet::from(
        ["ack", "publish", "mark of events", "mark of nothing", "commit of nothing", "commit of rejected"].map(str::to_owned),
    );
    let store = found(METHOD, include_str!("../../src/engine/ports/store.rs"));
    names.extend(store.into_iter().filter(|name| !["commit", "published"].contains(name)).map(str::to_owned));
    let reviewing = found(METHOD, include_str!("../../src/engine/ports/reviewing.rs"));
    names.extend(reviewing.into_iter().map(|name| format!("reviewing {name}")));
    let batches = found(METHOD, include_str!("../../src/engine/ports/batches.rs"));
    names.extend(batches.into_iter().map(|name| format!("batches {name}")));
    let facts = include_str!("../../src/domain/request/fact.rs");
    let words = found(r#"=> "(\w+)""#, body(facts, "pub fn word("));
    names.extend(words.into_iter().filter(|word| !["intent", "ended"].contains(word)).map(|word| format!("commit of {word}")));
    let outcomes = found(r#"=> "(\w+)""#, body(facts, "pub fn outcome("));
    names.extend(outcomes.into_iter().map(|outcome| format!("commit of ended {outcome}")));
    for story in &STORIES {
        slots(story, &mut names);
    }
    names
}

/// The calls and intents of a story's process, but for what the story leaves out.
fn slots(story: &Story, names: &mut BTreeSet<String>) {
    let process = parse("story.yaml", story.file, &Known::default()).unwrap().process;
    let mut call = |slot: &str, intent: bool| {
        names.insert(format!("call {slot}"));
        if intent {
            names.insert(format!("commit of intent {slot}"));
        }
    };
    for step in &process.steps {
        let name = &step.name;
        match &step.kind {
            StepKind::Verify(_) => call(name, false),
            StepKind::Execute(execute) => {
                call(name, true);
                if execute.reconcile.is_some() {
                    call(&format!("reconcile.{name}"), false);
                }
                if let Some(undo) = &execute.undo {
                    call(&format!("undo.{name}"), true);
                    if undo.reconcile.is_some() {
                        call(&format!("reconcile.undo.{name}"), false);
                    }
                }
            }
            StepKind::Wait(_) | StepKind::Review { .. } => {}
        }
    }
    if process.done_when.call.is_some() {
        call("done_when", false);
    }
}

#[test]
fn the_list_names_what_the_sources_have() {
    assert!(POINTS.is_sorted_by(|a, b| a.0 < b.0), "the list is in order, without repetitions");
    let listed: BTreeSet<String> = POINTS.iter().map(|(name, _)| (*name).to_owned()).collect();
    let sources = of_sources();
    let missing: Vec<_> = sources.difference(&listed).collect();
    let gone: Vec<_> = listed.difference(&sources).collect();
    assert!(missing.is_empty() && gone.is_empty(), "in the sources and not listed: {missing:?}; listed and not there: {gone:?}");
    for (name, how) in POINTS {
        if let In(stories) | Read(stories) = how {
            assert!(!stories.is_empty() && stories.iter().all(|(_, times)| *times > 0), "{name} is played by nobody");
            let is_known = |name: &str| STORIES.iter().any(|story| story.name == name);
            assert!(stories.iter().all(|(story, _)| is_known(story)), "{name} is in a story that is not there");
        }
    }
}
