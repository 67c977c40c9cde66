//! The embedded engine: sled 0.34 as one tree, written by one committer thread.
//!
//! Promises what [`Outbox`] promises. Reads go straight to sled from any thread; all writes
//! go through the [`committer`]. Claims are kept by the dispatcher in memory, not here: a
//! delivery in flight is a waiting one on disk, so that a crash repeats it.

mod barrier;
mod committer;
mod group;
mod key;
mod record;
mod shared;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use tokio::sync::{Notify, Semaphore, mpsc, oneshot};

use self::barrier::Barrier;
use self::committer::{Committer, Job};
use self::group::{EncodedLead, EncodedSuspect, read};
use self::key::SinkNumber;
use self::record::{LeadRecord, SuspectRecord};
use self::shared::Shared;
use super::{
    Accepted, Arrival, Claim, Delivery, DeliveryId, Due, Finish, LeadId, Outbox, Quarantined,
    Refusal, StoredLead, Suspect, Totals, Unavailable,
};
use crate::clock::Millis;
use crate::telemetry::metrics::OutboxMetrics;

/// Format of the store written now.
const FORMAT: u32 = 1;
/// Room in the queue beyond arrivals, for ends of attempts.
const FINISHES: usize = 1024;

/// How to open a store.
pub struct Options<'a> {
    /// Folder of the store; made if it is not there.
    pub path: &'a Path,
    /// Arrivals that may wait for the committer.
    pub queue: usize,
    /// Memory for cached pages, in bytes.
    pub cache: usize,
    /// Names of all sinks.
    pub sinks: Vec<String>,
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
    db: ::sled::Db,
    tree: ::sled::Tree,
    jobs: mpsc::Sender<Job>,
    room: Arc<Semaphore>,
    sinks: HashMap<Arc<str>, SinkNumber>,
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
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
        let db = ::sled::Config::new()
            .path(&path)
            .cache_capacity(options.cache as u64)
            .flush_every_ms(None)
            .mode(::sled::Mode::HighThroughput)
            .open()
            .map_err(|error| match error {
                ::sled::Error::Io(io) if io.to_string().contains("lock") => {
                    OpenError::InUse(path.clone())
                }
                other => broken(other.to_string()),
            })?;
        let tree: ::sled::Tree = (*db).clone();
        check_format(&tree, &path)?;
        let sinks = register(&tree, options.sinks).map_err(|error| broken(error.to_string()))?;
        let barrier = Barrier::open(&path).map_err(|error| broken(error.to_string()))?;
        barrier
            .pass(&tree)
            .map_err(|error| broken(error.to_string()))?;
        let totals: Totals = read(&tree, key::TOTALS)
            .map_err(|error| broken(error.0))?
            .unwrap_or_default();

        let shared = Arc::new(Shared::new(totals, sinks.keys().cloned(), options.metrics));
        let (jobs, queue) = mpsc::channel(options.queue + FINISHES);
        let committer = Committer {
            jobs: queue,
            tree: tree.clone(),
            barrier,
            sinks: sinks.clone(),
            shared: Arc::clone(&shared),
        };
        let thread = std::thread::Builder::new()
            .name("committer".to_owned())
            .spawn(move || committer.run())
            .map_err(|error| broken(error.to_string()))?;
        Ok(Self {
            db,
            tree,
            jobs,
            room: Arc::new(Semaphore::new(options.queue)),
            sinks,
            shared,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Queues an arrival's job without waiting.
    fn arrive<T: Send + 'static>(
        &self,
        job: impl FnOnce(committer::Promise<T>, tokio::sync::OwnedSemaphorePermit) -> Job,
    ) -> BoxFuture<'static, Result<T, Refusal>> {
        let Ok(permit) = Arc::clone(&self.room).try_acquire_owned() else {
            return ready(Err(Refusal::Full)).boxed();
        };
        let (promise, result) = oneshot::channel();
        match self.jobs.try_send(job(promise, permit)) {
            Ok(()) => async move { result.await.unwrap_or_else(|_| Err(closed().into())) }.boxed(),
            Err(mpsc::error::TrySendError::Full(_)) => ready(Err(Refusal::Full)).boxed(),
            Err(mpsc::error::TrySendError::Closed(_)) => ready(Err(closed().into())).boxed(),
        }
    }

    fn number(&self, sink: &str) -> Result<SinkNumber, Unavailable> {
        self.sinks
            .get(sink)
            .copied()
            .ok_or_else(|| Unavailable(format!("sink `{sink}` is not registered")))
    }

    /// A waiting delivery with its lead; `None` if it does not wait any more.
    fn claim(&self, sink: SinkNumber, id: DeliveryId) -> Result<Option<Claim>, Unavailable> {
        let Some(delivery) = read::<Delivery>(&self.tree, &key::waiting(sink, id))? else {
            return Ok(None);
        };
        let lead = self
            .lead(delivery.lead, delivery.revision)?
            .ok_or_else(|| Unavailable(format!("its lead {} is not stored", delivery.lead)))?;
        Ok(Some(Claim { id, delivery, lead }))
    }

    /// Reads a record that may be in several parts.
    fn parts(&self, prefix: &[u8]) -> Result<Option<Vec<u8>>, Unavailable> {
        let mut whole: Option<Vec<u8>> = None;
        for entry in self.tree.scan_prefix(prefix) {
            let (_, bytes) = entry.map_err(unavailable)?;
            whole.get_or_insert_default().extend_from_slice(&bytes);
        }
        Ok(whole)
    }
}

impl Outbox for SledOutbox {
    fn accept(&self, arrival: Arrival) -> BoxFuture<'static, Result<Accepted, Refusal>> {
        let lead = EncodedLead {
            record: record::encode(&LeadRecord::of(&arrival)),
            identity: arrival.identity,
            content: arrival.content,
            modified_at: arrival.modified_at,
            received_at: arrival.received_at,
            routes: arrival.routes,
        };
        self.arrive(|promise, permit| Job::Accept(Box::new(lead), promise, permit))
    }

    fn quarantine(&self, suspect: Suspect) -> BoxFuture<'static, Result<Quarantined, Refusal>> {
        let encoded = EncodedSuspect {
            record: record::encode(&SuspectRecord {
                source: &suspect.source,
                reason: suspect.reason,
                received_at: suspect.received_at,
                request_id: suspect.request_id.as_deref(),
                query: &suspect.query,
                content_type: &suspect.content_type,
                body: &suspect.body,
            }),
            fingerprint: fingerprint(&suspect),
            received_at: suspect.received_at,
        };
        self.arrive(|promise, permit| Job::Quarantine(Box::new(encoded), promise, permit))
    }

    fn finish(&self, finish: Finish) -> BoxFuture<'static, Result<(), Unavailable>> {
        let jobs = self.jobs.clone();
        async move {
            let (promise, result) = oneshot::channel();
            jobs.send(Job::Finish(Box::new(finish), promise))
                .await
                .map_err(|_| closed())?;
            result.await.unwrap_or_else(|_| Err(closed()))
        }
        .boxed()
    }

    fn due(
        &self,
        sink: &str,
        now: Millis,
        limit: usize,
        skip: &dyn Fn(&DeliveryId) -> bool,
    ) -> Result<Due, Unavailable> {
        let number = self.number(sink)?;
        let mut due = Due::default();
        for entry in self.tree.scan_prefix(key::due_of(number)).keys() {
            let key = entry.map_err(unavailable)?;
            let (at, id) = key::read_due(&key)
                .ok_or_else(|| Unavailable("a damaged due entry was found".to_owned()))?;
            if skip(&id) {
                continue;
            }
            if at > now || due.deliveries.len() == limit {
                due.next = Some(at);
                break;
            }
            match self.claim(number, id) {
                Ok(Some(claim)) => due.deliveries.push(claim),
                // Finished between the scan and this read: its index entry is as good as gone.
                Ok(None) => {}
                Err(error) => due.damaged.push((id, error)),
            }
        }
        Ok(due)
    }

    fn arrivals(&self, sink: &str) -> Arc<Notify> {
        self.shared.arrivals(sink)
    }

    fn totals(&self) -> Totals {
        self.shared.totals()
    }

    fn oldest(&self, sink: &str) -> Result<Option<Millis>, Unavailable> {
        let number = self.number(sink)?;
        let Some(entry) = self.tree.scan_prefix(key::waiting_of(number)).next() else {
            return Ok(None);
        };
        let (_, bytes) = entry.map_err(unavailable)?;
        let delivery: Delivery =
            record::decode(&bytes).map_err(|error| Unavailable(error.to_string()))?;
        Ok(Some(delivery.created_at))
    }

    fn lead(&self, id: LeadId, revision: u32) -> Result<Option<StoredLead>, Unavailable> {
        let revision = match revision {
            0 => match self
                .tree
                .scan_prefix(key::lead_revisions(id))
                .keys()
                .next_back()
            {
                Some(key) => u32::from_be_bytes(
                    key.map_err(unavailable)?[17..21]
                        .try_into()
                        .expect("a slice of four bytes"),
                ),
                None => return Ok(None),
            },
            one => one,
        };
        let Some(bytes) = self.parts(&key::lead_revision(id, revision))? else {
            return Ok(None);
        };
        let record: LeadRecord<'_> =
            record::decode(&bytes).map_err(|error| Unavailable(error.to_string()))?;
        Ok(Some(record.stored(id, revision)))
    }

    fn delivery(&self, id: DeliveryId) -> Result<Option<Delivery>, Unavailable> {
        if let Some(done) = read(&self.tree, &key::done(id))? {
            return Ok(Some(done));
        }
        for number in self.sinks.values() {
            for room in [key::waiting(*number, id), key::dead(*number, id)] {
                if let Some(delivery) = read(&self.tree, &room)? {
                    return Ok(Some(delivery));
                }
            }
        }
        Ok(None)
    }

    fn fault(&self) -> Option<String> {
        self.shared.fault()
    }

    fn size(&self) -> u64 {
        self.db.size_on_disk().unwrap_or(0)
    }

    fn close(&self) {
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread {
            // The queue may be full: wait for room on a thread that may block.
            let _ = self.jobs.blocking_send(Job::Close);
            let _ = thread.join();
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

#[expect(
    clippy::needless_pass_by_value,
    reason = "used as a function for map_err"
)]
fn unavailable(error: ::sled::Error) -> Unavailable {
    Unavailable(error.to_string())
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
            _ => Err(broken("its format number is damaged".to_owned())),
        },
    }
}

/// Gives each sink a number that it keeps for the life of the store.
fn register(
    tree: &::sled::Tree,
    names: Vec<String>,
) -> ::sled::Result<HashMap<Arc<str>, SinkNumber>> {
    let mut next: SinkNumber = 0;
    let mut known = HashMap::new();
    for entry in tree.scan_prefix(b"s") {
        let (key, number) = entry?;
        let number = number
            .as_ref()
            .try_into()
            .map_or(0, SinkNumber::from_be_bytes);
        next = next.max(number + 1);
        known.insert(String::from_utf8_lossy(&key[1..]).into_owned(), number);
    }
    let mut sinks: HashMap<Arc<str>, SinkNumber> = HashMap::new();
    for name in names {
        let number = match known.get(&name) {
            Some(number) => *number,
            None => {
                tree.insert(key::sink(&name), &next.to_be_bytes())?;
                next += 1;
                next - 1
            }
        };
        sinks.insert(name.into(), number);
    }
    Ok(sinks)
}

/// What makes two suspects the same: everything but the query, whose request id and
/// timestamp change with every push of the same content. A push without a body is its query.
fn fingerprint(suspect: &Suspect) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key("leadgate 2026 quarantine fingerprint");
    let content = if suspect.body.is_empty() {
        suspect.query.as_bytes()
    } else {
        &suspect.body
    };
    for part in [
        suspect.source.as_bytes(),
        suspect.reason.as_bytes(),
        suspect.content_type.as_bytes(),
        content,
    ] {
        hasher.update(&(part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    *hasher.finalize().as_bytes()
}

#[cfg(test)]
mod tests;
