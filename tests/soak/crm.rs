//! The CRM: has good and bad times, and in the bad ones each request may fail in its own way.
//!
//! What it takes or refuses for good it enters in the books before it answers.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use leadgate_tests::{Behaviour, Crm, Received};

use crate::books::{Book, Sink};
use crate::lead::Lead;

/// How it is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    /// Takes everything.
    Calm,
    /// Any request may fail.
    Moody,
    /// Says that it is unavailable.
    Down,
    /// Does not listen at all.
    Away,
}

/// Lives through good and bad times at `address` until `stop`; then takes everything until
/// `end`.
pub(crate) fn live(
    address: SocketAddr,
    seed: u64,
    book: &Arc<Book<Sink>>,
    stop: &AtomicBool,
    end: &AtomicBool,
) {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut open: Option<Crm> = None;
    let mut mood = Mood::Calm;
    let shared = Arc::new(Book::<Option<Mood>>::default());
    while !end.load(Ordering::SeqCst) {
        let calm = stop.load(Ordering::SeqCst);
        *shared.open() = Some(mood);
        if mood == Mood::Away {
            open = None;
        } else if open.is_none() {
            open = Some(listen(address, &shared, book));
        }
        let length = Duration::from_secs_f64(1.0 + 7.0 * random.f64());
        let until = Instant::now() + length;
        while Instant::now() < until && stop.load(Ordering::SeqCst) == calm {
            if end.load(Ordering::SeqCst) {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        mood = match random.u32(..10) {
            _ if stop.load(Ordering::SeqCst) => Mood::Calm,
            0 => Mood::Away,
            1 => Mood::Down,
            2..=6 => Mood::Moody,
            _ => Mood::Calm,
        };
    }
}

fn listen(address: SocketAddr, mood: &Arc<Book<Option<Mood>>>, book: &Arc<Book<Sink>>) -> Crm {
    let (mood, book) = (Arc::clone(mood), Arc::clone(book));
    Crm::with_clerk(address, move |received| {
        let mood = mood.open().unwrap_or(Mood::Calm);
        let behaviour = behave(mood);
        enter(&book, received, &behaviour);
        behaviour
    })
}

fn behave(mood: Mood) -> Behaviour {
    if mood == Mood::Down {
        return Behaviour::Refuse(503, "");
    }
    if mood != Mood::Moody {
        return Behaviour::Take;
    }
    match fastrand::u32(..1000) {
        0..60 => Behaviour::Refuse(503, ""),
        60..63 => Behaviour::Refuse(429, "retry-after: 1\r\n"),
        63..65 => Behaviour::Refuse(422, ""),
        65..70 => Behaviour::Hang,
        70..100 => Behaviour::HangUp,
        100..130 => Behaviour::Reset,
        130..230 => Behaviour::TakeLate(Duration::from_millis(fastrand::u64(10..150))),
        230..232 => Behaviour::TakeLate(Duration::from_millis(2_500)),
        _ => Behaviour::Take,
    }
}

/// Enters a request in the books.
pub(crate) fn enter(book: &Book<Sink>, received: &Received, behaviour: &Behaviour) {
    let lead = Lead::of_event(&received.body);
    let mut book = book.open();
    match (lead, behaviour) {
        (None, _) => book.damaged += 1,
        (Some(lead), Behaviour::Refuse(422, _)) => {
            book.refused.insert(received.delivery(), lead);
        }
        (Some(lead), behaviour) if behaviour.takes() => *book.taken.entry(lead).or_default() += 1,
        _ => {}
    }
}
