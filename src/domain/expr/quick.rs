//! Conditions that need no interpreter.
//!
//! Most conditions of a process compare a member of an answer with a word or a number: `answer.status == 'active' && answer.in_flight == 0`.
//! To ask the interpreter, the answer is converted for it first, which costs many times what the comparison does. So these few forms
//! are compared in the JSON itself. What is not certainly the same there (another type, a member that is missing, anything else in the
//! expression) is not decided here: the interpreter is asked, and gives its result or its error.

use cel::common::ast::{Expr, IdedExpr, LiteralValue, operators};
use serde_json::Value;

use super::scope::Scope;

/// The deepest path that is looked up without the interpreter: far from where data is too deep for it.
pub(super) const MAX_PATH: usize = 8;

/// A condition of a form that needs no interpreter.
pub(super) enum Quick {
    /// Both, the left one first.
    And(Box<Quick>, Box<Quick>),
    /// Either, the left one first.
    Or(Box<Quick>, Box<Quick>),
    /// A member and a literal are the same, or are not.
    Same { path: Vec<String>, literal: Literal, wanted: bool },
}

/// What a member is compared with.
pub(super) enum Literal {
    Text(String),
    Whole(i64),
    Truth(bool),
}

impl Quick {
    /// The condition that a tree is, as the parser made it; `None`: it is for the interpreter.
    pub(super) fn of(tree: &IdedExpr) -> Option<Quick> {
        let Expr::Call(call) = &tree.expr else { return None };
        let [left, right] = call.args.as_slice() else { return None };
        if call.target.is_some() {
            return None;
        }
        match call.func_name.as_str() {
            operators::LOGICAL_AND => Some(Quick::And(Box::new(Quick::of(left)?), Box::new(Quick::of(right)?))),
            operators::LOGICAL_OR => Some(Quick::Or(Box::new(Quick::of(left)?), Box::new(Quick::of(right)?))),
            operators::EQUALS => Quick::same(left, right, true),
            operators::NOT_EQUALS => Quick::same(left, right, false),
            _ => None,
        }
    }

    fn same(left: &IdedExpr, right: &IdedExpr, wanted: bool) -> Option<Quick> {
        let (path, literal) = match (path(left), path(right)) {
            (Some(path), None) => (path, literal(right)?),
            (None, Some(path)) => (path, literal(left)?),
            _ => return None,
        };
        Some(Quick::Same { path, literal, wanted })
    }

    /// Whether it holds; `None`: ask the interpreter.
    pub(super) fn holds(&self, scope: &Scope) -> Option<bool> {
        match self {
            Quick::And(left, right) => Some(left.holds(scope)? && right.holds(scope)?),
            Quick::Or(left, right) => Some(left.holds(scope)? || right.holds(scope)?),
            Quick::Same { path, literal, wanted } => {
                let same = match (scope.scalar(path)?, literal) {
                    (Value::String(found), Literal::Text(text)) => found == text,
                    (Value::Number(found), Literal::Whole(number)) => found.as_i64()? == *number,
                    (Value::Bool(found), Literal::Truth(truth)) => found == truth,
                    _ => return None,
                };
                Some(same == *wanted)
            }
        }
    }
}

/// `a.b.c`, and nothing but that.
fn path(tree: &IdedExpr) -> Option<Vec<String>> {
    let mut members = Vec::new();
    let mut here = &tree.expr;
    loop {
        match here {
            Expr::Ident(name) => {
                members.push(name.clone());
                members.reverse();
                return (members.len() <= MAX_PATH).then_some(members);
            }
            Expr::Select(select) if !select.test => {
                members.push(select.field.clone());
                here = &select.operand.expr;
            }
            _ => return None,
        }
    }
}

fn literal(tree: &IdedExpr) -> Option<Literal> {
    let Expr::Literal(value) = &tree.expr else { return None };
    match value {
        LiteralValue::String(text) => Some(Literal::Text(text.inner().to_owned())),
        LiteralValue::Int(number) => Some(Literal::Whole(*number.inner())),
        LiteralValue::Boolean(truth) => Some(Literal::Truth(*truth.inner())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use serde_json::json;

    use super::super::Expr;
    use super::*;

    fn scope(answer: &Value) -> Scope {
        let mut scope = Scope::new();
        scope.set("answer", answer);
        scope.set("status", &json!(200));
        scope
    }

    /// What the interpreter is sure to say is said without it, and nothing else.
    #[test]
    fn it_says_what_the_interpreter_says_or_nothing() {
        let operands = [
            "answer.a",
            "answer.b.c",
            "answer.missing",
            "answer",
            "status",
            "'x'",
            "1",
            "1.0",
            "1u",
            "true",
            "null",
            "answer.b.c + 1",
        ];
        let answers = [
            json!({"a": "x", "b": {"c": 1}}),
            json!({"a": 1, "b": {"c": "x"}}),
            json!({"a": 1.0, "b": {"c": true}}),
            json!({"a": null, "b": {"c": null}}),
            json!({"a": [1], "b": 5}),
            json!({"a": 18_446_744_073_709_551_615_u64, "b": {"c": -1}}),
            json!({}),
            json!("x"),
        ];
        let mut quick = 0;
        for left in operands {
            for right in operands {
                for operator in ["==", "!="] {
                    let one = format!("{left} {operator} {right}");
                    for source in [one.clone(), format!("{one} && status == 200"), format!("status != 200 || {one}")] {
                        let Ok(expr) = Expr::compile(&source) else { continue };
                        for answer in &answers {
                            let scope = scope(answer);
                            if let Some(said) = expr.quickly(&scope) {
                                quick += 1;
                                assert_eq!(said, expr.thoroughly(&scope).unwrap(), "{source} on {answer}");
                            }
                        }
                    }
                }
            }
        }
        assert!(quick > 150, "{quick}");
    }

    #[test]
    fn the_usual_conditions_need_no_interpreter() {
        let answer = json!({"status": "active", "in_flight": 0, "blocked": false});
        for (source, expected) in [
            ("answer.status == 'active' && answer.in_flight == 0", true),
            ("answer.status == 'active' && answer.in_flight == 1", false),
            ("answer.status != 'active' || answer.blocked == true", false),
            ("status == 404", false),
            ("200 == status", true),
        ] {
            assert_eq!(Expr::compile(source).unwrap().quickly(&scope(&answer)), Some(expected), "{source}");
        }
        for source in ["answer.in_flight == '0'", "answer.gone == 1", "answer.status > 'a'", "has(answer.status)"] {
            assert_eq!(Expr::compile(source).unwrap().quickly(&scope(&answer)), None, "{source}");
        }
    }
}
