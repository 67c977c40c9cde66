//! `POST /reload`: the configuration's files are read again and take the place of what runs.
//!
//! Refused as a whole if anything is wrong; the answer then has what `leadgate check` says.

use actix_web::{HttpRequest, HttpResponse, web};
use futures_util::future::BoxFuture;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use super::audit::audited;
use super::params::Params;
use super::problem::{Kind, Problem};
use super::{Admin, rfc3339};
use crate::clock::Millis;
use crate::config::{Report, Revision};
use crate::lang::{Lang, Text};
use crate::outbox::{AuditAction, AuditEvent, Orphaned};

/// Reloads; whoever waits for it may go.
pub type Reload = dyn Fn() -> BoxFuture<'static, Result<Reloaded, NotReloaded>> + Send + Sync;

/// What a reload changed, as dotted keys.
pub struct Reloaded {
    /// What the files were.
    pub revision: Option<Revision>,
    /// Since when it runs.
    pub loaded_at: Millis,
    /// What is another now.
    pub applied: Vec<String>,
    /// Sources, sinks and tables that went on as they were.
    pub unchanged: Vec<String>,
    /// What is another in the files, and goes on as it was until a restart.
    pub needs_restart: Vec<String>,
    /// Deliveries of sinks that are not configured any more.
    pub orphaned: Vec<Orphaned>,
    /// What is not wrong and worth a look: `leadgate check` shows it.
    pub warnings: usize,
}

/// Why nothing was changed.
pub enum NotReloaded {
    /// The configuration has errors.
    Refused(Box<Report>),
    /// Anything else.
    Failed(Text),
}

/// The same as it is told.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Reloaded")]
pub(super) struct Told {
    /// Dotted keys: what is another now, what went on, and what waits for a restart.
    applied: Vec<String>,
    unchanged: Vec<String>,
    needs_restart: Vec<String>,
    orphaned: Vec<Orphaned>,
    warnings: usize,
    /// Of the configuration that runs now.
    revision: Option<String>,
    loaded_at: String,
}

/// `POST /reload`
pub(super) async fn reload(
    admin: web::Data<Admin>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let (asked, query) = (admin.clone(), request.clone());
    let reloaded = async move |event: &mut AuditEvent| {
        Params::of(&query)?;
        let reloaded = (asked.reload)().await;
        reloaded
            .map_err(not_reloaded)
            .inspect(|reloaded| note(event, reloaded))
    };
    let reloaded = audited(&admin, &request, AuditAction::Reload, reloaded).await?;
    Ok(HttpResponse::Ok().json(Told {
        applied: reloaded.applied,
        unchanged: reloaded.unchanged,
        needs_restart: reloaded.needs_restart,
        orphaned: reloaded.orphaned,
        warnings: reloaded.warnings,
        revision: reloaded.revision.map(|revision| revision.hash),
        loaded_at: rfc3339(reloaded.loaded_at),
    }))
}

/// What the audit log says of a reload.
fn note(event: &mut AuditEvent, reloaded: &Reloaded) {
    let revision = reloaded.revision.as_ref().map(|revision| &*revision.hash);
    revision.unwrap_or_default().clone_into(&mut event.target);
    event.count = Some(reloaded.applied.len() as u64);
}

fn not_reloaded(why: NotReloaded) -> Problem {
    match why {
        NotReloaded::Refused(report) => refused(&report, told(&report)),
        NotReloaded::Failed(why) => Problem::new(Kind::NotReloaded, why),
    }
}

/// What is said of a refusal.
fn told(report: &Report) -> Text {
    let detail = |lang: Lang| {
        let summary = report.summary(lang);
        lang.pick(
            format!("the configuration was not reloaded, and what ran goes on: {summary}"),
            format!("配置未重新加载，原配置继续运行：{summary}"),
        )
    };
    Text::new(detail(Lang::En), detail(Lang::ZhCn))
}

/// With every diagnostic, for a person as it is printed and for a program.
pub(super) fn refused(report: &Report, detail: Text) -> Problem {
    Problem::new(Kind::BadConfiguration, detail).with(json!({
        "report": report.render(Lang::En, false),
        "report_zh": report.render(Lang::ZhCn, false),
        "problems": report.json(Lang::En)["problems"],
        "problems_zh": report.json(Lang::ZhCn)["problems"],
    }))
}
