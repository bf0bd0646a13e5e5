#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use serde_json::json;

use std::time::Duration;

use super::*;
use crate::domain::process::{Finding, Known, parse};

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
    clause: {id: C-2, text: The code comes back in time}
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
    parse_cases("p.test.yaml", text, &process).map(|file| file.cases).map_err(shown)
}

#[test]
fn a_case_is_read_whole() {
    let text = r#"process: card_unbind
connectors: {bank: {keys: none, timeout: 5s, retry_on: [503]}}
cases:
  - name: late but done
    request: &request {card_id: K1}
    earlier: 2
    answers:
      card: &bound {status: 200, body: {status: bound}}
      unbind: [{fail: timeout, until: 10m}, {status: 204, takes: 3s}]
      reconcile.unbind: *bound
    callbacks: [{name: sms, after: 30s, body: {code: "1"}}]
    decisions: [{review: unclear, decide: retry, by: li, after: 1h}]
    withdrawals: [{after: 10s}]
    advance: 1m
    expect: {outcome: done}
    verdicts: {card: pass}
    calls: {unbind: 2, undo.unbind: 0, done_when: 1}
  - name: parked
    request: *request
    expect: {state: parked, dependency: bank}
"#;
    let process = parse("p.yaml", PROCESS, &Known::default()).expect("a process").process;
    let file = parse_cases("p.test.yaml", text, &process).unwrap();
    let bank = &file.connectors["bank"];
    assert_eq!((bank.keys, bank.timeout, bank.retry_on.as_slice()), (None, Duration::from_secs(5), &[503][..]));
    let [first, second] = file.cases.as_slice() else { unreachable!("two cases") };
    assert_eq!((first.line, first.earlier), (4, 2));
    assert_eq!(first.request, json!({"card_id": "K1"}));
    let answer = |status, body, takes| Scripted::from(Reply::Answer { status, body, retry_after: None, takes });
    assert_eq!(first.answers["reconcile.unbind"], [answer(200, Some(json!({"status": "bound"})), Duration::ZERO)]);
    let outage = Scripted { reply: Reply::Fail(Fail::Timeout), until: Some(Duration::from_mins(10)) };
    assert_eq!(first.answers["unbind"], [outage, answer(204, None, Duration::from_secs(3))]);
    let times: Vec<u64> = first.events.iter().map(|event| event.after.as_secs()).collect();
    assert_eq!(times, [10, 30, 3600], "in order of time, whatever their kind");
    assert_eq!(first.length(), Duration::from_hours(1));
    assert_eq!(first.expect, Expect::Outcome { outcome: "done".to_owned(), reason: None });
    assert_eq!(first.verdicts["card"], Concluded::Pass);
    assert_eq!(first.calls["undo.unbind"], 0);
    let parked = Some(Parked::Dependency("bank".to_owned()));
    assert_eq!(second.expect, Expect::State { state: "parked".to_owned(), step: None, review: None, parked });
    assert_eq!(second.answers.len(), 0);
}

#[test]
fn what_the_process_does_not_have_is_found() {
    let case = |rest: &str| {
        let text = format!("process: card_unbind\ncases:\n  - name: x\n    request: {{card_id: K1}}\n    {rest}\n");
        cases(&text).unwrap_err()
    };
    let done = "\n    expect: {outcome: done}";
    for (rest, message) in [
        ("answers: {crad: {status: 200}}", "5:15 the process has no call `crad`"),
        ("calls: {code: 1}", "5:13 the process has no call `code`"),
        ("calls: {reconcile.undo.unbind: 1}", "5:13 the process has no call `reconcile.undo.unbind`"),
        ("verdicts: {unbind: pass}", "5:16 the process has no step with a verdict `unbind`"),
        ("verdicts: {card: ok}", "5:22 `ok` is not what a verdict can be"),
        ("answers: {card: {fail: sometimes}}", "5:28 `sometimes` is not what fail can be"),
        ("answers: {card: {}}", "5:21 an answer needs `status`"),
        ("answers: {card: []}", "5:21 a list of answers has at least one"),
        ("answers: {card: {fail: reset, status: 200}}", "5:35 what fails has no `status`"),
        ("callbacks: [{name: mail, after: 1s}]", "5:24 the process has no callback `mail`"),
        (
            "decisions: [{review: unclear, decide: refuse, reason: no_code, by: li}]",
            "5:35 `refuse` is not an option of the review `unclear`",
        ),
        ("decisions: [{review: overdue, decide: refuse, by: li}]", "5:18 `refuse` needs `reason`"),
        ("supplements: [{fields: {}}]", "5:28 `fields` names at least one field"),
        ("connectors: {}", "5:5 a case has no key `connectors`"),
        ("expct: {outcome: done}", "5:5 a case has no key `expct`"),
    ] {
        assert_eq!(case(&format!("{rest}{done}")), message, "{rest}");
    }
    for (rest, message) in [
        ("expect: {outcome: refused, reason: no_cod}", "5:40 the process has no reason `no_cod`"),
        ("expect: {outcome: refused}", "5:14 a refusal has a reason"),
        ("expect: {outcome: done, reason: no_code}", "5:37 only a refusal has a reason"),
        ("expect: {state: in_review}", "5:14 `in_review` alone does not say enough"),
        ("expect: {state: parked}", "5:14 `parked` alone does not say enough"),
        ("expect: {state: parked, defect: false}", "5:37 write `defect: true`, or leave it out"),
        ("expect: {state: parked, dependency: face}", "5:41 the process has no connector `face`"),
        ("expect: {state: done}", "5:21 `done` is not what state can be"),
        ("expect: {outcome: done, state: waiting}", "5:13 a case expects one of `outcome`, `state` and `rejected`"),
        ("expect: {outcome: done, review: unclear}", "5:29 `review` does not go with `outcome`"),
    ] {
        assert_eq!(case(rest), message, "{rest}");
    }
}

#[test]
fn the_payload_must_fit_and_names_must_differ() {
    let text = "process: card_unbind\ncases:\n  - {name: x, request: {card: K1}, expect: {outcome: done}}\n";
    let said = cases(text).unwrap_err();
    assert!(said.starts_with("3:24 the request does not fit the process's schema: "), "{said}");
    assert!(cases(&text.replace("outcome: done", "rejected: schema")).is_ok());
    let one = "  - {name: x, request: {card_id: K1}, expect: {outcome: done}}\n";
    let said = cases(&format!("process: card_unbind\ncases:\n{one}{one}")).unwrap_err();
    assert_eq!(said, "4:5 two cases are called \"x\"");
    let said = cases("process: card_bind\ncases: []\n").unwrap_err();
    assert_eq!(said, "1:10 the file stands next to `card_unbind`, not `card_bind`\n2:8 a test file has at least one case");
}
