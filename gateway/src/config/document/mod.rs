//! The document: all files as one tree of values, each value with its place.
//!
//! `leadgate.toml` first, then `sinks.d/*.toml` and `tables.d/*.toml` beside it by name. A
//! name defined twice is an error that shows both places; nothing overrides silently. Of a file
//! that is not TOML only what is not TOML is said.

pub(super) mod excerpt;
mod files;
mod reader;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value, json};
use toml::de::DeTable;

use self::files::{files, is_named, said, secret_lines};
use self::reader::Reader;
use super::diagnostic::{Diagnostic, Place, Places, Severity, Source, Text, place_in};
use super::{advice, encoding, literal};

/// Files read at most.
const MOST: usize = 500;

/// All files, merged.
#[derive(Default)]
pub(super) struct Document {
    pub(super) root: Value,
    pub(super) sources: Vec<Arc<Source>>,
    /// The files' texts as they are, with whatever secrets are written out in them.
    texts: Vec<String>,
    places: RefCell<Places>,
    main: PathBuf,
    /// Files that are not TOML, by number.
    broken: BTreeSet<usize>,
    /// Whether a file could not be read at all.
    unread: bool,
    /// Pointers about which everything was said.
    pub(super) failed: BTreeSet<String>,
    /// Where in the settings of sinks something secret stands.
    pub(super) secret: BTreeSet<String>,
    /// Pointers whose values are what was in a file.
    pub(super) from_files: BTreeSet<String>,
}

impl Document {
    /// Reads `main`, an absolute path, and what is beside it. `nowhere` is said if `main` is
    /// not there.
    pub(super) fn read(main: &Path, nowhere: &Text, problems: &mut Vec<Diagnostic>) -> Self {
        let mut document = Self {
            root: Value::Object(Map::new()),
            main: main.to_owned(),
            ..Self::default()
        };
        for path in files(main, problems) {
            document.add(&path, nowhere, "", problems);
        }
        document
    }

    /// Reads a file that holds nothing but the settings of `sink`, as TOML or as JSON.
    pub(super) fn settings(
        file: &Path,
        sink: &str,
        plugin: &str,
        nowhere: &Text,
        problems: &mut Vec<Diagnostic>,
    ) -> Self {
        let at = pointer(&pointer("/sinks", sink), "settings");
        let root = json!({ "sinks": { sink: { "plugin": plugin, "settings": {} } } });
        let mut document = Self::of(file, root);
        document.add(file, nowhere, &at, problems);
        document
    }

    /// Reads `text` as if it were all of the file `main`.
    pub(super) fn text(main: &Path, text: String, problems: &mut Vec<Diagnostic>) -> Self {
        let mut document = Self::of(main, Value::Object(Map::new()));
        document.parse(main.to_owned(), text, "", problems);
        document
    }

    /// One that was read some other way: `root` of the file `main`.
    pub(super) fn of(main: &Path, root: Value) -> Self {
        Self {
            root,
            main: main.to_owned(),
            ..Self::default()
        }
    }

    /// Reads a file whose tables are those at `above`.
    fn add(&mut self, path: &Path, nowhere: &Text, above: &str, problems: &mut Vec<Diagnostic>) {
        let text = match encoding::read(path) {
            Ok(text) => text,
            Err(why) => {
                self.unread = true;
                let help = if why.absent && path == self.main {
                    nowhere.clone()
                } else {
                    why.help
                };
                let error = Diagnostic::error("config::file", why.message);
                problems.push(error.help(help).about(path));
                return;
            }
        };
        if !above.is_empty()
            && let Ok(object @ Value::Object(_)) = serde_json::from_str(&text)
        {
            // Of JSON no places are known.
            self.put(above, object);
            return;
        }
        let (file, masks) = self.parse(path.to_owned(), text, above, problems);
        problems.extend(advice::open_file(path, file, &masks));
    }

    /// Reads what is in a file; gives its number, and where secrets are written out in it.
    fn parse(
        &mut self,
        path: PathBuf,
        text: String,
        above: &str,
        problems: &mut Vec<Diagnostic>,
    ) -> (usize, Vec<Range<usize>>) {
        let file = self.sources.len();
        let (table, errors) = DeTable::parse_recoverable(&text);
        let mut masks = Vec::new();
        let mut added = Places::new();
        let mut reader = Reader {
            file,
            places: &mut added,
            masks: &mut masks,
            problems,
        };
        let value = reader.table(table.get_ref(), above);
        if above.is_empty() {
            // Names defined in a file that is not TOML are still names for others.
            self.merge(value, added, problems);
        } else {
            self.put(above, value);
            self.places.get_mut().extend(added);
        }
        if !errors.is_empty() {
            self.broken.insert(file);
            // Long texts are as they are; of a line only the signs may be the mistake.
            masks.retain(|range| {
                text.get(range.clone())
                    .is_some_and(|text| text.contains('\n'))
            });
            masks.extend(secret_lines(&text));
            problems.extend(said(&text, file, &errors));
        }
        let mut shown = text.clone().into_bytes();
        for range in &masks {
            shown[range.clone()].fill(b'*');
        }
        let shown = String::from_utf8(shown).unwrap_or_default();
        self.sources.push(Arc::new(Source { path, shown }));
        self.texts.push(text);
        (file, masks)
    }

    fn put(&mut self, at: &str, value: Value) {
        if let Some(place) = self.root.pointer_mut(at) {
            *place = value;
        }
    }

    /// Adds the tables of one more file: two levels deep (`sinks.crm`), then it is a clash.
    fn merge(&mut self, added: Value, places: Places, problems: &mut Vec<Diagnostic>) {
        let mut kept = places;
        let all = self.places.get_mut();
        let (Value::Object(root), Value::Object(added)) = (&mut self.root, added) else {
            return;
        };
        for (section, value) in added {
            match (root.get_mut(&section), value) {
                (None, value) => {
                    root.insert(section, value);
                }
                (Some(Value::Object(known)), Value::Object(more)) if is_named(&section) => {
                    for (name, value) in more {
                        let pointer = pointer(&pointer("", &section), &name);
                        if known.contains_key(&name) {
                            clash(all, &mut kept, &pointer, problems);
                        } else {
                            known.insert(name, value);
                        }
                    }
                }
                (Some(_), _) => clash(all, &mut kept, &pointer("", &section), problems),
            }
        }
        for (pointer, place) in kept {
            all.entry(pointer).or_insert(place);
        }
    }

    /// The file that names `pointer`.
    pub(super) fn file_of(&self, pointer: &str) -> PathBuf {
        let file = self.key_place(pointer).map(|place| place.file);
        let source = file.and_then(|file| self.sources.get(file));
        source.map_or(&self.main, |source| &source.path).clone()
    }

    /// The folder of the file that names `pointer`.
    pub(super) fn folder(&self, pointer: &str) -> PathBuf {
        let path = self.file_of(pointer);
        path.parent().unwrap_or(Path::new("/")).to_owned()
    }

    /// The folder of `leadgate.toml`.
    pub(super) fn main_folder(&self) -> PathBuf {
        self.main.parent().unwrap_or(Path::new("/")).to_owned()
    }

    /// Whether nothing was said of the value at `pointer` that makes it useless.
    pub(super) fn is_good(&self, pointer: &str) -> bool {
        !self.failed.contains(pointer)
    }

    /// Whether the value at `pointer` is what was in a file.
    pub(super) fn is_from_file(&self, pointer: &str) -> bool {
        self.from_files.contains(pointer)
    }

    /// Whether `pointer` was written in a file that is not TOML.
    pub(super) fn is_broken(&self, pointer: &str) -> bool {
        self.key_place(pointer)
            .is_some_and(|place| self.broken.contains(&place.file))
    }

    /// Leaves out what only follows from files that could not be read.
    pub(super) fn without_followers(&self, problems: &mut Vec<Diagnostic>) {
        if self.broken.is_empty() && !self.unread {
            return;
        }
        let plugins = self.unread
            || self
                .broken
                .iter()
                .any(|file| self.texts[*file].contains("plugins"));
        problems.retain(|one| match (one.code, &one.place) {
            (
                "config::syntax" | "config::defined_twice" | "config::file" | "config::open_file",
                _,
            ) => true,
            (_, Some(place)) if self.broken.contains(&place.file) => false,
            (_, None) => one.severity == Severity::Error,
            ("config::unknown_sink" | "config::no_key" | "config::open_api", _) => false,
            ("config::unknown_plugin", _) => !plugins,
            // Lookup tables may be in the file that could not be read.
            ("config::settings" | "config::condition", _) => {
                !one.message.both().0.contains("there is no table")
            }
            _ => true,
        });
    }

    /// What is at `old` is looked for at `new` from now on.
    pub(super) fn rename(&self, old: &str, new: &str) {
        let mut places = self.places.borrow_mut();
        let moved: Vec<_> = places
            .iter()
            .filter_map(|(at, place)| {
                let rest = at.strip_prefix(old)?;
                (rest.is_empty() || rest.starts_with('/'))
                    .then(|| (format!("{new}{rest}"), place.clone()))
            })
            .collect();
        places.extend(moved);
    }

    /// Where the value at `pointer` is, or the nearest one above it.
    pub(super) fn value_place(&self, pointer: &str) -> Option<Place> {
        place_in(&self.places.borrow(), pointer).map(|(_, value)| value)
    }

    /// Where the key at `pointer` is, or the nearest one above it.
    pub(super) fn key_place(&self, pointer: &str) -> Option<Place> {
        place_in(&self.places.borrow(), pointer).map(|(key, _)| key)
    }

    /// What was written at `pointer`, with its quotes.
    pub(super) fn written(&self, pointer: &str) -> Option<&str> {
        let places = self.places.borrow();
        let (_, value) = places.get(pointer)?;
        self.texts.get(value.file)?.get(value.range.clone())
    }

    /// Where the bytes `part` of the text `value` at `pointer` are; the whole value if that
    /// cannot be told.
    pub(super) fn part_place(
        &self,
        pointer: &str,
        value: &str,
        part: Option<&Range<usize>>,
    ) -> Option<Place> {
        let whole = self.value_place(pointer)?;
        let written = self.written(pointer);
        let found = part.and_then(|part| {
            let written = written?;
            literal::locate(written, value, part)
                .or_else(|| only_letter(written, value.get(part.clone())?))
        });
        Some(match found {
            Some(part) => Place {
                range: whole.range.start + part.start..whole.range.start + part.end,
                ..whole
            },
            None => whole,
        })
    }

    /// All places, for what is found later.
    pub(super) fn into_places(self) -> (Vec<Arc<Source>>, Places) {
        (self.sources, self.places.into_inner())
    }
}

/// Where `letter` is in `written`, if it is one letter that no keyboard for TOML has, and is there
/// once: a text with a variable in it has no place, but such a letter has.
fn only_letter(written: &str, letter: &str) -> Option<Range<usize>> {
    let mut letters = letter.chars();
    let is_one = letters.next().is_some_and(|one| !one.is_ascii()) && letters.next().is_none();
    let mut places = written.match_indices(letter).filter(|_| is_one);
    let (at, _) = places.next()?;
    places.next().is_none().then(|| at..at + letter.len())
}

fn clash(first: &Places, kept: &mut Places, pointer: &str, problems: &mut Vec<Diagnostic>) {
    let name = pointer[1..].replace('/', ".");
    let mut error = Diagnostic::error(
        "config::defined_twice",
        Text::new(
            format!("`{name}` is defined twice"),
            format!("`{name}` 重复定义"),
        ),
    )
    .at(kept.get(pointer).map(|(key, _)| key.clone()));
    error.other = first.get(pointer).map(|(key, _)| key.clone());
    problems.push(error.help(Text::new(
        "give one of them another name, or remove one",
        "请改名或删除其中一个",
    )));
    kept.retain(|other, _| other != pointer && !other.starts_with(&format!("{pointer}/")));
}

/// `pointer` with one more step.
pub(super) fn pointer(above: &str, key: &str) -> String {
    format!("{above}/{}", key.replace('~', "~0").replace('/', "~1"))
}
