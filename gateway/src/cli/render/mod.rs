//! `leadgate render`: which sinks want a lead and why, and what one would be sent, without
//! sending it.
//!
//! For people what would be sent is on stdout, so that it can be kept, and why on stderr.

mod input;

use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::{Value, json};
use uuid::Uuid;

use self::input::Input;
use super::client::{Api, Target};
use super::running::{self, Files};
use super::{FAILED, Global, fail, out};
use crate::config::{Purpose, Revision};
use crate::lang::Lang;
use crate::plugin::Plugins;
use crate::route::{Decision, Part};

#[derive(clap::Args)]
pub(super) struct Args {
    /// Name of the sink; without it only which sinks want the lead is shown
    #[arg(long, value_name = "NAME")]
    sink: Option<String>,
    /// File with a lead as Tmall sends it [default: the document's sample lead]
    #[arg(long, value_name = "FILE", conflicts_with = "id")]
    lead: Option<PathBuf>,
    /// Name of the source that the lead is taken to come from [default: the first]
    #[arg(long, value_name = "NAME", conflicts_with = "id")]
    source: Option<String>,
    /// Id of a lead that the running daemon has, which logs that it was revealed
    #[arg(long, value_name = "ID")]
    id: Option<Uuid>,
    #[command(flatten)]
    target: Target,
}

/// What the condition of a sink says; no part for a sink without one.
struct Route {
    sink: String,
    part: Option<Part>,
}

pub(super) fn run(global: &Global, args: &Args) -> ExitCode {
    super::finish(render(global, args))
}

fn render(global: &Global, args: &Args) -> Result<(), ExitCode> {
    let lang = global.lang();
    let mut plugins = Plugins::builtin().map_err(|error| fail(error, FAILED))?;
    let purpose = args.sink.as_deref().map_or(Purpose::Routes, Purpose::Sink);
    let config = super::check::load_for(purpose, global, &mut plugins)?;
    let names: Vec<&String> = match &args.sink {
        Some(name) if config.sinks.contains_key(name) => vec![name],
        Some(name) => {
            let all = super::check::load_for(Purpose::Routes, global, &mut plugins)?;
            let known = all.sinks.keys().cloned().collect::<Vec<_>>().join(", ");
            let what = lang.pick("no such sink; there are", "没有这个目的地；现有");
            return Err(fail(
                format!("{name}: {what}{}{known}", lang.colon()),
                FAILED,
            ));
        }
        None => config.sinks.keys().collect(),
    };
    let input = match &args.id {
        Some(id) => {
            let api = Api::of(global, &args.target)?;
            let input = Input::stored(&api, id)?;
            say_whether_it_runs(global, &api, config.revision.as_ref());
            input
        }
        None => Input::pushed(&config, args.lead.as_deref(), args.source.as_ref())?,
    };
    let mut routes = Vec::new();
    for sink in names {
        let part = input.route(&config, sink)?;
        let sink = sink.clone();
        routes.push(Route { sink, part });
    }
    let failed = routes.iter().any(|route| route.failure().is_some());
    if !global.json {
        let text: Vec<_> = routes.iter().map(|route| route.text(lang)).collect();
        match args.sink {
            Some(_) => errln!("{}", text.concat().trim_end()),
            None => outln!("{}", text.concat().trim_end()),
        }
    }
    // What would become a dead letter is not sent.
    let sent = match &args.sink {
        Some(name) if !failed => Some(input.sent(global, &config, &plugins, name)?),
        _ => None,
    };
    if global.json {
        let routes: Vec<_> = routes.iter().map(Route::json).collect();
        let (id, revision, source) = (input.id, input.revision, &input.source);
        let lead = json!({ "id": id, "revision": revision, "source": source });
        let all = json!({ "lead": lead, "routes": routes, "sent": sent });
        out::json(&all);
    } else if let Some(text) = sent {
        outln!("{text}");
    }
    if failed {
        Err(ExitCode::from(FAILED))
    } else {
        Ok(())
    }
}

/// A lead that the daemon has is shown as the files would send it, which the daemon may not
/// have read yet.
fn say_whether_it_runs(global: &Global, api: &Api<'_>, files: Option<&Revision>) {
    let lang = global.lang();
    let files = files.map_or(Files::Unknown, |files| running::compare(global, api, files));
    let said = match &files {
        Files::Same => lang.pick(
            "the daemon runs the configuration that this is shown with",
            "守护进程运行的配置与此预览一致",
        ),
        Files::Other(_) => lang.pick(
            "shown with the configuration's files as they are now",
            "按配置文件的当前内容预览",
        ),
        Files::Unknown => lang.pick(
            "shown with the configuration's files as they are now; a daemon that was started before they were changed sends as before until it is restarted",
            "按配置文件的当前内容预览；若守护进程在修改之前启动，重启前仍按旧配置发送",
        ),
    };
    errln!("{said}");
    running::warn(&files);
}

impl Route {
    fn failure(&self) -> Option<&str> {
        match &self.part.as_ref()?.decision {
            Decision::Failed(why) => Some(why),
            Decision::Yes | Decision::No | Decision::NotReached => None,
        }
    }

    fn is_wanted(&self) -> bool {
        self.part
            .as_ref()
            .is_none_or(|part| part.decision == Decision::Yes)
    }

    fn json(&self) -> Value {
        json!({
            "sink": self.sink,
            "wanted": self.is_wanted(),
            "error": self.failure(),
            "when": self.part.as_ref().map(Part::json),
        })
    }

    /// `crm: wants this lead`, then a line for each part of its condition.
    fn text(&self, lang: Lang) -> String {
        let said = match &self.part {
            None => lang.pick(
                "wants every lead (it has no `when`)",
                "接收所有客资（没有 when 条件）",
            ),
            Some(part) => match part.decision {
                Decision::Yes => lang.pick("wants this lead", "接收这条客资"),
                Decision::No | Decision::NotReached => {
                    lang.pick("does not want this lead", "不接收这条客资")
                }
                Decision::Failed(_) => lang.pick(
                    "cannot tell, so the delivery would be a dead letter",
                    "无法判断，投递将成为死信",
                ),
            },
        };
        let mut text = format!("{}: {said}\n", self.sink);
        if let Some(part) = &self.part {
            add(part, 1, lang, &mut text);
        }
        text
    }
}

fn add(part: &Part, depth: usize, lang: Lang, text: &mut String) {
    let (decision, why) = match &part.decision {
        Decision::Yes => (lang.pick("yes", "是"), ""),
        Decision::No => (lang.pick("no", "否"), ""),
        Decision::Failed(why) => (lang.pick("failed", "出错"), why.as_str()),
        Decision::NotReached => (lang.pick("not reached", "未判断"), ""),
    };
    let values = part.values.iter().map(|(name, value)| {
        let value = match value {
            Value::Null => "none".to_owned(),
            value => value.to_string(),
        };
        format!("{name} = {value}")
    });
    let mut notes: Vec<_> = values.collect();
    if !why.is_empty() {
        notes.push(why.to_owned());
    }
    let notes = match notes.join(", ") {
        notes if notes.is_empty() => notes,
        notes => format!("   [{notes}]"),
    };
    let indent = "  ".repeat(depth);
    // Writing into a text does not fail.
    let _ = writeln!(text, "{indent}{decision}: {}{notes}", part.text);
    for part in &part.parts {
        add(part, depth + 1, lang, text);
    }
}
