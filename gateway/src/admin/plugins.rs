//! Plugins: which there are, where each runs, and the processes of its sinks.

use actix_web::{HttpRequest, HttpResponse, web};
use leadgate_plugin::child::SandboxReport;
use serde_json::{Value, json};

use super::Admin;
use super::params::Params;
use super::problem::Problem;

/// `GET /plugins`: all of them, each with its sinks and their processes.
pub(super) async fn list(
    admin: web::Data<Admin>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    Params::of(&request, &[])?;
    let processes = admin.children.list();
    let configured = admin.configured.get();
    let items: Vec<Value> = configured
        .plugins
        .iter()
        .map(|plugin| {
            let used = configured.sinks.iter().filter(|(_, of)| of.plugin == plugin.name);
            let sinks = used.map(|(sink, _)| {
                let process = processes.iter().find(|one| one.sink == *sink);
                let process = process.map(|one| {
                    json!({
                        "state": one.state,
                        "pid": one.pid,
                        "restarts": one.restarts,
                        "fate": one.fate,
                        "again_in_ms": one.again_in.map(|wait| u64::try_from(wait.as_millis()).ok()),
                        "sandbox": parts(&one.sandbox),
                    })
                });
                json!({ "name": sink, "process": process })
            });
            let known = |text: &str| (!text.is_empty()).then(|| text.to_owned());
            json!({
                "name": plugin.name,
                "version": known(&plugin.version),
                "abi": known(&plugin.abi),
                "vendor": known(&plugin.vendor),
                "description": known(&plugin.description),
                "url": known(&plugin.url),
                "library": plugin.path.is_some(),
                "path": plugin.path,
                "isolation": plugin.isolation,
                "sandbox": plugin.sandbox.as_ref().map(parts),
                "sinks": sinks.collect::<Vec<_>>(),
            })
        })
        .collect();
    Ok(HttpResponse::Ok().json(json!({ "items": items })))
}

/// Which parts of a sandbox hold.
fn parts(report: &SandboxReport) -> Value {
    let parts = report
        .parts
        .iter()
        .map(|part| json!({ "name": part.name, "state": part.state.as_str(), "note": part.note }));
    parts.collect()
}
