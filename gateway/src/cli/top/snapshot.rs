//! The snapshot: what two looks at the daemon say together, for people and for programs.

use serde_json::{Value, json};
use tokio::time::Instant;

use super::super::table::{self, Column, coded, column};
use super::super::{Global, held};
use crate::lang::Lang;
use crate::terminal;
use crate::words::Words;

/// One look.
#[derive(Clone, Debug)]
pub(super) struct Reading {
    pub(super) stats: Value,
    pub(super) sinks: Value,
    pub(super) failures: Value,
    pub(super) at: Instant,
}

/// One look, with how it has changed since the one before.
pub(super) struct Snapshot<'a> {
    before: Option<&'a Reading>,
    now: &'a Reading,
    seconds: f64,
}

/// What a person must see first comes first: what does not fit into the width goes below.
const SINKS: [Column; 11] = [
    column("name", "sink", "目的地"),
    column("dead", "dead", "死信"),
    column("pending", "waiting", "待投递"),
    column("retrying", "retrying", "重试中"),
    column("rate", "out/s", "送达/秒"),
    column("oldest", "oldest", "最早"),
    column("in_flight", "in flight", "投递中"),
    coded("breaker", "breaker", "熔断", Words::Breaker),
    column("delivered", "delivered", "已送达"),
    column("held", "held by", "受阻"),
    column("said", "its plugin says", "插件说"),
];

const FAILURES: [Column; 4] = [
    column("sink", "failing", "失败"),
    column("count", "count", "数量"),
    coded("rule", "rule", "规则", Words::Rule),
    coded("reason", "reason", "原因", Words::Reason),
];

/// What of the leads is shown: field, titles, and whether as a rate too.
const LEADS: [(&str, &str, &str, bool); 8] = [
    ("accepted", "accepted", "已接收", true),
    ("duplicate", "duplicate", "重复", false),
    ("refused", "refused", "已拒绝", true),
    ("failed", "failed", "失败", true),
    ("stored", "stored", "已存储", false),
    ("quarantined", "quarantined ever", "曾隔离", false),
    ("in_quarantine", "in quarantine", "隔离中", false),
    ("unrouted", "unrouted", "无目的地", false),
];

impl<'a> Snapshot<'a> {
    pub(super) fn of(before: Option<&'a Reading>, now: &'a Reading) -> Self {
        let seconds = before.map_or(0.0, |before| {
            now.at.saturating_duration_since(before.at).as_secs_f64()
        });
        Self {
            before,
            now,
            seconds,
        }
    }

    /// How many a second; nothing without a look before, and after a restart between the two.
    fn rate(&self, count: impl Fn(&Reading) -> Option<u64>) -> Option<f64> {
        let (before, now) = (count(self.before?)?, count(self.now)?);
        let more = now.checked_sub(before)?;
        #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
        let rate = more as f64 / self.seconds;
        rate.is_finite().then_some(rate)
    }

    fn lead_rate(&self, field: &str) -> Option<f64> {
        self.rate(|reading| reading.stats["leads"][field].as_u64())
    }

    fn sink_rate(&self, name: &Value) -> Option<f64> {
        self.rate(|reading| {
            let mut sinks = table::items(&reading.sinks).iter();
            sinks.find(|sink| sink["name"] == *name)?["delivered"].as_u64()
        })
    }

    /// For a program: the API's own fields, and rates beside them.
    pub(super) fn json(&self) -> Value {
        let mut leads = self.now.stats["leads"].clone();
        for (field, _, _, rated) in LEADS {
            if rated {
                leads[format!("{field}_per_second")] = json!(self.lead_rate(field));
            }
        }
        let sinks = table::items(&self.now.sinks).iter().cloned();
        let sinks = sinks.map(|mut sink| {
            sink["delivered_per_second"] = json!(self.sink_rate(&sink["name"]));
            sink
        });
        json!({
            "at": self.now.stats["clock"]["now"],
            "seconds": self.seconds,
            "config": self.now.stats["config"],
            "leads": leads,
            "sinks": sinks.collect::<Vec<_>>(),
            "failures": table::items(&self.now.failures),
        })
    }

    /// For a person, in lines of `width` columns at most.
    pub(super) fn lines(&self, global: &Global, width: usize) -> Vec<String> {
        let lang = global.lang();
        let mut lines = self.head(lang, width);
        lines.push(String::new());
        let sinks = table::items(&self.now.sinks).iter();
        let sinks: Vec<_> = sinks.map(|sink| self.row(global, sink)).collect();
        lines.extend(table::lines(lang, &SINKS, &sinks, width));
        let failures = table::items(&self.now.failures);
        if !failures.is_empty() {
            lines.push(String::new());
            lines.extend(table::lines(lang, &FAILURES, failures, width));
        }
        lines
    }

    /// When it is, which configuration runs, and how leads come.
    fn head(&self, lang: Lang, width: usize) -> Vec<String> {
        let stats = &self.now.stats;
        let now = stats["clock"]["now"].as_str().unwrap_or_default();
        let now = table::time(lang, now).unwrap_or_else(|| now.to_owned());
        let mut parts = vec![format!("leadgate {now}")];
        if let Some(revision) = stats["config"]["revision"].as_str() {
            let title = lang.pick("configuration", "配置");
            parts.push(format!("{title} {revision}"));
        }
        if let Some(ahead) = stats["clock"]["ahead_seconds"].as_u64() {
            parts.push(lang.pick(
                format!("the clock is {ahead} s ahead and not believed"),
                format!("时钟快 {ahead} 秒，未被采信"),
            ));
        }
        let mut lines = flowing(parts, width);
        let leads = LEADS.iter().filter_map(|(field, en, zh, rated)| {
            let count = stats["leads"][*field].as_u64()?;
            let rate = rated.then(|| self.lead_rate(field)).flatten();
            let rate = rate.map_or_else(String::new, |rate| format!(" ({rate:.1}/s)"));
            Some(format!("{} {count}{rate}", lang.pick(en, zh)))
        });
        lines.extend(flowing(leads.collect(), width));
        lines
    }

    fn row(&self, global: &Global, sink: &Value) -> Value {
        let lang = global.lang();
        let mut row = sink.clone();
        let rate = self.sink_rate(&sink["name"]);
        row["rate"] = json!(rate.map(|rate| format!("{rate:.1}")));
        row["oldest"] = json!(
            sink["oldest_pending_seconds"]
                .as_u64()
                .map(|age| span(lang, age))
        );
        let mut holds = sink["holds"].clone();
        if let Some(holds) = holds.as_array_mut() {
            // That it is at work is seen by what is in flight.
            holds.retain(|hold| hold["reason"] != "slots");
        }
        row["held"] = held::brief(global, &holds).into();
        if sink["health"]["why"]
            .as_str()
            .is_some_and(|why| !why.is_empty())
        {
            row["said"] = sink["health"]["why"].clone();
        }
        row
    }
}

/// Parts beside each other, as many on a line as fit.
fn flowing(parts: Vec<String>, width: usize) -> Vec<String> {
    const BETWEEN: &str = " · ";
    let mut lines: Vec<String> = Vec::new();
    for part in parts {
        let part = terminal::visible(&part).into_owned();
        match lines.last_mut() {
            Some(line)
                if terminal::width(line) + terminal::width(BETWEEN) + terminal::width(&part)
                    <= width =>
            {
                line.push_str(BETWEEN);
                line.push_str(&part);
            }
            _ => lines.extend(table::wrapped(&part, width)),
        }
    }
    lines
}

/// An age in its largest unit.
fn span(lang: Lang, seconds: u64) -> String {
    let (count, en, zh) = match seconds {
        0..120 => (seconds, "s", "秒"),
        120..7200 => (seconds / 60, "min", "分"),
        7200..172_800 => (seconds / 3600, "h", "小时"),
        _ => (seconds / 86_400, "d", "天"),
    };
    format!("{count} {}", lang.pick(en, zh))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn global(lang: &str) -> Global {
        Global {
            config: None,
            lang: Some(lang.to_owned()),
            json: false,
        }
    }

    fn reading(at: Instant, accepted: u64, delivered: u64) -> Reading {
        let long = "the field phone_number is missing, ".repeat(4);
        Reading {
            stats: json!({
                "config": { "revision": "9f86d081884c" },
                "clock": { "now": "2026-11-28T16:30:00.000Z", "ahead_seconds": null },
                "leads": {
                    "accepted": accepted, "duplicate": 1, "refused": 2, "failed": 0,
                    "stored": accepted, "quarantined": 4, "in_quarantine": 3, "unrouted": 0,
                },
            }),
            sinks: json!({ "items": [{
                "name": "crm", "dead": 12, "pending": 3456, "retrying": 7, "behind": 0,
                "in_flight": 8, "delivered": delivered, "breaker": "open",
                "oldest_pending_seconds": 7300,
                "holds": [
                    { "reason": "breaker", "until": "2026-11-28T16:31:00.000Z" },
                    { "reason": "slots", "until": null },
                ],
                "health": { "state": "degraded", "why": "the token ends tomorrow" },
            }]}),
            failures: json!({ "items": [{
                "sink": "crm", "count": 12, "rule": "status", "reason": format!("{long}\u{1b}[2J"),
            }]}),
            at,
        }
    }

    #[test]
    fn it_fits_80_columns_in_both_languages_and_says_what_is_wrong() {
        let start = Instant::now();
        let before = reading(start, 1000, 500);
        let now = reading(start + Duration::from_secs(2), 1025, 510);
        for lang in ["en", "zh-CN"] {
            for width in [40, 80, 200] {
                let lines = Snapshot::of(Some(&before), &now).lines(&global(lang), width);
                for line in &lines {
                    assert!(terminal::width(line) <= width, "{width}: {line}");
                    assert!(!line.contains('\u{1b}'), "{line:?}");
                }
                let text = lines.join("\n");
                for part in ["12.5/s", "5.0", "3456", "2026-11-2", "9f86d081884c"] {
                    assert!(text.contains(part), "{width} {part}: {text}");
                }
                let held = if lang == "en" {
                    "breaker until"
                } else {
                    "熔断"
                };
                assert!(text.contains(held), "{text}");
                assert!(text.contains("tomorrow"), "{text}");
            }
        }
    }

    #[test]
    fn counts_that_went_back_have_no_rate() {
        let start = Instant::now();
        let before = reading(start, 1000, 500);
        let now = reading(start + Duration::from_secs(2), 10, 510);
        let json = Snapshot::of(Some(&before), &now).json();
        assert_eq!(json["leads"]["accepted_per_second"], Value::Null);
        assert_eq!(json["sinks"][0]["delivered_per_second"], 5.0);
        let first = Snapshot::of(None, &now).json();
        assert_eq!(first["sinks"][0]["delivered_per_second"], Value::Null);
        let same = Snapshot::of(Some(&now), &now).json();
        assert_eq!(
            same["leads"]["accepted_per_second"],
            Value::Null,
            "no time passed"
        );
    }

    #[test]
    fn ages_are_said_in_their_largest_unit() {
        for (seconds, en) in [
            (5, "5 s"),
            (119, "119 s"),
            (180, "3 min"),
            (7300, "2 h"),
            (400_000, "4 d"),
        ] {
            assert_eq!(span(Lang::En, seconds), en);
        }
    }
}
