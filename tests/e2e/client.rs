//! A caller of the HTTP API.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use super::broker::Message;

/// Every submission that was answered.
#[derive(Debug, Clone, Default)]
pub struct Posted(Arc<Mutex<Answered>>);

/// By sender and key: id, process, payload.
pub type Answered = BTreeMap<(String, String), (String, String, Value)>;

impl Posted {
    pub fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    pub fn all(&self) -> Answered {
        self.0.lock().unwrap().clone()
    }

    /// Another answer to the same key names the same request, whoever gives it.
    fn answered(&self, sender: &str, key: &str, id: &str, process: &str, payload: &Value) {
        let mut all = self.0.lock().unwrap();
        let new = (id.to_owned(), process.to_owned(), payload.clone());
        let known = all.entry((sender.to_owned(), key.to_owned())).or_insert_with(|| new.clone());
        assert_eq!(*known, new, "G1 {key} of {sender} was answered with two requests");
    }
}

/// Somebody with a token, at one worker.
#[derive(Debug, Clone)]
pub struct Client {
    base: String,
    token: String,
    name: String,
    posted: Posted,
    http: reqwest::Client,
}

impl Client {
    pub fn new(port: u16, token: &str) -> Client {
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(70)).build().unwrap();
        Client {
            base: format!("http://127.0.0.1:{port}"),
            token: token.to_owned(),
            http,
            name: String::new(),
            posted: Posted::default(),
        }
    }

    /// Who the token says that it is, and where what it submits is remembered.
    pub fn named(self, name: &str, posted: &Posted) -> Client {
        Client { name: name.to_owned(), posted: posted.clone(), ..self }
    }

    pub async fn get(&self, path: &str) -> (u16, Value) {
        Self::answer(self.http.get(format!("{}{path}", self.base)).bearer_auth(&self.token)).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        Self::answer(self.http.post(format!("{}{path}", self.base)).bearer_auth(&self.token).json(body)).await
    }

    /// Submits a request under this key; its id.
    pub async fn submit(&self, key: &str, process: &str, payload: &Value) -> String {
        let call = self.http.post(format!("{}/v1/requests", self.base)).bearer_auth(&self.token).header("Idempotency-Key", key);
        let (status, body) = Self::answer(call.json(&json!({"process": process, "payload": payload}))).await;
        assert!(matches!(status, 200 | 202), "{status} {body}");
        let id = body["id"].as_str().expect("an id").to_owned();
        self.posted.answered(&self.name, key, &id, process, payload);
        id
    }

    /// Submits a message as a request, under its own key; whether it was confirmed.
    pub async fn tries(&self, message: &Message) -> bool {
        let payload: Value = serde_json::from_slice(&message.body).unwrap();
        let call = self.http.post(format!("{}/v1/requests", self.base)).bearer_auth(&self.token);
        let call = call.header("Idempotency-Key", message.key().1).json(&json!({"process": message.process, "payload": payload}));
        let Ok(answer) = call.send().await else { return false };
        if !matches!(answer.status().as_u16(), 200 | 202) {
            return false;
        }
        // Without the whole answer nobody knows the request's id: it is sent again.
        let Ok(body) = answer.json::<Value>().await else { return false };
        let id = body["id"].as_str().expect("an id");
        self.posted.answered(&self.name, &message.key().1, id, &message.process, &payload);
        true
    }

    /// A page that is no JSON.
    pub async fn text(&self, path: &str) -> String {
        self.http.get(format!("{}{path}", self.base)).send().await.unwrap().text().await.unwrap()
    }

    async fn answer(call: reqwest::RequestBuilder) -> (u16, Value) {
        let response = call.send().await.expect("an answer");
        let status = response.status().as_u16();
        let text = response.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }
}
