//! A broker of Kafka that asks for a login and refuses each: the mock cluster knows no logins.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

/// Kinds of request.
const VERSIONS: i16 = 18;
const HANDSHAKE: i16 = 17;
const AUTHENTICATE: i16 = 36;
/// What it says: not in this version, and no.
const UNSUPPORTED_VERSION: i16 = 35;
const AUTHENTICATION_FAILED: i16 = 58;

/// Starts one for the rest of the test; gives its address.
pub(super) fn start() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
    let address = listener.local_addr().expect("bound").to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || serve(stream));
        }
    });
    address
}

/// Answers until the other end hangs up.
fn serve(mut stream: TcpStream) -> Option<()> {
    loop {
        let mut size = [0; 4];
        stream.read_exact(&mut size).ok()?;
        let mut request = vec![0; usize::try_from(i32::from_be_bytes(size)).ok()?];
        stream.read_exact(&mut request).ok()?;
        let number = |at: usize| {
            Some(i16::from_be_bytes([
                *request.get(at)?,
                *request.get(at + 1)?,
            ]))
        };
        let (kind, version) = (number(0)?, number(2)?);
        let mut answer = request.get(4..8)?.to_vec();
        match kind {
            VERSIONS => {
                let error = if version == 0 { 0 } else { UNSUPPORTED_VERSION };
                answer.extend(error.to_be_bytes());
                let known = [(VERSIONS, 0, 0), (HANDSHAKE, 0, 1), (AUTHENTICATE, 0, 0)];
                answer.extend(3_i32.to_be_bytes());
                for (kind, least, most) in known {
                    answer.extend([kind, least, most].into_iter().flat_map(i16::to_be_bytes));
                }
            }
            HANDSHAKE => {
                answer.extend(0_i16.to_be_bytes());
                answer.extend(1_i32.to_be_bytes());
                answer.extend(5_i16.to_be_bytes());
                answer.extend(b"PLAIN");
            }
            AUTHENTICATE => {
                answer.extend(AUTHENTICATION_FAILED.to_be_bytes());
                answer.extend((-1_i16).to_be_bytes());
                answer.extend(0_i32.to_be_bytes());
            }
            _ => return None,
        }
        let size = i32::try_from(answer.len()).ok()?;
        stream.write_all(&size.to_be_bytes()).ok()?;
        stream.write_all(&answer).ok()?;
    }
}
