//! Recent pushes: what became of each, why, and what to do; one with what was signed of it.

use std::collections::BTreeMap;

use actix_web::web;
use askama::Template;
use serde::Deserialize;

use super::desk::{Answer, Desk, page, query_of, read};
use super::frame::{Frame, Place};
use super::shown::{self, Markup};
use crate::lang::Lang;
use crate::telemetry::pushes::{PushClass, PushVerdict};
use crate::words::{self, Words};

/// A push.
#[derive(Deserialize)]
struct Push {
    number: u64,
    at: String,
    source: Option<String>,
    verdict: String,
    class: String,
    reason: Option<String>,
    status: u16,
    peer: Option<String>,
    bytes: u64,
    duration_ms: u64,
    clock_difference_seconds: Option<i64>,
    lead: Option<String>,
    quarantine: Option<String>,
    explanation: String,
    explanation_zh: String,
    advice: Option<String>,
    advice_zh: Option<String>,
    is_explained: bool,
}

impl Push {
    /// What became of it, with a colour.
    fn chip(&self, lang: Lang) -> Markup {
        let word = shown::word(lang, Words::Push, &self.verdict);
        shown::chip(&word, tone(&self.class))
    }

    fn why(&self, lang: Lang) -> Option<String> {
        let reason = self.reason.as_deref()?;
        Some(shown::word(lang, Words::PushReason, reason))
    }

    fn means(&self, lang: Lang) -> Markup {
        shown::told(lang.pick(&self.explanation, &self.explanation_zh))
    }

    fn todo(&self, lang: Lang) -> Option<Markup> {
        let text = lang.pick(self.advice.as_deref(), self.advice_zh.as_deref());
        text.map(shown::told)
    }
}

/// The colour of a class of verdicts.
fn tone(class: &str) -> &'static str {
    match class {
        "taken" => "good",
        "set_aside" | "not_authentic" => "warn",
        "not_taken" => "bad",
        _ => "still",
    }
}

/// How many there were of a class.
#[derive(Deserialize)]
struct OfClass {
    class: String,
    count: u64,
    last_at: Option<String>,
}

impl OfClass {
    fn title(&self, lang: Lang) -> String {
        shown::word(lang, Words::Pushes, &self.class)
    }
}

#[derive(Deserialize)]
struct Rows {
    items: Vec<Push>,
    counts: Vec<OfClass>,
    kept: usize,
}

#[derive(Template)]
#[template(path = "pushes.html")]
struct Pushes {
    frame: Frame,
    lang: Lang,
    rows: Rows,
    sources: Vec<String>,
    asked: BTreeMap<String, String>,
}

impl Pushes {
    fn is_asked(&self, name: &str, value: &str) -> bool {
        self.asked.get(name).is_some_and(|asked| asked == value)
    }

    /// Verdicts, each with its word.
    fn verdicts(&self) -> Vec<(&'static str, String)> {
        let all = PushVerdict::ALL.map(PushVerdict::as_str);
        all.map(|code| (code, shown::word(self.lang, Words::Push, code)))
            .into()
    }

    /// Classes, each with its word.
    fn classes(&self) -> Vec<(&'static str, String)> {
        let all = PushClass::ALL.map(PushClass::as_str);
        all.map(|code| (code, shown::word(self.lang, Words::Pushes, code)))
            .into()
    }

    /// Whether anything was asked for that not every push is.
    fn is_filtered(&self) -> bool {
        ["verdict", "class", "source"]
            .iter()
            .any(|name| self.asked.contains_key(*name))
    }
}

/// `GET /pushes`
pub(super) async fn list(desk: Desk) -> Answer {
    let asked = desk.asked();
    let rows: Rows = read(desk.api.pushes(&query_of(&asked)).await?)?;
    page(&Pushes {
        frame: desk.frame(Place::Pushes),
        lang: desk.lang,
        rows,
        sources: desk.api.admin().configured.get().sources.clone(),
        asked,
    })
}

/// What was signed of a push that was refused.
#[derive(Deserialize)]
struct Signature {
    finding: String,
    finding_zh: String,
    advice: Option<String>,
    advice_zh: Option<String>,
    how: String,
    charset: String,
    text: String,
    order: Vec<String>,
    given: Option<Given>,
    expected_length: usize,
    secrets: u64,
    oddities: Vec<String>,
    clue: Option<serde_json::Value>,
}

impl Signature {
    fn found(&self, lang: Lang) -> Markup {
        shown::told(lang.pick(&self.finding, &self.finding_zh))
    }

    fn todo(&self, lang: Lang) -> Option<Markup> {
        let text = lang.pick(self.advice.as_deref(), self.advice_zh.as_deref());
        text.map(shown::told)
    }

    /// What the signature that came looks like.
    fn came(&self, lang: Lang) -> String {
        let Some(given) = &self.given else {
            return lang.pick("none", "没有").to_owned();
        };
        let (length, expected) = (given.length, self.expected_length);
        match given.shape.as_str() {
            "right" => given.ends.clone().unwrap_or_default(),
            "lower_case" => {
                let ends = given.ends.as_deref().unwrap_or_default();
                lang.pick(
                    format!("{ends}, in small letters"),
                    format!("{ends}，是小写"),
                )
            }
            "length" => lang.pick(
                format!("{length} characters instead of {expected}"),
                format!("{length} 个字符，应为 {expected} 个"),
            ),
            _ => lang.pick(
                format!("not {expected} digits of hex"),
                format!("不是 {expected} 位十六进制数字"),
            ),
        }
    }

    fn odd(&self, lang: Lang) -> Vec<&str> {
        let all = self.oddities.iter();
        all.map(|code| words::oddity(lang, code)).collect()
    }
}

#[derive(Deserialize)]
struct Given {
    length: usize,
    shape: String,
    ends: Option<String>,
}

#[derive(Deserialize)]
struct WithSignature {
    #[serde(flatten)]
    push: Push,
    signature: Option<Signature>,
}

#[derive(Template)]
#[template(path = "push.html")]
struct One {
    frame: Frame,
    lang: Lang,
    push: Push,
    signature: Option<Signature>,
}

/// `GET /pushes/{number}`
pub(super) async fn show(desk: Desk, number: web::Path<String>) -> Answer {
    let one: WithSignature = read(desk.api.push(&number, "").await?)?;
    page(&One {
        frame: desk.frame(Place::Pushes),
        lang: desk.lang,
        push: one.push,
        signature: one.signature,
    })
}
