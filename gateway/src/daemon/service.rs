//! The service manager: what systemd is told of the state of the daemon, where there is one.

use sd_notify::NotifyState;

use crate::config::Config;

/// It has started, with this configuration.
pub fn started(config: &Config) {
    tell(&[
        NotifyState::Ready,
        NotifyState::Status(&status(config, Reload::Applied)),
    ]);
}

/// It stops.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// The configuration is loaded again.
pub(super) fn reloading() {
    if let Ok(now) = NotifyState::monotonic_usec_now() {
        tell(&[NotifyState::Reloading, now]);
    }
}

/// How a reload ended.
#[derive(Clone, Copy)]
pub(super) enum Reload {
    /// What was read runs.
    Applied,
    /// It has mistakes.
    Refused,
    /// It could not be applied.
    Failed,
}

/// Now this one runs, after a reload that ended so.
pub(super) fn runs(config: &Config, reload: Reload) {
    tell(&[
        NotifyState::Ready,
        NotifyState::Status(&status(config, reload)),
    ]);
}

fn status(config: &Config, reload: Reload) -> String {
    let revision = config.revision.as_ref();
    let revision = revision.map_or("unknown", |revision| &*revision.hash);
    let last = match reload {
        Reload::Applied => "",
        Reload::Refused => "; the last reload was refused, see `leadgate check`",
        Reload::Failed => "; the last reload failed, see the log",
    };
    format!(
        "Configuration {revision}: {} sources, {} sinks{last}",
        config.sources.len(),
        config.sinks.len(),
    )
}

fn tell(state: &[NotifyState<'_>]) {
    // Outside systemd there is nobody to notify.
    let _ = sd_notify::notify(state);
}
