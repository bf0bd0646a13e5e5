//! The relay in virtual time: a broker that does not confirm costs pauses, not a processor.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use mozhao::domain::time::Time;
use mozhao::engine::intake;
use mozhao::engine::ports::broker::Publisher;
use mozhao::engine::ports::clock::Clock;
use mozhao::engine::ports::records::Event;
use mozhao::engine::ports::store::Write;
use mozhao::engine::relay::{Outgoing, Relay};
use mozhao::engine::worker::worker_row;
use mozhao::proof::clock::VirtualClock;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::support::play;

/// Far more than the pauses of a minute.
const MANY: u32 = 5_000;

struct Counted {
    inner: Arc<VirtualClock>,
    sleeps: AtomicU32,
}

#[async_trait]
impl Clock for Counted {
    fn now(&self) -> Time {
        self.inner.now()
    }

    fn steady(&self) -> Duration {
        self.inner.steady()
    }

    fn id(&self) -> Uuid {
        self.inner.id()
    }

    fn jitter(&self) -> f64 {
        self.inner.jitter()
    }

    async fn sleep(&self, length: Duration) {
        let sleeps = self.sleeps.fetch_add(1, Ordering::SeqCst);
        assert!(sleeps < MANY, "it spins");
        self.inner.sleep(length).await;
    }
}

struct NeverConfirms;

#[async_trait]
impl Publisher for NeverConfirms {
    async fn publish(&self, events: &[Event]) -> Vec<bool> {
        vec![false; events.len()]
    }

    fn connected(&self) -> bool {
        true
    }
}

#[test]
fn a_broker_that_does_not_confirm_does_not_make_the_relay_spin() {
    play(vec![], |mut stage| async move {
        let (virtual_clock, store) = (stage.clock.clone(), stage.store.clone());
        let clock = Arc::new(Counted { inner: virtual_clock.clone(), sleeps: AtomicU32::new(0) });
        let worker = virtual_clock.id();
        store.register(&worker_row(worker, virtual_clock.now())).await.unwrap();
        let outgoing: Arc<Outgoing> = Arc::default();
        let publisher = Arc::new(NeverConfirms);
        let relay = Relay { store: store.clone(), clock: clock.clone(), publisher, worker, outgoing: outgoing.clone() };
        let stop = CancellationToken::new();
        let running = tokio::spawn(relay.run(stop.clone()));
        // It has read the empty outbox, and hears of an event from the committer.
        virtual_clock.sleep(Duration::from_secs(1)).await;
        let mut submission = stage.world.submission("transfer", &json!({ "customer": "C1" }));
        let ready =
            intake::prepare(&stage.world.worker.core, &mut submission, false).unwrap_or_else(|_| panic!("a good message"));
        let batch = vec![Write::Accept(Box::new(ready.accept))];
        let written = store.commit(worker, &batch).await.unwrap();
        let results: Vec<_> = written.into_iter().map(Ok).collect();
        outgoing.hand_over(batch, &results);
        virtual_clock.sleep(Duration::from_mins(1)).await;
        stop.cancel();
        running.await.unwrap();
        let sleeps = clock.sleeps.load(Ordering::SeqCst);
        assert!(sleeps > 50, "it tries again and again: {sleeps}");
    });
}
