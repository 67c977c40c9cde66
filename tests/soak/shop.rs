//! The shop: pushes at a constant rate; most leads are new, some are updates or repeated.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use leadgate_tests::{SUCCESS, Shop, Wire};

use crate::books::{Book, Pushed};
use crate::lead::Lead;

/// Connections that push.
pub(crate) const THREADS: u32 = 8;
/// Leads that a thread remembers, to push them again.
const RECENT: usize = 64;
/// Of a hundred pushes so many are updates, and so many the very same again.
const UPDATES: u32 = 15;
const DUPLICATES: u32 = 10;
/// Wait after a failure.
const BREATH: Duration = Duration::from_millis(100);

/// One thread's pushes, `rate` a second, until it is told to stop.
pub(crate) fn push(
    shop: &Shop,
    rate: f64,
    seed: u64,
    next: &AtomicU64,
    book: &Book<Pushed>,
    stop: &AtomicBool,
) {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut recent: Vec<Lead> = Vec::new();
    let mut wire = None;
    let every = Duration::from_secs_f64(1.0 / rate);
    let mut due = Instant::now();
    while !stop.load(Ordering::SeqCst) {
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        due += every;
        let dice = random.u32(..100);
        let known = (!recent.is_empty()).then(|| random.usize(..recent.len()));
        let (lead, known) = match known {
            Some(known) if dice < UPDATES => {
                recent[known].revision += 1;
                (recent[known], true)
            }
            Some(known) if dice < UPDATES + DUPLICATES => (recent[known], true),
            _ => {
                let record = next.fetch_add(1, Ordering::SeqCst);
                (
                    Lead {
                        record,
                        revision: 1,
                    },
                    false,
                )
            }
        };
        if !send(shop, &mut wire, lead) {
            book.open().failed += 1;
            std::thread::sleep(BREATH);
            continue;
        }
        let mut book = book.open();
        if !book.acknowledged.insert(lead) {
            book.duplicates += 1;
        }
        drop(book);
        if !known {
            if recent.len() == RECENT {
                recent.swap_remove(random.usize(..RECENT));
            }
            recent.push(lead);
        }
    }
}

/// Whether the push was acknowledged.
fn send(shop: &Shop, wire: &mut Option<Wire>, lead: Lead) -> bool {
    let request = shop.request(lead.body().as_bytes());
    let on = |wire: &mut Wire| -> std::io::Result<bool> {
        wire.send(&request)?;
        Ok(wire.answer()?.body == SUCCESS)
    };
    if let Some(open) = wire
        && let Ok(taken) = on(open)
    {
        return taken;
    }
    // None yet, or closed by the other side as idle.
    *wire = shop.connect().ok();
    wire.as_mut().is_some_and(|wire| on(wire).unwrap_or(false))
}
