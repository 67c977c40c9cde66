//! The refresh token: which one is sent, once the destination has replaced the configured one.
//!
//! Some servers replace a refresh token with each use, and the old one is worth nothing then.
//! What they gave last is kept by the host, with a hash of the configured token it came from:
//! with another one configured it is forgotten.

use leadgate_plugin::{Host, Level, Secret, State, hex};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Under which key the host keeps it.
const KEY: &str = "refresh_token";

/// The refresh token of one sink.
pub(crate) struct Refresh {
    /// Of the configured one.
    from: String,
    current: Secret,
}

impl Refresh {
    /// The one that the host keeps if it came from `configured`, else that one.
    pub(crate) async fn load(host: &Host, configured: &Secret) -> Self {
        let from = origin(host.sink(), configured);
        let mut current = configured.clone();
        if let Some(state) = host.state().cloned()
            && let Some(kept) = blocking(move || state.get(KEY)).await.flatten()
        {
            match read(&kept, &from) {
                Some(newer) => current = newer,
                None => forget(host).await,
            }
        }
        Self { from, current }
    }

    /// What is to be sent.
    pub(crate) fn current(&self) -> &Secret {
        &self.current
    }

    /// Takes what an answer gave. It is on disk before anything is done with that answer:
    /// the old one may be worth nothing already.
    pub(crate) async fn replace(&mut self, host: &Host, newer: &str) {
        if newer.is_empty() || newer == self.current.expose() {
            return;
        }
        self.current = Secret::new(newer);
        let value = Secret::new(json!({"from": self.from, "token": newer}).to_string());
        let kept = match host.state().cloned() {
            Some(state) => blocking(move || state.set(KEY, &value)).await,
            None => None,
        };
        match kept {
            Some(Ok(())) => host.log(
                Level::Info,
                "the destination replaced the refresh token; it is kept in the outbox",
                &json!({}),
            ),
            Some(Err(why)) => {
                let message = "the destination replaced the refresh token; it is in memory only and lost at a restart";
                host.log(Level::Error, message, &json!({"reason": why.to_string()}));
            }
            None => host.log(
                Level::Warn,
                "the destination replaced the refresh token; it is in memory only",
                &json!({}),
            ),
        }
    }
}

async fn forget(host: &Host) {
    let Some(state) = host.state().cloned() else {
        return;
    };
    host.log(
        Level::Info,
        "another refresh token is configured; the one that was kept is forgotten",
        &json!({}),
    );
    blocking(move || State::forget(&state, KEY)).await;
}

/// Does what waits for the disk where that is allowed.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    tokio::task::spawn_blocking(work).await.ok()
}

/// The kept token, if it came from the one that `from` names.
fn read(kept: &Secret, from: &str) -> Option<Secret> {
    let kept: Value = serde_json::from_str(kept.expose()).ok()?;
    if kept["from"].as_str()? != from {
        return None;
    }
    kept["token"].as_str().map(Secret::new)
}

/// Names a configured token without saying it.
fn origin(sink: &str, configured: &Secret) -> String {
    let mut hash = Sha256::new();
    for part in ["leadgate refresh token", sink, configured.expose()] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hex(&hash.finalize())
}

#[cfg(test)]
mod tests {
    use leadgate_plugin::Tables;

    use super::*;

    fn host(state: &State) -> Host {
        Host::detached("crm", Tables::new()).with_state(state.clone())
    }

    async fn current(host: &Host, configured: &str) -> String {
        let refresh = Refresh::load(host, &Secret::new(configured)).await;
        refresh.current().expose().to_owned()
    }

    #[tokio::test]
    async fn a_replaced_token_is_used_in_the_next_run_until_another_is_configured() {
        let state = State::in_memory();
        let host = host(&state);
        let mut refresh = Refresh::load(&host, &Secret::new("first")).await;
        assert_eq!(refresh.current().expose(), "first");
        for newer in ["second", "third", "third", ""] {
            refresh.replace(&host, newer).await;
        }
        assert_eq!(refresh.current().expose(), "third");
        assert_eq!(current(&host, "first").await, "third");
        let kept = state.get(KEY).expect("kept");
        assert!(
            !kept.expose().contains("first"),
            "the configured one is not kept"
        );

        assert_eq!(current(&host, "new").await, "new");
        assert!(state.get(KEY).is_none(), "what was kept is forgotten");
        assert_eq!(current(&host, "first").await, "first");
    }

    #[tokio::test]
    async fn another_sinks_or_a_damaged_value_is_not_used() {
        let state = State::in_memory();
        let mut refresh = Refresh::load(&host(&state), &Secret::new("first")).await;
        refresh.replace(&host(&state), "second").await;
        let other = Host::detached("erp", Tables::new()).with_state(state.clone());
        assert_eq!(current(&other, "first").await, "first");
        state.set(KEY, &Secret::new("{")).expect("kept");
        assert_eq!(current(&host(&state), "first").await, "first");
    }

    #[tokio::test]
    async fn without_a_state_it_lasts_as_long_as_the_process() {
        let host = Host::detached("crm", Tables::new());
        let mut refresh = Refresh::load(&host, &Secret::new("first")).await;
        refresh.replace(&host, "second").await;
        assert_eq!(refresh.current().expose(), "second");
        assert_eq!(current(&host, "first").await, "first");
    }
}
