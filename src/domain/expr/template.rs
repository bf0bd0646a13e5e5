//! Text with `${…}` in it.
//!
//! `$${` stands for a literal `${`; a `$` before anything else is itself.

use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use super::compile::Expr;
use super::error::{EvalError, ExprError};
use super::scan::closing_brace;
use super::scope::Scope;

/// Bytes of one template.
const MAX_TEMPLATE: usize = 16 * 1024;

/// Expressions in one template.
const MAX_EXPRS: usize = 64;

/// A checked template; clones share it.
#[derive(Clone)]
pub struct Template(Arc<Compiled>);

struct Compiled {
    source: String,
    pieces: Vec<Piece>,
}

/// A part of a template, in order.
pub(super) enum Piece {
    /// Text as it will stand, `$${` already replaced; never empty.
    Text(String),
    /// An expression whose value will stand here.
    Value(Expr),
}

impl Template {
    /// Parses `source` and compiles its expressions. Offsets of errors count from the start of `source`.
    pub fn compile(source: &str) -> Result<Template, ExprError> {
        if source.len() > MAX_TEMPLATE {
            return Err(ExprError::new(format!("the text has {} bytes; at most {MAX_TEMPLATE} are allowed", source.len()))
                .at(MAX_TEMPLATE)
                .hint("put long texts into the remote system"));
        }
        let mut pieces = Vec::new();
        let mut exprs = 0_usize;
        let mut text = String::new();
        let mut rest = 0;
        while let Some(found) = source.get(rest..).and_then(|tail| tail.find("${")) {
            let dollar = rest + found;
            if found > 0 && source.as_bytes().get(dollar - 1) == Some(&b'$') {
                text.push_str(source.get(rest..dollar - 1).unwrap_or(""));
                text.push_str("${");
                rest = dollar + 2;
                continue;
            }
            text.push_str(source.get(rest..dollar).unwrap_or(""));
            if !text.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut text)));
            }
            let start = dollar + 2;
            let end = closing_brace(source, start).ok_or_else(|| {
                ExprError::new("`${` is not closed")
                    .at(dollar)
                    .hint("close it with `}`, or write `$${` for the characters themselves")
            })?;
            exprs += 1;
            if exprs > MAX_EXPRS {
                return Err(ExprError::new(format!("the text has more than {MAX_EXPRS} expressions"))
                    .at(dollar)
                    .hint("build the value in an earlier step"));
            }
            let expr = Expr::compile(source.get(start..end).unwrap_or("")).map_err(|error| error.shifted(start))?;
            pieces.push(Piece::Value(expr));
            rest = end + 1;
        }
        text.push_str(source.get(rest..).unwrap_or(""));
        if !text.is_empty() {
            pieces.push(Piece::Text(text));
        }
        Ok(Template(Arc::new(Compiled { source: source.to_owned(), pieces })))
    }

    /// The text it was compiled from.
    pub fn source(&self) -> &str {
        &self.0.source
    }

    /// Its expressions, in order.
    pub fn exprs(&self) -> impl Iterator<Item = &Expr> {
        self.0.pieces.iter().filter_map(|piece| match piece {
            Piece::Value(expr) => Some(expr),
            Piece::Text(_) => None,
        })
    }

    /// The text of a template without expressions.
    pub(super) fn constant(&self) -> Option<&str> {
        match self.pieces() {
            [] => Some(""),
            [Piece::Text(text)] => Some(text),
            _ => None,
        }
    }

    pub(super) fn pieces(&self) -> &[Piece] {
        &self.0.pieces
    }

    /// Its value: a text that is one `${…}` and nothing else keeps the value's type, anything else is a string.
    pub fn render(&self, scope: &Scope) -> Result<Value, EvalError> {
        match self.pieces() {
            [Piece::Value(expr)] => expr.eval(scope),
            _ => self.render_text(scope).map(Value::String),
        }
    }

    /// Its text. Strings stand as they are, numbers and bools as in JSON; null, objects and lists are errors.
    pub fn render_text(&self, scope: &Scope) -> Result<String, EvalError> {
        let mut text = String::with_capacity(self.source().len());
        for piece in self.pieces() {
            match piece {
                Piece::Text(literal) => text.push_str(literal),
                Piece::Value(expr) => text.push_str(&scalar(expr, scope)?),
            }
        }
        Ok(text)
    }
}

/// The value of `expr` as text, where it is a scalar.
pub(super) fn scalar(expr: &Expr, scope: &Scope) -> Result<String, EvalError> {
    let found = match expr.eval(scope)? {
        Value::String(text) => return Ok(text),
        Value::Number(number) => return Ok(number.to_string()),
        Value::Bool(truth) => return Ok(truth.to_string()),
        Value::Null => "null",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    };
    Err(EvalError::new(expr.source(), format!("expected text or a number, found {found}")))
}

impl PartialEq for Template {
    fn eq(&self, other: &Self) -> bool {
        self.source() == other.source()
    }
}

impl Eq for Template {}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Template").field(&self.0.source).finish()
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.source)
    }
}
