//! The part that touches the machine: which file, the environment, and whether the paths lead anywhere.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::{Config, File, Flag, Problem, Sources, file, resolve};

/// The file that is taken where none is named.
pub const DEFAULT_FILE: &str = "mozhao.yaml";

/// Reads the named file (else `mozhao.yaml` where there is one) and the environment.
///
/// # Errors
/// Everything that is wrong.
pub fn load(named: Option<&Path>, flags: &[Flag]) -> Result<Config, Vec<Problem>> {
    let path = named.map(Path::to_path_buf).or_else(|| Some(PathBuf::from(DEFAULT_FILE)).filter(|path| path.exists()));
    let mut text = None;
    if let Some(path) = path {
        let name = path.display().to_string();
        match read(&path, file::MAX_FILE) {
            Ok(read) => text = Some((name, read)),
            Err(error) => {
                let hint = match error.kind() {
                    io::ErrorKind::NotFound => "name a file with --config, or leave it out to run with the defaults",
                    io::ErrorKind::InvalidData => "the file must be UTF-8 text",
                    _ => "it must be a small text file that this user may read",
                };
                let message = format!("cannot read the configuration: {error}");
                return Err(vec![Problem { place: name, snippet: String::new(), message, hint: Some(hint.to_owned()) }]);
            }
        }
    }
    let env: BTreeMap<String, String> =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))).collect();
    resolve(&Sources {
        file: text.as_ref().map(|(name, text)| File { name, text }),
        env: &env,
        flags,
        read: &|path| read(path, 64 * 1024),
    })
}

/// What the configuration points at and is not there: the folder of processes, the connectors' file, secret files.
#[must_use]
pub fn missing(config: &Config) -> Vec<Problem> {
    let origin =
        |key: &str| config.shown().iter().find(|shown| shown.key == key).map(|shown| shown.origin.clone()).unwrap_or_default();
    let mut problems = Vec::new();
    let mut add = |place: String, message: String, hint: &str| {
        problems.push(Problem { place, snippet: String::new(), message, hint: Some(hint.to_owned()) });
    };
    if !config.processes.is_dir() {
        let message = format!("`processes`: {} is no folder", config.processes.display());
        add(origin("processes"), message, "make it and put process files into it, or name another folder");
    }
    if !config.connectors.is_file() {
        let message = format!("`connectors`: {} is no file", config.connectors.display());
        add(origin("connectors"), message, "write it (deploy/connectors.yaml shows how), or name another file");
    }
    for (tool, secret) in &config.amqp.decision_secrets {
        if super::load::secret(secret).is_err() {
            let message = format!("the secret of the tool `{tool}` is not there: {secret}");
            add(origin(&format!("amqp.decision_secrets.{tool}")), message, "put it there, or take the tool out");
        }
    }
    problems
}

/// Reads a secret, without the white space around it; an empty one counts as missing.
///
/// # Errors
/// The variable is not set, or the file cannot be read.
pub fn secret(at: &super::SecretRef) -> io::Result<String> {
    let text = match at {
        super::SecretRef::Env(name) => {
            std::env::var(name).map_err(|_| io::Error::new(io::ErrorKind::NotFound, format!("the variable {name} is not set")))?
        }
        super::SecretRef::File(path) => read(path, 64 * 1024)?,
    };
    match text.trim() {
        "" => Err(io::Error::new(io::ErrorKind::InvalidData, format!("there is nothing {at}"))),
        text => Ok(text.to_owned()),
    }
}

/// Reads a small text file; a larger one is refused instead of filling memory.
fn read(path: &Path, most: usize) -> io::Result<String> {
    use std::io::Read as _;
    let mut text = String::new();
    let most = u64::try_from(most).unwrap_or(u64::MAX);
    std::fs::File::open(path)?.take(most + 1).read_to_string(&mut text)?;
    if u64::try_from(text.len()).unwrap_or(u64::MAX) > most {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it is longer than {most} bytes")));
    }
    Ok(text)
}
