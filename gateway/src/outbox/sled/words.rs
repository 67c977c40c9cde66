//! Keys in words, for reports.

use super::group::Sinks;
use super::key;

/// What a key names: ids only, nothing personal.
pub(super) fn words(key: &[u8], sinks: &Sinks) -> String {
    let id = key::id_after_room(key).map_or_else(|| "?".to_owned(), |id| id.to_string());
    let last = key::delivery_at_end(key).map_or_else(|| "?".to_owned(), |id| id.to_string());
    let sink = |at: usize| {
        let number = key.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
        let number = number.map_or(0, u32::from_be_bytes);
        let known = sinks.by_number.get(&number);
        known.map_or_else(|| format!("number {number}"), |sink| sink.name.to_string())
    };
    let number = |at: usize| {
        let bytes = key.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
        bytes.map_or(0, u32::from_be_bytes)
    };
    match key.first() {
        Some(b'm') => format!("the store's {}", String::from_utf8_lossy(&key[1..])),
        Some(b's') => format!("sink {}", String::from_utf8_lossy(&key[1..])),
        Some(b'p') => format!("pause of sink {}", String::from_utf8_lossy(&key[1..])),
        Some(b'a') => format!(
            "quarantine of source {}",
            String::from_utf8_lossy(&key[1..])
        ),
        Some(b'i') => format!("what is known of lead {id}"),
        Some(&key::ENTRY) => format!("index entry of {last}"),
        Some(b'b' | b'j') => "the index".to_owned(),
        Some(b'l') => format!("lead {id} revision {}", number(17)),
        Some(b'o') => format!("order entry of lead {id} for sink {}", sink(17)),
        Some(b'q') => format!("due entry of delivery {last} for sink {}", sink(1)),
        Some(b'w') => format!("waiting delivery {last} for sink {}", sink(1)),
        Some(b'd') => format!("ended delivery {last} for sink {}", sink(1)),
        Some(b'x') => format!("dead letter {last} for sink {}", sink(1)),
        Some(b'u') => format!("quarantined push {id}"),
        Some(b'n') => format!("mark of lead {id}, which no sink wanted"),
        Some(b'k') => format!("what the plugin of sink {} keeps", sink(1)),
        Some(_) => format!("unknown key {}", hex(&key[..key.len().min(8)])),
        None => "the beginning".to_owned(),
    }
}

fn hex(bytes: &[u8]) -> String {
    super::list::encode_cursor(bytes)
}
