//! The system: which leadgate runs, on what, with which configuration; and who is in.

use actix_web::web;
use askama::Template;
use serde::Deserialize;

use super::desk::{Answer, Desk, page, read};
use super::form::Form;
use super::frame::{Flash, Frame, Place};
use crate::admin::{Kind, Problem, note};
use crate::clock::Millis;
use crate::lang::{Lang, Text};
use crate::outbox::{AuditAction, Role};

/// What of `GET /system` a page shows.
#[derive(Deserialize)]
struct Shown {
    version: String,
    revision: Option<String>,
    loaded_at: String,
    file: Option<String>,
    files: String,
    uptime_seconds: u64,
    outbox: Outbox,
}

#[derive(Deserialize)]
struct Outbox {
    path: String,
    encrypted: bool,
    size_bytes: u64,
    free_bytes: u64,
    min_free_bytes: u64,
    leads: u64,
    fault: Option<String>,
}

/// Somebody who is in.
struct Guest {
    name: String,
    who: String,
    peer: String,
    began_at: String,
    idle: u64,
    is_this: bool,
}

#[derive(Template)]
#[template(path = "system.html")]
struct SystemPage {
    frame: Frame,
    lang: Lang,
    system: Shown,
    guests: Vec<Guest>,
}

/// `GET /system`
pub(super) async fn show(desk: Desk) -> Answer {
    let system: Shown = read(desk.api.system("").await?)?;
    let now = desk.api.admin().clock.monotonic();
    let guests = desk
        .console
        .sessions
        .list(now)
        .into_iter()
        .filter(|one| may_end(&desk, &one.who))
        .map(|one| Guest {
            is_this: one.name == desk.visit.name,
            name: one.name,
            who: one.who,
            peer: one.peer.map(|peer| peer.to_string()).unwrap_or_default(),
            began_at: rfc3339(one.began_at),
            idle: one.idle.as_secs(),
        });
    page(&SystemPage {
        frame: desk.frame(Place::System),
        lang: desk.lang,
        system,
        guests: guests.collect(),
    })
}

/// Whether who asks sees and ends the sessions of that person: everybody their own, an admin all.
fn may_end(desk: &Desk, who: &str) -> bool {
    desk.actor.role == Role::Admin || desk.actor.name == who
}

/// A time as the API has it.
fn rfc3339(at: Millis) -> String {
    let at = jiff::Timestamp::from_millisecond(at).unwrap_or_default();
    format!("{at:.3}")
}

/// What a reload did.
#[derive(Deserialize)]
struct Reloaded {
    applied: Vec<String>,
    needs_restart: Vec<String>,
}

/// `POST /system/reload`
pub(super) async fn reload(desk: Desk, _: Form) -> Answer {
    let reloaded: Reloaded = read(desk.api.reload().await?)?;
    let (applied, left) = (
        reloaded.applied.join(", "),
        reloaded.needs_restart.join(", "),
    );
    let done = if applied.is_empty() {
        Text::new(
            "The configuration was loaded: nothing in it changed.",
            "配置已重新加载：没有变化。",
        )
    } else {
        Text::new(
            format!("The configuration was loaded; changed: {applied}."),
            format!("配置已重新加载；变更：{applied}。"),
        )
    };
    let undo = if left.is_empty() {
        Text::new(
            "To undo it, put the files back and load them again.",
            "如需撤销，请恢复文件后再次加载。",
        )
    } else {
        Text::new(
            format!("This takes a restart: {left}."),
            format!("以下变更需重启：{left}。"),
        )
    };
    Ok(desk.done("/system", Flash::new(done, undo)))
}

/// `POST /system/sessions/{name}/end`
pub(super) async fn end_session(desk: Desk, name: web::Path<String>, _: Form) -> Answer {
    let now = desk.api.admin().clock.monotonic();
    let mut listed = desk.console.sessions.list(now).into_iter();
    let whose = listed.find(|one| one.name == *name && may_end(&desk, &one.who));
    let gone = || {
        let detail = ("there is no such session any more", "此会话已不存在");
        Problem::new(Kind::NotFound, detail)
    };
    let whose = whose.ok_or_else(gone)?;
    let who = desk.actor.clone();
    note(desk.api.admin(), who, AuditAction::SessionEnd, &whose.who).await?;
    if !desk.console.sessions.end_named(&name) {
        return Err(gone());
    }
    tracing::info!(ended = %name, "session was ended");
    let flash = Flash::new(
        ("The session was ended.", "会话已结束。"),
        (
            "Whoever it was of can log in again.",
            "其使用者可以重新登录。",
        ),
    );
    Ok(desk.done("/system", flash))
}
