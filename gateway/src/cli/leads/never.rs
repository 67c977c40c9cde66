//! Never: to which sinks a lead did not go and why, in lines.

use serde_json::Value;

use super::super::table;
use crate::lang::Lang;
use crate::words::Words;

/// A line for each sink, and under it the condition that decided.
pub(super) fn lines(lang: Lang, lead: &Value) -> Vec<String> {
    let never = lead["never"].as_array().into_iter().flatten();
    never.flat_map(|one| of(lang, one)).collect()
}

fn of(lang: Lang, one: &Value) -> Vec<String> {
    let text = |field: &str| one[field].as_str().unwrap_or_default();
    let (sink, revision) = (text("sink"), &one["revision"]);
    let why = why(lang, one);
    let mut lines = vec![lang.pick(
        format!("revision {revision} did not go to {sink}: {why}"),
        format!("版本 {revision} 未投递到 {sink}：{why}"),
    )];
    add(lang, &one["when"], 1, &mut lines);
    lines
}

fn why(lang: Lang, one: &Value) -> String {
    let code = one["why"].as_str().unwrap_or_default();
    let instead = &one["instead"];
    let since = one["since"].as_str().unwrap_or_default();
    let since = table::time(lang, since).unwrap_or_else(|| since.to_owned());
    match lang {
        Lang::En => match code {
            "condition" => "its condition does not want it".to_owned(),
            "failed" => "its condition cannot be evaluated for it".to_owned(),
            "configured_since" => {
                format!("configured since {since}, and the lead came before; `leadgate leads replay` sends it")
            }
            "newer" => format!("a newer revision went instead (revision {instead})"),
            "ignored" => format!("revision {instead} went, and on_update is \"ignore\""),
            _ => "its configuration was another one when the lead came; `leadgate leads replay` sends it".to_owned(),
        },
        Lang::ZhCn => {
            let word = Words::Never.of(lang, code);
            match code {
                "configured_since" => format!("{word}（自 {since}）；可用 `leadgate leads replay` 补发"),
                "newer" | "ignored" => format!("{word}：版本 {instead}"),
                "unknown" => format!("{word}；可用 `leadgate leads replay` 补发"),
                _ => word.into_owned(),
            }
        }
    }
}

/// A condition and its parts, each with what became of it and the values in it.
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
        Value::Null => format!("{name} = none"),
        value => format!("{name} = {value}"),
    });
    let mut notes: Vec<String> = values.collect();
    notes.extend(part["error"].as_str().map(str::to_owned));
    let notes = match notes.join(", ") {
        notes if notes.is_empty() => notes,
        notes => format!("   [{notes}]"),
    };
    let indent = "  ".repeat(depth);
    lines.push(format!("{indent}{decision}: {text}{notes}"));
    for part in part["parts"].as_array().into_iter().flatten() {
        add(lang, part, depth + 1, lines);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_sink_has_its_reason_and_a_condition_its_parts() {
        let part = |text: &str, holds: Value, values: Value| json!({ "text": text, "holds": holds, "reached": true, "error": null, "values": values, "parts": [] });
        let mut when = part("a == 1 and b == 2", json!(false), json!({}));
        when["parts"] = json!([part("a == 1", json!(false), json!({ "a": null }))]);
        let lead = json!({ "never": [
            { "sink": "crm", "revision": 2, "why": "condition", "when": when },
            { "sink": "mail", "revision": 2, "why": "configured_since", "since": "2026-11-26T02:00:00.000Z" },
            { "sink": "old", "revision": 1, "why": "newer", "instead": 2 },
        ]});
        assert_eq!(
            lines(Lang::En, &lead),
            [
                "revision 2 did not go to crm: its condition does not want it",
                "  no: a == 1 and b == 2",
                "    no: a == 1   [a = none]",
                "revision 2 did not go to mail: configured since 2026-11-26 02:00:00Z, and the lead came before; `leadgate leads replay` sends it",
                "revision 1 did not go to old: a newer revision went instead (revision 2)",
            ]
        );
        let zh = lines(Lang::ZhCn, &lead);
        assert_eq!(zh[0], "版本 2 未投递到 crm：不符合 when 条件");
        assert_eq!(zh[4], "版本 1 未投递到 old：已由更新的版本代替：版本 2");
    }
}
