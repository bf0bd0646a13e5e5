//! `mozhao request`: submit requests and follow them, over the API.

use std::time::Duration;

use clap::{Args as ClapArgs, Subcommand};
use serde_json::{Value, json};
use uuid::Uuid;

use super::args::FieldArgs;
use super::client::{Client, ServerArgs};
use super::exit::{Exit, Failure};
use super::lists::{self, Column, ListArgs, ago};
use super::output::{Out, field, say};
use super::{Done, timeline, watch};
use crate::domain::time::parse_duration;
use crate::engine::clock::SystemClock;
use crate::engine::ports::clock::Clock as _;

/// `mozhao request …`
#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Submit a request
    ///
    /// Example: `mozhao request submit card_unbind -f customer_id=C1 -f card_id=K1 --wait 30s`
    Submit {
        /// The process that handles it
        process: String,
        #[command(flatten)]
        payload: FieldArgs,
        /// Your id of this request: sending the same again with the same key is done once [default: a new one]
        #[arg(long, value_name = "KEY")]
        key: Option<String>,
        /// How the customer asked: web, app, call-centre …
        #[arg(long, value_name = "NAME", default_value = "cli")]
        channel: String,
        /// Wait so long for the outcome: 30s; at most 60s
        #[arg(long, value_name = "LENGTH")]
        wait: Option<String>,
    },
    /// List requests, newest first
    List {
        /// Of this process (repeatable)
        #[arg(long, value_name = "NAME")]
        process: Vec<String>,
        /// In this state (repeatable): queued, running, waiting, parked, `in_review`, done, refused, withdrawn, expired
        #[arg(long, value_name = "STATE")]
        state: Vec<String>,
        /// Without an outcome yet
        #[arg(long, conflicts_with = "state")]
        open: bool,
        /// Of this customer
        #[arg(long, value_name = "ID")]
        customer: Option<String>,
        /// Sent by this producer
        #[arg(long, value_name = "NAME")]
        producer: Option<String>,
        /// Made by the message with this id, or Idempotency-Key, of --producer: each has its own ids. A producer
        /// itself needs no --producer
        #[arg(long, value_name = "ID")]
        message: Option<String>,
        /// With this reason
        #[arg(long, value_name = "NAME")]
        reason: Option<String>,
        /// Parked under this group: dependency:NAME or defect:FINGERPRINT
        #[arg(long, value_name = "GROUP")]
        parked: Option<String>,
        /// At this step
        #[arg(long, value_name = "NAME")]
        step: Option<String>,
        #[command(flatten)]
        rows: ListArgs,
    },
    /// Show a request: how it stands, and its timeline
    Show {
        /// The request
        #[arg(value_parser = super::args::id)]
        id: Uuid,
        /// Without the timeline
        #[arg(long)]
        brief: bool,
    },
    /// Follow a request until it has ended
    Watch {
        /// The request
        #[arg(value_parser = super::args::id)]
        id: Uuid,
    },
    /// Take a request back; succeeds before the first effect that cannot be undone
    Withdraw {
        /// The request
        #[arg(value_parser = super::args::id)]
        id: Uuid,
        /// Why, for those who look at it later
        #[arg(long)]
        note: Option<String>,
    },
    /// Send what the customer was asked for
    Supplement {
        /// The request
        #[arg(value_parser = super::args::id)]
        id: Uuid,
        #[command(flatten)]
        fields: FieldArgs,
    },
    /// Try at once what would be tried again later
    Retry {
        /// The request
        #[arg(value_parser = super::args::id)]
        id: Uuid,
    },
    /// Put a parked or waiting request to a person
    Review {
        /// The request
        #[arg(value_parser = super::args::id)]
        id: Uuid,
        /// Why
        #[arg(long)]
        note: String,
    },
    /// Write a note into the request's record
    Note {
        /// The request
        #[arg(value_parser = super::args::id)]
        id: Uuid,
        /// The note; part of the record for ever, so nothing sensitive
        text: String,
    },
}

/// Runs it.
pub(super) async fn run(args: Args, out: Out) -> Done {
    let client = args.server.client()?;
    match args.command {
        Command::Submit { process, payload, key, channel, wait } => {
            let new = json!({ "process": process, "payload": payload.object()?, "channel": channel });
            submit(&client, new, key, wait.as_deref(), out).await
        }
        Command::List { process, state, open, customer, producer, message, reason, parked, step, rows } => {
            let call = || {
                client
                    .get("/v1/requests")
                    .each("process", &process)
                    .each("state", &state)
                    .query("open", open.then_some(true))
                    .query("customer", customer.as_ref())
                    .query("producer", producer.as_ref())
                    .query("message", message.as_ref())
                    .query("reason", reason.as_ref())
                    .query("parked", parked.as_ref())
                    .query("step", step.as_ref())
            };
            lists::print(&rows, out, COLUMNS, call).await
        }
        Command::Show { id, brief } => show(&client, id, brief, out).await,
        Command::Watch { id } => watch::watch(&client, &id.to_string(), out).await,
        Command::Withdraw { id, note } => {
            let body = note.map_or_else(|| json!({}), |note| json!({ "note": note }));
            act(&client, id, "withdraw", body, out).await
        }
        Command::Supplement { id, fields } => {
            let fields = fields.object()?;
            act(&client, id, "supplement", json!({ "fields": fields }), out).await
        }
        Command::Retry { id } => {
            let answer = client.post(format!("/v1/requests/{id}/retry")).body(json!({})).send().await?;
            if out.json || field(&answer, "/answer") == "pending" {
                return told(&answer, out);
            }
            // "Done" would be wrong: whatever held it up may hold it up again at once.
            let call = client.get(format!("/v1/requests/{id}")).query("wait", Some("1s")).waits(Duration::from_secs(1));
            say(&format!("tried again; now it is {}", sentence(&call.send().await?)));
            Ok(Exit::Ok)
        }
        Command::Review { id, note } => act(&client, id, "review", json!({ "note": note }), out).await,
        Command::Note { id, text } => act(&client, id, "notes", json!({ "note": text }), out).await,
    }
}

const COLUMNS: &[Column] = &[
    ("Request", |row| field(row, "/id")),
    ("Process", |row| format!("{} {}", field(row, "/process"), field(row, "/version"))),
    ("State", |row| field(row, "/state")),
    ("Step", |row| field(row, "/step")),
    ("Why", why),
    ("Customer", |row| field(row, "/customer")),
    ("Age", |row| ago(&field(row, "/accepted_at"))),
];

/// Why it is where it is: the reason, the question, or what it waits for.
fn why(row: &Value) -> String {
    let told = ["/reason/name", "/review/name", "/parked"].map(|pointer| field(row, pointer));
    let turn = || if field(row, "/waits_for_turn").is_empty() { String::new() } else { "its turn".to_owned() };
    told.into_iter().find(|text| !text.is_empty()).unwrap_or_else(turn)
}

async fn submit(client: &Client, new: Value, key: Option<String>, wait: Option<&str>, out: Out) -> Done {
    let usage = |message: String| Failure::new(Exit::Usage, message);
    let length = wait.map(|text| parse_duration(text).map_err(usage)).transpose()?;
    let key = key.unwrap_or_else(|| SystemClock.id().to_string());
    if key.is_empty() || key.len() > 200 || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(usage("a key is 1 to 200 visible ASCII characters".to_owned()));
    }
    let call = client.post("/v1/requests").query("wait", wait).waits(length.unwrap_or_default()).key(&key).body(new);
    let answer = call.send().await.map_err(|mut failure| {
        if failure.exit == Exit::Unreachable {
            failure.causes.push(format!("it may have been accepted; send it again with --key {key}"));
        }
        failure
    })?;
    if out.json {
        out.object(&answer)?;
        return Ok(Exit::Ok);
    }
    out.line(&field(&answer, "/id"))?;
    say(&sentence(&answer));
    Ok(Exit::Ok)
}

/// How a request stands, in a sentence.
fn sentence(request: &Value) -> String {
    let (state, why) = (field(request, "/state"), why(request));
    let step = field(request, "/step");
    let told = field(request, "/reason/customer/en");
    match state.as_str() {
        "refused" => format!("refused: {why}. {told}").trim_end().to_owned(),
        "done" | "withdrawn" | "expired" => state,
        "queued" if !why.is_empty() => {
            let before = field(request, "/waits_for");
            let which = if before.is_empty() { "those before it".to_owned() } else { before };
            format!("queued: it is its turn when {which} has ended")
        }
        "parked" | "in_review" if !why.is_empty() => format!("{}: {why} at {step}", state.replace('_', " ")),
        _ if step.is_empty() => state,
        _ => format!("{state} at {step}"),
    }
}

async fn show(client: &Client, id: Uuid, brief: bool, out: Out) -> Done {
    let request = client.get(format!("/v1/requests/{id}")).send().await?;
    let entries = if brief { Vec::new() } else { all_entries(client, id).await? };
    if out.json {
        let mut whole = request;
        if let (Value::Object(map), false) = (&mut whole, brief) {
            map.insert("timeline".to_owned(), entries.into());
        }
        out.object(&whole)?;
        return Ok(Exit::Ok);
    }
    let get = |pointer: &str| field(&request, pointer);
    let waits_for_turn = !get("/waits_for_turn").is_empty();
    out.line(&out.bold(&format!("{} {} version {}", get("/id"), get("/process"), get("/version"))))?;
    out.pairs(&[
        ("state", sentence(&request)),
        ("question", get("/review/question/en")),
        ("review", get("/review/id")),
        ("asked", get("/asked/note")),
        ("customer", get("/customer")),
        ("from", format!("{} ({}), message {}", get("/producer"), get("/channel"), get("/message"))),
        ("accepted", timeline::when(&get("/accepted_at"))),
        ("promised by", timeline::when(&get("/promise_due_at"))),
        ("ended", timeline::when(&get("/ended_at"))),
        ("expires", if get("/ended_at").is_empty() { timeline::when(&get("/expires_at")) } else { String::new() }),
        ("looked at again", if waits_for_turn { String::new() } else { timeline::when(&get("/wake_at")) }),
        ("payload", request.get("payload").map(ToString::to_string).unwrap_or_default()),
    ])?;
    if !entries.is_empty() {
        out.line("")?;
        entries.iter().try_for_each(|entry| out.line(&timeline::line(entry)))?;
    }
    Ok(Exit::Ok)
}

async fn all_entries(client: &Client, id: Uuid) -> Result<Vec<Value>, Failure> {
    let mut entries = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let call = client.get(format!("/v1/requests/{id}/timeline"));
        let page = call.query("limit", Some(200)).query("cursor", cursor.as_ref()).send().await?;
        entries.extend(lists::items(&page)?.iter().cloned());
        cursor = Some(field(&page, "/next")).filter(|next| !next.is_empty());
        if cursor.is_none() {
            return Ok(entries);
        }
    }
}

/// Something that the request's owner answers.
async fn act(client: &Client, id: Uuid, what: &str, body: Value, out: Out) -> Done {
    let answer = client.post(format!("/v1/requests/{id}/{what}")).body(body).send().await?;
    told(&answer, out)
}

/// Prints what the owner answered.
pub(super) fn told(answer: &Value, out: Out) -> Done {
    if out.json {
        out.object(answer)?;
    } else if field(answer, "/answer") == "pending" {
        say("stored; the request's worker has not answered yet: `mozhao request watch` follows it");
    } else {
        say("done");
    }
    Ok(Exit::Ok)
}
