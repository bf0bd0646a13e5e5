//! The sandbox: a small bank, a face service, a text message service and two personnel registries over real HTTP.
//!
//! The demo, the tests and the benchmarks need dependencies that behave as badly as real ones, on command, and that
//! can testify afterwards: how often was this effect *really* applied? So the sandbox is not a mock inside the engine
//! (it knows nothing of the engine, and a test keeps it so) but a server of its own with three parts:
//!
//! - services with state: [`bank`] under `/bank`, `/face`, `/sms`, `/hr`, and `/legacy`, which ignores keys;
//! - scripted troubles ([`Fault`], [`Trouble`]): applied and silent, applied and reset, late, HTML, changed contract, …;
//! - the target ledger ([`Call`], [`Totals`]): every call, and per object how often each effect was applied.
//!
//! [`World`] generates customers and requests for them, each with the road that it should take.

mod answer;
pub mod bank;
mod bodies;
mod control;
mod face;
mod faults;
mod keys;
mod ledger;
mod names;
mod people;
mod plans;
mod random;
mod sample;
mod sms;
mod socket;
mod state;
#[cfg(test)]
mod tests;
mod trouble;
mod world;

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, middleware};
use tokio::{net::TcpListener, task::JoinHandle, time::Instant};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use faults::{ActiveFault, Fault, Trouble};
pub use ledger::{Call, Totals};
pub use people::{Document, Person, PersonStatus, Registry};
pub use sms::{Message, Reply, Said, SmsBook};
pub use world::{Planned, Road, World};

use bank::Records;
use faults::Faults;
use ledger::Ledger;
use socket::{Cut, CuttableListener};
use state::{Core, Shared};

/// What can go wrong with starting the sandbox.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address cannot be listened on.
    #[error("cannot listen on {addr}")]
    Listen {
        /// The address asked for.
        addr: SocketAddr,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The client for the customers' own calls cannot be built.
    #[error("cannot build the HTTP client")]
    Client(#[from] reqwest::Error),
}

/// Settings; the defaults suit tests and the demo.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Seed of the dice that faults with a probability throw.
    pub seed: u64,
    /// Calls kept in full by the ledger; older ones remain in the counters.
    pub calls_kept: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { seed: 1, calls_kept: 100_000 }
    }
}

/// Access to the state of a sandbox, from the same process. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Handle {
    shared: Arc<Shared>,
}

impl Handle {
    /// A sandbox without a server, for [`router`].
    pub fn new(settings: &Settings) -> Result<Self, Error> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(Duration::from_secs(10))
            .build()?;
        Ok(Self {
            shared: Arc::new(Shared {
                core: Mutex::new(Core::default()),
                ledger: Mutex::new(Ledger::new(settings.calls_kept)),
                faults: Mutex::new(Faults::new(settings.seed)),
                started: Instant::now(),
                http,
                tasks: TaskTracker::new(),
                stop: CancellationToken::new(),
            }),
        })
    }

    /// Puts a rule in force and gives its id.
    pub fn fault(&self, fault: Fault) -> u64 {
        self.shared.faults().add(fault)
    }

    /// Lifts a rule; false when there is none with this id.
    pub fn lift(&self, id: u64) -> bool {
        self.shared.faults().remove(id)
    }

    /// Lifts all rules.
    pub fn lift_all(&self) {
        self.shared.faults().clear();
    }

    /// The rules in force and what they have done.
    pub fn faults(&self) -> Vec<ActiveFault> {
        self.shared.faults().list()
    }

    /// How often an effect was applied to an object: `applied("unbind", "C1")`. The effects: `unbind`, `bind`, `phone`,
    /// `customer_name`, `freeze`, `unfreeze`, `stop_statements`, `resume_statements`, `pay_out`, `reverse_payout`,
    /// `close`, `reopen` (bank); `hr_name`; `legacy_name`; `sms`, `sms_cancel` (by phone number).
    pub fn applied(&self, effect: &str, object: &str) -> u32 {
        self.shared.ledger().applied(effect, object)
    }

    /// Every `(effect, object, times)` applied at least `min` times, sorted.
    pub fn effects(&self, min: u32) -> Vec<(String, String, u32)> {
        self.shared.ledger().effects(min)
    }

    /// The counters over all calls.
    pub fn totals(&self) -> Totals {
        self.shared.ledger().totals()
    }

    /// The calls still kept that the filter likes, oldest first.
    pub fn calls(&self, wanted: impl FnMut(&Call) -> bool) -> Vec<Call> {
        self.shared.ledger().calls(wanted)
    }

    /// Reads or changes the bank's books.
    pub fn with_bank<T>(&self, work: impl FnOnce(&mut Records) -> T) -> T {
        work(&mut self.shared.core().bank)
    }

    /// Reads or changes the personnel system (`/hr`).
    pub fn with_hr<T>(&self, work: impl FnOnce(&mut Registry) -> T) -> T {
        work(&mut self.shared.core().hr)
    }

    /// Reads or changes the old directory (`/legacy`).
    pub fn with_legacy<T>(&self, work: impl FnOnce(&mut Registry) -> T) -> T {
        work(&mut self.shared.core().legacy)
    }

    /// Scripts the customers behind phone numbers, and reads what they were sent.
    pub fn with_sms<T>(&self, work: impl FnOnce(&mut SmsBook) -> T) -> T {
        work(&mut self.shared.core().sms)
    }

    /// Adds a generated world to what is there: its people, their habits, its faults and its proposed requests.
    pub fn load(&self, world: &World) {
        let mut core = self.shared.core();
        world.customers.iter().for_each(|customer| core.bank.put_customer(customer.clone()));
        world.cards.iter().for_each(|card| core.bank.put_card(card.clone()));
        world.accounts.iter().for_each(|account| core.bank.put_account(account.clone()));
        world.loans.iter().for_each(|loan| core.bank.put_loan(loan.clone()));
        world.hr.iter().for_each(|person| core.hr.put(person.clone()));
        world.legacy.iter().for_each(|person| core.legacy.put(person.clone()));
        world.habits.iter().for_each(|(phone, replies)| core.sms.script(phone.clone(), replies.clone()));
        core.planned.extend(world.requests.iter().cloned());
        drop(core);
        let mut faults = self.shared.faults();
        for fault in &world.faults {
            faults.add(fault.clone());
        }
    }
}

/// The services of a sandbox, for a server of the caller's own. Connections of such a server cannot be cut: troubles
/// that reset them hang instead.
pub fn router(handle: &Handle) -> Router {
    let shared = Arc::clone(&handle.shared);
    Router::new()
        .nest("/bank", bank::routes())
        .nest("/face", face::routes())
        .nest("/sms", sms::routes())
        .nest("/hr", people::hr_routes())
        .nest("/legacy", people::legacy_routes())
        .layer(middleware::from_fn_with_state(Arc::clone(&shared), trouble::pass))
        .nest("/sandbox", control::routes())
        .with_state(shared)
}

/// A running sandbox. Dropping it stops it at once; [`Sandbox::stop`] stops it in order.
#[derive(Debug)]
pub struct Sandbox {
    addr: SocketAddr,
    handle: Handle,
    server: Option<JoinHandle<std::io::Result<()>>>,
}

impl Sandbox {
    /// Starts a sandbox with the default settings; port 0 takes a free one.
    pub async fn start(addr: SocketAddr) -> Result<Self, Error> {
        Self::start_with(addr, &Settings::default()).await
    }

    /// Starts a sandbox.
    pub async fn start_with(addr: SocketAddr, settings: &Settings) -> Result<Self, Error> {
        let handle = Handle::new(settings)?;
        let listener = TcpListener::bind(addr).await.map_err(|source| Error::Listen { addr, source })?;
        let addr = listener.local_addr().map_err(|source| Error::Listen { addr, source })?;
        let service = router(&handle).into_make_service_with_connect_info::<Cut>();
        let stop = handle.shared.stop.clone();
        let server = tokio::spawn(async move {
            axum::serve(CuttableListener(listener), service).with_graceful_shutdown(stop.cancelled_owned()).await
        });
        Ok(Self { addr, handle, server: Some(server) })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The base address of all services, without a slash at the end: `http://127.0.0.1:9900`.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Access to its state.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// A token that, cancelled, stops the sandbox: for those who stop many things together.
    pub fn stop_token(&self) -> CancellationToken {
        self.handle.shared.stop.clone()
    }

    /// Runs until the stop token is cancelled, then ends in order.
    pub async fn run(mut self) {
        self.finish().await;
    }

    /// Stops: no new connections, every wait ends, what is being answered is answered.
    pub async fn stop(mut self) {
        self.handle.shared.stop.cancel();
        self.finish().await;
    }

    async fn finish(&mut self) {
        if let Some(server) = self.server.take() {
            match server.await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(%error, "sandbox server"),
                Err(error) => tracing::warn!(%error, "sandbox server"),
            }
        }
        self.handle.shared.tasks.close();
        self.handle.shared.tasks.wait().await;
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.handle.shared.stop.cancel();
        if let Some(server) = &self.server {
            server.abort();
        }
    }
}
