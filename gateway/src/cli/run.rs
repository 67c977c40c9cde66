//! `leadgate run`: the daemon, until SIGTERM, SIGINT or SIGQUIT.
//!
//! The first signal stops cleanly: pushes are taken until what is in flight has ended. A
//! second one ends at once; what is in flight then stays waiting and is tried again after
//! the next start. SIGHUP reloads the configuration. Nothing else that a terminal, a log rotation
//! or a person sends ends it.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{BAD_CONFIG, FAILED, Global, fail};
use crate::admin::{NotReloaded, Reload, Reloaded};
use crate::clock::{Clock, SystemClock};
use crate::config::{self, Environment};
use crate::daemon::{Daemon, Sockets, StartError, service};
use crate::outbox::{Actor, AuditAction, AuditEvent, AuditResult, Outbox, Role, Via};
use crate::telemetry::log;

/// What shells add to the number of a signal that ended a program.
const BY_SIGNAL: i32 = 128;
/// Longest wait for the runtime's threads when everything is stopped.
const THREADS_END: Duration = Duration::from_secs(1);
/// The same signal so soon after the first one is the same wish again: a shell's interrupt and
/// `timeout` reach a program both by itself and with its group.
const SAME_WISH: Duration = Duration::from_millis(500);

pub(super) fn run(global: &Global) -> ExitCode {
    // Before any child is started, which would have them too.
    let sockets = match Sockets::inherited() {
        Ok(sockets) => sockets,
        Err(error) => return fail(error, FAILED),
    };
    let mut plugins = match crate::plugin::Plugins::builtin() {
        Ok(plugins) => plugins.patient(),
        Err(error) => return fail(error, FAILED),
    };
    let file = match super::check::located(global) {
        Ok(file) => file,
        Err(code) => return code,
    };
    let (config, report) = config::load(&file, &Environment::process(), &mut plugins);
    // Only a person can read them; what collects logs gets one line below.
    if config.is_none() || std::io::stderr().is_terminal() {
        super::check::print_report(global, &report);
    }
    let Some(config) = config else {
        return ExitCode::from(BAD_CONFIG);
    };
    log::start(&config.log);
    let warnings = report.diagnostics().len();
    if warnings > 0 {
        tracing::warn!(
            warnings,
            "configuration has warnings; `leadgate check` shows them"
        );
    }
    let runtime = match super::runtime() {
        Ok(runtime) => runtime,
        Err(error) => return fail(error, FAILED),
    };
    let code = runtime.block_on(async {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        // Before anything is accepted: a signal that comes early is not lost.
        let (Ok(mut ends), Ok(ignored), Ok(hangup)) =
            (Ends::new(), Ignored::new(), signal(SignalKind::hangup()))
        else {
            return fail("signals cannot be received", FAILED);
        };
        let ignored = tokio::spawn(ignored.run());
        let daemon = match Daemon::start(&config, &plugins, &clock, sockets).await {
            Ok(daemon) => daemon,
            Err(error @ StartError::Configuration(_)) => return fail(error, BAD_CONFIG),
            Err(error) => return fail(error, FAILED),
        };
        let reloading = tokio::spawn(reload(
            global.clone(),
            hangup,
            daemon.reloading(),
            Arc::clone(daemon.outbox()),
        ));
        service::started(&config);
        daemon.announce(&config, &file, &*clock).await;
        let (first, name) = ends.next().await;
        reloading.abort();
        tracing::info!(
            signal = name,
            "stopping; a second signal ends at once and leaves what is in flight waiting"
        );
        service::stopping();
        let in_flight = daemon.in_flight();
        // Not dropped by a second signal: attempts would end by that, and be recorded.
        let mut stopped = std::pin::pin!(daemon.stop());
        tokio::select! {
            () = &mut stopped => {}
            (number, name) = ends.second(first) => {
                tracing::warn!(
                    signal = name,
                    "ended at once by a second signal; what was in flight waits for the next start"
                );
                log::flush();
                if let Some(in_flight) = in_flight {
                    in_flight.forget();
                }
                // Nothing that is dropped on the way out may wait, or record anything.
                std::process::exit(BY_SIGNAL + number);
            }
        }
        ignored.abort();
        ExitCode::SUCCESS
    });
    // Threads that still work must not be overtaken by the end of the process, and a plugin's
    // thread that hangs must not keep it.
    runtime.shutdown_timeout(THREADS_END);
    log::flush();
    code
}

/// The signals that end it.
struct Ends {
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
}

impl Ends {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
        })
    }

    /// The next one that is not the `first` one over again.
    async fn second(&mut self, first: i32) -> (i32, &'static str) {
        let since = Instant::now();
        loop {
            let (number, name) = self.next().await;
            if number != first || since.elapsed() > SAME_WISH {
                return (number, name);
            }
        }
    }

    /// The next one: its number and name.
    async fn next(&mut self) -> (i32, &'static str) {
        let (kind, name) = tokio::select! {
            _ = self.terminate.recv() => (SignalKind::terminate(), "SIGTERM"),
            _ = self.interrupt.recv() => (SignalKind::interrupt(), "SIGINT"),
            _ = self.quit.recv() => (SignalKind::quit(), "SIGQUIT"),
        };
        (kind.as_raw_value(), name)
    }
}

/// Keeps an entry of a reload that a signal asked for.
async fn record(outbox: &dyn Outbox, reloaded: &Result<Reloaded, NotReloaded>) {
    let who = Actor {
        name: "SIGHUP".to_owned(),
        role: Role::Admin,
        via: Via::Signal,
        peer: None,
    };
    let mut event = AuditEvent::new(SystemClock.now(), who, AuditAction::Reload);
    match reloaded {
        Ok(reloaded) => {
            let revision = reloaded.revision.as_ref();
            event.target = revision.map_or_else(String::new, |one| one.hash.clone());
            event.count = Some(reloaded.applied.len() as u64);
        }
        Err(NotReloaded::Refused(_)) => {
            event.result = AuditResult::Refused("bad-configuration".to_owned());
        }
        Err(NotReloaded::Failed(_)) => {
            event.result = AuditResult::Failed("not-reloaded".to_owned());
        }
    }
    if let Err(error) = outbox.record(event).await {
        tracing::error!(error = error.0, "reload was not recorded in the audit log");
    }
}

/// Reloads at each SIGHUP.
async fn reload(global: Global, mut hangup: Signal, reload: Arc<Reload>, outbox: Arc<dyn Outbox>) {
    while hangup.recv().await.is_some() {
        tracing::info!(signal = "SIGHUP", "reloading the configuration");
        let reloaded = reload().await;
        record(&*outbox, &reloaded).await;
        // The log has the rest.
        if let Err(NotReloaded::Refused(report)) = reloaded
            && std::io::stderr().is_terminal()
        {
            super::check::print_report(&global, &report);
        }
    }
}

/// Signals that would end a program that does not know them, and that people and other
/// programs send for other reasons, such as a log rotation.
struct Ignored {
    user1: Signal,
    user2: Signal,
}

impl Ignored {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            user1: signal(SignalKind::user_defined1())?,
            user2: signal(SignalKind::user_defined2())?,
        })
    }

    async fn run(mut self) {
        loop {
            tokio::select! {
                _ = self.user1.recv() => tracing::info!(signal = "SIGUSR1", "signal ignored"),
                _ = self.user2.recv() => tracing::info!(signal = "SIGUSR2", "signal ignored"),
            }
        }
    }
}
