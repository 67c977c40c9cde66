//! Flights: the attempts under way in this library, one or a batch of them, so that each is
//! completed once and the host can end one that nobody waits for.

use std::collections::BTreeMap;
use std::ffi::c_void;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::{AbortHandle, AbortRegistration};

use super::size_of;
use crate::{Outcome, abi};

/// A sink and the number that the host gave an attempt of it.
type Key = (usize, usize);

/// What is under way, and which of its flight's attempts each is.
static UNDER_WAY: Mutex<BTreeMap<Key, (Arc<Flight>, usize)>> = Mutex::new(BTreeMap::new());

/// Attempts that were started by one call.
pub(super) struct Flight {
    sink: usize,
    /// Those that were not completed yet.
    open: Mutex<Vec<Option<Done>>>,
    abort: AbortHandle,
}

impl Flight {
    /// Of attempts of `sink`; what belongs to the registration ends when all were cancelled.
    pub(super) fn start(sink: *mut c_void, attempts: Vec<Done>) -> (Arc<Self>, AbortRegistration) {
        let (abort, registration) = AbortHandle::new_pair();
        let sink = sink.addr();
        let keys: Vec<Key> = attempts
            .iter()
            .map(|done| (sink, done.ctx.addr()))
            .collect();
        let flight = Arc::new(Self {
            sink,
            open: Mutex::new(attempts.into_iter().map(Some).collect()),
            abort,
        });
        let mut under_way = lock(&UNDER_WAY);
        for (at, key) in keys.into_iter().enumerate() {
            under_way.insert(key, (Arc::clone(&flight), at));
        }
        (flight, registration)
    }

    /// The address of their sink.
    pub(super) fn sink(&self) -> usize {
        self.sink
    }

    /// Completes all that is open still, each with the outcome of its place.
    pub(super) fn end(&self, mut outcome: impl FnMut(usize) -> Outcome) {
        let open: Vec<_> = lock(&self.open).iter_mut().map(Option::take).collect();
        for (at, done) in open.into_iter().enumerate() {
            if let Some(done) = done {
                self.complete(done, &outcome(at));
            }
        }
    }

    fn complete(&self, done: Done, outcome: &Outcome) {
        lock(&UNDER_WAY).remove(&(self.sink, done.ctx.addr()));
        done.call(outcome);
    }

    /// Ends one: the whole flight if no other waits for it, else only what is told of it.
    fn cancel(&self, at: usize) {
        let mut open = lock(&self.open);
        let others = open
            .iter()
            .enumerate()
            .any(|(other, done)| other != at && done.is_some());
        if !others {
            drop(open);
            self.abort.abort();
            return;
        }
        let done = open.get_mut(at).and_then(Option::take);
        drop(open);
        if let Some(done) = done {
            self.complete(done, &cancelled());
        }
    }
}

/// Ends the attempt `ctx` of `sink`, if it is under way.
pub(super) fn cancel(sink: *mut c_void, ctx: *mut c_void) {
    let found = lock(&UNDER_WAY).get(&(sink.addr(), ctx.addr())).cloned();
    if let Some((flight, at)) = found {
        flight.cancel(at);
    }
}

/// Of an attempt that nobody waits for.
pub(super) fn cancelled() -> Outcome {
    Outcome::ambiguous("the attempt was cancelled").rule("cancelled")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The completion of one attempt. Consumed by its one use.
pub(super) struct Done {
    pub(super) done: abi::DoneFn,
    pub(super) ctx: *mut c_void,
}

// SAFETY: the ABI allows completing from any thread.
unsafe impl Send for Done {}

impl Done {
    fn call(self, outcome: &Outcome) {
        let bytes = |text: &str| abi::Bytes {
            ptr: text.as_ptr(),
            len: text.len(),
        };
        let outcome = abi::Outcome {
            struct_size: size_of::<abi::Outcome>(),
            kind: outcome.kind.number(),
            retry_after_ms: outcome.retry_after.map_or(-1, |after| {
                i64::try_from(after.as_millis()).unwrap_or(i64::MAX)
            }),
            receipt: bytes(&outcome.receipt),
            reason: bytes(&outcome.reason),
            rule: bytes(&outcome.rule),
            request: bytes(&outcome.request),
            response: bytes(&outcome.response),
        };
        // SAFETY: everything lives until `done` returns; `self` is consumed, so it is called once.
        unsafe { (self.done)(self.ctx, &raw const outcome) };
    }
}
