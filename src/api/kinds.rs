//! The kinds of problems, with a text for each that says how to mend it: what `type` leads to.

use axum::Json;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::extract::InPath;
use super::problem::Problem;

/// A kind of problem.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Kind {
    /// Its stable word.
    pub(super) code: &'static str,
    /// The HTTP status that it comes with.
    pub(super) status: u16,
    /// The kind in a few words.
    pub(super) title: &'static str,
    /// How to mend it.
    pub(super) mend: &'static str,
}

impl Kind {
    /// Where it is explained.
    pub(super) fn path(&self) -> String {
        format!("/problems/{}", self.code)
    }
}

macro_rules! kinds {
    ($($name:ident = $code:literal, $status:literal, $title:literal, $mend:literal;)*) => {
        $(pub(super) const $name: Kind = Kind { code: $code, status: $status, title: $title, mend: $mend };)*
        /// All of them.
        pub(super) const ALL: &[&Kind] = &[$(&$name),*];
    };
}

kinds! {
    BAD_JSON = "bad-json", 400, "The body is not JSON", "Send one JSON text in UTF-8, without repeated names in an object and without a byte order mark, and nested at most 68 levels deep.";
    BAD_QUERY = "bad-query", 400, "The query is not understood", "Leave out query parameters that the operation does not have, and write each value as /openapi.json describes it.";
    BAD_ID = "bad-id", 400, "The path holds no such kind of id", "Ids are UUIDs, names are snake_case; copy them from an earlier answer.";
    KEY_MISSING = "idempotency-key", 400, "An Idempotency-Key in the right form is needed", "Send the header Idempotency-Key with a value of your own, 1 to 200 visible ASCII characters, new for each request and the same for each retry: it is what makes a retry safe.";
    TOKEN = "token", 401, "No valid token", "Send `Authorization: Bearer mz_…` with a token that has neither expired nor been revoked; an admin makes one with `mozhao token create`.";
    FORBIDDEN = "forbidden", 403, "The token may not do this", "Use a token that has one of the roles named in `detail`.";
    NOT_FOUND = "not-found", 404, "Not found", "Check the address and the id. What a token may not see looks the same as what does not exist.";
    METHOD = "method-not-allowed", 405, "The address has no such method", "The header Allow lists the methods that it has.";
    SLOW_BODY = "slow-body", 408, "The body did not come in time", "Send the whole body within fifteen seconds.";
    KEY_CONFLICT = "key-conflict", 409, "The Idempotency-Key was used for something else", "A key stands for one body. Use a new key for a new request; `request` is the one that the key belongs to.";
    NOT_APPLIED = "not-applied", 409, "It was not done", "The request's owner looked at it and said no, for the reason in `detail`; read the request again before another try.";
    ENDED = "ended", 409, "The request has ended", "An ended request does not change any more; send a new one.";
    STALE = "stale", 409, "It has changed since you looked", "`current` is how it is now; decide again on that, with its version.";
    EXISTS = "exists", 409, "There is one with this name already", "Choose another name.";
    OWN_TOKEN = "own-token", 409, "A token does not revoke itself", "Use another admin's token, so that nobody locks everyone out.";
    TOO_LARGE = "too-large", 413, "The body is too large", "Keep the body below the limit in `detail`; send large documents by reference.";
    MEDIA_TYPE = "media-type", 415, "The body is not marked as JSON", "Send `Content-Type: application/json`, in UTF-8 and without a Content-Encoding.";
    BAD_BODY = "bad-body", 422, "The body has another form", "Send the fields that /openapi.json describes for this operation, and no others.";
    SCHEMA = "schema", 422, "The payload does not fit the process", "`errors` lists what to change, place by place; the process's schema is at /v1/processes/{name}.";
    REJECTED = "rejected", 422, "The request was rejected", "`code` is a stable word and `detail` says what to change.";
    INVALID = "invalid", 422, "This cannot be done like that", "`detail` says what is missing or does not fit.";
    TAKEN = "taken", 423, "Somebody else holds it", "Wait until `current.claimed_until`, or take it over with `steal` and a note. Where four eyes are asked for, somebody else decides.";
    BUSY = "busy", 503, "Too many are waiting", "Too many streams are open, or too many new requests wait to be stored. Try again after Retry-After seconds, or poll with `?wait=`.";
    UNAVAILABLE = "unavailable", 503, "Not available at the moment", "Try again after Retry-After seconds, with the same Idempotency-Key.";
    TIMEOUT = "timeout", 503, "It took too long", "Nobody knows whether it was done: try again with the same Idempotency-Key.";
    INTERNAL = "internal", 500, "Something went wrong on our side", "Try again later; if it stays, report the `request_id`.";
}

/// A kind of problem, explained.
#[derive(Debug, Serialize, ToSchema)]
struct KindBody {
    /// Its stable word, the end of `type`.
    code: &'static str,
    /// The HTTP status that it comes with.
    status: u16,
    /// The kind in a few words.
    title: &'static str,
    /// How to mend it.
    mend: &'static str,
}

impl From<&Kind> for KindBody {
    fn from(kind: &Kind) -> KindBody {
        KindBody { code: kind.code, status: kind.status, title: kind.title, mend: kind.mend }
    }
}

/// All kinds of problems.
#[utoipa::path(get, path = "/problems", operation_id = "list_problems", tag = "meta", security(()), responses((status = 200, body = Vec<KindBody>)))]
async fn list() -> Response {
    Json(ALL.iter().map(|kind| KindBody::from(*kind)).collect::<Vec<_>>()).into_response()
}

/// One kind of problem: what a problem's `type` leads to.
#[utoipa::path(get, path = "/problems/{code}", operation_id = "show_problem", tag = "meta", security(()), params(("code" = String, Path, description = "The end of `type`")),
    responses((status = 200, body = KindBody)))]
async fn show(path: InPath) -> Result<Response, Problem> {
    let code = path.text("code")?;
    let kind = ALL.iter().find(|kind| kind.code == code).ok_or_else(|| Problem::not_found("this kind of problem"))?;
    Ok(Json(KindBody::from(*kind)).into_response())
}

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(show))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_own_word_a_status_and_a_way_out() {
        for (at, kind) in ALL.iter().enumerate() {
            assert!((400..600).contains(&kind.status), "{}", kind.code);
            assert!(!kind.mend.is_empty() && kind.mend.ends_with('.'), "{}", kind.code);
            assert!(ALL[at + 1..].iter().all(|other| other.code != kind.code), "{} twice", kind.code);
        }
    }
}
