#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use serde_json::json;

use super::*;
use crate::domain::process::{Known, parse};

const PROCESS: &str = r#"
process: card_unbind
version: 1
title: {en: Unbind, zh-CN: 解绑}
owner: cards
promise: 1h
customer: "${request.card_id}"
request: {type: object, required: [card_id], properties: {card_id: {type: string}}, additionalProperties: false}
steps:
  - verify: card
    clause: {id: C-1, text: The card is bound}
    call: {connector: bank, get: "/cards/${request.card_id}"}
    pass_when: "answer.status == 'bound'"
    otherwise: {review: unclear}
  - wait: code
    callback: sms
    within: 2h
    otherwise: {refuse: no_code}
  - execute: unbind
    call: {connector: bank, post: "/cards/${request.card_id}/unbind"}
    reconcile: {call: {connector: bank, get: "/cards/${request.card_id}"}, happened_when: "answer.status == 'unbound'"}
    undo: {call: {connector: bank, post: "/cards/${request.card_id}/bind"}, idempotent: true}
done_when: {call: {connector: bank, get: "/cards/${request.card_id}"}, is: "answer.status == 'unbound'", otherwise: {review: unclear}}
reasons:
  no_code: {customer: {en: Too late., zh-CN: 已超时。}}
reviews:
  unclear: {question: {en: "Is it?", zh-CN: 是吗？}, options: [approve, retry], due: 4h}
"#;

fn cases(text: &str) -> Result<Vec<Case>, String> {
    let process = parse("p.yaml", PROCESS, &Known::default()).expect("a process").process;
    let shown = |found: Vec<Finding>| {
        found.iter().map(|one| format!("{}:{} {}", one.line, one.column, one.message)).collect::<Vec<_>>().join("\n")
    };
    parse_cases("p.test.yaml", text, &process).map_err(shown)
}

#[test]
fn a_case_is_read_whole() {
    let text = r#"process: card_unbind
cases:
  - name: late but done
    request: &request {card_id: K1}
    answers:
      card: &bound {status: 200, body: {status: bound}}
      unbind: [{fail: timeout}, {status: 204}]
      reconcile.unbind: *bound
    callbacks: [{name: sms, after: 30s, body: {code: "1"}}]
    decisions: [{review: unclear, decide: retry, by: li, after: 1h}]
    advance: 1m
    expect: {outcome: done}
    verdicts: {card: pass}
    calls: {unbind: 2, undo.unbind: 0, done_when: 1}
  - name: parked
    request: *request
    expect: {state: parked, dependency: bank}
"#;
    let cases = cases(text).unwrap();
    let [first, second] = cases.as_slice() else { unreachable!("two cases") };
    assert_eq!(first.line, 3);
    assert_eq!(first.request, json!({"card_id": "K1"}));
    let answer = Scripted::Answer { status: 200, body: json!({"status": "bound"}) };
    assert_eq!(first.answers["reconcile.unbind"], [answer]);
    let second_try = Scripted::Answer { status: 204, body: Json::Null };
    assert_eq!(first.answers["unbind"], [Scripted::Fail(Fail::Timeout), second_try]);
    assert_eq!(first.callbacks[0].after, Duration::from_secs(30));
    assert_eq!(first.decisions[0].decide, Choice::Retry);
    assert_eq!(first.advance, Duration::from_mins(1));
    assert_eq!(first.expect, Expected::Done);
    assert_eq!(first.verdicts["card"], ExpectedVerdict::Pass);
    assert_eq!(first.calls["undo.unbind"], 0);
    assert_eq!(second.expect, Expected::ParkedDependency("bank".to_owned()));
    assert_eq!(second.answers.len(), 0);
}

#[test]
fn what_the_process_does_not_have_is_found() {
    let case = |rest: &str| {
        let text = format!("process: card_unbind\ncases:\n  - name: x\n    request: {{card_id: K1}}\n    {rest}\n");
        cases(&text).unwrap_err()
    };
    for (rest, message) in [
        ("answers: {crad: {status: 200}}\n    expect: {outcome: done}", "5:15 answers cannot name `crad`"),
        ("calls: {code: 1}\n    expect: {outcome: done}", "5:13 calls cannot name `code`"),
        ("calls: {reconcile.undo.unbind: 1}\n    expect: {outcome: done}", "5:13 calls cannot name `reconcile.undo.unbind`"),
        ("verdicts: {unbind: pass}\n    expect: {outcome: done}", "5:16 verdicts cannot name `unbind`"),
        ("verdicts: {card: ok}\n    expect: {outcome: done}", "5:22 a verdict cannot be `ok`"),
        ("answers: {card: {fail: sometimes}}\n    expect: {outcome: done}", "5:28 a failure cannot be `sometimes`"),
        ("answers: {card: {}}\n    expect: {outcome: done}", "5:21 an answer has either `status` or `fail`"),
        ("callbacks: [{name: mail, after: 1s}]\n    expect: {outcome: done}", "5:24 the process has no callback `mail`"),
        (
            "decisions: [{review: unclear, decide: refuse, reason: no_code, by: li}]\n    expect: {outcome: done}",
            "5:43 `refuse` is not an option of this review",
        ),
        (
            "decisions: [{review: overdue, decide: refuse, by: li}]\n    expect: {outcome: done}",
            "5:17 a decision of this kind needs `reason`",
        ),
        ("expect: {outcome: refused, reason: no_cod}", "5:40 the process has no reason `no_cod`"),
        ("expect: {outcome: refused}", "5:13 this is not where a request can stand"),
        ("expect: {state: parked, defect: false}", "5:13 this is not where a request can stand"),
        ("expect: {state: parked, dependency: face}", "5:29 the process does not call `face`"),
        ("expct: {outcome: done}", "5:5 a case has no key `expct`"),
    ] {
        assert_eq!(case(rest), message, "{rest}");
    }
}

#[test]
fn the_payload_must_fit_and_names_must_differ() {
    let text = "process: card_unbind\ncases:\n  - {name: x, request: {card: K1}, expect: {outcome: done}}\n";
    let said = cases(text).unwrap_err();
    assert!(said.starts_with("3:24 the request does not fit the process's schema: "), "{said}");
    let one = "  - {name: x, request: {card_id: K1}, expect: {outcome: done}}\n";
    let said = cases(&format!("process: card_unbind\ncases:\n{one}{one}")).unwrap_err();
    assert_eq!(said, "4:5 there is a case `x` already");
    let said = cases("process: card_bind\ncases: []\n").unwrap_err();
    assert_eq!(said, "1:10 these cases are for another process");
}
