//! Connections that break in every way, between the workers and their database, their broker and their targets.

use std::time::{Duration, Instant};

use super::scenario::{Case, Scenario, unbind};
use super::world::{On, PATIENCE, Place};
use crate::harness::proxy::{ANSWERED, COMMITTED, CONFIRMED, Flow, Way};
use crate::harness::wait;

/// A dead peer that says nothing is noticed within this.
const NOTICED: Duration = Duration::from_secs(10);

/// What happens to the connections.
#[derive(Debug, Clone, Copy)]
enum Break {
    Refuses,
    Resets,
    HalfCloses,
    BlackHole,
    Delay,
    SlowBytes,
    CutReplies,
}

macro_rules! scenarios {
    ($($name:ident: $on:ident $place:ident $fault:ident;)*) => { $(
        #[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            let scenario = Scenario::new(stringify!($name)).on(On::$on).through(Place::$place);
            scenario.run(async |case| apply(case, Place::$place, Break::$fault).await).await;
        }
    )* };
}

scenarios! {
    database_refuses_connections: Shared Database Refuses;
    database_connections_are_reset: Shared Database Resets;
    database_connections_close_on_one_side: Shared Database HalfCloses;
    database_is_a_black_hole: Shared Database BlackHole;
    database_is_far_away: Shared Database Delay;
    database_line_is_slow: Shared Database SlowBytes;
    replies_to_commit_are_cut: Shared Database CutReplies;
    broker_refuses_connections: Shared Broker Refuses;
    broker_connections_are_reset: Shared Broker Resets;
    broker_connections_close_on_one_side: Shared Broker HalfCloses;
    broker_is_a_black_hole: Shared Broker BlackHole;
    broker_is_far_away: Shared Broker Delay;
    broker_line_is_slow: Shared Broker SlowBytes;
    confirms_are_cut: Shared Broker CutReplies;
    targets_refuse_connections: Shared Targets Refuses;
    target_connections_are_reset: Shared Targets Resets;
    target_connections_close_on_one_side: Shared Targets HalfCloses;
    targets_are_a_black_hole: Shared Targets BlackHole;
    targets_are_far_away: Shared Targets Delay;
    target_line_is_slow: Shared Targets SlowBytes;
    target_answers_are_cut: Shared Targets CutReplies;
    embedded_targets_refuse_connections: Embedded Targets Refuses;
    embedded_target_connections_are_reset: Embedded Targets Resets;
    embedded_target_connections_close_on_one_side: Embedded Targets HalfCloses;
    embedded_targets_are_a_black_hole: Embedded Targets BlackHole;
    embedded_target_line_is_slow: Embedded Targets SlowBytes;
    embedded_target_answers_are_cut: Embedded Targets CutReplies;
    embedded_broker_connections_are_reset: EmbeddedWithBroker Broker Resets;
    embedded_broker_is_a_black_hole: EmbeddedWithBroker Broker BlackHole;
    embedded_confirms_are_cut: EmbeddedWithBroker Broker CutReplies;
}

async fn apply(case: &mut Case, place: Place, fault: Break) {
    case.carried(10).await;
    let way = [Way::Up, Way::Down, Way::Both][case.dice.below(3)];
    match fault {
        Break::Resets | Break::HalfCloses => {
            for _ in 0..6 {
                let some = case.dice.between(5..25);
                case.more(some).await;
                let proxy = case.world.proxy(place);
                if matches!(fault, Break::Resets) { proxy.reset() } else { proxy.half_close() }
            }
        }
        Break::Refuses => {
            case.world.proxy(place).refuse();
            noticed(case, place).await;
        }
        Break::BlackHole => {
            case.world.proxy(place).flow(way, Flow::Hold);
            black_hole(case, place, way).await;
        }
        Break::Delay => {
            let ms = case.dice.between(20..80);
            case.world.proxy(place).flow(way, Flow::Delay(Duration::from_millis(ms)));
            case.more(60).await;
        }
        Break::SlowBytes => {
            // Slow beyond comfort, fast enough for what there is to say.
            let rate = if place == Place::Database { 120_000 } else { 40_000 };
            case.world.proxy(place).flow(way, Flow::Rate(rate));
            case.more(30).await;
        }
        Break::CutReplies => {
            let needle = match place {
                Place::Database => COMMITTED,
                Place::Broker => CONFIRMED,
                Place::Targets | Place::Effects => ANSWERED,
            };
            let every = case.dice.between(3..9);
            case.world.proxy(place).cut(needle, every, 12);
            case.more(80).await;
            // One reply may stand for many requests.
            for round in 0.. {
                let cut = case.world.proxy(place).cut_so_far();
                if cut >= 3 {
                    break;
                }
                assert!(round < 30, "only {cut} replies were cut");
                let more: Vec<_> = (0..10).map(|number| unbind(&case.world, 1_000 + 10 * round + number)).collect();
                case.send(more).await;
                // What has not been answered yet cannot have been cut.
                case.more(5).await;
            }
        }
    }
}

/// Stays until the silence is noticed, and says how long that took.
async fn black_hole(case: &mut Case, place: Place, way: Way) {
    let begun = Instant::now();
    noticed(case, place).await;
    let took = begun.elapsed();
    println!("{place:?}: silence ({way:?}) noticed after {took:?}");
    // Each call to a target has its own deadline: what counts is that requests wait for something named, not when.
    assert!(matches!(place, Place::Targets | Place::Effects) || took <= NOTICED, "noticed after {took:?}");
}

/// Waits until every worker says that a server is not there, or requests wait for a target.
async fn noticed(case: &Case, place: Place) {
    let words = match place {
        Place::Database => "the heartbeat could not be renewed",
        Place::Broker => "the broker's connection is lost",
        Place::Targets | Place::Effects => {
            let stuck = |balance: &mozhao::engine::ports::balance::Balance| balance.parked + balance.in_review > 0;
            case.world.until("requests to be parked", PATIENCE, stuck).await;
            return;
        }
    };
    let noticed = || (0..case.workers.len()).all(|worker| case.count_in_log(worker, words) > 0);
    wait::until_true("every worker to notice", PATIENCE, noticed).await;
}

/// One worker is cut off from the database; the other takes over, and what the first had under way arrives late.
#[tokio::test(flavor = "multi_thread")]
async fn one_worker_is_cut_off_from_the_database() {
    let scenario = Scenario::new("one_worker_is_cut_off_from_the_database").through(Place::Database).workers(1);
    scenario
        .run(async |case| {
            let direct = case.world.database.clone();
            let second = case.world.worker_on(crate::harness::ports::free_port(), &[("MOZHAO__DATABASE__URL", &direct)]).await;
            case.workers.push(second);
            case.carried(20).await;
            let way = [Way::Up, Way::Down, Way::Both][case.dice.below(3)];
            case.world.proxy(Place::Database).flow(way, Flow::Hold);
            case.logged(1, "took over from workers that are gone", 1, PATIENCE).await;
            case.world.heal();
            // Whichever of its writes is refused first tells it that it was declared dead.
            case.logged(0, "worker registered", 2, PATIENCE).await;
        })
        .await;
}
