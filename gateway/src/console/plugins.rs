//! Plugins: what runs, where it comes from, and how its processes do.

use askama::Template;
use serde::Deserialize;

use super::desk::{Answer, Desk, page, read};
use super::frame::{Frame, Place};
use super::shown::{self, Markup};
use crate::lang::Lang;

#[derive(Deserialize)]
struct Plugin {
    name: String,
    version: Option<String>,
    abi: Option<String>,
    vendor: Option<String>,
    description: Option<String>,
    url: Option<String>,
    path: Option<String>,
    isolation: String,
    abilities: Vec<String>,
    batch: Option<u64>,
    panics: u64,
    sandbox: Option<Vec<Part>>,
    sinks: Vec<Used>,
}

impl Plugin {
    fn place(&self, lang: Lang) -> &'static str {
        match self.isolation.as_str() {
            "process" => lang.pick("in processes of its own", "独立进程"),
            _ => lang.pick("in leadgate's process", "leadgate 进程内"),
        }
    }
}

#[derive(Deserialize)]
struct Used {
    name: String,
    process: Option<Process>,
}

#[derive(Deserialize)]
struct Process {
    state: String,
    pid: Option<u32>,
    restarts: u64,
    fate: Option<String>,
    again_in_ms: Option<u64>,
}

impl Process {
    fn chip(&self, lang: Lang) -> Markup {
        let (word, tone) = match self.state.as_str() {
            "running" => (lang.pick("running", "运行"), "good"),
            "starting" => (lang.pick("starting", "正在启动"), "wait"),
            "failed" => (
                lang.pick("failed, is started again", "失败，将重新启动"),
                "bad",
            ),
            "stopped" => (lang.pick("stopped", "已停止"), "still"),
            other => (other, "wait"),
        };
        shown::chip(word, tone)
    }

    /// Until it is started again, in whole seconds.
    fn again(&self) -> Option<u64> {
        self.again_in_ms.map(|wait| wait.div_ceil(1_000))
    }
}

/// A part of the sandbox.
#[derive(Deserialize)]
struct Part {
    name: String,
    state: String,
    note: String,
}

impl Part {
    fn chip(&self, lang: Lang) -> Markup {
        let (word, tone) = match self.state.as_str() {
            "on" => (lang.pick("on", "已启用"), "good"),
            "off" => (lang.pick("off", "已关闭"), "warn"),
            _ => (
                lang.pick("not offered by this system", "本系统不支持"),
                "warn",
            ),
        };
        shown::chip(word, tone)
    }
}

#[derive(Deserialize)]
struct All {
    items: Vec<Plugin>,
}

#[derive(Template)]
#[template(path = "plugins.html")]
struct List {
    frame: Frame,
    lang: Lang,
    /// Those that sinks use first.
    plugins: Vec<Plugin>,
}

/// `GET /plugins`
pub(super) async fn show(desk: Desk) -> Answer {
    let mut all: All = read(desk.api.plugins("").await?)?;
    all.items.sort_by_key(|plugin| plugin.sinks.is_empty());
    page(&List {
        frame: desk.frame(Place::Plugins),
        lang: desk.lang,
        plugins: all.items,
    })
}
