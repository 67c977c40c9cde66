//! Salvage: whatever is whole in a store goes into a new one, and what is missing is named.
//!
//! Only what still counts is written: nothing of leads that left. Records stay sealed as they
//! are; they are not bound to the segment in which they lie.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use super::super::audit;
use super::super::build::build;
use super::super::codec::{Entry, Standing, Unreadable};
use super::super::indexed::Indexed;
use super::super::journal::{self, Batch, Disk, Journal};
use super::super::key_file;
use super::super::place::Place;
use super::known::Known;
use super::read::{How, Read, whole};
use super::words::{self, AGAIN, GONE, LOST, ORPHAN, UNLINKED};
use super::{beside, look};
use crate::outbox::state::{DeliveryHead, Fault, Record, recount};
use crate::outbox::{LeadId, QuarantineCount, Salvaged, SinkTotals, State, Totals, UpkeepError};
use crate::seal::{Keyring, OutboxKey};

/// Where an audit log goes that cannot be checked.
const UNLINKED_FOLDER: &str = "audit-of-before";
/// Bytes that are written at once, about.
const FRAME: usize = 1 << 20;

/// Puts whatever is whole in the store at `from` into a new one at `to`. `from` is only read.
pub fn salvage(from: &Path, to: &Path, keys: &[OutboxKey]) -> Result<Salvaged, UpkeepError> {
    let _lock = look(from)?;
    let beside = beside(to)?;
    std::fs::create_dir_all(&beside)?;
    let journal = from.join("journal");
    let mut read = Read::new(&journal, keys, &beside, &How::Whole(None))?;
    if let Some(why) = read.locked() {
        return Err(UpkeepError::Invalid(why.to_string()));
    }
    let known = if read.is_whole() {
        None
    } else {
        Known::of(from, read.store, &beside)?
    };
    if known.is_some() {
        read = Read::new(&journal, keys, &beside, &How::Whole(known.as_ref()))?;
    }
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
        writing.what_is_whole()?;
        writing.what_the_index_knows()?;
        let mut saved = writing.end(folder, keys, &beside)?;
        audit(from, folder, read.opened, &mut saved)?;
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

/// Takes the audit log along as it is, whole or not: what is wrong with it stays to be seen. Where
/// the index key is lost nobody can tell how its entries are linked.
fn audit(from: &Path, to: &Path, linked: bool, saved: &mut Salvaged) -> Result<(), UpkeepError> {
    let from = from.join(audit::FOLDER);
    if !from.is_dir() {
        return Ok(());
    }
    let to = to.join(if linked {
        audit::FOLDER
    } else {
        UNLINKED_FOLDER
    });
    std::fs::create_dir(&to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        std::fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    if !linked {
        let what = ("it cannot be checked any more", "已无法校验");
        saved.lose(what, ("the audit log", "审计日志"), UNLINKED);
    }
    Ok(())
}

/// Names all that is missing, or cannot be read.
fn name(read: &Read, saved: &mut Salvaged) {
    let advice = |why: Option<&Unreadable>| if why.is_some() { GONE } else { LOST };
    let more = words::name(read, advice, |what, key, advice| {
        saved.lose(what, key, advice);
    });
    saved.lost += more;
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
    /// The segment that was read last.
    open: Option<(u32, File)>,
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
        standing.deferred.clear();
        let (journal, _) = Journal::open(
            Arc::new(Disk),
            &folder.join("journal"),
            Keyring::new(keys),
            journal::Options::default(),
            || standing.clone(),
        )?;
        Ok(Self {
            journal,
            batch: Batch::default(),
            standing,
            arrived: Vec::new(),
            open: None,
            read,
            known,
            saved,
        })
    }

    fn what_is_whole(&mut self) -> Result<(), UpkeepError> {
        let read = self.read;
        for entry in read.catalog.leads() {
            let (id, lead) = entry?;
            self.lead(id, &lead)?;
        }
        for entry in read.catalog.pushes() {
            let bytes = self.bytes(entry?.1.place)?;
            self.add(&bytes)?;
        }
        for place in read
            .standing
            .deferred
            .iter()
            .filter(|one| !read.lost(**one))
        {
            let bytes = self.bytes(*place)?;
            // What cannot be read was named already.
            if whole(&read.codec, &bytes).is_ok() {
                self.arrived.push(self.batch.len());
                self.add(&bytes)?;
            }
        }
        Ok(())
    }

    fn lead(&mut self, id: LeadId, indexed: &Indexed) -> Result<(), UpkeepError> {
        let mut live = indexed.live();
        let mut changed = Vec::new();
        let deliveries = indexed.lead.deliveries.iter();
        for (head, places) in deliveries.zip(&indexed.places.deliveries) {
            let mut revisions = indexed.lead.revisions.iter();
            if revisions.any(|one| one.number == head.revision) {
                changed.extend(freed(indexed, head));
                continue;
            }
            live.retain(|place| *place != places.head && Some(*place) != places.details);
            self.saved.lose(
                ("its lead is lost", "其客资已丢失"),
                words::delivery(head.id, &head.sink),
                GONE,
            );
        }
        // In the order in which they were written.
        for place in live {
            let bytes = self.bytes(place)?;
            self.add(&bytes)?;
        }
        changed.into_iter().for_each(|head| self.put(id, head));
        Ok(())
    }

    /// A record of the old journal, which is whole.
    fn bytes(&mut self, place: Place) -> Result<Vec<u8>, UpkeepError> {
        let file = match self.open.take() {
            Some((segment, file)) if segment == place.segment => file,
            _ => File::open(self.read.journal.join(journal::name(place.segment)))?,
        };
        let mut bytes = vec![0; place.length as usize];
        file.read_exact_at(&mut bytes, place.offset.into())?;
        self.open = Some((place.segment, file));
        Ok(bytes)
    }

    fn add(&mut self, bytes: &[u8]) -> Result<(), UpkeepError> {
        self.batch.raw(bytes);
        if self.batch.bytes() >= FRAME {
            self.write()?;
        }
        Ok(())
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
        let appended = appended?;
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
        for entry in known.catalog.leads() {
            let (id, indexed) = entry?;
            for (number, place) in &indexed.places.revisions {
                if read.lost(*place) {
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
            let deliveries = indexed.lead.deliveries.iter();
            for (head, places) in deliveries.zip(&indexed.places.deliveries) {
                if read.lost(places.head) && revision(head.revision) {
                    self.stands_as_known(id, &indexed, head);
                    if self.batch.bytes() >= FRAME {
                        self.write()?;
                    }
                }
            }
        }
        for entry in known.catalog.pushes() {
            let (id, push) = entry?;
            if read.lost(push.place) {
                self.saved.lose(
                    ("its record is lost", "记录已丢失"),
                    (format!("quarantined push {id}"), format!("隔离推送 {id}")),
                    GONE,
                );
            }
        }
        Ok(())
    }

    fn stands_as_known(&mut self, lead: LeadId, indexed: &Indexed, head: &DeliveryHead) {
        let delivery = freed(indexed, head).unwrap_or_else(|| head.clone());
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
        self.journal.syncing().sync()?;
        let now = Read::new(&folder.join("journal"), keys, beside, &How::Whole(None))?;
        let found = self.count(&now)?;
        let totals = &mut self.standing.totals;
        totals.leads = found.leads;
        totals.unrouted = found.unrouted;
        totals.in_quarantine = self.saved.quarantined;
        for name in found.sinks.keys() {
            totals.sinks.entry(name.clone()).or_default();
        }
        for (name, sink) in &mut totals.sinks {
            let found = found.sinks.get(name).cloned().unwrap_or_default();
            // What ever ended stays counted.
            *sink = SinkTotals {
                delivered: sink.delivered,
                superseded: sink.superseded,
                cancelled: sink.cancelled,
                ..found
            };
        }
        let totals = Entry::Totals(self.standing.totals.clone());
        self.batch.entry(self.journal.codec(), &totals);
        self.write()?;
        self.journal.close(&self.standing)?;
        Ok(self.saved)
    }

    /// Says what was saved, and how much of each source is in quarantine; gives what there is.
    fn count(&mut self, now: &Read) -> Result<Totals, Fault> {
        let mut totals = Totals::default();
        for entry in now.catalog.leads() {
            let (id, Indexed { lead, .. }) = entry?;
            recount(&mut totals, &lead);
            self.saved.leads += 1;
            self.saved.revisions += lead.revisions.len() as u64;
            self.saved.deliveries += lead.deliveries.len() as u64;
            if lead.is_unrouted() && !self.read.is_whole() {
                let known = self.known.map(|known| known.catalog.lead(id)).transpose()?;
                let known = known.flatten();
                if !known.is_some_and(|known| known.lead.is_unrouted()) {
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
        for entry in now.catalog.pushes() {
            let (_, push) = entry?;
            self.saved.quarantined += 1;
            let count = counts.entry(push.head.source).or_default();
            count.entries += 1;
            count.bytes += push.head.size;
        }
        for (source, count) in counts {
            let record = Record::QuarantineCount { source, count };
            self.batch.record(self.journal.codec(), &record, &[]);
        }
        Ok(totals)
    }
}

/// A delivery as it is freed if what it waited for is lost: the worst is that two revisions go
/// side by side.
fn freed(indexed: &Indexed, head: &DeliveryHead) -> Option<DeliveryHead> {
    let mut others = indexed.lead.deliveries.iter();
    let is_held = others.any(|other| {
        other.sink == head.sink
            && other.revision < head.revision
            && (other.state.is_waiting() || matches!(other.state, State::Dead { .. }))
    });
    (head.state == State::Behind && !is_held).then(|| DeliveryHead {
        state: State::Waiting {
            due_at: head.created_at,
        },
        ..head.clone()
    })
}
