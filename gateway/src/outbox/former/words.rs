//! Keys in words, for reports.

use super::group::Sinks;
use super::key;
use crate::lang::Text;

/// What a key names: ids only, nothing personal.
pub(super) fn words(key: &[u8], sinks: &Sinks) -> Text {
    let id = key::id_after_room(key).map_or_else(|| "?".to_owned(), |id| id.to_string());
    let last = key::delivery_at_end(key).map_or_else(|| "?".to_owned(), |id| id.to_string());
    let sink = |at: usize| {
        let number = key.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
        let number = number.map_or(0, u32::from_be_bytes);
        let known = sinks.by_number.get(&number);
        known.map_or_else(|| format!("#{number}"), |sink| sink.name.to_string())
    };
    let number = |at: usize| {
        let bytes = key.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
        bytes.map_or(0, u32::from_be_bytes)
    };
    let rest = || String::from_utf8_lossy(&key[1..]);
    let (en, zh) = match key.first() {
        Some(b'm') => (
            format!("the store's {}", rest()),
            format!("存储的 {}", rest()),
        ),
        Some(b's') => (format!("sink {}", rest()), format!("目的地 {}", rest())),
        Some(b'p') => (
            format!("pause of sink {}", rest()),
            format!("目的地 {} 的暂停", rest()),
        ),
        Some(b'a') => (
            format!("quarantine of source {}", rest()),
            format!("来源 {} 的隔离区", rest()),
        ),
        Some(b'i') => (
            format!("what is known of lead {id}"),
            format!("客资 {id} 的概况"),
        ),
        Some(&key::ENTRY) => (format!("index entry of {last}"), format!("{last} 的索引项")),
        Some(b'b' | b'j') => ("the index".to_owned(), "索引".to_owned()),
        Some(b'l') => (
            format!("lead {id} revision {}", number(17)),
            format!("客资 {id} 版本 {}", number(17)),
        ),
        Some(b'o') => (
            format!("order entry of lead {id} for sink {}", sink(17)),
            format!("客资 {id} 在目的地 {} 的顺序项", sink(17)),
        ),
        Some(b'q') => (
            format!("due entry of delivery {last} for sink {}", sink(1)),
            format!("投递 {last} 在目的地 {} 的到期项", sink(1)),
        ),
        Some(b'w') => (
            format!("waiting delivery {last} for sink {}", sink(1)),
            format!("目的地 {} 等待中的投递 {last}", sink(1)),
        ),
        Some(b'd') => (
            format!("ended delivery {last} for sink {}", sink(1)),
            format!("目的地 {} 已结束的投递 {last}", sink(1)),
        ),
        Some(b'x') => (
            format!("dead letter {last} for sink {}", sink(1)),
            format!("目的地 {} 的死信 {last}", sink(1)),
        ),
        Some(b'u') => (format!("quarantined push {id}"), format!("隔离推送 {id}")),
        Some(b'n') => (
            format!("mark of lead {id}, which no sink wanted"),
            format!("客资 {id} 的标记（没有目的地要）"),
        ),
        Some(b'k') => (
            format!("what the plugin of sink {} keeps", sink(1)),
            format!("目的地 {} 的插件所存之物", sink(1)),
        ),
        Some(_) => {
            let key = hex(&key[..key.len().min(8)]);
            (format!("unknown key {key}"), format!("未知的键 {key}"))
        }
        None => ("the beginning".to_owned(), "开头".to_owned()),
    };
    Text::new(en, zh)
}

fn hex(bytes: &[u8]) -> String {
    super::list::encode_cursor(bytes)
}
