//! `mozhao token`: making one opens the database itself, because the first one cannot be made over an API that asks for
//! one; listing and revoking go over the API.

use clap::{Args as ClapArgs, Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::Done;
use super::args::ConfigArgs;
use super::client::{ServerArgs, segment};
use super::database;
use super::exit::{Exit, Failure};
use super::output::{Out, field, say};
use crate::api::permit::Role;
use crate::api::tokens::{NewToken, fresh};
use crate::engine::clock::SystemClock;
use crate::engine::ports::clock::Clock as _;
use crate::engine::processes::MAX_VERSIONS;
use crate::store;

/// `mozhao token …`
#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a token, in the database itself; its secret is shown once
    ///
    /// Opens the configured database directly (also beside a running worker), so that the first token needs no token; makes
    /// none (`mozhao migrate` does, and the first `mozhao serve`). The secret alone goes to standard output: TOKEN=$(mozhao token create web-app --role submitter).
    Create {
        /// Who will act with it: 1 to 64 of a-z 0-9 . _ -
        name: String,
        /// What it may do (repeatable)
        #[arg(long = "role", value_name = "ROLE", required = true)]
        roles: Vec<RoleArg>,
        /// A process that it is good for (repeatable) [default: all]
        #[arg(long = "process", value_name = "NAME")]
        processes: Vec<String>,
        /// A reviewers' role that it has, for reviews that ask for one (repeatable)
        #[arg(long = "review-role", value_name = "NAME")]
        review_roles: Vec<String>,
        /// When it ends, counted from now: 90d [default: never]
        #[arg(long, value_name = "LENGTH")]
        expires_in: Option<String>,
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// List tokens: names, roles and dates; the secrets are not known to anybody
    List {
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Revoke a token
    Revoke {
        /// Its name
        name: String,
        #[command(flatten)]
        server: ServerArgs,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum RoleArg {
    /// Sends requests and follows its own
    Submitter,
    /// Answers the questions that are put to people
    Reviewer,
    /// Keeps things running: groups, dependencies, retries
    Operator,
    /// Reads everything, changes nothing
    Auditor,
    /// May do everything, and makes tokens
    Admin,
}

impl From<RoleArg> for Role {
    fn from(role: RoleArg) -> Role {
        match role {
            RoleArg::Submitter => Role::Submitter,
            RoleArg::Reviewer => Role::Reviewer,
            RoleArg::Operator => Role::Operator,
            RoleArg::Auditor => Role::Auditor,
            RoleArg::Admin => Role::Admin,
        }
    }
}

/// Runs it.
pub(super) async fn run(args: Args, out: Out) -> Done {
    match args.command {
        Command::Create { name, roles, processes, review_roles, expires_in, config } => {
            let roles = roles.into_iter().map(Role::from).collect();
            create(&NewToken { name, roles, processes, review_roles, expires_in }, &config, out).await
        }
        Command::List { server } => list(&server, out).await,
        Command::Revoke { name, server } => {
            server.client()?.delete(format!("/v1/tokens/{}", segment(&name))).send().await?;
            say(&format!("revoked {name}; workers stop believing it within seconds"));
            Ok(Exit::Ok)
        }
    }
}

async fn create(new: &NewToken, config: &ConfigArgs, out: Out) -> Done {
    let config = config.load(&[])?;
    let store = database::open(&config, store::Role::Tool).await?;
    let now = store.now().await.map_err(|error| Failure::store("cannot read the database's clock", &error))?;
    let (secret, row) = fresh(new, now).map_err(|why| Failure::new(Exit::Usage, why))?;
    let tokens = store.tokens().await.map_err(|error| Failure::store("cannot read the tokens", &error))?;
    if tokens.iter().any(|token| token.name == row.name) {
        let message = format!("there is a token with the name `{}` already", row.name);
        return Err(Failure::new(Exit::Conflict, message)
            .hint("choose another name; revoked ones keep theirs, so that the record stays clear"));
    }
    let published = store.processes(MAX_VERSIONS).await.map_err(|error| Failure::store("cannot read the processes", &error))?;
    for name in new.processes.iter().filter(|name| !published.iter().any(|process| process.name == **name)) {
        say(&format!(
            "note: no process `{name}` has been published here yet; the token will be good for one with that very name"
        ));
    }
    store.add_token(&row).await.map_err(|error| Failure::store("cannot store the token", &error))?;
    if out.json {
        out.object(&json!({ "name": row.name, "roles": row.roles, "token": secret }))?;
    } else {
        out.line(&secret)?;
        say(&format!("made the token {} ({}); it is not shown again", row.name, row.roles.join(", ")));
    }
    Ok(Exit::Ok)
}

/// Is this API time over?
fn ended(at: &str) -> bool {
    at.parse::<jiff::Timestamp>().is_ok_and(|at| at.as_microsecond() <= SystemClock.now().0)
}

async fn list(server: &ServerArgs, out: Out) -> Done {
    let answer = server.client()?.get("/v1/tokens").send().await?;
    let none = Vec::new();
    let items = answer.get("items").and_then(Value::as_array).unwrap_or(&none);
    if out.json {
        out.objects(items)?;
        return Ok(Exit::Ok);
    }
    let row = |token: &Value| {
        let state = match (field(token, "/revoked_at").is_empty(), ended(&field(token, "/expires_at"))) {
            (false, _) => "revoked",
            (true, true) => "expired",
            (true, false) => "valid",
        };
        ["/name", "/roles", "/processes", "/review_roles", "/created_at", "/expires_at"]
            .iter()
            .map(|pointer| field(token, pointer))
            .chain([state.to_owned()])
            .collect()
    };
    let rows: Vec<Vec<String>> = items.iter().map(row).collect();
    out.table(&["Name", "Roles", "Processes", "Review roles", "Made", "Ends", "State"], &rows)?;
    Ok(Exit::Ok)
}
