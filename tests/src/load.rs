//! The load: a shop that pushes without end from several threads and remembers what was
//! acknowledged.
//!
//! Each lead carries a text of its own, of a length of its own, so that a lead that came
//! through damaged is told from one that came through whole.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;

use crate::shop::{SAMPLE, Shop};
use crate::{Received, SUCCESS};

/// Leads from this record id on are long.
const HEAVY: u64 = 10_000_000;
/// Threads that push.
const THREADS: usize = 4;
/// The sample's text that is replaced by the lead's own.
const PLACEHOLDER: &str = "扩展字段";

/// What is asked when an acknowledgement has arrived.
type Note = dyn Fn() -> u64 + Send + Sync;

/// Pushes on the way.
pub struct Load {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<Mutex<BTreeMap<u64, u64>>>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    /// Starts to push leads from record id 1 on.
    pub fn start(shop: &Shop) -> Self {
        Self::noting(shop, || 0)
    }

    /// The same; `note` is asked after each acknowledgement has arrived and its answer is kept.
    pub fn noting(shop: &Shop, note: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        Self::from(shop, 1, note)
    }

    /// The same with leads of nearly the size that a body may have.
    pub fn heavy(shop: &Shop, note: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        Self::from(shop, HEAVY, note)
    }

    fn from(shop: &Shop, first: u64, note: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let acknowledged = Arc::default();
        let next = Arc::new(AtomicU64::new(first));
        let note: Arc<Note> = Arc::new(note);
        let threads = (0..THREADS)
            .map(|_| {
                let stop = Arc::clone(&stop);
                let acknowledged = Arc::clone(&acknowledged);
                let next = Arc::clone(&next);
                let note = Arc::clone(&note);
                let shop = shop.clone();
                std::thread::spawn(move || push(&shop, &stop, &next, &acknowledged, &*note))
            })
            .collect();
        Self {
            stop,
            acknowledged,
            threads,
        }
    }

    /// What was acknowledged so far.
    pub fn so_far(&self) -> BTreeSet<u64> {
        let acknowledged = self.acknowledged.lock();
        let acknowledged = acknowledged.unwrap_or_else(PoisonError::into_inner);
        acknowledged.keys().copied().collect()
    }

    /// How many were acknowledged so far.
    pub fn count(&self) -> usize {
        self.acknowledged
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }

    /// Stops and gives what was acknowledged: record ids with what was noted.
    ///
    /// # Panics
    ///
    /// If a thread did.
    pub fn stop(self) -> BTreeMap<u64, u64> {
        self.stop.store(true, Ordering::SeqCst);
        for thread in self.threads {
            thread.join().expect("no panic");
        }
        std::mem::take(
            &mut *self
                .acknowledged
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        )
    }

    /// The lead that is pushed under a record id.
    pub fn lead(record: u64) -> String {
        Shop::lead(record).replace(PLACEHOLDER, &text(record))
    }

    /// The text that only this lead has.
    pub fn text(record: u64) -> String {
        text(record)
    }

    /// Whether an event carries the lead of its record id whole.
    pub fn is_whole(received: &Received) -> bool {
        let Ok(event) = serde_json::from_str::<Value>(&received.body) else {
            return false;
        };
        let lead = &event["lead"];
        let Some(record) = lead["record_id"].as_u64() else {
            return false;
        };
        let sample: Value = serde_json::from_str(SAMPLE).expect("the sample is JSON");
        lead["base_extra"] == text(record)
            && ["address", "name", "phone", "remark", "store_id"]
                .iter()
                .all(|field| lead[*field] == sample[*field])
    }
}

fn push(
    shop: &Shop,
    stop: &AtomicBool,
    next: &AtomicU64,
    acknowledged: &Mutex<BTreeMap<u64, u64>>,
    note: &Note,
) {
    while !stop.load(Ordering::SeqCst) {
        let record = next.fetch_add(1, Ordering::SeqCst);
        let answer = shop.push(Load::lead(record));
        if answer.is_ok_and(|answer| answer.body == SUCCESS) {
            let noted = note();
            acknowledged
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(record, noted);
        } else {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// Between 10 bytes and 16 KiB, most of it short; never the same for two records.
fn text(record: u64) -> String {
    let length = match record % 10 {
        _ if record >= HEAVY => 200_000,
        0 => 16_000,
        1 | 2 => 5_000,
        _ => 300,
    };
    let mut text = format!("lead {record}:");
    let mut state = record;
    while text.len() < length {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let _ = write!(text, " {:x}", state >> 24);
    }
    text
}
