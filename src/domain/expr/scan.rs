//! Reading source text without parsing it: where strings end, how deep brackets go.
//!
//! The parser recurses on brackets and may take long over hopeless input, so what is too long or too deep is
//! refused before it sees it. Templates use the same scanner to find the end of `${…}`, because the expression
//! inside may hold braces and quotes of its own.

use super::error::ExprError;

/// Bytes of one expression.
pub(super) const MAX_SOURCE: usize = 2048;

/// Brackets inside brackets.
const MAX_NESTING: usize = 24;

/// Refuses what the parser should not see at all.
pub(super) fn precheck(source: &str) -> Result<(), ExprError> {
    if source.len() > MAX_SOURCE {
        return Err(ExprError::new(format!("the expression has {} bytes; at most {MAX_SOURCE} are allowed", source.len()))
            // The mutator's seed 1, case 215: a character of several bytes may stand there.
            .at(source.floor_char_boundary(MAX_SOURCE))
            .hint("split it over several steps, or ask the remote system a narrower question"));
    }
    if source.trim().is_empty() {
        return Err(ExprError::new("the expression is empty").at(0));
    }
    let bytes = source.as_bytes();
    let mut open: Vec<usize> = Vec::new();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'\'' | b'"' => {
                at = string_end(bytes, at)
                    .ok_or_else(|| ExprError::new("the string is not closed").at(at).hint("close it with the same quote"))?;
                continue;
            }
            b'/' if bytes.get(at + 1) == Some(&b'/') => {
                at += bytes[at..].iter().take_while(|&&b| b != b'\n').count();
                continue;
            }
            b'(' | b'[' | b'{' => {
                open.push(at);
                if open.len() > MAX_NESTING {
                    return Err(ExprError::new(format!("brackets are nested deeper than {MAX_NESTING} levels"))
                        .at(at)
                        .hint("remove brackets, or split the expression"));
                }
            }
            b')' | b']' | b'}' if open.pop().is_none() => {
                return Err(ExprError::new("the bracket closes nothing").at(at).hint("remove it"));
            }
            _ => {}
        }
        at += 1;
    }
    match open.first() {
        Some(&at) => Err(ExprError::new("the bracket is not closed").at(at).hint("close it")),
        None => Ok(()),
    }
}

/// The index after the string that starts with the quote at `start`: plain, triple-quoted or raw. `None` where it
/// does not end.
pub(super) fn string_end(bytes: &[u8], start: usize) -> Option<usize> {
    let quote = *bytes.get(start)?;
    let raw = is_raw(bytes, start);
    let triple = bytes.get(start..start + 3).is_some_and(|three| three.iter().all(|&b| b == quote));
    let mut at = start + if triple { 3 } else { 1 };
    loop {
        let byte = *bytes.get(at)?;
        if byte == b'\\' && !raw {
            at += 2;
        } else if byte == quote && !triple {
            return Some(at + 1);
        } else if byte == quote && bytes.get(at..at + 3).is_some_and(|three| three.iter().all(|&b| b == quote)) {
            return Some(at + 3);
        } else {
            at += 1;
        }
    }
}

/// Whether the quote at `start` has an `r` before it that is not the end of a name.
fn is_raw(bytes: &[u8], start: usize) -> bool {
    let before = |back: usize| start.checked_sub(back).and_then(|at| bytes.get(at)).copied();
    let is_name = |byte: Option<u8>| byte.is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_');
    match before(1) {
        Some(b'r' | b'R') => match before(2) {
            Some(b'b' | b'B') => !is_name(before(3)),
            other => !is_name(other),
        },
        _ => false,
    }
}

/// The index of the `}` that closes an expression whose text starts at `start`.
pub(super) fn closing_brace(text: &str, start: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut depth = 0_usize;
    let mut at = start;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'\'' | b'"' => {
                at = string_end(bytes, at)?;
                continue;
            }
            b'{' => depth += 1,
            b'}' if depth == 0 => return Some(at),
            b'}' => depth -= 1,
            _ => {}
        }
        at += 1;
    }
    None
}
