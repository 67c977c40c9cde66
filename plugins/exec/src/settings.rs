//! Settings of the `exec` sink: what may be written. What it must be to make sense is said by
//! [`crate::program`].

use std::collections::BTreeMap;
use std::path::PathBuf;

use leadgate_plugin::{HumanDuration, Secret};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::sandbox::SandboxSettings;

/// Settings of the `exec` sink.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The program and its arguments, such as `["python3", "erp.py"]`. A program without a `/` is
    /// looked for in /usr/local/bin, /usr/bin and /bin. No shell reads it.
    #[schemars(length(min = 1), extend("x-files-in" = ["folder", "base"]))]
    pub command: Vec<String>,
    /// "persistent": one process for all leads, started with the first. "each": one for each lead.
    #[serde(default)]
    pub mode: Mode,
    /// Environment variables of the program. It gets these, and none of leadgate's own.
    #[serde(default)]
    pub env: BTreeMap<String, Secret>,
    /// A folder of the program's own: it runs there, and may read all that is in it. Without, it
    /// runs in the folder of this file, and may read only the files that its command names.
    #[schemars(extend("format" = "path"))]
    pub folder: Option<PathBuf>,
    /// Where the names in `command` are looked for if there is no `folder`: the folder of this
    /// file. leadgate fills it in.
    #[schemars(extend("format" = "path", "x-default-path" = "."))]
    pub base: Option<PathBuf>,
    /// Arguments with which `leadgate check --connect` runs the program instead of starting it as
    /// for leads, such as `["--check"]`: exit status 0 says that all is well.
    pub check: Option<Vec<String>>,
    /// Tells the program `{"cancel":"ID"}` when nobody waits for that answer any more.
    #[serde(default)]
    pub cancel: bool,
    /// How long the program may take to end after its stdin was closed. Default "2s".
    pub stop_timeout: Option<HumanDuration>,
    /// What the program may use.
    #[serde(default)]
    pub sandbox: SandboxSettings,
}

/// How many processes there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// One for all leads.
    #[default]
    Persistent,
    /// One for each lead.
    Each,
}
