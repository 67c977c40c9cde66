//! Moving: records of a segment that still count are written once more at the journal's end, so
//! that the segment can be removed. Decided by the committer, which alone knows what counts.

use std::collections::HashSet;
use std::sync::{Arc, PoisonError};

use super::codec::Entry;
use super::committer::{Committer, show};
use super::indexed::DeliveryPlaces;
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
        record: Record,
        place: Place,
        segments: &[u32],
        moved: &mut HashSet<DeliveryId>,
    ) -> Result<Option<(Record, Vec<u32>)>, Unavailable> {
        let plain = |record| Ok(Some((record, Vec::new())));
        match record {
            Record::Revision {
                lead,
                source,
                identity,
                mut revision,
                finds,
                body,
            } => {
                let Some(known) = publishing.lead(lead) else {
                    return Ok(None);
                };
                if !known.live().contains(&place) {
                    return Ok(None);
                }
                let current = known.lead.revisions.iter();
                if let Some(current) = current
                    .into_iter()
                    .find(|one| one.number == revision.number)
                {
                    revision.clone_from(current);
                }
                plain(Record::Revision {
                    lead,
                    source,
                    identity,
                    revision,
                    finds,
                    body,
                })
            }
            Record::Pushed { lead, revision, at } => {
                let known = publishing.lead(lead);
                let counts = known.is_some_and(|known| known.live().contains(&place));
                Ok(counts.then_some((Record::Pushed { lead, revision, at }, Vec::new())))
            }
            Record::Delivery {
                lead,
                delivery,
                details,
            } => {
                let Some(known) = publishing.lead(lead) else {
                    return Ok(None);
                };
                let Some((
                    current,
                    DeliveryPlaces {
                        head,
                        details: text,
                    },
                )) = known.delivery(delivery.id)
                else {
                    return Ok(None);
                };
                if (head != place && text != Some(place)) || !moved.insert(delivery.id) {
                    return Ok(None);
                }
                let details = match text {
                    Some(text) if text == place => details,
                    Some(text) => {
                        let read = self.bodies.details(text);
                        Some(read.map_err(|error| Unavailable(error.to_string()))?)
                    }
                    None => None,
                };
                plain(Record::Delivery {
                    lead,
                    delivery: current.clone(),
                    details,
                })
            }
            gone @ (Record::LeadGone { .. } | Record::QuarantineGone { .. }) => {
                // Old records of it may be read again as long as their segments are there.
                let left = self.left(segments, place.segment);
                Ok((!left.is_empty()).then_some((gone, left)))
            }
            Record::Quarantined { id, head, body } => {
                let known = publishing.quarantined(id);
                let counts = known.is_some_and(|known| known.place == place);
                Ok(counts.then_some((Record::Quarantined { id, head, body }, Vec::new())))
            }
            // They stand in the opening of every later segment.
            Record::QuarantineCount { .. } | Record::Paused { .. } | Record::SinkState { .. } => {
                Ok(None)
            }
        }
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
                || self.defers_in(facts.number)
            {
                continue;
            }
            // What has arrived there and was not judged yet stands nowhere else.
            let deferred = self.standing().deferred;
            if deferred.iter().any(|place| place.segment == facts.number) {
                continue;
            }
            self.batch.entry(&codec, &Entry::SegmentGone(facts.number));
            self.append(self.totals.clone())
                .inspect_err(|error| self.shared.fail(error))?;
            // Else it would find a segment that is not there.
            let removed = self.finds.remove(facts.number);
            removed.map_err(|error| Unavailable(error.to_string()))?;
            let (shared, journal) = (Arc::clone(&self.shared), &mut self.journal);
            let removed = shared.writing.over(|| journal.remove(facts.number));
            self.refused(removed)
                .ok_or_else(|| self.shared.given_up())?;
            let standing = self.standing.write();
            let mut standing = standing.unwrap_or_else(PoisonError::into_inner);
            standing.remains.gone(facts.number);
            drop(standing);
            gone.push(facts.number);
        }
        Ok(gone)
    }

    /// Closes the open segment and begins another one.
    pub(super) fn roll(&mut self) -> Result<(), Unavailable> {
        let standing = self.standing();
        let (shared, journal) = (Arc::clone(&self.shared), &mut self.journal);
        let rolled = shared.writing.over(|| journal.roll(&standing));
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
