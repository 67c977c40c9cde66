//! A lane: one sink's way from the outbox to its destination.
//!
//! Claims due deliveries a few at a time, starts an attempt for each as the sink's gate
//! allows, and waits for an arrival, a due time or a free slot, never by polling. While
//! nothing may start (paused, breaker open, throttled) it holds no claims, so that a person
//! or a newer revision can still change what waits.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use super::attempt::Sender;
use super::course::Course;
use super::gate::{Gate, Running, Turn};
use super::ready::Ready;
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
/// Claims are kept over a wait of the pace up to this, and given back before a longer one.
const KEEP: Duration = Duration::from_secs(1);

/// One sink's loop.
pub(super) struct Lane {
    sender: Arc<Sender>,
    outbox: Arc<dyn Queue>,
    clock: Arc<dyn Clock>,
    course: Arc<Course>,
    gate: Arc<Gate>,
    /// Something ended: a slot may be free, a new due time may be known.
    changed: Arc<Notify>,
    /// Deliveries claimed ahead at most: few, so that what waits can still be changed by a
    /// person or a newer revision, and enough to keep all slots busy.
    page: usize,
}

/// Where a lane stands.
struct Place {
    /// Claimed and not started.
    ready: Ready,
    /// When to ask the outbox again.
    ask_at: Option<Millis>,
    /// Since when something ready waits for the pace.
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
        let course = Arc::new(Course::new(Arc::clone(&clock)));
        let circuit_open = metrics.circuit_open.with_label_values(&[&*name]);
        Self {
            gate: Arc::new(Gate::new(&config, Arc::clone(&clock), circuit_open)),
            page: (2 * config.concurrency).clamp(8, 64),
            sender: Arc::new(Sender {
                name,
                config,
                sink,
                outbox: Arc::clone(&outbox),
                clock: Arc::clone(&clock),
                course: Arc::clone(&course),
                metrics,
            }),
            outbox,
            clock,
            course,
            changed: Arc::default(),
        }
    }

    pub(super) fn name(&self) -> Arc<str> {
        Arc::clone(&self.sender.name)
    }

    pub(super) fn gate(&self) -> Arc<Gate> {
        Arc::clone(&self.gate)
    }

    /// Runs until the phase is `Stopping` and everything in flight has ended.
    pub(super) async fn run(self, mut phase: watch::Receiver<Phase>) {
        let arrivals = self.outbox.arrivals(&self.sender.name);
        let mut attempts = JoinSet::new();
        let mut place = Place {
            ready: Ready::default(),
            ask_at: Some(0),
            held_since: None,
        };
        while *phase.borrow_and_update() == Phase::Running {
            while attempts.try_join_next().is_some() {}
            let turn = self.turn(attempts.len());
            self.watch_pace(turn, &mut place);
            let page = self.page(turn);
            if page == 0 {
                self.give_back(&mut place);
            } else if place.ready.is_empty()
                && place
                    .ask_at
                    .is_some_and(|at| at <= self.course.due(self.outbox.latest()))
            {
                self.claim(page, &mut place).await;
                continue;
            }
            if matches!(turn, Turn::Start | Turn::Probe) && !place.ready.is_empty() {
                if let Some(running) = self.gate.start()
                    && let Some(claim) = place.ready.next()
                {
                    self.start(claim, running, &mut attempts, &phase);
                }
                continue;
            }
            let sleep = self.sleep(turn, page, &place);
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
    fn turn(&self, attempts: usize) -> Turn {
        if self.outbox.paused(&self.sender.name) {
            return Turn::Shut(None);
        }
        match self.gate.turn() {
            Turn::Start | Turn::Probe if attempts >= RECORDING + self.sender.config.concurrency => {
                Turn::Full
            }
            turn => turn,
        }
    }

    /// How many claims may be held at this turn.
    fn page(&self, turn: Turn) -> usize {
        match turn {
            // For a probe as well: whose turn it is shows only in a page of all sources.
            Turn::Start | Turn::Probe | Turn::Full => self.page,
            Turn::Wait(wait) if wait <= KEEP => self.page,
            Turn::Wait(_) | Turn::Shut(_) => 0,
        }
    }

    fn sleep(&self, turn: Turn, page: usize, place: &Place) -> Duration {
        let until_asked = || {
            place.ask_at.map(|at| {
                let left = at.saturating_sub(self.course.due(self.outbox.latest()));
                Duration::from_millis(u64::try_from(left).unwrap_or(0))
            })
        };
        let wait = match turn {
            Turn::Shut(wait) => wait,
            Turn::Wait(wait) if page == 0 || !place.ready.is_empty() => Some(wait),
            _ if place.ready.is_empty() => until_asked(),
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
        let now = self.course.due(self.outbox.latest());
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
                place.ready.extend(due.deliveries);
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
        if !place.ready.is_empty() {
            self.outbox.unclaim(&self.sender.name, &place.ready.clear());
            place.ask_at = Some(0);
        }
    }

    /// Measures how long what is ready waits for the pace.
    fn watch_pace(&self, turn: Turn, place: &mut Place) {
        match turn {
            Turn::Wait(_) if place.ready.is_empty() => {}
            Turn::Wait(_) => {
                place
                    .held_since
                    .get_or_insert_with(|| self.clock.monotonic());
            }
            Turn::Start | Turn::Probe | Turn::Full | Turn::Shut(_) => {
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
