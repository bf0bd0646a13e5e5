//! A request under which worker after worker dies is put aside, as a defect, and comes back when it is resumed.

use std::sync::Arc;
use std::time::Duration;

use mozhao::engine::ports::clock::Clock;
use mozhao::engine::ports::store::Store;
use mozhao::proof::world::{Parts, World};
use serde_json::json;
use uuid::Uuid;

use crate::mortal::{Fate, MortalRemote};
use crate::support::{Stage, play};

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
