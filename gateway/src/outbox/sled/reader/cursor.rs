//! Cursors: where a page ended, in hex. They say which list they are of, so that one of another
//! list is refused, and the id that was looked at last, behind which a list goes on although it
//! has changed.

use leadgate_plugin::{hex, unhex};

use crate::outbox::{Filter, Paged};

/// Names a list.
pub(super) type Of = [u8; 4];

/// Leads.
pub(super) const LEADS: Of = *b"lead";
/// Leads without deliveries.
pub(super) const UNROUTED: Of = *b"none";
/// Quarantined pushes.
pub(super) const QUARANTINE: Of = *b"push";

/// Deliveries that pass a filter. Its times are not part of the name: those that people give as
/// an age differ a little with each page.
pub(super) fn name(filter: &Filter) -> Of {
    let filter = Filter {
        before: None,
        since: None,
        ..filter.clone()
    };
    let hash = blake3::hash(format!("{filter:?}").as_bytes());
    let [a, b, c, d, ..] = *hash.as_bytes();
    [a, b, c, d]
}

pub(super) fn write(of: Of, last: u128) -> String {
    hex(&[of.as_slice(), &last.to_be_bytes()].concat())
}

pub(super) fn read(of: Of, text: &str) -> Option<u128> {
    let bytes: [u8; 20] = unhex(text.get(..40)?)?.try_into().ok()?;
    let (this, last) = bytes.split_first_chunk::<4>()?;
    let last = u128::from_be_bytes(last.try_into().ok()?);
    (text.len() == 40 && *this == of).then_some(last)
}

/// See [`crate::outbox::Operations::continues`]. How far rekeying and the audit log have come
/// is not read here.
pub fn continues(of: Paged<'_>, cursor: &str) -> bool {
    let of = match of {
        Paged::Leads => LEADS,
        Paged::Unrouted => UNROUTED,
        Paged::Quarantine => QUARANTINE,
        Paged::Deliveries(filter) => name(filter),
        Paged::Rekey | Paged::Audit => return false,
    };
    read(of, cursor).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_text_is_a_cursor_or_refused_without_panic(text: String, hex in "[0-9a-f]{0,120}") {
            for text in [text, hex] {
                let _ = read(LEADS, &text);
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
        let text = write(name(&filter), 7);
        assert_eq!(read(name(&filter), &text), Some(7));
        assert!(continues(Paged::Deliveries(&filter), &text));
        assert!(!continues(Paged::Deliveries(&other), &text));
        assert!(!continues(Paged::Leads, &text));
        let text = write(LEADS, 7);
        assert!(continues(Paged::Leads, &text) && !continues(Paged::Unrouted, &text));
        assert!(!continues(Paged::Leads, &format!("{text}0")));
    }
}
