//! Memory: the bytes of all bodies that are being read or answered, together.
//!
//! A connection costs little, its body up to `max_body`: a thousand senders that stop before
//! their last byte would hold a thousand bodies. What is beyond the budget is answered with
//! failure at once. The first bytes of each body are free, so that parked large bodies never
//! keep the usual small ones out; connections are bounded by themselves.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use prometheus::IntGauge;

/// Bytes of each body that are not counted: more than a lead has.
const FREE: usize = 16 << 10;

/// How many bytes bodies may take.
pub(super) struct Budget {
    limit: usize,
    used: AtomicUsize,
    shown: IntGauge,
}

/// What one body takes; given back when it is dropped.
pub(super) struct Held {
    budget: Arc<Budget>,
    body: usize,
    counted: usize,
}

impl Budget {
    pub(super) fn new(limit: usize, shown: IntGauge) -> Arc<Self> {
        Arc::new(Self {
            limit,
            used: AtomicUsize::new(0),
            shown,
        })
    }

    /// For a body of which nothing is there yet.
    pub(super) fn body(self: &Arc<Self>) -> Held {
        Held {
            budget: Arc::clone(self),
            body: 0,
            counted: 0,
        }
    }

    fn show(&self) {
        let used = self.used.load(Ordering::Relaxed);
        self.shown.set(i64::try_from(used).unwrap_or(i64::MAX));
    }
}

impl Held {
    /// Takes so many bytes more; `false` if there is no room for them.
    #[must_use]
    pub(super) fn grow(&mut self, bytes: usize) -> bool {
        self.body += bytes;
        let more = self.body.saturating_sub(FREE) - self.counted;
        if more == 0 {
            return true;
        }
        let limit = self.budget.limit;
        let fits = |used: usize| used.checked_add(more).filter(|used| *used <= limit);
        let taken = self
            .budget
            .used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits);
        if taken.is_ok() {
            self.counted += more;
            self.budget.show();
        }
        taken.is_ok()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.counted > 0 {
            self.budget.used.fetch_sub(self.counted, Ordering::Relaxed);
            self.budget.show();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_bodies_share_a_budget_and_small_ones_always_fit() {
        let gauge = IntGauge::new("a", "b").expect("a gauge");
        let budget = Budget::new(100 << 10, gauge.clone());
        let mut large = budget.body();
        assert!(large.grow(60 << 10));
        assert!(large.grow(56 << 10), "all that there is");
        assert_eq!(gauge.get(), 100 << 10);
        let mut another = budget.body();
        assert!(!another.grow((16 << 10) + 1));
        for _ in 0..100 {
            assert!(budget.body().grow(16 << 10));
        }
        drop(large);
        let mut again = budget.body();
        assert!(again.grow(116 << 10));
        drop((again, another));
        assert_eq!(gauge.get(), 0, "all of it is given back");
    }
}
