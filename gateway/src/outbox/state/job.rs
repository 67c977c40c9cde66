//! Bulk jobs: planned, started, made step by step, cancelled.
//!
//! A step is one change: what it does to its targets and how far the job is are in one commit,
//! and it is made only where the job stands. So whoever repeats a step, after a crash or because
//! an answer was lost, does nothing twice. A target that cannot be changed is skipped, and does
//! not keep the others.
//!
//! A job that erases ends with a step of its own, made once what it erased is off the disk.

use std::collections::BTreeMap;

use super::change::NewLead;
use super::record::Record;
use super::view::Fault;
use crate::clock::Millis;
use crate::outbox::{
    BulkAction, BulkJob, BulkPlan, Had, JOBS_KEPT, JobId, JobState, JobStep, LeadId, QuarantineId,
    Repair, Repaired, Skip, Skipped, State, Steered, Stepped, Stop, Target, made_at,
};

/// For how long a plan that nobody started is kept in the place of what was done.
const PLANNED_MS: Millis = 60 * 60 * 1_000;

/// What became of the targets of a step, beside that it was done.
#[derive(Default)]
struct Made {
    /// Quarantined pushes that are leads now.
    released: Vec<(QuarantineId, LeadId)>,
    /// Of each lead that was erased, the sinks that had been tried with it, and whether they
    /// have it.
    had: Vec<(String, bool)>,
}

impl super::State<'_> {
    /// Keeps a plan as a job; `None` if so many others run that none can go.
    pub(super) fn plan_job(&mut self, plan: &BulkPlan, now: Millis) -> Option<JobId> {
        let jobs = self.pending.jobs(self.ground.view);
        if jobs.len() >= JOBS_KEPT {
            let id = leaves(&jobs, now)?;
            self.push(Record::Job { id, job: None });
        }
        let id = JobId(self.new_id(now));
        self.put_job(id, BulkJob::new(plan.clone(), now));
        Some(id)
    }

    /// Lets a job run, from where it is.
    pub(super) fn start_job(&mut self, id: JobId, now: Millis) -> Steered {
        let Some(mut job) = self.pending.job(self.ground.view, id) else {
            return Steered::Unknown;
        };
        match job.state {
            JobState::Done { .. } => return Steered::Over,
            JobState::Running => return Steered::Done,
            JobState::Planned | JobState::Cancelled { .. } => {}
        }
        job.state = JobState::Running;
        job.started_at.get_or_insert(now);
        self.put_job(id, job);
        Steered::Done
    }

    /// Stops a job.
    pub(super) fn cancel_job(&mut self, id: JobId, why: Stop, now: Millis) -> Steered {
        let Some(mut job) = self.pending.job(self.ground.view, id) else {
            return Steered::Unknown;
        };
        match job.state {
            JobState::Done { .. } => return Steered::Over,
            JobState::Cancelled { .. } => return Steered::Done,
            JobState::Planned | JobState::Running => {}
        }
        job.state = JobState::Cancelled { at: now, why };
        self.put_job(id, job);
        Steered::Done
    }

    /// Makes a step, if the job stands where the step begins.
    pub(super) fn step_job(&mut self, id: JobId, step: &JobStep<NewLead>, now: Millis) -> Stepped {
        let Some(mut job) = self.pending.job(self.ground.view, id) else {
            return Stepped::Stopped;
        };
        if job.state != JobState::Running || job.cursor != step.from {
            return Stepped::Stopped;
        }
        if job.wiping && !(step.targets.is_empty() && step.skipped.is_empty()) {
            // All of it was gone through.
            return Stepped::Stopped;
        }
        let to = job.plan.action.to();
        if to.is_some_and(|to| self.policy(to).is_none()) {
            // Going through all of it would do nothing, and leave nothing to go on with.
            let why = Stop::NoSink;
            job.state = JobState::Cancelled { at: now, why };
            self.put_job(id, job);
            return Stepped::NoSink;
        }
        step.skipped.iter().for_each(|one| job.skip(*one));
        let (before, mut made) = (job.done, Made::default());
        for target in &step.targets {
            let treated = self.whole(|state| state.treat(&job.plan, target, &mut made, now));
            match treated {
                Ok(None) => job.done += 1,
                Ok(Some(why)) => job.skip(skipped(target, why)),
                // If it is the store that failed, nothing of this commit is written.
                Err(_) => job.skip(skipped(target, Skip::Damaged)),
            }
        }
        let done = job.done - before;
        job.cursor.clone_from(&step.to);
        for (sink, is_delivered) in made.had {
            let had: &mut Had = job.had.entry(sink).or_default();
            had.delivered += u64::from(is_delivered);
            had.in_doubt += u64::from(!is_delivered);
        }
        if step.to.is_none() {
            if job.plan.action == BulkAction::Erase && !job.wiping {
                job.wiping = true;
            } else {
                job.wiping = false;
                job.state = JobState::Done { at: now };
            }
        }
        self.put_job(id, job);
        let released = made.released;
        Stepped::Made { done, released }
    }

    fn put_job(&mut self, id: JobId, job: BulkJob) {
        let job = Some(Box::new(job));
        self.push(Record::Job { id, job });
    }

    /// Does to one target what the job is for, or says why not.
    fn treat(
        &mut self,
        plan: &BulkPlan,
        target: &Target<NewLead>,
        made: &mut Made,
        now: Millis,
    ) -> Result<Option<Skip>, Fault> {
        Ok(match (&plan.action, target) {
            (BulkAction::Retry, Target::Delivery(id)) => {
                why(self.repair(*id, &Repair::Retry { force: false }, now)?)
            }
            (BulkAction::Cancel, Target::Delivery(id)) => {
                why(self.repair(*id, &Repair::Cancel, now)?)
            }
            (BulkAction::Done, Target::Delivery(id)) => {
                let (by, note) = (plan.by.clone(), plan.note.clone());
                why(self.repair(*id, &Repair::Done { by, note }, now)?)
            }
            (BulkAction::Move { to }, Target::Delivery(id)) => self.move_to(*id, to, now)?,
            (BulkAction::Replay { to, again }, Target::Lead(id)) => {
                self.replay(*id, to, *again, now)?
            }
            (BulkAction::Erase, Target::Lead(id)) => self.erase_one(*id, made)?,
            (BulkAction::Discard, Target::Push(id)) => {
                (!self.discard(*id, false)?).then_some(Skip::Gone)
            }
            (BulkAction::Release { .. }, Target::Read(id, lead)) => {
                if self.discard(*id, false)? {
                    let accepted = self.accept(lead)?;
                    made.released
                        .extend(accepted.lead().map(|lead| (*id, lead)));
                    None
                } else {
                    Some(Skip::Gone)
                }
            }
            _ => Some(Skip::Unfit),
        })
    }

    /// Removes a lead, and notes which sinks had it.
    fn erase_one(&mut self, id: LeadId, made: &mut Made) -> Result<Option<Skip>, Fault> {
        let Some(lead) = self.lead(id)? else {
            return Ok(Some(Skip::Gone));
        };
        let mut had = BTreeMap::new();
        for one in &lead.deliveries {
            let is_delivered = matches!(one.state, State::Delivered { .. });
            if is_delivered || one.attempts > 0 {
                *had.entry(one.sink.clone()).or_default() |= is_delivered;
            }
        }
        if !self.remove(id, true)? {
            return Ok(Some(Skip::InFlight));
        }
        made.had.extend(had);
        Ok(None)
    }
}

/// Which job leaves where another one is to be kept: a plan that nobody started for long, else
/// what is over, else any plan; the oldest of them. What runs never does.
fn leaves(jobs: &BTreeMap<JobId, JobState>, now: Millis) -> Option<JobId> {
    let first = |wanted: &dyn Fn(&JobId, &JobState) -> bool| {
        let found = jobs.iter().find(|(id, state)| wanted(id, state));
        found.map(|(id, _)| *id)
    };
    let is_planned = |_: &JobId, state: &JobState| *state == JobState::Planned;
    let is_old = |id: &JobId| made_at(id.0).saturating_add(PLANNED_MS) <= now;
    let is_over = |_: &JobId, state: &JobState| {
        matches!(state, JobState::Done { .. } | JobState::Cancelled { .. })
    };
    first(&|id, state| is_planned(id, state) && is_old(id))
        .or_else(|| first(&is_over))
        .or_else(|| first(&is_planned))
}

fn skipped(target: &Target<NewLead>, why: Skip) -> Skipped {
    Skipped {
        id: target.id(),
        why,
    }
}

/// Why a repair was not made.
pub(super) const fn why(repaired: Repaired) -> Option<Skip> {
    match repaired {
        Repaired::Done => None,
        Repaired::Unknown => Some(Skip::Gone),
        Repaired::InFlight => Some(Skip::InFlight),
        Repaired::Over => Some(Skip::Over),
        Repaired::Newer => Some(Skip::Newer),
        Repaired::NoSink => Some(Skip::NoSink),
    }
}
