//! Targets: what a command works on, the daemon or the folder.

use std::process::ExitCode;
use std::time::Duration;

use serde_json::Value;

use super::super::{FAILED, Global, check, client, fail};
use crate::config::{Config, Purpose};
use crate::outbox::SinkPolicy;
use crate::outbox::sled::{Options, SledOutbox, in_use};
use crate::telemetry::metrics::Metrics;

/// Where the outbox is.
pub(in crate::cli) enum Store {
    /// Behind a daemon's API.
    Daemon(Daemon),
    /// In a folder that nobody has.
    Folder(Box<Config>),
}

/// A daemon's API.
pub(in crate::cli) struct Daemon {
    address: client::Address,
}

/// What the store needs of the configuration, or why there is none.
pub(in crate::cli) fn configuration(global: &Global) -> Result<Config, ExitCode> {
    load(global, Purpose::Outbox)
}

fn load(global: &Global, purpose: Purpose<'_>) -> Result<Config, ExitCode> {
    let mut plugins = crate::plugin::Plugins::builtin().map_err(|error| fail(error, FAILED))?;
    check::load_for(purpose, global, &mut plugins)
}

/// Decides by the one rule of these commands.
pub(in crate::cli) fn find(global: &Global, target: &client::Target) -> Result<Store, ExitCode> {
    if target.url.is_none() {
        // A running daemon has the key; this command needs it only without one.
        let folder = load(global, Purpose::OutboxFolder)?.outbox.path;
        if !in_use(&folder) {
            return Ok(Store::Folder(Box::new(configuration(global)?)));
        }
    }
    let address = client::resolve(global, target)?;
    Ok(Store::Daemon(Daemon { address }))
}

/// Opens the folder's store. `more` are sinks that are not configured.
pub(in crate::cli) fn open(config: &Config, more: &[String]) -> Result<SledOutbox, ExitCode> {
    open_with(config, more, |_, _| {})
}

/// Whether there is an outbox to be opened.
pub(super) fn must_exist(config: &Config) -> Result<(), ExitCode> {
    if config.outbox.path.exists() {
        return Ok(());
    }
    let path = config.outbox.path.display();
    Err(fail(format!("there is no outbox in {path}"), FAILED))
}

/// The same; `each` is told how many bytes of the journal were read, of how many, if its index
/// has to be made.
pub(super) fn open_with(
    config: &Config,
    more: &[String],
    each: impl FnMut(u64, u64),
) -> Result<SledOutbox, ExitCode> {
    if more.is_empty() {
        must_exist(config)?;
    }
    let mut sinks = crate::daemon::policies(config);
    for name in more {
        if sinks.iter().all(|sink| sink.name != *name) {
            sinks.push(SinkPolicy {
                name: name.clone(),
                on_update: crate::config::OnUpdate::default(),
                on_dead: None,
            });
        }
    }
    let options = Options {
        path: &config.outbox.path,
        queue: config.outbox.queue,
        cache: config.outbox.cache,
        keys: &config.outbox.keys,
        sinks,
        min_free: 0,
        metrics: Metrics::new().outbox,
    };
    let outbox = SledOutbox::open(options).map_err(|error| fail(error, FAILED))?;
    let whole = outbox.wait_until_whole(each);
    whole.map_err(|error| fail(error, FAILED))?;
    Ok(outbox)
}

impl Daemon {
    /// The one that the flags or the configuration name.
    pub(in crate::cli) fn at(global: &Global, target: &client::Target) -> Result<Self, ExitCode> {
        let address = client::resolve(global, target)?;
        Ok(Self { address })
    }

    /// `POST path`; an answer that is not success is an error, said already.
    pub(in crate::cli) async fn post(
        &self,
        global: &Global,
        path: &str,
        body: &Value,
    ) -> Result<reqwest::Response, ExitCode> {
        let client = self.address.client().read_timeout(Duration::from_secs(120));
        let client = client.build().map_err(|error| fail(error, FAILED))?;
        let mut request = client
            .post(format!("{}{path}", self.address.base))
            .json(body);
        if let Some(token) = &self.address.token {
            request = request.bearer_auth(token.expose());
        }
        let response = request
            .send()
            .await
            .map_err(|error| self.address.unreachable(global.lang(), &error))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let body: Value = response.json().await.unwrap_or_default();
        let lang = global.lang();
        let detail = client::detail(lang, &body);
        let refused = lang.pick("the daemon refused", "守护进程拒绝了请求");
        Err(fail(detail.unwrap_or(refused), FAILED))
    }
}
