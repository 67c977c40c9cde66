//! Isolation: what a plugin can do to the daemon, which is nothing.
//!
//! Each fault is a library of its own, `tests/plugins/misbehaving/NAME.c`. Beside the sink with
//! the fault there is always another one, which must not notice.

mod deliver;
mod in_process;
mod reach;
mod start;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use leadgate_tests::{Crm, Daemon, Setup, misbehaving, until};
use serde_json::Value;

/// Of each person in the sample lead.
const PERSONAL: [&str; 7] = [
    "13567658911",
    "张三",
    "仓前街道",
    "浙江杭州",
    "店小二",
    "43534cf9d5154543",
    "扩展字段",
];

/// A daemon with the sink `bad`, whose plugin misbehaves, and `crm`, which is well.
struct Stage {
    daemon: Daemon,
    crm: Crm,
    plugin: &'static str,
    given: u64,
}

/// How the stage is set.
#[derive(Clone, Copy, Default)]
struct Scene<'a> {
    /// Lines inside `[plugins.NAME]`.
    plugin: &'a str,
    /// Lines inside `[sinks.bad]`.
    sink: &'a str,
    /// Lines inside `[sinks.bad.settings]`; `@FOLDER@` is the daemon's folder.
    settings: &'a str,
    /// Variables of the daemon's environment.
    environment: &'a [(&'a str, &'a str)],
}

impl Scene<'_> {
    fn setup(&self, plugin: &str, crm: &Crm) -> Setup {
        let timeout = if self.sink.contains("timeout") {
            ""
        } else {
            "timeout = \"2s\"\n"
        };
        let bad = format!(
            "[plugins.{plugin}]\npath = \"{}\"\n{}\n[sinks.bad]\nplugin = \"{plugin}\"\n{timeout}\
             concurrency = 4\nretry = {{ first = \"20ms\", max = \"50ms\", max_attempts = 1000, max_age = \"1h\" }}\n\
             breaker = {{ failures = 0 }}\n{}\n[sinks.bad.settings]\n{}\n",
            misbehaving(plugin).display(),
            self.plugin,
            self.sink,
            self.settings
        );
        let environment = self.environment.iter();
        Setup {
            rest: bad + &Setup::http_sink("crm", &crm.url()),
            environment: environment
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            ..Setup::default()
        }
    }
}

impl Stage {
    fn set(plugin: &'static str, scene: Scene<'_>) -> Self {
        let crm = Crm::start();
        let daemon = Daemon::start(scene.setup(plugin, &crm));
        Self {
            daemon,
            crm,
            plugin,
            given: 0,
        }
    }

    /// Pushes some more leads; each must be acknowledged.
    fn give(&mut self, count: u64) {
        let first = self.given + 1;
        self.given += count;
        self.daemon.shop().give(first..=self.given);
    }

    /// Waits until the other sink has every lead.
    fn others_have_all(&self) {
        until("the other sink has all", || {
            self.crm.deliveries().len() as u64 == self.given
        });
    }

    /// Waits until the sink with the fault has delivered every lead as well.
    fn all_are_delivered(&self) {
        until("the sink with the fault has delivered all", || {
            self.daemon.stat("/sinks/bad/delivered") == self.given
        });
    }

    /// The receipts of the sink with the fault.
    fn receipts(&self) -> Vec<String> {
        let list = self.daemon.admin("/api/v1/deliveries?sink=bad").json();
        let ids = list["items"].as_array().expect("a list").iter();
        let receipts = ids.map(|item| {
            let id = item["id"].as_str().expect("an id");
            let delivery = self
                .daemon
                .admin(&format!("/api/v1/deliveries/{id}"))
                .json();
            let history = delivery["history"].as_array().expect("attempts");
            let last = history.last().expect("an attempt");
            last["receipt"].as_str().unwrap_or_default().to_owned()
        });
        receipts.collect()
    }

    /// How often this fate befell the plugin, by the metric.
    fn faults(&self) -> BTreeMap<String, u64> {
        let metrics = self.daemon.metrics();
        let lines = metrics.lines().filter(|line| {
            line.starts_with("leadgate_plugin_faults_total{")
                && line.contains(&format!("plugin=\"{}\"", self.plugin))
        });
        let counts = lines.filter_map(|line| {
            let (labels, count) = line.rsplit_once(' ')?;
            let (_, fate) = labels.split_once("fate=\"")?;
            let count = count.parse::<u64>().ok().filter(|count| *count > 0)?;
            Some((fate.split('"').next()?.to_owned(), count))
        });
        counts.collect()
    }

    /// The events of the log that name the fault.
    fn told(&self) -> Vec<Value> {
        let events = self.daemon.events();
        let told = events
            .into_iter()
            .filter(|event| event["plugin"] == self.plugin && event["fate"].is_string());
        told.collect()
    }

    /// Nothing of a person is anywhere where people look.
    fn nothing_personal_is_shown(&self) {
        let (log, stdout) = (self.daemon.log(), self.daemon.stdout());
        let metrics = self.daemon.metrics();
        let sinks = self.daemon.admin("/api/v1/sinks").body;
        for (name, text) in [
            ("log", &log),
            ("stdout", &stdout),
            ("metrics", &metrics),
            ("sinks", &sinks),
        ] {
            for personal in PERSONAL {
                assert!(
                    !text.contains(personal),
                    "{}: {name} shows a person",
                    self.plugin
                );
            }
        }
    }
}

/// How long until `condition` holds.
fn takes(what: &str, condition: impl FnMut() -> bool) -> Duration {
    let begun = Instant::now();
    until(what, condition);
    begun.elapsed()
}
