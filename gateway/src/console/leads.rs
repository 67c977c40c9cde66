//! Leads: find them, and one with all that is known of it.
//!
//! Who it is shows masked, and whole only to who says why; what was searched for is posted and
//! stands in no address.

use std::collections::BTreeMap;

use actix_web::web;
use askama::Template;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::deliveries::{self, Summary};
use super::desk::{Answer, Desk, next, page, query_of, read};
use super::erasing;
use super::fields::{self, GROUPS};
use super::form::Form;
use super::frame::{Frame, Place};
use super::never::Never;
use super::timeline::{self, Event, What};
use crate::admin::{Kind, Problem};
use crate::lang::Lang;
use crate::outbox::{FindBy, LeadId, made_at};

/// A lead in a list.
#[derive(Deserialize)]
struct Row {
    id: String,
    source: String,
    #[serde(default)]
    record_id: Value,
    revisions: usize,
    last_received_at: String,
    sinks: BTreeMap<String, String>,
    /// Masked.
    #[serde(skip)]
    glimpse: Value,
}

impl Row {
    fn field(&self, name: &str) -> String {
        plain(&self.glimpse[name])
    }

    fn record(&self) -> String {
        plain(&self.record_id)
    }
}

/// A value as text; nothing for `null`.
pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[derive(Deserialize)]
struct Rows {
    items: Vec<Row>,
    #[serde(default)]
    next: Option<String>,
}

#[derive(Template)]
#[template(path = "leads.html")]
struct Leads {
    frame: Frame,
    lang: Lang,
    rows: Vec<Row>,
    /// The next page.
    next: Option<String>,
    sources: Vec<String>,
    sinks: Vec<String>,
    /// What was asked for, to be shown in the form again.
    asked: BTreeMap<String, String>,
    /// Searched by that, if it was a search.
    by: Option<&'static str>,
    /// What was searched for, if that names one person.
    person: Option<String>,
}

impl Leads {
    fn asked(&self, name: &str) -> &str {
        self.asked.get(name).map_or("", String::as_str)
    }

    fn states(&self) -> Vec<(&'static str, String)> {
        deliveries::states(self.lang)
    }

    fn is_asked(&self, name: &str, value: &str) -> bool {
        self.asked(name) == value
    }

    /// What can be searched by, with its words and whether it was.
    fn ways(&self) -> Vec<(&'static str, &'static str, bool)> {
        let ways = FindBy::ALL.into_iter().filter(|by| *by != FindBy::PhoneEnd);
        let ways = ways.map(|by| {
            (
                by.as_str(),
                way(self.lang, by),
                self.by == Some(by.as_str()),
            )
        });
        ways.collect()
    }
}

fn way(lang: Lang, by: FindBy) -> &'static str {
    match by {
        FindBy::Phone => lang.pick("Phone, whole or the last four", "手机号（完整或后四位）"),
        FindBy::RecordId => lang.pick("Record id", "客资 ID"),
        FindBy::OrderNum => lang.pick("Reservation order", "预约订单"),
        FindBy::Nick => lang.pick("Taobao nick", "淘宝 NICK"),
        FindBy::Openid => lang.pick("Taobao id (openid)", "淘宝加密 ID（openid）"),
        FindBy::PhoneEnd => lang.pick("Last four of the phone", "手机号后四位"),
    }
}

async fn rows(desk: &Desk, answer: Value) -> Result<Rows, Problem> {
    let mut rows: Rows = read(answer)?;
    let ids = rows.items.iter().filter_map(|row| row.id.parse().ok());
    let ids: Vec<LeadId> = ids.map(LeadId).collect();
    for (row, glimpse) in rows.items.iter_mut().zip(desk.api.glimpses(ids).await?) {
        row.glimpse = glimpse;
    }
    Ok(rows)
}

/// `GET /leads`
pub(super) async fn list(desk: Desk) -> Answer {
    let asked = desk.asked();
    let rows = rows(&desk, desk.api.leads(&query_of(&asked)).await?).await?;
    page(&Leads {
        frame: desk.frame(Place::Leads),
        lang: desk.lang,
        next: rows.next.map(|cursor| next(&asked, &cursor)),
        rows: rows.items,
        sources: desk.api.admin().configured.get().sources.clone(),
        sinks: desk.sinks(),
        asked,
        by: None,
        person: None,
    })
}

/// `POST /leads`
pub(super) async fn search(desk: Desk, form: Form) -> Answer {
    let by = form.text("by").unwrap_or(FindBy::Phone.as_str());
    let value = form.or_empty("value");
    let wish = json!({ "by": by, "value": value });
    let rows = rows(&desk, desk.api.search(&wish).await?).await?;
    let by = FindBy::ALL.into_iter().find(|one| one.as_str() == by);
    let is_one = !rows.items.is_empty() && by.is_some_and(|by| erasing::is_whole(by, value));
    page(&Leads {
        frame: desk.frame(Place::Leads),
        lang: desk.lang,
        rows: rows.items,
        next: None,
        sources: desk.api.admin().configured.get().sources.clone(),
        sinks: desk.sinks(),
        asked: BTreeMap::new(),
        by: by.map(FindBy::as_str),
        person: is_one.then(|| value.to_owned()),
    })
}

#[derive(Deserialize)]
struct Revision {
    #[serde(rename = "revision")]
    number: u32,
    received_at: String,
    lead: Map<String, Value>,
    labels: Map<String, Value>,
}

impl Revision {
    /// A field with what the merchant's table calls it.
    fn field(&self, name: &str) -> String {
        let value = self.lead.get(name).map(plain).unwrap_or_default();
        match self.labels.get(name).and_then(Value::as_str) {
            Some(label) if !value.is_empty() => format!("{label} · {value}"),
            _ => value,
        }
    }

    /// Fields that the document does not name.
    fn others(&self) -> Vec<(String, String)> {
        let others = self.lead.get("other").and_then(Value::as_object);
        let others = others.into_iter().flatten();
        others
            .map(|(name, value)| (name.clone(), plain(value)))
            .collect()
    }
}

#[derive(Deserialize)]
struct One {
    id: String,
    source: Option<String>,
    unrouted: bool,
    revealed: bool,
    revisions: Vec<Revision>,
    deliveries: Vec<Summary>,
    never: Vec<Never>,
}

/// A group of fields of the newest revision: what each is called, its name, its value.
type Shown = Vec<(&'static str, &'static str, String)>;

#[derive(Template)]
#[template(path = "lead.html")]
struct LeadPage {
    frame: Frame,
    lang: Lang,
    lead: One,
    groups: Vec<(&'static str, Shown)>,
    others: Vec<(String, String)>,
    events: Vec<Event>,
    /// Sinks that it can be replayed to.
    sinks: Vec<String>,
    /// From when to when this lead was made, and hardly another.
    made: Option<(String, String)>,
    raw: Option<String>,
}

fn groups(lang: Lang, newest: &Revision) -> Vec<(&'static str, Shown)> {
    let groups = GROUPS.iter().map(|group| {
        let fields = group
            .fields
            .iter()
            .map(|(name, (en, zh))| (lang.pick(*en, *zh), *name, newest.field(name)));
        (lang.pick(group.title.0, group.title.1), fields.collect())
    });
    groups.collect()
}

/// What each revision changed of the one before.
fn changes(lang: Lang, revisions: &[Revision]) -> Vec<(u32, String, Vec<String>)> {
    let mut before: Option<&Revision> = None;
    let each = revisions.iter().map(|this| {
        let names = this.lead.keys().filter(|name| {
            before.is_some_and(|before| before.lead.get(*name) != this.lead.get(*name))
        });
        let names = names
            .map(|name| fields::title(lang, name).to_owned())
            .collect();
        before = Some(this);
        (this.number, this.received_at.clone(), names)
    });
    each.collect()
}

/// From when to when a lead was made: its id says it to the millisecond.
fn made(id: &str) -> Option<(String, String)> {
    let at = made_at(id.parse().ok()?);
    let text = |at| jiff::Timestamp::from_millisecond(at).ok();
    Some((format!("{:.3}", text(at)?), format!("{:.3}", text(at + 1)?)))
}

async fn one(desk: &Desk, id: &str, query: &str, raw: Option<String>) -> Answer {
    let lead: One = read(desk.api.lead(id, query).await?)?;
    let newest = lead.revisions.last();
    let revisions = changes(desk.lang, &lead.revisions);
    let events = timeline::of(desk, revisions, &lead.deliveries).await?;
    page(&LeadPage {
        frame: desk.frame(Place::Leads),
        lang: desk.lang,
        groups: newest
            .map(|newest| groups(desk.lang, newest))
            .unwrap_or_default(),
        others: newest.map(Revision::others).unwrap_or_default(),
        events,
        sinks: desk.configured_sinks(),
        made: made(&lead.id),
        lead,
        raw,
    })
}

/// `GET /leads/{id}`
pub(super) async fn show(desk: Desk, path: web::Path<String>) -> Answer {
    one(&desk, &path, "", None).await
}

/// Asks for a person, for a reason that is recorded.
pub(super) fn revealing(form: &Form) -> Result<String, Problem> {
    let reason = form.or_empty("reason");
    let letters = reason.chars().count();
    if !(2..=200).contains(&letters) || reason.chars().any(char::is_control) {
        let detail = (
            "say why, in 2 to 200 characters: it is recorded",
            "请说明原因（2 到 200 字），会被记录",
        );
        return Err(Problem::new(Kind::BadBody, detail));
    }
    let note = utf8_percent_encode(reason, NON_ALPHANUMERIC);
    Ok(format!("reveal=true&note={note}"))
}

/// `POST /leads/{id}`: shows who it is.
pub(super) async fn reveal(desk: Desk, path: web::Path<String>, form: Form) -> Answer {
    let query = revealing(&form)?;
    let raw = if form.has("raw") {
        let answer = desk.api.raw(&path, &query).await?;
        answer["raw"].as_str().map(str::to_owned)
    } else {
        None
    };
    one(&desk, &path, &query, raw).await
}
