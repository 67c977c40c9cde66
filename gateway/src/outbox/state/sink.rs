//! Sinks: since when and why one is paused, and what its plugin keeps from one run to the next.

use super::record::Record;
use super::view::Fault;
use crate::clock::Millis;
use crate::outbox::{Pause, PauseCause, SINK_STATE_KEYS};

impl super::State<'_> {
    /// Pauses a sink, or resumes it. A pause of one that is paused keeps the time of the first.
    pub(super) fn pause(
        &mut self,
        sink: &str,
        cause: Option<&PauseCause>,
        now: Millis,
    ) -> Result<(), Fault> {
        let known = self.named(sink)?;
        let before = self.pending.pause(self.ground.view, sink);
        let since = before.as_ref().map_or(now, |before| before.since);
        let pause = cause.cloned().map(|cause| Pause { since, cause });
        if pause == before {
            return Ok(());
        }
        self.push(Record::Paused {
            sink: sink.to_owned(),
            pause,
        });
        self.wake(known);
        Ok(())
    }

    /// Keeps a value, or forgets it; `false` if there are too many others.
    pub(super) fn keep_sink_state(
        &mut self,
        sink: &str,
        key: &str,
        value: Option<&[u8]>,
    ) -> Result<bool, Fault> {
        self.named(sink)?;
        let mut others = self.pending.sink_state_keys(self.ground.view, sink);
        let is_there = others.remove(key);
        if value.is_some() && others.len() >= SINK_STATE_KEYS {
            return Ok(false);
        }
        if value.is_some() || is_there {
            self.push(Record::SinkState {
                sink: sink.to_owned(),
                key: key.to_owned(),
                value: value.map(<[u8]>::to_vec),
            });
        }
        Ok(true)
    }
}
