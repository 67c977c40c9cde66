//! Stderr: what a program writes beside its answers goes into the log, without what leads say.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

use leadgate_plugin::child::{Child, LAUNCHED, Limits, Line, Stream, follow};
use leadgate_plugin::{Host, Level};
use serde_json::json;
use tokio::sync::oneshot;

use crate::recent::Recent;
use crate::start::Starter;

/// Longest text of a program's own in a reason, in characters.
const LAST: usize = 300;

/// What a program wrote to its stderr.
pub(crate) struct Stderr {
    last: Arc<Mutex<String>>,
    /// Ends when all of it was read.
    pub(crate) over: oneshot::Receiver<()>,
}

impl Stderr {
    pub(crate) fn follow(
        stderr: OwnedFd,
        child: &Child,
        starter: Arc<Starter>,
        host: &Host,
        recent: &Recent,
    ) -> Self {
        let (over, is_over) = oneshot::channel::<()>();
        let last = Arc::new(Mutex::new(String::new()));
        let (kept, host, recent) = (Arc::clone(&last), host.clone(), recent.clone());
        let each = move |_: Stream, line: Line| {
            // Rung by being dropped with this function, when all is read.
            let _ = &over;
            if let Some(report) = line.text.strip_prefix(LAUNCHED) {
                return starter.tell_sandbox(report, &host);
            }
            let text: String = recent.hide(&line.text).chars().take(LAST).collect();
            let mut fields = json!({"line": text});
            if line.dropped > 0 {
                fields["lines_left_out"] = json!(line.dropped);
            }
            if !text.trim().is_empty() {
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                text.trim().clone_into(&mut kept);
            }
            host.log(Level::Info, "a program wrote to stderr", &fields);
        };
        let streams = vec![(Stream::Error, stderr)];
        // Without a thread its stderr is closed; it runs all the same.
        let _ = follow(streams, Limits::default(), child.ended(), each);
        Self {
            last,
            over: is_over,
        }
    }

    /// The last line, without what leads say.
    pub(crate) fn last(&self) -> String {
        let last = self.last.lock();
        last.unwrap_or_else(PoisonError::into_inner).clone()
    }
}
