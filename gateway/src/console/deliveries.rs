//! Deliveries: those that pass a filter, and one with its attempts and what can be done.

use std::collections::BTreeMap;

use actix_web::web;
use askama::Template;
use serde::Deserialize;
use serde_json::{Value, json};

use super::curl;
use super::desk::{Answer, Desk, next, page, query_of, read};
use super::form::Form;
use super::frame::{Flash, Frame, Place};
use crate::lang::Lang;
use crate::outbox::{DeathReason, StateName};
use crate::words::Words;

/// A delivery in a list.
#[derive(Deserialize)]
pub(super) struct Summary {
    pub(super) id: String,
    pub(super) sink: String,
    source: String,
    lead: String,
    pub(super) revision: u32,
    pub(super) state: String,
    pub(super) attempts: u32,
    pub(super) created_at: String,
    pub(super) due_at: Option<String>,
    pub(super) ended_at: Option<String>,
    pub(super) reason: Option<String>,
    pub(super) last_outcome: Option<String>,
    pub(super) last_reason: Option<String>,
    last_attempt_at: Option<String>,
    held_by: Vec<Hold>,
}

impl Summary {
    /// Whether it is over, so that only a person's word sends it again.
    fn is_over(&self) -> bool {
        matches!(
            self.state.as_str(),
            "delivered" | "superseded" | "cancelled"
        )
    }
}

#[derive(Deserialize)]
struct Hold {
    reason: String,
    until: Option<String>,
    ends_by: String,
    note: Option<String>,
}

impl Hold {
    fn word(&self, lang: Lang) -> String {
        super::shown::word(lang, Words::Hold, &self.reason)
    }

    /// The command that ends it, if one does.
    fn command(&self) -> Option<&str> {
        self.ends_by
            .starts_with("leadgate ")
            .then_some(&self.ends_by)
    }
}

#[derive(Deserialize)]
struct Rows {
    items: Vec<Summary>,
    next: Option<String>,
}

#[derive(Template)]
#[template(path = "deliveries.html")]
struct Deliveries {
    frame: Frame,
    lang: Lang,
    rows: Vec<Summary>,
    next: Option<String>,
    sinks: Vec<String>,
    /// Sinks that what is orphaned can be moved to.
    targets: Vec<String>,
    asked: BTreeMap<String, String>,
}

impl Deliveries {
    /// What is orphaned can only be moved.
    fn is_orphaned(&self) -> bool {
        self.is_asked("orphaned", "true")
    }

    /// The filter as a plan takes it.
    fn filter(&self) -> Vec<(&str, &str)> {
        let names = [
            "sink", "state", "source", "reason", "rule", "group", "since", "until",
        ];
        let given = names.map(|name| (name, self.asked(name)));
        given
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .collect()
    }

    fn asked(&self, name: &str) -> &str {
        self.asked.get(name).map_or("", String::as_str)
    }

    fn is_asked(&self, name: &str, value: &str) -> bool {
        self.asked(name) == value
    }

    /// States, each with its word.
    fn states(&self) -> Vec<(&'static str, String)> {
        states(self.lang)
    }

    /// Why deliveries are dead letters, each with its word.
    fn reasons(&self) -> Vec<(&'static str, String)> {
        let all = DeathReason::ALL.map(DeathReason::as_str);
        all.map(|code| (code, super::shown::word(self.lang, Words::Death, code)))
            .into()
    }
}

/// States of deliveries, each with its word.
pub(super) fn states(lang: Lang) -> Vec<(&'static str, String)> {
    let all = StateName::ALL.map(StateName::as_str);
    all.map(|code| (code, super::shown::word(lang, Words::State, code)))
        .into()
}

/// `GET /deliveries`
pub(super) async fn list(desk: Desk) -> Answer {
    let mut asked = desk.asked();
    asked
        .entry("order".to_owned())
        .or_insert_with(|| "newest".to_owned());
    let rows: Rows = read(desk.api.deliveries(&query_of(&asked)).await?)?;
    page(&Deliveries {
        frame: desk.frame(Place::Deliveries),
        lang: desk.lang,
        next: rows.next.map(|cursor| next(&asked, &cursor)),
        rows: rows.items,
        sinks: desk.sinks(),
        targets: desk.configured_sinks(),
        asked,
    })
}

/// An attempt.
#[derive(Deserialize)]
pub(super) struct Attempt {
    pub(super) number: u32,
    pub(super) started_at: String,
    pub(super) duration_ms: u64,
    pub(super) outcome: String,
    pub(super) rule: String,
    pub(super) reason: String,
    receipt: String,
    request: String,
    response: String,
    config_revision: String,
}

/// A delivery by itself.
#[derive(Deserialize)]
pub(super) struct Detail {
    #[serde(flatten)]
    summary: Summary,
    advice: Option<String>,
    advice_zh: Option<String>,
    /// The newest attempts, oldest first.
    pub(super) history: Vec<Attempt>,
}

/// What would be sent now.
#[derive(Deserialize)]
struct Preview {
    now: Option<String>,
    cannot: Option<String>,
    cannot_zh: Option<String>,
    difference: Option<Vec<Change>>,
}

impl Preview {
    /// As commands of curl, if it is what curl sends.
    fn curl(&self) -> Option<String> {
        curl::of(self.now.as_deref()?)
    }
}

#[derive(Deserialize)]
pub(super) struct Change {
    pub(super) at: String,
    pub(super) before: Option<String>,
    pub(super) now: Option<String>,
}

#[derive(Template)]
#[template(path = "delivery.html")]
struct Delivery {
    frame: Frame,
    lang: Lang,
    one: Summary,
    advice: Option<String>,
    /// The newest first.
    attempts: Vec<Attempt>,
    preview: Option<Preview>,
    /// The revision of the configuration that runs.
    running: Option<String>,
}

impl Delivery {
    /// Whether an attempt was made with the configuration that runs now.
    fn is_of_now(&self, attempt: &Attempt) -> bool {
        self.running.as_deref() == Some(&attempt.config_revision)
    }
}

/// `GET /deliveries/{id}`; with `?preview=now` also what would be sent.
pub(super) async fn show(desk: Desk, path: web::Path<String>) -> Answer {
    let detail: Detail = read(desk.api.delivery(&path, "").await?)?;
    let preview = if desk.asked().contains_key("preview") {
        Some(read(desk.api.preview(&path, "").await?)?)
    } else {
        None
    };
    let configured = desk.api.admin().configured.get();
    let running = configured.revision.as_ref();
    page(&Delivery {
        frame: desk.frame(Place::Deliveries),
        lang: desk.lang,
        one: detail.summary,
        advice: desk.lang.pick(detail.advice, detail.advice_zh),
        running: running.map(|running| running.hash.clone()),
        attempts: detail.history.into_iter().rev().collect(),
        preview,
    })
}

fn back(id: &str) -> String {
    format!("/deliveries/{id}")
}

/// `POST /deliveries/{id}/retry`
pub(super) async fn retry(desk: Desk, path: web::Path<String>, form: Form) -> Answer {
    let force: Value = json!({ "force": form.has("force") });
    desk.api.retry(&path, &force).await?;
    let flash = Flash::new(
        ("The delivery is tried again now.", "正在重新投递。"),
        (
            "Until it is sent it can be cancelled below; what was sent cannot be taken back.",
            "发出之前可在下方取消；已发出的无法收回。",
        ),
    );
    Ok(desk.done(&back(&path), flash))
}

/// `POST /deliveries/{id}/cancel`
pub(super) async fn cancel(desk: Desk, path: web::Path<String>, _: Form) -> Answer {
    desk.api.cancel(&path).await?;
    let flash = Flash::new(
        ("The delivery was cancelled.", "投递已取消。"),
        ("To undo it, try it again.", "如需撤销，请重新投递。"),
    );
    Ok(desk.done(&back(&path), flash))
}

/// `POST /deliveries/{id}/done`
pub(super) async fn done(desk: Desk, path: web::Path<String>, form: Form) -> Answer {
    let wish = json!({ "note": form.or_empty("note") });
    desk.api.done(&path, &wish).await?;
    let flash = Flash::new(
        ("The delivery counts as done by hand.", "已记为人工完成。"),
        (
            "To undo it, try it again and say that it is to be sent all the same.",
            "如需撤销，请重新投递，并勾选“仍然发送”。",
        ),
    );
    Ok(desk.done(&back(&path), flash))
}
