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

/// Follows the events until `stop`; how many different requests were parked because a dependency was down.
pub(super) async fn follow(engine: Engine, names: Vec<String>, show: Arc<Show>, stop: CancellationToken) -> anyhow::Result<u64> {
    let mut feed = Feed { names, ..Feed::default() };
    let mut after = None;
    loop {
        let last = stop.is_cancelled();
        loop {
            let events = engine.store().events(after, PAGE).await?;
            for line in events.iter().filter_map(|event| feed.line(event, &engine)) {
                show.say(&line);
            }
            after = events.last().map(|event| event.id).or(after);
            if events.len() < PAGE {
                break;
            }
        }
        if last {
            return Ok(feed.parked.len() as u64);
        }
        show.balance(&engine.store().balance().await?);
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

/// What was told already.
#[derive(Default)]
struct Feed {
    names: Vec<String>,
    accepted: HashMap<Uuid, Time>,
    told: HashSet<String>,
    parked: HashSet<Uuid>,
}

impl Feed {
    /// What there is to tell of an event, if it is the first of its kind.
    fn line(&mut self, event: &Event, engine: &Engine) -> Option<String> {
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
        if !self.told.insert(format!("{word} {kind}")) {
            return None;
        }
        let name = stream::number(&get("/message")).and_then(|number| self.names.get(number)).map_or("?", String::as_str);
        let title = engine.processes().latest(&process).and_then(|process| process.title.get("en").cloned());
        Some(format!("{name} ({}): {what}", title.unwrap_or(process)))
    }
}
