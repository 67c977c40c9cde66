//! Sinks: their keys, their plugins' settings, and where their dead letters go.

use std::collections::BTreeMap;

use leadgate_plugin::template::Engine;

use serde_json::Value;

use super::build::{Build, SECOND, entries};
use super::diagnostic::Text;
use super::document::pointer;
use super::schema::{Examined, dotted, examine, guess, nearest, rename};
use super::{Breaker, Catalogue, Problem, Retry, Sink, raw};
use super::{address, advice, fallback, http_advice, paths};
use crate::lead::Tables;

impl Build<'_> {
    pub(super) fn sinks(
        &mut self,
        root: &Value,
        tables: &Tables,
        catalogue: &dyn Catalogue,
    ) -> BTreeMap<String, Sink> {
        let names = entries(root, "sinks");
        if names.is_empty() {
            self.warn(
                "config::no_sinks",
                Text::new(
                    "there is no sink: leads are kept and delivered nowhere",
                    "没有配置目的地：客资只保存，不投递",
                ),
                Text::new(
                    "add [sinks.NAME], or a file in sinks.d/",
                    "请添加 [sinks.NAME]，或在 sinks.d/ 中添加文件",
                ),
                None,
            );
        }
        let engine = Engine::new(tables.clone());
        let mut sinks = BTreeMap::new();
        let mut next = BTreeMap::new();
        for name in &names {
            let at = pointer("/sinks", name);
            let value = &root["sinks"][name.as_str()];
            // Each part is looked at, whatever is wrong with the others.
            self.condition(&engine, &value["when"], &pointer(&at, "when"));
            let settings = match value["plugin"].as_str() {
                Some(plugin) if self.purpose.has_settings() => {
                    Some(self.settings(name, plugin, &value["settings"], tables, catalogue))
                }
                plugin => plugin.map(|_| value["settings"].clone()),
            };
            let fallback = value["on_dead"].as_str();
            if let Some(fallback) =
                fallback.filter(|_| self.document.is_good(&pointer(&at, "on_dead")))
            {
                next.insert(name.as_str(), fallback);
            }
            if let (Some(raw), Some(settings)) = (self.read::<raw::Sink>(root, &at), settings) {
                sinks.insert(name.clone(), self.sink(raw, settings, name, &at, &engine));
            }
        }
        self.fallbacks(&names, &next);
        sinks
    }

    fn condition(&mut self, engine: &Engine, when: &Value, at: &str) {
        let Some(when) = when.as_str().filter(|_| self.document.is_good(at)) else {
            return;
        };
        for error in engine.condition(when).err().unwrap_or_default() {
            let message = Text::new(
                format!("{}: {}", dotted(at), error.message),
                format!("{}：{}", dotted(at), error.chinese.message),
            );
            let place = self.part(at, when, error.range.as_ref());
            let help = Text::new(error.help, error.chinese.help);
            self.error("config::condition", message, help, place);
        }
    }

    fn sink(
        &mut self,
        raw: raw::Sink,
        settings: Value,
        name: &str,
        at: &str,
        engine: &Engine,
    ) -> Sink {
        let or = |given: Option<leadgate_plugin::HumanDuration>, default| {
            given.map_or(default, |given| given.0)
        };
        let retry = Retry {
            first: or(raw.retry.first, SECOND * 5),
            max: or(raw.retry.max, SECOND * 3600),
            max_attempts: raw.retry.max_attempts.unwrap_or(15),
            max_age: or(raw.retry.max_age, SECOND * 3 * 86_400),
        };
        let timeout = or(raw.timeout, SECOND * 10);
        if timeout.is_zero() {
            let message = Text::new("no attempt can succeed in no time", "超时不能为 0");
            let help = Text::plain("\"10s\"");
            self.error(
                "config::invalid_value",
                message,
                help,
                self.value(&pointer(at, "timeout")),
            );
        }
        if raw.plugin == "http" {
            for (code, below, message, help) in http_advice::all(name, &settings, engine) {
                let place = self.value(&format!("{at}/settings{below}"));
                self.warn(code, message, help, place);
            }
        }
        if raw.plugin == "http"
            && raw.rate.is_none()
            && let Some((message, help)) = advice::rate_of_chat(name, &settings)
        {
            let place = self.value(&format!("{at}/settings/preset"));
            self.warn("config::no_rate", message, help, place);
        }
        let breaker = self.breaker(&raw.breaker, &pointer(at, "breaker"));
        Sink {
            plugin: raw.plugin,
            when: raw.when,
            concurrency: raw.concurrency.unwrap_or(4),
            rate: raw.rate.map(|rate| rate.0),
            timeout,
            retry,
            on_ambiguous: raw.on_ambiguous.unwrap_or_default(),
            on_update: raw.on_update.unwrap_or_default(),
            on_dead: raw.on_dead,
            breaker,
            max_hold: or(raw.max_hold, SECOND * 3600),
            settings,
        }
    }

    /// Checks a sink's settings by its plugin's schema, then what is good in them by the plugin
    /// itself. Gives them with their paths made absolute.
    pub(super) fn settings(
        &mut self,
        name: &str,
        plugin: &str,
        settings: &Value,
        tables: &Tables,
        catalogue: &dyn Catalogue,
    ) -> Value {
        let at = pointer("/sinks", name);
        let empty = Value::Object(serde_json::Map::new());
        let settings = if settings.is_null() { &empty } else { settings };
        let Some(schema) = catalogue.schema(plugin) else {
            // Of a library that could not be loaded everything was said.
            let library = self.document.root.pointer(&pointer("/plugins", plugin));
            if library.is_none() && self.document.is_good(&pointer(&at, "plugin")) {
                let place = self.value(&pointer(&at, "plugin"));
                let (message, help) = unknown(plugin, catalogue);
                self.error("config::unknown_plugin", message, help, place);
            }
            return empty;
        };
        let below = pointer(&at, "settings");
        let renamed = rename(
            &schema,
            settings.clone(),
            &below,
            self.document,
            self.problems,
        );
        let Examined {
            mut value,
            mut faults,
        } = examine(&schema, renamed, &below, self.document, self.problems);
        paths::resolve(&schema, &mut value, &below, self.document, self.problems);
        for slip in address::slips(plugin, &value) {
            let at = format!("{below}{}", slip.pointer);
            // Of a variable that is not set that was said.
            if faults.contains(&at) || self.document.failed.contains(&at) {
                continue;
            }
            let text = value.pointer(&slip.pointer).and_then(Value::as_str);
            let place = self.part(&at, text.unwrap_or_default(), Some(&slip.range));
            let (en, zh) = slip.message.both();
            let setting = dotted(&at);
            let message = Text::new(format!("{setting}: {en}"), format!("{setting}：{zh}"));
            self.error("config::address", message, slip.help, place);
            // Whatever the plugin says of it follows from this.
            faults.push(at);
        }
        let unresolved = self
            .document
            .failed
            .iter()
            .any(|failed| failed.starts_with(&below));
        let near = |one: &str, other: &str| {
            one.strip_prefix(other)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        for Problem {
            path,
            message,
            help,
            chinese,
            range,
            ..
        } in catalogue.check(plugin, name, &value, tables)
        {
            let at = format!("{below}{path}");
            // What was left out or could not be resolved would look like further mistakes.
            let follows = faults
                .iter()
                .chain(&self.document.failed)
                .any(|fault| near(&at, fault) || (near(fault, &at) && !path.is_empty()));
            let whole = path.is_empty() && (!faults.is_empty() || (unresolved && help.is_empty()));
            if follows || whole {
                continue;
            }
            let text = value.pointer(&path).and_then(Value::as_str);
            let place = self.part(&at, text.unwrap_or_default(), range.as_ref());
            // What is said of a template quotes it, and this one may be a secret by chance.
            let is_template = text.is_some_and(|text| text.contains("{{") || text.contains("{%"));
            let is_secret = is_template && self.document.secret.contains(&at);
            let (message, help, chinese) = if is_secret {
                let chinese = leadgate_plugin::Chinese {
                    message: unquoted_in_chinese(&chinese.message),
                    help: String::new(),
                };
                (unquoted(&message), String::new(), chinese)
            } else {
                (message, help, *chinese)
            };
            let setting = dotted(&at);
            let message = Text::new(
                format!("{setting}: {message}"),
                format!("{setting}：{}", chinese.message),
            );
            let help = Text::new(help, chinese.help);
            self.error("config::settings", message, help, place);
        }
        value
    }

    fn breaker(&mut self, raw: &raw::Breaker, at: &str) -> Breaker {
        let wait = raw.wait.map_or(SECOND * 2, |given| given.0);
        // A longer first wait without a ceiling means that the ceiling is no shorter.
        let max = raw.max.map_or(wait.max(SECOND * 60), |given| given.0);
        if wait.is_zero() {
            let message = Text::new(
                "without a wait the sink would not be left alone",
                "等待为 0 时熔断不起作用",
            );
            let help = Text::new(
                "\"10s\"; failures = 0 switches the breaker off",
                "\"10s\"；failures = 0 关闭熔断",
            );
            let place = self.value(&pointer(at, "wait"));
            self.error("config::invalid_value", message, help, place);
        } else if max < wait {
            let message = Text::new(
                "the ceiling is shorter than the first wait",
                "上限小于首次等待时间",
            );
            let help = Text::new(
                format!("at least {}", leadgate_plugin::HumanDuration(wait)),
                format!("至少 {}", leadgate_plugin::HumanDuration(wait)),
            );
            let place = self.value(&pointer(at, "max"));
            self.error("config::invalid_value", message, help, place);
        }
        Breaker {
            failures: raw.failures.unwrap_or(5),
            wait,
            max,
        }
    }

    /// Checks where dead letters go: to sinks that are there, and not round in a circle.
    fn fallbacks(&mut self, names: &[String], next: &BTreeMap<&str, &str>) {
        let place = |name: &str| pointer(&pointer("/sinks", name), "on_dead");
        for (name, fallback) in next {
            if !names.iter().any(|other| other == fallback) {
                let others: Vec<_> = names
                    .iter()
                    .filter(|other| other != name)
                    .cloned()
                    .collect();
                let message = Text::new(
                    format!("there is no sink `{fallback}`"),
                    format!("没有目的地 `{fallback}`"),
                );
                let at = self.value(&place(name));
                let remedy = Text::new(
                    "remove `on_dead`, or add that sink",
                    "请删除 `on_dead`，或添加该目的地",
                );
                let help = match nearest(fallback, &others) {
                    Some(_) => guess(fallback, &others),
                    None => guess(fallback, &others).and(&remedy),
                };
                self.error("config::unknown_sink", message, help, at);
            }
        }
        for circle in fallback::circles(next) {
            let shown = circle.join(" → ");
            let message = Text::new(
                format!("dead letters would go round in a circle: {shown}"),
                format!("死信会循环投递：{shown}"),
            );
            let help = Text::new(
                "remove `on_dead` from one of these sinks",
                "请从其中一个目的地删除 `on_dead`",
            );
            let at = self.value(&place(circle[0]));
            self.error("config::fallback_circle", message, help, at);
        }
    }
}

/// What a plugin says of a value, without what it quotes of it.
fn unquoted(message: &str) -> String {
    let end = message.find(['`', '"', ':']).unwrap_or(message.len());
    format!("{} in this value", message[..end].trim_end())
}

/// The same in Chinese.
fn unquoted_in_chinese(message: &str) -> String {
    let end = message.find(['`', '"', ':', '：', '“', '「']);
    format!(
        "此值：{}",
        message[..end.unwrap_or(message.len())].trim_end()
    )
}

/// What to say of a plugin that is not there: misspelt, or left out of this build.
fn unknown(plugin: &str, catalogue: &dyn Catalogue) -> (Text, Text) {
    let left_out = catalogue.left_out();
    if left_out.iter().any(|name| name == plugin) {
        let message = Text::new(
            format!("this leadgate was built without the plugin `{plugin}`"),
            format!("本 leadgate 编译时未包含插件 `{plugin}`"),
        );
        let help = Text::new(
            format!(
                "build it with `--features {plugin}`, or name the plugin's library by `path` in [plugins.{plugin}]"
            ),
            format!(
                "编译时加 `--features {plugin}`，或在 [plugins.{plugin}] 中用 `path` 指定其动态库"
            ),
        );
        return (message, help);
    }
    let message = Text::new(
        format!("there is no plugin `{plugin}`"),
        format!("没有插件 `{plugin}`"),
    );
    let help = match catalogue.meant(plugin) {
        Some((real, Some(preset))) => Text::new(
            format!(
                "`{preset}` is a preset of `{real}`: write plugin = \"{real}\", and preset = \"{preset}\" in the sink's settings"
            ),
            format!(
                "`{preset}` 是插件 `{real}` 的预设：请写 plugin = \"{real}\"，并在该目的地的 settings 中写 preset = \"{preset}\""
            ),
        ),
        Some((real, None)) => Text::new(
            format!("write plugin = \"{real}\""),
            format!("请写 plugin = \"{real}\""),
        ),
        None => guess(plugin, &[catalogue.names(), left_out].concat()),
    };
    (message, help)
}
