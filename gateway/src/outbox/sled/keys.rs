//! Keys of the index.
//!
//! | key | value |
//! |---|---|
//! | `s` name | number of a sink (u32) |
//! | `t` name | number of a source (u32) |
//! | `l` source lead | [`super::indexed::Indexed`] |
//! | `q` sink queue due delivery | source, lead: what waits and is not behind another |
//! | `d` class sink source delivery | source, lead: every delivery, once |
//! | `f` sink group delivery | source, lead: once more, what is in a failure group |
//! | `n` lead | source: no delivery was ever made for it |
//! | `u` quarantined push | [`super::indexed::IndexedPush`] |
//! | `g` sink group | dead letters and retries in a failure group (2 × u64) |
//! | `c` sink source class | deliveries, and 0 (2 × u64) |
//! | `z` segment | bytes and records that live in it (2 × u64) |
//!
//! Numbers are big-endian so that keys sort by value, and ids sort by the time they were made.
//! A queue is a source and whether the delivery is tried again: 31 bits of the hash of the
//! source's name behind one bit; two sources that share them only share their turn. Names of
//! sinks and sources, ids, times and keyed hashes are all that a key holds: nothing personal.

use uuid::Uuid;

use crate::clock::Millis;
use crate::outbox::state::{Class, FailureKey};
use crate::outbox::{DeathReason, DeliveryId, Freshness, LeadId, QuarantineId};

/// Number of a sink inside keys.
pub type SinkNumber = u32;
/// Number of a source inside keys.
pub type SourceNumber = u32;
/// A queue inside keys.
pub type QueueTag = [u8; 4];

/// Rooms: the first byte of a key.
pub const SINK: u8 = b's';
/// Sources by name.
pub const SOURCE: u8 = b't';
/// Leads.
pub const LEAD: u8 = b'l';
/// What is due.
pub const DUE: u8 = b'q';
/// Deliveries.
pub const DELIVERY: u8 = b'd';
/// Deliveries in a failure group.
pub const FAILING: u8 = b'f';
/// Leads without a delivery.
pub const UNROUTED: u8 = b'n';
/// Quarantined pushes.
pub const QUARANTINED: u8 = b'u';
/// Failure groups.
pub const GROUP: u8 = b'g';
/// Counts.
pub const COUNT: u8 = b'c';
/// Segments.
pub const SEGMENT: u8 = b'z';

/// Set in queues of what is tried again.
const AGAIN: u8 = 0x80;

fn key(room: u8, parts: &[&[u8]]) -> Vec<u8> {
    let mut key = vec![room];
    for part in parts {
        key.extend_from_slice(part);
    }
    key
}

/// The number of a name, in its room.
pub fn name(room: u8, name: &str) -> Vec<u8> {
    key(room, &[name.as_bytes()])
}

/// A lead.
pub fn lead(source: SourceNumber, id: LeadId) -> Vec<u8> {
    key(LEAD, &[&source.to_be_bytes(), id.0.as_bytes()])
}

/// Prefix of the leads of a source.
pub fn leads(source: SourceNumber) -> Vec<u8> {
    key(LEAD, &[&source.to_be_bytes()])
}

/// A lead that has no delivery.
pub fn unrouted(id: LeadId) -> Vec<u8> {
    key(UNROUTED, &[id.0.as_bytes()])
}

/// A quarantined push.
pub fn quarantined(id: QuarantineId) -> Vec<u8> {
    key(QUARANTINED, &[id.0.as_bytes()])
}

/// The counts of a failure group.
pub fn group(sink: SinkNumber, group: FailureKey) -> Vec<u8> {
    key(GROUP, &[&sink.to_be_bytes(), &group.0])
}

/// Prefix of the failure groups of a sink.
pub fn groups(sink: SinkNumber) -> Vec<u8> {
    key(GROUP, &[&sink.to_be_bytes()])
}

/// What a key of a failure group says.
pub fn read_group(key: &[u8]) -> Option<(SinkNumber, FailureKey)> {
    let sink = SinkNumber::from_be_bytes(key.get(1..5)?.try_into().ok()?);
    Some((sink, FailureKey(key.get(5..)?.try_into().ok()?)))
}

/// How many deliveries of a class there are.
pub fn count(sink: SinkNumber, source: SourceNumber, class: Class) -> Vec<u8> {
    let class = [self::class(class)];
    key(COUNT, &[&sink.to_be_bytes(), &source.to_be_bytes(), &class])
}

/// Prefix of the counts of a sink.
pub fn counts(sink: SinkNumber) -> Vec<u8> {
    key(COUNT, &[&sink.to_be_bytes()])
}

/// What a key of a count says.
pub fn read_count(key: &[u8]) -> Option<(SinkNumber, SourceNumber, Class)> {
    let sink = SinkNumber::from_be_bytes(key.get(1..5)?.try_into().ok()?);
    let source = SourceNumber::from_be_bytes(key.get(5..9)?.try_into().ok()?);
    let [class] = key.get(9..)?.try_into().ok()?;
    Some((sink, source, read_class(class)?))
}

/// What lives in a segment.
pub fn segment(number: u32) -> Vec<u8> {
    key(SEGMENT, &[&number.to_be_bytes()])
}

/// The segment of such a key.
pub fn read_segment(key: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(key.get(1..)?.try_into().ok()?))
}

/// The queue that a delivery waits in.
pub fn queue(source: &str, freshness: Freshness) -> QueueTag {
    let hash = *blake3::hash(source.as_bytes()).as_bytes();
    let first = match freshness {
        Freshness::Fresh => hash[0] & !AGAIN,
        Freshness::Again => hash[0] | AGAIN,
    };
    [first, hash[1], hash[2], hash[3]]
}

/// Of which kind a queue is.
pub const fn freshness(queue: QueueTag) -> Freshness {
    if queue[0] & AGAIN == 0 {
        Freshness::Fresh
    } else {
        Freshness::Again
    }
}

/// A delivery that waits.
pub fn due(sink: SinkNumber, queue: QueueTag, at: Millis, id: DeliveryId) -> Vec<u8> {
    [due_at(sink, queue, at).as_slice(), id.0.as_bytes()].concat()
}

/// Prefix of what is due in a queue at that time.
pub fn due_at(sink: SinkNumber, queue: QueueTag, at: Millis) -> Vec<u8> {
    // Times before 1970 do not occur; a negative one would sort last and never be reached.
    let at = at.max(0).to_be_bytes();
    key(DUE, &[&sink.to_be_bytes(), &queue, &at])
}

/// Prefix of what is due for a sink.
pub fn due_of(sink: SinkNumber) -> Vec<u8> {
    key(DUE, &[&sink.to_be_bytes()])
}

/// Prefix of what is due in a queue.
pub fn due_in(sink: SinkNumber, queue: QueueTag) -> Vec<u8> {
    key(DUE, &[&sink.to_be_bytes(), &queue])
}

/// What a key of what is due says.
pub fn read_due(key: &[u8]) -> Option<(QueueTag, Millis, DeliveryId)> {
    let queue = key.get(5..9)?.try_into().ok()?;
    let at = Millis::from_be_bytes(key.get(9..17)?.try_into().ok()?);
    Some((
        queue,
        at,
        DeliveryId(Uuid::from_slice(key.get(17..)?).ok()?),
    ))
}

/// Which lead of which source: the value of what is due, and of each delivery.
pub fn address(source: SourceNumber, lead: LeadId) -> Vec<u8> {
    [source.to_be_bytes().as_slice(), lead.0.as_bytes()].concat()
}

/// What such a value says.
pub fn read_address(value: &[u8]) -> Option<(SourceNumber, LeadId)> {
    let source = SourceNumber::from_be_bytes(value.get(..4)?.try_into().ok()?);
    Some((source, LeadId(Uuid::from_slice(value.get(4..)?).ok()?)))
}

/// Prefix of the deliveries of a class.
pub fn list(class: Class, sink: SinkNumber, source: SourceNumber) -> Vec<u8> {
    let class = [self::class(class)];
    key(
        DELIVERY,
        &[&class, &sink.to_be_bytes(), &source.to_be_bytes()],
    )
}

/// Prefix of the deliveries in a failure group.
pub fn failing(sink: SinkNumber, group: FailureKey) -> Vec<u8> {
    key(FAILING, &[&sink.to_be_bytes(), &group.0])
}

/// A delivery in a list with that prefix.
pub fn listed(mut prefix: Vec<u8>, id: DeliveryId) -> Vec<u8> {
    prefix.extend_from_slice(id.0.as_bytes());
    prefix
}

/// A class inside keys.
pub const fn class(class: Class) -> u8 {
    match class {
        Class::Pending => 1,
        Class::Retrying => 2,
        Class::Behind => 3,
        Class::Delivered => 4,
        Class::Superseded => 5,
        Class::Cancelled => 6,
        Class::Dead(DeathReason::Rejected) => 16,
        Class::Dead(DeathReason::MaxAttempts) => 17,
        Class::Dead(DeathReason::MaxAge) => 18,
        Class::Dead(DeathReason::Held) => 19,
        Class::Dead(DeathReason::Route) => 20,
    }
}

/// All classes.
pub fn classes() -> impl Iterator<Item = Class> {
    [
        Class::Pending,
        Class::Retrying,
        Class::Behind,
        Class::Delivered,
        Class::Superseded,
        Class::Cancelled,
    ]
    .into_iter()
    .chain(DeathReason::ALL.into_iter().map(Class::Dead))
}

/// The class of that number.
pub fn read_class(number: u8) -> Option<Class> {
    classes().find(|one| class(*one) == number)
}

/// The id that ends a key.
pub fn id_at_end(key: &[u8]) -> Option<Uuid> {
    Uuid::from_slice(&key[key.len().checked_sub(16)?..]).ok()
}

/// Before all ids made at that time or later, behind all that were made before.
pub fn first_id(at: Millis) -> u128 {
    let at = u128::try_from(at.max(0)).unwrap_or(0);
    at.min((1 << 48) - 1) << 80
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_has_its_own_number_and_is_found_by_it() {
        let all: std::collections::BTreeSet<u8> = classes().map(class).collect();
        assert_eq!(all.len(), 11);
        for one in classes() {
            assert_eq!(read_class(class(one)), Some(one));
        }
        assert_eq!(read_class(0), None);
    }

    #[test]
    fn the_first_id_of_a_time_parts_what_came_before_from_what_came_then() {
        let context = uuid::ContextV7::new();
        for at in [0, 1, 1_700_000_000_123_i64] {
            let seconds = at.unsigned_abs() / 1000;
            let nanos = u32::try_from(at % 1000).expect("small") * 1_000_000;
            let id = Uuid::new_v7(uuid::Timestamp::from_unix(&context, seconds, nanos));
            assert_eq!(crate::outbox::made_at(id), at);
            assert!(first_id(at) <= id.as_u128() && id.as_u128() < first_id(at + 1));
        }
        assert_eq!(first_id(-5), 0);
        assert_eq!(first_id(Millis::MAX) >> 80, (1 << 48) - 1);
    }
}
