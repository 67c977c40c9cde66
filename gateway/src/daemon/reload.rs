//! Reload: the files are read again, everything that changed is made, and only then, in one go,
//! takes the place of what runs. After an error all of what runs goes on.
//!
//! In this order, so that nothing is handed to who does not know it: the outbox' sinks, lanes,
//! receiving, what operators see.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{Mutex, watch};

use super::sweeper::Keep;
use super::targets::{Made, MadeSink, Workshop};
use super::{orphaned, policies, service, warn_of_orphans};
use crate::admin::{Configured, NotReloaded, Reloaded};
use crate::clock::Clock;
use crate::config::{self, Config, Contents, Difference, Environment, Report};
use crate::delivery::Dispatcher;
use crate::ingress::{Ingress, Receiving, Shown};
use crate::lang::Text;
use crate::outbox::{Orphaned, Outbox};
use crate::plugin::Plugins;
use crate::route::Routes;
use crate::swap::Swap;
use crate::telemetry::log;

/// Everything that a reload changes.
pub(super) struct Reloader {
    pub(super) outbox: Arc<dyn Outbox>,
    pub(super) dispatcher: Arc<Dispatcher>,
    pub(super) ingress: Arc<Ingress>,
    /// The certificate of the public listener, if it speaks TLS.
    pub(super) shown: Option<Arc<Shown>>,
    /// What the sweeper goes by.
    pub(super) retention: watch::Sender<Keep>,
    pub(super) configured: Arc<Swap<Configured>>,
    pub(super) workshop: Arc<Workshop>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) stopping: Arc<AtomicBool>,
    /// Held over a reload: another one waits its turn.
    pub(super) running: Mutex<Running>,
}

/// What runs.
pub(super) struct Running {
    pub(super) config: Arc<Config>,
    pub(super) plugins: Arc<Plugins>,
    pub(super) made: Made,
}

/// What is to run.
struct Prepared {
    next: Running,
    routes: Routes,
    difference: Difference,
    /// Sinks of which the lane is another, or new.
    lanes: Vec<String>,
    /// Sinks that are not configured any more.
    gone: Vec<Arc<str>>,
    warnings: usize,
}

impl Reloader {
    /// Reloads. Not to be dropped before it ends: it is to be a task of its own.
    pub(super) async fn reload(self: Arc<Self>) -> Result<Reloaded, NotReloaded> {
        let mut running = self.running.lock().await;
        self.unless_stopping()?;
        service::reloading();
        let reloaded = self.swap(&mut running).await;
        let ended = match &reloaded {
            Ok(_) => service::Reload::Applied,
            Err(NotReloaded::Refused(_)) => service::Reload::Refused,
            Err(NotReloaded::Failed(_)) => service::Reload::Failed,
        };
        if !self.stopping.load(Ordering::Acquire) {
            service::runs(&running.config, ended);
        }
        let metrics = &self.workshop.metrics.config;
        match &reloaded {
            Ok(reloaded) => {
                metrics.reloads.with_label_values(&["applied"]).inc();
                metrics.runs(reloaded.revision.as_ref(), reloaded.loaded_at);
                tracing::info!(
                    revision = reloaded.revision.as_ref().map(|revision| &*revision.hash),
                    applied = reloaded.applied.join(", "),
                    unchanged = reloaded.unchanged.join(", "),
                    needs_restart = reloaded.needs_restart.join(", "),
                    orphaned = deliveries(&reloaded.orphaned),
                    warnings = reloaded.warnings,
                    "configuration reloaded"
                );
            }
            Err(NotReloaded::Refused(report)) => {
                metrics.reloads.with_label_values(&["refused"]).inc();
                let (errors, _) = report.counts();
                tracing::error!(
                    errors,
                    "configuration not reloaded: it has errors, and what ran goes on; `leadgate check` shows them"
                );
            }
            Err(NotReloaded::Failed(why)) => {
                metrics.reloads.with_label_values(&["failed"]).inc();
                tracing::error!(error = %why, "configuration not reloaded; what ran goes on");
            }
        }
        reloaded
    }

    fn unless_stopping(&self) -> Result<(), NotReloaded> {
        if self.stopping.load(Ordering::Acquire) {
            return Err(failed("leadgate is stopping", "leadgate 正在停止"));
        }
        Ok(())
    }

    async fn swap(&self, running: &mut Running) -> Result<Reloaded, NotReloaded> {
        let prepared = {
            let (config, plugins) = (Arc::clone(&running.config), Arc::clone(&running.plugins));
            let (made, workshop) = (running.made.clone(), Arc::clone(&self.workshop));
            let preparing = tokio::task::spawn_blocking(move || {
                prepare(
                    &Running {
                        config,
                        plugins,
                        made,
                    },
                    &workshop,
                )
            });
            let broken = |_| {
                failed(
                    "the reload ended in a fault, which the log tells of; what ran goes on",
                    "重新加载时出现内部错误，详见日志；原配置继续运行",
                )
            };
            preparing.await.map_err(broken)??
        };
        let Prepared {
            next,
            routes,
            mut difference,
            lanes,
            gone,
            warnings,
        } = prepared;
        self.unless_stopping()?;
        // The first step that may fail, and the last.
        let set = self.outbox.set_sinks(policies(&next.config)).await;
        set.map_err(|error| {
            failed(
                &format!(
                    "the outbox takes no other sinks now, and what ran goes on: {}",
                    error.0
                ),
                &format!("发件箱暂时无法更换目的地，原配置继续运行：{}", error.0),
            )
        })?;
        let (config, plugins) = (&*next.config, &*next.plugins);
        let target = |name: &String| self.workshop.target(config, plugins, name, &next.made);
        let targets = lanes.iter().filter_map(target).collect();
        self.dispatcher.change(targets, &gone);
        self.dispatcher.runs(&config.revision_hash());
        let receiving = Receiving::new(&config.sources, &config.server, routes, &config.tables);
        self.ingress.replace(receiving);
        self.outbox.set_min_free(config.outbox.min_free);
        let retention = Keep::of(&config.outbox);
        self.retention.send_if_modified(|now| {
            let before = std::mem::replace(now, retention);
            before != retention
        });
        if let (Some(shown), Some(certificate)) = (&self.shown, &config.server.tls) {
            shown.swap(certificate);
        }
        let loaded_at = self.clock.now();
        let before = self.configured.get();
        let configured = Configured::of(config, plugins, loaded_at, Some(&before));
        self.configured.set(configured);
        if running.config.log.level != config.log.level && !log::set_level(&config.log) {
            difference.wait_for_restart("log.level");
        }
        let orphaned = orphaned(config, &*self.outbox);
        // Of the others it was said before.
        let new = |one: &&Orphaned| gone.iter().any(|name| **name == *one.sink);
        warn_of_orphans(orphaned.iter().filter(new));
        let reloaded = Reloaded {
            revision: config.revision.clone(),
            loaded_at,
            applied: difference.applied,
            unchanged: difference.unchanged,
            needs_restart: difference.needs_restart,
            orphaned,
            warnings,
        };
        let before = std::mem::replace(running, next);
        // What nobody uses any more of it ends in code of plugins.
        drop(tokio::task::spawn_blocking(move || drop(before)));
        Ok(reloaded)
    }
}

/// How many deliveries are orphaned.
pub(super) fn deliveries(orphaned: &[Orphaned]) -> u64 {
    orphaned.iter().map(|one| one.waiting + one.dead).sum()
}

fn failed(en: &str, zh: &str) -> NotReloaded {
    NotReloaded::Failed(Text::new(en, zh))
}

/// Reads the files and makes what changed. Blocks; nothing of what runs is touched.
fn prepare(running: &Running, workshop: &Workshop) -> Result<Prepared, NotReloaded> {
    let revision = running.config.revision.as_ref();
    let file: PathBuf = match revision {
        Some(revision) => revision.file.clone(),
        None => {
            return Err(failed(
                "where the configuration is was not known at the start; restart leadgate",
                "启动时未能确定配置文件的位置；请重启 leadgate",
            ));
        }
    };
    let again = running.plugins.again();
    let mut plugins = again.map_err(|error| failed(&error.to_string(), &error.to_string()))?;
    let (read, mut report) = config::load(&file, &Environment::process(), &mut plugins);
    let Some(read) = read else {
        return Err(NotReloaded::Refused(Box::new(report)));
    };
    let mut difference = Difference::between(&running.config, &read);
    let mut config = read.until_restart(&running.config);
    let mut others = BTreeSet::new();
    for (name, _) in plugins.iter() {
        let key = format!("plugins.{name}");
        if plugins.postponed().iter().any(|one| one == name) {
            difference.applied.retain(|one| *one != key);
            difference.needs_restart.push(key);
            // It is said again at the next reload.
            if let Some(plugin) = running.config.plugins.get(name) {
                config.plugins.insert(name.to_owned(), plugin.clone());
            }
        } else if !plugins.same(&running.plugins, name) {
            others.insert(name.to_owned());
            if config.plugins.contains_key(name) && !difference.applied.contains(&key) {
                difference.applied.push(key);
            }
        }
    }
    let tables = config.tables == running.config.tables;
    let mut made = Made::new();
    let mut lanes = Vec::new();
    for (name, sink) in &config.sinks {
        let before = running.config.sinks.get(name);
        let there = running.made.get(name);
        let kept = tables && !others.contains(&sink.plugin);
        let kept = before.filter(|before| kept && before.same_destination(sink));
        // The same text may be a secret now, which nothing that is kept is to show.
        let hidden = kept.is_some() && !running.config.has_same_secrets(&config, name);
        let kept = kept.filter(|_| !hidden);
        let files = there.map_or_else(Vec::new, |there| changed_files(there, sink, &plugins));
        if let (Some(before), Some(there), []) = (kept, there, &files[..]) {
            made.insert(name.clone(), there.clone());
            if !before.same_lane(sink) {
                lanes.push(name.clone());
            }
            continue;
        }
        match workshop.make(&config, &plugins, name) {
            Ok(one) => drop(made.insert(name.clone(), one)),
            Err(problems) => report.refused(name, problems),
        }
        lanes.push(name.clone());
        if hidden {
            difference.applied.push(format!("sinks.{name}.settings"));
        }
        if kept.is_some() {
            let keys = files.iter();
            let keys = keys.map(|key| format!("sinks.{name}.settings.{key}"));
            difference.applied.extend(keys);
        }
        difference
            .unchanged
            .retain(|key| key.strip_prefix("sinks.") != Some(name.as_str()));
    }
    if report.has_errors() {
        return Err(NotReloaded::Refused(Box::new(report)));
    }
    let routes = Routes::new(config.sinks.iter(), &config.tables);
    let routes = routes.map_err(|why| failed(&why, &why))?;
    let gone = running.config.sinks.keys();
    let gone = gone.filter(|name| !config.sinks.contains_key(*name));
    Ok(Prepared {
        gone: gone.map(|name| Arc::from(name.as_str())).collect(),
        warnings: warnings(&report),
        routes,
        difference,
        lanes,
        next: Running {
            config: Arc::new(config),
            plugins: Arc::new(plugins),
            made,
        },
    })
}

/// The keys of a sink's settings that name a file in which something else is than when the sink
/// was made.
fn changed_files(there: &MadeSink, sink: &config::Sink, plugins: &Plugins) -> Vec<String> {
    let Some(plugin) = plugins.get(&sink.plugin) else {
        return Vec::new();
    };
    let now = Contents::read(plugin.schema(), &sink.settings);
    let changed = there.contents.changed(&now).into_iter();
    changed.map(str::to_owned).collect()
}

fn warnings(report: &Report) -> usize {
    report.counts().1
}
