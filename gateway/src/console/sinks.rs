//! Sinks, as pages show them.

use serde::Deserialize;

/// What of a sink a page shows.
#[derive(Deserialize)]
pub(super) struct Sink {
    pub(super) plugin: Option<String>,
    pub(super) pending: u64,
    pub(super) in_flight: u64,
    pub(super) retrying: u64,
    pub(super) behind: u64,
    pub(super) delivered: u64,
    pub(super) dead: u64,
    pub(super) oldest_pending_seconds: Option<u64>,
    pub(super) last_delivered_at: Option<String>,
    pub(super) paused: bool,
    pub(super) orphaned: bool,
    pub(super) breaker: String,
    pace: Pace,
}

/// How attempts went, since the process started.
#[derive(Deserialize)]
struct Pace {
    attempts: u64,
    succeeded: u64,
    p95_ms: Option<u64>,
}

impl Sink {
    /// Deliveries that wait, those in flight among them.
    pub(super) fn waiting(&self) -> u64 {
        self.pending + self.retrying + self.behind
    }

    /// How many of 100 attempts succeeded, with one digit behind the point.
    pub(super) fn success(&self) -> Option<String> {
        let Pace {
            attempts,
            succeeded,
            ..
        } = self.pace;
        let thousandths = (succeeded * 1_000).checked_div(attempts)?;
        Some(format!("{}.{}%", thousandths / 10, thousandths % 10))
    }

    /// Within which time 95 of 100 attempts ended.
    pub(super) fn p95(&self) -> Option<String> {
        let millis = self.pace.p95_ms?;
        Some(match millis {
            0..1_000 => format!("{millis} ms"),
            _ => format!("{}.{} s", millis / 1_000, millis % 1_000 / 100),
        })
    }

    /// How it is, by what matters most: a word in both languages, and its colour.
    pub(super) fn how(&self) -> (&'static str, &'static str, &'static str) {
        if self.orphaned {
            ("not configured", "未配置", "bad")
        } else if self.paused {
            ("paused", "已暂停", "warn")
        } else if self.breaker == "open" {
            ("breaker open", "熔断", "bad")
        } else if self.breaker == "half_open" {
            ("probing", "试探中", "warn")
        } else {
            ("running", "运行", "good")
        }
    }

    /// As a chip.
    pub(super) fn chip(&self, lang: crate::lang::Lang) -> super::shown::Markup {
        let (en, zh, tone) = self.how();
        super::shown::chip(lang.pick(en, zh), tone)
    }
}
