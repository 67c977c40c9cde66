//! Written: a sink's table as it stands in the files, for who wants to see or change it.
//!
//! The text has nothing secret in it: what is written out is `***`. The values are those of the
//! files, before they are resolved: against them is checked what a person makes of the text.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};

use super::document::excerpt::hide;
use super::document::{Document, pointer};

/// A sink's table as it is written. Clones share it.
#[derive(Clone)]
pub struct Written(Arc<Table>);

struct Table {
    text: String,
    file: PathBuf,
    value: Value,
}

impl fmt::Debug for Written {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A secret may be written out in it.
        formatter
            .debug_struct("Written")
            .field("file", &self.0.file)
            .finish_non_exhaustive()
    }
}

impl Written {
    /// Its TOML, secrets masked.
    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// The file it is in.
    pub fn file(&self) -> &Path {
        &self.0.file
    }

    /// Its values, unresolved.
    pub(super) fn value(&self) -> &Value {
        &self.0.value
    }
}

/// All sinks of `document`, which is not resolved yet; `excerpts` are their lines.
pub(super) fn all(
    document: &Document,
    mut excerpts: BTreeMap<String, String>,
) -> BTreeMap<String, Written> {
    let names = document.root["sinks"].as_object().into_iter().flatten();
    let written = names.map(|(name, value)| {
        let text = excerpts.remove(name);
        let table = Table {
            text: text.unwrap_or_else(|| spelt(name, value)),
            file: document.file_of(&pointer("/sinks", name)),
            value: value.clone(),
        };
        (name.clone(), Written(Arc::new(table)))
    });
    written.collect()
}

/// The table in a spelling of our own.
fn spelt(name: &str, value: &Value) -> String {
    let mut value = value.clone();
    hide(&mut value, &pointer("/sinks", name));
    let whole = json!({ "sinks": { name: value } });
    toml::to_string_pretty(&whole).unwrap_or_default()
}
