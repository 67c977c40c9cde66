//! Plans: what a job would be done to, before it is: how many, and the first of them.
//!
//! The count is exact where the store keeps it anyway, or where all of it is on one page; else
//! it is what that page has, "at least". So a plan is never slower than a page.

use super::{Ground, select};
use crate::outbox::{
    BulkPlan, Count, FailureGroup, Filter, LeadFilter, Outbox, Population, PushFilter, SinkTotals,
    StateName, Target, Unavailable,
};
use crate::route::When;

/// What is looked at to count what the store does not, at most.
const PAGE: usize = 500;
/// Quarantined pushes are read with their bodies.
const PUSHES: usize = 100;
/// Failure groups that are looked through for one.
const GROUPS: usize = 10_000;
/// Targets that a plan shows.
const SAMPLES: usize = 5;

/// What was found.
pub struct Planned {
    /// The plan, with its count and with times that end now: what comes later is not meant.
    pub plan: BulkPlan,
    /// The first targets.
    pub samples: Vec<Target<()>>,
}

/// Looks at what a job would be done to. Reads the disk.
pub fn plan(
    ground: &Ground,
    mut plan: BulkPlan,
    when: Option<&When>,
) -> Result<Planned, Unavailable> {
    let now = ground.clock.now();
    let outbox = &*ground.outbox;
    let kept = match when {
        None => kept(outbox, &plan.over)?,
        Some(_) => None,
    };
    end_at(&mut plan.over, now.saturating_add(1));
    let limit = match (&plan.over, kept) {
        (_, Some(_)) => SAMPLES,
        (Population::Quarantine(_), None) => PUSHES,
        (_, None) => PAGE,
    };
    let page = select(outbox, &*ground.reread, (&plan, now), when, None, limit)?;
    let seen = (page.targets.len() + page.skipped.len()) as u64;
    plan.count = match (kept, page.next) {
        (_, None) => Count::Exact(seen),
        (Some(kept), Some(_)) => Count::Exact(kept),
        (None, Some(_)) => Count::AtLeast(seen),
    };
    let targets = page.targets.into_iter().take(SAMPLES);
    let samples = targets.map(|target| target.map(drop)).collect();
    Ok(Planned { plan, samples })
}

/// Fixes the end of what is meant, and goes through it from the oldest on: what a job changes
/// never comes again behind where it is.
fn end_at(over: &mut Population, end: crate::clock::Millis) {
    let before = match over {
        Population::Deliveries(filter) => {
            filter.newest_first = false;
            &mut filter.before
        }
        Population::Leads(filter) => {
            filter.newest_first = false;
            &mut filter.before
        }
        Population::Quarantine(filter) => &mut filter.before,
    };
    *before = Some(before.map_or(end, |before| before.min(end)));
}

/// How many there are, if the store keeps that.
fn kept(outbox: &dyn Outbox, over: &Population) -> Result<Option<u64>, Unavailable> {
    Ok(match over {
        Population::Deliveries(filter) => deliveries(outbox, filter)?,
        Population::Leads(filter) => {
            let all = LeadFilter {
                newest_first: filter.newest_first,
                ..LeadFilter::default()
            };
            (*filter == all).then(|| outbox.totals().leads)
        }
        Population::Quarantine(PushFilter {
            source,
            reason: None,
            since: None,
            before: None,
        }) => {
            let counts = outbox.quarantine_counts()?.into_iter();
            let of = counts.filter(|(name, _)| source.as_ref().is_none_or(|one| one == name));
            Some(of.map(|(_, count)| count.entries).sum())
        }
        Population::Quarantine(_) => None,
    })
}

fn deliveries(outbox: &dyn Outbox, filter: &Filter) -> Result<Option<u64>, Unavailable> {
    let Filter {
        sink,
        state,
        before: None,
        since: None,
        source,
        reason,
        rule: None,
        group,
        orphaned,
        newest_first: _,
    } = filter
    else {
        return Ok(None);
    };
    // Which sinks are not configured is not asked here.
    if *orphaned && sink.is_none() {
        return Ok(None);
    }
    Ok(match (group, reason, source) {
        (None, None, _) if *state != Some(StateName::InFlight) => {
            let counts = outbox.counts()?.into_iter();
            let of = counts.filter(|one| {
                sink.as_ref().is_none_or(|sink| *sink == one.sink)
                    && source.as_ref().is_none_or(|source| *source == one.source)
                    && state.is_none_or(|state| state == one.state)
                    && (!*orphaned || is_left(one.state))
            });
            Some(of.map(|one| one.count).sum())
        }
        (None, Some(reason), None) if matches!(state, None | Some(StateName::Dead)) => {
            let totals = outbox.totals();
            let of = totals.sinks.iter();
            let of = of.filter(|(name, _)| sink.as_ref().is_none_or(|sink| sink == *name));
            let dead = |sink: &SinkTotals| sink.dead.get(reason).copied().unwrap_or(0);
            Some(of.map(|(_, totals)| dead(totals)).sum())
        }
        (Some(id), None, None) => {
            let groups = outbox.failure_groups(sink.as_deref(), GROUPS)?;
            if groups.len() == GROUPS {
                return Ok(None);
            }
            let size: fn(&FailureGroup) -> u64 = match state {
                None => FailureGroup::size,
                Some(StateName::Dead) => |group| group.dead,
                Some(StateName::Retrying) => |group| group.retrying,
                Some(_) => return Ok(None),
            };
            Some(groups.iter().filter(|one| one.id == *id).map(size).sum())
        }
        _ => None,
    })
}

/// Whether something is still to be done, by itself or by a person.
const fn is_left(state: StateName) -> bool {
    matches!(
        state,
        StateName::Pending | StateName::Retrying | StateName::Behind | StateName::Dead
    )
}
