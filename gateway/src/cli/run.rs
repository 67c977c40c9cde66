//! `leadgate run`: the daemon, until SIGTERM or SIGINT.

use std::process::ExitCode;
use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};

use super::{BAD_CONFIG, FAILED, Global, fail};
use crate::clock::{Clock, SystemClock};
use crate::daemon::{Daemon, StartError};

pub(super) fn run(global: &Global) -> ExitCode {
    let mut plugins = match crate::plugin::Plugins::builtin() {
        Ok(plugins) => plugins,
        Err(error) => return fail(error, FAILED),
    };
    let config = match super::check::load(global, &mut plugins) {
        Ok(config) => config,
        Err(code) => return code,
    };
    crate::telemetry::log::start(&config.log);
    let runtime = match super::runtime() {
        Ok(runtime) => runtime,
        Err(error) => return fail(error, FAILED),
    };
    let code = runtime.block_on(async {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        // Before anything is accepted: a signal that comes early is not lost.
        let (Ok(mut terminate), Ok(mut interrupt)) = (
            signal(SignalKind::terminate()),
            signal(SignalKind::interrupt()),
        ) else {
            return fail("signals cannot be received", FAILED);
        };
        let daemon = match Daemon::start(&config, &plugins, &clock) {
            Ok(daemon) => daemon,
            Err(error @ StartError::Configuration(_)) => return fail(error, BAD_CONFIG),
            Err(error) => return fail(error, FAILED),
        };
        // Outside systemd there is nobody to notify.
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
        daemon.stop().await;
        ExitCode::SUCCESS
    });
    // A plugin's thread that hangs must not keep the process.
    runtime.shutdown_background();
    code
}
