//! A lane: one sink's way from the outbox to its destination.
//!
//! Claims due deliveries a few at a time, starts an attempt for each as the sink's admission
//! allows, and waits for an arrival, a due time or a free slot, never by polling. While
//! nothing may start (paused, breaker open, throttled) it holds no claims, so that a person
//! or a newer revision can still change what waits.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use super::admission::{Admission, Decision, Running};
use super::attempt::Sender;
use super::clock::SteadyClock;
use super::prefetch::Prefetch;
use super::trial::Trial;
use super::verdict::millis;
use super::{Phase, Target};
use crate::clock::{Clock, Millis};
use crate::outbox::{Claim, Due, Queue, Unavailable};
use crate::telemetry::metrics::DeliveryMetrics;

/// Attempts that have ended but are not recorded yet, at most: beyond this nothing new starts.
const RECORDING: usize = 256;
/// Longest sleep before the outbox is asked again, because the wall clock may be set meanwhile.
/// What is stored as due still waits longer if that was set back.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);
/// Pause after the outbox could not be read.
const READ_AGAIN: Duration = Duration::from_secs(1);
/// Claims are kept over a wait of the throttle up to this, and given back before a longer one.
const KEEP: Duration = Duration::from_secs(1);

/// One sink's loop.
pub(super) struct Lane {
    sender: Arc<Sender>,
    outbox: Arc<dyn Queue>,
    clock: Arc<dyn Clock>,
    steady: Arc<SteadyClock>,
    admission: Arc<Admission>,
    /// Something ended: a slot may be free, a new due time may be known.
    changed: Arc<Notify>,
    /// Deliveries claimed ahead at most: few, so that what waits can still be changed by a
    /// person or a newer revision, and enough to keep all slots busy.
    page: usize,
}

/// Where a lane stands.
struct Place {
    /// Claimed and not started.
    prefetch: Prefetch,
    /// When to ask the outbox again.
    ask_at: Option<Millis>,
    /// Since when something ready waits for the throttle.
    held_since: Option<Duration>,
}

impl Lane {
    pub(super) fn new(
        target: Target,
        outbox: Arc<dyn Queue>,
        clock: Arc<dyn Clock>,
        metrics: DeliveryMetrics,
    ) -> Self {
        let Target { name, config, sink } = target;
        let steady = Arc::new(SteadyClock::new(Arc::clone(&clock)));
        let circuit_open = metrics.circuit_open.with_label_values(&[&*name]);
        Self {
            admission: Arc::new(Admission::new(&config, Arc::clone(&clock), circuit_open)),
            page: (2 * config.concurrency).clamp(8, 64),
            sender: Arc::new(Sender {
                name,
                config,
                sink: Arc::from(sink),
                outbox: Arc::clone(&outbox),
                clock: Arc::clone(&clock),
                steady: Arc::clone(&steady),
                metrics,
            }),
            outbox,
            clock,
            steady,
            changed: Arc::default(),
        }
    }

    pub(super) fn name(&self) -> Arc<str> {
        Arc::clone(&self.sender.name)
    }

    pub(super) fn trial(&self) -> Trial {
        Trial::new(
            Arc::clone(&self.sender.sink),
            self.sender.config.timeout,
            Arc::clone(&self.clock),
        )
    }

    pub(super) fn admission(&self) -> Arc<Admission> {
        Arc::clone(&self.admission)
    }

    /// Runs until the phase is `Stopping` and everything in flight has ended.
    pub(super) async fn run(self, mut phase: watch::Receiver<Phase>) {
        let arrivals = self.outbox.arrivals(&self.sender.name);
        let mut attempts = JoinSet::new();
        let mut place = Place {
            prefetch: Prefetch::default(),
            ask_at: Some(0),
            held_since: None,
        };
        while *phase.borrow_and_update() == Phase::Running {
            while attempts.try_join_next().is_some() {}
            let decision = self.decision(attempts.len());
            self.watch_throttle(decision, &mut place);
            let page = self.page(decision);
            if page == 0 {
                self.give_back(&mut place);
            } else if place.prefetch.is_empty()
                && place
                    .ask_at
                    .is_some_and(|at| at <= self.steady.due(self.outbox.latest()))
            {
                self.claim(page, &mut place).await;
                continue;
            }
            if matches!(decision, Decision::Start | Decision::Probe) && !place.prefetch.is_empty() {
                if let Some(running) = self.admission.start()
                    && let Some(claim) = place.prefetch.next()
                {
                    self.start(claim, running, &mut attempts, &phase);
                }
                continue;
            }
            let sleep = self.sleep(decision, page, &place);
            tokio::select! {
                () = arrivals.notified() => place.ask_at = Some(0),
                // A retry may be due before what the last page said.
                () = self.changed.notified() => place.ask_at = Some(0),
                () = tokio::time::sleep(sleep) => {
                    if sleep == LONGEST_SLEEP { place.ask_at = Some(0); }
                }
                _ = phase.changed() => {}
            }
        }
        self.give_back(&mut place);
        while attempts.join_next().await.is_some() {}
    }

    /// What may be done now, with `attempts` that are not recorded yet.
    fn decision(&self, attempts: usize) -> Decision {
        if self.outbox.paused(&self.sender.name) {
            return Decision::Shut(None);
        }
        match self.admission.decision() {
            Decision::Start | Decision::Probe
                if attempts >= RECORDING + self.sender.config.concurrency =>
            {
                Decision::Full
            }
            decision => decision,
        }
    }

    /// How many claims may be held then.
    fn page(&self, decision: Decision) -> usize {
        match decision {
            // For a probe as well: whose turn it is shows only in a page of all sources.
            Decision::Start | Decision::Probe | Decision::Full => self.page,
            Decision::Wait(wait) if wait <= KEEP => self.page,
            Decision::Wait(_) | Decision::Shut(_) => 0,
        }
    }

    fn sleep(&self, decision: Decision, page: usize, place: &Place) -> Duration {
        let until_asked = || {
            place.ask_at.map(|at| {
                let left = at.saturating_sub(self.steady.due(self.outbox.latest()));
                Duration::from_millis(u64::try_from(left).unwrap_or(0))
            })
        };
        let wait = match decision {
            Decision::Shut(wait) => wait,
            Decision::Wait(wait) if page == 0 || !place.prefetch.is_empty() => Some(wait),
            _ if place.prefetch.is_empty() => until_asked(),
            // All slots are taken: `changed` says when one is free.
            _ => None,
        };
        wait.unwrap_or(LONGEST_SLEEP)
            .clamp(Duration::from_millis(1), LONGEST_SLEEP)
    }

    /// Claims the next page.
    async fn claim(&self, limit: usize, place: &mut Place) {
        let outbox = Arc::clone(&self.outbox);
        let name = self.name();
        let now = self.steady.due(self.outbox.latest());
        let due: Result<Due, Unavailable> =
            tokio::task::spawn_blocking(move || outbox.claim(&name, now, limit))
                .await
                .unwrap_or_else(|error| Err(Unavailable(error.to_string())));
        let sink = &*self.sender.name;
        match due {
            Ok(due) => {
                for (id, error) in &due.damaged {
                    tracing::error!(sink, delivery = %id, error = error.0, "delivery could not be read; it is left alone");
                }
                place.prefetch.extend(due.deliveries);
                place.ask_at = due.next;
            }
            Err(error) => {
                tracing::error!(sink, error = error.0, "outbox could not be read");
                place.ask_at = Some(now.saturating_add(millis(READ_AGAIN)));
            }
        }
    }

    /// Holds no claims any more.
    fn give_back(&self, place: &mut Place) {
        if !place.prefetch.is_empty() {
            self.outbox
                .unclaim(&self.sender.name, &place.prefetch.clear());
            place.ask_at = Some(0);
        }
    }

    /// Measures how long what is ready waits for the throttle.
    fn watch_throttle(&self, decision: Decision, place: &mut Place) {
        match decision {
            Decision::Wait(_) if place.prefetch.is_empty() => {}
            Decision::Wait(_) => {
                place
                    .held_since
                    .get_or_insert_with(|| self.clock.monotonic());
            }
            Decision::Start | Decision::Probe | Decision::Full | Decision::Shut(_) => {
                if let Some(since) = place.held_since.take() {
                    let held = self.clock.monotonic().saturating_sub(since);
                    self.sender
                        .metrics
                        .rate_limit_wait
                        .with_label_values(&[&*self.sender.name])
                        .inc_by(held.as_secs_f64());
                }
            }
        }
    }

    fn start(
        &self,
        claim: Claim,
        running: Running,
        attempts: &mut JoinSet<()>,
        phase: &watch::Receiver<Phase>,
    ) {
        let sender = Arc::clone(&self.sender);
        let outbox = Arc::clone(&self.outbox);
        let changed = Arc::clone(&self.changed);
        let phase = phase.clone();
        attempts.spawn(async move {
            let id = claim.id;
            let (finish, outcome) = sender.send(claim, phase).await;
            running.end(&outcome);
            changed.notify_one();
            // On an error the claim stays: this process must not repeat an attempt that it
            // could not record.
            if let Err(error) = outbox.finish(finish).await {
                tracing::error!(
                    sink = &*sender.name, delivery = %id, error = error.0,
                    "end of attempt could not be recorded; the delivery is repeated after a restart"
                );
            }
            changed.notify_one();
        });
    }
}
