//! SQLite: one process holds the file; killed and started again it goes on at once.

use std::time::{Duration, Instant};

use mozhao::sandbox::{Fault, Trouble};

use super::bank;
use super::books::{self, Expect};
use super::world::{LEASE, World};
use crate::harness::ports::free_port;

const REQUESTS: usize = 40;

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_survives_kill_and_adopts_at_once() {
    let mut world = World::embedded().await;
    // Longer than this test: whoever waited for the lease would be seen.
    let settings = [("MOZHAO__WORKER__LEASE", "10m")];
    let mut first = world.worker_on(free_port(), &settings).await;
    let client = world.client(&first, "ada").await;
    let held =
        world.bank.fault(Fault::new("/bank/cards/*/unbind", Trouble::ApplyThenHang { answer_after_ms: Some(60_000) }).after(10));
    for number in 0..REQUESTS {
        let payload = bank::card(&world.bank, number, 1);
        client.submit(&format!("key-{number}"), "card_unbind", &payload).await;
    }
    let bank = world.bank.clone();
    crate::harness::wait::until_true("all effects to be on their way", Duration::from_mins(1), || {
        bank.calls(|call| call.path.ends_with("/unbind")).len() >= REQUESTS
    })
    .await;
    first.process.kill();
    world.bank.lift(held);
    let rows = world.requests().await;
    let owned = rows.iter().filter(|row| row.owner.is_some()).count();
    assert_eq!(owned, rows.iter().filter(|row| row.ended_at.is_none()).count());
    assert!(owned > 0, "nothing was in flight");

    let started = Instant::now();
    let second = world.worker_on(free_port(), &settings).await;
    let expect = Expect { ended: REQUESTS, workers: &[&second], logs: vec![first.process.logs()], ..Expect::default() };
    books::check(&mut world, expect).await;
    println!("SQLite: {owned} requests adopted and finished {:?} after the start", started.elapsed());
    for number in 0..REQUESTS {
        assert_eq!(world.bank.applied("unbind", &format!("K{number}")), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_worker_on_the_same_file_is_refused() {
    let mut world = World::embedded().await;
    let first = world.worker().await;
    let mut second = world.launch(free_port(), &[]);
    let status = second.process.wait(LEASE * 5).await;
    let logs = second.process.logs();
    assert_eq!(status.code(), Some(6), "a conflict: {logs}");
    assert!(logs.contains("another worker") && logs.contains("mozhao.db"), "{logs}");
    // The first one does not mind.
    let client = world.client(&first, "ada").await;
    client.submit("key", "card_unbind", &bank::card(&world.bank, 0, 1)).await;
    books::check(&mut world, Expect { ended: 1, workers: &[&first], ..Expect::default() }).await;
}
