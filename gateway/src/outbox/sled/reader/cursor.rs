//! Cursors: where a page ended, in hex. They say which list they are of, so that one of another
//! list is refused, and enough to go on although the list has changed.

use leadgate_plugin::{hex, unhex};
use uuid::Uuid;

use crate::outbox::sled::keys::List;
use crate::outbox::{Filter, Paged};

/// Where a page of deliveries ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cursor {
    /// Of which filter.
    pub(super) of: [u8; 4],
    /// The last that was looked at; `None` if nothing of this part was.
    pub(super) last: Option<u128>,
    /// The part of the lists that is gone through.
    pub(super) part: (List, List),
}

/// Kinds of lists of single ids.
pub(super) const LEADS: u8 = b'l';
/// Leads without deliveries.
pub(super) const UNROUTED: u8 = b'n';
/// Quarantined pushes.
pub(super) const QUARANTINE: u8 = b'u';

impl Cursor {
    pub(super) fn encode(&self) -> String {
        let last = self.last.unwrap_or_default().to_be_bytes();
        hex(&[
            self.of.as_slice(),
            &[u8::from(self.last.is_some())],
            &last,
            &self.part.0.to_bytes(),
            &self.part.1.to_bytes(),
        ]
        .concat())
    }

    pub(super) fn decode(text: &str) -> Option<Self> {
        let bytes = bytes(text)?;
        let (of, rest) = bytes.split_first_chunk::<4>()?;
        let (begun, rest) = rest.split_first()?;
        let (last, rest) = rest.split_first_chunk::<16>()?;
        let (low, high) = rest.split_at_checked(List::LENGTH)?;
        if high.len() != List::LENGTH {
            return None;
        }
        let part = (List::from_bytes(low)?, List::from_bytes(high)?);
        let last = match begun {
            0 => None,
            1 => Some(u128::from_be_bytes(*last)),
            _ => return None,
        };
        (part.0 <= part.1).then_some(Self {
            of: *of,
            last,
            part,
        })
    }
}

/// Names a filter. Its times are not part of it: those that people give as an age differ a
/// little with each page.
pub(super) fn name(filter: &Filter) -> [u8; 4] {
    let Filter {
        sink,
        state,
        before: _,
        since: _,
        source,
        reason,
        rule,
        group,
        orphaned,
        newest_first,
    } = filter;
    let filter = (
        sink,
        state,
        source,
        reason,
        rule,
        group,
        orphaned,
        newest_first,
    );
    let hash = blake3::hash(format!("{filter:?}").as_bytes());
    let [a, b, c, d, ..] = *hash.as_bytes();
    [a, b, c, d]
}

/// Of a list of single ids: the last that was looked at.
pub(super) fn of_id(kind: u8, id: Uuid) -> String {
    hex(&[&[kind], id.as_bytes().as_slice()].concat())
}

pub(super) fn id(kind: u8, text: &str) -> Option<u128> {
    let bytes = bytes(text)?;
    let (first, id) = bytes.split_first()?;
    let id = u128::from_be_bytes(id.try_into().ok()?);
    (*first == kind).then_some(id)
}

/// See [`crate::outbox::Operations::continues`]. How far rekeying has come is not read here.
pub fn continues(of: Paged<'_>, cursor: &str) -> bool {
    match of {
        Paged::Leads => id(LEADS, cursor).is_some(),
        Paged::Unrouted => id(UNROUTED, cursor).is_some(),
        Paged::Quarantine => id(QUARANTINE, cursor).is_some(),
        Paged::Deliveries(filter) => {
            Cursor::decode(cursor).is_some_and(|cursor| cursor.of == name(filter))
        }
        Paged::Rekey => false,
    }
}

/// The bytes of a cursor; none is longer.
fn bytes(text: &str) -> Option<Vec<u8>> {
    (text.len() <= 128).then(|| unhex(text)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_text_is_a_cursor_or_refused_without_panic(text: String, hex in "[0-9a-f]{0,120}") {
            for text in [text, hex] {
                let _ = Cursor::decode(&text);
                let _ = id(LEADS, &text);
            }
        }
    }

    #[test]
    fn a_cursor_goes_on_with_its_own_list_only() {
        let filter = Filter::default();
        let other = Filter {
            newest_first: true,
            ..Filter::default()
        };
        for last in [None, Some(7)] {
            let cursor = Cursor {
                of: name(&filter),
                last,
                part: (List::FIRST, List::LAST),
            };
            let text = cursor.encode();
            assert_eq!(Cursor::decode(&text), Some(cursor));
            assert!(continues(Paged::Deliveries(&filter), &text));
            assert!(!continues(Paged::Deliveries(&other), &text));
            assert!(!continues(Paged::Leads, &text));
        }
        let text = of_id(LEADS, Uuid::from_u128(7));
        assert!(continues(Paged::Leads, &text) && !continues(Paged::Unrouted, &text));
    }
}
