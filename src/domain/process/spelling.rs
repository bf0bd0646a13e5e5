//! Small help with words: suggestions for a misspelt name, lists in a sentence, what a name may look like.

/// The candidate nearest to a misspelt name, if one is near enough to be meant.
pub(super) fn did_you_mean<'c>(name: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let wanted = fold(name);
    if wanted.len() > 80 {
        return None;
    }
    let limit = (wanted.chars().count() / 3).clamp(1, 3);
    candidates
        .into_iter()
        .map(|candidate| (distance(&wanted, &fold(candidate)), candidate))
        .filter(|(distance, candidate)| *distance <= limit && *candidate != name)
        .min()
        .map(|(_, candidate)| candidate)
}

/// `cardId`, `card-id` and `card_id` are the same word to somebody who misremembers.
fn fold(name: &str) -> String {
    name.chars().filter(|c| !matches!(c, '_' | '-' | ' ')).flat_map(char::to_lowercase).collect()
}

/// Edit distance in which swapping two neighbours counts once.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    if a.len().abs_diff(b.len()) > 3 {
        return usize::MAX;
    }
    let mut rows = vec![vec![0usize; b.len() + 1]; a.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    for (j, cell) in rows[0].iter_mut().enumerate() {
        *cell = j;
    }
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let change = usize::from(a[i - 1] != b[j - 1]);
            let mut best = (rows[i - 1][j] + 1).min(rows[i][j - 1] + 1).min(rows[i - 1][j - 1] + change);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[a.len()][b.len()]
}

/// `a`, `a or b`, `a, b or c`.
pub(super) fn list_or(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

/// `` `a`, `b`, `c` ``, at most twelve of them.
pub(super) fn quoted<'w>(words: impl IntoIterator<Item = &'w str>) -> String {
    let mut shown: Vec<String> = Vec::new();
    for word in words {
        if shown.len() == 12 {
            shown.push("…".to_owned());
            break;
        }
        shown.push(format!("`{word}`"));
    }
    shown.join(", ")
}

/// Words that CEL keeps for itself: a step of this name could not be read as `answers.<name>`.
const RESERVED: &[&str] = &[
    "as",
    "break",
    "const",
    "continue",
    "else",
    "false",
    "for",
    "function",
    "if",
    "import",
    "in",
    "let",
    "loop",
    "namespace",
    "null",
    "package",
    "return",
    "true",
    "var",
    "void",
    "while",
];

/// Says what is wrong with a name, or nothing where it is a proper `snake_case` name.
pub(super) fn name_fault(name: &str) -> Option<String> {
    if RESERVED.contains(&name) {
        return Some(format!("`{name}` is a word of the expression language and cannot be a name"));
    }
    if name.len() > 64 {
        return Some("a name is at most 64 characters long".to_owned());
    }
    let shape = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    (!shape).then(|| format!("`{}` is not a snake_case name", name.chars().take(64).collect::<String>()))
}

/// The `snake_case` form of a name, for a hint.
pub(super) fn to_snake_case(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars().take(64) {
        if c.is_ascii_uppercase() && !out.is_empty() && !out.ends_with('_') {
            out.push('_');
        }
        if c.is_ascii_alphanumeric() {
            out.push(c.to_ascii_lowercase());
        } else if !out.is_empty() && !out.ends_with('_') {
            out.push('_');
        }
    }
    let trimmed = out.trim_matches('_').trim_start_matches(|c: char| c.is_ascii_digit() || c == '_').to_owned();
    if trimmed.is_empty() { "a_name".to_owned() } else { trimmed }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_name_finds_its_neighbour_and_a_strange_one_does_not() {
        let names = ["refuse_when", "pass_when", "otherwise", "call"];
        assert_eq!(did_you_mean("refuse_wen", names), Some("refuse_when"));
        assert_eq!(did_you_mean("passWhen", names), Some("pass_when"));
        assert_eq!(did_you_mean("clal", names), Some("call"));
        assert_eq!(did_you_mean("otherwise", names), None);
        assert_eq!(did_you_mean("banana", names), None);
        assert_eq!(did_you_mean("", names), None);
    }

    #[test]
    fn names_are_snake_case() {
        assert_eq!(name_fault("card_unbind2"), None);
        for bad in ["", "Card", "2card", "card-unbind", "in", "карта", &"a".repeat(65)] {
            assert!(name_fault(bad).is_some(), "{bad}");
        }
        assert_eq!(to_snake_case("cardUnbind"), "card_unbind");
        assert_eq!(to_snake_case("2 Card-unbind!"), "card_unbind");
        assert_eq!(to_snake_case("卡"), "a_name");
    }

    #[test]
    fn lists_read_like_sentences() {
        assert_eq!(list_or(&["a"]), "a");
        assert_eq!(list_or(&["a", "b", "c"]), "a, b or c");
        assert_eq!(quoted(["a", "b"]), "`a`, `b`");
    }
}
