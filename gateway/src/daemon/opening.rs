//! Opening: what a push meets while the store is being opened.
//!
//! The public listener is there before the store, so that a restart refuses nobody: an early
//! push is verified and read, and waits here, as long as its answer may take. Nothing is
//! stored of one whose sender was told that it failed. How many wait is bounded by the
//! listener's connections and by the memory of all bodies.

use std::sync::{Arc, OnceLock};

use futures_util::future::BoxFuture;
use tokio::sync::watch;

use crate::ingress::Health;
use crate::outbox::{
    Accepted, Arrival, Intake, Quarantined, QuarantinedPush, Refusal, Unavailable,
};

/// How the store does, once there is one.
type Look = Arc<dyn Fn() -> Health + Send + Sync>;

/// The store as receiving sees it, from before it is there.
#[derive(Clone)]
pub(super) struct Opening(Arc<Inner>);

struct Inner {
    /// Asked first: once the store is there, nobody waits for a lock.
    store: OnceLock<(Arc<dyn Intake>, Look)>,
    phase: watch::Sender<Phase>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Opening,
    Open,
    Failed,
}

impl Opening {
    pub(super) fn new() -> Self {
        Self(Arc::new(Inner {
            store: OnceLock::new(),
            phase: watch::Sender::new(Phase::Opening),
        }))
    }

    /// The store is there: whoever waits goes on.
    pub(super) fn opened(&self, store: Arc<dyn Intake>, look: Look) {
        let _ = self.0.store.set((store, look));
        self.0.phase.send_replace(Phase::Open);
    }

    /// It will not be there: whoever waits is told so at once.
    pub(super) fn failed(&self) {
        self.0.phase.send_if_modified(|phase| {
            let waited = *phase == Phase::Opening;
            if waited {
                *phase = Phase::Failed;
            }
            waited
        });
    }

    /// How the store does; while it is not there, nothing can be said against it.
    pub(super) fn health(&self) -> Look {
        let inner = Arc::clone(&self.0);
        Arc::new(move || {
            inner
                .store
                .get()
                .map_or_else(Health::default, |(_, look)| look())
        })
    }

    /// Gives `what` to the store, now or when it is there.
    fn give<T: Send + 'static, W: Send + 'static>(
        &self,
        what: W,
        to: impl Fn(&dyn Intake, W) -> BoxFuture<'static, Result<T, Refusal>> + Send + 'static,
    ) -> BoxFuture<'static, Result<T, Refusal>> {
        if let Some((store, _)) = self.0.store.get() {
            return to(&**store, what);
        }
        let inner = Arc::clone(&self.0);
        Box::pin(async move {
            let mut phase = inner.phase.subscribe();
            // The sender is in `inner`, so it is never gone.
            let _ = phase.wait_for(|phase| *phase != Phase::Opening).await;
            match inner.store.get() {
                Some((store, _)) => to(&**store, what).await,
                None => Err(Unavailable("it could not be opened".to_owned()).into()),
            }
        })
    }
}

impl Intake for Opening {
    fn accept(&self, arrival: Arrival) -> BoxFuture<'static, Result<Accepted, Refusal>> {
        self.give(arrival, |store, arrival| store.accept(arrival))
    }

    fn quarantine(
        &self,
        quarantined: QuarantinedPush,
    ) -> BoxFuture<'static, Result<Quarantined, Refusal>> {
        self.give(quarantined, |store, push| store.quarantine(push))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::FutureExt;
    use futures_util::future::ready;

    use super::*;

    /// A store that counts what it is given.
    #[derive(Default)]
    struct Counting(AtomicUsize);

    impl Intake for Counting {
        fn accept(&self, _: Arrival) -> BoxFuture<'static, Result<Accepted, Refusal>> {
            self.0.fetch_add(1, Ordering::SeqCst);
            Box::pin(ready(Ok(Accepted::Deferred)))
        }
        fn quarantine(
            &self,
            _: QuarantinedPush,
        ) -> BoxFuture<'static, Result<Quarantined, Refusal>> {
            self.0.fetch_add(1, Ordering::SeqCst);
            Box::pin(ready(Ok(Quarantined::Deferred)))
        }
    }

    fn push() -> QuarantinedPush {
        QuarantinedPush {
            source: Arc::from("shop"),
            reason: "stale",
            received_at: 0,
            request_id: None,
            signature: String::new(),
            query: String::new(),
            content_type: String::new(),
            body: Vec::new(),
            ceiling: crate::config::Ceiling::default(),
        }
    }

    #[test]
    fn an_early_push_waits_until_the_store_is_there() {
        let (opening, store) = (Opening::new(), Arc::new(Counting::default()));
        let mut early = opening.quarantine(push());
        assert!((&mut early).now_or_never().is_none(), "it waits");
        opening.opened(
            Arc::clone(&store) as Arc<dyn Intake>,
            Arc::new(Health::default),
        );
        assert_eq!(early.now_or_never(), Some(Ok(Quarantined::Deferred)));
        let late = opening.quarantine(push());
        assert_eq!(late.now_or_never(), Some(Ok(Quarantined::Deferred)));
        assert_eq!(store.0.load(Ordering::SeqCst), 2);
    }

    #[test]
    fn nothing_is_stored_of_a_push_that_did_not_wait_so_long() {
        let (opening, store) = (Opening::new(), Arc::new(Counting::default()));
        let mut early = opening.quarantine(push());
        assert!((&mut early).now_or_never().is_none());
        drop(early);
        opening.opened(
            Arc::clone(&store) as Arc<dyn Intake>,
            Arc::new(Health::default),
        );
        assert_eq!(store.0.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn who_waits_for_a_store_that_does_not_open_is_told_at_once() {
        let opening = Opening::new();
        let mut early = opening.quarantine(push());
        assert!((&mut early).now_or_never().is_none());
        opening.failed();
        for told in [early, opening.quarantine(push())] {
            let told = told.now_or_never().expect("an answer");
            assert!(matches!(told, Err(Refusal::Unavailable(_))), "{told:?}");
        }
    }

    #[test]
    fn the_health_is_the_stores_once_it_is_there() {
        let opening = Opening::new();
        let health = opening.health();
        assert_eq!(health(), Health::default());
        let short = || Health {
            short: true,
            ..Health::default()
        };
        opening.opened(Arc::new(Counting::default()), Arc::new(short));
        assert!(health().short);
    }
}
