//! The way of every call through the sandbox: recorded on arrival, hit by a scripted trouble or not, recorded at its end.
//!
//! What takes care: an effect must take place exactly as the script says even when the caller has gone (a dropped
//! connection drops the handler), and no wait may outlive the sandbox.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    body::{Body, to_bytes},
    extract::{ConnectInfo, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures_util::stream;
use sha2::{Digest, Sha256};

use super::{
    answer::{Answer, Did},
    bodies::{bomb, huge, json, rename, retype},
    faults::Trouble,
    ledger::Ending,
    socket::Cut,
    state::{Arrived, Shared},
};

/// Bodies above this are refused, and answers above it are never rewritten.
const MAX_BODY: usize = 1 << 20;
/// The longest that a hanging call is held when its caller does not leave: no socket is kept for ever.
const MAX_HANG: Duration = Duration::from_mins(10);

/// Records the call and sends it through the trouble that a rule has for it.
pub(super) async fn pass(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let Ok(bytes) = to_bytes(body, MAX_BODY).await else {
        return Answer::new(StatusCode::PAYLOAD_TOO_LARGE, &serde_json::json!({"error": "body_too_large"})).into_response();
    };
    let method = parts.method.as_str().to_owned();
    let path = parts.uri.path().to_owned();
    let key = header_text(&parts.headers, "idempotency-key");
    let digest = if bytes.is_empty() { String::new() } else { hex::encode(Sha256::digest(&bytes)) };
    let seq = shared.ledger().arrive(shared.now_us(), &method, &path, key.as_deref(), digest);
    let trouble = shared.faults().pick(&method, &path);
    let mut fingerprint = Sha256::new();
    fingerprint.update(&method);
    fingerprint.update([0]);
    fingerprint.update(&path);
    fingerprint.update([0]);
    fingerprint.update(&bytes);
    parts.extensions.insert(Arrived { key, fingerprint: fingerprint.finalize().into() });
    let cut = parts.extensions.get::<ConnectInfo<Cut>>().map(|info| info.0.clone());
    let call = Call { seq, fault: trouble.as_ref().map(Trouble::name), shared, cut };
    let request = Request::from_parts(parts, Body::from(bytes));
    match trouble {
        None => {
            let response = next.run(request).await;
            call.answered(response)
        }
        Some(trouble) => call.meet(trouble, request, next).await,
    }
}

fn header_text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(ToOwned::to_owned)
}

/// A recorded call on its way.
struct Call {
    seq: u64,
    fault: Option<&'static str>,
    shared: Arc<Shared>,
    cut: Option<Cut>,
}

impl Call {
    /// Records the end of the call.
    fn end(&self, status: Option<StatusCode>, did: Did) {
        let ending = Ending {
            status: status.map(|status| status.as_u16()),
            applied: did.applied,
            replayed: did.replayed,
            fault: self.fault,
        };
        self.shared.ledger().end(self.seq, self.shared.now_us(), ending);
    }

    fn answered(&self, response: Response) -> Response {
        self.end(Some(response.status()), did(&response));
        response
    }

    async fn meet(self, trouble: Trouble, request: Request, next: Next) -> Response {
        match trouble {
            Trouble::Status { status, retry_after_s } => {
                let mut response = failure(status);
                if let Some(seconds) = retry_after_s {
                    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
                }
                self.answered(response)
            }
            Trouble::ApplyThenStatus { status } => {
                let did = did(&next.run(request).await);
                let response = failure(status);
                self.end(Some(response.status()), did);
                response
            }
            Trouble::ApplyThenHang { answer_after_ms } => {
                let response = next.run(request).await;
                if let Some(ms) = answer_after_ms {
                    self.end(Some(response.status()), did(&response));
                    self.sleep(Duration::from_millis(ms)).await;
                    response
                } else {
                    self.end(None, did(&response));
                    self.hang().await
                }
            }
            Trouble::ApplyThenReset => {
                self.end(None, did(&next.run(request).await));
                self.reset().await
            }
            Trouble::ApplyLate { ms } => self.apply_late(ms, request, next).await,
            Trouble::Hang => {
                self.end(None, Did::default());
                self.hang().await
            }
            Trouble::Reset => {
                self.end(None, Did::default());
                self.reset().await
            }
            Trouble::Delay { ms } => {
                self.sleep(Duration::from_millis(ms)).await;
                let response = next.run(request).await;
                self.answered(response)
            }
            Trouble::Html => {
                const PAGE: &str = "<!doctype html><title>Sign in</title><p>Please sign in to continue.";
                self.answered(typed("text/html; charset=utf-8", PAGE.into()))
            }
            Trouble::Huge { bytes } => self.answered(typed("application/json", huge(bytes))),
            Trouble::GzipBomb { bytes } => {
                let mut response = typed("application/json", bomb(bytes));
                response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
                self.answered(response)
            }
            Trouble::Redirect { to } => {
                let mut response = StatusCode::FOUND.into_response();
                let to = HeaderValue::from_str(&to).unwrap_or(HeaderValue::from_static("/"));
                response.headers_mut().insert(header::LOCATION, to);
                self.answered(response)
            }
            Trouble::Truncated
            | Trouble::EmptyBody
            | Trouble::Trickle { .. }
            | Trouble::Rename { .. }
            | Trouble::Retype { .. } => {
                let response = next.run(request).await;
                let response = self.answered(response);
                self.rewrite(trouble, response).await
            }
        }
    }

    /// Lets the effect happen later, on a task of its own: the caller may hang up, the effect comes all the same.
    async fn apply_late(self, ms: u64, request: Request, next: Next) -> Response {
        let tasks = self.shared.tasks.clone();
        let work = tasks.spawn(async move {
            self.sleep(Duration::from_millis(ms)).await;
            let response = next.run(request).await;
            self.answered(response)
        });
        work.await.unwrap_or_else(|_| failure(500))
    }

    /// Changes the body of an answer that was made.
    async fn rewrite(&self, trouble: Trouble, response: Response) -> Response {
        let (mut parts, body) = response.into_parts();
        parts.headers.remove(header::CONTENT_LENGTH);
        let bytes = to_bytes(body, MAX_BODY).await.unwrap_or_default();
        let body = match trouble {
            Trouble::Truncated => Body::from(bytes.slice(..bytes.len() / 2)),
            Trouble::EmptyBody => Body::empty(),
            Trouble::Trickle { ms_per_byte } => self.trickle(bytes, Duration::from_millis(ms_per_byte)),
            Trouble::Rename { field, to } => json(&bytes, |value| rename(value, &field, &to)),
            Trouble::Retype { field } => json(&bytes, |value| retype(value, &field)),
            _ => Body::from(bytes),
        };
        Response::from_parts(parts, body)
    }

    fn trickle(&self, bytes: Bytes, pause: Duration) -> Body {
        let stop = self.shared.stop.clone();
        Body::from_stream(stream::unfold((bytes, stop), move |(mut rest, stop)| async move {
            if rest.is_empty() {
                return None;
            }
            let byte = rest.split_to(1);
            tokio::select! {
                () = stop.cancelled() => None,
                () = tokio::time::sleep(pause) => Some((Ok::<_, Infallible>(byte), (rest, stop))),
            }
        }))
    }

    async fn sleep(&self, time: Duration) {
        tokio::select! {
            () = self.shared.stop.cancelled() => {}
            () = tokio::time::sleep(time) => {}
        }
    }

    /// Never answers, as far as the caller can tell.
    async fn hang(&self) -> Response {
        self.sleep(MAX_HANG).await;
        failure(504)
    }

    /// Resets the connection; on a server whose connections cannot be cut it hangs instead.
    async fn reset(&self) -> Response {
        if let Some(cut) = &self.cut {
            cut.cut();
        }
        self.hang().await
    }
}

fn did(response: &Response) -> Did {
    response.extensions().get::<Did>().copied().unwrap_or_default()
}

fn failure(status: u16) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    Answer::new(status, &serde_json::json!({"error": "scripted_trouble"})).into_response()
}

fn typed(content_type: &'static str, body: Body) -> Response {
    let mut response = Response::new(body);
    response.headers_mut().insert(HeaderName::from_static("content-type"), HeaderValue::from_static(content_type));
    response
}
