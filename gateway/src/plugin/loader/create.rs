//! Making a sink, and what is wrong with its settings.

use std::sync::{Arc, OnceLock};

use leadgate_plugin::abi;

use super::super::{SinkConfig, SinkState};
use super::descriptor::Plugin;
use super::host::{self, Origin};
use super::report::report;
use super::sink::{Instance, Sink};
use super::size_of;
use crate::config::Problem;

impl Plugin {
    /// What is wrong with these settings beyond the schema; nothing is opened.
    pub fn check(&self, sink: &SinkConfig<'_>) -> Vec<Problem> {
        let Some(check) = self.functions.check else {
            return Vec::new();
        };
        let mut problems = Vec::new();
        let lent = LentConfig::new(sink);
        let report = report(&mut problems);
        // SAFETY: all pointers live until `check` returns.
        let code = unsafe { check(&raw const lent.config, &raw const report) };
        if code != abi::OK && problems.is_empty() {
            problems.push(unexplained(code, "settings were refused without a reason"));
        }
        problems
    }

    /// Makes a sink for a look: it keeps nothing from one run to the next.
    pub fn create(&self, sink: &SinkConfig<'_>) -> Result<Sink, Vec<Problem>> {
        self.create_with(sink, None)
    }

    /// Makes a sink, with where it keeps what it must know in the next run.
    pub fn create_with(
        &self,
        sink: &SinkConfig<'_>,
        state: Option<Arc<dyn SinkState>>,
    ) -> Result<Sink, Vec<Problem>> {
        let mut problems = Vec::new();
        let lent = LentConfig::new(sink);
        let report = report(&mut problems);
        // Lives as long as the process, as the ABI promises: one small box for each sink made.
        let origin: &'static Origin = Box::leak(Box::new(Origin {
            sink: sink.name.to_owned(),
            plugin: self.name().to_owned(),
            state,
            masks: OnceLock::new(),
        }));
        let host = abi::Host {
            struct_size: size_of::<abi::Host>(),
            abi_minor: abi::ABI_MINOR,
            ctx: std::ptr::from_ref(origin).cast_mut().cast(),
            log: Some(host::log),
            get_extension: Some(host::get_extension),
        };
        let mut made = std::ptr::null_mut();
        // SAFETY: config and report live until `create` returns; the host struct is copied by
        // the plugin or used only during the call, what it points to is static.
        let code = unsafe {
            (self.functions.create)(
                &raw const lent.config,
                &raw const host,
                &raw const report,
                &raw mut made,
            )
        };
        if code != abi::OK {
            if problems.is_empty() {
                problems.push(unexplained(
                    code,
                    "the plugin could not make the sink and gave no reason",
                ));
            }
            return Err(problems);
        }
        let instance = Instance::new(made, self.functions, self.blocking);
        Ok(Sink {
            instance: Arc::new(instance),
            origin,
            masks: Arc::default(),
        })
    }
}

/// The settings as a plugin borrows them.
struct LentConfig {
    config: abi::Config,
    _settings: String,
    _tables: String,
}

impl LentConfig {
    fn new(sink: &SinkConfig<'_>) -> Self {
        let settings = sink.settings.to_string();
        let tables = serde_json::to_string(sink.tables).unwrap_or_else(|_| "{}".to_owned());
        let config = abi::Config {
            struct_size: size_of::<abi::Config>(),
            reserved: 0,
            sink: abi::Bytes::borrow(sink.name.as_bytes()),
            settings: abi::Bytes::borrow(settings.as_bytes()),
            tables: abi::Bytes::borrow(tables.as_bytes()),
        };
        Self {
            config,
            _settings: settings,
            _tables: tables,
        }
    }
}

pub(super) fn unexplained(code: i32, otherwise: &str) -> Problem {
    let message = if code == abi::PANICKED {
        "the plugin panicked"
    } else {
        otherwise
    };
    Problem::at("", message).chinese(message, "")
}
