//! Settings of the `file` sink: what may be written. What it must be to make sense is said by
//! the parts that use it.

use std::borrow::Cow;
use std::path::PathBuf;

use leadgate_plugin::ByteSize;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};

/// Settings of the `file` sink.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The file to append to. Its folder must exist.
    #[schemars(extend("format" = "path", "x-written" = true))]
    pub path: PathBuf,
    /// How a lead is written. Default jsonl.
    #[serde(default)]
    pub format: Format,
    /// For jsonl: what a line holds, a table whose texts are templates over the lead. The whole event if absent.
    pub line: Option<serde_json::Value>,
    /// For csv: the columns, in their order.
    #[serde(default)]
    pub columns: Vec<Column>,
    /// For csv: begins each file with a byte order mark, by which Excel knows that it is UTF-8. Default false.
    #[serde(default)]
    pub bom: bool,
    /// For csv: what stands between cells: ",", ";" or "\t". Default ",".
    #[serde(default)]
    pub delimiter: Delimiter,
    /// When a new file is begun: "daily", a size such as "100MiB", or { daily = true, size = "100MiB" }. Never if absent.
    pub rotate: Option<Rotate>,
    /// For daily rotation: whose midnight ends the day. Default Asia/Shanghai.
    pub timezone: Option<String>,
    /// Files to keep beside the one that is written; older ones are removed. Default 10.
    #[schemars(range(min = 1, max = 1000))]
    pub keep: Option<u32>,
}

/// How a lead is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// One JSON object a line.
    #[default]
    Jsonl,
    /// One row a lead, for spreadsheets.
    Csv,
}

/// What stands between the cells of a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum Delimiter {
    /// As RFC 4180 has it, and Excel in China, Britain and America.
    #[default]
    #[serde(rename = ",")]
    Comma,
    /// For spreadsheets where the comma is in numbers, as in most of Europe.
    #[serde(rename = ";")]
    Semicolon,
    /// For programs that read tables.
    #[serde(rename = "\t")]
    Tab,
}

impl Delimiter {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Comma => ",",
            Self::Semicolon => ";",
            Self::Tab => "\t",
        }
    }
}

/// A column of a CSV file.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Column {
    /// What the header line calls it.
    pub name: String,
    /// What its cells hold: a template over the lead. None is an empty cell.
    pub value: String,
}

/// When a new file is begun. At least one of both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotate {
    /// At the first lead of another day.
    pub daily: bool,
    /// Before the file would be larger than this.
    pub size: Option<ByteSize>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Word(String),
    Table(Both),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Both {
    #[serde(default)]
    daily: bool,
    size: Option<ByteSize>,
}

impl<'de> Deserialize<'de> for Rotate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match Written::deserialize(deserializer)? {
            Written::Word(word) if word == "daily" => Self {
                daily: true,
                size: None,
            },
            Written::Word(size) => Self {
                daily: false,
                size: Some(size.parse().map_err(serde::de::Error::custom)?),
            },
            Written::Table(Both { daily, size }) => Self { daily, size },
        })
    }
}

impl JsonSchema for Rotate {
    fn schema_name() -> Cow<'static, str> {
        "Rotate".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        // Not two alternatives: what is wrong in one of them could then not be pointed at.
        json_schema!({
            "type": ["string", "object"],
            "pattern": "^(daily|[0-9]+ ?(B|KiB|MiB|GiB)?)$",
            "properties": {
                "daily": {
                    "type": "boolean",
                    "description": "Begins a new file with the first lead of each day.",
                },
                "size": generator.subschema_for::<ByteSize>(),
            },
            "additionalProperties": false,
            "description": "\"daily\", a size such as \"100MiB\", or { daily = true, size = \"100MiB\" }.",
        })
    }
}
