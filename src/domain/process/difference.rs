//! What is different between two versions of a process: part by part for those who know the process, line by line for those who
//! know the file.
//!
//! The hard part is to say what moved and what changed without knowing every key: so both files become lists of places and
//! texts, in which a step is named by its name and not by its number, and places are compared. A key that is added to the language
//! tomorrow is compared like all others.

use std::collections::{BTreeMap, BTreeSet};

use super::finding::Report;
use super::model::Process;
use super::yaml::{self, Node, Value};

/// The most pairs of lines that are compared; where both files have more different lines, they are shown one after the other.
const MOST_PAIRS: usize = 4_000_000;
/// Lines that are shown around a change.
const AROUND: usize = 3;

/// What of a process is different.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PartKind {
    /// What belongs to no other part: title, promise, schema, limits, how the outcome is verified.
    Process,
    /// A step, by its name.
    Step,
    /// A reason, by its name.
    Reason,
    /// A question, by its name.
    Review,
}

/// How it is different.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Only the later version has it.
    Added,
    /// Only the earlier version has it.
    Removed,
    /// Both have it, and not the same.
    Changed,
}

/// A part of a process that is different.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// What it is.
    pub kind: PartKind,
    /// Its name; empty for the process itself.
    pub name: String,
    /// How it is different.
    pub change: Change,
    /// Place by place, in the order of the later file.
    pub places: Vec<Place>,
}

/// One place of a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Where: `refuse_when[1].reason`.
    pub place: String,
    /// What stood there.
    pub from: Option<String>,
    /// What stands there.
    pub to: Option<String>,
}

/// A line of the files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Its number in the earlier file, from 1.
    pub from: Option<usize>,
    /// Its number in the later file, from 1.
    pub to: Option<usize>,
    /// The line.
    pub text: String,
}

/// Part by part. The version itself is always different and not listed.
#[must_use]
pub fn parts(from: &Process, to: &Process) -> Vec<Part> {
    let (before, after) = (flat(&from.source), flat(&to.source));
    let known = |list: &[Leaf]| list.iter().map(|leaf| (leaf.kind, leaf.name.clone())).collect::<BTreeSet<_>>();
    let (were, are) = (known(&before), known(&after));
    let old: BTreeMap<_, &Leaf> = before.iter().map(|leaf| (leaf.key(), leaf)).collect();
    let new: BTreeMap<_, &Leaf> = after.iter().map(|leaf| (leaf.key(), leaf)).collect();
    let mut parts: Vec<Part> = Vec::new();
    let gone = before.iter().filter(|leaf| !new.contains_key(&leaf.key()));
    for leaf in after.iter().chain(gone) {
        let (from, to) = (old.get(&leaf.key()).map(|leaf| leaf.text.clone()), new.get(&leaf.key()).map(|leaf| leaf.text.clone()));
        if from == to {
            continue;
        }
        let place = Place { place: leaf.place.clone(), from, to };
        if let Some(part) = parts.iter_mut().find(|part| part.kind == leaf.kind && part.name == leaf.name) {
            part.places.push(place);
            continue;
        }
        let named = (leaf.kind, leaf.name.clone());
        let change = match (were.contains(&named), are.contains(&named)) {
            (false, _) => Change::Added,
            (true, false) => Change::Removed,
            (true, true) => Change::Changed,
        };
        parts.push(Part { kind: leaf.kind, name: leaf.name.clone(), change, places: vec![place] });
    }
    parts.sort_by_key(|part| part.kind);
    parts
}

/// A text and its place.
struct Leaf {
    kind: PartKind,
    name: String,
    place: String,
    text: String,
}

impl Leaf {
    fn key(&self) -> (PartKind, &str, &str) {
        (self.kind, &self.name, &self.place)
    }
}

/// All texts of a file that was accepted; of another one, none.
fn flat(source: &str) -> Vec<Leaf> {
    let mut leaves = Vec::new();
    let mut report = Report::new("", source);
    let Some(Node { value: Value::Map(entries), .. }) = yaml::read(&mut report, source) else { return leaves };
    for (key, node) in &entries {
        match (key.name.as_str(), &node.value) {
            ("version", _) => {}
            ("steps", Value::List(items)) => steps(items, &mut leaves),
            ("reasons", Value::Map(inner)) => by_name(inner, PartKind::Reason, &mut leaves),
            ("reviews", Value::Map(inner)) => by_name(inner, PartKind::Review, &mut leaves),
            (name, _) => walk(node, PartKind::Process, "", name, &mut leaves),
        }
    }
    leaves
}

fn by_name(entries: &[(yaml::Key, Node)], kind: PartKind, leaves: &mut Vec<Leaf>) {
    for (key, node) in entries {
        walk(node, kind, &key.name, "", leaves);
    }
}

/// The steps by name, and their order as a text of its own.
fn steps(items: &[Node], leaves: &mut Vec<Leaf>) {
    let mut order = Vec::new();
    let mut inner = Vec::new();
    for item in items {
        let Value::Map(entries) = &item.value else { continue };
        let group = entries.iter().find(|(key, _)| key.name == "together").map(|(_, node)| &node.value);
        let members: &[Node] = match group {
            Some(Value::List(members)) => members,
            _ => std::slice::from_ref(item),
        };
        let names = members.iter().map(|member| {
            let name = named(member);
            walk(member, PartKind::Step, &name, "", &mut inner);
            name
        });
        order.push(names.collect::<Vec<_>>().join(" + "));
    }
    let text = order.join(" → ");
    leaves.push(Leaf { kind: PartKind::Process, name: String::new(), place: "steps".to_owned(), text });
    leaves.append(&mut inner);
}

/// What a step says after the key that says what it is.
fn named(step: &Node) -> String {
    let Value::Map(entries) = &step.value else { return String::new() };
    let kind = entries.iter().find(|(key, _)| ["verify", "execute", "wait", "review"].contains(&key.name.as_str()));
    kind.map(|(_, node)| text(node)).unwrap_or_default()
}

fn walk(node: &Node, kind: PartKind, name: &str, place: &str, leaves: &mut Vec<Leaf>) {
    let mut leaf = |text| leaves.push(Leaf { kind, name: name.to_owned(), place: place.to_owned(), text });
    match &node.value {
        Value::Map(entries) if !entries.is_empty() => {
            for (key, inner) in entries {
                let dot = if place.is_empty() { "" } else { "." };
                walk(inner, kind, name, &format!("{place}{dot}{}", key.name), leaves);
            }
        }
        // A list of words is one text: `accept: [200, 404]`.
        Value::List(items) if items.iter().any(|item| matches!(item.value, Value::List(_) | Value::Map(_))) => {
            for (at, inner) in items.iter().enumerate() {
                walk(inner, kind, name, &format!("{place}[{at}]"), leaves);
            }
        }
        _ => leaf(text(node)),
    }
}

fn text(node: &Node) -> String {
    match &node.value {
        Value::Text(text) => text.clone(),
        _ => node.to_json().to_string(),
    }
}

/// Line by line: what is different and a few lines around it. Where numbers jump, lines that are the same were left out.
#[must_use]
pub fn lines(from: &Process, to: &Process) -> Vec<Line> {
    let (old, new): (Vec<&str>, Vec<&str>) = (from.source.lines().collect(), to.source.lines().collect());
    let head = old.iter().zip(&new).take_while(|(old, new)| old == new).count();
    let rest = old.len().min(new.len()) - head;
    let tail = old.iter().rev().zip(new.iter().rev()).take(rest).take_while(|(old, new)| old == new).count();
    let (middle_old, middle_new) = (&old[head..old.len() - tail], &new[head..new.len() - tail]);
    let mut lines = Vec::with_capacity(old.len() + new.len());
    let line = |from: Option<usize>, to: Option<usize>, text: &str| {
        let number = |at: usize| at + 1;
        Line { from: from.map(number), to: to.map(number), text: text.to_owned() }
    };
    lines.extend((0..head).zip(&old).map(|(at, text)| line(Some(at), Some(at), text)));
    let (mut i, mut j) = (0, 0);
    for (same_old, same_new) in common(middle_old, middle_new).into_iter().chain([(middle_old.len(), middle_new.len())]) {
        lines.extend((i..same_old).map(|at| line(Some(head + at), None, middle_old[at])));
        lines.extend((j..same_new).map(|at| line(None, Some(head + at), middle_new[at])));
        if let Some(text) = middle_old.get(same_old) {
            lines.push(line(Some(head + same_old), Some(head + same_new), text));
        }
        (i, j) = (same_old + 1, same_new + 1);
    }
    for back in (1..=tail).rev() {
        lines.push(line(Some(old.len() - back), Some(new.len() - back), old[old.len() - back]));
    }
    around(lines)
}

/// The longest list of lines that both have, by their places.
fn common(old: &[&str], new: &[&str]) -> Vec<(usize, usize)> {
    if old.len().saturating_mul(new.len()) > MOST_PAIRS {
        return Vec::new();
    }
    let width = new.len() + 1;
    // How many lines both have from here on.
    let mut left = vec![0_u32; (old.len() + 1) * width];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            left[i * width + j] = if old[i] == new[j] {
                left[(i + 1) * width + j + 1] + 1
            } else {
                left[(i + 1) * width + j].max(left[i * width + j + 1])
            };
        }
    }
    let (mut i, mut j, mut found) = (0, 0, Vec::new());
    while i < old.len() && j < new.len() {
        if old[i] == new[j] {
            found.push((i, j));
            (i, j) = (i + 1, j + 1);
        } else if left[(i + 1) * width + j] >= left[i * width + j + 1] {
            i += 1;
        } else {
            j += 1;
        }
    }
    found
}

/// Only the changes and the lines next to them.
fn around(lines: Vec<Line>) -> Vec<Line> {
    let changed: Vec<usize> =
        lines.iter().enumerate().filter(|(_, line)| line.from.is_none() || line.to.is_none()).map(|(at, _)| at).collect();
    let near = |at: usize| {
        let next = changed.partition_point(|changed| *changed < at.saturating_sub(AROUND));
        changed.get(next).is_some_and(|changed| *changed <= at + AROUND)
    };
    lines.into_iter().enumerate().filter(|(at, _)| near(*at)).map(|(_, line)| line).collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::super::{Known, parse};
    use super::*;

    const OLD: &str = include_str!("../../../tests/api/processes/change.yaml");

    fn process(source: &str) -> Process {
        parse("change.yaml", source, &Known::default()).map_err(|found| format!("{found:?}")).unwrap().process
    }

    fn said(from: &str, to: &str) -> Vec<String> {
        let show = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        let parts = parts(&process(from), &process(to));
        let say = |part: Part| {
            let (kind, name, change) = (part.kind, part.name, part.change);
            part.places.into_iter().map(move |place| {
                format!("{kind:?} {name} {change:?} {}: {} => {}", place.place, show(place.from), show(place.to))
            })
        };
        parts.into_iter().flat_map(say).collect()
    }

    #[test]
    fn the_same_file_has_no_difference() {
        assert_eq!(said(OLD, OLD), Vec::<String>::new());
        assert!(lines(&process(OLD), &process(OLD)).is_empty());
        assert_eq!(said(OLD, &OLD.replace("version: 1", "version: 2")), Vec::<String>::new());
    }

    #[test]
    fn parts_are_named_by_their_names() {
        let (review, rest) = OLD.split_once("  - review: big_change\n").unwrap();
        let (when, rest) = rest.split_once("\n  - execute: change").unwrap();
        let later = review.replace("answer.sure == true", "answer.sure").replace("promise: 10m", "promise: 1h")
            + "  - execute: change"
            + &rest.replacen("\ndone_when", &format!("\n  - review: big_change\n{when}\ndone_when"), 1);
        let later = later.replace("reasons:\n", "reasons:\n  late: {customer: {en: Too late., zh-CN: 太晚。}}\n");
        let later = later.replace("refuse_when: [{if", "refuse_when: [{if: \"answer.late == true\", reason: late}, {if");
        let expected = [
            "Process  Changed promise: 10m => 1h",
            "Process  Changed steps: known → big_change → change => known → change → big_change",
            "Step known Changed refuse_when[0].if: answer.gone == true => answer.late == true",
            "Step known Changed refuse_when[0].reason: gone => late",
            "Step known Changed refuse_when[1].if: - => answer.gone == true",
            "Step known Changed refuse_when[1].reason: - => gone",
            "Step known Changed pass_when: answer.sure == true => answer.sure",
            "Reason late Added customer.en: - => Too late.",
            "Reason late Added customer.zh-CN: - => 太晚。",
        ];
        assert_eq!(said(OLD, &later), expected);
        assert!(said(&later, OLD).contains(&"Reason late Removed customer.en: Too late. => -".to_owned()));
    }

    #[test]
    fn lines_are_paired_and_the_rest_left_out() {
        let numbered = |n: usize| format!("# {n}\n");
        let old: String = (0..40).map(numbered).collect::<String>() + OLD;
        let new = old.replace("# 20\n", "# twenty\n# and one\n");
        let lines = lines(&process(&old), &process(&new));
        let shown: Vec<String> = lines
            .iter()
            .map(|line| {
                let number = |n: Option<usize>| n.map(|n| n.to_string()).unwrap_or_default();
                format!("{}|{}|{}", number(line.from), number(line.to), line.text)
            })
            .collect();
        let expected = [
            "18|18|# 17",
            "19|19|# 18",
            "20|20|# 19",
            "21||# 20",
            "|21|# twenty",
            "|22|# and one",
            "22|23|# 21",
            "23|24|# 22",
            "24|25|# 23",
        ];
        assert_eq!(shown, expected);
    }

    #[test]
    fn what_is_too_different_is_shown_one_after_the_other() {
        let old: Vec<String> = (0..2_100).map(|n| n.to_string()).collect();
        let old: Vec<&str> = old.iter().map(String::as_str).collect();
        assert!(common(&old, &old).is_empty());
        assert_eq!(common(&["a", "b", "c"], &["b", "x", "c"]), [(1, 0), (2, 2)]);
    }
}
