//! Edited: a sink's table as a person would have it, checked beside the one that runs. Nothing is
//! written.
//!
//! Whoever edits it need not be who may read this machine's files. So what refers to something
//! outside of the text (`env:`, `file:`, `cred:`, `${…}`), and what names a file, a folder or a
//! program, may only stand where and as the table has it that runs: nothing is read that is not
//! read anyway, and no secret comes to where it could be seen. `***` stands for what is written
//! there.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use leadgate_plugin::Secret;
use serde_json::Value;

use super::build::Build;
use super::diagnostic::{Diagnostic, Severity, Source, Text};
use super::document::excerpt::HIDDEN;
use super::document::{Document, pointer};
use super::reference::{self, Reference};
use super::{
    Catalogue, Environment, Problem, Purpose, Report, Sink, Written, advice, literal_secret, paths,
    resolve, schema, secrets,
};
use crate::lead::Tables;

/// What the text is called in what is said of it.
const NAME: &str = "edited.toml";

/// A sink as it would be.
pub struct Edited {
    /// Valid, secrets resolved.
    pub sink: Sink,
    /// The secrets in its settings.
    pub secrets: Vec<Secret>,
}

/// What it is checked with: the sink as it runs, and what runs beside it.
pub struct Workbench<'a> {
    /// Its name.
    pub sink: &'a str,
    /// As the files had it that were read.
    pub written: &'a Written,
    /// All sinks that there are.
    pub sinks: BTreeSet<String>,
    /// All lookup tables.
    pub tables: &'a Tables,
    /// All plugins.
    pub catalogue: &'a dyn Catalogue,
}

impl Workbench<'_> {
    /// Adds why the plugin of `edited` does not make it.
    pub fn refused(&self, edited: &Edited, problems: Vec<Problem>, report: &mut Report) {
        report.refused(self.sink, problems);
        report.hide(&edited.secrets);
    }

    /// Reads `text`, a table `[sinks.NAME]` and nothing else. The report has an error if there is
    /// no sink of it.
    pub fn read(&self, text: &str, environment: &Environment<'_>) -> (Option<Edited>, Report) {
        let mut problems = Vec::new();
        // Paths in it are seen from where they stand now.
        let text = text.replace("\r\n", "\n");
        let mut document = Document::text(self.written.file(), text, &mut problems);
        let (sink, secrets) = self.understand(&mut document, environment, &mut problems);
        let mut report = Report::of(document, problems, Path::new(NAME));
        report.hide(&secrets);
        for source in &mut report.sources {
            *source = Arc::new(Source {
                path: NAME.into(),
                shown: source.shown.clone(),
            });
        }
        report
            .diagnostics
            .sort_by_key(|one| one.place.as_ref().map(|place| place.range.start));
        let sink = sink.filter(|_| !report.has_errors());
        (sink.map(|sink| Edited { sink, secrets }), report)
    }

    fn understand(
        &self,
        document: &mut Document,
        environment: &Environment<'_>,
        problems: &mut Vec<Diagnostic>,
    ) -> (Option<Sink>, Vec<Secret>) {
        let name = self.sink;
        self.alone(document, problems);
        let base = schema::base();
        let root = std::mem::take(&mut document.root);
        let mut renamed = schema::rename(&base, root, "", document, problems);
        document.root = std::mem::take(&mut renamed.value);
        if !has_errors(problems) {
            self.guard(document, problems);
        }
        // Before this nothing outside of the text was looked at.
        if has_errors(problems) {
            return (None, Vec::new());
        }
        let places = secrets::Places::of(&document.root);
        document.secret = places.pointers();
        resolve::resolve(document, environment, problems);
        let secrets = places.values(&document.root, environment).remove(name);
        advice::placeholders(document, problems);
        self.fallback(document, problems);
        renamed.value = document.root.clone();
        let root = schema::examine(&base, renamed, "", document, problems).value;
        let mut build = Build {
            document,
            purpose: Purpose::Everything,
            problems,
        };
        let sink = build.sinks(&root, self.tables, self.catalogue).remove(name);
        (sink, secrets.unwrap_or_default())
    }

    fn at(&self) -> String {
        pointer("/sinks", self.sink)
    }

    /// Says what is there beside the table of the sink, and whether that is missing.
    fn alone(&self, document: &Document, problems: &mut Vec<Diagnostic>) {
        let name = self.sink;
        let mut others = Vec::new();
        for (section, value) in document.root.as_object().into_iter().flatten() {
            let at = pointer("", section);
            match (section.as_str(), value.as_object()) {
                ("sinks", Some(sinks)) => {
                    let sinks = sinks.keys().filter(|sink| *sink != name);
                    others.extend(sinks.map(|sink| pointer(&at, sink)));
                }
                _ => others.push(at),
            }
        }
        for at in others {
            let found = schema::dotted(&at);
            let message = Text::new(
                format!("`{found}` is not of the sink `{name}`"),
                format!("`{found}` 不属于目的地 `{name}`"),
            );
            let help = Text::new(
                format!("give [sinks.{name}] and the tables below it, and nothing else"),
                format!("请只写 [sinks.{name}] 及其下级表"),
            );
            let error = Diagnostic::error("config::other_table", message).help(help);
            problems.push(error.at(document.key_place(&at)));
        }
        let is_there = document.root.pointer(&self.at()).is_some();
        if !is_there && !has_errors(problems) {
            let message = Text::new(
                format!("there is no table [sinks.{name}]"),
                format!("没有表 [sinks.{name}]"),
            );
            let help = Text::new(
                format!("begin with [sinks.{name}], as the configuration has it"),
                format!("请以 [sinks.{name}] 开头，与配置文件一致"),
            );
            problems.push(Diagnostic::error("config::no_sink", message).help(help));
        }
    }

    /// Refuses what would reach further than what runs, and puts in what `***` stands for.
    fn guard(&self, document: &mut Document, problems: &mut Vec<Diagnostic>) {
        let at = self.at();
        let known = self.written.value();
        let Some(mut given) = document.root.pointer(&at).cloned() else {
            return;
        };
        let plugin = &known["plugin"];
        if given["plugin"] != *plugin {
            let plugin = plugin.as_str().unwrap_or_default();
            let message = Text::new(
                format!("another plugin cannot be tried here: this sink has `{plugin}`"),
                format!("此处不能试用其他插件：该目的地的插件是 `{plugin}`"),
            );
            let help = Text::new(
                "change it in the file, and look by `leadgate check` and `leadgate render`",
                "请在文件中修改，再用 `leadgate check` 与 `leadgate render` 查看",
            );
            let place = document.value_place(&pointer(&at, "plugin"));
            let error = Diagnostic::error("config::not_here", message).help(help);
            problems.push(error.at(place));
            return;
        }
        let texts = |value: &Value, settings: Option<&Value>| {
            let mut all = Vec::new();
            each_text(value, "", &mut |at, value| {
                all.push((at.to_owned(), value.clone()));
            });
            if let Some(settings) = settings {
                each_text(settings, "/settings", &mut |at, value| {
                    all.push((at.to_owned(), value.clone()));
                });
            }
            all
        };
        let schema = plugin
            .as_str()
            .and_then(|plugin| self.catalogue.schema(plugin))
            .unwrap_or_default();
        let spelt = |value: &Value| {
            let settings = match &value["settings"] {
                Value::Null => Value::Object(serde_json::Map::new()),
                settings => settings.clone(),
            };
            // What is said of it is said when it is checked.
            let below = pointer(&at, "settings");
            schema::rename(&schema, settings, &below, document, &mut Vec::new()).value
        };
        let known_settings = spelt(known);
        let known_texts = texts(known, Some(&known_settings));
        restore(&mut given, "", &at, &known_texts);
        let given_settings = spelt(&given);
        let places = |all: &[(String, Value)]| -> BTreeSet<(String, String)> {
            let all = all.iter();
            all.map(|(at, value)| (anywhere(at), value.to_string()))
                .collect()
        };
        let allowed = places(&known_texts);
        let mut refused = BTreeSet::new();
        for (below, value) in texts(&given, Some(&given_settings)) {
            let text = value.as_str().unwrap_or_default();
            let is_known = || allowed.contains(&(anywhere(&below), value.to_string()));
            if refers(text) && !is_known() && refused.insert(below.clone()) {
                let error = Diagnostic::error(
                    "config::not_here",
                    Text::new(
                        format!(
                            "`{}` refers to what the sink that runs does not use here",
                            schema::dotted(&below)
                        ),
                        format!(
                            "`{}` 引用了运行中的目的地在此处没有使用的内容",
                            schema::dotted(&below)
                        ),
                    ),
                );
                let help = Text::new(
                    "`env:`, `file:`, `cred:` and `${…}` can be tried only where and as the configuration has them that runs: change the file, and look by `leadgate render`",
                    "`env:`、`file:`、`cred:` 和 `${…}` 只能照运行中的配置原样写在原处；其他写法请修改文件后用 `leadgate render` 查看",
                );
                let place = document.value_place(&format!("{at}{below}"));
                problems.push(error.help(help).at(place));
            }
        }
        let files = |settings: &Value| paths::named(&schema, settings);
        let allowed: BTreeSet<(String, String)> = files(&known_settings)
            .into_iter()
            .map(|(at, text)| (anywhere(&at), text))
            .collect();
        for (below, text) in files(&given_settings) {
            let below = format!("/settings{below}");
            let is_known = allowed.contains(&(anywhere(&below["/settings".len()..]), text));
            if !is_known && refused.insert(below.clone()) {
                let error = Diagnostic::error(
                    "config::not_here",
                    Text::new(
                        format!(
                            "`{}` names another file than the sink that runs",
                            schema::dotted(&below)
                        ),
                        format!(
                            "`{}` 指定的文件与运行中的目的地不同",
                            schema::dotted(&below)
                        ),
                    ),
                );
                let help = Text::new(
                    "files, folders and programs can be tried only as the configuration has them that runs: change the file, and look by `leadgate render`",
                    "文件、文件夹和程序只能照运行中的配置原样试用；请修改文件后用 `leadgate render` 查看",
                );
                let place = document.value_place(&format!("{at}{below}"));
                problems.push(error.help(help).at(place));
            }
        }
        if let Some(place) = document.root.pointer_mut(&at) {
            *place = given;
        }
    }

    /// Looks at the sink for dead letters here, where the others are not in the document.
    fn fallback(&self, document: &mut Document, problems: &mut Vec<Diagnostic>) {
        let at = pointer(&self.at(), "on_dead");
        let sink = document.root.pointer_mut(&self.at());
        let Some(Value::String(to)) = sink
            .and_then(Value::as_object_mut)
            .and_then(|sink| sink.remove("on_dead"))
        else {
            return;
        };
        if self.sinks.contains(&to) && to != self.sink {
            return;
        }
        let others = self.sinks.iter().filter(|name| *name != self.sink);
        let others: Vec<String> = others.cloned().collect();
        let message = Text::new(
            format!("there is no other sink `{to}`"),
            format!("没有另一个目的地 `{to}`"),
        );
        let error = Diagnostic::error("config::unknown_sink", message);
        let error = error.help(schema::guess(&to, &others));
        problems.push(error.at(document.value_place(&at)));
    }
}

fn has_errors(problems: &[Diagnostic]) -> bool {
    problems.iter().any(|one| one.severity == Severity::Error)
}

/// Whether a text takes something from outside.
fn refers(text: &str) -> bool {
    let names = matches!(
        reference::read(text, false),
        Ok(Some(
            Reference::Env(_) | Reference::File(_) | Reference::Cred(_)
        ))
    );
    names || text.contains("${")
}

/// Calls `each` for all texts and numbers, with where they are.
fn each_text(value: &Value, at: &str, each: &mut impl FnMut(&str, &Value)) {
    match value {
        Value::String(_) | Value::Number(_) => each(at, value),
        Value::Array(items) => {
            for (number, item) in items.iter().enumerate() {
                each_text(item, &pointer(at, &number.to_string()), each);
            }
        }
        Value::Object(entries) => {
            for (key, item) in entries {
                each_text(item, &pointer(at, key), each);
            }
        }
        _ => {}
    }
}

/// A place in a list is as good as another in the same list.
fn anywhere(at: &str) -> String {
    let steps = at.split('/').map(|step| {
        let is_number = !step.is_empty() && step.bytes().all(|byte| byte.is_ascii_digit());
        if is_number { "*" } else { step }
    });
    steps.collect::<Vec<_>>().join("/")
}

/// Puts secrets that are written out back in where `***` stands for them.
fn restore(value: &mut Value, at: &str, above: &str, known: &[(String, Value)]) {
    match value {
        Value::String(text) if text == HIDDEN => {
            let is_secret = |(_, known): &&(String, Value)| match known {
                Value::String(text) => literal_secret::is_hidden(&format!("{above}{at}"), text),
                _ => literal_secret::is_named(&format!("{above}{at}")),
            };
            let exact = known.iter().find(|(place, _)| place == at);
            let like = || {
                known
                    .iter()
                    .find(|(place, _)| anywhere(place) == anywhere(at))
            };
            if let Some((_, was)) = exact.or_else(like).filter(is_secret) {
                *value = was.clone();
            }
        }
        Value::Array(items) => {
            for (number, item) in items.iter_mut().enumerate() {
                restore(item, &pointer(at, &number.to_string()), above, known);
            }
        }
        Value::Object(entries) => {
            for (key, item) in entries {
                restore(item, &pointer(at, key), above, known);
            }
        }
        _ => {}
    }
}
