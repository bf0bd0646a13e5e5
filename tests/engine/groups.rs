//! What is parked together comes back together: one first, then the others at a rate; and never passes by itself.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use mozhao::domain::process::cases::Fail;
use mozhao::domain::process::{Known, parse};
use mozhao::domain::request::fact::FailureClass;
use mozhao::engine::groups;
use mozhao::engine::ports::clock::Clock;
use mozhao::engine::ports::records::ControlRow;
use mozhao::engine::ports::remote::{Answer, BreakerSettings, Failure, Remote, RemoteCall};
use mozhao::proof::clock::BEGINNING;
use mozhao::proof::world::{Parts, World};
use serde_json::json;
use uuid::Uuid;

use crate::support::{SWAP, Stage, TRANSFER, fails, fails_until, play, says, slowly};
use crate::the_rest_of_the_remote;

/// Runs with the loop that looks after groups, for so many seconds.
async fn tended(stage: &Stage, seconds: u64) {
    let ticks = Duration::from_secs(seconds).as_millis() / groups::TICK.as_millis();
    for _ in 0..ticks {
        groups::tick(&stage.world.worker.core).await.unwrap();
        stage.world.run_until(stage.clock.now().plus(groups::TICK)).await.unwrap();
    }
}

async fn parked(stage: &mut Stage, count: usize) -> Vec<Uuid> {
    let mut requests = Vec::new();
    for customer in 0..count {
        requests.push(stage.transfer(&format!("C{customer}")).await);
    }
    requests
}

#[test]
fn a_dependency_that_comes_back_gets_one_request_first_and_then_the_others_at_a_rate() {
    play(vec![("funds", vec![fails_until(Fail::Refused, 5), says(json!({ "ok": true }))])], |mut stage| async move {
        let requests = parked(&mut stage, 60).await;
        stage.at(120).await;
        let under = stage.store.parked_under("dependency:bank", 1_000).await.unwrap();
        assert_eq!(under, 60, "the budget is used up, nothing has happened: parked");
        tended(&stage, 120).await;
        let under = stage.store.parked_under("dependency:bank", 1_000).await.unwrap();
        assert!((59..=60).contains(&under), "only the canary is on its way: {under}");
        tended(&stage, 300).await;
        for request in requests {
            assert_eq!(stage.state(request).await, "done");
        }
        // Who was the first, and when the others followed: not before it got through, and not all at once.
        let mut done: Vec<_> = Vec::new();
        for made in stage.script.made().iter().filter(|made| &*made.call.slot == "tell") {
            done.push(made.at);
        }
        assert_eq!(done.len(), 60);
        let second = Duration::from_secs(1);
        let at_once = done.iter().filter(|at| at.since(done[0]) < second).count();
        let rate = usize::try_from(groups::DEFAULT_RATE).unwrap();
        assert!(at_once <= rate + 1, "{at_once} in the first second");
        assert!(done[59].since(done[1]) >= second, "paced");
    });
}

/// A bank that fails for one customer, always and only there.
struct FailsFor {
    customer: &'static str,
    inner: Arc<dyn Remote>,
}

#[async_trait]
impl Remote for FailsFor {
    async fn call(&self, call: &RemoteCall) -> Result<Answer, Failure> {
        if call.path == format!("/funds/{}", self.customer) {
            let detail = "the customer's record is damaged".to_owned();
            return Err(Failure { class: FailureClass::Transient, code: "status", status: Some(500), detail, retry_after: None });
        }
        self.inner.call(call).await
    }

    the_rest_of_the_remote!();
}

#[test]
fn one_bad_record_does_not_hold_up_the_others_and_becomes_a_defect() {
    play(vec![], |mut stage| async move {
        let remote = FailsFor { customer: "C0", inner: stage.script.clone() };
        let parts = Parts {
            clock: stage.clock.clone(),
            store: stage.store.clone(),
            remote: Arc::new(remote),
            processes: stage.processes.clone(),
        };
        stage.world = World::begin(parts).await.unwrap();
        let bad = stage.transfer("C0").await;
        tended(&stage, 10).await;
        // They come in one after the other, while the bad one is tried, is parked, and is sent ahead.
        for customer in 1..=40 {
            let good = stage.transfer(&format!("C{customer}")).await;
            tended(&stage, 30).await;
            assert_eq!(stage.state(good).await, "done", "number {customer}");
        }
        let row = stage.world.row(bad).await.unwrap();
        assert!(row.parked.as_deref().is_some_and(|group| group.starts_with("defect:")), "{row:?}");
        let defects = stage.store.defects(&[], 10).await.unwrap();
        assert_eq!((defects.len(), defects[0].code.as_str(), defects[0].status), (1, "status", Some(500)));
    });
}

/// Found by the scenario `a_worker_is_stopped_while_a_target_hangs` with seed 3: whoever would have resumed them was gone.
#[test]
fn parked_requests_come_back_when_their_group_was_closed() {
    play(vec![("funds", vec![fails_until(Fail::Refused, 5), says(json!({ "ok": true }))])], |mut stage| async move {
        let requests = parked(&mut stage, 3).await;
        stage.at(120).await;
        assert_eq!(stage.store.parked_under("dependency:bank", 10).await.unwrap(), 3);
        tended(&stage, 1).await;
        // Nobody looks after them until the bank is back.
        stage.at(310).await;
        // Closed by somebody who had counted before they were parked.
        let open = stage.store.controls().await.unwrap().into_iter().find(|row| row.group == "dependency:bank").expect("a row");
        let closed = ControlRow { state: "closed".into(), probe_at: None, canary: None, version: open.version + 1, ..open };
        assert!(stage.store.put_control(&closed, None).await.unwrap());
        tended(&stage, 120).await;
        for request in requests {
            assert_eq!(stage.state(request).await, "done");
        }
    });
}

#[test]
fn a_resume_that_finds_nobody_gives_way_to_the_next_one() {
    let broken = says(json!({ "okay": "yes" }));
    play(vec![("funds", vec![broken, says(json!({ "ok": true }))])], |mut stage| async move {
        let request = parked(&mut stage, 1).await[0];
        stage.at(60).await;
        let group = stage.world.row(request).await.unwrap().parked.unwrap();
        // It began just before the request was parked: another worker's clock is a little ahead.
        let (begun, now) = (BEGINNING.minus(Duration::from_millis(100)), stage.clock.now());
        let row = ControlRow { since: Some(begun), ..groups::opened(&group, "resumed", Some(now), None, now) };
        assert!(stage.store.put_control(&row, None).await.unwrap());
        tended(&stage, 200).await;
        let row = stage.store.controls().await.unwrap().pop().unwrap();
        assert_eq!((row.state.as_str(), stage.state(request).await.as_str()), ("closed", "parked"));
        let now = stage.clock.now();
        let next = groups::opened(&group, "resumed", Some(now), Some(&row), now);
        assert!(stage.store.put_control(&ControlRow { since: Some(now), ..next }, None).await.unwrap());
        tended(&stage, 30).await;
        assert_eq!(stage.state(request).await, "done");
    });
}

#[test]
fn a_changed_contract_parks_under_one_defect_and_a_fixed_version_carries_on() {
    let broken = says(json!({ "okay": "yes" }));
    play(vec![("funds", vec![broken])], |mut stage| async move {
        let requests = parked(&mut stage, 3).await;
        stage.at(60).await;
        let row = stage.world.row(requests[0]).await.unwrap();
        let group = row.parked.clone().unwrap();
        assert!(group.starts_with("defect:"), "{group}");
        for request in &requests {
            assert_eq!(stage.world.row(*request).await.unwrap().parked.as_deref(), Some(group.as_str()));
        }
        let defects = stage.store.defects(&[], 10).await.unwrap();
        let [defect] = defects.as_slice() else { panic!("one defect, not {defects:?}") };
        assert_eq!((defect.count, defect.code.as_str(), defect.slot.as_str()), (3, "schema", "funds"));
        assert_eq!(stage.script.count("hold"), 0, "nothing passes by accident");

        // The fix is a new version that reads the new field.
        let fixed = TRANSFER
            .replace("version: 1", "version: 2")
            .replace("required: [ok], properties: {ok: {type: boolean}}", "required: [okay], properties: {okay: {type: string}}")
            .replace("pass_when: answer.ok", "pass_when: \"answer.okay == 'yes'\"");
        stage.processes.add(parse("transfer.yaml", &fixed, &Known::default()).unwrap().process);
        let unknown = stage.resume(requests[0], Some(9)).await;
        stage.at(90).await;
        assert_eq!(stage.told(unknown).await, "transfer has no version 9");
        stage.resume(requests[0], None).await;
        stage.at(120).await;
        assert_eq!(stage.state(requests[0]).await, "parked", "the old version meets the same defect");
        stage.resume(requests[0], Some(2)).await;
        stage.at(180).await;
        let row = stage.world.row(requests[0]).await.unwrap();
        assert_eq!((row.state.as_str(), row.version), ("done", 2));
        assert!(stage.words(requests[0]).await.contains(&"moved"));
        assert_eq!(stage.world.row(requests[1]).await.unwrap().version, 1, "the others stay where they are");
    });
}

#[test]
fn an_unexpected_refusal_is_a_defect_of_its_own_and_not_a_transient_failure() {
    play(vec![("hold", vec![fails(Fail::Refused), fails(Fail::Garbage)])], |mut stage| async move {
        let request = stage.transfer("C1").await;
        stage.at(600).await;
        // Refused: again. Then no usable answer: the same key again until the budget is used up, then a person.
        assert_eq!(stage.state(request).await, "in_review");
        assert_eq!(stage.script.count("hold"), 8);
        let keys: std::collections::BTreeSet<Option<String>> =
            stage.script.made().into_iter().filter(|made| &*made.call.slot == "hold").map(|made| made.call.key).collect();
        assert_eq!(keys.len(), 1, "one key for all attempts: {keys:?}");
    });
}

#[test]
fn a_breaker_that_is_tried_again_lets_both_checks_of_the_canary_through() {
    let card = vec![fails(Fail::Refused), slowly(json!({ "ok": true, "account": "A1" }), 1)];
    let customer = vec![says(json!({ "ok": true }))];
    play(vec![("card", card), ("customer", customer), ("cut", vec![says(json!({}))])], |mut stage| async move {
        stage.add(SWAP);
        stage.script.breaker("bank", BreakerSettings { failures: 1, ..BreakerSettings::default() });
        let request = stage.submit("swap", &json!({"customer": "C1", "card": "K1", "note": ""})).await;
        stage.at(5).await;
        assert_eq!(stage.state(request).await, "parked");
        tended(&stage, 60).await;
        assert_eq!(stage.state(request).await, "in_review");
        let parked = stage.words(request).await.iter().filter(|word| **word == "parked").count();
        assert_eq!(parked, 1, "{:?}", stage.words(request).await);
    });
}
