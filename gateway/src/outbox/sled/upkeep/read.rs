//! Reading: every whole write of every segment, whatever lies around it, and what comes of it.
//!
//! What the leads are by the journal is gathered in an index of its own in a folder that goes
//! afterwards, so memory does not grow with the store. Nothing is changed where it reads.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use tempfile::TempDir;

use super::super::body::{LeadBody, QuarantineBody};
use super::super::catalog;
use super::super::codec::{Codec, Entry, SegmentFacts, Standing, StoreId, Unreadable};
use super::super::current::Catalog;
use super::super::index::{Change, Index};
use super::super::journal::{self, Disk, Frame, JournalError, Salvaged};
use super::super::place::Place;
use super::super::publish::Replay;
use super::known::{self, Known};
use crate::outbox::state::Record;
use crate::outbox::{LeadId, PROBLEMS_LISTED, UpkeepError};
use crate::seal::{IndexKey, Keyring, OutboxKey, SealError};

/// Memory for pages of the index.
const CACHE: usize = 64 << 20;

/// What is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gap {
    /// Number of the segment.
    pub(super) segment: u32,
    /// From where to where; `None` if the whole segment is missing.
    pub(super) bytes: Option<(u64, u64)>,
    /// Sequence numbers of the writes, as far as they are known.
    pub(super) first: Option<u64>,
    pub(super) last: Option<u64>,
}

impl Gap {
    /// Whether it has any of a record's bytes.
    pub(super) fn has(&self, place: Place) -> bool {
        let (from, to) = self.bytes.unwrap_or((0, u64::MAX));
        let start = u64::from(place.offset);
        place.segment == self.segment && start < to && start + u64::from(place.length) > from
    }
}

/// What a journal holds.
pub(super) struct Read {
    pub(super) journal: PathBuf,
    pub(super) segments: Vec<u32>,
    pub(super) store: StoreId,
    pub(super) codec: Codec,
    /// What there is by the journal, and the folder in which that is noted.
    pub(super) catalog: Arc<Catalog>,
    _place: TempDir,
    /// Small things as they were last, as far as it is known.
    pub(super) standing: Standing,
    /// Whether any opening could be read, which alone has the index key.
    pub(super) opened: bool,
    /// Whether nothing is missing behind the counts in `standing`.
    pub(super) told: bool,
    pub(super) gaps: Vec<Gap>,
    /// Segments of which nothing can be read, or that are of another store, and why.
    pub(super) refused: Vec<(u32, JournalError)>,
    /// Whole records that cannot be read: how many, and the first of them.
    pub(super) unreadable: (u64, Vec<(Place, Unreadable)>),
    /// Leads of which there are deliveries and nothing that was pushed.
    pub(super) leftovers: BTreeSet<LeadId>,
}

/// What counts.
pub(super) enum How<'a> {
    /// All: a record whose sealed part cannot be read counts with what its clear part says. With
    /// entries of an index whose numbers are to be used again.
    All(Vec<Change>),
    /// What is whole: a record that cannot be read counts for nothing, nor does what is known to
    /// have left.
    Whole(Option<&'a Known>),
}

impl Read {
    /// Reads the journal in `journal`; the folder is made in `beside`.
    pub(super) fn new(
        journal: &Path,
        keys: &[OutboxKey],
        beside: &Path,
        how: &How<'_>,
    ) -> Result<Self, UpkeepError> {
        let segments = segments(journal)?;
        let said = match store_of(journal, &segments)? {
            Some(store) => Some(store),
            None => known::store_of(journal, beside)?,
        };
        let Some(store) = said else {
            return Err(UpkeepError::Invalid(format!(
                "nothing can be read of the outbox in {}; restore a backup",
                journal.display()
            )));
        };
        let place = tempfile::Builder::new()
            .prefix(".leadgate-")
            .tempdir_in(beside)?;
        let (index, _) = Index::open(&place.path().join("index"), CACHE)?;
        if let How::All(names) = how {
            index.put(0, names.clone());
        }
        let catalog = catalog::Catalog::open(index)?;
        let mut read = Self {
            journal: journal.to_owned(),
            segments,
            store,
            codec: Codec::new(Keyring::new(keys), store),
            catalog: Arc::new(catalog),
            _place: place,
            standing: Standing::new(IndexKey::generate()),
            opened: false,
            told: false,
            gaps: Vec::new(),
            refused: Vec::new(),
            unreadable: (0, Vec::new()),
            leftovers: BTreeSet::new(),
        };
        read.gather(how)?;
        Ok(read)
    }

    /// Everything is there and can be read.
    pub(super) fn is_whole(&self) -> bool {
        self.gaps.is_empty() && self.refused.is_empty() && self.unreadable.0 == 0
    }

    /// A record that is sealed with a key that was not given, if there is one.
    pub(super) fn locked(&self) -> Option<&Unreadable> {
        let all = self.unreadable.1.iter().map(|(_, why)| why);
        let mut all = all.filter(|why| matches!(why, Unreadable::Sealed(SealError::UnknownKey(_))));
        all.next()
    }

    /// Whether nothing can be read of a record.
    pub(super) fn lost(&self, place: Place) -> bool {
        let mut refused = self.refused.iter();
        let mut unreadable = self.unreadable.1.iter();
        refused.any(|(number, _)| *number == place.segment)
            || unreadable.any(|(one, _)| *one == place)
            || self.gaps.iter().any(|gap| gap.has(place))
    }

    fn walk(&self, number: u32) -> Result<journal::Salvage, JournalError> {
        let path = self.journal.join(journal::name(number));
        journal::salvage(&Disk, &path, Some(self.store))
    }

    fn gather(&mut self, how: &How<'_>) -> Result<(), UpkeepError> {
        let mut replay = Replay::default();
        let mut manifest: BTreeMap<u32, SegmentFacts> = BTreeMap::new();
        let mut removed: BTreeSet<u32> = BTreeSet::new();
        // Sequence number of the last write that was read, by segment.
        let mut last_of: BTreeMap<u32, u64> = BTreeMap::new();
        for number in self.segments.clone() {
            let walk = match self.walk(number) {
                Ok(walk) => walk,
                Err(
                    error @ (JournalError::Io { .. }
                    | JournalError::Newer { .. }
                    | JournalError::Older { .. }),
                ) => {
                    return Err(error.into());
                }
                Err(error) => {
                    self.refuse(number, error);
                    continue;
                }
            };
            let mut first_frame = true;
            for one in walk {
                match one? {
                    Salvaged::Frame(frame) => {
                        if std::mem::take(&mut first_frame) && !self.is_ours(&frame) {
                            let path = self.journal.join(journal::name(number));
                            self.refuse(number, JournalError::Stray { path });
                            break;
                        }
                        last_of.insert(number, frame.sequence);
                        self.frame(&frame, how, &mut replay, &mut manifest, &mut removed)?;
                    }
                    Salvaged::Gap {
                        offset,
                        bytes,
                        from,
                        to,
                    } => self.missing(Gap {
                        segment: number,
                        bytes: Some((offset, offset + bytes)),
                        first: Some(from),
                        last: to,
                    }),
                }
            }
        }
        replay.show(&self.catalog)?;
        let sequence = replay.sequence;
        self.leftovers = replay.drop_leftovers(&self.catalog, sequence)?;
        self.catalog.index.checkpoint()?;
        for facts in manifest.values() {
            self.compare(facts, &removed, last_of.get(&facts.number).copied());
        }
        self.gaps.sort_by_key(|gap| (gap.segment, gap.bytes));
        Ok(())
    }

    /// What was known of a closed segment when the newest was opened must be there.
    fn compare(&mut self, facts: &SegmentFacts, removed: &BTreeSet<u32>, last: Option<u64>) {
        let number = facts.number;
        if !self.segments.contains(&number) {
            if !removed.contains(&number) {
                self.gaps.push(Gap {
                    segment: number,
                    bytes: None,
                    first: Some(facts.first),
                    last: Some(facts.last),
                });
            }
            return;
        }
        if last.is_some_and(|last| last >= facts.last) {
            return;
        }
        let mut tail = self.gaps.iter_mut().rev();
        if let Some(gap) = tail.find(|gap| gap.segment == number && gap.last.is_none()) {
            gap.last = Some(facts.last);
        } else if self.refused.iter().all(|(refused, _)| *refused != number) {
            // It was cut short.
            let length = std::fs::metadata(self.journal.join(journal::name(number)));
            let length = length.map_or(0, |facts| facts.len());
            self.gaps.push(Gap {
                segment: number,
                bytes: Some((length, facts.bytes.max(length))),
                first: Some(last.map_or(facts.first, |last| last + 1)),
                last: Some(facts.last),
            });
        }
    }

    fn missing(&mut self, gap: Gap) {
        self.told = false;
        self.gaps.push(gap);
    }

    fn refuse(&mut self, number: u32, why: JournalError) {
        self.told = false;
        self.refused.push((number, why));
    }

    /// Whether a segment's first frame is of this store; one without an opening may be.
    fn is_ours(&self, frame: &Frame) -> bool {
        let mut records = frame.records();
        let opening = records
            .next()
            .and_then(|(_, record)| Codec::store_of(record));
        opening.is_none_or(|store| store == self.store)
    }

    fn frame(
        &mut self,
        frame: &Frame,
        how: &How<'_>,
        replay: &mut Replay,
        manifest: &mut BTreeMap<u32, SegmentFacts>,
        removed: &mut BTreeSet<u32>,
    ) -> Result<(), UpkeepError> {
        for (place, bytes) in frame.records() {
            let entry = match whole(&self.codec, bytes) {
                Ok(entry) => entry,
                Err(why) => {
                    self.unreadable.0 += 1;
                    if self.unreadable.1.len() < PROBLEMS_LISTED {
                        self.unreadable.1.push((place, why));
                    }
                    match self.codec.clear(bytes) {
                        Ok(entry) if matches!(how, How::All(_)) => entry,
                        _ => continue,
                    }
                }
            };
            if let (How::Whole(Some(known)), Entry::Record { record, .. }) = (how, &entry)
                && known.has_left(record, frame.sequence)?
            {
                continue;
            }
            self.standing.take(&entry, place);
            replay.take(&self.catalog, &entry, place)?;
            match &entry {
                Entry::Totals(_) => self.told = true,
                Entry::Opening(opening) => {
                    self.told = true;
                    self.opened = true;
                    self.standing = opening.standing.clone();
                    let all = opening.manifest.iter();
                    *manifest = all.map(|facts| (facts.number, *facts)).collect();
                    removed.extend(&opening.gone);
                }
                Entry::SegmentGone(number) => {
                    removed.insert(*number);
                }
                _ => {}
            }
        }
        Ok(replay.reached(&self.catalog, frame.sequence)?)
    }
}

/// Reads a record with all that is sealed in it.
pub(super) fn whole(codec: &Codec, bytes: &[u8]) -> Result<Entry, Unreadable> {
    let entry = codec.decode(bytes)?;
    let lead = |body: &Bytes, identity, content| {
        let plain = codec.open_lead(body, identity, content)?;
        LeadBody::decode(&plain).map(drop)
    };
    let push = |body: &Bytes, tags| {
        let plain = codec.open_quarantine(body, tags)?;
        QuarantineBody::decode(&plain).map(drop)
    };
    match &entry {
        Entry::Record {
            record:
                Record::Revision {
                    identity,
                    revision,
                    body,
                    ..
                },
            ..
        } => lead(body, identity, &revision.content)?,
        Entry::Record {
            record: Record::Quarantined { head, body, .. },
            ..
        } => push(body, &head.tags)?,
        Entry::ArrivedLead(new) => lead(&new.body, &new.identity, &new.content)?,
        Entry::ArrivedPush(new) => push(&new.body, &new.tags)?,
        _ => {}
    }
    Ok(entry)
}

/// Numbers of the segments in a folder, ascending.
pub(super) fn segments(folder: &Path) -> Result<Vec<u32>, UpkeepError> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(".seg"));
        let number = number.and_then(|number| number.parse().ok());
        found.extend(number.filter(|number| name.to_str() == Some(&journal::name(*number))));
    }
    Ok(found.into_iter().collect())
}

/// Which store it is: that of the newest segment that says so.
fn store_of(folder: &Path, segments: &[u32]) -> Result<Option<StoreId>, UpkeepError> {
    for number in segments.iter().rev() {
        let walk = journal::salvage(&Disk, &folder.join(journal::name(*number)), None);
        for one in walk.into_iter().flatten() {
            let Salvaged::Frame(frame) = one? else {
                continue;
            };
            let first = frame.records().next();
            match first.and_then(|(_, record)| Codec::store_of(record)) {
                Some(store) => return Ok(Some(store)),
                None => break,
            }
        }
    }
    Ok(None)
}
