//! Held: what the commands say of what keeps a sink or a delivery from going on.

use serde_json::Value;

use super::Global;
use super::table::time;
use crate::delivery::HoldReason;
use crate::lang::Lang;
use crate::words::Words;

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
        let reason = Words::Hold.of(lang, hold["reason"].as_str().unwrap_or_default());
        match shown(lang, &hold["until"]) {
            Some(until) => lang.pick(
                format!("{reason} until {until}"),
                format!("{reason}至 {until}"),
            ),
            None => reason.into_owned(),
        }
    });
    short.collect::<Vec<_>>().join(lang.comma())
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
    let known = HoldReason::ALL
        .into_iter()
        .find(|one| one.as_str() == reason);
    let (en, zh, remedy) = match known {
        Some(known) => sentences(known),
        None => (reason, reason, ""),
    };
    let what = lang.pick(en, zh);
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
        lang.pick(format!("; ended by {ends_by}"), format!("；{remedy}"))
    };
    format!("{what}{behind}{since}{until}{ends}")
}

/// What it is in a sentence, in English and Chinese, and in Chinese what ends it where no
/// command does.
const fn sentences(reason: HoldReason) -> (&'static str, &'static str, &'static str) {
    match reason {
        HoldReason::Paused => ("the sink is paused", "目的地已暂停", RESUME),
        HoldReason::Breaker => (
            "the breaker is open: the sink fails",
            "熔断：目的地连续失败",
            RESUME,
        ),
        HoldReason::Destination => ("the destination asked for a wait", "对方要求等待", RESUME),
        HoldReason::Rate => ("the sink's rate", "目的地限流", "到时自动继续，或调高 rate"),
        HoldReason::Slots => (
            "all slots of the sink are taken",
            "目的地并发已满",
            "有投递结束后继续，或调高 concurrency",
        ),
        HoldReason::Order => (
            "an earlier revision of the lead goes first",
            "同一客资的前一版本先投递",
            "前一版本结束后继续，或将其取消",
        ),
        HoldReason::Backoff => (
            "it is tried again later",
            "等待下次重试",
            "到时自动重试，或用 leadgate outbox retry",
        ),
        HoldReason::Orphaned => (
            "its sink is not configured any more",
            "目的地已不在配置中",
            "请重新配置该目的地，或取消这些投递",
        ),
    }
}

/// Ends the holds of a whole sink.
const RESUME: &str = "可用 leadgate sink resume 结束";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_hold_is_told_in_chinese_with_what_ends_it() {
        for reason in HoldReason::ALL {
            let hold = json!({
                "reason": reason.as_str(),
                "since": "2026-11-28T16:30:00.000Z",
                "until": null,
                "ends_by": "its time",
            });
            let zh = line(Lang::ZhCn, &hold);
            let english = zh.split_whitespace().find(|word| {
                word.len() > 2
                    && word.bytes().all(|byte| byte.is_ascii_lowercase())
                    && ![
                        "leadgate",
                        "sink",
                        "resume",
                        "outbox",
                        "retry",
                        "rate",
                        "concurrency",
                    ]
                    .contains(word)
            });
            assert_eq!(english, None, "{zh}");
            assert!(zh.contains("自 2026-11-29 00:30:00+08:00"), "{zh}");
        }
    }
}
