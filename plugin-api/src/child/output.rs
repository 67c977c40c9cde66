//! Output: follows what a child writes to its standard output and error until it has ended.

use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{Ended, Limits, Line, Lines};

/// How often is looked whether the child has ended while nothing comes: what it started may
/// have taken the pipe with it.
const LOOK: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 200_000_000,
};
/// Read at once.
const PIECE: usize = 16 * 1024;
/// How long a stream is followed after the child has ended, at most.
const AFTERWARDS: Duration = Duration::from_millis(500);

/// Which of its streams a child wrote to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Output,
    /// Standard error.
    Error,
}

/// Gives each line of these streams to `each`, on a thread of its own that ends soon after the
/// child has. The child never waits for a reader, however slow `each` is about lines that are
/// too many.
pub fn follow(
    streams: Vec<(Stream, OwnedFd)>,
    limits: Limits,
    ended: Ended,
    mut each: impl FnMut(Stream, Line) + Send + 'static,
) -> io::Result<std::thread::JoinHandle<()>> {
    let thread = std::thread::Builder::new().name("leadgate-output".to_owned());
    thread.spawn(move || run(streams, limits, &ended, &mut each))
}

fn run(
    streams: Vec<(Stream, OwnedFd)>,
    limits: Limits,
    ended: &Ended,
    each: &mut dyn FnMut(Stream, Line),
) {
    let began = Instant::now();
    let mut open: Vec<_> = streams
        .into_iter()
        .map(|(stream, pipe)| (stream, pipe, Lines::new(limits)))
        .collect();
    let mut piece = vec![0; PIECE];
    let mut over: Option<Instant> = None;
    while !open.is_empty() {
        if ended.now().is_some() {
            let over = over.get_or_insert_with(Instant::now);
            if over.elapsed() > AFTERWARDS {
                break;
            }
        }
        let mut polled: Vec<_> = open
            .iter()
            .map(|(_, pipe, _)| PollFd::new(pipe, PollFlags::IN))
            .collect();
        if poll(&mut polled, Some(&LOOK)).is_err() {
            // Interrupted: look again.
            continue;
        }
        let ready: Vec<bool> = polled.iter().map(|one| !one.revents().is_empty()).collect();
        let mut ready = ready.into_iter();
        open.retain_mut(|(stream, pipe, lines)| {
            if !ready.next().unwrap_or(false) {
                return true;
            }
            let stream = *stream;
            match rustix::io::read(&*pipe, &mut piece) {
                Ok(0) | Err(_) => {
                    lines.end(&mut |line| each(stream, line));
                    false
                }
                Ok(length) => {
                    let now = began.elapsed();
                    lines.feed(&piece[..length], now, &mut |line| each(stream, line));
                    true
                }
            }
        });
    }
    for (stream, _, lines) in &mut open {
        lines.end(&mut |line| each(*stream, line));
    }
}
