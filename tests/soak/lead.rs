//! The soak's leads: each revision of each record is a person and a text of its own.
//!
//! Made from the record id and the revision alone, so that whoever has one can be asked
//! whether it is whole.

use std::fmt::Write;

use leadgate_tests::SAMPLE;
use serde_json::Value;

/// Which lead: record id and revision, both from 1 on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Lead {
    pub(crate) record: u64,
    pub(crate) revision: u32,
}

impl Lead {
    /// The lead as it is pushed.
    pub(crate) fn body(self) -> String {
        let mut lead: Value = serde_json::from_str(SAMPLE).expect("the sample is JSON");
        for (field, value) in self.texts() {
            lead[field] = value.into();
        }
        lead["record_id"] = self.record.into();
        lead.to_string()
    }

    /// The lead of an event, if it came through whole.
    pub(crate) fn of_event(event: &str) -> Option<Self> {
        let event: Value = serde_json::from_str(event).ok()?;
        let lead = &event["lead"];
        let name = lead["base_extra"].as_str()?.split(':').next()?;
        let (record, revision) = name.strip_prefix("lead ")?.split_once('.')?;
        let this = Self {
            record: record.parse().ok()?,
            revision: revision.parse().ok()?,
        };
        let whole = lead["record_id"] == this.record
            && this
                .texts()
                .iter()
                .all(|(field, value)| lead[*field] == value.as_str());
        whole.then_some(this)
    }

    /// The fields that differ, with what is in them. What a lead is found by stays the same
    /// over its revisions.
    fn texts(self) -> [(&'static str, String); 6] {
        let Self { record, revision } = self;
        let mut person = fastrand::Rng::with_seed(record);
        let mut digits = |count: usize| -> String {
            std::iter::repeat_with(|| person.digit(10))
                .take(count)
                .collect()
        };
        let length = match record % 10 {
            0 => 12_000,
            1 | 2 => 4_000,
            _ => 300,
        };
        let mut text = format!("lead {record}.{revision}:");
        let mut words = fastrand::Rng::with_seed(record << 8 | u64::from(revision));
        while text.len() < length {
            let _ = write!(text, " {:x}", words.u32(..));
        }
        [
            ("phone", format!("139{}", digits(8))),
            ("taobao_nick", format!("tb{}", digits(9))),
            ("openid", format!("AAE{}", digits(24))),
            ("order_num", format!("4{}", digits(18))),
            ("address", format!("浙江杭州 {revision}")),
            ("base_extra", text),
        ]
    }
}
