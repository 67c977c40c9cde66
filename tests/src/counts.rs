//! The counts: one line of what a test did and found, for whoever reads the run.
//!
//! Shown with `--nocapture`, and gathered in the file that `LEADGATE_TEST_COUNTS` names, which
//! `tests/run` prints at its end.

use std::fmt::Display;
use std::fs::OpenOptions;
use std::io::Write;

/// How many times as many faults as usual are injected: `LEADGATE_TEST_TIMES`, for a long run.
///
/// # Panics
///
/// If that is no number.
pub fn times() -> usize {
    let times = std::env::var("LEADGATE_TEST_TIMES").ok();
    times.map_or(1, |times| {
        times.parse().expect("LEADGATE_TEST_TIMES is a number")
    })
}

/// Says what the present test counted.
///
/// # Panics
///
/// If the file of counts cannot be written.
pub fn counted(line: impl Display) {
    let thread = std::thread::current();
    let line = format!("{}: {line}\n", thread.name().unwrap_or("a test"));
    print!("{line}");
    if let Some(path) = std::env::var_os("LEADGATE_TEST_COUNTS") {
        // In one write: tests run side by side.
        OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)
            .and_then(|mut file| file.write_all(line.as_bytes()))
            .expect("the file of counts takes a line");
    }
}
