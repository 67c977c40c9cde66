//! `leadgate check --connect`: walks to each sink's destination, without a lead.
//!
//! All sinks side by side, each bounded in time, also where a plugin does not keep to it.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{FAILED, Global};
use crate::config::Config;
use crate::lang::Lang;
use crate::plugin::{Connected, Plugins, SinkConfig, Step};

/// For one sink.
const PATIENCE: Duration = Duration::from_secs(15);
/// Beyond that a plugin is not waited for.
const GRACE: Duration = Duration::from_secs(3);

/// What was found of one sink.
struct Found {
    sink: String,
    steps: Vec<Step>,
    ended: Ended,
}

enum Ended {
    Connected(Connected),
    /// The sink could not be made; why.
    NotMade(String),
    Late,
}

impl Found {
    fn is_ok(&self) -> bool {
        matches!(
            self.ended,
            Ended::Connected(Connected::Ok | Connected::Unsupported)
        )
    }
}

enum News {
    Step(usize, Step),
    Ended(usize, Ended),
}

/// Walks to all sinks and prints what was found; an error is the exit code.
pub(super) fn run(global: &Global, config: &Config, plugins: &Plugins) -> Result<(), ExitCode> {
    let found = walk(config, plugins);
    let text = if global.json {
        let found: Vec<Value> = found.iter().map(as_json).collect();
        format!("{:#}\n", json!({ "connect": found }))
    } else {
        found.iter().map(|one| lines(global.lang(), one)).collect()
    };
    // A reader that has gone has seen enough.
    let _ = std::io::stdout().write_all(text.as_bytes());
    if found.iter().all(Found::is_ok) {
        Ok(())
    } else {
        Err(ExitCode::from(FAILED))
    }
}

fn walk(config: &Config, plugins: &Plugins) -> Vec<Found> {
    let (tell, news) = mpsc::channel();
    let mut found = Vec::new();
    for (at, (name, sink)) in config.sinks.iter().enumerate() {
        found.push(Found {
            sink: name.clone(),
            steps: Vec::new(),
            ended: Ended::Late,
        });
        let made = match plugins.get(&sink.plugin) {
            Some(plugin) => plugin.create(&SinkConfig {
                name,
                settings: &sink.settings,
                tables: &config.tables,
            }),
            None => continue,
        };
        match made {
            Ok(made) => {
                let tell = tell.clone();
                // Not joined: one that hangs must not hold up the others, nor the end.
                std::thread::spawn(move || {
                    let steps = tell.clone();
                    let ended = made.connect(PATIENCE, &mut |step| {
                        let _ = steps.send(News::Step(at, step));
                    });
                    let _ = tell.send(News::Ended(at, Ended::Connected(ended)));
                });
            }
            Err(problems) => {
                let said: Vec<String> = problems.into_iter().map(|one| one.message).collect();
                found[at].ended = Ended::NotMade(said.join("; "));
            }
        }
    }
    drop(tell);
    let ends = Instant::now() + PATIENCE + GRACE;
    while let Ok(news) = news.recv_timeout(ends.saturating_duration_since(Instant::now())) {
        match news {
            News::Step(at, step) => found[at].steps.push(step),
            News::Ended(at, ended) => found[at].ended = ended,
        }
    }
    found
}

fn as_json(found: &Found) -> Value {
    let steps: Vec<Value> = found
        .steps
        .iter()
        .map(|step| {
            json!({
                "step": step.name,
                "ok": step.ok,
                "note": step.note,
                "milliseconds": u64::try_from(step.took.as_millis()).unwrap_or(u64::MAX),
            })
        })
        .collect();
    let (result, why) = match &found.ended {
        Ended::Connected(Connected::Ok) => ("ok", None),
        Ended::Connected(Connected::Failed) => ("failed", None),
        Ended::Connected(Connected::Unsupported) => ("unsupported", None),
        Ended::Connected(Connected::Panicked) => ("failed", Some("the plugin panicked")),
        Ended::NotMade(why) => ("failed", Some(why.as_str())),
        Ended::Late => ("failed", Some("no end in time")),
    };
    json!({ "sink": found.sink, "result": result, "reason": why, "steps": steps })
}

/// One line for each step.
fn lines(lang: Lang, found: &Found) -> String {
    let sink = &found.sink;
    let mut text = String::new();
    for step in &found.steps {
        let state = if step.ok {
            lang.pick("ok", "正常")
        } else {
            lang.pick("failed", "失败")
        };
        let (name, took) = (&step.name, step.took.as_millis());
        let note = if step.note.is_empty() {
            String::new()
        } else {
            format!(": {}", step.note)
        };
        // Writing to a string does not fail.
        let _ = writeln!(text, "{sink}: {name} {state} ({took} ms){note}");
    }
    let more = match &found.ended {
        Ended::Connected(Connected::Ok) => return text,
        // The last step has said why.
        Ended::Connected(Connected::Failed) if found.steps.iter().any(|step| !step.ok) => {
            return text;
        }
        Ended::Connected(Connected::Failed) => lang
            .pick("failed without a reason", "失败，未说明原因")
            .to_owned(),
        Ended::Connected(Connected::Unsupported) => lang
            .pick(
                "not tried: the plugin cannot connect without a lead",
                "未尝试：该插件不支持不带客资的连接测试",
            )
            .to_owned(),
        Ended::Connected(Connected::Panicked) => lang
            .pick("failed: the plugin panicked", "失败：插件崩溃")
            .to_owned(),
        Ended::NotMade(why) => format!("{}{why}", lang.pick("failed: ", "失败：")),
        Ended::Late => lang
            .pick("failed: no end in time", "失败：未在限定时间内结束")
            .to_owned(),
    };
    text + &format!("{sink}: {more}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(ended: Ended, steps: &[(&str, bool, &str)]) -> Found {
        let steps = steps.iter().map(|(name, ok, note)| Step {
            name: (*name).to_owned(),
            ok: *ok,
            note: (*note).to_owned(),
            took: Duration::from_millis(7),
        });
        Found {
            sink: "crm".to_owned(),
            steps: steps.collect(),
            ended,
        }
    }

    #[test]
    fn each_step_is_a_line_in_both_languages_and_failing_is_not_hidden() {
        let failed = found(
            Ended::Connected(Connected::Failed),
            &[("dns", true, ""), ("tcp", false, "refused")],
        );
        assert_eq!(
            lines(Lang::En, &failed),
            "crm: dns ok (7 ms)\ncrm: tcp failed (7 ms): refused\n"
        );
        assert_eq!(
            lines(Lang::ZhCn, &failed),
            "crm: dns 正常 (7 ms)\ncrm: tcp 失败 (7 ms): refused\n"
        );
        assert!(!failed.is_ok());
        assert_eq!(as_json(&failed)["steps"][1]["ok"], false);
        for ended in [
            Ended::Late,
            Ended::NotMade("x".to_owned()),
            Ended::Connected(Connected::Panicked),
        ] {
            let bad = found(ended, &[]);
            assert!(!bad.is_ok() && lines(Lang::En, &bad).contains("failed"));
            assert_eq!(as_json(&bad)["result"], "failed");
        }
        let unknown = found(Ended::Connected(Connected::Unsupported), &[]);
        assert!(unknown.is_ok() && lines(Lang::En, &unknown).contains("not tried"));
    }
}
