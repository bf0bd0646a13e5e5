//! Requests of one key run one at a time, in the order in which they were accepted.

use mozhao::domain::process::cases::Fail;
use mozhao::domain::words::Choice;
use serde_json::json;

use crate::support::{decision, fails, play, says, slowly};

#[test]
fn the_next_one_starts_when_its_predecessor_has_ended() {
    play(vec![("funds", vec![slowly(json!({ "ok": true }), 10)])], |mut stage| async move {
        let first = stage.transfer("C1").await;
        let second = stage.transfer("C1").await;
        let third = stage.transfer("C1").await;
        let other = stage.transfer("C2").await;
        stage.at(5).await;
        for (request, state) in [(first, "queued"), (second, "queued"), (third, "queued"), (other, "queued")] {
            // Nothing was written since: the first checks are still on their way.
            assert_eq!(stage.state(request).await, state);
        }
        assert_eq!(stage.script.count("funds"), 2, "one of each key is on its way");
        stage.withdraw(second).await;
        stage.at(12).await;
        assert_eq!(stage.state(first).await, "done");
        assert_eq!(stage.state(other).await, "done");
        assert_eq!(stage.state(second).await, "withdrawn", "a queued request can be taken back");
        stage.at(60).await;
        assert_eq!(stage.state(third).await, "done");
        assert_eq!(stage.script.count("funds"), 3);
    });
}

#[test]
fn a_predecessor_in_review_holds_its_successors() {
    play(vec![("tell", vec![fails(Fail::Timeout), says(json!({}))])], |mut stage| async move {
        let first = stage.transfer("C1").await;
        let second = stage.transfer("C1").await;
        stage.at(3600).await;
        assert_eq!(stage.state(first).await, "in_review");
        assert_eq!(stage.state(second).await, "queued");
        assert_eq!(stage.words(second).await, ["accepted"]);
        stage.world.decide(first, "unknown_effect", decision("li", Choice::Applied)).await.unwrap();
        stage.at(3700).await;
        assert_eq!(stage.state(first).await, "done");
        assert_eq!(stage.state(second).await, "done");
    });
}

#[test]
fn a_queued_request_expires_in_its_time_without_having_run() {
    play(vec![("tell", vec![fails(Fail::Timeout)])], |mut stage| async move {
        let first = stage.transfer("C1").await;
        let second = stage.transfer("C1").await;
        stage.at(8 * 86_400).await;
        assert_eq!(stage.state(first).await, "in_review", "something has been applied: it does not expire");
        assert_eq!(stage.state(second).await, "expired");
        assert_eq!(stage.words(second).await, ["accepted", "ended"]);
    });
}

#[test]
fn a_request_that_waits_for_longer_than_it_has_time_expires_in_its_time() {
    play(vec![], |mut stage| async move {
        stage.add(include_str!("../crash/processes/brief.yaml"));
        let request = stage.submit("brief", &json!({ "customer": "C1" })).await;
        stage.at(10).await;
        assert_eq!(stage.state(request).await, "expired");
        assert_eq!(stage.words(request).await, ["accepted", "started", "waiting", "ended"]);
    });
}
