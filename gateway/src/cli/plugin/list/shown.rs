//! What the list shows to people: a line for each plugin, and below what it is made of.

use leadgate_plugin::child::{SandboxReport, State};
use serde_json::Value;

use super::{Listed, Origin};
use crate::config::Isolation;
use crate::lang::Lang;
use crate::terminal::width;

/// How wide lines are.
const WIDTH: usize = 80;

impl Listed {
    /// What is told below a plugin's line: which file, by whom, where it runs, how that goes, and
    /// why not.
    fn notes(&self, lang: Lang) -> Vec<String> {
        let mut notes = Vec::new();
        let mut failed = None;
        match &self.origin {
            Origin::BuiltIn => {}
            Origin::LeftOut => notes.push(match lang {
                Lang::En => format!("build with --features {}", self.name),
                Lang::ZhCn => format!("编译时加 --features {}", self.name),
            }),
            Origin::Library {
                path,
                sha256,
                failure,
            } => {
                notes.push(path.display().to_string());
                notes.extend(sha256.as_ref().map(|hash| format!("sha256 {hash}")));
                let about = self.about.iter().filter(|about| !about.is_empty());
                let about: Vec<_> = about.map(String::as_str).collect();
                if !about.is_empty() {
                    notes.push(about.join(" · "));
                }
                failed = failure.as_ref().map(|why| match lang {
                    Lang::En => format!("cannot be used: {why}"),
                    Lang::ZhCn => format!("无法使用：{why}"),
                });
            }
        }
        let is_library = matches!(self.origin, Origin::Library { .. });
        match self.isolation {
            Isolation::Process => {
                let each = lang.pick("a process for each sink", "每个目的地一个进程");
                notes.push(match &self.sandbox {
                    Some(report) => format!("{each} · {}", sandboxed(report, lang)),
                    None => each.to_owned(),
                });
            }
            Isolation::InProcess if is_library => notes.push(
                lang.pick(
                    "in leadgate's own process: a crash of it ends leadgate",
                    "在 leadgate 进程内：它崩溃则 leadgate 一起结束",
                )
                .to_owned(),
            ),
            Isolation::InProcess => {}
        }
        notes.extend(self.processes.iter().map(|process| lives(process, lang)));
        notes.extend(failed);
        notes
    }
}

/// What holds of a sandbox, and what does not.
fn sandboxed(report: &SandboxReport, lang: Lang) -> String {
    let named = |wanted: State| {
        let parts = report.parts.iter().filter(|part| part.state == wanted);
        let names: Vec<_> = parts.map(|part| part.name.as_str()).collect();
        names.join(", ")
    };
    let holds = match named(State::On) {
        on if on.is_empty() => lang.pick("no sandbox", "没有沙箱").to_owned(),
        on => match lang {
            Lang::En => format!("sandbox: {on}"),
            Lang::ZhCn => format!("沙箱：{on}"),
        },
    };
    let missing = report.missing().map(|part| {
        let (name, why) = (&part.name, &part.note);
        match lang {
            Lang::En => format!("without {name} ({why})"),
            Lang::ZhCn => format!("没有 {name}（{why}）"),
        }
    });
    let all: Vec<String> = std::iter::once(holds).chain(missing).collect();
    all.join(lang.pick("; ", "；"))
}

/// How the process of a sink goes.
fn lives(process: &Value, lang: Lang) -> String {
    let text = |key: &str| process[key].as_str().unwrap_or_default();
    let (sink, state) = (text("sink"), text("state"));
    let restarts = process["restarts"].as_u64().unwrap_or(0);
    let shown = match (lang, state) {
        (Lang::En, _) => state,
        (_, "running") => "运行中",
        (_, "starting") => "正在启动",
        (_, "failed") => "失败，将重新启动",
        _ => state,
    };
    let mut told = vec![match lang {
        Lang::En => format!("{sink}: {shown}, {restarts} restarts"),
        Lang::ZhCn => format!("{sink}：{shown}，重启 {restarts} 次"),
    }];
    told.extend(process["pid"].as_u64().map(|pid| match lang {
        Lang::En => format!("process {pid}"),
        Lang::ZhCn => format!("进程 {pid}"),
    }));
    let fate = text("fate");
    told.extend((!fate.is_empty()).then(|| match lang {
        Lang::En => format!("last: {fate}"),
        Lang::ZhCn => format!("最近一次：{fate}"),
    }));
    told.join(lang.pick(", ", "，"))
}

/// A line for each, and indented below what a library is made of.
pub(super) fn table(all: &[Listed], lang: Lang) -> String {
    let longest = all.iter().map(|one| one.name.chars().count()).max();
    let first = longest.unwrap_or(0).clamp(6, 24);
    let room = WIDTH.saturating_sub(first + 2 + 8 + 2 + 5 + 2 + 9 + 2);
    let titles = match lang {
        Lang::En => ["plugin", "version", "ABI", "from", "used by"],
        Lang::ZhCn => ["plugin", "version", "ABI", "来自", "使用它的目的地"],
    };
    let mut text = line(titles, first);
    for one in all {
        let origin = match one.origin {
            Origin::BuiltIn => lang.pick("built in", "内置"),
            Origin::Library { .. } => lang.pick("library", "动态库"),
            Origin::LeftOut => lang.pick("left out", "未包含"),
        };
        let sinks = one.sinks.join(", ");
        let mut notes = one.notes(lang);
        let mut beside = sinks.as_str();
        // What is nobody's is said where its sinks would be.
        let left_out = match one.origin {
            Origin::LeftOut if sinks.is_empty() => notes.pop(),
            _ => None,
        };
        if let Some(left_out) = &left_out {
            beside = left_out;
        } else if width(&sinks) > room {
            beside = "";
            notes.push(format!(
                "{} {sinks}",
                lang.pick("used by", "使用它的目的地：")
            ));
        }
        let cells = [
            &one.name,
            known(&one.version),
            known(&one.abi),
            origin,
            beside,
        ];
        text.push_str(&line(cells, first));
        for part in notes.iter().flat_map(|note| wrapped(note, WIDTH - 4)) {
            text.extend(["    ", &part, "\n"]);
        }
    }
    text
}

/// What is not known is a dash.
fn known(text: &str) -> &str {
    if text.is_empty() { "-" } else { text }
}

/// Cells in their columns, the first one `first` wide.
fn line([name, version, abi, origin, sinks]: [&str; 5], first: usize) -> String {
    let padding = " ".repeat(9_usize.saturating_sub(width(origin)));
    let line = format!("{name:<first$}  {version:<8}  {abi:<5}  {origin}{padding}  {sinks}");
    format!("{}\n", line.trim_end())
}

/// A text in lines of at most `columns`, cut at spaces where there are any.
fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in text.split_inclusive(' ') {
        if used + width(word.trim_end()) > columns && used > 0 {
            lines.push(String::new());
            used = 0;
        }
        for letter in word.chars() {
            let size = width(letter.encode_utf8(&mut [0; 4]));
            if used + size > columns && letter != ' ' {
                lines.push(String::new());
                used = 0;
            }
            used += size;
            if let Some(last) = lines.last_mut() {
                last.push(letter);
            }
        }
    }
    lines
        .iter()
        .map(|line| line.trim_end().to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use serde_json::json;

    use super::super::processes_of;
    use super::*;

    fn sandbox() -> SandboxReport {
        let parts = json!([
            { "name": "files", "state": "on", "note": "" },
            { "name": "network", "state": "off", "note": "" },
            { "name": "signals", "state": "unavailable", "note": "the kernel has ABI 4" },
        ]);
        serde_json::from_value(json!({ "parts": parts })).expect("a report")
    }

    fn process(sink: &str) -> Value {
        let answer = json!({
            "name": "my-erp",
            "sinks": [
                { "name": "at rest", "process": null },
                { "name": sink, "process": { "state": "running", "pid": 4711, "restarts": 2,
                                             "fate": "it crashed by SIGSEGV" } },
            ],
        });
        let processes = processes_of(&answer);
        assert_eq!(
            (processes.len(), &processes[0]["plugin"]),
            (1, &answer["name"])
        );
        processes[0].clone()
    }

    fn listed(name: &str, origin: Origin, sinks: &[&str]) -> Listed {
        Listed {
            name: name.to_owned(),
            version: "0.1.0".to_owned(),
            abi: "1.2".to_owned(),
            about: ["Shop Ltd.", "", "https://erp.example"].map(str::to_owned),
            isolation: match origin {
                Origin::Library { .. } => Isolation::Process,
                _ => Isolation::InProcess,
            },
            sandbox: matches!(origin, Origin::Library { .. }).then(sandbox),
            origin,
            sinks: sinks.iter().map(|sink| (*sink).to_owned()).collect(),
            processes: sinks.iter().take(1).map(|sink| process(sink)).collect(),
        }
    }

    #[test]
    fn the_list_fits_a_terminal_and_says_what_each_plugin_is() {
        let library = |failure: Option<&str>| Origin::Library {
            path: PathBuf::from(format!(
                "/usr/lib/leadgate/plugins/{}.so",
                "long-".repeat(20)
            )),
            sha256: Some("a".repeat(64)),
            failure: failure.map(str::to_owned),
        };
        let many: Vec<String> = (0..30).map(|number| format!("sink-{number}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let all = [
            listed("http", Origin::BuiltIn, &many),
            listed("my-erp", library(None), &["erp"]),
            listed("other", library(Some("the system says no")), &[]),
            listed("sql", Origin::LeftOut, &[]),
        ];
        for lang in [Lang::En, Lang::ZhCn] {
            let text = table(&all, lang);
            for line in text.lines() {
                assert!(width(line) <= WIDTH, "{line}");
            }
            for part in [
                "sink-29",
                "sha256 aaaa",
                "--features sql",
                "erp",
                "the system says no",
                "Shop Ltd. · https://erp.example",
                "files",
                "signals",
                "SIGSEGV",
                "4711",
            ] {
                assert!(text.contains(part), "{part}: {text}");
            }
        }
        assert_eq!(all[1].json()["sinks"], json!(["erp"]));
        assert_eq!(all[1].json()["isolation"], "process");
        assert_eq!(all[1].json()["processes"][0]["restarts"], 2);
        assert_eq!(all[1].json()["sandbox"][2]["state"], "unavailable");
        assert_eq!(all[2].json()["error"], "the system says no");
        assert_eq!(all[3].json()["origin"], "left-out");
    }
}
