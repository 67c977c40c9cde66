//! The machine of accepting, claiming, finishing, repairing, keeping and forgetting against a
//! reference model: random steps, restarts, crashes and a virtual clock. After every step the
//! store must agree with the model: each lead, delivery, count and list.
//!
//! After a crash everything is there that was durable when the store said so. An end of an attempt
//! need not be durable at once: the store may then stand as it did before the last few of them, in
//! their order, and the attempt is repeated.

mod agree;
mod expected;
mod step;

use std::collections::{BTreeMap, BTreeSet};

use proptest::test_runner::{Config, TestCaseError, TestRunner};

use self::expected::{Became, KEEP, Model, Why};
use self::step::{CEILING, How, Push, Step, Wish, steps};
use super::engine::{Engine, SINKS};
use super::pushes::{arrival, attempt, erase, quarantined, route};
use super::retention::sweep;
use super::subject::{Subject, blocking};
use crate::config::Ceiling;
use crate::outbox::{
    Accepted, Arrival, Claim, DeathReason, Delivery, DeliveryId, Find, FindBy, Freshness, Intake,
    LeadId, Maintenance, Operations, PauseCause, QuarantineId, Quarantined, QuarantinedPush, Queue,
    Repair, Repaired, Route, State,
};

/// Runs of steps.
const CASES: u32 = 96;

/// The store beside the model.
struct Both<E: Engine> {
    outbox: Subject<E>,
    model: Model,
    /// The model before each end of an attempt that may not be durable yet.
    before: Vec<Model>,
    claims: Vec<(usize, Claim)>,
    ids: BTreeMap<u8, LeadId>,
    aside: BTreeMap<u8, QuarantineId>,
}

pub(super) async fn the_store_does_what_the_model_says<E: Engine>() {
    blocking(|| {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_all().build().expect("a runtime");
        let mut runner = TestRunner::new(Config {
            cases: CASES,
            failure_persistence: None,
            ..Config::default()
        });
        let run = runner.run(&steps(), |steps| {
            let mut both = Both::<E>::new();
            runtime
                .block_on(both.run(steps))
                .map_err(TestCaseError::fail)
        });
        if let Err(failed) = run {
            panic!("{failed}");
        }
    });
}

impl<E: Engine> Both<E> {
    fn new() -> Self {
        Self {
            outbox: Subject::new(),
            model: Model {
                now: 1_000_000,
                ..Model::default()
            },
            before: Vec::new(),
            claims: Vec::new(),
            ids: BTreeMap::new(),
            aside: BTreeMap::new(),
        }
    }

    async fn run(&mut self, steps: Vec<Step>) -> Result<(), String> {
        for step in steps {
            let named = format!("{step:?}");
            self.step(step).await;
            let agreed = self.agree();
            agreed.map_err(|why| format!("after {named}: {why}"))?;
        }
        Ok(())
    }

    /// What was told just now is durable, and all before it.
    fn durable(&mut self) {
        self.before.clear();
    }

    fn find(&self, delivery: &Delivery) -> usize {
        let record = self.ids.iter().find(|(_, id)| **id == delivery.lead);
        let record = *record.expect("a known lead").0;
        let mut deliveries = self.model.deliveries.iter();
        let found = deliveries.position(|one| {
            one.record == record && one.revision == delivery.revision && one.sink == delivery.sink
        });
        found.expect("a known delivery")
    }

    /// The id of the model's delivery.
    fn id(&self, at: usize) -> DeliveryId {
        let expected = &self.model.deliveries[at];
        let lead = self.ids[&expected.record];
        let history = self.outbox.history(lead).expect("reads").expect("is there");
        let mut deliveries = history.deliveries.iter();
        let found = deliveries.find(|one| {
            one.delivery.sink == expected.sink && one.delivery.revision == expected.revision
        });
        found.expect("is there").id
    }

    fn arrival(&self, push: &Push) -> Arrival {
        let routes = push.sinks.iter().zip(SINKS);
        let routes = routes.filter(|(wish, _)| **wish != Wish::No);
        Arrival {
            received_at: self.model.now,
            modified_at: push.modified,
            raw: raw(push.record, push.content),
            finds: vec![found_by(push.record)],
            routes: routes
                .map(|(wish, (sink, _, _))| Route {
                    failed: (*wish == Wish::Failed).then(|| "no such field".to_owned()),
                    ..route(sink)
                })
                .collect(),
            ..arrival(u64::from(push.record), push.content)
        }
    }

    fn pushed(&mut self, push: &Push, accepted: Accepted) {
        let (became, lead) = match accepted {
            Accepted::New { lead, .. } => (Became::New, lead),
            Accepted::Routed { lead, .. } => (Became::Routed, lead),
            Accepted::Duplicate { lead, .. } => (Became::Duplicate, lead),
            Accepted::Deferred => panic!("a store that is whole defers nothing"),
        };
        assert_eq!(became, self.model.push(push), "{push:?}");
        let known = *self.ids.entry(push.record).or_insert(lead);
        assert_eq!(known, lead, "{push:?}");
        if became != Became::Duplicate {
            self.durable();
        }
    }

    async fn step(&mut self, step: Step) {
        match step {
            Step::Push(push) => {
                let accepted = self.outbox.accept(self.arrival(&push)).await;
                self.pushed(&push, accepted.expect("accepted"));
            }
            Step::Quarantine { content } => self.quarantine(content).await,
            Step::Discard { nth } => {
                let Some((content, _)) = self.model.quarantine.get(nth).copied() else {
                    return;
                };
                let id = self.aside.remove(&content).expect("is there");
                assert_eq!(self.outbox.discard(id).await, Ok(true));
                assert_eq!(self.outbox.discard(id).await, Ok(false));
                self.model.discard(|one, _| one == content);
                self.durable();
            }
            Step::Release { nth, push } => {
                let Some((content, _)) = self.model.quarantine.get(nth).copied() else {
                    return;
                };
                let id = self.aside.remove(&content).expect("is there");
                let arrival = self.arrival(&push);
                let released = self.outbox.release(id, arrival, self.model.now).await;
                self.model.discard(|one, _| one == content);
                let accepted = released.expect("taken").expect("was there");
                self.pushed(&push, accepted);
                self.durable();
            }
            Step::Claim { sink } => self.claim(SINKS[sink].0),
            Step::ClaimOne { nth } if nth < self.model.deliveries.len() => {
                let one = self.model.deliveries[nth].clone();
                let claim = self.outbox.claim_one(one.sink, self.id(nth));
                let claim = claim.expect("reads");
                let waits = matches!(one.state, State::Waiting { .. }) && !one.claimed;
                assert_eq!(claim.is_some(), waits, "{one:?}");
                if let Some(claim) = claim {
                    self.model.deliveries[nth].claimed = true;
                    self.claims.push((nth, claim));
                }
            }
            Step::Unclaim { nth } if nth < self.claims.len() => {
                let (at, claim) = self.claims.remove(nth);
                self.outbox.unclaim(&claim.delivery.sink, &[claim.id]);
                self.model.deliveries[at].claimed = false;
            }
            Step::Keep { nth, journal } if nth < self.claims.len() => {
                let (at, claim) = &mut self.claims[nth];
                let journal = format!("{{\"step\":{journal}}}");
                let sink = &claim.delivery.sink;
                let kept = self.outbox.keep(sink, claim.id, journal.clone());
                kept.await.expect("kept");
                claim.delivery.journal.clone_from(&journal);
                self.model.deliveries[*at].journal = journal;
                self.durable();
            }
            Step::End { nth, how, why } if nth < self.claims.len() => {
                self.end(nth, how, why).await;
            }
            Step::Retry { nth, force } if nth < self.model.deliveries.len() => {
                let repair = Repair::Retry { force };
                let done = self.outbox.repair(self.id(nth), repair, self.model.now);
                let done = done.await;
                let behind = self.model.deliveries[nth].state == State::Behind;
                assert_eq!(done, Ok(self.model.retry(nth, force)));
                if done == Ok(Repaired::Done) && !behind {
                    self.durable();
                }
            }
            Step::Cancel { nth } if nth < self.model.deliveries.len() => {
                let id = self.id(nth);
                let done = self.outbox.repair(id, Repair::Cancel, self.model.now);
                let done = done.await;
                assert_eq!(done, Ok(self.model.cancel(nth)));
                if done == Ok(Repaired::Done) {
                    self.durable();
                }
            }
            Step::Erase { record } => {
                let Some(lead) = self.ids.get(&record).copied() else {
                    return;
                };
                let gone = erase(&*self.outbox, lead).await.expect("taken");
                let mut deliveries = self.model.deliveries.iter();
                let busy = deliveries.any(|one| one.record == record && one.claimed);
                assert_eq!(gone, !busy);
                if gone {
                    self.forget(record);
                    self.durable();
                }
            }
            Step::Sweep => self.sweep(),
            Step::Pause { sink, on } => {
                let sink = SINKS[sink].0;
                let cause = on.then(|| PauseCause::Person("moving".to_owned()));
                self.outbox.pause(sink, cause).await.expect("taken");
                if on {
                    self.model.paused.insert(sink);
                } else {
                    self.model.paused.remove(sink);
                }
            }
            Step::SinkState { sink, value } => {
                let sink = SINKS[sink].0;
                let bytes = value.map(|value| vec![value]);
                let kept = self.outbox.keep_sink_state(sink, "token", bytes).await;
                assert_eq!(kept, Ok(true));
                match value {
                    Some(value) => self.model.kept.insert(sink, value),
                    None => self.model.kept.remove(sink),
                };
                if value.is_some() {
                    self.durable();
                }
            }
            Step::Wait { ms } => self.model.now += ms,
            Step::Restart => {
                self.outbox.reopen();
                self.model.now += 1;
                self.forget_claims();
                self.durable();
            }
            Step::Crash => self.crash(),
            Step::ClaimOne { .. }
            | Step::Unclaim { .. }
            | Step::Keep { .. }
            | Step::End { .. }
            | Step::Retry { .. }
            | Step::Cancel { .. } => {}
        }
    }

    async fn quarantine(&mut self, content: u8) {
        let push = QuarantinedPush {
            received_at: self.model.now,
            ceiling: Ceiling {
                max_entries: CEILING,
                ..Ceiling::default()
            },
            ..quarantined(&[content])
        };
        let kept = self.outbox.quarantine(push).await.expect("taken");
        match (kept, self.model.quarantine(content)) {
            (Quarantined::New(id), Some(true)) => {
                self.aside.insert(content, id);
            }
            (Quarantined::Duplicate, None) => return,
            (Quarantined::Full, Some(false)) => {}
            (kept, expected) => panic!("{content}: {kept:?} for {expected:?}"),
        }
        self.durable();
    }

    fn claim(&mut self, sink: &'static str) {
        let due = self.outbox.claim(sink, self.model.now, 100).expect("reads");
        let expected = self.model.due(sink);
        let next = self.model.next_due(sink);
        let mut got = BTreeSet::new();
        let mut last = (false, i64::MIN);
        for claim in due.deliveries {
            let at = self.find(&claim.delivery);
            let State::Waiting { due_at } = claim.delivery.state else {
                panic!("only waiting deliveries are claimed")
            };
            let again = claim.delivery.freshness() == Freshness::Again;
            assert!(
                (again, due_at) >= last,
                "what is fresh first, then the earliest"
            );
            last = (again, due_at);
            assert_eq!(claim.update, self.model.update(at), "{claim:?}");
            let one = &mut self.model.deliveries[at];
            one.claimed = true;
            got.insert((one.record, one.revision));
            self.claims.push((at, claim));
        }
        assert_eq!(got, expected, "what is due for {sink}");
        assert_eq!(due.damaged, []);
        if self.claims.len() == got.len() {
            // Nothing else is in anybody's hands, which an engine need not look at.
            assert_eq!(due.next, next, "what is due next for {sink}");
        }
    }

    async fn end(&mut self, nth: usize, how: How, why: bool) {
        let (at, claim) = self.claims.remove(nth);
        let now = self.model.now;
        let state = match how {
            How::Delivered => State::Delivered { at: now },
            How::Retry(ms) => State::Waiting { due_at: now + ms },
            How::Dead => State::Dead {
                at: now,
                reason: DeathReason::Rejected,
            },
        };
        let mut finish = attempt(&claim, state.clone(), now);
        let last = finish.delivery.history.last_mut().expect("just made");
        let (why, text) = if why {
            (Why::Busy, "no answer after 30000 ms")
        } else {
            (Why::Refused, "refused")
        };
        last.rule = "answer".to_owned();
        last.reason = text.to_owned();
        self.before.push(self.model.clone());
        self.outbox.finish(finish).await.expect("taken");
        self.model.end(at, state, why);
    }

    fn sweep(&mut self) {
        let over = self.model.over();
        let swept = sweep(&self.outbox, KEEP, self.model.now);
        assert_eq!(swept.leads, over.len() as u64, "{over:?}");
        let until = self.model.now - KEEP.dead_ms;
        let discarded = self.model.discard(|_, at| at <= until);
        assert_eq!(swept.quarantined, discarded);
        let left: BTreeSet<u8> = self.model.quarantine.iter().map(|one| one.0).collect();
        self.aside.retain(|content, _| left.contains(content));
        if !over.is_empty() || discarded > 0 {
            self.durable();
        }
        over.into_iter().for_each(|record| self.forget(record));
    }

    /// A lead is gone.
    fn forget(&mut self, record: u8) {
        self.model.forget(record);
        // Positions of the others change: claims are found again by what they are.
        let claims = std::mem::take(&mut self.claims);
        self.ids.remove(&record);
        for (_, claim) in claims {
            let at = self.find(&claim.delivery);
            self.claims.push((at, claim));
        }
    }

    fn forget_claims(&mut self) {
        self.claims.clear();
        let all = self.model.deliveries.iter_mut();
        all.for_each(|one| one.claimed = false);
    }

    /// The store stands as the model does, or as it did before some of the last ends of attempts.
    fn crash(&mut self) {
        self.outbox.crash();
        // Ids of one millisecond are in order within one process.
        self.model.now += 1;
        self.forget_claims();
        let now = self.model.now;
        let mut why = self.agree();
        while why.is_err() {
            let Some(before) = self.before.pop() else {
                // It is said what differs from what was durable.
                return;
            };
            self.model = Model {
                now,
                // What else happened since was told to be durable.
                paused: self.model.paused.clone(),
                kept: self.model.kept.clone(),
                ..before
            };
            self.forget_claims();
            why = self.agree();
        }
        // What is lost is lost; what is there was replayed, and may be durable or not.
        self.durable();
    }
}

/// The body of a push.
fn raw(record: u8, content: u8) -> String {
    format!("{record}/{content}")
}

fn found_by(record: u8) -> Find {
    Find::new(FindBy::RecordId, &record.to_string())
}
