//! `mozhao demo`: the whole product on one machine, in less than a minute.
//!
//! What is hard is to be believed. So nothing here reaches into the engine to make things look good: requests go over
//! HTTP to the worker's own API, troubles happen at the sandbox ([`script`]), and the summary is read from the worker's
//! records and compared with what the sandbox says was really applied ([`books`]). Everything is on free ports and in a
//! folder of its own ([`place`]), so that several demos run side by side and nothing is left behind.

mod books;
mod feed;
mod next;
mod place;
mod script;
mod show;
mod stream;
mod summary;

use std::collections::HashMap;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::cli::output::Out;
use crate::cli::signals::Stop;
use crate::domain::time::Time;
use crate::engine::ports::balance::Counted;
use crate::engine::ports::records::RequestFilter;
use crate::engine::service::Engine;
use crate::sandbox::{Planned, World};
use feed::Feed;
use place::Place;
use script::Stage;
use show::Show;
use stream::Sender;

/// How long the last requests may take after the last one was sent.
const PATIENCE: Duration = Duration::from_mins(1);
/// What is looked at again within this time is not at rest.
const SOON: Duration = Duration::from_mins(5);
/// How often it is looked whether everything has come to rest.
const LOOK: Duration = Duration::from_millis(200);

/// What `mozhao demo` was asked for.
#[derive(Debug, Clone)]
pub struct DemoOptions {
    /// End with the summary instead of staying up.
    pub exit: bool,
    /// How many requests to send.
    pub requests: u32,
    /// Over how long to send them; `None`: within seconds.
    pub over: Option<Duration>,
    /// The seed of customers, requests and troubles.
    pub seed: u64,
    /// Standard error is a terminal: show live progress.
    pub terminal: bool,
    /// Leave the folder with the database behind.
    pub keep: bool,
}

/// Runs the demo until its end or until it is stopped; whether its books add up.
///
/// # Errors
/// What kept it from running.
pub async fn demo(options: DemoOptions, stop: Stop) -> anyhow::Result<bool> {
    let drain = stop.drain;
    let show = Arc::new(Show::new(options.terminal, options.requests));
    let world = World::generate(options.seed, options.requests);
    let place = Place::start(&options, &world, &drain).await?;
    show.say(&format!("sandbox  {}  a bank, a face service, text messages, two personnel systems", place.sandbox.url()));
    show.say(&format!("worker   {}  {} processes on SQLite in {}", place.url, place.processes(), place.folder().display()));
    show.say(&format!("console  {}", place.link));
    show.say(&format!(
        "sending {} over HTTP (seed {}); the names are the sandbox's, the worker shows masks",
        counted(u64::from(options.requests), "request"),
        options.seed
    ));
    let result = tokio::select! {
        biased;
        () = drain.cancelled() => None,
        result = perform(&place, &world, options.over, &show) => Some(result),
    };
    show.finish();
    let Some(result) = result else {
        place.stop(&show).await?;
        show.say("stopped before the summary");
        return Ok(true);
    };
    let (seen, mut feed) = match result {
        Ok(performed) => performed,
        Err(error) => {
            // What went wrong is looked for in the folder, where it is kept.
            place.stop(&show).await?;
            return Err(error);
        }
    };
    let books = books::read(&place.engine, place.sandbox.handle(), &world.requests).await.context("cannot read the books")?;
    let out = Out::new(false);
    let text = summary::summary(&books, &seen, out) + &next::commands(&books, &place, &options, out);
    std::io::stdout().lock().write_all(text.as_bytes()).context("cannot write the summary")?;
    if !options.exit {
        // What the visitor does in another terminal is seen in this one.
        feed.tell_everything();
        feed.follow(place.stopping()).await?;
    }
    place.stop(&show).await?;
    Ok(books.add_up())
}

/// What was seen on the way, besides the books.
#[derive(Debug, Default)]
struct Seen {
    /// From the first request sent until everything had come to rest.
    took: Duration,
    /// Sent twice with the same key, and taken once.
    repeated: u64,
    /// Different requests that were parked because the bank was down.
    parked_by_outage: u64,
    /// How long the bank was down; `None`: it never was.
    outage: Option<Duration>,
    /// Had not come to rest when patience ended.
    moving: u64,
}

/// Sends everything, plays the troubles, and waits until nothing moves any more.
async fn perform(place: &Place, world: &World, over: Option<Duration>, show: &Arc<Show>) -> anyhow::Result<(Seen, Feed)> {
    let started = Instant::now();
    let sender = Arc::new(Sender::new(place)?);
    let stop_feed = CancellationToken::new();
    let feed = Feed::new(place.engine.clone(), show.clone(), names(world));
    let feed = tokio::spawn(feed.follow(stop_feed.clone()));
    let stage = Stage::new(place, show);
    let repeated = send(&sender, &stage, &world.requests, over, show).await?;
    let outage = stage.outage_ended().await;
    sender.withdraw_one(&place.engine, &world.requests, show).await?;
    let moving = settle(&place.engine, show).await?;
    stop_feed.cancel();
    let feed = feed.await.context("the feed was cut off")??;
    let seen = Seen { took: started.elapsed(), repeated, parked_by_outage: feed.parked(), outage, moving };
    Ok((seen, feed))
}

/// Sends the stream at a pace that can be watched; how many were sent twice.
async fn send(
    sender: &Arc<Sender>,
    stage: &Stage,
    requests: &[Planned],
    over: Option<Duration>,
    show: &Arc<Show>,
) -> anyhow::Result<u64> {
    let scenes = script::plan(requests);
    let mut sending = stream::Sending::default();
    sender.send_a_slip(requests, show).await?;
    for (number, planned) in requests.iter().enumerate() {
        tokio::time::sleep(stream::pause(requests.len(), over, rand::random())).await;
        for (_, scene) in scenes.iter().filter(|(at, _)| *at == number) {
            stage.play(*scene);
        }
        sending.send(sender, number, planned.clone()).await?;
        show.sent(number + 1);
    }
    sending.finish().await
}

/// Waits until every open request rests: at a person, a customer or a defect. How many do not.
async fn settle(engine: &Engine, show: &Show) -> anyhow::Result<u64> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let moving = moving(engine).await?;
        show.balance(&engine.store().balance().await?);
        if moving == 0 || Instant::now() > deadline {
            return Ok(moving);
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// How many open requests will move by themselves soon.
async fn moving(engine: &Engine) -> anyhow::Result<u64> {
    let store = engine.store();
    let by_itself = |row: &Counted| {
        let dependency = row.parked.as_deref().is_some_and(|group| group.starts_with("dependency:"));
        matches!(row.state.as_str(), "queued" | "running") || dependency
    };
    let counted = store.balance().await?.places;
    let mut moving: u64 = counted.iter().filter(|row| by_itself(row)).map(|row| row.count).sum();
    if moving == 0 && counted.iter().any(|row| row.state == "waiting") {
        let soon: Time = engine.clock().now().plus(SOON);
        let filter = RequestFilter { states: vec!["waiting".into()], ..RequestFilter::default() };
        let rows = store.requests(&filter, None, 200).await?;
        moving += rows.iter().filter(|row| row.wake_at.is_some_and(|at| at < soon)).count() as u64;
    }
    Ok(moving)
}

/// Who is behind each request, by its number: known to the sandbox's books, never to the worker's lists.
fn names(world: &World) -> Vec<String> {
    let mut known: HashMap<&str, &str> = HashMap::new();
    known.extend(world.customers.iter().map(|customer| (customer.customer_id.as_str(), customer.name.as_str())));
    known.extend(world.hr.iter().map(|person| (person.person_id.as_str(), person.name.trim())));
    let name = |planned: &Planned| {
        let id = ["customer_id", "person_id"].iter().find_map(|field| planned.payload.get(field)?.as_str()).unwrap_or("?");
        known.get(id).copied().unwrap_or(id).to_owned()
    };
    world.requests.iter().map(name).collect()
}

/// `1 request`, `2 requests`.
fn counted(count: u64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}
