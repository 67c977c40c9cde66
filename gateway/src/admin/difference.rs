//! Differences: between what was sent and what would be sent now, as far as the record of the
//! attempt tells.
//!
//! A request as text is a line that says where it goes, lines that belong to it, an empty line and
//! a body. A record is a line a request, such as `POST https://crm/leads (70 bytes) {"a":"text"}`:
//! of a JSON body it has the names and the kinds of the values alone, so that is what is compared,
//! and nothing of a lead is in the result but where it goes.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

/// Entries of a list that are compared, as many as a record keeps.
const ENTRIES: usize = 3;

/// Something that is otherwise now.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(super) struct Change {
    /// Where in the body, as a JSON pointer; empty for where the request goes.
    pub(super) at: String,
    /// What it was; `None` if it was not there.
    pub(super) before: Option<String>,
    /// What it would be; `None` if it would not be there.
    pub(super) now: Option<String>,
}

/// What is otherwise in `now` than in the record `before`; `None` if that has no body to compare.
pub(super) fn between(before: &str, now: &str) -> Option<Vec<Change>> {
    // Of several steps the one that ended the attempt comes last.
    let then = kinds_of(&before.lines().rev().find_map(recorded)?);
    let bodies = bodies(now);
    let nearest = bodies.iter().map(kinds_of).max_by_key(|one| {
        let same = |at: &&String| then.contains_key(*at);
        one.keys().filter(same).count()
    })?;
    let mut changes = Vec::new();
    if let (Some(was), Some(is)) = (place(before), place(now))
        // Where a part of the path is the lead's, the record has how it is written.
        && !was.contains("{{")
        && bodies.len() == 1
        && was != is
    {
        changes.push(Change {
            at: String::new(),
            before: Some(was),
            now: Some(is),
        });
    }
    let names = then.keys().chain(nearest.keys());
    let names: std::collections::BTreeSet<&String> = names.collect();
    changes.extend(names.into_iter().filter_map(|at| {
        let (before, now) = (then.get(at), nearest.get(at));
        (before != now).then(|| Change {
            at: at.clone(),
            before: before.cloned(),
            now: now.cloned(),
        })
    }));
    Some(changes)
}

/// What a line of a record has of a body.
fn recorded(line: &str) -> Option<Value> {
    let (_, body) = line.split_once(" bytes) ")?;
    serde_json::Deserializer::from_str(body)
        .into_iter()
        .next()?
        .ok()
}

/// The JSON in a text, each behind an empty line.
fn bodies(text: &str) -> Vec<Value> {
    let blocks = text.split("\n\n").skip(1);
    let read = |block: &str| serde_json::from_str(block.trim()).ok();
    let bodies = blocks.filter_map(read);
    bodies
        .filter(|body: &Value| body.is_object() || body.is_array())
        .collect()
}

/// Where it goes: the first line without a query and without how long the body was.
fn place(text: &str) -> Option<String> {
    let line = text.lines().next()?;
    let line = line.split_once(" (").map_or(line, |(line, _)| line);
    let line = line.split_once('?').map_or(line, |(line, _)| line);
    Some(line.trim_end().to_owned())
}

/// What kind of value stands where.
fn kinds_of(body: &Value) -> BTreeMap<String, String> {
    let mut kinds = BTreeMap::new();
    add(body, String::new(), &mut kinds);
    kinds
}

fn add(value: &Value, at: String, kinds: &mut BTreeMap<String, String>) {
    let kind = match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (name, value) in fields {
                let name = name.replace('~', "~0").replace('/', "~1");
                add(value, format!("{at}/{name}"), kinds);
            }
            return;
        }
        Value::Array(items) if !items.is_empty() => {
            for (number, item) in items.iter().take(ENTRIES).enumerate() {
                add(item, format!("{at}/{number}"), kinds);
            }
            return;
        }
        Value::String(text) if text.is_empty() => "\"\"".to_owned(),
        // As a record has it already, or whatever it says.
        Value::String(text) if text == "number" => text.clone(),
        Value::String(_) => "text".to_owned(),
        Value::Number(_) => "number".to_owned(),
        other => other.to_string(),
    };
    kinds.insert(at, kind);
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: &str = "POST http://crm/leads (70 bytes) {\"items\":[{\"a\":\"text\"}],\"phone\":\"text\",\"store\":\"text\",\"vip\":true}";

    fn change(at: &str, before: Option<&str>, now: Option<&str>) -> Change {
        Change {
            at: at.to_owned(),
            before: before.map(str::to_owned),
            now: now.map(str::to_owned),
        }
    }

    #[test]
    fn a_renamed_field_another_kind_and_another_place_are_told_and_values_are_not() {
        let now = "POST http://new/leads?key=***\ncontent-type: application/json\n\n{\n  \"items\": [{\"a\": \"b\"}],\n  \"mobile\": \"13567658911\",\n  \"store\": 7,\n  \"vip\": true\n}";
        assert_eq!(
            between(RECORD, now),
            Some(vec![
                change(
                    "",
                    Some("POST http://crm/leads"),
                    Some("POST http://new/leads")
                ),
                change("/mobile", None, Some("text")),
                change("/phone", Some("text"), None),
                change("/store", Some("text"), Some("number")),
            ])
        );
    }

    #[test]
    fn the_same_is_no_difference_and_a_record_without_a_body_is_not_guessed_about() {
        let same = "POST http://crm/leads\n\n{\"items\":[{\"a\":\"x\"}],\"phone\":\"y\",\"store\":\"z\",\"vip\":true}";
        assert_eq!(between(RECORD, same), Some(Vec::new()));
        assert_eq!(between("POST http://crm/leads (70 bytes)", same), None);
        assert_eq!(between(RECORD, "INSERT INTO leads"), None);
    }

    #[test]
    fn of_several_steps_the_one_that_failed_is_compared() {
        let before = "find: GET http://crm/find (0 bytes)\nmake: POST http://crm/make (9 bytes) {\"b\":\"text\"}";
        let now = "# 1. find\nPOST http://crm/find\n\n{\"q\": \"1\"}\n\n# 2. make\nPOST http://crm/make\n\n{\"b\": \"x\", \"c\": 1}\n\n";
        assert_eq!(
            between(before, now),
            Some(vec![change("/c", None, Some("number"))])
        );
    }
}
