//! Hiding most of a text while leaving enough to recognise it by.
//!
//! At most a quarter of the characters is shown, and never more than four; the one exception are Chinese names,
//! where a quarter would be nothing: 张三 becomes 张*. The length of what is hidden is shown up to eight stars.

/// Stars that a mask has at most: a longer run tells nothing more.
const MAX_STARS: usize = 8;

/// Characters at the end that a long text keeps.
const MAX_SHOWN: usize = 4;

/// Longest text that may be a person's name.
const MAX_NAME: usize = 40;

/// `text` with most of it replaced by `*`: a number keeps its last four characters or fewer, a name its first.
pub fn mask_text(text: &str) -> String {
    let text = text.trim();
    let clusters = clusters(text);
    let count = clusters.len();
    if (2..=4).contains(&count) && text.chars().all(is_ideograph) {
        return format!("{}{}", clusters[0], stars(count - 1));
    }
    let shown = (count / 4).min(MAX_SHOWN);
    if shown > 0 && count <= MAX_NAME && text.chars().all(is_name_character) {
        return format!("{}{}", clusters[0], stars(count - 1));
    }
    let hidden = count - shown;
    format!("{}{}", stars(hidden), clusters[hidden..].concat())
}

fn stars(count: usize) -> String {
    "*".repeat(count.min(MAX_STARS))
}

/// What a reader sees as one character: a mark or a joiner goes with what it stands on. An approximation of
/// Unicode's grapheme clusters that errs by hiding more.
fn clusters(text: &str) -> Vec<&str> {
    let mut starts = Vec::new();
    let mut joined = false;
    for (at, c) in text.char_indices() {
        if starts.is_empty() || !(joined || is_extending(c)) {
            starts.push(at);
        }
        joined = c == '\u{200D}';
    }
    let ends = starts.iter().skip(1).copied().chain([text.len()]);
    starts.iter().zip(ends).filter_map(|(&start, end)| text.get(start..end)).collect()
}

fn is_extending(c: char) -> bool {
    matches!(c,
        '\u{0300}'..='\u{036F}' | '\u{0483}'..='\u{0489}' | '\u{0591}'..='\u{05BD}' | '\u{064B}'..='\u{065F}'
        | '\u{0900}'..='\u{0903}' | '\u{093A}'..='\u{094F}' | '\u{0E31}' | '\u{0E34}'..='\u{0E3A}' | '\u{0E47}'..='\u{0E4E}'
        | '\u{1AB0}'..='\u{1AFF}' | '\u{1DC0}'..='\u{1DFF}' | '\u{200C}'..='\u{200D}' | '\u{20D0}'..='\u{20FF}'
        | '\u{302A}'..='\u{302F}' | '\u{3099}'..='\u{309A}' | '\u{FE00}'..='\u{FE0F}' | '\u{FE20}'..='\u{FE2F}'
        | '\u{1F1E6}'..='\u{1F1FF}' | '\u{1F3FB}'..='\u{1F3FF}' | '\u{E0100}'..='\u{E01EF}')
}

fn is_ideograph(c: char) -> bool {
    matches!(c, '\u{3400}'..='\u{4DBF}' | '\u{4E00}'..='\u{9FFF}' | '\u{F900}'..='\u{FAFF}' | '\u{20000}'..='\u{3134F}' | '〇')
}

fn is_name_character(c: char) -> bool {
    c.is_alphabetic() || is_extending(c) || matches!(c, ' ' | '.' | '-' | '\'' | '’' | '·' | '•')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn masks() {
        let table = [
            ("", ""),
            ("1", "*"),
            ("123", "***"),
            ("1234", "***4"),
            ("13812345678", "********78"),
            ("6222021234567890", "********7890"),
            ("11010519491231002X", "********002X"),
            ("张三", "张*"),
            ("王小明", "王**"),
            ("欧阳小明", "欧***"),
            ("李", "*"),
            ("北京市朝阳区建国路八十八号", "北********"),
            ("Li", "**"),
            ("Anna", "A***"),
            ("Anna Maria Eriksson", "A********"),
            ("O'Neil", "O*****"),
            ("a@b.example", "********le"),
            ("  13812345678\n", "********78"),
            // Two characters for each letter; the mark must not be left alone.
            ("e\u{301}e\u{301}e\u{301}e\u{301}", "e\u{301}***"),
            ("123👨\u{200D}👩\u{200D}👧", "***👨\u{200D}👩\u{200D}👧"),
        ];
        for (text, masked) in table {
            assert_eq!(mask_text(text), masked, "{text}");
        }
    }

    proptest! {
        #[test]
        fn at_most_a_quarter_is_shown(text in "\\PC{0,60}") {
            let masked = mask_text(&text);
            let all = clusters(text.trim());
            let stars = all.iter().filter(|cluster| cluster.starts_with('*')).count();
            prop_assume!(stars == 0);
            let shown = clusters(masked.trim_matches('*')).len();
            let chinese_name = (2..=4).contains(&all.len()) && text.trim().chars().all(is_ideograph);
            let allowed = if chinese_name { 1 } else { (all.len() / 4).min(MAX_SHOWN) };
            prop_assert!(shown <= allowed, "{text:?} -> {masked:?}");
        }
    }
}
