//! The rules, on a store in memory. After every commit what was committed is checked: it can be
//! replayed, its totals are those of a recount, its failure groups those of the last attempts.

mod accept;
mod commit;
mod follow;
mod jobs;
mod leave;
mod model;
mod quarantine;
mod tokens;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use leadgate_plugin::OutcomeKind;
use uuid::ContextV7;

use super::memory::{Hands, Memory};
use super::*;
use crate::clock::Millis;
use crate::config::OnUpdate;
use crate::outbox::{
    Accepted, Attempt, BY_HAND, BulkAction, BulkJob, BulkPlan, Count, DeathReason, Delivery,
    DeliveryId, Filter, Finish, Had, JOBS_KEPT, JobId, JobState, JobStep, LeadId, Population,
    Repair, Repaired, Role, Route, SKIPS_LISTED, SinkPolicy, SinkTotals, Skip, Skipped,
    State as Stands, Steered, Stepped, Stop, TOKENS_KEPT, Target, Token, TokenAdded, TokenHash,
    TokenId, Totals, USE_NOTED,
};

/// The sinks with their policies; `gone` is not configured any more.
const SINKS: [(&str, OnUpdate, Option<&str>); 3] = [
    ("crm", OnUpdate::Each, None),
    ("mail", OnUpdate::Supersede, None),
    ("once", OnUpdate::Ignore, Some("mail")),
];

/// A store in memory.
struct Store {
    memory: Memory,
    hands: Hands,
    sinks: Sinks,
    ids: ContextV7,
    totals: Totals,
    /// Every record there ever was.
    log: Vec<Record>,
    /// Of the last commit.
    wake: Vec<String>,
}

fn hash(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(&(part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    *hasher.finalize().as_bytes()
}

impl Store {
    fn new() -> Self {
        let policies = SINKS.map(|(name, on_update, on_dead)| KnownSink {
            name: name.into(),
            policy: Some(SinkPolicy {
                name: name.to_owned(),
                on_update,
                on_dead: on_dead.map(str::to_owned),
            }),
        });
        let gone = KnownSink {
            name: "gone".into(),
            policy: None,
        };
        let all = policies.into_iter().chain([gone]);
        Self {
            memory: Memory::default(),
            hands: Hands::default(),
            sinks: all
                .map(|sink| (Arc::clone(&sink.name), Arc::new(sink)))
                .collect(),
            ids: ContextV7::new(),
            totals: Totals::default(),
            log: Vec::new(),
            wake: Vec::new(),
        }
    }

    /// Makes changes in one commit.
    fn commit(&mut self, changes: &[Change]) -> Vec<Result<Done, Fault>> {
        let mut state = State::new(
            Ground {
                view: &self.memory,
                sinks: &self.sinks,
                ids: &self.ids,
                holds: &self.hands,
                hash: &hash,
            },
            self.totals.clone(),
        );
        let done = changes.iter().map(|change| state.apply(change)).collect();
        let effects = state.into_effects();
        for (id, (before, _)) in &effects.leads {
            assert_eq!(*before, self.memory.leads.get(id).cloned());
        }
        self.memory.apply(&effects.records);
        for (id, (_, after)) in &effects.leads {
            assert_eq!(*after, self.memory.leads.get(id).cloned());
        }
        for record in &effects.records {
            if let Some(lead) = record.lead() {
                assert!(effects.leads.contains_key(&lead), "it changed");
            }
        }
        self.log.extend(effects.records);
        self.totals = effects.totals;
        self.hands.unreserve(&effects.reserved);
        self.hands.unclaim(&effects.ended);
        self.wake = effects.wake.iter().map(ToString::to_string).collect();
        self.check();
        done
    }

    fn one(&mut self, change: Change) -> Done {
        let mut done = self.commit(&[change]);
        done.remove(0).expect("made")
    }

    fn accept(&mut self, lead: NewLead) -> Accepted {
        match self.one(Change::Accept(lead)) {
            Done::Accepted(accepted) => accepted,
            other => panic!("{other:?}"),
        }
    }

    /// Accepts a push of a lead that is not known.
    fn new_lead(&mut self, lead: NewLead) -> LeadId {
        match self.accept(lead) {
            Accepted::New {
                lead, revision: 1, ..
            } => lead,
            other => panic!("{other:?}"),
        }
    }

    /// Everything that follows from the records follows from them.
    fn check(&self) {
        let mut replayed = Memory::default();
        replayed.apply(&self.log);
        assert!(
            replayed.leads == self.memory.leads,
            "replaying gives the same leads"
        );
        assert!(replayed.details == self.memory.details);
        assert_eq!(replayed.jobs, self.memory.jobs);
        assert_eq!(replayed.tokens, self.memory.tokens);
        assert!(self.memory.tokens.len() <= TOKENS_KEPT);
        assert!(self.memory.jobs.len() <= JOBS_KEPT);
        let mut sinks: BTreeMap<&str, SinkTotals> = BTreeMap::new();
        for (id, lead) in &self.memory.leads {
            assert!(!lead.revisions.is_empty(), "{id}");
            for head in &lead.deliveries {
                self.count(sinks.entry(&head.sink).or_default(), head);
            }
        }
        let totals = &self.totals;
        let unrouted = self.memory.leads.values().filter(|lead| lead.is_unrouted());
        assert_eq!(totals.leads, self.memory.leads.len() as u64);
        assert_eq!(totals.unrouted, unrouted.count() as u64);
        assert_eq!(totals.in_quarantine, self.memory.quarantine.len() as u64);
        for (name, told) in &totals.sinks {
            let counted = sinks.remove(name.as_str()).unwrap_or_default();
            let of = |sink: &SinkTotals| (sink.waiting, sink.retrying, sink.behind);
            assert_eq!(of(told), of(&counted), "{name}");
            for reason in DeathReason::ALL {
                let of = |sink: &SinkTotals| sink.dead.get(&reason).copied().unwrap_or(0);
                assert_eq!(of(told), of(&counted), "{name} {reason:?}");
            }
        }
        assert!(sinks.is_empty(), "not counted: {sinks:?}");
        for (source, count) in &self.memory.quarantine_counts {
            let of = self.memory.quarantine.values();
            let of: Vec<_> = of.filter(|(head, _)| head.source == *source).collect();
            assert_eq!(count.entries, of.len() as u64);
            assert_eq!(
                count.bytes,
                of.iter().map(|(head, _)| head.size).sum::<u64>()
            );
        }
    }

    fn count(&self, sink: &mut SinkTotals, head: &DeliveryHead) {
        let failed = match head.class() {
            Class::Pending => {
                sink.waiting += 1;
                false
            }
            Class::Behind => {
                sink.waiting += 1;
                sink.behind += 1;
                false
            }
            Class::Retrying => {
                sink.waiting += 1;
                sink.retrying += 1;
                true
            }
            Class::Dead(reason) => {
                *sink.dead.entry(reason).or_default() += 1;
                true
            }
            Class::Delivered | Class::Superseded | Class::Cancelled => false,
        };
        let details = self.memory.details.get(&head.id);
        let last = details.and_then(|details| details.history.last());
        let last = last.filter(|last| last.outcome != OutcomeKind::Delivered);
        let expected = last.filter(|_| failed).map(|last| {
            let hash = hash(&[last.rule.as_bytes(), normalise(&last.reason).as_bytes()]);
            FailureKey(*hash.first_chunk().expect("32 bytes"))
        });
        assert_eq!(head.failure, expected, "{head:?}");
    }

    /// A lead's delivery of a revision for a sink.
    fn head(&self, lead: LeadId, sink: &str, revision: u32) -> DeliveryHead {
        let heads = &self.memory.leads[&lead].deliveries;
        let of = |head: &&DeliveryHead| head.sink == sink && head.revision == revision;
        let mut found = heads.iter().filter(of);
        let head = found.next().expect("it is there").clone();
        assert!(found.next().is_none(), "a sink has one of a revision");
        head
    }

    fn state(&self, lead: LeadId, sink: &str, revision: u32) -> Stands {
        self.head(lead, sink, revision).state
    }

    fn sink(&self, name: &str) -> SinkTotals {
        self.totals.sinks.get(name).cloned().unwrap_or_default()
    }

    /// Claims a delivery for an attempt.
    fn claim(&self, lead: LeadId, sink: &str, revision: u32) -> DeliveryHead {
        let head = self.head(lead, sink, revision);
        assert!(matches!(head.state, Stands::Waiting { .. }), "{head:?}");
        assert!(self.hands.claim(head.id), "nobody has it");
        head
    }

    /// The end of a delivery's next attempt.
    fn attempt(&self, lead: LeadId, head: &DeliveryHead, state: Stands, now: Millis) -> Finish {
        let outcome = match state {
            Stands::Delivered { .. } => OutcomeKind::Delivered,
            Stands::Dead { .. } => OutcomeKind::Rejected,
            _ => OutcomeKind::Retry,
        };
        let Details {
            mut history,
            journal,
        } = self
            .memory
            .details
            .get(&head.id)
            .cloned()
            .unwrap_or_default();
        history.push(Attempt {
            number: head.attempts + 1,
            started_at: now,
            duration_ms: 1,
            outcome,
            rule: "status-5xx".to_owned(),
            reason: format!("answered 500: request {now} failed"),
            receipt: String::new(),
            request: String::new(),
            response: String::new(),
            trace_id: String::new(),
            config_revision: String::new(),
        });
        Finish {
            id: head.id,
            sink: head.sink.as_str().into(),
            now,
            was_due: now,
            delivery: Delivery {
                sink: head.sink.clone(),
                source: "shop".to_owned(),
                lead,
                revision: head.revision,
                created_at: head.created_at,
                state,
                attempts: head.attempts + 1,
                budget: head.budget,
                fallback_of: head.fallback_of,
                history,
                journal,
            },
        }
    }

    /// Claims a delivery and ends its attempt.
    fn end(&mut self, lead: LeadId, sink: &str, revision: u32, state: Stands) {
        let head = self.claim(lead, sink, revision);
        let finish = self.attempt(lead, &head, state, 5_000);
        assert_eq!(self.one(Change::Finish(finish)), Done::Noted);
        assert!(!self.hands.is_claimed(head.id), "the claim ended");
    }

    fn repair(&mut self, id: DeliveryId, repair: Repair, now: Millis) -> Repaired {
        match self.one(Change::Repair { id, repair, now }) {
            Done::Repaired(repaired) => repaired,
            other => panic!("{other:?}"),
        }
    }
}

fn tag(kind: u8, value: u64) -> Tag {
    let mut tag = [kind; 17];
    tag[1..9].copy_from_slice(&value.to_be_bytes());
    tag
}

/// A push of a record for `sinks`, received at 1,000.
fn push(record: u64, content: u8, sinks: &[&str]) -> NewLead {
    NewLead {
        source: "shop".into(),
        identity: tag(0xf0, record),
        content: [content; 32],
        modified_at: None,
        received_at: 1_000,
        now: 1_000,
        finds: vec![tag(0, record)],
        routes: sinks
            .iter()
            .map(|sink| Route {
                sink: (*sink).into(),
                failed: None,
            })
            .collect(),
        body: Bytes::from(vec![content]),
    }
}

fn modified(at: Millis, push: NewLead) -> NewLead {
    NewLead {
        modified_at: Some(at),
        ..push
    }
}

fn at(now: Millis, push: NewLead) -> NewLead {
    NewLead {
        received_at: now,
        now,
        ..push
    }
}

const RETRY: Repair = Repair::Retry { force: false };
const FORCE: Repair = Repair::Retry { force: true };
const DELIVERED: Stands = Stands::Delivered { at: 5_000 };
const LATER: Stands = Stands::Waiting { due_at: 9_000 };
const DEAD: Stands = Stands::Dead {
    at: 5_000,
    reason: DeathReason::Rejected,
};
