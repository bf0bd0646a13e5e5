//! `/metrics`, in Prometheus's text form: what the store counts, what the worker is doing, and what the recorder gathered.
//!
//! The store's numbers are those of all workers together, so that one of them may be asked. Anybody on the network may
//! read this page, and it costs queries: those are made at most once in two seconds, by one caller at a time. What the worker
//! itself knows costs nothing and is always of this moment.

use std::fmt::Write as _;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::sync::Mutex;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::problem::Problem;
use crate::domain::time::Time;
use crate::engine::ports::balance::{Balance, Counted};
use crate::engine::ports::records::ControlRow;
use crate::engine::ports::store::StoreError;
use crate::engine::service::Status;

/// How long a page is good for.
const FRESH: Duration = Duration::from_secs(2);
/// Bounds of the histograms, in seconds.
const SECONDS: [f64; 12] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0];

/// What was gathered last.
pub(super) type Scrape = Mutex<Option<(Time, String)>>;

/// Makes the recorder that gathers the metrics of this process; once per process, before the engine starts.
///
/// # Errors
/// There is a recorder already.
pub fn install() -> Result<PrometheusHandle, BuildError> {
    PrometheusBuilder::new().set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?.install_recorder()
}

/// Metrics in Prometheus's text form.
#[utoipa::path(get, path = "/metrics", operation_id = "show_metrics", tag = "meta", security(()), responses((status = 200, description = "Prometheus text format 0.0.4", body = String, content_type = "text/plain")))]
async fn show(State(api): State<Api>) -> Result<Response, Problem> {
    let mut last = api.0.scrape.lock().await;
    let now = api.engine().clock().now();
    let gathered = match last.as_ref() {
        Some((made, page)) if now.since(*made) < FRESH && now >= *made => page.clone(),
        _ => {
            let page = gather(&api).await?;
            *last = Some((now, page.clone()));
            page
        }
    };
    drop(last);
    let mut page = Page(gathered);
    page.status(&api.engine().status());
    let page = page.0;
    Ok(([(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"))], page).into_response())
}

async fn gather(api: &Api) -> Result<String, StoreError> {
    let store = api.engine().store();
    let (balance, controls) = (store.balance().await?, store.controls().await?);
    let mut page = Page::default();
    page.balance(&balance);
    page.counted(&balance.places);
    page.controls(&controls);
    if let Some(handle) = &api.settings().metrics {
        handle.run_upkeep();
        page.add(&handle.render());
    }
    Ok(page.0)
}

/// A page in the making.
#[derive(Default)]
struct Page(String);

impl Page {
    /// Adds what others rendered, without the empty lines between its groups.
    fn add(&mut self, text: &str) {
        self.0.extend(text.lines().filter(|line| !line.is_empty()).flat_map(|line| [line, "\n"]));
    }

    fn head(&mut self, name: &str, kind: &str, help: &str) {
        // Writing into a String does not fail.
        writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}").ok();
    }

    fn line(&mut self, name: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        self.0.push_str(name);
        for (at, (label, text)) in labels.iter().enumerate() {
            let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            write!(self.0, "{}{label}=\"{text}\"", if at == 0 { '{' } else { ',' }).ok();
        }
        writeln!(self.0, "{} {value}", if labels.is_empty() { "" } else { "}" }).ok();
    }

    fn one(&mut self, name: &str, kind: &str, help: &str, value: impl std::fmt::Display) {
        self.head(name, kind, help);
        self.line(name, &[], value);
    }

    fn balance(&mut self, balance: &Balance) {
        self.one("mozhao_requests_accepted_total", "counter", "Requests ever accepted.", balance.accepted);
        self.head("mozhao_requests_ended_total", "counter", "Requests ended, by outcome.");
        let ended = [
            ("done", balance.done),
            ("refused", balance.refused),
            ("withdrawn", balance.withdrawn),
            ("expired", balance.expired),
        ];
        for (outcome, count) in ended {
            self.line("mozhao_requests_ended_total", &[("outcome", outcome)], count);
        }
        self.one("mozhao_messages_rejected_total", "counter", "Messages that never became requests.", balance.rejected);
        self.one("mozhao_requests_automated_total", "counter", "Requests ended without a person's decision.", balance.automated);
        let ratio = rate(balance).unwrap_or(0.0);
        self.one("mozhao_automation_ratio", "gauge", "Ended without a person's decision, of all ended (0 to 1).", ratio);
        self.head("mozhao_requests_open", "gauge", "Open requests, by state.");
        let open = [
            ("queued", balance.queued),
            ("running", balance.running),
            ("waiting", balance.waiting),
            ("parked", balance.parked),
            ("in_review", balance.in_review),
        ];
        for (state, count) in open {
            self.line("mozhao_requests_open", &[("state", state)], count);
        }
        self.one(
            "mozhao_balance_difference",
            "gauge",
            "Accepted minus ended minus open: anything but 0 is a lost or doubled request.",
            difference(balance),
        );
        self.one("mozhao_requests_overdue", "gauge", "Open, not owned, and due for longer than a minute.", balance.overdue);
        self.one("mozhao_events_unpublished", "gauge", "Events not published yet.", balance.unpublished);
    }

    fn counted(&mut self, counted: &[Counted]) {
        let mut sums: std::collections::BTreeMap<(&str, &str, &str), u64> = std::collections::BTreeMap::new();
        for row in counted {
            // Fingerprints would make a new series for each defect.
            let under = match row.parked.as_deref() {
                None => "",
                Some(group) if group.starts_with("defect:") => "defect",
                Some(group) => group,
            };
            *sums.entry((&row.process, &row.state, under)).or_default() += row.count;
        }
        self.head("mozhao_process_requests_open", "gauge", "Open requests, by process, state and what they are parked under.");
        for ((process, state, under), count) in sums {
            self.line("mozhao_process_requests_open", &[("process", process), ("state", state), ("parked", under)], count);
        }
    }

    fn controls(&mut self, controls: &[ControlRow]) {
        self.head("mozhao_dependency_state", "gauge", "1 for the state that the dependency's breaker is in.");
        for row in controls {
            let Some(name) = row.group.strip_prefix("dependency:") else { continue };
            for state in ["closed", "open", "waiting", "half_open", "resuming"] {
                let value = u8::from(row.state == state);
                self.line("mozhao_dependency_state", &[("dependency", name), ("state", state)], value);
            }
        }
    }

    fn status(&mut self, status: &Status) {
        self.one("mozhao_ready", "gauge", "1 while this worker takes requests.", u8::from(status.ready && !status.draining));
        self.one("mozhao_in_flight", "gauge", "Requests that this worker carries at the moment.", status.in_flight);
        self.one("mozhao_in_flight_limit", "gauge", "The most that it carries.", status.in_flight_limit);
        let age = status.heartbeat_age.as_secs_f64();
        self.one("mozhao_heartbeat_age_seconds", "gauge", "Since this worker's last successful heartbeat.", age);
        // Each request in flight, connection and loop of this worker is one: where it grows at rest, something leaks.
        let tasks = tokio::runtime::Handle::current().metrics().num_alive_tasks();
        self.one("mozhao_tasks_alive", "gauge", "Tasks of this process that have not ended.", tasks);
        if let Some(connected) = status.broker {
            self.one("mozhao_broker_connected", "gauge", "1 while the broker is connected.", u8::from(connected));
        }
    }
}

/// Ended without a person's decision, of all ended; `None` before the first end.
#[expect(clippy::cast_precision_loss, reason = "a ratio for people")]
pub(super) fn rate(balance: &Balance) -> Option<f64> {
    (balance.ended() > 0).then(|| balance.automated as f64 / balance.ended() as f64)
}

/// Accepted minus where they stand; 0 where the books are right.
pub(super) fn difference(balance: &Balance) -> i128 {
    i128::from(balance.accepted) - i128::from(balance.ended()) - i128::from(balance.open())
}

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(show))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page() {
        let mut page = Page::default();
        page.add("# TYPE a counter\na 1\n\n# TYPE b counter\nb 2\n\n");
        assert_eq!(page.0, "# TYPE a counter\na 1\n# TYPE b counter\nb 2\n");
        let balance = Balance { accepted: 10, done: 4, refused: 1, automated: 4, parked: 2, running: 2, ..Balance::default() };
        page.balance(&balance);
        for line in [
            "mozhao_requests_accepted_total 10",
            "mozhao_requests_ended_total{outcome=\"done\"} 4",
            "mozhao_automation_ratio 0.8",
            "mozhao_requests_open{state=\"parked\"} 2",
            "mozhao_balance_difference 1",
        ] {
            assert!(page.0.lines().any(|found| found == line), "{line}\n{}", page.0);
        }
    }

    #[test]
    fn defects_share_a_series_and_labels_are_escaped() {
        let row = |parked: Option<&str>, count| Counted {
            process: "a\"b\n".into(),
            state: "parked".into(),
            parked: parked.map(str::to_owned),
            step: None,
            count,
        };
        let mut page = Page::default();
        page.counted(&[row(Some("defect:1"), 2), row(Some("defect:2"), 3), row(Some("dependency:bank"), 7)]);
        let lines: Vec<&str> = page.0.lines().skip(2).collect();
        assert_eq!(
            lines,
            [
                r#"mozhao_process_requests_open{process="a\"b\n",state="parked",parked="defect"} 5"#,
                r#"mozhao_process_requests_open{process="a\"b\n",state="parked",parked="dependency:bank"} 7"#,
            ]
        );
    }
}
