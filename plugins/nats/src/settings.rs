//! Settings of the `nats` sink: what may be written. What it must be to make sense is said by
//! the parts that use it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use leadgate_plugin::Secret;
use schemars::JsonSchema;
use serde::Deserialize;

/// Settings of the `nats` sink.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The servers of one cluster, such as "tls://nats.shop.example:4222". Port 4222 if not said.
    pub servers: Vec<String>,
    /// The subject to publish to: a template in each part between dots. A stream must be bound to it.
    pub subject: String,
    /// Headers of the message: templates. One that gives none is left out.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The message: a table whose texts are templates over the lead. The whole event if absent.
    pub body: Option<serde_json::Value>,
    /// Logs in with a token.
    pub token: Option<Secret>,
    /// The user to log in as; needs `password`.
    pub user: Option<String>,
    /// The user's password.
    pub password: Option<Secret>,
    /// Logs in with the seed of an nkey, which begins with SU.
    pub nkey: Option<Secret>,
    /// Logs in with a credentials file (JWT and seed): "file:/etc/leadgate/leads.creds".
    pub credentials: Option<Secret>,
    /// A PEM file with the certificates to trust instead of the system's.
    #[schemars(extend("format" = "path"))]
    pub ca: Option<PathBuf>,
    /// Allows servers on other machines without `tls://`. Default false.
    #[serde(default)]
    pub allow_plain: bool,
}
