//! A group: what one commit writes.
//!
//! Holds the writes, the counts and the holds of one commit, and the small steps that all
//! changes are made of: reading, storing and moving one delivery. What is done with them is
//! in [`super::accept`], [`super::finish`], [`super::repair`] and [`super::leave`].

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use serde::de::DeserializeOwned;
use uuid::{ContextV7, Timestamp, Uuid};

use super::claims::Claims;
use super::fault::Fault;
use super::index::{Index, Tag};
use super::key::{self, SinkNumber};
use super::record;
use super::vault::Vault;
use super::writes::Writes;
use crate::clock::Millis;
use crate::outbox::{DAY, Delivery, DeliveryId, LeadId, SinkPolicy, SinkTotals, State, Totals};

/// A sink as the store knows it.
pub(super) struct KnownSink {
    pub(super) number: SinkNumber,
    pub(super) name: Arc<str>,
    /// `None` if it is not configured any more.
    pub(super) policy: Option<SinkPolicy>,
}

/// All sinks the store ever had, by name and by number.
pub(super) struct Sinks {
    pub(super) by_name: HashMap<Arc<str>, Arc<KnownSink>>,
    pub(super) by_number: HashMap<SinkNumber, Arc<KnownSink>>,
}

impl Sinks {
    /// By name.
    pub(super) fn named(&self, name: &str) -> Result<Arc<KnownSink>, Fault> {
        let sink = self.by_name.get(name);
        sink.cloned().ok_or_else(|| Fault::Sink(name.to_owned()))
    }
}

/// What a group reads from and what outlives it.
pub(super) struct Ground<'a> {
    pub(super) sinks: &'a Sinks,
    pub(super) ids: &'a ContextV7,
    pub(super) vault: &'a Vault,
    pub(super) claims: &'a Claims,
    pub(super) index: &'a Index,
}

/// The writes of one commit.
pub(super) struct Group<'a> {
    pub(super) on: Ground<'a>,
    pub(super) writes: Writes<'a>,
    pub(super) totals: Totals,
    /// Sinks for which something became due.
    pub(super) wake: BTreeSet<Arc<str>>,
    /// Deliveries that must not be claimed until the group is in the tree.
    pub(super) reserved: Vec<DeliveryId>,
    /// Claims that end with this group.
    pub(super) ended: Vec<DeliveryId>,
    /// Counts as they were before the job under way: of all, and of the sinks it touched.
    before: (Totals, Vec<(String, Option<SinkTotals>)>),
}

/// A delivery with where it is kept.
pub(super) struct Kept {
    pub(super) id: DeliveryId,
    pub(super) sink: Arc<KnownSink>,
    pub(super) delivery: Delivery,
}

impl<'a> Group<'a> {
    pub(super) fn new(on: Ground<'a>, tree: &'a ::sled::Tree, totals: Totals) -> Self {
        Self {
            on,
            writes: Writes::new(tree),
            before: (global(&totals), Vec::new()),
            totals,
            wake: BTreeSet::new(),
            reserved: Vec::new(),
            ended: Vec::new(),
        }
    }

    /// Runs one job; what a failed one wrote and counted is taken back.
    pub(super) fn run(
        &mut self,
        job: impl FnOnce(&mut Self) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let done = job(self);
        let (global, sinks) = std::mem::take(&mut self.before);
        if done.is_ok() {
            self.writes.keep();
        } else {
            self.writes.take_back();
            let now = std::mem::replace(&mut self.totals, global);
            self.totals.sinks = now.sinks;
            for (name, before) in sinks.into_iter().rev() {
                match before {
                    Some(before) => self.totals.sinks.insert(name, before),
                    None => self.totals.sinks.remove(&name),
                };
            }
        }
        self.before.0 = self::global(&self.totals);
        done
    }

    /// Counts of a sink, to be changed.
    pub(super) fn sink(&mut self, name: &str) -> &mut SinkTotals {
        let before = self.totals.sinks.get(name).cloned();
        self.before.1.push((name.to_owned(), before));
        self.totals.sinks.entry(name.to_owned()).or_default()
    }

    /// Reads and decodes an open record.
    pub(super) fn read<T: DeserializeOwned>(&self, key: &[u8]) -> Result<Option<T>, Fault> {
        let Some(bytes) = self.writes.get(key)? else {
            return Ok(None);
        };
        Ok(Some(record::decode_owned(&bytes)?))
    }

    /// Whose tag that is, as it is after the jobs before.
    pub(super) fn indexed(&self, tag: &Tag) -> Result<Option<Uuid>, Fault> {
        let prefix = key::entries(tag);
        let mut removed = Vec::new();
        for (entry, added) in self.writes.entries(&prefix) {
            if added {
                return Ok(Some(entry.id()));
            }
            removed.push(entry.id());
        }
        let tree = self.writes.tree();
        let found = self.on.index.find(tree, tag, removed.len() + 1)?;
        Ok(found.into_iter().find(|id| !removed.contains(id)))
    }

    /// A delivery of one room.
    pub(super) fn delivery(
        &self,
        room: u8,
        sink: SinkNumber,
        id: DeliveryId,
    ) -> Result<Option<Delivery>, Fault> {
        let Some(bytes) = self.writes.get(&key::delivery(room, sink, id))? else {
            return Ok(None);
        };
        Ok(Some(record::open(self.on.vault, &bytes)?))
    }

    /// A delivery wherever it is.
    pub(super) fn locate(&self, id: DeliveryId) -> Result<Option<Kept>, Fault> {
        for sink in self.on.sinks.by_number.values() {
            for room in [key::WAITING, key::DONE, key::DEAD] {
                if let Some(delivery) = self.delivery(room, sink.number, id)? {
                    let sink = Arc::clone(sink);
                    return Ok(Some(Kept { id, sink, delivery }));
                }
            }
        }
        Ok(None)
    }

    /// A lead's deliveries for one sink by revision, oldest first.
    pub(super) fn line(
        &self,
        lead: LeadId,
        sink: SinkNumber,
    ) -> Result<Vec<(u32, DeliveryId)>, Fault> {
        let entries = self.writes.scan(&key::order_of(lead, sink))?;
        Ok(entries
            .iter()
            .filter_map(|(key, id)| {
                Some((
                    key::read_order(key)?.1,
                    DeliveryId(Uuid::from_slice(id).ok()?),
                ))
            })
            .collect())
    }

    /// Puts a delivery where its state belongs, with its due entry and its counts.
    pub(super) fn store(&mut self, kept: &Kept) {
        let Kept { id, sink, delivery } = kept;
        let (room, due) = match delivery.state {
            State::Waiting { due_at } => (key::WAITING, Some(due_at)),
            State::Behind => (key::WAITING, None),
            State::Delivered { .. } | State::Superseded { .. } | State::Cancelled { .. } => {
                (key::DONE, None)
            }
            State::Dead { .. } => (key::DEAD, None),
        };
        let bytes = record::seal(self.on.vault, key::WAITING, delivery);
        self.writes
            .put(key::delivery(room, sink.number, *id), bytes);
        if let Some(at) = due {
            let queue = key::queue(delivery);
            self.writes
                .put(key::due(sink.number, queue, at, *id), b"".as_slice());
            self.wake.insert(Arc::clone(&sink.name));
        }
        count(self.sink(&sink.name), delivery, 1);
    }

    /// Takes a delivery from where its state has put it, with its due entry and its counts.
    /// What is counted since the store was made stays counted.
    pub(super) fn unstore(&mut self, kept: &Kept) {
        let Kept { id, sink, delivery } = kept;
        let room = match delivery.state {
            State::Waiting { due_at } => {
                let queue = key::queue(delivery);
                self.writes
                    .remove(key::due(sink.number, queue, due_at, *id));
                key::WAITING
            }
            State::Behind => key::WAITING,
            State::Delivered { .. } | State::Superseded { .. } | State::Cancelled { .. } => {
                key::DONE
            }
            State::Dead { .. } => key::DEAD,
        };
        self.writes.remove(key::delivery(room, sink.number, *id));
        if delivery.state.is_waiting() || matches!(delivery.state, State::Dead { .. }) {
            count(self.sink(&sink.name), delivery, -1);
        }
    }

    /// Moves a delivery to another state.
    pub(super) fn turn(&mut self, mut kept: Kept, state: State) -> Kept {
        self.unstore(&kept);
        kept.delivery.state = state;
        self.store(&kept);
        kept
    }

    /// Whether the delivery may be changed: no attempt is under way. It cannot be claimed
    /// until the group is in the tree.
    pub(super) fn reserve(&mut self, id: DeliveryId) -> bool {
        let free = self.on.claims.reserve(id);
        if free {
            self.reserved.push(id);
        }
        free
    }

    /// From when something of `at` grows old. A clock that is far behind what was believed
    /// must not make it old the moment the clock is set right.
    pub(super) fn ages_from(&self, at: Millis) -> Millis {
        let known = self.totals.time.belief.newest;
        if known.saturating_sub(at) > DAY {
            known
        } else {
            at
        }
    }

    /// An id that says from when it grows old.
    pub(super) fn new_id(&self, at: Millis) -> Uuid {
        let at = u64::try_from(self.ages_from(at)).unwrap_or(0);
        let nanos = u32::try_from(at % 1000).unwrap_or(0) * 1_000_000;
        Uuid::new_v7(Timestamp::from_unix(self.on.ids, at / 1000, nanos))
    }
}

/// Where a delivery in that state is kept.
pub(super) fn room_of(state: &State) -> u8 {
    match state {
        State::Waiting { .. } | State::Behind => key::WAITING,
        State::Delivered { .. } | State::Superseded { .. } | State::Cancelled { .. } => key::DONE,
        State::Dead { .. } => key::DEAD,
    }
}

/// The counts that are not by sink.
fn global(totals: &Totals) -> Totals {
    Totals {
        sinks: std::collections::BTreeMap::new(),
        ..*totals
    }
}

/// Counts a delivery in its state.
pub(super) fn count(sink: &mut SinkTotals, delivery: &Delivery, by: i64) {
    let add = |number: &mut u64| *number = number.saturating_add_signed(by);
    match &delivery.state {
        State::Waiting { .. } | State::Behind => {
            add(&mut sink.waiting);
            if delivery.state == State::Behind {
                add(&mut sink.behind);
            } else if delivery.attempts > 0 {
                add(&mut sink.retrying);
            }
        }
        State::Delivered { .. } => add(&mut sink.delivered),
        State::Superseded { .. } => add(&mut sink.superseded),
        State::Cancelled { .. } => add(&mut sink.cancelled),
        State::Dead { reason, .. } => add(sink.dead.entry(*reason).or_default()),
    }
}
