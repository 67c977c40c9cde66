//! Conditions over stored leads: what a person writes to say which of them are meant, in the
//! language of a sink's `when`, with the same names and the same values.

use leadgate_plugin::template::{Condition, Engine, TemplateError};

use crate::lang::Text;
use crate::lead::Tables;

/// A compiled condition.
pub struct When(Condition);

impl When {
    /// Compiles it. The error is in a line, with what to do.
    pub fn new(text: &str, tables: &Tables) -> Result<Self, Text> {
        let condition = Engine::new(tables.clone()).condition(text);
        condition.map(Self).map_err(|mistakes| said(&mistakes))
    }

    /// Whether it holds for the event's `lead` object (JSON) from that source; `None` if that
    /// cannot be told for this one.
    pub fn holds(&self, lead: &str, source: &str) -> Option<bool> {
        let lead: serde_json::Value = serde_json::from_str(lead).ok()?;
        self.0.holds(&lead, source).ok()
    }
}

/// What is wrong, and what to do, in both languages.
fn said(mistakes: &[TemplateError]) -> Text {
    let line = |of: fn(&TemplateError) -> [&String; 2]| {
        let parts = mistakes.iter().flat_map(of).map(String::as_str);
        let parts: Vec<&str> = parts.filter(|part| !part.is_empty()).collect();
        parts.join("; ")
    };
    let zh = line(|one| match &*one.chinese.message {
        "" => [&one.message, &one.help],
        _ => [&one.chinese.message, &one.chinese.help],
    });
    Text::new(line(|one| [&one.message, &one.help]), zh)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lead::{Lead, SAMPLE};

    #[test]
    fn a_stored_lead_meets_what_it_met_when_it_was_pushed() {
        let lead = Lead::parse_json(SAMPLE).expect("the sample");
        let stored = String::from_utf8(lead.json()).expect("text");
        let engine = Engine::new(Tables::new());
        for (text, meets) in [
            ("record_id == 371009", true),
            ("record_id == 371008", false),
            ("source == 'shop'", true),
            ("'无' in (remark | default(''))", false),
        ] {
            let live = engine.condition(text).expect(text).holds(&lead, "shop");
            assert_eq!(live.ok(), Some(meets), "{text}");
            let when = When::new(text, &Tables::new()).expect(text);
            assert_eq!(when.holds(&stored, "shop"), Some(meets), "{text}");
        }
        let fails = When::new("other.vip > 3", &Tables::new()).expect("compiles");
        assert_eq!(fails.holds(&stored, "shop"), None);
        assert_eq!(fails.holds("no lead", "shop"), None);
        let wrong = When::new("record_ids == 1", &Tables::new());
        let (en, zh) = wrong.err().expect("no such field").both();
        assert!(en.contains("did you mean `record_id`"), "{en}");
        assert!(zh.contains("record_id"), "{zh}");
    }
}
