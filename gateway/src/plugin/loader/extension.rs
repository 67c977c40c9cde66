//! Extensions of a plugin: what more it can, asked for by id when it is loaded.

use std::ffi::c_void;
use std::mem::offset_of;

use leadgate_plugin::abi;
use leadgate_plugin::export::read_up_to;

type Get = unsafe extern "C" fn(abi::Bytes) -> *const c_void;
pub(super) type Connect = unsafe extern "C" fn(*mut c_void, u64, abi::StepFn, *mut c_void) -> i32;
pub(super) type Health = unsafe extern "C" fn(*mut c_void, abi::HealthFn, *mut c_void);
pub(super) type Cancel = unsafe extern "C" fn(*mut c_void, *mut c_void);
type DeliverBatch = unsafe extern "C" fn(
    *mut c_void,
    *const *const abi::Delivery,
    *const *mut c_void,
    usize,
    abi::DoneFn,
);

/// What a plugin has of those that this gateway knows.
#[derive(Clone, Copy, Default)]
pub(super) struct Extensions {
    pub(super) connect: Option<Connect>,
    pub(super) health: Option<Health>,
    pub(super) cancel: Option<Cancel>,
    pub(super) batch: Option<Batch>,
}

/// How several deliveries are handed over in one call.
#[derive(Clone, Copy)]
pub(super) struct Batch {
    /// At most so many: at least 2.
    pub(super) max: usize,
    pub(super) deliver_batch: DeliverBatch,
}

/// Asks for each, and says what is wrong with one that the plugin has.
///
/// # Safety
///
/// `get` is the function of a descriptor, and answers as the ABI says: with null, or a static
/// struct of the type that belongs to the id, of the size that it says, and at least that size's
/// field.
pub(super) unsafe fn ask(get: Get) -> Result<Extensions, String> {
    let (struct_size, reserved) = (0, 0);
    let connect = abi::Connect {
        struct_size,
        reserved,
        connect: None,
    };
    let health = abi::Health {
        struct_size,
        reserved,
        health: None,
    };
    let cancel = abi::Cancel {
        struct_size,
        reserved,
        cancel: None,
    };
    let batch = abi::Batch {
        struct_size,
        max: 0,
        deliver_batch: None,
    };
    // SAFETY: by the function's contract; each type belongs to its id.
    let (connect, health, cancel, batch) = unsafe {
        (
            read(get, abi::CONNECT_ID, connect)?,
            read(get, abi::HEALTH_ID, health)?,
            read(get, abi::CANCEL_ID, cancel)?,
            read(get, abi::BATCH_ID, batch)?,
        )
    };
    let connect = connect.map(|(size, connect)| {
        let end = offset_of!(abi::Connect, connect) + POINTER;
        there(abi::CONNECT_ID, "connect", size, end, connect.connect)
    });
    let health = health.map(|(size, health)| {
        let end = offset_of!(abi::Health, health) + POINTER;
        there(abi::HEALTH_ID, "health", size, end, health.health)
    });
    let cancel = cancel.map(|(size, cancel)| {
        let end = offset_of!(abi::Cancel, cancel) + POINTER;
        there(abi::CANCEL_ID, "cancel", size, end, cancel.cancel)
    });
    let batch = batch.map(|(size, batch)| {
        let end = offset_of!(abi::Batch, deliver_batch) + POINTER;
        let deliver_batch = there(
            abi::BATCH_ID,
            "deliver_batch",
            size,
            end,
            batch.deliver_batch,
        )?;
        let max = batch.max as usize;
        if !(2..=abi::BATCH_MAX).contains(&max) {
            return Err(format!(
                "its extension `{}` takes {max} deliveries in one call (`max`); it must be 2 to {}",
                abi::BATCH_ID,
                abi::BATCH_MAX
            ));
        }
        Ok(Batch { max, deliver_batch })
    });
    Ok(Extensions {
        connect: connect.transpose()?,
        health: health.transpose()?,
        cancel: cancel.transpose()?,
        batch: batch.transpose()?,
    })
}

/// Bytes of a function.
const POINTER: usize = std::mem::size_of::<usize>();

/// The extension `id` and the size that it says, up to which it is copied over `known`.
///
/// # Safety
///
/// As [`ask`]; `T` is the type that belongs to `id`.
unsafe fn read<T: Copy>(get: Get, id: &str, known: T) -> Result<Option<(usize, T)>, String> {
    // SAFETY: the id lives until the call returns.
    let found = unsafe { get(abi::Bytes::borrow(id.as_bytes())) };
    if found.is_null() {
        return Ok(None);
    }
    if !found.cast::<T>().is_aligned() {
        return Err(format!(
            "its extension `{id}` is not a struct: its address is odd"
        ));
    }
    // SAFETY: by the function's contract; the size is the first field of every extension.
    unsafe {
        let size = found.cast::<u32>().read();
        Ok(Some((size as usize, read_up_to(found.cast(), size, known))))
    }
}

/// The function `name` of the extension `id`, which ends `end` bytes from its start.
fn there<F>(id: &str, name: &str, size: usize, end: usize, found: Option<F>) -> Result<F, String> {
    if size < end {
        return Err(format!(
            "its extension `{id}` has {size} bytes, this leadgate needs {end}: it lacks `{name}`; set its `struct_size` to its size"
        ));
    }
    found.ok_or_else(|| {
        format!("its extension `{id}` has no `{name}` function; without one it must not have the extension")
    })
}
