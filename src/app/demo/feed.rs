//! What happens to the requests, as a front end that reads the worker's events sees it. A stream has more outcomes than
//! anybody reads: the first of each kind is told.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::show::Show;
use super::stream;
use crate::cli::output::field;
use crate::domain::time::Time;
use crate::engine::ports::records::Event;
use crate::engine::service::Engine;

/// How often events are read, and how many at once.
const EVERY: Duration = Duration::from_millis(150);
const PAGE: usize = 200;

/// What reads the events, and what it has told already.
pub(super) struct Feed {
    engine: Engine,
    show: Arc<Show>,
    names: Vec<String>,
    after: Option<Uuid>,
    accepted: HashMap<Uuid, Time>,
    told: HashSet<String>,
    parked: HashSet<Uuid>,
    everything: bool,
}

impl Feed {
    /// `names`: who is behind the requests, by number.
    pub(super) fn new(engine: Engine, show: Arc<Show>, names: Vec<String>) -> Feed {
        let (accepted, told, parked) = (HashMap::new(), HashSet::new(), HashSet::new());
        Feed { engine, show, names, after: None, accepted, told, parked, everything: false }
    }

    /// From now on every outcome is told, not only the first of its kind.
    pub(super) fn tell_everything(&mut self) {
        self.everything = true;
    }

    /// How many different requests were parked because a dependency was down.
    pub(super) fn parked(&self) -> u64 {
        self.parked.len() as u64
    }

    /// Follows the events until `stop`, those that are there by then included.
    pub(super) async fn follow(mut self, stop: CancellationToken) -> anyhow::Result<Feed> {
        let store = self.engine.store().clone();
        loop {
            let last = stop.is_cancelled();
            loop {
                let events = store.events(self.after, PAGE).await?;
                for event in &events {
                    if let Some(line) = self.line(event) {
                        self.show.say(&line);
                    }
                }
                self.after = events.last().map(|event| event.id).or(self.after);
                if events.len() < PAGE {
                    break;
                }
            }
            if last {
                return Ok(self);
            }
            self.show.balance(&store.balance().await?);
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(EVERY) => {}
            }
        }
    }

    /// What there is to tell of an event.
    fn line(&mut self, event: &Event) -> Option<String> {
        let id = event.request?;
        let body: Value = serde_json::from_slice(&event.body).ok()?;
        let data = body.get("data")?;
        let get = |pointer: &str| field(data, pointer);
        let process = get("/process");
        let word = event.topic.rsplit('.').next().unwrap_or_default();
        let (kind, what) = match word {
            "accepted" => {
                self.accepted.insert(id, event.at);
                return None;
            }
            "done" => {
                let took = self.accepted.get(&id).map(|at| event.at.since(*at)).unwrap_or_default();
                (process.clone(), format!("done, and seen to be done, in {:.2} s", took.as_secs_f64()))
            }
            "refused" => {
                let (clause, text) = (get("/clause/id"), get("/text/en"));
                (get("/reason"), format!("refused by {clause}: {text}"))
            }
            "withdrawn" => (String::new(), "withdrawn".to_owned()),
            "opened" => (get("/name"), format!("a person is asked: {}", get("/question/en"))),
            "waiting" => (get("/step"), format!("waits at {}", get("/step"))),
            "parked" => {
                let group = get("/group");
                if group.starts_with("dependency:") {
                    self.parked.insert(id);
                    return None;
                }
                (group, format!("parked under a defect at {}: {}", get("/step"), get("/code")))
            }
            _ => return None,
        };
        if !self.told.insert(format!("{word} {kind}")) && !self.everything {
            return None;
        }
        let name = stream::number(&get("/message")).and_then(|number| self.names.get(number)).map_or("?", String::as_str);
        let title = self.engine.processes().latest(&process).and_then(|process| process.title.get("en").cloned());
        Some(format!("{name} ({}): {what}", title.unwrap_or(process)))
    }
}
