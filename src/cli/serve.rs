//! `mozhao serve`: a worker with the HTTP API.

use std::io::IsTerminal as _;

use clap::Args as ClapArgs;

use super::Done;
use super::args::ConfigArgs;
use super::exit::{Exit, Failure};
use super::signals::Stop;
use crate::config::Config;
use crate::telemetry;

/// Run a worker with the HTTP API
///
/// Takes requests from the broker (where `amqp.url` is set) and over HTTP, and runs the processes of the folder `processes`.
/// The first SIGINT or SIGTERM lets running attempts finish (`worker.drain`), the second stops at once; nothing is lost either
/// way. On SQLite one worker holds the file; on PostgreSQL any number of workers share the work.
#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigArgs,
    /// The same as `--set http.listen=ADDRESS`
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
}

/// Runs it.
pub(super) async fn run(args: Args) -> Done {
    let config = args.config.load(&[("--listen", "http.listen", args.listen.as_deref())])?;
    let unusable = super::config::unusable(&config);
    if !unusable.is_empty() {
        return Err(Failure::config(&unusable));
    }
    start_logs(&config)?;
    let stop = Stop::on_signals()?;
    let quit = stop.quit.clone();
    tokio::select! {
        result = crate::app::serve(config, stop) => result.map(|()| Exit::Ok).map_err(failed),
        () = quit.cancelled() => Err(Failure::new(Exit::Failed, "stopped before everything was finished")
            .hint("what was not finished is taken up again after the next start")),
    }
}

/// Logs as the configuration says, coloured for a terminal.
pub(super) fn start_logs(config: &Config) -> Result<(), Failure> {
    let color = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    telemetry::init(&config.log, color).map_err(|error| Failure::new(Exit::Failed, "cannot start logging").because(&error))
}

/// What kept the worker from running, with the exit code that its cause stands for.
fn failed(error: anyhow::Error) -> Failure {
    use crate::engine::ports::store::StoreError;
    use crate::engine::processes::ProcessesError;
    let mut exit = Exit::Failed;
    let mut findings = Vec::new();
    for cause in error.chain() {
        match cause.downcast_ref::<StoreError>() {
            Some(StoreError::Transient(_) | StoreError::Unknown(_)) => exit = Exit::Unreachable,
            Some(StoreError::Fenced | StoreError::InUse(_)) => exit = Exit::Conflict,
            _ => {}
        }
        match cause.downcast_ref::<ProcessesError>() {
            Some(ProcessesError::Invalid(found)) => {
                exit = Exit::Invalid;
                findings = found.iter().map(ToString::to_string).collect();
            }
            Some(ProcessesError::Twice { .. } | ProcessesError::Folder { .. }) => exit = Exit::Invalid,
            Some(ProcessesError::Republished { .. }) => exit = Exit::Conflict,
            _ => {}
        }
    }
    let in_use = |cause: &std::io::Error| cause.kind() == std::io::ErrorKind::AddrInUse;
    let hint = if error.chain().any(|cause| cause.downcast_ref().is_some_and(in_use)) {
        "another program listens there, perhaps another `mozhao serve`: stop it, or choose another port with --listen 127.0.0.1:PORT"
    } else {
        "`mozhao doctor` with the same configuration looks for the cause"
    };
    let mut failure = Failure::from(error).hint(hint);
    failure.exit = exit;
    failure.findings = findings;
    failure
}
