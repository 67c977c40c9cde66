//! The service manager: what systemd is told of the state of the daemon, where there is one.

use sd_notify::NotifyState;

use crate::config::Config;

/// It has started, with this configuration.
pub fn started(config: &Config) {
    tell(&[
        NotifyState::Ready,
        NotifyState::Status(&status(config, false)),
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

/// Now this one runs; `refused` if another was not taken for it.
pub(super) fn runs(config: &Config, refused: bool) {
    tell(&[
        NotifyState::Ready,
        NotifyState::Status(&status(config, refused)),
    ]);
}

fn status(config: &Config, refused: bool) -> String {
    let revision = config.revision.as_ref();
    let revision = revision.map_or("unknown", |revision| &*revision.hash);
    let refused = if refused {
        "; the last reload was refused, see `leadgate check`"
    } else {
        ""
    };
    format!(
        "Configuration {revision}: {} sources, {} sinks{refused}",
        config.sources.len(),
        config.sinks.len(),
    )
}

fn tell(state: &[NotifyState<'_>]) {
    // Outside systemd there is nobody to notify.
    let _ = sd_notify::notify(state);
}
