//! The seeded mutator: knows bytes, and the structure of JSON.

use serde_json::Value;

use crate::dictionary::{PIECES, TEXTS, TOKENS};
use crate::run::Random;

/// The largest input that is made; limits of the product lie below (1 MiB has tests of its own).
const LARGEST: usize = 64 * 1024;

/// Changes bytes in one to four ways.
pub(crate) fn bytes(random: &mut Random, input: &[u8], other: &[u8]) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..=random.below(4) {
        change(random, &mut bytes, other);
    }
    bytes.truncate(LARGEST);
    bytes
}

fn change(random: &mut Random, bytes: &mut Vec<u8>, other: &[u8]) {
    let at = random.below(bytes.len() + 1);
    let to = (at + random.below(32)).min(bytes.len());
    match random.below(9) {
        0 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << random.below(8);
            }
        }
        1 => drop(bytes.splice(at..at, random.pick(PIECES).iter().copied())),
        2 => drop(bytes.splice(at..to, random.pick(PIECES).iter().copied())),
        3 => drop(bytes.drain(at..to)),
        4 => bytes.truncate(at),
        5 => {
            let part = bytes[at..to].to_vec();
            let times = random.below(64);
            drop(bytes.splice(at..at, part.repeat(times)));
        }
        6 => {
            let from = random.below(other.len() + 1);
            let end = (from + random.below(200)).min(other.len());
            drop(bytes.splice(at..to, other[from..end].iter().copied()));
        }
        7 => {
            let piece = random.pick(PIECES);
            let times = [2, 100, 1_000, 5_000][random.below(4)];
            drop(bytes.splice(at..at, piece.repeat(times)));
        }
        _ => drop(bytes.splice(at..to, random.pick(TOKENS).bytes())),
    }
}

/// Changes a JSON text by its structure, and sometimes by its bytes as well.
pub(crate) fn json(random: &mut Random, seed: &Value, other: &[u8]) -> Vec<u8> {
    let mut value = seed.clone();
    let mut tokens = Vec::new();
    for _ in 0..=random.below(3) {
        let count = nodes(&value);
        let at = random.below(count);
        place(random, &mut value, at, &mut tokens);
    }
    let mut text = value.to_string();
    for (number, token) in tokens.iter().enumerate() {
        text = text.replace(&format!("\"@{number}@\""), token);
    }
    if random.one_in(8) {
        text = format!("{}{text}{}", "[".repeat(random.below(200)), "]".repeat(random.below(200)));
    }
    if random.one_in(3) { bytes(random, text.as_bytes(), other) } else { text.into_bytes() }
}

fn nodes(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(nodes).sum(),
        Value::Object(object) => object.values().map(nodes).sum(),
        _ => 0,
    }
}

/// Does something to the node number `at`, counted from the root. A token that no value can hold stands as `"@n@"` for now.
fn place(random: &mut Random, value: &mut Value, mut at: usize, tokens: &mut Vec<String>) {
    if at == 0 {
        return alter(random, value, tokens);
    }
    at -= 1;
    let children: Box<dyn Iterator<Item = &mut Value>> = match value {
        Value::Array(items) => Box::new(items.iter_mut()),
        Value::Object(object) => Box::new(object.values_mut()),
        _ => return,
    };
    for child in children {
        let count = nodes(child);
        if at < count {
            return place(random, child, at, tokens);
        }
        at -= count;
    }
}

fn alter(random: &mut Random, value: &mut Value, tokens: &mut Vec<String>) {
    let mut token = |text: String| {
        tokens.push(text);
        Value::String(format!("@{}@", tokens.len() - 1))
    };
    match random.below(8) {
        0..3 => *value = token(random.pick(TOKENS).to_owned()),
        3 => {
            let depth = [1, 30, 62, 63, 64, 65, 126, 127, 128, 1_000][random.below(10)];
            let (open, close) = if random.one_in(2) { ("[", "]") } else { ("{\"a\":", "}") };
            *value = token(format!("{}{value}{}", open.repeat(depth), close.repeat(depth)));
        }
        4 => *value = Value::String(random.pick(TEXTS).repeat([1, 2, 70, 600, 5_000][random.below(5)])),
        5 => match value {
            Value::Object(object) => {
                let name = random.pick(TEXTS).repeat([1, 1, 40, 300][random.below(4)]);
                let taken = token(random.pick(TOKENS).to_owned());
                object.insert(name, taken);
            }
            Value::Array(items) => {
                let item = items.first().cloned().unwrap_or_default();
                items.extend(std::iter::repeat_n(item, random.below(300)));
            }
            other => *other = Value::Array(vec![other.clone(); random.below(300)]),
        },
        6 => {
            if let Value::Object(object) = value
                && let Some(name) = object.keys().nth(random.below(object.len())).cloned()
            {
                object.remove(&name);
            } else {
                *value = Value::Null;
            }
        }
        // A key twice: written beside itself in the text.
        _ => {
            if let Value::Object(object) = value
                && let Some((name, held)) = object.iter().nth(random.below(object.len()))
            {
                let inner = Value::Object(object.clone()).to_string();
                let name = Value::String(name.clone());
                *value = token(format!("{},{name}:{held}}}", inner.trim_end_matches('}')));
            }
        }
    }
}

/// A text for an id, a header or a key.
pub(crate) fn text(random: &mut Random, seed: &str) -> String {
    match random.below(4) {
        0 => seed.to_owned(),
        1 => random.pick(TEXTS).repeat([1, 1, 1, 60, 256][random.below(5)]),
        2 => format!("{seed}{}", random.pick(TEXTS)),
        _ => String::from_utf8_lossy(&bytes(random, seed.as_bytes(), b"")).into_owned(),
    }
}
