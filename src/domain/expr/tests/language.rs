//! What expressions mean, and which have no answer.

use super::*;

#[test]
fn conditions() {
    let table = [
        ("status == 404", false),
        ("answer.status == 'bound'", true),
        ("answer.status != request.customer_id", true),
        ("answer.status in ['bound', 'unbound']", true),
        ("'z' in request.tags", false),
        ("'tags' in request", true),
        ("size(request.tags) == 2 && request.tags.size() == 2", true),
        ("size('墨诏') == 2", true),
        ("has(answer.status) && !has(answer.missing)", true),
        ("has(answer.missing) ? answer.missing == 1 : true", true),
        ("answer.status.startsWith('bo') && answer.status.endsWith('nd') && answer.status.contains('oun')", true),
        ("answer.status.matches('^b[a-z]+$')", true),
        ("matches(answer.status, '^[0-9]+$')", false),
        ("answer.items.exists(i, i.state == 'open')", true),
        ("answer.items.all(i, i.state == 'open')", false),
        ("answer.items.exists_one(i, i.amount > 5)", true),
        ("answer.items.filter(i, i.state == 'open').all(i, i.amount == 5)", true),
        ("answer.items.map(i, i.amount) == [5, 7]", true),
        ("request.exists(key, key == 'tags')", true),
        ("answer['weird key'] == 1", true),
        ("answer.codes[0] == 1", true),
        ("request.nothing == null", true),
        ("answer.status == null", false),
        ("answer.status != null", true),
        ("type(answer.score) == int && type(answer.fine) == double", true),
        ("timestamp(answer.expires_at) <= now", true),
        ("now - timestamp(answer.expires_at) < duration('1s')", true),
        ("now.getFullYear() == 2026 && now.getMonth('Asia/Shanghai') == 0", true),
        ("luhn('4111111111111111') && !luhn('4111111111111112')", true),
        ("cn_id('11010519491231002X')", true),
        ("mrz('x')", false),
        ("mask('6222021234567890') == '********7890'", true),
        // One side decides, whatever the other is.
        ("answer.missing == 1 || true", true),
        ("answer.missing == 1 && false", false),
        // The name of a loop variable is free again after the loop.
        ("answer.items.exists(i, i.amount == 5) && answer.codes.exists(i, i == 3)", true),
    ];
    for (source, truth) in table {
        let expr = Expr::compile(source).unwrap_or_else(|error| panic!("{source}: {error:?}"));
        assert_eq!(expr.test(&scope()), Ok(truth), "{source}");
        assert_eq!(expr.eval(&scope()), Ok(Value::Bool(truth)), "{source}");
    }
}

#[test]
fn numbers_compare_by_value_whatever_their_type() {
    let table = [
        ("answer.score >= 0.92", true),
        ("0.92 <= answer.score", true),
        ("answer.score == 1.0", true),
        ("1.0 == answer.score", true),
        ("answer.score != 1.0", false),
        ("answer.score < 0.92", false),
        ("answer.score in [0.5, 1.0]", true),
        ("2.5 in answer.codes", false),
        ("request.big > 1", true),
        ("request.big > -1.5", true),
        ("request.big == 18446744073709551615u", true),
        ("request.exact == 9007199254740992.0", false),
        ("request.exact == 9007199254740993", true),
        ("request.negative < 0u", true),
        ("request.n + 1 == 42", true),
        ("double(request.n) + 0.5 == 41.5", true),
        ("request.n / 2 == 20", true),
        ("request.n % 2 == 1", true),
    ];
    for (source, truth) in table {
        assert_eq!(value(source), Value::Bool(truth), "{source}");
    }
}

#[test]
fn values() {
    let table = [
        ("request.n + 1", json!(42)),
        ("request.big", json!(18_446_744_073_709_551_615_u64)),
        ("request.half", json!(0.5)),
        ("request.object", json!({"k": [1, {"z": null}]})),
        ("request.tags + ['c']", json!(["a", "b", "c"])),
        ("request.customer_id + '-' + string(request.n)", json!("c1-41")),
        ("{'a': request.n, 'b': [request.half]}", json!({"a": 41, "b": [0.5]})),
        ("answer.items.map(i, i.state == 'open', i.amount)", json!([5])),
        ("request.yes ? 'y' : 'n'", json!("y")),
        ("now", json!("2026-01-01T00:00:00.123456Z")),
        ("now + duration('90s')", json!("2026-01-01T00:01:30.123456Z")),
        ("duration('90m')", json!("5400s")),
        ("null", Value::Null),
        ("-request.negative", json!(3)),
    ];
    for (source, expected) in table {
        assert_eq!(value(source), expected, "{source}");
    }
}

#[test]
fn what_has_no_honest_answer_is_an_error() {
    let table = [
        ("answer.missing", "there is no `missing`"),
        ("answer.missing.deeper == 1", "there is no `missing`"),
        ("answer[request.customer_id] == 1", "there is no such key"),
        ("nowhere.x == 1", "`nowhere` is not known here"),
        ("answer.codes[7] == 1", "the index is outside the list"),
        ("status == '200'", "`==` does not compare int and string"),
        ("status != '200'", "`!=` does not compare int and string"),
        ("now == '2026'", "`==` does not compare timestamp and string"),
        ("[1] == 1", "`==` does not compare list and int"),
        ("'1' in answer.codes", "`in` does not compare string and int"),
        ("1 in answer", "the keys of an object are strings, not int"),
        ("1 in status", "`in` needs a list or an object on its right, found int"),
        ("answer.status > 1", "`>` does not go with string and int"),
        ("null >= 1", "`>=` does not go with null and int"),
        ("answer.fine + 1", "`+` does not go with double and int: write double(…) or int(…) around one of them"),
        ("answer.fine * 2", "`*` does not go with double and int: write double(…) or int(…) around one of them"),
        ("null + 1", "`+` does not go with null and int"),
        ("answer.secret + 1", "`+` does not go with string and int"),
        ("answer.secret - 1", "`-` does not go with string and int"),
        ("0.0 / 0.0 >= 0.92", "`>=` does not go with double and double"),
        ("0.0 / 0.0 == 0.92", "`==` has no answer for double and double"),
        ("0.0 / 0.0 != 0.92", "`!=` has no answer for double and double"),
        ("1.0 / 0.0", "the result is not a finite number"),
        ("1 / 0", "division by zero"),
        ("1 % 0", "division by zero"),
        ("9223372036854775807 + 1", "`+` overflows"),
        ("int(answer.secret)", "`int` cannot take this value"),
        ("timestamp(answer.secret)", "`timestamp` cannot take this value"),
        ("luhn(answer.number)", "`luhn` does not go with int"),
        ("size(answer.number)", "`size` does not go with int"),
        ("answer.number.startsWith('4')", "`startsWith` does not go with int and string"),
        ("has(answer.status.deeper)", "`.` does not go with string and string"),
        ("answer.status.exists(x, x == 'b')", "expected iterable, found string"),
        ("answer.status ? 1 : 2", "expected bool, found string"),
        ("{1: 2}", "the keys of an object must be strings"),
        ("int", "the result cannot be type"),
        ("{'a': 1, 'a': 2}", "a map repeats a key"),
    ];
    for (source, message) in table {
        assert_eq!(failure(source), message, "{source}");
    }
}

#[test]
fn only_a_bool_is_a_condition() {
    for (source, found) in
        [("null", "null"), ("1", "int"), ("'true'", "string"), ("answer.items", "list"), ("answer", "map"), ("now", "timestamp")]
    {
        let error = Expr::compile(source).unwrap().test(&scope()).unwrap_err();
        assert_eq!(error.message, format!("expected a condition (bool), found {found}"));
        assert_eq!(error.expr, source);
    }
}

#[test]
fn messages_never_hold_a_value() {
    for source in [
        "answer.secret + 1",
        "answer.secret - answer.secret",
        "answer.number > answer.secret",
        "answer.number == answer.secret",
        "int(answer.secret)",
        "answer[answer.secret]",
        "answer.codes[answer.number]",
        "answer.number / 0",
        "request.big + answer.number",
        "{answer.secret: 1, answer.secret: 2}",
        "timestamp(answer.secret)",
        "duration(answer.secret)",
        "now.getHours(answer.secret)",
        "answer.secret in answer.number",
        "answer.items.exists(i, i.state > answer.number)",
    ] {
        let message = failure(source);
        assert!(!message.contains("s3cr3t") && !message.contains("4321"), "{source}: {message}");
    }
}

#[test]
fn what_an_expression_reads() {
    let expr = Expr::compile(
        "answers.face.score >= 0.9 && has(answer.a.b) && answer['weird key'].x == 1 \
         && answer.items.exists(i, i.state == request.tags[0].y) && size(meta) == type(now) && status == 1",
    )
    .unwrap();
    let names: Vec<&str> = expr.names().iter().map(String::as_str).collect();
    assert_eq!(names, ["answer", "answers", "meta", "now", "request", "status"]);
    let paths: Vec<String> = expr.paths().iter().map(|path| path.join("/")).collect();
    assert_eq!(
        paths,
        ["answer/a/b", "answer/items", "answer/weird key/x", "answers/face/score", "meta", "now", "request/tags", "status"]
    );
    let functions: Vec<&str> = expr.functions().iter().map(String::as_str).collect();
    assert_eq!(functions, ["size", "type"]);
}

#[test]
fn expressions_and_scopes_go_between_threads() {
    fn check<T: Send + Sync>() {}
    check::<Expr>();
    check::<Scope>();
    check::<Template>();
    check::<JsonTemplate>();
}

#[test]
fn a_plain_path_is_what_the_interpreter_finds() {
    let data = json!({
        "text": "a", "empty": "", "long": "x".repeat(5000), "whole": -3, "big": u64::MAX, "half": 0.5, "yes": true, "nothing": null,
        "list": [1], "object": {"inner": {"most": "b"}}, "size": 4, "text.dotted": 1,
    });
    let mut scope = Scope::new();
    scope.set("request", &data);
    for path in [
        "text",
        "empty",
        "long",
        "whole",
        "big",
        "half",
        "yes",
        "nothing",
        "list",
        "object.inner.most",
        "object.inner",
        "size",
        "none",
        "object.none",
    ] {
        let (plain, asked) = (format!("request.{path}"), format!("(request.{path})"));
        let eval =
            |source: &str| Expr::compile(source).unwrap().eval(&scope).map_err(|error| error.to_string().replace(['(', ')'], ""));
        assert_eq!(eval(&plain), eval(&asked), "{path}");
    }
}

#[test]
fn a_variable_that_is_set_anew_is_read_anew() {
    let mut scope = Scope::new();
    for n in [1, 2] {
        scope.set("request", &json!({"n": n}));
        let eval = |source: &str| Expr::compile(source).unwrap().eval(&scope).unwrap();
        assert_eq!((eval("request.n"), eval("request.n + 1")), (json!(n), json!(n + 1)));
    }
}
