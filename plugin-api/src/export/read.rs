//! Reading what the host lends: up to the size that it says, and copied.

use std::time::Duration;

use super::host::Keeper;
use crate::delivery::StepRecord;
use crate::{Delivery, abi};

/// The report of a host that may know fewer fields: those are null.
///
/// # Safety
///
/// `report` points to a report of the size that it says.
pub(super) unsafe fn report(report: *const abi::Report) -> abi::Report {
    let known = abi::Report {
        struct_size: 0,
        reserved: 0,
        ctx: std::ptr::null_mut(),
        problem: None,
        problem_at: None,
    };
    // SAFETY: by the function's contract; the size comes first in every version.
    unsafe { read_up_to(report, (&raw const (*report).struct_size).read(), known) }
}

/// The host, which may know fewer functions: those are null.
///
/// # Safety
///
/// `host` points to a host of the size that it says.
pub(super) unsafe fn host(host: *const abi::Host) -> abi::Host {
    let known = abi::Host {
        struct_size: 0,
        abi_minor: 0,
        ctx: std::ptr::null_mut(),
        log: None,
        get_extension: None,
    };
    // SAFETY: as in `report`.
    unsafe { read_up_to(host, (&raw const (*host).struct_size).read(), known) }
}

/// The configuration of a host that may know fewer fields: those are empty.
///
/// # Safety
///
/// `config` points to a configuration of the size that it says.
pub(super) unsafe fn config(config: *const abi::Config) -> abi::Config {
    let known = abi::Config {
        struct_size: 0,
        reserved: 0,
        sink: abi::Bytes::EMPTY,
        settings: abi::Bytes::EMPTY,
        tables: abi::Bytes::EMPTY,
    };
    // SAFETY: as in `report`.
    unsafe { read_up_to(config, (&raw const (*config).struct_size).read(), known) }
}

/// The host's functions that keep something; those that it does not have are null.
///
/// # Safety
///
/// `state` points to a state of the size that it says.
pub(super) unsafe fn state(state: *const abi::State) -> abi::State {
    let known = abi::State {
        struct_size: 0,
        reserved: 0,
        get: None,
        set: None,
    };
    // SAFETY: as in `report`.
    unsafe { read_up_to(state, (&raw const (*state).struct_size).read(), known) }
}

/// The host's launcher, of which an older or newer host may say less.
///
/// # Safety
///
/// `launcher` points to a launcher of the size that it says.
pub(super) unsafe fn launcher(launcher: *const abi::Launcher) -> abi::Launcher {
    let known = abi::Launcher {
        struct_size: 0,
        reserved: 0,
        program: abi::Bytes::EMPTY,
    };
    // SAFETY: as in `report`.
    unsafe { read_up_to(launcher, (&raw const (*launcher).struct_size).read(), known) }
}

/// A struct of the other side, which may be of another minor version: what it says to have is
/// copied over `known`, and no more than we know.
///
/// Of a field that does not end within `size` nothing counts: no pointer is ever copied in part, and of
/// a text whose length is missing the length stays that of `known`.
///
/// # Safety
///
/// `size` bytes are valid at `at`, and every field of `T` is valid for whatever the other side
/// put there, as it is in the structs of [`abi`].
pub unsafe fn read_up_to<T: Copy>(at: *const T, size: u32, mut known: T) -> T {
    let size = (size as usize).min(std::mem::size_of::<T>());
    let size = size - size % std::mem::align_of::<T>();
    // SAFETY: by the function's contract; no more than ours are written.
    unsafe {
        std::ptr::copy_nonoverlapping(at.cast::<u8>(), (&raw mut known).cast::<u8>(), size);
    }
    known
}

/// The delivery of a host that may know fewer fields: those are empty.
///
/// # Safety
///
/// `delivery` points to a delivery of the size that it says, and what it borrows is valid.
pub(super) unsafe fn delivery(delivery: *const abi::Delivery) -> Delivery {
    let known = abi::Delivery {
        struct_size: 0,
        attempt: 0,
        timeout_ms: 0,
        id: abi::Bytes::EMPTY,
        event: abi::Bytes::EMPTY,
        trace_id: abi::Bytes::EMPTY,
        journal: abi::Bytes::EMPTY,
        keep: None,
        keep_ctx: std::ptr::null_mut(),
    };
    // SAFETY: as in `report`.
    let delivery =
        unsafe { read_up_to(delivery, (&raw const (*delivery).struct_size).read(), known) };
    let keeper = Keeper(delivery.keep.map(|keep| (keep, delivery.keep_ctx)));
    // SAFETY: by the function's contract.
    unsafe {
        Delivery {
            id: text(delivery.id),
            attempt: delivery.attempt,
            timeout: Duration::from_millis(delivery.timeout_ms),
            trace_id: text(delivery.trace_id),
            event: bytes(delivery.event).to_vec(),
            step_record: StepRecord::new(text(delivery.journal), keeper),
        }
    }
}

/// # Safety
///
/// `bytes` is empty or valid for as long as the result is used.
pub(super) unsafe fn bytes<'a>(bytes: abi::Bytes) -> &'a [u8] {
    if bytes.ptr.is_null() || bytes.len == 0 {
        return &[];
    }
    // SAFETY: by the function's contract.
    unsafe { std::slice::from_raw_parts(bytes.ptr, bytes.len) }
}

/// # Safety
///
/// As [`bytes`].
pub(super) unsafe fn text(from: abi::Bytes) -> String {
    // SAFETY: by the function's contract.
    String::from_utf8_lossy(unsafe { bytes(from) }).into_owned()
}
