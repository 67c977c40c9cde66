//! Erasing: one lead, or all that is stored of a person. Shown first, then done, and said what
//! sinks were given, which stays there.
//!
//! What a person was found by is posted from page to page and stands in no address.

use std::collections::BTreeMap;

use actix_web::web;
use askama::Template;
use serde::Deserialize;
use serde_json::{Value, json};

use super::desk::{Answer, Desk, page, read};
use super::form::Form;
use super::frame::{Flash, Frame, Place};
use crate::admin::{Kind, Problem};
use crate::lang::{Lang, Text};
use crate::outbox::{FindBy, Role};

/// A lead that would go.
#[derive(Deserialize)]
struct Lead {
    id: String,
    source: String,
    revisions: usize,
    first_received_at: String,
}

/// What could not go, or is not off the disk yet.
#[derive(Deserialize)]
struct Left {
    detail: String,
    detail_zh: String,
}

#[derive(Deserialize)]
struct Meant {
    leads: Vec<Lead>,
    quarantined: Vec<Value>,
    left: Vec<Left>,
    sinks: BTreeMap<String, BTreeMap<String, u64>>,
    #[serde(default)]
    not_wiped: Option<Left>,
}

impl Meant {
    fn is_nothing(&self) -> bool {
        self.leads.is_empty() && self.quarantined.is_empty()
    }

    /// Whether all of it went.
    fn is_done(&self) -> bool {
        !self.is_nothing() && self.left.is_empty() && self.not_wiped.is_none()
    }

    /// That it cannot be undone, and who must be told.
    fn undo(&self) -> Text {
        if self.sinks.is_empty() {
            return Text::new(
                "It cannot be undone. No sink had been given it.",
                "无法撤销。没有目的地收到过它。",
            );
        }
        let names: Vec<&str> = self.sinks.keys().map(String::as_str).collect();
        let names = names.join(", ");
        Text::new(
            format!("It cannot be undone. These sinks may still have it: {names}."),
            format!("无法撤销。以下目的地可能仍有它：{names}。"),
        )
    }
}

/// Who or what is to go.
enum Whom {
    /// The lead of that id.
    Lead(String),
    /// Who is found by that.
    Person(FindBy, String),
}

#[derive(Template)]
#[template(path = "erase.html")]
struct Erase {
    frame: Frame,
    lang: Lang,
    whom: Whom,
    meant: Meant,
}

impl Erase {
    /// Where its form goes.
    fn to(&self) -> String {
        match &self.whom {
            Whom::Lead(id) => format!("/leads/{id}/erase"),
            Whom::Person(..) => "/leads/erase".to_owned(),
        }
    }
}

/// Whether that names one person and nobody else.
pub(super) fn is_whole(by: FindBy, value: &str) -> bool {
    match by {
        FindBy::PhoneEnd => false,
        FindBy::Phone => value.chars().filter(char::is_ascii_digit).count() > 4,
        _ => true,
    }
}

/// `POST /leads/{id}/erase`: shows what would go, and with `sure` lets it go.
pub(super) async fn lead(desk: Desk, path: web::Path<String>, form: Form) -> Answer {
    erase(&desk, Whom::Lead(path.into_inner()), &form).await
}

/// `POST /leads/erase`: the same of a person.
pub(super) async fn person(desk: Desk, form: Form) -> Answer {
    desk.takes(Role::Admin)?;
    let value = form.or_empty("value");
    let mut ways = FindBy::ALL.into_iter();
    let by = ways.find(|by| by.as_str() == form.or_empty("by"));
    let Some(by) = by.filter(|by| is_whole(*by, value)) else {
        let detail = (
            "say who by a whole phone, record id, order, nick or openid",
            "请用完整的手机号、客资 ID、订单号、淘宝 NICK 或 openid 指明要擦除的人",
        );
        return Err(Problem::new(Kind::BadBody, detail));
    };
    erase(&desk, Whom::Person(by, value.to_owned()), &form).await
}

async fn erase(desk: &Desk, whom: Whom, form: &Form) -> Answer {
    let sure = form.has("sure");
    let mut wish = json!({ "dry_run": !sure, "note": form.or_empty("note") });
    match &whom {
        Whom::Lead(id) => wish["lead"] = id.as_str().into(),
        Whom::Person(by, value) => wish[by.as_str()] = value.as_str().into(),
    }
    let meant: Meant = read(desk.api.erase(&wish).await?)?;
    if sure && meant.is_done() {
        let done = match whom {
            Whom::Lead(_) => Text::new("The lead was erased.", "客资已擦除。"),
            Whom::Person(..) => {
                let (leads, pushes) = (meant.leads.len(), meant.quarantined.len());
                Text::new(
                    format!(
                        "The person was erased; leads: {leads}, pushes in quarantine: {pushes}."
                    ),
                    format!("已擦除此人：{leads} 条客资，{pushes} 条隔离推送。"),
                )
            }
        };
        return Ok(desk.done("/leads", Flash::new(done, meant.undo())));
    }
    page(&Erase {
        frame: desk.frame(Place::Leads),
        lang: desk.lang,
        whom,
        meant,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_erased_by_what_is_said_of_others_too() {
        for (by, value, whole) in [
            (FindBy::Phone, "8911", false),
            (FindBy::Phone, "13567658911", true),
            (FindBy::PhoneEnd, "8911", false),
            (FindBy::RecordId, "1", true),
            (FindBy::Nick, "张三", true),
        ] {
            assert_eq!(is_whole(by, value), whole, "{value}");
        }
    }
}
