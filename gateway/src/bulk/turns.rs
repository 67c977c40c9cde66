//! Turns: which of the jobs that run may make steps, and whom the others wait for.

use std::collections::BTreeMap;

use crate::outbox::{BulkJob, BulkPlan, JobId, JobState, Population};

/// What a job works on: jobs of one lane run one after the other, in the order in which they
/// were planned.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Lane {
    /// One sink.
    Sink(String),
    /// Several: no other job of a sink runs meanwhile.
    Sinks,
    /// Leads, whatever their sinks.
    Leads,
    /// The quarantine.
    Quarantine,
}

/// Of a plan.
fn lane(plan: &BulkPlan) -> Lane {
    match (plan.action.to(), &plan.over) {
        (Some(to), _) => Lane::Sink(to.to_owned()),
        (None, Population::Leads(_)) => Lane::Leads,
        (None, Population::Quarantine(_)) => Lane::Quarantine,
        (None, Population::Deliveries(filter)) => {
            let sink = filter.sink.clone();
            sink.map_or(Lane::Sinks, Lane::Sink)
        }
    }
}

/// Of each job that runs, the one whose end it waits for, if it does: the oldest that runs before
/// it in its lane; one over several sinks is in the lane of each.
pub fn behind(jobs: &[(JobId, BulkJob)]) -> BTreeMap<JobId, Option<JobId>> {
    let running = jobs
        .iter()
        .filter(|(_, job)| job.state == JobState::Running);
    let lanes: Vec<(JobId, Lane)> = running.map(|(id, job)| (*id, lane(&job.plan))).collect();
    let behind = lanes.iter().enumerate().map(|(place, (id, lane))| {
        let before = lanes[..place].iter().find(|(_, other)| other.keeps(lane));
        (*id, before.map(|(id, _)| *id))
    });
    behind.collect()
}

impl Lane {
    /// Whether a job here keeps a later one there.
    fn keeps(&self, later: &Self) -> bool {
        let is_sinks = |lane: &Self| matches!(lane, Self::Sink(_) | Self::Sinks);
        let several = *self == Self::Sinks || *later == Self::Sinks;
        self == later || (several && is_sinks(self) && is_sinks(later))
    }
}
