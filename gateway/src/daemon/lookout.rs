//! The lookout: once a second, whether something begins or ends that nobody asks about.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Between two looks.
const INTERVAL: Duration = Duration::from_secs(1);

/// The running task.
pub(super) struct Lookout {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Lookout {
    /// Calls `look` again and again, on a thread that may block. Must be called inside a tokio
    /// runtime.
    pub(super) fn start(look: Arc<dyn Fn() + Send + Sync>) -> Self {
        let (stop, mut stopped) = watch::channel(false);
        let task = tokio::spawn(async move {
            loop {
                tokio::select! {
                    () = tokio::time::sleep(INTERVAL) => {}
                    _ = stopped.wait_for(|stop| *stop) => return,
                }
                let look = Arc::clone(&look);
                // A disk that hangs holds one look up, and the next ones with it.
                let looking = tokio::task::spawn_blocking(move || look());
                tokio::select! {
                    _ = looking => {}
                    _ = stopped.wait_for(|stop| *stop) => return,
                }
            }
        });
        Self { stop, task }
    }

    /// Ends it.
    pub(super) async fn stop(self) {
        self.stop.send_replace(true);
        let _ = self.task.await;
    }
}
