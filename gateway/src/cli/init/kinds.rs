//! Kinds: what a sink can be that `init` writes, each with what only the merchant knows of it.

use serde::Deserialize;

/// The presets of the `http` plugin: name and file.
const PRESETS: &[(&str, &str)] = &include!(concat!(env!("OUT_DIR"), "/presets.rs"));

/// Sinks of other plugins: name, what it is, and a file to copy.
const OTHERS: [(&str, &str, &str); 3] = [
    (
        "email",
        "e-mail: a message for each lead · 电子邮件",
        include_str!("../../../../config/sinks.d/email.toml"),
    ),
    (
        "file",
        "a local file, one lead a line as JSON · 本地文件",
        include_str!("../../../../config/sinks.d/archive.toml"),
    ),
    (
        "spreadsheet",
        "a CSV file for each day, for Excel · CSV 表格",
        include_str!("../../../../config/sinks.d/examples/spreadsheet.toml"),
    ),
];

/// What a sink can be.
pub(super) struct Kind {
    pub(super) name: &'static str,
    /// In a few words.
    pub(super) what: String,
    pub(super) source: Source,
}

/// What its file is made from.
pub(super) enum Source {
    /// A preset of the `http` plugin.
    Preset(Preset),
    /// A file of `config/`.
    Copy(&'static str),
}

/// A preset's file, as far as `init` reads it.
#[derive(Deserialize)]
pub(super) struct Preset {
    #[serde(default)]
    pub(super) needs: Vec<Need>,
    #[serde(default)]
    settings: toml::Table,
}

/// What only the merchant knows.
#[derive(Clone, Deserialize)]
pub(super) struct Need {
    /// Its keys, with dots.
    pub(super) key: String,
    pub(super) help: String,
}

impl Preset {
    /// Whether requests can be signed with a secret that it does without.
    pub(super) fn may_sign(&self) -> bool {
        self.settings.contains_key("sign") && self.needs.iter().all(|need| need.key != "secret")
    }
}

impl Need {
    /// The value that the help shows, if it shows one that is no secret.
    pub(super) fn example(&self) -> Option<&str> {
        let opening = format!("{} = \"", self.key);
        let (_, value) = self.help.split_once(&opening)?;
        let (value, _) = value.split_once('"')?;
        (!value.starts_with("env:") && !value.contains('…')).then_some(value)
    }

    /// The environment variable that holds it for `sink`.
    pub(super) fn variable(&self, sink: &str) -> String {
        variable(sink, self.key.rsplit('.').next().unwrap_or_default())
    }

    /// The step that it is in, if it is in one, and its keys there.
    pub(super) fn step(&self) -> (Option<&str>, &str) {
        let inside = self.key.strip_prefix("steps.");
        match inside.and_then(|inside| inside.split_once('.')) {
            Some((step, key)) => (Some(step), key),
            None => (None, &self.key),
        }
    }
}

/// `crm` and `token` → `CRM_TOKEN`.
pub(super) fn variable(sink: &str, key: &str) -> String {
    let letters = format!("{sink}_{key}").to_ascii_uppercase();
    letters.replace(|letter: char| !letter.is_ascii_alphanumeric(), "_")
}

/// All of them.
pub(super) fn all() -> Vec<Kind> {
    let presets = PRESETS.iter().map(|(name, text)| Kind {
        name,
        what: what(text),
        source: Source::Preset(toml::from_str(text).expect("every preset is read by a test")),
    });
    let others = OTHERS.iter().map(|(name, what, text)| Kind {
        name,
        what: (*what).to_owned(),
        source: Source::Copy(text),
    });
    presets.chain(others).collect()
}

/// The first sentence of the comment at a preset's beginning.
fn what(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    let line = line.trim_start_matches(['#', ' ']);
    line.split([':', '.']).next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{CHATS, Catalogue};
    use crate::plugin::Plugins;

    #[test]
    fn there_is_a_kind_for_every_preset_that_the_plugin_takes() {
        let schema = Plugins::builtin()
            .expect("built in")
            .schema("http")
            .expect("a schema");
        let taken = schema["properties"]["preset"]["anyOf"][0]["oneOf"].as_array();
        let mut taken: Vec<_> = taken
            .expect("presets")
            .iter()
            .filter_map(|one| one["const"].as_str())
            .collect();
        taken.sort_unstable();
        let known: Vec<_> = PRESETS.iter().map(|(name, _)| *name).collect();
        assert_eq!(known, taken);
        assert!(CHATS.iter().all(|(chat, _)| known.contains(chat)));
        assert!(all().iter().all(|kind| !kind.what.is_empty()));
    }

    #[test]
    fn an_example_is_what_the_help_shows_and_never_a_secret() {
        let need = |key: &str, help: &str| Need {
            key: key.to_owned(),
            help: help.to_owned(),
        };
        let url = need(
            "url",
            "your site, as url = \"https://crm.example/{{ id }}\"",
        );
        assert_eq!(url.example(), Some("https://crm.example/{{ id }}"));
        assert_eq!(
            need("auth.token", "as auth.token = \"env:NAME\"").example(),
            None
        );
        assert_eq!(need("url", "who has it can write").example(), None);
        assert_eq!(url.variable("my-crm"), "MY_CRM_URL");
        let inside = need("steps.create.body.kind", "as GET … lists them");
        assert_eq!(inside.variable("crm"), "CRM_KIND");
        assert_eq!(inside.step(), (Some("create"), "body.kind"));
        assert_eq!(url.step(), (None, "url"));
    }
}
