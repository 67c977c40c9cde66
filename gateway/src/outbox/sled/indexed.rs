//! Indexed: what the index keeps of a lead and of a quarantined push, with the places of its
//! records in the journal. Nothing in it is personal.

use std::collections::BTreeSet;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::place::Place;
use crate::outbox::DeliveryId;
use crate::outbox::state::{DeliveryHead, Fault, Lead, QuarantineHead, Record};

/// First byte of a value: how the rest is encoded.
const VERSION: u8 = 1;

/// A lead.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Indexed {
    /// It.
    pub lead: Lead,
    /// Where its records lie.
    pub places: Places,
}

/// Where the records of a lead lie.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Places {
    /// Of its revisions, by number.
    pub revisions: Vec<(u32, Place)>,
    /// Of the last push of its revisions, by number, for those pushed again.
    pub pushed: Vec<(u32, Place)>,
    /// Of its deliveries, in their order.
    pub deliveries: Vec<DeliveryPlaces>,
    /// All segments that hold anything of it, also what counts no more; ascending.
    pub segments: Vec<u32>,
}

/// Where the records of a delivery lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryPlaces {
    /// The newest, which says where it stands.
    pub head: Place,
    /// The newest that holds its attempts and step record; `None` if there never was one.
    pub details: Option<Place>,
}

/// A quarantined push.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IndexedPush {
    /// What is known of it without reading it.
    pub head: QuarantineHead,
    /// Where its record lies.
    pub place: Place,
    /// All segments that hold anything of it; ascending.
    pub segments: Vec<u32>,
}

impl Indexed {
    /// The lead after a record that lies at `place`: the same live and in a replay.
    pub fn take(old: Option<Self>, record: &Record, place: Place) -> Option<Self> {
        let (lead, mut places) = match old {
            Some(old) => (Some(old.lead), old.places),
            None => (None, Places::default()),
        };
        // Those that leave with the revisions before the oldest one that is kept.
        if let (Some(lead), Record::Revision { revision, .. }) = (&lead, record) {
            let oldest = lead.oldest().max(revision.oldest);
            let mut kept = lead.deliveries.iter().map(|one| one.revision >= oldest);
            places.deliveries.retain(|_| kept.next().unwrap_or(true));
        }
        let lead = Lead::apply(lead, record)?;
        match record {
            Record::Revision { revision, .. } => {
                set(&mut places.revisions, revision.number, place);
                places.revisions.retain(|(one, _)| *one >= lead.oldest());
                places.pushed.retain(|(one, _)| *one >= lead.oldest());
            }
            Record::Pushed { revision, .. } if *revision < lead.oldest() => {}
            Record::Pushed { revision, .. } => {
                set(&mut places.pushed, *revision, place);
            }
            Record::Delivery {
                delivery, details, ..
            } => {
                let details = details.as_ref().map(|_| place);
                let mut all = lead.deliveries.iter();
                let at = all.position(|one| one.id == delivery.id);
                match at.map(|at| places.deliveries.get_mut(at)) {
                    Some(Some(known)) => {
                        known.head = place;
                        known.details = details.or(known.details);
                    }
                    Some(None) => places.deliveries.push(DeliveryPlaces {
                        head: place,
                        details,
                    }),
                    // It is of a revision that left.
                    None => {}
                }
            }
            // Not of a lead, or there is none any more.
            _ => return Some(Self { lead, places }),
        }
        note(&mut places.segments, place.segment);
        Some(Self { lead, places })
    }

    /// These segments hold bytes of it, too.
    pub fn hold(&mut self, segments: &[u32]) {
        for segment in segments {
            note(&mut self.places.segments, *segment);
        }
    }

    /// A delivery of it, and where that is in its order.
    pub fn delivery(&self, id: DeliveryId) -> Option<(&DeliveryHead, DeliveryPlaces)> {
        let all = self.lead.deliveries.iter().zip(&self.places.deliveries);
        let mut all = all.map(|(head, places)| (head, *places));
        all.find(|(head, _)| head.id == id)
    }

    /// Whether the record at a place counts.
    pub fn has(&self, place: Place) -> bool {
        self.live().contains(&place)
    }

    /// The records that count.
    pub fn live(&self) -> BTreeSet<Place> {
        let places = &self.places;
        let revisions = places.revisions.iter().chain(&places.pushed);
        let deliveries = places.deliveries.iter();
        revisions
            .map(|(_, place)| *place)
            .chain(deliveries.flat_map(|one| std::iter::once(one.head).chain(one.details)))
            .collect()
    }
}

impl IndexedPush {
    /// The push after a record that lies at `place`.
    pub fn take(old: Option<Self>, record: &Record, place: Place) -> Option<Self> {
        match record {
            Record::Quarantined { head, .. } => {
                let mut segments = old.map(|old| old.segments).unwrap_or_default();
                note(&mut segments, place.segment);
                Some(Self {
                    head: head.clone(),
                    place,
                    segments,
                })
            }
            Record::QuarantineGone { .. } => None,
            _ => old,
        }
    }
}

fn set(places: &mut Vec<(u32, Place)>, number: u32, place: Place) {
    match places.binary_search_by_key(&number, |(number, _)| *number) {
        Ok(at) => places[at].1 = place,
        Err(at) => places.insert(at, (number, place)),
    }
}

fn note(segments: &mut Vec<u32>, segment: u32) {
    if let Err(at) = segments.binary_search(&segment) {
        segments.insert(at, segment);
    }
}

/// As the index keeps it.
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    postcard::to_extend(value, vec![VERSION])
        .expect("what is indexed is plain structs, which postcard can always write")
}

/// What [`encode`] made.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Fault> {
    match bytes.split_first() {
        Some((&VERSION, rest)) => postcard::from_bytes(rest).ok(),
        _ => None,
    }
    .ok_or_else(|| super::unreadable("a record"))
}
