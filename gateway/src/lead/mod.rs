//! The lead (客资): its normal form, identity, content hash, labels and the event made of it.
//!
//! A lead is read once from what a push said ([`Lead::parse_json`], [`Lead::from_params`])
//! and is plain data from then on. Knows nothing of requests, signatures or storage.

mod event;
mod fields;
mod identity;
mod json;
mod labels;
pub(crate) mod mask;
mod phone;
mod read;
mod sample;
pub mod time;
mod write;

use std::fmt;

pub use event::{Event, EventKind};
pub use fields::{FIELDS, Lead};
pub use identity::{Identity, Merchant};
pub use json::Json;
pub use leadgate_plugin::Tables;
pub use phone::Phone;
pub use read::Unreadable;
pub use sample::{Sample, TEST_NAME, TEST_PHONE};

use crate::clock::Millis;

/// The sample lead of the API's document, for demonstrations and tests.
pub const SAMPLE: &str = include_str!("../../../tests/data/sample-lead.json");

impl Lead {
    /// When the lead was last changed at Tmall, to the second; `None` if the push does not
    /// say so in the platform's format.
    pub fn modified_at(&self) -> Option<Millis> {
        time::parse_gmt8(self.gmt_modified.as_deref()?)
    }

    /// The phone number in E.164 if it surely is a Chinese mobile.
    pub fn phone_e164(&self) -> Option<Phone> {
        Phone::parse(self.phone.as_deref()?)
    }
}

impl fmt::Debug for Lead {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Personal data stays out of any log, and anything but the record id may be that.
        formatter
            .debug_struct("Lead")
            .field("record_id", &self.record_id)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_prints_nothing_personal() {
        let lead = Lead::parse_json(SAMPLE).expect("the sample");
        assert_eq!(format!("{lead:?}"), "Lead { record_id: Some(371009), .. }");
    }

    #[test]
    fn modification_time_is_an_instant_or_absent() {
        let mut lead = Lead::parse_json(SAMPLE).expect("the sample");
        assert_eq!(lead.modified_at(), Some(1_626_537_599_000));
        lead.gmt_modified = Some("yesterday".into());
        assert_eq!(lead.modified_at(), None);
    }
}
