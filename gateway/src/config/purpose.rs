//! Purposes: how much of a configuration a command needs.
//!
//! What a command does not need is cut out of the document before anything in it is resolved,
//! checked or loaded. So `render --sink crm` wants no other sink's secret, no client command
//! runs a library's code, and a mistake elsewhere is not in the way.

use serde_json::{Map, Value};

use super::diagnostic::Diagnostic;
use super::document::{Document, pointer};

/// What a configuration is read for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose<'a> {
    /// To run, or to check all of it.
    Everything,
    /// To make what one sink would send.
    Sink(&'a str),
    /// To say which sinks want a lead: conditions and tables, nothing of the plugins.
    Routes,
    /// To say which plugins there are, and which sinks use them.
    Plugins,
    /// To find the store's folder, without its key.
    OutboxFolder,
    /// To open the store.
    Outbox,
}

impl Purpose<'_> {
    /// Whether sinks' settings are there to be checked.
    pub(super) fn has_settings(self) -> bool {
        matches!(self, Self::Everything | Self::Sink(_))
    }

    /// Cuts out of `document` what this purpose does not need, and what was said about it.
    pub(super) fn cut(self, document: &mut Document, problems: &mut Vec<Diagnostic>) {
        match self {
            Self::Sink(name) => keep_problems_of(name, document, problems),
            // Only the main file has what is looked for.
            Self::OutboxFolder => problems
                .retain(|problem| problem.place.as_ref().is_none_or(|place| place.file == 0)),
            _ => {}
        }
        let Value::Object(root) = &mut document.root else {
            return;
        };
        let wanted: &[&str] = match self {
            Self::Everything => return,
            Self::Sink(_) => &["sources", "sinks", "plugins", "tables"],
            Self::Routes => &["sources", "sinks", "tables"],
            Self::Plugins => &["sinks", "plugins"],
            Self::OutboxFolder => &["outbox"],
            Self::Outbox => &["outbox", "sinks"],
        };
        // Unknown sections stay, so that they are said to be unknown.
        root.retain(|section, _| {
            wanted.contains(&section.as_str()) || !SECTIONS.contains(&section.as_str())
        });
        for source in entries(root, "sources") {
            // A source needs one, and a command that asks about leads does not.
            source.insert("app_secret".to_owned(), Value::from("-"));
            source.remove("open_key");
        }
        match self {
            Self::Sink(name) => {
                keep_only(root, "sinks", name);
                let plugin = root
                    .get("sinks")
                    .and_then(|sinks| sinks.get(name)?.get("plugin")?.as_str())
                    .unwrap_or_default()
                    .to_owned();
                keep_only(root, "plugins", &plugin);
                for sink in entries(root, "sinks") {
                    // It names a sink that is not looked at.
                    sink.remove("on_dead");
                }
            }
            Self::Routes => keep_keys(root, &["plugin", "when"]),
            Self::Plugins => keep_keys(root, &["plugin"]),
            Self::Outbox => keep_keys(root, &["plugin", "on_update", "on_dead"]),
            Self::OutboxFolder => {
                if let Some(Value::Object(outbox)) = root.get_mut("outbox") {
                    outbox.remove("key");
                }
            }
            Self::Everything => {}
        }
    }
}

/// All sections that there are.
const SECTIONS: [&str; 8] = [
    "server", "admin", "outbox", "log", "sources", "sinks", "plugins", "tables",
];

/// The tables of a section of named ones.
fn entries<'a>(
    root: &'a mut Map<String, Value>,
    section: &str,
) -> impl Iterator<Item = &'a mut Map<String, Value>> {
    let section = root.get_mut(section).and_then(Value::as_object_mut);
    section
        .into_iter()
        .flat_map(Map::values_mut)
        .filter_map(Value::as_object_mut)
}

fn keep_only(root: &mut Map<String, Value>, section: &str, name: &str) {
    if let Some(Value::Object(named)) = root.get_mut(section) {
        named.retain(|other, _| other == name);
    }
}

fn keep_keys(root: &mut Map<String, Value>, keys: &[&str]) {
    for sink in entries(root, "sinks") {
        sink.retain(|key, _| keys.contains(&key.as_str()));
    }
}

/// Forgets what is wrong with the files of other sinks, if the one that is asked for was read.
fn keep_problems_of(name: &str, document: &Document, problems: &mut Vec<Diagnostic>) {
    let at = pointer("/sinks", name);
    if document.root.pointer(&at).is_none() {
        return;
    }
    let own = document.key_place(&at).map(|place| place.file);
    problems.retain(|problem| {
        let file = problem.place.as_ref().map(|place| place.file);
        let is_sinks = file
            .and_then(|file| document.sources.get(file))
            .and_then(|source| source.path.parent()?.file_name())
            .is_some_and(|folder| folder == "sinks.d");
        !is_sinks || file == own
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Environment, load_for};
    use crate::lang::Lang;
    use crate::plugin::Plugins;

    const MAIN: &str = r#"
[server]
listen = "${NOWHERE}"
[admin]
token = "cred:admin-token"
[outbox]
path = "/var/lib/shop"
key = "cred:outbox-key"
[sources.shop]
kind = "tmall"
path = "/leads"
app_secret = ["cred:app-secret"]
open_key = "env:OPEN_KEY"
[sinks.crm]
plugin = "http"
when = "store_id == 1"
on_dead = "other"
[sinks.crm.settings]
url = "env:CRM_URL"
[sinks.other]
plugin = "mine"
[sinks.other.settings]
token = "env:OTHER"
[plugins.mine]
path = "nowhere.so"
[tables.channel]
1 = "app"
"#;

    fn read(
        purpose: Purpose<'_>,
        text: &str,
        set: &[&str],
    ) -> Result<crate::config::Config, String> {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("leadgate.toml");
        std::fs::write(&file, text).expect("writes");
        std::fs::create_dir(folder.path().join("sinks.d")).expect("makes");
        std::fs::write(folder.path().join("sinks.d/broken.toml"), "[sinks.x").expect("writes");
        let environment = Environment::of(|name| {
            set.contains(&name)
                .then(|| "https://crm.example/".to_owned())
        });
        let mut plugins = Plugins::builtin().expect("built in");
        let (config, report) = load_for(purpose, &file, &environment, &mut plugins);
        config.ok_or_else(|| report.render(Lang::En, false))
    }

    #[test]
    fn a_sink_needs_its_own_secrets_and_files_alone() {
        let config = read(Purpose::Sink("crm"), MAIN, &["CRM_URL"]).expect("enough");
        assert_eq!(config.sinks.keys().collect::<Vec<_>>(), ["crm"]);
        assert_eq!(config.tables["channel"]["1"], "app");
        assert_eq!(config.sources.len(), 1);
        let wrong = read(Purpose::Sink("crm"), MAIN, &[]).expect_err("its own is missing");
        assert!(
            wrong.contains("CRM_URL") && !wrong.contains("OTHER"),
            "{wrong}"
        );
    }

    #[test]
    fn what_is_not_there_is_looked_for_among_all_and_every_mistake_is_said() {
        let wrong = read(Purpose::Sink("x"), MAIN, &[]).expect_err("its file is broken");
        assert!(wrong.contains("broken.toml"), "{wrong}");
    }

    #[test]
    fn routes_plugins_and_the_store_need_no_secret_of_a_sink() {
        // The file that is broken may hold any sink.
        let wrong = read(Purpose::Routes, MAIN, &[]).expect_err("a file is broken");
        assert!(wrong.contains("broken.toml"), "{wrong}");
        assert!(
            !wrong.contains("OTHER") && !wrong.contains("cred"),
            "{wrong}"
        );
        assert!(!wrong.contains("nowhere.so"), "nothing is loaded: {wrong}");
        let config = read(Purpose::OutboxFolder, MAIN, &[]).expect("its path is there");
        assert_eq!(config.outbox.path, std::path::Path::new("/var/lib/shop"));
        let wrong = read(Purpose::Outbox, MAIN, &[]).expect_err("the key is wanted");
        assert!(
            wrong.contains("outbox-key") && !wrong.contains("admin-token"),
            "{wrong}"
        );
    }
}
