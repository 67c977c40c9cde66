//! The wire: whole frames into a socket, from any thread.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, PoisonError};

/// A socket that waits until what is written is taken, and room to put a frame together.
pub(super) struct Writer(Mutex<(UnixStream, Vec<u8>)>);

/// Room that is kept between frames.
const ROOM: usize = 64 * 1024;

impl Writer {
    pub(super) fn new(socket: UnixStream) -> Self {
        Self(Mutex::new((socket, Vec::new())))
    }

    /// Sends what `write` adds. Nobody is told if the other side is gone: whoever reads from it
    /// notices.
    pub(super) fn send(&self, write: impl FnOnce(&mut Vec<u8>)) {
        let mut both = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (socket, frame) = &mut *both;
        frame.clear();
        write(frame);
        let _ = socket.write_all(frame);
        frame.shrink_to(ROOM);
    }
}
