//! `mozhao defect`: groups of technical failures with one fingerprint, and what they hold up, over the API.

use clap::{Args as ClapArgs, Subcommand};
use serde_json::{Value, json};

use super::Done;
use super::client::{ServerArgs, segment};
use super::exit::Exit;
use super::lists::{self, ago};
use super::output::{Out, field, say};

/// `mozhao defect …`
#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List defects, last seen first
    List {
        /// The most rows
        #[arg(long, value_name = "N", default_value_t = 50)]
        limit: u32,
    },
    /// Show a defect: what it has in common, an example, how many requests wait
    Show {
        /// Its fingerprint
        fingerprint: String,
    },
    /// Let the requests that wait for the fix go on: one first, and when that works the others, paced
    Resume {
        /// Its fingerprint
        fingerprint: String,
        #[command(flatten)]
        how: ResumeArgs,
    },
}

/// How a group is resumed.
#[derive(Debug, ClapArgs)]
pub(super) struct ResumeArgs {
    /// Requests per second
    #[arg(long, value_name = "N")]
    rate: Option<u32>,
    /// Move the requests to this version of their process first
    #[arg(long, value_name = "VERSION")]
    to_version: Option<u32>,
}

impl ResumeArgs {
    /// The body for the API; what was not asked for is left out.
    pub(super) fn body(&self) -> Value {
        let pairs = [("rate", self.rate), ("to_version", self.to_version)];
        pairs
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), json!(value?))))
            .collect::<serde_json::Map<_, _>>()
            .into()
    }
}

/// Runs it.
pub(super) async fn run(args: Args, out: Out) -> Done {
    let client = args.server.client()?;
    match args.command {
        Command::List { limit } => {
            let answer = client.get("/v1/defects").query("limit", Some(limit)).send().await?;
            let items = lists::items(&answer)?;
            if out.json {
                out.objects(items)?;
                return Ok(Exit::Ok);
            }
            let row = |item: &Value| {
                let get = |pointer: &str| field(item, pointer);
                let place = format!("{} {} {}", get("/process"), get("/version"), get("/slot"));
                vec![
                    get("/fingerprint"),
                    place,
                    get("/class"),
                    get("/code"),
                    get("/count"),
                    get("/parked"),
                    ago(&get("/last_seen")),
                    get("/detail"),
                ]
            };
            out.table(
                &["Defect", "Where", "Class", "Code", "Seen", "Parked", "Last", "Example"],
                &items.iter().map(row).collect::<Vec<_>>(),
            )?;
            if items.is_empty() {
                say("no defects");
            }
            Ok(Exit::Ok)
        }
        Command::Show { fingerprint } => {
            let defect = client.get(format!("/v1/defects/{}", segment(&fingerprint))).send().await?;
            if out.json {
                out.object(&defect)?;
                return Ok(Exit::Ok);
            }
            everything(&defect, out)?;
            if field(&defect, "/parked") == "0" {
                say("no request waits for it any more");
            } else {
                say(&format!(
                    "the requests: mozhao request list --parked defect:{fingerprint}\nafter the fix: mozhao defect resume {fingerprint}"
                ));
            }
            Ok(Exit::Ok)
        }
        Command::Resume { fingerprint, how } => {
            let call = client.post(format!("/v1/defects/{}/resume", segment(&fingerprint))).body(how.body());
            resumed(&call.send().await?, out)
        }
    }
}

/// Every plain field of an object, one per line.
pub(super) fn everything(object: &Value, out: Out) -> std::io::Result<()> {
    let Value::Object(fields) = object else { return Ok(()) };
    let pairs: Vec<(&str, String)> = fields.iter().map(|(name, value)| (name.as_str(), super::output::plain(value))).collect();
    out.pairs(&pairs)
}

/// Prints how a group stands after it was resumed.
pub(super) fn resumed(answer: &Value, out: Out) -> Done {
    if out.json {
        out.object(answer)?;
    } else {
        everything(answer, out)?;
        say("one request goes first; when that works the others follow, paced");
    }
    Ok(Exit::Ok)
}
