//! What an older or newer host lends, and what comes back from it.

use std::ffi::c_void;
use std::mem::offset_of;

use super::extension::get_extension;
use super::{HostHandle, read, size_of};
use crate::{Delivery, Host, Outcome, Probe, Problems, Secret, Sink, Stop, abi};

unsafe extern "C" fn never(
    _: *mut c_void,
    _: abi::Bytes,
    _: u64,
    _: u64,
    _: abi::Bytes,
    _: abi::Bytes,
) {
}

#[test]
fn what_an_older_host_does_not_know_is_not_read() {
    let mut report = abi::Report {
        struct_size: size_of::<abi::Report>(),
        reserved: 0,
        ctx: std::ptr::dangling_mut(),
        problem: None,
        problem_at: Some(never),
    };
    // SAFETY: the report is as large as it says.
    let read = unsafe { read::report(&raw const report) };
    assert!(read.problem_at.is_some() && read.ctx == report.ctx);
    report.struct_size = u32::try_from(offset_of!(abi::Report, problem_at)).expect("small");
    // SAFETY: larger than it says.
    let read = unsafe { read::report(&raw const report) };
    assert!(read.problem_at.is_none() && read.ctx == report.ctx);
    report.struct_size = u32::MAX;
    // SAFETY: no more than our own size is read of a larger one.
    let read = unsafe { read::report(&raw const report) };
    assert!(read.problem_at.is_some());
}

unsafe extern "C" fn unasked(_: *mut c_void, _: abi::Bytes) -> *const c_void {
    panic!("a host of minor 2 has no such function")
}

#[test]
fn hosts_and_configurations_of_other_minors_are_read_up_to_their_size() {
    let mut host = abi::Host {
        struct_size: size_of::<abi::Host>(),
        abi_minor: abi::ABI_MINOR,
        ctx: std::ptr::dangling_mut(),
        log: None,
        get_extension: Some(unasked),
    };
    for (size, known) in [
        (offset_of!(abi::Host, get_extension), false),
        (std::mem::size_of::<abi::Host>(), true),
        (u32::MAX as usize, true),
    ] {
        host.struct_size = u32::try_from(size).expect("fits");
        // SAFETY: no more than our own size is read of a larger one.
        let read = unsafe { read::host(&raw const host) };
        assert_eq!(read.get_extension.is_some(), known, "{size}");
        assert_eq!(read.ctx, host.ctx);
    }
    host.struct_size = u32::try_from(offset_of!(abi::Host, get_extension)).expect("small");
    // SAFETY: as above.
    let older = HostHandle(unsafe { read::host(&raw const host) });
    assert!(older.state().is_none(), "and it is not asked");

    let mut config = abi::Config {
        struct_size: size_of::<abi::Config>(),
        reserved: 0,
        sink: abi::Bytes::borrow(b"crm"),
        settings: abi::Bytes::borrow(b"{}"),
        tables: abi::Bytes::borrow(b"{}"),
    };
    for (size, tables) in [
        (offset_of!(abi::Config, tables), 0),
        (std::mem::size_of::<abi::Config>(), 2),
        (u32::MAX as usize, 2),
    ] {
        config.struct_size = u32::try_from(size).expect("fits");
        // SAFETY: as above.
        let read = unsafe { read::config(&raw const config) };
        assert_eq!((read.sink.len, read.tables.len), (3, tables), "{size}");
    }
}

static VALUE: std::sync::Mutex<Vec<u8>> = std::sync::Mutex::new(Vec::new());

unsafe extern "C" fn state_get(
    _: *mut c_void,
    key: abi::Bytes,
    value: abi::TextFn,
    ctx: *mut c_void,
) -> i32 {
    let kept = VALUE.lock().expect("not poisoned");
    // SAFETY: both live until we return.
    if unsafe { read::bytes(key) } != b"token" || kept.is_empty() {
        return abi::FAILED;
    }
    // SAFETY: as above.
    unsafe { value(ctx, abi::Bytes::borrow(&kept)) };
    abi::OK
}

unsafe extern "C" fn state_set(_: *mut c_void, _: abi::Bytes, value: abi::Bytes) -> i32 {
    // SAFETY: valid until we return.
    *VALUE.lock().expect("not poisoned") = unsafe { read::bytes(value) }.to_vec();
    abi::OK
}

static STATE: abi::State = abi::State {
    struct_size: size_of::<abi::State>(),
    reserved: 0,
    get: Some(state_get),
    set: Some(state_set),
};

unsafe extern "C" fn extensions(_: *mut c_void, id: abi::Bytes) -> *const c_void {
    // SAFETY: valid until we return.
    if unsafe { read::bytes(id) } == abi::STATE_ID.as_bytes() {
        std::ptr::from_ref(&STATE).cast()
    } else {
        std::ptr::null()
    }
}

#[test]
fn a_value_goes_to_the_host_and_comes_back() {
    let handle = HostHandle(abi::Host {
        struct_size: size_of::<abi::Host>(),
        abi_minor: abi::ABI_MINOR,
        ctx: std::ptr::null_mut(),
        log: None,
        get_extension: Some(extensions),
    });
    let state = handle.state().expect("the host has it");
    assert!(state.get("token").is_none());
    state.set("token", &Secret::new("rotated")).expect("kept");
    let kept = state.get("token").expect("kept");
    assert_eq!(kept.expose(), "rotated");
    state.forget("token").expect("forgotten");
    assert!(state.get("token").is_none());
}

struct Walker;

impl Sink for Walker {
    type Settings = ();

    fn new((): (), _: Host) -> Result<Self, Problems> {
        Ok(Self)
    }

    async fn deliver(&self, _: &Delivery) -> Outcome {
        Outcome::delivered("")
    }

    async fn connect(&self, probe: &Probe) -> Result<(), Stop> {
        probe.step("dns", async { Ok(()) }).await?;
        probe
            .step("login", async { Err::<(), _>("refused".to_owned()) })
            .await
    }
}

unsafe extern "C" fn note(ctx: *mut c_void, step: *const abi::Step) {
    // SAFETY: `ctx` is the vector below, and the step is valid until we return.
    unsafe {
        let told = (&mut *ctx.cast::<Vec<(String, i32, String)>>(), *step);
        told.0.push((
            read::text(told.1.name),
            told.1.result,
            read::text(told.1.note),
        ));
    }
}

#[test]
fn a_walk_is_told_step_by_step() {
    // SAFETY: the id is static.
    let found = unsafe { get_extension::<Walker>(abi::Bytes::borrow(b"leadgate.connect/1")) };
    assert!(!found.is_null());
    // SAFETY: as above.
    let none = unsafe { get_extension::<Walker>(abi::Bytes::borrow(b"leadgate.connect/9")) };
    assert!(none.is_null());
    // SAFETY: the type that belongs to the id.
    let extension = unsafe { *found.cast::<abi::Connect>() };
    let walker = Walker;
    let mut told: Vec<(String, i32, String)> = Vec::new();
    // SAFETY: all of it lives until the call returns.
    let code = unsafe {
        (extension.connect.expect("there"))(
            std::ptr::from_ref(&walker).cast_mut().cast(),
            10_000,
            note,
            (&raw mut told).cast(),
        )
    };
    assert_eq!(code, abi::FAILED);
    let expected = [
        ("dns".to_owned(), abi::OK, String::new()),
        ("login".to_owned(), abi::FAILED, "refused".to_owned()),
    ];
    assert_eq!(told, expected);
}

static KEPT: std::sync::Mutex<String> = std::sync::Mutex::new(String::new());

unsafe extern "C" fn keep(_: *mut c_void, journal: abi::Bytes) {
    // SAFETY: valid until we return.
    *KEPT.lock().expect("not poisoned") = unsafe { read::text(journal) };
}

#[test]
fn a_journal_is_kept_where_the_host_knows_of_journals() {
    let mut delivery = abi::Delivery {
        struct_size: size_of::<abi::Delivery>(),
        attempt: 2,
        timeout_ms: 1000,
        id: abi::Bytes::borrow(b"id"),
        event: abi::Bytes::borrow(b"{}"),
        trace_id: abi::Bytes::EMPTY,
        journal: abi::Bytes::borrow(b"before"),
        keep: Some(keep),
        keep_ctx: std::ptr::null_mut(),
    };
    // SAFETY: the delivery is as large as it says, and its texts are static.
    let read = unsafe { read::delivery(&raw const delivery) };
    assert_eq!((read.journal().as_str(), read.attempt()), ("before", 2));
    read.keep("now").expect("short");
    assert_eq!(read.journal(), "now");
    assert_eq!(*KEPT.lock().expect("not poisoned"), "now");
    let long = "x".repeat(abi::JOURNAL_MAX + 1);
    assert!(read.keep(&long).is_err());
    assert_eq!(read.journal(), "now");

    delivery.struct_size = u32::try_from(offset_of!(abi::Delivery, journal)).expect("small");
    // SAFETY: larger than it says.
    let read = unsafe { read::delivery(&raw const delivery) };
    assert_eq!((read.journal().as_str(), read.id()), ("", "id"));
    read.keep("later").expect("short");
    assert_eq!(*KEPT.lock().expect("not poisoned"), "now", "nobody to tell");
}
