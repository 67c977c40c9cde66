//! The machine of accepting, finishing, repairing and removing against a reference model: random
//! commits of pushes and ends of attempts, decisions of a person, crashes and a virtual clock.
//! The model says in the plainest way what should be; after every step the store must agree with
//! it, and with what [`super::Store::check`] says of any store.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

/// What is done in a commit together with others.
#[derive(Clone, Debug)]
enum Act {
    Push {
        record: u8,
        content: u8,
        modified: Option<i64>,
        sinks: Vec<bool>,
    },
    End {
        nth: usize,
        how: How,
    },
    /// A push that changes other deliveries before it fails.
    Fail {
        record: u8,
        content: u8,
    },
}

#[derive(Clone, Debug)]
enum Step {
    Commit(Vec<Act>),
    Claim { sink: usize },
    Unclaim { nth: usize },
    Retry { nth: usize, force: bool },
    Cancel { nth: usize },
    Erase { record: u8 },
    Wait { ms: i64 },
    Crash,
}

#[derive(Clone, Copy, Debug)]
enum How {
    Delivered,
    Retry(i64),
    Dead,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let how = prop_oneof![
        3 => Just(How::Delivered),
        3 => (1_i64..3_000).prop_map(How::Retry),
        2 => Just(How::Dead),
    ];
    let act = prop_oneof![
        8 => (0_u8..3, 0_u8..5, prop::option::of(0_i64..4), prop::collection::vec(any::<bool>(), 3))
            .prop_map(|(record, content, modified, sinks)| Act::Push { record, content, modified, sinks }),
        7 => (0_usize..8, how).prop_map(|(nth, how)| Act::End { nth, how }),
        1 => (0_u8..3, 100_u8..250).prop_map(|(record, content)| Act::Fail { record, content }),
    ];
    prop::collection::vec(act, 1..4)
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        14 => acts().prop_map(Step::Commit),
        7 => (0_usize..3).prop_map(|sink| Step::Claim { sink }),
        1 => (0_usize..8).prop_map(|nth| Step::Unclaim { nth }),
        2 => (0_usize..40, any::<bool>()).prop_map(|(nth, force)| Step::Retry { nth, force }),
        2 => (0_usize..40).prop_map(|nth| Step::Cancel { nth }),
        1 => (0_u8..3).prop_map(|record| Step::Erase { record }),
        3 => (1_i64..4_000).prop_map(|ms| Step::Wait { ms }),
        1 => (890_000_i64..910_000).prop_map(|ms| Step::Wait { ms }),
        1 => Just(Step::Crash),
    ];
    prop::collection::vec(step, 1..60)
}

/// One delivery as the model sees it.
#[derive(Clone, Debug)]
struct Expected {
    record: u8,
    revision: u32,
    sink: &'static str,
    state: Stands,
    attempts: u32,
    claimed: bool,
}

/// One revision as the model sees it.
#[derive(Clone, Copy, Debug)]
struct Pushed {
    content: u8,
    history: bool,
    last_at: i64,
}

#[derive(Default)]
struct Model {
    now: i64,
    /// Revisions by record.
    leads: BTreeMap<u8, Vec<Pushed>>,
    modified: BTreeMap<u8, Option<i64>>,
    deliveries: Vec<Expected>,
}

impl Model {
    fn line(&self, record: u8, sink: &str) -> Vec<usize> {
        let mut line: Vec<usize> = (0..self.deliveries.len())
            .filter(|at| self.deliveries[*at].record == record && self.deliveries[*at].sink == sink)
            .collect();
        line.sort_by_key(|at| self.deliveries[*at].revision);
        line
    }

    fn push(&mut self, record: u8, content: u8, modified: Option<i64>, sinks: &[bool]) -> bool {
        let revisions = self.leads.entry(record).or_default();
        let current = revisions.iter().rposition(|one| !one.history);
        let now = self.now;
        if let Some(same) = revisions.iter().rposition(|one| one.content == content) {
            let lately = now - revisions[same].last_at <= 15 * 60_000;
            if modified.is_some() || lately || current == Some(same) {
                revisions[same].last_at = now;
                let newest = self.modified.get(&record).copied().flatten();
                let older =
                    matches!((modified, newest), (Some(this), Some(newest)) if this < newest);
                // Known, and no sink ever wanted the lead: routed again.
                if older || self.deliveries.iter().any(|one| one.record == record) {
                    return false;
                }
                let revision = u32::try_from(same + 1).expect("few");
                for (wanted, (sink, _, _)) in sinks.iter().zip(SINKS) {
                    if *wanted {
                        self.make(record, revision, sink);
                    }
                }
                return sinks.contains(&true);
            }
        }
        let newest = self.modified.entry(record).or_default();
        let history = matches!((modified, *newest), (Some(this), Some(newest)) if this < newest);
        revisions.push(Pushed {
            content,
            history,
            last_at: now,
        });
        let revision = u32::try_from(revisions.len()).expect("few");
        *newest = (*newest).max(modified);
        if !history {
            for (wanted, (sink, _, _)) in sinks.iter().zip(SINKS) {
                if *wanted {
                    self.make(record, revision, sink);
                }
            }
        }
        true
    }

    fn make(&mut self, record: u8, revision: u32, sink: &'static str) {
        let on_update = SINKS.iter().find(|one| one.0 == sink).expect("a sink").1;
        let line = self.line(record, sink);
        let again = line
            .iter()
            .any(|at| self.deliveries[*at].revision == revision);
        if again || (on_update == OnUpdate::Ignore && !line.is_empty()) {
            return;
        }
        let mut behind = false;
        for at in line {
            let earlier = &mut self.deliveries[at];
            if earlier.revision > revision || !earlier.state.is_waiting() {
                continue;
            }
            if on_update == OnUpdate::Supersede && !earlier.claimed {
                earlier.state = Stands::Superseded { at: self.now };
            } else {
                behind = true;
            }
        }
        let due_at = self.now;
        self.deliveries.push(Expected {
            record,
            revision,
            sink,
            state: if behind {
                Stands::Behind
            } else {
                Stands::Waiting { due_at }
            },
            attempts: 0,
            claimed: false,
        });
    }

    /// The next in line, if the one at `at` is the only one it waits for.
    fn next(&self, at: usize) -> Option<usize> {
        let this = &self.deliveries[at];
        let line = self.line(this.record, this.sink);
        let mut waiting = line
            .into_iter()
            .filter(|other| *other != at && self.deliveries[*other].state.is_waiting());
        let first = waiting.next()?;
        let next = &self.deliveries[first];
        (next.revision > this.revision && next.state == Stands::Behind).then_some(first)
    }

    fn ended(&mut self, at: usize) {
        if let Some(next) = self.next(at) {
            self.deliveries[next].state = Stands::Waiting { due_at: self.now };
        }
        let this = self.deliveries[at].clone();
        let fallback = SINKS
            .iter()
            .find(|one| one.0 == this.sink)
            .expect("a sink")
            .2;
        if let (Stands::Dead { .. }, Some(fallback)) = (&this.state, fallback) {
            self.make(this.record, this.revision, fallback);
        }
    }

    fn end(&mut self, at: usize, state: Stands) {
        let supersedes = self.deliveries[at].sink == "mail";
        self.deliveries[at].attempts += 1;
        self.deliveries[at].state = if state.is_waiting() && supersedes && self.next(at).is_some() {
            Stands::Superseded { at: self.now }
        } else {
            state
        };
        if self.deliveries[at].sink == "mail" {
            self.settle(at);
        }
        if !self.deliveries[at].state.is_waiting() {
            self.ended(at);
        }
    }

    /// A dead letter and a newer revision that was delivered.
    fn settle(&mut self, at: usize) {
        let this = self.deliveries[at].clone();
        let superseded = Stands::Superseded { at: self.now };
        for other in self.line(this.record, this.sink) {
            let (older, newer) = if self.deliveries[other].revision < this.revision {
                (other, at)
            } else {
                (at, other)
            };
            if older != newer
                && matches!(self.deliveries[older].state, Stands::Dead { .. })
                && matches!(self.deliveries[newer].state, Stands::Delivered { .. })
            {
                self.deliveries[older].state = superseded.clone();
            }
        }
    }

    fn retry(&mut self, at: usize, force: bool) -> Repaired {
        let this = self.deliveries[at].clone();
        match this.state {
            _ if this.claimed => return Repaired::InFlight,
            Stands::Behind => return Repaired::Done,
            Stands::Delivered { .. } | Stands::Superseded { .. } if !force => {
                return Repaired::Over;
            }
            _ => {}
        }
        let others: Vec<Expected> = self
            .line(this.record, this.sink)
            .into_iter()
            .filter(|other| *other != at)
            .map(|other| self.deliveries[other].clone())
            .collect();
        let newer = others.iter().any(|other| {
            other.revision > this.revision
                && (other.state.is_waiting() || matches!(other.state, Stands::Delivered { .. }))
        });
        if newer && !force {
            return Repaired::Newer;
        }
        let behind = others
            .iter()
            .any(|other| other.revision < this.revision && other.state.is_waiting());
        let due_at = self.now;
        self.deliveries[at].state = if behind {
            Stands::Behind
        } else {
            Stands::Waiting { due_at }
        };
        Repaired::Done
    }

    fn cancel(&mut self, at: usize) -> Repaired {
        let this = &mut self.deliveries[at];
        if this.claimed {
            return Repaired::InFlight;
        }
        if !this.state.is_waiting() && !matches!(this.state, Stands::Dead { .. }) {
            return Repaired::Over;
        }
        this.state = Stands::Cancelled { at: self.now };
        self.ended(at);
        Repaired::Done
    }

    fn due(&self, sink: &str) -> BTreeSet<(u8, u32)> {
        self.deliveries
            .iter()
            .filter(|one| one.sink == sink && !one.claimed)
            .filter(|one| matches!(one.state, Stands::Waiting { due_at } if due_at <= self.now))
            .map(|one| (one.record, one.revision))
            .collect()
    }
}

/// A claimed delivery: where the model has it, whose it is, and how it was then.
struct Claimed {
    at: usize,
    lead: LeadId,
    head: DeliveryHead,
}

/// The store beside the model.
struct Both {
    store: Store,
    model: Model,
    claims: Vec<Claimed>,
    ids: BTreeMap<u8, LeadId>,
}

impl Both {
    /// Where the model has a delivery.
    fn find(&self, lead: LeadId, head: &DeliveryHead) -> usize {
        let record = self.ids.iter().find(|(_, id)| **id == lead);
        let record = *record.expect("a known lead").0;
        let same = |one: &Expected| {
            one.record == record && one.revision == head.revision && one.sink == head.sink
        };
        let at = self.model.deliveries.iter().position(same);
        at.expect("a known delivery")
    }

    /// The id of the model's delivery.
    fn id(&self, at: usize) -> DeliveryId {
        let expected = &self.model.deliveries[at];
        let lead = self.ids[&expected.record];
        self.store.head(lead, expected.sink, expected.revision).id
    }

    fn step(&mut self, step: Step) {
        let now = self.model.now;
        match step {
            Step::Commit(acts) => self.commit(acts),
            Step::Claim { sink } => self.claim(SINKS[sink].0),
            Step::Unclaim { nth } if nth < self.claims.len() => {
                let claimed = self.claims.remove(nth);
                self.store.hands.unclaim(&[claimed.head.id]);
                self.model.deliveries[claimed.at].claimed = false;
            }
            Step::Retry { nth, force } if nth < self.model.deliveries.len() => {
                let done = self
                    .store
                    .repair(self.id(nth), Repair::Retry { force }, now);
                assert_eq!(done, self.model.retry(nth, force));
            }
            Step::Cancel { nth } if nth < self.model.deliveries.len() => {
                let done = self.store.repair(self.id(nth), Repair::Cancel, now);
                assert_eq!(done, self.model.cancel(nth));
            }
            Step::Erase { record } => self.erase(record),
            Step::Wait { ms } => self.model.now += ms,
            Step::Crash => {
                self.store.memory = Memory::default();
                self.store.memory.apply(&self.store.log);
                self.store.hands.forget();
                self.claims.clear();
                let all = self.model.deliveries.iter_mut();
                all.for_each(|one| one.claimed = false);
            }
            Step::Unclaim { .. } | Step::Retry { .. } | Step::Cancel { .. } => {}
        }
        self.agree();
    }

    fn commit(&mut self, acts: Vec<Act>) {
        let now = self.model.now;
        let mut changes = Vec::new();
        // What each answers: whether a push brought something, and of which record.
        let mut expected = Vec::new();
        let mut ended = Vec::new();
        for act in acts {
            match act {
                Act::Push {
                    record,
                    content,
                    modified,
                    sinks,
                } => {
                    let routed = sinks.iter().zip(SINKS).filter(|(wanted, _)| **wanted);
                    let routed: Vec<&str> = routed.map(|(_, (sink, _, _))| sink).collect();
                    changes.push(Change::Accept(NewLead {
                        modified_at: modified,
                        ..at(now, push(u64::from(record), content, &routed))
                    }));
                    let new = self.model.push(record, content, modified, &sinks);
                    expected.push(Some((record, Some(new))));
                }
                Act::End { nth, how } if nth < self.claims.len() => {
                    let Claimed { at, lead, head } = self.claims.remove(nth);
                    let state = match how {
                        How::Delivered => Stands::Delivered { at: now },
                        How::Retry(ms) => Stands::Waiting { due_at: now + ms },
                        How::Dead => Stands::Dead {
                            at: now,
                            reason: DeathReason::Rejected,
                        },
                    };
                    let finish = self.store.attempt(lead, &head, state.clone(), now);
                    changes.push(Change::Finish(finish));
                    self.model.end(at, state);
                    ended.push(at);
                    expected.push(None);
                }
                Act::End { .. } => {}
                Act::Fail { record, content } => {
                    let sinks = ["mail", "crm", "nobody"];
                    let push = push(u64::from(record), content, &sinks);
                    changes.push(Change::Accept(at(now, push)));
                    expected.push(Some((record, None)));
                }
            }
        }
        let done = self.store.commit(&changes);
        for at in ended {
            self.model.deliveries[at].claimed = false;
        }
        for (done, expected) in done.into_iter().zip(expected) {
            match (done, expected) {
                (Ok(Done::Accepted(accepted)), Some((record, Some(new)))) => {
                    assert_eq!(new, !matches!(accepted, Accepted::Duplicate { .. }));
                    if let Accepted::New { lead, .. } = accepted {
                        self.ids.insert(record, lead);
                    }
                }
                (Ok(Done::Noted), None) | (Err(Fault::Sink(_)), Some((_, None))) => {}
                (done, expected) => panic!("{done:?}, not {expected:?}"),
            }
        }
    }

    fn claim(&mut self, sink: &str) {
        let now = self.model.now;
        let expected = self.model.due(sink);
        let mut got = BTreeSet::new();
        let mut due = Vec::new();
        for (id, lead) in &self.store.memory.leads {
            for head in lead.deliveries.iter().filter(|head| head.sink == sink) {
                let is_due = matches!(head.state, Stands::Waiting { due_at } if due_at <= now);
                if is_due && self.store.hands.claim(head.id) {
                    due.push((*id, head.clone()));
                }
            }
        }
        for (lead, head) in due {
            let at = self.find(lead, &head);
            let one = &mut self.model.deliveries[at];
            one.claimed = true;
            got.insert((one.record, one.revision));
            self.claims.push(Claimed { at, lead, head });
        }
        assert_eq!(got, expected, "what is due for {sink}");
    }

    fn erase(&mut self, record: u8) {
        let Some(lead) = self.ids.get(&record) else {
            return;
        };
        let done = self.store.one(Change::Erase((*lead).into()));
        let mut of_lead = self
            .model
            .deliveries
            .iter()
            .filter(|one| one.record == record);
        let busy = of_lead.any(|one| one.claimed);
        let erased = done.erased();
        let named = if busy {
            &erased.in_flight
        } else {
            &erased.leads
        };
        assert_eq!(named, &[*lead]);
        assert_eq!(erased.leads.len() + erased.in_flight.len(), 1);
        if !busy {
            self.ids.remove(&record);
            self.model.leads.remove(&record);
            self.model.modified.remove(&record);
            // Positions of the others change: claims are found again by what they are.
            self.model.deliveries.retain(|one| one.record != record);
            for mut claimed in std::mem::take(&mut self.claims) {
                claimed.at = self.find(claimed.lead, &claimed.head);
                self.claims.push(claimed);
            }
        }
    }

    /// Every lead, delivery, state and count is as the model says.
    fn agree(&self) {
        let mut seen = 0;
        assert_eq!(self.store.memory.leads.len(), self.ids.len());
        for (record, id) in &self.ids {
            let lead = &self.store.memory.leads[id];
            let expected: Vec<(u8, bool)> = self.model.leads[record]
                .iter()
                .map(|one| (one.content, one.history))
                .collect();
            let stored = lead
                .revisions
                .iter()
                .map(|one| (one.content[0], one.history));
            assert_eq!(stored.collect::<Vec<_>>(), expected);
            for head in &lead.deliveries {
                let expected = &self.model.deliveries[self.find(*id, head)];
                assert_eq!(head.state, expected.state, "{expected:?}");
                assert_eq!(head.attempts, expected.attempts);
                assert_eq!(self.store.hands.is_claimed(head.id), expected.claimed);
                assert!(
                    !self.store.hands.is_reserved(head.id),
                    "no commit is under way"
                );
                seen += 1;
            }
        }
        assert_eq!(seen, self.model.deliveries.len());
        for record in self.model.leads.keys() {
            for (sink, on_update, _) in SINKS {
                let waits =
                    |at: &usize| matches!(self.model.deliveries[*at].state, Stands::Waiting { .. });
                let started = self.model.line(*record, sink).into_iter().filter(waits);
                if on_update == OnUpdate::Ignore {
                    assert!(
                        started.count() <= 1,
                        "one lead is on its way to {sink} once"
                    );
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]
    #[test]
    fn the_store_does_what_the_model_says(steps in steps()) {
        let mut both = Both {
            store: Store::new(),
            model: Model { now: 1_000_000, ..Model::default() },
            claims: Vec::new(),
            ids: BTreeMap::new(),
        };
        for step in steps {
            both.step(step);
        }
    }
}
