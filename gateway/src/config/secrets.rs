//! Secrets of sinks: which values in their settings nobody may see.
//!
//! Found in what is written, before it is resolved: afterwards a secret looks like any text.

use std::collections::{BTreeMap, BTreeSet};

use leadgate_plugin::Secret;
use serde_json::Value;

use super::document::pointer;
use super::literal_secret;
use super::resolve::Environment;

/// Keys of a sink that say where or who, at the top of its settings. Reasons name them.
const PLACES: [&str; 16] = [
    "path", "host", "server", "servers", "brokers", "ca", "topic", "subject", "exchange", "queue",
    "stream", "database", "table", "username", "from", "to",
];

/// Parts of the names of variables that are secrets wherever they are put in.
const TELLING: [&str; 7] = ["SECRET", "TOKEN", "PASS", "PWD", "KEY", "CRED", "SIGN"];

/// Where secrets stand in the settings of sinks, before they are resolved.
pub(super) struct Places(Vec<Place>);

struct Place {
    sink: String,
    /// Into the whole document.
    at: String,
    what: What,
}

enum What {
    /// All that is there.
    Whole,
    /// What this variable puts in.
    Variable(String),
}

impl Places {
    pub(super) fn of(root: &Value) -> Self {
        let mut places = Vec::new();
        let sinks = root["sinks"].as_object();
        for (sink, given) in sinks.into_iter().flatten() {
            let at = pointer(&pointer("/sinks", sink), "settings");
            walk(&given["settings"], sink, &at, 0, &mut places);
        }
        Self(places)
    }

    /// All of them, as pointers into the whole document.
    pub(super) fn pointers(&self) -> BTreeSet<String> {
        self.0.iter().map(|place| place.at.clone()).collect()
    }

    /// What stands there once `root` is resolved, by sink.
    pub(super) fn values(
        self,
        root: &Value,
        environment: &Environment<'_>,
    ) -> BTreeMap<String, Vec<Secret>> {
        let mut secrets: BTreeMap<String, Vec<Secret>> = BTreeMap::new();
        for Place { sink, at, what } in self.0 {
            let value = match what {
                What::Whole => root.pointer(&at).and_then(Value::as_str).map(str::to_owned),
                What::Variable(name) => environment.get(&name),
            };
            let known = secrets.entry(sink).or_default();
            known.extend(value.iter().flat_map(|value| parts(value)).map(Secret::new));
        }
        secrets
    }
}

fn walk(value: &Value, sink: &str, at: &str, depth: usize, places: &mut Vec<Place>) {
    let place = |what| Place {
        sink: sink.to_owned(),
        at: at.to_owned(),
        what,
    };
    match value {
        Value::String(text) => {
            let is_named = ["env:", "file:", "cred:"]
                .iter()
                .any(|kind| text.starts_with(kind));
            if is_named || literal_secret::is_literal(at, text) {
                places.push(place(What::Whole));
            } else {
                let variables = variables(text).filter(|name| is_telling(name));
                places.extend(variables.map(|name| place(What::Variable(name.to_owned()))));
            }
        }
        Value::Array(items) => {
            for (number, item) in items.iter().enumerate() {
                walk(
                    item,
                    sink,
                    &pointer(at, &number.to_string()),
                    depth + 1,
                    places,
                );
            }
        }
        Value::Object(entries) => {
            let entries = entries.iter();
            let names_a_place = |key: &str| depth == 0 && PLACES.contains(&key);
            for (key, item) in entries.filter(|(key, _)| !names_a_place(key)) {
                walk(item, sink, &pointer(at, key), depth + 1, places);
            }
        }
        _ => {}
    }
}

/// The names in `${NAME}`.
fn variables(text: &str) -> impl Iterator<Item = &str> {
    text.split("${").skip(1).filter_map(|behind| {
        let inner = behind.split('}').next()?;
        inner.split(':').next()
    })
}

fn is_telling(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    TELLING.iter().any(|part| name.contains(part))
}

/// What of a secret nobody may see: of an address only what gives access, because reasons and
/// records say where something went.
fn parts(value: &str) -> Vec<String> {
    let Some((scheme, rest)) = value.split_once("://") else {
        return vec![value.to_owned()];
    };
    if !scheme
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
    {
        return vec![value.to_owned()];
    }
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, path) = place.split_once('/').unwrap_or((place, ""));
    let password = authority
        .rsplit_once('@')
        .and_then(|(user, _)| user.split_once(':'));
    let mut parts: Vec<String> = password
        .map(|(_, word)| word.to_owned())
        .into_iter()
        .collect();
    let values = query.split('&').filter_map(|pair| pair.split_once('='));
    parts.extend(values.map(|(_, value)| value.to_owned()));
    let is_key = |part: &&str| {
        part.len() >= 16
            && part.bytes().any(|byte| byte.is_ascii_digit())
            && part.bytes().any(|byte| byte.is_ascii_alphabetic())
    };
    parts.extend(path.split('/').filter(is_key).map(str::to_owned));
    parts
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_comes_from_elsewhere_or_is_named_like_a_secret_is_one() {
        let written = json!({"sinks": {"crm": {"settings": {
            "url": "env:CRM_URL",
            "path": "env:CRM_URL",
            "body": {"k": "env:BODYK", "list": ["file:k"], "note": "x ${API_KEY} {{ name }} ${CITY}", "path": "env:BODYK"},
            "auth": {"token": "literal-token", "client_id": "me"},
        }}, "other": {"settings": {"a": "plain"}}}});
        let mut resolved = written.clone();
        let settings = &mut resolved["sinks"]["crm"]["settings"];
        settings["url"] =
            json!("https://u:pa55word@crm.example/leads/0123456789abcdef?key=t0ken&x=1");
        settings["body"]["k"] = json!("body-secret");
        settings["body"]["path"] = json!("body-secret");
        settings["body"]["list"][0] = json!("from-file");
        let environment = Environment::of(|name| Some(format!("value-of-{name}")));
        let secrets = Places::of(&written).values(&resolved, &environment);
        let mut found: Vec<&str> = secrets["crm"].iter().map(Secret::expose).collect();
        found.sort_unstable();
        assert_eq!(
            found,
            [
                "0123456789abcdef",
                "1",
                "body-secret",
                "body-secret",
                "from-file",
                "literal-token",
                "pa55word",
                "t0ken",
                "value-of-API_KEY"
            ]
        );
        assert!(!secrets.contains_key("other"));
    }

    #[test]
    fn words_of_a_secret_that_looks_like_a_template_are_not_shown() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("leadgate.toml");
        let text = "[sinks.crm]\nplugin = \"http\"\n[sinks.crm.settings]\nurl = \"https://crm.example\"\nbody = { k = \"env:BODYK\" }\n";
        std::fs::write(&file, text).expect("writes");
        let environment = Environment::of(|_| Some("k{{ hunter2 }}".to_owned()));
        let mut plugins = crate::plugin::Plugins::builtin().expect("built in");
        let (_, report) = super::super::load(&file, &environment, &mut plugins);
        let said = report.render(crate::lang::Lang::En, false);
        assert!(
            said.contains("sinks.crm.settings.body.k: unknown field in this value"),
            "{said}"
        );
        assert!(!said.contains("hunter2"), "{said}");
    }
}
