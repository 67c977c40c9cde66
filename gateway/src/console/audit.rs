//! The audit log: who did what, and whether an entry was taken out. An admin's.

use std::collections::BTreeMap;

use actix_web::HttpResponse;
use actix_web::http::header::{
    CONTENT_DISPOSITION, CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS,
};
use askama::Template;
use serde::Deserialize;

use super::desk::{Answer, Desk, next, page, query_of, read};
use super::form::Form;
use super::frame::{Frame, Place};
use super::shown;
use crate::lang::Lang;
use crate::outbox::{AuditAction, AuditResult};
use crate::words::{self, Words};

/// What picks entries.
const FILTERS: [&str; 5] = ["who", "action", "result", "since", "until"];

/// An entry.
#[derive(Deserialize)]
struct Entry {
    number: u64,
    at: String,
    who: String,
    role: String,
    via: String,
    peer: Option<String>,
    action: String,
    target: String,
    filter: String,
    count: Option<u64>,
    note: String,
    result: String,
    problem: Option<String>,
}

impl Entry {
    fn action(&self, lang: Lang) -> String {
        shown::word(lang, Words::Audit, &self.action)
    }

    fn result(&self, lang: Lang) -> String {
        shown::word(lang, Words::AuditResult, &self.result)
    }

    fn tone(&self) -> &'static str {
        match self.result.as_str() {
            "done" => "good",
            "begun" => "wait",
            "refused" => "warn",
            _ => "bad",
        }
    }

    fn role(&self, lang: Lang) -> &str {
        words::role(lang, &self.role)
    }

    fn via(&self, lang: Lang) -> &str {
        words::via(lang, &self.via)
    }

    /// The page of what it was done to, if it has one.
    fn link(&self) -> Option<String> {
        let (thing, _) = self.action.split_once('.')?;
        let room = match thing {
            "delivery" => "deliveries",
            "leads" => "leads",
            "bulk" => "bulk",
            "quarantine" => "quarantine",
            _ => return None,
        };
        let is_id = uuid::Uuid::try_parse(&self.target).is_ok();
        is_id.then(|| format!("/{room}/{}", self.target))
    }
}

#[derive(Deserialize)]
struct Rows {
    items: Vec<Entry>,
    next: Option<String>,
}

/// How the log is.
#[derive(Deserialize)]
struct Verified {
    entries: u64,
    first: u64,
    last: u64,
    chain: String,
    sound: bool,
    broken: Option<Broken>,
}

#[derive(Deserialize)]
struct Broken {
    at: u64,
    detail: String,
    detail_zh: String,
}

#[derive(Template)]
#[template(path = "audit.html")]
struct List {
    frame: Frame,
    lang: Lang,
    rows: Vec<Entry>,
    next: Option<String>,
    verified: Option<Verified>,
    asked: BTreeMap<String, String>,
}

impl List {
    fn asked(&self, name: &str) -> &str {
        self.asked.get(name).map_or("", String::as_str)
    }

    fn is_asked(&self, name: &str, value: &str) -> bool {
        self.asked(name) == value
    }

    /// Actions, each with its word.
    fn actions(&self) -> Vec<(&'static str, String)> {
        let all = AuditAction::ALL.map(AuditAction::as_str);
        all.map(|code| (code, shown::word(self.lang, Words::Audit, code)))
            .into()
    }

    /// Results, each with its word.
    fn results(&self) -> Vec<(&'static str, String)> {
        AuditResult::NAMES
            .map(|code| (code, shown::word(self.lang, Words::AuditResult, code)))
            .into()
    }

    /// The same page with the log held against its chain.
    fn verify(&self) -> String {
        let mut asked = self.asked.clone();
        asked.insert("verify".to_owned(), "now".to_owned());
        format!("/audit?{}", query_of(&asked))
    }
}

/// `GET /audit`
pub(super) async fn list(desk: Desk) -> Answer {
    let asked = desk.asked();
    let mut of_api = asked.clone();
    let verify = of_api.remove("verify").is_some();
    let rows: Rows = read(desk.api.audit(&query_of(&of_api)).await?)?;
    let verified = if verify {
        Some(read(desk.api.audit_state("").await?)?)
    } else {
        None
    };
    page(&List {
        frame: desk.frame(Place::Audit),
        lang: desk.lang,
        next: rows.next.map(|cursor| next(&of_api, &cursor)),
        rows: rows.items,
        verified,
        asked,
    })
}

/// `POST /audit/export`: a file of JSON lines.
pub(super) async fn export(desk: Desk, form: Form) -> Answer {
    let asked = FILTERS.iter().filter_map(|name| {
        let value = form.text(name)?;
        Some(((*name).to_owned(), value.to_owned()))
    });
    let asked: BTreeMap<String, String> = asked.collect();
    let mut answer: HttpResponse = desk.api.audit_export(&query_of(&asked)).await?;
    let headers = answer.headers_mut();
    for (name, value) in [
        (CONTENT_TYPE, "application/x-ndjson"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (
            CONTENT_DISPOSITION,
            "attachment; filename=\"leadgate-audit.jsonl\"",
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    Ok(answer)
}
