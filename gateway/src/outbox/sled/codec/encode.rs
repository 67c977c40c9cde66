//! Entries as bytes: written straight to where they go.

use serde::Serialize;

use super::entry::{Opening, SegmentFacts, Standing};
use super::{Codec, Entry, kind, place};
use crate::outbox::sled::record;
use crate::outbox::state::{Details, NewLead, NewQuarantined, Record};

impl Codec {
    /// Writes an entry behind `out`.
    pub(in crate::outbox::sled) fn encode(&self, entry: &Entry, out: &mut Vec<u8>) {
        match entry {
            Entry::Record { record, segments } => self.encode_record(record, segments, out),
            Entry::Totals(totals) => plain(out, kind::TOTALS, totals),
            Entry::Opening(opening) => {
                let Opening {
                    store,
                    manifest,
                    gone,
                    standing,
                } = opening;
                debug_assert_eq!(*store, self.store);
                self.encode_opening(manifest, gone, standing, out);
            }
            Entry::Closing => plain(out, kind::CLOSING, &()),
            Entry::SegmentGone(number) => plain(out, kind::SEGMENT_GONE, number),
            Entry::ArrivedLead(lead) => self.encode_arrived_lead(lead, out),
            Entry::ArrivedPush(push) => encode_arrived_push(push, out),
            Entry::Settled(at) => plain(out, kind::SETTLED, at),
            Entry::Holds { lead, segments } => plain(out, kind::HOLDS, &(lead, segments)),
        }
    }

    /// Writes a record behind `out`; `segments` only of what is gone.
    pub(in crate::outbox::sled) fn encode_record(
        &self,
        record: &Record,
        segments: &[u32],
        out: &mut Vec<u8>,
    ) {
        match record {
            Record::Revision {
                lead,
                source,
                identity,
                revision,
                finds,
                body,
            } => {
                let clear = (lead, source, identity, revision, finds);
                write(out, kind::REVISION, &clear, |out| {
                    out.extend_from_slice(body);
                });
            }
            Record::Pushed { lead, revision, at } => {
                plain(out, kind::PUSHED, &(lead, revision, at));
            }
            Record::Delivery {
                lead,
                delivery,
                details,
            } => write(out, kind::DELIVERY, &(lead, delivery), |out| {
                if let Some(details) = details {
                    let Details { history, journal } = details;
                    let place = place::details(*lead, delivery.id);
                    self.seal(&place, out, |out| put(out, &(history, journal)));
                }
            }),
            Record::LeadGone { lead, erased } => {
                plain(out, kind::LEAD_GONE, &(lead, erased, segments));
            }
            Record::Quarantined { id, head, body } => {
                write(out, kind::QUARANTINED, &(id, head), |out| {
                    out.extend_from_slice(body);
                });
            }
            Record::QuarantineGone { id } => {
                plain(out, kind::QUARANTINE_GONE, &(id, segments));
            }
            Record::QuarantineCount { source, count } => {
                plain(out, kind::QUARANTINE_COUNT, &(source, count));
            }
            Record::Paused { sink, pause } => write(out, kind::PAUSED, sink, |out| {
                if let Some(pause) = pause {
                    self.seal(&place::pause(sink), out, |out| {
                        out.extend_from_slice(&pause.encode());
                    });
                }
            }),
            Record::SinkState { sink, key, value } => {
                write(out, kind::SINK_STATE, &(sink, key), |out| {
                    if let Some(value) = value {
                        self.seal(&place::sink_state(sink, key), out, |out| {
                            out.extend_from_slice(value);
                        });
                    }
                });
            }
        }
    }

    /// Writes the opening of a segment behind `out`.
    pub(in crate::outbox::sled) fn encode_opening(
        &self,
        manifest: &[SegmentFacts],
        gone: &[u32],
        standing: &Standing,
        out: &mut Vec<u8>,
    ) {
        let Standing {
            totals,
            pauses,
            sink_states,
            quarantine_counts,
            index_key,
            deferred,
            remains,
        } = standing;
        let pauses: Vec<_> = pauses
            .iter()
            .map(|(sink, one)| (sink, one.encode()))
            .collect();
        let clear = (self.store, manifest, gone);
        write(out, kind::OPENING, &clear, |out| {
            self.seal(&place::standing(self.store), out, |out| {
                put(
                    out,
                    &(
                        totals,
                        pauses,
                        sink_states,
                        quarantine_counts,
                        index_key.as_bytes(),
                        deferred,
                    ),
                );
                if !remains.is_empty() {
                    put(out, remains);
                }
            });
        });
    }

    fn encode_arrived_lead(&self, new: &NewLead, out: &mut Vec<u8>) {
        let sinks: Vec<&str> = new.routes.iter().map(|route| &*route.sink).collect();
        let clear = (
            (&*new.source, new.identity, new.content, new.modified_at),
            (new.received_at, new.now, &new.finds, sinks),
        );
        write(out, kind::ARRIVED_LEAD, &clear, |out| {
            let length = u32::try_from(new.body.len()).expect("a push is shorter than 4 GiB");
            out.extend_from_slice(&length.to_le_bytes());
            out.extend_from_slice(&new.body);
            let place = place::routes(&new.identity, &new.content);
            let failed: Vec<_> = new.routes.iter().map(|route| &route.failed).collect();
            self.seal(&place, out, |out| put(out, &failed));
        });
    }

    /// Writes a sealed part: a version, then what `plain` writes.
    fn seal(&self, place: &[u8], out: &mut Vec<u8>, plain: impl FnOnce(&mut Vec<u8>)) {
        let start = out.len();
        out.push(kind::VERSION);
        plain(out);
        self.keyring.seal_tail(place, out, start);
    }
}

fn encode_arrived_push(new: &NewQuarantined, out: &mut Vec<u8>) {
    let ceiling = (new.ceiling.max_entries, new.ceiling.max_bytes);
    let clear = (&*new.source, new.tags, new.size, new.received_at, ceiling);
    write(out, kind::ARRIVED_PUSH, &clear, |out| {
        out.extend_from_slice(&new.body);
    });
}

fn plain<T: Serialize>(out: &mut Vec<u8>, kind: u8, clear: &T) {
    write(out, kind, clear, |_| {});
}

fn write<T: Serialize>(out: &mut Vec<u8>, kind: u8, clear: &T, sealed: impl FnOnce(&mut Vec<u8>)) {
    record::write(out, kind, kind::VERSION, |out| put(out, clear), sealed);
}

fn put<T: Serialize>(out: &mut Vec<u8>, value: &T) {
    *out = postcard::to_extend(value, std::mem::take(out))
        .expect("entries are plain structs, which postcard can always write");
}
