//! Output: data on stdout, messages on stderr, whoever reads them or does not any more.
//!
//! A reader that goes away (`| head`) ends the output, not the command: what is left is
//! dropped silently, and the exit code is the command's own, so that `check | head` never
//! says that a bad configuration is good. Any other failure of stdout, such as a full disk,
//! is said once at the end. Nothing here panics, and nothing raw reaches a terminal.

use std::fmt::Arguments;
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

use super::FAILED;
use crate::terminal;

/// What became of stdout.
enum Stdout {
    Open,
    /// Nobody reads it any more.
    Closed,
    /// It cannot be written.
    Failed(String),
}

static STDOUT: Mutex<Stdout> = Mutex::new(Stdout::Open);

/// `println!` for data; see [`line`].
macro_rules! outln {
    () => { $crate::cli::out::line(format_args!("")) };
    ($($part:tt)*) => { $crate::cli::out::line(format_args!($($part)*)) };
}

/// `eprintln!` for messages; see [`note`].
macro_rules! errln {
    () => { $crate::cli::out::note(format_args!("")) };
    ($($part:tt)*) => { $crate::cli::out::note(format_args!($($part)*)) };
}

/// A line of data.
pub(crate) fn line(text: Arguments<'_>) {
    let text = format!("{text}\n");
    write(terminal::visible(&text).as_bytes());
}

/// A value as JSON.
pub(crate) fn json(value: &Value) {
    let text = format!("{value:#}\n");
    write(terminal::visible_json(&text).as_bytes());
}

/// Data as it is.
pub(crate) fn raw(bytes: &[u8]) {
    write(bytes);
}

/// A line for people on stderr.
pub(crate) fn note(text: Arguments<'_>) {
    let text = format!("{text}\n");
    message(&terminal::visible(&text));
}

/// Text for people on stderr, as it is: the beginning of a line, or one that has colours.
pub(crate) fn message(text: &str) {
    // Nobody is left to be told.
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// Whether data still goes anywhere; who has much of it may stop when it does not.
pub(crate) fn is_read() -> bool {
    matches!(*state(), Stdout::Open)
}

/// Stdout for what writes by itself. Its errors are kept here as well, so that they are said
/// once; [`is_read`] tells whether to go on.
pub(crate) struct Data;

impl Write for Data {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        write(bytes);
        if is_read() {
            Ok(bytes.len())
        } else {
            Err(ErrorKind::BrokenPipe.into())
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The command's exit code, unless its data could not be written.
pub(crate) fn end(code: ExitCode) -> ExitCode {
    let flushed = io::stdout().lock().flush();
    take(flushed);
    let state = state();
    let Stdout::Failed(why) = &*state else {
        return code;
    };
    note(format_args!(
        "leadgate: the output cannot be written: {why}"
    ));
    if code == ExitCode::SUCCESS {
        ExitCode::from(FAILED)
    } else {
        code
    }
}

fn write(bytes: &[u8]) {
    if is_read() {
        take(io::stdout().lock().write_all(bytes));
    }
}

fn take(written: io::Result<()>) {
    let Err(error) = written else { return };
    let mut state = state();
    if matches!(*state, Stdout::Open) {
        *state = match error.kind() {
            ErrorKind::BrokenPipe => Stdout::Closed,
            _ => Stdout::Failed(error.to_string()),
        };
    }
}

fn state() -> std::sync::MutexGuard<'static, Stdout> {
    STDOUT.lock().unwrap_or_else(PoisonError::into_inner)
}
