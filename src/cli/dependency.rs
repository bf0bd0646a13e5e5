//! `mozhao dependency`: the remote systems behind the connectors, over the API.

use clap::{Args as ClapArgs, Subcommand};
use serde_json::{Value, json};

use super::Done;
use super::client::{ServerArgs, segment};
use super::defect::{ResumeArgs, everything, resumed};
use super::exit::Exit;
use super::lists::{self, ago};
use super::output::{Out, field, say};

/// `mozhao dependency …`
#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List dependencies: their breakers, and how many requests wait for each
    List,
    /// Stop calling a dependency: requests that need it are parked until it is reset
    Trip {
        /// Its name
        name: String,
        /// Why
        #[arg(long)]
        reason: String,
    },
    /// Call a dependency again
    Reset {
        /// Its name
        name: String,
        /// Why
        #[arg(long)]
        reason: String,
    },
    /// Let the requests that wait for a dependency go on, paced, without waiting for its next probe
    Resume {
        /// Its name
        name: String,
        #[command(flatten)]
        how: ResumeArgs,
    },
}

/// Runs it.
pub(super) async fn run(args: Args, out: Out) -> Done {
    let client = args.server.client()?;
    let path = |name: &str, what: &str| format!("/v1/dependencies/{}/{what}", segment(name));
    match args.command {
        Command::List => {
            let answer = client.get("/v1/dependencies").send().await?;
            let items = lists::items(&answer)?;
            if out.json {
                out.objects(items)?;
                return Ok(Exit::Ok);
            }
            let row = |item: &Value| {
                let get = |pointer: &str| field(item, pointer);
                let next = ago(&get("/control/probe_at"));
                // The last trouble's cause is history once it is over.
                let over = get("/state") == "closed";
                let cause = |pointer: &str| if over { String::new() } else { get(pointer) };
                vec![
                    get("/name"),
                    get("/state"),
                    cause("/control/reason"),
                    cause("/control/by"),
                    get("/parked"),
                    next,
                    get("/processes"),
                ]
            };
            out.table(
                &["Dependency", "State", "Why", "By", "Parked", "Next probe", "Called by"],
                &items.iter().map(row).collect::<Vec<_>>(),
            )?;
            Ok(Exit::Ok)
        }
        Command::Trip { name, reason } => {
            let answer = client.post(path(&name, "trip")).body(json!({ "reason": reason })).send().await?;
            changed(
                &answer,
                &format!("{name} is not called any more; `mozhao dependency reset {name} --reason …` ends that"),
                out,
            )
        }
        Command::Reset { name, reason } => {
            let answer = client.post(path(&name, "reset")).body(json!({ "reason": reason })).send().await?;
            changed(&answer, &format!("{name} is called again"), out)
        }
        Command::Resume { name, how } => resumed(&client.post(path(&name, "resume")).body(how.body()).send().await?, out),
    }
}

fn changed(answer: &Value, did: &str, out: Out) -> Done {
    if out.json {
        out.object(answer)?;
    } else {
        everything(answer, out)?;
        say(did);
    }
    Ok(Exit::Ok)
}
