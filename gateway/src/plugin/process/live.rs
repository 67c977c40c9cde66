//! Live: a process that serves, with the attempts that are on their way to it and in it.
//!
//! Attempts are written by whoever makes them, straight into the socket; only what does not fit
//! there waits for the task that reads. So one attempt costs two wake-ups, one on each side.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use super::super::{Call, Health, Keep, Outcome};
use super::frame::{Kind, write};
use super::message;

/// What waits to be written, at most: more than this many bytes are a process that does not read.
const UNSENT: usize = 64 << 20;

/// How an attempt ended for whoever waits for it.
pub(super) enum End {
    Outcome(Outcome),
    /// The process is no more, and why; whether it had the whole attempt by then.
    Lost {
        handed: bool,
        why: Arc<str>,
    },
}

struct Flight {
    done: oneshot::Sender<End>,
    keep: Option<Keep>,
    /// The number of bytes that were written when all of it was.
    ends_at: u64,
    /// When it has to be over.
    deadline: Instant,
    /// Since when nobody waits for it.
    abandoned: Option<Instant>,
}

#[derive(Default)]
struct Outgoing {
    unsent: Vec<u8>,
    /// Bytes that were given to the socket.
    sent: u64,
}

/// A process that serves.
pub(super) struct Live {
    pub(super) socket: UnixStream,
    outgoing: Mutex<Outgoing>,
    /// There is something to write that did not fit.
    pub(super) more: Notify,
    flights: Mutex<Flights>,
    /// Who asked how the sink is.
    asked: Mutex<HashMap<u64, oneshot::Sender<Option<Health>>>>,
    next: AtomicU64,
    began: Instant,
    /// Milliseconds after that, when something came last.
    heard: AtomicU64,
}

#[derive(Default)]
struct Flights {
    open: HashMap<u64, Flight>,
    /// Why there can be no more.
    over: Option<Arc<str>>,
}

impl Live {
    pub(super) fn new(socket: UnixStream) -> Self {
        Self {
            socket,
            outgoing: Mutex::default(),
            more: Notify::new(),
            flights: Mutex::default(),
            asked: Mutex::default(),
            next: AtomicU64::new(1),
            began: Instant::now(),
            heard: AtomicU64::new(0),
        }
    }

    /// Something came.
    pub(super) fn heard(&self) {
        let after = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.heard.store(after, Ordering::Relaxed);
    }

    /// When something came last.
    pub(super) fn last_heard(&self) -> Instant {
        self.began + Duration::from_millis(self.heard.load(Ordering::Relaxed))
    }

    fn flights(&self) -> MutexGuard<'_, Flights> {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn outgoing(&self) -> MutexGuard<'_, Outgoing> {
        self.outgoing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends an attempt. Gives its number and what is told of its end.
    pub(super) fn begin(&self, call: &Call, deadline: Instant) -> (u64, oneshot::Receiver<End>) {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let delivery = message::delivery(call);
        let mut frame = Vec::with_capacity(call.event.len() + call.step_record.len() + 256);
        write(&mut frame, Kind::Deliver, number, |out| delivery.write(out));
        let (done, end) = oneshot::channel();
        let mut outgoing = self.outgoing();
        // Known before it is sent: the answer may be there before we have looked again.
        let mut flights = self.flights();
        if let Some(why) = &flights.over {
            let lost = End::Lost {
                handed: false,
                why: Arc::clone(why),
            };
            // Its receiver is here.
            let _ = done.send(lost);
            drop(flights);
            return (number, end);
        }
        let flight = Flight {
            done,
            keep: call.keep.clone(),
            ends_at: outgoing.sent + (outgoing.unsent.len() + frame.len()) as u64,
            deadline,
            abandoned: None,
        };
        flights.open.insert(number, flight);
        drop(flights);
        self.put(&mut outgoing, &frame);
        (number, end)
    }

    /// Sends any other frame.
    pub(super) fn send(&self, frame: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = Vec::new();
        frame(&mut bytes);
        self.put(&mut self.outgoing(), &bytes);
    }

    fn put(&self, outgoing: &mut Outgoing, mut bytes: &[u8]) {
        if outgoing.unsent.is_empty() {
            match self.socket.try_write(bytes) {
                Ok(length) => {
                    outgoing.sent += length as u64;
                    bytes = &bytes[length..];
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // Whoever reads notices, and ends what is on its way.
                Err(_) => return,
            }
        }
        if !bytes.is_empty() {
            outgoing.unsent.extend_from_slice(bytes);
            self.more.notify_one();
        }
    }

    /// Writes what did not fit; waits until the socket takes it. False if it never will.
    pub(super) async fn flush(&self) -> bool {
        loop {
            if self.socket.writable().await.is_err() {
                return false;
            }
            let mut outgoing = self.outgoing();
            if outgoing.unsent.len() > UNSENT {
                return false;
            }
            match self.socket.try_write(&outgoing.unsent) {
                Ok(length) => {
                    outgoing.sent += length as u64;
                    outgoing.unsent.drain(..length);
                    if outgoing.unsent.is_empty() {
                        outgoing.unsent.shrink_to(64 * 1024);
                        return true;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return false,
            }
        }
    }

    /// An attempt has ended. Whether it was on its way, and who waits if anybody does.
    pub(super) fn done(&self, number: u64, outcome: Outcome) -> bool {
        let Some(flight) = self.flights().open.remove(&number) else {
            return false;
        };
        // Nobody waits for it any more if it was late.
        let _ = flight.done.send(End::Outcome(outcome));
        true
    }

    /// Who is told what an attempt keeps.
    pub(super) fn keep(&self, number: u64) -> Option<Keep> {
        self.flights().open.get(&number)?.keep.clone()
    }

    /// Asks how the sink is; `None` if the plugin cannot tell.
    pub(super) async fn health(&self, most: Duration) -> Result<Option<Health>, ()> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let (say, said) = oneshot::channel();
        self.asked().insert(number, say);
        self.send(|out| write(out, Kind::AskHealth, number, |_| {}));
        let said = tokio::time::timeout(most, said).await;
        self.asked().remove(&number);
        said.map_err(drop)?.map_err(drop)
    }

    /// That is how it is.
    pub(super) fn says(&self, number: u64, health: Option<Health>) {
        if let Some(asked) = self.asked().remove(&number) {
            // Nobody waits for it any more if it was late.
            let _ = asked.send(health);
        }
    }

    fn asked(&self) -> MutexGuard<'_, HashMap<u64, oneshot::Sender<Option<Health>>>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nobody waits for that attempt any more: the plugin is told so.
    pub(super) fn abandon(&self, number: u64) {
        let mut flights = self.flights();
        let Some(flight) = flights.open.get_mut(&number) else {
            return;
        };
        flight.abandoned = Some(Instant::now());
        drop(flights);
        self.send(|out| write(out, Kind::Cancel, number, |_| {}));
    }

    /// How long the attempt that was abandoned first has gone on since.
    pub(super) fn overdue(&self, now: Instant) -> Option<Duration> {
        let flights = self.flights();
        let first = flights
            .open
            .values()
            .filter_map(|flight| flight.abandoned)
            .min();
        first.map(|first| now.saturating_duration_since(first))
    }

    /// Attempts that nobody waits for.
    pub(super) fn abandoned(&self) -> usize {
        let flights = self.flights();
        flights
            .open
            .values()
            .filter(|flight| flight.abandoned.is_some())
            .count()
    }

    /// Whether somebody still waits for an attempt here, and its time is not over.
    pub(super) fn is_awaited(&self, now: Instant) -> bool {
        self.flights().open.values().any(|flight| {
            flight.abandoned.is_none() && flight.deadline > now && !flight.done.is_closed()
        })
    }

    /// The process is no more: tells everybody who waits.
    pub(super) fn lose(&self, why: &Arc<str>) {
        let sent = self.outgoing().sent;
        let flights = {
            let mut flights = self.flights();
            flights.over = Some(Arc::clone(why));
            std::mem::take(&mut flights.open)
        };
        for flight in flights.into_values() {
            let lost = End::Lost {
                handed: flight.ends_at <= sent,
                why: Arc::clone(why),
            };
            // Nobody waits for it any more if it was late.
            let _ = flight.done.send(lost);
        }
    }
}
