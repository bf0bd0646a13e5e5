//! A process as a diagram: its steps from top to bottom, each with what it checks or does, and to the side where it may leave.

use super::frame::Look;
use super::read::Process;
use super::show::text_by_language;

const BOX_WIDTH: u32 = 300;
const BOX_HEIGHT: u32 = 46;
const GAP: u32 = 22;
const LEFT: u32 = 20;

/// One box.
pub(super) struct Node {
    pub(super) x: u32,
    pub(super) y: u32,
    pub(super) width: u32,
    pub(super) height: u32,
    /// The middle of the box, from the left.
    pub(super) center: u32,
    /// Where what stands beside it begins.
    pub(super) aside: u32,
    pub(super) middle: u32,
    pub(super) class: String,
    pub(super) title: String,
    pub(super) sub: String,
    /// The arrow that leads to it begins here; 0: none does.
    pub(super) from: u32,
    /// What stands beside it, each line with its height: the clause.
    pub(super) beside: Vec<(u32, String)>,
}

/// A diagram.
pub(super) struct Diagram {
    pub(super) nodes: Vec<Node>,
    pub(super) height: u32,
}

/// The most columns of a text in a box, and of a line beside it.
const SHORT: usize = 44;
const LONG: usize = 64;

/// Chinese characters are twice as wide as letters.
fn columns(c: char) -> usize {
    if c < '\u{2e80}' { 1 } else { 2 }
}

fn cut(text: &str, most: usize) -> String {
    if text.chars().map(columns).sum::<usize>() <= most {
        return text.to_owned();
    }
    let mut room = most - 1;
    let fits = |c: &char| {
        let left = room.checked_sub(columns(*c));
        room = left.unwrap_or(0);
        left.is_some()
    };
    text.chars().take_while(fits).chain(['…']).collect()
}

/// In two lines where one is too short.
fn lines(text: &str) -> Vec<String> {
    let (mut width, mut end) = (0, 0);
    for (at, c) in text.char_indices() {
        if c == ' ' || columns(c) == 2 {
            end = at;
        }
        width += columns(c);
        if width > LONG && end > 0 {
            let (first, second) = text.split_at(end);
            return vec![first.to_owned(), cut(second.trim_start(), LONG)];
        }
    }
    vec![cut(text, LONG)]
}

/// Draws a process.
pub(super) fn draw(process: &Process, look: &Look) -> Diagram {
    let t = look.lang.texts();
    let mut boxes = vec![("start".to_owned(), t.processes.start.to_owned(), String::new(), String::new())];
    for step in &process.steps {
        let mut sub = vec![t.step_kind(&step.kind).to_owned()];
        sub.extend(step.connector.clone());
        if step.undo {
            sub.push(t.processes.undo.to_owned());
        }
        if let Some(when) = &step.when {
            sub.push(format!("{}: {when}", t.processes.only_when));
        }
        let beside = match (&step.clause, &step.text) {
            (Some(clause), Some(text)) => format!("{clause} · {}", text_by_language(&step.texts, Some(text), look)),
            _ => String::new(),
        };
        boxes.push((step.kind.clone(), step.name.clone(), sub.join(" · "), beside));
    }
    boxes.push(("verify".to_owned(), "done_when".to_owned(), t.processes.done_when.to_owned(), String::new()));
    boxes.push(("end".to_owned(), t.processes.accepted_end.to_owned(), String::new(), String::new()));
    let mut nodes = Vec::new();
    let mut y = 10;
    for (at, (class, title, sub, beside)) in boxes.into_iter().enumerate() {
        nodes.push(Node {
            x: LEFT,
            y,
            width: BOX_WIDTH,
            height: BOX_HEIGHT,
            center: LEFT + BOX_WIDTH / 2,
            aside: LEFT + BOX_WIDTH + 18,
            middle: y + BOX_HEIGHT / 2,
            class,
            title: cut(&title, SHORT),
            sub: cut(&sub, SHORT),
            from: if at == 0 { 0 } else { y - GAP },
            beside: aside(y + BOX_HEIGHT / 2, &beside),
        });
        y += BOX_HEIGHT + GAP;
    }
    Diagram { nodes, height: y - GAP + 10 }
}

/// Lines around this height.
fn aside(middle: u32, text: &str) -> Vec<(u32, String)> {
    match lines(text).as_slice() {
        [one] if one.is_empty() => Vec::new(),
        [one] => vec![(middle, one.clone())],
        all => all.iter().zip([middle - 8, middle + 8]).map(|(line, y)| (y, line.clone())).collect(),
    }
}

impl Node {
    /// The base line of its title.
    pub(super) fn line(&self) -> u32 {
        if self.sub.is_empty() { self.middle + 5 } else { self.middle - 3 }
    }

    /// The base line of what stands below the title.
    pub(super) fn below(&self) -> u32 {
        self.middle + 14
    }

    /// The arrow's tip.
    pub(super) fn tip(&self) -> String {
        let (x, y) = (self.center, self.y);
        format!("{},{} {},{} {},{}", x - 5, y.saturating_sub(8), x + 5, y.saturating_sub(8), x, y)
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderMap;

    use super::super::read::Step;
    use super::*;

    #[test]
    fn steps_stand_below_each_other() {
        let step = |name: &str| Step { name: name.into(), kind: "verify".into(), ..Step::default() };
        let diagram = draw(&Process { steps: vec![step("a"), step("b")], ..Process::default() }, &Look::of(&HeaderMap::new()));
        assert_eq!(diagram.nodes.len(), 5);
        assert!(diagram.nodes.windows(2).all(|two| two[1].y >= two[0].y + BOX_HEIGHT + GAP));
        assert_eq!(diagram.height, 10 + 5 * BOX_HEIGHT + 4 * GAP + 10);
        assert_eq!(cut("abc", 3), "abc");
        assert_eq!(cut("abcd", 3), "ab…");
        assert_eq!(cut("持卡人", 5), "持卡…");
    }

    #[test]
    fn what_is_long_stands_in_two_lines() {
        let long = "ID-2.2 · The customer is active and the identity number is the one on file";
        assert_eq!(lines(long), ["ID-2.2 · The customer is active and the identity number is the", "one on file"]);
        assert_eq!(lines("ID-2.4 · short"), ["ID-2.4 · short"]);
        let wide = "条".repeat(70);
        assert_eq!(lines(&wide), ["条".repeat(32), format!("{}…", "条".repeat(31))]);
        assert_eq!((aside(100, ""), aside(100, "a")), (Vec::new(), vec![(100, "a".to_owned())]));
        assert_eq!(aside(100, long).iter().map(|(y, _)| *y).collect::<Vec<_>>(), [92, 108]);
    }
}
