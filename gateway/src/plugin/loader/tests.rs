//! Descriptors, outcomes and structs of other minors, made by hand.

use std::ffi::c_void;
use std::mem::offset_of;
use std::sync::Arc;
use std::sync::atomic::AtomicIsize;
use std::time::Duration;

use leadgate_plugin::abi;

use super::super::{Call, LoadError, OutcomeKind, Step};
use super::descriptor::{FIRST, NOTHING, Plugin, describe};
use super::loan::Loan;
use super::sink::{Instance, take_step};
use super::{outcome, size_of, text, unwinding_ends_here};

unsafe extern "C" fn create(
    _: *const abi::Config,
    _: *const abi::Host,
    _: *const abi::Report,
    _: *mut *mut c_void,
) -> i32 {
    abi::FAILED
}
unsafe extern "C" fn deliver(
    _: *mut c_void,
    _: *const abi::Delivery,
    _: abi::DoneFn,
    _: *mut c_void,
) {
}
unsafe extern "C" fn destroy(_: *mut c_void) {}
unsafe extern "C" fn unasked(_: abi::Bytes) -> *const c_void {
    panic!("a plugin of minor 2 has no such function")
}
unsafe extern "C" fn none(_: abi::Bytes) -> *const c_void {
    std::ptr::null()
}

fn descriptor(minor: u32, size: usize) -> abi::Plugin {
    abi::Plugin {
        magic: abi::MAGIC,
        abi_major: abi::ABI_MAJOR,
        abi_minor: minor,
        struct_size: u32::try_from(size).expect("small"),
        name: abi::Bytes::borrow(b"erp"),
        version: abi::Bytes::borrow(b"1"),
        settings_schema: abi::Bytes::borrow(b"{}"),
        create: Some(create),
        deliver: Some(deliver),
        destroy: Some(destroy),
        ..NOTHING
    }
}

fn described(descriptor: &abi::Plugin) -> Result<Plugin, LoadError> {
    // SAFETY: at least as large as it says, or what is beyond is not read.
    unsafe { describe("erp", std::ptr::from_ref(descriptor), true) }
}

#[test]
fn descriptors_of_every_minor_are_read_up_to_their_size() {
    for minor in 0..=2 {
        // What lies behind an older descriptor is somebody else's.
        let mut older = descriptor(minor, FIRST);
        older.get_extension = Some(unasked);
        let plugin = described(&older).expect("an older one fits");
        assert_eq!(plugin.abi(), format!("1.{minor}"));
        assert!(plugin.abilities().is_empty());
    }
    for size in [std::mem::size_of::<abi::Plugin>(), 4096] {
        let mut newer = descriptor(9, size);
        newer.get_extension = Some(none);
        let plugin = described(&newer).expect("a newer one fits");
        assert_eq!(plugin.abi(), "1.9");
    }
}

#[test]
fn a_descriptor_that_does_not_fit_is_refused_with_the_difference() {
    let refused =
        |descriptor: &abi::Plugin| described(descriptor).err().expect("refused").to_string();
    let short = refused(&descriptor(0, offset_of!(abi::Plugin, render)));
    assert!(short.contains("it lacks `render`, `destroy`"), "{short}");
    let mut foreign = descriptor(0, FIRST);
    foreign.magic = 0x7f;
    let foreign = refused(&foreign);
    assert!(
        foreign.contains("0x6c65616467617465, but with 0x000000000000007f"),
        "{foreign}"
    );
}

#[test]
fn outcomes_of_every_minor_are_read_up_to_their_size() {
    let mut outcome = abi::Outcome {
        struct_size: size_of::<abi::Outcome>(),
        kind: abi::OUTCOME_RETRY,
        retry_after_ms: 7,
        receipt: abi::Bytes::EMPTY,
        reason: abi::Bytes::borrow(b"why"),
        rule: abi::Bytes::borrow(b"rule"),
        request: abi::Bytes::EMPTY,
        response: abi::Bytes::borrow(b"beyond"),
    };
    let read = |outcome: &abi::Outcome| {
        // SAFETY: no more than our own size is read.
        unsafe { outcome::read(std::ptr::from_ref(outcome)) }
    };
    for (size, reason, response) in [
        (offset_of!(abi::Outcome, retry_after_ms), "", ""),
        (offset_of!(abi::Outcome, response), "why", ""),
        (std::mem::size_of::<abi::Outcome>(), "why", "beyond"),
        (4096, "why", "beyond"),
    ] {
        outcome.struct_size = u32::try_from(size).expect("small");
        let read = read(&outcome);
        assert_eq!(read.kind, OutcomeKind::Retry, "{size}");
        assert_eq!(
            (read.reason.as_str(), read.response.as_str()),
            (reason, response)
        );
    }
    outcome.struct_size = 4;
    assert_eq!(read(&outcome).kind, OutcomeKind::Ambiguous);
    // SAFETY: null is allowed.
    let nothing = unsafe { outcome::read(std::ptr::null()) };
    assert_eq!(nothing.rule, "plugin-contract");
}

#[test]
fn a_panic_of_ours_ends_before_the_plugin() {
    let done = unwinding_ends_here("test", || panic!("ours"));
    assert_eq!(done, None::<()>);
    let mut each: &mut dyn FnMut(Step) = &mut |_| panic!("ours");
    let step = abi::Step {
        struct_size: size_of::<abi::Step>(),
        result: abi::OK,
        took_ms: 1,
        name: abi::Bytes::borrow(b"dns"),
        note: abi::Bytes::EMPTY,
    };
    // SAFETY: both live until it returns, as it must.
    unsafe { take_step((&raw mut each).cast(), &raw const step) };
}

#[test]
fn what_is_lent_stays_where_it_is_while_the_loan_moves() {
    let call = Call {
        id: "id".to_owned(),
        attempt: 1,
        timeout: Duration::from_secs(1),
        event: b"{}".to_vec(),
        trace_id: String::new(),
        journal: String::new(),
        keep: None,
    };
    let instance = Arc::new(Instance {
        at: std::ptr::null_mut(),
        functions: described(&descriptor(0, FIRST)).expect("fits").functions,
        abandoned: AtomicIsize::new(0),
    });
    let loan = Loan::new(call, 1, instance);
    let at = loan.delivery();
    let moved = Box::new(loan);
    assert_eq!(moved.delivery(), at);
    // SAFETY: the loan lasts.
    assert_eq!(unsafe { text((*at).id, 8) }, "id");
}
