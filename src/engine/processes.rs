//! The processes that this worker knows: the versions of its folder, which it publishes, and every version that
//! was ever published, so that a request stays on the one it started with.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::ports::records::ProcessRow;
use super::ports::store::{Store, StoreError};
use crate::domain::process::{self, Finding, Known, model::Process};
use crate::domain::time::Time;

/// The most versions that are held in memory.
pub const MAX_VERSIONS: usize = 10_000;

/// Why the processes could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum ProcessesError {
    /// The folder could not be read.
    #[error("cannot read the processes in {folder}: {source}")]
    Folder {
        /// The folder.
        folder: String,
        /// Why.
        source: std::io::Error,
    },
    /// Files have errors.
    #[error("{} errors in process files; `mozhao process check` shows them", .0.len())]
    Invalid(Vec<Finding>),
    /// The same version was published with other content.
    #[error(
        "{name} version {version} was published before with other content (digest {stored}, the file has {found}); \
         give the changed file a new version number"
    )]
    Republished {
        /// The process.
        name: String,
        /// The version.
        version: u32,
        /// The published digest.
        stored: String,
        /// The file's digest.
        found: String,
    },
    /// Two files define the same version.
    #[error("{name} version {version} is defined twice, in {first} and {second}")]
    Twice {
        /// The process.
        name: String,
        /// The version.
        version: u32,
        /// A file.
        first: String,
        /// Another file.
        second: String,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// All known versions.
#[derive(Debug, Default)]
pub struct Processes {
    known: RwLock<BTreeMap<String, BTreeMap<u32, Arc<Process>>>>,
    /// The connectors of this worker, once its folder was read.
    connectors: RwLock<Option<BTreeSet<String>>>,
    /// Published versions that this worker cannot carry: looked at once.
    unreadable: Mutex<BTreeSet<(String, u32)>>,
}

impl Processes {
    /// The highest version of a process.
    #[must_use]
    pub fn latest(&self, name: &str) -> Option<Arc<Process>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.get(name).and_then(|versions| versions.values().next_back().cloned())
    }

    /// One version of a process.
    #[must_use]
    pub fn get(&self, name: &str, version: u32) -> Option<Arc<Process>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.get(name).and_then(|versions| versions.get(&version).cloned())
    }

    /// The highest version of each process, by name.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Process>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.values().filter_map(|versions| versions.values().next_back().cloned()).collect()
    }

    /// Every version of a process, lowest first.
    #[must_use]
    pub fn versions(&self, name: &str) -> Vec<Arc<Process>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.get(name).map(|versions| versions.values().cloned().collect()).unwrap_or_default()
    }

    /// What is known, for another worker in this process.
    #[must_use]
    pub fn copy(&self) -> Processes {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner).clone();
        Processes { known: RwLock::new(known), ..Processes::default() }
    }

    /// Adds a version.
    pub fn add(&self, process: Process) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.values().map(BTreeMap::len).sum::<usize>() < MAX_VERSIONS {
            known.entry(process.name.clone()).or_default().insert(process.version, Arc::new(process));
        }
    }

    /// Publishes the versions of a folder, then learns the ones that others published. Connectors are checked for the
    /// folder's files only: an old version may name one that is gone, and fails when it is used.
    ///
    /// # Errors
    /// See [`ProcessesError`]; nothing is published when any file has an error.
    pub async fn load(
        &self,
        store: &dyn Store,
        folder: Option<&Path>,
        connectors: &[String],
        now: Time,
    ) -> Result<(), ProcessesError> {
        let known = Known { connectors: Some(connectors.iter().cloned().collect::<BTreeSet<_>>()) };
        self.connectors.write().unwrap_or_else(PoisonError::into_inner).clone_from(&known.connectors);
        let found = match folder {
            Some(folder) => read_folder(folder, &known)?,
            None => Vec::new(),
        };
        for process in found {
            let row = ProcessRow {
                name: process.name.clone(),
                version: process.version,
                digest: process.digest.clone(),
                source: process.source.to_string(),
                published_at: now,
            };
            let stored = store.publish_process(&row).await?;
            if stored != process.digest {
                let (name, version, found) = (row.name, row.version, row.digest);
                return Err(ProcessesError::Republished { name, version, stored, found });
            }
            self.add(process);
        }
        self.learn(store).await
    }

    /// Learns versions that other workers published: reads the list of all, and the files of those that are new. During an upgrade
    /// the next program's workers publish newer versions, perhaps with connectors that are not here: those are left to them, since
    /// this worker would accept with them what it cannot carry. An old version may name a connector that is gone by now.
    ///
    /// # Errors
    /// The store failed.
    pub async fn learn(&self, store: &dyn Store) -> Result<(), ProcessesError> {
        for published in store.processes(MAX_VERSIONS).await? {
            let (name, version) = (published.name, published.version);
            let unreadable = || self.unreadable.lock().unwrap_or_else(PoisonError::into_inner);
            if self.get(&name, version).is_some() || unreadable().contains(&(name.clone(), version)) {
                continue;
            }
            let row = store.process(&name, version).await?;
            let newer = self.latest(&name).is_some_and(|ours| ours.version < version);
            let connectors = || self.connectors.read().unwrap_or_else(PoisonError::into_inner).clone();
            let known = Known { connectors: if newer { connectors() } else { None } };
            match process::parse(&format!("{} version {}", row.name, row.version), &row.source, &known) {
                Ok(parsed) => self.add(parsed.process),
                Err(findings) => {
                    tracing::warn!(
                        process = row.name,
                        version = row.version,
                        findings = findings.len(),
                        "a published version cannot be carried by this worker (its form, or a connector); its requests wait for another"
                    );
                    unreadable().insert((name, version));
                }
            }
        }
        Ok(())
    }
}

/// Parses every `*.yaml` of a folder except tests (`*.test.yaml`), in order of name.
///
/// # Errors
/// The folder cannot be read, or the findings of all files with errors.
pub fn read_folder(folder: &Path, known: &Known) -> Result<Vec<Process>, ProcessesError> {
    let unreadable = |source| ProcessesError::Folder { folder: folder.display().to_string(), source };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        let yaml = path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
        if yaml && !name.contains(".test.") {
            files.push(path);
        }
    }
    files.sort();
    let (mut parsed, mut findings): (Vec<(String, Process)>, Vec<Finding>) = Default::default();
    for path in files {
        let source = std::fs::read_to_string(&path).map_err(unreadable)?;
        let shown = path.display().to_string();
        match process::parse(&shown, &source, known) {
            Ok(good) => {
                let process = good.process;
                let twice = parsed.iter().find(|(_, old)| old.name == process.name && old.version == process.version);
                if let Some((first, _)) = twice {
                    let (name, version, first) = (process.name, process.version, first.clone());
                    return Err(ProcessesError::Twice { name, version, first, second: shown });
                }
                parsed.push((shown, process));
            }
            Err(found) => findings.extend(found),
        }
    }
    if findings.is_empty() {
        Ok(parsed.into_iter().map(|(_, process)| process).collect())
    } else {
        Err(ProcessesError::Invalid(findings))
    }
}
