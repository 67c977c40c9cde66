//! Bulk jobs: their life, what a step does to each kind of target, and against a model that
//! nothing is done twice and nothing left out, whatever is repeated, lost or stopped.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

const RELEASE: BulkAction = BulkAction::Release { force: false };

fn plan(action: BulkAction) -> BulkPlan {
    BulkPlan {
        by: "Wang".to_owned(),
        note: "the field was renamed".to_owned(),
        action,
        over: Population::Deliveries(Filter::default()),
        when: None,
        rate: 10,
        count: Count::AtLeast(1),
    }
}

fn step(from: Option<&str>, targets: Vec<Target<NewLead>>, to: Option<&str>) -> JobStep<NewLead> {
    JobStep {
        from: from.map(str::to_owned),
        targets,
        skipped: Vec::new(),
        to: to.map(str::to_owned),
    }
}

impl Store {
    fn planned(&mut self, action: BulkAction) -> JobId {
        let plan = plan(action);
        let done = self.one(Change::PlanJob { plan, now: 7_000 });
        done.planned().expect("there is room")
    }

    fn started(&mut self, action: BulkAction) -> JobId {
        let id = self.planned(action);
        assert_eq!(self.start(id), Steered::Done);
        id
    }

    fn start(&mut self, id: JobId) -> Steered {
        self.one(Change::StartJob { id, now: 8_000 }).steered()
    }

    fn stop(&mut self, id: JobId) -> Steered {
        let (why, now) = (Stop::Person, 9_000);
        self.one(Change::CancelJob { id, why, now }).steered()
    }

    fn step(&mut self, id: JobId, step: JobStep<NewLead>) -> Stepped {
        let now = 8_500;
        self.one(Change::StepJob { id, step, now }).stepped()
    }

    /// All of it in one step.
    fn all(&mut self, action: BulkAction, targets: Vec<Target<NewLead>>) -> BulkJob {
        let id = self.started(action);
        let made = self.step(id, step(None, targets, None));
        assert!(matches!(made, Stepped::Made { .. }));
        self.memory.jobs[&id].clone()
    }

    /// A dead letter for the crm.
    fn dead(&mut self, record: u64) -> (LeadId, DeliveryId) {
        let lead = self.new_lead(push(record, 1, &["crm"]));
        self.end(lead, "crm", 1, DEAD);
        (lead, self.head(lead, "crm", 1).id)
    }
}

/// A step that releases nothing.
fn made(done: u64) -> Stepped {
    let released = Vec::new();
    Stepped::Made { done, released }
}

fn skips(job: &BulkJob) -> Vec<Skip> {
    job.skips.iter().map(|one| one.why).collect()
}

fn deliveries(ids: &[DeliveryId]) -> Vec<Target<NewLead>> {
    ids.iter().map(|id| Target::Delivery(*id)).collect()
}

#[test]
fn a_job_is_planned_started_stopped_started_again_and_done() {
    let mut store = Store::new();
    let ids: Vec<DeliveryId> = (0..3).map(|record| store.dead(record).1).collect();
    let id = store.planned(BulkAction::Retry);
    let first = step(None, deliveries(&ids[..1]), Some("1"));
    assert_eq!(store.step(id, first.clone()), Stepped::Stopped, "planned");
    assert_eq!(store.sink("crm").dead_letters(), 3);
    assert_eq!(store.start(id), Steered::Done);
    assert_eq!(store.start(id), Steered::Done, "it runs already");
    assert_eq!(store.step(id, first), made(1));
    assert_eq!(store.stop(id), Steered::Done);
    assert_eq!(store.stop(id), Steered::Done, "the first time counts");
    assert_eq!(
        store.memory.jobs[&id].state,
        JobState::Cancelled {
            at: 9_000,
            why: Stop::Person
        }
    );
    let second = step(Some("1"), deliveries(&ids[1..]), None);
    assert_eq!(store.step(id, second.clone()), Stepped::Stopped);
    assert_eq!(store.sink("crm").dead_letters(), 2);
    assert_eq!(store.start(id), Steered::Done);
    assert_eq!(store.step(id, second), made(2));
    let job = &store.memory.jobs[&id];
    assert_eq!(
        (job.state, job.done, job.seen(), job.started_at),
        (JobState::Done { at: 8_500 }, 3, 3, Some(8_000))
    );
    assert_eq!(
        (store.start(id), store.stop(id)),
        (Steered::Over, Steered::Over)
    );
    let unknown = JobId(uuid::Uuid::nil());
    assert_eq!(store.start(unknown), Steered::Unknown);
    assert_eq!(store.stop(unknown), Steered::Unknown);
    let nothing = step(None, Vec::new(), None);
    assert_eq!(store.step(unknown, nothing), Stepped::Stopped);
}

#[test]
fn a_step_is_made_once_also_within_one_commit() {
    let mut store = Store::new();
    let (lead, delivery) = store.dead(1);
    let id = store.started(BulkAction::Retry);
    let one = step(None, deliveries(&[delivery]), Some("1"));
    let change = |now| Change::StepJob {
        id,
        step: one.clone(),
        now,
    };
    let done = store.commit(&[change(8_500), change(8_600)]);
    let done: Vec<_> = done.into_iter().map(|one| one.expect("made")).collect();
    assert_eq!(
        done,
        [Done::Stepped(made(1)), Done::Stepped(Stepped::Stopped)]
    );
    assert_eq!(
        store.state(lead, "crm", 1),
        Stands::Waiting { due_at: 8_500 }
    );
    assert_eq!(store.memory.jobs[&id].done, 1);
}

#[test]
fn what_cannot_be_done_is_skipped_with_the_reason_and_keeps_no_other() {
    let mut store = Store::new();
    let (_, dead) = store.dead(1);
    let (_, delivered) = {
        let lead = store.new_lead(push(2, 1, &["crm"]));
        store.end(lead, "crm", 1, DELIVERED);
        (lead, store.head(lead, "crm", 1).id)
    };
    let busy = store.new_lead(push(3, 1, &["crm"]));
    let busy = store.claim(busy, "crm", 1).id;
    let (damaged, unread) = store.dead(4);
    let (last, also) = store.dead(5);
    store.memory.damaged.insert(damaged);
    let gone = DeliveryId(uuid::Uuid::nil());
    let id = store.started(BulkAction::Retry);
    let mut all = step(
        None,
        deliveries(&[dead, delivered, busy, unread, gone, also]),
        None,
    );
    all.targets.push(Target::Lead(last));
    all.skipped.push(Skipped {
        id: uuid::Uuid::max(),
        why: Skip::Condition,
    });
    assert_eq!(store.step(id, all), made(2));
    let job = &store.memory.jobs[&id];
    assert_eq!(
        skips(job),
        [
            Skip::Condition,
            Skip::Over,
            Skip::InFlight,
            Skip::Damaged,
            Skip::Gone,
            Skip::Unfit
        ]
    );
    assert_eq!(job.skips[3].id, unread.0);
    assert_eq!((job.done, job.seen()), (2, 8));
    assert_eq!(store.sink("crm").dead_letters(), 1, "the damaged one");
}

#[test]
fn a_target_that_fails_half_way_is_left_as_it_was() {
    let mut store = Store::new();
    let id = store.started(RELEASE);
    let aside = quarantined(&mut store);
    // Taken out of quarantine, and a delivery made, before it fails.
    let wrong = push(9, 1, &["crm", "nowhere"]);
    let one = step(None, vec![Target::Read(aside, wrong)], Some("1"));
    assert_eq!(store.step(id, one), made(0));
    assert_eq!(skips(&store.memory.jobs[&id]), [Skip::Damaged]);
    assert!(store.memory.quarantine.contains_key(&aside), "as it was");
    assert_eq!(
        (store.memory.leads.len(), store.sink("crm").waiting),
        (0, 0)
    );
    let right = push(9, 1, &["crm"]);
    let one = step(Some("1"), vec![Target::Read(aside, right)], None);
    let made = store.step(id, one);
    let lead = *store.memory.leads.keys().next().expect("a lead");
    let released = vec![(aside, lead)];
    assert_eq!(made, Stepped::Made { done: 1, released });
    assert_eq!(
        (store.memory.leads.len(), store.sink("crm").waiting),
        (1, 1)
    );
}

fn quarantined(store: &mut Store) -> crate::outbox::QuarantineId {
    let push = NewQuarantined {
        source: "shop".into(),
        tags: [tag(0xe0, 1), tag(0xe1, 1)],
        size: 1,
        received_at: 1_000,
        ceiling: crate::config::Ceiling {
            max_entries: 9,
            max_bytes: 9,
        },
        body: Bytes::new(),
    };
    match store.one(Change::Quarantine(push)).quarantined() {
        crate::outbox::Quarantined::New(id) => id,
        other => panic!("{other:?}"),
    }
}

#[test]
fn skips_are_listed_up_to_a_limit_and_counted_beyond() {
    let mut store = Store::new();
    let id = store.started(BulkAction::Retry);
    let gone = vec![DeliveryId(uuid::Uuid::nil()); SKIPS_LISTED + 7];
    store.step(id, step(None, deliveries(&gone), None));
    let job = &store.memory.jobs[&id];
    assert_eq!(job.skips.len(), SKIPS_LISTED);
    assert_eq!(job.skipped[&Skip::Gone], SKIPS_LISTED as u64 + 7);
}

#[test]
fn so_many_jobs_are_kept_and_what_runs_never_goes() {
    let mut store = Store::new();
    let running = store.started(BulkAction::Retry);
    let stopped = store.planned(BulkAction::Retry);
    store.stop(stopped);
    let oldest = store.planned(BulkAction::Retry);
    for _ in 3..JOBS_KEPT {
        store.planned(BulkAction::Cancel);
    }
    assert_eq!(store.memory.jobs.len(), JOBS_KEPT);
    store.planned(BulkAction::Cancel);
    assert!(!store.memory.jobs.contains_key(&stopped), "it is over");
    store.planned(BulkAction::Cancel);
    assert!(!store.memory.jobs.contains_key(&oldest), "it never ran");
    assert!(store.memory.jobs.contains_key(&running));
    let all: Vec<JobId> = store.memory.jobs.keys().copied().collect();
    for id in all {
        store.start(id);
    }
    let plan = plan(BulkAction::Retry);
    let full = store.one(Change::PlanJob { plan, now: 1 });
    assert_eq!(full.planned(), None);
}

#[test]
fn what_is_done_by_hand_counts_as_delivered_and_says_by_whom() {
    let mut store = Store::new();
    let (lead, dead) = store.dead(1);
    let waiting = store.new_lead(push(2, 1, &["crm"]));
    let waits = store.head(waiting, "crm", 1).id;
    // The next revision goes on.
    store.accept(push(2, 2, &["crm"]));
    let job = store.all(BulkAction::Done, deliveries(&[dead, waits, dead]));
    assert_eq!((job.done, skips(&job)), (2, vec![Skip::Over]));
    assert_eq!(store.state(lead, "crm", 1), Stands::Delivered { at: 8_500 });
    assert_eq!(
        store.state(waiting, "crm", 2),
        Stands::Waiting { due_at: 8_500 }
    );
    assert_eq!(store.sink("crm").delivered, 2);
    let history = &store.memory.details[&dead].history;
    let last = history.last().expect("it is recorded");
    assert_eq!(history.len(), 2);
    assert_eq!(
        (&*last.rule, &*last.reason, &*last.receipt),
        (BY_HAND, "the field was renamed", "Wang")
    );
}

#[test]
fn a_replay_gives_the_newest_revision_to_a_sink_behind_what_is_fresh() {
    let mut store = Store::new();
    let lead = store.new_lead(push(1, 1, &["crm"]));
    store.accept(push(1, 2, &["crm"]));
    let replay = |again| BulkAction::Replay {
        to: "mail".to_owned(),
        again,
    };
    let job = store.all(replay(false), vec![Target::Lead(lead)]);
    assert_eq!(job.done, 1);
    let head = store.head(lead, "mail", 2);
    assert_eq!(head.state, Stands::Waiting { due_at: 8_500 });
    assert_eq!(head.freshness(), crate::outbox::Freshness::Again);
    assert_eq!(store.memory.leads[&lead].deliveries.len(), 3);
    assert_eq!(store.wake, ["mail"]);
    let job = store.all(replay(true), vec![Target::Lead(lead)]);
    assert_eq!(skips(&job), [Skip::Waiting]);
    store.end(lead, "mail", 2, DELIVERED);
    let job = store.all(replay(false), vec![Target::Lead(lead)]);
    assert_eq!(skips(&job), [Skip::Over]);
    let job = store.all(replay(true), vec![Target::Lead(lead)]);
    assert_eq!((job.done, skips(&job)), (1, vec![]));
    assert_eq!(
        store.state(lead, "mail", 2),
        Stands::Waiting { due_at: 8_500 }
    );
    store.end(lead, "mail", 2, DEAD);
    let job = store.all(replay(false), vec![Target::Lead(lead)]);
    assert_eq!(job.done, 1, "a dead letter was not delivered");
    let unknown = LeadId(uuid::Uuid::nil());
    let job = store.all(replay(false), vec![Target::Lead(unknown)]);
    assert_eq!(skips(&job), [Skip::Gone]);
}

#[test]
fn a_job_whose_sink_is_gone_is_cancelled_where_it_is() {
    let mut store = Store::new();
    let lead = store.new_lead(push(1, 1, &["crm"]));
    let to = || "gone".to_owned();
    let replay = BulkAction::Replay {
        to: to(),
        again: false,
    };
    for action in [replay, BulkAction::Move { to: to() }] {
        let id = store.started(action);
        let all = step(None, vec![Target::Lead(lead)], None);
        assert_eq!(store.step(id, all.clone()), Stepped::NoSink);
        let job = store.memory.jobs[&id].clone();
        let why = Stop::NoSink;
        assert_eq!(job.state, JobState::Cancelled { at: 8_500, why });
        assert_eq!((job.seen(), job.cursor), (0, None));
        assert_eq!(store.step(id, all), Stepped::Stopped);
        assert_eq!(
            store.start(id),
            Steered::Done,
            "it goes on if a person wants"
        );
    }
}

#[test]
fn a_replay_never_goes_back_behind_what_the_sink_has() {
    let mut store = Store::new();
    let lead = store.new_lead(modified(9, push(1, 1, &["once"])));
    // Older than what is known: history.
    store.accept(modified(3, push(1, 2, &["once"])));
    let to = |to: &str| BulkAction::Replay {
        to: to.to_owned(),
        again: false,
    };
    let job = store.all(to("crm"), vec![Target::Lead(lead)]);
    assert_eq!(job.done, 1);
    store.head(lead, "crm", 1);
    store.accept(modified(10, push(1, 3, &[])));
    let job = store.all(to("once"), vec![Target::Lead(lead)]);
    assert_eq!(skips(&job), [Skip::Over], "it wants no updates");
}

#[test]
fn what_a_sink_that_is_gone_had_to_do_goes_to_another_one_once() {
    let mut store = Store::new();
    let waiting = store.new_lead(push(1, 1, &["gone"]));
    let dead = store.new_lead(push(2, 1, &["gone", "crm"]));
    store.end(dead, "gone", 1, DEAD);
    store.end(dead, "crm", 1, DELIVERED);
    let newer = store.new_lead(push(3, 1, &["gone"]));
    store.accept(push(3, 2, &["crm"]));
    let busy = store.new_lead(push(4, 1, &["gone"]));
    let busy = store.claim(busy, "gone", 1).id;
    let ids = [
        store.head(waiting, "gone", 1).id,
        store.head(dead, "gone", 1).id,
        store.head(newer, "gone", 1).id,
        busy,
        store.head(dead, "crm", 1).id,
    ];
    let to = BulkAction::Move {
        to: "crm".to_owned(),
    };
    let job = store.all(to.clone(), deliveries(&ids));
    assert_eq!(job.done, 2);
    assert_eq!(
        skips(&job),
        [Skip::Newer, Skip::InFlight, Skip::NotOrphaned]
    );
    let over = Stands::Cancelled { at: 8_500 };
    assert_eq!(store.state(waiting, "gone", 1), over);
    assert_eq!(
        store.state(waiting, "crm", 1),
        Stands::Waiting { due_at: 8_500 }
    );
    assert_eq!(store.state(dead, "gone", 1), over, "the crm has it");
    assert!(
        store.state(newer, "gone", 1).is_waiting(),
        "a person decides"
    );
    let job = store.all(to, deliveries(&ids[..2]));
    assert_eq!(skips(&job), [Skip::Over, Skip::Over]);
    assert_eq!(store.memory.leads[&waiting].deliveries.len(), 2);
}

#[test]
fn leads_are_erased_and_pushes_released_or_thrown_away() {
    let mut store = Store::new();
    let (lead, _) = store.dead(1);
    let busy = store.new_lead(push(2, 1, &["crm"]));
    store.claim(busy, "crm", 1);
    let leads = vec![Target::Lead(lead), Target::Lead(busy), Target::Lead(lead)];
    let job = store.all(BulkAction::Erase, leads);
    assert_eq!(
        (job.done, skips(&job)),
        (1, vec![Skip::InFlight, Skip::Gone])
    );
    assert!(!store.memory.leads.contains_key(&lead));
    let aside = quarantined(&mut store);
    let read = |id| Target::Read(id, push(3, 1, &["crm"]));
    let job = store.all(RELEASE, vec![read(aside), read(aside)]);
    assert_eq!((job.done, skips(&job)), (1, vec![Skip::Gone]));
    assert_eq!(store.memory.leads.len(), 2);
    let aside = quarantined(&mut store);
    let both = vec![Target::Push(aside), Target::Push(aside)];
    let job = store.all(BulkAction::Discard, both);
    assert_eq!((job.done, skips(&job)), (1, vec![Skip::Gone]));
    assert_eq!(store.totals.in_quarantine, 0);
}

/// What happens between the steps of a job.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// The next step, of so many targets.
    Step(usize),
    /// The last step once more: its answer was lost.
    Repeat,
    /// What was read for a step, and never made.
    Crash(usize),
    /// A person stops it, and starts it.
    Stop,
    Start,
    /// What waits is tried, and ends.
    End {
        nth: usize,
        dead: bool,
    },
    /// A fresh lead.
    Push,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        6 => (1_usize..5).prop_map(Event::Step),
        3 => Just(Event::Repeat),
        2 => (1_usize..5).prop_map(Event::Crash),
        1 => Just(Event::Stop),
        2 => Just(Event::Start),
        4 => (0_usize..30, any::<bool>()).prop_map(|(nth, dead)| Event::End { nth, dead }),
        2 => Just(Event::Push),
    ];
    prop::collection::vec(event, 0..40)
}

/// A store with a job, read and stepped as a runner does: the dead letters behind the cursor, by
/// their ids, as far as they were dead when the job was made.
struct Run {
    store: Store,
    job: JobId,
    /// Dead letters when the job was made.
    wanted: BTreeSet<DeliveryId>,
    last: Option<JobStep<NewLead>>,
    pushed: u64,
}

impl Run {
    fn next(&self, most: usize) -> JobStep<NewLead> {
        let from = self.store.memory.jobs[&self.job].cursor.clone();
        let behind = |id: &&DeliveryId| from.as_ref().is_none_or(|from| id.to_string() > *from);
        let mut left = self.wanted.iter().filter(behind).copied();
        let ids: Vec<DeliveryId> = left.by_ref().take(most).collect();
        let more = left.next().is_some();
        let to = ids.last().filter(|_| more).map(ToString::to_string);
        JobStep {
            from,
            targets: deliveries(&ids),
            skipped: Vec::new(),
            to,
        }
    }

    fn make(&mut self, step: JobStep<NewLead>) -> Stepped {
        self.last = Some(step.clone());
        self.store.step(self.job, step)
    }

    /// What nobody else has changed since is as the job left it.
    fn event(&mut self, event: Event) {
        let before = self.store.memory.jobs[&self.job].clone();
        match event {
            Event::Step(most) => {
                let next = self.next(most);
                let made = self.make(next);
                let runs = before.state == JobState::Running;
                assert_eq!(made != Stepped::Stopped, runs);
            }
            Event::Repeat => {
                let Some(last) = self.last.clone() else {
                    return;
                };
                // A step of nothing that leads nowhere else is as good as none.
                if last.from == before.cursor {
                    return;
                }
                assert_eq!(self.store.step(self.job, last), Stepped::Stopped);
                assert_eq!(self.store.memory.jobs[&self.job], before);
            }
            Event::Crash(most) => drop(self.next(most)),
            Event::Stop => {
                self.store.stop(self.job);
            }
            Event::Start => {
                self.store.start(self.job);
            }
            Event::End { nth, dead } => self.end(nth, dead),
            Event::Push => {
                self.pushed += 1;
                let fresh = push(1_000 + self.pushed, 1, &["crm"]);
                self.store.accept(fresh);
            }
        }
    }

    fn end(&mut self, nth: usize, dead: bool) {
        let waiting: Vec<LeadId> = {
            let all = self.store.memory.leads.iter();
            let waits = |lead: &Lead| matches!(lead.deliveries[0].state, Stands::Waiting { .. });
            all.filter(|(_, lead)| waits(lead))
                .map(|(id, _)| *id)
                .collect()
        };
        if !waiting.is_empty() {
            let state = if dead { DEAD } else { DELIVERED };
            self.store
                .end(waiting[nth % waiting.len()], "crm", 1, state);
        }
    }
}

proptest! {
    #[test]
    fn nothing_is_done_twice_and_nothing_left_out(count in 0_u64..20, events in events()) {
        let mut store = Store::new();
        let dead: Vec<DeliveryId> = (0..count).map(|record| store.dead(record).1).collect();
        let job = store.started(BulkAction::Retry);
        let mut run = Run {
            store,
            job,
            wanted: dead.iter().copied().collect(),
            last: None,
            pushed: 0,
        };
        let is_done = |run: &Run| matches!(run.store.memory.jobs[&job].state, JobState::Done { .. });
        for event in events {
            if !is_done(&run) {
                run.event(event);
            }
        }
        run.store.start(job);
        while !is_done(&run) {
            run.event(Event::Step(3));
        }
        // Each was told to try again once: no step but that writes such a budget.
        let mut told: BTreeMap<DeliveryId, u64> = BTreeMap::new();
        let mut since: BTreeMap<DeliveryId, Stands> = BTreeMap::new();
        for record in &run.store.log {
            if let Record::Delivery { delivery, .. } = record {
                let before = since.insert(delivery.id, delivery.state.clone());
                let was_dead = matches!(before, Some(Stands::Dead { .. }));
                if was_dead && matches!(delivery.state, Stands::Waiting { .. }) {
                    *told.entry(delivery.id).or_default() += 1;
                }
            }
        }
        let expected: BTreeMap<_, _> = dead.iter().map(|id| (*id, 1)).collect();
        prop_assert_eq!(told, expected);
        let job = &run.store.memory.jobs[&job];
        prop_assert_eq!((job.done, job.skipped.len()), (count, 0));
    }
}

#[test]
fn a_job_that_erases_is_done_once_that_is_off_the_disk_and_says_which_sinks_had_it() {
    let mut store = Store::new();
    let delivered = store.new_lead(push(1, 1, &["crm", "mail"]));
    store.end(delivered, "crm", 1, DELIVERED);
    let (tried, _) = store.dead(2);
    let never = store.new_lead(push(3, 1, &["crm"]));
    let busy = store.new_lead(push(4, 1, &["crm"]));
    store.claim(busy, "crm", 1);
    let leads = [delivered, tried, never, busy].map(Target::Lead).to_vec();
    let id = store.started(BulkAction::Erase);
    let only = step(None, leads, None);
    assert_eq!(store.step(id, only.clone()), made(3));
    let job = store.memory.jobs[&id].clone();
    assert_eq!((job.state, job.wiping), (JobState::Running, true));
    let had = Had {
        delivered: 1,
        in_doubt: 1,
    };
    assert_eq!(job.had, BTreeMap::from([("crm".to_owned(), had)]));
    assert_eq!(skips(&job), [Skip::InFlight]);
    assert_eq!(store.step(id, only), Stepped::Stopped, "it was made");
    assert_eq!(store.memory.jobs[&id], job);
    // Stopped meanwhile, it goes on there.
    assert_eq!(
        (store.stop(id), store.start(id)),
        (Steered::Done, Steered::Done)
    );
    let last = step(None, Vec::new(), None);
    assert_eq!(store.step(id, last.clone()), made(0));
    let job = &store.memory.jobs[&id];
    assert_eq!(
        (job.state, job.wiping, job.done),
        (JobState::Done { at: 8_500 }, false, 3)
    );
    assert_eq!(store.step(id, last), Stepped::Stopped);
}

#[test]
fn plans_that_nobody_started_leave_before_what_was_done() {
    const HOUR: Millis = 60 * 60 * 1_000;
    let mut store = Store::new();
    let done = store.started(BulkAction::Retry);
    store.step(done, step(None, Vec::new(), None));
    let old = store.planned(BulkAction::Retry);
    for _ in 2..JOBS_KEPT {
        store.planned(BulkAction::Retry);
    }
    let mut later = |now| {
        let plan = plan(BulkAction::Retry);
        let kept = store.one(Change::PlanJob { plan, now }).planned();
        assert!(kept.is_some());
        let jobs = &store.memory.jobs;
        (jobs.contains_key(&old), jobs.contains_key(&done))
    };
    assert_eq!(later(7_000 + HOUR), (false, true), "nobody waits for it");
    assert_eq!(
        later(6_999),
        (false, false),
        "somebody may look at the plans"
    );
}
