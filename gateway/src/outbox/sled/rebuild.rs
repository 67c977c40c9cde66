//! Rebuilding: an index is opened, or made anew from the journal, on a thread of its own, while
//! pushes are taken.
//!
//! sled reads all that was written to it since it was opened last, so a start does not wait for
//! it for long. What cannot be used is deleted. A failure is tried again after a while: a disk
//! that was full may have room again.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use super::current::{self, Catalog};
use super::index::{self, IndexFault};
use super::journal::{JournalError, Reader, Syncing};
use super::publish::Replay;
use super::shared::{Progress, Shared};
use crate::outbox::state::Fault;
use crate::telemetry::panics::caught;

/// Frames that may be left for the committer to add.
const LEFT: u64 = 64;
/// Between two lines of progress in the log.
const SAID: Duration = Duration::from_secs(10);
/// Between two looks whether the store is closing.
const LOOK: Duration = Duration::from_millis(100);
/// Before another try.
const AGAIN: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 10 });

/// Bytes that an index may be behind the journal; one that is more is made anew.
const REPLAYED: u64 = 128 << 20;
/// It was made of frames that are lost.
const AHEAD: Failed = Failed::Stale("it is ahead of the journal");

/// What a rebuild needs.
#[derive(Clone)]
pub(super) struct Rebuild {
    /// The store.
    pub(super) folder: PathBuf,
    pub(super) cache: usize,
    pub(super) reader: Arc<Reader>,
    pub(super) syncing: Syncing,
    pub(super) shared: Arc<Shared>,
    /// Told of what was made.
    pub(super) made: Arc<dyn Fn(Made) + Send + Sync>,
    pub(super) running: Arc<AtomicBool>,
}

/// An index that is nearly up to date.
pub(super) struct Made {
    catalog: Arc<Catalog>,
    replay: Replay,
    /// Told whether it became the store's.
    finished: SyncSender<Result<(), Failed>>,
}

/// Why an index was not made.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failed {
    #[error(transparent)]
    Index(#[from] IndexFault),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Record(#[from] Fault),
    #[error("{0}")]
    Disk(#[from] std::io::Error),
    #[error("{0}")]
    Stale(&'static str),
    #[error("an error inside leadgate")]
    Panicked,
}

/// An index that is being opened.
pub(super) type Opening = Receiver<Result<Catalog, Failed>>;

/// Opens the index in `folder`, on a thread of its own, and brings it up to frame `last`.
pub(super) fn begin_opening(
    folder: PathBuf,
    cache: usize,
    reader: Arc<Reader>,
    syncing: Syncing,
    last: u64,
) -> std::io::Result<Opening> {
    let (opened, opening) = sync_channel(1);
    let opener = std::thread::Builder::new().name("index-opener".to_owned());
    opener.spawn(move || {
        let catalog = caught(|| {
            let catalog = current::open(&folder, cache, reader.codec().store())?;
            let applied = catalog.index.applied();
            let mut unread = reader.facts();
            unread.retain(|facts| facts.last > applied);
            if unread.iter().map(|facts| facts.bytes).sum::<u64>() > REPLAYED {
                return Err(Failed::Stale("it is far behind the journal"));
            }
            catch_up(&catalog, &reader, &syncing, last)?;
            catalog.index.watch_scrub();
            Ok(catalog)
        });
        // A store that was closed meanwhile has no use for it.
        let _ = opened.send(catalog.unwrap_or(Err(Failed::Panicked)));
    })?;
    Ok(opening)
}

impl Rebuild {
    /// Begins, unless it is under way.
    pub(super) fn start(&self) {
        self.start_with(None);
    }

    /// The same, with an index that was found and is being opened, up to a frame.
    pub(super) fn start_with(&self, found: Option<(Opening, u64)>) {
        if self.running.swap(true, Ordering::AcqRel) {
            return;
        }
        self.shared.set_making(Some(Progress::default()));
        let this = self.clone();
        let spawned = std::thread::Builder::new()
            .name("index-maker".to_owned())
            .spawn(move || this.run(found));
        if let Err(error) = spawned {
            self.not_made(&error.into());
            self.running.store(false, Ordering::Release);
        }
    }

    fn run(self, found: Option<(Opening, u64)>) {
        if let Some((opening, last)) = found {
            match caught(|| self.take(&opening, last)).unwrap_or(Err(Failed::Panicked)) {
                Ok(()) => return,
                Err(why) => unusable(&self.folder, &why),
            }
        }
        while !self.shared.is_closing() {
            // A panic is a failure like any other: else nobody would ever try again.
            match caught(|| self.make()).unwrap_or(Err(Failed::Panicked)) {
                Ok(()) => return,
                Err(failed) => self.not_made(&failed),
            }
            let until = Instant::now() + AGAIN;
            while Instant::now() < until && !self.shared.is_closing() {
                std::thread::sleep(LOOK);
            }
        }
    }

    fn not_made(&self, why: &Failed) {
        // As long as the reason stays, it is said once.
        if self.shared.set_making_failed(&why.to_string()) {
            tracing::error!(error = %why, "outbox index was not made; pushes are taken, nothing is delivered; it is tried again");
        }
    }

    /// Reads the journal as far as it is on disk, and lets the committer add the rest. Nothing is
    /// made of a store that is closing.
    fn make(&self) -> Result<(), Failed> {
        let began = Instant::now();
        let folder = self.folder.join("index");
        index::delete(&folder)?;
        let catalog = current::open(&folder, self.cache, self.reader.codec().store())?;
        self.syncing.unbind()?;
        let catalog = Arc::new(catalog);
        let all = self.follow(&catalog, Replay::default())?;
        let Some(replay) = all else { return Ok(()) };
        tracing::info!(
            seconds = began.elapsed().as_secs(),
            "the journal was read into a new index"
        );
        self.hand_over(catalog, replay)
    }

    /// Waits for an index that is being opened, and that has all up to a frame then.
    fn take(&self, opening: &Opening, last: u64) -> Result<(), Failed> {
        let began = Instant::now();
        let catalog = loop {
            match opening.recv_timeout(LOOK) {
                Ok(opened) => break Arc::new(opened?),
                Err(RecvTimeoutError::Timeout) if self.shared.is_closing() => return Ok(()),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(Failed::Panicked),
            }
        };
        let followed = self.follow(&catalog, Replay::behind(last))?;
        let Some(replay) = followed else {
            return Ok(());
        };
        tracing::info!(
            seconds = began.elapsed().as_secs(),
            "outbox index was opened"
        );
        self.hand_over(catalog, replay)
    }

    /// Reads on until nearly all is there; `None` if the store is closing.
    fn follow(&self, catalog: &Catalog, mut replay: Replay) -> Result<Option<Replay>, Failed> {
        let mut said = Instant::now();
        let mut read = 0;
        loop {
            let until = self.syncing.synced();
            let segments = self.reader.facts();
            let closed: u64 = segments.iter().map(|facts| facts.bytes).sum();
            let of = closed + self.reader.open_segment().bytes;
            let all = up_to(catalog, &mut replay, &self.reader, until, |bytes| {
                read += bytes;
                self.shared.set_making(Some(Progress { read, of }));
                if said.elapsed() > SAID {
                    said = Instant::now();
                    tracing::info!(read, of, "outbox index is being made");
                }
                !self.shared.is_closing()
            })?;
            if !all {
                return Ok(None);
            }
            // Nothing that comes now brings a revision of a lead that is known.
            if self.syncing.synced().saturating_sub(replay.sequence) <= LEFT {
                return Ok(Some(replay));
            }
        }
    }

    /// Returns when the committer has added the rest.
    fn hand_over(&self, catalog: Arc<Catalog>, replay: Replay) -> Result<(), Failed> {
        let (finished, told) = sync_channel(1);
        (self.made)(Made {
            catalog,
            replay,
            finished,
        });
        // Nobody tells if the store is closing.
        told.recv().unwrap_or(Ok(()))
    }

    /// Adds what the journal got meanwhile, up to `last`. What fails is tried again.
    pub(super) fn finish(&self, made: Made, last: u64) -> Option<Arc<Catalog>> {
        let Made {
            catalog,
            mut replay,
            finished,
        } = made;
        let done = up_to(&catalog, &mut replay, &self.reader, last, |_| true)
            .and_then(|_| Ok(replay.drop_leftovers(&catalog, last)?));
        let whole = done.is_ok();
        if whole {
            self.running.store(false, Ordering::Release);
        }
        let _ = finished.send(done.map(drop));
        whole.then_some(catalog)
    }
}

/// An index cannot be used. It is deleted at once: when the journal has grown past what it says,
/// it would be believed.
pub(super) fn unusable(store: &Path, why: &Failed) {
    tracing::warn!(reason = %why, "outbox index cannot be used; it is made anew from the journal, and pushes are taken meanwhile");
    if let Err(error) = index::delete(&store.join("index")) {
        tracing::warn!(%error, "outbox index could not be deleted; that is tried again");
    }
}

/// Brings an index that was found up to `last`, the last frame that there was when the journal
/// was opened.
pub(super) fn catch_up(
    catalog: &Catalog,
    reader: &Reader,
    syncing: &Syncing,
    last: u64,
) -> Result<(), Failed> {
    let mut replay = Replay::behind(catalog.index.applied());
    if replay.sequence > last.min(syncing.bound()) {
        return Err(AHEAD);
    }
    if !covers(reader, replay.sequence + 1, last) {
        return Err(Failed::Stale("it is older than what the journal still has"));
    }
    // From here on it may hold what is behind that.
    syncing.unbind()?;
    up_to(catalog, &mut replay, reader, last, |_| true).map(drop)
}

/// Whether the journal still has all frames from `first` to `last`.
fn covers(reader: &Reader, first: u64, last: u64) -> bool {
    let mut next = first;
    for facts in reader.facts().into_iter().chain([reader.open_segment()]) {
        if facts.first <= next && next <= facts.last {
            next = facts.last + 1;
        }
    }
    next > last
}

/// Takes the journal's frames behind those that were taken, up to `last`, and shows them. `each`
/// is told of bytes that were read, and says whether to go on; whether it always did.
fn up_to(
    catalog: &Catalog,
    replay: &mut Replay,
    reader: &Reader,
    last: u64,
    mut each: impl FnMut(u64) -> bool,
) -> Result<bool, Failed> {
    // First: one that is closed meanwhile is among the others then, and not left out.
    let open = reader.open_segment().number;
    let mut segments = reader.facts();
    segments.retain(|facts| facts.last > replay.sequence);
    let numbers = segments.iter().map(|facts| facts.number);
    let mut numbers: Vec<u32> = numbers.chain([open]).collect();
    numbers.dedup();
    for number in numbers {
        for frame in reader.scan(number, replay.sequence + 1)? {
            let frame = frame?;
            if frame.sequence > last {
                break;
            }
            let mut bytes = 0;
            for (place, record) in frame.records() {
                let entry = reader.codec().clear(record);
                let entry = entry.map_err(|error| Fault::Record(error.to_string()))?;
                replay.take(catalog, &entry, place)?;
                bytes += u64::from(place.length);
            }
            replay.reached(catalog, frame.sequence)?;
            if !each(bytes) {
                return Ok(false);
            }
        }
    }
    replay.show(catalog)?;
    Ok(true)
}
