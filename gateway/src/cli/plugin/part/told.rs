//! What a child tells: what it is asked to do, and line by line what it found.
//!
//! Told through a file of its own, because stdout belongs to the plugin. A line is written as
//! it happens, so that of a child that crashed the last step is known.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Part;
use crate::lang::Lang;

/// Bytes of it that are read.
const LONGEST: u64 = 64 << 20;

/// What a child is asked to do.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(in super::super) struct Request {
    pub(in super::super) part: Part,
    /// The library; none for a program, which the settings name.
    pub(in super::super) file: Option<PathBuf>,
    /// The plugin's name in it.
    pub(in super::super) name: String,
    /// Good settings as JSON, secrets resolved; null if there are none.
    pub(in super::super) settings: Value,
    /// Whether they were made up from the schema.
    pub(in super::super) made_up: bool,
    /// A folder for what the plugin writes.
    pub(in super::super) folder: PathBuf,
    /// Where to tell.
    pub(in super::super) told: PathBuf,
    /// Texts that nothing the plugin says may hold.
    pub(in super::super) hidden: Vec<String>,
    /// The event of `plugin run`.
    pub(in super::super) event: String,
    /// How long an attempt may take, in ms.
    pub(in super::super) timeout_ms: u64,
}

/// A text in both languages.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(in super::super) struct Both {
    pub(in super::super) en: String,
    pub(in super::super) zh: String,
}

impl Both {
    pub(in super::super) fn new(en: impl Into<String>, zh: impl Into<String>) -> Self {
        Self {
            en: en.into(),
            zh: zh.into(),
        }
    }

    /// The same in both languages: words of others.
    pub(in super::super) fn plain(text: impl Into<String>) -> Self {
        let text = text.into();
        Self::new(text.clone(), text)
    }

    pub(in super::super) fn pick(&self, lang: Lang) -> &str {
        lang.pick(&self.en, &self.zh)
    }
}

/// One line.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(in super::super) enum Line {
    /// What is done from here on.
    Step(Both),
    /// What is wrong with the plugin.
    Fault(Both),
    /// What is worth knowing.
    Note(Both),
    /// Why this cannot be judged.
    Skip(Both),
    /// What the plugin says of itself.
    Fact(String, Value),
    /// What it logged.
    Log {
        level: u32,
        message: String,
        fields: String,
    },
    /// How an attempt ended.
    Outcome(Value),
    /// What it kept between attempts.
    Kept(String),
    /// All of it was done.
    End,
}

/// Tells, in the child.
pub(in super::super) struct Teller {
    file: File,
}

impl Teller {
    pub(in super::super) fn at(path: &Path) -> io::Result<Self> {
        let file = File::options().append(true).create(true).open(path)?;
        Ok(Self { file })
    }

    pub(in super::super) fn tell(&mut self, line: &Line) {
        let Ok(mut text) = serde_json::to_vec(line) else {
            return;
        };
        text.push(b'\n');
        // One write; what cannot be told is missed by the parent.
        let _ = self.file.write_all(&text);
    }

    pub(in super::super) fn step(&mut self, en: &str, zh: &str) {
        self.tell(&Line::Step(Both::new(en, zh)));
    }

    pub(in super::super) fn fault(&mut self, en: impl Into<String>, zh: impl Into<String>) {
        self.tell(&Line::Fault(Both::new(en, zh)));
    }

    pub(in super::super) fn note(&mut self, en: impl Into<String>, zh: impl Into<String>) {
        self.tell(&Line::Note(Both::new(en, zh)));
    }

    pub(in super::super) fn skip(&mut self, en: impl Into<String>, zh: impl Into<String>) {
        self.tell(&Line::Skip(Both::new(en, zh)));
    }

    pub(in super::super) fn fact(&mut self, name: &str, value: impl Into<Value>) {
        self.tell(&Line::Fact(name.to_owned(), value.into()));
    }
}

/// All lines that were told; one that was cut off is left out.
pub(in super::super) fn read(path: &Path) -> Vec<Line> {
    let mut text = Vec::new();
    if let Ok(file) = File::open(path) {
        let _ = file.take(LONGEST).read_to_end(&mut text);
    }
    let lines = text.split(|byte| *byte == b'\n');
    lines
        .filter_map(|line| serde_json::from_slice(line).ok())
        .collect()
}
