//! The loader: the one place where the gateway speaks the C ABI.
//!
//! [`descriptor`] reads what a plugin says of itself and [`extension`] what more it can;
//! [`create`] makes sinks, with [`report`] for what is wrong and [`host`] for what they may call
//! back; [`attempt`] makes attempts of what is in a [`loan`], also several
//! in a [`batch`], and [`outcome`] reads how they ended. Everything a plugin
//! hands over is copied before it is looked at, cut to its limit, and made valid UTF-8.
#![allow(unsafe_code)]

mod attempt;
mod batch;
mod conductor;
mod create;
mod descriptor;
pub(crate) mod examiner;
mod extension;
mod host;
mod inherited;
mod loan;
mod outcome;
mod report;
mod sink;
#[cfg(test)]
mod tests;

use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use leadgate_plugin::abi;
use leadgate_plugin::export::size_of;
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};

pub use self::descriptor::Plugin;
pub(super) use self::inherited::close as close_inherited;
pub use self::sink::Sink;
use super::LoadError;
use super::elf;
use super::file::Held;

/// Bytes of a library that are read for its symbols.
const LARGEST: u64 = 1 << 30;

/// The functions of the plugins that are linked into this binary, by name.
const LINKED: &[(&str, abi::DescriptorFn)] = &[
    ("http", leadgate_sink_http::leadgate_plugin_http),
    ("file", leadgate_sink_file::leadgate_plugin_file),
    ("email", leadgate_sink_email::leadgate_plugin_email),
    ("exec", leadgate_sink_exec::leadgate_plugin_exec),
    #[cfg(feature = "nats")]
    ("nats", leadgate_sink_nats::leadgate_plugin_nats),
    #[cfg(feature = "amqp")]
    ("amqp", leadgate_sink_amqp::leadgate_plugin_amqp),
    #[cfg(feature = "kafka")]
    ("kafka", leadgate_sink_kafka::leadgate_plugin_kafka),
    #[cfg(feature = "sql")]
    ("sql", leadgate_sink_sql::leadgate_plugin_sql),
];

/// The plugins linked into this binary.
pub(super) fn linked() -> Result<Vec<Plugin>, LoadError> {
    let plugins = LINKED.iter().map(|(name, descriptor)| {
        // SAFETY: the function is one of ours, takes nothing, and gives a static descriptor.
        unsafe { descriptor::describe(name, descriptor(), false) }
    });
    plugins.collect()
}

/// Loads a library for good, with all that it needs: what is missing is said now, and not by a
/// crash at the first lead. Nothing of it is there for another library to bind to.
pub(super) fn open(name: &str, held: Held) -> Result<Plugin, LoadError> {
    let place = held.place();
    // SAFETY: loading runs the library's initialisers. The merchant named this file in the
    // configuration. What is loaded is the descriptor that was looked at: only root and we can
    // change that file, and its hash was compared if one was given.
    let library = unsafe { Library::open(Some(&place), RTLD_NOW | RTLD_LOCAL) };
    let library = library.map_err(|error| LoadError::Open {
        path: held.path().to_owned(),
        why: reason(&error, &place, held.path()),
    })?;
    let path = held.path().to_owned();
    held.keep();
    // Never unloaded: its threads and our function pointers live as long as the process.
    let library = Box::leak(Box::new(library));
    let symbol = format!("{}{}", abi::SYMBOL_PREFIX, name.replace('-', "_"));
    // SAFETY: the contract of a symbol with this prefix is `abi::DescriptorFn`.
    let descriptor =
        unsafe { library.get::<abi::DescriptorFn>(symbol.as_bytes()) }.map_err(|_| {
            LoadError::Symbol {
                path: path.clone(),
                symbol: symbol.clone(),
                exports: exports(&place),
            }
        })?;
    // SAFETY: called as the contract says; what it points to is static. A library from
    // outside may block in `deliver` whatever it says, so it is called from the blocking pool.
    unsafe { descriptor::describe(name, descriptor(), true) }
}

/// Names of the plugins that a file exports, if it can be read.
fn exports(place: &Path) -> Vec<String> {
    let read = || {
        let mut bytes = Vec::new();
        let file = std::fs::File::open(place).ok()?;
        file.take(LARGEST).read_to_end(&mut bytes).ok()?;
        elf::plugins(&bytes)
    };
    read().unwrap_or_default()
}

/// What the linker says, of the file by the name that people know.
fn reason(error: &libloading::Error, place: &Path, path: &Path) -> String {
    let mut said = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let cause_said = cause.to_string();
        if !said.contains(&cause_said) {
            said = format!("{said}: {cause_said}");
        }
        source = cause.source();
    }
    let place = place.display().to_string();
    let said = said.replace(&format!("{place}: "), "");
    said.replace(&place, &path.display().to_string())
}

/// Runs what a plugin calls: a panic of ours must not go through the plugin.
fn unwinding_ends_here<T>(what: &str, callback: impl FnOnce() -> T) -> Option<T> {
    let done = catch_unwind(AssertUnwindSafe(callback));
    if done.is_err() {
        // The panic was logged where it happened, by the hook.
        let _ = catch_unwind(|| {
            tracing::error!(callback = what, "a plugin's call into leadgate failed");
        });
    }
    done.ok()
}

/// Copies at most `limit` bytes of text, made valid UTF-8.
///
/// # Safety
///
/// `bytes` is empty or valid for reading.
unsafe fn text(bytes: abi::Bytes, limit: usize) -> String {
    if bytes.ptr.is_null() || bytes.len == 0 {
        return String::new();
    }
    // SAFETY: by the function's contract; never more than the plugin lent.
    let slice = unsafe { std::slice::from_raw_parts(bytes.ptr, bytes.len.min(limit)) };
    String::from_utf8_lossy(slice).into_owned()
}
