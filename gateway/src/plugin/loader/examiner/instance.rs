//! Instances: sinks that were made, the attempts that they make, and what these borrow.

use std::ffi::c_void;
use std::mem::offset_of;

use leadgate_plugin::abi;

use super::super::size_of;
use super::book::{self, beyond, book};
use super::heard::{small, take_health, take_text};
use super::{Age, Given};

/// A sink that was made. It is destroyed by [`Instance::destroy`] only.
#[derive(Clone, Copy)]
pub(crate) struct Instance {
    pub(super) at: *mut c_void,
    pub(super) plugin: abi::Plugin,
    pub(super) age: Age,
}

// SAFETY: the ABI demands that a sink may be used from any thread, several at once.
unsafe impl Send for Instance {}
// SAFETY: as above.
unsafe impl Sync for Instance {}

/// What a plugin borrows during an attempt.
pub(super) struct Loan(*mut Lent);

// SAFETY: the one owner of what it points to, which may go from thread to thread.
unsafe impl Send for Loan {}

struct Lent {
    delivery: abi::Delivery,
    _given: Given,
}

impl Loan {
    fn new(given: Given, number: usize, age: Age) -> Self {
        let mut delivery = abi::Delivery {
            struct_size: size_of::<abi::Delivery>(),
            attempt: given.attempt.max(1),
            timeout_ms: u64::try_from(given.timeout.as_millis()).unwrap_or(u64::MAX),
            id: abi::Bytes::borrow(given.id.as_bytes()),
            event: abi::Bytes::borrow(&given.event),
            trace_id: abi::Bytes::borrow(b"4bf92f3577b34da6a3ce929d0e0e4736"),
            journal: abi::Bytes::borrow(given.step_record.as_bytes()),
            keep: Some(book::keep),
            keep_ctx: ctx_of(number),
        };
        if age == Age::First {
            delivery.struct_size = small(offset_of!(abi::Delivery, journal));
            // Read all the same, this would be a text without a place.
            delivery.journal = abi::Bytes {
                ptr: std::ptr::null(),
                len: 7,
            };
            delivery.keep = Some(beyond::keep);
        }
        let lent = Lent {
            delivery,
            _given: given,
        };
        Self(Box::into_raw(Box::new(lent)))
    }

    fn delivery(&self) -> *const abi::Delivery {
        // SAFETY: made by `new` and freed only by `drop`; no reference is made.
        unsafe { &raw const (*self.0).delivery }
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        // SAFETY: made by `Box::into_raw` in `new`, and dropped once.
        drop(unsafe { Box::from_raw(self.0) });
    }
}

impl Instance {
    /// Makes an attempt that is not started yet; gives its number.
    pub(crate) fn lend(&self, given: Given) -> usize {
        book().begin(|number| Loan::new(given, number, self.age))
    }

    /// Starts an attempt on this thread. A plugin may block here.
    pub(crate) fn start(&self, number: usize) {
        let at = lent(number);
        if let Some(deliver) = self.plugin.deliver {
            // SAFETY: the delivery lives until `done` is called with this number.
            unsafe { deliver(self.at, at, book::done, ctx_of(number)) };
        }
    }

    /// Makes and starts an attempt on this thread; gives its number.
    pub(crate) fn deliver(&self, given: Given) -> usize {
        let number = self.lend(given);
        self.start(number);
        number
    }

    /// Starts several attempts in one call, if the plugin has the extension.
    pub(crate) fn start_batch(&self, batch: &abi::Batch, numbers: &[usize]) {
        let deliveries: Vec<_> = numbers.iter().map(|number| lent(*number)).collect();
        let ctxs: Vec<_> = numbers.iter().map(|number| ctx_of(*number)).collect();
        if let Some(deliver_batch) = batch.deliver_batch {
            // SAFETY: both arrays live until it returns, each delivery until its own `done`.
            unsafe {
                deliver_batch(
                    self.at,
                    deliveries.as_ptr(),
                    ctxs.as_ptr(),
                    numbers.len(),
                    book::done,
                );
            };
        }
    }

    /// Gives an attempt up.
    pub(crate) fn cancel(&self, cancel: &abi::Cancel, number: usize) {
        if let Some(cancel) = cancel.cancel {
            // SAFETY: the sink is alive; an unknown ctx changes nothing.
            unsafe { cancel(self.at, ctx_of(number)) };
        }
    }

    /// How the sink is: each answer, of which there must be one.
    pub(crate) fn health(&self, health: &abi::Health) -> Vec<(u32, String)> {
        let mut said: Vec<(u32, String)> = Vec::new();
        if let Some(health) = health.health {
            // SAFETY: all of it lives until `health` returns.
            unsafe { health(self.at, take_health, (&raw mut said).cast()) };
        }
        said
    }

    /// What deliver would send; what it gave, and its code. `None` if it cannot tell.
    pub(crate) fn render(&self, given: Given) -> Option<(i32, Vec<String>)> {
        let render = self.plugin.render?;
        let loan = Loan::new(given, 0, self.age);
        let mut said: Vec<String> = Vec::new();
        let ctx = (&raw mut said).cast();
        // SAFETY: everything lives until `render` returns.
        let code = unsafe { render(self.at, loan.delivery(), take_text, ctx) };
        Some((code, said))
    }

    /// Destroys the sink. All of its attempts must be done.
    pub(crate) fn destroy(self, attempts: &[usize]) {
        for number in attempts {
            if let Some(attempt) = book().attempts.get_mut(number) {
                attempt.is_over = true;
            }
        }
        if let Some(destroy) = self.plugin.destroy {
            // SAFETY: made by `create`, and not used again by whoever keeps to this contract.
            unsafe { destroy(self.at) };
        }
    }
}

/// An attempt's number as the plugin gets it.
fn ctx_of(number: usize) -> *mut c_void {
    std::ptr::without_provenance_mut(number)
}

/// Where the delivery of an open attempt is.
fn lent(number: usize) -> *const abi::Delivery {
    let book = book();
    let attempt = book.attempts.get(&number);
    let loan = attempt.and_then(|attempt| attempt.lent.as_ref());
    loan.map_or(std::ptr::null(), Loan::delivery)
}
