//! The host: what a sink may call back, for as long as the process lives.

use std::ffi::c_void;
use std::sync::{Arc, OnceLock};

use leadgate_plugin::abi;

use super::super::SinkState;
use super::super::events;
use super::super::mask::Masks;
use super::{size_of, text, unwinding_ends_here};

/// Whose log a message is.
pub(super) struct Origin {
    pub(super) sink: String,
    pub(super) plugin: String,
    pub(super) state: Option<Arc<dyn SinkState>>,
    /// Set once the sink is made.
    pub(super) masks: OnceLock<Arc<Masks>>,
}

static STATE: abi::State = abi::State {
    struct_size: size_of::<abi::State>(),
    reserved: 0,
    get: Some(state_get),
    set: Some(state_set),
};

/// This program, also once its file was replaced.
const LAUNCHER: &abi::Launcher = &abi::Launcher {
    struct_size: size_of::<abi::Launcher>(),
    reserved: 0,
    program: abi::Bytes::borrow(b"/proc/self/exe"),
};

/// The launcher, as a plugin gets it.
pub(super) fn launcher() -> *const c_void {
    std::ptr::from_ref(LAUNCHER).cast::<c_void>()
}

pub(super) unsafe extern "C" fn get_extension(ctx: *mut c_void, id: abi::Bytes) -> *const c_void {
    let found = unwinding_ends_here("get_extension", || {
        // SAFETY: `ctx` is the leaked origin that was given to `create`; the id is valid.
        let (origin, id) = unsafe { (&*ctx.cast::<Origin>(), text(id, 128)) };
        match id.as_str() {
            abi::STATE_ID if origin.state.is_some() => Some(std::ptr::from_ref(&STATE).cast()),
            abi::LAUNCHER_ID => Some(launcher()),
            _ => None,
        }
    });
    found.flatten().unwrap_or(std::ptr::null())
}

/// The state of a sink and a good key in it.
///
/// # Safety
///
/// `ctx` is the origin that was given to `create`, and `key` is valid.
unsafe fn state_at<'a>(ctx: *mut c_void, key: abi::Bytes) -> Option<(&'a dyn SinkState, String)> {
    // SAFETY: by the function's contract; one byte more than allowed shows what is too long.
    let (origin, key) = unsafe { (&*ctx.cast::<Origin>(), text(key, abi::STATE_KEY_MAX + 1)) };
    let state = origin.state.as_deref()?;
    leadgate_plugin::state::is_key(&key).then_some((state, key))
}

unsafe extern "C" fn state_get(
    ctx: *mut c_void,
    key: abi::Bytes,
    value: abi::TextFn,
    value_ctx: *mut c_void,
) -> i32 {
    let kept = unwinding_ends_here("state get", || {
        // SAFETY: by the contract of the extension.
        let (state, key) = unsafe { state_at(ctx, key) }?;
        state.get(&key)
    });
    match kept.flatten() {
        Some(kept) => {
            // SAFETY: the bytes live until `value` returns, and its context is the plugin's.
            unsafe { value(value_ctx, abi::Bytes::borrow(&kept)) };
            abi::OK
        }
        None => abi::FAILED,
    }
}

unsafe extern "C" fn state_set(ctx: *mut c_void, key: abi::Bytes, value: abi::Bytes) -> i32 {
    let done = unwinding_ends_here("state set", || {
        // SAFETY: by the contract of the extension.
        let (state, key) = unsafe { state_at(ctx, key) }?;
        if value.len > abi::STATE_VALUE_MAX {
            return None;
        }
        let value = if value.ptr.is_null() || value.len == 0 {
            None
        } else {
            // SAFETY: valid until we return.
            Some(unsafe { std::slice::from_raw_parts(value.ptr, value.len) }.to_vec())
        };
        state.set(&key, value).then_some(())
    });
    match done.flatten() {
        Some(()) => abi::OK,
        None => abi::FAILED,
    }
}

pub(super) unsafe extern "C" fn log(
    ctx: *mut c_void,
    level: u32,
    message: abi::Bytes,
    fields: abi::Bytes,
) {
    unwinding_ends_here("log", || {
        // SAFETY: `ctx` is the leaked origin that was given to `create`.
        let origin = unsafe { &*ctx.cast::<Origin>() };
        // SAFETY: valid until we return.
        let (message, fields) = unsafe { (text(message, 1024), text(fields, 4096)) };
        let hide = |text| match origin.masks.get() {
            Some(masks) => masks.hide(text),
            None => text,
        };
        let (message, fields) = (hide(message), hide(fields));
        events::log(&origin.sink, &origin.plugin, level, &message, &fields);
    });
}
