//! Plays one case: a request, its scripted remote systems, and what comes from outside at its time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::clock::{self, BEGINNING, VirtualClock};
use super::script::Script;
use super::world::{Parts, World, WorldError};
use crate::domain::process::cases::{Case, CaseFile, Event, Happening, Told};
use crate::domain::process::model::Process;
use crate::domain::request::fact::Fact;
use crate::domain::request::signal::{Decision, Signal};
use crate::domain::time::Time;
use crate::engine::intake::Rejection;
use crate::engine::ports::records::RequestRow;
use crate::engine::ports::store::ReviewPut;
use crate::engine::processes::Processes;
use crate::store::memory::MemoryStore;

/// What a case came to.
#[derive(Debug, Default)]
pub struct Played {
    /// The message was no request.
    pub rejected: Option<Rejection>,
    /// The request's row in the end.
    pub row: Option<RequestRow>,
    /// Its ledger.
    pub facts: Vec<(Time, Fact)>,
    /// How often each slot was called.
    pub calls: BTreeMap<String, u32>,
    /// Slots that were called and have no answer in the case.
    pub unanswered: Vec<String>,
    /// What of the case could not be played.
    pub troubles: Vec<String>,
}

/// What the cases of a file share.
pub struct Stage {
    process: Arc<Process>,
    processes: Arc<Processes>,
    connectors: Vec<String>,
}

impl Stage {
    /// A stage for a process.
    #[must_use]
    pub fn new(process: Process) -> Stage {
        let (name, version, connectors) = (process.name.clone(), process.version, process.connectors());
        let processes = Arc::new(Processes::default());
        let kept = Arc::new(process.clone());
        processes.add(process);
        let process = processes.get(&name, version).unwrap_or(kept);
        Stage { process, processes, connectors }
    }

    /// The process.
    #[must_use]
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Plays a case; the same seed gives the same ids and dice.
    #[must_use]
    pub fn play(&self, file: &CaseFile, case: &Case, seed: u64) -> Played {
        let clock = VirtualClock::new(seed);
        let script = Script::new(clock.clone(), &self.connectors, &file.connectors, case.answers.clone());
        let parts = Parts {
            clock: clock.clone(),
            store: Arc::new(MemoryStore::new(clock.clone())),
            remote: script.clone(),
            processes: self.processes.clone(),
        };
        let (name, case) = (self.process.name.clone(), case.clone());
        let played = clock::run(&clock, async move {
            let mut played = Played::default();
            if let Err(error) = play(parts, &name, &case, &mut played).await {
                played.troubles.push(error.to_string());
            }
            played
        });
        let mut played = played.unwrap_or_else(|error| {
            let trouble = format!("the case could not be played: {error}");
            Played { troubles: vec![trouble], ..Played::default() }
        });
        for made in script.made() {
            *played.calls.entry(made.call.slot.to_string()).or_default() += 1;
        }
        played.unanswered = script.missing();
        played
    }
}

async fn play(parts: Parts, process: &str, case: &Case, played: &mut Played) -> Result<(), WorldError> {
    let mut world = World::begin(parts).await?;
    for _ in 0..case.earlier {
        let submission = world.submission(process, &case.request);
        let earlier = world.accept(&submission, false).await?;
        world.signal(earlier, &Signal::Withdraw { by: "an earlier request of the case".to_owned(), note: None }).await?;
        world.run_for(Duration::ZERO).await?;
    }
    let submission = world.submission(process, &case.request);
    let request = match world.accept(&submission, true).await {
        Ok(request) => request,
        Err(WorldError::Rejected(rejection)) => {
            played.rejected = Some(rejection);
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    for event in &case.events {
        world.run_until(BEGINNING.plus(event.after)).await?;
        if let Err(why) = happen(&world, request, event).await {
            played.troubles.push(format!("line {}: {why}", event.line));
        }
    }
    world.run_until(BEGINNING.plus(case.length())).await?;
    world.settle().await;
    played.row = Some(world.row(request).await?);
    played.facts = world.facts(request).await?;
    Ok(())
}

async fn happen(world: &World, request: Uuid, event: &Event) -> Result<(), WorldError> {
    let signal = match &event.what {
        Happening::Decision { review, choice, by, reason, note, fields, told } => {
            let decision = Decision {
                review: Uuid::nil(),
                choice: *choice,
                by: by.clone(),
                first_by: None,
                first_note: None,
                reason: reason.clone(),
                note: note.clone(),
                fields: fields.clone(),
            };
            let put = world.decide(request, review, decision).await?;
            return match (put, told) {
                (ReviewPut::Done(..) | ReviewPut::SetAside(_), Told::Taken)
                | (ReviewPut::Stale(_) | ReviewPut::Taken(_), Told::TurnedDown) => Ok(()),
                (ReviewPut::Done(..) | ReviewPut::SetAside(_), Told::TurnedDown) => {
                    Err(WorldError::Odd("the decision was taken".to_owned()))
                }
                (_, Told::Taken) => {
                    let why = "the decision was turned down (with four eyes the second person must be another one)";
                    Err(WorldError::Odd(why.to_owned()))
                }
            };
        }
        Happening::Callback { name, body } => Signal::Callback { name: name.clone(), body: body.clone() },
        Happening::Withdrawal { by } => Signal::Withdraw { by: by.clone(), note: None },
        Happening::Supplement { fields, by } => Signal::Supplement { fields: fields.clone(), by: by.clone() },
        Happening::Resume { by } => {
            let group = world.row(request).await?.parked;
            let group = group.ok_or_else(|| WorldError::Odd("the request is not parked".to_owned()))?;
            Signal::Resume { by: by.clone(), group, to_version: None }
        }
    };
    world.signal(request, &signal).await.map(drop)
}
