//! Outcomes, as a plugin gives them.

use std::mem::offset_of;
use std::time::Duration;

use leadgate_plugin::abi;
use leadgate_plugin::export::read_up_to;

use super::super::{Outcome, OutcomeKind, Own};
use super::text;

/// An outcome of which nothing is known.
pub(super) const NOTHING: abi::Outcome = abi::Outcome {
    struct_size: 0,
    kind: 0,
    retry_after_ms: -1,
    receipt: abi::Bytes::EMPTY,
    reason: abi::Bytes::EMPTY,
    rule: abi::Bytes::EMPTY,
    request: abi::Bytes::EMPTY,
    response: abi::Bytes::EMPTY,
};

/// Copies an outcome.
///
/// # Safety
///
/// `at` is null or points to a struct of `struct_size` bytes whose texts are valid.
pub(super) unsafe fn read(at: *const abi::Outcome) -> Outcome {
    // SAFETY: the size is the first field.
    let size = if at.is_null() {
        0
    } else {
        unsafe { (&raw const (*at).struct_size).read() }
    };
    // Without its kind it says nothing; any text may be missing.
    if (size as usize) < offset_of!(abi::Outcome, retry_after_ms) {
        return Own::Unreadable.outcome();
    }
    // SAFETY: as large as it says.
    let outcome = unsafe { read_up_to(at, size, NOTHING) };
    // SAFETY: texts are valid until `done` returns.
    unsafe {
        let mut read = Outcome::new(
            OutcomeKind::from_number(outcome.kind),
            text(outcome.reason, 1024),
        );
        read.retry_after = u64::try_from(outcome.retry_after_ms)
            .ok()
            .map(Duration::from_millis);
        read.receipt = text(outcome.receipt, 4096);
        read.rule = text(outcome.rule, 128);
        read.request = text(outcome.request, 4096);
        read.response = text(outcome.response, 4096);
        read
    }
}
