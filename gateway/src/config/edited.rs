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
        let plugin = known["plugin"].as_str().unwrap_or_default();
        if given["plugin"] != known["plugin"] {
            let what = Text::new(
                format!("another plugin cannot be tried here: this sink has `{plugin}`"),
                format!("此处不能试用其他插件：该目的地的插件是 `{plugin}`"),
            );
            problems.push(self.not_here(document, "/plugin", what, &Text::default()));
            return;
        }
        let schema = self.catalogue.schema(plugin).unwrap_or_default();
        let known = Spelt::of(known, &schema, &at, document);
        restore(&mut given, "", &at, &known.texts);
        let spelt = Spelt::of(&given, &schema, &at, document);
        for below in spelt.references_beyond(&known) {
            let key = schema::dotted(&below);
            let what = Text::new(
                format!("`{key}` refers to what the sink that runs does not use here"),
                format!("`{key}` 引用了运行中的目的地在此处没有使用的内容"),
            );
            let why = Text::new(
                "`env:`, `file:`, `cred:` and `${…}` can be tried only where and as the configuration has them that runs",
                "`env:`、`file:`、`cred:` 和 `${…}` 只能照运行中的配置原样写在原处",
            );
            problems.push(self.not_here(document, &below, what, &why));
        }
        for below in spelt.files_beyond(&known, &schema) {
            let key = schema::dotted(&below);
            let what = Text::new(
                format!("`{key}` names another file than the sink that runs"),
                format!("`{key}` 指定的文件与运行中的目的地不同"),
            );
            let why = Text::new(
                "files, folders and programs can be tried only as the configuration has them that runs",
                "文件、文件夹和程序只能照运行中的配置原样试用",
            );
            problems.push(self.not_here(document, &below, what, &why));
        }
        if let Some(place) = document.root.pointer_mut(&at) {
            *place = given;
        }
    }

    /// What can be tried in the files alone, by who may read them.
    fn not_here(&self, document: &Document, below: &str, what: Text, why: &Text) -> Diagnostic {
        let instead = Text::new(
            "change the file, and look by `leadgate check` and `leadgate render`",
            "请在文件中修改，再用 `leadgate check` 与 `leadgate render` 查看",
        );
        let place = document.value_place(&format!("{}{below}", self.at()));
        let error = Diagnostic::error("config::not_here", what);
        error.help(why.and(&instead)).at(place)
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

/// A table, with its settings' keys as they are and as the plugin's schema spells them.
struct Spelt {
    texts: Vec<(String, Value)>,
    settings: Value,
}

impl Spelt {
    /// Of the table that is at `at` in the document.
    fn of(table: &Value, schema: &Value, at: &str, document: &Document) -> Self {
        let settings = match &table["settings"] {
            Value::Null => Value::Object(serde_json::Map::new()),
            settings => settings.clone(),
        };
        // What is said of a key is said when the whole is checked.
        let below = pointer(at, "settings");
        let settings = schema::rename(schema, settings, &below, document, &mut Vec::new()).value;
        let mut texts = Vec::new();
        let mut each = |at: &str, value: &Value| texts.push((at.to_owned(), value.clone()));
        each_text(table, "", &mut each);
        each_text(&settings, "/settings", &mut each);
        Self { texts, settings }
    }

    /// Where a text refers to something that `known` does not refer to there in the same words.
    fn references_beyond(&self, known: &Self) -> BTreeSet<String> {
        let place = |(at, value): &(String, Value)| (anywhere(at), value.to_string());
        let known: BTreeSet<_> = known.texts.iter().map(place).collect();
        let texts = self.texts.iter();
        let beyond = texts.filter(|text| text.1.as_str().is_some_and(refers));
        let beyond = beyond.filter(|text| !known.contains(&place(text)));
        beyond.map(|(at, _)| at.clone()).collect()
    }

    /// Where a file, a folder or a program is named that `known` does not name there.
    fn files_beyond(&self, known: &Self, schema: &Value) -> BTreeSet<String> {
        let named = |settings: &Value| paths::named(schema, settings).into_iter();
        let known = named(&known.settings).map(|(at, text)| (anywhere(&at), text));
        let known: BTreeSet<_> = known.collect();
        let beyond = named(&self.settings);
        let beyond = beyond.filter(|(at, text)| !known.contains(&(anywhere(at), text.clone())));
        beyond.map(|(at, _)| format!("/settings{at}")).collect()
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
