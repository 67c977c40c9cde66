//! Descriptors, outcomes and structs of other minors, made by hand.

use std::ffi::c_void;
use std::mem::offset_of;
use std::sync::Arc;
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
        older.vendor = abi::Bytes::borrow(b"somebody else");
        let plugin = described(&older).expect("an older one fits");
        assert_eq!(plugin.abi(), format!("1.{minor}"));
        assert!(plugin.abilities().is_empty());
        assert_eq!(
            (plugin.vendor(), plugin.description(), plugin.url()),
            ("", "", "")
        );
    }
    for size in [std::mem::size_of::<abi::Plugin>(), 4096] {
        let mut newer = descriptor(9, size);
        newer.get_extension = Some(none);
        let plugin = described(&newer).expect("a newer one fits");
        assert_eq!(plugin.abi(), "1.9");
    }
}

#[test]
fn a_descriptor_says_who_made_it_on_one_line_and_cut() {
    let mut whole = descriptor(3, std::mem::size_of::<abi::Plugin>());
    let long = "x".repeat(300);
    whole.vendor = abi::Bytes::borrow(long.as_bytes());
    whole.description = abi::Bytes::borrow(b" Says\n it\x1b[31m aloud ");
    whole.url = abi::Bytes::borrow(b"https://crier.example");
    let plugin = described(&whole).expect("fits");
    assert_eq!(plugin.vendor().len(), 256);
    assert_eq!(plugin.description(), "Says it [31m aloud");
    assert_eq!(plugin.url(), "https://crier.example");
}

#[test]
fn a_descriptor_that_does_not_fit_is_refused_with_the_difference() {
    let refused =
        |descriptor: &abi::Plugin| described(descriptor).err().expect("refused").to_string();
    let ours = std::mem::size_of::<abi::Plugin>();
    for (minor, size, difference) in [
        (
            0,
            0,
            "has 0 bytes, ABI 1.0 needs 112: it lacks `name`, `version`",
        ),
        (
            0,
            offset_of!(abi::Plugin, render),
            "version 1: its descriptor has 96 bytes",
        ),
        (
            0,
            offset_of!(abi::Plugin, render),
            "it lacks `render`, `destroy`",
        ),
        (
            3,
            FIRST,
            "is of ABI 1.3, which has 168 bytes, but `struct_size` is 112: it lacks `get_extension`, `vendor`, `description`, `url`",
        ),
        (3, FIRST + 4, "it lacks `get_extension`, `vendor`"),
        (
            1,
            ours,
            "is of ABI 1.1, which has 112 bytes, but `struct_size` is 168: 56 bytes too many; take `abi_minor` and `struct_size` from the same header",
        ),
        (3, 4096, "which has 168 bytes, but `struct_size` is 4096"),
        (
            7,
            FIRST,
            "which has at least 168 bytes, but `struct_size` is 112",
        ),
    ] {
        let said = refused(&descriptor(minor, size));
        assert!(said.contains(difference), "{minor} {size}: {said}");
        assert!(said.starts_with("plugin `erp`: "), "{said}");
    }
    let mut foreign = descriptor(0, FIRST);
    foreign.magic = 0x7f;
    let said = refused(&foreign);
    assert!(
        said.contains("0x6c65616467617465, but with 0x000000000000007f"),
        "{said}"
    );
    foreign.magic = abi::MAGIC.swap_bytes();
    let said = refused(&foreign);
    assert!(said.contains("built for another machine"), "{said}");
    let mut other = descriptor(4, 4096);
    other.abi_major = 2;
    let said = refused(&other);
    assert!(
        said.contains("version 1: it was built for plugin ABI 2.4, this leadgate speaks 1.3"),
        "{said}"
    );
    let mut null = descriptor(0, FIRST);
    null.deliver = None;
    let said = refused(&null);
    assert!(
        said.contains("has no `deliver` function; every plugin must have it"),
        "{said}"
    );
    null.create = None;
    null.destroy = None;
    let said = refused(&null);
    assert!(
        said.contains("no `create`, `deliver`, `destroy` function"),
        "{said}"
    );
}

/// The one extension that a descriptor of these tests has: its id, and where it is.
static EXTENSION: std::sync::Mutex<(&str, usize)> = std::sync::Mutex::new(("", 0));

unsafe extern "C" fn the_extension(id: abi::Bytes) -> *const c_void {
    let (has, at) = *EXTENSION.lock().expect("not poisoned");
    // SAFETY: valid until we return.
    if unsafe { text(id, 128) } == has {
        std::ptr::with_exposed_provenance(at)
    } else {
        std::ptr::null()
    }
}

unsafe extern "C" fn cancel(_: *mut c_void, _: *mut c_void) {}
unsafe extern "C" fn deliver_batch(
    _: *mut c_void,
    _: *const *const abi::Delivery,
    _: *const *mut c_void,
    _: usize,
    _: abi::DoneFn,
) {
}

#[test]
fn extensions_are_read_up_to_their_size_and_one_that_lacks_its_function_is_refused() {
    let described = |id: &'static str, at: usize| {
        let mut whole = descriptor(3, std::mem::size_of::<abi::Plugin>());
        whole.get_extension = Some(the_extension);
        *EXTENSION.lock().expect("not poisoned") = (id, at);
        described(&whole)
    };
    let mut told = abi::Cancel {
        struct_size: size_of::<abi::Cancel>(),
        reserved: 0,
        cancel: Some(cancel),
    };
    let mut with = |size: u32, function| {
        told.struct_size = size;
        told.cancel = function;
        described(abi::CANCEL_ID, (&raw const told).expose_provenance())
    };
    for size in [16, 24, u32::MAX] {
        let plugin = with(size, Some(cancel)).expect("as large, or larger");
        assert_eq!(plugin.abilities(), [abi::CANCEL_ID]);
    }
    for size in [0, 8, 12, 15] {
        let said = with(size, Some(cancel)).err().expect("refused").to_string();
        let wanted = format!(
            "its extension `leadgate.cancel/1` has {size} bytes, this leadgate needs 16: it lacks `cancel`"
        );
        assert!(said.contains(&wanted), "{said}");
    }
    let said = with(16, None).err().expect("refused").to_string();
    assert!(
        said.contains("version 1: its extension `leadgate.cancel/1` has no `cancel` function"),
        "{said}"
    );

    for (max, fits) in [
        (0, false),
        (1, false),
        (2, true),
        (1024, true),
        (1025, false),
    ] {
        let batch = abi::Batch {
            struct_size: size_of::<abi::Batch>(),
            max,
            deliver_batch: Some(deliver_batch),
        };
        let described = described(abi::BATCH_ID, (&raw const batch).expose_provenance());
        match described {
            Ok(plugin) => assert!(fits && plugin.batch() == Some(max as usize), "{max}"),
            Err(error) => {
                assert!(!fits, "{max}");
                let said = error.to_string();
                assert!(said.contains(&format!("takes {max} deliveries")), "{said}");
                assert!(said.contains("2 to 1024"), "{said}");
            }
        }
    }
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
        step_record: String::new(),
        keep: None,
    };
    let functions = described(&descriptor(0, FIRST)).expect("fits").functions;
    let instance = Arc::new(Instance::new(std::ptr::null_mut(), functions, false));
    let loan = Loan::new(call, 1, instance);
    let at = loan.delivery();
    let moved = Box::new(loan);
    assert_eq!(moved.delivery(), at);
    // SAFETY: the loan lasts.
    assert_eq!(unsafe { text((*at).id, 8) }, "id");
}

mod attempts;
