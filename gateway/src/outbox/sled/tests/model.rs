//! The machine of accepting, claiming, finishing and repairing against a reference model:
//! random pushes, outcomes, decisions of a person, restarts and a virtual clock. The model
//! says in the plainest way what should be; after every step the store must agree with it.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::config::OnUpdate;
use crate::outbox::{DeathReason, Freshness, Route, State};

/// The sinks of [`super::open`] with their policies.
const SINKS: [(&str, OnUpdate, Option<&str>); 3] = [
    ("crm", OnUpdate::Each, None),
    ("mail", OnUpdate::Supersede, None),
    ("once", OnUpdate::Ignore, Some("mail")),
];

#[derive(Clone, Debug)]
enum Step {
    Push {
        record: u8,
        content: u8,
        modified: Option<i64>,
        sinks: Vec<bool>,
    },
    Claim {
        sink: usize,
    },
    Unclaim {
        nth: usize,
    },
    End {
        nth: usize,
        how: How,
    },
    Retry {
        nth: usize,
        force: bool,
    },
    Cancel {
        nth: usize,
    },
    Erase {
        record: u8,
    },
    Wait {
        ms: i64,
    },
    Restart,
}

#[derive(Clone, Copy, Debug)]
enum How {
    Delivered,
    Retry(i64),
    Dead,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let how = prop_oneof![
        3 => Just(How::Delivered),
        3 => (1_i64..3_000).prop_map(How::Retry),
        2 => Just(How::Dead),
    ];
    let step = prop_oneof![
        8 => (0_u8..3, 0_u8..5, prop::option::of(0_i64..4), prop::collection::vec(any::<bool>(), 3))
            .prop_map(|(record, content, modified, sinks)| Step::Push { record, content, modified, sinks }),
        6 => (0_usize..3).prop_map(|sink| Step::Claim { sink }),
        1 => (0_usize..8).prop_map(|nth| Step::Unclaim { nth }),
        7 => (0_usize..8, how).prop_map(|(nth, how)| Step::End { nth, how }),
        2 => (0_usize..40, any::<bool>()).prop_map(|(nth, force)| Step::Retry { nth, force }),
        2 => (0_usize..40).prop_map(|nth| Step::Cancel { nth }),
        1 => (0_u8..3).prop_map(|record| Step::Erase { record }),
        3 => (1_i64..4_000).prop_map(|ms| Step::Wait { ms }),
        1 => (890_000_i64..910_000).prop_map(|ms| Step::Wait { ms }),
        1 => Just(Step::Restart),
    ];
    prop::collection::vec(step, 1..60)
}

/// One delivery as the model sees it.
#[derive(Clone, Debug)]
struct Expected {
    record: u8,
    revision: u32,
    sink: &'static str,
    state: State,
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
                earlier.state = State::Superseded { at: self.now };
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
                State::Behind
            } else {
                State::Waiting { due_at }
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
        (next.revision > this.revision && next.state == State::Behind).then_some(first)
    }

    fn ended(&mut self, at: usize) {
        if let Some(next) = self.next(at) {
            self.deliveries[next].state = State::Waiting { due_at: self.now };
        }
        let this = self.deliveries[at].clone();
        let fallback = SINKS
            .iter()
            .find(|one| one.0 == this.sink)
            .expect("a sink")
            .2;
        if let (State::Dead { .. }, Some(fallback)) = (&this.state, fallback) {
            self.make(this.record, this.revision, fallback);
        }
    }

    fn end(&mut self, at: usize, state: State) {
        let supersedes = self.deliveries[at].sink == "mail";
        self.deliveries[at].claimed = false;
        self.deliveries[at].attempts += 1;
        self.deliveries[at].state = if state.is_waiting() && supersedes && self.next(at).is_some() {
            State::Superseded { at: self.now }
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
        let superseded = State::Superseded { at: self.now };
        for other in self.line(this.record, this.sink) {
            let (older, newer) = if self.deliveries[other].revision < this.revision {
                (other, at)
            } else {
                (at, other)
            };
            if older != newer
                && matches!(self.deliveries[older].state, State::Dead { .. })
                && matches!(self.deliveries[newer].state, State::Delivered { .. })
            {
                self.deliveries[older].state = superseded.clone();
            }
        }
    }

    fn retry(&mut self, at: usize, force: bool) -> Repaired {
        let this = self.deliveries[at].clone();
        match this.state {
            _ if this.claimed => return Repaired::InFlight,
            State::Behind => return Repaired::Done,
            State::Delivered { .. } | State::Superseded { .. } if !force => return Repaired::Over,
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
                && (other.state.is_waiting() || matches!(other.state, State::Delivered { .. }))
        });
        if newer && !force {
            return Repaired::Newer;
        }
        let behind = others
            .iter()
            .any(|other| other.revision < this.revision && other.state.is_waiting());
        let due_at = self.now;
        self.deliveries[at].state = if behind {
            State::Behind
        } else {
            State::Waiting { due_at }
        };
        Repaired::Done
    }

    fn cancel(&mut self, at: usize) -> Repaired {
        let this = &mut self.deliveries[at];
        if this.claimed {
            return Repaired::InFlight;
        }
        if !this.state.is_waiting() && !matches!(this.state, State::Dead { .. }) {
            return Repaired::Over;
        }
        this.state = State::Cancelled { at: self.now };
        self.ended(at);
        Repaired::Done
    }

    fn due(&self, sink: &str) -> BTreeSet<(u8, u32)> {
        self.deliveries
            .iter()
            .filter(|one| one.sink == sink && !one.claimed)
            .filter(|one| matches!(one.state, State::Waiting { due_at } if due_at <= self.now))
            .map(|one| (one.record, one.revision))
            .collect()
    }
}

/// The store beside the model.
struct Both {
    folder: TempDir,
    outbox: Option<SledOutbox>,
    model: Model,
    claims: Vec<(usize, crate::outbox::Claim)>,
    ids: BTreeMap<u8, LeadId>,
}

impl Both {
    fn outbox(&self) -> &SledOutbox {
        self.outbox.as_ref().expect("open between steps")
    }

    fn find(&self, delivery: &Delivery) -> usize {
        let record = self.ids.iter().find(|(_, id)| **id == delivery.lead);
        let record = *record.expect("a known lead").0;
        let same = |one: &Expected| {
            one.record == record && one.revision == delivery.revision && one.sink == delivery.sink
        };
        self.model
            .deliveries
            .iter()
            .position(same)
            .expect("a known delivery")
    }

    /// The id of the model's delivery.
    fn id(&self, at: usize) -> DeliveryId {
        let expected = &self.model.deliveries[at];
        let lead = self.ids[&expected.record];
        let history = self
            .outbox()
            .history(lead)
            .expect("reads")
            .expect("is there");
        let same = |one: &&Listed| {
            one.delivery.sink == expected.sink && one.delivery.revision == expected.revision
        };
        history.deliveries.iter().find(same).expect("is there").id
    }

    async fn step(&mut self, step: Step) {
        match step {
            Step::Push {
                record,
                content,
                modified,
                sinks,
            } => {
                let mut lead = arrival(u64::from(record), content);
                lead.received_at = self.model.now;
                lead.modified_at = modified;
                lead.routes = sinks
                    .iter()
                    .zip(SINKS)
                    .filter(|(wanted, _)| **wanted)
                    .map(|(_, (sink, _, _))| Route {
                        sink: sink.into(),
                        failed: None,
                    })
                    .collect();
                let accepted = self.outbox().accept(lead).await.expect("accepted");
                let new = self.model.push(record, content, modified, &sinks);
                assert_eq!(new, !matches!(accepted, Accepted::Duplicate { .. }));
                if let Accepted::New { lead, .. } = accepted {
                    self.ids.insert(record, lead);
                }
            }
            Step::Claim { sink } => {
                let name = SINKS[sink].0;
                let due = self
                    .outbox()
                    .claim(name, self.model.now, 100)
                    .expect("reads");
                let expected = self.model.due(name);
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
                    self.model.deliveries[at].claimed = true;
                    let one = &self.model.deliveries[at];
                    got.insert((one.record, one.revision));
                    self.claims.push((at, claim));
                }
                assert_eq!(got, expected, "what is due for {name}");
            }
            Step::Unclaim { nth } if nth < self.claims.len() => {
                let (at, claim) = self.claims.remove(nth);
                self.outbox().unclaim(&claim.delivery.sink, &[claim.id]);
                self.model.deliveries[at].claimed = false;
            }
            Step::End { nth, how } if nth < self.claims.len() => {
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
                let finish = attempt(&claim, state.clone(), now);
                self.outbox().finish(finish).await.expect("taken");
                self.model.end(at, state);
            }
            Step::Retry { nth, force } if nth < self.model.deliveries.len() => {
                let repair = Repair::Retry { force };
                let done = self
                    .outbox()
                    .repair(self.id(nth), repair, self.model.now)
                    .await;
                assert_eq!(done, Ok(self.model.retry(nth, force)));
            }
            Step::Cancel { nth } if nth < self.model.deliveries.len() => {
                let done = self
                    .outbox()
                    .repair(self.id(nth), Repair::Cancel, self.model.now)
                    .await;
                assert_eq!(done, Ok(self.model.cancel(nth)));
            }
            Step::Erase { record } => {
                let Some(lead) = self.ids.get(&record) else {
                    return;
                };
                let gone = self.outbox().erase(*lead).await.expect("taken");
                let busy = self
                    .model
                    .deliveries
                    .iter()
                    .any(|one| one.record == record && one.claimed);
                assert_eq!(gone, !busy);
                if gone {
                    self.ids.remove(&record);
                    self.model.leads.remove(&record);
                    self.model.modified.remove(&record);
                    // Positions of the others change: claims are found again by what they are.
                    self.model.deliveries.retain(|one| one.record != record);
                    let claims = std::mem::take(&mut self.claims);
                    for (_, claim) in claims {
                        let at = self.find(&claim.delivery);
                        self.claims.push((at, claim));
                    }
                }
            }
            Step::Wait { ms } => self.model.now += ms,
            Step::Restart => {
                let outbox = self.outbox.take().expect("open between steps");
                close(outbox);
                self.outbox = Some(open(&self.folder));
                self.claims.clear();
                self.model
                    .deliveries
                    .iter_mut()
                    .for_each(|one| one.claimed = false);
            }
            Step::Unclaim { .. } | Step::End { .. } | Step::Retry { .. } | Step::Cancel { .. } => {}
        }
        self.agree();
    }

    /// Every lead, delivery, state and count is as the model says.
    fn agree(&self) {
        let outbox = self.outbox();
        let mut seen = 0;
        for (record, lead) in &self.ids {
            let history = outbox.history(*lead).expect("reads").expect("is there");
            assert_eq!(history.revisions.len(), self.model.leads[record].len());
            for one in &history.deliveries {
                let expected = &self.model.deliveries[self.find(&one.delivery)];
                assert_eq!(one.delivery.state, expected.state, "{expected:?}");
                assert_eq!(one.delivery.attempts, expected.attempts);
                seen += 1;
            }
        }
        assert_eq!(seen, self.model.deliveries.len());
        let totals = outbox.totals();
        assert_eq!(totals.leads, self.ids.len() as u64);
        for (sink, _, _) in SINKS {
            let of = |what: &dyn Fn(&Expected) -> bool| {
                let all = self.model.deliveries.iter().filter(|one| one.sink == sink);
                all.filter(|one| what(one)).count() as u64
            };
            let counts = totals.sinks.get(sink).cloned().unwrap_or_default();
            assert_eq!(counts.waiting, of(&|one| one.state.is_waiting()), "{sink}");
            assert_eq!(
                counts.behind,
                of(&|one| one.state == State::Behind),
                "{sink}"
            );
            let retrying =
                |one: &Expected| matches!(one.state, State::Waiting { .. }) && one.attempts > 0;
            assert_eq!(counts.retrying, of(&retrying), "{sink}");
            let dead = |one: &Expected| matches!(one.state, State::Dead { .. });
            assert_eq!(counts.dead_letters(), of(&dead), "{sink}");
        }
        for record in self.model.leads.keys() {
            for (sink, on_update, _) in SINKS {
                let started =
                    self.model.line(*record, sink).into_iter().filter(|at| {
                        matches!(self.model.deliveries[*at].state, State::Waiting { .. })
                    });
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

/// Takes the steps on a new store, and gives it as it is closed then.
fn taken(steps: Vec<Step>) -> TempDir {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let outbox = open(&folder);
    let mut both = Both {
        folder,
        outbox: Some(outbox),
        model: Model {
            now: 1_000_000,
            ..Model::default()
        },
        claims: Vec::new(),
        ids: BTreeMap::new(),
    };
    runtime.block_on(async {
        for step in steps {
            both.step(step).await;
        }
    });
    close(both.outbox.take().expect("open"));
    both.folder
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]
    #[test]
    fn the_store_does_what_the_model_says(steps in steps()) {
        taken(steps);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, ..ProptestConfig::default() })]
    #[test]
    fn whatever_happened_a_store_is_sound_and_salvaged_whole(steps in steps()) {
        let folder = taken(steps);
        let store = folder.path().join("store");
        let verdict = super::damage::sound(&store, &[]);
        let to = folder.path().join("saved");
        let saved = salvage(&store, &to, &[]).expect("salvages");
        prop_assert_eq!((saved.lost, saved.missing_leads), (0, Some(0)), "{:?}", saved.losses);
        prop_assert_eq!(super::damage::sound(&to, &[]), verdict);
    }
}
