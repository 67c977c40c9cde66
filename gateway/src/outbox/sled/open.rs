//! Opening: a folder becomes a store that runs, or an error says why not.
//!
//! Only the newest segment is read, and what the index has not applied. An index that takes long,
//! or cannot be used, never keeps a store from opening: pushes are taken meanwhile.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Arc, Mutex, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, mpsc};
use uuid::{ContextV7, Uuid};

use super::audit::{self, Audit, Linking};
use super::bodies::Bodies;
use super::clean::Cleaner;
use super::codec::{Entry, Standing};
use super::committer::Committer;
use super::current::{Catalog, Current};
use super::find::Finds;
use super::job::Job;
use super::journal::{self, Batch, Disk, Journal, JournalError, Reader as Segments, Recovered};
use super::lock::Lock;
use super::place::Place;
use super::publish::{add_tags, tags_of};
use super::reader::GroupTexts;
use super::reads::Reads;
use super::rebuild::{self, Failed, Opening, Rebuild};
use super::shared::Shared;
use super::space::Space;
use super::syncer::Syncer;
use super::vault::Vault;
use super::{SledOutbox, index, key_file};
use crate::outbox::SinkPolicy;
use crate::outbox::state::{Record, Tag, known};
use crate::seal::{IndexKey, Keyring, OutboxKey};
use crate::telemetry::metrics::OutboxMetrics;

/// Room in the queue beyond arrivals, for ends of attempts.
const FINISHES: usize = 1024;
/// How long a start waits for the index: nearly always it is there by then. Pushes are taken
/// before it is, but nobody knows yet which of them are new.
const WAITS: Duration = Duration::from_secs(if cfg!(test) { 60 } else { 3 });
/// Groups that may be written and not yet on disk.
const AHEAD: usize = 16;

/// How to open a store.
pub struct Options<'a> {
    /// Folder of the store; made if it is not there.
    pub path: &'a Path,
    /// Arrivals that may wait for the committer.
    pub queue: usize,
    /// Memory for cached pages of the index, in bytes.
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
    #[error("the outbox {path} is of a newer leadgate ({why}); use the leadgate that wrote it")]
    Newer {
        /// Which store.
        path: PathBuf,
        /// What was found.
        why: String,
    },
    /// It was written by an older leadgate, whose format this one does not read.
    #[error(
        "the outbox {0} was written by an older leadgate; with that one, write it out by `leadgate outbox export`, then `leadgate outbox import` it here into a new folder"
    )]
    Older(PathBuf),
    /// Its journal is damaged. It was not touched.
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
    /// Opens or makes the store and starts its threads.
    pub fn open(options: Options<'_>) -> Result<Self, OpenError> {
        Self::open_within(options, Some(WAITS))
    }

    /// The same; waits so long for the index, or does not even look whether it is there.
    pub(super) fn open_within(
        options: Options<'_>,
        wait: Option<Duration>,
    ) -> Result<Self, OpenError> {
        let path = options.path.to_owned();
        let broken = |why: String| OpenError::Broken {
            path: path.clone(),
            why,
        };
        let failed = |error: std::io::Error| broken(error.to_string());
        std::fs::create_dir_all(&path).map_err(failed)?;
        private(&path).map_err(failed)?;
        let lock = Lock::take(&path).map_err(failed)?;
        let lock = lock.ok_or_else(|| OpenError::InUse(path.clone()))?;
        refuse_older(&path)?;
        refuse_without_journal(&path)?;
        let (journal, recovered) = open_journal(&path, options.keys)?;
        key_file::note(&path, options.keys).map_err(failed)?;
        let segments = journal.reader();
        if recovered.created {
            // Of another journal, whatever it is.
            index::delete(&path.join("index")).map_err(failed)?;
        }
        let last = recovered.last_sequence;
        let until = wait.map(|wait| Instant::now() + wait);
        // At the same time as all that is read here.
        let opening = rebuild::begin_opening(
            path.join("index"),
            options.cache,
            Arc::clone(&segments),
            journal.syncing(),
            last,
        );
        let opening = opening.map_err(failed)?;
        let closed: Vec<u32> = segments.facts().iter().map(|facts| facts.number).collect();
        let finds = Finds::open(&path.join("journal"), &closed, {
            let segments = Arc::clone(&segments);
            move |segment| tags(&segments, segment)
        });
        let finds = Arc::new(finds.map_err(failed)?);
        let mut standing = standing(&segments, &recovered, |record, place| {
            add_tags(record, place, &finds);
        })
        .map_err(|error| refusal(&path, &error))?;
        let newest = segments.open_segment().number;
        let is_there = |segment| segment == newest || closed.contains(&segment);
        standing.remains.retain(is_there);
        let found = found(&path, opening, until).map_err(|error| refusal(&path, &error))?;
        let Found { catalog, opening } = found;
        let vault = Arc::new(Vault {
            codec: Arc::clone(journal.codec()),
            index: standing.index_key.clone(),
        });
        let sinks = Arc::new(known(names_of(&standing, catalog.as_ref()), options.sinks));
        let shared = Arc::new(Shared::new(
            standing.totals.clone(),
            Arc::clone(&sinks),
            |name| standing.pause(name),
            Space::new(&path, options.min_free),
            options.metrics,
        ));
        let deferred = standing.deferred.iter().copied().collect();
        let mark = standing.audit;
        let totals = standing.totals.clone();
        let standing = Arc::new(RwLock::new(standing));
        let bodies = Arc::new(Bodies::new(Arc::clone(&segments)));
        let current = Arc::new(Current::new(catalog.map(Arc::new)));
        let (jobs, queue) = mpsc::channel(options.queue + FINISHES);
        let cleaner = Cleaner {
            jobs: jobs.downgrade(),
            bodies: Arc::clone(&bodies),
            current: Arc::clone(&current),
            shared: Arc::clone(&shared),
            standing: Arc::clone(&standing),
            one: Arc::default(),
        };
        let reads = Reads {
            current: Arc::clone(&current),
            bodies: Arc::clone(&bodies),
            finds: Arc::clone(&finds),
            shared: Arc::clone(&shared),
            texts: GroupTexts::default(),
        };
        let place = audit::Place {
            path: &path,
            files: Arc::new(Disk),
            linking: Linking::new(Arc::clone(&vault.codec), vault.index.clone()),
            mark,
        };
        let audit = Audit::open(place, audit::told_by(jobs.downgrade(), &shared));
        let audit = audit.map_err(failed)?;
        // The committer is at most so many groups ahead of the disk.
        let (written, groups) = std::sync::mpsc::sync_channel(AHEAD);
        let syncer = Syncer {
            written: groups,
            journal: journal.syncing(),
            shared: Arc::clone(&shared),
            jobs: jobs.downgrade(),
        };
        let syncer = spawn("syncer", &shared, move || syncer.run()).map_err(failed)?;
        // Weak, so that the queue ends.
        let queued = jobs.downgrade();
        let rebuild = Rebuild {
            folder: path.clone(),
            cache: options.cache,
            reader: segments,
            syncing: journal.syncing(),
            shared: Arc::clone(&shared),
            made: Arc::new(move |made| {
                if let Some(jobs) = queued.upgrade() {
                    let _ = jobs.blocking_send(Job::Made(Box::new(made)));
                }
            }),
            running: Arc::default(),
        };
        if let Some(opening) = opening {
            rebuild.start_with(Some((opening, last)));
        }
        let committer = Committer {
            jobs: queue,
            journal,
            batch: Batch::default(),
            standing: Arc::clone(&standing),
            sinks,
            vault: Arc::clone(&vault),
            bodies,
            finds,
            shared: Arc::clone(&shared),
            current,
            rebuild,
            written: Some(written),
            syncer: Some(syncer),
            deferred,
            stuck: BTreeSet::new(),
            held: Vec::new(),
            totals,
            ids: ContextV7::new(),
        };
        let committer = spawn("committer", &shared, move || committer.run()).map_err(failed)?;
        let cleaning = cleaner.clone();
        let cleaning = std::thread::Builder::new()
            .name("cleaner".to_owned())
            .spawn(move || cleaning.run())
            .map_err(failed)?;
        Ok(Self {
            reads,
            jobs,
            room: Arc::new(Semaphore::new(options.queue)),
            vault,
            shared,
            standing,
            cleaner,
            audit,
            sums: super::backup::Sums::default(),
            threads: Mutex::new(vec![committer, cleaning]),
            _lock: lock,
        })
    }
}

/// A thread without which nothing is written.
fn spawn(
    name: &str,
    shared: &Arc<Shared>,
    run: impl FnOnce() + Send + 'static,
) -> std::io::Result<JoinHandle<()>> {
    let shared = Arc::clone(shared);
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || shared.watched(run))
}

/// The store holds personal data: nobody but its owner may look.
pub(super) fn private(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700))
}

/// Stores of before were one sled database.
pub(super) fn refuse_older(path: &Path) -> Result<(), OpenError> {
    if path.join("db").exists() && path.join("conf").exists() {
        return Err(OpenError::Older(path.to_owned()));
    }
    Ok(())
}

/// What stands beside the journal was left by one that is gone, and with it all leads.
fn refuse_without_journal(path: &Path) -> Result<(), OpenError> {
    let segments = std::fs::read_dir(path.join("journal"));
    let mut segments = segments.into_iter().flatten().flatten();
    let there = segments.any(|entry| entry.path().extension().is_some_and(|end| end == "seg"));
    let left = ["index", "synced", audit::FOLDER].map(|name| path.join(name).exists());
    if there || left == [false; 3] {
        return Ok(());
    }
    Err(OpenError::Damaged {
        path: path.to_owned(),
        why: "its folder `journal` with all leads is gone; put it back, or remove all that is left to begin with an empty outbox".to_owned(),
    })
}

pub(super) fn open_journal(
    path: &Path,
    keys: &[OutboxKey],
) -> Result<(Journal, Recovered), OpenError> {
    let fresh = || Standing::new(IndexKey::generate());
    let keyring = Keyring::new(keys);
    let folder = path.join("journal");
    let options = journal::Options::default();
    Journal::open(Arc::new(Disk), &folder, keyring, options, fresh)
        .map_err(|error| refusal(path, &error))
}

/// Why a journal keeps the store from opening.
pub(super) fn refusal(path: &Path, error: &JournalError) -> OpenError {
    if matches!(error, JournalError::Older { .. }) {
        return OpenError::Older(path.to_owned());
    }
    let (path, why) = (path.to_owned(), error.to_string());
    if error.is_damage() {
        OpenError::Damaged { path, why }
    } else if error.is_newer() {
        OpenError::Newer { path, why }
    } else {
        OpenError::Broken { path, why }
    }
}

/// Reads the newest segment: what stands in no index, and what is found in no file yet.
/// `each` is given what else is in it.
pub(super) fn standing(
    segments: &Segments,
    recovered: &Recovered,
    mut each: impl FnMut(&Record, Place),
) -> Result<Standing, JournalError> {
    let mut standing = recovered.standing.clone();
    each_entry(segments, recovered.newest, |entry, place| {
        standing.take(entry, place);
        if let Entry::Record { record, .. } = entry {
            each(record, place);
        }
    })?;
    Ok(standing)
}

/// Reads a segment without what is sealed in it.
fn each_entry(
    segments: &Segments,
    segment: u32,
    mut each: impl FnMut(&Entry, Place),
) -> Result<(), JournalError> {
    for frame in segments.scan(segment, 0)? {
        for (place, bytes) in frame?.records() {
            let entry = segments.codec().clear(bytes);
            let entry = entry.map_err(|why| JournalError::Unreadable { segment, why })?;
            each(&entry, place);
        }
    }
    Ok(())
}

/// What became of the index within the time that a start waits for it.
#[derive(Default)]
struct Found {
    /// It has all that the journal has.
    catalog: Option<Catalog>,
    /// It is still being opened.
    opening: Option<Opening>,
}

/// Waits for the index. One that is of no use is deleted.
fn found(path: &Path, opening: Opening, until: Option<Instant>) -> Result<Found, JournalError> {
    let opened = until.map_or(Err(RecvTimeoutError::Timeout), |until| {
        opening.recv_timeout(until.saturating_duration_since(Instant::now()))
    });
    match opened {
        Ok(Ok(catalog)) => Ok(Found {
            catalog: Some(catalog),
            ..Found::default()
        }),
        Ok(Err(Failed::Journal(error))) => Err(error),
        Ok(Err(why)) => {
            rebuild::unusable(path, &why);
            Ok(Found::default())
        }
        Err(RecvTimeoutError::Timeout) => {
            tracing::info!("outbox index takes long to open; pushes are taken meanwhile");
            Ok(Found {
                opening: Some(opening),
                ..Found::default()
            })
        }
        Err(RecvTimeoutError::Disconnected) => {
            rebuild::unusable(path, &Failed::Panicked);
            Ok(Found::default())
        }
    }
}

/// All sinks that something is known of.
fn names_of(standing: &Standing, catalog: Option<&Catalog>) -> BTreeSet<Arc<str>> {
    let mut names: BTreeSet<String> = standing.totals.sinks.keys().cloned().collect();
    names.extend(standing.pauses.keys().cloned());
    names.extend(standing.sink_states.keys().map(|(sink, _)| sink.clone()));
    names.extend(catalog.into_iter().flat_map(Catalog::sinks));
    names.into_iter().map(Arc::from).collect()
}

/// What a closed segment's records are found by.
pub(super) fn tags(segments: &Segments, segment: u32) -> std::io::Result<Vec<(Tag, Uuid)>> {
    let mut tags = Vec::new();
    let read = each_entry(segments, segment, |entry, _| {
        if let Entry::Record { record, .. } = entry {
            tags_of(record, |tag, id| tags.push((*tag, id)));
        }
    });
    read.map_err(std::io::Error::other).map(|()| tags)
}
