//! Sink state: what a sink's plugin keeps from one run to the next, in the outbox.
//!
//! Sinks are made before the outbox is open, and plugins may call from any thread. So a room
//! finds its outbox later, and waits for a write on the caller's thread while the runtime does
//! it. Knows of the outbox only weakly: plugins' memory outlives it.

use std::sync::{Arc, OnceLock, Weak, mpsc};
use std::time::Duration;

use tokio::runtime::Handle;

use crate::outbox::Outbox;
use crate::plugin::SinkState;

/// Longest wait for the disk.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where the outbox will be.
#[derive(Clone, Default)]
pub(super) struct Rooms(Arc<OnceLock<Weak<dyn Outbox>>>);

impl Rooms {
    /// The room of one sink. Must be called inside a tokio runtime.
    pub(super) fn of(&self, sink: &str) -> Arc<dyn SinkState> {
        Arc::new(Room {
            sink: sink.to_owned(),
            outbox: self.clone(),
            runtime: Handle::current(),
        })
    }

    /// From now on values are kept.
    pub(super) fn open(&self, outbox: &Arc<dyn Outbox>) {
        // Opened once for each start.
        let _ = self.0.set(Arc::downgrade(outbox));
    }

    fn outbox(&self) -> Option<Arc<dyn Outbox>> {
        self.0.get()?.upgrade()
    }
}

struct Room {
    sink: String,
    outbox: Rooms,
    runtime: Handle,
}

impl SinkState for Room {
    fn get(&self, key: &str) -> Option<Vec<u8>> {
        match self.outbox.outbox()?.sink_state(&self.sink, key) {
            Ok(kept) => kept,
            Err(error) => {
                let sink = self.sink.as_str();
                tracing::error!(
                    sink,
                    error = error.0,
                    "what the sink keeps could not be read"
                );
                None
            }
        }
    }

    fn set(&self, key: &str, value: Option<Vec<u8>>) -> bool {
        let Some(outbox) = self.outbox.outbox() else {
            return false;
        };
        let write = outbox.keep_sink_state(&self.sink, key, value);
        let (told, waiting) = mpsc::sync_channel(1);
        self.runtime.spawn(async move {
            let _ = told.send(write.await);
        });
        let sink = self.sink.as_str();
        match waiting.recv_timeout(PATIENCE) {
            Ok(Ok(true)) => true,
            Ok(Ok(false)) => {
                tracing::warn!(
                    sink,
                    "the sink keeps too many values; one more was not kept"
                );
                false
            }
            Ok(Err(error)) => {
                tracing::error!(sink, error = error.0, "a value of the sink was not kept");
                false
            }
            Err(_) => {
                tracing::error!(sink, "a value of the sink was not kept in time");
                false
            }
        }
    }
}
