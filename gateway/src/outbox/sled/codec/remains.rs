//! Remains: the segments in which bytes of what left still lie. An erasure writes them anew, and
//! is over only when none of them is there any more.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::outbox::state::Record;

/// Numbers of segments.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remains {
    /// Of what a person wanted gone: written anew at once, also after a crash.
    erased: BTreeSet<u32>,
    /// Of what left otherwise: written anew with the next erasure, which cannot know whose it is.
    left: BTreeSet<u32>,
}

impl Remains {
    /// What a record said leaves lies in these segments.
    pub fn take(&mut self, record: &Record, segments: &[u32]) {
        match record {
            Record::LeadGone { erased: true, .. } | Record::QuarantineGone { erased: true, .. } => {
                self.erased.extend(segments);
                // Whose the others are nobody knows: they are a part of the same erasure.
                self.erased.append(&mut self.left);
            }
            Record::LeadGone { .. } | Record::QuarantineGone { .. } => self.left.extend(segments),
            _ => {}
        }
    }

    /// A push that stood there was judged, and stands elsewhere now if it counts.
    pub fn settled(&mut self, segment: u32) {
        self.left.insert(segment);
    }

    /// A segment is removed.
    pub fn gone(&mut self, segment: u32) {
        self.erased.remove(&segment);
        self.left.remove(&segment);
    }

    /// Only segments that are there can hold anything.
    pub fn retain(&mut self, is_there: impl Fn(u32) -> bool) {
        self.erased.retain(|segment| is_there(*segment));
        self.left.retain(|segment| is_there(*segment));
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.erased.is_empty() && self.left.is_empty()
    }

    /// Whether an erasure is not over.
    pub fn is_erasing(&self) -> bool {
        !self.erased.is_empty()
    }

    /// All of them, ascending.
    pub fn all(&self) -> Vec<u32> {
        self.erased.union(&self.left).copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbox::{LeadId, QuarantineId};

    #[test]
    fn what_left_is_somewhere_until_its_segments_are_gone() {
        let lead = |erased| Record::LeadGone {
            lead: LeadId(uuid::Uuid::nil()),
            erased,
        };
        let push = |erased| Record::QuarantineGone {
            id: QuarantineId(uuid::Uuid::nil()),
            erased,
        };
        let mut remains = Remains::default();
        remains.take(&lead(false), &[3, 4]);
        remains.take(&push(false), &[5]);
        remains.settled(6);
        assert!(!remains.is_erasing() && !remains.is_empty());
        remains.take(&lead(true), &[1, 4]);
        assert!(remains.is_erasing());
        assert_eq!(remains.all(), [1, 3, 4, 5, 6]);
        remains.gone(1);
        remains.gone(4);
        assert!(remains.is_erasing(), "nobody knows whose 3, 5 and 6 are");
        assert_eq!(remains.all(), [3, 5, 6]);
        remains.retain(|segment| segment > 5);
        assert_eq!(remains.all(), [6]);
        remains.gone(6);
        remains.take(&push(false), &[7]);
        assert!(!remains.is_erasing());
        remains.take(&push(true), &[8]);
        assert!(remains.is_erasing());
    }
}
