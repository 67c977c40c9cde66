//! The quarantine: pushes that were kept aside, and what a person decides about one.
//!
//! What a push would become stands beside it before it is released; one by which nobody could be
//! called is asked about first. What was pushed is shown only to who says why.

use std::collections::BTreeMap;

use actix_web::web;
use askama::Template;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::desk::{Answer, Desk, next, page, query_of, read};
use super::fields;
use super::form::Form;
use super::frame::{Flash, Frame, Place};
use super::leads::{plain, revealing};
use super::shown;
use crate::lang::{Lang, Text};
use crate::outbox::Role;
use crate::source::QUARANTINE_REASONS;
use crate::words::Words;

/// A push in quarantine.
#[derive(Deserialize)]
struct Push {
    id: String,
    source: String,
    reason: String,
    received_at: String,
    pushed_at: Option<String>,
    clock_difference_seconds: Option<i64>,
    request_id: Option<String>,
    content_type: String,
    bytes: u64,
}

impl Push {
    fn why(&self, lang: Lang) -> String {
        shown::word(lang, Words::Quarantine, &self.reason)
    }
}

/// How much of a source is there.
#[derive(Deserialize)]
struct Count {
    source: String,
    entries: u64,
    bytes: u64,
    not_kept: u64,
    last_not_kept_at: Option<String>,
}

#[derive(Deserialize)]
struct Rows {
    items: Vec<Push>,
    next: Option<String>,
    counts: Vec<Count>,
}

#[derive(Template)]
#[template(path = "quarantine.html")]
struct List {
    frame: Frame,
    lang: Lang,
    rows: Rows,
    next: Option<String>,
    sources: Vec<String>,
    asked: BTreeMap<String, String>,
}

impl List {
    fn asked(&self, name: &str) -> &str {
        self.asked.get(name).map_or("", String::as_str)
    }

    fn is_asked(&self, name: &str, value: &str) -> bool {
        self.asked(name) == value
    }

    /// What can be planned for all that match: the action, its words, its colour.
    fn plans(&self) -> [(&'static str, &'static str, &'static str); 2] {
        [
            (
                "release",
                self.lang
                    .pick("Plan to release all that match", "计划放行全部符合的"),
                "",
            ),
            (
                "discard",
                self.lang
                    .pick("Plan to discard all that match", "计划丢弃全部符合的"),
                "grave",
            ),
        ]
    }

    /// Reasons, each with its word.
    fn reasons(&self) -> Vec<(&'static str, String)> {
        QUARANTINE_REASONS
            .map(|code| (code, shown::word(self.lang, Words::Quarantine, code)))
            .into()
    }
}

/// `GET /quarantine`
pub(super) async fn list(desk: Desk) -> Answer {
    let asked = desk.asked();
    let rows: Rows = read(desk.api.quarantine(&query_of(&asked)).await?)?;
    let configured = desk.api.admin().configured.get();
    // Of one that is not configured any more there may still be some.
    let kept = rows.counts.iter().map(|count| &count.source);
    let sources: std::collections::BTreeSet<_> = configured.sources.iter().chain(kept).collect();
    page(&List {
        frame: desk.frame(Place::Quarantine),
        lang: desk.lang,
        sources: sources.into_iter().cloned().collect(),
        next: rows.next.as_deref().map(|cursor| next(&asked, cursor)),
        rows,
        asked,
    })
}

/// The lead that a push would be.
#[derive(Deserialize)]
struct Becomes {
    lead: Map<String, Value>,
    sinks: Vec<String>,
    reachable: bool,
}

impl Becomes {
    fn has(&self, name: &str) -> bool {
        self.lead.get(name).is_some_and(|value| {
            // A mask of nothing is nothing.
            !plain(value).trim().is_empty()
        })
    }

    /// Whether whoever gets it could neither call anybody nor know whom.
    fn is_of_nobody(&self) -> bool {
        !self.has("phone") && !self.has("name")
    }

    /// Whether a person is asked before it is released.
    fn asks(&self) -> bool {
        self.is_of_nobody() || !self.reachable
    }

    /// Whether nothing in it could be read.
    fn is_unread(&self) -> bool {
        let other = self.lead.get("other").and_then(Value::as_object);
        other.is_some_and(|other| other.contains_key("unread"))
    }

    /// Its fields, masked: what each is called, its name, its value.
    fn fields(&self, lang: Lang) -> Vec<(&str, &str, String)> {
        let known = self.lead.iter();
        let known = known.filter(|(name, value)| *name != "other" && !plain(value).is_empty());
        known
            .map(|(name, value)| (fields::title(lang, name), name.as_str(), plain(value)))
            .collect()
    }

    /// Names of the sender's own fields.
    fn others(&self) -> Vec<&str> {
        let other = self.lead.get("other").and_then(Value::as_object);
        let names = other.into_iter().flatten().map(|(name, _)| name.as_str());
        names.filter(|name| *name != "unread").collect()
    }

    /// What a lead usually has, and this one has not.
    fn missing(&self, lang: Lang) -> Vec<&str> {
        let all = ["name", "phone", "record_id", "city_name"];
        let all = all.into_iter().filter(|name| !self.has(name));
        all.map(|name| fields::title(lang, name)).collect()
    }
}

#[derive(Deserialize)]
struct One {
    #[serde(flatten)]
    push: Push,
    query: Option<String>,
    body: Option<String>,
    body_base64: Option<String>,
    becomes: Option<Becomes>,
}

#[derive(Template)]
#[template(path = "quarantined.html")]
struct OnePage {
    frame: Frame,
    lang: Lang,
    one: One,
    /// Whether a release was asked for, and something is to be said first.
    is_asked: bool,
}

async fn one(desk: &Desk, id: &str, query: &str, is_asked: bool) -> Answer {
    let one: One = read(desk.api.quarantined(id, query).await?)?;
    page(&OnePage {
        frame: desk.frame(Place::Quarantine),
        lang: desk.lang,
        one,
        is_asked,
    })
}

/// `GET /quarantine/{id}`
pub(super) async fn show(desk: Desk, id: web::Path<String>) -> Answer {
    one(&desk, &id, "", false).await
}

/// `POST /quarantine/{id}`: shows what was pushed.
pub(super) async fn reveal(desk: Desk, id: web::Path<String>, form: Form) -> Answer {
    let query = revealing(&form)?;
    one(&desk, &id, &query, false).await
}

#[derive(Deserialize)]
struct Released {
    lead: String,
    duplicate: bool,
}

/// `POST /quarantine/{id}/release`
pub(super) async fn release(desk: Desk, id: web::Path<String>, form: Form) -> Answer {
    desk.takes(Role::Operator)?;
    let sure = form.has("sure");
    if !sure {
        let found: One = read(desk.api.quarantined(&id, "").await?)?;
        if found.becomes.is_some_and(|becomes| becomes.asks()) {
            return one(&desk, &id, "", true).await;
        }
    }
    let wish = json!({ "force": sure });
    let released: Released = read(desk.api.release(&id, &wish).await?)?;
    let done = if released.duplicate {
        Text::new(
            "The push was released: this lead was there already, and is not delivered again.",
            "推送已放行：这条客资原本就有，不会重复投递。",
        )
    } else {
        Text::new(
            "The push was released as this lead, and goes to the sinks that want it.",
            "推送已放行，成为这条客资，并投递到需要它的目的地。",
        )
    };
    let undo = Text::new(
        "It does not go back into quarantine. To undo it, cancel the deliveries that wait, or erase the lead.",
        "无法退回隔离区。如需撤销，请取消尚在等待的投递，或擦除这条客资。",
    );
    let to = format!("/leads/{}", released.lead);
    Ok(desk.done(&to, Flash::new(done, undo)))
}

/// `POST /quarantine/{id}/discard`
pub(super) async fn discard(desk: Desk, id: web::Path<String>, _: Form) -> Answer {
    desk.api.discard(&id).await?;
    let flash = Flash::new(
        ("The push was discarded.", "推送已丢弃。"),
        (
            "It cannot be undone here; the sender can push it again.",
            "此处无法撤销；发送方可以重推。",
        ),
    );
    Ok(desk.done("/quarantine", flash))
}
