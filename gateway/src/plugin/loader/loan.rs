//! Loans: what a plugin borrows for an attempt, for as long as it may look at it.

use std::sync::Arc;

use leadgate_plugin::abi;

use super::super::Call;
use super::attempt::{ctx_of, keep};
use super::sink::Instance;
use super::size_of;

/// What a plugin borrows during an attempt, on the heap: the plugin has its address, so it is
/// never moved again.
pub(super) struct Loan(*mut Lent);

// SAFETY: the one owner of what it points to, which may go from thread to thread.
unsafe impl Send for Loan {}

impl Loan {
    /// `number` is that of the attempt, and 0 for a look.
    pub(super) fn new(call: Call, number: u64, instance: Arc<Instance>) -> Self {
        Self(Box::into_raw(Box::new(Lent::new(call, number, instance))))
    }

    pub(super) fn lent(&self) -> &Lent {
        // SAFETY: made by `new` and freed only by `drop`; nobody changes it.
        unsafe { &*self.0 }
    }

    pub(super) fn delivery(&self) -> *const abi::Delivery {
        // SAFETY: as above; no reference is made, so the plugin may read through it for as
        // long as the loan lasts.
        unsafe { &raw const (*self.0).delivery }
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        // SAFETY: made by `Box::into_raw` in `new`, and dropped once.
        drop(unsafe { Box::from_raw(self.0) });
    }
}

/// `delivery` points into `call`.
pub(super) struct Lent {
    delivery: abi::Delivery,
    pub(super) call: Call,
    pub(super) instance: Arc<Instance>,
}

// SAFETY: the pointers point into `call`, which is never changed and moves with its heap
// buffers in place.
unsafe impl Send for Lent {}

impl Lent {
    fn new(call: Call, number: u64, instance: Arc<Instance>) -> Self {
        let delivery = abi::Delivery {
            struct_size: size_of::<abi::Delivery>(),
            attempt: call.attempt,
            timeout_ms: u64::try_from(call.timeout.as_millis()).unwrap_or(u64::MAX),
            id: abi::Bytes::borrow(call.id.as_bytes()),
            event: abi::Bytes::borrow(&call.event),
            trace_id: abi::Bytes::borrow(call.trace_id.as_bytes()),
            journal: abi::Bytes::borrow(call.step_record.as_bytes()),
            keep: Some(keep),
            keep_ctx: ctx_of(number),
        };
        Self {
            delivery,
            call,
            instance,
        }
    }
}
