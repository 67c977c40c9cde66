//! Health: what the log says of a sink: that it begins to fail, that it recovered, and its dead
//! letters summed up.
//!
//! One event per fact, however many attempts there are: the first failure after a success, the
//! first success after failures, the first dead letter at once and then one line a minute.
//! Nothing of what a destination answered is said, because an answer may quote the lead.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::breaker::Signal;
use crate::clock::Millis;
use crate::outbox::{DeathReason, DeliveryId};
use crate::plugin::Outcome;

/// Dead letters are summed up over this time.
const MINUTE: Duration = Duration::from_secs(60);
/// Rules named in a sum, at most.
const RULES: usize = 8;
/// Letters of a reason that are said.
const REASON: usize = 200;

/// The health of one sink.
pub(super) struct Health {
    sink: Arc<str>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    failing: Option<Failing>,
    dead: Dead,
    delivered_at: Option<Millis>,
}

struct Failing {
    since: Duration,
    attempts: u64,
}

#[derive(Default)]
struct Dead {
    said_at: Option<Duration>,
    unsaid: u64,
    by_reason: BTreeMap<String, u64>,
}

impl Health {
    pub(super) fn new(sink: Arc<str>) -> Self {
        Self {
            sink,
            state: Mutex::default(),
        }
    }

    /// An attempt ended.
    pub(super) fn attempt(&self, id: DeliveryId, outcome: &Outcome, now: Duration) {
        let sink = &*self.sink;
        let mut state = self.state();
        match Signal::of(outcome) {
            Signal::Failure => match &mut state.failing {
                Some(failing) => failing.attempts += 1,
                None => {
                    state.failing = Some(Failing {
                        since: now,
                        attempts: 1,
                    });
                    tracing::warn!(
                        sink, delivery = %id, outcome = outcome.kind.as_str(), rule = outcome.rule,
                        reason = said(outcome), "sink began to fail"
                    );
                }
            },
            Signal::Answer => {
                if let Some(Failing { since, attempts }) = state.failing.take() {
                    tracing::info!(
                        sink,
                        failed_attempts = attempts,
                        after_seconds = now.saturating_sub(since).as_secs_f64(),
                        "sink recovered"
                    );
                }
            }
            Signal::Neither => {}
        }
    }

    /// When the sink last took a delivery, since the start.
    pub(super) fn delivered_at(&self) -> Option<Millis> {
        self.state().delivered_at
    }

    pub(super) fn delivered(&self, now: Millis) {
        self.state().delivered_at = Some(now);
    }

    /// A delivery became a dead letter.
    pub(super) fn died(
        &self,
        id: DeliveryId,
        reason: DeathReason,
        outcome: &Outcome,
        now: Duration,
    ) {
        let dead = &mut self.state().dead;
        if dead
            .said_at
            .is_none_or(|at| now.saturating_sub(at) >= MINUTE)
            && dead.unsaid == 0
        {
            dead.said_at = Some(now);
            tracing::warn!(
                sink = &*self.sink, delivery = %id, reason = reason.as_str(), rule = outcome.rule,
                "delivery became a dead letter; more within a minute are counted, not listed"
            );
            return;
        }
        dead.unsaid += 1;
        let mut key = format!("{}/{}", reason.as_str(), outcome.rule);
        if !dead.by_reason.contains_key(&key) && dead.by_reason.len() >= RULES {
            "other".clone_into(&mut key);
        }
        *dead.by_reason.entry(key).or_default() += 1;
    }

    /// Says what gathered, when its minute is over.
    pub(super) fn sum_up(&self, now: Duration) {
        let over = |at: Duration| now.saturating_sub(at) >= MINUTE;
        let dead = &mut self.state().dead;
        if dead.unsaid > 0 && dead.said_at.is_none_or(over) {
            self.say(dead, now);
        }
    }

    /// Says what gathered, whatever the time.
    pub(super) fn sum_up_at_last(&self, now: Duration) {
        let dead = &mut self.state().dead;
        if dead.unsaid > 0 {
            self.say(dead, now);
        }
    }

    /// When there is something to sum up.
    pub(super) fn wait(&self, now: Duration) -> Option<Duration> {
        let dead = &self.state().dead;
        let said_at = dead.said_at.filter(|_| dead.unsaid > 0)?;
        Some(said_at.saturating_add(MINUTE).saturating_sub(now))
    }

    fn say(&self, dead: &mut Dead, now: Duration) {
        let mut reasons = String::new();
        for (reason, count) in &dead.by_reason {
            let comma = if reasons.is_empty() { "" } else { ", " };
            // Writing to a string cannot fail.
            let _ = write!(reasons, "{comma}{reason} {count}");
        }
        tracing::warn!(
            sink = &*self.sink,
            count = dead.unsaid,
            reasons,
            "deliveries became dead letters"
        );
        *dead = Dead {
            said_at: Some(now),
            ..Dead::default()
        };
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why an attempt failed, where no answer came that could have been quoted. Numbers as long as
/// a phone are left out all the same.
fn said(outcome: &Outcome) -> String {
    if !outcome.response.is_empty() {
        return "see the delivery".to_owned();
    }
    let mut said = String::new();
    let mut digits = String::new();
    let flush = |digits: &mut String, said: &mut String| {
        said.push_str(if digits.len() < 7 { digits } else { "…" });
        digits.clear();
    };
    for letter in outcome.reason.chars().take(REASON) {
        if letter.is_ascii_digit() {
            digits.push(letter);
        } else {
            flush(&mut digits, &mut said);
            said.push(letter);
        }
    }
    flush(&mut digits, &mut said);
    said
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::plugin::OutcomeKind;

    #[test]
    fn what_is_said_of_a_failure_quotes_neither_answers_nor_phones() {
        let mut outcome =
            Outcome::new(OutcomeKind::Retry, "call 13567658911 at port 8080").rule("connect");
        assert_eq!(said(&outcome), "call … at port 8080");
        outcome.response = "400 {\"error\":\"张三 is not welcome\"}".to_owned();
        outcome.reason = "张三 is not welcome".to_owned();
        assert_eq!(said(&outcome), "see the delivery");
    }

    #[test]
    fn dead_letters_are_summed_up_once_a_minute() {
        let health = Health::new("crm".into());
        let id = DeliveryId(Uuid::nil());
        let outcome = Outcome::new(OutcomeKind::Rejected, "").rule("status-4xx");
        let died = |now| health.died(id, DeathReason::Rejected, &outcome, now);
        let unsaid = || health.state().dead.unsaid;
        died(MINUTE);
        assert_eq!((unsaid(), health.wait(MINUTE)), (0, None), "said at once");
        for _ in 0..2_700 {
            died(MINUTE + MINUTE / 2);
        }
        health.sum_up(MINUTE + MINUTE / 2);
        assert_eq!(unsaid(), 2_700);
        assert_eq!(health.wait(MINUTE + MINUTE / 2), Some(MINUTE / 2));
        assert_eq!(health.state().dead.by_reason["rejected/status-4xx"], 2_700);
        health.sum_up(MINUTE * 2);
        assert_eq!(unsaid(), 0);
        died(MINUTE * 2 + MINUTE / 2);
        assert_eq!(unsaid(), 1, "the minute begins with each line");
    }
}
