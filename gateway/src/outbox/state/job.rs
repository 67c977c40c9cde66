//! Bulk jobs: planned, started, made step by step, cancelled.
//!
//! A step is one change: what it does to its targets and how far the job is are in one commit,
//! and it is made only where the job stands. So whoever repeats a step, after a crash or because
//! an answer was lost, does nothing twice. A target that cannot be changed is skipped, and does
//! not keep the others.

use super::change::NewLead;
use super::record::Record;
use super::view::Fault;
use crate::clock::Millis;
use crate::outbox::{
    BulkAction, BulkJob, BulkPlan, JOBS_KEPT, JobId, JobState, JobStep, LeadId, QuarantineId,
    Repair, Repaired, Skip, Skipped, Steered, Stepped, Target,
};

impl super::State<'_> {
    /// Keeps a plan as a job; `None` if so many others run that none can go.
    pub(super) fn plan_job(&mut self, plan: &BulkPlan, now: Millis) -> Option<JobId> {
        let jobs = self.pending.jobs(self.ground.view);
        if jobs.len() >= JOBS_KEPT {
            let first = |wanted: fn(&JobState) -> bool| {
                let mut those = jobs.iter().filter(|(_, state)| wanted(state));
                those.next().map(|(id, _)| *id)
            };
            let is_over = |state: &JobState| {
                matches!(state, JobState::Done { .. } | JobState::Cancelled { .. })
            };
            let is_planned = |state: &JobState| *state == JobState::Planned;
            let id = first(is_over).or_else(|| first(is_planned))?;
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
    pub(super) fn cancel_job(&mut self, id: JobId, now: Millis) -> Steered {
        let Some(mut job) = self.pending.job(self.ground.view, id) else {
            return Steered::Unknown;
        };
        match job.state {
            JobState::Done { .. } => return Steered::Over,
            JobState::Cancelled { .. } => return Steered::Done,
            JobState::Planned | JobState::Running => {}
        }
        job.state = JobState::Cancelled { at: now };
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
        let to = job.plan.action.to();
        if to.is_some_and(|to| self.policy(to).is_none()) {
            // Going through all of it would do nothing, and leave nothing to go on with.
            job.state = JobState::Cancelled { at: now };
            self.put_job(id, job);
            return Stepped::NoSink;
        }
        step.skipped.iter().for_each(|one| job.skip(*one));
        let (before, mut released) = (job.done, Vec::new());
        for target in &step.targets {
            let treated = self.whole(|state| state.treat(&job.plan, target, &mut released, now));
            match treated {
                Ok(None) => job.done += 1,
                Ok(Some(why)) => job.skip(skipped(target, why)),
                // If it is the store that failed, nothing of this commit is written.
                Err(_) => job.skip(skipped(target, Skip::Damaged)),
            }
        }
        let done = job.done - before;
        job.cursor.clone_from(&step.to);
        if step.to.is_none() {
            job.state = JobState::Done { at: now };
        }
        self.put_job(id, job);
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
        released: &mut Vec<(QuarantineId, LeadId)>,
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
            (BulkAction::Erase, Target::Lead(id)) => {
                if self.remove(*id, true)? {
                    None
                } else if self.lead(*id)?.is_some() {
                    Some(Skip::InFlight)
                } else {
                    Some(Skip::Gone)
                }
            }
            (BulkAction::Discard, Target::Push(id)) => {
                (!self.discard(*id, false)?).then_some(Skip::Gone)
            }
            (BulkAction::Release { .. }, Target::Read(id, lead)) => {
                if self.discard(*id, false)? {
                    let accepted = self.accept(lead)?;
                    released.extend(accepted.lead().map(|lead| (*id, lead)));
                    None
                } else {
                    Some(Skip::Gone)
                }
            }
            _ => Some(Skip::Unfit),
        })
    }
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
