//! The committer: one thread that makes changes, a group of them a commit.

use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, oneshot};
use uuid::ContextV7;

use super::store::Inner;
use super::{journal, lock};
use crate::outbox::Unavailable;
use crate::outbox::conformance::engine::Writer;
use crate::outbox::state::{Change, Done, Ground, State};

/// Changes in one commit, at most.
const GROUP: usize = 512;

/// What a barrier takes on a disk, so that others come meanwhile.
const BARRIER: Duration = Duration::from_millis(1);

/// What the committer is asked.
pub(super) enum Job {
    /// To make changes, and to say what became of them.
    Make {
        changes: Vec<Change>,
        permit: Option<OwnedSemaphorePermit>,
        tell: oneshot::Sender<Result<Vec<Done>, Unavailable>>,
    },
    /// To panic.
    Panic(Writer),
    /// To end.
    Close,
}

/// Ends when it is told to, or when it panics.
pub(super) fn run(inner: &Arc<Inner>, jobs: &Receiver<Job>) {
    let ids = ContextV7::new();
    while let Ok(first) = jobs.recv() {
        let mut group = vec![first];
        while group.len() < GROUP
            && let Ok(next) = jobs.try_recv()
        {
            group.push(next);
        }
        let last = group.iter().any(|job| matches!(job, Job::Close));
        commit(inner, &ids, group);
        if last {
            let mut kept = lock(&inner.kept);
            kept.synced = kept.frames.len();
            return;
        }
    }
}

fn commit(inner: &Inner, ids: &ContextV7, group: Vec<Job>) {
    let began = Instant::now();
    let key = inner.index_key();
    let stored = inner.read();
    let ground = Ground {
        view: &stored.memory,
        sinks: &inner.sinks,
        ids,
        holds: &inner.hands,
        hash: &|parts| key.hash(5, parts),
    };
    let before = stored.totals.clone();
    let mut state = State::new(ground, before.clone());
    let mut told = Vec::new();
    let (mut durable, mut sync_panics) = (false, false);
    for job in group {
        match job {
            Job::Make {
                changes,
                permit,
                tell,
            } => {
                durable |= !changes.iter().all(|one| matches!(one, Change::Finish(_)));
                let done: Result<Vec<Done>, _> =
                    changes.iter().map(|change| state.apply(change)).collect();
                told.push((
                    tell,
                    permit,
                    done.map_err(|fault| Unavailable(fault.to_string())),
                ));
            }
            Job::Panic(Writer::Committer) => panic!("injected: the committer's"),
            Job::Panic(Writer::Syncer) => sync_panics = true,
            Job::Close => {}
        }
    }
    let effects = state.into_effects();
    drop(stored);
    let changed = !effects.records.is_empty() || effects.totals != before;
    if changed {
        let frame = journal::encode(&effects.records, &effects.totals);
        let mut kept = lock(&inner.kept);
        kept.frames.push(frame);
        drop(kept);
        assert!(!sync_panics, "injected: the syncer's");
        std::thread::sleep(BARRIER);
        let mut kept = lock(&inner.kept);
        if durable {
            kept.synced = kept.frames.len();
        }
        drop(kept);
        let mut stored = inner.write();
        stored.memory.apply(&effects.records);
        stored.totals = effects.totals;
        drop(stored);
        let took = began.elapsed().as_secs_f64();
        inner.metrics.commit_duration.observe(took);
    }
    assert!(!sync_panics, "injected: the syncer's");
    inner.hands.unclaim(&effects.ended);
    inner.hands.unreserve(&effects.reserved);
    for (tell, permit, done) in told {
        drop(permit);
        // Whoever asked may have stopped waiting.
        let _ = tell.send(done);
    }
    for sink in effects.wake {
        inner.lanes[&sink].notify_one();
    }
}
