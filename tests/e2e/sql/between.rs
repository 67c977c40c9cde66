//! Between: a listener that passes everything on to a server, until an answer is to be lost.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// Passes bytes on. Its threads end with their connections.
pub(super) struct Between {
    port: u16,
    marker: Arc<Mutex<Option<Vec<u8>>>>,
}

impl Between {
    /// Starts one before the server at `port`.
    pub(super) fn start(server: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let marker: Arc<Mutex<Option<Vec<u8>>>> = Arc::default();
        let shared = Arc::clone(&marker);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect(("127.0.0.1", server)) else {
                    continue;
                };
                pass(client, server, &shared);
            }
        });
        Self { port, marker }
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Once: the connection over which `text` goes is cut when the server has answered it.
    pub(super) fn lose_the_answer_to(&self, text: &str) {
        *self.marker.lock().expect("no panics") = Some(text.as_bytes().to_vec());
    }
}

fn pass(client: TcpStream, server: TcpStream, marker: &Arc<Mutex<Option<Vec<u8>>>>) {
    let muted = Arc::new(Mutex::new(false));
    let (mut from, mut to) = (dup(&server), dup(&client));
    let is_muted = Arc::clone(&muted);
    std::thread::spawn(move || {
        copy(&mut from, |bytes| {
            !*is_muted.lock().expect("no panics") && to.write_all(bytes).is_ok()
        });
        let _ = to.shutdown(Shutdown::Both);
    });
    let marker = Arc::clone(marker);
    std::thread::spawn(move || {
        let (mut from, mut to) = (dup(&client), dup(&server));
        copy(&mut from, |bytes| {
            let mut marker = marker.lock().expect("no panics");
            let is_it = marker
                .as_ref()
                .is_some_and(|marker| bytes.windows(marker.len()).any(|window| window == marker));
            if is_it {
                *marker = None;
                *muted.lock().expect("no panics") = true;
            }
            to.write_all(bytes).is_ok()
        });
        let _ = to.shutdown(Shutdown::Both);
        let _ = client.shutdown(Shutdown::Both);
    });
}

fn dup(stream: &TcpStream) -> TcpStream {
    stream.try_clone().expect("a descriptor")
}

/// Reads until the end, or until `take` has had enough.
fn copy(from: &mut TcpStream, mut take: impl FnMut(&[u8]) -> bool) {
    let mut buffer = [0; 16 << 10];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if !take(&buffer[..count]) {
            break;
        }
    }
}
