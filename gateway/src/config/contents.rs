//! Contents: what is in the files that a sink's settings name, so that a reload sees that one was
//! changed under its name.
//!
//! The schema marks paths ([`super::paths`]); what the plugin itself writes there (`"x-written"`)
//! is left alone, and so are folders. Bounded: of a large file only the length and the time of
//! its last change count.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;
use std::time::SystemTime;

use serde_json::Value;

use super::{paths, schema};

/// Longest file of which every byte counts.
const WHOLE: u64 = 16 << 20;
/// Files of one sink that are looked at.
const FILES: usize = 256;

/// What is in the files of one sink, by the dotted key that names each.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Contents(BTreeMap<String, Content>);

#[derive(Debug, PartialEq, Eq)]
enum Content {
    Hash([u8; 32]),
    Large {
        bytes: u64,
        changed: Option<SystemTime>,
    },
    /// It is no file, or cannot be read.
    Nothing,
}

impl Contents {
    /// Of the files that `settings` name, as the schema of the plugin marks them, as they are
    /// now. Reads them: for a thread that may block.
    pub fn read(marks: &Value, settings: &Value) -> Self {
        let mut contents = BTreeMap::new();
        paths::read_by_plugin(marks, settings, &mut |pointer, path| {
            if contents.len() < FILES {
                contents.insert(schema::dotted(pointer), content(path));
            }
        });
        Self(contents)
    }

    /// The keys of which the file is another than it is in `now`.
    pub fn changed<'a>(&'a self, now: &'a Self) -> Vec<&'a str> {
        let changed = |(key, content): (&'a String, &'a Content)| {
            (now.0.get(key) != Some(content)).then_some(key.as_str())
        };
        let new = now.0.keys().filter(|key| !self.0.contains_key(*key));
        let changed = self.0.iter().filter_map(changed);
        changed.chain(new.map(String::as_str)).collect()
    }
}

fn content(path: &Path) -> Content {
    // Nothing that blocks or acts when it is opened.
    let Some(facts) = fs::metadata(path).ok().filter(fs::Metadata::is_file) else {
        return Content::Nothing;
    };
    if facts.len() > WHOLE {
        return Content::Large {
            bytes: facts.len(),
            changed: facts.modified().ok(),
        };
    }
    hash(path).unwrap_or(Content::Nothing)
}

fn hash(path: &Path) -> io::Result<Content> {
    let mut hasher = blake3::Hasher::new();
    // It may have grown since.
    hasher.update_reader(File::open(path)?.take(WHOLE + 1))?;
    Ok(Content::Hash(*hasher.finalize().as_bytes()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_file_that_is_named_counts_by_what_is_in_it_and_not_by_its_time() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        let path = json!({ "type": "string", "format": "path" });
        let marks = json!({ "properties": {
            "ca": path, "none": path, "folder": path,
            "out": { "type": "string", "format": "path", "x-written": true },
            "tls": { "properties": { "key": path } },
            "command": { "items": { "type": "string" }, "x-files-in": ["folder", "base"] },
        }});
        let settings = json!({
            "ca": at("ca"), "none": at("none"), "out": at("out"), "folder": folder.path(),
            "tls": { "key": at("key") }, "command": ["./erp", "send.py", "--fast"],
        });
        let write = |name: &str, text: &str| fs::write(at(name), text).expect("writes");
        for name in ["ca", "out", "key", "erp", "send.py"] {
            write(name, "first");
        }
        let read = || Contents::read(&marks, &settings);
        let before = read();
        write("ca", "first");
        write("out", "second");
        write("unnamed", "second");
        assert_eq!(before, read());
        for (name, key) in [
            ("ca", "ca"),
            ("key", "tls.key"),
            ("none", "none"),
            ("erp", "command.0"),
            ("send.py", "command.1"),
        ] {
            let before = read();
            write(name, "second");
            assert_eq!(before.changed(&read()), [key]);
        }
        let before = read();
        fs::remove_file(at("ca")).expect("removed");
        assert_eq!(before.changed(&read()), ["ca"]);
    }

    #[test]
    fn of_a_large_file_length_and_time_count() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("large");
        let file = File::create(&path).expect("made");
        file.set_len(WHOLE + 1).expect("grows");
        let before = content(&path);
        assert!(matches!(before, Content::Large { bytes, .. } if bytes == WHOLE + 1));
        assert_eq!(content(&path), before);
        file.set_modified(SystemTime::UNIX_EPOCH).expect("set");
        assert_ne!(content(&path), before);
    }
}
