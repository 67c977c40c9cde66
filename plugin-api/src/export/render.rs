//! What would be sent, shown to the host.

use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::panics::{self, For};
use super::read;
use crate::{Sink, abi};

pub(super) unsafe extern "C" fn render<S: Sink>(
    sink: *mut c_void,
    delivery: *const abi::Delivery,
    text: abi::TextFn,
    ctx: *mut c_void,
) -> i32 {
    let say = |message: &str| {
        // SAFETY: the text lives until `text` returns, and `ctx` is the host's own.
        unsafe { text(ctx, abi::Bytes::borrow(message.as_bytes())) };
    };
    let whom = For::Sink(sink.addr());
    let rendered = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: the sink is alive and the delivery lives until we return.
        let (sink, delivery) = unsafe { (&*sink.cast::<S>(), read::delivery(delivery)) };
        panics::during(whom, || sink.render(&delivery))
    }));
    match rendered {
        Ok(Ok(Some(rendered))) => {
            say(&rendered);
            abi::OK
        }
        Ok(Ok(None)) => {
            say("this plugin cannot show what it sends");
            abi::FAILED
        }
        Ok(Err(problem)) => {
            say(&problem.to_string());
            abi::FAILED
        }
        Err(_) => abi::PANICKED,
    }
}
