//! The table of group steps.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use uuid::Uuid;

use super::groups::{Step, opened, step};
use super::ports::records::{ControlRow, RequestRow};
use crate::domain::time::Time;

const NOW: Time = Time(1_000_000_000);

fn row(state: &str, ago: Duration) -> ControlRow {
    ControlRow { state: state.into(), changed_at: NOW.minus(ago), ..opened("dependency:bank", "", None, None, NOW) }
}

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn request(state: &str, parked: Option<&str>, signalled: u64, seen: u64) -> RequestRow {
    RequestRow {
        id: Uuid::from_u128(1),
        process: "p".into(),
        version: 1,
        customer: "c".into(),
        producer: "app".into(),
        message: "m".into(),
        channel: "http".into(),
        reply_to: None,
        correlation: None,
        traceparent: None,
        lane: None,
        lane_no: None,
        turn: true,
        over_limit: false,
        seq: 1,
        head: [0; 32],
        state: state.into(),
        step: None,
        reason: None,
        parked: parked.map(str::to_owned),
        review: None,
        owner: None,
        wake_at: None,
        signalled,
        seen,
        deaths: 0,
        person: false,
        accepted_at: NOW,
        updated_at: NOW,
        expires_at: NOW,
        ended_at: None,
    }
}

#[test]
fn an_open_group_probes_when_its_time_has_come() {
    let at = |probe_at| ControlRow { probe_at, ..row("open", secs(1)) };
    assert_eq!(step(&at(None), 5, None, NOW), Step::None, "tripped by hand: until it is reset");
    assert_eq!(step(&at(Some(NOW.plus(secs(1)))), 5, None, NOW), Step::None);
    assert_eq!(step(&at(Some(NOW)), 5, None, NOW), Step::Canary);
    assert_eq!(step(&at(Some(NOW)), 0, None, NOW), Step::None, "nobody to send ahead: the next call tries it");
    assert_eq!(step(&at(Some(NOW.minus(secs(60)))), 0, None, NOW), Step::Close);
}

#[test]
fn the_canary_decides() {
    let group = "dependency:bank";
    let waiting = |ago| ControlRow { canary: Some(Uuid::from_u128(1)), ..row("half_open", ago) };
    let at = |request: RequestRow| step(&waiting(secs(1)), 5, Some(&request), NOW);
    assert_eq!(at(request("parked", Some(group), 1, 0)), Step::None, "it has not seen the signal");
    assert_eq!(at(request("running", None, 1, 1)), Step::None);
    assert_eq!(at(request("parked", Some(group), 1, 1)), Step::Failed);
    assert_eq!(at(request("parked", Some("defect:1"), 1, 1)), Step::Resume, "it got past this group");
    assert_eq!(at(request("done", None, 1, 1)), Step::Resume);
    assert_eq!(at(request("in_review", None, 1, 1)), Step::Resume);
    assert_eq!(step(&waiting(secs(121)), 5, Some(&request("running", None, 1, 1)), NOW), Step::Canary, "given up");
    assert_eq!(step(&waiting(secs(1)), 5, None, NOW), Step::Canary, "it is gone");
    assert_eq!(step(&row("half_open", secs(1)), 5, None, NOW), Step::None, "somebody is choosing one");
    assert_eq!(step(&row("half_open", secs(6)), 5, None, NOW), Step::Canary, "who chose is gone");
    assert_eq!(step(&row("half_open", secs(6)), 0, None, NOW), Step::Close);
}

#[test]
fn the_others_come_back_at_the_rate() {
    let resuming = |rate, ago| ControlRow { rate, ..row("resuming", ago) };
    assert_eq!(step(&resuming(50, Duration::from_millis(10)), 5, None, NOW), Step::None);
    assert_eq!(step(&resuming(50, Duration::from_millis(100)), 5, None, NOW), Step::More(5));
    assert_eq!(step(&resuming(50, secs(2)), 5, None, NOW), Step::More(100));
    assert_eq!(step(&resuming(10_000, secs(60)), 5, None, NOW), Step::More(500), "bounded after a pause");
    assert_eq!(step(&resuming(50, secs(2)), 0, None, NOW), Step::Close);
    assert_eq!(step(&row("closed", secs(2)), 5, None, NOW), Step::None);
    assert_eq!(step(&row("stopped", secs(2)), 5, None, NOW), Step::None);
}

mod breakers {
    use std::sync::Arc;

    use async_trait::async_trait;

    use super::*;
    use crate::domain::request::fact::FailureClass;
    use crate::engine::breaker::{Breakers, Change};
    use crate::engine::ports::remote::{Answer, BreakerSettings, Failure, Remote, RemoteCall};

    struct NoRemote;

    #[async_trait]
    impl Remote for NoRemote {
        async fn call(&self, _: &RemoteCall) -> Result<Answer, Failure> {
            Err(failure(FailureClass::Transient, "connect"))
        }
        fn timeout(&self, _: &str) -> Duration {
            secs(1)
        }
        fn key_window(&self, _: &str) -> Option<Duration> {
            None
        }
        fn breaker(&self, _: &str) -> BreakerSettings {
            BreakerSettings { failures: 3, open_for: secs(10) }
        }
        fn names(&self) -> Vec<String> {
            vec!["bank".into()]
        }
    }

    fn failure(class: FailureClass, code: &'static str) -> Failure {
        Failure { class, code, status: None, detail: String::new(), retry_after: None }
    }

    fn fail(breakers: &Breakers, now: Time) -> Change {
        breakers.report("bank", Err(&failure(FailureClass::Transient, "timeout")), now)
    }

    #[test]
    fn a_breaker_opens_lets_one_through_and_closes() {
        let breakers = Breakers::new(Arc::new(NoRemote));
        assert_eq!([fail(&breakers, NOW), fail(&breakers, NOW)], [Change::None, Change::None]);
        assert_eq!(fail(&breakers, NOW), Change::Opened(NOW.plus(secs(10))));
        assert_eq!(breakers.admit("bank", NOW.plus(secs(9))).unwrap_err().code, "breaker_open");
        let later = NOW.plus(secs(10));
        breakers.peek("bank", later).unwrap();
        breakers.admit("bank", later).unwrap();
        assert!(breakers.admit("bank", later).is_err() && breakers.peek("bank", later).is_err(), "one at a time");
        assert_eq!(fail(&breakers, later), Change::Opened(later.plus(secs(10))), "the first failure opens it again");
        breakers.admit("bank", later.plus(secs(10))).unwrap();
        assert_eq!(breakers.report("bank", Ok(()), later), Change::Closed);
        assert_eq!(breakers.views(later)[0].state, "closed");
    }

    #[test]
    fn what_says_nothing_about_health_does_not_count() {
        let breakers = Breakers::new(Arc::new(NoRemote));
        for _ in 0..10 {
            assert_eq!(breakers.report("bank", Err(&failure(FailureClass::Unavailable, "busy")), NOW), Change::None);
            assert_eq!(breakers.report("bank", Err(&failure(FailureClass::Broken, "status")), NOW), Change::None);
        }
        assert_eq!(breakers.views(NOW)[0].failures, 0);
    }

    #[test]
    fn others_are_heard_once_and_in_order() {
        let breakers = Breakers::new(Arc::new(NoRemote));
        let tripped = ControlRow { version: 4, ..row("open", secs(0)) };
        breakers.learn(std::slice::from_ref(&tripped));
        assert!(breakers.admit("bank", Time(i64::MAX - 1)).is_err(), "tripped by hand: until it is reset");
        breakers.learn(&[ControlRow { version: 3, ..row("closed", secs(0)) }]);
        assert!(breakers.admit("bank", NOW).is_err(), "an older row says nothing new");
        breakers.learn(&[ControlRow { version: 5, ..row("closed", secs(0)) }]);
        breakers.admit("bank", NOW).unwrap();
        breakers.learn(&[tripped]);
        breakers.admit("bank", NOW).unwrap();
    }
}
