//! Batches where there is no runtime: in a process that serves one sink, on threads that may block.
//!
//! As in [`super::batch`], what comes while a batch is on its way waits for the next. The thread
//! that brings the first conducts: it hands over batch after batch until nothing waits.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::attempt::{Start, run_all};
use super::sink::Instance;

/// Collects the attempts of one sink.
pub(super) struct Conductor {
    /// Attempts in one batch, at most.
    max: usize,
    line: Mutex<Line>,
    landed: Condvar,
}

#[derive(Default)]
struct Line {
    /// Whether a thread conducts.
    conducted: bool,
    /// Numbers of those that the plugin has not completed.
    under_way: Vec<u64>,
    /// As many as the gateway has in flight, at most.
    waiting: VecDeque<Start>,
}

impl Conductor {
    pub(super) fn new(max: usize) -> Self {
        Self {
            max,
            line: Mutex::default(),
            landed: Condvar::new(),
        }
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands an attempt over with those that wait; returns at once if another thread conducts.
    pub(super) fn conduct(&self, start: Start, instance: &Instance) {
        let mut line = self.line();
        line.waiting.push_back(start);
        if std::mem::replace(&mut line.conducted, true) {
            return;
        }
        loop {
            let count = line.waiting.len().min(self.max);
            let batch: Vec<Start> = line.waiting.drain(..count).collect();
            if batch.is_empty() {
                line.conducted = false;
                return;
            }
            line.under_way = batch.iter().map(Start::number).collect();
            drop(line);
            run_all(batch, instance);
            // A plugin that never completes ends with its process, which is supervised.
            line = self
                .landed
                .wait_while(self.line(), |line| !line.under_way.is_empty())
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The plugin has completed an attempt.
    pub(super) fn ended(&self, number: u64) {
        self.line().under_way.retain(|one| *one != number);
        self.landed.notify_all();
    }

    /// Takes out an attempt that waits still; false if it does not.
    pub(super) fn withdraw(&self, number: u64) -> bool {
        let mut line = self.line();
        let before = line.waiting.len();
        line.waiting.retain(|start| start.number() != number);
        line.waiting.len() < before
    }
}
