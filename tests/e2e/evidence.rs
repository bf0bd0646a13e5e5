//! What is certainly wrong in a world that does not come to rest. That time has passed proves nothing: a machine may be slow.
//! This looks for what no time mends: a message that the broker was told to forget and that nobody stored, a request whose
//! owner is dead although somebody lives who takes over, a turn that nobody gives.
//!
//! Only for a test that fails anyway: it kills the workers, so that the broker shows what it still has for them.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use mozhao::domain::time::Time;
use mozhao::engine::ports::records::RequestRow;

use super::books::Expect;
use super::broker;
use super::world::{LEASE, PATIENCE, World};
use crate::harness::child::signal_if_there;
use crate::harness::wait;

/// A heartbeat that is younger is that of a worker that lives: five of them fit in.
const YOUNG: Duration = LEASE;
/// After that long without one, whoever lives has looked for it many times.
const LONG_DEAD: Duration = Duration::from_secs(15);

/// What is certainly wrong, a line for each; a last line says so where that is nothing.
pub async fn of(world: &World, expect: &Expect<'_>) -> String {
    let mut found = nobodys(world).await;
    found.extend(forgotten(world, expect).await);
    if found.is_empty() {
        found.push("nothing is certainly wrong: it may be slow".to_owned());
    }
    found.join("\n")
}

/// G2: requests that nobody will ever look at.
async fn nobodys(world: &World) -> Vec<String> {
    let now = wait::until_some("the database's clock", PATIENCE, || async { world.store.now().await.ok() }).await;
    let workers = wait::until_some("the workers", PATIENCE, || async { world.store.workers().await.ok() }).await;
    let silent = |at: Time, time: Duration| at.plus(time) < now;
    let rescuers = workers.iter().any(|row| !silent(row.heartbeat_at, YOUNG));
    let alive: HashSet<_> = workers.iter().filter(|row| !silent(row.heartbeat_at, LONG_DEAD)).map(|row| row.id).collect();
    let rows = world.requests().await;
    let open = |row: &&RequestRow| row.ended_at.is_none();
    let mut first: HashMap<&str, u64> = HashMap::new();
    for row in rows.iter().filter(open) {
        if let (Some(lane), Some(number)) = (&row.lane, row.lane_no) {
            let first = first.entry(lane).or_insert(number);
            *first = number.min(*first);
        }
    }
    let mut found = Vec::new();
    for row in rows.iter().filter(open) {
        if let Some(owner) = row.owner.filter(|owner| rescuers && !alive.contains(owner)) {
            found.push(format!("G2 {} is owned by {owner}, who has been dead for {LONG_DEAD:?} at least", row.id));
        }
        let next = row.lane.as_deref().is_some_and(|lane| first.get(lane).copied() == row.lane_no);
        if next && !row.turn {
            found.push(format!("G2 {} waits for its turn, and whoever was before it has ended", row.id));
        }
    }
    found
}

/// G1: messages that were confirmed, and that neither the database nor the broker has any more.
async fn forgotten(world: &World, expect: &Expect<'_>) -> Option<String> {
    let amqp = world.amqp.as_ref()?;
    for worker in expect.workers {
        signal_if_there("KILL", &worker.process.pid().to_string());
    }
    let queue = format!("{}.requests", world.prefix);
    // What the dead had and did not acknowledge is in the queue again when the last of them has gone from it.
    wait::until("the workers to be gone from the queue", PATIENCE, || async {
        broker::depth(amqp, &queue).await.is_some() && broker::consumers(amqp, &queue).await == 0
    })
    .await;
    let left = wait::until_some("the queue", PATIENCE, || broker::depth(amqp, &queue)).await as usize;
    let balance = wait::until_some("the balance", PATIENCE, || world.balance()).await;
    let stored: HashSet<_> = world.requests().await.into_iter().map(|row| (row.producer, row.message)).collect();
    let absent: HashSet<_> = expect.sent.iter().map(broker::Message::key).filter(|key| !stored.contains(key)).collect();
    let unrecorded = expect.rejected.saturating_sub(usize::try_from(balance.rejected).unwrap_or(usize::MAX));
    let lost = (absent.len() + unrecorded).saturating_sub(left);
    (lost > 0).then(|| {
        let some: Vec<_> = absent.iter().take(3).collect();
        format!(
            "G1 {lost} messages were acknowledged and are stored nowhere: {} without a request ({some:?}), {unrecorded} that are no \
             requests, {left} in the queue",
            absent.len()
        )
    })
}
