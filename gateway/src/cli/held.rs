//! Held: what the commands say of what keeps a sink or a delivery from going on.

use serde_json::Value;

use super::Global;
use super::table::time;
use crate::lang::Lang;

/// Each hold in words: what, until when, and what ends it.
pub(super) fn lines(global: &Global, holds: &Value) -> Vec<String> {
    let holds = holds.as_array().map_or(&[][..], Vec::as_slice);
    holds.iter().map(|hold| line(global.lang(), hold)).collect()
}

/// The same on one line, without what ends them.
pub(super) fn brief(global: &Global, holds: &Value) -> String {
    let lang = global.lang();
    let holds = holds.as_array().map_or(&[][..], Vec::as_slice);
    let short = holds.iter().map(|hold| {
        let reason = hold["reason"].as_str().unwrap_or_default();
        let reason = lang.pick(reason, word(reason));
        match shown(lang, &hold["until"]) {
            Some(until) => lang.pick(
                format!("{reason} until {until}"),
                format!("{reason}至 {until}"),
            ),
            None => reason.to_owned(),
        }
    });
    short.collect::<Vec<_>>().join(", ")
}

/// Whether something holds it that neither time nor the sink's own work ends.
pub(super) fn needs_a_person(holds: &Value) -> bool {
    let holds = holds.as_array().map_or(&[][..], Vec::as_slice);
    holds.iter().any(|hold| {
        ["paused", "destination", "order", "orphaned"]
            .contains(&hold["reason"].as_str().unwrap_or_default())
    })
}

fn shown(lang: Lang, at: &Value) -> Option<String> {
    let at = at.as_str()?;
    Some(time(lang, at).unwrap_or_else(|| at.to_owned()))
}

fn line(lang: Lang, hold: &Value) -> String {
    let reason = hold["reason"].as_str().unwrap_or_default();
    let ends_by = hold["ends_by"].as_str().unwrap_or_default();
    let what = lang.pick(phrase(reason).0, phrase(reason).1);
    let since = shown(lang, &hold["since"]).map_or_else(String::new, |since| {
        lang.pick(format!(" since {since}"), format!("，自 {since}"))
    });
    let until = shown(lang, &hold["until"]).map_or_else(String::new, |until| {
        lang.pick(format!(" until {until}"), format!("，至 {until}"))
    });
    let behind = hold["behind"]
        .as_str()
        .map_or_else(String::new, |id| format!(" ({id})"));
    // Commands are the same in both languages; other advice is not.
    let ends = if ends_by.starts_with("leadgate ") {
        lang.pick(
            format!("; ended by `{ends_by}`"),
            format!("；可用 `{ends_by}` 结束"),
        )
    } else {
        lang.pick(
            format!("; ended by {ends_by}"),
            format!("；{}", remedy(reason)),
        )
    };
    format!("{what}{behind}{since}{until}{ends}")
}

fn word(reason: &str) -> &str {
    match reason {
        "paused" => "暂停",
        "breaker" => "熔断",
        "destination" => "对方要求等待",
        "rate" => "限速",
        "slots" => "并发已满",
        "order" => "等待前版",
        "backoff" => "等待重试",
        "orphaned" => "目的地未配置",
        other => other,
    }
}

fn phrase(reason: &str) -> (&str, &str) {
    match reason {
        "paused" => ("the sink is paused", "目的地已暂停"),
        "breaker" => (
            "the breaker is open: the sink fails",
            "熔断：目的地连续失败",
        ),
        "destination" => ("the destination asked for a wait", "对方要求等待"),
        "rate" => ("the sink's rate", "目的地限速"),
        "slots" => ("all slots of the sink are taken", "目的地并发已满"),
        "order" => (
            "an earlier revision of the lead goes first",
            "同一客资的前一版本先投递",
        ),
        "backoff" => ("it is tried again later", "等待下次重试"),
        "orphaned" => ("its sink is not configured any more", "目的地已不在配置中"),
        other => (other, other),
    }
}

fn remedy(reason: &str) -> &'static str {
    match reason {
        "rate" => "到时自动继续，或调高 rate",
        "slots" => "有投递结束后继续，或调高 concurrency",
        "order" => "前一版本结束后继续，或将其取消",
        "backoff" => "到时自动重试，或用 leadgate outbox retry",
        _ => "请重新配置该目的地，或取消这些投递",
    }
}
