//! The CRM: an HTTP server that records what it gets and behaves as it is told.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;

/// How the CRM answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// 200 with an id.
    Take,
    /// This status and these further header lines.
    Refuse(u16, &'static str),
    /// Reads the request and never answers.
    Hang,
    /// Reads the request and closes the connection.
    HangUp,
}

/// A request it got.
#[derive(Clone, Debug)]
pub struct Received {
    /// Headers by lower-case name.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: String,
    /// Whether it was answered with success.
    pub taken: bool,
    /// When it had come in whole.
    pub at: Instant,
}

impl Received {
    /// The body as JSON.
    ///
    /// # Panics
    ///
    /// If it is not.
    pub fn event(&self) -> Value {
        serde_json::from_str(&self.body).expect("an event is JSON")
    }

    /// The lead's record id.
    pub fn record_id(&self) -> u64 {
        self.event()["lead"]["record_id"].as_u64().unwrap_or(0)
    }

    /// The delivery's id.
    pub fn delivery(&self) -> String {
        self.headers.get("webhook-id").cloned().unwrap_or_default()
    }
}

struct Desk {
    behaviour: Mutex<Behaviour>,
    received: Mutex<Vec<Received>>,
    closed: AtomicBool,
}

/// A running CRM.
pub struct Crm {
    address: SocketAddr,
    desk: Arc<Desk>,
    thread: Option<JoinHandle<()>>,
}

impl Crm {
    /// Starts on a free port.
    ///
    /// # Panics
    ///
    /// If there is none.
    pub fn start() -> Self {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    /// Starts on a given port.
    ///
    /// # Panics
    ///
    /// If it is taken.
    pub fn start_at(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).expect("a port for the CRM");
        let address = listener
            .local_addr()
            .expect("a bound listener has an address");
        let desk = Arc::new(Desk {
            behaviour: Mutex::new(Behaviour::Take),
            received: Mutex::default(),
            closed: AtomicBool::new(false),
        });
        let shared = Arc::clone(&desk);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if shared.closed.load(Ordering::SeqCst) {
                    return;
                }
                let desk = Arc::clone(&shared);
                std::thread::spawn(move || serve(stream, &desk));
            }
        });
        Self {
            address,
            desk,
            thread: Some(thread),
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("http://{}/leads", self.address)
    }

    /// Changes how it behaves from now on.
    pub fn behave(&self, behaviour: Behaviour) {
        *self
            .desk
            .behaviour
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = behaviour;
    }

    /// All it got so far.
    pub fn received(&self) -> Vec<Received> {
        self.desk
            .received
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// What it took: record ids, each with the ids of its deliveries.
    pub fn deliveries(&self) -> BTreeMap<u64, BTreeSet<String>> {
        let mut deliveries: BTreeMap<u64, BTreeSet<String>> = BTreeMap::new();
        for one in self.received().iter().filter(|one| one.taken) {
            deliveries
                .entry(one.record_id())
                .or_default()
                .insert(one.delivery());
        }
        deliveries
    }

    /// Forgets all it got so far.
    pub fn forget(&self) {
        self.desk
            .received
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    /// How many it took.
    pub fn taken(&self) -> usize {
        self.received().iter().filter(|one| one.taken).count()
    }
}

impl Drop for Crm {
    fn drop(&mut self) {
        self.desk.closed.store(true, Ordering::SeqCst);
        // Wakes the listener, which then ends.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(mut stream: TcpStream, desk: &Desk) {
    let _ = stream.set_read_timeout(Some(Duration::from_millis(100)));
    let mut bytes = Vec::new();
    let mut buffer = [0; 16_384];
    while !desk.closed.load(Ordering::SeqCst) {
        if let Some((headers, body, used)) = parse(&bytes) {
            bytes.drain(..used);
            let behaviour = desk
                .behaviour
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone();
            let taken = behaviour == Behaviour::Take;
            let mut received = desk.received.lock().unwrap_or_else(PoisonError::into_inner);
            received.push(Received {
                headers,
                body,
                taken,
                at: Instant::now(),
            });
            let number = received.len();
            drop(received);
            let answer = match behaviour {
                Behaviour::Take => {
                    let body = format!("{{\"id\":\"crm-{number}\"}}");
                    format!(
                        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}",
                        body.len()
                    )
                }
                Behaviour::Refuse(status, headers) => {
                    format!("HTTP/1.1 {status} No\r\n{headers}content-length: 0\r\n\r\n")
                }
                Behaviour::Hang => {
                    while !desk.closed.load(Ordering::SeqCst) {
                        std::thread::sleep(Duration::from_millis(20));
                    }
                    return;
                }
                Behaviour::HangUp => return,
            };
            if stream.write_all(answer.as_bytes()).is_err() {
                return;
            }
            continue;
        }
        match stream.read(&mut buffer) {
            Ok(0) => return,
            Ok(count) => bytes.extend_from_slice(&buffer[..count]),
            Err(error)
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                ) => {}
            Err(_) => return,
        }
    }
}

fn parse(bytes: &[u8]) -> Option<(BTreeMap<String, String>, String, usize)> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let headers: BTreeMap<_, _> = head
        .lines()
        .skip(1)
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let length = headers
        .get("content-length")
        .and_then(|length| length.parse().ok())
        .unwrap_or(0);
    let body = bytes.get(end + 4..end + 4 + length)?;
    Some((
        headers,
        String::from_utf8_lossy(body).into_owned(),
        end + 4 + length,
    ))
}
