//! Publishing: what records make of the index. The same for a commit and for a replay, so that an
//! index made anew is the one that was.

use std::collections::hash_map::Entry as Slot;
use std::collections::{BTreeSet, HashMap};

use uuid::Uuid;

use super::codec::Entry;
use super::current::Catalog;
use super::find::{self, Finds};
use super::indexed::{Indexed, IndexedPush};
use super::place::Place;
use super::project::Projection;
use super::view::Seen;
use crate::outbox::state::{Fault, Record, Tag};
use crate::outbox::{LeadId, QuarantineId};

/// Records that a replay shows at once.
const SHOWN: usize = 2048;

/// As it was, and as it is.
type Turned<T> = (Option<T>, Option<T>);

/// Gathers what one frame, or several, change.
#[derive(Default)]
pub(super) struct Publishing {
    leads: HashMap<LeadId, Turned<Indexed>>,
    quarantined: HashMap<QuarantineId, Turned<IndexedPush>>,
}

impl Publishing {
    /// With what a commit has looked at already.
    pub(super) fn of(seen: Seen<'_>) -> Self {
        let leads = seen.leads.into_inner().into_iter();
        let quarantined = seen.quarantined.into_inner().into_iter();
        Self {
            leads: leads.map(|(id, was)| (id, (was.clone(), was))).collect(),
            quarantined: quarantined
                .map(|(id, was)| (id, (was.clone(), was)))
                .collect(),
        }
    }

    /// Looks at what a record is of, unless that is known; to be called before [`Self::take`]
    /// in a replay.
    pub(super) fn look(&mut self, catalog: &Catalog, record: &Record) -> Result<(), Fault> {
        if let Some(id) = record.lead() {
            self.look_at(catalog, id)?;
        }
        if let Record::Quarantined { id, .. } | Record::QuarantineGone { id, .. } = record
            && let Slot::Vacant(vacant) = self.quarantined.entry(*id)
        {
            let was = catalog.quarantined(*id)?;
            vacant.insert((was.clone(), was));
        }
        Ok(())
    }

    /// Looks at a lead, unless that is known.
    pub(super) fn look_at(&mut self, catalog: &Catalog, id: LeadId) -> Result<(), Fault> {
        if let Slot::Vacant(vacant) = self.leads.entry(id) {
            let was = catalog.lead(id)?;
            vacant.insert((was.clone(), was));
        }
        Ok(())
    }

    /// The segments that hold anything of what leaves with this record.
    pub(super) fn segments_of(&self, record: &Record) -> Vec<u32> {
        match record {
            Record::LeadGone { lead, .. } => {
                let was = self.leads.get(lead).and_then(|(_, is)| is.as_ref());
                was.map(|was| was.places.segments.clone())
            }
            Record::QuarantineGone { id, .. } => {
                let was = self.quarantined.get(id).and_then(|(_, is)| is.as_ref());
                was.map(|was| was.segments.clone())
            }
            _ => None,
        }
        .unwrap_or_default()
    }

    /// Takes a record that lies at `place`.
    pub(super) fn take(&mut self, record: &Record, place: Place) {
        if let Some(id) = record.lead() {
            let (_, is) = self.leads.entry(id).or_default();
            *is = Indexed::take(is.take(), record, place);
        }
        if let Record::Quarantined { id, .. } | Record::QuarantineGone { id, .. } = record {
            let (_, is) = self.quarantined.entry(*id).or_default();
            *is = IndexedPush::take(is.take(), record, place);
        }
    }

    /// These segments hold bytes of the lead, too.
    pub(super) fn hold(&mut self, lead: LeadId, segments: &[u32]) {
        if let Some((_, Some(is))) = self.leads.get_mut(&lead) {
            is.hold(segments);
        }
    }

    /// A lead as it is.
    pub(super) fn lead(&self, id: LeadId) -> Option<&Indexed> {
        self.leads.get(&id).and_then(|(_, is)| is.as_ref())
    }

    /// A quarantined push as it is.
    pub(super) fn quarantined(&self, id: QuarantineId) -> Option<&IndexedPush> {
        self.quarantined.get(&id).and_then(|(_, is)| is.as_ref())
    }

    /// Shows all of it at once, as the journal is up to `sequence`.
    pub(super) fn publish(self, catalog: &Catalog, sequence: u64) -> Result<(), Fault> {
        let mut projection = Projection::default();
        for (id, (was, is)) in &self.leads {
            projection.lead(&catalog.names, *id, was.as_ref(), is.as_ref());
        }
        for (id, (was, is)) in &self.quarantined {
            projection.quarantined(*id, was.as_ref(), is.as_ref());
        }
        let changes = projection.changes(|key| catalog.index.get(key))?;
        catalog.index.put(sequence, changes);
        Ok(())
    }
}

/// Records taken in the order in which they were written, and shown in large pieces.
#[derive(Default)]
pub(super) struct Replay {
    publishing: Publishing,
    /// Records since they were shown last.
    taken: usize,
    /// Up to which frame all is taken.
    pub(super) sequence: u64,
    /// Leads that have deliveries and no revision so far.
    leftovers: BTreeSet<LeadId>,
}

impl Replay {
    /// Behind what an index has already.
    pub(super) fn behind(sequence: u64) -> Self {
        Self {
            sequence,
            ..Self::default()
        }
    }

    /// Takes an entry that lies at `place`.
    pub(super) fn take(
        &mut self,
        catalog: &Catalog,
        entry: &Entry,
        place: Place,
    ) -> Result<(), Fault> {
        match entry {
            Entry::Record { record, .. } => {
                self.publishing.look(catalog, record)?;
                self.publishing.take(record, place);
            }
            Entry::Holds { lead, segments } => {
                self.publishing.look_at(catalog, *lead)?;
                self.publishing.hold(*lead, segments);
            }
            _ => return Ok(()),
        }
        self.taken += 1;
        Ok(())
    }

    /// All of a frame was taken.
    pub(super) fn reached(&mut self, catalog: &Catalog, sequence: u64) -> Result<(), Fault> {
        self.sequence = self.sequence.max(sequence);
        if self.taken >= SHOWN {
            self.show(catalog)?;
        }
        Ok(())
    }

    /// Shows what was taken.
    pub(super) fn show(&mut self, catalog: &Catalog) -> Result<(), Fault> {
        let publishing = std::mem::take(&mut self.publishing);
        self.taken = 0;
        for (lead, (_, is)) in &publishing.leads {
            if is.as_ref().is_some_and(|is| is.lead.revisions.is_empty()) {
                self.leftovers.insert(*lead);
            } else {
                self.leftovers.remove(lead);
            }
        }
        publishing.publish(catalog, self.sequence)?;
        catalog.index.wait_for_room();
        Ok(())
    }

    /// Takes leads away of which only deliveries are left: their removal was cleaned away, or
    /// what was pushed is lost.
    pub(super) fn drop_leftovers(
        self,
        catalog: &Catalog,
        sequence: u64,
    ) -> Result<BTreeSet<LeadId>, Fault> {
        let mut publishing = Publishing::default();
        for lead in &self.leftovers {
            publishing.look_at(catalog, *lead)?;
            if let Some((_, is)) = publishing.leads.get_mut(lead) {
                *is = None;
            }
        }
        publishing.publish(catalog, sequence)?;
        Ok(self.leftovers)
    }
}

/// What a record is found by, from now on in the segment where it lies.
pub(super) fn add_tags(record: &Record, place: Place, finds: &Finds) {
    let mut tags = Vec::new();
    tags_of(record, |tag, id| tags.push((*tag, id)));
    finds.add(place.segment, &tags);
}

/// What a record is found by.
pub(super) fn tags_of(record: &Record, mut each: impl FnMut(&Tag, Uuid)) {
    match record {
        Record::Revision {
            lead,
            identity,
            finds,
            ..
        } => std::iter::once(identity)
            .chain(finds)
            .for_each(|tag| each(tag, lead.0)),
        Record::Delivery { lead, delivery, .. } => each(&find::delivery_tag(delivery.id), lead.0),
        Record::Quarantined { id, head, .. } => head.tags.iter().for_each(|tag| each(tag, id.0)),
        _ => {}
    }
}
