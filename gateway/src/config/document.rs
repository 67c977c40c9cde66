//! The document: all files as one tree of values, each value with its place.
//!
//! `leadgate.toml` first, then `sinks.d/*.toml` and `tables.d/*.toml` beside it by name. A
//! name defined twice is an error that shows both places; nothing overrides silently.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostic::{Diagnostic, Place, Source, Text};
use super::{advice, literal};

/// Largest file read, in bytes.
const LARGEST: u64 = 1 << 20;
/// Files read at most.
const MOST: usize = 500;

/// All files, merged.
#[derive(Default)]
pub(super) struct Document {
    pub(super) root: Value,
    pub(super) sources: Vec<Arc<Source>>,
    /// The files' texts as they are, with whatever secrets are written out in them.
    texts: Vec<String>,
    /// JSON pointer → where its key is, and where its value is.
    places: BTreeMap<String, (Place, Place)>,
}

impl Document {
    /// Reads `main` and what is beside it.
    pub(super) fn read(main: &Path, problems: &mut Vec<Diagnostic>) -> Self {
        let mut document = Self {
            root: Value::Object(Map::new()),
            ..Self::default()
        };
        for path in files(main, problems) {
            document.add(path, problems);
        }
        document
    }

    fn add(&mut self, path: PathBuf, problems: &mut Vec<Diagnostic>) {
        let text = match read(&path) {
            Ok(text) => text,
            Err(why) => {
                let message = format!("{}: {why}", path.display());
                let error = Diagnostic::error("config::file", Text::plain(message));
                problems.push(error.help(Text::new(
                    "`leadgate init` writes a configuration to start from",
                    "可用 `leadgate init` 生成初始配置",
                )));
                return;
            }
        };
        let file = self.sources.len();
        let (table, errors) = DeTable::parse_recoverable(&text);
        let mut masks = Vec::new();
        if errors.is_empty() {
            let mut added = BTreeMap::new();
            let mut reader = Reader {
                file,
                places: &mut added,
                masks: &mut masks,
            };
            let value = reader.table(table.get_ref(), "");
            self.merge(value, added, problems);
        }
        for error in &errors {
            let place = error.span().map(|range| Place { file, range });
            problems.push(
                Diagnostic::error(
                    "config::syntax",
                    Text::plain(format!("not TOML: {}", error.message())),
                )
                .at(place),
            );
        }
        problems.extend(advice::open_file(&path, file, &masks));
        let mut shown = text.clone().into_bytes();
        for range in masks {
            shown[range].fill(b'*');
        }
        let shown = String::from_utf8(shown).unwrap_or_default();
        self.sources.push(Arc::new(Source { path, shown }));
        self.texts.push(text);
    }

    /// Adds the tables of one more file: two levels deep (`sinks.crm`), then it is a clash.
    fn merge(
        &mut self,
        added: Value,
        places: BTreeMap<String, (Place, Place)>,
        problems: &mut Vec<Diagnostic>,
    ) {
        let mut kept = places;
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
                            clash(&self.places, &mut kept, &pointer, problems);
                        } else {
                            known.insert(name, value);
                        }
                    }
                }
                (Some(_), _) => clash(&self.places, &mut kept, &pointer("", &section), problems),
            }
        }
        for (pointer, place) in kept {
            self.places.entry(pointer).or_insert(place);
        }
    }

    /// Where the value at `pointer` is, or the nearest one above it.
    pub(super) fn value_place(&self, pointer: &str) -> Option<Place> {
        self.nearest(pointer)
            .map(|(exact, (key, value))| if exact { value } else { key }.clone())
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
        let literal = self.texts.get(whole.file)?.get(whole.range.clone());
        let found = part
            .filter(|_| self.places.contains_key(pointer))
            .and_then(|part| literal::locate(literal?, value, part));
        Some(match found {
            Some(part) => Place {
                file: whole.file,
                range: whole.range.start + part.start..whole.range.start + part.end,
            },
            None => whole,
        })
    }

    /// The folder of the file that names `pointer`; `main` if no file does.
    pub(super) fn folder(&self, pointer: &str, main: &Path) -> PathBuf {
        let file = self.key_place(pointer).map(|place| place.file);
        let source = file.and_then(|file| self.sources.get(file));
        let folder = source.and_then(|source| source.path.parent());
        folder.unwrap_or(main).to_owned()
    }

    /// Where the key at `pointer` is, or the nearest one above it.
    pub(super) fn key_place(&self, pointer: &str) -> Option<Place> {
        self.nearest(pointer).map(|(_, (key, _))| key.clone())
    }

    fn nearest(&self, pointer: &str) -> Option<(bool, &(Place, Place))> {
        let mut at = pointer;
        loop {
            if let Some(found) = self.places.get(at) {
                return Some((at == pointer, found));
            }
            at = &at[..at.rfind('/')?];
        }
    }
}

/// Sections whose entries are named and may come from several files.
fn is_named(section: &str) -> bool {
    matches!(section, "sources" | "sinks" | "plugins" | "tables")
}

fn clash(
    first: &BTreeMap<String, (Place, Place)>,
    kept: &mut BTreeMap<String, (Place, Place)>,
    pointer: &str,
    problems: &mut Vec<Diagnostic>,
) {
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

fn files(main: &Path, problems: &mut Vec<Diagnostic>) -> Vec<PathBuf> {
    let mut files = vec![main.to_owned()];
    let folder = main.parent().unwrap_or(Path::new(""));
    for beside in ["sinks.d", "tables.d"] {
        let Ok(entries) = std::fs::read_dir(folder.join(beside)) else {
            continue;
        };
        let mut found: Vec<_> = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| {
                path.extension()
                    .is_some_and(|extension| extension == "toml")
            })
            .collect();
        found.sort();
        files.extend(found);
    }
    if files.len() > MOST {
        problems.push(Diagnostic::error(
            "config::file",
            Text::plain(format!("more than {MOST} files")),
        ));
        files.truncate(MOST);
    }
    files
}

fn read(path: &Path) -> Result<String, String> {
    let length = std::fs::metadata(path)
        .map_err(|error| error.to_string())?
        .len();
    if length > LARGEST {
        return Err(format!("larger than {LARGEST} bytes"));
    }
    std::fs::read_to_string(path).map_err(|error| error.to_string())
}

/// Turns a table into JSON and notes places.
struct Reader<'a> {
    file: usize,
    places: &'a mut BTreeMap<String, (Place, Place)>,
    /// Literal secrets in the text.
    masks: &'a mut Vec<std::ops::Range<usize>>,
}

impl Reader<'_> {
    fn table(&mut self, table: &DeTable<'_>, above: &str) -> Value {
        let mut map = Map::new();
        for (key, value) in table {
            let at = pointer(above, key.get_ref());
            let place = |range| Place {
                file: self.file,
                range,
            };
            self.places
                .insert(at.clone(), (place(key.span()), place(value.span())));
            let json = self.value(value, &at);
            map.insert(key.get_ref().to_string(), json);
        }
        Value::Object(map)
    }

    fn value(&mut self, value: &Spanned<DeValue<'_>>, at: &str) -> Value {
        match value.get_ref() {
            DeValue::String(text) => {
                if is_literal_secret(at, text) {
                    self.masks.push(inside(value.span()));
                }
                Value::String(text.to_string())
            }
            DeValue::Boolean(flag) => Value::Bool(*flag),
            DeValue::Integer(number) => {
                let digits = number.as_str().replace('_', "");
                i64::from_str_radix(&digits, number.radix()).map_or(Value::Null, Value::from)
            }
            DeValue::Float(number) => {
                let number: f64 = number.as_str().replace('_', "").parse().unwrap_or(f64::NAN);
                serde_json::Number::from_f64(number).map_or(Value::Null, Value::Number)
            }
            DeValue::Datetime(time) => Value::String(time.to_string()),
            DeValue::Array(items) => {
                let items = items.iter().enumerate().map(|(number, item)| {
                    let at = pointer(at, &number.to_string());
                    let place = Place {
                        file: self.file,
                        range: item.span(),
                    };
                    self.places.insert(at.clone(), (place.clone(), place));
                    self.value(item, &at)
                });
                Value::Array(items.collect())
            }
            DeValue::Table(table) => self.table(table, at),
        }
    }
}

/// The bytes between the quotes.
fn inside(range: std::ops::Range<usize>) -> std::ops::Range<usize> {
    let end = range.end.saturating_sub(1);
    (range.start + 1).min(end)..end
}

/// Whether a key of the outbox is at `pointer`: the only secret whose name does not say so.
pub(super) fn is_outbox_key(pointer: &str) -> bool {
    pointer == "/outbox/key" || pointer.starts_with("/outbox/key/")
}

/// Whether `text` is a URL with a password written out in it.
fn has_password(text: &str) -> bool {
    let rest = text.split_once("://").map_or("", |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let login = authority.rsplit_once('@').map(|(login, _)| login);
    let password = login.and_then(|login| login.split_once(':'));
    password.is_some_and(|(_, password)| !password.is_empty() && !password.starts_with("${"))
}

/// Whether a text at `pointer` is a secret written out, judged by the key's name, or by itself
/// if it is a URL.
pub(super) fn is_literal_secret(pointer: &str, text: &str) -> bool {
    if has_password(text) {
        return true;
    }
    let mut steps = pointer
        .rsplit('/')
        .filter(|step| step.parse::<usize>().is_err());
    let key = steps.next().unwrap_or_default().to_ascii_lowercase();
    let parent = steps.next().unwrap_or_default();
    let named = [
        "secret",
        "token",
        "password",
        "open_key",
        "api_key",
        "private_key",
        "authorization",
        "nkey",
        "credentials",
    ];
    if has_password(text) {
        return true;
    }
    // Where a token is fetched and how it is carried is no secret, nor is what a lead fills in.
    let about = ["_url", "_header", "_prefix", "_query", "_body"];
    if about.iter().any(|end| key.ends_with(end)) || text.contains("{{") {
        return false;
    }
    let is_named = named.iter().any(|name| key.contains(name))
        || parent == "headers"
        || (parent == "auth" && key == "value")
        || is_outbox_key(pointer);
    (is_named || advice::is_secret_address(text))
        && !["env:", "file:", "cred:", "${"]
            .iter()
            .any(|prefix| text.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_that_are_written_out_are_known_by_their_key_or_as_a_url() {
        for (key, text, secret) in [
            ("password", "t0psecret", true),
            ("password", "env:PASSWORD", false),
            ("nkey", "SUANQDPB", true),
            ("credentials", "-----BEGIN NATS USER JWT-----", true),
            ("credentials", "file:leads.creds", false),
            ("token_url", "https://crm.example/token", false),
            ("token_url", "https://me:t0psecret@crm.example/token", true),
            ("url", "amqps://leads:t0psecret@rabbit.example/shop", true),
            ("url", "amqps://leads:t0p@secret@rabbit.example", true),
            ("url", "amqps://leads:${PASSWORD}@rabbit.example", false),
            ("url", "amqps://leads@rabbit.example", false),
            ("url", "https://crm.example/a:b@c", false),
            ("servers/0", "nats://me:t0psecret@nats.example", true),
            ("auth/token_body", "corpAccessToken", false),
            ("topic", "leads", false),
        ] {
            let at = format!("/sinks/bus/settings/{key}");
            assert_eq!(is_literal_secret(&at, text), secret, "{key} = {text}");
        }
    }
}
