//! How fast the pages are where there is much: a million requests and twenty thousand open reviews in PostgreSQL. See `benches/README.md`.
//!
//! Not a test: how long a page takes depends on the machine. What it shows are the pages that stand out, and the plans of their
//! statements, so that a missing index is seen before somebody's morning is spent waiting.

#![expect(clippy::print_stdout, reason = "a program for people")]
#![allow(unreachable_pub, reason = "the modules of one program")]

mod ask;
mod consoles;
mod fill;
#[path = "../../tests/harness/mod.rs"]
mod harness;
mod place;

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use clap::Parser;
use serde::Serialize;
use sqlx::{Connection as _, PgConnection};

use self::ask::Asked;
use self::consoles::Pace;
use self::harness::postgres::Postgres;
use self::place::Place;

/// How fast pages and lists are on a large database, and whether open consoles slow the worker
#[derive(Debug, Parser)]
struct Args {
    /// Requests in the database
    #[arg(long, default_value_t = 1_000_000)]
    requests: i64,
    /// How often each page is asked for
    #[arg(long, default_value_t = 24)]
    times: usize,
    /// Milliseconds from which on a page's plans are shown (p95)
    #[arg(long, default_value_t = 50.0)]
    slow: f64,
    /// Open consoles
    #[arg(long, default_value_t = 200)]
    consoles: usize,
    /// Requests handled in each round with and without consoles; 0: none
    #[arg(long, default_value_t = 3_000)]
    load: usize,
    /// Rounds of them
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Only pages whose address contains this
    #[arg(long)]
    only: Option<String>,
    /// Where the numbers go
    #[arg(long, default_value = "target/pages.json")]
    json: PathBuf,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Debug, Serialize)]
struct Report {
    requests: i64,
    pages: Vec<Asked>,
    paces: Vec<Pace>,
    load_average: String,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let server = Postgres::start_large("1GB").await;
    let url = server.create_database().await;
    let folder = tempfile::tempdir()?;
    let mut database = PgConnection::connect(&url).await?;
    ask::prepare(&mut database).await?;
    let place = Arc::new(Place::start(&url, folder.path()).await?);
    // Real ones first: their ledgers are the models of the others.
    for (customer, wait) in [("sure-0", "60s"), ("gone", "60s"), ("grey-0", "3s")] {
        place.submit(customer, &format!("model-{customer}"), wait).await?;
    }
    fill::fill(&mut database, &url, args.requests).await?;
    // And the newest ones: their chains are whole.
    for number in 0..120 {
        place.submit(&format!("sure-{number}"), &format!("newest-{number}"), "60s").await?;
    }
    let mut paths = paths(&mut database).await?;
    paths.retain(|path| args.only.as_ref().is_none_or(|only| path.contains(only)));
    let pages = ask::ask(&place, &paths, args.times).await?;
    println!("{:<86} {:>6} {:>8} {:>8} {:>8} {:>8}", "page", "KiB", "first", "p50 ms", "p95", "max");
    for page in &pages {
        let Asked { path, kib, first_ms, p50_ms, p95_ms, max_ms } = page;
        println!("{path:<86} {kib:>6} {first_ms:>8} {p50_ms:>8} {p95_ms:>8} {max_ms:>8}");
    }
    for page in pages.iter().filter(|page| page.p95_ms > args.slow) {
        println!("\n--- {}\n{}", page.path, ask::plans(&mut database, &place, &page.path, 5).await?);
    }
    let mut paces = Vec::new();
    for round in 0..if args.load == 0 { 0 } else { args.rounds } {
        for (consoles, refreshing) in [(0, false), (args.consoles, false), (args.consoles, true)] {
            let name = format!("{round}-{consoles}-{refreshing}");
            let pace = consoles::pace(&place, &name, args.load, consoles, refreshing).await?;
            println!(
                "{consoles} consoles, {}: {} requests/s, {} parts/s",
                if refreshing { "that ask" } else { "that listen" },
                pace.requests_per_second,
                pace.parts_per_second
            );
            paces.push(pace);
        }
    }
    let load_average = std::fs::read_to_string("/proc/loadavg").unwrap_or_default().trim().to_owned();
    let report = Report { requests: args.requests, pages, paces, load_average };
    if let Some(folder) = args.json.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(&args.json, serde_json::to_vec_pretty(&report)?).with_context(|| args.json.display().to_string())?;
    Ok(())
}

/// Everything that people look at, and every list of the interface with each of its filters.
async fn paths(database: &mut PgConnection) -> anyhow::Result<Vec<String>> {
    let one = async |database: &mut PgConnection, sql: &'static str| -> anyhow::Result<String> {
        let id: sqlx::types::Uuid = sqlx::query_scalar(sql).fetch_one(database).await.context(sql)?;
        Ok(id.to_string())
    };
    let open = one(database, "SELECT id FROM reviews WHERE state = 'open' ORDER BY due_at LIMIT 1").await?;
    let old = one(database, "SELECT id FROM requests ORDER BY id OFFSET 400000 LIMIT 1").await;
    let old = match old {
        Ok(old) => old,
        Err(_) => one(database, "SELECT id FROM requests ORDER BY id LIMIT 1").await?,
    };
    let done = one(database, "SELECT id FROM requests WHERE state = 'done' ORDER BY id DESC LIMIT 1").await?;
    let texts = format!(
        "/console/overview /console/overview?within=7d /console/reviews /console/reviews?tab=mine /console/reviews?tab=unassigned
        /console/reviews?tab=team /console/reviews?tab=second /console/reviews?tab=done /console/reviews?process=rare /console/reviews/{open}
        /console/reviews/{open}?tab=team
        /console/requests /console/requests?q=state%3Aparked /console/requests?q=state%3Adone /console/requests?q=process%3Arare
        /console/requests?q=process%3Arare%20state%3Arefused /console/requests?q=step%3Aknown /console/requests?q=step%3Anowhere
        /console/requests?q=reason%3Agone /console/requests?q=producer%3Acall /console/requests?q=c-77 /console/requests?q=age%3A%3E7d
        /console/requests?q=connector%3Amail /console/requests/words?q=sta /console/requests/{done}
        /console/defects /console/defects/00000000000000aa /console/dependencies /console/workers /console/processes /console/processes/change
        /console/processes/change/clauses /console/processes/rare/clauses?within=7d /console/processes/change/difference
        /console/decisions /console/decisions?by=p-7 /console/decisions?by=nobody /console/decisions?process=rare
        /console/decisions?by=p-7&process=texted /console/decisions?tab=looks&by=p-7 /console/ledger?verify=newest /console/help
        /v1/requests /v1/requests?limit=200 /v1/requests?cursor={old} /v1/requests?open=true /v1/requests?state=waiting /v1/requests?process=rare
        /v1/requests?process=rare&state=refused /v1/requests?process=nothing /v1/requests?customer=c-77 /v1/requests?customer=nobody
        /v1/requests?producer=call&message=filled-77 /v1/requests?producer=call /v1/requests?producer=nobody /v1/requests?reason=gone /v1/requests?reason=unsure /v1/requests?parked=dependency:mail
        /v1/requests?step=nowhere /v1/requests?state=expired /v1/requests?same_customer_as={done} /v1/requests/{done} /v1/requests/{done}/timeline
        /v1/reviews /v1/reviews?limit=200 /v1/reviews?process=rare /v1/reviews?claimed_by=li /v1/reviews?claimed_by=nobody /v1/reviews?unclaimed=true
        /v1/reviews?role=money /v1/reviews?state=decided /v1/reviews?state=cancelled /v1/reviews?second=true /v1/reviews/{open}
        /v1/decisions /v1/decisions?by=p-7 /v1/decisions?by=nobody /v1/decisions?process=rare /v1/decisions?process=nothing /v1/looks /v1/looks?by=p-7
        /v1/looks?by=nobody /v1/defects /v1/dependencies /v1/workers /v1/balance /v1/history?within=1h /v1/history /v1/history?within=7d
        /v1/history?within=7d&process=rare /v1/processes/change/clauses /v1/processes/rare/clauses?within=7d /v1/ledger/verify?limit=100
        /v1/rejected /v1/events /v1/qualifiers"
    );
    Ok(texts.split_whitespace().map(str::to_owned).collect())
}
