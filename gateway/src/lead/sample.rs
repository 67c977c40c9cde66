//! Samples: an event as a sink would get it, made from a push's body without the outbox, to
//! show what would be sent, or to send a test.

use serde_json::{Map, Value};
use uuid::Uuid;

use super::Tables;
use super::{Event, EventKind, Lead, SAMPLE, Unreadable};
use crate::clock::Millis;

/// What a test lead is called, for whoever finds it at the destination.
pub const TEST_NAME: &str = "测试客资 leadgate test";
/// Its phone: a number of the carrier's own service, which no customer has, and which every
/// destination that looks at phones takes for one.
pub const TEST_PHONE: &str = "13800138000";
/// What it says beside.
const TEST_REMARK: &str = "leadgate sink test: 测试数据，请忽略 · a test, please ignore";

/// An event with the id of its lead.
pub struct Sample {
    /// The lead as it was read.
    pub lead: Lead,
    /// A fresh id.
    pub id: Uuid,
    /// The event as JSON.
    pub event: Vec<u8>,
}

impl Sample {
    /// The event of a new lead that `source` pushed as `raw` at `now`.
    pub fn new(raw: &str, source: &str, tables: &Tables, now: Millis) -> Result<Self, Unreadable> {
        let lead = Lead::parse_json(raw)?;
        let id = Uuid::now_v7();
        let labels = serde_json::json!(lead.labels(tables)).to_string();
        let json = lead.json();
        let event = Event {
            kind: EventKind::Created,
            id: &id,
            revision: 1,
            source,
            received_at: now,
            lead: &String::from_utf8_lossy(&json),
            labels: &labels,
            raw,
        }
        .json();
        Ok(Self { lead, id, event })
    }

    /// The same for the sample lead, marked as a test, under a record id that no other has.
    pub fn test(source: &str, tables: &Tables, now: Millis) -> Result<Self, Unreadable> {
        Self::new(&test_push(now), source, tables, now)
    }
}

fn test_push(now: Millis) -> String {
    let mut lead: Map<String, Value> = serde_json::from_str(SAMPLE).unwrap_or_default();
    let number = now.to_string();
    let marks: [(&str, Value); 8] = [
        ("name", TEST_NAME.into()),
        ("phone", TEST_PHONE.into()),
        ("remark", TEST_REMARK.into()),
        ("record_id", now.into()),
        ("order_num", number.clone().into()),
        ("order_id", number.into()),
        ("taobao_nick", "leadgate test".into()),
        ("address", "leadgate test".into()),
    ];
    lead.extend(marks.map(|(name, value)| (name.to_owned(), value)));
    Value::Object(lead).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_lead_says_that_it_is_one_and_has_a_phone_that_is_one() {
        let made = Sample::test("shop", &Tables::new(), 1_795_460_115_370).expect("a lead");
        let event: Value = serde_json::from_slice(&made.event).expect("JSON");
        assert_eq!(event["lead"]["name"], TEST_NAME);
        assert_eq!(event["lead"]["phone_e164"], "+8613800138000");
        assert_eq!(event["lead"]["record_id"], 1_795_460_115_370_i64);
        assert_eq!(event["lead"]["store_id"], 437_763_404, "as in the sample");
        assert_eq!(event["id"], made.id.to_string());
        for personal in ["13567658911", "张三", "浙江杭州"] {
            assert!(!event.to_string().contains(personal), "{personal}");
        }
    }
}
