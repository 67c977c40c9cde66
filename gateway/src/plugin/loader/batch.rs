//! Batches: what waits for the same sink at the same moment goes to its plugin in one call.
//!
//! There is no timer. One that comes while nothing is on its way leaves at once and alone; while
//! it is on its way the next collect, and leave together when all of it have ended, or were given
//! up.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::attempt::{Start, run_all};
use super::sink::Instance;

/// Collects the attempts of one sink.
pub(super) struct Collector {
    /// Attempts in one batch, at most.
    max: usize,
    stop: Mutex<Stop>,
}

/// Where they wait. As many as the sink's lane makes at once, at most.
#[derive(Default)]
struct Stop {
    on_its_way: bool,
    waiting: VecDeque<(Start, oneshot::Sender<Arc<Trip>>)>,
}

/// A batch on its way. Held by each attempt in it; the last one to let go sends the next.
pub(super) struct Trip(Arc<Instance>);

impl Drop for Trip {
    fn drop(&mut self) {
        if let Some(collector) = &self.0.collector {
            collector.depart(&self.0);
        }
    }
}

impl Collector {
    pub(super) fn new(max: usize) -> Self {
        Self {
            max,
            stop: Mutex::default(),
        }
    }

    fn stop(&self) -> MutexGuard<'_, Stop> {
        self.stop.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts an attempt where it leaves with the next batch; gives the batch when it does.
    pub(super) fn board(
        &self,
        start: Start,
        instance: &Arc<Instance>,
    ) -> oneshot::Receiver<Arc<Trip>> {
        let (leave, left) = oneshot::channel();
        let mut stop = self.stop();
        stop.waiting.push_back((start, leave));
        let idle = !std::mem::replace(&mut stop.on_its_way, true);
        drop(stop);
        if idle {
            self.depart(instance);
        }
        left
    }

    /// Sends off what waits and was not given up, as much as one batch takes.
    fn depart(&self, instance: &Arc<Instance>) {
        let mut passengers = Vec::new();
        {
            let mut stop = self.stop();
            while passengers.len() < self.max
                && let Some((start, leave)) = stop.waiting.pop_front()
            {
                if start.pass() {
                    passengers.push((start, leave));
                }
            }
            if passengers.is_empty() {
                stop.on_its_way = false;
                return;
            }
        }
        let trip = Arc::new(Trip(Arc::clone(instance)));
        let mut starts = Vec::with_capacity(passengers.len());
        for (start, leave) in passengers {
            // One that was given up since holds nobody up: it is cancelled already.
            let _ = leave.send(Arc::clone(&trip));
            starts.push(start);
        }
        drop(trip);
        if !instance.blocking {
            run_all(starts, instance);
        } else if let Ok(runtime) = Handle::try_current() {
            let instance = Arc::clone(instance);
            runtime.spawn_blocking(move || run_all(starts, &instance));
        }
    }
}
