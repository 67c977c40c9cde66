//! Diagnostics: what is wrong with a configuration, where, and what to do.
//!
//! Each has a stable code, a place in a file if it has one, and a text in both languages.
//! Sources are shown as they were written, but for literal secrets, which are masked.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use leadgate_plugin::Secret;
use miette::{GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceCode};
use serde_json::json;

use crate::lang::Lang;
pub(super) use crate::lang::Text;
use crate::terminal;

/// Shorter secrets are not looked for.
const SHORTEST: usize = 6;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// leadgate does not start with it.
    Error,
    /// Worth a look.
    Warning,
}

/// A file's name and text, literal secrets masked.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) path: PathBuf,
    pub(super) shown: String,
}

/// A place in a file.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) file: usize,
    pub(super) range: Range<usize>,
    /// What is there, as a JSON pointer into the document; empty if that is not known.
    pub(super) pointer: String,
}

/// One thing that is wrong.
#[derive(Clone, Debug)]
pub struct Diagnostic {
    /// How bad.
    pub severity: Severity,
    /// Stable name, such as `config::unknown_key`.
    pub code: &'static str,
    pub(super) message: Text,
    pub(super) help: Text,
    pub(super) place: Option<Place>,
    /// Another place that matters: where a name was defined first.
    pub(super) other: Option<Place>,
    /// The file that it is about, if it has no place in one.
    pub(super) file: Option<PathBuf>,
}

impl Diagnostic {
    pub(super) fn error(code: &'static str, message: Text) -> Self {
        Self {
            severity: Severity::Error,
            code,
            message,
            help: Text::default(),
            place: None,
            other: None,
            file: None,
        }
    }

    pub(super) fn warning(code: &'static str, message: Text) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(code, message)
        }
    }

    pub(super) fn help(mut self, help: Text) -> Self {
        self.help = help;
        self
    }

    pub(super) fn at(mut self, place: Option<Place>) -> Self {
        self.place = place;
        self
    }

    pub(super) fn about(mut self, file: &std::path::Path) -> Self {
        self.file = Some(file.to_owned());
        self
    }
}

/// All diagnostics of a configuration, with the files they point into.
#[derive(Clone, Debug, Default)]
pub struct Report {
    pub(super) diagnostics: Vec<Diagnostic>,
    pub(super) sources: Vec<Arc<Source>>,
    /// Where each key and its value are, for what is found later.
    pub(super) places: Places,
    /// What is worth knowing and neither wrong nor risky.
    pub(super) notes: Vec<Text>,
}

/// JSON pointer → where its key is, and where its value is.
pub(super) type Places = BTreeMap<String, (Place, Place)>;

impl Report {
    /// Whether leadgate can start.
    pub fn has_errors(&self) -> bool {
        self.diagnostics
            .iter()
            .any(|one| one.severity == Severity::Error)
    }

    /// All of them, in the order of their places.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }

    /// For a person: each with its file, line and caret.
    pub fn render(&self, lang: Lang, colour: bool) -> String {
        let theme = if colour {
            GraphicalTheme::unicode()
        } else {
            GraphicalTheme::unicode_nocolor()
        };
        let handler = GraphicalReportHandler::new_themed(theme)
            .with_links(false)
            .with_width(100);
        let mut text = String::new();
        for one in &self.diagnostics {
            let shown = Shown {
                one,
                lang,
                source: self.named(one),
                elsewhere: self.elsewhere(one, lang),
            };
            if handler.render_report(&mut text, &shown).is_err() {
                text.push_str(one.message.pick(lang));
            }
            text.push('\n');
        }
        text
    }

    /// For a program: `{ok, errors, warnings, problems: [{severity, code, path, file, line,
    /// column, message, help}]}`; `path` is the key with dots, line and column count from 1, the
    /// column in characters.
    pub fn json(&self, lang: Lang) -> serde_json::Value {
        let (errors, warnings) = self.counts();
        let problems: Vec<_> = self
            .diagnostics
            .iter()
            .map(|one| self.one_as_json(one, lang))
            .collect();
        let notes: Vec<_> = self.notes(lang).collect();
        json!({
            "ok": errors == 0,
            "errors": errors,
            "warnings": warnings,
            "problems": problems,
            "notes": notes,
        })
    }

    fn one_as_json(&self, one: &Diagnostic, lang: Lang) -> serde_json::Value {
        let position = one.place.as_ref().and_then(|place| {
            let source = self.sources.get(place.file)?;
            let before = source.shown.get(..place.range.start)?;
            let line_start = before.rfind('\n').map_or(0, |at| at + 1);
            let line = before.matches('\n').count() + 1;
            let column = before[line_start..].chars().count() + 1;
            Some((&source.path, line, column))
        });
        let file = position
            .as_ref()
            .map(|(file, ..)| *file)
            .or(one.file.as_ref());
        let path = one.place.as_ref().filter(|place| !place.pointer.is_empty());
        json!({
            "severity": match one.severity { Severity::Error => "error", Severity::Warning => "warning" },
            "code": one.code,
            "path": path.map(|place| super::schema::dotted(&place.pointer)),
            "file": file.map(|file| file.display().to_string()),
            "line": position.as_ref().map(|(_, line, _)| line),
            "column": position.as_ref().map(|(.., column)| column),
            "message": one.message.pick(lang),
            "help": one.help.pick(lang),
        })
    }

    /// What is worth knowing and neither wrong nor risky.
    pub fn notes(&self, lang: Lang) -> impl Iterator<Item = &str> {
        self.notes.iter().map(move |note| note.pick(lang))
    }

    /// Numbers of errors and of warnings.
    pub fn counts(&self) -> (usize, usize) {
        let errors = self
            .diagnostics
            .iter()
            .filter(|one| one.severity == Severity::Error)
            .count();
        (errors, self.diagnostics.len() - errors)
    }

    /// «3 errors, 1 warning»; empty if there is nothing.
    pub fn summary(&self, lang: Lang) -> String {
        let (errors, warnings) = self.counts();
        let counted = |count: usize, en: &str, zh: &str| match (lang, count) {
            (_, 0) => None,
            (Lang::En, 1) => Some(format!("1 {en}")),
            (Lang::En, _) => Some(format!("{count} {en}s")),
            (Lang::ZhCn, _) => Some(format!("{count} 个{zh}")),
        };
        let parts = [
            counted(errors, "error", "错误"),
            counted(warnings, "warning", "警告"),
        ];
        let parts: Vec<_> = parts.into_iter().flatten().collect();
        parts.join(lang.pick(", ", "，"))
    }

    /// Takes these secrets out of all that is said: where it is of a text that is not that of
    /// who may know them.
    pub(super) fn hide(&mut self, secrets: &[Secret]) {
        let hidden = |text: &str| {
            let secrets = secrets.iter().map(Secret::expose);
            // A shorter one is in too many words.
            let secrets = secrets.filter(|secret| secret.len() >= SHORTEST);
            secrets.fold(text.to_owned(), |text, secret| text.replace(secret, "***"))
        };
        for one in &mut self.diagnostics {
            one.message = one.message.each(hidden);
            one.help = one.help.each(hidden);
        }
    }

    /// Adds what was found after loading, at the value of `pointer`.
    pub(super) fn add(&mut self, problem: Diagnostic, pointer: &str) {
        let place = place_in(&self.places, pointer).map(|(_, value)| value);
        self.diagnostics.push(problem.at(place));
    }

    fn elsewhere(&self, one: &Diagnostic, lang: Lang) -> Option<String> {
        let (place, other) = (one.place.as_ref()?, one.other.as_ref()?);
        let source = self
            .sources
            .get(other.file)
            .filter(|_| other.file != place.file)?;
        let line = source.shown.get(..other.range.start)?.matches('\n').count() + 1;
        let first = lang.pick("first defined in", "最初定义在");
        Some(format!("{first} {}:{line}", source.path.display()))
    }

    fn named(&self, one: &Diagnostic) -> Option<NamedSource<String>> {
        let source = self.sources.get(one.place.as_ref()?.file)?;
        Some(NamedSource::new(
            source.path.display().to_string(),
            // What turns text around, or moves the cursor, is seen and not obeyed; the caret
            // counts bytes.
            terminal::visible_in_place(&source.shown).into_owned(),
        ))
    }
}

/// One diagnostic as miette wants it.
struct Shown<'a> {
    one: &'a Diagnostic,
    lang: Lang,
    source: Option<NamedSource<String>>,
    /// The other place, if it is in another file and cannot be underlined.
    elsewhere: Option<String>,
}

impl fmt::Debug for Shown<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.one.code)
    }
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&terminal::visible(self.one.message.pick(self.lang)))
    }
}

impl std::error::Error for Shown<'_> {}

impl miette::Diagnostic for Shown<'_> {
    fn code<'b>(&'b self) -> Option<Box<dyn fmt::Display + 'b>> {
        Some(Box::new(self.one.code))
    }

    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.one.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
        })
    }

    fn help<'b>(&'b self) -> Option<Box<dyn fmt::Display + 'b>> {
        let help = terminal::visible(self.one.help.pick(self.lang));
        let first = self.elsewhere.as_deref().unwrap_or_default();
        let parts: Vec<&str> = [&*help, first]
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect();
        (!parts.is_empty()).then(|| Box::new(parts.join("\n")) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source.as_ref().map(|source| source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let place = self.one.place.as_ref()?;
        let here = LabeledSpan::new_primary_with_span(None, place.range.clone());
        let there = self
            .one
            .other
            .iter()
            .filter(|other| other.file == place.file)
            .map(|other| {
                let first = self
                    .lang
                    .pick("first defined here", "最初定义在这里")
                    .to_owned();
                LabeledSpan::new_with_span(Some(first), other.range.clone())
            });
        Some(Box::new(std::iter::once(here).chain(there)))
    }
}

/// Where the key at `pointer` and its value are; of the nearest one above it both times the key.
pub(super) fn place_in(places: &Places, pointer: &str) -> Option<(Place, Place)> {
    let mut at = pointer;
    loop {
        if let Some((key, value)) = places.get(at) {
            let value = if at == pointer { value } else { key };
            let named = |place: &Place| Place {
                pointer: pointer.to_owned(),
                ..place.clone()
            };
            return Some((named(key), named(value)));
        }
        at = &at[..at.rfind('/')?];
    }
}
