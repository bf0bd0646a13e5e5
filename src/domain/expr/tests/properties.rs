//! What holds for any input.

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use super::*;

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        proptest::num::f64::NORMAL.prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 64, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::from),
            btree_map("\\PC{0,8}", inner, 0..6).prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn json_goes_through_unchanged(data in any_json()) {
        let mut scope = Scope::new();
        scope.set("answer", &data);
        prop_assert_eq!(Expr::compile("answer").unwrap().eval(&scope), Ok(data.clone()));
        let body = JsonTemplate::compile(&json!({"copy": "${answer}"})).unwrap();
        prop_assert_eq!(body.render(&scope), Ok(json!({"copy": data})));
    }

    #[test]
    fn json_equals_itself(data in any_json()) {
        let mut scope = Scope::new();
        scope.set("answer", &data);
        prop_assert_eq!(Expr::compile("answer == answer && answer in [answer]").unwrap().test(&scope), Ok(true));
    }

    #[test]
    fn compiling_anything_gives_an_answer(source in "\\PC{0,80}") {
        check(&source);
    }

    #[test]
    fn compiling_near_expressions_gives_an_answer(
        tokens in vec(prop::sample::select(vec![
            "answer", ".", "x", "(", ")", "[", "]", "{", "}", "'", "\"", "'a'", "1", "2.5", "u", "==", "!=", "<", "&&", "||",
            "!", "-", "+", "?", ":", ",", "in", "has", "exists", "all", "map", ".exists(x, ", "size", "matches", " ", "\n",
            "//", "r'", "'''", "\\", "null", "true", "0x", "1e999", "张", "${", "@", "#", "`", ";", "9223372036854775808",
        ]), 0..24)
    ) {
        check(&tokens.concat());
    }

    #[test]
    fn a_path_never_gets_another_segment_from_a_value(value in "\\PC{0,20}") {
        let mut scope = Scope::new();
        scope.set("request", &json!({"v": value}));
        let path = Template::compile("/a/${request.v}/b?c=${request.v}").unwrap();
        if let Ok(path) = path.render_path(&scope) {
            prop_assert!(path.is_ascii());
            prop_assert_eq!(path.matches('/').count(), 3);
            prop_assert_eq!(path.matches(['?', '&', '#']).count(), 1);
            let segment = path.split('/').nth(2).unwrap().to_owned();
            let decoded = percent_encoding::percent_decode_str(&segment).decode_utf8().unwrap().into_owned();
            prop_assert_eq!(decoded, value);
        } else {
            prop_assert!(["", ".", ".."].contains(&value.as_str()));
        }
    }
}

/// Neither compiling nor running may panic; errors point into the source.
fn check(source: &str) {
    match Expr::compile(source) {
        Ok(expr) => drop(expr.eval(&scope())),
        Err(error) => {
            assert!(error.offset.is_none_or(|at| at <= source.len() && source.is_char_boundary(at)), "{source:?}: {error:?}");
            assert_ne!(error.message, "the parser gave up on this expression", "{source:?}");
        }
    }
    if let Ok(template) = Template::compile(source) {
        drop(template.render(&scope()));
        drop(template.render_path(&scope()));
    }
}
