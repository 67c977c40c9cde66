//! The queue: puts on their way into sled, in order, and who waits for what.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

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
    /// Sequence of the last put, and up to which all is in sled, and on disk.
    last: u64,
    applied: u64,
    flushed: Option<u64>,
    /// Up to which somebody waits for it to be on disk.
    wanted: Option<u64>,
    closing: Option<Closing>,
    /// The applier has ended.
    ended: bool,
}

/// How the applier is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Closing {
    /// With all that was put in sled and on disk.
    Whole,
    /// Soon.
    Soon,
    /// As if the process were killed.
    #[cfg(test)]
    Killed,
}

struct Put {
    sequence: u64,
    /// Which one it was, by [`super::overlay::Overlay::puts`].
    number: u64,
    bytes: usize,
    steps: Vec<Step>,
}

/// Puts that are applied at once, by key: what was there before the first and is after the last.
pub(super) struct Taken {
    pub(super) sequence: u64,
    /// The last one of them.
    pub(super) number: u64,
    pub(super) bytes: usize,
    pub(super) changes: BTreeMap<Bytes, (Option<Bytes>, Option<Bytes>)>,
}

/// What the applier does next.
pub(super) enum Work {
    Apply(Taken),
    Flush,
    End(Closing),
}

impl Queue {
    pub(super) fn new(applied: u64) -> Self {
        let queue = Self::default();
        {
            let mut state = queue.state();
            (state.last, state.applied) = (applied, applied);
        }
        queue
    }

    /// To be called under the overlay's lock, so that puts stand here in their order.
    pub(super) fn push(&self, sequence: u64, number: u64, steps: Vec<Step>) {
        let bytes = steps.iter().map(Step::bytes).sum();
        let mut state = self.state();
        debug_assert!(sequence >= state.last, "sequences do not fall");
        state.last = sequence;
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

    /// Waits for work.
    pub(super) fn next(&self) -> Work {
        let mut state = self.state();
        loop {
            if let Some(closing) = state.closing
                && (closing != Closing::Whole || state.is_through())
            {
                return Work::End(closing);
            }
            let flushed = state.flushed;
            if state.wanted.is_some_and(|wanted| {
                wanted <= state.applied && flushed.is_none_or(|to| to < wanted)
            }) {
                return Work::Flush;
            }
            if !state.puts.is_empty() {
                return Work::Apply(state.take());
            }
            state = self
                .work
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    pub(super) fn applied(&self, sequence: u64, bytes: usize) {
        let mut state = self.state();
        state.applied = sequence;
        state.bytes -= bytes;
        self.done.notify_all();
    }

    pub(super) fn flushed(&self, sequence: u64) {
        self.state().flushed = Some(sequence);
        self.done.notify_all();
    }

    pub(super) fn end(&self) {
        let mut state = self.state();
        state.ended = true;
        state.puts = VecDeque::new();
        state.bytes = 0;
        self.done.notify_all();
    }

    pub(super) fn applied_to(&self) -> u64 {
        self.state().applied
    }

    /// Sequences and bytes on their way.
    pub(super) fn behind(&self) -> (u64, usize) {
        let state = self.state();
        (state.last - state.applied, state.bytes)
    }

    pub(super) fn wait_for_room(&self, bound: usize, health: &Health) {
        self.wait(health, |state| state.bytes <= bound);
    }

    /// Waits until all that was put until now is on disk; says up to where that is.
    pub(super) fn checkpoint(&self, health: &Health) -> Result<u64, IndexFault> {
        let target = {
            let mut state = self.state();
            let target = state.last;
            state.wanted = state.wanted.max(Some(target));
            self.work.notify_one();
            target
        };
        self.wait(health, |state| state.flushed.is_some_and(|to| to >= target));
        match (health.fault(), self.state().flushed) {
            (_, Some(to)) if to >= target => Ok(to),
            (fault, _) => Err(fault.unwrap_or(IndexFault::Closed)),
        }
    }

    /// Tells the applier to end and waits for it, at most so long. Whether it did.
    pub(super) fn close(&self, how: Closing, at_most: Duration, health: &Health) -> bool {
        {
            let mut state = self.state();
            state.closing.get_or_insert(how);
            if how == Closing::Whole {
                state.wanted = state.wanted.max(Some(state.last));
            }
            self.work.notify_one();
        }
        let deadline = Instant::now() + at_most;
        self.wait(health, |state| state.ended || Instant::now() >= deadline);
        self.state().ended
    }

    /// Waits until something is so, the applier has ended, or the index broke.
    fn wait(&self, health: &Health, until: impl Fn(&State) -> bool) {
        let mut state = self.state();
        while !until(&state) && !state.ended && health.fault().is_none() {
            let waited = self.done.wait_timeout(state, ASKS);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whether all that was put is on disk.
    fn is_through(&self) -> bool {
        self.puts.is_empty() && self.flushed.is_some_and(|to| to >= self.last)
    }

    /// Takes whole puts until there are enough keys for a batch. Keys that end as they began,
    /// as one that was put and removed, count no longer.
    fn take(&mut self) -> Taken {
        let mut taken = Taken {
            sequence: self.applied,
            number: 0,
            bytes: 0,
            changes: BTreeMap::new(),
        };
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
