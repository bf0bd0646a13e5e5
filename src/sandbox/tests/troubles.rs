//! Every scripted trouble as a caller meets it, and what the ledger then says.

use serde_json::{Value, json};

use super::{super::*, client, sandbox, unbind};

#[tokio::test]
async fn a_call_may_be_applied_without_an_answer() {
    let sandbox = sandbox().await;
    let trouble = [Trouble::ApplyThenHang { answer_after_ms: None }, Trouble::ApplyThenReset];
    for (card, trouble) in ["C1", "C2"].into_iter().zip(trouble) {
        let reset = trouble == Trouble::ApplyThenReset;
        sandbox.handle().fault(Fault::new("/bank/cards/*/unbind", trouble).times(1));
        let error = unbind(&sandbox, card, None).await.unwrap_err();
        assert_eq!(error.is_timeout(), !reset, "{error:?}");
        assert!(!error.is_connect(), "{error:?}");
        assert_eq!(sandbox.handle().applied("unbind", card), 1);
    }
    let calls = sandbox.handle().calls(|call| call.applied);
    assert_eq!(calls.iter().map(|call| call.fault).collect::<Vec<_>>(), [Some("apply_then_hang"), Some("apply_then_reset")]);
    assert!(calls.iter().all(|call| call.status.is_none()));
    assert_eq!(sandbox.handle().totals().unanswered, 2);
    // The rules are spent.
    assert_eq!(unbind(&sandbox, "C1", None).await.unwrap().0, 200);
    sandbox.stop().await;
}

#[tokio::test]
async fn a_call_may_fail_without_being_applied() {
    let sandbox = sandbox().await;
    let url = format!("{}/bank/cards/C1/unbind", sandbox.url());
    for trouble in [Trouble::Hang, Trouble::Reset] {
        sandbox.handle().fault(Fault::new("/bank/**", trouble).times(1));
        assert!(unbind(&sandbox, "C1", None).await.is_err());
    }
    sandbox.handle().fault(Fault::new("/bank/**", Trouble::Status { status: 503, retry_after_s: Some(7) }).times(1));
    let response = client().post(&url).send().await.unwrap();
    assert_eq!((response.status().as_u16(), response.headers()["retry-after"].to_str().unwrap()), (503, "7"));
    sandbox.handle().fault(Fault::new("/bank/**", Trouble::Html).times(1));
    let response = client().post(&url).send().await.unwrap();
    assert!(response.headers()["content-type"].to_str().unwrap().starts_with("text/html"));
    sandbox.handle().fault(Fault::new("/bank/**", Trouble::Redirect { to: "http://127.0.0.1:1/".into() }).times(1));
    assert_eq!(client().post(&url).send().await.unwrap().status(), 302);
    assert_eq!(sandbox.handle().applied("unbind", "C1"), 0);
    assert_eq!(sandbox.handle().totals().by_fault.values().sum::<u64>(), 5);
    sandbox.stop().await;
}

#[tokio::test]
async fn an_effect_may_come_after_the_caller_has_gone() {
    let sandbox = sandbox().await;
    let handle = sandbox.handle().clone();
    handle.fault(Fault::new("/bank/cards/*/unbind", Trouble::ApplyLate { ms: 3_600_000 }));
    assert!(unbind(&sandbox, "C1", None).await.unwrap_err().is_timeout());
    assert_eq!(handle.applied("unbind", "C1"), 0);
    // Stopping ends the wait; the effect then comes, with nobody listening.
    sandbox.stop().await;
    assert_eq!(handle.applied("unbind", "C1"), 1);
}

#[tokio::test]
async fn answers_may_break_their_contract() {
    let sandbox = sandbox().await;
    let url = format!("{}/bank/cards/C1", sandbox.url());
    let next = async |trouble: Trouble| {
        sandbox.handle().fault(Fault::new("/bank/cards/*", trouble).times(1));
        let response = client().get(&url).send().await.unwrap();
        assert_eq!(response.status(), 200);
        response.text().await.unwrap()
    };
    let parse = |text: String| serde_json::from_str::<Value>(&text);
    let renamed = parse(next(Trouble::Rename { field: "status".into(), to: "state".into() }).await).unwrap();
    assert_eq!((renamed.get("status"), &renamed["state"]), (None, &json!("bound")));
    let retyped = parse(next(Trouble::Retype { field: "status".into() }).await).unwrap();
    assert_eq!(retyped["status"], json!(["bound"]));
    assert!(parse(next(Trouble::Truncated).await).unwrap_err().is_eof());
    assert_eq!(next(Trouble::EmptyBody).await, "");
    assert_eq!(next(Trouble::Huge { bytes: 200_000 }).await.len(), 4 * 65_536 + 2);
    assert_eq!(parse(next(Trouble::Trickle { ms_per_byte: 1 }).await).unwrap()["status"], "bound");
    assert_eq!(parse(next(Trouble::Delay { ms: 1 }).await).unwrap()["status"], "bound");
    sandbox.stop().await;
}

#[tokio::test]
async fn a_gzip_bomb_expands() {
    let sandbox = sandbox().await;
    sandbox.handle().fault(Fault::new("/bank/**", Trouble::GzipBomb { bytes: 20_000_000 }));
    let mut response = client().get(format!("{}/bank/cards/C1", sandbox.url())).send().await.unwrap();
    let mut expanded = 0;
    // The stream has no proper end, as bombs rarely do: count until it breaks.
    while let Ok(Some(chunk)) = response.chunk().await {
        assert!(chunk.iter().all(|byte| *byte == b'a'));
        expanded += chunk.len();
    }
    assert!(expanded > 19_000_000, "{expanded}");
    sandbox.stop().await;
}

#[tokio::test]
async fn stopping_ends_a_hanging_call() {
    let sandbox = sandbox().await;
    sandbox.handle().fault(Fault::new("/bank/**", Trouble::Hang));
    let url = format!("{}/bank/cards/C1", sandbox.url());
    let call = tokio::spawn(async move { client().get(url).send().await });
    while sandbox.handle().totals().unanswered == 0 {
        tokio::task::yield_now().await;
    }
    sandbox.stop().await;
    assert_eq!(call.await.unwrap().unwrap().status(), 504);
}
