//! Moving: records of a segment that still count are written once more at the journal's end, so
//! that the segment can be removed. Decided by the committer, which alone knows what counts.

use std::collections::HashSet;
use std::sync::Arc;

use super::codec::Entry;
use super::committer::{Committer, read, show, write};
use super::job::Moved;
use super::place::Place;
use super::publish::{Publishing, add_tags};
use crate::outbox::state::Record;
use crate::outbox::{DeliveryId, Unavailable};

impl Committer {
    /// Writes those of `places` once more that still count, sealed as records are sealed now.
    pub(super) fn move_records(
        &mut self,
        places: &[Place],
    ) -> Result<(Moved, Option<u64>), Unavailable> {
        let moved = self.try_move(places);
        if moved.is_err() {
            // What was gathered by then is nobody's: it must not go along with the next commit.
            self.batch.clear();
        }
        moved
    }

    fn try_move(&mut self, places: &[Place]) -> Result<(Moved, Option<u64>), Unavailable> {
        let Some(catalog) = self.current.get() else {
            return Err(self.shared.is_making());
        };
        let unreadable = |error: &dyn std::fmt::Display| Unavailable(error.to_string());
        let codec = Arc::clone(self.journal.codec());
        let mut publishing = Publishing::default();
        let mut records = Vec::new();
        let mut moved = HashSet::<DeliveryId>::new();
        let mut held = Vec::new();
        for place in places {
            let bytes = self.bodies.journal().read(*place);
            let mut bytes = bytes.map_err(|error| unreadable(&error))?;
            if let Some(resealed) = codec.reseal(&bytes).map_err(|error| unreadable(&error))? {
                bytes = resealed;
            }
            let entry = codec.decode(&bytes);
            let (record, segments) = match entry.map_err(|error| unreadable(&error))? {
                Entry::Record { record, segments } => (record, segments),
                Entry::Holds { lead, segments } => {
                    held.push((lead, self.left(&segments, place.segment)));
                    continue;
                }
                _ => continue,
            };
            publishing
                .look(&catalog, &record)
                .map_err(|error| unreadable(&error))?;
            if let Some((record, segments)) =
                self.carried_on(&publishing, record, *place, &segments, &mut moved)?
            {
                self.batch.record(&codec, &record, &segments);
                records.push(record);
            }
        }
        // Behind the records, so that places are theirs.
        for (lead, segments) in held {
            let looked = publishing.look_at(&catalog, lead);
            looked.map_err(|error| unreadable(&error))?;
            if publishing.lead(lead).is_some() && !segments.is_empty() {
                self.batch.entry(&codec, &Entry::Holds { lead, segments });
            }
        }
        let bytes = self.batch.bytes() as u64;
        let totals = self.totals.clone();
        let Some((sequence, places)) = self.append(totals)? else {
            return Ok((Moved::default(), None));
        };
        for (record, place) in records.iter().zip(&places) {
            add_tags(record, *place, &self.finds);
            publishing.take(record, *place);
        }
        show(publishing, &catalog, sequence);
        catalog.index.wait_for_room();
        let moved = Moved {
            records: records.len() as u64,
            bytes,
        };
        Ok((moved, Some(sequence)))
    }

    /// The record as it is to be carried on, if it still counts.
    fn carried_on(
        &self,
        publishing: &Publishing,
        mut record: Record,
        place: Place,
        segments: &[u32],
        moved: &mut HashSet<DeliveryId>,
    ) -> Result<Option<(Record, Vec<u32>)>, Unavailable> {
        let counts = match &mut record {
            Record::Revision { lead, revision, .. } => {
                let known = publishing.lead(*lead).filter(|known| known.has(place));
                let mut current = known.into_iter().flat_map(|known| &known.lead.revisions);
                let current = current.find(|one| one.number == revision.number);
                current
                    .map(|current| revision.clone_from(current))
                    .is_some()
            }
            Record::Pushed { lead, .. } => {
                let known = publishing.lead(*lead);
                known.is_some_and(|known| known.has(place))
            }
            Record::Delivery {
                lead,
                delivery,
                details,
            } => {
                let known = publishing.lead(*lead);
                let Some((current, at)) = known.and_then(|known| known.delivery(delivery.id))
                else {
                    return Ok(None);
                };
                if (at.head != place && at.details != Some(place)) || !moved.insert(delivery.id) {
                    return Ok(None);
                }
                if at.details != Some(place) {
                    let read = at.details.map(|text| self.bodies.details(text)).transpose();
                    *details = read.map_err(|error| Unavailable(error.to_string()))?;
                }
                delivery.clone_from(current);
                true
            }
            Record::LeadGone { .. } | Record::QuarantineGone { .. } => {
                // Old records of it may be read again as long as their segments are there.
                let left = self.left(segments, place.segment);
                return Ok((!left.is_empty()).then_some((record, left)));
            }
            Record::Quarantined { id, .. } => {
                let known = publishing.quarantined(*id);
                known.is_some_and(|known| known.place == place)
            }
            // They stand in the opening of every later segment.
            Record::QuarantineCount { .. }
            | Record::Paused { .. }
            | Record::SinkState { .. }
            | Record::Job { .. }
            | Record::Token { .. } => false,
        };
        Ok(counts.then_some((record, Vec::new())))
    }

    /// Those of `segments` that are there when `cleaned` is not any more.
    fn left(&self, segments: &[u32], cleaned: u32) -> Vec<u32> {
        let left = segments.iter().copied();
        left.filter(|segment| *segment != cleaned && self.exists(*segment))
            .collect()
    }

    fn exists(&self, segment: u32) -> bool {
        let reader = self.bodies.journal();
        segment == reader.open_segment().number
            || reader.facts().iter().any(|facts| facts.number == segment)
    }

    /// Removes segments in which nothing counts any more; gives those that are gone.
    pub(super) fn remove(&mut self, segments: &[u32]) -> Result<Vec<u32>, Unavailable> {
        let Some(catalog) = self.current.get() else {
            return Err(self.shared.is_making());
        };
        let codec = Arc::clone(self.journal.codec());
        let mut gone = Vec::new();
        for facts in self.bodies.journal().facts() {
            if !segments.contains(&facts.number) {
                continue;
            }
            let live = catalog.live(facts.number);
            let live = live.map_err(|error| Unavailable(error.to_string()))?;
            // A crash must find what the index has not applied, in the journal.
            if live.records > 0
                || catalog.index.applied() < facts.last
                // What has arrived there and was not judged yet stands nowhere else.
                || read(&self.standing).defers_in(facts.number)
            {
                continue;
            }
            self.batch.entry(&codec, &Entry::SegmentGone(facts.number));
            self.append(self.totals.clone())
                .inspect_err(|error| self.shared.fail(error))?;
            // Else it would find a segment that is not there.
            let removed = self.finds.remove(facts.number);
            removed.map_err(|error| Unavailable(error.to_string()))?;
            let journal = &mut self.journal;
            let removed = self.shared.writing.over(|| journal.remove(facts.number));
            self.refused(removed)
                .ok_or_else(|| self.shared.given_up())?;
            write(&self.standing).remains.gone(facts.number);
            gone.push(facts.number);
        }
        Ok(gone)
    }

    /// Closes the open segment and begins another one.
    pub(super) fn roll(&mut self) -> Result<(), Unavailable> {
        let standing = self.standing();
        let journal = &mut self.journal;
        let rolled = self.shared.writing.over(|| journal.roll(&standing));
        let closed = self.refused(rolled);
        let closed = closed.ok_or_else(|| self.shared.given_up())?;
        self.finds.close(closed);
        if let Some(catalog) = self.current.get() {
            // The frames that close and open segments are nothing to it, and count as applied.
            catalog.index.put(self.journal.last_sequence(), Vec::new());
        }
        Ok(())
    }
}
