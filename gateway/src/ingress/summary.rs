//! Summaries: a line of the log for the first of many, then at most one a minute with how
//! many there were.
//!
//! Strangers choose how often most things here happen; the log must say that they happen
//! without being filled by it. Bounded by its keys, which are sources and named reasons.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Shortest time between two lines about the same.
pub(super) const EVERY: Duration = Duration::from_secs(60);

/// What happened and was not said yet, by what it is.
pub(super) struct Summary<K> {
    kept: Mutex<HashMap<K, Kept>>,
}

struct Kept {
    said: Instant,
    unsaid: u64,
    /// Of the first that is not said.
    detail: String,
}

impl<K: Clone + Eq + Hash> Summary<K> {
    pub(super) fn new() -> Self {
        Self {
            kept: Mutex::default(),
        }
    }

    /// Counts one. Gives how many are to be said now, this one among them, if any are.
    pub(super) fn note(
        &self,
        key: &K,
        detail: impl FnOnce() -> String,
        now: Instant,
    ) -> Option<(u64, String)> {
        self.note_many(key, 1, detail, now)
    }

    /// The same for some at once.
    pub(super) fn note_many(
        &self,
        key: &K,
        count: u64,
        detail: impl FnOnce() -> String,
        now: Instant,
    ) -> Option<(u64, String)> {
        let mut kept = self.lock();
        let Some(known) = kept.get_mut(key) else {
            let (said, unsaid, nothing) = (now, 0, String::new());
            let fresh = Kept {
                said,
                unsaid,
                detail: nothing,
            };
            kept.insert(key.clone(), fresh);
            return Some((count, detail()));
        };
        if known.unsaid == 0 {
            known.detail = detail();
        }
        known.unsaid += count;
        (now.saturating_duration_since(known.said) >= EVERY).then(|| known.say(now))
    }

    /// What waits for its line and may have it now. What has been quiet is forgotten, so that
    /// it is said at once when it comes again.
    pub(super) fn due(&self, now: Instant) -> Vec<(K, u64, String)> {
        let mut kept = self.lock();
        let mut due = Vec::new();
        kept.retain(|key, known| {
            if now.saturating_duration_since(known.said) < EVERY {
                return true;
            }
            if known.unsaid == 0 {
                return false;
            }
            let (count, detail) = known.say(now);
            due.push((key.clone(), count, detail));
            true
        });
        due
    }

    /// Everything that is not said yet.
    pub(super) fn rest(&self) -> Vec<(K, u64, String)> {
        let kept = std::mem::take(&mut *self.lock());
        let unsaid = kept.into_iter().filter(|(_, known)| known.unsaid > 0);
        unsaid
            .map(|(key, known)| (key, known.unsaid, known.detail))
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, Kept>> {
        // Counts are changed in steps that cannot panic half-way.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn say(&mut self, now: Instant) -> (u64, String) {
        self.said = now;
        (
            std::mem::take(&mut self.unsaid),
            std::mem::take(&mut self.detail),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(said: Option<(u64, String)>) -> Option<u64> {
        said.map(|(count, _)| count)
    }

    #[test]
    fn the_first_is_said_at_once_and_the_others_once_a_minute() {
        let summary = Summary::new();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let note = |key: &'static str, seconds| {
            counted(summary.note(&key, || format!("at {seconds}"), at(seconds)))
        };
        assert_eq!(note("a", 0), Some(1));
        assert_eq!(note("b", 0), Some(1), "each by itself");
        for second in 1..60 {
            assert_eq!(note("a", second), None);
        }
        assert!(summary.due(at(59)).is_empty());
        assert_eq!(
            summary.due(at(60)),
            [("a", 59, "at 1".to_owned())],
            "nothing is left of b"
        );
        assert_eq!(note("a", 61), None);
        assert_eq!(note("a", 120), Some(2), "without anybody asking");
        assert!(summary.due(at(240)).is_empty());
        assert_eq!(note("a", 241), Some(1), "forgotten, so said at once");
        assert_eq!(note("a", 242), None);
        assert_eq!(summary.rest(), [("a", 1, "at 242".to_owned())]);
    }
}
