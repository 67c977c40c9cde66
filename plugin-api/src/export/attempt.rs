//! One attempt: from the host's call to its one completion.

use std::ffi::c_void;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use futures_util::FutureExt;

use super::runtime::runtime;
use super::{read, size_of};
use crate::{Outcome, Sink, abi};

pub(super) unsafe extern "C" fn deliver<S: Sink>(
    sink: *mut c_void,
    delivery: *const abi::Delivery,
    done: abi::DoneFn,
    ctx: *mut c_void,
) {
    let done = Done { done, ctx };
    let started = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: `sink` came from `create` and is destroyed after all attempts are done, so
        // it is alive; the clone keeps it so for the attempt.
        let sink = unsafe {
            Arc::increment_strong_count(sink.cast::<S>());
            Arc::from_raw(sink.cast::<S>())
        };
        // SAFETY: lives until `done`; it is copied here.
        let delivery = unsafe { read::delivery(delivery) };
        let runtime = runtime().map_err(|error| error.to_string())?;
        let attempt = async move {
            let caught = AssertUnwindSafe(sink.deliver(&delivery))
                .catch_unwind()
                .await;
            // Before `done`: the host may destroy the sink right after it.
            drop(sink);
            caught.unwrap_or_else(|_| panicked())
        };
        Ok::<_, String>((runtime, attempt))
    }));
    match started {
        Ok(Ok((runtime, attempt))) if S::BLOCKING => {
            let outcome = catch_unwind(AssertUnwindSafe(|| runtime.block_on(attempt)));
            done.call(&outcome.unwrap_or_else(|_| panicked()));
        }
        Ok(Ok((runtime, attempt))) => start(runtime, attempt, done),
        Ok(Err(why)) => done.call(&Outcome::retry(None, why).rule("runtime")),
        Err(_) => done.call(&panicked()),
    }
}

fn start(
    runtime: &tokio::runtime::Runtime,
    attempt: impl Future<Output = Outcome> + Send + 'static,
    done: Done,
) {
    runtime.spawn(async move {
        let outcome = attempt.await;
        done.call(&outcome);
    });
}

/// The completion of one attempt. Consumed by its one use.
struct Done {
    done: abi::DoneFn,
    ctx: *mut c_void,
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

fn panicked() -> Outcome {
    Outcome::ambiguous("the plugin panicked").rule("panic")
}
