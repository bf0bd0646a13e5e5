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

/// The plans of a page's statements that took longer than `least_ms`, with what they read.
pub(crate) async fn plans(database: &mut PgConnection, place: &Place, path: &str, least_ms: u32) -> anyhow::Result<String> {
    let folder = sqlx::query("SHOW data_directory").fetch_one(&mut *database).await?.try_get::<String, _>(0)?;
    let log = Path::new(&folder).parent().context("a data folder")?.join("postgres.err");
    // Its settings are known where it is loaded; every session has to load it.
    run(database, "LOAD 'auto_explain'").await?;
    run(database, "ALTER SYSTEM SET session_preload_libraries = 'auto_explain'").await?;
    for (name, value) in [("log_min_duration", least_ms.to_string()), ("log_analyze", "on".into()), ("log_buffers", "on".into())]
    {
        run(database, &format!("ALTER SYSTEM SET auto_explain.{name} = '{value}'")).await?;
    }
    run(database, "SELECT pg_reload_conf()").await?;
    // New sessions are needed: those of the worker's pools end, and are opened again.
    run(
        database,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()",
    )
    .await?;
    for _ in 0..20 {
        if place.get(path).await.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let before = std::fs::metadata(&log).map(|file| file.len()).unwrap_or_default();
    place.get(path).await?;
    let text = std::fs::read(&log)?;
    let from = usize::try_from(before)?.min(text.len());
    Ok(String::from_utf8_lossy(&text[from..]).chars().take(6_000).collect())
}
