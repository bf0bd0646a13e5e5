//! A worker dies at every point, one after the other: before and after every commit and every call. The next worker takes
//! over; a person who looks at the target answers where nobody else can know. In the end the books must be right.

use std::sync::Arc;
use std::time::Duration;

use mozhao::domain::process::{Known, parse};
use mozhao::domain::request::signal::{Decision, Signal};
use mozhao::domain::words::Choice;
use mozhao::engine::ports::clock::Clock;
use mozhao::engine::ports::store::Store;
use mozhao::engine::processes::Processes;
use mozhao::proof::clock::{BEGINNING, VirtualClock, run};
use mozhao::proof::timeline;
use mozhao::proof::world::{Parts, World};
use mozhao::store::memory::MemoryStore;
use serde_json::json;
use uuid::Uuid;

use crate::mortal::{Fate, MortalRemote, MortalStore};
use crate::target::{Fault, Target};

/// After this long another worker takes over.
const LEASE: Duration = Duration::from_secs(10);

/// What a run is about, beside the deaths.
#[derive(Clone, Copy)]
struct Scenario {
    name: &'static str,
    faults: &'static [(&'static str, &'static [Fault])],
    /// The customer takes it back after so long.
    withdrawn: Option<Duration>,
    outcome: &'static str,
}

const SCENARIOS: [Scenario; 7] = [
    Scenario { name: "straight", faults: &[], withdrawn: None, outcome: "done" },
    Scenario {
        name: "answers get lost after the effects",
        faults: &[("hold", &[Fault::AppliedAndLost]), ("book", &[Fault::AppliedAndLost]), ("tell", &[Fault::AppliedAndLost])],
        withdrawn: None,
        outcome: "done",
    },
    Scenario {
        name: "calls get lost before the effects",
        faults: &[("hold", &[Fault::Lost]), ("book", &[Fault::Lost]), ("tell", &[Fault::Lost])],
        withdrawn: None,
        outcome: "done",
    },
    Scenario {
        name: "connections are refused",
        faults: &[
            ("funds", &[Fault::Refused, Fault::Refused]),
            ("hold", &[Fault::Refused]),
            ("book", &[Fault::AppliedAndLost]),
            ("reconcile.book", &[Fault::Refused]),
            ("tell", &[Fault::Refused; 4]),
        ],
        withdrawn: None,
        outcome: "done",
    },
    Scenario {
        name: "taken back before the last effect",
        faults: &[("tell", &[Fault::Refused; 40])],
        withdrawn: Some(Duration::from_mins(5)),
        outcome: "withdrawn",
    },
    Scenario {
        name: "taken back, and the ways back get lost",
        faults: &[
            ("tell", &[Fault::Refused; 40]),
            ("undo.book", &[Fault::AppliedAndLost]),
            ("undo.hold", &[Fault::AppliedAndLost, Fault::Lost]),
        ],
        withdrawn: Some(Duration::from_mins(5)),
        outcome: "withdrawn",
    },
    // The second attempt certainly did nothing; that says nothing about the first.
    Scenario {
        name: "an answer gets lost, then the bank is down, then it is taken back",
        faults: &[(
            "hold",
            &[
                Fault::AppliedAndLost,
                Fault::Refused,
                Fault::Refused,
                Fault::Refused,
                Fault::Refused,
                Fault::Refused,
                Fault::Refused,
                Fault::Refused,
            ],
        )],
        withdrawn: Some(Duration::from_mins(5)),
        outcome: "withdrawn",
    },
];

/// What a run came to.
struct End {
    points: Vec<String>,
    deaths: usize,
    story: String,
}

/// Plays a scenario with one life after the other; the last worker lives.
fn live(scenario: &Scenario, deaths: &[usize]) -> End {
    let clock = VirtualClock::new(7);
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new(clock.clone()));
    let target = Target::new(scenario.faults);
    let processes = Arc::new(Processes::default());
    processes.add(parse("transfer.yaml", include_str!("transfer.yaml"), &Known::default()).unwrap().process);
    let fates: Vec<Arc<Fate>> = deaths.iter().map(|at| Fate::dies_at(*at)).chain([Fate::lives()]).collect();
    let (inside, scenario, books) = (clock.clone(), *scenario, target.clone());
    run(&clock, async move { Run { clock: inside, store, target: books, processes, fates, scenario }.play().await }).unwrap()
}

struct Run {
    clock: Arc<VirtualClock>,
    store: Arc<dyn Store>,
    target: Arc<Target>,
    processes: Arc<Processes>,
    fates: Vec<Arc<Fate>>,
    scenario: Scenario,
}

impl Run {
    async fn play(self) -> End {
        let mut request = None;
        let mut withdrawn = false;
        for fate in &self.fates {
            let mut world = self.begin(fate).await;
            // The producer sends again until it hears that the request was accepted.
            if request.is_none() {
                let submission = world.submission("transfer", &json!({ "customer": "C1" }));
                tokio::select! {
                    accepted = world.accept(&submission, true) => request = Some(accepted.unwrap()),
                    () = self.clock.quiet() => {}
                }
            }
            let Some(request) = request else { continue };
            for _ in 0..12 {
                let next = self.clock.now().plus(Duration::from_mins(5));
                world.run_while(next, || !fate.is_dead()).await.unwrap();
                if fate.is_dead() || world.row(request).await.unwrap().ended_at.is_some() {
                    break;
                }
                let due = self.scenario.withdrawn.is_some_and(|after| self.clock.now() >= BEGINNING.plus(after));
                if due && !withdrawn {
                    world.signal(request, &Signal::Withdraw { by: "customer".into(), note: None }).await.unwrap();
                    withdrawn = true;
                }
                self.look(&world, request).await;
                if world.row(request).await.unwrap().parked.is_some() {
                    let group = world.row(request).await.unwrap().parked.unwrap();
                    let resume = Signal::Resume { by: "probe".into(), group, to_version: None };
                    world.signal(request, &resume).await.unwrap();
                }
            }
        }
        self.end(request.unwrap()).await
    }

    /// A new incarnation, which takes over from the dead.
    async fn begin(&self, fate: &Arc<Fate>) -> World {
        let world = World::begin(Parts {
            clock: self.clock.clone(),
            store: Arc::new(MortalStore { inner: self.store.clone(), fate: fate.clone() }),
            remote: Arc::new(MortalRemote { inner: self.target.clone(), fate: fate.clone() }),
            processes: self.processes.clone(),
        });
        let world = world.await.unwrap();
        self.clock.advance_to(self.clock.now().plus(LEASE * 2));
        let me = world.worker.core.worker;
        self.store.heartbeat(me).await.unwrap();
        self.store.rescue(me, LEASE).await.unwrap();
        world
    }

    /// A person looks at the target and answers what nobody else can know.
    async fn look(&self, world: &World, request: Uuid) {
        let Some(review) = world.open_review(request, "unknown_effect").await.unwrap() else { return };
        let choice = match review.slot.strip_prefix("undo.") {
            Some(step) if self.target.standing(step) == 0 => Choice::Applied,
            None if self.target.standing(&review.slot) > 0 => Choice::Applied,
            _ => Choice::NotApplied,
        };
        let decision = Decision {
            review: review.id,
            choice,
            by: "li".into(),
            first_by: None,
            first_note: None,
            reason: None,
            note: String::new(),
            fields: std::collections::BTreeMap::new(),
        };
        world.decide(request, "unknown_effect", decision).await.unwrap();
    }

    async fn end(&self, request: Uuid) -> End {
        let deaths: Vec<String> =
            self.fates.iter().filter(|fate| fate.is_dead()).filter_map(|fate| fate.points().pop()).collect();
        let lives = Fate::lives();
        let world = self.begin(&lives).await;
        let facts = world.facts(request).await.unwrap();
        let row = world.row(request).await.unwrap();
        let played = mozhao::proof::play::Played { facts, row: Some(row.clone()), ..Default::default() };
        let lines = timeline::lines(&played).join("\n");
        let story = format!("{}; died {}\n{lines}", self.scenario.name, deaths.join("; then "));

        // Once the last effect may have happened there is no way back: it is told so, and goes on to the end.
        let too_late = played.facts.iter().any(|(_, fact)| fact.word() == "withdrawal_refused");
        let outcome = if too_late { "done" } else { self.scenario.outcome };
        assert_eq!(row.state, outcome, "{story}");
        let there = i32::from(outcome == "done");
        for step in ["hold", "book", "tell"] {
            assert_eq!(self.target.standing(step), there, "{step} stands as often as it should: {story}");
            assert!(self.target.most(step) <= 1, "{step} never stood more than once: {story}");
        }
        let balance = self.store.balance().await.unwrap();
        assert!(balance.holds() && balance.accepted == 1 && balance.open() == 0, "{balance:?}: {story}");
        let ended = played.facts.iter().filter(|(_, fact)| fact.word() == "ended").count();
        assert_eq!(ended, 1, "{story}");
        let told = self.store.events(None, 1_000).await.unwrap();
        let outcomes = told.iter().filter(|event| event.topic == format!("request.transfer.{}", row.state)).count();
        assert_eq!(outcomes, 1, "the outcome is told once: {story}");
        End { points: self.fates[0].points(), deaths: deaths.len(), story }
    }
}

#[test]
fn a_worker_that_dies_at_any_point_leaves_right_books() {
    let mut runs = 0;
    for scenario in &SCENARIOS {
        let whole = live(scenario, &[]);
        assert_eq!(whole.deaths, 0);
        for at in 0..whole.points.len() {
            let end = live(scenario, &[at]);
            assert_eq!(end.deaths, 1, "{}", end.story);
            assert_eq!(end.points[at], whole.points[at], "the same seed walks the same way");
            runs += 1;
        }
    }
    assert!(runs >= 200, "only {runs} points");
}

#[test]
fn two_workers_that_die_one_after_the_other_leave_right_books() {
    let mut runs = 0;
    for scenario in &SCENARIOS[..2] {
        let whole = live(scenario, &[]);
        for first in 0..whole.points.len() {
            for second in 0..8 {
                runs += live(scenario, &[first, second]).deaths;
            }
        }
    }
    assert!(runs >= 300, "only {runs} deaths");
}
