//! Previews: what a sink would be sent now, and what of it is otherwise than before, in lines.

use serde_json::Value;

use super::table;
use crate::lang::Lang;

/// Lines of what would be sent that are shown of the first sample of a plan.
const LINES: usize = 40;
/// The same of the others, which are for what they have in common with it.
const FEWER: usize = 12;

/// The samples of a plan, each under a line that names it.
pub(super) fn samples(lang: Lang, job: &Value) -> Vec<String> {
    let samples = job["samples"].as_array().into_iter().flatten();
    let most = std::iter::once(LINES).chain(std::iter::repeat(FEWER));
    let shown = samples.zip(most);
    shown
        .flat_map(|(one, most)| sample(lang, one, most))
        .collect()
}

/// One of them, with `most` lines of what would be sent.
fn sample(lang: Lang, one: &Value, most: usize) -> Vec<String> {
    let text = |field: &str| one[field].as_str().unwrap_or_default();
    let known = [
        ("delivery", "delivery", "投递"),
        ("quarantined", "push in quarantine", "隔离推送"),
        ("lead", "lead", "客资"),
        ("sink", "sink", "目的地"),
        ("source", "source", "来源"),
        ("reason", "reason", "原因"),
        ("received_at", "received", "接收时间"),
        ("first_received_at", "received", "接收时间"),
    ];
    let named = known
        .into_iter()
        .filter(|(field, ..)| one[field].is_string());
    let named: Vec<String> = named
        .map(|(field, en, zh)| {
            let value = text(field);
            let value = table::time(lang, value).unwrap_or_else(|| value.to_owned());
            format!("{} {value}", lang.pick(en, zh))
        })
        .collect();
    let mut lines = vec![named.join(lang.comma())];
    lines.extend(becomes(lang, &one["becomes"]));
    lines.extend(sent(lang, one, most));
    lines.extend(changes(lang, one));
    let indent = lines.iter_mut().skip(1);
    indent.for_each(|line| line.insert_str(0, "  "));
    lines
}

/// For whom a push in quarantine would be.
fn becomes(lang: Lang, becomes: &Value) -> Option<String> {
    let sinks = becomes["sinks"].as_array()?.iter();
    let sinks: Vec<&str> = sinks.filter_map(Value::as_str).collect();
    let sinks = sinks.join(lang.comma());
    Some(lang.pick(
        format!("for the sinks: {sinks}"),
        format!("投递到：{sinks}"),
    ))
}

/// What would be sent, or why that cannot be said; nothing where nothing is.
fn sent(lang: Lang, preview: &Value, most: usize) -> Vec<String> {
    if let Some(now) = preview["now"].as_str() {
        let mut lines: Vec<String> = now.trim_end().lines().map(str::to_owned).collect();
        if lines.len() > most {
            lines.truncate(most);
            lines.push("…".to_owned());
        }
        return lines;
    }
    cannot(lang, preview).into_iter().collect()
}

fn cannot(lang: Lang, preview: &Value) -> Option<String> {
    let why = preview[lang.pick("cannot", "cannot_zh")].as_str()?;
    Some(lang.pick(
        format!("what would be sent cannot be shown: {why}"),
        format!("无法预览将发送的内容：{why}"),
    ))
}

/// What of it is otherwise now than at the last attempt; what was sent then, where that cannot be
/// told. Nothing where it was never tried.
pub(super) fn changes(lang: Lang, preview: &Value) -> Vec<String> {
    let last = &preview["last"];
    let Some(request) = last["request"].as_str() else {
        return Vec::new();
    };
    let number = &last["number"];
    let Some(changes) = preview["difference"].as_array() else {
        let request = request.replace('\n', "; ");
        let then = lang.pick(
            format!("attempt {number} sent: {request}"),
            format!("第 {number} 次已发送：{request}"),
        );
        let little = || {
            let little = lang.pick(
                "its record keeps too little to say what is otherwise now; `leadgate render --sink NAME --id LEAD` shows what would be sent",
                "记录的内容不足以比较；可用 `leadgate render --sink 名称 --id 客资` 预览",
            );
            little.to_owned()
        };
        return vec![then, cannot(lang, preview).unwrap_or_else(little)];
    };
    if changes.is_empty() {
        return vec![lang.pick(
            format!("as attempt {number}: the same fields to the same place"),
            format!("与第 {number} 次相同：字段与地址均未变"),
        )];
    }
    let mut lines = vec![lang.pick(
        format!("otherwise than at attempt {number}:"),
        format!("与第 {number} 次的不同之处："),
    )];
    for change in changes {
        let at = change["at"].as_str().unwrap_or_default();
        for (sign, field) in [("-", "before"), ("+", "now")] {
            match change[field].as_str() {
                Some(place) if at.is_empty() => lines.push(format!("{sign} {place}")),
                Some(what) => lines.push(format!("{sign} {at} {}", kind(lang, what))),
                None => {}
            }
        }
    }
    lines
}

/// What kind of value it is.
fn kind(lang: Lang, what: &str) -> &str {
    match what {
        "text" => lang.pick("text", "文本"),
        "number" => lang.pick("number", "数字"),
        plain => plain,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_otherwise_now_is_said_line_by_line_in_both_languages() {
        let mut preview = json!({
            "delivery": "1", "lead": "2", "sink": "crm", "now": "POST http://crm/leads\n\n{}\n",
            "last": { "number": 3, "request": "POST http://crm/leads (7 bytes) {\"a\":\"text\"}" },
            "difference": [
                { "at": "", "before": "POST http://a", "now": "POST http://b" },
                { "at": "/a", "before": "text", "now": null },
                { "at": "/b", "before": null, "now": "number" },
            ],
        });
        assert_eq!(
            changes(Lang::En, &preview),
            [
                "otherwise than at attempt 3:",
                "- POST http://a",
                "+ POST http://b",
                "- /a text",
                "+ /b number",
            ]
        );
        let job = json!({ "samples": [preview] });
        let lines = samples(Lang::ZhCn, &job);
        assert_eq!(lines[0], "投递 1，客资 2，目的地 crm");
        assert_eq!(lines[1], "  POST http://crm/leads");
        assert!(
            lines.contains(&"  与第 3 次的不同之处：".to_owned()),
            "{lines:?}"
        );
        assert!(lines.contains(&"  + /b 数字".to_owned()), "{lines:?}");
        preview["difference"] = json!([]);
        assert!(changes(Lang::En, &preview)[0].contains("same fields"));
        preview["difference"] = Value::Null;
        assert_eq!(
            changes(Lang::En, &preview)[0],
            "attempt 3 sent: POST http://crm/leads (7 bytes) {\"a\":\"text\"}"
        );
        assert!(changes(Lang::En, &preview)[1].contains("keeps too little"));
        preview["cannot"] = "no such field".into();
        assert!(changes(Lang::En, &preview)[1].ends_with("no such field"));
        preview["last"] = Value::Null;
        assert!(changes(Lang::En, &preview).is_empty(), "it was never tried");
    }

    #[test]
    fn of_a_long_request_the_first_sample_shows_most() {
        let one = json!({ "delivery": "1", "now": "line\n".repeat(100) });
        let lines = samples(Lang::En, &json!({ "samples": [one, one] }));
        let cut: Vec<usize> = (0..lines.len()).filter(|at| lines[*at] == "  …").collect();
        assert_eq!(cut, [LINES + 1, LINES + 1 + FEWER + 2], "{lines:?}");
    }

    #[test]
    fn samples_of_other_kinds_are_named_by_what_lists_show() {
        let job = json!({ "samples": [
            { "quarantined": "7", "source": "shop", "reason": "stale",
              "received_at": "2026-11-26T02:00:00.000Z", "becomes": { "sinks": ["crm"] } },
            { "lead": "8", "cannot": "there is no lead 8", "cannot_zh": "没有这个客资：8" },
        ]});
        assert_eq!(
            samples(Lang::En, &job),
            [
                "push in quarantine 7, source shop, reason stale, received 2026-11-26 02:00:00Z",
                "  for the sinks: crm",
                "lead 8",
                "  what would be sent cannot be shown: there is no lead 8",
            ]
        );
    }
}
