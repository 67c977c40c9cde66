//! Plugins: libraries, where each runs, and what its processes may do.

use std::collections::BTreeMap;
use std::path::PathBuf;

use leadgate_plugin::child::Sandbox;
use serde_json::Value;

use super::super::diagnostic::Text;
use super::super::document::pointer;
use super::super::{Catalogue, Isolation, Plugin, raw};
use super::{Build, entries};

impl Build<'_> {
    pub(super) fn plugins(
        &mut self,
        root: &Value,
        catalogue: &mut dyn Catalogue,
    ) -> BTreeMap<String, Plugin> {
        let mut plugins = BTreeMap::new();
        for name in entries(root, "plugins") {
            let at = pointer("/plugins", &name);
            // A file that is not TOML is no reason to load anything.
            let raw = self.read::<raw::Plugin>(root, &at);
            let Some(raw) = raw.filter(|_| !self.document.is_broken(&at)) else {
                continue;
            };
            let built_in = catalogue.names().contains(&name);
            let plugin = plugin(raw, built_in);
            let Some(path) = &plugin.path else {
                if !built_in {
                    let (message, help) = no_path(&name);
                    self.error("config::plugin", message, help, self.key(&at));
                } else if let Err(why) = catalogue.load(&name, &plugin) {
                    self.error(
                        "config::plugin",
                        Text::plain(why),
                        Text::default(),
                        self.key(&at),
                    );
                }
                plugins.insert(name, plugin);
                continue;
            };
            if built_in {
                let message = Text::new(
                    format!("`{name}` is a built-in plugin"),
                    format!("`{name}` 是内置插件"),
                );
                let help = Text::new("give the library another name", "请给动态库换一个名字");
                self.error("config::plugin", message, help, self.key(&at));
            } else if let Err(why) = catalogue.load(&name, &plugin) {
                let place = self.value(&pointer(&at, "path"));
                self.error("config::plugin", Text::plain(why), Text::default(), place);
            } else if plugin.sha256.is_none() {
                let message = Text::new(
                    format!("plugin `{name}` has no `sha256`: whatever the file is by then is run"),
                    format!("插件 `{name}` 没有 `sha256`：届时文件是什么就运行什么"),
                );
                let file = path.display();
                let help = Text::new(
                    format!("`sha256sum {file}` gives it"),
                    format!("用 `sha256sum {file}` 得到它"),
                );
                self.warn("config::plugin_hash", message, help, self.key(&at));
            }
            plugins.insert(name, plugin);
        }
        plugins
    }
}

fn paths(given: Option<Vec<raw::FilePath>>) -> Vec<PathBuf> {
    let given = given.into_iter().flatten();
    given.map(|raw::FilePath(path)| path).collect()
}

/// What a `[plugins.NAME]` says, with its defaults.
fn plugin(raw: raw::Plugin, built_in: bool) -> Plugin {
    let said = raw.sandbox.unwrap_or_default();
    let known = Sandbox::default();
    let sandbox = if said.enabled == Some(false) {
        Sandbox::open()
    } else {
        Sandbox {
            memory: said.memory.map_or(known.memory, |size| Some(size.0)),
            descriptors: said.descriptors.or(known.descriptors),
            processes: said.processes,
            read: paths(said.read),
            write: paths(said.write),
            execute: paths(said.execute),
            connect: said.connect,
            unix_sockets: said.unix_sockets.unwrap_or(known.unix_sockets),
            ..known
        }
    };
    let usual = if built_in {
        Isolation::InProcess
    } else {
        Isolation::Process
    };
    Plugin {
        path: raw.path,
        sha256: raw.sha256,
        isolation: raw.isolation.unwrap_or(usual),
        sandbox,
    }
}

/// What to say of a plugin that is neither built in nor a file.
fn no_path(name: &str) -> (Text, Text) {
    let message = Text::new(
        format!("plugins.{name}: `path` is missing, and there is no built-in plugin `{name}`"),
        format!("plugins.{name}：缺少 `path`，也没有内置插件 `{name}`"),
    );
    let help = Text::new(
        "name the library's file: path = \"libmine.so\"",
        "请写出动态库的文件：path = \"libmine.so\"",
    );
    (message, help)
}
