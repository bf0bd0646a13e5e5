//! What a handler answers: a status, JSON, and whether the call changed anything. The last is what the ledger wants
//! and what no caller may see, so it travels as a response extension.

use axum::{
    http::{HeaderValue, StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use serde_json::{Value, json};

/// An answer of one of the services.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
    pub(super) applied: bool,
    pub(super) replayed: bool,
}

/// What the call did, for the ledger.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Did {
    pub(super) applied: bool,
    pub(super) replayed: bool,
}

impl Answer {
    /// An answer that changed nothing.
    pub(super) fn new(status: StatusCode, body: &Value) -> Self {
        Self { status, body: body.to_string().into(), applied: false, replayed: false }
    }

    /// 200, nothing changed.
    pub(super) fn ok(body: &Value) -> Self {
        Self::new(StatusCode::OK, body)
    }

    /// 200, and the effect took place.
    pub(super) fn applied(body: &Value) -> Self {
        Self { applied: true, ..Self::ok(body) }
    }

    /// 404 with what is missing.
    pub(super) fn missing(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, &json!({"error": format!("no_such_{what}")}))
    }

    /// 409: a rule of the target forbids the effect; nothing changed.
    pub(super) fn conflict(error: &str) -> Self {
        Self::new(StatusCode::CONFLICT, &json!({"error": error}))
    }

    /// 422: the call makes no sense; nothing changed.
    pub(super) fn invalid(error: &str) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, &json!({"error": error}))
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut response = Response::new(self.body.into());
        *response.status_mut() = self.status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if self.replayed {
            response.headers_mut().insert("idempotency-replayed", HeaderValue::from_static("true"));
        }
        response.extensions_mut().insert(Did { applied: self.applied, replayed: self.replayed });
        response
    }
}
