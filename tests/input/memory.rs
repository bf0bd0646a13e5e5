//! What one input may cost in memory and time: measured, for the worst shapes that pass the size limit, in a process of its own.
//!
//! The bound that is stated: reading and taking in one message of at most 1 MiB never needs more than [`BOUND_MIB`] at once,
//! whatever its shape; so intake needs at most that times the messages in flight.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use mozhao::domain::expr::{Expr, Scope};
use mozhao::domain::json;
use mozhao::domain::message::Incoming;
use mozhao::engine::ports::broker::{IntakeSink, Taken};

use crate::stored;

/// The most that one message may need at once.
const BOUND_MIB: u64 = 64;
/// The longest that one message may take, in an unoptimised build on a busy machine.
const LONGEST: Duration = Duration::from_secs(20);
/// Set in the process that measures.
const ALONE: &str = "MOZHAO_INPUT_MEMORY";

/// Resident memory at its highest since the last [`forget`], in KiB.
fn highest() -> u64 {
    field("VmHWM:")
}

fn field(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Makes the kernel count anew; false where it does not.
fn forget() -> bool {
    fs::write("/proc/self/clear_refs", "5").is_ok()
}

fn filled(head: &str, item: &str, tail: &str) -> Vec<u8> {
    let count = (1024 * 1024 - head.len() - tail.len()) / (item.len() + 1);
    format!("{head}{}{tail}", vec![item; count].join(",")).into_bytes()
}

/// Bodies of nearly 1 MiB that cost the most in some way.
fn shapes() -> Vec<(&'static str, Vec<u8>)> {
    let keys = (0..70_000).map(|n| format!("\"k{n:x}\":{{}}")).collect::<Vec<_>>().join(",");
    vec![
        ("small objects", filled("{\"who\":\"a\",\"any\":[", "{\"\":0}", "]}")),
        ("empty lists", filled("{\"who\":\"a\",\"any\":[", "[]", "]}")),
        ("empty texts", filled("{\"who\":\"a\",\"any\":[", "\"\"", "]}")),
        ("digits", filled("{\"who\":\"a\",\"any\":[", "0", "]}")),
        (
            "as many objects as are taken",
            format!("{{\"who\":\"a\",\"any\":[{}]}}", vec!["{\"\":0}"; json::MAX_VALUES / 2 - 10].join(",")).into_bytes(),
        ),
        ("many keys", format!("{{\"who\":\"a\",{keys}}}").into_bytes()),
        ("faults of the schema", filled("{\"who\":\"a\",\"phone\":[", "0", "]}")),
        (
            "unknown keys",
            format!(
                "{{\"who\":\"a\",\"phone\":\"1\",{}}}",
                (0..40_000).map(|n| format!("\"k{n:x}\":0")).collect::<Vec<_>>().join(",")
            )
            .into_bytes(),
        ),
        ("one long text", format!("{{\"who\":\"a\",\"any\":\"{}\"}}", "x".repeat(1024 * 1024 - 40)).into_bytes()),
        ("one long text of escapes", format!("{{\"who\":\"a\",\"any\":\"{}\"}}", "\\u00e9".repeat(170_000)).into_bytes()),
        ("one long key", format!("{{\"who\":\"a\",\"{}\":0}}", "k".repeat(1024 * 1024 - 40)).into_bytes()),
        ("one long number", format!("{{\"who\":\"a\",\"any\":{}}}", "9".repeat(1024 * 1024 - 40)).into_bytes()),
        ("one long fraction", format!("{{\"who\":\"a\",\"any\":0.{}}}", "9".repeat(1024 * 1024 - 40)).into_bytes()),
        ("brackets", vec![b'['; 1024 * 1024]),
        ("too long", vec![b' '; 8 * 1024 * 1024]),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_message_needs_a_bounded_amount_of_memory() {
    if std::env::var_os(ALONE).is_none() {
        // Other tests of this binary may run beside this one: a process of its own sees only itself.
        let alone = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "memory::one_message_needs_a_bounded_amount_of_memory", "--nocapture"])
            .env(ALONE, "1")
            .output()
            .unwrap();
        let shown = String::from_utf8_lossy(&alone.stdout);
        println!("{}", shown.lines().filter(|line| line.contains("MiB")).collect::<Vec<_>>().join("\n"));
        assert!(alone.status.success(), "{shown}{}", String::from_utf8_lossy(&alone.stderr));
        return;
    }
    let shapes = shapes();
    let world = stored::memory().await;
    // One baseline for all: what one message needed and the allocator kept hides what the next one needs.
    let before = if forget() { highest() } else { field("VmRSS:") };
    for process in ["anything", "change"] {
        for (name, body) in &shapes {
            let message = Incoming {
                body: body.clone().into(),
                routing_key: process.to_owned(),
                message_id: Some(format!("{process} {name}")),
                ..Incoming::default()
            };
            let began = Instant::now();
            assert_eq!(world.engine.take(message).await, Taken::Stored, "{name}");
            let took = began.elapsed();
            let mib = highest().saturating_sub(before) / 1024;
            println!("{mib:>4} MiB at most so far, {:>6} ms: {process}, {name}", took.as_millis());
            assert!(mib <= BOUND_MIB, "{process}, {name}: {mib} MiB");
            assert!(took < LONGEST, "{process}, {name}: {took:?}");
        }
    }
}

/// Expressions on the largest data that gets to them: bounded by their budget, which is counted and not timed.
#[test]
fn one_evaluation_takes_a_bounded_time() {
    let long = format!("{{\"list\":[{}],\"text\":\"{}\"}}", vec!["\"id-7\""; 10_000].join(","), "a".repeat(900_000));
    let value = json::parse(long.as_bytes(), json::MAX_DEPTH).unwrap();
    let mut scope = Scope::new();
    scope.set("answer", &value);
    for source in [
        "answer.list.all(x, x in answer.list)",
        "answer.list.all(x, answer.list == answer.list)",
        "answer.list.exists(x, answer.text.contains('b'))",
        "answer.text.matches('(a*)*b')",
        "answer.list.exists(x, answer.text.matches('(a|aa)+$'))",
        "answer.list.map(x, answer) == answer.list.map(x, answer)",
        "answer.list.map(x, answer.text + answer.text)",
        "size(answer.text + answer.text + answer.text) > 1",
    ] {
        let began = Instant::now();
        let found = Expr::compile(source).map(|expr| expr.eval(&scope).map(drop));
        let took = began.elapsed();
        println!(
            "{:>6} ms: {source}: {}",
            took.as_millis(),
            found.map_or_else(|error| error.to_string(), |found| format!("{found:?}"))
        );
        assert!(took < LONGEST, "{source}: {took:?}");
    }
}
