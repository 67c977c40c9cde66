//! Explanations: why a route wants a lead or does not, part by part of its condition.
//!
//! Parts are what `and` and `or` join, tried in their order as the condition itself tries
//! them: what comes after the decision is not reached. The condition as a whole decides; the
//! parts only explain.

use leadgate_plugin::template::{Condition, Engine};
use serde_json::{Value, json};

use super::tokens::{self, Joint};
use super::told;

/// Parts within parts at most; deeper ones are shown as a whole.
const DEEPEST: usize = 8;

/// What became of a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It holds.
    Yes,
    /// It does not.
    No,
    /// It cannot be told for this lead, and why.
    Failed(String),
    /// What came before had decided.
    NotReached,
}

/// A condition, or a part of one.
#[derive(Debug)]
pub struct Part {
    /// As it is written.
    pub text: String,
    /// What became of it.
    pub decision: Decision,
    /// The values of the names in it, if it has no parts.
    pub values: Vec<(String, Value)>,
    /// What `and` or `or` joins in it.
    pub parts: Vec<Part>,
}

/// Explains what the condition `when` says of `lead` (its fields as in an event) from
/// `source`. The error is a condition that is none.
pub fn explain(engine: &Engine, when: &str, lead: &Value, source: &str) -> Result<Part, String> {
    let condition = engine.condition(when).map_err(|mistakes| told(&mistakes))?;
    let asked = Asked {
        engine,
        lead,
        source,
    };
    Ok(asked.part(when, &condition, 0))
}

struct Asked<'a> {
    engine: &'a Engine,
    lead: &'a Value,
    source: &'a str,
}

impl Asked<'_> {
    fn part(&self, text: &str, condition: &Condition, depth: usize) -> Part {
        let decision = match condition.holds(self.lead, self.source) {
            Ok(true) => Decision::Yes,
            Ok(false) => Decision::No,
            Err(error) => Decision::Failed(error.to_string()),
        };
        let parts = self.parts(text, depth);
        let values = if parts.is_empty() {
            self.values(text)
        } else {
            Vec::new()
        };
        Part {
            text: text.split_whitespace().collect::<Vec<_>>().join(" "),
            decision,
            values,
            parts,
        }
    }

    /// None if there is only one, or if what was split is not what is joined.
    fn parts(&self, text: &str, depth: usize) -> Vec<Part> {
        let Some((joint, texts)) = tokens::split(text).filter(|_| depth < DEEPEST) else {
            return Vec::new();
        };
        let conditions: Result<Vec<_>, _> = texts
            .iter()
            .map(|text| self.engine.condition(text))
            .collect();
        let mut decided = false;
        let mut parts = Vec::new();
        for (text, condition) in texts.iter().zip(conditions.into_iter().flatten()) {
            let mut part = self.part(text, &condition, depth + 1);
            if decided {
                part.skip();
            }
            decided |= match (&part.decision, joint) {
                (Decision::Failed(_), _)
                | (Decision::No, Joint::And)
                | (Decision::Yes, Joint::Or) => true,
                (Decision::Yes | Decision::No | Decision::NotReached, _) => false,
            };
            parts.push(part);
        }
        parts
    }

    fn values(&self, text: &str) -> Vec<(String, Value)> {
        let mut values: Vec<(String, Value)> = Vec::new();
        for path in tokens::names(text) {
            let steps = path.strip_prefix("lead.").unwrap_or(path);
            let value = if path == "source" {
                Some(Value::from(self.source))
            } else {
                self.lead
                    .pointer(&format!("/{}", steps.replace('.', "/")))
                    .cloned()
            };
            if let Some(value) = value.filter(|value| !value.is_object() && !value.is_array())
                && values.iter().all(|(known, _)| known != path)
            {
                values.push((path.to_owned(), value));
            }
        }
        values
    }
}

impl Part {
    fn skip(&mut self) {
        self.decision = Decision::NotReached;
        self.values.clear();
        self.parts.iter_mut().for_each(Self::skip);
    }

    /// As JSON: `{text, holds, error, values, parts}`; `holds` is null where it is not known.
    pub fn json(&self) -> Value {
        let holds = match self.decision {
            Decision::Yes => Some(true),
            Decision::No => Some(false),
            Decision::Failed(_) | Decision::NotReached => None,
        };
        let error = match &self.decision {
            Decision::Failed(why) => Some(why),
            _ => None,
        };
        let values: serde_json::Map<_, _> = self.values.iter().cloned().collect();
        json!({
            "text": self.text,
            "holds": holds,
            "reached": self.decision != Decision::NotReached,
            "error": error,
            "values": values,
            "parts": self.parts.iter().map(Self::json).collect::<Vec<_>>(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lead::Tables;

    /// One line for each part, deeper ones behind more dots.
    fn lines(when: &str) -> Vec<String> {
        fn add(part: &Part, depth: usize, lines: &mut Vec<String>) {
            let decision = match &part.decision {
                Decision::Yes => "yes",
                Decision::No => "no",
                Decision::Failed(_) => "failed",
                Decision::NotReached => "-",
            };
            let values: Vec<_> = part
                .values
                .iter()
                .map(|(name, value)| format!(" {name}={value}"))
                .collect();
            let dots = ".".repeat(depth);
            lines.push(format!("{dots}{decision} {}{}", part.text, values.concat()));
            for part in &part.parts {
                add(part, depth + 1, lines);
            }
        }
        let lead = json!({"store_id": 7, "city_name": "杭州", "purchase_intention": null, "other": {"x": 1}});
        let engine = Engine::new(Tables::new());
        let part = explain(&engine, when, &lead, "shop").expect(when);
        let mut all = Vec::new();
        add(&part, 0, &mut all);
        all
    }

    #[test]
    fn each_part_is_shown_with_what_decided_it() {
        assert_eq!(
            lines("store_id == 7 and purchase_intention >= 1\n and city_name == '杭州'"),
            [
                "no store_id == 7 and purchase_intention >= 1 and city_name == '杭州'",
                ".yes store_id == 7 store_id=7",
                ".no purchase_intention >= 1 purchase_intention=null",
                ".- city_name == '杭州'",
            ]
        );
        assert_eq!(
            lines("store_id == 8 or (source == 'shop' and lead.other.x in [1, 2])"),
            [
                "yes store_id == 8 or (source == 'shop' and lead.other.x in [1, 2])",
                ".no store_id == 8 store_id=7",
                ".yes (source == 'shop' and lead.other.x in [1, 2])",
                "..yes source == 'shop' source=\"shop\"",
                "..yes lead.other.x in [1, 2] lead.other.x=1",
            ]
        );
    }

    #[test]
    fn what_protects_a_part_keeps_it_from_failing_and_what_fails_is_named() {
        assert_eq!(
            lines("other.vip is defined and other.vip > 3"),
            [
                "no other.vip is defined and other.vip > 3",
                ".no other.vip is defined",
                ".- other.vip > 3",
            ]
        );
        let found = lines("store_id == 7 and other.vip == 1 and store_id == 8");
        assert_eq!(found[2], ".failed other.vip == 1");
        assert_eq!(found[3], ".- store_id == 8");
    }

    #[test]
    fn a_condition_of_one_part_has_no_parts() {
        for when in [
            "store_id == 7",
            "city_name == 'a and b'",
            "not (store_id == 7 and city_name == 'x')",
            "(store_id == 7 or true) if city_name else false",
        ] {
            assert_eq!(lines(when).len(), 1, "{when}");
        }
    }
}
