//! The table of group steps.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use uuid::Uuid;

use super::canary::Progress;
use super::groups::{Step, opened, step, wait};
use super::ports::records::ControlRow;
use crate::domain::time::Time;

const NOW: Time = Time(1_000_000_000);

fn row(state: &str, ago: Duration) -> ControlRow {
    ControlRow { state: state.into(), changed_at: NOW.minus(ago), ..opened("dependency:bank", "", None, None, NOW) }
}

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
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
fn the_longer_it_lasts_the_longer_it_waits() {
    let ago = |time| wait(Some(NOW.minus(time)), secs(10), NOW);
    assert_eq!([ago(secs(1)), ago(secs(60)), ago(secs(3600))], [secs(10), secs(15), secs(300)]);
    assert_eq!(wait(None, secs(10), NOW), secs(10));
    let first = opened("dependency:bank", "", None, None, NOW);
    let again = opened("dependency:bank", "", None, Some(&first), NOW.plus(secs(9)));
    assert_eq!(again.since, Some(NOW), "it has been going on since then");
    let closed = ControlRow { state: "closed".into(), ..first };
    assert_eq!(opened("dependency:bank", "", None, Some(&closed), NOW.plus(secs(9))).since, Some(NOW.plus(secs(9))));
}

#[test]
fn the_canary_decides() {
    let waiting = |ago| ControlRow { canary: Some(Uuid::from_u128(1)), ..row("half_open", ago) };
    let at = |progress| step(&waiting(secs(1)), 5, Some(progress), NOW);
    assert_eq!(at(Progress::OnTheWay), Step::None);
    assert_eq!(at(Progress::Back), Step::Failed);
    assert_eq!(at(Progress::Elsewhere), Step::Canary, "it says nothing about the group");
    assert_eq!(at(Progress::Through), Step::Resume);
    assert_eq!(step(&waiting(secs(121)), 5, Some(Progress::OnTheWay), NOW), Step::Canary, "given up");
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
        breakers.admit("bank", now).unwrap().report(Err(&failure(FailureClass::Transient, "timeout")), now)
    }

    #[test]
    fn a_breaker_opens_lets_one_through_and_closes() {
        let breakers = Breakers::new(Arc::new(NoRemote));
        assert_eq!([fail(&breakers, NOW), fail(&breakers, NOW)], [Change::None, Change::None]);
        assert_eq!(fail(&breakers, NOW), Change::Opened(NOW.plus(secs(10))));
        assert_eq!(breakers.admit("bank", NOW.plus(secs(9))).unwrap_err().code, "breaker_open");
        let later = NOW.plus(secs(10));
        breakers.peek("bank", later).unwrap();
        let probe = breakers.admit("bank", later).unwrap();
        assert!(breakers.admit("bank", later).is_err() && breakers.peek("bank", later).is_err(), "one at a time");
        drop(probe);
        assert_eq!(fail(&breakers, later), Change::Opened(later.plus(secs(10))), "the first failure opens it again");
        let probe = breakers.admit("bank", later.plus(secs(10))).unwrap();
        assert_eq!(probe.report(Ok(()), later), Change::Closed);
        assert_eq!(breakers.views(later)[0].state, "closed");
    }

    #[test]
    fn what_says_nothing_about_health_does_not_count() {
        let breakers = Breakers::new(Arc::new(NoRemote));
        for _ in 0..10 {
            for (class, code) in [(FailureClass::Unavailable, "busy"), (FailureClass::Broken, "status")] {
                let admitted = breakers.admit("bank", NOW).unwrap();
                assert_eq!(admitted.report(Err(&failure(class, code)), NOW), Change::None);
            }
        }
        assert_eq!(breakers.views(NOW)[0].failures, 0);
    }

    #[test]
    fn calls_from_before_it_opened_say_nothing() {
        let breakers = Breakers::new(Arc::new(NoRemote));
        let (well, badly) = (breakers.admit("bank", NOW).unwrap(), breakers.admit("bank", NOW).unwrap());
        breakers.learn(&[ControlRow { version: 1, ..row("open", secs(0)) }]);
        assert_eq!(well.report(Ok(()), NOW), Change::None);
        assert_eq!(badly.report(Err(&failure(FailureClass::Transient, "timeout")), NOW), Change::None);
        assert!(breakers.admit("bank", NOW).is_err(), "tripped by hand: until it is reset");
        breakers.learn(&[ControlRow { version: 2, ..row("waiting", secs(0)) }]);
        assert!(breakers.admit("bank", NOW).is_err(), "that requests wait says nothing about the dependency");
    }

    #[test]
    fn a_probe_on_its_way_does_not_undo_what_a_person_decided_meanwhile() {
        for well in [true, false] {
            let breakers = Breakers::new(Arc::new(NoRemote));
            let opened = [fail(&breakers, NOW), fail(&breakers, NOW), fail(&breakers, NOW)];
            assert_eq!(opened[2], Change::Opened(NOW.plus(secs(10))));
            let later = NOW.plus(secs(10));
            let probe = breakers.admit("bank", later).unwrap();
            breakers.learn(&[ControlRow { version: 1, ..row("open", secs(0)) }]);
            let timeout = failure(FailureClass::Transient, "timeout");
            assert_eq!(probe.report(if well { Ok(()) } else { Err(&timeout) }, later), Change::None);
            assert!(breakers.admit("bank", Time(i64::MAX - 1)).is_err(), "tripped by hand: until it is reset");
        }
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
