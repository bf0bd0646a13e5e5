//! `mozhao user`: people who sign in to the console with a password. All of it opens the database itself, like making a token:
//! the first person cannot be added by somebody who is in already.
//!
//! A password is never an argument: those are seen by every user of the machine, and kept in the shell's history. It is typed
//! unseen, or is the first line of standard input.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _};

use clap::{Args as ClapArgs, Subcommand};
use serde_json::json;

use super::Done;
use super::args::{ConfigArgs, Rights};
use super::database;
use super::exit::{Exit, Failure};
use super::output::{Out, say};
use crate::console::{links, passwords};
use crate::engine::ports::sessions::Person;
use crate::engine::ports::store::{Store, StoreError};
use crate::engine::ports::users::UserRow;
use crate::store;

/// The most people that are listed.
const LISTED: usize = 1000;
/// The longest line of standard input that is read.
const LINE: u64 = 4096;

/// `mozhao user …`
#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Add somebody who signs in to the console with a password
    ///
    /// The password is asked for, or is the first line of standard input. It has at least 12 characters; only its Argon2id hash
    /// is kept. Opens the configured database directly, also beside a running worker.
    Add {
        /// Their name: 1 to 64 of a-z 0-9 . _ -
        name: String,
        #[command(flatten)]
        rights: Rights,
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// Replace somebody's rights; ends their sessions
    Change {
        /// Their name
        name: String,
        #[command(flatten)]
        rights: Rights,
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// Give somebody a new password; ends their sessions
    Password {
        /// Their name
        name: String,
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// Remove somebody; ends their sessions. What they did stays on record
    Remove {
        /// Their name
        name: String,
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// List everybody who has a password
    List {
        #[command(flatten)]
        config: ConfigArgs,
    },
}

/// The person, where the name and the rights are such as there are.
fn checked(name: String, rights: Rights) -> Result<Person, Failure> {
    let person = rights.of(name);
    links::check(&person).map_err(|why| Failure::new(Exit::Usage, why))?;
    Ok(person)
}

/// Runs it.
pub(super) async fn run(args: Args, out: Out) -> Done {
    match args.command {
        Command::Add { name, rights, config } => add(checked(name, rights)?, &config).await,
        Command::Change { name, rights, config } => {
            let person = checked(name, rights)?;
            change(&config, &person.name.clone(), |user| UserRow { person, ..user }).await
        }
        Command::Password { name, config } => {
            let hash = passwords::hash(&name, &password(&name)?).map_err(|why| Failure::new(Exit::Usage, why))?;
            change(&config, &name, |user| UserRow { password: hash, ..user }).await
        }
        Command::Remove { name, config } => {
            let store = open(&config).await?;
            let now = store.now().await.map_err(|error| failed(&error))?;
            if !store.sessions().remove_user(&name, now).await.map_err(|error| failed(&error))? {
                return Err(nobody(&name));
            }
            say(&format!("removed {name}, and ended their sessions"));
            Ok(Exit::Ok)
        }
        Command::List { config } => list(&config, out).await,
    }
}

fn failed(error: &StoreError) -> Failure {
    Failure::store("cannot use the users in the database", error)
}

fn nobody(name: &str) -> Failure {
    Failure::new(Exit::NotFound, format!("there is no user `{name}`")).hint("`mozhao user list` shows everybody")
}

async fn open(config: &ConfigArgs) -> Result<std::sync::Arc<dyn Store>, Failure> {
    database::open(&config.load(&[])?, store::Role::Tool).await
}

async fn add(person: Person, config: &ConfigArgs) -> Done {
    let store = open(config).await?;
    let name = person.name.clone();
    let taken = || {
        Failure::new(Exit::Conflict, format!("there is a user `{name}` already"))
            .hint("`mozhao user change` replaces rights, `mozhao user password` the password")
    };
    // Before somebody types a password twice for nothing.
    if store.sessions().user(&name).await.is_ok() {
        return Err(taken());
    }
    let password = passwords::hash(&name, &password(&name)?).map_err(|why| Failure::new(Exit::Usage, why))?;
    let now = store.now().await.map_err(|error| failed(&error))?;
    let user = UserRow { person, password, version: 1, created_at: now, changed_at: now, signed_in_at: None };
    if !store.sessions().add_user(&user).await.map_err(|error| failed(&error))? {
        return Err(taken());
    }
    say(&format!("added {name} ({})", user.person.roles.join(", ")));
    Ok(Exit::Ok)
}

async fn change(config: &ConfigArgs, name: &str, edit: impl FnOnce(UserRow) -> UserRow) -> Done {
    let store = open(config).await?;
    let user = match store.sessions().user(name).await {
        Ok(user) => user,
        Err(StoreError::NotFound(_)) => return Err(nobody(name)),
        Err(error) => return Err(failed(&error)),
    };
    let now = store.now().await.map_err(|error| failed(&error))?;
    let user = UserRow { changed_at: now, ..edit(user) };
    if !store.sessions().change_user(&user).await.map_err(|error| failed(&error))? {
        return Err(Failure::new(Exit::Conflict, format!("somebody else changed `{name}` at the same moment")).hint("try again"));
    }
    say(&format!("changed {name}, and ended their sessions"));
    Ok(Exit::Ok)
}

/// Typed twice on a terminal; else the first line of standard input.
fn password(name: &str) -> Result<String, Failure> {
    let cannot = |error: io::Error| Failure::new(Exit::Failed, "cannot read the password").because(&error);
    if !io::stdin().is_terminal() {
        let mut line = String::new();
        io::stdin().lock().take(LINE).read_line(&mut line).map_err(cannot)?;
        return Ok(line.trim_end_matches(['\n', '\r']).to_owned());
    }
    let terminal = ::console::Term::stderr();
    let ask = |what: &str| {
        terminal.write_str(what)?;
        terminal.read_secure_line()
    };
    let first = ask(&format!("Password for {name}: ")).map_err(cannot)?;
    if ask("The same again: ").map_err(cannot)? != first {
        return Err(Failure::new(Exit::Usage, "the two are not the same"));
    }
    Ok(first)
}

async fn list(config: &ConfigArgs, out: Out) -> Done {
    let rows = open(config).await?.sessions().users(LISTED).await.map_err(|error| failed(&error))?;
    if out.json {
        out.objects(rows.iter().map(|row| {
            json!({
                "name": row.person.name,
                "roles": row.person.roles,
                "processes": row.person.processes,
                "review_roles": row.person.review_roles,
                "created_at": row.created_at.to_string(),
                "changed_at": row.changed_at.to_string(),
                "signed_in_at": row.signed_in_at.map(|at| at.to_string()),
            })
        }))?;
        return Ok(Exit::Ok);
    }
    let line = |row: &UserRow| {
        let Person { name, roles, review_roles, .. } = &row.person;
        let last = row.signed_in_at.map_or_else(|| "never".to_owned(), |at| at.to_string());
        vec![name.clone(), roles.join(" "), review_roles.join(" "), row.changed_at.to_string(), last]
    };
    let rows: Vec<Vec<String>> = rows.iter().map(line).collect();
    out.table(&["Name", "Roles", "Reviewers' roles", "Changed", "Last signed in"], &rows)?;
    Ok(Exit::Ok)
}
