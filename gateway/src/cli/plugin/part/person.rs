//! The person: the made-up customer of whom the battery's leads tell.
//!
//! Marked as a test, under a phone that no customer has, and unmistakable, so that wherever a
//! piece of it turns up, it came from the lead.

use serde_json::{Map, Value, json};

use crate::clock::{Clock, SystemClock};
use crate::lead::Tables;
use crate::lead::{SAMPLE, Sample, TEST_NAME, TEST_PHONE};

/// Under which name a part tells that something of the person was said.
pub(in super::super) const LEAK: &str = "leak";
const ADDRESS: &str = "leadgate 测试路 7 号";
const NICK: &str = "leadgate_plugin_check_nick";
const REMARK: &str = "leadgate plugin check: 测试备注，请忽略";

/// What nothing but a destination may be told, with a name for each.
const MARKS: [(&str, &str); 5] = [
    ("phone", TEST_PHONE),
    ("name", TEST_NAME),
    ("address", ADDRESS),
    ("nick", NICK),
    ("remark", REMARK),
];

/// Texts to look for.
pub(in super::super) fn hidden() -> Vec<String> {
    MARKS.iter().map(|(_, text)| (*text).to_owned()).collect()
}

/// What of `hidden` is in `said`, by its name, never itself.
pub(in super::super) fn found(hidden: &[String], said: &[u8]) -> Vec<&'static str> {
    let text = String::from_utf8_lossy(said);
    let digits: String = text
        .chars()
        .filter(|letter| !matches!(letter, ' ' | '-' | '(' | ')'))
        .collect();
    let mut found: Vec<&'static str> = Vec::new();
    for one in hidden {
        if text.contains(one.as_str()) || (one == TEST_PHONE && digits.contains(TEST_PHONE)) {
            let mark = MARKS.iter().find(|(_, text)| text == one);
            let name = mark.map_or("secret", |(name, _)| *name);
            if !found.contains(&name) {
                found.push(name);
            }
        }
    }
    found
}

/// An event with its name.
pub(super) struct Told {
    pub(super) en: &'static str,
    pub(super) zh: &'static str,
    pub(super) event: Vec<u8>,
}

fn push(change: impl FnOnce(&mut Map<String, Value>)) -> Vec<u8> {
    let mut lead: Map<String, Value> = serde_json::from_str(SAMPLE).unwrap_or_default();
    let now = SystemClock.now();
    let marks: [(&str, Value); 8] = [
        ("name", TEST_NAME.into()),
        ("phone", TEST_PHONE.into()),
        ("address", ADDRESS.into()),
        ("taobao_nick", NICK.into()),
        ("remark", REMARK.into()),
        ("record_id", now.into()),
        ("order_num", now.to_string().into()),
        ("order_id", now.to_string().into()),
    ];
    lead.extend(marks.map(|(name, value)| (name.to_owned(), value)));
    change(&mut lead);
    let raw = Value::Object(lead).to_string();
    // What is made here is a lead.
    Sample::new(&raw, "check", &Tables::new(), now).map_or_else(|_| Vec::new(), |made| made.event)
}

/// The lead that most parts deliver.
pub(super) fn event() -> Vec<u8> {
    push(|_| {})
}

/// Leads of many kinds, each one that a gateway may really send.
pub(super) fn events() -> Vec<Told> {
    let told = |en, zh, event| Told { en, zh, event };
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut event: Value = serde_json::from_slice(&event()).unwrap_or_default();
        change(&mut event);
        event.to_string().into_bytes()
    };
    vec![
        told("a lead", "一条客资", event()),
        told(
            "a lead that says nothing but its id",
            "只有编号的客资",
            push(|lead| lead.retain(|key, _| key == "record_id")),
        ),
        told(
            "a later revision",
            "客资的新版本",
            changed(&|event| {
                event["event"] = "lead.updated".into();
                event["revision"] = 7.into();
            }),
        ),
        told(
            "a lead with 64 KiB of remark",
            "备注长达 64 KiB 的客资",
            push(|lead| {
                lead.insert("remark".to_owned(), "备注 \"\\\n".repeat(5000).into());
            }),
        ),
        told(
            "a lead with fields that no document names",
            "带有文档之外字段的客资",
            push(|lead| {
                lead.insert(
                    "new_field".to_owned(),
                    json!({"deep": [1, null, "𠮷\u{1}"]}),
                );
            }),
        ),
        told(
            "an event with a field of a newer gateway",
            "带有新版网关字段的事件",
            changed(&|event| {
                event["new_field"] = 1.into();
                event["lead"]["new_field"] = 1.into();
            }),
        ),
    ]
}

/// Events that no gateway sends.
pub(super) fn unreadable() -> Vec<Told> {
    let told = |en, zh, event: Vec<u8>| Told { en, zh, event };
    let deep = [b"[".repeat(100_000), b"]".repeat(100_000)].concat();
    let mut cut = event();
    cut.truncate(cut.len() / 2);
    vec![
        told("an empty event", "空事件", Vec::new()),
        told("half an event", "截断的事件", cut),
        told("an event that is a number", "内容为数字的事件", b"7".to_vec()),
        told("an event without fields", "没有字段的事件", b"{}".to_vec()),
        told(
            "an event whose fields have other types",
            "字段类型不符的事件",
            br#"{"event":1,"id":[],"revision":"x","source":null,"received_at":{},"lead":[],"labels":7,"raw":false}"#.to_vec(),
        ),
        told(
            "an event that is not UTF-8",
            "不是 UTF-8 的事件",
            b"{\"id\":\"\xff\xfe\"}".to_vec(),
        ),
        told("an event that is deeply nested", "嵌套过深的事件", deep),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_person_is_found_however_the_phone_is_written_and_never_shown() {
        let mut hidden = hidden();
        hidden.push("canary-secret".to_owned());
        let found = |text: &str| found(&hidden, text.as_bytes());
        assert_eq!(found("call 138 0013-8000 now"), ["phone"]);
        assert_eq!(found(&format!("{NICK} and {TEST_NAME}")), ["name", "nick"]);
        assert_eq!(found("the canary-secret"), ["secret"]);
        assert_eq!(found("138****8000 of somebody"), [] as [&str; 0]);
    }

    #[test]
    fn each_event_that_a_gateway_may_send_is_one() {
        for told in events() {
            let event: leadgate_plugin::Event =
                serde_json::from_slice(&told.event).unwrap_or_else(|why| panic!("{why}"));
            assert!(event.revision > 0, "{}", told.en);
        }
        for told in unreadable() {
            let event = serde_json::from_slice::<leadgate_plugin::Event>(&told.event);
            assert!(event.is_err(), "{}", told.en);
        }
    }
}
