//! The queue: puts on their way into sled, in order, and who waits for what.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

use super::fault::IndexFault;
use super::health::Health;
use super::overlay::{Bytes, Step};
use super::tree::ASKS;

/// Bytes that puts on their way may take before the writer must wait.
pub(super) const BOUND: usize = 32 << 20;

/// Keys of a batch: it takes puts until it has that many. Readers of sled wait while one is
/// applied; and sled is fastest with few: it works on its small pages while they are in the
/// processor's cache.
const BATCH: usize = 256;

/// What a change takes beside its bytes: its places in the overlay, the queue and a batch.
const BESIDE: usize = 256;

#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    /// Told when there is something for the applier.
    work: Condvar,
    /// Told when the applier did something.
    done: Condvar,
}

#[derive(Default)]
struct State {
    puts: VecDeque<Put>,
    bytes: usize,
    /// Numbers of the last put, and of the last one that is in sled, by
    /// [`super::overlay::Overlay::puts`]; and its sequence.
    last: u64,
    done: u64,
    applied: u64,
    /// The applier is to end, and has ended.
    ending: bool,
    ended: bool,
}

struct Put {
    sequence: u64,
    /// Which one it was, by [`super::overlay::Overlay::puts`].
    number: u64,
    bytes: usize,
    steps: Vec<Step>,
}

/// Puts that are applied at once, by key: what was there before the first and is after the last.
#[derive(Default)]
pub(super) struct Taken {
    pub(super) sequence: u64,
    /// The last one of them.
    pub(super) number: u64,
    pub(super) bytes: usize,
    pub(super) changes: BTreeMap<Bytes, (Option<Bytes>, Option<Bytes>)>,
}

impl Queue {
    pub(super) fn new(applied: u64) -> Self {
        let queue = Self::default();
        queue.state.lock().applied = applied;
        queue
    }

    /// To be called under the overlay's lock, so that puts stand here in their order.
    pub(super) fn push(&self, sequence: u64, number: u64, steps: Vec<Step>) {
        let bytes = steps.iter().map(Step::bytes).sum();
        let mut state = self.state.lock();
        state.last = number;
        if state.ended {
            // Nobody will apply it: it stays visible, and takes no more room here.
            return;
        }
        state.bytes += bytes;
        state.puts.push_back(Put {
            sequence,
            number,
            bytes,
            steps,
        });
        self.work.notify_one();
    }

    /// Waits for something to apply; `None` if the applier is to end.
    pub(super) fn next(&self) -> Option<Taken> {
        let mut state = self.state.lock();
        while !state.ending && state.puts.is_empty() {
            self.work.wait(&mut state);
        }
        (!state.ending).then(|| state.take())
    }

    pub(super) fn applied(&self, taken: &Taken) {
        let mut state = self.state.lock();
        (state.applied, state.done) = (taken.sequence, taken.number);
        state.bytes -= taken.bytes;
        self.done.notify_all();
    }

    /// The applier has ended.
    pub(super) fn ended(&self) {
        let mut state = self.state.lock();
        state.ended = true;
        state.puts = VecDeque::new();
        state.bytes = 0;
        self.done.notify_all();
    }

    pub(super) fn applied_to(&self) -> u64 {
        self.state.lock().applied
    }

    /// Bytes on their way.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.state.lock().bytes
    }

    pub(super) fn wait_for_room(&self, health: &Health) {
        self.wait(&mut self.state.lock(), health, None, |state| {
            state.bytes <= BOUND
        });
    }

    /// Waits until all that was put until now is in sled.
    pub(super) fn wait_for_all(
        &self,
        health: &Health,
        deadline: Option<Instant>,
    ) -> Result<(), IndexFault> {
        let mut state = self.state.lock();
        let last = state.last;
        self.wait(&mut state, health, deadline, |state| state.done >= last);
        if state.done >= last {
            return Ok(());
        }
        Err(health.fault().unwrap_or(IndexFault::Closed))
    }

    /// Tells the applier to end and waits for it.
    pub(super) fn end(&self, health: &Health, deadline: Instant) {
        let mut state = self.state.lock();
        state.ending = true;
        self.work.notify_one();
        self.wait(&mut state, health, Some(deadline), |_| false);
        if !state.ended {
            tracing::debug!("index let go before it was closed");
        }
    }

    /// Waits until something is so, the applier has ended, or the index broke.
    fn wait(
        &self,
        state: &mut parking_lot::MutexGuard<'_, State>,
        health: &Health,
        deadline: Option<Instant>,
        until: impl Fn(&State) -> bool,
    ) {
        let late = || deadline.is_some_and(|deadline| Instant::now() >= deadline);
        while !until(state) && !state.ended && health.fault().is_none() && !late() {
            self.done.wait_for(state, ASKS);
        }
    }
}

impl State {
    /// Takes whole puts until there are enough keys for a batch. Keys that end as they began,
    /// as one that was put and removed, count no longer.
    fn take(&mut self) -> Taken {
        let mut taken = Taken::default();
        while taken.changes.len() < BATCH
            && let Some(put) = self.puts.pop_front()
        {
            taken.sequence = put.sequence;
            taken.number = put.number;
            taken.bytes += put.bytes;
            for step in put.steps {
                let change = taken.changes.entry(step.key);
                change
                    .and_modify(|(_, new)| new.clone_from(&step.new))
                    .or_insert((step.old, step.new));
            }
        }
        taken
    }
}

impl Step {
    fn bytes(&self) -> usize {
        let values = [&self.old, &self.new].into_iter().flatten();
        BESIDE + self.key.len() + values.map(|value| value.len()).sum::<usize>()
    }
}
