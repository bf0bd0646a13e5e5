//! The remote systems of the stories: one file, so that they outlive the process that calls them.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use mozhao::domain::request::fact::FailureClass;
use mozhao::engine::clock::SystemClock;
use mozhao::engine::ports::clock::Clock as _;
use mozhao::engine::ports::remote::{Answer, BreakerSettings, Failure, Remote, RemoteCall};
use serde_json::json;

use crate::points::append;

/// A target that is a file: a line for each effect that took place.
pub(crate) struct Target(pub(crate) PathBuf);

impl Target {
    fn lines(&self) -> Vec<String> {
        fs::read_to_string(&self.0).unwrap_or_default().lines().map(str::to_owned).collect()
    }

    /// How often the effect took place.
    pub(crate) fn calls(&self, step: &str) -> usize {
        self.lines().iter().filter(|line| line.split(' ').next() == Some(step)).count()
    }

    /// How often the effect stands.
    pub(crate) fn standing(&self, step: &str) -> i32 {
        let count = |slot: &str| self.lines().iter().filter(|line| line.split(' ').next() == Some(slot)).count();
        i32::try_from(count(step)).unwrap() - i32::try_from(count(&format!("undo.{step}"))).unwrap()
    }
}

/// It is done, or not, and nobody hears of it.
fn failure(class: FailureClass, code: &'static str, status: Option<u16>) -> Failure {
    Failure { class, code, status, detail: "the line broke".to_owned(), retry_after: None }
}

impl Target {
    /// It takes place, unless its key is known; true where it is the first of its step. Two processes may call at once: a target that
    /// recognises keys looks and acts in one.
    fn take(&self, slot: &str, key: Option<&str>) -> bool {
        let whole = fs::File::create(self.0.with_extension("lock")).unwrap();
        whole.lock().unwrap();
        let (lines, line) = (self.lines(), format!("{slot} {}", key.unwrap_or("-")));
        if key.is_none() || !lines.contains(&line) {
            append(&self.0, &line);
        }
        !lines.iter().any(|line| line.split(' ').next() == Some(slot))
    }

    fn read(&self, slot: &str) -> Result<serde_json::Value, Failure> {
        Ok(match slot {
            "funds" => json!({ "ok": true }),
            "risk" => json!({ "score": 0.5 }),
            "done_when" => json!({ "there": self.standing("tell") > 0 }),
            "lookup" => {
                // Away for two attempts: as many as the step has.
                append(&self.0, "lookup -");
                if self.lines().iter().filter(|line| line.starts_with("lookup ")).count() <= 2 {
                    return Err(failure(FailureClass::Transient, "connect", None));
                }
                json!({ "known": true })
            }
            other => json!({ "there": self.standing(other.rsplit('.').next().unwrap_or(other)) > 0 }),
        })
    }
}

#[async_trait]
impl Remote for Target {
    async fn call(&self, call: &RemoteCall) -> Result<Answer, Failure> {
        let answer = |status, body: String| Ok(Answer { status, body: Bytes::from(body), value: None });
        if !call.effect {
            return answer(200, self.read(&call.slot)?.to_string());
        }
        if call.until.is_some_and(|until| SystemClock.steady() >= until) {
            // As a connector does: a process that was frozen on the way to the wire does not begin the call.
            return Err(failure(FailureClass::Transient, "late", None));
        }
        match &*call.slot {
            // Its target says no, and does not do it.
            "send" => return answer(422, "{}".to_owned()),
            // What version 1 asks for is a mistake of ours.
            "run" if call.path == "/run-1" => return Err(failure(FailureClass::Broken, "status", Some(418))),
            _ => {}
        }
        let first = self.take(&call.slot, call.key.as_deref());
        if call.slot.ends_with("book") && first {
            // It is done, and nobody hears of it.
            return Err(failure(FailureClass::Unknown, "reset", None));
        }
        answer(200, "{}".to_owned())
    }

    fn timeout(&self, _connector: &str) -> Duration {
        Duration::from_millis(300)
    }

    fn key_window(&self, connector: &str) -> Option<Duration> {
        (connector == "bank").then(|| Duration::from_hours(24))
    }

    fn breaker(&self, _connector: &str) -> BreakerSettings {
        BreakerSettings { open_for: Duration::from_millis(400), ..BreakerSettings::default() }
    }

    fn names(&self) -> Vec<String> {
        ["bank", "registry", "post", "away"].map(str::to_owned).to_vec()
    }
}
