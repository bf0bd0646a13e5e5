//! `mozhao console`: letting people into the console, and putting them out again. Both open the database itself, like making a
//! token: the first person cannot be let in by somebody who is in already.

use clap::{Args as ClapArgs, Subcommand};
use serde_json::json;

use super::Done;
use super::args::{ConfigArgs, Rights};
use super::database;
use super::exit::{Exit, Failure};
use super::output::{Out, say};
use crate::console::links;
use crate::domain::time::{Time, parse_duration};
use crate::engine::ports::sessions::Person;
use crate::engine::ports::store::StoreError;

/// The most sessions that are listed.
const LISTED: usize = 200;

/// `mozhao console …`
#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a one-time link that signs somebody in to the console
    ///
    /// Opens the configured database directly (also beside a running worker). The link alone goes to standard output; whoever
    /// opens it first is signed in with these roles, so hand it over as you would a password.
    Link {
        /// Who will be signed in: 1 to 64 of a-z 0-9 . _ -
        name: String,
        #[command(flatten)]
        rights: Rights,
        /// How long the link is good, at most 24h
        #[arg(long, value_name = "LENGTH", default_value = "15m")]
        good_for: String,
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// List who is and was signed in
    Sessions {
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// End all sessions of somebody, and revoke their unused links
    End {
        /// Their name
        name: String,
        #[command(flatten)]
        config: ConfigArgs,
    },
}

/// Runs it.
pub(super) async fn run(args: Args, out: Out) -> Done {
    match args.command {
        Command::Link { name, rights, good_for, config } => link(rights.of(name), &good_for, &config, out).await,
        Command::Sessions { config } => sessions(&config, out).await,
        Command::End { name, config } => end(&name, &config, out).await,
    }
}

fn failed(error: &StoreError) -> Failure {
    Failure::store("cannot use the sessions in the database", error)
}

async fn link(person: Person, good_for: &str, config: &ConfigArgs, out: Out) -> Done {
    let good_for = parse_duration(good_for).map_err(|why| Failure::new(Exit::Usage, format!("--good-for: {why}")))?;
    let config = config.load(&[])?;
    let store = database::open_or_make(&config).await?;
    let now = store.now().await.map_err(|error| failed(&error))?;
    let (path, row) = links::fresh(person, good_for, now).map_err(|why| Failure::new(Exit::Usage, why))?;
    store.sessions().add_link(&row).await.map_err(|error| failed(&error))?;
    let url = format!("{}{path}", config.http.public_url(config.http.listen).trim_end_matches('/'));
    if out.json {
        let person = &row.person;
        out.object(&json!({"name": person.name, "roles": person.roles, "url": url, "expires_at": row.expires_at.to_string()}))?;
    } else {
        out.line(&url)?;
        say(&format!("signs in {} ({}) once, until {}", row.person.name, row.person.roles.join(", "), row.expires_at));
    }
    Ok(Exit::Ok)
}

async fn sessions(config: &ConfigArgs, out: Out) -> Done {
    let config = config.load(&[])?;
    let store = database::open(&config, crate::store::Role::Tool).await?;
    let now = store.now().await.map_err(|error| failed(&error))?;
    let rows = store.sessions().sessions(LISTED).await.map_err(|error| failed(&error))?;
    let state = |ended: Option<Time>, expires: Time| match ended {
        Some(_) => "ended",
        None if expires <= now => "expired",
        None => "open",
    };
    if out.json {
        let shown: Vec<_> = rows
            .iter()
            .map(|row| {
                json!({
                    "name": row.person.name,
                    "roles": row.person.roles,
                    "state": state(row.ended_at, row.expires_at),
                    "created_at": row.created_at.to_string(),
                    "seen_at": row.seen_at.to_string(),
                    "expires_at": row.expires_at.to_string(),
                })
            })
            .collect();
        out.objects(&shown)?;
        return Ok(Exit::Ok);
    }
    let rows: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            let state = state(row.ended_at, row.expires_at).to_owned();
            vec![row.person.name.clone(), row.person.roles.join(" "), state, row.created_at.to_string(), row.seen_at.to_string()]
        })
        .collect();
    out.table(&["Name", "Roles", "State", "Since", "Last used"], &rows)?;
    Ok(Exit::Ok)
}

async fn end(name: &str, config: &ConfigArgs, out: Out) -> Done {
    let config = config.load(&[])?;
    let store = database::open(&config, crate::store::Role::Tool).await?;
    let now = store.now().await.map_err(|error| failed(&error))?;
    let ended = store.sessions().end_sessions_of(name, now).await.map_err(|error| failed(&error))?;
    if out.json {
        out.object(&json!({"name": name, "ended": ended}))?;
    } else {
        say(&format!("ended {ended} sessions and links of {name}"));
    }
    Ok(if ended > 0 { Exit::Ok } else { Exit::NotFound })
}
