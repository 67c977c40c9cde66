//! The event: what a plugin sees of a lead revision.
//!
//! Put together from parts that are JSON already, as the outbox stores them.

use std::fmt::Display;

use crate::clock::Millis;

/// What happened to the lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// It is new to the sink.
    Created,
    /// The sink was given an earlier revision.
    Updated,
}

impl EventKind {
    /// Its name in the event.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "lead.created",
            Self::Updated => "lead.updated",
        }
    }
}

/// The parts of an event.
#[derive(Clone, Copy)]
pub struct Event<'a> {
    /// What happened.
    pub kind: EventKind,
    /// The lead's id.
    pub id: &'a dyn Display,
    /// The lead's revision; the first is 1.
    pub revision: u32,
    /// Name of the source.
    pub source: &'a str,
    /// When the push was received.
    pub received_at: Millis,
    /// The lead: [`super::Lead::json`].
    pub lead: &'a str,
    /// Its labels, a JSON object.
    pub labels: &'a str,
    /// The body as text.
    pub raw: &'a str,
}

impl Event<'_> {
    /// The whole event as compact JSON:
    /// `{event, id, revision, source, received_at, lead, labels, raw}`. `received_at` is
    /// RFC 3339 in UTC with milliseconds (`2026-11-24T02:55:15.370Z`).
    ///
    /// Invariant: `lead` and `labels` are valid JSON; they are not looked at here.
    pub fn json(&self) -> Vec<u8> {
        let received_at = jiff::Timestamp::from_millisecond(self.received_at).unwrap_or_default();
        // Each quote and line end in `raw` takes a backslash more.
        let size = 256 + self.lead.len() + self.labels.len() + self.raw.len() * 5 / 4;
        let mut out = Vec::with_capacity(size);
        let mut put = |json: &str| out.extend_from_slice(json.as_bytes());
        put("{\"event\":\"");
        put(self.kind.as_str());
        put("\",\"id\":");
        put(&quoted(&self.id.to_string()));
        put(",\"revision\":");
        put(&self.revision.to_string());
        put(",\"source\":");
        put(&quoted(self.source));
        put(",\"received_at\":\"");
        put(&format!("{received_at:.3}"));
        put("\",\"lead\":");
        put(self.lead);
        put(",\"labels\":");
        put(self.labels);
        put(",\"raw\":");
        put(&quoted(self.raw));
        put("}");
        out
    }
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("a string always serializes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_make_one_json_object() {
        let event = Event {
            kind: EventKind::Updated,
            id: &"0198",
            revision: 2,
            source: "旗舰店",
            received_at: 1_795_460_115_370,
            lead: r#"{"phone":null}"#,
            labels: "{}",
            raw: "{\"phone\":\"\"}\n",
        };
        assert_eq!(
            String::from_utf8(event.json()).expect("text"),
            concat!(
                r#"{"event":"lead.updated","id":"0198","revision":2,"source":"旗舰店","#,
                r#""received_at":"2026-11-23T18:55:15.370Z","lead":{"phone":null},"#,
                r#""labels":{},"raw":"{\"phone\":\"\"}\n"}"#
            )
        );
    }
}
