//! A request under which worker after worker dies is put aside, as a defect, and comes back when it is resumed.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use mozhao::engine::ports::clock::Clock;
use mozhao::engine::ports::remote::{Answer, Failure, Remote, RemoteCall};
use mozhao::engine::ports::store::Store;
use mozhao::proof::clock::VirtualClock;
use mozhao::proof::world::{Parts, World};
use serde_json::json;
use uuid::Uuid;

use crate::mortal::{Fate, MortalRemote, MortalStore};
use crate::support::{SWAP, Stage, play, slowly};
use crate::the_rest_of_the_remote;

/// The next incarnation, which takes over; it dies when it makes its first call, if `dies`.
async fn successor(stage: &Stage, dies: bool) -> World {
    let fate = if dies { Fate::dies_at(0) } else { Fate::lives() };
    let parts = Parts {
        clock: stage.clock.clone(),
        store: stage.store.clone(),
        remote: Arc::new(MortalRemote { inner: stage.script.clone(), fate }),
        processes: stage.processes.clone(),
    };
    let world = World::begin(parts).await.unwrap();
    stage.clock.advance_to(stage.clock.now().plus(Duration::from_secs(20)));
    let me = world.worker.core.worker;
    stage.store.heartbeat(me).await.unwrap();
    stage.store.rescue(me, Duration::from_secs(10)).await.unwrap();
    world.run_until(stage.clock.now().plus(Duration::from_mins(5))).await.unwrap();
    world
}

async fn deaths(store: &Arc<dyn Store>, request: Uuid) -> u32 {
    store.request(request).await.unwrap().deaths
}

#[test]
fn the_third_death_parks_it_and_a_resume_brings_it_back() {
    play(vec![], |mut stage| async move {
        let mut first = successor(&stage, true).await;
        let submission = first.submission("transfer", &json!({ "customer": "C1" }));
        let request = first.accept(&submission, true).await.unwrap();
        first.run_until(stage.clock.now().plus(Duration::from_secs(1))).await.unwrap();
        for seen in [1, 2] {
            successor(&stage, true).await;
            assert_eq!(deaths(&stage.store, request).await, seen);
        }
        stage.world = successor(&stage, false).await;
        let row = stage.world.row(request).await.unwrap();
        assert_eq!((row.state.as_str(), row.reason.as_deref()), ("parked", Some("poison")));
        assert_eq!(stage.script.made().len(), 0, "it was not tried a fourth time");
        stage.resume(request, None).await;
        stage.world.run_for(Duration::from_mins(1)).await.unwrap();
        assert_eq!(stage.state(request).await, "done");
    });
}

/// Kills the worker that calls it for the culprit.
struct Killer {
    clock: Arc<VirtualClock>,
    inner: Arc<dyn Remote>,
    fate: Arc<Fate>,
}

#[async_trait]
impl Remote for Killer {
    async fn call(&self, call: &RemoteCall) -> Result<Answer, Failure> {
        if call.path.contains("culprit") {
            self.clock.sleep(Duration::from_millis(500)).await;
            self.fate.die();
        }
        if self.fate.is_dead() {
            pending::<()>().await;
        }
        self.inner.call(call).await
    }

    the_rest_of_the_remote!();
}

/// A worker that dies of the culprit.
async fn victim(stage: &Stage) -> (World, Arc<Fate>) {
    let fate = Fate::lives();
    let parts = Parts {
        clock: stage.clock.clone(),
        store: Arc::new(MortalStore { inner: stage.store.clone(), fate: fate.clone() }),
        remote: Arc::new(Killer { clock: stage.clock.clone(), inner: stage.script.clone(), fate: fate.clone() }),
        processes: stage.processes.clone(),
    };
    (World::begin(parts).await.unwrap(), fate)
}

#[test]
fn many_that_were_in_flight_with_one_culprit_are_not_taken_for_it() {
    let ok = || vec![slowly(json!({ "ok": true, "account": "A1" }), 1)];
    let answers = vec![("card", ok()), ("customer", ok()), ("cut", ok())];
    play(answers, |stage| async move {
        stage.add(SWAP);
        let (mut world, fate) = victim(&stage).await;
        let mut requests = Vec::new();
        for card in ["culprit", "K1", "K2", "K3", "K4", "K5", "K6", "K7"] {
            let payload = json!({"customer": format!("C-{card}"), "card": card, "note": ""});
            let submission = world.submission("swap", &payload);
            requests.push(world.accept(&submission, true).await.unwrap());
        }
        let (culprit, innocent) = requests.split_first().unwrap();
        let until = stage.clock.now().plus(Duration::from_mins(5));
        world.run_while(until, || !fate.is_dead()).await.unwrap();
        assert!(fate.is_dead());
        for _ in 0..4 {
            let (world, fate) = victim(&stage).await;
            stage.clock.advance_to(stage.clock.now().plus(Duration::from_secs(20)));
            let me = world.worker.core.worker;
            stage.store.heartbeat(me).await.unwrap();
            stage.store.rescue(me, Duration::from_secs(10)).await.unwrap();
            let until = stage.clock.now().plus(Duration::from_mins(5));
            world.run_while(until, || !fate.is_dead()).await.unwrap();
        }
        let row = stage.world.row(*culprit).await.unwrap();
        assert_eq!((row.state.as_str(), row.reason.as_deref()), ("parked", Some("poison")));
        for request in innocent {
            let row = stage.world.row(*request).await.unwrap();
            assert_eq!(row.state, "in_review", "{:?} after {} deaths", row.reason, row.deaths);
        }
    });
}
