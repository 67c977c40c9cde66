//! The setup: what a daemon is configured with, and how it is run.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use crate::binary;

/// The shop's secret.
pub(crate) const SECRET: &str = "e2e-app-secret";

/// How a daemon is set up.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    /// Lines inside `[server]`.
    pub server: String,
    /// Lines inside `[outbox]`.
    pub outbox: String,
    /// Lines inside `[sources.shop]`; a default source if empty.
    pub source: String,
    /// Everything else: sinks, plugins, tables.
    pub rest: String,
    /// Log level.
    pub level: &'static str,
    /// Further environment variables; `@FOLDER@` in a value is the daemon's folder.
    pub environment: Vec<(String, String)>,
    /// A command to run it under, such as strace with its arguments.
    pub under: Vec<String>,
}

impl Setup {
    /// One sink `crm` that delivers signed webhooks to `url`, retries fast and has no breaker.
    pub fn with_crm(url: &str) -> Self {
        Self {
            rest: Self::http_sink("crm", url),
            ..Self::default()
        }
    }

    /// An http sink's configuration.
    pub fn http_sink(name: &str, url: &str) -> String {
        format!(
            "[sinks.{name}]\nplugin = \"http\"\ntimeout = \"2s\"\nconcurrency = 8\n\
             retry = {{ first = \"20ms\", max = \"100ms\", max_attempts = 100000, max_age = \"1h\" }}\n\
             breaker = {{ failures = 0 }}\n[sinks.{name}.settings]\npreset = \"standard-webhooks\"\nurl = \"{url}\"\n\
             secret = \"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"\n"
        )
    }

    /// Writes the configuration.
    pub(crate) fn write(&self, folder: &Path, public: SocketAddr, admin: SocketAddr) {
        let source = if self.source.is_empty() {
            format!("kind = \"tmall\"\npath = \"/tmall/leads\"\napp_secret = [\"{SECRET}\"]\n")
        } else {
            self.source.clone()
        };
        let level = if self.level.is_empty() {
            "info"
        } else {
            self.level
        };
        let text = format!(
            "[server]\nlisten = \"{public}\"\n{}\n[admin]\nlisten = \"{admin}\"\ntoken = \"e2e-admin-token\"\n\
             [outbox]\npath = \"{}\"\n{}\n[log]\nformat = \"json\"\nlevel = \"{level}\"\n[sources.shop]\n{source}\n{}\n",
            self.server,
            folder.join("store").display(),
            self.outbox,
            self.rest.replace("@FOLDER@", &folder.display().to_string()),
        );
        std::fs::write(folder.join("leadgate.toml"), text).expect("writes the configuration");
    }

    /// The command that runs the daemon.
    pub(crate) fn command(&self, folder: &Path) -> Command {
        let folder_text = folder.display().to_string();
        let placed = |text: &str| text.replace("@FOLDER@", &folder_text);
        let mut command = match self.under.split_first() {
            None => Command::new(binary()),
            Some((first, rest)) => {
                let mut command = Command::new(first);
                command
                    .args(rest.iter().map(|part| placed(part)))
                    .arg(binary());
                command
            }
        };
        command
            .args(["run", "--config"])
            .arg(folder.join("leadgate.toml"));
        for (name, value) in &self.environment {
            command.env(name, placed(value));
        }
        command
    }
}
