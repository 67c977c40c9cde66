//! Extensions: the abilities that the host asks for by their id.

use std::ffi::c_void;

use super::{attempt, connect, health, read, size_of};
use crate::{Sink, abi};

pub(super) unsafe extern "C" fn get_extension<S: Sink>(id: abi::Bytes) -> *const c_void {
    // SAFETY: valid until we return.
    let id = unsafe { read::bytes(id) };
    if id == abi::CONNECT_ID.as_bytes() {
        of::<abi::Connect>(
            const {
                &abi::Connect {
                    struct_size: size_of::<abi::Connect>(),
                    reserved: 0,
                    connect: Some(connect::connect::<S>),
                }
            },
        )
    } else if id == abi::HEALTH_ID.as_bytes() {
        of::<abi::Health>(
            const {
                &abi::Health {
                    struct_size: size_of::<abi::Health>(),
                    reserved: 0,
                    health: Some(health::health::<S>),
                }
            },
        )
    } else if id == abi::CANCEL_ID.as_bytes() {
        of::<abi::Cancel>(
            const {
                &abi::Cancel {
                    struct_size: size_of::<abi::Cancel>(),
                    reserved: 0,
                    cancel: Some(attempt::cancel),
                }
            },
        )
    } else if id == abi::BATCH_ID.as_bytes() && S::BATCH > 1 {
        of::<abi::Batch>(
            const {
                &abi::Batch {
                    struct_size: size_of::<abi::Batch>(),
                    max: batch_of::<S>(),
                    deliver_batch: Some(attempt::deliver_batch::<S>),
                }
            },
        )
    } else {
        std::ptr::null()
    }
}

fn of<T>(extension: &'static T) -> *const c_void {
    std::ptr::from_ref(extension).cast()
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "checked when this is compiled"
)]
const fn batch_of<S: Sink>() -> u32 {
    assert!(
        S::BATCH >= 1 && S::BATCH <= abi::BATCH_MAX,
        "`BATCH` is 1, for no batches, to 1024"
    );
    S::BATCH as u32
}
