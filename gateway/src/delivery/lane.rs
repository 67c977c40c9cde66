//! A lane: one sink's way from the outbox to its destination.
//!
//! Reads due deliveries in pages, keeps at most `concurrency` attempts in flight, and waits
//! for an arrival, a due time or a free slot, never by polling. Claims live only here, in
//! memory: after a crash everything that was in flight is due again.

use std::collections::{HashSet, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::JoinSet;

use super::attempt::Sender;
use super::pace::Pace;
use super::verdict::millis;
use super::{Phase, Target};
use crate::clock::{Clock, Millis};
use crate::outbox::{Claim, DeliveryId, Due, Outbox, Unavailable};
use crate::plugin::Kind;
use crate::telemetry::metrics::DeliveryMetrics;

/// Deliveries read from the outbox at once.
const PAGE: usize = 64;
/// Attempts that have ended but are not recorded yet, at most: beyond this nothing new starts.
const RECORDING: usize = 256;
/// Longest sleep without looking at the clock again, for wall clocks that jump.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);
/// Pause after the outbox could not be read.
const READ_AGAIN: Duration = Duration::from_secs(1);

/// Counts attempts in flight.
#[derive(Debug, Default)]
pub(super) struct Gauge(AtomicUsize);

impl Gauge {
    pub(super) fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// One sink's loop.
pub(super) struct Lane {
    sender: Arc<Sender>,
    outbox: Arc<dyn Outbox>,
    clock: Arc<dyn Clock>,
    pace: Pace,
    slots: Arc<Semaphore>,
    shared: Arc<Claims>,
    gauge: Arc<Gauge>,
}

/// What the lane and its attempts share.
#[derive(Default)]
struct Claims {
    /// Read from the outbox and not recorded as ended yet.
    ids: Mutex<HashSet<DeliveryId>>,
    /// Something ended: a slot may be free, a new due time may be known.
    changed: Notify,
    /// Hold all starts back until then; 0 if not.
    hold_until: std::sync::atomic::AtomicI64,
}

impl Claims {
    fn ids(&self) -> std::sync::MutexGuard<'_, HashSet<DeliveryId>> {
        // A set of ids cannot be left half-changed by a panic.
        self.ids.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lane {
    pub(super) fn new(
        target: Target,
        outbox: Arc<dyn Outbox>,
        clock: Arc<dyn Clock>,
        metrics: DeliveryMetrics,
    ) -> Self {
        let Target { name, config, sink } = target;
        Self {
            pace: Pace::new(config.rate),
            slots: Arc::new(Semaphore::new(config.concurrency)),
            sender: Arc::new(Sender {
                name,
                config,
                sink,
                clock: Arc::clone(&clock),
                metrics,
            }),
            outbox,
            clock,
            shared: Arc::default(),
            gauge: Arc::default(),
        }
    }

    pub(super) fn name(&self) -> Arc<str> {
        Arc::clone(&self.sender.name)
    }

    pub(super) fn gauge(&self) -> Arc<Gauge> {
        Arc::clone(&self.gauge)
    }

    /// Runs until the phase is `Stopping` and everything in flight has ended.
    pub(super) async fn run(self, mut phase: watch::Receiver<Phase>) {
        let arrivals = self.outbox.arrivals(&self.sender.name);
        let mut attempts = JoinSet::new();
        let mut ready: VecDeque<Claim> = VecDeque::new();
        let mut next_due: Option<Millis> = Some(0);
        while *phase.borrow_and_update() == Phase::Running {
            while attempts.try_join_next().is_some() {}
            if ready.is_empty() && next_due.is_some_and(|at| at <= self.clock.now()) {
                match self.read().await {
                    Ok(due) => {
                        next_due = due.next;
                        ready.extend(due.deliveries);
                    }
                    Err(error) => {
                        tracing::error!(
                            sink = &*self.sender.name,
                            error = error.0,
                            "outbox could not be read"
                        );
                        next_due = Some(self.clock.now() + millis(READ_AGAIN));
                    }
                }
            }
            if self.may_start()
                && let Some(claim) = ready.pop_front()
            {
                self.start(claim, &mut attempts, &phase);
                continue;
            }
            tokio::select! {
                () = arrivals.notified(), if ready.is_empty() => next_due = Some(0),
                () = self.shared.changed.notified() => {
                    // A retry may be due before what the last page said.
                    if ready.is_empty() { next_due = Some(0); }
                }
                () = tokio::time::sleep(self.sleep(ready.is_empty(), next_due)) => {}
                _ = phase.changed() => {}
            }
        }
        drop(ready);
        while attempts.join_next().await.is_some() {}
    }

    /// The next page, without what is claimed already. Claims what it gives.
    async fn read(&self) -> Result<Due, Unavailable> {
        let outbox = Arc::clone(&self.outbox);
        let shared = Arc::clone(&self.shared);
        let name = self.name();
        let now = self.clock.now();
        let page = tokio::task::spawn_blocking(move || {
            let due = outbox.claim(&name, now, PAGE)?;
            let mut ids = shared.ids();
            ids.extend(due.deliveries.iter().map(|claim| claim.id));
            for (id, error) in &due.damaged {
                // Claimed for good, so that it is said once and not read again.
                ids.insert(*id);
                tracing::error!(sink = &*name, delivery = %id, error = error.0, "delivery could not be read; it is left alone");
            }
            drop(ids);
            Ok(due)
        });
        page.await
            .unwrap_or_else(|error| Err(Unavailable(error.to_string())))
    }

    /// Whether an attempt may start now: a slot is free, records keep up, the pace allows it.
    fn may_start(&self) -> bool {
        self.slots.available_permits() > 0
            && self.shared.ids().len() <= PAGE + RECORDING + self.sender.config.concurrency
            && self.hold().is_zero()
    }

    fn hold(&self) -> Duration {
        let until = self.shared.hold_until.load(Ordering::Relaxed);
        if until > 0 {
            self.pace.hold(until);
        }
        self.pace.wait(self.clock.now())
    }

    fn sleep(&self, empty: bool, next_due: Option<Millis>) -> Duration {
        let wait = if empty {
            next_due.map_or(LONGEST_SLEEP, |at| {
                Duration::from_millis(
                    u64::try_from(at.saturating_sub(self.clock.now())).unwrap_or(0),
                )
            })
        } else {
            // Something is ready: either the pace holds it, or `changed` will wake us.
            let hold = self.hold();
            if hold.is_zero() { LONGEST_SLEEP } else { hold }
        };
        wait.clamp(Duration::from_millis(1), LONGEST_SLEEP)
    }

    fn start(&self, claim: Claim, attempts: &mut JoinSet<()>, phase: &watch::Receiver<Phase>) {
        self.pace.start(self.clock.now());
        let slot = Arc::clone(&self.slots).try_acquire_owned();
        let sender = Arc::clone(&self.sender);
        let outbox = Arc::clone(&self.outbox);
        let shared = Arc::clone(&self.shared);
        let gauge = Arc::clone(&self.gauge);
        let clock = Arc::clone(&self.clock);
        let phase = phase.clone();
        gauge.0.fetch_add(1, Ordering::Relaxed);
        attempts.spawn(async move {
            let id = claim.id;
            let (finish, outcome) = sender.send(claim, phase).await;
            gauge.0.fetch_sub(1, Ordering::Relaxed);
            if outcome.kind == Kind::Throttled {
                let wait = outcome.retry_after.unwrap_or(sender.config.retry.first);
                shared
                    .hold_until
                    .fetch_max(clock.now().saturating_add(millis(wait)), Ordering::Relaxed);
            }
            drop(slot);
            shared.changed.notify_one();
            match outbox.finish(finish).await {
                Ok(()) => drop(shared.ids().remove(&id)),
                // The claim stays: this process must not repeat an attempt it could not record.
                Err(error) => tracing::error!(
                    sink = &*sender.name, delivery = %id, error = error.0,
                    "end of attempt could not be recorded; the delivery is repeated after a restart"
                ),
            }
            shared.changed.notify_one();
        });
    }
}
