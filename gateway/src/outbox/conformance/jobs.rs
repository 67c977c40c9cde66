//! Bulk jobs: durable with how far they are, and no target twice or never, whenever the store
//! crashes.

use std::collections::BTreeMap;

use super::engine::{Engine, Setup};
use super::pushes::{
    arrival, claims, claims_of, dead, finish, lead_for, lead_of, newest, quarantined,
};
use super::subject::Subject;
use crate::outbox::{
    Arrival, BulkAction, BulkJob, BulkPlan, Count, DeliveryId, Erasure, Filter, Freshness, Intake,
    JobId, JobState, JobStep, LeadFilter, Maintenance, Operations, Population, PushFilter,
    Quarantined, Queue, Skip, State, StateName, Steered, Stepped, Stop, Target, Wanted,
};

fn over(action: BulkAction, over: Population) -> BulkPlan {
    BulkPlan {
        by: "Wang".to_owned(),
        note: "字段改名".to_owned(),
        action,
        over,
        when: Some("record_id > 1".to_owned()),
        rate: 20,
        count: Count::AtLeast(3),
    }
}

fn dead_letters() -> Filter {
    Filter {
        sink: Some("crm".to_owned()),
        state: Some(StateName::Dead),
        ..Filter::default()
    }
}

async fn started<E: Engine>(outbox: &Subject<E>, plan: BulkPlan) -> JobId {
    let planned = outbox.plan_job(plan, 6_000).await.expect("kept");
    let id = planned.expect("there is room");
    let started = outbox.start_job(id, 6_001).await;
    assert_eq!(started, Ok(Steered::Done));
    id
}

fn job<E: Engine>(outbox: &Subject<E>, id: JobId) -> BulkJob {
    outbox.job(id).expect("it is kept")
}

/// The next step of a job over deliveries, as a runner reads it.
fn next<E: Engine>(outbox: &Subject<E>, job: &BulkJob, most: usize) -> JobStep<Arrival> {
    let Population::Deliveries(filter) = &job.plan.over else {
        panic!("over deliveries");
    };
    let page = outbox.deliveries(filter, job.cursor.as_deref(), most);
    let page = page.expect("reads");
    let ids = page.items.iter().map(|one| Target::Delivery(one.id));
    step(job.cursor.clone(), ids.collect(), page.next)
}

fn step(
    from: Option<String>,
    targets: Vec<Target<Arrival>>,
    to: Option<String>,
) -> JobStep<Arrival> {
    JobStep {
        from,
        targets,
        skipped: Vec::new(),
        to,
    }
}

async fn make<E: Engine>(outbox: &Subject<E>, id: JobId, step: JobStep<Arrival>) -> Stepped {
    let made = outbox.step_job(id, step, 7_000).await;
    made.expect("the store takes it")
}

/// All of these targets in one step.
async fn all<E: Engine>(outbox: &Subject<E>, plan: BulkPlan, of: Vec<Target<Arrival>>) -> BulkJob {
    let id = started(outbox, plan).await;
    let made = make(outbox, id, step(None, of, None)).await;
    assert!(matches!(made, Stepped::Made { .. }));
    job(outbox, id)
}

/// So many dead letters for the crm.
async fn fill<E: Engine>(outbox: &Subject<E>, count: u64) -> Vec<DeliveryId> {
    for record in 0..count {
        outbox.accept(arrival(record, 1)).await.expect("accepted");
    }
    let claimed = claims(&**outbox, 1_000);
    for claim in &claimed {
        finish(&**outbox, claim, dead(5)).await;
    }
    // The end of an attempt need not be on disk before something else is.
    outbox.pause("mail", None).await.expect("resumed");
    claimed.into_iter().map(|claim| claim.id).collect()
}

pub(super) async fn a_job_and_how_far_it_is_outlive_a_crash<E: Engine>() {
    let mut outbox = Subject::<E>::new();
    fill(&outbox, 5).await;
    let plan = over(BulkAction::Retry, Population::Deliveries(dead_letters()));
    let planned = outbox.plan_job(plan.clone(), 6_000).await.expect("kept");
    let id = planned.expect("there is room");
    outbox.crash();
    assert_eq!(job(&outbox, id), BulkJob::new(plan.clone(), 6_000));
    assert_eq!(outbox.start_job(id, 6_001).await, Ok(Steered::Done));
    let first = next(&outbox, &job(&outbox, id), 2);
    let Stepped::Made { done, released } = make(&outbox, id, first).await else {
        panic!("it runs");
    };
    assert_eq!((done, released), (2, Vec::new()));
    let before = job(&outbox, id);
    assert_eq!((before.plan.clone(), before.done), (plan, 2));
    outbox.crash();
    assert_eq!(job(&outbox, id), before);
    assert_eq!(
        outbox.cancel_job(id, Stop::Person, 6_500).await,
        Ok(Steered::Done)
    );
    outbox.reopen();
    let stopped = BulkJob {
        state: JobState::Cancelled {
            at: 6_500,
            why: Stop::Person,
        },
        ..before
    };
    assert_eq!(outbox.jobs(), [(id, stopped)]);
    let unknown = JobId(uuid::Uuid::nil());
    assert_eq!(outbox.start_job(unknown, 1).await, Ok(Steered::Unknown));
    assert_eq!(outbox.job(unknown), None);
}

/// Each step is read, made, and made once more as by a runner that never saw the answer; the
/// store crashes after every one, and between reading and making.
pub(super) async fn a_crash_between_steps_does_nothing_twice_and_leaves_nothing_out<E: Engine>() {
    let mut outbox = Subject::<E>::new();
    let mut wanted = fill(&outbox, 7).await;
    let plan = over(BulkAction::Retry, Population::Deliveries(dead_letters()));
    let id = started(&outbox, plan).await;
    while job(&outbox, id).state == JobState::Running {
        let before = job(&outbox, id);
        let read = next(&outbox, &before, 2);
        outbox.crash();
        assert_eq!(job(&outbox, id), before, "nothing was made");
        let made = make(&outbox, id, read.clone()).await;
        assert!(matches!(made, Stepped::Made { .. }));
        let after = job(&outbox, id);
        outbox.crash();
        assert_eq!(job(&outbox, id), after);
        assert_eq!(make(&outbox, id, read).await, Stepped::Stopped);
        assert_eq!(job(&outbox, id), after);
    }
    let ended = job(&outbox, id);
    assert_eq!((ended.done, ended.seen()), (7, 7));
    let mut due: Vec<DeliveryId> = Vec::new();
    for claim in claims(&*outbox, 7_000) {
        assert_eq!(claim.delivery.budget.since, 7_000, "told once");
        due.push(claim.id);
    }
    due.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(due, wanted);
    assert_eq!(outbox.totals().sinks["crm"].dead_letters(), 0);
}

pub(super) async fn a_stopped_job_makes_no_step_until_it_goes_on<E: Engine>() {
    let outbox = Subject::<E>::new();
    fill(&outbox, 3).await;
    let plan = over(BulkAction::Cancel, Population::Deliveries(dead_letters()));
    let id = started(&outbox, plan).await;
    let first = next(&outbox, &job(&outbox, id), 1);
    make(&outbox, id, first).await;
    let second = next(&outbox, &job(&outbox, id), 9);
    assert_eq!(
        outbox.cancel_job(id, Stop::Person, 6_500).await,
        Ok(Steered::Done)
    );
    assert_eq!(make(&outbox, id, second.clone()).await, Stepped::Stopped);
    let totals = outbox.totals().sinks["crm"].clone();
    assert_eq!((totals.cancelled, totals.dead_letters()), (1, 2));
    assert_eq!(outbox.start_job(id, 6_600).await, Ok(Steered::Done));
    make(&outbox, id, second).await;
    let totals = outbox.totals().sinks["crm"].clone();
    assert_eq!((totals.cancelled, totals.dead_letters()), (3, 0));
    assert_eq!(job(&outbox, id).state, JobState::Done { at: 7_000 });
    assert_eq!(outbox.start_job(id, 1).await, Ok(Steered::Over));
    assert_eq!(
        outbox.cancel_job(id, Stop::Person, 1).await,
        Ok(Steered::Over)
    );
}

pub(super) async fn leads_that_no_sink_had_are_replayed_behind_what_is_fresh<E: Engine>() {
    let mut outbox = Subject::<E>::new();
    let mut stored = Vec::new();
    for record in 0..3 {
        let lead = outbox.accept(lead_for(record, "shop", &[])).await;
        stored.push(Target::Lead(lead_of(lead.expect("accepted"))));
    }
    let replay = BulkAction::Replay {
        to: "crm".to_owned(),
        again: false,
    };
    let plan = over(replay, Population::Leads(LeadFilter::default()));
    let ended = all(&outbox, plan.clone(), stored.clone()).await;
    assert_eq!(ended.done, 3);
    outbox.crash();
    let fresh = lead_for(9, "shop", &["crm"]);
    let fresh = lead_of(outbox.accept(fresh).await.expect("accepted"));
    let wanted = |freshness| Wanted {
        freshness,
        limit: 9,
        newest: false,
    };
    let first = outbox.claim_some("crm", 7_000, wanted(Freshness::Fresh));
    let first = first.expect("reads").deliveries;
    assert_eq!(first.len(), 1);
    assert_eq!(first[0].delivery.lead, fresh);
    let rest = outbox.claim_some("crm", 7_000, wanted(Freshness::Again));
    assert_eq!(rest.expect("reads").deliveries.len(), 3);
    let ended = all(&outbox, plan, stored).await;
    assert_eq!((ended.done, ended.skipped[&Skip::Waiting]), (0, 3));
    assert_eq!(outbox.totals().unrouted, 0);
}

pub(super) async fn what_a_removed_sink_had_to_do_moves_to_another_and_none_is_lost<E: Engine>() {
    let mut outbox = Subject::<E>::new();
    for record in 0..6 {
        let lead = lead_for(record, "shop", &["mail"]);
        outbox.accept(lead).await.expect("accepted");
    }
    for claim in claims_of(&*outbox, "mail", 1_000).iter().take(3) {
        finish(&*outbox, claim, dead(5)).await;
    }
    outbox.close();
    outbox.setup = Setup::default();
    outbox.setup.sinks.retain(|sink| sink.name == "crm");
    outbox.open();
    let orphaned = Filter {
        orphaned: true,
        ..Filter::default()
    };
    let action = BulkAction::Move {
        to: "crm".to_owned(),
    };
    let plan = over(action, Population::Deliveries(orphaned.clone()));
    let id = started(&outbox, plan).await;
    while job(&outbox, id).state == JobState::Running {
        let read = next(&outbox, &job(&outbox, id), 2);
        make(&outbox, id, read).await;
        outbox.crash();
    }
    assert_eq!(job(&outbox, id).done, 6);
    let left = outbox.deliveries(&orphaned, None, 9).expect("reads");
    assert_eq!(left.items.len(), 0);
    let totals = outbox.totals();
    assert_eq!(totals.sinks["mail"].cancelled, 6);
    assert_eq!(totals.sinks["mail"].waiting, 0);
    let mut moved: BTreeMap<_, u64> = BTreeMap::new();
    for claim in claims(&*outbox, 7_000) {
        *moved.entry(claim.delivery.lead).or_default() += 1;
    }
    assert_eq!(moved.into_values().collect::<Vec<_>>(), [1; 6]);
}

pub(super) async fn pushes_are_released_and_leads_erased_by_jobs<E: Engine>() {
    let mut outbox = Subject::<E>::new();
    let mut aside = Vec::new();
    for number in 0..2 {
        let kept = outbox.quarantine(quarantined(&[number])).await;
        match kept.expect("kept") {
            Quarantined::New(id) => aside.push(id),
            other => panic!("{other:?}"),
        }
    }
    let pushes = |action| over(action, Population::Quarantine(PushFilter::default()));
    let id = started(&outbox, pushes(BulkAction::Release { force: false })).await;
    let read = Target::Read(aside[0], arrival(1, 1));
    let made = make(&outbox, id, step(None, vec![read], None)).await;
    let Stepped::Made { released, .. } = made else {
        panic!("it runs");
    };
    let lead = released[0].1;
    assert_eq!(released, [(aside[0], lead)]);
    let thrown = all(
        &outbox,
        pushes(BulkAction::Discard),
        vec![Target::Push(aside[1]), Target::Push(aside[0])],
    );
    let thrown = thrown.await;
    assert_eq!((thrown.done, thrown.skipped[&Skip::Gone]), (1, 1));
    outbox.crash();
    let listed = outbox.leads(&newest(), None, 9).expect("reads").items;
    assert_eq!(listed, [lead]);
    assert_eq!(outbox.totals().in_quarantine, 0);
    let claim = claims(&*outbox, 9_000).remove(0);
    assert_eq!(claim.delivery.created_at, 7_000, "its deliveries begin now");
    let leads = Population::Leads(LeadFilter::default());
    let erase = over(BulkAction::Erase, leads);
    let busy = all(&outbox, erase.clone(), vec![Target::Lead(lead)]).await;
    assert_eq!(busy.skipped[&Skip::InFlight], 1);
    finish(&*outbox, &claim, State::Delivered { at: 5 }).await;
    let id = started(&outbox, erase).await;
    make(&outbox, id, step(None, vec![Target::Lead(lead)], None)).await;
    outbox.crash();
    let erased = job(&outbox, id);
    assert_eq!((erased.done, erased.wiping), (1, true));
    assert_eq!(erased.state, JobState::Running);
    assert_eq!(erased.had["crm"].delivered, 1);
    outbox.erase(Erasure::default()).await.expect("wiped");
    make(&outbox, id, step(None, Vec::new(), None)).await;
    outbox.crash();
    assert_eq!(job(&outbox, id).state, JobState::Done { at: 7_000 });
    assert!(outbox.lead(lead, 0).expect("reads").is_none());
    assert_eq!(outbox.fault(), None);
}
