//! Salvage: whatever is whole in a store goes into a new one, and what is missing is named.
//!
//! Only what still counts is written: nothing of leads that left. Records stay sealed as they
//! are; they are not bound to the segment in which they lie.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::super::build::build;
use super::super::codec::{Entry, Standing};
use super::super::indexed::{Indexed, IndexedPush, decode};
use super::super::journal::{self, Batch, Disk, Frame, Journal};
use super::super::key_file;
use super::super::keys;
use super::super::map::Map;
use super::super::place::Place;
use super::known::Known;
use super::read::{Read, failed, unusable, whole};
use super::verify::counted;
use super::words::{self, AGAIN, GONE, LOST, ORPHAN};
use super::{beside, look};
use crate::lang::Text;
use crate::outbox::state::{DeliveryHead, Fault, Record};
use crate::outbox::{LeadId, QuarantineCount, Salvaged, State, UpkeepError};
use crate::seal::{Keyring, OutboxKey};

/// Bytes that are written at once, about.
const FRAME: usize = 1 << 20;

/// Puts whatever is whole in the store at `from` into a new one at `to`. `from` is only read.
pub fn salvage(from: &Path, to: &Path, keys: &[OutboxKey]) -> Result<Salvaged, UpkeepError> {
    let _lock = look(from)?;
    let beside = beside(to)?;
    std::fs::create_dir_all(&beside)?;
    let read = Read::what_is_whole(&from.join("journal"), keys, &beside)?;
    if let Some(why) = read.locked() {
        return Err(UpkeepError::Invalid(why.to_string()));
    }
    let known = if read.is_whole() {
        None
    } else {
        Known::of(from, read.store, &beside)?
    };
    let mut saved = Salvaged::default();
    name(&read, &mut saved);
    if known.is_none() && !read.is_whole() {
        for lead in &read.leftovers {
            saved.lose(
                ("what was pushed of it is lost", "推送内容已丢失"),
                words::lead(*lead, None),
                GONE,
            );
        }
    }
    let said = read.told.then_some(read.standing.totals.leads);
    build(to, |folder| {
        let mut writing = Writing::begin(folder, keys, &read, known.as_ref(), saved)?;
        read.frames(|frame| writing.frame(frame))?;
        writing.what_the_index_knows()?;
        let mut saved = writing.end(folder, keys, &beside)?;
        key_file::note(folder, keys)?;
        match said {
            Some(said) => saved.missing_leads = Some(said.saturating_sub(saved.leads)),
            None => saved.lose(
                (
                    "how many leads are missing is not known",
                    "缺失多少客资无从得知",
                ),
                ("counts", "计数"),
                LOST,
            ),
        }
        Ok(saved)
    })
}

/// Names all that is missing, or cannot be read.
fn name(read: &Read, saved: &mut Salvaged) {
    for gap in &read.gaps {
        saved.lose(words::missing(gap), words::gap(gap), LOST);
    }
    for (number, why) in &read.refused {
        saved.lose(why.text(), Text::plain(journal::name(*number)), LOST);
    }
    let (all, first) = &read.unreadable;
    for (place, why) in first {
        saved.lose(why.text(), words::place(*place), GONE);
    }
    saved.lost += all - first.len() as u64;
    if !read.opened {
        saved.lose(
            ("a new one was made", "已新建一个"),
            ("the store's index key", "存储的索引密钥"),
            (
                "leads of before are not found by phone, and their re-pushes are taken as new",
                "此前的客资无法按手机号找到，再次推送会当作新客资",
            ),
        );
    }
}

struct Writing<'a> {
    journal: Journal,
    batch: Batch,
    standing: Standing,
    /// Which of the batch's entries are pushes that were not judged yet.
    arrived: Vec<usize>,
    /// Where those lay in the old journal.
    deferred: Vec<Place>,
    read: &'a Read,
    known: Option<&'a Known>,
    saved: Salvaged,
}

impl<'a> Writing<'a> {
    fn begin(
        folder: &Path,
        keys: &[OutboxKey],
        read: &'a Read,
        known: Option<&'a Known>,
        saved: Salvaged,
    ) -> Result<Self, UpkeepError> {
        // What is counted is counted anew in the end.
        let mut standing = read.standing.clone();
        let deferred = std::mem::take(&mut standing.deferred);
        let (journal, _) = Journal::open(
            Arc::new(Disk),
            &folder.join("journal"),
            Keyring::new(keys),
            journal::Options::default(),
            || standing.clone(),
        )
        .map_err(unusable)?;
        Ok(Self {
            journal,
            batch: Batch::new(),
            standing,
            arrived: Vec::new(),
            deferred,
            read,
            known,
            saved,
        })
    }

    fn frame(&mut self, frame: &Frame) -> Result<(), UpkeepError> {
        for (place, bytes) in frame.records() {
            // What cannot be read was named already.
            let Ok(entry) = whole(&self.read.codec, bytes) else {
                continue;
            };
            match entry {
                Entry::Record { record, .. } => {
                    self.record(&record, place, bytes, frame.sequence)?;
                }
                Entry::ArrivedLead(_) | Entry::ArrivedPush(_) if self.deferred.contains(&place) => {
                    self.arrived.push(self.batch.len());
                    self.batch.raw(bytes);
                }
                _ => {}
            }
            if self.batch.bytes() >= FRAME {
                self.write()?;
            }
        }
        Ok(())
    }

    fn record(
        &mut self,
        record: &Record,
        place: Place,
        bytes: &[u8],
        sequence: u64,
    ) -> Result<(), UpkeepError> {
        match record {
            Record::Revision { lead, .. } | Record::Pushed { lead, .. } => {
                let indexed = self.lead(*lead, sequence)?;
                if indexed.is_some_and(|indexed| indexed.live().contains(&place)) {
                    self.batch.raw(bytes);
                }
            }
            Record::Delivery { lead, delivery, .. } => {
                if let Some(indexed) = self.lead(*lead, sequence)? {
                    self.delivery(*lead, &indexed, delivery, place, bytes);
                }
            }
            Record::Quarantined { id, .. } => {
                let found = self.read.catalog.quarantined(*id).map_err(failed)?;
                let left = self
                    .known
                    .map(|known| known.has_left_quarantine(*id, sequence));
                let left = left.transpose().map_err(failed)?.unwrap_or(false);
                if !left && found.is_some_and(|found| found.place == place) {
                    self.batch.raw(bytes);
                }
            }
            // They stand in the opening.
            Record::QuarantineCount { .. }
            | Record::Paused { .. }
            | Record::SinkState { .. }
            | Record::LeadGone { .. }
            | Record::QuarantineGone { .. } => {}
        }
        Ok(())
    }

    /// A lead by what could be read, unless it has left.
    fn lead(&self, id: LeadId, sequence: u64) -> Result<Option<Indexed>, UpkeepError> {
        let left = self.known.map(|known| known.has_left(id, sequence));
        if left.transpose().map_err(failed)?.unwrap_or(false) {
            return Ok(None);
        }
        self.read.catalog.lead(id).map_err(failed)
    }

    fn delivery(
        &mut self,
        lead: LeadId,
        indexed: &Indexed,
        delivery: &DeliveryHead,
        place: Place,
        bytes: &[u8],
    ) {
        let Some((head, places)) = indexed.delivery(delivery.id) else {
            return;
        };
        let is_head = places.head == place;
        if !is_head && places.details != Some(place) {
            return;
        }
        let mut revisions = indexed.lead.revisions.iter();
        if !revisions.any(|one| one.number == head.revision) {
            if is_head {
                self.saved.lose(
                    ("its lead is lost", "其客资已丢失"),
                    words::delivery(head.id, &head.sink),
                    GONE,
                );
            }
            return;
        }
        self.batch.raw(bytes);
        if is_head && head.state == State::Behind && !is_held(indexed, head) {
            // What it waited for is lost: the worst is that two revisions go side by side.
            let mut delivery = head.clone();
            delivery.state = State::Waiting {
                due_at: delivery.created_at,
            };
            self.put(lead, delivery);
        }
    }

    /// Writes how a delivery stands; what its attempts said stays what it was.
    fn put(&mut self, lead: LeadId, delivery: DeliveryHead) {
        let record = Record::Delivery {
            lead,
            delivery,
            details: None,
        };
        self.batch.record(self.journal.codec(), &record, &[]);
    }

    fn write(&mut self) -> Result<(), UpkeepError> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let standing = &self.standing;
        let appended = self.journal.append(&mut self.batch, &|| standing.clone());
        let appended = appended.map_err(unusable)?;
        let arrived = std::mem::take(&mut self.arrived).into_iter();
        let places = arrived.filter_map(|at| appended.places.get(at).copied());
        self.standing.deferred.extend(places);
        Ok(())
    }

    /// Names what lay where nothing can be read, and lets deliveries stand as the index knew
    /// them.
    fn what_the_index_knows(&mut self) -> Result<(), UpkeepError> {
        let Some(known) = self.known else {
            return Ok(());
        };
        let read = self.read;
        let lost = |place: Place| {
            let refused = read
                .refused
                .iter()
                .any(|(number, _)| *number == place.segment);
            let unreadable = read.unreadable.1.iter().any(|(one, _)| *one == place);
            refused || unreadable || read.gaps.iter().any(|gap| gap.has(place))
        };
        known.leads(|id, indexed| {
            for (number, place) in &indexed.places.revisions {
                if lost(*place) {
                    self.saved.lose(
                        ("its record is lost", "记录已丢失"),
                        words::lead(id, Some(*number)),
                        GONE,
                    );
                }
            }
            let there = read.catalog.lead(id)?;
            let revision = |number: u32| {
                let mut all = there.iter().flat_map(|lead| &lead.lead.revisions);
                all.any(|one| one.number == number)
            };
            let deliveries = indexed
                .lead
                .deliveries
                .iter()
                .zip(&indexed.places.deliveries);
            for (head, places) in deliveries {
                if lost(places.head) && revision(head.revision) {
                    self.stands_as_known(id, &indexed, head);
                    if self.batch.bytes() >= FRAME {
                        self.write()?;
                    }
                }
            }
            Ok::<_, Stopped>(())
        })?;
        let quarantined = known.quarantined(lost).map_err(failed)?;
        for id in quarantined {
            self.saved.lose(
                ("its record is lost", "记录已丢失"),
                (format!("quarantined push {id}"), format!("隔离推送 {id}")),
                GONE,
            );
        }
        Ok(())
    }

    fn stands_as_known(&mut self, lead: LeadId, indexed: &Indexed, head: &DeliveryHead) {
        let mut delivery = head.clone();
        if delivery.state == State::Behind && !is_held(indexed, head) {
            delivery.state = State::Waiting {
                due_at: delivery.created_at,
            };
        }
        let key = words::delivery(head.id, &head.sink);
        if delivery.state.is_waiting() {
            self.saved.again += 1;
            let what = (
                "its state is lost: it waits again",
                "状态丢失：重新等待投递",
            );
            self.saved.lose(what, key, AGAIN);
        } else {
            let what = (
                "its last attempt is lost; how it ended is known",
                "最后一次尝试的记录已丢失；结果仍可知",
            );
            self.saved
                .lose(what, key, ("nothing is to be done", "无需处理"));
        }
        self.put(lead, delivery);
    }

    /// Counts anew what the new store has, and closes it.
    fn end(
        mut self,
        folder: &Path,
        keys: &[OutboxKey],
        beside: &Path,
    ) -> Result<Salvaged, UpkeepError> {
        self.write()?;
        self.journal.syncing().sync().map_err(unusable)?;
        let now = Read::what_is_whole(&folder.join("journal"), keys, beside)?;
        let found = counted(&now.catalog).map_err(failed)?;
        let totals = &mut self.standing.totals;
        totals.leads = found.leads;
        totals.unrouted = found.unrouted;
        totals.in_quarantine = found.in_quarantine;
        for sink in totals.sinks.values_mut() {
            (sink.waiting, sink.retrying, sink.behind) = (0, 0, 0);
            sink.dead.clear();
        }
        for (name, found) in found.sinks {
            let sink = totals.sinks.entry(name).or_default();
            (sink.waiting, sink.retrying, sink.behind) =
                (found.waiting, found.retrying, found.behind);
            sink.dead = found.dead;
        }
        self.count(&now).map_err(failed)?;
        let totals = Entry::Totals(self.standing.totals.clone());
        self.batch.entry(self.journal.codec(), &totals);
        self.write()?;
        self.journal.close(&self.standing).map_err(unusable)?;
        Ok(self.saved)
    }

    /// Says what was saved, and how much of each source is in quarantine.
    fn count(&mut self, now: &Read) -> Result<(), Fault> {
        for entry in now.catalog.index.prefixed(&[keys::LEAD]) {
            let (key, value) = entry?;
            let lead: Indexed = decode(&value)?;
            self.saved.leads += 1;
            self.saved.revisions += lead.lead.revisions.len() as u64;
            self.saved.deliveries += lead.lead.deliveries.len() as u64;
            let id = LeadId(keys::id_at_end(&key).unwrap_or_default());
            if lead.lead.deliveries.is_empty() && !self.read.is_whole() {
                let unrouted = self.known.map(|known| known.is_unrouted(id));
                if !unrouted.transpose()?.unwrap_or(false) {
                    self.saved.lose(
                        ("no delivery of it is left", "它的投递已全部丢失"),
                        words::lead(id, None),
                        ORPHAN,
                    );
                }
            }
        }
        let mut counts: BTreeMap<String, QuarantineCount> = BTreeMap::new();
        for source in self.standing.quarantine_counts.keys() {
            counts.insert(source.clone(), QuarantineCount::default());
        }
        for entry in now.catalog.index.prefixed(&[keys::QUARANTINED]) {
            let push: IndexedPush = decode(&entry?.1)?;
            self.saved.quarantined += 1;
            let count = counts.entry(push.head.source).or_default();
            count.entries += 1;
            count.bytes += push.head.size;
        }
        for (source, count) in counts {
            let record = Record::QuarantineCount { source, count };
            self.batch.record(self.journal.codec(), &record, &[]);
        }
        Ok(())
    }
}

/// Whether there is anything that a delivery waits for.
fn is_held(indexed: &Indexed, head: &DeliveryHead) -> bool {
    let mut others = indexed.lead.deliveries.iter();
    others.any(|other| {
        other.sink == head.sink
            && other.revision < head.revision
            && (other.state.is_waiting() || matches!(other.state, State::Dead { .. }))
    })
}

/// Why the index was not read to its end.
struct Stopped(UpkeepError);

impl From<Fault> for Stopped {
    fn from(fault: Fault) -> Self {
        Self(failed(fault))
    }
}

impl From<UpkeepError> for Stopped {
    fn from(error: UpkeepError) -> Self {
        Self(error)
    }
}

impl From<Stopped> for UpkeepError {
    fn from(stopped: Stopped) -> Self {
        stopped.0
    }
}
