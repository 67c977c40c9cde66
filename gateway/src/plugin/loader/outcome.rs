//! Outcomes, as a plugin gives them.

use std::mem::offset_of;
use std::time::Duration;

use leadgate_plugin::abi;
use leadgate_plugin::export::read_up_to;

use super::super::{Kind, Outcome};
use super::text;

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
        return Outcome::of(
            Kind::Ambiguous,
            "plugin-contract",
            "the plugin gave an outcome that cannot be read",
        );
    }
    let known = abi::Outcome {
        struct_size: 0,
        kind: 0,
        retry_after_ms: -1,
        receipt: abi::Bytes::EMPTY,
        reason: abi::Bytes::EMPTY,
        rule: abi::Bytes::EMPTY,
        request: abi::Bytes::EMPTY,
        response: abi::Bytes::EMPTY,
    };
    // SAFETY: as large as it says.
    let outcome = unsafe { read_up_to(at, size, known) };
    let kind = match outcome.kind {
        abi::OUTCOME_DELIVERED => Kind::Delivered,
        abi::OUTCOME_DUPLICATE => Kind::Duplicate,
        abi::OUTCOME_RETRY => Kind::Retry,
        abi::OUTCOME_THROTTLED => Kind::Throttled,
        abi::OUTCOME_REAUTH => Kind::Reauth,
        abi::OUTCOME_REJECTED => Kind::Rejected,
        _ => Kind::Ambiguous,
    };
    // SAFETY: texts are valid until `done` returns.
    unsafe {
        Outcome {
            kind,
            retry_after: u64::try_from(outcome.retry_after_ms)
                .ok()
                .map(Duration::from_millis),
            receipt: text(outcome.receipt, 4096),
            reason: text(outcome.reason, 1024),
            rule: text(outcome.rule, 128),
            request: text(outcome.request, 4096),
            response: text(outcome.response, 4096),
        }
    }
}
