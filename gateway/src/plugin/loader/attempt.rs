//! Attempts: what is lent to a plugin, and its one completion.
//!
//! A plugin that completes an attempt twice is logged, not believed.

use std::ffi::c_void;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use leadgate_plugin::abi;
use tokio::sync::oneshot;

use super::super::calls::{Calls, Open};
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
