//! The CRM: an HTTP server that records what it gets and behaves as it is told.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;
use socket2::SockRef;

/// How the CRM answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// 200 with an id.
    Take,
    /// This status and these further header lines.
    Refuse(u16, &'static str),
    /// This status and this body, of text.
    Say(u16, String),
    /// Reads the request and never answers.
    Hang,
    /// Reads the request and closes the connection.
    HangUp,
    /// Reads the request and resets the connection.
    Reset,
    /// 200 with an id, but only after this time.
    TakeLate(Duration),
}

impl Behaviour {
    /// Whether the answer is success.
    pub fn takes(&self) -> bool {
        matches!(self, Self::Take | Self::TakeLate(_))
    }
}

/// Decides how each request is answered, and keeps what it wants of it.
pub type Clerk = dyn Fn(&Received) -> Behaviour + Send + Sync;

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
    clerk: Option<Box<Clerk>>,
    behaviour: Mutex<Behaviour>,
    received: Mutex<Vec<Received>>,
    answered: AtomicU64,
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
        Self::open(address, None)
    }

    /// Starts on a given port with a clerk. Nothing is kept here: [`Self::received`] stays empty.
    ///
    /// # Panics
    ///
    /// If the port is taken.
    pub fn with_clerk(
        address: SocketAddr,
        clerk: impl Fn(&Received) -> Behaviour + Send + Sync + 'static,
    ) -> Self {
        Self::open(address, Some(Box::new(clerk)))
    }

    fn open(address: SocketAddr, clerk: Option<Box<Clerk>>) -> Self {
        let listener = TcpListener::bind(address).expect("a port for the CRM");
        let address = listener
            .local_addr()
            .expect("a bound listener has an address");
        let desk = Arc::new(Desk {
            clerk,
            behaviour: Mutex::new(Behaviour::Take),
            received: Mutex::default(),
            answered: AtomicU64::new(0),
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

impl Desk {
    /// Takes note of a request: how it is answered, and its number.
    fn receive(&self, headers: BTreeMap<String, String>, body: String) -> (Behaviour, u64) {
        let number = self.answered.fetch_add(1, Ordering::SeqCst) + 1;
        let mut received = Received {
            headers,
            body,
            taken: false,
            at: Instant::now(),
        };
        if let Some(clerk) = &self.clerk {
            return (clerk(&received), number);
        }
        let behaviour = self.behaviour.lock();
        let behaviour = behaviour.unwrap_or_else(PoisonError::into_inner).clone();
        received.taken = behaviour.takes();
        let list = self.received.lock();
        list.unwrap_or_else(PoisonError::into_inner).push(received);
        (behaviour, number)
    }
}

fn serve(mut stream: TcpStream, desk: &Desk) {
    let _ = stream.set_read_timeout(Some(Duration::from_millis(100)));
    let mut bytes = Vec::new();
    let mut buffer = [0; 16_384];
    while !desk.closed.load(Ordering::SeqCst) {
        if let Some((headers, body, used)) = parse(&bytes) {
            bytes.drain(..used);
            let (behaviour, number) = desk.receive(headers, body);
            let answer = match behaviour {
                Behaviour::Take => success(number),
                Behaviour::TakeLate(after) => {
                    std::thread::sleep(after);
                    success(number)
                }
                Behaviour::Refuse(status, headers) => {
                    format!("HTTP/1.1 {status} No\r\n{headers}content-length: 0\r\n\r\n")
                }
                Behaviour::Say(status, body) => format!(
                    "HTTP/1.1 {status} No\r\ncontent-length: {}\r\n\r\n{body}",
                    body.len()
                ),
                Behaviour::Hang => {
                    // Until the other side has had enough; each read waits a little.
                    loop {
                        if desk.closed.load(Ordering::SeqCst) || is_over(&stream.read(&mut buffer))
                        {
                            return;
                        }
                    }
                }
                Behaviour::HangUp => return,
                Behaviour::Reset => {
                    // Without lingering the kernel resets instead of closing.
                    let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
                    return;
                }
            };
            if stream.write_all(answer.as_bytes()).is_err() {
                return;
            }
            continue;
        }
        let read = stream.read(&mut buffer);
        if is_over(&read) {
            return;
        }
        bytes.extend_from_slice(&buffer[..read.unwrap_or(0)]);
    }
}

/// Whether nothing more will come, rather than nothing yet.
fn is_over(read: &std::io::Result<usize>) -> bool {
    use std::io::ErrorKind::{TimedOut, WouldBlock};
    match read {
        Ok(count) => *count == 0,
        Err(error) => !matches!(error.kind(), WouldBlock | TimedOut),
    }
}

fn success(number: u64) -> String {
    let body = format!("{{\"id\":\"crm-{number}\"}}");
    format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
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
