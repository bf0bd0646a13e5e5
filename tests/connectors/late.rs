//! A worker that was frozen between its decision to call and the wire: whoever took over relies on the call's end.

use std::time::Duration;

use mozhao::domain::request::fact::FailureClass::Transient;
use mozhao::engine::clock::SystemClock;
use mozhao::engine::ports::clock::Clock as _;
use mozhao::engine::ports::remote::{Remote, RemoteCall};

use super::target::Target;
use super::{at, effect};

#[tokio::test]
async fn a_call_whose_time_is_over_is_not_begun() {
    let target = Target::json(200, "{}").await;
    let bank = at(&target, "");
    let now = SystemClock.steady();
    let failure = bank.call(&RemoteCall { until: Some(now), ..effect("/") }).await.expect_err("late");
    assert_eq!((failure.class, failure.code), (Transient, "late"), "it is certain that nothing happened");
    assert!(target.seen().is_empty());
    let until = Some(now + Duration::from_mins(1));
    assert!(bank.call(&RemoteCall { until, ..effect("/") }).await.is_ok());
}
