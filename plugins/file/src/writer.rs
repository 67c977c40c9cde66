//! The writer: the one thread that appends, and the queue to it.
//!
//! Lines that come together share one sync. The queue is bounded, and closing it ends the
//! thread after what is in it.

use std::io;
use std::sync::Mutex;
use std::thread::JoinHandle;

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};

use crate::log::Log;

/// Lines that may wait for the thread.
const QUEUE: usize = 256;

/// A line to write, and whom to tell.
type Line = (Vec<u8>, oneshot::Sender<io::Result<()>>);

/// The queue to the thread.
pub(crate) struct Writer {
    lines: mpsc::Sender<Line>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// The thread is gone.
pub(crate) struct Ended;

impl Writer {
    pub(crate) fn start(log: Log, clock: fn() -> Timestamp) -> io::Result<Self> {
        let (lines, queue) = mpsc::channel(QUEUE);
        let thread = std::thread::Builder::new()
            .name("leadgate-file".to_owned())
            .spawn(move || write(log, queue, clock))?;
        Ok(Self {
            lines,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Returns when the line is on disk, or could not be written.
    pub(crate) async fn append(&self, line: Vec<u8>) -> Result<io::Result<()>, Ended> {
        let (told, done) = oneshot::channel();
        self.lines.send((line, told)).await.map_err(|_| Ended)?;
        done.await.map_err(|_| Ended)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let (closed, _) = mpsc::channel(1);
        drop(std::mem::replace(&mut self.lines, closed));
        if let Ok(mut thread) = self.thread.lock()
            && let Some(thread) = thread.take()
        {
            let _ = thread.join();
        }
    }
}

fn write(mut log: Log, mut queue: mpsc::Receiver<Line>, clock: fn() -> Timestamp) {
    let mut group = Vec::with_capacity(QUEUE);
    while queue.blocking_recv_many(&mut group, QUEUE) > 0 {
        let (lines, told): (Vec<_>, Vec<_>) = group.drain(..).unzip();
        let written = log.append(&lines, clock());
        for one in told {
            let result = match &written {
                Ok(()) => Ok(()),
                Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
            };
            // Whoever stopped waiting has recorded a timeout.
            let _ = one.send(result);
        }
    }
}
