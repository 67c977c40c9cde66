//! Previews: what a sink would be sent of a stored lead now, without sending it.
//!
//! Made by the very instance that takes the attempts, so it shows what runs and not what the
//! files say. Secrets are masked; what the lead says of a person is not.

use std::time::Duration;

use super::Sinks;
use super::attempt::event;
use crate::outbox::{DeliveryId, StoredLead};
use crate::plugin::Call;

/// What a preview is of.
pub struct Unsent<'a> {
    /// The delivery: its id is part of what is sent.
    pub id: DeliveryId,
    /// The lead revision.
    pub lead: &'a StoredLead,
    /// Whether the sink was given an earlier revision of it.
    pub update: bool,
    /// What its plugin kept of earlier attempts.
    pub step_record: &'a str,
}

/// What a call must have; nobody waits for an answer.
const TIMEOUT: Duration = Duration::from_secs(10);

impl Sinks {
    /// What `sink` would send of it, or in words why it would not; `Some(Ok(None))` if its plugin
    /// cannot tell, `None` for a sink that is not there. Blocks.
    pub fn render(&self, sink: &str, of: &Unsent<'_>) -> Option<Result<Option<String>, String>> {
        let one = self.find(sink)?;
        Some(one.sink.render(of.call()))
    }
}

impl Unsent<'_> {
    /// As a plugin is asked for a preview.
    pub fn call(&self) -> Call {
        Call {
            id: self.id.to_string(),
            attempt: 1,
            timeout: TIMEOUT,
            event: event(self.lead, self.update),
            trace_id: String::new(),
            step_record: self.step_record.to_owned(),
            keep: None,
        }
    }
}
