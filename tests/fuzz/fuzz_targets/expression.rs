//! An expression (the first line) on data (the rest, where it is JSON).
#![no_main]

use libfuzzer_sys::fuzz_target;
use mozhao::domain::expr::{Expr, JsonTemplate, Scope, Template};
use mozhao::domain::json;

fuzz_target!(|data: &[u8]| {
    let at = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let source = String::from_utf8_lossy(&data[..at]);
    let value = json::parse(data.get(at + 1..).unwrap_or_default(), json::MAX_DEPTH).unwrap_or_default();
    let mut scope = Scope::new();
    for name in ["request", "answer", "answers"] {
        scope.set(name, &value);
    }
    scope.set_time("now", 1_795_341_600_000_000);
    match Expr::compile(&source) {
        Ok(expr) => {
            if let Err(error) = expr.eval(&scope) {
                assert_ne!(error.message, "the interpreter failed");
            }
            drop(expr.test(&scope));
        }
        Err(error) => {
            assert!(error.offset.is_none_or(|at| at <= source.len() && source.is_char_boundary(at)));
            assert_ne!(error.message, "the parser gave up on this expression");
        }
    }
    if let Ok(template) = Template::compile(&source) {
        drop((template.render(&scope), template.render_path(&scope)));
    }
    if let Ok(template) = JsonTemplate::compile(&serde_json::json!({"a": [source]})) {
        drop(template.render(&scope));
    }
});
