//! The language as its users see it: tables of source, data and answer.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod hostile;
mod language;
mod properties;
mod templates;

use serde_json::{Value, json};

use super::*;

/// A scope like a step's.
fn scope() -> Scope {
    let mut scope = Scope::new();
    scope.set(
        "request",
        &json!({
            "customer_id": "c1", "card_id": "k/7?x#%", "n": 41, "big": 18_446_744_073_709_551_615_u64,
            "negative": -3, "tags": ["a", "b"], "empty": "", "dots": "..", "nothing": null, "yes": true,
            "name": "张三 & Söhne", "exact": 9_007_199_254_740_993_i64, "half": 0.5, "object": {"k": [1, {"z": null}]},
        }),
    );
    scope.set(
        "answer",
        &json!({
            "status": "bound", "score": 1, "fine": 0.93, "items": [{"state": "open", "amount": 5}, {"state": "closed", "amount": 7}],
            "codes": [1, 2, 3], "expires_at": "2026-01-01T00:00:00Z", "secret": "s3cr3t", "number": 4321,
            "weird key": 1,
        }),
    );
    scope.set("status", &json!(200));
    scope.set("answers", &json!({"face": {"score": 0.97}}));
    scope.set_time("now", 1_767_225_600_123_456);
    scope
}

fn eval(source: &str) -> Result<Value, EvalError> {
    Expr::compile(source).unwrap_or_else(|error| panic!("{source}: {error} {error:?}")).eval(&scope())
}

fn value(source: &str) -> Value {
    eval(source).unwrap_or_else(|error| panic!("{error}"))
}

fn failure(source: &str) -> String {
    match eval(source) {
        Err(error) => error.message,
        Ok(value) => panic!("{source} is {value}"),
    }
}

fn refusal(source: &str) -> ExprError {
    match Expr::compile(source) {
        Err(error) => error,
        Ok(_) => panic!("{source} was accepted"),
    }
}
