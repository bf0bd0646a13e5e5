//! Where in its file each part of a process stands, for reports about it. The model does not carry places: the engine has
//! no use for them.

use super::finding::Report;
use super::yaml::{self, Node, Value};

/// The file as a tree with places.
pub struct Places<'s> {
    report: Report<'s>,
    root: Option<Node>,
}

/// The keys that name a step.
const STEP_KEYS: [&str; 4] = ["verify", "execute", "wait", "review"];

impl<'s> Places<'s> {
    /// Reads a process file once more. One that cannot be read has everything in line 1.
    #[must_use]
    pub fn read(source: &'s str) -> Places<'s> {
        let mut report = Report::new("", source);
        let root = yaml::read(&mut report, source);
        Places { report, root }
    }

    /// The line of a top-level part, `["reviews", "face_uncertain", "options"]`, or of the nearest one around it.
    #[must_use]
    pub fn line(&self, path: &[&str]) -> usize {
        self.root.as_ref().map_or(1, |root| self.follow(root, path))
    }

    /// Is there such a part?
    #[must_use]
    pub fn has(&self, path: &[&str]) -> bool {
        let step = |node, name: &&str| child(node, name).map(|(_, next)| next);
        self.root.as_ref().and_then(|root| path.iter().try_fold(root, step)).is_some()
    }

    /// The line of a part of a step, `["refuse_when", "0"]`, or of the nearest one around it.
    #[must_use]
    pub fn step_line(&self, step: &str, path: &[&str]) -> usize {
        let steps = self.root.as_ref().and_then(|root| child(root, "steps")).map(|(_, steps)| steps);
        steps.and_then(|steps| find_step(steps, step)).map_or(1, |node| self.follow(node, path))
    }

    fn follow(&self, from: &Node, path: &[&str]) -> usize {
        let (mut here, mut at) = (from, from.at);
        if let Value::Map(entries) = &from.value
            && let Some((key, _)) = entries.first()
        {
            at = key.at;
        }
        for name in path {
            let Some((place, next)) = child(here, name) else { break };
            (here, at) = (next, place);
        }
        self.report.line(at)
    }
}

/// A child by key or index, with the place that tells where it begins.
fn child<'n>(node: &'n Node, name: &str) -> Option<(super::finding::Span, &'n Node)> {
    match &node.value {
        Value::Map(entries) => entries.iter().find(|(key, _)| key.name == name).map(|(key, value)| (key.at, value)),
        Value::List(items) => name.parse::<usize>().ok().and_then(|at| items.get(at)).map(|item| (item.at, item)),
        _ => None,
    }
}

fn find_step<'n>(steps: &'n Node, name: &str) -> Option<&'n Node> {
    let Value::List(items) = &steps.value else { return None };
    items.iter().find_map(|item| {
        if let Some((_, group)) = child(item, "together") {
            return find_step(group, name);
        }
        let named = STEP_KEYS.iter().find_map(|key| child(item, key));
        named.filter(|(_, value)| matches!(&value.value, Value::Text(text) if text == name)).map(|_| item)
    })
}
