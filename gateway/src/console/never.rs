//! Never: why a lead did not go to a sink, with the condition that decided part by part.

use serde::Deserialize;
use serde_json::Value;

use super::leads::plain;
use super::shown;
use crate::lang::Lang;
use crate::words::Words;

/// A sink that a revision did not go to.
#[derive(Deserialize)]
pub(super) struct Never {
    pub(super) sink: String,
    pub(super) revision: u32,
    why: String,
    /// Since when it is configured so.
    pub(super) since: Option<String>,
    /// The revision that went.
    instead: Option<u32>,
    #[serde(default)]
    when: Value,
}

impl Never {
    /// Why, in a sentence.
    pub(super) fn why(&self, lang: Lang) -> String {
        let instead = self.instead.unwrap_or_default();
        let word = shown::word(lang, Words::Never, &self.why);
        match (lang, self.why.as_str()) {
            (Lang::ZhCn, "newer" | "ignored") => format!("{word}：版本 {instead}"),
            (Lang::ZhCn, _) => word,
            (Lang::En, "condition") => "its condition does not want it".to_owned(),
            (Lang::En, "failed") => "its condition cannot be evaluated for it".to_owned(),
            (Lang::En, "configured_since") => {
                "it is configured so only since the lead came".to_owned()
            }
            (Lang::En, "newer") => format!("a newer revision went instead: revision {instead}"),
            (Lang::En, "ignored") => {
                format!("revision {instead} went, and on_update is \"ignore\"")
            }
            (Lang::En, _) => "its configuration was another one when the lead came".to_owned(),
        }
    }

    /// Whether a replay would send it.
    pub(super) fn can_be_sent(&self) -> bool {
        ["configured_since", "unknown"].contains(&self.why.as_str())
    }

    /// The condition, each part in a line of its own with what became of it and the values in it;
    /// empty if it was none that decided.
    pub(super) fn condition(&self, lang: Lang) -> String {
        let mut lines = Vec::new();
        add(lang, &self.when, 0, &mut lines);
        lines.join("\n")
    }
}

fn add(lang: Lang, part: &Value, depth: usize, lines: &mut Vec<String>) {
    let Some(text) = part["text"].as_str() else {
        return;
    };
    let decision = match (&part["holds"], part["reached"] == true) {
        (Value::Bool(true), _) => lang.pick("yes", "是"),
        (Value::Bool(false), _) => lang.pick("no", "否"),
        (_, true) => lang.pick("failed", "出错"),
        (_, false) => lang.pick("not reached", "未判断"),
    };
    let values = part["values"].as_object().into_iter().flatten();
    let values = values.map(|(name, value)| match value {
        Value::Null => format!("{name} = {}", lang.pick("none", "无")),
        value => format!("{name} = {}", plain(value)),
    });
    let mut notes: Vec<String> = values.collect();
    notes.extend(part["error"].as_str().map(str::to_owned));
    let notes = match notes.join(lang.comma()) {
        notes if notes.is_empty() => notes,
        notes => format!("   [{notes}]"),
    };
    lines.push(format!(
        "{}{decision}{}{text}{notes}",
        "  ".repeat(depth),
        lang.pick(": ", "：")
    ));
    for part in part["parts"].as_array().into_iter().flatten() {
        add(lang, part, depth + 1, lines);
    }
}
