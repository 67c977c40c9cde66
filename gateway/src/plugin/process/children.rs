//! Children: all processes of sinks that this process keeps, to be shown, counted and let go.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use leadgate_plugin::child::SandboxReport;
use prometheus::IntCounterVec;
use tokio::task::JoinHandle;

use super::keeper::Keeper;

/// How long all of them may take to end, together. Each is killed a little earlier.
const PATIENCE: Duration = Duration::from_secs(8);

/// The process of one sink, as people see it.
#[derive(Clone, Debug)]
pub struct Status {
    /// Which sink.
    pub sink: String,
    /// Of which plugin.
    pub plugin: String,
    /// `starting`, `running`, `failed` (it is started again) or `stopped`.
    pub state: &'static str,
    /// Its process, while there is one.
    pub pid: Option<u32>,
    /// How often it was started again.
    pub restarts: u64,
    /// How it failed last, in words.
    pub fate: Option<String>,
    /// When it is started again.
    pub again_in: Option<Duration>,
    /// Which parts of its sandbox hold.
    pub sandbox: SandboxReport,
}

/// Where restarts and faults are counted. Clones are the same.
#[derive(Clone, Default)]
pub(super) struct Counters(Arc<OnceLock<(IntCounterVec, IntCounterVec)>>);

impl Counters {
    pub(super) fn restarted(&self, sink: &str) {
        if let Some((restarts, _)) = self.0.get() {
            restarts.with_label_values(&[sink]).inc();
        }
    }

    pub(super) fn failed(&self, plugin: &str, fate: &str) {
        if let Some((_, faults)) = self.0.get() {
            faults.with_label_values(&[plugin, fate]).inc();
        }
    }
}

/// All of them. Clones are the same.
#[derive(Clone, Default)]
pub struct Children {
    kept: Arc<Mutex<Vec<Kept>>>,
    pub(super) counters: Counters,
}

struct Kept {
    keeper: Arc<Keeper>,
    task: JoinHandle<()>,
}

impl Children {
    /// Has restarts counted by sink, and faults by plugin and fate. Once.
    pub fn count(&self, restarts: &IntCounterVec, faults: &IntCounterVec) {
        // Only fails if it was said before.
        let _ = self.counters.0.set((restarts.clone(), faults.clone()));
    }

    /// All of them, by sink.
    pub fn list(&self) -> Vec<Status> {
        let mut all: Vec<_> = self.kept().iter().map(|one| one.keeper.status()).collect();
        all.retain(|one| one.state != "stopped");
        all.sort_by(|one, other| one.sink.cmp(&other.sink));
        all
    }

    /// Lets every sink go and waits until its process has ended; what does not end is killed.
    pub async fn close(&self) {
        let kept = std::mem::take(&mut *self.kept());
        for one in &kept {
            one.keeper.close();
        }
        let all = async {
            for one in kept {
                // A panic there has been logged where it happened.
                let _ = one.task.await;
            }
        };
        // Processes that are left are killed with their handles.
        let _ = tokio::time::timeout(PATIENCE, all).await;
    }

    pub(super) fn add(&self, keeper: Arc<Keeper>, task: JoinHandle<()>) {
        let mut kept = self.kept();
        kept.retain(|one| !one.task.is_finished());
        kept.push(Kept { keeper, task });
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Vec<Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
