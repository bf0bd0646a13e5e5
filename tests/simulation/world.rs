//! A run: worker processes that come and go over one database, one broker and the same remote systems, in virtual time.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use mozhao::domain::process::{Known, parse};
use mozhao::engine::ports::clock::{Clock, within};
use mozhao::engine::ports::records::{ProcessRow, TokenRow};
use mozhao::engine::ports::store::Store;
use mozhao::engine::processes::Processes;
use mozhao::engine::service::{Engine, Parts, Settings};
use mozhao::proof::clock::{VirtualClock, run};
use mozhao::store::memory::MemoryStore;
use tokio::task::JoinHandle;

use crate::bank::{Bank, CONNECTORS, Outage, Wire};
use crate::books::Books;
use crate::broker::{Broker, Press};
use crate::dice::Dice;
use crate::life::{Life, OwnClock};
use crate::line::Line;
use crate::people;
use crate::trace::Trace;
use crate::weather::Weather;

/// How long a run may take to come to rest once nothing goes wrong any more.
const REST: Duration = Duration::from_mins(40);

const TRANSFER: &str = include_str!("processes/transfer.yaml");
const SOURCES: [&str; 6] = [
    TRANSFER,
    include_str!("processes/letter.yaml"),
    include_str!("../../deploy/processes/card_unbind.yaml"),
    include_str!("../../deploy/processes/phone_change.yaml"),
    include_str!("../../deploy/processes/account_close.yaml"),
    include_str!("../../deploy/processes/name_correction.yaml"),
];

/// Parsed once for all runs.
static PROCESSES: LazyLock<Processes> = LazyLock::new(|| {
    let processes = Processes::default();
    for source in SOURCES {
        processes.add(parse("simulated.yaml", source, &Known::default()).unwrap().process);
    }
    processes
});

/// Something that is on or off.
#[derive(Default)]
pub(crate) struct Switch(AtomicBool);

impl Switch {
    pub(crate) fn is_on(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    pub(crate) fn turn(&self, on: bool) {
        self.0.store(on, Ordering::SeqCst);
    }
}

struct Node {
    life: Arc<Life>,
    engine: Mutex<Option<Engine>>,
    running: Mutex<Option<JoinHandle<()>>>,
}

impl Node {
    fn engine(&self) -> Option<Engine> {
        self.engine.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

pub(crate) struct World {
    pub(crate) clock: Arc<VirtualClock>,
    pub(crate) weather: Arc<Weather>,
    pub(crate) trace: Arc<Trace>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) bank: Arc<Bank>,
    pub(crate) books: Arc<Books>,
    pub(crate) broker: Arc<Broker>,
    pub(crate) processes: Arc<Processes>,
    database_down: Arc<Switch>,
    second_version: Switch,
    nodes: Mutex<Vec<Arc<Node>>>,
    dice: Dice,
}

/// What a run came to.
pub(crate) struct Outcome {
    pub(crate) digest: (u64, u64),
    pub(crate) violations: Vec<String>,
    pub(crate) story: String,
    pub(crate) ended: u64,
    pub(crate) weather: String,
}

/// Plays a seed.
pub(crate) fn play(seed: u64) -> Outcome {
    let clock = VirtualClock::new(seed & 0xffff_ffff);
    let weather = Arc::new(Weather::draw(seed));
    let trace = Trace::new(clock.clone());
    let processes = Arc::new(PROCESSES.copy());
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new(clock.clone()));
    let bank = Bank::new(clock.clone(), weather.clone(), trace.clone());
    let books = Books::new(clock.clone(), bank.clone(), store.clone(), processes.clone());
    let broker = Broker::new(&weather, &books, Arc::default());
    let world = Arc::new(World {
        clock: clock.clone(),
        weather: weather.clone(),
        trace: trace.clone(),
        store,
        bank,
        books,
        broker,
        processes,
        database_down: Arc::default(),
        second_version: Switch::default(),
        nodes: Mutex::default(),
        dice: Dice::new(seed, "director"),
    });
    let ended = run(&clock, async move { world.live().await });
    let ended = ended.unwrap_or_else(|error| {
        trace.violation(format!("the run panicked: {error}"));
        0
    });
    let violations = trace.violations();
    let names: Vec<String> =
        violations.iter().filter_map(|what| what.split_whitespace().next()).map(|name| format!(" {name} ")).collect();
    let story = if violations.is_empty() { String::new() } else { trace.about(&names, 25) };
    Outcome { digest: trace.digest(), violations, story, ended, weather: format!("{weather:?}") }
}

impl World {
    async fn live(self: Arc<Self>) -> u64 {
        self.store.setting("callback_secret", b"simulated").await.unwrap();
        let desk = TokenRow {
            name: "desk".to_owned(),
            sha256: [0; 32],
            roles: vec!["admin".to_owned()],
            processes: vec![],
            review_roles: vec![],
            created_at: self.clock.now(),
            expires_at: None,
            revoked_at: None,
        };
        self.store.add_token(&desk).await.unwrap();
        for process in PROCESSES.all() {
            self.publish(&process.name, process.version, &process.digest, &process.source).await;
        }
        for index in 0..self.weather.workers {
            self.start(index, 0);
        }
        let customers: Vec<_> = (1..=self.weather.requests).map(|n| tokio::spawn(people::customer(self.clone(), n))).collect();
        for me in 0..3 {
            tokio::spawn(people::reviewer(self.clone(), me));
        }
        tokio::spawn(people::operator(self.clone()));
        tokio::spawn(people::outside(self.clone()));
        self.trouble().await;
        self.weather.clear_up();
        self.trace.say("it clears up");
        for (connector, _) in CONNECTORS {
            self.bank.outage(connector, None);
        }
        self.database_down.turn(false);
        self.broker.down.turn(false);
        let begun = self.clock.now();
        while !self.is_at_rest(&customers).await {
            self.clock.sleep(Duration::from_secs(3)).await;
            if self.clock.now().since(begun) > REST {
                self.trace.violation("G2: the run does not come to rest");
                break;
            }
        }
        self.end().await
    }

    async fn publish(&self, name: &str, version: u32, digest: &str, source: &str) {
        let row = ProcessRow {
            name: name.to_owned(),
            version,
            digest: digest.to_owned(),
            source: source.to_owned(),
            published_at: self.clock.now(),
        };
        self.store.publish_process(&row).await.unwrap();
    }

    /// Faults of whole parts, one after the other.
    async fn trouble(self: &Arc<Self>) {
        let (dice, weather) = (&self.dice, &self.weather);
        let until = self.clock.now().plus(weather.length);
        let mut generation = 0;
        let night = weather.night.then(|| dice.between(1, 4));
        let mut step = 0;
        while self.clock.now() < until {
            self.clock.sleep(dice.millis(500, 8_000)).await;
            let balance = self.store.balance().await.unwrap();
            if !balance.holds() {
                self.trace.violation(format!("G11: {balance:?}"));
            }
            step += 1;
            generation += 1;
            let index = usize::try_from(dice.below(weather.workers as u64)).unwrap();
            match dice.below(7) {
                _ if night == Some(step) => self.sleep_over(generation).await,
                0 | 1 if dice.chance(weather.kills) => {
                    self.kill(index);
                    let (world, pause) = (self.clone(), dice.millis(100, 25_000));
                    tokio::spawn(async move {
                        world.clock.sleep(pause).await;
                        world.start(index, generation);
                    });
                }
                2 if dice.chance(weather.stalls) => self.stall(index, dice.millis(200, 25_000)),
                3 if dice.chance(weather.stops) => {
                    let world = self.clone();
                    tokio::spawn(async move {
                        world.stop(index).await;
                        world.start(index, generation);
                    });
                }
                4 if dice.chance(weather.outages) => self.outage(),
                5 if dice.chance(weather.contracts) => {
                    let slot = *dice.pick(&["funds", "risk", "address", "stamp", "card", "holder", "cards", "hr_record"]);
                    self.trace.say(format!("{slot} breaks its contract"));
                    self.bank.breaks(slot, true);
                    self.after(dice.millis(5_000, 30_000), move |world| world.bank.breaks(slot, false));
                }
                6 if weather.second_version && !self.second_version.is_on() => {
                    let source = TRANSFER.replace("version: 1", "version: 2").replace("within: 20s", "within: 25s");
                    let process = parse("simulated.yaml", &source, &Known::default()).unwrap().process;
                    self.publish(&process.name, 2, &process.digest, &source).await;
                    self.processes.add(process);
                    self.second_version.turn(true);
                    self.trace.say("transfer has a second version");
                }
                _ => {}
            }
        }
    }

    fn after(self: &Arc<Self>, length: Duration, act: impl FnOnce(&World) + Send + 'static) {
        let world = self.clone();
        tokio::spawn(async move {
            world.clock.sleep(length).await;
            act(&world);
        });
    }

    fn outage(self: &Arc<Self>) {
        let dice = &self.dice;
        let length = dice.millis(200, 20_000);
        match dice.below(4) {
            0 => {
                self.trace.say(format!("the database is down for {length:?}"));
                self.database_down.turn(true);
                self.after(length, |world| world.database_down.turn(false));
            }
            1 => {
                self.trace.say(format!("the broker is down for {length:?}"));
                self.broker.down.turn(true);
                self.broker.disconnect_all();
                self.after(length, |world| {
                    world.broker.down.turn(false);
                    world.broker.arrived.notify_waiters();
                });
            }
            _ => {
                let connector = dice.pick(&CONNECTORS).0;
                let outage = if dice.chance(700) { Outage::Refuses } else { Outage::Swallows };
                self.trace.say(format!("{connector} {outage:?} for {length:?}"));
                self.bank.outage(connector, Some(outage));
                self.after(length, move |world| world.bank.outage(connector, None));
            }
        }
    }

    /// Everything is off for some hours.
    async fn sleep_over(self: &Arc<Self>, generation: u64) {
        for index in 0..self.weather.workers {
            if self.dice.chance(500) { self.kill(index) } else { self.stop(index).await }
        }
        self.trace.say("night");
        self.clock.sleep(Duration::from_mins(self.dice.between(5, 90))).await;
        for index in 0..self.weather.workers {
            self.start(index, generation);
        }
    }

    fn node(&self, index: usize) -> Option<Arc<Node>> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner).get(index).cloned()
    }

    /// Starts a process in this place, where none is alive.
    fn start(self: &Arc<Self>, index: usize, generation: u64) {
        if self.node(index).is_some_and(|node| !node.life.is_dead()) {
            return;
        }
        let name = format!("w{index}.{generation}");
        self.trace.say(format!("{name} starts"));
        let seed = self.weather.seed;
        let life = Life::new(name.clone(), self.trace.clone());
        let node = Arc::new(Node { life: life.clone(), engine: Mutex::default(), running: Mutex::default() });
        {
            let mut nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
            if index < nodes.len() {
                nodes[index] = node.clone();
            } else {
                nodes.push(node.clone());
            }
        }
        let parts = || Parts {
            store: Arc::new(Line {
                inner: self.store.clone(),
                life: life.clone(),
                clock: self.clock.clone(),
                weather: self.weather.clone(),
                down: self.database_down.clone(),
                books: self.books.clone(),
                dice: Dice::new(seed, &format!("line {name}")),
            }),
            remote: Arc::new(self.wire(life.clone())),
            publisher: Some(Arc::new(Press { broker: self.broker.clone(), life: life.clone() })),
            clock: Arc::new(OwnClock {
                life: life.clone(),
                inner: self.clock.clone(),
                off: i64::try_from(Dice::new(seed, &format!("clock {name}")).below(400_000)).unwrap() - 200_000,
                lag: self.weather.lag,
                dice: Dice::new(seed, &format!("timers {name}")),
            }),
            settings: Settings { in_flight: 6, lease: self.weather.lease, drain: Duration::from_secs(8), ..Settings::default() },
        };
        let parts = [parts(), parts(), parts(), parts(), parts(), parts(), parts(), parts()];
        let (world, mine) = (self.clone(), node.clone());
        let running = tokio::spawn(async move {
            for parts in parts {
                match Engine::start_knowing(parts, PROCESSES.copy()).await {
                    Ok(engine) => {
                        *mine.engine.lock().unwrap_or_else(PoisonError::into_inner) = Some(engine.clone());
                        tokio::spawn(world.broker.clone().consume(mine.life.clone(), engine.clone()));
                        if let Err(error) = engine.run().await {
                            world.trace.say(format!("{} ends: {error}", mine.life.name));
                        }
                        break;
                    }
                    Err(error) => {
                        world.trace.say(format!("{} cannot start: {error}", mine.life.name));
                        world.clock.sleep(Duration::from_secs(4)).await;
                    }
                }
            }
            mine.life.kill();
            world.broker.disconnect(&mine.life.name);
        });
        *node.running.lock().unwrap_or_else(PoisonError::into_inner) = Some(running);
    }

    fn wire(&self, life: Arc<Life>) -> Wire {
        let (bank, clock) = (self.bank.clone(), self.clock.clone());
        Wire { bank, life, clock, books: self.books.clone(), trace: self.trace.clone() }
    }

    fn kill(&self, index: usize) {
        let Some(node) = self.node(index).filter(|node| !node.life.is_dead()) else { return };
        self.trace.say(format!("{} is killed", node.life.name));
        node.life.kill();
        self.broker.disconnect(&node.life.name);
    }

    fn stall(self: &Arc<Self>, index: usize, length: Duration) {
        let Some(node) = self.node(index).filter(|node| !node.life.is_dead()) else { return };
        self.trace.say(format!("{} is stopped for {length:?}", node.life.name));
        node.life.stall(length);
        // The broker gives up on a consumer that does not beat.
        self.after(Duration::from_secs(12), move |world| {
            if node.life.is_stalled() {
                world.broker.disconnect(&node.life.name);
            }
        });
    }

    /// SIGTERM; ends within its time, or is killed.
    async fn stop(&self, index: usize) {
        let Some(node) = self.node(index).filter(|node| !node.life.is_dead()) else { return };
        let Some(engine) = node.engine() else { return self.kill(index) };
        self.trace.say(format!("{} is asked to stop", node.life.name));
        engine.stop();
        let running = node.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        let ended = match running {
            Some(running) => within(self.clock.as_ref(), Duration::from_mins(1), running).await.is_some(),
            None => true,
        };
        if !ended {
            self.trace.say(format!("{} does not stop", node.life.name));
            if self.weather.is_fair() {
                self.trace.violation("a worker does not stop within its time");
            }
            self.kill(index);
        }
    }

    pub(crate) fn has_second_version(&self) -> bool {
        self.second_version.is_on()
    }

    /// Some process that is running.
    pub(crate) fn engine(&self, dice: &Dice) -> Option<Engine> {
        let nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let engines: Vec<Engine> = nodes.iter().filter(|node| !node.life.is_dead()).filter_map(|node| node.engine()).collect();
        if engines.is_empty() { None } else { Some(dice.pick(&engines).clone()) }
    }

    async fn is_at_rest(self: &Arc<Self>, customers: &[JoinHandle<()>]) -> bool {
        for index in 0..self.weather.workers {
            if self.node(index).is_some_and(|node| node.life.is_dead()) {
                self.start(index, 1_000 + self.dice.below(1_000_000));
            }
        }
        if !self.broker.is_empty() || customers.iter().any(|customer| !customer.is_finished()) {
            return false;
        }
        let balance = self.store.balance().await.unwrap();
        balance.open() == 0 && balance.unpublished == 0
    }

    async fn end(self: &Arc<Self>) -> u64 {
        let nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // A drive ends a moment after its last write.
        self.clock.sleep(Duration::from_secs(10)).await;
        for node in nodes.iter().filter(|node| !node.life.is_dead()) {
            let flying = node.engine().map_or(0, |engine| engine.status().in_flight);
            if flying > 0 {
                self.trace.violation(format!("G10: {} still holds {flying} permits", node.life.name));
            }
        }
        for index in 0..nodes.len() {
            self.stop(index).await;
        }
        self.books.close(&self.wire(Life::new("books".to_owned(), self.trace.clone()))).await
    }
}
