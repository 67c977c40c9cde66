//! First versions of what is kept, as stores have it that were written by them.

use leadgate_plugin::OutcomeKind;
use serde::Deserialize;

use crate::clock::Millis;
use crate::outbox;

/// An attempt before it said of which configuration it is.
#[derive(Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
pub(super) struct Attempt {
    pub(super) number: u32,
    pub(super) started_at: Millis,
    pub(super) duration_ms: u64,
    pub(super) outcome: OutcomeKind,
    pub(super) rule: String,
    pub(super) reason: String,
    pub(super) receipt: String,
    pub(super) request: String,
    pub(super) response: String,
    pub(super) trace_id: String,
}

impl Attempt {
    /// As it is kept now.
    pub(super) fn now(self) -> outbox::Attempt {
        outbox::Attempt {
            number: self.number,
            started_at: self.started_at,
            duration_ms: self.duration_ms,
            outcome: self.outcome,
            rule: self.rule,
            reason: self.reason,
            receipt: self.receipt,
            request: self.request,
            response: self.response,
            trace_id: self.trace_id,
            config_revision: String::new(),
        }
    }
}
