//! The embedded engine: sled 0.34 as one tree, written by one committer thread.
//!
//! Promises what [`Outbox`] promises. Reads go straight to sled from any thread; all writes
//! go through the [`committer`]. Claims are kept by the dispatcher in memory, not here: a
//! delivery in flight is a waiting one on disk, so that a crash repeats it.

mod accept;
mod archive;
mod backup;
mod barrier;
mod claims;
mod closed;
mod committer;
mod dump;
mod engine;
mod fault;
mod finish;
mod group;
mod index;
mod job;
mod judge;
mod key;
mod leave;
mod list;
mod load;
mod log;
mod mark;
mod mend;
mod page;
mod record;
mod recover;
mod repair;
mod reseal;
mod shared;
mod space;
mod survey;
mod syncer;
mod tap;
mod upkeep;
mod vault;
mod whole;
mod words;
mod writes;

use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use tokio::sync::{Notify, Semaphore, mpsc};

use self::accept::{EncodedLead, EncodedSuspect};
pub use self::backup::{check, restore};
use self::barrier::Barrier;
use self::committer::Committer;
pub(crate) use self::engine::in_use;
use self::fault::Fault;
use self::group::{Group, KnownSink, Sinks};
use self::index::{Index, Tag};
use self::job::Job;
use self::key::SinkNumber;
use self::list::Reader;
pub use self::load::adopt;
use self::mark::Mark;
use self::record::{LeadRecord, SuspectRecord};
use self::shared::Shared;
use self::space::Space;
use self::syncer::Syncer;
pub use self::upkeep::{salvage, verify};
use self::vault::Vault;
use super::{
    Accepted, Arrival, BackedUp, Delivery, DeliveryId, Due, ExportHeader, Exported, Filter, Find,
    Finish, History, Imported, Intake, LeadId, Listed, Outbox, Page, QuarantineId, Quarantined,
    Queue, Refusal, Repair, Repaired, Resealed, Retention, SinkPolicy, StoredLead, StoredSuspect,
    Suspect, Swept, Totals, Unavailable, UpkeepError,
};
use crate::clock::Millis;
use crate::seal::OutboxKey;
use crate::telemetry::metrics::OutboxMetrics;

/// Format of the store written now.
const FORMAT: u32 = 2;
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

/// A sled store.
pub struct SledOutbox {
    reader: Reader,
    jobs: mpsc::Sender<Job>,
    room: Arc<Semaphore>,
    vault: Arc<Vault>,
    shared: Arc<Shared>,
    /// Of the committer and the syncer, until they are closed.
    threads: Mutex<Vec<JoinHandle<()>>>,
    path: PathBuf,
    /// Keeps the lock on the folder until everything else is gone.
    _db: ::sled::Db,
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
            let paused = reader.paused(name)?;
            Ok((Arc::clone(name), paused))
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
            .spawn(move || syncer.run())
            .map_err(|error| broken(error.to_string()))?;
        let committer = std::thread::Builder::new()
            .name("committer".to_owned())
            .spawn(move || committer.run())
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

    /// Queues the write of an arrival without waiting for room.
    fn arrive<T: Send + 'static>(
        &self,
        write: impl FnOnce(&mut Group<'_>) -> Result<T, Fault> + Send + 'static,
    ) -> BoxFuture<'static, Result<T, Refusal>> {
        if self.shared.space.short() {
            return ready(Err(Refusal::NoSpace)).boxed();
        }
        let Ok(permit) = Arc::clone(&self.room).try_acquire_owned() else {
            return ready(Err(Refusal::Full)).boxed();
        };
        let (job, answer) = Job::new(Some(permit), write);
        match self.jobs.try_send(job) {
            Ok(()) => async move {
                let answer = answer.await.unwrap_or_else(|_| Err(closed()));
                answer.map_err(Refusal::from)
            }
            .boxed(),
            Err(mpsc::error::TrySendError::Full(_)) => ready(Err(Refusal::Full)).boxed(),
            Err(mpsc::error::TrySendError::Closed(_)) => ready(Err(closed().into())).boxed(),
        }
    }

    /// Queues any other write, waiting for room.
    fn write<T: Send + 'static>(
        &self,
        write: impl FnOnce(&mut Group<'_>) -> Result<T, Fault> + Send + 'static,
    ) -> BoxFuture<'static, Result<T, Unavailable>> {
        let jobs = self.jobs.clone();
        let (job, answer) = Job::new(None, write);
        async move {
            jobs.send(job).await.map_err(|_| closed())?;
            answer.await.unwrap_or_else(|_| Err(closed()))
        }
        .boxed()
    }

    /// [`Self::write`] for a thread that may block.
    fn write_and_wait<T: Send + 'static>(
        &self,
        write: impl FnOnce(&mut Group<'_>) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Unavailable> {
        let (job, answer) = Job::new(None, write);
        self.jobs.blocking_send(job).map_err(|_| closed())?;
        answer.blocking_recv().unwrap_or_else(|_| Err(closed()))
    }

    /// A job for each of `ids`, so that one damaged record does not keep the others; how many
    /// did something. For a thread that may block.
    fn write_each<I: Copy + Send + 'static>(
        &self,
        ids: Vec<I>,
        write: impl Fn(&mut Group<'_>, I) -> Result<bool, Fault> + Copy + Send + 'static,
    ) -> Result<u64, Unavailable> {
        let mut answers = Vec::with_capacity(ids.len());
        for id in ids {
            let (job, answer) = Job::new(None, move |group| write(group, id));
            self.jobs.blocking_send(job).map_err(|_| closed())?;
            answers.push(answer);
        }
        let mut done = 0;
        for answer in answers {
            match answer.blocking_recv().unwrap_or_else(|_| Err(closed())) {
                Ok(did) => done += u64::from(did),
                // The committer has told of the damaged record.
                Err(_) if self.shared.fault().is_none() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn encode(&self, arrival: Arrival) -> EncodedLead {
        let identity = self.vault.index(IDENTITY, &[&arrival.identity]);
        let finds: Vec<Tag> = arrival.finds.iter().map(|find| self.tag(find)).collect();
        let record = record::seal(
            &self.vault,
            key::LEAD,
            &LeadRecord::of(&arrival, identity, finds.clone()),
        );
        EncodedLead {
            record,
            source: arrival.source,
            identity,
            content: self.vault.index(CONTENT, &[&arrival.content]),
            modified_at: arrival.modified_at,
            received_at: arrival.received_at,
            finds,
            routes: arrival.routes,
        }
    }

    fn tag(&self, find: &Find) -> Tag {
        let hash = self.vault.index(
            FIND,
            &[find.field.as_str().as_bytes(), find.value.as_bytes()],
        );
        key::tag(find.field as u8, &hash)
    }
}

/// What is hashed for the indexes, so that equal values of different kinds differ.
const IDENTITY: u8 = 1;
const CONTENT: u8 = 2;
const FIND: u8 = 3;
const FINGERPRINT: u8 = 4;

impl Intake for SledOutbox {
    fn accept(&self, arrival: Arrival) -> BoxFuture<'static, Result<Accepted, Refusal>> {
        let lead = self.encode(arrival);
        self.arrive(move |group| group.accept(&lead))
    }

    fn quarantine(&self, suspect: Suspect) -> BoxFuture<'static, Result<Quarantined, Refusal>> {
        let fingerprint = self.fingerprint(&suspect);
        let record = SuspectRecord {
            source: &suspect.source,
            reason: suspect.reason,
            received_at: suspect.received_at,
            request_id: suspect.request_id.as_deref(),
            query: &suspect.query,
            content_type: &suspect.content_type,
            body: &suspect.body,
            fingerprint,
        };
        let encoded = EncodedSuspect {
            record: record::seal(&self.vault, key::SUSPECT, &record),
            fingerprint,
            received_at: suspect.received_at,
        };
        self.arrive(move |group| group.quarantine(&encoded))
    }
}

impl Queue for SledOutbox {
    fn claim(&self, sink: &str, now: Millis, limit: usize) -> Result<Due, Unavailable> {
        Ok(self.reader.claim(sink, now, limit, &self.shared.claims)?)
    }

    fn unclaim(&self, _sink: &str, ids: &[DeliveryId]) {
        self.shared.claims.unclaim(ids);
    }

    fn finish(&self, finish: Finish) -> BoxFuture<'static, Result<(), Unavailable>> {
        self.write(move |group| group.finish(finish))
    }

    fn arrivals(&self, sink: &str) -> Arc<Notify> {
        self.shared.arrivals(sink)
    }

    fn latest(&self) -> Millis {
        self.shared.latest()
    }

    fn paused(&self, sink: &str) -> bool {
        self.shared.paused(sink)
    }
}

impl Outbox for SledOutbox {
    fn totals(&self) -> Totals {
        self.shared.totals()
    }

    fn oldest(&self, sink: &str) -> Result<Option<Millis>, Unavailable> {
        Ok(self.reader.oldest(sink)?)
    }

    fn lead(&self, id: LeadId, revision: u32) -> Result<Option<StoredLead>, Unavailable> {
        Ok(self.reader.lead(id, revision)?)
    }

    fn delivery(&self, id: DeliveryId) -> Result<Option<Delivery>, Unavailable> {
        Ok(self.reader.delivery(id)?)
    }

    fn deliveries(
        &self,
        filter: &Filter,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<Listed>, Unavailable> {
        let claims = &self.shared.claims;
        Ok(self.reader.deliveries(filter, after, limit, claims)?)
    }

    fn repair(
        &self,
        id: DeliveryId,
        repair: Repair,
        now: Millis,
    ) -> BoxFuture<'static, Result<Repaired, Unavailable>> {
        self.write(move |group| group.repair(id, repair, now))
    }

    fn find(&self, find: &Find, limit: usize) -> Result<Vec<LeadId>, Unavailable> {
        Ok(self.reader.find(&self.tag(find), limit)?)
    }

    fn leads(&self, after: Option<&str>, limit: usize) -> Result<Page<LeadId>, Unavailable> {
        Ok(self.reader.leads(after, limit)?)
    }

    fn history(&self, id: LeadId) -> Result<Option<History>, Unavailable> {
        Ok(self.reader.history(id, &self.shared.claims)?)
    }

    fn erase(&self, id: LeadId) -> BoxFuture<'static, Result<bool, Unavailable>> {
        self.write(move |group| group.erase(id))
    }

    fn suspects(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<StoredSuspect>, Unavailable> {
        Ok(self.reader.suspects(after, limit)?)
    }

    fn suspect(&self, id: QuarantineId) -> Result<Option<StoredSuspect>, Unavailable> {
        Ok(self.reader.suspect(id)?)
    }

    fn admit(
        &self,
        id: QuarantineId,
        arrival: Arrival,
        now: Millis,
    ) -> BoxFuture<'static, Result<Option<Accepted>, Refusal>> {
        // The record keeps when the push came; what is made of it begins now.
        let lead = EncodedLead {
            received_at: now,
            ..self.encode(arrival)
        };
        self.arrive(move |group| {
            if !group.discard(id)? {
                return Ok(None);
            }
            group.accept(&lead).map(Some)
        })
    }

    fn discard(&self, id: QuarantineId) -> BoxFuture<'static, Result<bool, Unavailable>> {
        self.write(move |group| group.discard(id))
    }

    fn pause(&self, sink: &str, paused: bool) -> BoxFuture<'static, Result<(), Unavailable>> {
        let name = sink.to_owned();
        let shared = Arc::clone(&self.shared);
        let write = self.write({
            let name = name.clone();
            move |group| {
                let known = group.on.sinks.named(&name)?;
                if paused {
                    group.writes.put(key::paused(&known.name), b"".as_slice());
                } else {
                    group.writes.remove(key::paused(&known.name));
                }
                Ok(())
            }
        });
        async move {
            write.await?;
            shared.set_paused(&name, paused);
            Ok(())
        }
        .boxed()
    }

    fn rekey(&self, from: Option<&str>, limit: usize) -> Result<Resealed, Unavailable> {
        let (stale, next) = self.reader.stale(from, limit)?;
        let resealed = stale.len() as u64;
        self.write_and_wait(move |group| stale.iter().try_for_each(|name| group.reseal(name)))?;
        Ok(Resealed { resealed, next })
    }

    fn export_header(&self) -> ExportHeader {
        self.header()
    }

    fn dump(
        &self,
        each: &mut dyn FnMut(Exported) -> std::io::Result<()>,
    ) -> Result<(), UpkeepError> {
        self.dump_all(each)
    }

    fn load(&self, some: Vec<Exported>) -> Result<Imported, UpkeepError> {
        self.load_all(some)
    }

    fn backup(&self, to: &mut dyn Write) -> Result<BackedUp, UpkeepError> {
        self.write_backup(to)
    }

    fn sweep(
        &self,
        keep: Retention,
        now: Millis,
        from: Option<LeadId>,
        limit: usize,
    ) -> Result<Swept, Unavailable> {
        let mut swept = Swept::default();
        if from.is_none() {
            let old = self.reader.old_suspects(keep, now, limit)?;
            #[expect(
                clippy::redundant_closure_for_method_calls,
                reason = "the method is not general enough over the group's lifetime"
            )]
            let gone = self.write_each(old, |group, id| group.discard(id))?;
            swept.suspects = gone;
        }
        let (leads, next) = self.reader.old_leads(keep, now, from, limit)?;
        swept.leads = self.write_each(leads, move |group, id| group.expire(id, keep, now))?;
        swept.next = next;
        Ok(swept)
    }

    fn fault(&self) -> Option<String> {
        self.shared.fault()
    }

    fn short_of_space(&self) -> bool {
        self.shared.space.short()
    }

    fn size(&self) -> u64 {
        self.shared.space.size()
    }

    fn free(&self) -> u64 {
        self.shared.space.free()
    }

    fn close(&self) {
        let threads = self.threads.lock();
        let threads = std::mem::take(&mut *threads.unwrap_or_else(PoisonError::into_inner));
        if !threads.is_empty() {
            // The queue may be full: wait for room on a thread that may block.
            let _ = self.jobs.blocking_send(Job::Close);
            let failed = threads.into_iter().filter_map(|thread| thread.join().err());
            let failed = failed.count();
            if failed == 0
                && self.shared.fault().is_none()
                && let Err(error) = closed::leave(&self.path)
            {
                tracing::warn!(error = %error, "outbox was not marked as closed whole");
            }
        }
    }
}

impl Drop for SledOutbox {
    fn drop(&mut self) {
        // Without `close` (a panic, a test) the thread ends by itself once `jobs` is gone.
        let _ = self.jobs.try_send(Job::Close);
    }
}

fn closed() -> Unavailable {
    Unavailable("leadgate is stopping".to_owned())
}

/// The store holds personal data: nobody but its owner may look.
fn private(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700))
}

fn check_format(tree: &::sled::Tree, path: &Path) -> Result<(), OpenError> {
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
fn register(tree: &::sled::Tree, policies: Vec<SinkPolicy>) -> ::sled::Result<Sinks> {
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

impl SledOutbox {
    /// What makes two suspects the same: everything but the query, whose request id and
    /// timestamp change with every push of the same content. A push without a body is its
    /// query.
    fn fingerprint(&self, suspect: &Suspect) -> [u8; 32] {
        let content = if suspect.body.is_empty() {
            suspect.query.as_bytes()
        } else {
            &suspect.body
        };
        self.vault.index(
            FINGERPRINT,
            &[
                suspect.source.as_bytes(),
                suspect.reason.as_bytes(),
                suspect.content_type.as_bytes(),
                content,
            ],
        )
    }
}

#[cfg(test)]
mod tests;
