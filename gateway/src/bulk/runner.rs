//! The runner: makes the steps of the jobs that run, each at its rate, one job a sink at a time.
//!
//! It keeps nothing: which jobs run and how far they are is read from the outbox, so a restart
//! goes on by itself and a cancellation is seen at once. What a step did is durable before the
//! next one is read. A job gets at most half of the time that its steps take, and what it makes
//! due waits behind what is fresh: new leads are not held up. Owns its task; ends when told.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::{Ground, Selected, select};
use crate::lead::Tables;
use crate::outbox::{
    Actor, AuditAction, AuditEvent, BulkAction, BulkJob, BulkPlan, Erasure, JobId, JobState,
    JobStep, Population, STEP, Stepped, Unavailable, Via,
};
use crate::route::When;

/// How long nobody needs to tell it of a job.
const LOOK: Duration = Duration::from_secs(1);
/// Wait after a step that could not be made.
const AGAIN: Duration = Duration::from_secs(1);
/// Steps a second, about, as long as a step is not full.
const STEPS: u32 = 4;

/// Pages without a target that are read for one step, at most.
const PAGES: usize = 50;

/// The running task.
pub struct Runner {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// What a job works on: jobs of one lane run one after the other, in the order in which they
/// were planned.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Lane {
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
pub fn lane(plan: &BulkPlan) -> Lane {
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

/// The jobs whose turn it is: of each lane the oldest that runs; one over several sinks is in
/// the lane of each.
pub(super) fn turns(jobs: Vec<(JobId, BulkJob)>) -> BTreeMap<JobId, BulkJob> {
    let (mut taken, mut several, mut any) = (HashSet::new(), false, false);
    let mut turns = BTreeMap::new();
    for (id, job) in jobs {
        if job.state != JobState::Running {
            continue;
        }
        let lane = lane(&job.plan);
        let is_sink = matches!(lane, Lane::Sink(_) | Lane::Sinks);
        let waits = match lane {
            Lane::Sinks => any,
            Lane::Sink(_) => several || taken.contains(&lane),
            Lane::Leads | Lane::Quarantine => taken.contains(&lane),
        };
        any |= is_sink;
        several |= lane == Lane::Sinks;
        taken.insert(lane);
        if !waits {
            turns.insert(id, job);
        }
    }
    turns
}

/// Targets of the next step: enough for [`STEPS`] a second at that rate.
pub(super) fn size(rate: u32) -> usize {
    let size = usize::try_from(rate.div_ceil(STEPS)).unwrap_or(STEP);
    size.clamp(1, STEP)
}

/// How long after its begin a step of so many targets is followed by the next one: by the rate,
/// and no sooner than it took once more.
pub(super) fn pause(targets: usize, rate: u32, took: Duration) -> Duration {
    let targets = u32::try_from(targets).unwrap_or(u32::MAX);
    let by_rate = Duration::from_secs(1).saturating_mul(targets) / rate.max(1);
    by_rate.max(took.saturating_mul(2))
}

/// A job between its steps.
struct Run {
    when: Option<Arc<When>>,
    /// By which its condition was compiled.
    tables: Arc<Tables>,
    /// When its next step may be made, by the monotonic clock.
    next: Duration,
    /// Whether its last step could not be made: said once.
    troubled: bool,
}

impl Runner {
    /// Starts it. Must be called inside a tokio runtime.
    pub fn start(ground: Ground) -> Self {
        let (stop, mut stopped) = watch::channel(false);
        let task = tokio::spawn(async move {
            let mut runs = HashMap::new();
            loop {
                let wait = look(&ground, &mut runs).await;
                tokio::select! {
                    () = tokio::time::sleep(wait) => {}
                    () = ground.wake.notified() => {}
                    _ = stopped.wait_for(|stop| *stop) => return,
                }
            }
        });
        Self { stop, task }
    }

    /// Ends it after the step under way; its jobs go on with the next start.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        let _ = self.task.await;
    }
}

/// Makes the steps whose time has come; how long nothing is to be done.
async fn look(ground: &Ground, runs: &mut HashMap<JobId, Run>) -> Duration {
    let turns = turns(ground.outbox.jobs());
    runs.retain(|id, _| turns.contains_key(id));
    let mut wait = LOOK;
    for (id, job) in turns {
        let Some(mut run) = going(ground, id, &job, runs.remove(&id)).await else {
            continue;
        };
        let began = ground.clock.monotonic();
        if run.next <= began {
            let made = step(ground, id, &job, run.when.clone()).await;
            let took = ground.clock.monotonic().saturating_sub(began);
            run.next = began + after(id, &job, &mut run, made, took);
        }
        wait = wait.min(run.next.saturating_sub(ground.clock.monotonic()));
        runs.insert(id, run);
    }
    wait
}

/// Says what became of a step, and how long after its begin the next one may begin.
fn after(
    id: JobId,
    job: &BulkJob,
    run: &mut Run,
    made: Result<usize, Unavailable>,
    took: Duration,
) -> Duration {
    match made {
        Ok(targets) => {
            if std::mem::replace(&mut run.troubled, false) {
                tracing::info!(job = %id, "bulk job goes on");
            }
            pause(targets, job.plan.rate, took)
        }
        Err(error) => {
            if !std::mem::replace(&mut run.troubled, true) {
                tracing::warn!(job = %id, error = error.0, "bulk job waits: its next step could not be made");
            }
            took + AGAIN
        }
    }
}

/// A job that is to run, by the tables of now, unless its condition cannot be used any more: then
/// it is cancelled.
async fn going(ground: &Ground, id: JobId, job: &BulkJob, known: Option<Run>) -> Option<Run> {
    let tables = (ground.tables)();
    if let Some(run) = &known
        && Arc::ptr_eq(&run.tables, &tables)
    {
        return known;
    }
    let when = job.plan.when.as_deref();
    let when = match when.map(|text| When::new(text, &tables)).transpose() {
        Ok(when) => when.map(Arc::new),
        Err(why) => {
            let cancelled = ground.outbox.cancel_job(id, ground.clock.now()).await;
            tracing::error!(job = %id, error = why.pick(crate::lang::Lang::En), cancelled = cancelled.is_ok(), "bulk job was cancelled: its condition cannot be used any more");
            return None;
        }
    };
    if let Some(run) = known {
        return Some(Run {
            when,
            tables,
            ..run
        });
    }
    tracing::info!(job = %id, action = job.plan.action.as_str(), done = job.done, "bulk job runs");
    Some(Run {
        when,
        tables,
        next: Duration::ZERO,
        troubled: false,
    })
}

/// Reads and makes the next step; how many targets it had.
async fn step(
    ground: &Ground,
    id: JobId,
    job: &BulkJob,
    when: Option<Arc<When>>,
) -> Result<usize, Unavailable> {
    if ground.outbox.short_of_space() {
        return Err(Unavailable(
            "the disk has less room left than outbox.min_free".to_owned(),
        ));
    }
    let reading = (ground.clone(), job.clone());
    let read = tokio::task::spawn_blocking(move || {
        let (ground, job) = reading;
        next(&ground, &job, when.as_deref())
    });
    let read = read
        .await
        .unwrap_or_else(|error| Err(Unavailable(error.to_string())))?;
    let Selected {
        targets,
        skipped,
        next,
    } = read;
    let (count, ends) = (targets.len(), next.is_none());
    let step = JobStep {
        from: job.cursor.clone(),
        targets,
        skipped,
        to: next,
    };
    match ground.outbox.step_job(id, step, ground.clock.now()).await? {
        Stepped::Made { .. } if ends => end(ground, id, job).await,
        Stepped::Made { .. } | Stepped::Stopped => {}
        Stepped::NoSink => {
            let sink = job.plan.action.to();
            tracing::warn!(job = %id, sink, "bulk job was cancelled: its sink is not configured any more; start it again when it is");
        }
    }
    Ok(count)
}

/// The next targets of a job, behind some that are none.
fn next(ground: &Ground, job: &BulkJob, when: Option<&When>) -> Result<Selected, Unavailable> {
    let of = (&job.plan, job.made_at);
    let most = size(job.plan.rate);
    let mut cursor = job.cursor.clone();
    for _ in 1..PAGES {
        let after = cursor.as_deref();
        let read = select(&*ground.outbox, &*ground.reread, of, when, after, most)?;
        if !read.targets.is_empty() || !read.skipped.is_empty() || read.next.is_none() {
            return Ok(read);
        }
        cursor = read.next;
    }
    select(
        &*ground.outbox,
        &*ground.reread,
        of,
        when,
        cursor.as_deref(),
        most,
    )
}

/// Keeps in the audit log what a job did. It is done: one that cannot be recorded is told of.
async fn record(ground: &Ground, id: JobId, job: &BulkJob) {
    let who = Actor {
        name: job.plan.by.clone(),
        role: String::new(),
        via: Via::Job,
        peer: None,
    };
    let mut event = AuditEvent::new(ground.clock.now(), who, AuditAction::BulkEnd);
    event.target = id.to_string();
    let skipped = job.skipped.values().sum::<u64>();
    event.filter = format!("action={} skipped={skipped}", job.plan.action.as_str());
    event.count = Some(job.done);
    event.note.clone_from(&job.plan.note);
    if let Err(error) = ground.outbox.record(event).await {
        tracing::error!(job = %id, error = error.0, "end of a bulk job was not recorded in the audit log");
    }
}

/// What belongs to the end of a job.
async fn end(ground: &Ground, id: JobId, job: &BulkJob) {
    if let Some(job) = ground.outbox.job(id) {
        super::log("bulk job ended", id, &job, "");
        record(ground, id, &job).await;
    }
    if job.plan.action == BulkAction::Erase {
        // Once for all of them; a crash before that finishes it at the next start.
        let erased = ground.outbox.erase(Erasure::default()).await;
        let not_wiped = erased.map_or_else(|error| Some(error.0), |erased| erased.not_wiped);
        if let Some(error) = not_wiped {
            tracing::warn!(job = %id, error, "what was erased is still on the disk");
        }
    }
}
