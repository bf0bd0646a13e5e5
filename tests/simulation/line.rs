//! A process's line to the database: calls get lost before they arrive, replies get lost on the way back, everything may be
//! slow. What a dying process has sent still arrives. The books see every commit that the database has made.

use std::sync::Arc;
use std::time::Duration;

use mozhao::domain::request::chain::Entry;
use mozhao::domain::request::signal::Signal;
use mozhao::domain::time::Time;
use mozhao::engine::ports::balance::{Balance, Went};
use mozhao::engine::ports::clock::Clock;
use mozhao::engine::ports::records::{
    ControlRow, DecisionFilter, DefectRow, Event, Heartbeat, ProcessRow, RejectedRow, RequestFilter, RequestRow, Retention,
    ReviewFilter, ReviewRow, TokenRow, Version, WorkerRow,
};
use mozhao::engine::ports::store::{
    Claimed, Loaded, RequestId, ReviewAct, ReviewPut, Sent, Store, StoreError, WorkerId, Write, Written,
};
use mozhao::proof::clock::VirtualClock;
use uuid::Uuid;

use crate::books::Books;
use crate::dice::Dice;
use crate::life::Life;
use crate::weather::Weather;
use crate::world::Switch;
use crate::wrapped_store;
use crate::wrapped_store::Kind;

pub(crate) struct Line {
    pub(crate) inner: Arc<dyn Store>,
    pub(crate) life: Arc<Life>,
    pub(crate) clock: Arc<VirtualClock>,
    pub(crate) weather: Arc<Weather>,
    /// The database is down.
    pub(crate) down: Arc<Switch>,
    pub(crate) books: Arc<Books>,
    pub(crate) dice: Dice,
}

impl Line {
    async fn through<T>(
        &self,
        kind: Kind,
        _name: &str,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        self.life.gate().await;
        let (dice, weather) = (&self.dice, &self.weather);
        if self.down.is_on() || weather.strikes(dice, weather.store_transient) {
            self.clock.sleep(dice.millis(0, 50)).await;
            self.life.gate().await;
            return Err(StoreError::Transient("simulated: refused".to_owned()));
        }
        let lost = weather.strikes(dice, weather.store_unknown);
        let slow = weather.strikes(dice, weather.store_slow);
        let pause = if slow { dice.millis(1, 1_500) } else { Duration::from_micros(dice.between(50, 4_000)) };
        let before = dice.chance(500);
        if before {
            self.clock.sleep(pause).await;
        }
        let result = if lost && dice.chance(400) { Err(unsure(kind)) } else { call.await };
        if !before {
            self.clock.sleep(pause).await;
        }
        self.life.gate().await;
        if lost && result.is_ok() { Err(unsure(kind)) } else { result }
    }
}

fn unsure(kind: Kind) -> StoreError {
    let why = "simulated: the line broke".to_owned();
    if kind == Kind::Read { StoreError::Transient(why) } else { StoreError::Unknown(why) }
}

impl Line {
    async fn through_commit(&self, worker: WorkerId, batch: &[Write]) -> Result<Vec<Written>, StoreError> {
        if !self.down.is_on() && self.weather.strikes(&self.dice, self.weather.store_unknown / 4) {
            return self.commit_later(worker, batch).await;
        }
        let call = async {
            let result = self.inner.commit(worker, batch).await;
            self.books.committed(&self.life.name, worker, batch, &result);
            result
        };
        self.through(Kind::Change, "commit", call).await
    }

    /// The line breaks, and the database makes the commit a little later: after its author has perhaps looked for it.
    async fn commit_later(&self, worker: WorkerId, batch: &[Write]) -> Result<Vec<Written>, StoreError> {
        self.life.gate().await;
        let (inner, books, clock) = (self.inner.clone(), self.books.clone(), self.clock.clone());
        let (name, batch, pause) = (self.life.name.clone(), batch.to_vec(), self.dice.millis(0, 3_000));
        tokio::spawn(async move {
            clock.sleep(pause).await;
            let result = inner.commit(worker, &batch).await;
            books.committed(&name, worker, &batch, &result);
        });
        self.clock.sleep(self.dice.millis(1, 20)).await;
        self.life.gate().await;
        Err(unsure(Kind::Change))
    }

    async fn through_rescue(&self, by: WorkerId, lease: Duration) -> Result<Vec<WorkerId>, StoreError> {
        let call = async {
            let result = self.inner.rescue(by, lease).await;
            if let Ok(dead) = &result {
                self.books.rescued(&self.life.name, dead);
            }
            result
        };
        self.through(Kind::Change, "rescue", call).await
    }

    async fn through_published(&self, worker: WorkerId, ids: &[Uuid]) -> Result<(), StoreError> {
        let call = async {
            let result = self.inner.published(worker, ids).await;
            self.books.marked(ids);
            result
        };
        self.through(Kind::Change, "published", call).await
    }
}

wrapped_store!(Line);
