//! The mapping tester: a lead, the sink's settings to edit, and what would be sent by both. It
//! saves nothing: the page ends with the TOML to paste and what to do next.

use actix_web::web;
use askama::Template;
use serde::Deserialize;
use serde_json::{Value, json};

use super::desk::{Answer, Desk, page, read};
use super::form::Form;
use super::frame::{Frame, Place};
use crate::admin::{Kind, LARGEST_RENDER, Problem};
use crate::lang::Lang;

/// Bytes of a form: what the API takes, as browsers send it.
pub(super) const LARGEST: usize = 2 * LARGEST_RENDER;

/// How the sink stands in the files.
#[derive(Deserialize)]
struct Written {
    settings: String,
    file: String,
}

/// What would be sent.
#[derive(Deserialize)]
struct Rendered {
    of: Of,
    now: Side,
    edited: Option<Side>,
    difference: Option<Vec<Line>>,
    settings: Option<String>,
    report: Option<String>,
    report_zh: Option<String>,
}

#[derive(Deserialize)]
struct Of {
    kind: String,
    lead: Option<String>,
    revision: Option<u32>,
}

#[derive(Deserialize)]
struct Side {
    wanted: Option<bool>,
    request: Option<String>,
    cannot: Option<String>,
    cannot_zh: Option<String>,
}

impl Side {
    /// Whether the sink wants the lead: a word and its colour.
    fn wanted(&self, lang: Lang) -> super::shown::Markup {
        let (word, tone) = match self.wanted {
            Some(true) => (lang.pick("wants this lead", "接收这条客资"), "good"),
            Some(false) => (
                lang.pick("does not want this lead", "不接收这条客资"),
                "warn",
            ),
            None => (
                lang.pick("cannot tell whether it wants it", "无法判断是否接收"),
                "bad",
            ),
        };
        super::shown::chip(word, tone)
    }

    fn cannot(&self, lang: Lang) -> Option<&str> {
        let zh = self.cannot_zh.as_ref().or(self.cannot.as_ref());
        lang.pick(self.cannot.as_deref(), zh.map(String::as_str))
    }
}

#[derive(Deserialize)]
struct Line {
    change: String,
    text: String,
}

impl Line {
    /// What a difference has in front of such a line, and how it is read aloud.
    fn sign(&self, lang: Lang) -> Option<(&'static str, &'static str)> {
        match self.change.as_str() {
            "removed" => Some(("−", lang.pick("removed", "删去"))),
            "added" => Some(("+", lang.pick("added", "新增"))),
            _ => None,
        }
    }
}

/// Why nothing could be shown.
struct Refused {
    detail: String,
    report: Option<String>,
}

impl Refused {
    fn of(lang: Lang, problem: &Problem) -> Self {
        let (en, zh) = problem.both();
        let report = problem.more(lang.pick("report", "report_zh"));
        Self {
            detail: lang.pick(en, zh),
            report: report.and_then(Value::as_str).map(str::to_owned),
        }
    }
}

/// What somebody wrote into the form.
#[derive(Default)]
struct Typed {
    /// Of a lead or of a delivery.
    id: String,
    push: String,
    settings: String,
}

#[derive(Template)]
#[template(path = "mapping.html")]
struct Mapping {
    frame: Frame,
    lang: Lang,
    name: String,
    file: String,
    typed: Typed,
    refused: Option<Refused>,
    rendered: Option<Rendered>,
}

impl Mapping {
    fn report(&self) -> Option<&str> {
        let rendered = self.rendered.as_ref()?;
        let report = self.lang.pick(&rendered.report, &rendered.report_zh);
        report.as_deref()
    }
}

/// `GET /sinks/{name}/mapping`: the form with the settings that run, and what they would send.
pub(super) async fn show(desk: Desk, path: web::Path<String>) -> Answer {
    let written: Written = read(desk.api.settings(&path, "").await?)?;
    let typed = Typed {
        id: desk.asked().remove("id").unwrap_or_default(),
        settings: written.settings.clone(),
        ..Typed::default()
    };
    tried(&desk, &path, written, typed, false).await
}

/// `POST /sinks/{name}/mapping`: what the edited settings would send. Nothing is changed.
pub(super) async fn render(desk: Desk, path: web::Path<String>, form: Form) -> Answer {
    let written: Written = read(desk.api.settings(&path, "").await?)?;
    let text = |name| form.or_empty(name).to_owned();
    let typed = Typed {
        id: text("id"),
        push: text("push"),
        settings: text("settings"),
    };
    tried(&desk, &path, written, typed, true).await
}

async fn tried(desk: &Desk, name: &str, written: Written, typed: Typed, edited: bool) -> Answer {
    let wish = |by: &str| {
        let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        json!({
            by: given(&typed.id),
            "push": given(&typed.push),
            "settings": edited.then(|| typed.settings.clone()),
        })
    };
    let mut answer = desk.api.render(name, &wish("lead")).await;
    let is_no_lead = answer
        .as_ref()
        .is_err_and(|problem| problem.kind() == Kind::NotFound);
    if is_no_lead && !typed.id.is_empty() {
        // The id may be a delivery's: of both there are ids of the same form.
        answer = desk.api.render(name, &wish("delivery")).await;
    }
    let (rendered, refused) = match answer {
        Ok(answer) => (Some(read(answer)?), None),
        Err(problem) if is_of_the_form(problem.kind()) => {
            (None, Some(Refused::of(desk.lang, &problem)))
        }
        Err(problem) => return Err(problem),
    };
    page(&Mapping {
        frame: desk.frame(Place::Sinks),
        lang: desk.lang,
        name: name.to_owned(),
        file: written.file,
        typed,
        refused,
        rendered,
    })
}

/// Whether what was typed is wrong, so that it is to be shown again.
fn is_of_the_form(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::BadBody | Kind::BadId | Kind::NotFound | Kind::TooLarge | Kind::BadConfiguration
    )
}
