//! Mending: a tree of recovered entries becomes a sound store again.
//!
//! Leads and deliveries are the truth; the indexes, the order and the counts are made from
//! them. What is damaged or has lost its lead is removed and reported. A delivery that only the
//! order still names waits again under its own id: it may have been done, and a destination
//! that knows the id will say so; a lead that nobody delivers is worse.

use std::collections::BTreeMap;

use ::sled::Batch;
use uuid::Uuid;

use super::CONTENT;
use super::fault::Fault;
use super::group;
use super::index::{Change, Compactor, Entry, Index};
use super::key::{self, SinkNumber};
use super::list::Reader;
use super::record::{self, IdentityRecord, LeadRecord, QuarantineRecord, Unreadable};
use super::survey::sink_at;
use super::whole::gather;
use super::words::words;
use crate::clock::{Clock, SystemClock};
use crate::lang::{Both, Text};
use crate::outbox::{
    Budget, Delivery, DeliveryId, LeadId, QuarantineCount, QuarantineId, Salvaged, State, Totals,
};
use crate::seal::SealError;

const LOST: Both = (
    "it is lost; if a backup or the sender has it, bring it in from there",
    "已丢失；若备份或发送方仍有，请从那里取回",
);
const ORPHAN: Both = (
    "look at the lead and decide whether its sink still needs it",
    "请查看该客资，判断目的地是否仍需要它",
);
const AGAIN: Both = (
    "its sink gets the lead under the same delivery id, perhaps not for the first time",
    "目的地会以同一投递编号收到该客资，可能不是第一次",
);

/// Makes the tree sound, and gives how many leads there were by its counts as they were found.
/// Stops at a record that is sealed with a key it was not given.
pub(super) fn mend(reader: &Reader, saved: &mut Salvaged) -> Result<u64, Fault> {
    for room in [b"q", b"i", b"n"] {
        clear(&reader.tree, room)?;
    }
    Index::clear(&reader.tree)?;
    let (index, compactor) = Index::open(&reader.tree)?;
    let mut mend = Mend {
        reader,
        saved,
        totals: reader.totals().unwrap_or_default(),
        last_lead: None,
        index,
        compactor,
    };
    let said = mend.totals.leads;
    mend.totals.leads = 0;
    mend.totals.in_quarantine = 0;
    mend.totals.unrouted = 0;
    for sink in mend.totals.sinks.values_mut() {
        (sink.waiting, sink.retrying, sink.behind) = (0, 0, 0);
        sink.dead.clear();
    }
    mend.leads()?;
    mend.quarantined_pushes()?;
    mend.lost_deliveries()?;
    clear(&reader.tree, b"o")?;
    mend.deliveries()?;
    mend.orphans()?;
    let totals = record::encode(&mend.totals);
    reader.tree.insert(key::TOTALS, totals)?;
    Ok(said)
}

fn clear(tree: &::sled::Tree, room: &[u8]) -> Result<(), Fault> {
    for key in tree.scan_prefix(room).keys() {
        tree.remove(key?)?;
    }
    Ok(())
}

struct Mend<'a> {
    reader: &'a Reader,
    saved: &'a mut Salvaged,
    totals: Totals,
    last_lead: Option<LeadId>,
    index: Index,
    compactor: Compactor,
}

impl Mend<'_> {
    fn lose(&mut self, what: impl Into<Text>, key: &[u8], advice: Both) {
        let key = words(key, &self.reader.sinks);
        self.saved.lose(what, key, advice);
    }

    /// Removes a record with all its parts, and says so.
    fn drop_record(&mut self, what: impl Into<Text>, name: &[u8]) -> Result<(), Fault> {
        for key in self.reader.tree.scan_prefix(name).keys() {
            self.reader.tree.remove(key?)?;
        }
        self.lose(what, name, LOST);
        Ok(())
    }

    fn leads(&mut self) -> Result<(), Fault> {
        let reader = self.reader;
        gather(&reader.tree, key::LEAD, |whole| {
            let id = key::id_after_room(&whole.name).map(LeadId);
            let revision = sink_at(&whole.name, 17);
            let plain = reader.vault.unseal(key::LEAD, &whole.bytes);
            let plain = needed(plain)?;
            let lead = plain
                .as_deref()
                .and_then(|bytes| record::decode::<LeadRecord<'_>>(bytes).ok());
            let (Some(id), Some(revision), Some(lead), true) =
                (id, revision, lead, whole.contiguous)
            else {
                return self.drop_record(("its record is damaged", "记录受损"), &whole.name);
            };
            if self.last_lead != Some(id) {
                self.totals.leads += 1;
                self.saved.leads += 1;
            }
            self.last_lead = Some(id);
            self.saved.revisions += 1;
            self.identify(id, revision, &lead)
        })
    }

    fn identify(&mut self, id: LeadId, number: u32, lead: &LeadRecord<'_>) -> Result<(), Fault> {
        let tree = &self.reader.tree;
        let entry = key::identity(id);
        let known = tree.get(&entry)?;
        let known = known.and_then(|bytes| IdentityRecord::decode(&bytes).ok());
        let mut identity = known.unwrap_or_default();
        let content = self.reader.vault.index(CONTENT, &[&lead.content]);
        identity.add(number, content, lead.modified_at, lead.received_at);
        tree.insert(entry, identity.encode())?;
        let tag = key::tag(key::IDENTITY, &lead.identity);
        let finds = lead.finds.iter().map(|find| (Entry::new(find, id.0), true));
        let mut changes: Vec<Change> = finds.collect();
        // Of two leads with one identity the later goes on; the earlier stays readable.
        for earlier in self.index.find(tree, &tag, 1)? {
            changes.push((Entry::new(&tag, earlier), false));
        }
        changes.push((Entry::new(&tag, id.0), true));
        self.index.write(tree, &mut self.compactor, changes)
    }

    fn quarantined_pushes(&mut self) -> Result<(), Fault> {
        let reader = self.reader;
        let mut counts: BTreeMap<String, QuarantineCount> = BTreeMap::new();
        gather(&reader.tree, key::QUARANTINE, |whole| {
            let id = key::id_after_room(&whole.name).map(QuarantineId);
            let plain = needed(reader.vault.unseal(key::QUARANTINE, &whole.bytes))?;
            let quarantined = plain
                .as_deref()
                .and_then(|bytes| record::decode::<QuarantineRecord<'_>>(bytes).ok());
            let (Some(id), Some(quarantined), true) = (id, quarantined, whole.contiguous) else {
                return self.drop_record(("its record is damaged", "记录受损"), &whole.name);
            };
            self.totals.in_quarantine += 1;
            self.saved.quarantined += 1;
            let count = counts.entry(quarantined.source.to_owned()).or_default();
            count.entries += 1;
            count.bytes += quarantined.size();
            let mut hashes = vec![quarantined.fingerprint, quarantined.content(&reader.vault)];
            hashes.dedup();
            let tag = |hash| key::tag(key::FINGERPRINT, hash);
            let changes = hashes
                .iter()
                .map(|hash| (Entry::new(&tag(hash), id.0), true));
            let changes = changes.collect();
            self.index.write(&reader.tree, &mut self.compactor, changes)
        })?;
        clear(&reader.tree, &[key::QUARANTINE_COUNT])?;
        for (source, count) in counts {
            let key = key::quarantine_count(&source);
            reader.tree.insert(key, record::encode(&count))?;
        }
        Ok(())
    }

    /// Makes a waiting delivery of each that the order names and that is gone.
    fn lost_deliveries(&mut self) -> Result<(), Fault> {
        let reader = self.reader;
        for entry in reader.tree.scan_prefix(b"o") {
            let (order, id) = entry?;
            let lead = key::id_after_room(&order).map(LeadId);
            let named = lead.zip(key::read_order(&order));
            let (Some((lead, (sink, revision))), Ok(id)) = (named, Uuid::from_slice(&id)) else {
                continue;
            };
            let id = DeliveryId(id);
            let Some(known) = reader.sinks.by_number.get(&sink) else {
                continue;
            };
            if self.is_there(sink, id)? {
                continue;
            }
            let Some(stored) = reader.lead(lead, revision)? else {
                continue;
            };
            let since = stored.received_at;
            let delivery = Delivery {
                sink: known.name.to_string(),
                source: stored.source,
                lead,
                revision,
                created_at: since,
                state: State::Waiting { due_at: since },
                attempts: 0,
                budget: Budget {
                    spent: 0,
                    since: SystemClock.now(),
                },
                fallback_of: None,
                history: Vec::new(),
                journal: String::new(),
            };
            let key = key::delivery(key::WAITING, sink, id);
            let sealed = record::seal(&reader.vault, key::WAITING, &delivery);
            reader.tree.insert(key.as_slice(), sealed)?;
            self.saved.again += 1;
            self.lose(
                (
                    "its state is lost: it waits again",
                    "状态丢失：重新等待投递",
                ),
                &key,
                AGAIN,
            );
        }
        Ok(())
    }

    /// Whether the delivery is kept in a state that can be told: one that is done is done,
    /// even if the rest of its record is damaged.
    fn is_there(&self, sink: SinkNumber, id: DeliveryId) -> Result<bool, Fault> {
        for room in [key::DONE, key::DEAD, key::WAITING] {
            let found = self.reader.tree.get(key::delivery(room, sink, id))?;
            let readable = |bytes: &[u8]| record::open(&self.reader.vault, bytes).is_ok();
            if found.is_some_and(|bytes| room == key::DONE || readable(&bytes)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn deliveries(&mut self) -> Result<(), Fault> {
        // Ended ones first: of a delivery in two places the one that is over counts.
        for room in [key::DONE, key::DEAD, key::WAITING] {
            for entry in self.reader.tree.scan_prefix([room]) {
                let (key, bytes) = entry?;
                let delivery = match record::open(&self.reader.vault, &bytes) {
                    Ok(delivery) => Some(delivery),
                    Err(error @ Unreadable::Sealed(SealError::UnknownKey(_))) => {
                        return Err(error.into());
                    }
                    Err(_) => None,
                };
                let id = key::delivery_at_end(&key);
                let (Some(id), Some(sink), Some(delivery)) = (id, sink_at(&key, 1), delivery)
                else {
                    self.drop_record(("its record is damaged", "记录受损"), &key)?;
                    continue;
                };
                self.delivery(room, &key, id, sink, delivery)?;
            }
        }
        Ok(())
    }

    fn delivery(
        &mut self,
        room: u8,
        key: &[u8],
        id: DeliveryId,
        sink: SinkNumber,
        mut delivery: Delivery,
    ) -> Result<(), Fault> {
        let tree = &self.reader.tree;
        let order = key::order(delivery.lead, sink, delivery.revision);
        if !tree.contains_key(key::lead(delivery.lead, delivery.revision, 0))? {
            return self.drop_record(("its lead is lost", "其客资已丢失"), key);
        }
        if tree.contains_key(&order)? || group::room_of(&delivery.state) != room {
            // An older state of what stands elsewhere.
            tree.remove(key)?;
            return Ok(());
        }
        let mut batch = Batch::default();
        if delivery.state == State::Behind {
            // What it waited for may be lost: the worst is that two revisions go side by side.
            delivery.state = State::Waiting {
                due_at: delivery.created_at,
            };
            batch.insert(
                key,
                record::seal(&self.reader.vault, key::WAITING, &delivery),
            );
        }
        if let State::Waiting { due_at } = delivery.state {
            let queue = key::queue(&delivery);
            batch.insert(key::due(sink, queue, due_at, id), b"".as_slice());
        }
        batch.insert(order, id.0.as_bytes().as_slice());
        batch.insert(key::sink(&delivery.sink), sink.to_be_bytes().as_slice());
        tree.apply_batch(batch)?;
        self.saved.deliveries += 1;
        let counts = self.totals.sinks.entry(delivery.sink.clone()).or_default();
        if room != key::DONE {
            group::count(counts, &delivery, 1);
        }
        Ok(())
    }

    /// Leads that have no delivery: perhaps no sink wanted them, perhaps it is lost.
    fn orphans(&mut self) -> Result<(), Fault> {
        let mut last = None;
        for key in self.reader.tree.scan_prefix([key::LEAD]).keys() {
            let key = key?;
            let Some(id) = key::id_after_room(&key).map(LeadId) else {
                continue;
            };
            if last == Some(id) {
                continue;
            }
            last = Some(id);
            let first = self.reader.tree.scan_prefix(key::orders(id)).next();
            if first.transpose()?.is_none() {
                let mark = key::unrouted(id);
                self.reader.tree.insert(mark, b"".as_slice())?;
                self.totals.unrouted += 1;
                self.lose(
                    ("no delivery of it is left", "它的投递已全部丢失"),
                    &key,
                    ORPHAN,
                );
            }
        }
        Ok(())
    }
}

/// What was unsealed, nothing if it is damaged; a missing key is an error.
fn needed<T>(unsealed: Result<T, Unreadable>) -> Result<Option<T>, Fault> {
    match unsealed {
        Ok(plain) => Ok(Some(plain)),
        Err(error @ Unreadable::Sealed(SealError::UnknownKey(_))) => Err(error.into()),
        Err(_) => Ok(None),
    }
}
