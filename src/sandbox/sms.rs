//! A text message service under `/sms`, with the customers who receive the messages.
//!
//! Sending gives a one-time code to a phone. The "customer" behind the number then types it into the app, which calls
//! `callback_url`: after a while, never, twice, or with the wrong code, as scripted for that number. Checking a code is
//! a separate call, so that the code itself never has to be known to whoever sent the message.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use axum::{
    Extension, Router,
    body::Bytes,
    extract::{Path, Query, State},
    http::StatusCode,
    routing::{get, post},
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::{
    answer::Answer,
    state::{Arrived, Core, Shared, System, parse},
};

/// Messages remembered; older ones are forgotten.
const MAX_MESSAGES: usize = 100_000;
/// How often an app repeats a call that fails, and the first pause between two tries.
const TRIES: u32 = 8;
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// What a customer types in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Said {
    /// The code that was sent.
    Right,
    /// Another code.
    Wrong,
    /// Exactly this.
    Text(String),
}

/// One reaction of a customer to a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// Milliseconds after the message (after the previous reply for the second and later ones).
    pub after_ms: u64,
    /// What is typed in.
    pub code: Said,
}

impl Reply {
    /// The right code after so many milliseconds.
    pub fn right(after_ms: u64) -> Self {
        Self { after_ms, code: Said::Right }
    }

    /// A wrong code after so many milliseconds.
    pub fn wrong(after_ms: u64) -> Self {
        Self { after_ms, code: Said::Wrong }
    }
}

/// A message that was sent.
#[derive(Debug, Clone, Serialize)]
pub struct Message {
    /// Id of the message.
    pub message_id: u64,
    /// Phone number.
    pub to: String,
    /// Template named by the sender.
    pub template: String,
    /// The one-time code in it.
    pub code: String,
    /// Where the customer's app reports the code; empty: nowhere.
    pub callback_url: String,
    /// Status of each call to that address that got an answer, in order.
    pub callbacks: Vec<u16>,
}

/// Messages and the habits of those who receive them.
#[derive(Debug)]
pub struct SmsBook {
    messages: VecDeque<Message>,
    next_id: u64,
    /// Phone → the code that is valid now.
    codes: HashMap<String, String>,
    /// Phone → replies, in order; an empty list: never.
    habits: HashMap<String, Vec<Reply>>,
    /// What customers without a habit do.
    pub(super) default: Vec<Reply>,
}

impl Default for SmsBook {
    fn default() -> Self {
        Self {
            messages: VecDeque::new(),
            next_id: 1,
            codes: HashMap::new(),
            habits: HashMap::new(),
            default: vec![Reply::right(50)],
        }
    }
}

impl SmsBook {
    /// Scripts the customer behind a number; an empty list: no reaction.
    pub fn script(&mut self, phone: impl Into<String>, replies: Vec<Reply>) {
        self.habits.insert(phone.into(), replies);
    }

    /// The messages remembered for a number, oldest first.
    pub fn messages_to(&self, phone: &str) -> Vec<Message> {
        self.messages.iter().filter(|message| message.to == phone).cloned().collect()
    }

    fn send(&mut self, send: Send) -> (Message, Vec<Reply>) {
        let message_id = self.next_id;
        self.next_id += 1;
        let message = Message {
            message_id,
            code: code(&send.to, message_id),
            to: send.to,
            template: send.template,
            callback_url: send.callback_url.unwrap_or_default(),
            callbacks: Vec::new(),
        };
        self.codes.insert(message.to.clone(), message.code.clone());
        if self.messages.len() >= MAX_MESSAGES {
            self.messages.pop_front();
        }
        self.messages.push_back(message.clone());
        let replies = self.habits.get(&message.to).unwrap_or(&self.default).clone();
        (message, replies)
    }

    fn called_back(&mut self, message_id: u64, status: u16) {
        if let Some(message) = self.messages.iter_mut().rev().find(|message| message.message_id == message_id) {
            message.callbacks.push(status);
        }
    }
}

/// Six digits that depend on the number and the message only.
fn code(to: &str, message_id: u64) -> String {
    let digest = Sha256::digest(format!("{to}#{message_id}"));
    let number = digest.iter().take(4).fold(0_u32, |number, byte| (number << 8) | u32::from(*byte));
    format!("{:06}", number % 1_000_000)
}

/// Another code of six digits.
fn wrong(code: &str) -> String {
    code.chars().map(|digit| if digit == '9' { '0' } else { '9' }).collect()
}

/// The routes, without the `/sms` prefix.
pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/health", get(async || Answer::ok(&json!({"status": "up"}))))
        .route("/send", post(send))
        .route("/check", post(check))
        .route("/cancel", post(cancel))
        .route("/codes/{to}", get(codes))
        .route("/messages", get(messages))
}

#[derive(Deserialize)]
struct Send {
    to: String,
    #[serde(default)]
    template: String,
    callback_url: Option<String>,
}

async fn send(State(shared): State<Arc<Shared>>, Extension(call): Extension<Arrived>, body: Bytes) -> Answer {
    let send: Send = match parse(&body) {
        Ok(send) => send,
        Err(answer) => return answer,
    };
    let to = send.to.clone();
    let later = Arc::clone(&shared);
    shared.effect(System::Sms, &call, "sms", &to, |core: &mut Core| {
        let (message, replies) = core.sms.send(send);
        let answer = json!({"message_id": message.message_id, "to": message.to, "status": "sent"});
        if !message.callback_url.is_empty() && !replies.is_empty() {
            later.tasks.spawn(react(Arc::clone(&later), message, replies));
        }
        Answer { status: StatusCode::ACCEPTED, ..Answer::applied(&answer) }
    })
}

/// Plays the customer: waits, types, and lets the app repeat the call until it is heard.
async fn react(shared: Arc<Shared>, message: Message, replies: Vec<Reply>) {
    let work = async {
        for reply in replies {
            tokio::time::sleep(Duration::from_millis(reply.after_ms)).await;
            let code = match reply.code {
                Said::Right => message.code.clone(),
                Said::Wrong => wrong(&message.code),
                Said::Text(text) => text,
            };
            call_back(&shared, &message, &code).await;
        }
    };
    tokio::select! {
        () = shared.stop.cancelled() => {}
        () = work => {}
    }
}

async fn call_back(shared: &Shared, message: &Message, code: &str) {
    let mut pause = FIRST_PAUSE;
    for _ in 0..TRIES {
        match shared.http.post(&message.callback_url).json(&json!({"code": code})).send().await {
            Ok(response) => {
                let status = response.status();
                shared.core().sms.called_back(message.message_id, status.as_u16());
                if !status.is_server_error() && status != StatusCode::TOO_MANY_REQUESTS {
                    return;
                }
            }
            Err(error) => tracing::debug!(%error, "sandbox customer could not call back"),
        }
        tokio::time::sleep(pause).await;
        pause *= 2;
    }
}

#[derive(Deserialize)]
struct Check {
    to: String,
    code: String,
}

/// Says whether the code is the valid one. Repeating the question changes nothing.
async fn check(State(shared): State<Arc<Shared>>, body: Bytes) -> Answer {
    let check: Check = match parse(&body) {
        Ok(check) => check,
        Err(answer) => return answer,
    };
    let valid = shared.core().sms.codes.get(&check.to).is_some_and(|code| *code == check.code);
    Answer::ok(&json!({"to": check.to, "valid": valid}))
}

#[derive(Deserialize)]
struct To {
    to: String,
}

/// Voids the code that was sent to a number: the reverse of sending.
async fn cancel(State(shared): State<Arc<Shared>>, Extension(call): Extension<Arrived>, body: Bytes) -> Answer {
    let To { to } = match parse(&body) {
        Ok(to) => to,
        Err(answer) => return answer,
    };
    shared.effect(System::Sms, &call, "sms_cancel", &to, |core| {
        core.sms.codes.remove(&to);
        Answer::applied(&json!({"to": to, "status": "cancelled"}))
    })
}

/// Whether a code is valid for a number, without telling it.
async fn codes(State(shared): State<Arc<Shared>>, Path(to): Path<String>) -> Answer {
    let active = shared.core().sms.codes.contains_key(&to);
    Answer::ok(&json!({"to": to, "active": active}))
}

/// The messages to a number, codes included: for tests and demonstrations only.
async fn messages(State(shared): State<Arc<Shared>>, Query(To { to }): Query<To>) -> Answer {
    let items = shared.core().sms.messages_to(&to);
    Answer::ok(&json!({"items": items}))
}
