//! Attempts: each from its start to its one completion, or until nobody waits for it.
//!
//! A plugin that completes an attempt twice is logged, not believed. One that is given up is
//! cancelled, and counted until the plugin completes it after all.

use std::ffi::c_void;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use leadgate_plugin::abi;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::super::calls::{Calls, Done, Open};
use super::super::{Call, Outcome, Own};
use super::batch::Trip;
use super::loan::Loan;
use super::outcome;
use super::sink::{Instance, Sink};
use super::{text, unwinding_ends_here};

/// Attempts that a sink may leave uncompleted after their timeout before it gets no more.
const ABANDONED: isize = 64;

/// Attempts that no plugin has completed yet.
static CALLS: Calls<Loan> = Calls::new();

impl Sink {
    /// Makes one attempt. Gives [`Own::Late`] when the plugin did not complete it within the
    /// call's timeout, counted from when the plugin got it; a late completion is dropped. A
    /// plugin that takes batches may get it later, at most by the same timeout. Dropped before
    /// its end, the attempt is cancelled.
    pub async fn deliver(&self, call: Call) -> Outcome {
        let timeout = call.timeout;
        if self.instance.abandoned.load(Ordering::Relaxed) >= ABANDONED {
            return Own::Stuck.outcome();
        }
        let (mut attempt, start) = Attempt::open(call, &self.instance);
        if let Some(collector) = &self.instance.collector {
            let boarded = collector.board(start, &self.instance);
            match tokio::time::timeout(timeout, boarded).await {
                Ok(Ok(trip)) => attempt.trip = Some(trip),
                Ok(Err(_)) => return Own::Lost.outcome(),
                Err(_) => return attempt.late(timeout),
            }
        } else {
            start.go(&self.instance);
        }
        match tokio::time::timeout(timeout, &mut attempt.outcome).await {
            Ok(outcome) => {
                attempt.ended = true;
                outcome.map_or_else(
                    |_| Own::Lost.outcome(),
                    |outcome| self.masks.outcome(outcome),
                )
            }
            Err(_) => self.masks.outcome(attempt.late(timeout)),
        }
    }

    /// Starts an attempt on this thread, or has it wait for the next batch, under a number that no other attempt of this process
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
            gate: Arc::default(),
        };
        let Some(conductor) = &self.instance.conductor else {
            let done = Done::Told(Box::new(done));
            CALLS.open(number, Open { lent, done });
            start.run(&self.instance);
            return;
        };
        let told = Arc::clone(conductor);
        let done = Done::Told(Box::new(move |outcome| {
            done(outcome);
            told.ended(number);
        }));
        CALLS.open(number, Open { lent, done });
        conductor.conduct(start, &self.instance);
    }

    /// Tells the plugin that nobody waits for that attempt any more. At most once for each.
    pub(in crate::plugin) fn cancel(&self, number: u64) {
        let conductor = self.instance.conductor.as_ref();
        if conductor.is_some_and(|conductor| conductor.withdraw(number)) {
            if let Some(call) = CALLS.close(number) {
                let _ = call.done.send(Own::Unstarted.outcome());
            }
        } else if let Some(cancel) = self.instance.functions.more.cancel {
            // SAFETY: the sink lives, and the plugin takes a number it does not know.
            unsafe { cancel(self.instance.at, ctx_of(number)) };
        }
    }

    /// Whether an attempt is open, also one that nobody waits for.
    pub(in crate::plugin) fn is_busy(&self) -> bool {
        Arc::strong_count(&self.instance) > 1
    }
}

/// An attempt that somebody waits for. Dropped before it ended, it is given up.
struct Attempt {
    number: u64,
    instance: Arc<Instance>,
    gate: Arc<Gate>,
    outcome: oneshot::Receiver<Outcome>,
    ended: bool,
    /// The batch that it is part of: the next leaves when all of this one have ended.
    trip: Option<Arc<Trip>>,
}

impl Attempt {
    /// Lends what the plugin gets, and gives what starts it.
    fn open(call: Call, instance: &Arc<Instance>) -> (Self, Start) {
        let (done, outcome) = oneshot::channel();
        let number = CALLS.number();
        let lent = Loan::new(call, number, Arc::clone(instance));
        let gate = Arc::<Gate>::default();
        let start = Start {
            delivery: lent.delivery(),
            number,
            gate: Arc::clone(&gate),
        };
        let done = Done::Waits(done);
        CALLS.open(number, Open { lent, done });
        let attempt = Self {
            number,
            instance: Arc::clone(instance),
            gate,
            outcome,
            ended: false,
            trip: None,
        };
        (attempt, start)
    }

    /// Gives it up after its time. What came in the same moment counts.
    fn late(mut self, timeout: Duration) -> Outcome {
        match self.give_up() {
            GivenUp::Unstarted => Own::Unstarted.outcome(),
            GivenUp::Completed(outcome) => *outcome,
            GivenUp::Cancelled => Own::Late.outcome_with(&format!("{timeout:?}")),
        }
    }

    fn give_up(&mut self) -> GivenUp {
        self.ended = true;
        if self.gate.close() {
            drop(CALLS.close(self.number));
            return GivenUp::Unstarted;
        }
        // Invariant: counted before the channel closes, because whoever finds it closed counts
        // back.
        let abandoned = &self.instance.abandoned;
        abandoned.fetch_add(1, Ordering::Relaxed);
        self.outcome.close();
        if let Ok(outcome) = self.outcome.try_recv() {
            abandoned.fetch_sub(1, Ordering::Relaxed);
            return GivenUp::Completed(Box::new(outcome));
        }
        cancel(&self.instance, self.number);
        GivenUp::Cancelled
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if !self.ended {
            let _ = self.give_up();
        }
    }
}

/// What was known of an attempt when it was given up.
enum GivenUp {
    /// The plugin never got it.
    Unstarted,
    /// It ended just then.
    Completed(Box<Outcome>),
    /// The plugin was told.
    Cancelled,
}

/// Tells the plugin that nobody waits for an attempt any more, if it wants to know.
fn cancel(instance: &Arc<Instance>, number: u64) {
    let Some(cancel) = instance.functions.more.cancel else {
        return;
    };
    let instance = Arc::clone(instance);
    let blocking = instance.blocking;
    let tell = move || {
        // SAFETY: the sink lives as long as `instance`; an attempt that has ended meanwhile is
        // unknown to the plugin, which the ABI allows.
        unsafe { cancel(instance.at, ctx_of(number)) };
    };
    match (blocking, Handle::try_current()) {
        (false, _) => tell(),
        (true, Ok(runtime)) => drop(runtime.spawn_blocking(tell)),
        // The process ends, and the attempt with it.
        (true, Err(_)) => {}
    }
}

/// Whether an attempt was handed to the plugin, or given up before: only one of both happens.
#[derive(Default)]
struct Gate(AtomicU8);

impl Gate {
    const OPEN: u8 = 0;
    const PASSED: u8 = 1;
    const CLOSED: u8 = 2;

    /// Before the plugin gets it: false if it was given up.
    fn pass(&self) -> bool {
        self.turn(Self::PASSED)
    }

    /// Gives it up: false if the plugin has it.
    fn close(&self) -> bool {
        self.turn(Self::CLOSED)
    }

    fn turn(&self, to: u8) -> bool {
        let (set, failed) = (Ordering::AcqRel, Ordering::Acquire);
        self.0.compare_exchange(Self::OPEN, to, set, failed).is_ok()
    }
}

/// The call into the plugin, to be made here or on a thread that may block.
pub(super) struct Start {
    delivery: *const abi::Delivery,
    number: u64,
    gate: Arc<Gate>,
}

// SAFETY: `delivery` points into a box owned by `CALLS` until the plugin completes, or until
// the gate is closed, after which it is not looked at.
unsafe impl Send for Start {}

impl Start {
    /// Hands the attempt over.
    fn go(self, instance: &Arc<Instance>) {
        if instance.blocking {
            let instance = Arc::clone(instance);
            tokio::task::spawn_blocking(move || {
                if self.pass() {
                    self.run(&instance);
                }
            });
        } else if self.pass() {
            self.run(instance);
        }
    }

    /// Whether somebody waits for it still. Then it must be run.
    pub(super) fn pass(&self) -> bool {
        self.gate.pass()
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    fn run(self, instance: &Instance) {
        // SAFETY: the delivery lives until `done` is called with this number.
        unsafe {
            let deliver = instance.functions.deliver;
            deliver(instance.at, self.delivery, done, ctx_of(self.number));
        }
    }
}

/// Hands several over, in one call if it can be.
pub(super) fn run_all(starts: Vec<Start>, instance: &Instance) {
    let Some(batch) = instance.functions.more.batch.filter(|_| starts.len() > 1) else {
        for start in starts {
            start.run(instance);
        }
        return;
    };
    let deliveries: Vec<_> = starts.iter().map(|start| start.delivery).collect();
    let ctxs: Vec<_> = starts.iter().map(|start| ctx_of(start.number)).collect();
    // SAFETY: each delivery lives until `done` is called with its number; both arrays have so
    // many elements and live until this returns.
    unsafe {
        (batch.deliver_batch)(
            instance.at,
            deliveries.as_ptr(),
            ctxs.as_ptr(),
            deliveries.len(),
            done,
        );
    }
}

/// An attempt's number as the plugin gets it.
pub(super) fn ctx_of(number: u64) -> *mut c_void {
    std::ptr::without_provenance_mut(usize::try_from(number).unwrap_or(usize::MAX))
}

/// Keeps a step record. `ctx` is the attempt's number.
pub(super) unsafe extern "C" fn keep(ctx: *mut c_void, step_record: abi::Bytes) {
    unwinding_ends_here("keep", || {
        let keep = CALLS.look(ctx.addr() as u64, |lent| lent.lent().call.keep.clone());
        if let Some(Some(keep)) = keep
            && step_record.len <= abi::JOURNAL_MAX
        {
            // SAFETY: valid until we return.
            keep(unsafe { text(step_record, abi::JOURNAL_MAX) });
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
        if !call.done.send(outcome) {
            // Nobody waits any more: how it ended was recorded when it was given up.
            let instance = &call.lent.lent().instance;
            instance.abandoned.fetch_sub(1, Ordering::Relaxed);
        }
    });
}
