//! Attempts: from the host's call to the one completion of each.

use std::ffi::c_void;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::{AbortRegistration, Abortable};

use super::flight::{self, Done, Flight};
use super::panics::{self, For};
use super::read;
use super::runtime::runtime;
use crate::{Outcome, Sink, abi};

pub(super) unsafe extern "C" fn deliver<S: Sink>(
    sink: *mut c_void,
    delivery: *const abi::Delivery,
    done: abi::DoneFn,
    ctx: *mut c_void,
) {
    let (flight, registration) = Flight::start(sink, vec![Done { done, ctx }]);
    let attempt = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: by the contract of `deliver`; the delivery is copied here.
        let (sink, delivery) = unsafe { (share::<S>(sink), read::delivery(delivery)) };
        async move { vec![sink.deliver(&delivery).await] }
    }));
    match attempt {
        Ok(attempt) => go::<S>(&flight, attempt, registration),
        Err(_) => {
            let outcome = panicked();
            flight.end(|_| outcome.clone());
        }
    }
}

pub(super) unsafe extern "C" fn deliver_batch<S: Sink>(
    sink: *mut c_void,
    deliveries: *const *const abi::Delivery,
    ctxs: *const *mut c_void,
    count: usize,
    done: abi::DoneFn,
) {
    if deliveries.is_null() || ctxs.is_null() || count == 0 {
        return;
    }
    // SAFETY: so many of both are valid until we return.
    let (deliveries, ctxs) = unsafe {
        (
            std::slice::from_raw_parts(deliveries, count),
            std::slice::from_raw_parts(ctxs, count),
        )
    };
    let attempts = ctxs.iter().map(|ctx| Done { done, ctx: *ctx });
    let (flight, registration) = Flight::start(sink, attempts.collect());
    let attempt = catch_unwind(AssertUnwindSafe(|| {
        let deliveries = deliveries.iter();
        // SAFETY: each lives until its `done`; it is copied here.
        let deliveries: Vec<_> = deliveries
            .map(|at| unsafe { read::delivery(*at) })
            .collect();
        // SAFETY: as in `deliver`.
        let sink = unsafe { share::<S>(sink) };
        async move { sink.deliver_batch(&deliveries).await }
    }));
    match attempt {
        Ok(attempt) => go::<S>(&flight, attempt, registration),
        Err(_) => {
            let outcome = panicked();
            flight.end(|_| outcome.clone());
        }
    }
}

pub(super) unsafe extern "C" fn cancel(sink: *mut c_void, ctx: *mut c_void) {
    // Nothing may unwind into the host; what cannot be cancelled ends by itself.
    let _ = catch_unwind(|| flight::cancel(sink, ctx));
}

/// The sink, kept alive for an attempt.
///
/// # Safety
///
/// `sink` came from `create` and is not destroyed yet: that is after all attempts are done.
unsafe fn share<S: Sink>(sink: *mut c_void) -> Arc<S> {
    // SAFETY: by the function's contract; `create` made it from an `Arc`.
    unsafe {
        Arc::increment_strong_count(sink.cast::<S>());
        Arc::from_raw(sink.cast::<S>())
    }
}

/// Runs a flight's attempts to their end: on this thread if the sink blocks, else on the
/// library's runtime.
fn go<S: Sink>(
    flight: &Arc<Flight>,
    attempt: impl Future<Output = Vec<Outcome>> + Send + 'static,
    registration: AbortRegistration,
) {
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => {
            drop(attempt);
            let why = error.to_string();
            return flight.end(|_| Outcome::retry(None, why.clone()).rule("runtime"));
        }
    };
    let mine = Arc::clone(flight);
    let attempt = panics::while_polled(For::Sink(flight.sink()), attempt);
    let whole = async move {
        // The attempt and its hold on the sink are dropped in here: before `done`, because the
        // host may destroy the sink right after it.
        let caught = AssertUnwindSafe(Abortable::new(attempt, registration))
            .catch_unwind()
            .await;
        match caught {
            Ok(Ok(outcomes)) => {
                let given = |at: usize| outcomes.get(at).cloned();
                mine.end(|at| given(at).unwrap_or_else(|| missing(outcomes.len())));
            }
            Ok(Err(_)) => mine.end(|_| flight::cancelled()),
            Err(_) => {
                let outcome = panicked();
                mine.end(|_| outcome.clone());
            }
        }
    };
    if S::BLOCKING {
        let ran = catch_unwind(AssertUnwindSafe(|| runtime.block_on(whole)));
        if ran.is_err() {
            flight.end(|_| panicked());
        }
    } else {
        runtime.spawn(whole);
    }
}

fn panicked() -> Outcome {
    Outcome::ambiguous(panics::said()).rule("panic")
}

fn missing(given: usize) -> Outcome {
    let why = format!("the plugin gave {given} outcomes for more deliveries");
    Outcome::ambiguous(why).rule("plugin-contract")
}
