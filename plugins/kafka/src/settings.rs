//! Settings of the `kafka` sink: what may be written. What it must be to make sense is said by
//! the parts that use it.

use std::collections::BTreeMap;

use leadgate_plugin::Secret;
use schemars::JsonSchema;
use serde::Deserialize;

/// Settings of the `kafka` sink.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Brokers to begin with, such as "127.0.0.1:9092". The others of the cluster are found by them.
    pub brokers: Vec<String>,
    /// The topic. Not a template: a lead must not choose it.
    pub topic: String,
    /// The record's key, which decides its partition: a template. Default the lead's record id, or its id where it has none.
    pub key: Option<String>,
    /// Headers of the record: templates. One that gives none is left out.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The record: a table whose texts are templates over the lead. The whole event if absent.
    pub body: Option<serde_json::Value>,
    /// The user to log in as, by SASL PLAIN; needs `password`.
    pub username: Option<String>,
    /// The user's password.
    pub password: Option<Secret>,
    /// Further properties of librdkafka, such as "compression.codec" = "lz4".
    #[serde(default)]
    pub options: BTreeMap<String, OptionValue>,
    /// Allows brokers on other machines: nothing is encrypted on the way to them. Default false.
    #[serde(default)]
    pub allow_plain: bool,
}

/// A value of `options`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum OptionValue {
    /// true or false
    Flag(bool),
    /// A whole number.
    Number(i64),
    /// A text.
    Text(String),
}

impl std::fmt::Display for OptionValue {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Flag(flag) => flag.fmt(formatter),
            Self::Number(number) => number.fmt(formatter),
            Self::Text(text) => text.fmt(formatter),
        }
    }
}
