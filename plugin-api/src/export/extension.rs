//! Extensions: the abilities that the host asks for by their id.

use std::ffi::c_void;

use super::{connect, read, size_of};
use crate::{Sink, abi};

pub(super) unsafe extern "C" fn get_extension<S: Sink>(id: abi::Bytes) -> *const c_void {
    // SAFETY: valid until we return.
    if unsafe { read::bytes(id) } != abi::CONNECT_ID.as_bytes() {
        return std::ptr::null();
    }
    let extension: &'static abi::Connect = const {
        &abi::Connect {
            struct_size: size_of::<abi::Connect>(),
            reserved: 0,
            connect: Some(connect::connect::<S>),
        }
    };
    std::ptr::from_ref(extension).cast()
}
