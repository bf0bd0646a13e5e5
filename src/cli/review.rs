//! `mozhao review`: the questions that are put to people, and their answers, over the API.

use clap::{Args as ClapArgs, Subcommand, ValueEnum};
use serde_json::{Value, json};
use uuid::Uuid;

use super::args::FieldArgs;
use super::client::{Client, ServerArgs};
use super::exit::{Exit, Failure};
use super::lists::{self, Column, ListArgs, ago};
use super::output::{Out, field, say};
use super::{Done, timeline};
use crate::engine::clock::SystemClock;
use crate::engine::ports::clock::Clock as _;

/// `mozhao review …`
#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List questions, those that are due first
    List {
        /// In this state (repeatable): open, deciding, decided, cancelled [default: open]
        #[arg(long, value_name = "STATE")]
        state: Vec<String>,
        /// Of this process (repeatable)
        #[arg(long, value_name = "NAME")]
        process: Vec<String>,
        /// For this reviewers' role (repeatable)
        #[arg(long, value_name = "NAME")]
        role: Vec<String>,
        /// With this name in the process
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
        /// Those that you hold
        #[arg(long)]
        mine: bool,
        /// Those that nobody holds
        #[arg(long, conflicts_with = "mine")]
        unclaimed: bool,
        /// About this request
        #[arg(long, value_name = "ID", value_parser = super::args::id)]
        request: Option<Uuid>,
        #[command(flatten)]
        rows: ListArgs,
    },
    /// Show a question with everything that is needed to answer it
    Show {
        /// The review
        #[arg(value_parser = super::args::id)]
        id: Uuid,
    },
    /// Take a question for a quarter of an hour, or renew that
    Claim {
        /// The review
        #[arg(value_parser = super::args::id)]
        id: Uuid,
        /// Take it over from somebody else; needs --note
        #[arg(long, requires = "note")]
        steal: bool,
        /// Why it is taken over
        #[arg(long)]
        note: Option<String>,
    },
    /// Give a question back
    Release {
        /// The review
        #[arg(value_parser = super::args::id)]
        id: Uuid,
    },
    /// Answer a question
    ///
    /// `mozhao review show` lists the answers and what follows from each. A decision on what has changed since --version is
    /// refused (exit code 6). Where four eyes are asked for, a second person must come to the same.
    Decide {
        /// The review
        #[arg(value_parser = super::args::id)]
        id: Uuid,
        /// The answer
        choice: ChoiceArg,
        /// Why; or, for ask-customer, what the customer is asked
        #[arg(long)]
        note: String,
        /// The refusal's reason: one of the process's
        #[arg(long, value_name = "NAME", required_if_eq("choice", "refuse"))]
        reason: Option<String>,
        /// The review's version that you saw [default: as it is now]
        #[arg(long, value_name = "N")]
        version: Option<u32>,
        #[command(flatten)]
        fields: FieldArgs,
    },
    /// Raise a question's level and give it back, for somebody who may know more
    Escalate {
        /// The review
        #[arg(value_parser = super::args::id)]
        id: Uuid,
        /// Why
        #[arg(long)]
        note: String,
    },
    /// Write a note into the record of the review's request
    Note {
        /// The review
        #[arg(value_parser = super::args::id)]
        id: Uuid,
        /// The note; part of the record for ever, so nothing sensitive
        text: String,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ChoiceArg {
    /// The step counts as passed
    Approve,
    /// The request is refused, with a reason
    Refuse,
    /// The step is done again
    Retry,
    /// Fields of the request are corrected (-f), and it is checked again
    Amend,
    /// The customer is asked for more
    AskCustomer,
    /// The effect did happen
    Applied,
    /// The effect did not happen
    NotApplied,
}

impl ChoiceArg {
    fn as_str(self) -> &'static str {
        match self {
            ChoiceArg::Approve => "approve",
            ChoiceArg::Refuse => "refuse",
            ChoiceArg::Retry => "retry",
            ChoiceArg::Amend => "amend",
            ChoiceArg::AskCustomer => "ask_customer",
            ChoiceArg::Applied => "applied",
            ChoiceArg::NotApplied => "not_applied",
        }
    }
}

const COLUMNS: &[Column] = &[
    ("Review", |row| field(row, "/id")),
    ("Process", |row| field(row, "/process")),
    ("Question", |row| Some(field(row, "/question/en")).filter(|text| !text.is_empty()).unwrap_or_else(|| field(row, "/name"))),
    ("Customer", |row| field(row, "/customer")),
    ("Asked", |row| ago(&field(row, "/opened_at"))),
    ("Due", due),
    ("Holder", |row| field(row, "/claimed_by")),
    ("State", |row| field(row, "/state")),
];

fn due(row: &Value) -> String {
    let overdue = row.get("seconds_left").and_then(Value::as_i64).is_some_and(|left| left < 0);
    let due = ago(&field(row, "/due_at"));
    if overdue { format!("{due} overdue") } else { due }
}

/// Runs it.
pub(super) async fn run(args: Args, out: Out) -> Done {
    let client = args.server.client()?;
    match args.command {
        Command::List { state, process, role, name, mine, unclaimed, request, rows } => {
            let call = || {
                client
                    .get("/v1/reviews")
                    .each("state", &state)
                    .each("process", &process)
                    .each("role", &role)
                    .query("name", name.as_ref())
                    .query("claimed_by", mine.then_some("me"))
                    .query("unclaimed", unclaimed.then_some(true))
                    .query("request", request)
            };
            lists::print(&rows, out, COLUMNS, call).await
        }
        Command::Show { id } => show(&client, id, out).await,
        Command::Claim { id, steal, note } => {
            let answer = post(&client, id, "claim", json!({ "steal": steal, "note": note })).await?;
            done(&answer, &format!("it is yours until {}", timeline::when(&field(&answer, "/review/claimed_until"))), out)
        }
        Command::Release { id } => done(&post(&client, id, "release", json!({})).await?, "given back", out),
        Command::Decide { id, choice, note, reason, version, fields } => {
            let version = match version {
                Some(version) => version.into(),
                None => client.get(format!("/v1/reviews/{id}")).send().await?.get("version").cloned().unwrap_or_default(),
            };
            let mut body = json!({ "version": version, "choice": choice.as_str(), "note": note, "fields": fields.object()? });
            if let (Some(reason), Value::Object(body)) = (reason, &mut body) {
                body.insert("reason".to_owned(), reason.into());
            }
            let key = SystemClock.id().to_string();
            let answer = client.post(format!("/v1/reviews/{id}/decide")).key(&key).body(body).send().await?;
            done(&answer, "decided", out)
        }
        Command::Escalate { id, note } => done(&post(&client, id, "escalate", json!({ "note": note })).await?, "escalated", out),
        Command::Note { id, text } => done(&post(&client, id, "notes", json!({ "note": text })).await?, "noted", out),
    }
}

async fn post(client: &Client, id: Uuid, what: &str, body: Value) -> Result<Value, Failure> {
    client.post(format!("/v1/reviews/{id}/{what}")).body(body).send().await
}

fn done(answer: &Value, did: &str, out: Out) -> Done {
    if out.json {
        out.object(answer)?;
        return Ok(Exit::Ok);
    }
    say(match field(answer, "/answer").as_str() {
        "second_needed" => "kept: a second person must decide too",
        "set_aside" => "the first person decided otherwise: both decisions are in the record and set aside; two must decide anew",
        "pending" if did == "decided" => "stored; the request's worker has not answered yet",
        _ => did,
    });
    Ok(Exit::Ok)
}

async fn show(client: &Client, id: Uuid, out: Out) -> Done {
    let page = client.get(format!("/v1/reviews/{id}")).send().await?;
    if out.json {
        out.object(&page)?;
        return Ok(Exit::Ok);
    }
    let get = |pointer: &str| field(&page, pointer);
    out.line(&out.bold(&get("/question/en")))?;
    let clause = format!("{} {}", get("/clause/id"), get("/clause/text"));
    out.pairs(&[
        ("review", format!("{} version {}", get("/id"), get("/version"))),
        ("request", get("/request")),
        ("process", format!("{} version {}, at {}", get("/process"), get("/process_version"), get("/slot"))),
        ("customer", get("/customer")),
        ("state", get("/state")),
        ("due", due(&page)),
        ("held by", get("/claimed_by")),
        ("for the role", get("/role")),
        (
            "four eyes",
            if get("/four_eyes") == "true" { format!("yes {}", get("/first_by")).trim().to_owned() } else { String::new() },
        ),
        ("did not decide", clause.trim().to_owned()),
        ("would pass", get("/expected")),
        ("payload", page.pointer("/request_body/payload").map(ToString::to_string).unwrap_or_default()),
    ])?;
    section(
        &page,
        "/evidence",
        out,
        &[
            ("Checked", "/slot"),
            ("Clause", "/clause"),
            ("Verdict", "/verdict"),
            ("Detail", "/detail"),
            ("Kept", "/kept"),
            ("Rule", "/rule"),
        ],
    )?;
    section(&page, "/options", out, &[("Answer", "/choice"), ("What follows", "/then/en"), ("Then", "/next_steps")])?;
    section(&page, "/reasons", out, &[("Reason", "/name"), ("The customer reads", "/customer/en")])?;
    section(&page, "/notes", out, &[("Note by", "/by"), ("Text", "/text")])?;
    Ok(Exit::Ok)
}

/// A list inside an answer as a table of its own, where it is not empty.
pub(super) fn section(page: &Value, pointer: &str, out: Out, columns: &[(&str, &str)]) -> std::io::Result<()> {
    let items = page.pointer(pointer).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    if items.is_empty() {
        return Ok(());
    }
    let rows: Vec<Vec<String>> = items.iter().map(|item| columns.iter().map(|(_, at)| field(item, at)).collect()).collect();
    let headings: Vec<&str> = columns.iter().map(|(heading, _)| *heading).collect();
    out.line("")?;
    out.table(&headings, &rows)
}
