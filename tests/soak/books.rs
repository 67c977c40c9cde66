//! The books: what was acknowledged, what each sink has, what was refused for good.
//!
//! Nothing may be acknowledged that is in none of the others.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::lead::Lead;

/// What is known of one sink.
#[derive(Default)]
pub(crate) struct Sink {
    /// Whole leads it took, each with how many times.
    pub(crate) taken: BTreeMap<Lead, u32>,
    /// Deliveries it refused for good, with what they carried.
    pub(crate) refused: BTreeMap<String, Lead>,
    /// Requests whose lead was not whole.
    pub(crate) damaged: u64,
}

impl Sink {
    /// How many times something came again.
    pub(crate) fn repeated(&self) -> u64 {
        self.taken.values().map(|times| u64::from(times - 1)).sum()
    }

    /// Those of `wanted` that it neither took nor has among its `dead` letters. A newer
    /// revision stands for an older one if `newest` is enough.
    pub(crate) fn lost(
        &self,
        wanted: &BTreeSet<Lead>,
        dead: &BTreeSet<String>,
        newest: bool,
    ) -> Vec<Lead> {
        let dead = self.refused.iter().filter(|(id, _)| dead.contains(*id));
        let mut there: BTreeSet<Lead> = dead.map(|(_, lead)| *lead).collect();
        there.extend(self.taken.keys());
        let newer = |lead: Lead| Lead {
            revision: u32::MAX,
            ..lead
        };
        wanted
            .iter()
            .filter(|lead| {
                let enough = if newest { newer(**lead) } else { **lead };
                there.range(**lead..=enough).next().is_none()
            })
            .copied()
            .collect()
    }
}

/// What was pushed.
#[derive(Default)]
pub(crate) struct Pushed {
    pub(crate) acknowledged: BTreeSet<Lead>,
    /// Acknowledged pushes of what had been acknowledged before.
    pub(crate) duplicates: u64,
    /// Pushes without the success answer.
    pub(crate) failed: u64,
}

/// A value that several threads write into.
#[derive(Default)]
pub(crate) struct Book<T>(Mutex<T>);

impl<T> Book<T> {
    pub(crate) fn open(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
