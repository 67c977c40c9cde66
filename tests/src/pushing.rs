//! Pushing: a shop that pushes without a pause, and how that ended.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::{SUCCESS, Shop};

/// Together some 300 pushes a second.
const THREADS: u64 = 6;
const PAUSE: Duration = Duration::from_millis(20);

/// How pushes ended, each on a connection of its own.
#[derive(Default)]
pub struct Ends {
    /// Their record ids.
    pub acknowledged: Vec<u64>,
    /// What was said or went wrong instead.
    pub refused: Vec<String>,
    /// How long the acknowledged took.
    pub took: Vec<Duration>,
}

/// A shop that pushes other leads all the time, until it is told to stop.
pub struct Pushing {
    stop: Arc<AtomicBool>,
    ends: Arc<Mutex<Ends>>,
    threads: Vec<JoinHandle<()>>,
}

impl Pushing {
    /// Begins; record ids count up from `first`.
    pub fn start(shop: &Shop, first: u64) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let ends = Arc::<Mutex<Ends>>::default();
        let next = Arc::new(AtomicU64::new(first));
        let threads = (0..THREADS).map(|_| {
            let (stop, ends) = (Arc::clone(&stop), Arc::clone(&ends));
            let (next, shop) = (Arc::clone(&next), shop.clone());
            std::thread::spawn(move || {
                while !stop.load(Ordering::SeqCst) {
                    let record = next.fetch_add(1, Ordering::SeqCst);
                    let began = Instant::now();
                    let answer = shop.push(Shop::lead(record));
                    let took = began.elapsed();
                    let mut ends = ends.lock().expect("no panic");
                    match answer {
                        Ok(answer) if answer.body == SUCCESS => {
                            ends.acknowledged.push(record);
                            ends.took.push(took);
                        }
                        Ok(answer) => ends.refused.push(answer.body),
                        Err(error) => ends.refused.push(error.to_string()),
                    }
                    drop(ends);
                    std::thread::sleep(PAUSE);
                }
            })
        });
        Self {
            threads: threads.collect(),
            stop,
            ends,
        }
    }

    /// How many were acknowledged so far.
    ///
    /// # Panics
    ///
    /// If one of its threads did.
    pub fn count(&self) -> usize {
        self.ends.lock().expect("no panic").acknowledged.len()
    }

    /// Waits until so many more are acknowledged.
    ///
    /// # Panics
    ///
    /// If they are not.
    pub fn more(&self, many: usize) {
        let before = self.count();
        crate::until("pushes are taken", || self.count() >= before + many);
    }

    /// Stops; how they ended.
    ///
    /// # Panics
    ///
    /// If one of its threads did.
    pub fn stop(self) -> Ends {
        self.stop.store(true, Ordering::SeqCst);
        for thread in self.threads {
            thread.join().expect("no panic");
        }
        std::mem::take(&mut *self.ends.lock().expect("no panic"))
    }
}
