//! `mozhao demo`: the whole product on this machine.

use std::io::IsTerminal as _;
use std::time::Duration;

use clap::Args as ClapArgs;

use super::Done;
use super::exit::{Exit, Failure};
use super::signals::Stop;
use crate::app::DemoOptions;
use crate::domain::time::parse_duration;

/// Show the whole product at work on this machine, no server needed
///
/// Starts the sandbox and a worker on SQLite in a temporary folder, sends a stream of requests with scripted trouble (grey
/// faces, a bank that times out after applying, an outage, a contract change), and ends with a summary and what to try
/// next. Stays up until Ctrl-C, unless --exit is given.
#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    /// End with the summary; exits with 1 when the books do not add up
    #[arg(long)]
    exit: bool,
    /// How many requests to send
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    requests: u32,
    /// Over how long to send them, at random times as customers do; without it, within seconds
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    over: Option<Duration>,
    /// The seed of customers, requests and troubles: the same seed sends the same requests
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// Leave the folder with the database, the configuration and the processes behind
    #[arg(long)]
    keep: bool,
}

/// Runs it.
pub(super) async fn run(args: Args) -> Done {
    let stop = Stop::on_signals()?;
    let quit = stop.quit.clone();
    let options = DemoOptions {
        exit: args.exit,
        requests: args.requests,
        over: args.over,
        seed: args.seed,
        terminal: std::io::stderr().is_terminal(),
        keep: args.keep,
    };
    tokio::select! {
        holds = crate::app::demo(options, stop) => {
            if holds? {
                return Ok(Exit::Ok);
            }
            let hint = "this must not happen: please report it with the seed and the summary";
            Err(Failure::new(Exit::Failed, "the books do not add up").hint(hint))
        }
        () = quit.cancelled() => Err(Failure::new(Exit::Failed, "stopped before the demo had ended")),
    }
}
