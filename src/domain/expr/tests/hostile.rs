//! Input that would bring a naive interpreter down: refused at load, or bounded at run time.

use std::time::{Duration, Instant};

use super::*;

/// Far above what any of them takes, far below what an unbounded one does.
const QUICK: Duration = Duration::from_secs(5);

#[test]
fn pathological_sources_are_refused_quickly_and_with_a_hint() {
    let chain = |term: &str, operator: &str, count: usize| vec![term; count].join(operator);
    let table = [
        ("1,600 terms", chain("1", "+", 1600)),
        ("1,000 terms", chain("1", "+", 1000)),
        ("1,000 members", chain("a", ".", 1000)),
        ("400 alternatives", chain("a", "||", 400)),
        ("deep parentheses", format!("{}1{}", "(".repeat(900), ")".repeat(900))),
        ("deep lists", format!("{}1{}", "[".repeat(900), "]".repeat(900))),
        ("deep objects", format!("{}1{}", "{'a':".repeat(300), "}".repeat(300))),
        ("deep calls", format!("{}1{}", "size(".repeat(300), ")".repeat(300))),
        ("unclosed parentheses", "(".repeat(2000)),
        ("closed before opened", ")".repeat(2000)),
        ("conditionals", format!("{}1", "true?1:".repeat(250))),
        ("nested comprehension", "a.all(x, b.all(y, c.all(z, x == y && y == z)))".to_owned()),
        ("comprehension in a range of a body", "a.exists(x, x.filter(y, y > 1) == [])".to_owned()),
        ("10 MB", "a".repeat(10_000_000)),
        ("10 MB of brackets", "(".repeat(10_000_000)),
        ("huge repetition", "answer.x.matches('((a{1000}){1000}){1000}')".to_owned()),
        ("long pattern", format!("answer.x.matches('{}')", "a?".repeat(300))),
        ("computed pattern", "answer.x.matches(request.pattern)".to_owned()),
        ("bad pattern", "answer.x.matches('(')".to_owned()),
        ("unclosed string", "'abc".to_owned()),
        ("200 comparisons", chain("a == 1", " && ", 120)),
    ];
    for (name, source) in table {
        let start = Instant::now();
        let error = refusal(&source);
        assert!(start.elapsed() < QUICK, "{name} took {:?}", start.elapsed());
        assert!(error.hint.is_some(), "{name}: {error:?}");
        assert!(error.offset.is_some_and(|at| at <= source.len()), "{name}: {error:?}");
        assert!(error.message.len() < 300, "{name}");
    }
}

#[test]
fn refusals_say_where_and_what_instead() {
    let table = [
        ("", 0, "the expression is empty", None),
        ("answer.status = 'x'", 14, "`= ` does not belong here", Some("compare with `==`")),
        ("answer.a and answer.b", 9, "unexpected `and`", Some("write `&&`, `||` and `!`")),
        ("answer.a ==", 11, "the expression ends too early", None),
        (
            "'张三' == ${request.x}",
            12,
            "`$` does not belong here",
            Some("inside an expression write the name alone, without `${…}`"),
        ),
        ("'张三' == foo(1)", 15, "there is no function `foo`", None),
        ("sizeOf(answer.x)", 6, "there is no function `sizeOf`", None),
        ("answer.x.startswith('a')", 19, "there is no function `startswith`", Some("did you mean `startsWith`?")),
        ("startsWith(answer.x, 'a')", 10, "`startsWith` is not called like this", Some("write x.startsWith(y)")),
        ("size(1, 2)", 4, "`size` is not called like this", Some("write size(x) or x.size()")),
        (
            "answer.items.exists(x)",
            19,
            "there is no function `exists`",
            Some("write has(a.b), a.exists(x, …), a.all(x, …), a.map(x, …) or a.filter(x, …)"),
        ),
        ("has(answer)", 4, "invalid argument to has() macro", None),
        ("answer.items.exists(answer, true)", 19, "the loop variable hides `answer`", Some("choose another name for it")),
        ("answer.?x", 6, "unsupported syntax '.?'", Some("ask with `has(answer.x)` first")),
        ("a.b{c: 1}", 3, "messages are not part of the language", Some("write an object: {'key': value}")),
        (".answer.x == 1", 7, "a name does not start with a dot", Some("remove the dot")),
        ("b'abc' == answer.x", 0, "bytes are not part of the language", Some("write a string")),
        ("optional.none()", 13, "there is no function `none`", None),
        ("if", 0, "reserved identifier: if", None),
        ("a \0", 2, "`\\u{0}` does not belong here", None),
        ("a \u{202e}", 2, "`\\u{202e}` does not belong here", None),
        ("(answer.x", 0, "the bracket is not closed", Some("close it")),
    ];
    for (source, offset, message, hint) in table {
        let error = refusal(source);
        assert_eq!((error.offset, error.message.as_str()), (Some(offset), message), "{source}");
        if let Some(hint) = hint {
            assert_eq!(error.hint.as_deref(), Some(hint), "{source}");
        }
    }
}

/// The largest trees that are accepted, on a stack smaller than any that the engine has.
#[test]
fn what_is_accepted_needs_little_stack() {
    let sources = [
        ["'a'"; 31].join(" + "),
        format!("{}1{}", "[".repeat(15), "]".repeat(15)),
        format!("{}request.n > 1{}", "(1 > 2 ? true : ".repeat(20), ")".repeat(20)),
        format!("answer.items.exists(i, {} == 'a')", ["i.state"; 12].join(" + ")),
        format!("answer{}", ".a".repeat(30)),
    ];
    let run = std::thread::Builder::new().stack_size(1536 * 1024).spawn(move || {
        for source in sources {
            let expr = Expr::compile(&source).unwrap_or_else(|error| panic!("{source}: {error:?}"));
            drop(expr.eval(&scope()));
        }
    });
    run.unwrap().join().unwrap();
}

#[test]
fn data_beyond_the_limits_fails_what_uses_it_and_nothing_else() {
    let mut deep = json!(1);
    for _ in 0..100 {
        deep = json!([deep]);
    }
    let wide: Value = (0..10_001).map(|n| (format!("k{n}"), json!(n))).collect::<serde_json::Map<_, _>>().into();
    let mut scope = Scope::new();
    scope.set("answer", &json!({"long": vec![1; 10_001], "full": vec![1; 10_000], "deep": deep, "wide": wide, "ok": 1}));
    scope.set_time("now", i64::MAX);
    let run = |source: &str| Expr::compile(source).unwrap().eval(&scope);
    assert_eq!(run("answer.ok == 1 && has(answer.long) && has(answer.deep)"), Ok(json!(true)));
    assert_eq!(run("answer.full.all(x, x == 1) && size(answer.full) == 10000"), Ok(json!(true)));
    let table = [
        ("size(answer.long) > 1", "`size` does not go with a list of more than 10,000 items"),
        ("answer.long.all(x, x == 1)", "expected iterable, found a list of more than 10,000 items"),
        ("1 in answer.long", "`in` needs a list or an object on its right, found a list of more than 10,000 items"),
        ("answer.long == []", "`==` does not compare a list of more than 10,000 items and list"),
        ("answer.long != null", "`!=` does not compare a list of more than 10,000 items and null"),
        ("answer.long", "the result cannot be a list of more than 10,000 items"),
        ("answer.long[0]", "`[]` does not go with a list of more than 10,000 items and int"),
        ("answer.wide.k1", "`.` does not go with an object of more than 10,000 keys and string"),
        ("answer.deep", "the result cannot be data nested deeper than 64 levels"),
        ("now > timestamp('2026-01-01T00:00:00Z')", "`>` does not go with a time outside the years 1 to 9999 and timestamp"),
    ];
    for (source, message) in table {
        assert_eq!(run(source).map_err(|error| error.message), Err(message.to_owned()), "{source}");
    }
}

#[test]
fn work_is_bounded() {
    let ids: Vec<String> = (0..10_000).map(|n| format!("id-{n}")).collect();
    let mut scope = Scope::new();
    scope.set("request", &json!({"ids": ids.clone(), "big": "x".repeat(1_000_000)}));
    scope.set("answer", &json!({"ids": ids, "some": (0..1000).map(|n| format!("id-{n}")).collect::<Vec<_>>()}));
    let too_much = "the expression does too much work on this data";
    let table = [
        ("answer.ids.all(x, x in request.ids)", Err(too_much)),
        ("answer.ids.all(x, answer.ids == request.ids)", Err(too_much)),
        ("answer.ids.exists(x, request.big.contains('z'))", Err(too_much)),
        ("answer.ids.exists(x, request.big.matches('z'))", Err(too_much)),
        ("answer.ids.exists(x, size(request.big) == 1)", Err(too_much)),
        ("answer.ids.exists(x, request.big + 'a' == x)", Err(too_much)),
        ("answer.ids.exists(x, request.big < request.big)", Err(too_much)),
        ("answer.ids.map(x, request) == []", Err(too_much)),
        ("answer.ids.map(x, {'r': request}) == []", Err(too_much)),
        // What real rules do stays far below.
        ("answer.ids.all(x, x.startsWith('id-'))", Ok(true)),
        ("answer.some.all(x, x in request.ids)", Ok(true)),
        ("answer.ids == request.ids", Ok(true)),
        ("size(answer.ids.filter(x, x.endsWith('7')).map(x, x + '!')) == 1000", Ok(true)),
    ];
    for (source, expected) in table {
        let start = Instant::now();
        let found = Expr::compile(source).unwrap().test(&scope).map_err(|error| error.message);
        assert!(start.elapsed() < QUICK, "{source} took {:?}", start.elapsed());
        assert_eq!(found, expected.map_err(str::to_owned), "{source}");
    }
}
