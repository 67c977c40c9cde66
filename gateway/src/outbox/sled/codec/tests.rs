//! What the codec promises.

use std::collections::BTreeMap;

use bytes::Bytes;
use leadgate_plugin::OutcomeKind;
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::config::Ceiling;
use crate::outbox::sled::place::Place;
use crate::outbox::state::{
    DeliveryHead, Details, FailureKey, NewLead, NewQuarantined, QuarantineHead, Revision,
};
use crate::outbox::{
    Attempt, Budget, BulkAction, BulkJob, BulkPlan, Chain, Count, DeathReason, DeliveryId, Filter,
    JobId, JobState, LeadId, Pause, PauseCause, Population, QuarantineCount, QuarantineId, Role,
    Route, SinkTotals, Skip, Skipped, State, Token, TokenHash, TokenId, Totals,
};
use crate::seal::{IndexKey, OutboxKey, SealError};

const STORE: StoreId = StoreId([9; 16]);
const IDENTITY: Tag = [1; 17];
const CONTENT: [u8; 32] = [2; 32];
const TAGS: [Tag; 2] = [[3; 17], [4; 17]];
/// Stands in everything that a person, a sender or a plugin wrote.
const SECRET: &str = "13812345678 Zhang San";

fn lead_id() -> LeadId {
    LeadId(Uuid::from_u128(11))
}

fn body() -> LeadBody<'static> {
    LeadBody {
        stable: true,
        request_id: Some(SECRET),
        method: None,
        lead: SECRET,
        labels: SECRET,
        raw: SECRET,
        original: Some(crate::outbox::sled::body::Whole(SECRET.as_bytes())),
    }
}

fn push() -> QuarantineBody<'static> {
    QuarantineBody {
        reason: "unreadable",
        request_id: None,
        query: SECRET,
        content_type: SECRET,
        body: SECRET.as_bytes(),
    }
}

fn delivery(state: State, number: u32) -> DeliveryHead {
    DeliveryHead {
        id: DeliveryId(Uuid::from_u128(22)),
        sink: "crm".to_owned(),
        revision: number,
        created_at: 5,
        state,
        attempts: number,
        budget: Budget { spent: 1, since: 6 },
        fallback_of: Some(DeliveryId(Uuid::from_u128(23))),
        failure: Some(FailureKey([8; 8])),
    }
}

fn details() -> Details {
    Details {
        history: vec![Attempt {
            number: 1,
            started_at: 2,
            duration_ms: 3,
            outcome: OutcomeKind::Retry,
            rule: "5xx".to_owned(),
            reason: SECRET.to_owned(),
            receipt: SECRET.to_owned(),
            request: SECRET.to_owned(),
            response: SECRET.to_owned(),
            trace_id: "0".repeat(32),
            config_revision: "0123456789abcdef".to_owned(),
        }],
        journal: SECRET.to_owned(),
    }
}

fn remains() -> Remains {
    let mut remains = Remains::default();
    remains.settled(7);
    remains
}

fn standing() -> Standing {
    let pause = Pause {
        since: 4,
        cause: PauseCause::Person(SECRET.to_owned()),
    };
    let mut totals = Totals {
        accepted: 3,
        ..Totals::default()
    };
    totals.sinks.insert("crm".to_owned(), SinkTotals::default());
    Standing {
        totals,
        pauses: [("crm".to_owned(), pause)].into(),
        sink_states: [(("crm".to_owned(), "token".to_owned()), SECRET.into())].into(),
        quarantine_counts: [("shop".to_owned(), QuarantineCount::default())].into(),
        index_key: IndexKey::from_bytes([6; 32]),
        deferred: [Place::default()].into(),
        remains: remains(),
        jobs: [(job_id(), job())].into(),
        tokens: [(token_id(), token())].into(),
        audit: audit(),
    }
}

fn audit() -> AuditMark {
    AuditMark {
        retired: Link::default(),
        last: Link {
            number: 7,
            chain: Chain([7; 32]),
        },
    }
}

fn token_id() -> TokenId {
    TokenId(Uuid::from_u128(34))
}

fn token() -> Token {
    Token {
        last_used: Some(6),
        ..Token::new("crm 王", Role::Viewer, TokenHash::of("lg_x"), "admin", 5)
    }
}

fn job_id() -> JobId {
    JobId(Uuid::from_u128(33))
}

fn job() -> BulkJob {
    let plan = BulkPlan {
        by: SECRET.to_owned(),
        note: SECRET.to_owned(),
        action: BulkAction::Move {
            to: "crm".to_owned(),
        },
        over: Population::Deliveries(Filter {
            sink: Some("old".to_owned()),
            group: Some(FailureKey([8; 8])),
            orphaned: true,
            ..Filter::default()
        }),
        when: Some(SECRET.to_owned()),
        rate: 20,
        count: Count::AtLeast(100),
    };
    let mut job = BulkJob::new(plan, 5);
    job.state = JobState::Running;
    job.cursor = Some("here".to_owned());
    job.skip(Skipped {
        id: Uuid::from_u128(22),
        why: Skip::Newer,
    });
    job
}

fn record(record: Record) -> Entry {
    Entry::Record {
        record,
        segments: Vec::new(),
    }
}

/// One entry of every kind, and of every shape of a kind.
fn entries(codec: &Codec, number: u32) -> Vec<Entry> {
    let at = i64::from(number);
    let lead = lead_id();
    let state = State::Dead {
        at,
        reason: DeathReason::Held,
    };
    let gone = |record| Entry::Record {
        record,
        segments: vec![1, number],
    };
    let paused = |pause| Record::Paused {
        sink: "crm".to_owned(),
        pause,
    };
    let kept = |value| Record::SinkState {
        sink: "crm".to_owned(),
        key: "token".to_owned(),
        value,
    };
    vec![
        record(Record::Revision {
            lead,
            source: "shop".to_owned(),
            identity: IDENTITY,
            revision: Revision {
                number,
                content: CONTENT,
                modified_at: Some(at),
                history: true,
                received_at: 1,
                pushed_at: 2,
                oldest: 0,
            },
            finds: vec![[5; 17]],
            body: codec.seal_lead(&body(), &IDENTITY, &CONTENT),
        }),
        record(Record::Pushed {
            lead,
            revision: number,
            at,
        }),
        record(Record::Delivery {
            lead,
            delivery: delivery(state, number),
            details: Some(details()),
        }),
        record(Record::Delivery {
            lead,
            delivery: delivery(State::Waiting { due_at: at }, number),
            details: None,
        }),
        gone(Record::LeadGone { lead, erased: true }),
        record(Record::Quarantined {
            id: QuarantineId(Uuid::from_u128(33)),
            head: QuarantineHead {
                source: "shop".to_owned(),
                size: 7,
                received_at: at,
                tags: TAGS,
            },
            body: codec.seal_quarantine(&push(), &TAGS),
        }),
        gone(Record::QuarantineGone {
            id: QuarantineId(Uuid::from_u128(33)),
            erased: true,
        }),
        record(Record::QuarantineCount {
            source: "shop".to_owned(),
            count: QuarantineCount::default(),
        }),
        record(paused(None)),
        record(paused(Some(Pause {
            since: at,
            cause: PauseCause::Person(SECRET.to_owned()),
        }))),
        record(kept(None)),
        record(kept(Some(SECRET.into()))),
        record(kept(Some(Vec::new()))),
        Entry::Totals(standing().totals),
        Entry::Opening(Box::new(Opening {
            store: STORE,
            manifest: vec![SegmentFacts {
                number,
                first: 1,
                last: 9,
                bytes: 100,
            }],
            gone: vec![number],
            standing: standing(),
        })),
        Entry::Closing,
        Entry::SegmentGone(number),
        Entry::ArrivedLead(NewLead {
            source: "shop".into(),
            identity: IDENTITY,
            content: CONTENT,
            modified_at: Some(at),
            received_at: 2,
            now: 3,
            finds: vec![[5; 17]],
            routes: vec![
                Route {
                    sink: "crm".into(),
                    failed: None,
                },
                Route {
                    sink: "mail".into(),
                    failed: Some(SECRET.to_owned()),
                },
            ],
            body: codec.seal_lead(&body(), &IDENTITY, &CONTENT),
        }),
        Entry::ArrivedPush(NewQuarantined {
            source: "shop".into(),
            tags: TAGS,
            size: 7,
            received_at: at,
            ceiling: Ceiling::default(),
            body: codec.seal_quarantine(&push(), &TAGS),
        }),
        Entry::Settled(Place {
            segment: 1,
            offset: number,
            length: 3,
        }),
        Entry::Holds {
            lead,
            segments: vec![1, number],
        },
        record(Record::Job {
            id: job_id(),
            job: Some(Box::new(job())),
        }),
        record(Record::Job {
            id: job_id(),
            job: None,
        }),
        record(Record::Token {
            id: token_id(),
            token: Some(Box::new(token())),
        }),
        record(Record::Token {
            id: token_id(),
            token: None,
        }),
        Entry::Audited(AuditMark {
            retired: audit().last,
            last: Link {
                number: u64::from(number) + 8,
                ..audit().last
            },
        }),
    ]
}

fn encoded(codec: &Codec, entry: &Entry) -> Vec<u8> {
    let mut bytes = Vec::new();
    codec.encode(entry, &mut bytes);
    bytes
}

fn plain() -> Codec {
    Codec::new(Keyring::default(), STORE)
}

fn keyed(keys: &[OutboxKey]) -> Codec {
    Codec::new(Keyring::new(keys), STORE)
}

#[test]
fn attempts_of_a_store_that_did_not_record_their_configuration_are_read() {
    let codec = keyed(&[OutboxKey::generate()]);
    let Details { history, journal } = details();
    let before: Vec<_> = history
        .iter()
        .map(|attempt| super::first::Attempt {
            number: attempt.number,
            started_at: attempt.started_at,
            duration_ms: attempt.duration_ms,
            outcome: attempt.outcome,
            rule: attempt.rule.clone(),
            reason: attempt.reason.clone(),
            receipt: attempt.receipt.clone(),
            request: attempt.request.clone(),
            response: attempt.response.clone(),
            trace_id: attempt.trace_id.clone(),
        })
        .collect();
    let delivery = delivery(State::Behind, 3);
    let place = super::place::details(lead_id(), delivery.id);
    let of = Record::Delivery {
        lead: lead_id(),
        delivery,
        details: None,
    };
    let put = |out: &mut Vec<u8>, value: Vec<u8>| out.extend(value);
    let stored = |version: u8| {
        let mut bytes = Vec::new();
        let clear = postcard::to_allocvec(&(&of, Vec::<u32>::new())).expect("written");
        let plain = postcard::to_allocvec(&(&before, &journal)).expect("written");
        let seal = |out: &mut Vec<u8>| codec.seal_as(version, &place, out, |out| put(out, plain));
        let (kind, version) = (kind::RECORD, kind::VERSION);
        record::write(&mut bytes, kind, version, |out| put(out, clear), seal);
        bytes
    };
    let Ok(Entry::Record {
        record: Record::Delivery {
            details: Some(read),
            ..
        },
        ..
    }) = codec.decode(&stored(1))
    else {
        panic!("it is read");
    };
    assert_eq!(read.history[0].config_revision, "");
    assert_eq!(read.history[0].trace_id, history[0].trace_id);
    assert_eq!(read.journal, journal);
    let newer = codec.decode(&stored(kind::DETAILS_VERSION + 1)).err();
    assert!(matches!(
        newer,
        Some(Unreadable::Newer {
            known: kind::DETAILS_VERSION,
            ..
        })
    ));
}

/// All that is in an entry, in words: entries cannot be compared or printed by mistake.
fn shown(entry: &Entry) -> String {
    match entry {
        Entry::Record { record, segments } => format!("{} {segments:?}", shown_record(record)),
        Entry::Totals(totals) => format!("{totals:?}"),
        Entry::Opening(opening) => {
            let Opening {
                store,
                manifest,
                gone,
                standing,
            } = &**opening;
            let Standing {
                totals,
                pauses,
                sink_states,
                quarantine_counts,
                index_key,
                deferred,
                remains,
                jobs,
                tokens,
                audit,
            } = standing;
            let key = index_key.as_bytes();
            format!(
                "{store:?} {manifest:?} {gone:?} {totals:?} {pauses:?} {sink_states:?} \
                 {quarantine_counts:?} {key:?} {deferred:?} {remains:?} {} {tokens:?} {audit:?}",
                shown_jobs(jobs),
            )
        }
        Entry::SegmentGone(number) => format!("gone {number}"),
        Entry::ArrivedLead(new) => {
            let NewLead {
                source,
                identity,
                content,
                modified_at,
                received_at,
                now,
                finds,
                routes,
                body,
            } = new;
            format!(
                "{source} {identity:?} {content:?} {modified_at:?} {received_at} {now} {finds:?} \
                 {routes:?} {body:?}"
            )
        }
        Entry::ArrivedPush(new) => {
            let NewQuarantined {
                source,
                tags,
                size,
                received_at,
                ceiling,
                body,
            } = new;
            format!("{source} {tags:?} {size} {received_at} {ceiling:?} {body:?}")
        }
        Entry::Settled(place) => format!("settled {place:?}"),
        Entry::Holds { lead, segments } => format!("holds {lead} {segments:?}"),
        Entry::Audited(mark) => format!("{mark:?}"),
        Entry::Closing => "closing".to_owned(),
    }
}

/// With what its `Debug` keeps back.
fn shown_jobs(jobs: &BTreeMap<JobId, BulkJob>) -> String {
    let jobs = jobs.iter().map(|(id, job)| {
        let BulkPlan { by, note, when, .. } = &job.plan;
        format!("{id} {job:?} {by} {note} {when:?}")
    });
    jobs.collect()
}

fn shown_record(record: &Record) -> String {
    match record {
        Record::Revision {
            lead,
            source,
            identity,
            revision,
            finds,
            body,
        } => format!("{lead} {source} {identity:?} {revision:?} {finds:?} {body:?}"),
        Record::Pushed { lead, revision, at } => format!("pushed {lead} {revision} {at}"),
        Record::Delivery {
            lead,
            delivery,
            details,
        } => format!("{lead} {delivery:?} {details:?}"),
        Record::LeadGone { lead, erased } => format!("gone {lead} {erased}"),
        Record::Quarantined { id, head, body } => format!("{id} {head:?} {body:?}"),
        Record::QuarantineGone { id, .. } => format!("gone {id}"),
        Record::QuarantineCount { source, count } => format!("{source} {count:?}"),
        Record::Paused { sink, pause } => format!("{sink} {pause:?}"),
        Record::SinkState { sink, key, value } => format!("{sink} {key} {value:?}"),
        Record::Job { id, job: Some(job) } => shown_jobs(&[(*id, (**job).clone())].into()),
        Record::Job { id, job: None } => format!("no job {id}"),
        Record::Token { id, token } => format!("{id} {token:?}"),
    }
}

proptest! {
    #[test]
    fn every_entry_survives_the_round_trip(number: u32) {
        for codec in [plain(), keyed(&[OutboxKey::generate()])] {
            for entry in entries(&codec, number) {
                let bytes = encoded(&codec, &entry);
                let read = codec.decode(&bytes).expect("just encoded");
                prop_assert_eq!(shown(&read), shown(&entry));
            }
        }
    }

    #[test]
    fn no_bytes_make_decoding_panic(kind: u8, clear: Vec<u8>, sealed: Vec<u8>) {
        let mut bytes = Vec::new();
        record::write(
            &mut bytes,
            kind % 25,
            kind::VERSION,
            |out| out.extend_from_slice(&clear),
            |out| out.extend_from_slice(&sealed),
        );
        for codec in [plain(), keyed(&[OutboxKey::generate()])] {
            let _ = codec.decode(&bytes);
            let _ = codec.clear(&bytes);
            let _ = codec.reseal(&bytes);
            let _ = Codec::store_of(&bytes);
            prop_assert!(codec.decode(&clear).is_err());
        }
    }
}

#[test]
fn a_record_that_is_cut_off_is_refused() {
    let codec = plain();
    for entry in entries(&codec, 3) {
        let bytes = encoded(&codec, &entry);
        for end in 0..bytes.len() {
            assert!(codec.decode(&bytes[..end]).is_err());
            assert!(codec.clear(&bytes[..end]).is_err());
        }
        // Nor is one whose parts are shorter, in a record that is whole.
        let raw = record::parse(&bytes).expect("whole");
        for end in 0..raw.clear.len() {
            let mut short = Vec::new();
            let clear = &raw.clear[..end];
            record::write(
                &mut short,
                raw.kind,
                raw.version,
                |out| out.extend_from_slice(clear),
                |out| out.extend_from_slice(raw.sealed),
            );
            assert!(codec.decode(&short).is_err(), "kind {}", raw.kind);
        }
    }
}

#[test]
fn a_record_of_a_newer_version_or_kind_is_refused_and_named() {
    let codec = plain();
    let with = |kind, version| {
        let mut bytes = Vec::new();
        record::write(&mut bytes, kind, version, |_| {}, |_| {});
        let error = codec.decode(&bytes).err().expect("refused");
        assert_eq!(codec.clear(&bytes).err(), Some(error.clone()));
        error
    };
    for entry in entries(&codec, 3) {
        let kind = encoded(&codec, &entry)[8];
        let error = with(kind, kind::VERSION + 1);
        assert!(error.to_string().contains("record of version 2"), "{error}");
        assert_eq!(with(kind, 0), Unreadable::Damaged);
    }
    assert_eq!(with(99, kind::VERSION), Unreadable::Kind(99));
}

#[test]
fn nothing_that_somebody_wrote_is_seen_in_a_sealed_record() {
    let has = |bytes: &[u8]| {
        let mut windows = bytes.windows(SECRET.len());
        windows.any(|seen| seen == SECRET.as_bytes())
    };
    let (open, sealed) = (plain(), keyed(&[OutboxKey::generate()]));
    let seen = |codec: &Codec| {
        let entries = entries(codec, 3).into_iter();
        entries.filter(|entry| has(&encoded(codec, entry))).count()
    };
    assert_eq!(seen(&open), 9, "the test looks for what is there");
    assert_eq!(seen(&sealed), 0);
}

#[test]
fn the_clear_part_is_read_without_the_key() {
    let (ours, theirs) = (keyed(&[OutboxKey::generate()]), plain());
    let all = entries(&ours, 3);
    for entry in [&all[0], &all[2], &all[3], &all[5], &all[18]] {
        let bytes = encoded(&ours, entry);
        let clear = theirs.clear(&bytes).expect("reads");
        let mut bare = entry.clone();
        match &mut bare {
            Entry::Record { record, .. } => match record {
                Record::Revision { body, .. } | Record::Quarantined { body, .. } => {
                    *body = Bytes::new();
                }
                Record::Delivery {
                    details: Some(details),
                    ..
                } => *details = Details::default(),
                _ => {}
            },
            Entry::ArrivedPush(push) => push.body = Bytes::new(),
            _ => {}
        }
        assert_eq!(shown(&clear), shown(&bare));
    }
}

#[test]
fn a_sealed_part_does_not_open_at_another_place() {
    let codec = keyed(&[OutboxKey::generate()]);
    let sealed = codec.seal_lead(&body(), &IDENTITY, &CONTENT);
    assert!(codec.open_lead(&sealed, &IDENTITY, &CONTENT).is_ok());
    let damaged = Err(Unreadable::Sealed(SealError::Damaged));
    assert_eq!(codec.open_lead(&sealed, &[7; 17], &CONTENT), damaged);
    assert_eq!(codec.open_lead(&sealed, &IDENTITY, &[7; 32]), damaged);
    let push = codec.seal_quarantine(&push(), &TAGS);
    assert!(codec.open_quarantine(&push, &TAGS).is_ok());
    assert_eq!(codec.open_quarantine(&push, &[TAGS[1], TAGS[0]]), damaged);

    // The sealed part of one record behind the clear part of another.
    let other = Codec::new(codec.keyring.clone(), StoreId([1; 16]));
    let swap = |clear: &Entry, clear_of: &Codec, sealed: &Entry| {
        let (one, two) = (encoded(clear_of, clear), encoded(&codec, sealed));
        let (one, two) = (record::parse(&one), record::parse(&two));
        let (one, two) = (one.expect("whole"), two.expect("whole"));
        let mut bytes = Vec::new();
        record::write(
            &mut bytes,
            one.kind,
            one.version,
            |out| out.extend_from_slice(one.clear),
            |out| out.extend_from_slice(two.sealed),
        );
        codec.decode(&bytes)
    };
    let all = entries(&codec, 3);
    let moved = |change: &dyn Fn(&mut Record), at: usize| {
        let mut entry = all[at].clone();
        let Entry::Record { record, .. } = &mut entry else {
            unreachable!("a record");
        };
        change(record);
        entry
    };
    let is_job = |entry: &Entry| {
        let job = Record::Job {
            id: job_id(),
            job: Some(Box::new(job())),
        };
        shown(entry) == shown(&record(job))
    };
    let is_token = |entry: &Entry| {
        let token = Record::Token {
            id: token_id(),
            token: Some(Box::new(token())),
        };
        shown(entry) == shown(&record(token))
    };
    let token_at = all.iter().position(is_token).expect("there is one");
    let job_at = all.iter().position(is_job).expect("there is one");
    let cases = [
        (
            2,
            moved(
                &|record| {
                    if let Record::Delivery { lead, .. } = record {
                        lead.0 = Uuid::from_u128(99);
                    }
                },
                2,
            ),
        ),
        (
            2,
            moved(
                &|record| {
                    if let Record::Delivery { delivery, .. } = record {
                        delivery.id.0 = Uuid::from_u128(99);
                    }
                },
                2,
            ),
        ),
        (
            9,
            moved(
                &|record| {
                    if let Record::Paused { sink, .. } = record {
                        sink.push('2');
                    }
                },
                9,
            ),
        ),
        (
            11,
            moved(
                &|record| {
                    if let Record::SinkState { key, .. } = record {
                        key.push('2');
                    }
                },
                11,
            ),
        ),
        (
            11,
            moved(
                &|record| {
                    if let Record::SinkState { sink, .. } = record {
                        sink.push('2');
                    }
                },
                11,
            ),
        ),
        (
            job_at,
            moved(
                &|record| {
                    if let Record::Job { id, .. } = record {
                        id.0 = Uuid::from_u128(99);
                    }
                },
                job_at,
            ),
        ),
        (
            token_at,
            moved(
                &|record| {
                    if let Record::Token { id, .. } = record {
                        id.0 = Uuid::from_u128(99);
                    }
                },
                token_at,
            ),
        ),
    ];
    for (at, clear) in cases {
        assert!(swap(&all[at], &codec, &all[at]).is_ok(), "{at}");
        assert!(swap(&clear, &codec, &all[at]).is_err(), "{at}");
    }
    let Entry::Opening(opening) = all[14].clone() else {
        unreachable!("an opening");
    };
    let theirs = Entry::Opening(Box::new(Opening {
        store: other.store(),
        ..*opening
    }));
    assert!(swap(&all[14], &codec, &all[14]).is_ok());
    assert!(swap(&theirs, &other, &all[14]).is_err());
    // Why routes failed, sealed for another lead.
    let Entry::ArrivedLead(lead) = all[17].clone() else {
        unreachable!("a lead");
    };
    let theirs = Entry::ArrivedLead(NewLead {
        content: [7; 32],
        ..lead
    });
    assert!(swap(&theirs, &codec, &all[17]).is_err());
}

#[test]
fn a_record_is_sealed_again_with_a_new_key() {
    let (old, new) = (OutboxKey::generate(), OutboxKey::generate());
    let before = keyed(std::slice::from_ref(&old));
    let both = keyed(&[new.clone(), old]);
    let after = keyed(&[new]);
    for (codec, sealed) in [(&before, 11), (&plain(), 11)] {
        let mut resealed = 0;
        for entry in entries(codec, 3) {
            let bytes = encoded(codec, &entry);
            let Some(again) = both.reseal(&bytes).expect("opens") else {
                assert_eq!(
                    shown(&after.decode(&bytes).expect("nothing sealed")),
                    shown(&entry)
                );
                continue;
            };
            resealed += 1;
            assert_eq!(both.reseal(&again).expect("opens"), None, "it is current");
            match (after.decode(&again).expect("opens"), &entry) {
                (
                    Entry::Record {
                        record: Record::Revision { body: sealed, .. },
                        ..
                    },
                    _,
                ) => {
                    let plain = after
                        .open_lead(&sealed, &IDENTITY, &CONTENT)
                        .expect("opens");
                    assert!(LeadBody::decode(&plain).expect("a body") == body());
                }
                (Entry::ArrivedLead(lead), _) => {
                    let plain = after.open_lead(&lead.body, &IDENTITY, &CONTENT);
                    let plain = plain.expect("opens");
                    assert!(LeadBody::decode(&plain).expect("a body") == body());
                    assert!(lead.routes[1].failed.as_deref() == Some(SECRET));
                }
                (
                    Entry::Record {
                        record: Record::Quarantined { body: sealed, .. },
                        ..
                    },
                    _,
                ) => {
                    let plain = after.open_quarantine(&sealed, &TAGS).expect("opens");
                    assert!(QuarantineBody::decode(&plain).expect("a body") == push());
                }
                (Entry::ArrivedPush(arrived), _) => {
                    let plain = after.open_quarantine(&arrived.body, &TAGS).expect("opens");
                    assert!(QuarantineBody::decode(&plain).expect("a body") == push());
                }
                (read, entry) => assert_eq!(shown(&read), shown(entry)),
            }
        }
        assert_eq!(resealed, sealed);
    }
    let stranger = keyed(&[OutboxKey::generate()]);
    let bytes = encoded(&before, &entries(&before, 3)[0]);
    let error = stranger.reseal(&bytes).expect_err("refused");
    assert!(error.to_string().contains("outbox.key"), "{error}");
}

/// Where there are none of them an opening is as it was before they were kept.
#[test]
fn an_opening_has_what_is_not_empty_of_remains_jobs_tokens_and_audit() {
    let codec = keyed(&[OutboxKey::generate()]);
    let mut lengths = Vec::new();
    for bits in 0..16_u8 {
        let with = |bit: u8| bits & bit != 0;
        let mut standing = standing();
        if !with(1) {
            standing.remains = Remains::default();
        }
        if !with(2) {
            standing.jobs.clear();
        }
        if !with(4) {
            standing.tokens.clear();
        }
        if !with(8) {
            standing.audit = AuditMark::default();
        }
        let opening = Entry::Opening(Box::new(Opening {
            store: STORE,
            manifest: Vec::new(),
            gone: Vec::new(),
            standing,
        }));
        let bytes = encoded(&codec, &opening);
        let read = codec.decode(&bytes).expect("just encoded");
        assert_eq!(shown(&read), shown(&opening), "{bits}");
        lengths.push(bytes.len());
    }
    for (bits, bit) in (0..16).flat_map(|bits| [1, 2, 4, 8].map(|bit| (bits, bit))) {
        let more: usize = bits | bit;
        assert!(more == bits || lengths[more] > lengths[bits], "{lengths:?}");
    }
}
