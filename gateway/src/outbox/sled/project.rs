//! Projection: what a commit makes different in the index. Pure, and the only writer of its
//! keys: what stands in the index is a function of the leads and quarantined pushes there are,
//! whatever way they came to be so.

use std::collections::{BTreeMap, BTreeSet};

use super::indexed::{Indexed, IndexedPush, encode};
use super::keys;
use super::map::Change;
use super::names::{Names, Table};
use super::place::Place;
use crate::outbox::state::Class;
use crate::outbox::{LeadId, QuarantineId, State};

/// The changes of one commit, gathered: of each key from what it was before to what it is after.
#[derive(Default)]
pub struct Projection {
    changes: BTreeMap<Vec<u8>, Turned>,
    /// By how much counters change.
    counts: BTreeMap<Vec<u8>, [i64; 2]>,
}

/// What a key showed, and what it shows.
type Turned = (Option<Vec<u8>>, Option<Vec<u8>>);

/// What a lead puts into the index.
type Entries = BTreeMap<Vec<u8>, Vec<u8>>;

impl Projection {
    /// A lead was `old` and is `new`.
    pub fn lead(
        &mut self,
        names: &Names,
        id: LeadId,
        old: Option<&Indexed>,
        new: Option<&Indexed>,
    ) {
        let before = old.map(|old| self.entries(names, id, old, -1));
        let after = new.map(|new| self.entries(names, id, new, 1));
        self.differ(before.unwrap_or_default(), after.unwrap_or_default());
        let live = |lead: Option<&Indexed>| lead.map(Indexed::live).unwrap_or_default();
        self.live(&live(old), &live(new));
    }

    /// A quarantined push was `old` and is `new`.
    pub fn quarantined(
        &mut self,
        id: QuarantineId,
        old: Option<&IndexedPush>,
        new: Option<&IndexedPush>,
    ) {
        let entry = |push: &IndexedPush| Entries::from([(keys::quarantined(id), encode(push))]);
        let entries = |push: Option<&IndexedPush>| push.map(entry).unwrap_or_default();
        self.differ(entries(old), entries(new));
        let live = |push: Option<&IndexedPush>| push.map(|push| push.place).into_iter().collect();
        self.live(&live(old), &live(new));
    }

    /// The changes, by key. `get` says what the index shows before the commit.
    pub fn changes<E>(
        self,
        get: impl Fn(&[u8]) -> Result<Option<Vec<u8>>, E>,
    ) -> Result<Vec<Change>, E> {
        let changes = self.changes.into_iter();
        let mut changes: Vec<Change> = changes
            .filter(|(_, (old, new))| old != new)
            .map(|(key, (old, new))| Change { key, old, new })
            .collect();
        for (key, by) in self.counts.into_iter().filter(|(_, by)| *by != [0, 0]) {
            let old = get(&key)?;
            let new = add(old.as_deref().unwrap_or_default(), by);
            changes.push(Change { key, old, new });
        }
        Ok(changes)
    }

    /// The entries of a lead, which are counted `by`.
    fn entries(&mut self, names: &Names, id: LeadId, indexed: &Indexed, by: i64) -> Entries {
        let lead = &indexed.lead;
        if lead.revisions.is_empty() {
            // Of which only deliveries are known so far, and so no source: in no list.
            return Entries::from([(keys::lead(keys::NOWHERE, id), encode(indexed))]);
        }
        let source = self.number(&names.sources, &lead.source);
        let mut entries = Entries::from([(keys::lead(source, id), encode(indexed))]);
        if lead.deliveries.is_empty() {
            entries.insert(keys::unrouted(id), source.to_be_bytes().to_vec());
        }
        for delivery in &lead.deliveries {
            let sink = self.number(&names.sinks, &delivery.sink);
            let class = delivery.class();
            let address = || keys::address(source, id);
            let list = keys::list(class, sink, source);
            entries.insert(keys::listed(list, delivery.id), address());
            if let State::Waiting { due_at } = delivery.state {
                let queue = keys::queue(&lead.source, delivery.freshness());
                let key = keys::due(sink, queue, due_at, delivery.id);
                entries.insert(key, address());
            }
            self.count(keys::count(sink, source, class), [by, 0]);
            let by = match class {
                Class::Retrying => [0, by],
                Class::Dead(_) => [by, 0],
                _ => continue,
            };
            if let Some(group) = delivery.failure {
                let list = keys::failing(sink, group);
                entries.insert(keys::listed(list, delivery.id), address());
                self.count(keys::group(sink, group), by);
            }
        }
        entries
    }

    fn number(&mut self, table: &Table, name: &str) -> u32 {
        let (number, change) = table.number_or_new(name);
        if let Some(Change { key, old, new }) = change {
            self.changes.insert(key, (old, new));
        }
        number
    }

    fn differ(&mut self, before: Entries, mut after: Entries) {
        for (key, old) in before {
            let new = after.remove(&key);
            if new.as_ref() != Some(&old) {
                self.change(key, Some(old), new);
            }
        }
        for (key, new) in after {
            self.change(key, None, Some(new));
        }
    }

    fn change(&mut self, key: Vec<u8>, old: Option<Vec<u8>>, new: Option<Vec<u8>>) {
        self.changes.entry(key).or_insert((old, None)).1 = new;
    }

    fn live(&mut self, before: &BTreeSet<Place>, after: &BTreeSet<Place>) {
        let mut count = |place: &Place, by: i64| {
            let bytes = i64::from(place.length) * by;
            self.count(keys::segment(place.segment), [bytes, by]);
        };
        for place in before.difference(after) {
            count(place, -1);
        }
        for place in after.difference(before) {
            count(place, 1);
        }
    }

    fn count(&mut self, key: Vec<u8>, by: [i64; 2]) {
        let sums = self.counts.entry(key).or_default();
        sums[0] += by[0];
        sums[1] += by[1];
    }
}

/// A counter after a change; `None` if nothing is left to count.
fn add(old: &[u8], by: [i64; 2]) -> Option<Vec<u8>> {
    let old = numbers(old);
    let new = [0, 1].map(|at| {
        let old = old.get(at).copied().unwrap_or(0);
        old.saturating_add_signed(by[at])
    });
    (new != [0, 0]).then(|| new.map(u64::to_be_bytes).concat())
}

/// The numbers of a counter.
pub fn numbers(value: &[u8]) -> Vec<u64> {
    let (whole, _) = value.as_chunks();
    whole
        .iter()
        .map(|bytes| u64::from_be_bytes(*bytes))
        .collect()
}
