//! Keys: the rooms of the one tree.
//!
//! | key | value |
//! |---|---|
//! | `m/format` | format version of the store (u32) |
//! | `m/totals` | counts, written with every commit |
//! | `m/index-key` | the key that hashes what is found by, sealed like a record |
//! | `s` name | number of a sink (u32) |
//! | `m/index`, `b`, `j` | by what leads and quarantined pushes are found, see [`super::index`] |
//! | `i` lead | the content hashes of its revisions |
//! | `l` lead revision part | a lead revision, in parts of at most [`super::record::PART`] bytes |
//! | `o` lead sink revision | id of the delivery of that revision for that sink |
//! | `w` sink delivery | a waiting delivery; the first of a sink is its oldest |
//! | `q` sink queue due delivery | nothing: the order in which waiting deliveries are due |
//! | `d` sink delivery | a delivery that is done: delivered, superseded or cancelled |
//! | `x` sink delivery | a dead letter |
//! | `u` quarantine part | a push kept aside |
//! | `p` name | since when that sink is paused (i64), and why |
//! | `a` source | how much of a source is kept aside |
//! | `n` lead | nothing: no sink ever wanted that lead, it has no delivery |
//! | `k` sink name | what the sink's plugin keeps under that name, sealed |
//!
//! All numbers are big-endian so that keys sort by value. A queue is a source and whether the
//! delivery is tried again: 31 bits of the hash of the source's name behind one bit. Two sources
//! that share them would only share their turn.
//! Invariant: a delivery is in exactly one of `w`, `d` and `x`, in `q` if and only if it is in
//! `w` and not behind another, and in `o` as long as it exists.

use uuid::Uuid;

use super::index::{Entry, Tag};
use crate::clock::Millis;
use crate::outbox::{Delivery, DeliveryId, Freshness, LeadId, QuarantineId};

pub(super) const FORMAT: &[u8] = b"m/format";
pub(super) const TOTALS: &[u8] = b"m/totals";
pub(super) const INDEX_KEY: &[u8] = b"m/index-key";
pub(super) const INDEX: &[u8] = b"m/index";

/// Number of a sink inside keys.
pub(super) type SinkNumber = u32;

pub(super) fn sink(name: &str) -> Vec<u8> {
    [b"s", name.as_bytes()].concat()
}

/// What is known of a lead without reading it.
pub(super) fn identity(lead: LeadId) -> Vec<u8> {
    [b"i".as_slice(), lead.0.as_bytes()].concat()
}

pub(super) fn lead(id: LeadId, revision: u32, part: u16) -> Vec<u8> {
    [lead_revision(id, revision).as_slice(), &part.to_be_bytes()].concat()
}

/// Prefix of all parts of a revision.
pub(super) fn lead_revision(id: LeadId, revision: u32) -> Vec<u8> {
    [b"l".as_slice(), id.0.as_bytes(), &revision.to_be_bytes()].concat()
}

/// Prefix of all revisions of a lead.
pub(super) fn lead_revisions(id: LeadId) -> Vec<u8> {
    [b"l".as_slice(), id.0.as_bytes()].concat()
}

/// A queue inside keys.
pub(super) type QueueTag = [u8; 4];

/// Set in queues of what is tried again.
const AGAIN: u8 = 0x80;

/// The queue that a delivery waits in.
pub(super) fn queue(delivery: &Delivery) -> QueueTag {
    let hash = *blake3::hash(delivery.source.as_bytes()).as_bytes();
    let first = match delivery.freshness() {
        Freshness::Fresh => hash[0] & !AGAIN,
        Freshness::Again => hash[0] | AGAIN,
    };
    [first, hash[1], hash[2], hash[3]]
}

/// Of which kind a queue is.
pub(super) fn freshness(queue: QueueTag) -> Freshness {
    if queue[0] & AGAIN == 0 {
        Freshness::Fresh
    } else {
        Freshness::Again
    }
}

pub(super) fn due(sink: SinkNumber, queue: QueueTag, at: Millis, id: DeliveryId) -> Vec<u8> {
    [due_at(sink, queue, at).as_slice(), id.0.as_bytes()].concat()
}

/// Prefix of what is due in a queue at that time.
pub(super) fn due_at(sink: SinkNumber, queue: QueueTag, at: Millis) -> Vec<u8> {
    // Times before 1970 do not occur; a negative one would sort last and never be reached.
    let at = at.max(0).to_be_bytes();
    [due_in(sink, queue).as_slice(), &at].concat()
}

/// Prefix of the due index of a sink.
pub(super) fn due_of(sink: SinkNumber) -> Vec<u8> {
    [b"q".as_slice(), &sink.to_be_bytes()].concat()
}

/// Prefix of the due index of a queue.
pub(super) fn due_in(sink: SinkNumber, queue: QueueTag) -> Vec<u8> {
    [b"q".as_slice(), &sink.to_be_bytes(), &queue].concat()
}

/// What a key of the due index says.
pub(super) fn read_due(key: &[u8]) -> Option<(QueueTag, Millis, DeliveryId)> {
    let queue = key.get(5..9)?.try_into().ok()?;
    let at = Millis::from_be_bytes(key.get(9..17)?.try_into().ok()?);
    Some((queue, at, delivery_at_end(key)?))
}

/// Where deliveries are kept: `w`, `d` or `x`.
pub(super) fn delivery(room: u8, sink: SinkNumber, id: DeliveryId) -> Vec<u8> {
    [&[room], sink.to_be_bytes().as_slice(), id.0.as_bytes()].concat()
}

/// Prefix of a sink's deliveries in a room.
pub(super) fn room(room: u8, sink: SinkNumber) -> Vec<u8> {
    [&[room], sink.to_be_bytes().as_slice()].concat()
}

pub(super) const WAITING: u8 = b'w';
pub(super) const DONE: u8 = b'd';
pub(super) const DEAD: u8 = b'x';
pub(super) const LEAD: u8 = b'l';
pub(super) const QUARANTINE: u8 = b'u';

pub(super) const UNROUTED: u8 = b'n';
pub(super) const STATE: u8 = b'k';

pub(super) fn unrouted(lead: LeadId) -> Vec<u8> {
    [&[UNROUTED], lead.0.as_bytes().as_slice()].concat()
}

/// What a sink's plugin keeps under `name`.
pub(super) fn state(sink: SinkNumber, name: &str) -> Vec<u8> {
    [states(sink).as_slice(), name.as_bytes()].concat()
}

/// Prefix of all that a sink's plugin keeps.
pub(super) fn states(sink: SinkNumber) -> Vec<u8> {
    room(STATE, sink)
}

pub(super) fn order(lead: LeadId, sink: SinkNumber, revision: u32) -> Vec<u8> {
    [order_of(lead, sink).as_slice(), &revision.to_be_bytes()].concat()
}

/// Prefix of a lead's deliveries for a sink, by revision.
pub(super) fn order_of(lead: LeadId, sink: SinkNumber) -> Vec<u8> {
    [orders(lead).as_slice(), &sink.to_be_bytes()].concat()
}

/// Prefix of all of a lead's deliveries.
pub(super) fn orders(lead: LeadId) -> Vec<u8> {
    [b"o".as_slice(), lead.0.as_bytes()].concat()
}

/// Sink and revision of a key of `o`.
pub(super) fn read_order(key: &[u8]) -> Option<(SinkNumber, u32)> {
    let sink = SinkNumber::from_be_bytes(key.get(17..21)?.try_into().ok()?);
    Some((sink, u32::from_be_bytes(key.get(21..25)?.try_into().ok()?)))
}

/// Kind of tag: a lead's identity. Smaller kinds are fields that a lead is found by.
pub(super) const IDENTITY: u8 = 0xf0;
/// Kind of tag: what makes two quarantined pushes the same.
pub(super) const FINGERPRINT: u8 = 0xf1;

pub(super) fn tag(kind: u8, hash: &[u8; 32]) -> Tag {
    let mut tag = [kind; 17];
    tag[1..].copy_from_slice(&hash[..16]);
    tag
}

/// An entry of the index among the writes of a commit. Such a key is never in the tree.
pub(super) fn entry(tag: &Tag, id: Uuid) -> Vec<u8> {
    [entries(tag).as_slice(), id.as_bytes()].concat()
}

/// Prefix of the entries of a tag.
pub(super) fn entries(tag: &Tag) -> Vec<u8> {
    [[ENTRY].as_slice(), tag].concat()
}

pub(super) const ENTRY: u8 = b'f';

/// A block of a run of the index.
pub(super) fn block(run: u32, first: &Entry) -> Vec<u8> {
    [blocks(run).as_slice(), first.as_bytes()].concat()
}

/// Prefix of a run's blocks.
pub(super) fn blocks(run: u32) -> Vec<u8> {
    [b"b".as_slice(), &run.to_be_bytes()].concat()
}

/// The run of a block's key.
pub(super) fn read_block(key: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(key.get(1..5)?.try_into().ok()?))
}

/// The index's changes of one commit.
pub(super) fn journal(number: u64, part: u16) -> Vec<u8> {
    [b"j".as_slice(), &number.to_be_bytes(), &part.to_be_bytes()].concat()
}

/// The number of a journal record's key.
pub(super) fn read_journal(key: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(key.get(1..9)?.try_into().ok()?))
}

pub(super) fn paused(name: &str) -> Vec<u8> {
    [b"p", name.as_bytes()].concat()
}

pub(super) const QUARANTINE_COUNT: u8 = b'a';

/// How much of a source is in quarantine.
pub(super) fn quarantine_count(source: &str) -> Vec<u8> {
    [&[QUARANTINE_COUNT], source.as_bytes()].concat()
}

/// Prefix of all parts of a quarantined push.
pub(super) fn quarantine_of(id: QuarantineId) -> Vec<u8> {
    [b"u".as_slice(), id.0.as_bytes()].concat()
}

/// Whether it is as long as keys of its room are, and so can be a key at all.
pub(super) fn is_one(key: &[u8]) -> bool {
    match key.first() {
        Some(b'm') => [FORMAT, TOTALS, INDEX_KEY, INDEX].contains(&key),
        Some(b's' | b'p' | b'a') => true,
        Some(b'i' | b'n') => key.len() == 17,
        Some(b'q') => key.len() == 33,
        Some(b'l') => key.len() == 23,
        Some(b'o') => key.len() == 25,
        Some(b'b') => key.len() == 38,
        Some(b'j') => key.len() == 11,
        Some(b'w' | b'd' | b'x') => key.len() == 21,
        Some(b'u') => key.len() == 19,
        Some(b'k') => key.len() > 5,
        _ => false,
    }
}

/// The id in front of the part or revision, in keys of `l` and `u`.
pub(super) fn id_after_room(key: &[u8]) -> Option<Uuid> {
    Uuid::from_slice(key.get(1..17)?).ok()
}

/// The id that ends keys of `w`, `q`, `d` and `x`, and of entries.
pub(super) fn delivery_at_end(key: &[u8]) -> Option<DeliveryId> {
    let start = key.len().checked_sub(16)?;
    Uuid::from_slice(&key[start..]).ok().map(DeliveryId)
}
