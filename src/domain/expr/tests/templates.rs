//! `${…}` in texts, paths and JSON.

use super::*;

fn template(source: &str) -> Template {
    Template::compile(source).unwrap_or_else(|error| panic!("{source}: {error:?}"))
}

#[test]
fn one_expression_keeps_its_type_and_everything_else_is_text() {
    let table = [
        ("${request.n}", json!(41)),
        ("${request.object}", json!({"k": [1, {"z": null}]})),
        ("${request.nothing}", Value::Null),
        (" ${request.n}", json!(" 41")),
        ("${request.n}${request.half}", json!("410.5")),
        ("n=${request.n}, ${request.yes}, ${request.name}", json!("n=41, true, 张三 & Söhne")),
        ("", json!("")),
        ("plain", json!("plain")),
        ("a $ b $$ c {d} $e", json!("a $ b $$ c {d} $e")),
        ("$${request.n}", json!("${request.n}")),
        ("$${x} and ${request.n}", json!("${x} and 41")),
        ("${request.n}$${${request.n}}", json!("41${41}")),
        ("${'}' + \"}\" + '''}''' + r'\\'}", json!("}}}\\")),
        ("${'\\'}'}", json!("'}")),
        ("${{'a': {'b': 1}}.a.b}", json!(1)),
        ("${now}", json!("2026-01-01T00:00:00.123456Z")),
    ];
    for (source, expected) in table {
        assert_eq!(template(source).render(&scope()), Ok(expected), "{source}");
        assert_eq!(template(source).source(), source);
    }
}

#[test]
fn text_takes_scalars_only() {
    for (source, found) in [("${request.nothing}", "null"), ("x${request.tags}", "a list"), ("x${request.object}", "an object")] {
        let error = template(source).render_text(&scope()).unwrap_err();
        assert_eq!(error.message, format!("expected text or a number, found {found}"));
        assert!(source.contains(&error.expr));
    }
    assert_eq!(template("${request.n}").render_text(&scope()), Ok("41".to_owned()));
    assert_eq!(template("${status}").render_path(&scope()), Ok("200".to_owned()));
}

#[test]
fn refusals_point_into_the_text() {
    let table = [
        ("abc ${request.x", 4, "`${` is not closed"),
        ("张三 ${'unclosed}", 7, "`${` is not closed"),
        ("张三 ${}", 9, "the expression is empty"),
        ("张三 ${request.x +}", 20, "the expression ends too early"),
        ("ok ${request.n} ${foo(1)}", 21, "there is no function `foo`"),
    ];
    for (source, offset, message) in table {
        let error = Template::compile(source).unwrap_err();
        assert_eq!((error.offset, error.message.as_str()), (Some(offset), message), "{source}");
        if message.contains("closed") {
            assert!(error.hint.is_some());
        }
    }
    for source in ["${".repeat(5000), "x".repeat(10_000_000), "${1}".repeat(65), "}".repeat(20_000)] {
        assert!(Template::compile(&source).is_err_and(|error| error.hint.is_some()));
    }
}

#[test]
fn paths_encode_values_and_keep_the_rest() {
    let table = [
        ("/cards/${request.customer_id}", "/cards/c1"),
        ("/cards/${request.card_id}/pending", "/cards/k%2F7%3Fx%23%25/pending"),
        ("/c/${request.name}", "/c/%E5%BC%A0%E4%B8%89%20%26%20S%C3%B6hne"),
        ("/c/a-${request.n}.json", "/c/a-41.json"),
        ("/c/${request.empty}${request.n}/", "/c/41/"),
        ("/c/x${request.dots}", "/c/x.."),
        ("/c?id=${request.card_id}&e=${request.empty}&d=${request.dots}/x?y", "/c?id=k%2F7%3Fx%23%25&e=&d=../x?y"),
        ("/", "/"),
        ("/a//b/../c", "/a//b/../c"),
    ];
    for (source, expected) in table {
        assert_eq!(template(source).render_path(&scope()), Ok(expected.to_owned()), "{source}");
    }
}

#[test]
fn a_value_cannot_walk_the_tree() {
    let table = [
        ("/cards/${request.empty}", "empty"),
        ("/cards/${request.empty}/pending", "empty"),
        ("/cards/${request.empty}?x=1", "empty"),
        ("/cards/${request.dots}", "`..`"),
        ("/cards/.${'.'}/x", "`..`"),
        ("/cards/%2E${'.'}/x", "`..`"),
        ("/cards/${'.'}", "`.`"),
        ("/cards/${'.'}${request.empty}${'.'}/x", "`..`"),
    ];
    for (source, what) in table {
        let error = template(source).render_path(&scope()).unwrap_err();
        assert_eq!(error.message, format!("a value makes a segment of the path {what}"), "{source}");
    }
}

#[test]
fn lint_of_paths() {
    for good in ["/", "/a", "/a/${request.n}?x=${request.n}", "/%20", "/$${x}"] {
        assert_eq!(template(good).check_path(), Ok(()), "{good}");
    }
    let table = [
        ("", 0),
        ("a/b", 0),
        ("//host/x", 0),
        ("${request.url}", 0),
        ("https://host/", 0),
        ("/a b", 2),
        ("/a#b", 2),
        ("/a\\b", 2),
        ("/${request.n}/张", 14),
    ];
    for (source, offset) in table {
        let error = template(source).check_path().unwrap_err();
        assert_eq!(error.offset, Some(offset), "{source}");
        assert!(error.hint.is_some());
    }
}

#[test]
fn json_templates() {
    let source = json!({
        "id": "${request.n}", "text": "card ${request.customer_id}", "constant": [1, "x", {"y": null}, "$${z}"],
        "list": ["${request.tags}", {"deep": "${request.half}"}], "big": 18_446_744_073_709_551_615_u64,
    });
    let template = JsonTemplate::compile(&source).unwrap();
    assert_eq!(
        template.render(&scope()),
        Ok(json!({
            "id": 41, "text": "card c1", "constant": [1, "x", {"y": null}, "${z}"],
            "list": [["a", "b"], {"deep": 0.5}], "big": 18_446_744_073_709_551_615_u64,
        }))
    );
    assert_eq!(template.source(), &source);
    let mut exprs: Vec<&str> = template.exprs().map(Expr::source).collect();
    exprs.sort_unstable();
    assert_eq!(exprs, ["request.customer_id", "request.half", "request.n", "request.tags"]);

    let missing = JsonTemplate::compile(&json!(["${answer.missing}"])).unwrap();
    assert_eq!(missing.render(&scope()).unwrap_err().expr, "answer.missing");
}

#[test]
fn refusals_point_into_the_json() {
    let mut deep = json!("x");
    for _ in 0..40 {
        deep = json!([deep]);
    }
    let table = [
        (json!({"a/b": [1, "x ${request."]}), "/a~1b/1", Some(2), "`${` is not closed"),
        (json!({"a": {"${request.n}": 1}}), "/a/${request.n}", None, "a key cannot hold `${…}`"),
        (json!("${1 +}"), "", Some(5), "the expression ends too early"),
    ];
    for (source, pointer, offset, message) in table {
        let error = JsonTemplate::compile(&source).unwrap_err();
        assert_eq!(
            (error.pointer.as_deref(), error.offset, error.message.as_str()),
            (Some(pointer), offset, message),
            "{source}"
        );
    }
    assert!(JsonTemplate::compile(&deep).is_err());
}
