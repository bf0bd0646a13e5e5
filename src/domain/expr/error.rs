//! What can be wrong with an expression when it is loaded, and when it runs.
//!
//! The crate's own errors print whole values (`Int(4321) can not be compared to …`), and the values are a
//! customer's data. So every variant is translated here, by hand, to names and types.

use cel::ExecutionError;
use cel::objects::Value;
use thiserror::Error;

/// An expression or template that is refused when it is loaded.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct ExprError {
    /// What is wrong, in one sentence, without the source.
    pub message: String,
    /// Where, in bytes from the start of the string that was compiled; `None` where it is the whole.
    pub offset: Option<usize>,
    /// What to write instead.
    pub hint: Option<String>,
    /// Which string inside a JSON template, as a JSON pointer; `None` outside of one.
    pub pointer: Option<String>,
}

impl ExprError {
    pub(super) fn new(message: impl Into<String>) -> ExprError {
        ExprError { message: message.into(), offset: None, hint: None, pointer: None }
    }

    pub(super) fn at(mut self, offset: usize) -> ExprError {
        self.offset = Some(offset);
        self
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> ExprError {
        self.hint = Some(hint.into());
        self
    }

    /// The same error, seen from a string in which the expression starts at `start`.
    pub(super) fn shifted(mut self, start: usize) -> ExprError {
        self.offset = Some(self.offset.unwrap_or(0).saturating_add(start));
        self
    }
}

/// An expression or template that has no honest answer in this scope: a defect of the process or of the answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message} (in `{expr}`)")]
pub struct EvalError {
    /// The source of the expression that failed.
    pub expr: String,
    /// What went wrong: names and types, never a value.
    pub message: String,
}

impl EvalError {
    pub(super) fn new(expr: &str, message: impl Into<String>) -> EvalError {
        EvalError { expr: expr.to_owned(), message: message.into() }
    }

    pub(super) fn translate(expr: &str, error: &ExecutionError) -> EvalError {
        EvalError::new(expr, describe(expr, error))
    }
}

/// Names and types out of an error of the crate. `source` decides whether a key's name may be shown: a key
/// that the expression does not spell out (`answer[request.x]`) is itself a value.
fn describe(source: &str, error: &ExecutionError) -> String {
    match error {
        ExecutionError::NoSuchKey(key) if source.contains(key.as_str()) => {
            format!("there is no `{key}`")
        }
        ExecutionError::NoSuchKey(_) => "there is no such key".to_owned(),
        ExecutionError::UndeclaredReference(name) if source.contains(name.trim_start_matches('@')) => {
            format!("`{name}` is not known here")
        }
        ExecutionError::NoSuchOverload(call) => {
            format!("`{}` does not go with {}", operator(call.function()), types(call.argument_types()))
        }
        ExecutionError::UnexpectedType { got, want } => format!("expected {want}, found {got}"),
        ExecutionError::ValuesNotComparable(left, right) => {
            format!("{} and {} cannot be compared", kind(left), kind(right))
        }
        ExecutionError::UnsupportedBinaryOperator(name, left, right) => {
            format!("`{}` does not go with {} and {}{}", operator(name), kind(left), kind(right), mixed(left, right))
        }
        ExecutionError::UnsupportedKeyType(value) => format!("{} cannot be a key", kind(value)),
        ExecutionError::UnsupportedIndex(index, value) => {
            format!("{} cannot be indexed with {}", kind(value), kind(index))
        }
        ExecutionError::UnsupportedTargetType { target } => {
            format!("{} does not fit here", kind(target))
        }
        ExecutionError::NotSupportedAsMethod { method, target } => {
            format!("`{method}` cannot be called on {}", kind(target))
        }
        // Our own functions are named with an `@` inside and speak of types only.
        ExecutionError::FunctionError { function, message } if function.starts_with('@') => message.clone(),
        ExecutionError::FunctionError { function, .. } => {
            format!("`{function}` cannot take this value")
        }
        ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => "division by zero".to_owned(),
        ExecutionError::Overflow(name, ..) => format!("`{}` overflows", operator(name)),
        ExecutionError::IndexOutOfBounds(_) => "the index is outside the list".to_owned(),
        ExecutionError::DuplicateKey(_) => "a map repeats a key".to_owned(),
        ExecutionError::InvalidArgumentCount { expected, actual } => {
            format!("expected {expected} arguments, found {actual}")
        }
        _ => "the expression cannot be evaluated".to_owned(),
    }
}

/// Arithmetic does not mix `int` and `double`; the way out is worth a word.
fn mixed(left: &Value, right: &Value) -> &'static str {
    let number = |v: &Value| matches!(v, Value::Int(_) | Value::UInt(_) | Value::Float(_));
    if number(left) && number(right) { ": write double(…) or int(…) around one of them" } else { "" }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::List(_) => "list",
        Value::Map(_) => "map",
        Value::Int(_) => "int",
        Value::UInt(_) => "uint",
        Value::Float(_) => "double",
        Value::String(_) => "string",
        Value::Bytes(_) => "bytes",
        Value::Bool(_) => "bool",
        Value::Duration(_) => "duration",
        Value::Timestamp(_) => "timestamp",
        Value::Null => "null",
        _ => "this value",
    }
}

fn types(names: &[String]) -> String {
    let names: Vec<&str> = names.iter().map(|name| plain_type(name)).collect();
    names.join(" and ")
}

/// The crate's type names as the author of a process would say them.
pub(super) fn plain_type(name: &str) -> &str {
    match name {
        "null_type" => "null",
        "google.protobuf.Timestamp" => "timestamp",
        "google.protobuf.Duration" => "duration",
        other => other,
    }
}

/// `_>=_` as `>=`, `@in` as `in`, `add` as `+`.
fn operator(name: &str) -> &str {
    match name {
        "add" => "+",
        "sub" => "-",
        "mul" => "*",
        "div" => "/",
        "rem" => "%",
        "_?_:_" => "?:",
        "_[_]" => "[]",
        "_._" => ".",
        _ => name.trim_matches(['_', '@']),
    }
}
