//! Excerpts: the lines of a file that are one sink's table, to be shown and changed.
//!
//! Taken as they are, comments included, so that they can be put back. Whatever is secret by its
//! key or by its looks is `***`. Of a table that is written in a way which cannot be cut out as
//! lines there is none.

use std::collections::BTreeMap;
use std::ops::Range;

use serde_json::Value;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::super::diagnostic::{Diagnostic, Places};
use super::super::literal_secret;
use super::files::secret_lines;
use super::reader::Reader;
use super::{Document, pointer};

/// What stands instead of a secret.
pub(in super::super) const HIDDEN: &str = "***";
/// The same where there were no quotes.
const QUOTED: &str = "\"***\"";

/// Letters and digits in a row that look like a key.
const LIKE_A_KEY: usize = 16;

impl Document {
    /// Of each sink that can be cut out, by name; before anything in the document is changed.
    pub(in super::super) fn excerpts(&self) -> BTreeMap<String, String> {
        let names = self.root["sinks"].as_object().into_iter().flatten();
        let excerpts = names.filter_map(|(name, value)| {
            let cut = self.cut(name)?;
            let read = read(&cut);
            let same = read.value.pointer(&at(name)) == Some(value);
            same.then(|| (name.clone(), read.masked(&cut)))
        });
        excerpts.collect()
    }

    /// The lines below the headers of a sink, with those.
    fn cut(&self, name: &str) -> Option<String> {
        let file = self.key_place(&at(name))?.file;
        let text = self.texts.get(file)?;
        let places = self.places.borrow();
        let of_file = places.iter().filter(|(_, (key, _))| key.file == file);
        let leaves = of_file
            .filter(|(at, _)| self.root.pointer(at).is_some_and(is_leaf))
            .map(|(_, (_, value))| value.range.clone());
        let leaves: Vec<Range<usize>> = leaves.collect();
        let is_inside = |at: usize| leaves.iter().any(|leaf| leaf.start < at && at < leaf.end);
        let mut out = String::new();
        let mut its = false;
        let mut start = 0;
        // Comments just above a header are of that.
        let mut above = String::new();
        for line in text.split_inclusive('\n') {
            let (here, begin) = (start, line.trim_start());
            start += line.len();
            if begin.starts_with('#') && !is_inside(here) {
                above.push_str(line);
                continue;
            }
            if begin.starts_with('[') && !is_inside(here) {
                its = header(line).is_some_and(|path| path == ["sinks", name]);
            }
            if its {
                out.push_str(&above);
                out.push_str(line);
            }
            above.clear();
        }
        Some(format!("{}\n", out.trim_end())).filter(|_| !out.is_empty())
    }
}

fn at(name: &str) -> String {
    pointer("/sinks", name)
}

/// Whether a value is within its own lines, and has no headers of its own.
fn is_leaf(value: &Value) -> bool {
    match value {
        Value::Object(_) => false,
        Value::Array(items) => !items.iter().any(Value::is_object),
        _ => true,
    }
}

/// The first two names of a header, `[sinks.crm.settings]` or `[[sinks.crm.settings.steps]]`.
fn header(line: &str) -> Option<[String; 2]> {
    let table = DeTable::parse(line).ok()?;
    let (first, below) = table.get_ref().iter().next()?;
    let DeValue::Table(below) = below.get_ref() else {
        return None;
    };
    let (second, _) = below.iter().next()?;
    Some([first.get_ref().to_string(), second.get_ref().to_string()])
}

/// A text of TOML, read.
struct Read {
    value: Value,
    /// Secrets that are written out.
    masks: Vec<Range<usize>>,
    places: Places,
}

fn read(text: &str) -> Read {
    let (table, _): (Spanned<DeTable<'_>>, _) = DeTable::parse_recoverable(text);
    let mut masks = Vec::new();
    let mut places = Places::new();
    let mut problems: Vec<Diagnostic> = Vec::new();
    let mut reader = Reader {
        file: 0,
        places: &mut places,
        masks: &mut masks,
        problems: &mut problems,
    };
    let value = reader.table(table.get_ref(), "");
    Read {
        value,
        masks,
        places,
    }
}

impl Read {
    /// `text`, which is what was read, without secrets.
    fn masked(&self, text: &str) -> String {
        let values = self.masks.iter().map(|range| {
            let is_text = text[..range.start].ends_with(['"', '\'']);
            // Of a number a text is made.
            (range.clone(), if is_text { HIDDEN } else { QUOTED })
        });
        let comments = self.comments(text).into_iter();
        let mut all: Vec<_> = values
            .chain(comments.map(|range| (range, HIDDEN)))
            .collect();
        all.sort_by_key(|(range, _)| range.start);
        let mut out = String::with_capacity(text.len());
        let mut copied = 0;
        for (range, hidden) in all {
            if range.start < copied || range.is_empty() {
                continue;
            }
            out.push_str(&text[copied..range.start]);
            out.push_str(hidden);
            copied = range.end;
        }
        out.push_str(&text[copied..]);
        out
    }

    /// What in comments may be a secret: settings that are switched off, and what looks like one.
    fn comments(&self, text: &str) -> Vec<Range<usize>> {
        let keys = self.places.values().map(|(key, _)| key.range.clone());
        let leaves = self.places.iter().filter_map(|(at, (_, value))| {
            let is_leaf = self.value.pointer(at).is_some_and(is_leaf);
            is_leaf.then(|| value.range.clone())
        });
        let taken: Vec<Range<usize>> = keys.chain(leaves).collect();
        let mut found = Vec::new();
        let mut start = 0;
        for line in text.split_inclusive('\n') {
            let sign = line.match_indices('#').find(|(at, _)| {
                let at = start + at;
                !taken.iter().any(|range| range.contains(&at))
            });
            if let Some((at, _)) = sign {
                let (begin, comment) = (start + at + 1, line[at + 1..].trim_end());
                let hidden = hidden_in(comment);
                found.extend(hidden.map(|range| begin + range.start..begin + range.end));
            }
            start += line.len();
        }
        found
    }
}

/// What of a comment nobody is to see; from its first such letter to its last.
fn hidden_in(comment: &str) -> Option<Range<usize>> {
    let mut all = secret_lines(comment);
    let mut start = None;
    for (at, letter) in comment.char_indices().chain([(comment.len(), ' ')]) {
        match (
            letter.is_ascii_alphanumeric() || "-_+/=".contains(letter),
            start,
        ) {
            (true, None) => start = Some(at),
            (false, Some(from)) => {
                let word = &comment[from..at];
                let digits = word.bytes().any(|byte| byte.is_ascii_digit());
                let letters = word.bytes().any(|byte| byte.is_ascii_alphabetic());
                if word.len() >= LIKE_A_KEY && digits && letters {
                    all.push(from..at);
                }
                start = None;
            }
            _ => {}
        }
    }
    let from = all.iter().map(|range| range.start).min()?;
    let to = all.iter().map(|range| range.end).max()?;
    Some(from..to)
}

/// `value`, which is at `at`, without secrets.
pub(in super::super) fn hide(value: &mut Value, at: &str) {
    match value {
        Value::String(text) if literal_secret::is_hidden(at, text) => HIDDEN.clone_into(text),
        Value::Number(_) if literal_secret::is_named(at) => *value = HIDDEN.into(),
        Value::Array(items) => {
            for (number, item) in items.iter_mut().enumerate() {
                hide(item, &pointer(at, &number.to_string()));
            }
        }
        Value::Object(entries) => {
            for (key, item) in entries {
                hide(item, &pointer(at, key));
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_as_texts_numbers_and_in_comments_and_nothing_else_is() {
        let text = "# plain words, 2026-11-29\ntoken = 'a' # b\npassword = 12345\nkey = 7 # password: x1\nlong = \"\"\"\n# no comment token = \"y\"\n\"\"\"\nsecret = \"\"\"\nz\n\"\"\"\n# at https://u:pw@h/x\n";
        let masked = read(text).masked(text);
        assert_eq!(
            masked,
            "# plain words, 2026-11-29\ntoken = '***' # b\npassword = \"***\"\nkey = 7 # password: ***\nlong = \"\"\"\n# no comment token = \"y\"\n\"\"\"\nsecret = \"***\"\n# at https://***\n"
        );
        assert!(DeTable::parse(&masked).is_ok());
    }
}
