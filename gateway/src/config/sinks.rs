//! Sinks: their keys, their plugins' settings, and where their dead letters go.

use std::collections::BTreeMap;

use leadgate_plugin::template::Engine;

use super::build::{Build, SECOND};
use super::diagnostic::{Severity, Text};
use super::document::pointer;
use super::schema::{dotted, guess, validate};
use super::{Breaker, Catalogue, OnAmbiguous, OnUpdate, Problem, Retry, Sink, Tables, raw};
use super::{advice, fallback, http_advice};

impl Build<'_, '_> {
    pub(super) fn sinks(
        &mut self,
        raw: BTreeMap<String, raw::Sink>,
        tables: &Tables,
        catalogue: &dyn Catalogue,
    ) -> BTreeMap<String, Sink> {
        if raw.is_empty() {
            self.warn(
                "config::no_sinks",
                Text::new(
                    "there is no sink: leads are kept and delivered nowhere",
                    "没有配置 sink：客资只保存，不投递",
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
        for (name, raw) in raw {
            let at = pointer("/sinks", &name);
            if let Some(when) = &raw.when
                && let Err(error) = engine.condition(when)
            {
                let message = Text::new(
                    format!("sinks.{name}.when: {}", error.message),
                    format!("sinks.{name}.when：{}", error.chinese.message),
                );
                let at = pointer(&at, "when");
                let place = self.part(&at, when, error.range.as_ref());
                let help = Text::new(error.help, error.chinese.help);
                self.error("config::condition", message, help, place);
            }
            let settings = serde_json::Value::Object(raw.settings);
            if self.ground.purpose.has_settings() {
                self.settings(&name, &raw.plugin, &settings, tables, catalogue);
            }
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
                self.error(
                    "config::invalid_value",
                    message,
                    Text::default(),
                    self.value(&pointer(&at, "timeout")),
                );
            }
            if raw.plugin == "http" {
                for (code, below, message, help) in http_advice::all(&name, &settings, &engine) {
                    let place = self.value(&format!("{at}/settings{below}"));
                    self.warn(code, message, help, place);
                }
            }
            if raw.plugin == "http"
                && raw.rate.is_none()
                && let Some((message, help)) = advice::rate_of_chat(&name, &settings)
            {
                let place = self.value(&format!("{at}/settings/preset"));
                self.warn("config::no_rate", message, help, place);
            }
            let breaker = self.breaker(&raw.breaker, &pointer(&at, "breaker"));
            sinks.insert(
                name,
                Sink {
                    plugin: raw.plugin,
                    when: raw.when,
                    concurrency: raw.concurrency.unwrap_or(4),
                    rate: raw.rate.map(|rate| rate.0),
                    timeout,
                    retry,
                    on_ambiguous: match raw.on_ambiguous {
                        Some(raw::OnAmbiguous::Hold) => OnAmbiguous::Hold,
                        _ => OnAmbiguous::Retry,
                    },
                    on_update: match raw.on_update {
                        None | Some(raw::OnUpdate::Supersede) => OnUpdate::Supersede,
                        Some(raw::OnUpdate::Each) => OnUpdate::Each,
                        Some(raw::OnUpdate::Ignore) => OnUpdate::Ignore,
                    },
                    on_dead: raw.on_dead,
                    breaker,
                    settings,
                },
            );
        }
        self.fallbacks(&sinks);
        sinks
    }

    /// Checks a sink's settings by its plugin's schema, then by the plugin itself.
    fn settings(
        &mut self,
        name: &str,
        plugin: &str,
        settings: &serde_json::Value,
        tables: &Tables,
        catalogue: &dyn Catalogue,
    ) {
        let at = pointer("/sinks", name);
        let Some(schema) = catalogue.schema(plugin) else {
            let place = self.value(&pointer(&at, "plugin"));
            let (message, help) = unknown(plugin, catalogue);
            self.error("config::unknown_plugin", message, help, place);
            return;
        };
        let below = pointer(&at, "settings");
        let before = self.errors();
        validate(
            &schema,
            settings,
            &below,
            self.ground.document,
            self.ground.skip,
            self.problems,
        );
        // What could not be resolved would look like further mistakes to the plugin.
        let unresolved = self
            .ground
            .skip
            .iter()
            .any(|failed| failed.starts_with(&below));
        if self.errors() > before || unresolved {
            return;
        }
        for Problem {
            path,
            message,
            help,
            chinese,
            range,
        } in catalogue.check(plugin, name, settings, tables)
        {
            let value = settings.pointer(&path).and_then(|value| value.as_str());
            let at = format!("{below}{path}");
            let place = self.part(&at, value.unwrap_or_default(), range.as_ref());
            // What is said of a template quotes it, and this one may be a secret by chance.
            let is_template = value.is_some_and(|text| text.contains("{{") || text.contains("{%"));
            let is_secret = is_template && self.ground.secret.contains(&at);
            let (message, help, chinese) = if is_secret {
                let chinese = leadgate_plugin::Chinese {
                    message: unquoted_in_chinese(&chinese.message),
                    help: String::new(),
                };
                (unquoted(&message), String::new(), chinese)
            } else {
                (message, help, chinese)
            };
            let setting = dotted(&at);
            let message = Text::new(
                format!("{setting}: {message}"),
                format!("{setting}：{}", chinese.message),
            );
            let help = Text::new(help, chinese.help);
            self.error("config::settings", message, help, place);
        }
    }

    fn breaker(&mut self, raw: &raw::Breaker, at: &str) -> Breaker {
        let wait = raw.wait.map_or(SECOND * 10, |given| given.0);
        // A longer first wait without a ceiling means that the ceiling is no shorter.
        let max = raw.max.map_or(wait.max(SECOND * 300), |given| given.0);
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
    fn fallbacks(&mut self, sinks: &BTreeMap<String, Sink>) {
        let next: BTreeMap<&str, &str> = sinks
            .iter()
            .filter_map(|(name, sink)| Some((name.as_str(), sink.on_dead.as_deref()?)))
            .collect();
        let place = |name: &str| pointer(&pointer("/sinks", name), "on_dead");
        for (name, fallback) in &next {
            if !sinks.contains_key(*fallback) {
                let others: Vec<_> = sinks
                    .keys()
                    .filter(|other| other != name)
                    .cloned()
                    .collect();
                let message = Text::new(
                    format!("there is no sink `{fallback}`"),
                    format!("没有 sink `{fallback}`"),
                );
                let at = self.value(&place(name));
                self.error(
                    "config::unknown_sink",
                    message,
                    guess(fallback, &others),
                    at,
                );
            }
        }
        for circle in fallback::circles(&next) {
            let shown = circle.join(" → ");
            let message = Text::new(
                format!("dead letters would go round in a circle: {shown}"),
                format!("死信会循环投递：{shown}"),
            );
            let help = Text::new(
                "remove `on_dead` from one of these sinks",
                "请从其中一个 sink 删除 `on_dead`",
            );
            let at = self.value(&place(circle[0]));
            self.error("config::fallback_circle", message, help, at);
        }
    }

    fn errors(&self) -> usize {
        self.problems
            .iter()
            .filter(|one| one.severity == Severity::Error)
            .count()
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
    (
        message,
        guess(plugin, &[catalogue.names(), left_out].concat()),
    )
}
