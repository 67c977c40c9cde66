//! Plugins: which there are, where each runs, and the processes of its sinks.

use actix_web::{HttpRequest, HttpResponse, web};
use leadgate_plugin::child::SandboxReport;
use schemars::JsonSchema;
use serde::Serialize;

use super::Admin;
use super::params::Params;
use super::problem::Problem;
use super::shape::Items;
use crate::plugin::{Listed, Status};

/// A plugin.
#[derive(Serialize, JsonSchema)]
pub(super) struct Plugin {
    name: String,
    version: Option<String>,
    abi: Option<String>,
    vendor: Option<String>,
    description: Option<String>,
    url: Option<String>,
    /// Whether it is a library of its own, and where.
    library: bool,
    path: Option<String>,
    isolation: &'static str,
    /// What it can beyond delivering: `check`, `render`, and the ids of its extensions.
    abilities: Vec<String>,
    /// Deliveries that it takes in one call, if it takes several.
    batch: Option<usize>,
    /// Panics caught in it since the process started.
    panics: u64,
    /// What held its library when it was described.
    sandbox: Option<Vec<Part>>,
    /// The sinks that use it.
    sinks: Vec<Used>,
}

/// A sink of a plugin.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "PluginSink")]
struct Used {
    name: String,
    /// Its process, if it has one of its own.
    process: Option<Process>,
}

/// The process of a sink.
#[derive(Serialize, JsonSchema)]
struct Process {
    state: &'static str,
    pid: Option<u32>,
    restarts: u64,
    /// How the last one ended.
    fate: Option<String>,
    again_in_ms: Option<u64>,
    sandbox: Vec<Part>,
}

/// A part of a sandbox.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SandboxPart")]
struct Part {
    name: String,
    state: &'static str,
    note: String,
}

impl Part {
    fn all(report: &SandboxReport) -> Vec<Self> {
        let parts = report.parts.iter().map(|part| Self {
            name: part.name.clone(),
            state: part.state.as_str(),
            note: part.note.clone(),
        });
        parts.collect()
    }
}

impl From<&Status> for Process {
    fn from(status: &Status) -> Self {
        let again = status.again_in.map(|wait| wait.as_millis());
        Self {
            state: status.state,
            pid: status.pid,
            restarts: status.restarts,
            fate: status.fate.clone(),
            again_in_ms: again.and_then(|wait| u64::try_from(wait).ok()),
            sandbox: Part::all(&status.sandbox),
        }
    }
}

impl Plugin {
    fn of(plugin: &Listed, panics: u64, sinks: Vec<Used>) -> Self {
        let known = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let path = plugin.path.as_ref();
        Self {
            name: plugin.name.clone(),
            version: known(&plugin.version),
            abi: known(&plugin.abi),
            vendor: known(&plugin.vendor),
            description: known(&plugin.description),
            url: known(&plugin.url),
            library: path.is_some(),
            path: path.map(|path| path.display().to_string()),
            isolation: plugin.isolation,
            abilities: plugin.abilities.clone(),
            batch: plugin.batch,
            panics,
            sandbox: plugin.sandbox.as_ref().map(Part::all),
            sinks,
        }
    }
}

/// `GET /plugins`: all of them, each with its sinks and their processes.
pub(super) async fn list(
    admin: web::Data<Admin>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    Params::of(&request)?;
    let processes = admin.children.list();
    let configured = admin.configured.get();
    let used = |plugin: &Listed| {
        let sinks = configured.sinks.iter();
        let its = sinks.filter(|(_, of)| of.plugin == plugin.name);
        let its = its.map(|(sink, _)| Used {
            name: sink.clone(),
            process: processes
                .iter()
                .find(|one| one.sink == *sink)
                .map(Process::from),
        });
        its.collect()
    };
    let plugins = configured.plugins.iter();
    let panics = &admin.metrics.delivery.plugin_panics;
    let panics = |plugin: &Listed| panics.with_label_values(&[plugin.name.as_str()]).get();
    let items = plugins.map(|plugin| Plugin::of(plugin, panics(plugin), used(plugin)));
    let items = items.collect();
    Ok(HttpResponse::Ok().json(Items { items }))
}
