//! Making a sink and freeing it, and what is wrong with its settings.

use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::host::HostHandle;
use super::panics::{self, For};
use super::read;
use crate::{Host, Problem, Problems, Sink, abi};

pub(super) unsafe extern "C" fn check<S: Sink>(
    config: *const abi::Config,
    report: *const abi::Report,
) -> i32 {
    // SAFETY: both live until we return, by the contract of `check`.
    let (config, report) = unsafe { (read::config(config), read::report(report)) };
    guarded(&report, || {
        let (settings, host) = understood::<S>(&config, None)?;
        crate::sink::check::<S>(&settings, &host).into_result(())
    })
    .err()
    .unwrap_or(abi::OK)
}

pub(super) unsafe extern "C" fn create<S: Sink>(
    config: *const abi::Config,
    host: *const abi::Host,
    report: *const abi::Report,
    sink: *mut *mut c_void,
) -> i32 {
    // SAFETY: all live until we return, by the contract of `create`.
    let (config, host, report) =
        unsafe { (read::config(config), read::host(host), read::report(report)) };
    let handle = HostHandle(host);
    let made = guarded(&report, || {
        panics::during(For::Host(handle), || {
            let (settings, host) = understood::<S>(&config, Some(handle))?;
            crate::sink::create::<S>(&settings, host)
        })
    });
    match made {
        Ok(made) => {
            let made: *mut c_void = Arc::into_raw(Arc::new(made)).cast_mut().cast();
            panics::lives(made.addr(), handle);
            // SAFETY: `sink` is valid for one write. `destroy` takes the pointer back.
            unsafe { *sink = made };
            abi::OK
        }
        Err(code) => code,
    }
}

pub(super) unsafe extern "C" fn destroy<S: Sink>(sink: *mut c_void) {
    // A sink whose drop panics is leaked: nothing may unwind into the host.
    let _ = catch_unwind(AssertUnwindSafe(|| {
        panics::during(For::Sink(sink.addr()), || {
            // SAFETY: `sink` came from `create` and is not used again.
            drop(unsafe { Arc::from_raw(sink.cast::<S>()) });
        });
    }));
    panics::is_gone(sink.addr());
}

/// Runs `body`, reports its problems, and gives the code for the host.
fn guarded<T>(report: &abi::Report, body: impl FnOnce() -> Result<T, Problems>) -> Result<T, i32> {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(problems)) => {
            for problem in problems {
                say(report, &problem);
            }
            Err(abi::FAILED)
        }
        Err(_) => {
            if let Some(place) = panics::place() {
                let problem = Problem::at("", format!("the plugin panicked at {place}"));
                let help = "this is a bug of the plugin: tell whoever made it";
                let chinese = (
                    format!("插件在 {place} 处崩溃"),
                    "这是插件的缺陷：请联系其开发者",
                );
                say(report, &problem.help(help).chinese(chinese.0, chinese.1));
            }
            Err(abi::PANICKED)
        }
    }
}

fn say(report: &abi::Report, problem: &Problem) {
    let bytes = |text: &str| abi::Bytes {
        ptr: text.as_ptr(),
        len: text.len(),
    };
    let message = crate::problem::both(&problem.message, &problem.chinese.message);
    let help = crate::problem::both(&problem.help, &problem.chinese.help);
    let (path, message, help) = (bytes(&problem.path), bytes(&message), bytes(&help));
    match (&problem.range, report.problem_at, report.problem) {
        (Some(range), Some(problem_at), _) => {
            let (start, end) = (range.start as u64, range.end as u64);
            // SAFETY: the texts live until `problem_at` returns; `ctx` is the host's own.
            unsafe { problem_at(report.ctx, path, start, end, message, help) };
        }
        (_, _, Some(problem)) => {
            // SAFETY: as above.
            unsafe { problem(report.ctx, path, message, help) };
        }
        (_, _, None) => {}
    }
}

fn understood<S: Sink>(
    config: &abi::Config,
    handle: Option<HostHandle>,
) -> Result<(S::Settings, Host), Problems> {
    // SAFETY: the texts live until the call that lent `config` returns.
    let (sink, settings, tables) = unsafe {
        (
            read::text(config.sink),
            read::bytes(config.settings),
            read::bytes(config.tables),
        )
    };
    let settings =
        serde_json::from_slice(settings).map_err(|error| Problem::at("", error.to_string()))?;
    let tables = serde_json::from_slice(tables).unwrap_or_default();
    Ok((settings, Host::new(sink, tables, handle)))
}
