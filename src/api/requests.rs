//! `/v1/requests`: send one, read one, list them.
//!
//! A front end that hears nothing must be able to send the same again: so the Idempotency-Key is mandatory, and who sent a key
//! before is answered with the request that it became, or told that the key was used for something else.

use std::time::Duration;

use axum::Json as Answer;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::Api;
use super::auth::Caller;
use super::extract::{InPath, Json, Key, Query, bad};
use super::facts::Reader;
use super::kinds;
use super::permit::Action;
use super::problem::{Fault, Problem, ProblemBody};
use super::request_view::{RequestBody, full, tried, waits_for_turn};
use crate::engine::ports::records::{RequestFilter, RequestRow};
use crate::engine::ports::store::StoreError;
use crate::engine::service::{Submission, Submitted};

/// The states of a request.
pub(super) const STATES: [&str; 9] =
    ["queued", "running", "waiting", "parked", "in_review", "done", "refused", "withdrawn", "expired"];

/// A request that is to be handled.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewRequest {
    /// The process that handles it.
    #[schema(example = "card_unbind")]
    process: String,
    /// What the process's schema asks for.
    #[schema(value_type = Object)]
    payload: Box<RawValue>,
    /// Where the customer asked: `web`, `app`, `call-centre` … Default: `http`.
    #[serde(default)]
    channel: Option<String>,
}

/// A page of requests.
#[derive(Debug, Serialize, ToSchema)]
struct RequestList {
    /// Newest first.
    items: Vec<RequestBody>,
    /// The next page's `cursor`; left out on the last page. One page looks at a bounded number of requests, so where few of many
    /// match, a page that is not the last may hold fewer than `limit`, or none.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<Uuid>,
}

/// How many of a customer's earlier requests are looked through for the one right before.
const MAX_BEFORE: usize = 50;

/// Why a message did not become a request.
#[derive(Debug)]
enum NotSubmitted {
    NoKey,
    Conflict(Option<Uuid>),
    Schema { detail: String, errors: Vec<Fault> },
    Rejected { code: String, detail: String },
}

impl From<NotSubmitted> for Problem {
    fn from(why: NotSubmitted) -> Problem {
        match why {
            NotSubmitted::NoKey => Problem::new(
                &kinds::KEY_MISSING,
                "send the header Idempotency-Key: an id of your own for this request, the same one when you send it again",
            ),
            NotSubmitted::Conflict(None) => Problem::new(
                &kinds::KEY_CONFLICT,
                "this Idempotency-Key came before with a message that was rejected; use a new key for the corrected one",
            ),
            NotSubmitted::Conflict(request) => {
                Problem::new(&kinds::KEY_CONFLICT, "this Idempotency-Key came before with another process or payload")
                    .with("request", request)
            }
            NotSubmitted::Schema { detail, errors } => Problem::new(&kinds::SCHEMA, detail).with_errors(errors),
            NotSubmitted::Rejected { code, detail } => match code.as_str() {
                "too_large" => Problem::new(&kinds::TOO_LARGE, detail),
                "bad_json" => Problem::new(&kinds::BAD_JSON, detail),
                _ => Problem::new(&kinds::REJECTED, detail).with("code", code),
            },
        }
    }
}

/// Sends a request.
///
/// The Idempotency-Key makes a repetition safe: the same key with the same body is answered with the same request.
#[utoipa::path(post, path = "/v1/requests", operation_id = "submit_request", tag = "requests", request_body = NewRequest,
    params(
        ("Idempotency-Key" = String, Header, description = "Your id of this request: 1 to 200 visible ASCII characters, the same for each retry"),
        ("wait" = Option<String>, Query, description = "Wait so long for the outcome: `30s`; at most 60s"),
    ),
    responses(
        (status = 202, description = "Accepted; Location is where to follow it", body = RequestBody),
        (status = 200, description = "This key and body came before; that request as it is now", body = RequestBody),
        (status = 404, description = "This key and body came before, and that request is kept no longer", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "The key came before with another body", body = ProblemBody, content_type = "application/problem+json"),
    ))]
async fn submit(
    State(api): State<Api>,
    caller: Caller,
    query: Query,
    Key(key): Key,
    headers: HeaderMap,
    Json(new): Json<NewRequest>,
) -> Result<Response, Problem> {
    caller.require(Action::Submit)?;
    let wait = query.wait(api.settings().max_wait)?;
    let key = key.ok_or(NotSubmitted::NoKey)?;
    if !caller.covers(&new.process) {
        let (code, detail) = ("unknown_process".to_owned(), "there is no such process for this token".to_owned());
        return Err(NotSubmitted::Rejected { code, detail }.into());
    }
    let channel = new.channel.unwrap_or_else(|| "http".to_owned());
    if channel.is_empty() || channel.len() > 64 || channel.chars().any(char::is_control) {
        return Err(Problem::new(&kinds::INVALID, "`channel` is 1 to 64 bytes without control characters"));
    }
    let payload = Bytes::from(new.payload.get().to_owned());
    let submission = Submission {
        producer: caller.name().to_owned(),
        message: Some(key),
        channel,
        process: new.process.clone(),
        payload: payload.clone().into(),
        reply_to: None,
        correlation: None,
        traceparent: traceparent(&headers),
    };
    let (status, id) = match api.store_new(submission).await? {
        Submitted::Accepted(id) => (StatusCode::ACCEPTED, id),
        Submitted::Duplicate(id) => (StatusCode::OK, id),
        Submitted::Conflict(id) => return Err(NotSubmitted::Conflict(id).into()),
        Submitted::Rejected { code, detail } => return Err(not_submitted(&api, &new.process, &payload, code, detail).into()),
    };
    let body = read(&api, &caller, id, wait).await?;
    let mut response = (status, Answer(body)).into_response();
    if let Ok(location) = HeaderValue::from_str(&format!("/v1/requests/{id}")) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

/// The engine says in one sentence what is wrong; a front end wants it place by place.
fn not_submitted(api: &Api, process: &str, payload: &[u8], code: String, detail: String) -> NotSubmitted {
    if code != "schema" {
        return NotSubmitted::Rejected { code, detail };
    }
    let process = api.engine().processes().latest(process);
    let value: Option<Value> = serde_json::from_slice(payload).ok();
    let faults = process.zip(value).and_then(|(process, value)| process.request.validate(&value).err()).unwrap_or_default();
    if faults.is_empty() {
        return NotSubmitted::Rejected { code, detail };
    }
    let errors = faults.into_iter().map(|fault| Fault { pointer: fault.pointer, message: fault.message }).collect();
    NotSubmitted::Schema { detail, errors }
}

/// W3C trace context, where it looks like one.
fn traceparent(headers: &HeaderMap) -> Option<String> {
    let text = headers.get("traceparent")?.to_str().ok()?;
    let fits = text.len() == 55 && text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    fits.then(|| text.to_owned())
}

/// One request.
#[utoipa::path(get, path = "/v1/requests/{id}", operation_id = "show_request", tag = "requests",
    params(
        ("id" = Uuid, Path, description = "The request"),
        ("wait" = Option<String>, Query, description = "Wait so long for the outcome: `30s`; at most 60s. How things stand is answered in any case"),
    ),
    responses((status = 200, body = RequestBody)))]
async fn show(State(api): State<Api>, caller: Caller, path: InPath, query: Query) -> Result<Response, Problem> {
    let id = path.id("id")?;
    let wait = query.wait(api.settings().max_wait)?;
    api.visible(&caller, id).await?;
    Ok(Answer(read(&api, &caller, id, wait).await?).into_response())
}

async fn read(api: &Api, caller: &Caller, id: Uuid, wait: Duration) -> Result<RequestBody, Problem> {
    if !wait.is_zero() {
        api.wait_for_end(id, wait).await?;
    }
    let loaded = api.engine().store().load(id).await?;
    let process = api.engine().processes().get(&loaded.row.process, loaded.row.version);
    let mut body = full(&loaded.row, &loaded.payload, &loaded.entries, process.as_deref(), caller.reader());
    body.tried = process.as_deref().filter(|_| caller.is_staff()).and_then(|process| tried(&loaded, process));
    body.waits_for = before(api, caller, &loaded.row).await?;
    Ok(body)
}

/// The request right before one that waits for its turn, where the caller may see it. Looked for among the same customer's,
/// newest first: nearly always that is who takes turns.
async fn before(api: &Api, caller: &Caller, row: &RequestRow) -> Result<Option<Uuid>, Problem> {
    let (Some(lane), Some(number)) = (&row.lane, row.lane_no.filter(|_| waits_for_turn(row))) else {
        return Ok(None);
    };
    let states = ["queued", "running", "waiting", "parked", "in_review"].map(str::to_owned).to_vec();
    let filter = RequestFilter { customer: Some(row.customer.clone()), states, ..RequestFilter::default() };
    let rows = api.engine().store().requests(&filter, Some(row.id), MAX_BEFORE).await?;
    let same = rows.iter().filter(|other| other.lane.as_ref() == Some(lane) && other.lane_no < Some(number));
    let nearest = same.max_by_key(|other| other.lane_no);
    Ok(nearest.filter(|other| caller.sees(other)).map(|other| other.id))
}

/// Requests, newest first.
#[utoipa::path(get, path = "/v1/requests", operation_id = "list_requests", tag = "requests",
    params(
        ("process" = Option<Vec<String>>, Query, description = "Of one of these processes"),
        ("state" = Option<Vec<String>>, Query, description = "In one of these states"),
        ("open" = Option<bool>, Query, description = "`true`: without an outcome yet"),
        ("customer" = Option<String>, Query, description = "Of this customer"),
        ("same_customer_as" = Option<Uuid>, Query, description = "Of the customer of this request, itself left out; for staff"),
        ("producer" = Option<String>, Query, description = "Sent by this producer"),
        ("message" = Option<String>, Query, description = "Made by the message with this id (or Idempotency-Key) of `producer`, which staff give together with it; found for 400 days"),
        ("reason" = Option<String>, Query, description = "With this reason"),
        ("parked" = Option<String>, Query, description = "Parked under this group"),
        ("step" = Option<String>, Query, description = "At this step"),
        ("after" = Option<String>, Query, description = "Accepted at this time or later (RFC 3339)"),
        ("before" = Option<String>, Query, description = "Accepted before this time (RFC 3339)"),
        ("cursor" = Option<Uuid>, Query, description = "`next` of the page before"),
        ("limit" = Option<u64>, Query, description = "1 to 200 rows; default 50"),
    ),
    responses((status = 200, body = RequestList)))]
async fn list(State(api): State<Api>, caller: Caller, query: Query) -> Result<Response, Problem> {
    caller.require(Action::ReadOwn)?;
    let (limit, cursor) = (query.limit()?, query.id("cursor")?);
    let nothing = || Answer(RequestList { items: Vec::new(), next: None }).into_response();
    let mut filter = filter(&query)?;
    let like = query.id("same_customer_as")?;
    if let Some(id) = like {
        if !caller.is_staff() || filter.customer.is_some() {
            return Err(bad("same_customer_as", "is for staff, and not given together with `customer`"));
        }
        filter.customer = Some(api.visible(&caller, id).await?.customer);
    }
    match caller.narrow(std::mem::take(&mut filter.processes)) {
        Some(processes) => filter.processes = processes,
        None => return Ok(nothing()),
    }
    if !caller.is_staff() {
        // What a submitter cannot read it cannot search by.
        if filter.producer.as_deref().is_some_and(|producer| producer != caller.name()) {
            return Ok(nothing());
        }
        if filter.parked.is_some() {
            return Err(bad("parked", "is for staff"));
        }
        filter.producer = Some(caller.name().to_owned());
    }
    if filter.message.is_some() && filter.producer.is_none() {
        return Err(bad("message", "is given together with `producer`: each producer has its own ids"));
    }
    let rows = api.engine().store().requests(&filter, cursor, limit).await?;
    let next = match rows.last() {
        Some(last) if rows.len() == limit => Some(last.id),
        _ => api.engine().store().end_of_walk(&filter, cursor).await?,
    };
    let others = rows.iter().filter(|row| Some(row.id) != like);
    let items = others.map(|row| api.summary(row, caller.reader())).collect();
    Ok(Answer(RequestList { items, next }).into_response())
}

fn filter(query: &Query) -> Result<RequestFilter, Problem> {
    let mut states = query.words("state", &STATES)?;
    if query.yes("open")? {
        if !states.is_empty() {
            return Err(bad("open", "and `state` are not given together"));
        }
        states = STATES.iter().take(5).map(|state| (*state).to_owned()).collect();
    }
    Ok(RequestFilter {
        processes: query.many("process")?,
        states,
        customer: query.text("customer")?,
        producer: query.text("producer")?,
        message: query.text("message")?,
        reason: query.text("reason")?,
        parked: query.text("parked")?,
        step: query.text("step")?,
        before: query.time("before")?,
        after: query.time("after")?,
    })
}

impl Caller {
    /// How much of a request it sees.
    pub(super) fn reader(&self) -> Reader {
        if self.is_staff() { Reader::Staff } else { Reader::Submitter }
    }
}

impl Api {
    /// A request's row, where the caller may see it.
    pub(super) async fn visible(&self, caller: &Caller, id: Uuid) -> Result<RequestRow, Problem> {
        caller.require(Action::ReadOwn)?;
        match self.engine().store().request(id).await {
            Ok(row) if caller.sees(&row) => Ok(row),
            Ok(_) | Err(StoreError::NotFound(_)) => Err(Problem::not_found("this request")),
            Err(error) => Err(error.into()),
        }
    }
}

/// The request has ended like this.
pub(super) fn ended(outcome: &str) -> Problem {
    Problem::new(&kinds::ENDED, format!("the request has ended: {outcome}")).with("outcome", outcome)
}

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(submit, list)).routes(routes!(show))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn open_stands_for_the_open_states() {
        let filter_of = |query: &str| filter(&Query::parse(query).unwrap());
        assert_eq!(filter_of("open=true").unwrap().states, ["queued", "running", "waiting", "parked", "in_review"]);
        assert_eq!(filter_of("state=done,parked").unwrap().states, ["done", "parked"]);
        assert!(filter_of("open=true&state=done").is_err());
        assert_eq!(filter_of("state=finished").unwrap_err().code(), "bad-query");
    }

    #[test]
    fn trace_contexts() {
        let mut headers = HeaderMap::new();
        assert_eq!(traceparent(&headers), None);
        let context = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        headers.insert("traceparent", HeaderValue::from_static(context));
        assert_eq!(traceparent(&headers).as_deref(), Some(context));
        headers.insert("traceparent", HeaderValue::from_static("00-x"));
        assert_eq!(traceparent(&headers), None);
    }
}
