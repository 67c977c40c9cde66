//! Summaries: a line of the log for the first of many, then at most one a minute with how
//! many there were.
//!
//! Strangers and destinations choose how often things happen; the log must say that they happen
//! without being filled by it. Bounded in its keys: what comes when there are as many as may be
//! is counted with all others.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Shortest time between two lines about the same.
pub const EVERY: Duration = Duration::from_secs(60);

/// What happened and was not said yet, by what it is. Times are those of one monotonic clock.
pub struct Summary<K> {
    kept: Mutex<HashMap<K, Kept>>,
    most: usize,
    others: fn(&K) -> K,
}

struct Kept {
    said: Duration,
    unsaid: u64,
    /// Of the first that is not said.
    detail: String,
}

impl<K: Clone + Eq + Hash> Summary<K> {
    /// Of `most` keys at most, and of what `others` makes of the keys that come when there are
    /// so many.
    pub fn new(most: usize, others: fn(&K) -> K) -> Self {
        Self {
            kept: Mutex::default(),
            most,
            others,
        }
    }

    /// Counts one. Gives what is to be said now, this one in it, if anything is.
    pub fn note(&self, key: K, detail: impl FnOnce() -> String, now: Duration) -> Option<Sum<K>> {
        self.note_many(key, 1, detail, now)
    }

    /// The same for some at once.
    pub fn note_many(
        &self,
        key: K,
        count: u64,
        detail: impl FnOnce() -> String,
        now: Duration,
    ) -> Option<Sum<K>> {
        let mut kept = self.lock();
        let key = if kept.contains_key(&key) || kept.len() < self.most {
            key
        } else {
            (self.others)(&key)
        };
        let Some(known) = kept.get_mut(&key) else {
            let fresh = Kept {
                said: now,
                unsaid: 0,
                detail: String::new(),
            };
            kept.insert(key.clone(), fresh);
            return Some(Sum {
                key,
                count,
                detail: detail(),
            });
        };
        if known.unsaid == 0 {
            known.detail = detail();
        }
        known.unsaid += count;
        (now.saturating_sub(known.said) >= EVERY).then(|| known.say(key, now))
    }

    /// What waits for its line and may have it now. What has been quiet is forgotten, so that
    /// it is said at once when it comes again.
    pub fn due(&self, now: Duration) -> Vec<Sum<K>> {
        let mut kept = self.lock();
        let mut due = Vec::new();
        kept.retain(|key, known| {
            if now.saturating_sub(known.said) < EVERY {
                return true;
            }
            if known.unsaid == 0 {
                return false;
            }
            due.push(known.say(key.clone(), now));
            true
        });
        due
    }

    /// How long until something is due, if anything waits.
    pub fn wait(&self, now: Duration) -> Option<Duration> {
        let kept = self.lock();
        let unsaid = kept.values().filter(|known| known.unsaid > 0);
        let said = unsaid.map(|known| known.said).min()?;
        Some(said.saturating_add(EVERY).saturating_sub(now))
    }

    /// Everything that is not said yet, whatever the time.
    pub fn rest(&self, now: Duration) -> Vec<Sum<K>> {
        let mut kept = self.lock();
        let unsaid = kept.iter_mut().filter(|(_, known)| known.unsaid > 0);
        unsaid
            .map(|(key, known)| known.say(key.clone(), now))
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, Kept>> {
        // Counts are changed in steps that cannot panic half-way.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one line says.
#[derive(Debug, PartialEq, Eq)]
pub struct Sum<K> {
    /// Of what.
    pub key: K,
    /// How often it happened since the line before.
    pub count: u64,
    /// What was known of the first of them.
    pub detail: String,
}

impl Kept {
    fn say<K>(&mut self, key: K, now: Duration) -> Sum<K> {
        self.said = now;
        Sum {
            key,
            count: std::mem::take(&mut self.unsaid),
            detail: std::mem::take(&mut self.detail),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn sum(key: &'static str, count: u64, detail: &str) -> Sum<&'static str> {
        let detail = detail.to_owned();
        Sum { key, count, detail }
    }

    #[test]
    fn the_first_is_said_at_once_and_the_others_once_a_minute() {
        let summary = Summary::new(9, |_| "others");
        let note = |key: &'static str, seconds| {
            let said = summary.note(key, || format!("at {seconds}"), at(seconds));
            said.map(|sum| sum.count)
        };
        assert_eq!(note("a", 0), Some(1));
        assert_eq!(note("b", 0), Some(1), "each by itself");
        assert_eq!(summary.wait(at(0)), None);
        for second in 1..60 {
            assert_eq!(note("a", second), None);
        }
        assert!(summary.due(at(59)).is_empty());
        assert_eq!(summary.wait(at(59)), Some(at(1)));
        assert_eq!(
            summary.due(at(60)),
            [sum("a", 59, "at 1")],
            "nothing is left of b"
        );
        assert_eq!(note("a", 61), None);
        assert_eq!(note("a", 120), Some(2), "without anybody asking");
        assert!(summary.due(at(240)).is_empty());
        assert_eq!(note("a", 241), Some(1), "forgotten, so said at once");
        assert_eq!(note("a", 242), None);
        assert_eq!(summary.rest(at(243)), [sum("a", 1, "at 242")]);
        assert!(summary.rest(at(243)).is_empty());
    }

    #[test]
    fn beyond_its_keys_all_others_are_one() {
        let summary = Summary::new(2, |_| "others");
        let note = |key| summary.note(key, String::new, at(0));
        for key in ["a", "b"] {
            assert_eq!(note(key), Some(sum(key, 1, "")));
        }
        assert_eq!(note("c"), Some(sum("others", 1, "")));
        for key in ["d", "e"] {
            assert_eq!(note(key), None);
        }
        assert_eq!(note("a"), None, "a known one goes on");
        let mut due = summary.due(at(60));
        due.sort_by_key(|sum| sum.key);
        assert_eq!(due, [sum("a", 1, ""), sum("others", 2, "")]);
    }
}
