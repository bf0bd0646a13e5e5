//! Templates as the path of a request to a remote system.
//!
//! The values come from customers. A card id of `../accounts/7` or `?admin=1` must stay a card id: every value
//! is percent-encoded as part of one segment, and a segment that a value leaves empty, or makes `.` or `..`,
//! would name another resource and is refused. The author's own text stands as it is.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::compile::Expr;
use super::error::{EvalError, ExprError};
use super::scope::Scope;
use super::template::{Piece, Template, scalar};

/// Everything but the unreserved characters of RFC 3986.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

impl Template {
    /// Whether the author's own text can be a path below a base URL: it starts with one `/`, and has no fragment,
    /// backslash, space or control character. For lint.
    pub fn check_path(&self) -> Result<(), ExprError> {
        let source = self.source();
        match self.pieces().first() {
            Some(Piece::Text(text)) if text.starts_with('/') && !text.starts_with("//") => {}
            _ => {
                return Err(ExprError::new("a path starts with one `/`").at(0).hint("the connector's base URL comes before it"));
            }
        }
        for piece in self.pieces() {
            let Piece::Text(text) = piece else { continue };
            let bad = text.chars().find(|&c| matches!(c, '#' | '\\') || c.is_whitespace() || c.is_control() || !c.is_ascii());
            if let Some(bad) = bad {
                let error = ExprError::new(format!("{bad:?} cannot stand in a path"))
                    .hint("percent-encode it; values in ${…} are encoded for you");
                return Err(match source.find(bad) {
                    Some(offset) => error.at(offset),
                    None => error,
                });
            }
        }
        Ok(())
    }

    /// The expressions whose values stand in segments of the path, before any `?`. For lint.
    pub fn in_segments(&self) -> impl Iterator<Item = &Expr> {
        let before = self.pieces().iter().take_while(|piece| !matches!(piece, Piece::Text(text) if text.contains('?')));
        before.filter_map(|piece| match piece {
            Piece::Value(expr) => Some(expr),
            Piece::Text(_) => None,
        })
    }

    /// The path with every value percent-encoded: as one part of a segment before the `?` of the author's text,
    /// as a query value after it.
    pub fn render_path(&self, scope: &Scope) -> Result<String, EvalError> {
        let mut path = String::with_capacity(self.source().len());
        // Where the current segment starts, and whether a value is part of it; `None` once in the query.
        let mut segment = Some((0_usize, false));
        for piece in self.pieces() {
            match piece {
                Piece::Value(expr) => {
                    let value = scalar(expr, scope)?;
                    path.extend(utf8_percent_encode(&value, ENCODED));
                    segment = segment.map(|(start, _)| (start, true));
                }
                Piece::Text(text) => {
                    for part in text.split_inclusive(['/', '?']) {
                        let (body, mark) = match part.as_bytes().last() {
                            Some(mark @ (b'/' | b'?')) => (&part[..part.len() - 1], Some(*mark)),
                            _ => (part, None),
                        };
                        path.push_str(body);
                        if let (Some(mark), Some((start, has_value))) = (mark, segment) {
                            self.refuse_traversal(&path, start, has_value)?;
                            segment = (mark == b'/').then_some((path.len() + 1, false));
                        }
                        if let Some(mark) = mark {
                            path.push(char::from(mark));
                        }
                    }
                }
            }
        }
        if let Some((start, has_value)) = segment {
            self.refuse_traversal(&path, start, has_value)?;
        }
        Ok(path)
    }

    /// Refuses a segment that a value emptied or turned into a step through the tree. URL parsers read `%2e` as a dot.
    fn refuse_traversal(&self, path: &str, start: usize, has_value: bool) -> Result<(), EvalError> {
        let segment = path.get(start..).unwrap_or("");
        let plain: Cow<'_, str> =
            if segment.contains('%') { segment.to_ascii_lowercase().replace("%2e", ".").into() } else { segment.into() };
        let what = match plain.as_ref() {
            "" => "empty",
            "." => "`.`",
            ".." => "`..`",
            _ => return Ok(()),
        };
        if !has_value {
            return Ok(());
        }
        Err(EvalError::new(self.source(), format!("a value makes a segment of the path {what}")))
    }
}
