//! Opening: a folder becomes a store that runs, or an error says why not.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, RwLock};

use tokio::sync::{Semaphore, mpsc};

use super::barrier::Barrier;
use super::committer::Committer;
use super::fault::Fault;
use super::group::{KnownSink, Sinks};
use super::index::Index;
use super::key::{self, SinkNumber};
use super::list::Reader;
use super::mark::{self, Mark};
use super::shared::Shared;
use super::space::Space;
use super::syncer::Syncer;
use super::vault::Vault;
use super::{SledOutbox, engine, judge, key_file};
use crate::outbox::SinkPolicy;
use crate::seal::OutboxKey;
use crate::telemetry::metrics::OutboxMetrics;

/// Format of the store written now.
pub(super) const FORMAT: u32 = 4;
/// Room in the queue beyond arrivals, for ends of attempts.
const FINISHES: usize = 1024;
/// Groups that may be in the tree and not yet on disk.
const AHEAD: usize = 16;

/// How to open a store.
pub struct Options<'a> {
    /// Folder of the store; made if it is not there.
    pub path: &'a Path,
    /// Arrivals that may wait for the committer.
    pub queue: usize,
    /// Memory for cached pages, in bytes.
    pub cache: usize,
    /// Keys that seal records: the first one for new records, all for reading. None leaves
    /// new records plain.
    pub keys: &'a [OutboxKey],
    /// All configured sinks.
    pub sinks: Vec<SinkPolicy>,
    /// Bytes that must stay free on the disk; below, nothing is accepted.
    pub min_free: u64,
    /// Where commits are measured.
    pub metrics: OutboxMetrics,
}

/// Why a store was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("the outbox {0} is in use by another leadgate; stop it first")]
    InUse(PathBuf),
    /// It was written by a newer leadgate.
    #[error(
        "the outbox {path} has format {found}, this leadgate knows up to {FORMAT}; use the newer leadgate that wrote it"
    )]
    Newer {
        /// Which store.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// It was written by an older leadgate whose format this one does not read.
    #[error(
        "the outbox {path} has format {found}, this leadgate reads format {FORMAT}; let the leadgate that wrote it deliver what waits, then start with a new folder"
    )]
    Older {
        /// Which store.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// Its file is damaged. It was not touched.
    #[error(
        "the outbox {path} is damaged: {why}; see `leadgate outbox verify`, then restore a backup or save what is whole with `leadgate outbox salvage`"
    )]
    Damaged {
        /// Which store.
        path: PathBuf,
        /// What was found.
        why: String,
    },
    /// Anything else.
    #[error("the outbox {path} cannot be opened: {why}")]
    Broken {
        /// Which store.
        path: PathBuf,
        /// What went wrong.
        why: String,
    },
}

impl SledOutbox {
    /// Opens or makes the store and starts its committer.
    pub fn open(options: Options<'_>) -> Result<Self, OpenError> {
        let path = options.path.to_owned();
        let broken = |why: String| OpenError::Broken {
            path: path.clone(),
            why,
        };
        std::fs::create_dir_all(&path).map_err(|error| broken(error.to_string()))?;
        private(&path).map_err(|error| broken(error.to_string()))?;
        let db = engine::open(&path, options.cache)?;
        let tree: ::sled::Tree = (*db).clone();
        check_format(&tree, &path)?;
        let sinks = register(&tree, options.sinks).map_err(|error| broken(error.to_string()))?;
        let sinks = Arc::new(sinks);
        let broken_store = |fault: Fault| broken(fault.to_string());
        let vault = Arc::new(Vault::open(&tree, options.keys).map_err(broken_store)?);
        key_file::note(&path, options.keys).map_err(|error| broken(error.to_string()))?;
        let barrier = Barrier::open(&path).map_err(|error| broken(error.to_string()))?;
        barrier
            .pass(&tree)
            .map_err(|error| broken(error.to_string()))?;
        let (index, compactor) = Index::open(&tree).map_err(broken_store)?;
        let reader = Reader {
            tree: tree.clone(),
            sinks: Arc::clone(&sinks),
            vault: Arc::clone(&vault),
            index: Arc::new(RwLock::new(index)),
        };
        let totals = reader.totals().map_err(broken_store)?;
        if let Some(missing) = mark::missing(&path, &totals) {
            return Err(OpenError::Damaged {
                path,
                why: judge::missing(missing),
            });
        }
        let mark = Mark::open(&path).map_err(|error| broken(error.to_string()))?;
        let lanes = sinks.by_name.keys().map(|name| {
            let pause = reader.pause(name)?;
            Ok((Arc::clone(name), pause))
        });
        let lanes = lanes.collect::<Result<Vec<_>, Fault>>();
        let shared = Arc::new(Shared::new(
            totals.clone(),
            lanes.map_err(broken_store)?.into_iter(),
            Space::new(&path, options.min_free),
            Some(mark),
            options.metrics,
        ));
        let (jobs, queue) = mpsc::channel(options.queue + FINISHES);
        // The committer is at most so many groups ahead of the disk.
        let (applied, groups) = std::sync::mpsc::sync_channel(AHEAD);
        let syncer = Syncer {
            applied: groups,
            tree: tree.clone(),
            barrier,
            shared: Arc::clone(&shared),
        };
        let committer = Committer {
            jobs: queue,
            tree,
            sinks,
            vault: Arc::clone(&vault),
            index: Arc::clone(&reader.index),
            compactor,
            shared: Arc::clone(&shared),
            totals,
            applied,
        };
        let syncer = std::thread::Builder::new()
            .name("syncer".to_owned())
            .spawn({
                let shared = Arc::clone(&shared);
                move || shared.watched(|| syncer.run())
            })
            .map_err(|error| broken(error.to_string()))?;
        let committer = std::thread::Builder::new()
            .name("committer".to_owned())
            .spawn({
                let shared = Arc::clone(&shared);
                move || shared.watched(|| committer.run())
            })
            .map_err(|error| broken(error.to_string()))?;
        Ok(Self {
            reader,
            jobs,
            room: Arc::new(Semaphore::new(options.queue)),
            vault,
            shared,
            threads: Mutex::new(vec![committer, syncer]),
            path,
            _db: db,
        })
    }
}

/// The store holds personal data: nobody but its owner may look.
pub(super) fn private(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700))
}

pub(super) fn check_format(tree: &::sled::Tree, path: &Path) -> Result<(), OpenError> {
    let broken = |why: String| OpenError::Broken {
        path: path.to_owned(),
        why,
    };
    match tree
        .get(key::FORMAT)
        .map_err(|error| broken(error.to_string()))?
    {
        None if tree.is_empty() => {
            tree.insert(key::FORMAT, &FORMAT.to_be_bytes())
                .map_err(|error| broken(error.to_string()))?;
            Ok(())
        }
        None => Err(broken(
            "the folder holds a sled database that is not an outbox".to_owned(),
        )),
        Some(bytes) => match bytes.as_ref().try_into().map(u32::from_be_bytes) {
            Ok(FORMAT) => Ok(()),
            Ok(found) if found > FORMAT => Err(OpenError::Newer {
                path: path.to_owned(),
                found,
            }),
            Ok(found) => Err(OpenError::Older {
                path: path.to_owned(),
                found,
            }),
            _ => Err(broken("its format number is damaged".to_owned())),
        },
    }
}

/// Gives each sink a number that it keeps for the life of the store.
pub(super) fn register(tree: &::sled::Tree, policies: Vec<SinkPolicy>) -> ::sled::Result<Sinks> {
    let mut next: SinkNumber = 0;
    let mut known: HashMap<String, (SinkNumber, Option<SinkPolicy>)> = HashMap::new();
    for entry in tree.scan_prefix(b"s") {
        let (key, number) = entry?;
        let number = number
            .as_ref()
            .try_into()
            .map_or(0, SinkNumber::from_be_bytes);
        next = next.max(number + 1);
        let name = String::from_utf8_lossy(&key[1..]).into_owned();
        known.insert(name, (number, None));
    }
    for policy in policies {
        if !known.contains_key(&policy.name) {
            tree.insert(key::sink(&policy.name), &next.to_be_bytes())?;
            known.insert(policy.name.clone(), (next, None));
            next += 1;
        }
        if let Some((_, known)) = known.get_mut(&policy.name) {
            *known = Some(policy);
        }
    }
    let all: Vec<Arc<KnownSink>> = known
        .into_iter()
        .map(|(name, (number, policy))| {
            let name = name.into();
            Arc::new(KnownSink {
                number,
                name,
                policy,
            })
        })
        .collect();
    Ok(Sinks {
        by_name: all
            .iter()
            .map(|sink| (Arc::clone(&sink.name), Arc::clone(sink)))
            .collect(),
        by_number: all.into_iter().map(|sink| (sink.number, sink)).collect(),
    })
}
