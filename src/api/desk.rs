//! The interface for the console: the same operations, permissions and masks as over HTTP, asked inside the program.
//!
//! Pages must never show or do more than a token with the same roles could. Instead of promising that in two places, a page
//! has no other way to requests, reviews and groups than this one: a call goes through the whole router, and the only
//! difference to a stranger's is that who asks is known from a session and not from a bearer token.

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tower::ServiceExt as _;

use super::auth::Caller;
use crate::engine::ports::sessions::Person;

/// The largest answer that is read.
const MOST: usize = 16 * 1024 * 1024;

/// A way to the interface for somebody who is signed in.
#[derive(Clone, Debug)]
pub struct Desk {
    router: Router,
}

/// Why a call was refused: a problem, read back.
#[derive(Debug, Clone, Deserialize)]
pub struct Refused {
    /// The HTTP status.
    pub status: u16,
    /// The kind: `/problems/stale`.
    #[serde(rename = "type", default)]
    pub kind: String,
    /// The kind in a few words.
    #[serde(default)]
    pub title: String,
    /// This occurrence, and how to mend it.
    #[serde(default)]
    pub detail: String,
    /// To be named when asking for help.
    #[serde(default)]
    pub request_id: Option<String>,
    /// Other members, such as `current`.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

impl Refused {
    /// The last part of the kind's address: `stale`.
    #[must_use]
    pub fn code(&self) -> &str {
        self.kind.rsplit('/').next().unwrap_or("")
    }

    fn internal(why: &str) -> Refused {
        tracing::error!(why, "the console could not ask the interface");
        Refused {
            status: 500,
            kind: "/problems/internal".to_owned(),
            title: String::new(),
            detail: String::new(),
            request_id: None,
            more: Map::new(),
        }
    }
}

/// What was answered.
#[derive(Debug, Clone)]
pub struct Reply<T> {
    /// The status, a success.
    pub status: StatusCode,
    /// The body.
    pub body: T,
}

impl Desk {
    /// A desk in front of the interface's router.
    #[must_use]
    pub fn new(router: Router) -> Desk {
        Desk { router }
    }

    /// Reads.
    ///
    /// # Errors
    /// What the interface refused.
    pub async fn get<T: DeserializeOwned>(&self, person: &Person, address: &str) -> Result<T, Refused> {
        self.call(person, Method::GET, address, None, "").await.map(|reply| reply.body)
    }

    /// Acts.
    ///
    /// # Errors
    /// What the interface refused.
    pub async fn post(&self, person: &Person, address: &str, body: &Value) -> Result<Reply<Value>, Refused> {
        self.call(person, Method::POST, address, Some(body), "").await
    }

    /// Acts; the same key makes a repetition safe.
    ///
    /// # Errors
    /// What the interface refused.
    pub async fn post_once(&self, person: &Person, address: &str, body: &Value, key: &str) -> Result<Reply<Value>, Refused> {
        self.call(person, Method::POST, address, Some(body), key).await
    }

    /// Removes.
    ///
    /// # Errors
    /// What the interface refused.
    pub async fn delete(&self, person: &Person, address: &str) -> Result<(), Refused> {
        self.call::<Value>(person, Method::DELETE, address, None, "").await.map(drop)
    }

    async fn call<T: DeserializeOwned>(
        &self,
        person: &Person,
        method: Method,
        address: &str,
        body: Option<&Value>,
        key: &str,
    ) -> Result<Reply<T>, Refused> {
        let mut request = Request::builder().method(method).uri(address).extension(Caller::signed_in(person));
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        if !key.is_empty() {
            request = request.header("idempotency-key", key);
        }
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        let request = request.body(body).map_err(|_| Refused::internal("an address is not well formed"))?;
        let response = match self.router.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
        let status = response.status();
        let bytes = axum::body::to_bytes(response.into_body(), MOST).await.map_err(|_| Refused::internal("a large answer"))?;
        if !status.is_success() {
            return Err(serde_json::from_slice(&bytes).unwrap_or_else(|_| Refused::internal("an unreadable problem")));
        }
        let bytes = if bytes.is_empty() { &b"null"[..] } else { &bytes };
        match serde_json::from_slice(bytes) {
            Ok(body) => Ok(Reply { status, body }),
            Err(error) => Err(Refused::internal(&format!("an answer has another form: {error}"))),
        }
    }
}
