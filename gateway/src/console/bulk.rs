//! Bulk jobs: plan one, see what it would do, start it, follow it, stop it.
//!
//! A plan does nothing. Who starts it says so once more, and above [`UNASKED`] targets by typing how
//! many they are.

use std::collections::BTreeMap;

use actix_web::web;
use askama::Template;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::deliveries::Change;
use super::desk::{Answer, Desk, page, read};
use super::form::Form;
use super::frame::{Flash, Frame, Place};
use super::leads::plain;
use super::shown;
use crate::admin::{Kind, Problem};
use crate::lang::{Lang, Text};
use crate::outbox::Role;
use crate::words::Words;

/// So many are started without typing how many they are.
const UNASKED: u64 = 100;

/// What a plan is made of, as the API calls it: texts, flags, numbers.
const TEXTS: [&str; 12] = [
    "action", "to", "sink", "state", "source", "reason", "rule", "group", "since", "until", "when",
    "note",
];
const FLAGS: [&str; 3] = ["again", "regardless", "force"];

/// A job.
#[derive(Deserialize)]
struct Job {
    id: Option<String>,
    action: String,
    to: Option<String>,
    again: Option<bool>,
    filter: Map<String, Value>,
    when: Option<String>,
    rate: u64,
    note: String,
    by: String,
    count: u64,
    exact: bool,
    state: String,
    stopped: Option<String>,
    wiping: bool,
    waits: Option<String>,
    waits_zh: Option<String>,
    behind: Option<String>,
    made_at: String,
    started_at: Option<String>,
    ended_at: Option<String>,
    done: u64,
    skipped: u64,
    skipped_because: BTreeMap<String, u64>,
    sinks: BTreeMap<String, Had>,
    #[serde(default)]
    skipped_ids: Vec<LeftAsIs>,
    #[serde(default)]
    samples: Vec<Sample>,
}

/// How many of the leads that a job erased a sink had been given.
#[derive(Deserialize)]
struct Had {
    delivered: u64,
    in_doubt: u64,
}

/// A target that was left as it is.
#[derive(Deserialize)]
struct LeftAsIs {
    id: String,
    why: String,
}

/// One of the first targets.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Sample {
    delivery: Option<String>,
    lead: Option<String>,
    quarantined: Option<String>,
    sink: Option<String>,
    source: Option<String>,
    reason: Option<String>,
    state: Option<String>,
    now: Option<String>,
    cannot: Option<String>,
    cannot_zh: Option<String>,
    difference: Option<Vec<Change>>,
}

impl Sample {
    /// Its page, if it has one, and what it is called.
    fn link(&self) -> (Option<String>, &str) {
        if let Some(id) = &self.delivery {
            return (Some(format!("/deliveries/{id}")), id);
        }
        if let Some(id) = &self.lead {
            return (Some(format!("/leads/{id}")), id);
        }
        match &self.quarantined {
            Some(id) => (Some(format!("/quarantine/{id}")), id),
            None => (None, ""),
        }
    }
}

impl Job {
    /// What it does, in words.
    fn title(&self, lang: Lang) -> String {
        let action = shown::word(lang, Words::Action, &self.action);
        match &self.to {
            Some(to) => lang.pick(format!("{action} to {to}"), format!("{action}到 {to}")),
            None => action,
        }
    }

    fn is(&self, state: &str) -> bool {
        self.state == state
    }

    /// Whether it can be started, or go on.
    fn waits_for_a_person(&self) -> bool {
        self.is("planned") || self.is("cancelled")
    }

    /// Whether there is nothing to do.
    fn is_of_none(&self) -> bool {
        self.count == 0 && self.exact
    }

    /// Whether its numbers still change.
    fn is_under_way(&self) -> bool {
        self.is("running") || self.wiping
    }

    /// Whether who starts it types how many there are.
    fn asks_for_the_count(&self) -> bool {
        self.count > UNASKED
    }

    /// How many there are, with a sign where there may be more.
    fn many(&self) -> String {
        let count = shown::count(self.count);
        if self.exact {
            count
        } else {
            format!("{count}+")
        }
    }

    /// About how long it takes.
    fn takes(&self, lang: Lang) -> String {
        let left = self.count.saturating_sub(self.done + self.skipped);
        shown::seconds(lang, left.div_ceil(self.rate.max(1)))
    }

    fn seen_to(&self) -> u64 {
        self.done + self.skipped
    }

    /// What it is about: each part of its filter with its word and value.
    fn parts(&self, lang: Lang) -> Vec<(&'static str, String)> {
        let mut parts = Vec::new();
        let of = self.filter.get("of").and_then(Value::as_str);
        let of = match of.unwrap_or_default() {
            "deliveries" => lang.pick("deliveries", "投递"),
            "leads" => lang.pick("leads", "客资"),
            _ => lang.pick("pushes in quarantine", "隔离推送"),
        };
        parts.push((lang.pick("Of", "对象"), of.to_owned()));
        for (name, en, zh) in [
            ("sink", "Sink", "目的地"),
            ("state", "State", "状态"),
            ("source", "Source", "来源"),
            ("reason", "Reason", "原因"),
            ("rule", "Rule", "规则"),
            ("group", "Failure group", "失败分组"),
            ("since", "Since", "起"),
            ("until", "Before", "止（不含）"),
        ] {
            let value = self.filter.get(name).map(plain).unwrap_or_default();
            if value.is_empty() {
                continue;
            }
            let words = match name {
                "state" => Some(Words::State),
                "reason" if of == lang.pick("deliveries", "投递") => Some(Words::Death),
                "reason" => Some(Words::Quarantine),
                _ => None,
            };
            let value = match words {
                Some(words) => shown::word(lang, words, &value),
                None if ["since", "until"].contains(&name) => shown::whole_time(&value),
                None => value,
            };
            parts.push((lang.pick(en, zh), value));
        }
        parts
    }

    fn word(&self, lang: Lang) -> String {
        shown::word(lang, Words::Job, &self.state)
    }

    /// Why it was stopped.
    fn stop(&self, lang: Lang) -> Option<String> {
        let why = self.stopped.as_deref()?;
        Some(match lang {
            Lang::ZhCn => shown::word(lang, Words::Stop, why),
            Lang::En => match why {
                "no_sink" => "its sink is not configured any more",
                "condition" => "its condition cannot be used any more",
                _ => "somebody stopped it",
            }
            .to_owned(),
        })
    }

    fn why_it_waits(&self, lang: Lang) -> Option<&str> {
        let (en, zh) = (self.waits.as_deref(), self.waits_zh.as_deref());
        lang.pick(en, zh)
    }

    fn tone(&self) -> &'static str {
        match self.state.as_str() {
            "done" => "good",
            "running" => "wait",
            "cancelled" => "warn",
            _ => "still",
        }
    }

    /// What it did can be taken back by nobody.
    fn is_final(&self) -> bool {
        ["erase", "discard"].contains(&self.action.as_str())
    }

    /// What starting it means, and how to undo it.
    fn undo(&self) -> Text {
        let (en, zh) = match self.action.as_str() {
            "retry" | "replay" | "move" => (
                "It can be stopped at any time. What was sent cannot be taken back.",
                "可随时停止。已发出的无法收回。",
            ),
            "cancel" => (
                "It can be stopped at any time. To undo it, plan a retry of the cancelled deliveries.",
                "可随时停止。如需撤销，请对已取消的投递计划重试。",
            ),
            "done" => (
                "It can be stopped at any time. To undo it, open a delivery and try it again.",
                "可随时停止。如需撤销，请打开投递并重新投递。",
            ),
            "release" => (
                "It can be stopped at any time. What was released is a lead and goes to its sinks.",
                "可随时停止。已放行的会作为客资投递到各目的地。",
            ),
            _ => (
                "It can be stopped at any time. What is gone cannot be brought back.",
                "可随时停止。已删除的无法恢复。",
            ),
        };
        Text::new(en, zh)
    }
}

#[derive(Deserialize)]
struct Jobs {
    items: Vec<Job>,
}

#[derive(Template)]
#[template(path = "jobs.html")]
struct List {
    frame: Frame,
    lang: Lang,
    jobs: Vec<Job>,
}

/// `GET /bulk`
pub(super) async fn list(desk: Desk) -> Answer {
    let jobs: Jobs = read(desk.api.jobs("").await?)?;
    page(&List {
        frame: desk.frame(Place::Bulk),
        lang: desk.lang,
        jobs: jobs.items,
    })
}

#[derive(Template)]
#[template(path = "job.html")]
struct One {
    frame: Frame,
    lang: Lang,
    job: Job,
    /// What starting it means.
    undo: Text,
    /// Why it was not started.
    refused: Option<String>,
}

fn one(desk: &Desk, job: Job, refused: Option<(&str, &str)>) -> Answer {
    page(&One {
        frame: desk.frame(Place::Bulk),
        lang: desk.lang,
        undo: job.undo(),
        job,
        refused: refused.map(|(en, zh)| desk.lang.pick(en, zh).to_owned()),
    })
}

/// `GET /bulk/{id}`
pub(super) async fn show(desk: Desk, path: web::Path<String>) -> Answer {
    let job: Job = read(desk.api.job(&path, "").await?)?;
    one(&desk, job, None)
}

/// `POST /bulk`: plans one, and shows the plan with its first targets.
pub(super) async fn plan(desk: Desk, form: Form) -> Answer {
    let mut wish = Map::new();
    for name in TEXTS {
        if let Some(text) = form.text(name) {
            wish.insert(name.to_owned(), text.into());
        }
    }
    for name in FLAGS {
        if form.has(name) {
            wish.insert(name.to_owned(), true.into());
        }
    }
    if let Some(rate) = form.text("rate") {
        let rate: u32 = rate.parse().map_err(|_| {
            let detail = ("the rate is a whole number", "速率是整数");
            Problem::new(Kind::BadBody, detail)
        })?;
        wish.insert("rate".to_owned(), rate.into());
    }
    wish.insert("by".to_owned(), desk.actor.name.as_str().into());
    let job: Job = read(desk.api.plan_job(&Value::Object(wish)).await?)?;
    one(&desk, job, None)
}

fn back(id: &str) -> String {
    format!("/bulk/{id}")
}

/// `POST /bulk/{id}/start`
pub(super) async fn start(desk: Desk, path: web::Path<String>, form: Form) -> Answer {
    desk.takes(Role::Operator)?;
    let job: Job = read(desk.api.job(&path, "").await?)?;
    let typed = form.or_empty("count").replace([',', '，', ' ', '+'], "");
    if job.asks_for_the_count() && typed != job.count.to_string() {
        let why = (
            "it was not started: type how many there are, as it says below",
            "没有开始：请按下方提示输入条数",
        );
        return one(&desk, job, Some(why));
    }
    let signed = json!({ "by": desk.actor.name });
    desk.api.start_job(&path, &signed).await?;
    let flash = Flash::new(("The job was started.", "任务已开始。"), job.undo());
    Ok(desk.done(&back(&path), flash))
}

/// `POST /bulk/{id}/cancel`
pub(super) async fn stop(desk: Desk, path: web::Path<String>, _: Form) -> Answer {
    let signed = json!({ "by": desk.actor.name });
    desk.api.cancel_job(&path, &signed).await?;
    let flash = Flash::new(
        ("The job was stopped.", "任务已停止。"),
        (
            "To undo it, let it go on below: it goes on where it stopped.",
            "如需撤销，可在下方继续执行：会从停下的地方接着做。",
        ),
    );
    Ok(desk.done(&back(&path), flash))
}
