//! Entries as bytes: written straight to where they go.

use serde::Serialize;

use super::entry::{AuditMark, Opening};
use super::{Codec, Entry, kind, place};
use crate::outbox::sled::record;
use crate::outbox::state::{Details, NewLead, NewQuarantined, Record};

impl Codec {
    /// Writes an entry behind `out`.
    pub(in crate::outbox::sled) fn encode(&self, entry: &Entry, out: &mut Vec<u8>) {
        match entry {
            Entry::Record { record, segments } => self.encode_record(record, segments, out),
            Entry::Totals(totals) => plain(out, kind::TOTALS, totals),
            Entry::Opening(opening) => self.encode_opening(opening, out),
            Entry::Closing => plain(out, kind::CLOSING, &()),
            Entry::SegmentGone(number) => plain(out, kind::SEGMENT_GONE, number),
            Entry::ArrivedLead(lead) => self.encode_arrived_lead(lead, out),
            Entry::ArrivedPush(push) => encode_arrived_push(push, out),
            Entry::Settled(at) => plain(out, kind::SETTLED, at),
            Entry::Holds { lead, segments } => plain(out, kind::HOLDS, &(lead, segments)),
            Entry::Audited(mark) => plain(out, kind::AUDITED, mark),
        }
    }

    /// Writes a record behind `out`; `segments` only of what is gone.
    pub(in crate::outbox::sled) fn encode_record(
        &self,
        record: &Record,
        segments: &[u32],
        out: &mut Vec<u8>,
    ) {
        write(out, kind::RECORD, &(record, segments), |out| match record {
            Record::Revision { body, .. } | Record::Quarantined { body, .. } => {
                out.extend_from_slice(body);
            }
            Record::Delivery {
                lead,
                delivery,
                details: Some(Details { history, journal }),
            } => {
                let place = place::details(*lead, delivery.id);
                self.seal_as(kind::DETAILS_VERSION, &place, out, |out| {
                    put(out, &(history, journal));
                });
            }
            Record::Paused {
                sink,
                pause: Some(pause),
            } => self.seal(&place::pause(sink), out, |out| {
                out.extend_from_slice(&pause.encode());
            }),
            Record::SinkState {
                sink,
                key,
                value: Some(value),
            } => self.seal(&place::sink_state(sink, key), out, |out| {
                out.extend_from_slice(value);
            }),
            Record::Job { id, job: Some(job) } => {
                self.seal(&place::job(*id), out, |out| put(out, job));
            }
            Record::Token {
                id,
                token: Some(token),
            } => self.seal(&place::token(*id), out, |out| put(out, token)),
            _ => {}
        });
    }

    fn encode_opening(&self, opening: &Opening, out: &mut Vec<u8>) {
        let Opening {
            manifest,
            gone,
            standing,
            ..
        } = opening;
        let pauses = standing.pauses.iter();
        let pauses: Vec<_> = pauses.map(|(sink, one)| (sink, one.encode())).collect();
        let sealed = (
            &standing.totals,
            pauses,
            &standing.sink_states,
            &standing.quarantine_counts,
            standing.index_key.as_bytes(),
            &standing.deferred,
        );
        let (remains, jobs, tokens) = (&standing.remains, &standing.jobs, &standing.tokens);
        let audit = &standing.audit;
        let kept = [
            !remains.is_empty(),
            !jobs.is_empty(),
            !tokens.is_empty(),
            *audit != AuditMark::default(),
        ];
        let until = kept.iter().rposition(|kept| *kept).map_or(0, |at| at + 1);
        write(out, kind::OPENING, &(self.store, manifest, gone), |out| {
            self.seal(&place::standing(self.store), out, |out| {
                put(out, &sealed);
                // A store without them is as it was before they were kept.
                if until > 0 {
                    put(out, remains);
                }
                if until > 1 {
                    put(out, jobs);
                }
                if until > 2 {
                    put(out, tokens);
                }
                if until > 3 {
                    put(out, audit);
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
        self.seal_as(kind::VERSION, place, out, plain);
    }

    pub(super) fn seal_as(
        &self,
        version: u8,
        place: &[u8],
        out: &mut Vec<u8>,
        plain: impl FnOnce(&mut Vec<u8>),
    ) {
        let start = out.len();
        out.push(version);
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
