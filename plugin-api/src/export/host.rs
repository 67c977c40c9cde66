//! The host's functions, as a sink of this library calls them.

use std::ffi::{OsStr, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::read;
use crate::{Level, Secret, State, abi};

/// The host's functions, for as long as a sink lives.
#[derive(Clone, Copy, Debug)]
pub struct HostHandle(pub(super) abi::Host);

// SAFETY: the ABI allows host functions from any thread, and `ctx` is only passed back.
unsafe impl Send for HostHandle {}
// SAFETY: as above.
unsafe impl Sync for HostHandle {}

impl HostHandle {
    /// What the host keeps for the sink, if it does.
    pub(crate) fn state(self) -> Option<State> {
        let found = self.extension(abi::STATE_ID)?;
        // SAFETY: a static struct of the type that belongs to the id.
        let state = unsafe { read::state(found.cast()) };
        let (get, set) = (state.get?, state.set?);
        let ctx = self.0.ctx;
        Some(State::of_host(StateHandle { get, set, ctx }))
    }

    /// The host's program that starts others in a sandbox, if it has one.
    pub(crate) fn launcher(self) -> Option<PathBuf> {
        let found = self.extension(abi::LAUNCHER_ID)?;
        // SAFETY: a static struct of the type that belongs to the id, with static text in it.
        let program = unsafe { read::bytes(read::launcher(found.cast()).program) };
        (!program.is_empty()).then(|| PathBuf::from(OsStr::from_bytes(program)))
    }

    fn extension(self, id: &str) -> Option<*const c_void> {
        let get_extension = self.0.get_extension?;
        // SAFETY: the id lives until the call returns, and `ctx` is the host's own.
        let found = unsafe { get_extension(self.0.ctx, abi::Bytes::borrow(id.as_bytes())) };
        (!found.is_null()).then_some(found)
    }

    pub(crate) fn log(&self, level: Level, message: &str, fields: &str) {
        let level = match level {
            Level::Error => abi::LOG_ERROR,
            Level::Warn => abi::LOG_WARN,
            Level::Info => abi::LOG_INFO,
            Level::Debug => abi::LOG_DEBUG,
        };
        if let Some(log) = self.0.log {
            // SAFETY: the bytes live until `log` returns, and `ctx` is the host's own.
            unsafe {
                log(
                    self.0.ctx,
                    level,
                    abi::Bytes::borrow(message.as_bytes()),
                    abi::Bytes::borrow(fields.as_bytes()),
                );
            }
        }
    }
}

type StateGet = unsafe extern "C" fn(*mut c_void, abi::Bytes, abi::TextFn, *mut c_void) -> i32;
type StateSet = unsafe extern "C" fn(*mut c_void, abi::Bytes, abi::Bytes) -> i32;

/// What the host keeps for a sink.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StateHandle {
    get: StateGet,
    set: StateSet,
    ctx: *mut c_void,
}

// SAFETY: the ABI allows both functions from any thread, and `ctx` is only passed back.
unsafe impl Send for StateHandle {}
// SAFETY: as above.
unsafe impl Sync for StateHandle {}

impl StateHandle {
    pub(crate) fn get(self, key: &str) -> Option<Secret> {
        unsafe extern "C" fn take(ctx: *mut c_void, value: abi::Bytes) {
            // SAFETY: `ctx` is `taken` below, and the bytes are valid until we return.
            let (into, value) = unsafe { (&mut *ctx.cast::<Option<Secret>>(), read::bytes(value)) };
            *into = std::str::from_utf8(value).ok().map(Secret::new);
        }
        let mut taken: Option<Secret> = None;
        let key = abi::Bytes::borrow(key.as_bytes());
        // SAFETY: all of it lives until `get` returns.
        let code = unsafe { (self.get)(self.ctx, key, take, (&raw mut taken).cast()) };
        taken.filter(|_| code == abi::OK)
    }

    pub(crate) fn set(self, key: &str, value: &Secret) -> bool {
        let key = abi::Bytes::borrow(key.as_bytes());
        let value = abi::Bytes::borrow(value.expose().as_bytes());
        // SAFETY: both live until `set` returns.
        (unsafe { (self.set)(self.ctx, key, value) }) == abi::OK
    }
}

type KeepFn = unsafe extern "C" fn(ctx: *mut c_void, step_record: abi::Bytes);

/// The host's function that keeps a step record; none in a test, or of an older host.
#[derive(Clone, Copy, Default)]
pub(crate) struct Keeper(pub(super) Option<(KeepFn, *mut c_void)>);

// SAFETY: the ABI allows `keep` from any thread, and `ctx` is only passed back.
unsafe impl Send for Keeper {}
// SAFETY: as above.
unsafe impl Sync for Keeper {}

impl Keeper {
    pub(crate) fn keep(self, step_record: &str) {
        if let Some((keep, ctx)) = self.0 {
            // SAFETY: the bytes live until `keep` returns; after `done` it changes nothing.
            unsafe { keep(ctx, abi::Bytes::borrow(step_record.as_bytes())) };
        }
    }
}
