//! The command line: one file per noun.
//!
//! It has two kinds of readers. A person wants a table, a sentence and a way out of every error; a program wants stable
//! JSON, an exit code and nothing else on standard output. So every command makes data first and prints it last
//! ([`output`]), every error carries an [`exit::Exit`] and a hint, and what changes requests goes through the HTTP API like
//! everybody else's, because only a request's owner writes its ledger.

mod args;
mod client;
mod completions;
mod config;
mod console;
mod database;
mod defect;
mod demo;
mod dependency;
mod doctor;
pub mod exit;
mod ledger;
mod lists;
mod migrate;
pub mod output;
mod process;
mod request;
mod review;
mod sandbox;
mod serve;
pub mod signals;
mod timeline;
mod token;
mod user;
mod watch;

use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory, Parser, Subcommand};

use self::exit::{Exit, Failure};
use self::output::{Out, say};

/// What every command returns.
type Done = Result<Exit, Failure>;

const ABOUT: &str = "\
Mozhao takes customer requests from a queue or over HTTP, verifies and executes them step by step, retries on failure, \
and sends only exceptions to people.";

const LONG: &str = "\
Mozhao takes customer requests from a queue or over HTTP, verifies and executes them step by step, retries on failure, \
and sends only exceptions to people.

Start here:
  mozhao demo                         see everything at work, no server needed
  mozhao serve --config mozhao.yaml   run a worker with the HTTP API
  mozhao doctor --config mozhao.yaml  find out what is wrong, and how to mend it

Commands that talk to a running worker (request, review, defect, dependency, token list|revoke) find it by --url or \
MOZHAO_URL and prove who they are by --token, MOZHAO_TOKEN or MOZHAO_TOKEN_FILE.

Data goes to standard output, messages to standard error. With --json a command that reads prints one JSON object, or one \
per line for lists.";

#[derive(Debug, Parser)]
#[command(name = "mozhao", version, about = ABOUT, long_about = LONG, after_long_help = exit::TABLE, max_term_width = 100)]
struct Cli {
    /// Print JSON: one object, or one per line for lists
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

/// What to do. Where a variant says nothing, its arguments' own documentation is the help text.
#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Args),
    Demo(demo::Args),
    /// Check, test and draw process files
    Process(process::Args),
    /// Submit requests and follow them
    Request(request::Args),
    /// Answer the questions that are put to people
    Review(review::Args),
    /// Look at groups of technical failures, and resume what they hold up
    Defect(defect::Args),
    /// Look at remote systems, stop calling one, and resume what waits for it
    Dependency(dependency::Args),
    /// Make, list and revoke access tokens
    Token(token::Args),
    /// Add, change and remove people who sign in to the console with a password
    User(user::Args),
    /// Let people into the console, and put them out again
    Console(console::Args),
    Migrate(migrate::Args),
    /// Check the configuration, and show where each value comes from
    Config(config::Args),
    Doctor(doctor::Args),
    /// Prove that no request's record was changed
    Ledger(ledger::Args),
    Sandbox(sandbox::Args),
    Completions(completions::Args),
}

/// Runs the program.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let out = Out::new(cli.json);
    let threads = matches!(cli.command, Command::Serve(_) | Command::Demo(_) | Command::Sandbox(_) | Command::Process(_));
    let runtime =
        if threads { tokio::runtime::Builder::new_multi_thread() } else { tokio::runtime::Builder::new_current_thread() }
            .enable_all()
            .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return end(&Failure::new(Exit::Failed, "cannot start the runtime").because(&error)),
    };
    let result = runtime.block_on(run(cli.command, out));
    // What still runs after a second signal is cut off, not waited for.
    runtime.shutdown_timeout(Duration::from_millis(200));
    match result {
        Ok(exit) => exit.into(),
        Err(failure) => end(&failure),
    }
}

async fn run(command: Command, out: Out) -> Done {
    match command {
        Command::Serve(args) => serve::run(args).await,
        Command::Demo(args) => demo::run(args).await,
        Command::Process(args) => process::run(args, out).await,
        Command::Request(args) => request::run(args, out).await,
        Command::Review(args) => review::run(args, out).await,
        Command::Defect(args) => defect::run(args, out).await,
        Command::Dependency(args) => dependency::run(args, out).await,
        Command::Token(args) => token::run(args, out).await,
        Command::User(args) => user::run(args, out).await,
        Command::Console(args) => console::run(args, out).await,
        Command::Migrate(args) => migrate::run(args, out).await,
        Command::Config(args) => config::run(args, out),
        Command::Doctor(args) => doctor::run(args, out).await,
        Command::Ledger(args) => ledger::run(args, out).await,
        Command::Sandbox(args) => sandbox::run(args).await,
        Command::Completions(args) => completions::run(&args),
    }
}

fn end(failure: &Failure) -> ExitCode {
    if failure.silent {
        return Exit::Ok.into();
    }
    say(&failure.to_string());
    failure.exit.into()
}

/// The help of every command, one after the other: checked in at `deploy/cli-help.txt`.
#[must_use]
pub fn all_help() -> String {
    fn add(command: &mut clap::Command, path: &str, text: &mut String) {
        let help = command.render_long_help().to_string();
        text.extend(["$ ", path, " --help\n"]);
        for line in help.trim_end().lines() {
            text.extend([line.trim_end(), "\n"]);
        }
        text.push('\n');
        let names: Vec<String> = command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
        for name in names.iter().filter(|name| *name != "help") {
            if let Some(sub) = command.find_subcommand_mut(name) {
                add(sub, &format!("{path} {name}"), text);
            }
        }
    }
    let mut text = String::new();
    let mut command = Cli::command().term_width(100);
    command.build();
    add(&mut command, "mozhao", &mut text);
    text
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_checked_in_help_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/cli-help.txt");
        // The version changes with every release; the help need not.
        let made = all_help();
        if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
            std::fs::write(path, &made).unwrap();
        }
        assert_eq!(
            std::fs::read_to_string(path).unwrap(),
            made,
            "run the tests with UPDATE_SNAPSHOTS=1 and look at the difference"
        );
    }
}
