//! The overview: what needs a person, and how receiving and the sinks do.

use std::collections::BTreeMap;

use askama::Template;
use serde::Deserialize;

use super::desk::{Answer, Desk, page, read};
use super::frame::{Frame, Place};
use super::received::{Span, Spans};
use super::shown::{self, Markup};
use super::sinks::Sink;
use crate::lang::Lang;

/// What of `GET /stats` a page shows.
#[derive(Deserialize)]
struct Stats {
    leads: Leads,
    orphaned: u64,
    clock: Clock,
    sinks: BTreeMap<String, Sink>,
}

#[derive(Deserialize)]
struct Leads {
    refused: u64,
    failed: u64,
    stored: u64,
    in_quarantine: u64,
    unrouted: u64,
}

#[derive(Deserialize)]
struct Clock {
    state: String,
}

/// What of `GET /system` a page shows.
#[derive(Deserialize)]
struct System {
    files: String,
    outbox: Outbox,
}

#[derive(Deserialize)]
struct Outbox {
    size_bytes: u64,
    free_bytes: u64,
    min_free_bytes: u64,
    fault: Option<String>,
}

#[derive(Deserialize)]
struct Page {
    items: Vec<Lead>,
}

#[derive(Deserialize)]
struct Lead {
    last_received_at: String,
}

/// Something that a person must see to.
struct Need {
    /// How many; not shown where it says nothing.
    count: Option<String>,
    what: String,
    href: String,
    tone: &'static str,
}

#[derive(Template)]
#[template(path = "overview.html")]
struct Overview {
    frame: Frame,
    lang: Lang,
    needs: Vec<Need>,
    last: Option<String>,
    today: String,
    week: String,
    days: Markup,
    hours: Markup,
    leads: Leads,
    waiting: u64,
    sinks: Vec<(String, Sink)>,
    outbox: Outbox,
}

/// `GET /`
pub(super) async fn show(desk: Desk) -> Answer {
    let stats: Stats = read(desk.api.stats("").await?)?;
    let system: System = read(desk.api.system("").await?)?;
    let newest: Page = read(desk.api.leads("limit=1").await?)?;
    let console = desk.console.clone();
    let reading = desk.api.reading(move |admin| console.received.spans(admin));
    let Spans { hours, days } = reading.await?;
    let lang = desk.lang;
    let needs = needs(lang, &stats, &system);
    let waiting = stats.sinks.values().map(Sink::waiting).sum();
    page(&Overview {
        frame: desk.frame(Place::Overview),
        lang,
        needs,
        last: newest
            .items
            .into_iter()
            .next()
            .map(|lead| lead.last_received_at),
        today: many(&days[days.len().saturating_sub(1)..]),
        week: many(&days),
        days: bars(
            lang.pick("leads of the last 7 days", "近 7 天的客资"),
            &days,
            5..10,
        ),
        hours: bars(
            lang.pick("leads of the last 24 hours", "近 24 小时的客资"),
            &hours,
            11..16,
        ),
        leads: stats.leads,
        waiting,
        sinks: stats.sinks.into_iter().collect(),
        outbox: system.outbox,
    })
}

/// Of some days, with a sign where there were more.
fn many(days: &[Span]) -> String {
    let sum = days.iter().map(|day| day.leads).sum();
    let more = days.iter().any(|day| day.more);
    format!("{}{}", shown::count(sum), if more { "+" } else { "" })
}

/// A bar for each, named by that part of when it began.
fn bars(label: &str, spans: &[Span], part: std::ops::Range<usize>) -> Markup {
    let bars = spans.iter().map(|span| {
        let began = crate::lead::time::format_gmt8(span.began);
        (began[part.clone()].to_owned(), span.leads)
    });
    shown::bars(&bars.collect::<Vec<_>>(), label)
}

/// All that a person must see to, the most urgent first.
fn needs(lang: Lang, stats: &Stats, system: &System) -> Vec<Need> {
    let mut needs = Vec::new();
    let mut need = |count: Option<u64>, tone, href: &str, en: &str, zh: &str| {
        if count != Some(0) {
            needs.push(Need {
                count: count.map(shown::count),
                what: lang.pick(en, zh).to_owned(),
                href: href.to_owned(),
                tone,
            });
        }
    };
    let outbox = &system.outbox;
    if outbox.fault.is_some() {
        need(
            None,
            "bad",
            "/system",
            "the store is at fault: pushes are refused",
            "存储故障：推送被拒绝",
        );
    }
    if outbox.free_bytes < outbox.min_free_bytes {
        need(
            None,
            "bad",
            "/system",
            "the disk is nearly full: pushes are refused",
            "磁盘将满：推送被拒绝",
        );
    }
    if stats.clock.state != "believed" {
        need(
            None,
            "warn",
            "/system",
            "this machine's clock is doubted",
            "本机时钟可疑",
        );
    }
    let dead = stats.sinks.values().map(|sink| sink.dead).sum();
    need(
        Some(dead),
        "bad",
        "/failures",
        "dead letters: they are not tried again by themselves",
        "死信：不会自动重试",
    );
    need(
        Some(stats.leads.in_quarantine),
        "bad",
        "/quarantine",
        "pushes in quarantine: a person decides about them",
        "隔离推送：等待人工放行或丢弃",
    );
    need(
        Some(stats.orphaned),
        "bad",
        "/deliveries?orphaned=true",
        "orphaned deliveries: their sink is not configured any more",
        "孤立投递：其目的地已不在配置中",
    );
    for (name, sink) in &stats.sinks {
        let href = format!("/deliveries?sink={name}");
        if sink.paused {
            let (en, zh) = (
                format!("deliveries wait: sink {name} is paused"),
                format!("条投递等待中：目的地 {name} 已暂停"),
            );
            need(
                Some(sink.waiting()).filter(|many| *many > 0),
                "warn",
                &href,
                &en,
                &zh,
            );
        }
        if sink.breaker == "open" {
            let (en, zh) = (
                format!("sink {name} fails: its breaker is open"),
                format!("目的地 {name} 连续失败：已熔断"),
            );
            need(None, "bad", &href, &en, &zh);
        }
    }
    if system.files == "changed" {
        need(
            None,
            "warn",
            "/system",
            "the configuration's files changed since they were loaded",
            "配置文件在加载之后有改动",
        );
    }
    needs
}
