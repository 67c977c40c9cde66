//! The walk to a destination, told to the host step by step.

use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use super::panics::{self, For};
use super::runtime::runtime;
use super::size_of;
use crate::{Probe, Sink, Step, Stop, abi};

/// Where the host is told of steps.
struct Teller {
    step: abi::StepFn,
    ctx: *mut c_void,
}

// SAFETY: used only while `connect` runs, which the host waits for; the ABI allows any thread.
unsafe impl Send for Teller {}
// SAFETY: as above; the host takes one step at a time, and a walk tells one at a time.
unsafe impl Sync for Teller {}

impl Teller {
    fn tell(&self, step: &Step) {
        let bytes = |text: &str| abi::Bytes::borrow(text.as_bytes());
        let told = abi::Step {
            struct_size: size_of::<abi::Step>(),
            result: if step.ok { abi::OK } else { abi::FAILED },
            took_ms: u64::try_from(step.took.as_millis()).unwrap_or(u64::MAX),
            name: bytes(&step.name),
            note: bytes(&step.note),
        };
        // SAFETY: everything lives until the call returns.
        unsafe { (self.step)(self.ctx, &raw const told) };
    }
}

pub(super) unsafe extern "C" fn connect<S: Sink>(
    sink: *mut c_void,
    timeout_ms: u64,
    step: abi::StepFn,
    ctx: *mut c_void,
) -> i32 {
    let teller = Teller { step, ctx };
    let whom = For::Sink(sink.addr());
    let walked = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: the sink is alive until we return.
        let sink = unsafe { &*sink.cast::<S>() };
        let patience = Duration::from_millis(timeout_ms);
        let probe = Probe::new(patience, Box::new(move |step| teller.tell(step)));
        let runtime = runtime().map_err(|_| Stop::Failed)?;
        runtime.block_on(panics::while_polled(whom, sink.connect(&probe)))
    }));
    match walked {
        Ok(Ok(())) => abi::OK,
        Ok(Err(Stop::Failed)) => abi::FAILED,
        Ok(Err(Stop::Unsupported)) => abi::UNSUPPORTED,
        Err(_) => abi::PANICKED,
    }
}
