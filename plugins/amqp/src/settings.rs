//! Settings of the `amqp` sink: what may be written. What it must be to make sense is said by
//! the parts that use it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use leadgate_plugin::Secret;
use schemars::JsonSchema;
use serde::Deserialize;

/// Settings of the `amqp` sink.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The broker with its login, such as "amqps://user:password@rabbit.shop.example/vhost".
    pub url: Secret,
    /// The exchange to publish to. Default "", where the routing key is the name of a queue.
    #[serde(default)]
    pub exchange: String,
    /// The routing key: a template.
    pub routing_key: String,
    /// Headers of the message: templates. One that gives none is left out.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The message: a table whose texts are templates over the lead. The whole event if absent.
    pub body: Option<serde_json::Value>,
    /// Whether durable queues keep the message over a restart of the broker. Default true.
    pub persistent: Option<bool>,
    /// A PEM file with certificates to trust instead of the system's.
    #[schemars(extend("format" = "path"))]
    pub ca: Option<PathBuf>,
    /// Allows `amqp://` to other machines. Default false.
    #[serde(default)]
    pub allow_plain: bool,
}
