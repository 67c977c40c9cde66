//! What is heard: the functions that a plugin may call while one of its own runs, and what it is
//! given to call them by.

use std::ffi::c_void;
use std::mem::offset_of;

use leadgate_plugin::abi;

use super::super::{host, size_of};
use super::book::{Fault, beyond, book, text};
use super::{Age, Answer};

/// Takes the text of a `render`.
pub(super) unsafe extern "C" fn take_text(ctx: *mut c_void, bytes: abi::Bytes) {
    let mut faults = Vec::new();
    // SAFETY: valid until we return.
    let said = unsafe {
        text(
            ("what render gives", "render 的文字"),
            bytes,
            1 << 20,
            &mut faults,
        )
    };
    // SAFETY: `ctx` is the list of the `render` that is running on this thread.
    unsafe { &mut *ctx.cast::<Vec<String>>() }.push(said);
    for fault in faults {
        book().fault(fault);
    }
}

/// Takes a problem.
unsafe extern "C" fn problem(
    ctx: *mut c_void,
    path: abi::Bytes,
    message: abi::Bytes,
    help: abi::Bytes,
) {
    let mut faults = Vec::new();
    // SAFETY: `ctx` is the answer of the call that is running, and texts are valid.
    unsafe {
        let said = (
            text(("a problem's path", "问题的路径"), path, 512, &mut faults),
            text(
                ("a problem's message", "问题的说明"),
                message,
                2048,
                &mut faults,
            ),
            text(("a problem's help", "问题的建议"), help, 2048, &mut faults),
        );
        (*ctx.cast::<Answer>()).problems.push(said);
    }
    for fault in faults {
        book().fault(fault);
    }
}

unsafe extern "C" fn problem_at(
    ctx: *mut c_void,
    path: abi::Bytes,
    start: u64,
    end: u64,
    message: abi::Bytes,
    help: abi::Bytes,
) {
    if start > end {
        book().fault(Fault::new(
            "a problem ends before it starts",
            "问题的终点在起点之前",
        ));
    }
    // SAFETY: as in `problem`.
    unsafe { problem(ctx, path, message, help) };
}

/// Takes how a sink is.
pub(super) unsafe extern "C" fn take_health(ctx: *mut c_void, health: u32, why: abi::Bytes) {
    let mut faults = Vec::new();
    // SAFETY: `ctx` is the list of the `health` that is running, and the text is valid.
    unsafe {
        let why = text(("a health's reason", "状况的原因"), why, 1024, &mut faults);
        (*ctx.cast::<Vec<(u32, String)>>()).push((health, why));
    }
    for fault in faults {
        book().fault(fault);
    }
}

/// Of the host's extensions the examiner has the launcher, by which programs get their sandbox.
pub(super) unsafe extern "C" fn get_extension(_: *mut c_void, id: abi::Bytes) -> *const c_void {
    let mut faults = Vec::new();
    // SAFETY: valid until we return.
    let id = unsafe { text(("an extension's id", "扩展的 id"), id, 128, &mut faults) };
    for fault in faults {
        book().fault(fault);
    }
    if id == abi::LAUNCHER_ID {
        host::launcher()
    } else {
        std::ptr::null()
    }
}

pub(super) fn report(answer: &mut Answer, age: Age) -> abi::Report {
    let mut report = abi::Report {
        struct_size: size_of::<abi::Report>(),
        reserved: 0,
        ctx: std::ptr::from_mut(answer).cast(),
        problem: Some(problem),
        problem_at: Some(problem_at),
    };
    if age == Age::First {
        report.struct_size = small(offset_of!(abi::Report, problem_at));
        report.problem_at = Some(beyond::problem_at);
    }
    report
}

pub(super) fn small(size: usize) -> u32 {
    u32::try_from(size).unwrap_or(u32::MAX)
}

pub(super) fn config(sink: &str, settings: &str, tables: &str) -> abi::Config {
    abi::Config {
        struct_size: size_of::<abi::Config>(),
        reserved: 0,
        sink: abi::Bytes::borrow(sink.as_bytes()),
        settings: abi::Bytes::borrow(settings.as_bytes()),
        tables: abi::Bytes::borrow(tables.as_bytes()),
    }
}
