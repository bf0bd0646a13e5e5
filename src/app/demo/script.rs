//! The troubles of a demo: when they begin, what they do at the sandbox, and when they are over.
//!
//! The stream is random, the troubles must not miss it: they are placed by looking at what will be sent.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::place::Place;
use super::show::Show;
use crate::engine::breaker::dependency_group;
use crate::engine::service::Engine;
use crate::sandbox::{Fault, Handle, Planned, Trouble};

/// The connector of the bank.
const BANK: &str = "core_banking";
/// How long the bank stays down after the worker has noticed.
const DOWN: Duration = Duration::from_secs(2);
/// How long the outage waits to be noticed.
const NOTICE: Duration = Duration::from_secs(6);
/// How long the bank's requests may take to come back.
const BACK: Duration = Duration::from_secs(40);
/// How often the breaker is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// A trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scene {
    /// Effects are applied, and nobody hears of it.
    Silence,
    /// The bank is down for a few seconds.
    Outage,
    /// The personnel system answers with a renamed field from now on.
    Contract,
}

/// Before which request each scene begins.
pub(super) fn plan(requests: &[Planned]) -> Vec<(usize, Scene)> {
    let count = requests.len();
    let mut scenes = vec![(count / 8, Scene::Silence), (count * 2 / 5, Scene::Outage)];
    // Late, but at least two thirds of the way there must be somebody whom it hits.
    let asking: Vec<usize> = (0..count).filter(|at| requests[*at].process == "name_correction").collect();
    let hit = (asking.len() / 3).max(2).min(asking.len());
    if let Some(first) = asking.len().checked_sub(hit).and_then(|at| asking.get(at)) {
        scenes.push((*first, Scene::Contract));
    }
    scenes
}

/// What plays the scenes.
pub(super) struct Stage {
    sandbox: Handle,
    engine: Engine,
    show: Arc<Show>,
    outage: Mutex<Option<JoinHandle<Option<Duration>>>>,
}

impl Stage {
    pub(super) fn new(place: &Place, show: &Arc<Show>) -> Stage {
        Stage {
            sandbox: place.sandbox.handle().clone(),
            engine: place.engine.clone(),
            show: show.clone(),
            outage: Mutex::default(),
        }
    }

    /// Begins a scene.
    pub(super) fn play(&self, scene: Scene) {
        match scene {
            Scene::Silence => {
                self.show.trouble("the bank now and then applies an effect and never answers, or cuts the line");
                let silent = Fault::new("/bank/cards/*/unbind", Trouble::ApplyThenHang { answer_after_ms: None });
                self.sandbox.fault(silent.method("POST").times(3));
                let cut = Fault::new("/bank/customers/*/phone", Trouble::ApplyThenReset);
                self.sandbox.fault(cut.method("PUT").times(2));
                let old = Fault::new("/legacy/people/*/rename", Trouble::ApplyThenReset);
                self.sandbox.fault(old.method("POST").times(1));
            }
            Scene::Outage => {
                let outage = tokio::spawn(outage(self.sandbox.clone(), self.engine.clone(), self.show.clone()));
                *self.outage.lock().unwrap_or_else(PoisonError::into_inner) = Some(outage);
            }
            Scene::Contract => {
                self.show.trouble("the personnel system has a new release: `signing_limit_minor` is now `signing_limit`");
                let renamed = Trouble::Rename { field: "signing_limit_minor".into(), to: "signing_limit".into() };
                self.sandbox.fault(Fault::new("/hr/people/*", renamed).method("GET"));
            }
        }
    }

    /// Waits until the outage is over and what it parked has come back; how long it lasted, where it was noticed.
    pub(super) async fn outage_ended(&self) -> Option<Duration> {
        let outage = self.outage.lock().unwrap_or_else(PoisonError::into_inner).take();
        outage?.await.ok()?
    }
}

/// The bank goes down until the worker has noticed, and a little longer.
async fn outage(sandbox: Handle, engine: Engine, show: Arc<Show>) -> Option<Duration> {
    let began = Instant::now();
    let down = Fault::new("/bank/**", Trouble::Status { status: 503, retry_after_s: None });
    let id = sandbox.fault(down);
    show.trouble("the bank is down: every call is answered with 503");
    let state = || engine.dependencies().into_iter().find(|view| view.connector == BANK).map_or("closed", |view| view.state);
    let noticed = until(NOTICE, || async { state() != "closed" }).await;
    if noticed {
        show.trouble("the bank's breaker has opened: nothing is sent there, and what needs it is parked, not failed");
        tokio::time::sleep(DOWN).await;
    }
    sandbox.lift(id);
    let lasted = began.elapsed();
    show.trouble("the bank is up again");
    let group = dependency_group(BANK);
    let back = until(BACK, || async {
        let parked = engine.store().parked_under(&group, 1).await.unwrap_or(1);
        let closed = engine.control(&group).await.is_ok_and(|row| row.is_none_or(|row| row.state == "closed"));
        parked == 0 && closed
    });
    if back.await && noticed {
        show.trouble("one parked request has tried the bank, and the others followed by themselves");
    }
    noticed.then_some(lasted)
}

/// Looks until it is so, or time is up.
async fn until<F: Future<Output = bool>>(limit: Duration, is_so: impl Fn() -> F) -> bool {
    let deadline = Instant::now() + limit;
    while !is_so().await {
        if Instant::now() > deadline {
            return false;
        }
        tokio::time::sleep(LOOK).await;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::World;

    #[test]
    fn scenes_fit_every_stream() {
        for seed in 0..20 {
            for count in [0, 1, 5, 60, 200] {
                let requests = World::generate(seed, count).requests;
                let scenes = plan(&requests);
                let at = |wanted| scenes.iter().find(|(_, scene)| *scene == wanted).map(|(at, _)| *at);
                assert!(at(Scene::Silence) <= at(Scene::Outage), "seed {seed}, {count} requests");
                let hit =
                    at(Scene::Contract).map_or(0, |at| requests[at..].iter().filter(|r| r.process == "name_correction").count());
                let asking = requests.iter().filter(|request| request.process == "name_correction").count();
                assert!(hit >= asking.min(2), "seed {seed}, {count} requests: {hit} of {asking}");
            }
        }
    }
}
