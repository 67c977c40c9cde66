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

use super::super::{FAILED, Global, check, fail, finish, out};
use crate::config::{self, Catalogue, Problem, Purpose, Tables};
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
    origin: Origin,
    sinks: Vec<String>,
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
    if global.config.is_some() || file.exists() {
        let config = check::load_for(Purpose::Plugins, global, &mut patient)?;
        libraries = config.plugins;
        for (sink, of) in config.sinks {
            used.entry(of.plugin).or_default().push(sink);
        }
    }
    let mut all: Vec<Listed> = Vec::new();
    let mut add = |name: &str, origin: Origin, plugins: &Plugins| {
        let plugin = plugins.get(name);
        all.push(Listed {
            name: name.to_owned(),
            version: plugin.map_or_else(String::new, |plugin| plugin.version().to_owned()),
            abi: plugin.map_or_else(String::new, crate::plugin::Plugin::abi),
            origin,
            sinks: used.get(name).cloned().unwrap_or_default(),
        });
    };
    for name in &built_in {
        add(name, Origin::BuiltIn, &patient.plugins);
    }
    for (name, library) in libraries {
        // A built-in one that runs elsewhere is listed already.
        let Some(path) = library.path else { continue };
        let sha256 = sha256(&path).ok();
        let failure = patient.failures.remove(&name);
        let origin = Origin::Library {
            path,
            sha256,
            failure,
        };
        add(&name, origin, &patient.plugins);
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
            "origin": origin,
            "builtin": origin == "built-in",
            "path": path,
            "sha256": sha256,
            "sinks": self.sinks,
            "error": error,
        })
    }

    /// What is told below a library's line: where it is, which file, and why not.
    fn notes(&self, lang: Lang) -> Vec<String> {
        match &self.origin {
            Origin::BuiltIn => Vec::new(),
            Origin::LeftOut => vec![match lang {
                Lang::En => format!("build with --features {}", self.name),
                Lang::ZhCn => format!("编译时加 --features {}", self.name),
            }],
            Origin::Library {
                path,
                sha256,
                failure,
            } => {
                let mut notes = vec![path.display().to_string()];
                notes.extend(sha256.as_ref().map(|hash| format!("sha256 {hash}")));
                notes.extend(failure.as_ref().map(|why| match lang {
                    Lang::En => format!("cannot be used: {why}"),
                    Lang::ZhCn => format!("无法使用：{why}"),
                }));
                notes
            }
        }
    }
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

    fn listed(name: &str, origin: Origin, sinks: &[&str]) -> Listed {
        Listed {
            name: name.to_owned(),
            version: "0.1.0".to_owned(),
            abi: "1.2".to_owned(),
            origin,
            sinks: sinks.iter().map(|sink| (*sink).to_owned()).collect(),
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
            ] {
                assert!(text.contains(part), "{part}: {text}");
            }
        }
        assert_eq!(all[1].json()["sinks"], json!(["erp"]));
        assert_eq!(all[2].json()["error"], "the system says no");
        assert_eq!(all[3].json()["origin"], "left-out");
    }
}
