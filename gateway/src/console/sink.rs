//! Sinks: all of them, and one with what waits, what is set and what can be done.

use std::collections::BTreeMap;

use actix_web::web;
use askama::Template;
use serde::Deserialize;
use serde_json::{Value, json};

use super::desk::{Answer, Desk, page, read};
use super::form::Form;
use super::frame::{Flash, Frame, Place};
use super::shown::{self, Markup};
use super::sinks::Sink;
use crate::lang::{Lang, Text};
use crate::words::Words;

/// What a plugin says of its sink.
#[derive(Deserialize)]
struct Health {
    state: String,
    why: String,
}

impl Health {
    /// Its colour, if a person is to look at it.
    fn tone(&self) -> Option<&'static str> {
        match self.state.as_str() {
            "failed" => Some("bad"),
            "degraded" => Some("warn"),
            _ => None,
        }
    }

    fn word(&self, lang: Lang) -> &'static str {
        match self.state.as_str() {
            "failed" => lang.pick("its plugin says: failed", "插件报告：有故障"),
            _ => lang.pick("its plugin says: degraded", "插件报告：有隐患"),
        }
    }
}

/// What holds a sink back.
#[derive(Deserialize)]
struct Hold {
    reason: String,
    since: Option<String>,
    until: Option<String>,
    note: Option<String>,
    crashes: Option<u32>,
}

impl Hold {
    fn word(&self, lang: Lang) -> String {
        shown::word(lang, Words::Hold, &self.reason)
    }
}

/// A sink in the list.
#[derive(Deserialize)]
struct Row {
    name: String,
    rate: Option<String>,
    health: Option<Health>,
    holds: Vec<Hold>,
    #[serde(flatten)]
    sink: Sink,
}

impl Row {
    /// Why it is paused.
    fn note(&self) -> Option<&str> {
        let mut paused = self.holds.iter().filter(|hold| hold.reason == "paused");
        paused.find_map(|hold| hold.note.as_deref())
    }

    /// What its plugin complains of.
    fn complaint(&self, lang: Lang) -> Option<(Markup, &str)> {
        complaint(self.health.as_ref(), lang)
    }
}

fn complaint(health: Option<&Health>, lang: Lang) -> Option<(Markup, &str)> {
    let health = health?;
    let tone = health.tone()?;
    Some((shown::chip(health.word(lang), tone), &health.why))
}

#[derive(Deserialize)]
struct Rows {
    items: Vec<Row>,
}

#[derive(Template)]
#[template(path = "sinks.html")]
struct Sinks {
    frame: Frame,
    lang: Lang,
    rows: Vec<Row>,
}

/// `GET /sinks`
pub(super) async fn list(desk: Desk) -> Answer {
    let rows: Rows = read(desk.api.sinks("").await?)?;
    page(&Sinks {
        frame: desk.frame(Place::Sinks),
        lang: desk.lang,
        rows: rows.items,
    })
}

#[derive(Deserialize)]
struct Detail {
    name: String,
    superseded: u64,
    cancelled: u64,
    probe_in_seconds: Option<u64>,
    dead_by_reason: BTreeMap<String, u64>,
    health: Option<Health>,
    holds: Vec<Hold>,
    crash: Option<Crash>,
    set: Option<BTreeMap<String, Value>>,
    #[serde(flatten)]
    sink: Sink,
}

/// That it was at work when leadgate crashed.
#[derive(Deserialize)]
struct Crash {
    in_a_row: u32,
    started_at: String,
}

/// Something that is set: what it means, its key, and its value.
struct Set {
    title: &'static str,
    key: &'static str,
    value: String,
}

#[derive(Template)]
#[template(path = "sink.html")]
struct Shown {
    frame: Frame,
    lang: Lang,
    one: Detail,
    /// Is not empty for a sink that is configured.
    set: Vec<Set>,
}

impl Shown {
    /// Its deliveries by state: code, word, how many; those that are there now first.
    fn states(&self) -> Vec<(&'static str, String, u64)> {
        let sink = &self.one.sink;
        let all = [
            ("pending", sink.pending),
            ("in_flight", sink.in_flight),
            ("retrying", sink.retrying),
            ("behind", sink.behind),
            ("dead", sink.dead),
            ("delivered", sink.delivered),
            ("superseded", self.one.superseded),
            ("cancelled", self.one.cancelled),
        ];
        let word = |code| shown::word(self.lang, Words::State, code);
        all.map(|(code, count)| (code, word(code), count)).into()
    }

    fn breaker(&self) -> String {
        shown::word(self.lang, Words::Breaker, &self.one.sink.breaker)
    }

    fn complaint(&self) -> Option<(Markup, &str)> {
        complaint(self.one.health.as_ref(), self.lang)
    }
}

/// All that is set, in the order of the configuration's documentation.
fn all_set(lang: Lang, set: &BTreeMap<String, Value>) -> Vec<Set> {
    const KEYS: [(&str, &str, &str); 14] = [
        ("when", "Takes leads for which", "只接收满足此条件的客资"),
        ("rate", "Attempts at most", "投递速率上限"),
        ("concurrency", "Attempts at once", "并发投递数"),
        ("timeout", "Longest attempt", "单次投递最长时间"),
        (
            "retry.first",
            "First wait before a retry",
            "首次重试等待上限",
        ),
        ("retry.max", "Longest wait before a retry", "重试等待上限"),
        (
            "retry.max_attempts",
            "Attempts before it is dead",
            "成为死信前的尝试次数",
        ),
        ("retry.max_age", "Age at which it is dead", "成为死信的期限"),
        (
            "breaker.failures",
            "Failures that open the breaker",
            "触发熔断的连续失败次数",
        ),
        ("breaker.wait", "First wait of the breaker", "首次熔断等待"),
        (
            "max_hold",
            "Longest wait that the destination may ask for",
            "对方可要求的最长等待",
        ),
        ("on_ambiguous", "If no answer comes", "没有应答时"),
        ("on_update", "If a newer revision comes", "收到新版本时"),
        ("on_dead", "Dead letters go to", "死信转投"),
    ];
    let all = KEYS.into_iter().filter_map(|(key, en, zh)| {
        let value = match key.split_once('.') {
            Some((table, key)) => set.get(table)?.get(key)?,
            None => set.get(key)?,
        };
        let value = match value {
            Value::Null if key == "when" => lang.pick("every lead", "所有客资").to_owned(),
            Value::Null if key == "rate" => lang.pick("no limit", "不限").to_owned(),
            Value::Null => return None,
            Value::String(text) => match meant(lang, key, text) {
                Some(meant) => format!("{meant} ({text})"),
                None => text.clone(),
            },
            other => other.to_string(),
        };
        Some(Set {
            title: lang.pick(en, zh),
            key,
            value,
        })
    });
    all.collect()
}

/// What a code means that is set.
fn meant(lang: Lang, key: &str, code: &str) -> Option<&'static str> {
    let (en, zh) = match (key, code) {
        ("on_ambiguous", "retry") => ("try again", "再次投递"),
        ("on_ambiguous", "hold") => ("keep it for a person", "留待人工处理"),
        ("on_update", "supersede") => ("it takes the older one's place", "取代旧版本"),
        ("on_update", "each") => ("each is delivered, in order", "各版本依次投递"),
        ("on_update", "ignore") => ("only the first is delivered", "只投递首个版本"),
        _ => return None,
    };
    Some(lang.pick(en, zh))
}

/// `GET /sinks/{name}`
pub(super) async fn show(desk: Desk, path: web::Path<String>) -> Answer {
    let one: Detail = read(desk.api.sink(&path, "").await?)?;
    let set = one.set.as_ref().map(|set| all_set(desk.lang, set));
    page(&Shown {
        frame: desk.frame(Place::Sinks),
        lang: desk.lang,
        set: set.unwrap_or_default(),
        one,
    })
}

fn back(name: &str) -> String {
    format!("/sinks/{}", shown::part(name))
}

/// `POST /sinks/{name}/pause`
pub(super) async fn pause(desk: Desk, path: web::Path<String>, form: Form) -> Answer {
    let wish = json!({ "note": form.or_empty("note") });
    desk.api.pause(&path, &wish).await?;
    let flash = Flash::new(
        (
            "The sink is paused, also over a restart.",
            "目的地已暂停，重启后仍暂停。",
        ),
        (
            "Its deliveries wait and none is lost; to go on, resume it below.",
            "其投递会一直等待，不会丢失；如需继续，请在下方恢复。",
        ),
    );
    Ok(desk.done(&back(&path), flash))
}

#[derive(Deserialize)]
struct Resumed {
    ended: Ended,
}

#[derive(Deserialize)]
struct Ended {
    pause: bool,
    breaker: bool,
    destination_wait: bool,
}

/// `POST /sinks/{name}/resume`
pub(super) async fn resume(desk: Desk, path: web::Path<String>, _: Form) -> Answer {
    let resumed: Resumed = read(desk.api.resume(&path).await?)?;
    let ended = [
        (resumed.ended.pause, "its pause", "暂停"),
        (resumed.ended.breaker, "the breaker", "熔断"),
        (
            resumed.ended.destination_wait,
            "the wait that the destination asked for",
            "对方要求的等待",
        ),
    ];
    let ended: Vec<_> = ended.into_iter().filter(|(ended, ..)| *ended).collect();
    let english: Vec<&str> = ended.iter().map(|(_, en, _)| *en).collect();
    let chinese: Vec<&str> = ended.iter().map(|(.., zh)| *zh).collect();
    let done = if ended.is_empty() {
        Text::new("Nothing held the sink back.", "目的地未受任何限制。")
    } else {
        Text::new(
            format!("The sink goes on; ended: {}.", english.join(", ")),
            format!("目的地已恢复；已结束：{}。", chinese.join("、")),
        )
    };
    let undo = Text::new("To stop it again, pause it.", "如需再次停止，请暂停。");
    Ok(desk.done(&back(&path), Flash::new(done, undo)))
}

#[derive(Deserialize)]
struct Trial {
    delivered: bool,
    outcome: String,
    rule: String,
    reason: String,
    duration_ms: u64,
    lead: TestLead,
}

#[derive(Deserialize)]
struct TestLead {
    record_id: Option<i64>,
    name: Option<String>,
}

/// `POST /sinks/{name}/test`
pub(super) async fn test(desk: Desk, path: web::Path<String>, _: Form) -> Answer {
    let tried: Trial = read(desk.api.test(&path).await?)?;
    let said = |lang: Lang| {
        let outcome = shown::word(lang, Words::Outcome, &tried.outcome);
        let reason = Words::Reason.of(lang, &tried.reason);
        let (rule, took) = (Words::Rule.of(lang, &tried.rule), tried.duration_ms);
        let colon = if reason.is_empty() { "" } else { lang.colon() };
        lang.pick(
            format!("The test lead: {outcome} (rule {rule}, {took} ms){colon}{reason}"),
            format!("测试客资：{outcome}（规则 {rule}，{took} 毫秒）{colon}{reason}"),
        )
    };
    let done = Text::new(said(Lang::En), said(Lang::ZhCn));
    let undo = if tried.delivered {
        let name = tried.lead.name.unwrap_or_default();
        let record = tried.lead.record_id.unwrap_or_default();
        Text::new(
            format!("The destination has it now: {name}, record_id {record}; delete it there."),
            format!("对方已收到：{name}，record_id {record}；请在对方系统中删除。"),
        )
    } else {
        Text::new(
            "It is not tried again, and nothing of it is kept here.",
            "不会重试，此处也不保留。",
        )
    };
    Ok(desk.done(&back(&path), Flash::new(done, undo)))
}
