//! The report: where `check` and `create` say what is wrong.

use std::ffi::c_void;

use leadgate_plugin::abi;

use super::{size_of, text, unwinding_ends_here};
use crate::config::Problem;

pub(super) fn report(problems: &mut Vec<Problem>) -> abi::Report {
    abi::Report {
        struct_size: size_of::<abi::Report>(),
        reserved: 0,
        ctx: std::ptr::from_mut(problems).cast(),
        problem: Some(add_problem),
        problem_at: Some(add_problem_at),
    }
}

unsafe extern "C" fn add_problem(
    ctx: *mut c_void,
    path: abi::Bytes,
    message: abi::Bytes,
    help: abi::Bytes,
) {
    // SAFETY: `ctx` is the vector that `report` was made with, and texts are valid until we
    // return.
    unsafe { add(ctx, path, None, message, help) };
}

unsafe extern "C" fn add_problem_at(
    ctx: *mut c_void,
    path: abi::Bytes,
    start: u64,
    end: u64,
    message: abi::Bytes,
    help: abi::Bytes,
) {
    let range = match (usize::try_from(start), usize::try_from(end)) {
        (Ok(start), Ok(end)) if start < end => Some(start..end),
        _ => None,
    };
    // SAFETY: as in `add_problem`.
    unsafe { add(ctx, path, range, message, help) };
}

/// # Safety
///
/// `ctx` is the vector of the `check` or `create` that is running on this thread; the texts
/// are valid.
unsafe fn add(
    ctx: *mut c_void,
    path: abi::Bytes,
    range: Option<std::ops::Range<usize>>,
    message: abi::Bytes,
    help: abi::Bytes,
) {
    unwinding_ends_here("problem", || {
        // SAFETY: by the function's contract.
        let problems = unsafe { &mut *ctx.cast::<Vec<Problem>>() };
        if problems.len() < 100 {
            // SAFETY: by the function's contract.
            let (path, message, help) =
                unsafe { (text(path, 512), text(message, 2048), text(help, 2048)) };
            let (message, message_zh) = leadgate_plugin::languages(&message);
            let (help, help_zh) = leadgate_plugin::languages(&help);
            problems.push(
                Problem::at(path, message)
                    .help(help)
                    .chinese(message_zh, help_zh)
                    .range(range),
            );
        }
    });
}
