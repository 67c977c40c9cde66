//! Bodies: what was pushed, as it is kept in the records.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::outbox::state::{NewLead, NewQuarantined, QuarantineHead, Revision, Tag};
use crate::outbox::{
    Arrival, Find, LeadId, QuarantineId, QuarantinedPush, StoredLead, StoredQuarantinedPush,
};
use crate::seal::IndexKey;

fn encode<T: Serialize>(body: &T) -> Bytes {
    postcard::to_stdvec(body).expect("plain values").into()
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> T {
    postcard::from_bytes(bytes).expect("as it was encoded")
}

fn tag(key: &IndexKey, kind: u8, parts: &[&[u8]]) -> Tag {
    let mut tag = [kind; 17];
    tag[1..].copy_from_slice(&key.hash(kind, parts)[..16]);
    tag
}

pub(super) fn find(key: &IndexKey, find: &Find) -> Tag {
    tag(key, find.field as u8, &[find.value.as_bytes()])
}

pub(super) fn arrived(key: &IndexKey, arrival: Arrival, now: i64) -> NewLead {
    let body = (
        &arrival.lead,
        &arrival.labels,
        &arrival.raw,
        &arrival.original,
    );
    NewLead {
        body: encode(&body),
        source: arrival.source,
        identity: tag(key, 0xf0, &[&arrival.identity]),
        content: arrival.content,
        modified_at: arrival.modified_at,
        received_at: arrival.received_at,
        now,
        finds: arrival.finds.iter().map(|one| find(key, one)).collect(),
        routes: arrival.routes,
    }
}

pub(super) fn lead(body: &[u8], id: LeadId, source: &str, revision: &Revision) -> StoredLead {
    let (lead, labels, raw, original) = decode(body);
    StoredLead {
        id,
        revision: revision.number,
        source: source.to_owned(),
        received_at: revision.received_at,
        lead,
        labels,
        raw,
        original,
    }
}

pub(super) fn pushed(key: &IndexKey, push: QuarantinedPush) -> NewQuarantined {
    let content = match &*push.body {
        [] => push.query.as_bytes(),
        body => body,
    };
    let parts = [&*push.source, push.reason, &push.content_type].map(str::as_bytes);
    let content = tag(key, 0xf1, &[parts[0], parts[1], parts[2], content]);
    let signed = match push.signature.as_bytes() {
        [] => content,
        signature => tag(key, 0xf1, &[parts[0], signature]),
    };
    let body = (
        push.reason,
        &push.request_id,
        &push.query,
        &push.content_type,
        &push.body,
    );
    NewQuarantined {
        body: encode(&body),
        tags: [signed, content],
        size: (push.body.len() + push.query.len()) as u64,
        source: push.source,
        received_at: push.received_at,
        ceiling: push.ceiling,
    }
}

pub(super) fn quarantined(
    body: &[u8],
    id: QuarantineId,
    head: &QuarantineHead,
) -> StoredQuarantinedPush {
    let (reason, request_id, query, content_type, body) = decode(body);
    StoredQuarantinedPush {
        id,
        source: head.source.clone(),
        reason,
        received_at: head.received_at,
        request_id,
        query,
        content_type,
        body,
    }
}
