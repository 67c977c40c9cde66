//! Attempts: what is lent to a plugin, and its one completion.
//!
//! A plugin that completes an attempt twice is logged, not believed.

use std::ffi::c_void;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use leadgate_plugin::abi;
use tokio::sync::oneshot;

use super::super::calls::{Calls, Done, Open};
use super::super::{Call, Outcome, Own};
use super::loan::Loan;
use super::outcome;
use super::sink::{Instance, Sink};
use super::{text, unwinding_ends_here};

/// Attempts that a sink may leave uncompleted after their timeout before it gets no more.
const ABANDONED: isize = 64;

/// Attempts that no plugin has completed yet.
static CALLS: Calls<Loan> = Calls::new();

impl Sink {
    /// Makes one attempt. Gives an ambiguous outcome when the plugin did not complete it in
    /// time; a late completion is dropped.
    pub async fn deliver(&self, call: Call) -> Outcome {
        let timeout = call.timeout;
        if self.instance.abandoned.load(Ordering::Relaxed) >= ABANDONED {
            return Own::Stuck.outcome();
        }
        let (done, outcome) = oneshot::channel();
        let number = CALLS.number();
        let lent = Loan::new(call, number, Arc::clone(&self.instance));
        let start = Start {
            delivery: lent.delivery(),
            number,
            instance: Arc::clone(&self.instance),
        };
        let done = Done::Waits(done);
        CALLS.open(number, Open { lent, done });
        if self.blocking {
            tokio::task::spawn_blocking(move || start.run());
        } else {
            start.run();
        }
        match tokio::time::timeout(timeout, outcome).await {
            Ok(Ok(outcome)) => self.masks.outcome(outcome),
            Ok(Err(_)) => Own::Lost.outcome(),
            Err(_) => {
                self.instance.abandoned.fetch_add(1, Ordering::Relaxed);
                Own::Late.outcome_with(&format!("{timeout:?}"))
            }
        }
    }

    /// Starts an attempt on this thread, under a number that no other attempt of this process
    /// has; `done` is told how it ended, once. For a process that has no sink but this one.
    pub(in crate::plugin) fn begin(
        &self,
        number: u64,
        call: Call,
        done: impl FnOnce(Outcome) + Send + 'static,
    ) {
        let lent = Loan::new(call, number, Arc::clone(&self.instance));
        let start = Start {
            delivery: lent.delivery(),
            number,
            instance: Arc::clone(&self.instance),
        };
        let done = Done::Told(Box::new(done));
        CALLS.open(number, Open { lent, done });
        start.run();
    }

    /// Tells the plugin that nobody waits for that attempt any more. At most once for each.
    pub(in crate::plugin) fn cancel(&self, number: u64) {
        if let Some(cancel) = self.instance.functions.more.cancel {
            // SAFETY: the sink lives, and the plugin takes a number it does not know.
            unsafe { cancel(self.instance.at, ctx_of(number)) };
        }
    }

    /// Whether an attempt is open, also one that nobody waits for.
    pub(in crate::plugin) fn is_busy(&self) -> bool {
        Arc::strong_count(&self.instance) > 1
    }
}

/// The call into the plugin, to be made here or on a thread that may block.
struct Start {
    delivery: *const abi::Delivery,
    number: u64,
    instance: Arc<Instance>,
}

// SAFETY: `delivery` points into a box owned by `CALLS` until the plugin completes.
unsafe impl Send for Start {}

impl Start {
    fn run(self) {
        let ctx = ctx_of(self.number);
        // SAFETY: the delivery lives until `done` is called with this number.
        unsafe { (self.instance.functions.deliver)(self.instance.at, self.delivery, done, ctx) }
    }
}

/// An attempt's number as the plugin gets it.
pub(super) fn ctx_of(number: u64) -> *mut c_void {
    std::ptr::without_provenance_mut(usize::try_from(number).unwrap_or(usize::MAX))
}

/// Keeps a journal. `ctx` is the attempt's number.
pub(super) unsafe extern "C" fn keep(ctx: *mut c_void, journal: abi::Bytes) {
    unwinding_ends_here("keep", || {
        let keep = CALLS.look(ctx.addr() as u64, |lent| lent.lent().call.keep.clone());
        if let Some(Some(keep)) = keep
            && journal.len <= abi::JOURNAL_MAX
        {
            // SAFETY: valid until we return.
            keep(unsafe { text(journal, abi::JOURNAL_MAX) });
        }
    });
}

/// Completes an attempt. `ctx` is its number.
unsafe extern "C" fn done(ctx: *mut c_void, outcome: *const abi::Outcome) {
    unwinding_ends_here("done", || {
        let Some(call) = CALLS.close(ctx.addr() as u64) else {
            tracing::error!("plugin completed an attempt twice; the second outcome was dropped");
            return;
        };
        // SAFETY: valid until we return, by the contract of `done`.
        let outcome = unsafe { outcome::read(outcome) };
        if call.done.send(outcome).is_err() {
            // Nobody waits any more: the timeout was recorded as the outcome.
            let instance = &call.lent.lent().instance;
            instance.abandoned.fetch_sub(1, Ordering::Relaxed);
        }
    });
}
