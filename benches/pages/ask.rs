//! Asks pages and lists again and again, and says how long they took and what the database did for the slow ones.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde::Serialize;
use sqlx::{PgConnection, Row as _};

use super::fill::run;
use super::place::Place;

/// How long one page took.
#[derive(Debug, Serialize)]
pub(crate) struct Asked {
    pub(crate) path: String,
    pub(crate) kib: usize,
    pub(crate) first_ms: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p95_ms: f64,
    pub(crate) max_ms: f64,
}

/// Asks for each of them in turns, so that no page has the caches to itself.
pub(crate) async fn ask(place: &Place, paths: &[String], times: usize) -> anyhow::Result<Vec<Asked>> {
    let mut took: Vec<Vec<Duration>> = vec![Vec::new(); paths.len()];
    let mut sizes = vec![0; paths.len()];
    for _ in 0..times {
        for (at, path) in paths.iter().enumerate() {
            let begun = Instant::now();
            sizes[at] = place.get(path).await?.len().div_ceil(1024);
            took[at].push(begun.elapsed());
        }
    }
    let all = paths.iter().zip(took).zip(sizes);
    Ok(all.map(|((path, took), kib)| asked(path, took, kib)).collect())
}

fn asked(path: &str, mut took: Vec<Duration>, kib: usize) -> Asked {
    let ms = |time: Duration| (time.as_secs_f64() * 10_000.0).round() / 10.0;
    let first_ms = took.first().copied().map(ms).unwrap_or_default();
    took.sort();
    let at = |share: usize| took.get((took.len() * share / 100).min(took.len().saturating_sub(1))).copied().map(ms);
    let (p50_ms, p95_ms) = (at(50).unwrap_or_default(), at(95).unwrap_or_default());
    Asked { path: path.to_owned(), kib, first_ms, p50_ms, p95_ms, max_ms: at(100).unwrap_or_default() }
}

/// Every session from now on can tell its plans; none does before [`plans`] asks. Must come before the first session of the worker: sessions
/// that are ended later make requests fail.
pub(crate) async fn prepare(database: &mut PgConnection) -> anyhow::Result<()> {
    // Its settings are known where it is loaded.
    run(database, "LOAD 'auto_explain'").await?;
    run(database, "ALTER SYSTEM SET session_preload_libraries = 'auto_explain'").await?;
    for name in ["log_analyze", "log_buffers"] {
        run(database, &format!("ALTER SYSTEM SET auto_explain.{name} = 'on'")).await?;
    }
    log_from(database, -1).await
}

/// Plans of statements that take so many milliseconds are logged; -1: none.
async fn log_from(database: &mut PgConnection, least_ms: i32) -> anyhow::Result<()> {
    run(database, &format!("ALTER SYSTEM SET auto_explain.log_min_duration = '{least_ms}'")).await?;
    run(database, "SELECT pg_reload_conf()").await?;
    // Each session takes it up before its next statement, once the server has passed it on.
    tokio::time::sleep(Duration::from_millis(200)).await;
    Ok(())
}

/// The plans of a page's statements that took longer than `least_ms`, with what they read.
pub(crate) async fn plans(database: &mut PgConnection, place: &Place, path: &str, least_ms: i32) -> anyhow::Result<String> {
    let folder = sqlx::query("SHOW data_directory").fetch_one(&mut *database).await?.try_get::<String, _>(0)?;
    let log = Path::new(&folder).parent().context("a data folder")?.join("postgres.err");
    log_from(database, least_ms).await?;
    let before = std::fs::metadata(&log).map(|file| file.len()).unwrap_or_default();
    place.get(path).await?;
    let text = std::fs::read(&log)?;
    log_from(database, -1).await?;
    let from = usize::try_from(before)?.min(text.len());
    Ok(String::from_utf8_lossy(&text[from..]).chars().take(6_000).collect())
}
