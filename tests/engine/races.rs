//! Signals that meet the owner at a bad moment: one of them wins, and the other is told.

use std::time::Duration;

use mozhao::domain::process::cases::Fail;
use mozhao::domain::request::signal::Signal;
use mozhao::domain::words::Choice;
use mozhao::engine::ports::clock::Clock;
use mozhao::engine::ports::store::{ReviewAct, ReviewPut, Sent};
use mozhao::proof::clock::BEGINNING;
use mozhao::proof::world::{Parts, World};
use serde_json::json;
use uuid::Uuid;

use crate::mortal::{Fate, MortalRemote};
use crate::support::{SWAP, decision, fails, fails_until, play, says, slowly};

#[test]
fn a_withdrawal_during_the_last_check_wins_against_the_intent() {
    play(vec![("funds", vec![slowly(json!({ "ok": true }), 10)])], |mut stage| async move {
        let request = stage.transfer("C1").await;
        stage.at(5).await;
        let signal = stage.withdraw(request).await;
        stage.at(20).await;
        assert_eq!(stage.state(request).await, "withdrawn");
        assert_eq!(stage.told(signal).await, "applied");
        assert_eq!(stage.calls(), ["funds"]);
        assert_eq!(stage.words(request).await, ["accepted", "started", "verdict", "ended"]);
    });
}

#[test]
fn a_withdrawal_during_an_effect_that_can_be_undone_undoes_it() {
    play(vec![("hold", vec![slowly(json!({}), 1)])], |mut stage| async move {
        let request = stage.transfer("C1").await;
        stage.at(0).await;
        stage.withdraw(request).await;
        stage.at(20).await;
        assert_eq!(stage.state(request).await, "withdrawn");
        assert_eq!(stage.calls(), ["funds", "hold", "undo.hold"]);
    });
}

#[test]
fn a_withdrawal_during_the_last_effect_comes_too_late() {
    play(vec![("tell", vec![slowly(json!({}), 1)])], |mut stage| async move {
        let request = stage.transfer("C1").await;
        stage.at(0).await;
        let signals = [stage.withdraw(request).await, stage.withdraw(request).await, stage.withdraw(request).await];
        stage.at(20).await;
        assert_eq!(stage.state(request).await, "done");
        for signal in signals {
            assert_eq!(stage.told(signal).await, "too late: `tell` has been started and cannot be undone");
        }
        let refused = stage.words(request).await.into_iter().filter(|word| *word == "withdrawal_refused").count();
        assert_eq!(refused, 1, "asking again makes the ledger no longer");
        let again = stage.world.signal(request, &Signal::Withdraw { by: "customer".into(), note: None }).await.unwrap().1;
        assert_eq!(again, Sent::Ended("done"));
    });
}

#[test]
fn of_two_decisions_the_second_hears_that_the_question_has_changed() {
    play(vec![("tell", vec![fails(Fail::Timeout)])], |mut stage| async move {
        let request = stage.transfer("C1").await;
        stage.at(60).await;
        let review = stage.world.open_review(request, "unknown_effect").await.unwrap().unwrap();
        let act = |by: &str, choice| {
            let decision = mozhao::domain::request::signal::Decision { review: review.id, ..decision(by, choice) };
            ReviewAct::Decide { version: review.version, decision }
        };
        let now = stage.clock.now();
        let (first, second) = (act("li", Choice::Applied), act("wang", Choice::NotApplied));
        let first = stage.store.review_act(review.id, &first, stage.clock.id(), now).await.unwrap();
        let second = stage.store.review_act(review.id, &second, stage.clock.id(), now).await.unwrap();
        assert!(matches!(first, ReviewPut::Done(..)), "{first:?}");
        assert!(matches!(&second, ReviewPut::Stale(row) if row.state == "deciding"), "{second:?}");
        stage.at(120).await;
        assert_eq!(stage.state(request).await, "done");
        assert_eq!(stage.script.count("tell"), 1, "an effect that a person has seen applied is not called again");
    });
}

/// Whoever took it in did not know the process's version, and looked at nothing: its owner does, refuses it, and asks anew.
#[test]
fn a_decision_that_its_owner_refuses_is_asked_anew() {
    play(vec![("tell", vec![fails(Fail::Timeout)])], |mut stage| async move {
        let request = stage.transfer("C1").await;
        stage.at(60).await;
        let review = stage.world.open_review(request, "unknown_effect").await.unwrap().unwrap();
        let wrong = mozhao::domain::request::signal::Decision { review: review.id, ..decision("li", Choice::Approve) };
        let wrong = ReviewAct::Decide { version: review.version, decision: wrong };
        let signal = stage.clock.id();
        let put = stage.store.review_act(review.id, &wrong, signal, stage.clock.now()).await.unwrap();
        assert!(matches!(&put, ReviewPut::Done(row, Some(_)) if row.state == "deciding"), "{put:?}");
        stage.at(70).await;
        let why = stage.told(signal).await;
        assert!(why.starts_with("`approve` is not an option here"), "{why}");
        let reopened = stage.store.review(review.id).await.unwrap();
        assert_eq!((reopened.state.as_str(), reopened.version, &reopened.decision), ("open", 2, &None));
        assert_eq!(stage.words(request).await.last(), Some(&"noted"), "its maker may not be there any more");
        // The same once more hears the same; another one is applied.
        let put = stage.store.review_act(review.id, &wrong, signal, stage.clock.now()).await.unwrap();
        assert!(matches!(&put, ReviewPut::Done(row, Some(_)) if row.state == "open"), "{put:?}");
        stage.world.decide(request, "unknown_effect", decision("wang", Choice::Applied)).await.unwrap();
        stage.at(120).await;
        assert_eq!(stage.state(request).await, "done");
    });
}

#[test]
fn a_decision_and_a_withdrawal_at_the_same_moment_both_get_an_answer() {
    play(vec![("tell", vec![fails(Fail::Timeout)])], |mut stage| async move {
        let request = stage.transfer("C1").await;
        stage.at(60).await;
        stage.world.decide(request, "unknown_effect", decision("li", Choice::NotApplied)).await.unwrap();
        let withdrawal = stage.withdraw(request).await;
        stage.at(120).await;
        // The decision came first: nothing final has happened, so the withdrawal goes through and both effects are undone.
        assert_eq!(stage.state(request).await, "withdrawn");
        assert_eq!(stage.told(withdrawal).await, "applied");
        assert_eq!(stage.calls(), ["funds", "hold", "book", "tell", "undo.book", "undo.hold"]);
    });
}

#[test]
fn a_check_that_is_repeated_before_an_effect_waits_between_its_attempts() {
    let funds = vec![says(json!({ "ok": true })), fails(Fail::Refused), fails(Fail::Refused), says(json!({ "ok": true }))];
    let tell = vec![fails_until(Fail::Refused, 15), says(json!({}))];
    play(vec![("funds", funds), ("tell", tell)], |mut stage| async move {
        let request = stage.transfer("C1").await;
        stage.at(20 * 60).await;
        assert_eq!(stage.state(request).await, "parked");
        stage.resume(request, None).await;
        stage.at(30 * 60).await;
        assert_eq!(stage.state(request).await, "done");
        let made = stage.script.made();
        let times: Vec<Duration> =
            made.iter().filter(|made| &*made.call.slot == "funds").map(|made| made.at.since(BEGINNING)).collect();
        assert_eq!(times.len(), 4);
        assert!(times[1] < times[2] && times[2] < times[3], "{times:?}");
    });
}

#[test]
fn an_unknown_is_cleared_up_before_old_checks_are_repeated() {
    let read = vec![fails_until(Fail::Refused, 15), says(json!({ "there": true }))];
    play(vec![("book", vec![fails(Fail::Timeout)]), ("reconcile.book", read)], |mut stage| async move {
        let request = stage.transfer("C1").await;
        stage.at(20 * 60).await;
        assert_eq!(stage.state(request).await, "parked");
        let before = stage.calls().len();
        stage.resume(request, None).await;
        stage.at(30 * 60).await;
        assert_eq!(stage.state(request).await, "done");
        assert_eq!(stage.calls()[before..], ["reconcile.book", "funds", "tell", "done_when"].map(str::to_owned));
    });
}

#[test]
fn an_effect_that_did_not_happen_is_not_waited_for_on_the_way_back() {
    let ok = || vec![says(json!({ "ok": true, "account": "A1" }))];
    let answers =
        vec![("card", ok()), ("customer", ok()), ("reconcile.cut", vec![says(json!({ "there": false }))]), ("cut", ok())];
    play(answers, |mut stage| async move {
        stage.add(SWAP);
        // The worker dies when it calls the effect, and the customer withdraws while nobody is there.
        let fate = Fate::dies_at(4);
        let parts = |fate| Parts {
            clock: stage.clock.clone(),
            store: stage.store.clone(),
            remote: std::sync::Arc::new(MortalRemote { inner: stage.script.clone(), fate }),
            processes: stage.processes.clone(),
        };
        let mut dying = World::begin(parts(fate.clone())).await.unwrap();
        let submission = dying.submission("swap", &json!({"customer": "C1", "card": "K1", "note": ""}));
        let request = dying.accept(&submission, true).await.unwrap();
        dying.run_until(stage.clock.now().plus(Duration::from_secs(1))).await.unwrap();
        assert_eq!(fate.points().last().unwrap(), "before the call cut");
        stage
            .store
            .signal(Uuid::from_u128(7), request, &Signal::Withdraw { by: "app".into(), note: None }, stage.clock.now())
            .await
            .unwrap();
        stage.world = World::begin(parts(Fate::lives())).await.unwrap();
        stage.clock.advance_to(stage.clock.now().plus(Duration::from_secs(20)));
        let me = stage.world.worker.core.worker;
        stage.store.heartbeat(me).await.unwrap();
        stage.store.rescue(me, Duration::from_secs(10)).await.unwrap();
        stage.at(600).await;
        assert_eq!(stage.state(request).await, "withdrawn");
    });
}
