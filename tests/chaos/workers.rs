//! Workers that die, freeze past their lease, or are asked to stop, at moments that the seed chooses.

use std::collections::BTreeSet;
use std::time::Duration;

use mozhao::sandbox::{Fault, Trouble};

use super::books::Books;
use super::scenario::{Case, Scenario};
use super::world::{LEASE, On, PATIENCE};
use crate::harness::ports::free_port;
use crate::harness::{record, skew, wait};

#[tokio::test(flavor = "multi_thread")]
async fn workers_are_killed_at_random() {
    let scenario = Scenario::new("workers_are_killed_at_random").workers(3).load(360, 60).bank(20);
    scenario
        .run(async |case| {
            for _ in 0..8 {
                let some = case.dice.between(5..40);
                case.more(some).await;
                let victim = case.dice.below(3);
                case.kill(victim);
            }
        })
        .await;
}

/// SIGSTOP for longer than the lease, then SIGCONT: who wakes up has been declared dead, writes nothing, and calls nobody a
/// second time who could not tell.
#[tokio::test(flavor = "multi_thread")]
async fn workers_sleep_through_their_lease() {
    // With two seeds: 2 x 13 x 4 = 104 zombies.
    let (rounds, at_once) = if record::chaos() { (13, 4) } else { (2, 3) };
    let scenario = Scenario::new("workers_sleep_through_their_lease").workers(6).load(240 * rounds / 2, 30).bank(30);
    scenario
        .run_and(
            async |case| {
                // Some calls are long, so that the sleep falls between a call and what is written of it.
                let slow = Trouble::ApplyThenHang { answer_after_ms: Some(1_500) };
                case.trouble(Fault::new("/bank/cards/*/unbind", slow).probability(0.5));
                for round in 0..rounds {
                    let some = case.dice.between(3..20);
                    case.more(some).await;
                    let mut order: Vec<usize> = (0..6).collect();
                    case.dice.shuffle(&mut order);
                    if round == 0 {
                        // Chance has the others; one at least sleeps where it matters most.
                        let caller = in_a_keyless_call(case).await;
                        order.sort_by_key(|worker| *worker != caller);
                    }
                    let victims = &order[..at_once];
                    let lives: Vec<usize> =
                        victims.iter().map(|victim| case.count_in_log(*victim, "worker registered")).collect();
                    for victim in victims {
                        case.workers[*victim].process.freeze();
                    }
                    // All but the living are declared dead.
                    wait::until("the sleepers to be declared dead", PATIENCE, || async {
                        case.world.store.workers().await.is_ok_and(|rows| rows.len() == 6 - at_once)
                    })
                    .await;
                    for victim in victims {
                        case.workers[*victim].process.thaw();
                    }
                    for (victim, lives) in victims.iter().zip(lives) {
                        case.logged(*victim, "worker registered", lives + 1, PATIENCE).await;
                    }
                }
            },
            async |_, books| {
                // The books have compared calls with intents; here: nobody but a person had a keyless effect called again.
                let cut = books.ledgers.iter().filter(|ledger| ledger.row.process == "card_cut");
                let asked = cut.filter(|ledger| ledger.count("decided") > 0).count();
                println!("{} zombies; {asked} effects without keys were asked about", rounds * at_once);
                assert!(asked > 0, "no worker slept between a call that nobody can recognise and what is written of it");
            },
        )
        .await;
}

/// A worker that waits, for a second at least, for the answer to a call that nobody can recognise.
async fn in_a_keyless_call(case: &Case) -> usize {
    wait::until_some("a worker in the middle of a call without a key", PATIENCE, || async {
        let young = |at_us: u64| case.world.since(at_us) < Duration::from_millis(500);
        let calls = case.world.bank.calls(|call| call.fault == Some("apply_then_hang") && young(call.at_us));
        let young: BTreeSet<String> = calls.into_iter().map(|call| call.path).collect();
        let path = |message: &str| format!("/bank/cards/{}/unbind", message.replace("m-", "K"));
        let rows = case.world.requests().await;
        let caught = rows.into_iter().find(|row| row.process == "card_cut" && young.contains(&path(&row.message)))?;
        let living = case.world.store.workers().await.ok()?;
        let name = living.into_iter().find(|worker| Some(worker.id) == caught.owner)?.name;
        case.workers.iter().position(|worker| name.ends_with(&format!(":{}", worker.process.pid())))
    })
    .await
}

/// SQLite: nobody else can declare the one worker dead, and it goes on where it was.
#[tokio::test(flavor = "multi_thread")]
async fn embedded_worker_sleeps_through_its_lease() {
    let scenario = Scenario::new("embedded_worker_sleeps_through_its_lease").on(On::Embedded).load(160, 40).bank(30);
    scenario
        .run(async |case| {
            let slow = Trouble::ApplyThenHang { answer_after_ms: Some(1_500) };
            case.trouble(Fault::new("/bank/cards/*/unbind", slow).probability(0.3));
            for _ in 0..2 {
                let some = case.dice.between(5..25);
                case.more(some).await;
                case.workers[0].process.freeze();
                let past = case.dice.between(200..1_500);
                wait::let_pass(LEASE + Duration::from_millis(past)).await;
                case.workers[0].process.thaw();
            }
            case.logged(0, "this worker did not run for longer than its lease", 1, PATIENCE).await;
        })
        .await;
}

/// SIGTERM under load with a target that hangs, on SQLite; and a second one before it has finished.
#[tokio::test(flavor = "multi_thread")]
async fn embedded_worker_is_stopped_while_a_target_hangs() {
    let scenario = Scenario::new("embedded_worker_is_stopped_while_a_target_hangs").on(On::Embedded).load(120, 50);
    scenario
        .run(async |case| {
            let hang = case.trouble(Fault::new("/bank/cards/*/unbind", Trouble::ApplyThenHang { answer_after_ms: None }));
            let bank = case.world.bank.clone();
            let hanging = |count: usize| bank.calls(|call| call.path.ends_with("/unbind")).len() >= count;
            wait::until_true("effects to hang", PATIENCE, || hanging(5)).await;
            let status = case.workers[0].process.stop(Duration::from_secs(25)).await;
            assert_eq!(status.code(), Some(0), "{}", case.workers[0].process.logs());
            case.kill(0);
            let already = bank.calls(|call| call.path.ends_with("/unbind")).len();
            wait::until_true("effects to hang again", PATIENCE, || hanging(already + 5)).await;
            case.workers[0].process.terminate();
            case.workers[0].process.wait_for_line("running attempts finish first", Duration::from_secs(10)).await;
            let status = case.workers[0].process.stop(Duration::from_secs(5)).await;
            println!("a second SIGTERM: exit {:?}", status.code());
            case.world.bank.lift(hang);
            case.kill(0);
        })
        .await;
}

/// SQLite and a broker: what was taken and not acknowledged comes again, and is recognised.
#[tokio::test(flavor = "multi_thread")]
async fn embedded_worker_with_a_broker_is_killed() {
    let scenario = Scenario::new("embedded_worker_with_a_broker_is_killed").on(On::EmbeddedWithBroker);
    scenario
        .run(async |case| {
            for _ in 0..3 {
                let some = case.dice.between(5..40);
                case.more(some).await;
                case.kill(0);
            }
        })
        .await;
}

/// SIGTERM under load with a target that hangs; another worker goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_is_stopped_while_a_target_hangs() {
    let scenario = Scenario::new("a_worker_is_stopped_while_a_target_hangs").load(150, 50);
    scenario
        .run(async |case| {
            let hang = case.trouble(Fault::new("/bank/cards/*/unbind", Trouble::ApplyThenHang { answer_after_ms: None }));
            let bank = case.world.bank.clone();
            wait::until_true("effects to hang", PATIENCE, || bank.calls(|call| call.path.ends_with("/unbind")).len() > 5).await;
            let begun = std::time::Instant::now();
            let status = case.workers[0].process.stop(Duration::from_secs(25)).await;
            println!("SIGTERM with a hung target: exit {:?} after {:?}", status.code(), begun.elapsed());
            assert_eq!(status.code(), Some(0), "{}", case.workers[0].process.logs());
            case.world.bank.lift(hang);
            case.kill(0);
        })
        .await;
}

/// Wall clocks that are five minutes wrong, in three workers in any order: due times, deadlines and turns are those of the database,
/// also where whoever was killed in the middle of its effects had another time than its successor.
#[tokio::test(flavor = "multi_thread")]
async fn clocks_are_wrong() {
    let scenario = Scenario::new("clocks_are_wrong").workers(1).load(240, 40).bank(30);
    scenario
        .run_and(
            async |case| {
                let mut wrong = [300, -300, 300];
                wrong[2] *= if case.dice.below(2) == 0 { 1 } else { -1 };
                for seconds in wrong {
                    record::fault();
                    let variables = skew::variables(&case.world.file("."), seconds);
                    let variables: Vec<(&str, &str)> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
                    let worker = case.world.worker_on(free_port(), &variables).await;
                    case.workers.push(worker);
                }
                let said = "this machine's clock and the database's differ";
                for worker in 1..case.workers.len() {
                    case.logged(worker, said, 1, PATIENCE).await;
                }
                // Who is right is one of four, and ends: the others carry most.
                case.kill(0);
                let slow = Trouble::ApplyThenHang { answer_after_ms: Some(1_000) };
                case.trouble(Fault::new("/bank/cards/*/unbind", slow).probability(0.3));
                for _ in 0..2 {
                    let some = case.dice.between(10..30);
                    case.more(some).await;
                    // Its successor is right; whoever takes over what it left may be wrong.
                    let victim = 1 + case.dice.below(3);
                    case.kill(victim);
                }
            },
            async |case, books| written_by_the_database_s_clock(case, books).await,
        )
        .await;
}

/// What stands in the ledgers was written within seconds of the times that it names.
async fn written_by_the_database_s_clock(case: &mut Case, books: &Books) {
    let now = case.world.store.now().await.unwrap();
    for ledger in &books.ledgers {
        for (at, fact) in &ledger.facts {
            assert!(*at <= now.plus(Duration::from_secs(5)), "{fact:?} of {} is of {at}; it is {now}", ledger.row.id);
            assert!(at.plus(Duration::from_mins(4)) >= now, "{fact:?} of {} is of {at}; it is {now}", ledger.row.id);
        }
    }
}

/// A bug in our own code: drives of some requests panic, in every worker. They alone are parked as poison; the workers live on.
#[tokio::test(flavor = "multi_thread")]
async fn drives_panic() {
    if !mozhao::faults::BUILT_IN {
        record::not_run("drives_panic", "the program is built without the feature `faults`");
        return;
    }
    let scenario = Scenario::new("drives_panic").load(200, 100).with("MOZHAO_PANIC", "7");
    scenario
        .run_and(
            async |case| {
                record::fault();
                // Twenty of two hundred end with a 7; whoever waits for one of them (two cards of one customer) waits.
                let all = |balance: &mozhao::engine::ports::balance::Balance| {
                    balance.parked == 20 && balance.done + balance.in_review >= 150
                };
                case.world.until("the others to go on", PATIENCE, all).await;
                for row in case.world.requests().await {
                    let poisoned = row.state == "parked" && row.reason.as_deref() == Some("poison");
                    assert_eq!(row.message.ends_with('7'), poisoned, "{row:?}");
                }
                let said: usize = (0..2).map(|worker| case.count_in_log(worker, "the request's drive panicked")).sum();
                assert!(said >= 20, "{said}");
                let doctor = case.world.command(&["doctor"], 1, &[]).output().await;
                let told = String::from_utf8_lossy(&doctor.stdout).into_owned();
                assert!(told.contains("defects"), "{told}");
                for worker in &case.workers {
                    assert_eq!(worker.process.logs().matches("worker registered").count(), 1, "it lives");
                }
                // The fix is deployed; then the operator resumes them.
                case.without("MOZHAO_PANIC");
                case.kill(0);
                case.kill(1);
            },
            async |_, books| {
                let back = books.ledgers.iter().filter(|ledger| ledger.count("resumed") > 0).count();
                assert_eq!(back, 20, "each came back from its defect");
            },
        )
        .await;
}
