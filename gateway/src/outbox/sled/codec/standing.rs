//! Small things that stand in no index: how they are after an entry, and what is asked of them.

use std::ops::Bound;

use super::{Entry, Standing};
use crate::outbox::sled::place::Place;
use crate::outbox::state::Record;
use crate::outbox::{Pause, QuarantineCount};

impl Standing {
    /// As they are after an entry that lies at `place`: the same live and in a recovery.
    pub fn take(&mut self, entry: &Entry, place: Place) {
        match entry {
            Entry::Record { record, segments } => self.take_record(record, segments),
            Entry::Totals(totals) => self.totals.clone_from(totals),
            Entry::ArrivedLead(_) | Entry::ArrivedPush(_) => {
                self.deferred.insert(place);
            }
            Entry::Settled(place) => self.settle(*place),
            Entry::SegmentGone(segment) => self.remains.gone(*segment),
            Entry::Audited(mark) => self.audit = *mark,
            Entry::Opening(_) | Entry::Closing | Entry::Holds { .. } => {}
        }
    }

    /// What had arrived there was judged.
    pub fn settle(&mut self, place: Place) {
        self.deferred.remove(&place);
        self.remains.settled(place.segment);
    }

    /// Whether a push that was not judged yet stands in this segment.
    pub fn defers_in(&self, segment: u32) -> bool {
        let at = |segment| Place {
            segment,
            ..Place::default()
        };
        let end = segment
            .checked_add(1)
            .map_or(Bound::Unbounded, |next| Bound::Excluded(at(next)));
        let within = (Bound::Included(at(segment)), end);
        self.deferred.range(within).next().is_some()
    }

    /// As they are after a record; `segments` of what is gone.
    pub fn take_record(&mut self, record: &Record, segments: &[u32]) {
        match record {
            Record::Paused { sink, pause } => match pause {
                Some(pause) => {
                    self.pauses.insert(sink.clone(), pause.clone());
                }
                None => {
                    self.pauses.remove(sink);
                }
            },
            Record::SinkState { sink, key, value } => {
                let name = (sink.clone(), key.clone());
                match value {
                    Some(value) => self.sink_states.insert(name, value.clone()),
                    None => self.sink_states.remove(&name),
                };
            }
            Record::Job { id, job } => {
                match job {
                    Some(job) => self.jobs.insert(*id, (**job).clone()),
                    None => self.jobs.remove(id),
                };
            }
            Record::Token { id, token } => {
                match token {
                    Some(token) => self.tokens.insert(*id, (**token).clone()),
                    None => self.tokens.remove(id),
                };
            }
            Record::QuarantineCount { source, count } => {
                self.quarantine_counts.insert(source.clone(), count.clone());
            }
            _ => self.remains.take(record, segments),
        }
    }

    /// Since when, and why, a sink is paused.
    pub fn pause(&self, sink: &str) -> Option<Pause> {
        self.pauses.get(sink).cloned()
    }

    /// How much of a source is in quarantine.
    pub fn quarantine_count(&self, source: &str) -> QuarantineCount {
        let count = self.quarantine_counts.get(source);
        count.cloned().unwrap_or_default()
    }

    /// The names under which a sink's plugin keeps something.
    pub fn sink_state_keys(&self, sink: &str) -> Vec<String> {
        let states = self.sink_states.keys();
        states
            .filter(|(of, _)| of == sink)
            .map(|(_, key)| key.clone())
            .collect()
    }
}
