//! Settings of the `email` sink: what may be written. What it must be to make sense is said by
//! the parts that use it.

use std::path::PathBuf;

use leadgate_plugin::{HumanDuration, Secret};
use schemars::JsonSchema;
use serde::Deserialize;

// No `Debug`: addresses are personal data.
/// Settings of the `email` sink.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The mail server: a host name or an address, without port.
    pub host: String,
    /// Its port. Default 465 for `tls`, 587 for `starttls`, 25 for `none`.
    #[schemars(range(min = 1))]
    pub port: Option<u16>,
    /// How the connection is encrypted. Default tls.
    #[serde(default)]
    pub tls: Tls,
    /// A PEM file with the authorities that may vouch for the server, instead of the system's.
    #[schemars(extend("format" = "path"))]
    pub ca: Option<PathBuf>,
    /// The user to log in as; needs `password`.
    pub username: Option<String>,
    /// The user's password.
    pub password: Option<Secret>,
    /// Who sends, such as "客资 <leads@shop.example>". Not a template.
    pub from: String,
    /// Who gets the answers: an address, or a template that gives one.
    pub reply_to: Option<String>,
    /// Recipients: addresses, or templates that give one address, a list of them, or none.
    #[serde(default)]
    pub to: Vec<String>,
    /// Recipients of a copy, as in `to`.
    #[serde(default)]
    pub cc: Vec<String>,
    /// Recipients whom the others do not see, as in `to`.
    #[serde(default)]
    pub bcc: Vec<String>,
    /// The language of the subject and text that are not given. Default zh-CN.
    #[serde(default)]
    pub lang: Lang,
    /// The subject: a template. Line breaks become spaces.
    pub subject: Option<String>,
    /// The text: a template.
    pub text: Option<String>,
    /// The same as HTML, for those who can show it: a template whose values are escaped.
    pub html: Option<String>,
    /// Connections at once. Default 4.
    #[schemars(range(min = 1, max = 64))]
    pub connections: Option<u32>,
    /// Longest wait for a connection and for each answer but the last; default 10s. The sink's `timeout` bounds the whole attempt.
    pub timeout: Option<HumanDuration>,
}

/// How the connection is encrypted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Tls {
    /// From the first byte.
    #[default]
    Tls,
    /// From STARTTLS on; a server that does not offer it gets nothing.
    Starttls,
    /// Not at all: only for a server on this machine.
    None,
}

/// Languages of what is written by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum Lang {
    /// 中文
    #[default]
    #[serde(rename = "zh-CN")]
    Chinese,
    /// English
    #[serde(rename = "en")]
    English,
}
