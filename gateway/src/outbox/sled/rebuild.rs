//! Rebuilding: the index is made anew from the journal, on a thread of its own, while pushes are
//! taken.
//!
//! What cannot be used is set aside first. A failure is tried again after a while: a disk that
//! was full may have room again.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::codec::{Codec, Entry};
use super::current::{self, Catalog};
use super::index::{self, IndexFault};
use super::journal::{Frame, Journal, JournalError, Reader, Syncing};
use super::publish::Publishing;
use super::shared::{Progress, Shared};
use crate::outbox::state::{Fault, Record};
use crate::outbox::{LeadId, Totals, Unavailable};
use crate::telemetry::panics::caught;

/// Records that are shown to the index at once.
const SHOWN: usize = 2048;
/// Frames that may be left for the committer to add.
const LEFT: u64 = 64;
/// Between two lines of progress in the log.
const SAID: Duration = Duration::from_secs(10);
/// Before another try.
const AGAIN: Duration = Duration::from_secs(10);

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
    /// Up to which frame.
    sequence: u64,
    /// Leads without a revision so far.
    leftovers: BTreeSet<LeadId>,
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
    #[error("an error inside leadgate")]
    Panicked,
}

impl Rebuild {
    /// Begins, unless it is under way.
    pub(super) fn start(&self) {
        if self.running.swap(true, Ordering::AcqRel) {
            return;
        }
        self.shared.set_making(Some(Progress::default()));
        let this = self.clone();
        let spawned = std::thread::Builder::new()
            .name("index-maker".to_owned())
            .spawn(move || this.run());
        if let Err(error) = spawned {
            tracing::error!(error = %error, "the thread that makes the index was not started");
            self.running.store(false, Ordering::Release);
        }
    }

    fn run(self) {
        while !self.shared.is_closing() {
            let began = Instant::now();
            match self.make_guarded() {
                Ok(Some(made)) => {
                    tracing::info!(
                        seconds = began.elapsed().as_secs(),
                        "the journal was read into a new index"
                    );
                    (self.made)(made);
                    return;
                }
                Ok(None) => return,
                Err(failed) => {
                    self.shared.set_making_failed(&failed.to_string());
                    tracing::error!(error = %failed, "outbox index was not made; pushes are taken, nothing is delivered; it is tried again");
                }
            }
            let until = Instant::now() + AGAIN;
            while Instant::now() < until && !self.shared.is_closing() {
                std::thread::sleep(Duration::from_millis(100));
            }
        }
    }

    /// A panic is a failure like any other: else nobody would ever try again.
    fn make_guarded(&self) -> Result<Option<Made>, Failed> {
        caught(|| self.make()).unwrap_or(Err(Failed::Panicked))
    }

    /// Reads the journal as far as it is on disk; `None` if the store is closing.
    fn make(&self) -> Result<Option<Made>, Failed> {
        let folder = self.folder.join("index");
        index::aside(&folder)?;
        let catalog = current::open(&folder, self.cache, self.reader.codec().store())?;
        let mut replay = Replay::new(Arc::new(catalog), Arc::clone(self.reader.codec()));
        let mut said = Instant::now();
        let mut read = 0;
        loop {
            let until = self.syncing.synced();
            // First: one that is closed meanwhile is among the others then, and not left out.
            let open = self.reader.open_segment().number;
            let mut segments = self.reader.facts();
            let of = segments.iter().map(|facts| facts.bytes).sum();
            segments.retain(|facts| facts.last > replay.sequence);
            let numbers = segments.iter().map(|facts| facts.number);
            let mut numbers: Vec<u32> = numbers.chain([open]).collect();
            numbers.dedup();
            for number in numbers {
                for frame in self.reader.scan(number, replay.sequence + 1)? {
                    let frame = frame?;
                    if frame.sequence > until {
                        break;
                    }
                    read += frame
                        .records()
                        .map(|(place, _)| u64::from(place.length))
                        .sum::<u64>();
                    replay.frame(&frame)?;
                    if self.shared.is_closing() {
                        return Ok(None);
                    }
                    self.shared.set_making(Some(Progress { read, of }));
                    if said.elapsed() > SAID {
                        said = Instant::now();
                        tracing::info!(read, of, "outbox index is being made");
                    }
                }
            }
            replay.show()?;
            // Nothing that comes now brings a revision of a lead that is known.
            if self.syncing.synced().saturating_sub(replay.sequence) <= LEFT {
                return Ok(Some(Made {
                    catalog: replay.catalog,
                    sequence: replay.sequence,
                    leftovers: replay.leftovers,
                }));
            }
        }
    }

    /// Adds what the journal got meanwhile, and lets the index be the store's.
    pub(super) fn finish(
        &self,
        made: Made,
        journal: &Journal,
        totals: &Totals,
    ) -> Result<Arc<Catalog>, Unavailable> {
        self.running.store(false, Ordering::Release);
        let unavailable = |failed: Failed| Unavailable(failed.to_string());
        let mut replay = Replay {
            catalog: made.catalog,
            codec: Arc::clone(journal.codec()),
            publishing: Publishing::default(),
            taken: 0,
            sequence: made.sequence,
            leftovers: made.leftovers,
        };
        let last = journal.last_sequence();
        replay
            .up_to(&self.reader, last)
            .and_then(|()| replay.drop_leftovers(last))
            .map_err(unavailable)?;
        let _ = totals;
        Ok(replay.catalog)
    }
}

/// Takes frames into an index, in order.
pub(super) struct Replay {
    pub(super) catalog: Arc<Catalog>,
    codec: Arc<Codec>,
    publishing: Publishing,
    /// Records since they were shown last.
    taken: usize,
    /// Of the last frame.
    pub(super) sequence: u64,
    leftovers: BTreeSet<LeadId>,
}

impl Replay {
    /// Behind what the index has already.
    pub(super) fn new(catalog: Arc<Catalog>, codec: Arc<Codec>) -> Self {
        Self {
            sequence: catalog.index.applied(),
            catalog,
            codec,
            publishing: Publishing::default(),
            taken: 0,
            leftovers: BTreeSet::new(),
        }
    }

    /// Takes the journal's frames up to `last`.
    pub(super) fn up_to(&mut self, reader: &Reader, last: u64) -> Result<(), Failed> {
        let closed = reader.facts().into_iter();
        let closed = closed.filter(|facts| facts.last > self.sequence);
        let numbers: Vec<u32> = closed.map(|facts| facts.number).collect();
        for number in numbers.into_iter().chain([reader.open_segment().number]) {
            for frame in reader.scan(number, self.sequence + 1)? {
                let frame = frame?;
                if frame.sequence > last {
                    break;
                }
                self.frame(&frame)?;
            }
        }
        self.show()
    }

    fn frame(&mut self, frame: &Frame) -> Result<(), Failed> {
        for (place, bytes) in frame.records() {
            let entry = self.codec.clear(bytes);
            let entry = entry.map_err(|error| Fault::Record(error.to_string()))?;
            match entry {
                Entry::Record { record, .. } => {
                    self.publishing.look(&self.catalog, &record)?;
                    self.publishing.take(&record, place);
                }
                Entry::Holds { lead, segments } => {
                    self.publishing.look_at(&self.catalog, lead)?;
                    self.publishing.hold(lead, &segments);
                }
                _ => continue,
            }
            self.taken += 1;
        }
        self.sequence = frame.sequence;
        if self.taken >= SHOWN {
            self.show()?;
        }
        Ok(())
    }

    /// Shows the index what was taken.
    fn show(&mut self) -> Result<(), Failed> {
        let publishing = std::mem::take(&mut self.publishing);
        self.taken = 0;
        for (lead, without) in publishing.leftovers() {
            if without {
                self.leftovers.insert(lead);
            } else {
                self.leftovers.remove(&lead);
            }
        }
        publishing.publish(&self.catalog, self.sequence)?;
        self.catalog.index.wait_for_room();
        Ok(())
    }

    /// Takes leads away of which only deliveries are left: their removal was cleaned away.
    fn drop_leftovers(&mut self, last: u64) -> Result<(), Failed> {
        if self.leftovers.is_empty() {
            return Ok(());
        }
        let mut publishing = Publishing::default();
        for lead in std::mem::take(&mut self.leftovers) {
            let gone = Record::LeadGone {
                lead,
                erased: false,
            };
            publishing.look(&self.catalog, &gone)?;
            publishing.drop_lead(lead);
        }
        publishing.publish(&self.catalog, last)?;
        Ok(())
    }
}
