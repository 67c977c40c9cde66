//! Accepting: connections that the web server could not take, which it says itself, a line
//! for each. They are taken out of the log here and counted, so that whoever listens can say
//! many in one line.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// Connections that could not be accepted since the start of the process. The web server has
/// nobody to tell but the log, which a process has once.
pub static FAILED: Failed = Failed {
    count: AtomicU64::new(0),
    last: Mutex::new(String::new()),
    notify: Notify::const_new(),
};

/// What is known of them.
pub struct Failed {
    count: AtomicU64,
    last: Mutex<String>,
    notify: Notify,
}

impl Failed {
    /// Waits until there are any, and gives how many since the last call, and why the last
    /// one was not taken.
    pub async fn some(&self) -> (u64, String) {
        loop {
            let count = self.count.swap(0, Ordering::Relaxed);
            if count > 0 {
                return (count, self.lock().clone());
            }
            self.notify.notified().await;
        }
    }

    fn note(&self, why: String) {
        *self.lock() = why;
        self.count.fetch_add(1, Ordering::Relaxed);
        self.notify.notify_one();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, String> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes them out of the log.
pub struct Accepting;

impl<S: Subscriber> Layer<S> for Accepting {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        if event.metadata().target() != "actix_server::accept" {
            return true;
        }
        let mut why = Why(None);
        event.record(&mut why);
        match why.0 {
            Some(why) => {
                FAILED.note(why);
                false
            }
            None => true,
        }
    }
}

/// The reason in the web server's sentence.
struct Why(Option<String>);

impl Visit for Why {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            let said = format!("{value:?}");
            let why = said.strip_prefix("Error accepting connection: ");
            self.0 = why.map(str::to_owned);
        }
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[tokio::test]
    async fn what_the_web_server_says_is_counted_and_not_logged() {
        struct Logged(std::sync::Arc<AtomicU64>);
        impl<S: Subscriber> Layer<S> for Logged {
            fn on_event(&self, _: &Event<'_>, _: Context<'_, S>) {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
        let logged = std::sync::Arc::new(AtomicU64::new(0));
        let subscriber = tracing_subscriber::registry()
            .with(Logged(std::sync::Arc::clone(&logged)))
            .with(Accepting);
        tracing::subscriber::with_default(subscriber, || {
            for _ in 0..3 {
                let error = "Too many open files (os error 24)";
                tracing::error!(target: "actix_server::accept", "Error accepting connection: {error}");
            }
            tracing::error!(target: "actix_server::accept", "No workers");
            tracing::error!("something else");
        });
        assert_eq!(logged.load(Ordering::Relaxed), 2);
        let (count, why) = FAILED.some().await;
        assert_eq!(
            (count, why.as_str()),
            (3, "Too many open files (os error 24)")
        );
    }
}
