//! Being asked to stop, once and twice, in the middle of work.

use std::time::{Duration, Instant};

use mozhao::sandbox::{Fault, Trouble};

use super::bank;
use super::books::{self, Expect};
use super::broker::Message;
use super::world::World;
use crate::harness::ports::free_port;

const REQUESTS: usize = 400;

fn messages(world: &World, requests: usize) -> Vec<Message> {
    let message = |number| Message::plain("app", &format!("m-{number}"), "card_unbind", &bank::card(&world.bank, number, 1));
    (0..requests).map(message).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_asked_to_stop_leaves_nothing_behind() {
    let mut world = World::shared().await;
    let messages = messages(&world, REQUESTS);
    let mut first = world.worker_on(free_port(), &[("MOZHAO__WORKER__IN_FLIGHT", "64")]).await;
    world.bank.fault(Fault::new("/bank/**", Trouble::Delay { ms: 100 }));
    world.publish(&messages).await;
    world.until("the work to have begun", Duration::from_mins(1), |balance| balance.done >= 30).await;
    let asked = Instant::now();
    let status = first.process.stop(Duration::from_secs(25)).await;
    let took = asked.elapsed();
    assert_eq!(status.code(), Some(0), "{}", first.process.logs());
    let rows = world.requests().await;
    let owned: Vec<_> = rows.iter().filter(|row| row.owner.is_some() || row.state == "running").collect();
    assert!(owned.is_empty(), "{owned:?}");
    assert_eq!(world.store.workers().await.unwrap(), []);
    let done = world.balance().await.unwrap().done;
    assert!(done < REQUESTS as u64, "there was nothing left to stop");
    println!("SIGTERM under load: exit after {took:?} with {done} of {REQUESTS} done");

    world.bank.lift_all();
    let second = world.worker().await;
    let logs = vec![first.process.logs()];
    books::check(&mut world, Expect { sent: &messages, ended: REQUESTS, workers: &[&second], logs, ..Expect::default() }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_stops_at_once_and_nothing_is_lost() {
    const REQUESTS: usize = 120;
    let mut world = World::shared().await;
    let messages = messages(&world, REQUESTS);
    let mut first = world.worker_on(free_port(), &[("MOZHAO__WORKER__IN_FLIGHT", "64")]).await;
    // Slow checks, and effects that take place but are not answered within the second that matters here.
    let slow = world.bank.fault(Fault::new("/bank/cards/*/unbind", Trouble::ApplyThenHang { answer_after_ms: Some(1_500) }));
    world.publish(&messages).await;
    let unbinding = |path: &str| path.ends_with("/unbind");
    let bank = world.bank.clone();
    crate::harness::wait::until_true("effects to be on their way", Duration::from_mins(1), || {
        bank.calls(|call| unbinding(&call.path)).len() >= 10
    })
    .await;
    first.process.terminate();
    first.process.wait_for_line("running attempts finish first", Duration::from_secs(10)).await;
    let asked = Instant::now();
    first.process.terminate();
    let status = first.process.wait(Duration::from_secs(5)).await;
    println!("a second SIGTERM: exit {:?} after {:?}", status.code(), asked.elapsed());
    assert_eq!(status.code(), Some(1), "{}", first.process.logs());
    assert!(first.process.logs().contains("stopped before everything was finished"));
    world.bank.lift(slow);

    let second = world.worker().await;
    let logs = vec![first.process.logs()];
    books::check(&mut world, Expect { sent: &messages, ended: REQUESTS, workers: &[&second], logs, ..Expect::default() }).await;
}
