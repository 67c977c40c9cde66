//! An attempt: one call of a sink for one delivery, from start to record.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::breaker::Signal;
use super::clock::SteadyClock;
use super::health::Health;
use super::verdict::{self, Case};
use super::{Destination, Notes, Phase};
use crate::clock::Clock;
use crate::config;
use crate::lead::{Event, EventKind};
use crate::outbox::{ATTEMPTS_KEPT, Attempt, Claim, DeliveryId, Finish, Queue, State, StoredLead};
use crate::plugin::{Call, Outcome, Own};
use crate::swap::Swap;
use crate::telemetry::metrics::DeliveryMetrics;

/// What all attempts of a sink share.
pub(super) struct Sender {
    pub(super) name: Arc<str>,
    pub(super) config: config::Sink,
    pub(super) sink: Arc<dyn Destination>,
    /// Of the configuration that runs, as far as this sink is what it says.
    pub(super) revision: Arc<Swap<Arc<str>>>,
    pub(super) notes: Option<Notes>,
    pub(super) outbox: Arc<dyn Queue>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) steady: Arc<SteadyClock>,
    pub(super) metrics: DeliveryMetrics,
    pub(super) health: Arc<Health>,
}

impl Sender {
    /// Makes the attempt and says what becomes of the delivery. Ends early, as ambiguous,
    /// when the phase becomes `Ending`. A `probe` that fails is made for all that wait: it
    /// does not use the delivery up.
    pub(super) async fn send(
        &self,
        claim: Claim,
        probe: bool,
        phase: watch::Receiver<Phase>,
    ) -> (Finish, Outcome) {
        let Claim {
            id,
            mut delivery,
            lead,
            update,
        } = claim;
        let State::Waiting { due_at: was_due } = delivery.state else {
            unreachable!("only waiting deliveries are claimed");
        };
        let started_at = self.clock.now();
        let began = self.clock.monotonic();
        let config_revision = self.revision.get().to_string();
        let trace_id = format!("{:032x}", fastrand::u128(..));
        let number = delivery.attempts.saturating_add(1);
        let (kept, mut records) = watch::channel(None);
        // The plugin has it until it completes, which may be long after the timeout.
        let note = self.notes.as_ref();
        let note = note.map(|notes| notes.note(&self.name, id, started_at));
        let call = Call {
            id: id.to_string(),
            attempt: number,
            timeout: self.config.timeout,
            event: event(&lead, update),
            trace_id: trace_id.clone(),
            step_record: delivery.journal.clone(),
            // Only the newest counts: it holds more than the one before.
            keep: Some(Arc::new(move |journal| {
                let _ = &note;
                drop(kept.send_replace(Some(journal)));
            })),
        };
        let journal = &mut delivery.journal;
        let mut outcome = self.attempt(id, call, phase, &mut records, journal).await;
        // No destination holds a delivery for longer than it may.
        outcome.retry_after = outcome
            .retry_after
            .map(|wait| wait.min(self.config.max_hold));
        let took = self.clock.monotonic().saturating_sub(began);
        let now = self.clock.now();

        if probe && Signal::of(&outcome) == Signal::Failure {
            delivery.budget.spent = delivery.budget.spent.saturating_add(1);
        }
        let case = Case {
            attempts: number,
            budget: delivery.budget,
            now,
            due: self.steady.due(0),
            age: self.outbox.believed(self.steady.age()),
            retry: &self.config.retry,
            on_ambiguous: self.config.on_ambiguous,
        };
        let state = fastrand_scope(|rng| verdict::of(&outcome, &case, rng));
        self.observe(&outcome, &state, took, now, lead.received_at);
        tracing::debug!(
            sink = &*self.name, lead = %delivery.lead, delivery = %id, attempt = number,
            outcome = outcome.kind.as_str(), rule = outcome.rule, trace = trace_id, "attempt ended"
        );
        let at = self.clock.monotonic();
        self.health.attempt(id, &outcome, began, at);
        match state {
            State::Delivered { .. } => self.health.delivered(now),
            State::Dead { reason, .. } => self.health.died(id, reason, &outcome, at),
            _ => {}
        }

        delivery.attempts = number;
        if matches!(state, State::Delivered { .. }) {
            delivery.journal.clear();
        }
        delivery.state = state;
        if delivery.history.len() == ATTEMPTS_KEPT {
            delivery.history.remove(0);
        }
        delivery.history.push(Attempt {
            number,
            started_at,
            duration_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            outcome: outcome.kind,
            rule: outcome.rule.clone(),
            reason: outcome.reason.clone(),
            receipt: outcome.receipt.clone(),
            request: outcome.request.clone(),
            response: outcome.response.clone(),
            trace_id,
            config_revision,
        });
        (
            Finish {
                id,
                sink: Arc::clone(&self.name),
                now,
                was_due,
                delivery,
            },
            outcome,
        )
    }

    /// Waits for the outcome and stores what the plugin keeps meanwhile; the last of it is in
    /// `journal` afterwards.
    async fn attempt(
        &self,
        id: DeliveryId,
        call: Call,
        mut phase: watch::Receiver<Phase>,
        records: &mut watch::Receiver<Option<String>>,
        journal: &mut String,
    ) -> Outcome {
        let mut attempt = self.sink.deliver(call);
        let mut ending =
            std::pin::pin!(async { drop(phase.wait_for(|phase| *phase == Phase::Ending).await) });
        let outcome = loop {
            tokio::select! {
                outcome = &mut attempt => break outcome,
                Ok(()) = records.changed() => {
                    let kept = records.borrow_and_update().clone().unwrap_or_default();
                    journal.clone_from(&kept);
                    if let Err(error) = self.outbox.keep(&self.name, id, kept).await {
                        tracing::error!(
                            sink = &*self.name, delivery = %id, error = error.0,
                            "step record of an attempt could not be stored"
                        );
                    }
                }
                () = &mut ending =>
                    break Own::Shutdown.outcome(),
            }
        };
        // What was kept last, also if the plugin has let go of the attempt since.
        if let Some(last) = &*records.borrow() {
            journal.clone_from(last);
        }
        outcome
    }

    fn observe(
        &self,
        outcome: &Outcome,
        state: &State,
        took: Duration,
        now: i64,
        received_at: i64,
    ) {
        let sink = &*self.name;
        self.metrics
            .attempts
            .with_label_values(&[sink, outcome.kind.as_str()])
            .inc();
        self.metrics
            .attempt_duration
            .with_label_values(&[sink])
            .observe(took.as_secs_f64());
        if outcome.rule == Own::Panicked.rule() {
            self.metrics
                .plugin_panics
                .with_label_values(&[self.config.plugin.as_str()])
                .inc();
        }
        match state {
            State::Delivered { .. } => {
                let seconds = Duration::from_millis(u64::try_from(now - received_at).unwrap_or(0));
                self.metrics
                    .latency
                    .with_label_values(&[sink])
                    .observe(seconds.as_secs_f64());
                #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
                self.metrics
                    .last_delivered
                    .with_label_values(&[sink])
                    .set(now as f64 / 1000.0);
            }
            State::Dead { reason, .. } => {
                self.metrics
                    .dead_letters
                    .with_label_values(&[sink, reason.as_str()])
                    .inc();
            }
            State::Waiting { .. }
            | State::Behind
            | State::Superseded { .. }
            | State::Cancelled { .. } => {}
        }
    }
}

/// What a plugin sees of a lead revision; `update` if its sink was given an earlier one.
pub(super) fn event(lead: &StoredLead, update: bool) -> Vec<u8> {
    Event {
        kind: if update {
            EventKind::Updated
        } else {
            EventKind::Created
        },
        id: &lead.id,
        revision: lead.revision,
        source: &lead.source,
        received_at: lead.received_at,
        lead: &lead.lead,
        labels: &lead.labels,
        raw: &lead.raw,
    }
    .json()
}

/// Chance for the backoff; the pure part takes it as an argument.
fn fastrand_scope<T>(draw: impl FnOnce(&mut fastrand::Rng) -> T) -> T {
    draw(&mut fastrand::Rng::new())
}
