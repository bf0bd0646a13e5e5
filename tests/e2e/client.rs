//! A caller of the HTTP API.

use std::time::Duration;

use serde_json::{Value, json};

use super::broker::Message;

/// Somebody with a token, at one worker.
#[derive(Debug, Clone)]
pub struct Client {
    base: String,
    token: String,
    http: reqwest::Client,
}

impl Client {
    pub fn new(port: u16, token: &str) -> Client {
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(70)).build().unwrap();
        Client { base: format!("http://127.0.0.1:{port}"), token: token.to_owned(), http }
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
        body["id"].as_str().expect("an id").to_owned()
    }

    /// Submits a message as a request, under its own key; whether it was confirmed.
    pub async fn tries(&self, message: &Message) -> bool {
        let payload: Value = serde_json::from_slice(&message.body).unwrap();
        let call = self.http.post(format!("{}/v1/requests", self.base)).bearer_auth(&self.token);
        let call = call.header("Idempotency-Key", message.key().1).json(&json!({"process": message.process, "payload": payload}));
        call.send().await.is_ok_and(|answer| matches!(answer.status().as_u16(), 200 | 202))
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
