//! A mountain of work that waits: in the broker, and parked in the database. It costs the worker no memory, and what was
//! parked comes back paced.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use mozhao::domain::request::chain::{Entry, GENESIS};
use mozhao::domain::request::fact::{Accepted, Cause, Fact, FailureClass};
use mozhao::domain::time::Time;
use mozhao::engine::ports::balance::Balance;
use mozhao::sandbox::{Fault, Trouble};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

use super::bank;
use super::books::{self, Expect};
use super::broker::{self, Message};
use super::world::{PATIENCE, Worker, World};
use crate::harness::ports::free_port;
use crate::harness::wait;

/// How many wait in the broker, and how many are parked: 20,000, or what `MOZHAO_BACKLOG` says.
fn mountain() -> usize {
    std::env::var("MOZHAO_BACKLOG").map_or(20_000, |text| text.parse().unwrap())
}

/// What either may cost.
const GROWTH: u64 = 20 << 20;
/// Parked requests that come back per second (`groups::DEFAULT_RATE`).
const RATE: u64 = 50;
/// How many of them are counted.
const COUNTED: u64 = 300;

async fn small(world: &mut World) -> Worker {
    world.worker_on(free_port(), &[("MOZHAO__WORKER__IN_FLIGHT", "64")]).await
}

/// Some work, so that what every worker needs is there before it is measured; the memory that it has then.
async fn warm(world: &mut World, worker: &Worker, app: &str) -> (u64, Vec<Message>) {
    let messages: Vec<Message> = (0..200)
        .map(|number| {
            let (customer, card) = (format!("{app}-{number}"), format!("{app}-K{number}"));
            bank::put_card(&world.bank, &customer, &card);
            Message::plain(app, &format!("m-{number}"), "card_unbind", &bank::unbind(&customer, &card))
        })
        .collect();
    world.publish(&messages).await;
    let done = messages.len() as u64;
    world.until("the worker to be warm", PATIENCE, |balance| balance.done >= done && balance.unpublished == 0).await;
    (worker.process.resident_bytes(), messages)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_in_the_broker_costs_no_memory() {
    let mut world = World::shared().await;
    let mut worker = small(&mut world).await;
    let (before, sent) = warm(&mut world, &worker, "warm").await;
    // The target hangs: whatever is in flight stays there while the backlog grows.
    let hang = world.bank.fault(Fault::new("/bank/**", Trouble::Delay { ms: 1_500 }));
    let message = |number: usize| {
        let payload = bank::unbind(&format!("U{number}"), &format!("K{number}"));
        Message::plain("app", &format!("m-{number}"), "card_unbind", &payload)
    };
    let messages: Vec<Message> = (0..mountain()).map(message).collect();
    world.publish(&messages).await;
    let (amqp, queue) = (world.amqp.clone().unwrap(), format!("{}.requests", world.prefix));
    let ready = broker::depth(&amqp, &queue).await.unwrap() as usize;
    let highest = worker.process.highest_bytes();
    let accepted = usize::try_from(world.balance().await.unwrap().accepted).unwrap() - sent.len();
    println!("{ready} messages wait, {accepted} were taken; the worker has {} MiB, {} MiB before", highest >> 20, before >> 20);
    assert!(ready >= mountain() / 2, "the backlog is in the broker");
    assert!(highest < before + GROWTH, "it grew by {} bytes", highest - before);
    // Then the target recovers, and the cards are unknown to it: all are refused. A part of them is enough.
    world.bank.lift(hang);
    let enough = (accepted + 1_000) as u64;
    world.until("a thousand more", Duration::from_mins(2), |balance| balance.refused >= enough).await;
    let after = worker.process.highest_bytes();
    println!("after a thousand more of them: {} MiB", after >> 20);
    assert!(after < before + GROWTH, "it grew by {} bytes", after - before);

    let status = worker.process.stop(Duration::from_secs(25)).await;
    assert_eq!(status.code(), Some(0), "{}", worker.process.logs());
    // What was taken stands in the books; the rest is in the broker. A message whose receipt was on its way when the worker
    // stopped may be in both places: it comes again and is known.
    let balance = world.balance().await.unwrap();
    assert!(balance.holds(), "{balance:?}");
    let accepted: HashSet<_> = world.requests().await.into_iter().map(|row| (row.producer, row.message)).collect();
    let (taken, rest): (Vec<_>, Vec<_>) = sent.into_iter().chain(messages).partition(|message| accepted.contains(&message.key()));
    assert_eq!(taken.len() as u64, balance.accepted);
    broker::drain(&amqp, &queue, rest.iter().map(Message::key).collect()).await;
    let next = world.worker().await;
    let logs = vec![worker.process.logs()];
    let expect = Expect { sent: &taken, ended: taken.len(), workers: &[&next], logs, ..Expect::default() };
    books::check(&mut world, expect).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parked_requests_cost_no_memory_and_come_back_paced() {
    let mut world = World::shared().await;
    let worker = small(&mut world).await;
    let (before, warm) = warm(&mut world, &worker, "warm").await;
    let digest = world.store.processes(99).await.unwrap().into_iter().find(|row| row.name == "card_unbind").unwrap().digest;
    for number in 0..mountain() {
        bank::put_card(&world.bank, &format!("U{number}"), &format!("K{number}"));
    }
    park(&world.database, &digest, world.store.now().await.unwrap()).await;
    // A while in which claims, groups and sweeps have all seen the mountain: until the first canary was sent.
    control(&world.database).await;
    wait::until("the group to be resumed", PATIENCE, || async {
        world.store.controls().await.is_ok_and(|rows| rows.iter().any(|row| row.state == "resuming"))
    })
    .await;
    let resumed = |balance: &Balance| balance.done >= warm.len() as u64 + COUNTED;
    wait::until("some to be back", PATIENCE, || async { world.balance().await.is_some_and(|balance| resumed(&balance)) }).await;
    let highest = worker.process.highest_bytes();
    println!("{} were parked; the worker had at most {} MiB, {} MiB before", mountain(), highest >> 20, before >> 20);
    assert!(highest < before + GROWTH, "it grew by {} bytes", highest - before);

    // By the database's own times: never more than the rate allows since the first batch. A worker that had no processor for
    // a moment makes up for it, so single seconds say more about the machine than about the pace.
    let sent = resumed_at(&world.database).await;
    let (first, mut seconds) = (sent[1], BTreeMap::new());
    for (place, at) in sent.iter().enumerate().skip(1) {
        let since = Time(*at).since(Time(first));
        *seconds.entry(since.as_secs()).or_insert(0_u64) += 1;
        // One tick's worth may come at the beginning.
        let allowed = RATE * (u64::try_from(since.as_millis()).unwrap() + 1_000) / 1_000;
        assert!(place as u64 <= allowed, "{place} within {since:?}");
    }
    println!("came back per second: {seconds:?}");

    // An operator stops that with most of them still parked: they are in the books as such.
    let ada = world.client(&worker, "ada").await;
    let (status, answer) = ada.post("/v1/dependencies/core_banking/trip", &json!({"reason": "enough was seen"})).await;
    assert_eq!(status, 200, "{answer}");
    let rested = |balance: &Balance| balance.parked > mountain() as u64 / 2 && balance.running == 0 && balance.queued == 0;
    let balance = world.until("no more of them to come back", PATIENCE, rested).await;
    let parked = (0..mountain()).map(|number| {
        let payload = bank::unbind(&format!("U{number}"), &format!("K{number}"));
        Message::plain("parked", &format!("m-{number}"), "card_unbind", &payload)
    });
    let sent: Vec<Message> = warm.into_iter().chain(parked).collect();
    let ended = usize::try_from(balance.ended()).unwrap();
    let deadline = Some(Duration::from_mins(3));
    let expect = Expect { sent: &sent, ended, workers: &[&worker], deadline, ..Expect::default() };
    books::check(&mut world, expect).await;
}

/// When the group's requests were resumed, in order; the canary first.
async fn resumed_at(database: &str) -> Vec<i64> {
    let mut connection = PgConnection::connect(database).await.unwrap();
    sqlx::query_scalar("SELECT at FROM signals ORDER BY at, id").fetch_all(&mut connection).await.unwrap()
}

/// The dependency's group, due for its first probe.
async fn control(database: &str) {
    let mut connection = PgConnection::connect(database).await.unwrap();
    let sql = "INSERT INTO controls (group_name, state, reason, changed_by, probe_at, rate, changed_at, version)
        VALUES ('dependency:core_banking', 'open', 'requests are parked', 'probe', mozhao_now(), 50, mozhao_now(), 1)
        ON CONFLICT (group_name) DO UPDATE SET state = 'open', probe_at = mozhao_now(), version = controls.version + 1";
    sqlx::query(sql).execute(&mut connection).await.unwrap();
}

/// Requests that have waited for the bank for a minute, with true ledgers and their first events, which are still to be published.
async fn park(database: &str, digest: &str, now: Time) {
    let then = now.minus(Duration::from_mins(1));
    let (mut ids, mut customers, mut bodies, mut heads, mut messages) = (vec![], vec![], vec![], vec![], vec![]);
    let (mut ledgers, mut events, mut told) = (vec![], vec![], vec![]);
    for number in 0..mountain() {
        let (id, customer) = (Uuid::now_v7(), format!("U{number}"));
        let payload = canonical(&bank::unbind(&customer, &format!("K{number}")));
        let accepted = Accepted {
            process: "card_unbind".into(),
            version: 1,
            digest: digest.to_owned(),
            producer: "parked".into(),
            message: format!("m-{number}"),
            channel: "parked".into(),
            customer: customer.clone(),
            payload_sha256: hex::encode(Sha256::digest(payload.as_bytes())),
            expires_at: then.plus(Duration::from_hours(168)),
        };
        let cause = Cause {
            class: FailureClass::Transient,
            code: "timeout".into(),
            connector: Some("core_banking".into()),
            status: None,
            detail: "no answer".into(),
        };
        let group = "dependency:core_banking".to_owned();
        let story = [Fact::Accepted(accepted), Fact::Started, Fact::Parked { group, slot: "card".into(), cause }];
        let (mut head, mut packed) = (GENESIS, Vec::new());
        for (seq, fact) in (1..).zip(&story) {
            let entry = Entry::seal(id, seq, &head, then, fact).unwrap();
            head = entry.hash;
            let length = u32::try_from(entry.body.len()).unwrap();
            packed.extend([&then.0.to_be_bytes()[..], &entry.hash, &length.to_be_bytes(), &entry.body].concat());
        }
        ledgers.push(packed);
        let event = Uuid::now_v7();
        told.push(json!({"id": event, "subject": id, "type": "mozhao.request.card_unbind.accepted"}).to_string().into_bytes());
        events.push(event);
        ids.push(id);
        customers.push(customer);
        messages.push(format!("m-{number}"));
        bodies.push(payload.into_bytes());
        heads.push(head.to_vec());
    }
    let mut connection = PgConnection::connect(database).await.unwrap();
    // Nobody is watched who only sets the scene.
    sqlx::raw_sql("SET session_replication_role = replica").execute(&mut connection).await.unwrap();
    // All at once: the worker sends a canary as soon as it sees that something is parked, and asks for its ledger.
    let mut scene = connection.begin().await.unwrap();
    let requests =
        "INSERT INTO requests (id, process, version, customer, producer, message, channel, turn, over_limit, seq, head, state,
            step, reason, parked, wake_at, signalled, seen, deaths, person, accepted_at, updated_at, expires_at)
        SELECT id, 'card_unbind', 1, customer, 'parked', message, 'parked', true, false, 3, head, 'parked', 'card', 'timeout',
            'dependency:core_banking', $5 + 604800000000, 0, 0, 0, false, $5, $5, $5 + 604800000000
        FROM unnest($1::UUID[], $2::TEXT[], $3::BYTEA[], $4::TEXT[]) AS r (id, customer, head, message)";
    let query = sqlx::query(requests).bind(&ids).bind(&customers).bind(&heads).bind(&messages).bind(then.0);
    query.execute(&mut *scene).await.unwrap();
    let payloads = "INSERT INTO payloads (request, body) SELECT * FROM unnest($1::UUID[], $2::BYTEA[])";
    sqlx::query(payloads).bind(&ids).bind(&bodies).execute(&mut *scene).await.unwrap();
    let entries = "INSERT INTO entries (request, seq, packed) SELECT request, 1, packed FROM unnest($1::UUID[], $2::BYTEA[]) AS e (request, packed)";
    sqlx::query(entries).bind(&ids).bind(&ledgers).execute(&mut *scene).await.unwrap();
    let outbox = "INSERT INTO outbox (id, request, seq, topic, body, at)
        SELECT id, request, 1, 'request.card_unbind.accepted', body, $4 FROM unnest($1::UUID[], $2::UUID[], $3::BYTEA[]) AS o (id, request, body)";
    sqlx::query(outbox).bind(&events).bind(&ids).bind(&told).bind(then.0).execute(&mut *scene).await.unwrap();
    let unpublished = "INSERT INTO unpublished (worker, first, ids) SELECT (SELECT min(id::TEXT)::UUID FROM workers), $1, $2";
    for some in events.chunks(200) {
        sqlx::query(unpublished).bind(some[0]).bind(some).execute(&mut *scene).await.unwrap();
    }
    let tallies = "INSERT INTO tallies (worker, name, n) VALUES ('00000000-0000-0000-0000-000000000000', 'accepted', $1)
        ON CONFLICT (worker, name) DO UPDATE SET n = tallies.n + EXCLUDED.n";
    sqlx::query(tallies).bind(i64::try_from(mountain()).unwrap()).execute(&mut *scene).await.unwrap();
    scene.commit().await.unwrap();
    sqlx::raw_sql("ANALYZE").execute(&mut connection).await.unwrap();
}

fn canonical(payload: &Value) -> String {
    mozhao::engine::intake::canonical(payload)
}
