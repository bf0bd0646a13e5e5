//! One expression, parsed, checked and ready to run.
//!
//! The parser recurses per operator: 1,600 terms overflow a 2 MiB stack, which aborts the process, and no
//! `catch_unwind` helps. So it runs on a thread of its own with 16 MiB, after `scan.rs` bounded what it gets;
//! the checked tree is shallow enough to be evaluated and dropped anywhere.

use std::collections::BTreeSet;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;

use cel::common::ast::{IdedExpr, SourceInfo};
use cel::common::types::CelBool;
use cel::common::value::{CowVal, Val};
use cel::objects::Value as CelValue;
use cel::parser::{ParseErrors, Parser};

use super::budget;
use super::check::Checker;
use super::error::{EvalError, ExprError, plain_type};
use super::quick::{MAX_PATH, Quick};
use super::scan;
use super::scope::Scope;
use super::value::to_json;
use crate::domain::json::shown;

const PARSER_STACK_BYTES: usize = 16 * 1024 * 1024;

/// A checked expression; clones share it.
#[derive(Clone)]
pub struct Expr(Arc<Compiled>);

struct Compiled {
    source: String,
    tree: IdedExpr,
    names: BTreeSet<String>,
    paths: BTreeSet<Vec<String>>,
    functions: BTreeSet<String>,
    /// It is nothing but this path.
    path: Option<Vec<String>>,
    /// It is a condition that needs no interpreter.
    quick: Option<Quick>,
}

impl Expr {
    /// Parses and checks `source`: at most 2 KiB, 200 nodes, 32 levels, no comprehension inside another's
    /// body, known functions only, constant patterns only. Takes about a millisecond: for loading, not for running.
    pub fn compile(source: &str) -> Result<Expr, ExprError> {
        scan::precheck(source)?;
        let compiled = thread::scope(|scope| {
            thread::Builder::new()
                .name("expr-parser".to_owned())
                .stack_size(PARSER_STACK_BYTES)
                .spawn_scoped(scope, || parse_and_check(source))
                .map_err(|error| ExprError::new(format!("no thread for the parser: {error}")))?
                .join()
                .unwrap_or_else(|_| Err(ExprError::new("the parser gave up on this expression").at(0)))
        })?;
        Ok(Expr(Arc::new(compiled)))
    }

    /// The text it was compiled from.
    pub fn source(&self) -> &str {
        &self.0.source
    }

    /// The variables it reads (`request`, `answer`, …), without its own loop variables.
    pub fn names(&self) -> &BTreeSet<String> {
        &self.0.names
    }

    /// What it reads of them: the longest constant member chains, as `["answers", "face", "score"]`.
    pub fn paths(&self) -> &BTreeSet<Vec<String>> {
        &self.0.paths
    }

    /// The functions it calls by name; operators and macros (`has`, `exists`) are not among them.
    pub fn functions(&self) -> &BTreeSet<String> {
        &self.0.functions
    }

    /// Its value in `scope`, as JSON. A timestamp becomes RFC 3339 text, a duration `"90s"`.
    pub fn eval(&self, scope: &Scope) -> Result<serde_json::Value, EvalError> {
        if let Some(found) = self.0.path.as_ref().and_then(|path| scope.scalar(path)) {
            return Ok(found.clone());
        }
        self.resolve(scope, |value| to_json(value).map_err(|error| EvalError::translate(self.source(), &error)))
    }

    /// Its value in `scope`, which must be a bool: nothing else counts as true or false.
    pub fn test(&self, scope: &Scope) -> Result<bool, EvalError> {
        match self.quickly(scope) {
            Some(truth) => Ok(truth),
            None => self.thoroughly(scope),
        }
    }

    /// The condition's value, where it can be told without the interpreter.
    pub(super) fn quickly(&self, scope: &Scope) -> Option<bool> {
        self.0.quick.as_ref()?.holds(scope)
    }

    /// The condition's value as the interpreter tells it.
    pub(super) fn thoroughly(&self, scope: &Scope) -> Result<bool, EvalError> {
        self.resolve(scope, |value| {
            value.downcast_ref::<CelBool>().map(|truth| *truth.inner()).ok_or_else(|| {
                let found = plain_type(value.get_type().name());
                EvalError::new(self.source(), format!("expected a condition (bool), found {found}"))
            })
        })
    }

    fn resolve<T>(&self, scope: &Scope, finish: impl FnOnce(&dyn Val) -> Result<T, EvalError>) -> Result<T, EvalError> {
        budget::start();
        // The tree holds nothing the interpreter is known to panic on; if it does all the same, that is this
        // expression's defect and not the worker's end.
        catch_unwind(AssertUnwindSafe(|| {
            scope.with(&self.0.names, |context| {
                let value: CowVal<'_, '_> =
                    CelValue::resolve_val(&self.0.tree, context).map_err(|error| EvalError::translate(self.source(), &error))?;
                finish(value.as_ref())
            })
        }))
        .unwrap_or_else(|_| Err(EvalError::new(self.source(), "the interpreter failed")))
    }
}

impl PartialEq for Expr {
    fn eq(&self, other: &Self) -> bool {
        self.source() == other.source()
    }
}

impl Eq for Expr {}

impl fmt::Debug for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Expr").field(&self.0.source).finish()
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.source)
    }
}

/// Runs on the parser's thread, where a deep tree may also be dropped.
fn parse_and_check(source: &str) -> Result<Compiled, ExprError> {
    let (mut tree, info): (IdedExpr, SourceInfo) =
        Parser::new().error_recovery_limit(2).parse_with_source_info(source).map_err(|errors| syntax_error(source, &errors))?;
    let quick = Quick::of(&tree);
    let mut checker = Checker::new(source, &info);
    checker.check(&mut tree)?;
    let (names, paths, functions) = checker.into_findings();
    let path = paths.first().filter(|path| path.len() <= MAX_PATH && path.join(".") == source.trim()).cloned();
    Ok(Compiled { source: source.to_owned(), tree, names, paths, functions, path, quick })
}

/// The first error, without the parser's list of every token it would have liked.
fn syntax_error(source: &str, errors: &ParseErrors) -> ExprError {
    let Some(first) = errors.errors.first() else {
        return ExprError::new("the expression cannot be parsed").at(0);
    };
    if first.msg.contains("Recursion limit") {
        return ExprError::new("the expression is nested too deep").at(0).hint("split it over several steps");
    }
    let raw = first.msg.strip_prefix("Syntax error: ").unwrap_or(&first.msg);
    let quoted = raw.split_once('\'').and_then(|(_, rest)| rest.rsplit_once('\'')).map(|(inner, _)| inner);
    let quoted = quoted.map(|inner| inner.split("' expecting").next().unwrap_or(inner));
    let message = match quoted {
        Some("<EOF>") => "the expression ends too early".to_owned(),
        Some(token) if raw.starts_with("token recognition error") => {
            format!("`{token}` does not belong here")
        }
        Some(token) if raw.contains("input '") => format!("unexpected `{token}`"),
        _ => raw.chars().take(200).collect(),
    };
    // The parser quotes what it did not like, which may be a control character.
    let seen =
        |c: char| if shown(c.encode_utf8(&mut [0; 4]), 1).is_empty() { c.escape_unicode().collect() } else { c.to_string() };
    let message: String = message.chars().map(seen).collect();
    let mut error = ExprError::new(message).at(offset_of(source, first.pos));
    error.hint = hint_for(source);
    error
}

/// Byte offset of the parser's (line, column), both from 1, the column in characters.
fn offset_of(source: &str, (line, column): (isize, isize)) -> usize {
    let line = usize::try_from(line).unwrap_or(1).max(1);
    let column = usize::try_from(column).unwrap_or(1).max(1);
    let start: usize = source.split_inclusive('\n').take(line - 1).map(str::len).sum();
    let rest = source.get(start..).unwrap_or("");
    let within = rest.char_indices().nth(column - 1).map_or(rest.len(), |(at, _)| at);
    (start + within).min(source.len())
}

/// The slips that people who come from other languages make.
fn hint_for(source: &str) -> Option<String> {
    let has_word = |word: &str| source.split(|c: char| !c.is_alphanumeric()).any(|found| found == word);
    let lone_equals =
        source.as_bytes().windows(3).any(|w| w[1] == b'=' && !matches!(w[0], b'=' | b'!' | b'<' | b'>') && w[2] != b'=');
    let hint = if source.contains("===") || lone_equals {
        "compare with `==`"
    } else if has_word("and") || has_word("or") || has_word("not") || has_word("AND") || has_word("OR") {
        "write `&&`, `||` and `!`"
    } else if source.contains("${") {
        "inside an expression write the name alone, without `${…}`"
    } else if source.contains(".?") || source.contains("[?") {
        "ask with `has(answer.x)` first"
    } else {
        return None;
    };
    Some(hint.to_owned())
}
