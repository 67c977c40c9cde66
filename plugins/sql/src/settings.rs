//! Settings of the `sql` sink: what may be written. What it must be to make sense is said by
//! the parts that use it.

use std::path::PathBuf;

use leadgate_plugin::Secret;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

/// Settings of the `sql` sink.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The database: postgres://USER:PASSWORD@HOST/DATABASE or mysql://…, with `?sslmode=disable` or `verify-full`.
    pub url: Secret,
    /// One statement: insert, update, merge, replace, call or select. Values go in as `:name`; it has no templates.
    #[schemars(length(min = 1))]
    pub statement: String,
    /// What the statement's `:name`s stand for: templates over the lead, or fixed values.
    #[serde(default)]
    pub values: Map<String, Value>,
    /// A PEM file with the certificates to trust instead of the system's.
    #[schemars(extend("format" = "path"))]
    pub ca: Option<PathBuf>,
    /// Connections at once. Default 4.
    #[schemars(range(min = 1, max = 64))]
    pub connections: Option<u32>,
}
