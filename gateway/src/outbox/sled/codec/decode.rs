//! Bytes as entries.

use bytes::Bytes;
use serde::Deserialize;

use super::entry::{AuditMark, Opening, Standing};
use super::{Codec, Entry, LENGTH, Unreadable, first, kind, place};
use crate::config::Ceiling;
use crate::outbox::sled::record::{self, Raw};
use crate::outbox::state::{Details, NewLead, NewQuarantined, Record};
use crate::outbox::{Pause, Route};
use crate::seal::IndexKey;

/// How much of a record is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Depth {
    /// Without what was pushed and without the attempts of deliveries.
    Clear,
    /// All of it. What was pushed stays sealed.
    Whole,
}

impl Depth {
    fn body(self, sealed: &[u8]) -> Bytes {
        match self {
            Self::Clear => Bytes::new(),
            Self::Whole => Bytes::copy_from_slice(sealed),
        }
    }
}

impl Codec {
    /// Reads a record. What was pushed stays sealed in it, for [`Codec::open_lead`] and
    /// [`Codec::open_quarantine`].
    pub fn decode(&self, bytes: &[u8]) -> Result<Entry, Unreadable> {
        self.read(bytes, Depth::Whole)
    }

    /// Reads a record but for what is large: bodies are empty, and a delivery's details, if
    /// the record has any, are empty too. Opens no seal but those of pauses, sink states,
    /// jobs, tokens, failed routes and openings, which are few.
    pub fn clear(&self, bytes: &[u8]) -> Result<Entry, Unreadable> {
        self.read(bytes, Depth::Clear)
    }

    fn read(&self, bytes: &[u8], depth: Depth) -> Result<Entry, Unreadable> {
        let raw = record::parse(bytes).ok_or(Unreadable::Damaged)?;
        if raw.version != kind::VERSION {
            return Err(versions(&raw));
        }
        Ok(match raw.kind {
            kind::RECORD => {
                let (mut record, segments) = whole(raw.clear)?;
                self.unseal_record(&mut record, raw.sealed, depth)?;
                Entry::Record { record, segments }
            }
            kind::TOTALS => Entry::Totals(bare(&raw)?),
            kind::OPENING => Entry::Opening(Box::new(self.opening(&raw)?)),
            kind::CLOSING => {
                let () = bare(&raw)?;
                Entry::Closing
            }
            kind::SEGMENT_GONE => Entry::SegmentGone(bare(&raw)?),
            kind::ARRIVED_LEAD => self.arrived_lead(&raw, depth)?,
            kind::ARRIVED_PUSH => {
                let (source, tags, size, received_at, ceiling) = whole(raw.clear)?;
                let source: String = source;
                let (max_entries, max_bytes) = ceiling;
                Entry::ArrivedPush(NewQuarantined {
                    source: source.into(),
                    tags,
                    size,
                    received_at,
                    ceiling: Ceiling {
                        max_entries,
                        max_bytes,
                    },
                    body: depth.body(raw.sealed),
                })
            }
            kind::SETTLED => Entry::Settled(bare(&raw)?),
            kind::HOLDS => {
                let (lead, segments) = bare(&raw)?;
                Entry::Holds { lead, segments }
            }
            kind::AUDITED => Entry::Audited(bare(&raw)?),
            other => return Err(Unreadable::Kind(other)),
        })
    }

    /// Reads the sealed part of a record.
    fn unseal_record(
        &self,
        record: &mut Record,
        sealed: &[u8],
        depth: Depth,
    ) -> Result<(), Unreadable> {
        match record {
            Record::Revision { body, .. } | Record::Quarantined { body, .. } => {
                *body = depth.body(sealed);
            }
            Record::Delivery { details, .. } if depth == Depth::Clear => {
                *details = (!sealed.is_empty()).then(Details::default);
            }
            Record::Delivery {
                lead,
                delivery,
                details,
            } => {
                let place = place::details(*lead, delivery.id);
                let plain = self.unseal_to(kind::DETAILS_VERSION, &place, sealed)?;
                *details = plain
                    .map(|(version, plain)| read_details(version, &plain))
                    .transpose()?;
            }
            Record::Paused { sink, pause } => {
                let plain = self.unseal(&place::pause(sink), sealed)?;
                *pause = plain.map(|plain| Pause::decode(&plain));
            }
            Record::SinkState { sink, key, value } => {
                *value = self.unseal(&place::sink_state(sink, key), sealed)?;
            }
            Record::Job { id, job } => {
                let plain = self.unseal(&place::job(*id), sealed)?;
                *job = plain.map(|plain| whole(&plain)).transpose()?;
            }
            Record::Token { id, token } => {
                let plain = self.unseal(&place::token(*id), sealed)?;
                *token = plain.map(|plain| whole(&plain)).transpose()?;
            }
            _ if sealed.is_empty() => {}
            _ => return Err(Unreadable::Damaged),
        }
        Ok(())
    }

    fn opening(&self, raw: &Raw<'_>) -> Result<Opening, Unreadable> {
        let (store, manifest, gone) = whole(raw.clear)?;
        let plain = self
            .unseal(&place::standing(store), raw.sealed)?
            .ok_or(Unreadable::Damaged)?;
        let (known, rest) = postcard::take_from_bytes(&plain).map_err(|_| Unreadable::Damaged)?;
        let (totals, pauses, sink_states, quarantine_counts, index_key, deferred) = known;
        let (remains, rest) = or_nothing(rest)?;
        let (jobs, rest) = or_nothing(rest)?;
        let (tokens, rest) = or_nothing(rest)?;
        let audit = match rest {
            [] => AuditMark::default(),
            rest => whole(rest)?,
        };
        let pauses: Vec<(String, Vec<u8>)> = pauses;
        let pauses = pauses.into_iter();
        Ok(Opening {
            store,
            manifest,
            gone,
            standing: Standing {
                totals,
                pauses: pauses
                    .map(|(sink, pause)| (sink, Pause::decode(&pause)))
                    .collect(),
                sink_states,
                quarantine_counts,
                index_key: IndexKey::from_bytes(index_key),
                deferred,
                remains,
                jobs,
                tokens,
                audit,
            },
        })
    }

    fn arrived_lead(&self, raw: &Raw<'_>, depth: Depth) -> Result<Entry, Unreadable> {
        let ((source, identity, content, modified_at), (received_at, now, finds, sinks)) =
            whole(raw.clear)?;
        let (source, sinks): (String, Vec<String>) = (source, sinks);
        let length = record::number(raw.sealed, 0).ok_or(Unreadable::Damaged)?;
        let (body, failed) = raw.sealed[LENGTH..]
            .split_at_checked(length as usize)
            .ok_or(Unreadable::Damaged)?;
        let failed = self
            .unseal(&place::routes(&identity, &content), failed)?
            .ok_or(Unreadable::Damaged)?;
        let failed: Vec<Option<String>> = whole(&failed)?;
        if failed.len() != sinks.len() {
            return Err(Unreadable::Damaged);
        }
        let routes = sinks.into_iter().zip(failed);
        Ok(Entry::ArrivedLead(NewLead {
            source: source.into(),
            identity,
            content,
            modified_at,
            received_at,
            now,
            finds,
            routes: routes
                .map(|(sink, failed)| Route {
                    sink: sink.into(),
                    failed,
                })
                .collect(),
            body: depth.body(body),
        }))
    }

    /// What stands behind the version of a sealed part; `None` if there is no such part.
    fn unseal(&self, place: &[u8], sealed: &[u8]) -> Result<Option<Vec<u8>>, Unreadable> {
        let plain = self.unseal_to(kind::VERSION, place, sealed)?;
        Ok(plain.map(|(_, plain)| plain))
    }

    /// The same with the version, which may be any up to `newest`.
    fn unseal_to(
        &self,
        newest: u8,
        place: &[u8],
        sealed: &[u8],
    ) -> Result<Option<(u8, Vec<u8>)>, Unreadable> {
        if sealed.is_empty() {
            return Ok(None);
        }
        let plain = self.keyring.open(place, sealed)?;
        match plain.split_first() {
            Some((&version, _)) if version > newest => Err(newer(version, newest)),
            Some((&version, rest)) if version > 0 => Ok(Some((version, rest.to_vec()))),
            _ => Err(Unreadable::Damaged),
        }
    }
}

/// What is sealed of a delivery.
fn read_details(version: u8, plain: &[u8]) -> Result<Details, Unreadable> {
    if version == kind::DETAILS_VERSION {
        let (history, journal) = whole(plain)?;
        return Ok(Details { history, journal });
    }
    let (history, journal): (Vec<first::Attempt>, _) = whole(plain)?;
    let history = history.into_iter().map(first::Attempt::now).collect();
    Ok(Details { history, journal })
}

/// What a record without a sealed part says.
fn bare<'a, T: Deserialize<'a>>(raw: &Raw<'a>) -> Result<T, Unreadable> {
    if !raw.sealed.is_empty() {
        return Err(Unreadable::Damaged);
    }
    whole(raw.clear)
}

fn whole<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Unreadable> {
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Ok(value),
        _ => Err(Unreadable::Damaged),
    }
}

/// What stands first there, if anything does, and what is behind it.
fn or_nothing<'a, T: Default + Deserialize<'a>>(
    bytes: &'a [u8],
) -> Result<(T, &'a [u8]), Unreadable> {
    match bytes {
        [] => Ok((T::default(), bytes)),
        bytes => postcard::take_from_bytes(bytes).map_err(|_| Unreadable::Damaged),
    }
}

fn versions(raw: &Raw<'_>) -> Unreadable {
    if raw.version > kind::VERSION {
        newer(raw.version, kind::VERSION)
    } else {
        Unreadable::Damaged
    }
}

fn newer(version: u8, known: u8) -> Unreadable {
    Unreadable::Newer {
        what: "record",
        version,
        known,
    }
}
