//! `leadgate plugin list`: the plugins that sinks can use.
//!
//! A plugin that cannot be used is listed with the reason, not an end of the list. No secret
//! is resolved for it, and no sink's settings are looked at.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::super::{FAILED, Global, check, client, fail, finish, out};
use leadgate_plugin::child::{SandboxReport, State};

use crate::config::{self, Catalogue, Isolation, Problem, Purpose, Tables};
use crate::lang::Lang;
use crate::plugin::Plugins;
use crate::terminal::width;

/// How wide lines are.
const WIDTH: usize = 80;

pub(super) fn run(global: &Global) -> ExitCode {
    finish(list(global))
}

/// Where a plugin is from.
enum Origin {
    BuiltIn,
    Library {
        path: PathBuf,
        /// Of the file as it is now, in hex.
        sha256: Option<String>,
        /// Why it cannot be used.
        failure: Option<String>,
    },
    /// A first-party plugin that this build has not.
    LeftOut,
}

struct Listed {
    name: String,
    version: String,
    abi: String,
    /// Who made it, what it is for, and where more is said; each may be empty.
    about: [String; 3],
    origin: Origin,
    /// Where its code runs, and what holds it there.
    isolation: Isolation,
    sandbox: Option<SandboxReport>,
    sinks: Vec<String>,
    /// The processes of its sinks, as the running daemon has them.
    processes: Vec<Value>,
}

fn list(global: &Global) -> Result<(), ExitCode> {
    let plugins = Plugins::builtin().map_err(|error| fail(error, FAILED))?;
    let built_in: Vec<String> = plugins.names();
    let mut patient = Patient {
        plugins,
        failures: BTreeMap::new(),
    };
    // Without a configuration only the built-in ones are there to list.
    let file = check::located(global)?;
    let (mut libraries, mut used) = (BTreeMap::new(), BTreeMap::<String, Vec<String>>::new());
    let mut processes: Vec<Value> = Vec::new();
    if global.config.is_some() || file.exists() {
        let config = check::load_for(Purpose::Plugins, global, &mut patient)?;
        libraries = config.plugins;
        for (sink, of) in config.sinks {
            used.entry(of.plugin).or_default().push(sink);
        }
        processes = running(global);
    }
    let mut all: Vec<Listed> = Vec::new();
    let mut add = |name: &str, origin: Origin, plugins: &Plugins| {
        let plugin = plugins.get(name);
        let about = plugin.map(|plugin| [plugin.vendor(), plugin.description(), plugin.url()]);
        let library = libraries.get(name);
        let of_it = processes.iter().filter(|one| one["plugin"] == name);
        all.push(Listed {
            name: name.to_owned(),
            version: plugin.map_or_else(String::new, |plugin| plugin.version().to_owned()),
            abi: plugin.map_or_else(String::new, crate::plugin::Plugin::abi),
            about: about.unwrap_or_default().map(str::to_owned),
            origin,
            isolation: library.map_or(Isolation::InProcess, |library| library.isolation),
            sandbox: plugin.and_then(|plugin| plugin.sandbox().cloned()),
            sinks: used.get(name).cloned().unwrap_or_default(),
            processes: of_it.cloned().collect(),
        });
    };
    for name in &built_in {
        add(name, Origin::BuiltIn, &patient.plugins);
    }
    for (name, library) in &libraries {
        // A built-in one that runs elsewhere is listed already.
        let Some(path) = library.path.clone() else {
            continue;
        };
        let sha256 = sha256(&path).ok();
        let failure = patient.failures.remove(name);
        let origin = Origin::Library {
            path,
            sha256,
            failure,
        };
        add(name, origin, &patient.plugins);
    }
    for name in patient.plugins.left_out() {
        add(&name, Origin::LeftOut, &patient.plugins);
    }
    all.sort_by(|one, other| one.name.cmp(&other.name));
    if global.json {
        let all: Vec<_> = all.iter().map(Listed::json).collect();
        out::json(&Value::from(all));
    } else {
        outln!("{}", table(&all, global.lang()).trim_end());
    }
    Ok(())
}

/// The processes of sinks that the running daemon keeps; none if it cannot be asked.
fn running(global: &Global) -> Vec<Value> {
    let plugins = client::quietly(global, "/plugins").unwrap_or_default();
    let items = plugins["items"].as_array().into_iter().flatten();
    items.flat_map(processes_of).collect()
}

/// The processes of one plugin in the daemon's answer, each with its plugin and its sink.
fn processes_of(plugin: &Value) -> Vec<Value> {
    let sinks = plugin["sinks"].as_array().into_iter().flatten();
    let processes = sinks.filter_map(|sink| {
        let mut process = sink["process"].as_object()?.clone();
        process.insert("plugin".to_owned(), plugin["name"].clone());
        process.insert("sink".to_owned(), sink["name"].clone());
        Some(Value::Object(process))
    });
    processes.collect()
}

impl Listed {
    fn json(&self) -> Value {
        let (origin, path, sha256, error) = match &self.origin {
            Origin::BuiltIn => ("built-in", None, None, None),
            Origin::LeftOut => ("left-out", None, None, None),
            Origin::Library {
                path,
                sha256,
                failure,
            } => ("library", Some(path), sha256.as_ref(), failure.as_ref()),
        };
        let known = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        json!({
            "name": self.name,
            "version": known(&self.version),
            "abi": known(&self.abi),
            "vendor": known(&self.about[0]),
            "description": known(&self.about[1]),
            "url": known(&self.about[2]),
            "isolation": self.isolation.as_str(),
            "sandbox": self.sandbox.as_ref().map(|report| &report.parts),
            "processes": self.processes,
            "origin": origin,
            "builtin": origin == "built-in",
            "path": path,
            "sha256": sha256,
            "sinks": self.sinks,
            "error": error,
        })
    }

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
fn table(all: &[Listed], lang: Lang) -> String {
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

fn sha256(path: &Path) -> std::io::Result<String> {
    let mut file = std::fs::File::open(path)?;
    let mut hash = Sha256::new();
    let mut piece = vec![0; 64 * 1024];
    loop {
        match file.read(&mut piece)? {
            0 => break,
            length => hash.update(&piece[..length]),
        }
    }
    let digest = hash.finalize();
    let digits = digest.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    let digits = digits.map(|half| char::from(b"0123456789abcdef"[usize::from(half)]));
    Ok(digits.collect())
}

/// A catalogue that remembers why a library cannot be used and goes on.
struct Patient {
    plugins: Plugins,
    failures: BTreeMap<String, String>,
}

impl Catalogue for Patient {
    fn names(&self) -> Vec<String> {
        self.plugins.names()
    }

    fn left_out(&self) -> Vec<String> {
        self.plugins.left_out()
    }

    fn schema(&self, plugin: &str) -> Option<Value> {
        self.plugins.schema(plugin)
    }

    fn check(&self, plugin: &str, sink: &str, settings: &Value, tables: &Tables) -> Vec<Problem> {
        self.plugins.check(plugin, sink, settings, tables)
    }

    fn load(&mut self, name: &str, plugin: &config::Plugin) -> Result<(), String> {
        if let Err(why) = self.plugins.load(name, plugin) {
            self.failures.insert(name.to_owned(), why);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
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
