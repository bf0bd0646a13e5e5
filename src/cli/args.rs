//! Arguments that several commands share.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::exit::{Exit, Failure};
use super::token::RoleArg;
use crate::api::permit::Role;
use crate::config::{Config, Flag, load};
use crate::engine::ports::sessions::Person;

/// How a command finds its configuration. The keys are in `mozhao config show`.
#[derive(Debug, Args)]
pub(super) struct ConfigArgs {
    /// The configuration file [default: mozhao.yaml in this folder, where there is one]
    #[arg(long, short, env = "MOZHAO_CONFIG", hide_env_values = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Set a key, over environment and file: `--set worker.lease=15s` (repeatable)
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    set: Vec<(String, String)>,
    /// The same as `--set database.url=URL`
    #[arg(long, value_name = "URL")]
    database_url: Option<String>,
    /// The same as `--set log.level=FILTER`
    #[arg(long, value_name = "FILTER")]
    log_level: Option<String>,
}

impl ConfigArgs {
    /// The configuration, or everything that is wrong with it.
    pub(super) fn load(&self, more: &[(&str, &str, Option<&str>)]) -> Result<Config, Failure> {
        load::load(self.config.as_deref(), &self.flags(more)).map_err(|problems| Failure::config(&problems))
    }

    /// The configuration, or everything that is wrong with it, for commands that report it as data.
    pub(super) fn try_load(&self) -> Result<Config, Vec<crate::config::Problem>> {
        load::load(self.config.as_deref(), &self.flags(&[]))
    }

    fn flags(&self, more: &[(&str, &str, Option<&str>)]) -> Vec<Flag> {
        let named = [
            ("--database-url", "database.url", self.database_url.as_deref()),
            ("--log-level", "log.level", self.log_level.as_deref()),
        ];
        let flag =
            |flag: &str, key: &str, value: &str| Flag { flag: flag.to_owned(), key: key.to_owned(), value: value.to_owned() };
        let set = self.set.iter().map(|(key, value)| flag("--set", key, value));
        let short = named.iter().chain(more).filter_map(|(name, key, value)| value.map(|value| flag(name, key, value)));
        set.chain(short).collect()
    }
}

/// What somebody who signs in to the console may do.
#[derive(Debug, Args)]
pub(super) struct Rights {
    /// What they may do (repeatable)
    #[arg(long = "role", value_name = "ROLE", required = true)]
    roles: Vec<RoleArg>,
    /// A process that it is good for (repeatable) [default: all]
    #[arg(long = "process", value_name = "NAME")]
    processes: Vec<String>,
    /// A reviewers' role that they have, for reviews that ask for one (repeatable)
    #[arg(long = "review-role", value_name = "NAME")]
    review_roles: Vec<String>,
}

impl Rights {
    /// Somebody of this name who has them.
    pub(super) fn of(self, name: String) -> Person {
        let roles = self.roles.into_iter().map(|role| Role::from(role).as_str().to_owned()).collect();
        Person { name, roles, processes: self.processes, review_roles: self.review_roles }
    }
}

/// The id of a request, a review …
pub(super) fn id(text: &str) -> Result<Uuid, String> {
    text.parse().map_err(|_| {
        "it is no id; they look like 0192f3a4-5b6c-7d8e-9f01-23456789abcd, and the `list` commands show them".to_owned()
    })
}

/// `KEY=VALUE`.
pub(super) fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write KEY=VALUE".to_owned()),
    }
}

/// Fields of a payload: from `--field NAME=VALUE`, and from JSON (text, `@FILE`, or `-` for standard input).
#[derive(Debug, Args)]
pub(super) struct FieldArgs {
    /// A JSON object, @FILE to read it from a file, or - to read it from standard input
    #[arg(value_name = "JSON|@FILE|-")]
    body: Option<String>,
    /// One field: `card_id=C1` is text, `amount:=100` is JSON (repeatable)
    #[arg(long = "field", short, value_name = "NAME=VALUE")]
    fields: Vec<String>,
}

impl FieldArgs {
    /// The fields together; a `--field` wins over the JSON.
    pub(super) fn object(&self) -> Result<Map<String, Value>, Failure> {
        let usage = |message: String| Failure::new(Exit::Usage, message);
        let text = match self.body.as_deref() {
            None => None,
            Some("-") => Some(
                std::io::read_to_string(std::io::stdin())
                    .map_err(|error| usage("cannot read standard input".into()).because(&error))?,
            ),
            Some(text) => Some(match text.strip_prefix('@') {
                Some(path) => {
                    std::fs::read_to_string(path).map_err(|error| usage(format!("cannot read {path}")).because(&error))?
                }
                None => text.to_owned(),
            }),
        };
        let mut object = match text {
            None => Map::new(),
            Some(text) => match serde_json::from_str(&text) {
                Ok(Value::Object(object)) => object,
                Ok(_) => {
                    return Err(usage("the payload is not a JSON object".into())
                        .hint("write {\"name\": value, …} or use --field NAME=VALUE"));
                }
                Err(error) => {
                    return Err(usage("the payload is not JSON".into())
                        .because(&error)
                        .hint("quote it for the shell, or put it into a file: @payload.json"));
                }
            },
        };
        for field in &self.fields {
            let (name, value) =
                pair(field).map_err(|_| usage(format!("`{field}` is no field")).hint("write NAME=TEXT or NAME:=JSON"))?;
            match name.strip_suffix(':') {
                Some(name) => {
                    let value = serde_json::from_str(&value).map_err(|error| {
                        usage(format!("the value of `{name}` is not JSON")).because(&error).hint("write NAME=TEXT for text")
                    })?;
                    object.insert(name.to_owned(), value);
                }
                None => {
                    object.insert(name, Value::String(value));
                }
            }
        }
        Ok(object)
    }
}
