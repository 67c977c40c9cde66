//! How a sink is, said to the host.

use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::panics::{self, For};
use crate::{Health, Sink, abi};

pub(super) unsafe extern "C" fn health<S: Sink>(
    sink: *mut c_void,
    say: abi::HealthFn,
    ctx: *mut c_void,
) {
    let asked = catch_unwind(AssertUnwindSafe(|| {
        panics::during(For::Sink(sink.addr()), || {
            // SAFETY: the sink is alive until we return.
            unsafe { &*sink.cast::<S>() }.health()
        })
    }));
    let health = asked.unwrap_or_else(|_| Health::Failed(panics::said()));
    let number = match health {
        Health::Ok => abi::HEALTH_OK,
        Health::Degraded(_) => abi::HEALTH_DEGRADED,
        Health::Failed(_) => abi::HEALTH_FAILED,
    };
    // SAFETY: the text lives until `say` returns, and `ctx` is the host's own.
    unsafe { say(ctx, number, abi::Bytes::borrow(health.why().as_bytes())) };
}
