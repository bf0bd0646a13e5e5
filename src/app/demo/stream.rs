//! The front end of a demo: sends requests over HTTP to the worker's API, some twice, one badly.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use reqwest::{Client, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::place::Place;
use super::show::Show;
use crate::engine::ports::records::RequestFilter;
use crate::engine::service::Engine;
use crate::sandbox::{Planned, Road};

/// Calls on their way at once.
const AT_ONCE: usize = 16;
/// Every so many requests one is sent twice: an app whose user tapped twice, or that did not hear the answer.
const TWICE_EVERY: usize = 20;
/// How often a call is tried that is told to come back later.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(250);
/// How long a stream takes, and the bounds of the pause between two requests.
const STREAM: Duration = Duration::from_secs(12);
const SHORTEST: Duration = Duration::from_millis(2);
const LONGEST: Duration = Duration::from_millis(60);
/// The longest pause between customers who come at random, in mean ones.
const MOST_MEANS: f64 = 5.0;
/// How people ask.
const CHANNELS: [&str; 3] = ["app", "web", "call-centre"];

/// The pause between two requests of a stream of so many: it can be watched, and does not take long.
pub(super) fn pace(requests: usize) -> Duration {
    let requests = u32::try_from(requests.max(1)).unwrap_or(u32::MAX);
    (STREAM / requests).clamp(SHORTEST, LONGEST)
}

/// The pause before the next request of a stream of so many. With a time of one's own the pauses are those of customers who know
/// nothing of each other: exponential, by a number from 0 up to 1.
pub(super) fn pause(requests: usize, over: Option<Duration>, random: f64) -> Duration {
    let Some(over) = over else { return pace(requests) };
    let mean = over / u32::try_from(requests.max(1)).unwrap_or(u32::MAX);
    mean.mul_f64((-(1.0 - random).ln()).clamp(0.0, MOST_MEANS))
}

/// The id that the front end gives to its request with this number.
pub(super) fn key(number: usize) -> String {
    format!("demo-{}", number + 1)
}

/// The number of the request with this id.
pub(super) fn number(key: &str) -> Option<usize> {
    key.strip_prefix("demo-")?.parse::<usize>().ok()?.checked_sub(1)
}

/// A front end with its token.
pub(super) struct Sender {
    http: Client,
    url: String,
    token: SecretString,
}

/// What the worker's API said.
struct Answer {
    status: StatusCode,
    body: Value,
    /// It was asked before, and had said to come back later.
    repeated: bool,
}

impl Sender {
    pub(super) fn new(place: &Place) -> anyhow::Result<Sender> {
        let http = Client::builder().no_proxy().timeout(Duration::from_secs(30)).build()?;
        Ok(Sender { http, url: place.url.clone(), token: place.front_end.clone() })
    }

    async fn post(&self, path: &str, key: Option<&str>, body: &Value) -> anyhow::Result<Answer> {
        for tried in 0..TRIES {
            let mut call = self.http.post(format!("{}{path}", self.url)).bearer_auth(self.token.expose_secret()).json(body);
            if let Some(key) = key {
                call = call.header("Idempotency-Key", key);
            }
            let answer = call.send().await.context("the worker's API did not answer")?;
            let status = answer.status();
            if !matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
                return Ok(Answer { status, body: answer.json().await.unwrap_or_default(), repeated: tried > 0 });
            }
            tokio::time::sleep(PAUSE).await;
        }
        bail!("the worker's API is too busy")
    }

    /// Sends a request; `again` when it should be known already.
    async fn submit(&self, number: usize, planned: &Planned, again: bool) -> anyhow::Result<()> {
        let channel = CHANNELS[number % CHANNELS.len()];
        let body = json!({"process": planned.process, "payload": planned.payload, "channel": channel});
        let answer = self.post("/v1/requests", Some(&key(number)), &body).await?;
        let expected = if again { StatusCode::OK } else { StatusCode::ACCEPTED };
        // What was told to come back later may have been taken all the same: then it is known.
        if answer.status != expected && !(answer.repeated && answer.status == StatusCode::OK) {
            let (key, process, Answer { status, body, .. }) = (key(number), &planned.process, answer);
            bail!("request {key} ({process}) was answered with {status} instead of {expected}: {body}");
        }
        Ok(())
    }

    /// Sends a request that lacks a field, as a front end in development does.
    pub(super) async fn send_a_slip(&self, requests: &[Planned], show: &Show) -> anyhow::Result<()> {
        let Some(planned) = requests.iter().find(|planned| planned.process == "card_unbind") else { return Ok(()) };
        let mut payload = planned.payload.clone();
        if let Value::Object(fields) = &mut payload {
            fields.remove("selfie");
        }
        let body = json!({"process": planned.process, "payload": payload});
        let Answer { status, body: answer, .. } = self.post("/v1/requests", Some("demo-slip"), &body).await?;
        let why = answer.pointer("/errors/0/message").or_else(|| answer.get("detail")).and_then(Value::as_str);
        show.say(&format!("a front end forgot a field: {} ({})", status.as_u16(), why.unwrap_or_default()));
        Ok(())
    }

    /// One customer who was sent a code and does not react takes the request back.
    pub(super) async fn withdraw_one(&self, engine: &Engine, requests: &[Planned], show: &Show) -> anyhow::Result<()> {
        let waiting = RequestFilter {
            processes: vec!["phone_change".into()],
            states: vec!["waiting".into()],
            step: Some("sms_code".into()),
            ..RequestFilter::default()
        };
        let mut rows = engine.store().requests(&waiting, None, 200).await?;
        rows.retain(|row| number(&row.message).and_then(|at| requests.get(at)).is_some_and(|sent| sent.road == Road::Waiting));
        // The oldest of them, and not the only one: somebody should be seen waiting at the end.
        let Some(row) = rows.last().filter(|_| rows.len() > 1) else { return Ok(()) };
        let answer = self.post(&format!("/v1/requests/{}/withdraw", row.id), None, &json!({})).await?;
        if answer.status.is_success() {
            show.say("a customer who got no code takes the request back: what was done is undone");
        } else {
            show.say(&format!("a customer could not take a request back: {}", answer.body));
        }
        Ok(())
    }
}

/// Requests on their way to the API.
#[derive(Default)]
pub(super) struct Sending {
    calls: JoinSet<anyhow::Result<()>>,
    repeated: u64,
}

impl Sending {
    /// Sends a request without waiting for the answer, as long as not too many are on their way.
    pub(super) async fn send(&mut self, sender: &Arc<Sender>, number: usize, planned: Planned) -> anyhow::Result<()> {
        while self.calls.len() >= AT_ONCE {
            self.one().await?;
        }
        let twice = number % TWICE_EVERY == TWICE_EVERY / 2;
        self.repeated += u64::from(twice);
        let sender = sender.clone();
        self.calls.spawn(async move {
            sender.submit(number, &planned, false).await?;
            if twice { sender.submit(number, &planned, true).await } else { Ok(()) }
        });
        Ok(())
    }

    /// Waits for all answers; how many were sent twice.
    pub(super) async fn finish(mut self) -> anyhow::Result<u64> {
        while !self.calls.is_empty() {
            self.one().await?;
        }
        Ok(self.repeated)
    }

    async fn one(&mut self) -> anyhow::Result<()> {
        match self.calls.join_next().await {
            Some(answer) => answer.context("a call was cut off")?,
            None => Ok(()),
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use axum::Router;
    use axum::routing::post;
    use tokio::net::TcpListener;

    use super::*;
    use crate::sandbox::World;

    /// A worker's API that gives these answers to submissions, one after the other.
    async fn answering(answers: &'static [StatusCode]) -> Sender {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(AtomicUsize::new(0));
        let answer = async move || answers[asked.fetch_add(1, Ordering::Relaxed)];
        tokio::spawn(axum::serve(listener, Router::new().route("/v1/requests", post(answer))).into_future());
        Sender { http: Client::builder().no_proxy().build().unwrap(), url, token: "t".into() }
    }

    #[tokio::test]
    async fn who_is_told_to_come_back_later_may_have_been_heard() {
        let planned = &World::generate(1, 1).requests[0];
        let slow = answering(&[StatusCode::SERVICE_UNAVAILABLE, StatusCode::OK]).await;
        slow.submit(0, planned, false).await.unwrap();
        let known = answering(&[StatusCode::OK]).await;
        let error = known.submit(0, planned, false).await.unwrap_err();
        assert!(error.to_string().contains("answered with 200 OK instead of 202 Accepted"), "{error}");
    }

    #[test]
    fn a_stream_is_watchable_and_short() {
        assert_eq!(pace(1), LONGEST);
        assert_eq!(pace(200), Duration::from_millis(60));
        assert_eq!(pace(1_000), Duration::from_millis(12));
        assert_eq!(pace(100_000), SHORTEST);
    }

    #[test]
    fn customers_come_at_random_where_there_is_time() {
        let over = Some(Duration::from_mins(10));
        assert_eq!(pause(200, None, 0.5), Duration::from_millis(60));
        assert_eq!((pause(60, over, 0.0), pause(60, over, 1.0)), (Duration::ZERO, Duration::from_secs(50)));
        let all: Duration = (0..1000).map(|at| pause(1000, over, f64::from(at) / 1000.0)).sum();
        assert!((590..=610).contains(&all.as_secs()), "{all:?}");
    }

    #[test]
    fn keys_have_numbers() {
        assert_eq!((key(0).as_str(), number(&key(41)), number("demo-slip"), number("demo-0")), ("demo-1", Some(41), None, None));
    }
}
