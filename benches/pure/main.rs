//! What the pure parts cost, alone: reading a message, compiling a process, planning, applying, rules, the chain.
//!
//! None of this waits for anything, so an instruction more is CPU more for each request: `cargo bench --bench pure` shows it without
//! servers and without noise from them. The data is the throughput benchmark's own process, so the numbers are parts of its.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a benchmark")]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Duration;

use bytes::Bytes;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use serde_json::{Value, json};
use uuid::Uuid;

use mozhao::domain::expr::{Expr, Scope};
use mozhao::domain::message::{self, Incoming, Limits};
use mozhao::domain::process::model::{Process, StepKind};
use mozhao::domain::process::{self, Known};
use mozhao::domain::request::chain::{self, Entry, GENESIS};
use mozhao::domain::request::fact::{Accepted, EffectResult, Ending, Fact, ResultFact, Via};
use mozhao::domain::request::judge::{self, Seen};
use mozhao::domain::request::plan::{Next, plan};
use mozhao::domain::request::scope::{Surroundings, intake_scope};
use mozhao::domain::request::state::State;
use mozhao::domain::time::Time;

const SOURCE: &str = include_str!("../data/processes/bench.yaml");
const CARD: &[u8] = br#"{"status":"bound","holder":"c-17"}"#;
const CUSTOMER: &[u8] = br#"{"status":"active","in_flight":0}"#;
const ID: Uuid = Uuid::from_u128(17);

fn bench_process() -> Process {
    process::parse("bench.yaml", SOURCE, &Known::default()).unwrap_or_else(|findings| panic!("{findings:?}")).process
}

/// 400 bytes, as the throughput benchmark sends them.
fn payload() -> Value {
    json!({ "customer_id": "c-17", "card_id": "card-17", "id_number": "11010519491231002X", "note": "x".repeat(310) })
}

fn begin(process: &Process) -> (State, Fact) {
    let accepted = Accepted {
        process: process.name.clone(),
        version: process.version,
        digest: process.digest.clone(),
        producer: "bench".to_owned(),
        message: "run-17".to_owned(),
        channel: "bench".to_owned(),
        customer: "c-17".to_owned(),
        payload_sha256: "0".repeat(64),
        expires_at: Time(i64::MAX),
    };
    let fact = Fact::Accepted(accepted.clone());
    (State::begin(ID, accepted, Time(0), payload(), GENESIS), fact)
}

fn seen(process: &Process, step: &str, body: &[u8]) -> Seen {
    let StepKind::Verify(verify) = &process.step(step).unwrap().kind else { panic!("{step} is no check") };
    judge::see(verify.call.as_ref().unwrap(), 200, body, None).unwrap()
}

fn verdict(process: &Process, step: &str, seen: &Seen) -> Fact {
    let StepKind::Verify(verify) = &process.step(step).unwrap().kind else { panic!("{step} is no check") };
    judge::verify(step, verify, Some(seen), Scope::new()).unwrap()
}

/// Every fact of a request that needs no person, after the first.
fn facts(process: &Process) -> Vec<Fact> {
    let (slot, generation) = ("unbind".to_owned(), 0);
    vec![
        Fact::Started,
        verdict(process, "card", &seen(process, "card", CARD)),
        verdict(process, "customer", &seen(process, "customer", CUSTOMER)),
        Fact::Intent { slot: slot.clone(), generation, attempt: 1, deadline: Time(10) },
        Fact::Result(ResultFact {
            slot,
            generation,
            result: EffectResult::Applied,
            via: Via::Answer,
            status: Some(200),
            evidence_sha256: Some("0".repeat(64)),
            kept: json!({ "status": "unbound" }),
            cause: None,
            retry_at: None,
        }),
        judge::done(&process.done_when, None, done_scope()).unwrap().unwrap(),
        Fact::Ended { ending: Ending::Done },
    ]
}

fn done_scope() -> Scope {
    let mut scope = Scope::new();
    scope.set("answers", &json!({ "card": { "status": "bound" } }));
    scope
}

fn sealed(first: &Fact, facts: &[Fact]) -> Vec<Entry> {
    let mut prev = GENESIS;
    let seal = |(seq, fact): (u64, &Fact)| {
        let entry = Entry::seal(ID, seq, &prev, Time(0), fact).unwrap();
        prev = entry.hash;
        entry
    };
    (1..).zip(std::iter::once(first).chain(facts)).map(seal).collect()
}

fn reading(bench: &mut Criterion) {
    let incoming = Incoming {
        body: Bytes::from(payload().to_string()),
        routing_key: "bench".to_owned(),
        message_id: Some("run-17".to_owned()),
        app_id: Some("bench".to_owned()),
        ..Incoming::default()
    };
    let limits = Limits::default();
    bench.bench_function("message: read 400 bytes", |bench| bench.iter(|| message::read(black_box(&incoming), "amqp", &limits)));
    let process = bench_process();
    let payload = payload();
    bench.bench_function("message: its schema", |bench| bench.iter(|| process.request.validate(black_box(&payload)).unwrap()));
    let mut group = bench.benchmark_group("process");
    group.sample_size(20);
    group.bench_function("parse, compile and lint", |bench| {
        bench.iter(|| process::parse("bench.yaml", black_box(SOURCE), &Known::default()).unwrap());
    });
    group.finish();
}

fn deciding(bench: &mut Criterion) {
    let process = bench_process();
    let (fresh, _) = begin(&process);
    let facts = facts(&process);
    let callbacks = BTreeMap::new();
    let around = Surroundings { now: Time(1), callbacks: &callbacks, key_window: &|_| None, turn: true, over_limit: false };
    let mut open = fresh.clone();
    for fact in &facts[..3] {
        open.apply(fact, Time(1)).unwrap();
    }
    assert_eq!(plan(&process, &open, &around), Next::Effect("unbind".to_owned()));
    bench.bench_function("plan: the effect after two checks", |bench| bench.iter(|| plan(&process, black_box(&open), &around)));
    bench.bench_function("apply: a whole request, 7 facts", |bench| {
        let all = |mut state: State| {
            for fact in &facts {
                state.apply(fact, Time(1)).unwrap();
            }
            state
        };
        bench.iter_batched(|| fresh.clone(), all, BatchSize::SmallInput);
    });
}

fn judging(bench: &mut Criterion) {
    let process = bench_process();
    let StepKind::Verify(verify) = &process.step("customer").unwrap().kind else { panic!("no check") };
    let call = verify.call.as_ref().unwrap();
    bench.bench_function("answer: parse, schema, digest", |bench| {
        bench.iter(|| judge::see(call, 200, black_box(CUSTOMER), None).unwrap());
    });
    let seen = seen(&process, "customer", CUSTOMER);
    bench.bench_function("rules: a verdict with what is kept", |bench| {
        bench.iter(|| judge::verify("customer", verify, Some(black_box(&seen)), Scope::new()).unwrap());
    });
    let mut scope = Scope::new();
    scope.set("answer", &json!({ "status": "active", "in_flight": 0 }));
    let expr = Expr::compile("answer.status == 'active' && answer.in_flight == 0").unwrap();
    bench
        .bench_function("expression: two comparisons, scope ready", |bench| bench.iter(|| expr.test(black_box(&scope)).unwrap()));
    let scope = intake_scope(&payload().into());
    bench.bench_function("template: a call's path", |bench| bench.iter(|| call.path.render_path(black_box(&scope)).unwrap()));
}

fn chaining(bench: &mut Criterion) {
    let process = bench_process();
    let (_, first) = begin(&process);
    let facts = facts(&process);
    bench.bench_function("chain: seal a whole request, 8 entries", |bench| bench.iter(|| sealed(black_box(&first), &facts)));
    let entries = sealed(&first, &facts);
    bench.bench_function("chain: verify 8 entries", |bench| bench.iter(|| chain::verify(ID, black_box(&entries)).unwrap()));
    bench.bench_function("chain: read 8 facts", |bench| {
        bench.iter(|| black_box(&entries).iter().map(|entry| entry.fact().unwrap()).collect::<Vec<_>>());
    });
}

criterion_group! {
    name = pure;
    config = Criterion::default().warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2)).without_plots();
    targets = reading, deciding, judging, chaining
}
criterion_main!(pure);
