//! The runner: makes the steps of the jobs that run, each at its rate, one job a sink at a time.
//!
//! It keeps nothing: which jobs run and how far they are is read from the outbox, so a restart
//! goes on by itself and a cancellation is seen at once. What a step did is durable before the
//! next one is read. A job gets at most half of the time that its steps take, and what it makes
//! due waits behind what is fresh: new leads are not held up. Owns its task; ends when told.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::{Ground, Selected, behind, select};
use crate::lang::{Lang, Text};
use crate::lead::Tables;
use crate::outbox::{
    Actor, AuditAction, AuditEvent, AuditResult, BulkAction, BulkJob, Erased, Erasure, JobId,
    JobStep, STEP, Stepped, Stop, Unavailable, Via,
};
use crate::route::When;

/// How long nobody needs to tell it of a job.
const LOOK: Duration = Duration::from_secs(1);
/// Wait after a step that could not be made.
const AGAIN: Duration = Duration::from_secs(1);
/// Wait after what was erased could not be taken off the disk.
const WIPE_AGAIN: Duration = Duration::from_secs(10);
/// Between two looks at whether it is off.
const WIPES: Duration = Duration::from_millis(100);
/// Steps a second, about, as long as a step is not full.
const STEPS: u32 = 4;

/// Pages without a target that are read for one step, at most.
const PAGES: usize = 50;

/// The running task.
pub struct Runner {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
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
    /// Takes what the job erased off the disk, beside the steps of the others.
    wipe: Option<JoinHandle<Result<Erased, Unavailable>>>,
}

/// What came of a look at a job.
enum Made {
    /// A step of so many targets.
    Step(usize),
    /// What was erased is being taken off the disk.
    Wiping,
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
    let jobs = ground.outbox.jobs();
    let behind = behind(&jobs);
    let is_turn = |id: JobId| behind.get(&id) == Some(&None);
    runs.retain(|id, _| is_turn(*id));
    ground.waits.retain(is_turn);
    let mut wait = LOOK;
    for (id, job) in jobs.into_iter().filter(|(id, _)| is_turn(*id)) {
        let Some(mut run) = going(ground, id, &job, runs.remove(&id)).await else {
            continue;
        };
        let began = ground.clock.monotonic();
        if run.next <= began {
            let made = make(ground, id, &job, &mut run).await;
            let took = ground.clock.monotonic().saturating_sub(began);
            run.next = began + after(ground, id, &job, made, took);
        }
        wait = wait.min(run.next.saturating_sub(ground.clock.monotonic()));
        runs.insert(id, run);
    }
    wait
}

/// Says what became of a step, and how long after its begin the next one may begin.
fn after(
    ground: &Ground,
    id: JobId,
    job: &BulkJob,
    made: Result<Made, Text>,
    took: Duration,
) -> Duration {
    match made {
        Ok(Made::Wiping) => WIPES,
        Ok(Made::Step(targets)) => {
            if ground.waits.end(id) {
                tracing::info!(job = %id, "bulk job goes on");
            }
            pause(targets, job.plan.rate, took)
        }
        Err(why) => {
            let error = why.pick(Lang::En).to_owned();
            if ground.waits.begin(id, why) {
                tracing::warn!(job = %id, error, "bulk job waits");
            }
            took + if job.wiping { WIPE_AGAIN } else { AGAIN }
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
            let now = ground.clock.now();
            let cancelled = ground.outbox.cancel_job(id, Stop::Condition, now).await;
            tracing::error!(job = %id, error = why.pick(Lang::En), cancelled = cancelled.is_ok(), "bulk job was cancelled: its condition cannot be used any more");
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
        wipe: None,
    })
}

/// Makes the next step, or goes on with taking what was erased off the disk; why that cannot be.
async fn make(ground: &Ground, id: JobId, job: &BulkJob, run: &mut Run) -> Result<Made, Text> {
    if job.wiping {
        return wipe(ground, id, run).await;
    }
    // What makes room is done all the more.
    let adds = matches!(
        job.plan.action,
        BulkAction::Replay { .. } | BulkAction::Move { .. } | BulkAction::Release { .. }
    );
    if adds && ground.outbox.short_of_space() {
        return Err(Text::new(
            "the disk has less room left than outbox.min_free: make room",
            "磁盘剩余空间少于 outbox.min_free：请腾出空间",
        ));
    }
    let made = step(ground, id, job, run.when.clone()).await;
    made.map(Made::Step).map_err(said)
}

/// What the store says.
fn said(error: Unavailable) -> Text {
    Text::plain(error.0)
}

/// Takes what a job erased off the disk, once for all of it, and ends the job then; a crash
/// before that finishes it at the next start.
async fn wipe(ground: &Ground, id: JobId, run: &mut Run) -> Result<Made, Text> {
    let nothing = || tokio::spawn(ground.outbox.erase(Erasure::default()));
    let task = run.wipe.get_or_insert_with(nothing);
    if !task.is_finished() {
        return Ok(Made::Wiping);
    }
    let erased = task.await;
    run.wipe = None;
    let erased = erased.unwrap_or_else(|error| Err(Unavailable(error.to_string())));
    if let Some(why) = erased.map_or_else(|error| Some(error.0), |erased| erased.not_wiped) {
        return Err(Text::new(
            format!("what was erased is still on the disk: {why}"),
            format!("已擦除的内容仍在磁盘上：{why}"),
        ));
    }
    let last = JobStep {
        from: None,
        targets: Vec::new(),
        skipped: Vec::new(),
        to: None,
    };
    let made = ground.outbox.step_job(id, last, ground.clock.now()).await;
    if let Stepped::Made { .. } = made.map_err(said)? {
        ended(ground, id).await;
    }
    Ok(Made::Step(0))
}

/// Reads and makes the next step; how many targets it had.
async fn step(
    ground: &Ground,
    id: JobId,
    job: &BulkJob,
    when: Option<Arc<When>>,
) -> Result<usize, Unavailable> {
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
    let count = targets.len();
    let ends = next.is_none() && job.plan.action != BulkAction::Erase;
    let step = JobStep {
        from: job.cursor.clone(),
        targets,
        skipped,
        to: next,
    };
    match ground.outbox.step_job(id, step, ground.clock.now()).await? {
        Stepped::Made { .. } if ends => ended(ground, id).await,
        Stepped::Made { .. } | Stepped::Stopped => {}
        Stepped::NoSink => {
            let sink = job.plan.action.to();
            tracing::warn!(job = %id, sink, "bulk job was cancelled: its sink is not configured any more; start it again when it is");
            if let Some(job) = ground.outbox.job(id) {
                record(ground, id, &job, AuditResult::Failed("no-sink".to_owned())).await;
            }
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

/// Keeps in the audit log what a job did, and how it ended. It is done: what cannot be recorded is
/// told of.
async fn record(ground: &Ground, id: JobId, job: &BulkJob, result: AuditResult) {
    let who = Actor {
        name: job.plan.by.clone(),
        role: BulkAction::role(job.plan.action.as_str()),
        via: Via::Job,
        peer: None,
    };
    let mut event = AuditEvent::new(ground.clock.now(), who, AuditAction::BulkEnd);
    event.target = id.to_string();
    let skipped = job.skipped.values().sum::<u64>();
    event.filter = format!("action={} skipped={skipped}", job.plan.action.as_str());
    event.count = Some(job.done);
    event.note.clone_from(&job.plan.note);
    event.result = result;
    if let Err(error) = ground.outbox.record(event).await {
        tracing::error!(job = %id, error = error.0, "end of a bulk job was not recorded in the audit log");
    }
}

/// Says that a job is done.
async fn ended(ground: &Ground, id: JobId) {
    if let Some(job) = ground.outbox.job(id) {
        super::log("bulk job ended", id, &job, "");
        record(ground, id, &job, AuditResult::Done).await;
    }
}
