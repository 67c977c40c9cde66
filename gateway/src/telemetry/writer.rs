//! The writer: log lines on their way to stderr.
//!
//! One thread writes, so that nobody who works waits for a pipe that is full or a disk that
//! hangs. What cannot be written, or finds no room behind what is waiting, is dropped and
//! counted: a log that is lost must not cost a lead. Never fails, never panics.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{LazyLock, OnceLock};
use std::time::Duration;

use prometheus::IntCounter;

use crate::terminal;

/// Lines that may wait.
const WAITING: usize = 8_192;
/// Bytes of one line at most.
const LONGEST: usize = 16 << 10;
/// Longest wait at the end for what is waiting.
const LAST: Duration = Duration::from_secs(2);

/// Lines that stderr did not take.
pub(super) static UNWRITTEN: LazyLock<IntCounter> = LazyLock::new(|| {
    counter(
        "leadgate_log_write_errors_total",
        "Log lines that could not be written: the pipe is closed or the disk full.",
    )
});

/// Lines that found no room because stderr takes them too slowly, or not at all.
pub(super) static DROPPED: LazyLock<IntCounter> = LazyLock::new(|| {
    counter(
        "leadgate_log_lines_dropped_total",
        "Log lines dropped because those before them were not taken yet.",
    )
});

fn counter(name: &str, help: &str) -> IntCounter {
    IntCounter::new(name, help).expect("names of metrics are constants, checked by a test")
}

enum Job {
    Line(Vec<u8>),
    /// Everything before it is written.
    Flush(SyncSender<()>),
}

/// The queue; nothing if the thread could not be started, and then lines are written at once.
fn queue() -> Option<&'static SyncSender<Job>> {
    static QUEUE: OnceLock<Option<SyncSender<Job>>> = OnceLock::new();
    let start = || {
        let (to, jobs) = sync_channel(WAITING);
        let thread = std::thread::Builder::new().name("log".to_owned());
        thread.spawn(move || run(&jobs)).ok()?;
        Some(to)
    };
    QUEUE.get_or_init(start).as_ref()
}

fn run(jobs: &Receiver<Job>) {
    let mut to = Lines::new(io::stderr());
    while let Ok(job) = jobs.recv() {
        match job {
            Job::Line(line) => to.write(&line),
            Job::Flush(done) => {
                // Whoever waited may have gone.
                let _ = done.try_send(());
            }
        }
    }
}

/// Puts one line, with its end, on its way.
pub(super) fn send(line: Vec<u8>) {
    match queue() {
        Some(queue) => {
            if let Err(TrySendError::Full(_)) = queue.try_send(Job::Line(line)) {
                DROPPED.inc();
            }
        }
        None => Lines::new(io::stderr()).write(&line),
    }
}

/// Waits until what was sent is written, but not for ever.
pub(super) fn flush() {
    let Some(queue) = queue() else { return };
    let (done, wait) = sync_channel(1);
    if queue.try_send(Job::Flush(done)).is_ok() {
        let _ = wait.recv_timeout(LAST);
    }
}

/// One event of tracing, sent when it is dropped.
pub(super) struct Line(Vec<u8>);

/// A new line, for tracing.
pub(super) fn line() -> Line {
    Line(Vec::new())
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = LONGEST.saturating_sub(self.0.len());
        self.0.extend_from_slice(&bytes[..bytes.len().min(room)]);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let line = std::mem::take(&mut self.0);
        if !line.is_empty() {
            send(seen(line));
        }
    }
}

/// The line with what would act on a terminal made visible; colours stay.
fn seen(mut line: Vec<u8>) -> Vec<u8> {
    if line.len() >= LONGEST {
        line.truncate(LONGEST);
        line.push(b'\n');
    }
    // Only what begins with these bytes can be such a character.
    if !line
        .iter()
        .any(|byte| matches!(byte, 0xc2 | 0xd8 | 0xe1 | 0xe2 | 0xef | 0xf3))
    {
        return line;
    }
    let text = String::from_utf8_lossy(&line);
    let hidden = |letter: char| terminal::acts(letter) && !letter.is_ascii();
    if !text.contains(hidden) {
        return line;
    }
    let mut out = String::with_capacity(text.len() + 16);
    for letter in text.chars() {
        if hidden(letter) {
            for unit in letter.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(letter);
        }
    }
    out.into_bytes()
}

/// Where lines are written; one that was torn is ended before the next.
struct Lines<W> {
    to: W,
    torn: bool,
}

impl<W: Write> Lines<W> {
    fn new(to: W) -> Self {
        Self { to, torn: false }
    }

    fn write(&mut self, line: &[u8]) {
        let whole = if self.torn {
            [b"\n", line].concat()
        } else {
            line.to_vec()
        };
        let mut rest = whole.as_slice();
        while !rest.is_empty() {
            match self.to.write(rest) {
                Ok(0) => break,
                Ok(count) => rest = &rest[count.min(rest.len())..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        if rest.is_empty() {
            self.torn = false;
        } else {
            self.torn |= rest.len() < whole.len();
            UNWRITTEN.inc();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk with so much room.
    struct Disk {
        room: usize,
        written: Vec<u8>,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.room == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            let count = bytes.len().min(self.room);
            self.room -= count;
            self.written.extend_from_slice(&bytes[..count]);
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_full_disk_costs_lines_and_no_more() {
        let before = UNWRITTEN.get();
        let disk = Disk {
            room: 9,
            written: Vec::new(),
        };
        let mut lines = Lines::new(disk);
        for line in ["first\n", "second\n", "third\n"] {
            lines.write(line.as_bytes());
        }
        lines.to.room = 100;
        lines.write(b"fourth\n");
        lines.write(b"fifth\n");
        let written = String::from_utf8(lines.to.written).expect("text");
        assert_eq!(written, "first\nsec\nfourth\nfifth\n");
        assert!(UNWRITTEN.get() >= before + 2);
    }

    #[test]
    fn lines_keep_colours_and_lose_what_turns_the_text() {
        let line = |text: &str| String::from_utf8(seen(text.as_bytes().to_vec())).expect("text");
        assert_eq!(line("\u{1b}[31mred 张三\n"), "\u{1b}[31mred 张三\n");
        assert_eq!(line("a\u{202e}b\u{9b}c\n"), "a\\u202eb\\u009bc\n");
        let mut long = super::line();
        long.write_all(&vec![b'x'; LONGEST + 10])
            .expect("takes all");
        assert_eq!(seen(std::mem::take(&mut long.0)).len(), LONGEST + 1);
    }
}
