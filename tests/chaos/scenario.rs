//! The frame of every scenario: a world, workers, load, the fault, and then always healing, people and the books.

use std::time::Duration;

use mozhao::sandbox::{Fault, Trouble};
use serde_json::json;
use tokio::task::JoinHandle;

use super::books::{self, Books, Expect};
use super::broker::{self, Message};
use super::client::Client;
use super::world::{On, PATIENCE, Place, Plan, Worker, World};
use super::{bank, people};
use crate::harness::ports::free_port;
use crate::harness::record::{self, Dice};
use crate::harness::wait;

/// How long a world may take to come to rest after a fault.
const REST: Duration = Duration::from_mins(3);
/// Messages that a producer publishes at once.
const HANDFUL: usize = 8;
/// Every so many-th request asks for an effect that nobody can recognise or read back.
const KEYLESS: usize = 4;

/// What a scenario is made of; the fault is given to [`Self::run`].
pub struct Scenario {
    name: &'static str,
    on: On,
    through: Vec<Place>,
    workers: usize,
    requests: usize,
    /// Requests per second.
    pace: u64,
    /// The most seeds that are worth their time, where more would play the same.
    seeds: Option<u64>,
    settings: Vec<(&'static str, &'static str)>,
    /// How long each call to the bank takes at least.
    bank: u64,
    /// How long an effect of `keyed` and `plain` may take, where it is not what their file says.
    effects: Option<&'static str>,
    /// How long it may take until everything is at rest.
    patience: Duration,
}

/// A scenario under way.
pub struct Case {
    pub world: World,
    pub workers: Vec<Worker>,
    pub dice: Dice,
    pub sent: Vec<Message>,
    /// Logs of workers that are gone.
    pub logs: Vec<String>,
    /// Messages that were sent and are no requests.
    pub rejected: usize,
    patience: Duration,
    producer: Option<JoinHandle<()>>,
    /// Who sends over HTTP, in a world without a broker.
    sender: Option<Client>,
    settings: Vec<(&'static str, &'static str)>,
    /// The rule by which every call takes some time.
    usual: (u64, Fault),
}

impl Scenario {
    /// Two workers on the run's servers, 200 requests at 50 a second.
    pub fn new(name: &'static str) -> Scenario {
        Scenario {
            name,
            on: On::Shared,
            through: Vec::new(),
            workers: 2,
            requests: 200,
            pace: 50,
            seeds: None,
            // The log says little about an outage; missed heartbeats are in its details.
            settings: vec![("MOZHAO__LOG__LEVEL", "info,mozhao::engine::worker=debug")],
            bank: 5,
            effects: None,
            patience: REST,
        }
    }

    /// It has to come to rest within this.
    pub fn patient(mut self, patience: Duration) -> Scenario {
        self.patience = patience;
        self
    }

    /// On these servers; on SQLite there is one worker.
    pub fn on(mut self, on: On) -> Scenario {
        self.on = on;
        if matches!(on, On::Embedded | On::EmbeddedOnSmallDisk(_) | On::EmbeddedWithBroker) {
            self.workers = 1;
        }
        self
    }

    /// With a proxy between the workers and this.
    pub fn through(mut self, place: Place) -> Scenario {
        self.through.push(place);
        self
    }

    pub fn workers(mut self, workers: usize) -> Scenario {
        self.workers = workers;
        self
    }

    /// So many requests, so many a second.
    pub fn load(mut self, requests: usize, pace: u64) -> Scenario {
        (self.requests, self.pace) = (requests, pace);
        self
    }

    /// Calls to the bank take at least so many milliseconds.
    pub fn bank(mut self, ms: u64) -> Scenario {
        self.bank = ms;
        self
    }

    /// Effects of the connectors `keyed` and `plain` may take so long.
    pub fn effects_within(mut self, timeout: &'static str) -> Scenario {
        self.effects = Some(timeout);
        self
    }

    /// At most so many seeds, however many are wanted.
    pub fn seeds(mut self, most: u64) -> Scenario {
        self.seeds = Some(most);
        self
    }

    /// A variable for every worker.
    pub fn with(mut self, name: &'static str, value: &'static str) -> Scenario {
        self.settings.push((name, value));
        self
    }

    /// Runs it with each seed: load, fault, healing, people, books.
    pub async fn run(self, fault: impl AsyncFn(&mut Case)) {
        self.run_and(fault, async |_, _| ()).await;
    }

    /// As [`Self::run`]; with a look at the books of its own at the end.
    pub async fn run_and(self, fault: impl AsyncFn(&mut Case), look: impl AsyncFn(&mut Case, &Books)) {
        for seed in record::seeds(self.seeds) {
            Box::pin(self.play(seed, &fault, &look)).await;
        }
    }

    async fn play(&self, seed: u64, fault: &impl AsyncFn(&mut Case), look: &impl AsyncFn(&mut Case, &Books)) {
        let mut case = self.begin(seed).await;
        fault(&mut case).await;
        let books = case.end().await;
        look(&mut case, &books).await;
    }

    async fn begin(&self, seed: u64) -> Case {
        let plan = Plan { on: self.on, through: self.through.clone(), named: Some((self.name, seed)) };
        let mut world = World::new(plan).await;
        if let Some(timeout) = self.effects {
            world.effects_within(timeout);
        }
        let sent = messages(&world, self.requests);
        let usual = Fault::new("/bank/**", Trouble::Delay { ms: self.bank });
        let usual_id = world.bank.fault(usual.clone());
        let mut workers = Vec::new();
        for _ in 0..self.workers {
            workers.push(world.worker_on(free_port(), &self.settings).await);
        }
        let mut case = Case {
            world,
            workers,
            dice: Dice::new(seed),
            sent,
            logs: Vec::new(),
            rejected: 0,
            patience: self.patience,
            producer: None,
            sender: None,
            settings: self.settings.clone(),
            usual: (usual_id, usual),
        };
        if case.world.amqp.is_none() {
            case.sender = Some(case.world.client(&case.workers[0], "sender").await);
        }
        case.produce(self.pace);
        case
    }
}

/// Mostly cards to unbind, two for each customer; every fourth an effect without keys, reads or undo.
fn messages(world: &World, requests: usize) -> Vec<Message> {
    let message = |number: usize| {
        let payload = bank::card(&world.bank, number, 2);
        if number % KEYLESS == KEYLESS - 1 {
            let payload = json!({"customer_id": payload["customer_id"], "card_id": payload["card_id"]});
            return Message::plain("app", &format!("m-{number}"), "card_cut", &payload);
        }
        Message::plain("app", &format!("m-{number}"), "card_unbind", &payload)
    };
    (0..requests).map(message).collect()
}

/// A message to unbind the card of this number.
pub fn unbind(world: &World, number: usize) -> Message {
    Message::plain("app", &format!("m-{number}"), "card_unbind", &bank::card(&world.bank, number, 2))
}

impl Case {
    /// Starts the producer.
    fn produce(&mut self, pace: u64) {
        let messages = self.sent.clone();
        let mut clock =
            tokio::time::interval(Duration::from_millis(1_000 * HANDFUL as u64 / pace.max(1)).max(Duration::from_millis(1)));
        if let Some(client) = self.sender.clone() {
            self.producer = Some(tokio::spawn(async move {
                for some in messages.chunks(HANDFUL) {
                    clock.tick().await;
                    for message in some {
                        // Over HTTP a confirm is the answer; without one it is sent again under the same key.
                        wait::until("an answer", REST, || client.tries(message)).await;
                    }
                }
            }));
            return;
        }
        let amqp = self.world.amqp.clone().expect("a broker, or somebody who sends over HTTP");
        let exchange = format!("{}.requests", self.world.prefix);
        self.producer = Some(tokio::spawn(async move {
            for some in messages.chunks(HANDFUL) {
                clock.tick().await;
                broker::publish(&amqp, &exchange, some).await;
            }
        }));
    }

    /// Sends more requests, until each is confirmed: the books expect them from then on.
    pub async fn send(&mut self, messages: Vec<Message>) {
        self.confirmed(&messages).await;
        self.sent.extend(messages);
    }

    /// As [`Self::send`], for messages that the books know already.
    pub async fn confirmed(&self, messages: &[Message]) {
        let Some(client) = &self.sender else {
            return self.world.publish(messages).await;
        };
        for message in messages {
            wait::until("an answer", REST, || client.tries(message)).await;
        }
    }

    /// Adds a trouble of the targets; the first one that fits a call decides, and the usual delay comes last.
    pub fn trouble(&mut self, fault: Fault) -> u64 {
        record::fault();
        self.world.bank.lift(self.usual.0);
        let id = self.world.bank.fault(fault);
        self.usual.0 = self.world.bank.fault(self.usual.1.clone());
        id
    }

    /// Waits until so many requests are done or ask a person.
    pub async fn carried(&self, count: u64) {
        let carried = |balance: &mozhao::engine::ports::balance::Balance| balance.done + balance.in_review >= count;
        self.world.until(&format!("{count} requests to be carried"), PATIENCE, carried).await;
    }

    /// Waits until so many more requests are done or ask a person.
    pub async fn more(&self, count: u64) {
        let now = wait::until_some("the database to answer", PATIENCE, || self.world.balance()).await;
        self.carried((now.done + now.in_review + count).min(self.sent.len() as u64 * 9 / 10)).await;
    }

    /// Waits until a worker's log has so many lines with these words.
    pub async fn logged(&self, worker: usize, words: &str, times: usize, deadline: Duration) {
        let process = &self.workers[worker].process;
        wait::until_true(&format!("{times} times {words:?} in the log"), deadline, || {
            process.logs().matches(words).count() >= times
        })
        .await;
    }

    /// How often these words stand in a worker's log.
    pub fn count_in_log(&self, worker: usize, words: &str) -> usize {
        self.workers[worker].process.logs().matches(words).count()
    }

    /// Starts a worker again, as a service manager does, as often as it ends before it is ready and says `why`.
    pub async fn serviced(&mut self, worker: usize, why: &str) {
        let port = self.workers[worker].port;
        while let Some(status) = self.workers[worker].process.ready_or_ended(port).await {
            let log = self.workers[worker].process.logs();
            assert!(log.contains(why), "mozhao ended before it was ready: {status}\n{log}");
            self.workers[worker] = self.world.launch(port, &self.settings);
            self.logs.push(log);
        }
    }

    /// kill -9 of a worker, and another one in its place.
    pub fn kill(&mut self, worker: usize) {
        self.strike(worker);
        self.replace(worker);
    }

    /// kill -9 of a worker; nobody comes in its place until [`Self::replace`].
    pub fn strike(&mut self, worker: usize) {
        self.workers[worker].process.kill();
    }

    /// Another worker in the place of a dead one.
    pub fn replace(&mut self, worker: usize) {
        let port = self.workers[worker].port;
        // Ready and consuming is what the scenario's end waits for; here it only has to be started.
        let fresh = self.world.launch(port, &self.settings);
        let dead = std::mem::replace(&mut self.workers[worker], fresh);
        self.logs.push(dead.process.logs());
    }

    /// Workers that are started from now on do not have this variable.
    pub fn without(&mut self, name: &str) {
        self.settings.retain(|(known, _)| *known != name);
    }

    /// Waits until the producer's last message is confirmed.
    pub async fn all_confirmed(&mut self) {
        if let Some(producer) = self.producer.take() {
            producer.await.expect("the producer");
        }
    }

    /// Heals everything, lets people settle what is theirs, and checks the books: every request has ended.
    async fn end(&mut self) -> Books {
        self.world.heal();
        self.world.bank.lift_all();
        self.all_confirmed().await;
        for worker in &mut self.workers {
            worker.process.wait_ready(worker.port).await;
        }
        people::settle(self, self.patience).await;
        let workers: Vec<&Worker> = self.workers.iter().collect();
        let over_http = self.world.amqp.is_none();
        assert!(!over_http || self.world.posted.len() == self.sent.len(), "each was answered, and nothing else was sent");
        let expect = Expect {
            sent: if over_http { &[] } else { &self.sent },
            ended: self.sent.len(),
            workers: &workers,
            logs: self.logs.clone(),
            deadline: Some(self.patience),
            rejected: self.rejected,
            ..Expect::default()
        };
        books::check(&mut self.world, expect).await
    }
}
