//! The lines that a program gets on its stdin: one for each event, and `cancel` if it wants that.

use std::time::Duration;

use leadgate_plugin::{Delivery, Problem};
use serde::Serialize;
use serde_json::value::RawValue;

#[derive(Serialize)]
struct Line<'a> {
    id: &'a str,
    attempt: u32,
    timeout_ms: u64,
    trace_id: &'a str,
    journal: &'a str,
    event: &'a RawValue,
}

#[derive(Serialize)]
struct Cancel<'a> {
    cancel: &'a str,
}

/// How long a program has for an attempt. What is left of the host's time is for ending one that
/// hangs, and for finding out what it had read.
pub(crate) fn time(delivery: &Delivery) -> Duration {
    let patience = delivery.patience();
    patience.saturating_sub((patience / 8).min(Duration::from_millis(250)))
}

/// The line of an event, with its line break.
pub(crate) fn event(delivery: &Delivery) -> Result<Vec<u8>, Problem> {
    let no_json = |_| Problem::at("", "the event is not JSON");
    let event: &RawValue = serde_json::from_slice(delivery.event_bytes()).map_err(no_json)?;
    let line = Line {
        id: delivery.id(),
        attempt: delivery.attempt(),
        timeout_ms: u64::try_from(time(delivery).as_millis()).unwrap_or(u64::MAX),
        trace_id: delivery.trace_id(),
        journal: &delivery.step_record(),
        event,
    };
    let mut line = serde_json::to_vec(&line).map_err(no_json)?;
    // JSON has line breaks between its tokens only; in texts they are escaped.
    for byte in &mut line {
        if matches!(byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
    line.push(b'\n');
    Ok(line)
}

/// The line that says that nobody waits for an answer any more.
pub(crate) fn cancel(id: &str) -> Vec<u8> {
    let mut line = serde_json::to_vec(&Cancel { cancel: id }).unwrap_or_default();
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn an_event_is_one_line_whatever_is_in_it() {
        let pretty = "{\r\n \"lead\": {\"name\": \"a\\nb\"},\n \"n\": 1.50\n}";
        let delivery = Delivery::new("d1", 3, Duration::from_secs(10), pretty);
        delivery.keep("two\nlines").expect("short");
        let line = String::from_utf8(event(&delivery).expect("JSON")).expect("text");
        assert_eq!(line.matches('\n').count(), 1);
        assert!(line.ends_with("}\n"), "{line}");
        assert!(line.contains("1.50"), "numbers stay as they are: {line}");
        let read: Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(
            read,
            json!({
                "id": "d1", "attempt": 3, "timeout_ms": 9650, "trace_id": "", "journal": "two\nlines",
                "event": {"lead": {"name": "a\nb"}, "n": 1.5},
            })
        );
        assert_eq!(cancel("d\"1"), b"{\"cancel\":\"d\\\"1\"}\n");
        let broken = Delivery::new("d1", 1, Duration::from_secs(1), "{");
        assert!(event(&broken).is_err());
    }
}
