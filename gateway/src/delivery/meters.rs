//! Meters: a sink's metrics exist from the start, with zeros, so that a first event is a change
//! that an alert can see.

use super::hold::HoldReason;
use crate::outbox::DeathReason;
use crate::plugin::OutcomeKind;
use crate::telemetry::metrics::DeliveryMetrics;

impl DeliveryMetrics {
    /// Makes all that is counted of a sink.
    pub(super) fn begin(&self, sink: &str) {
        for kind in OutcomeKind::ALL {
            self.attempts.with_label_values(&[sink, kind.as_str()]);
        }
        for reason in DeathReason::ALL {
            self.dead_letters
                .with_label_values(&[sink, reason.as_str()]);
        }
        for reason in HoldReason::OF_SINKS {
            self.held.with_label_values(&[sink, reason.as_str()]);
            self.held_until.with_label_values(&[sink, reason.as_str()]);
        }
        self.attempt_duration.with_label_values(&[sink]);
        self.latency.with_label_values(&[sink]);
        self.circuit_open.with_label_values(&[sink]);
        self.paused.with_label_values(&[sink]);
        self.throttle_wait.with_label_values(&[sink]);
        self.last_delivered.with_label_values(&[sink]);
    }

    /// Takes away what says how a sink is that is not there any more. What was counted stays.
    pub(super) fn end(&self, sink: &str) {
        // An error says that there is none. What is read at each scrape is not here.
        let _ = self.circuit_open.remove_label_values(&[sink]);
        let _ = self.last_delivered.remove_label_values(&[sink]);
    }
}
