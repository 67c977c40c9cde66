//! Health: what the log says of a sink: that it begins to fail, that it recovered, that its
//! destination throttles, and its dead letters summed up.
//!
//! One event per change, however many attempts there are, and a few changes a minute at most: a
//! sink that fails every other time does not fill the log. Nothing of what a destination
//! answered is said, because an answer may quote the lead.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::breaker::Signal;
use crate::clock::Millis;
use crate::outbox::{DeathReason, DeliveryId};
use crate::plugin::{Outcome, OutcomeKind};
use crate::telemetry::summary::{EVERY, Sum, Summary};

/// Times in a minute that a sink may be said to fail or to have recovered; what it does by the
/// end of the minute is said then.
const CHANGES: u32 = 4;
/// Rules named in a minute, at most.
const RULES: usize = 8;
/// Letters of a reason that are said, and of a rule.
const REASON: usize = 200;
const RULE: usize = 100;

/// The health of one sink.
pub(super) struct Health {
    sink: Arc<str>,
    state: Mutex<State>,
    dead: Summary<Death>,
}

/// Why deliveries died: the reason, and the rule behind it.
type Death = (DeathReason, String);

#[derive(Default)]
struct State {
    failing: Option<Failing>,
    /// What the log said last: since when it fails, if it does.
    told: Option<Duration>,
    /// Of the failures since that was said.
    failed: u64,
    changes: u32,
    minute: Duration,
    throttled: Option<Throttled>,
    delivered_at: Option<Millis>,
}

/// The first failure of some.
struct Failing {
    since: Duration,
    delivery: DeliveryId,
    outcome: &'static str,
    rule: String,
    reason: String,
}

/// The destination asks for waits.
struct Throttled {
    since: Duration,
    waits: u64,
    /// When it last asked.
    asked_at: Duration,
    /// An attempt that began since then was taken otherwise.
    over: bool,
}

impl Health {
    pub(super) fn new(sink: Arc<str>) -> Self {
        Self {
            sink,
            state: Mutex::default(),
            dead: Summary::new(RULES, |(reason, _)| (*reason, "other".to_owned())),
        }
    }

    /// An attempt ended that had begun at `began`.
    pub(super) fn attempt(
        &self,
        id: DeliveryId,
        outcome: &Outcome,
        began: Duration,
        now: Duration,
    ) {
        let mut state = self.state();
        match Signal::of(outcome) {
            Signal::Failure => {
                state.failed += 1;
                state.failing.get_or_insert_with(|| Failing {
                    since: now,
                    delivery: id,
                    outcome: outcome.kind.as_str(),
                    rule: rule(outcome),
                    reason: said(outcome),
                });
            }
            Signal::Answer => state.failing = None,
            Signal::Neither => {}
        }
        if let Some(throttled) = &mut state.throttled {
            if outcome.kind == OutcomeKind::Throttled {
                throttled.waits += 1;
                throttled.asked_at = now;
                throttled.over = false;
            } else if began >= throttled.asked_at {
                throttled.over = true;
            }
        }
        self.tell(&mut state, now);
    }

    /// Says whether the sink fails, if that is not what was said last.
    fn tell(&self, state: &mut State, now: Duration) {
        if now.saturating_sub(state.minute) >= EVERY {
            (state.minute, state.changes) = (now, 0);
        }
        let sink = &*self.sink;
        match (&state.failing, state.told) {
            _ if state.changes == CHANGES => return,
            (None, None) | (Some(_), Some(_)) => return,
            (Some(failing), None) => {
                tracing::warn!(
                    sink, delivery = %failing.delivery, outcome = failing.outcome,
                    rule = failing.rule, reason = failing.reason, "sink began to fail"
                );
                state.told = Some(failing.since);
            }
            (None, Some(since)) => {
                tracing::info!(
                    sink,
                    failed_attempts = state.failed,
                    after_seconds = now.saturating_sub(since).as_secs_f64(),
                    "sink recovered"
                );
                (state.told, state.failed) = (None, 0);
            }
        }
        state.changes += 1;
    }

    /// The wait that the destination asks for now, and whether the lane has nothing to do: says
    /// when throttling begins, and when it is over. It is not over between two waits while
    /// something waits.
    pub(super) fn throttle(&self, wait: Option<Duration>, idle: bool, now: Duration) {
        let sink = &*self.sink;
        let mut state = self.state();
        match (&state.throttled, wait) {
            (None, Some(wait)) => {
                tracing::warn!(
                    sink,
                    seconds = wait.as_secs(),
                    "throttling began: the destination asked for a wait, and nothing is sent until it is over or the sink is resumed"
                );
                state.throttled = Some(Throttled {
                    since: now,
                    waits: 1,
                    asked_at: now,
                    over: false,
                });
            }
            (Some(throttled), None) if throttled.over || idle => {
                tracing::info!(
                    sink,
                    waits = throttled.waits,
                    after_seconds = now.saturating_sub(throttled.since).as_secs_f64(),
                    "throttling ended"
                );
                state.throttled = None;
            }
            _ => {}
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
        let sum = self
            .dead
            .note((reason, rule(outcome)), || id.to_string(), now);
        self.say(sum);
    }

    /// Says what gathered, when its minute is over.
    pub(super) fn sum_up(&self, now: Duration) {
        self.tell(&mut self.state(), now);
        self.say(self.dead.due(now));
    }

    /// Says what gathered, whatever the time.
    pub(super) fn sum_up_at_last(&self, now: Duration) {
        self.say(self.dead.rest(now));
    }

    /// When there is something to sum up.
    pub(super) fn wait(&self, now: Duration) -> Option<Duration> {
        let state = self.state();
        let untold = state.failing.is_some() != state.told.is_some();
        let change = untold.then(|| state.minute.saturating_add(EVERY).saturating_sub(now));
        change.into_iter().chain(self.dead.wait(now)).min()
    }

    fn say(&self, sums: impl IntoIterator<Item = Sum<Death>>) {
        for Sum { key, count, detail } in sums {
            let (reason, rule) = key;
            tracing::warn!(
                sink = &*self.sink,
                reason = reason.as_str(),
                rule,
                count,
                first = detail,
                "deliveries became dead letters"
            );
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The rule that an attempt failed by, as its plugin calls it.
fn rule(outcome: &Outcome) -> String {
    without_numbers(&outcome.rule, RULE)
}

/// Why an attempt failed, where no answer came that could have been quoted.
fn said(outcome: &Outcome) -> String {
    if !outcome.response.is_empty() {
        return "see the delivery".to_owned();
    }
    without_numbers(&outcome.reason, REASON)
}

/// At most so many letters, without numbers as long as a phone.
fn without_numbers(text: &str, most: usize) -> String {
    let mut said = String::new();
    let mut digits = String::new();
    let flush = |digits: &mut String, said: &mut String| {
        said.push_str(if digits.len() < 7 { digits } else { "…" });
        digits.clear();
    };
    for letter in text.chars().take(most) {
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
    use serde_json::Value;
    use uuid::Uuid;

    use super::*;
    use crate::telemetry::logged::Logged;

    #[test]
    fn what_is_said_of_a_failure_quotes_neither_answers_nor_phones() {
        let mut outcome =
            Outcome::new(OutcomeKind::Retry, "call 13567658911 at port 8080").rule("connect");
        assert_eq!(said(&outcome), "call … at port 8080");
        outcome.response = "400 {\"error\":\"张三 is not welcome\"}".to_owned();
        outcome.reason = "张三 is not welcome".to_owned();
        assert_eq!(said(&outcome), "see the delivery");
    }

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn outcome(kind: OutcomeKind) -> Outcome {
        Outcome::new(kind, "").rule("status")
    }

    #[test]
    fn dead_letters_are_summed_up_by_rule_once_a_minute() {
        let logged = Logged::here();
        let health = Health::new("crm".into());
        let id = DeliveryId(Uuid::nil());
        let died = |rule: &str, now| {
            let outcome = Outcome::new(OutcomeKind::Rejected, "").rule(rule);
            health.died(id, DeathReason::Rejected, &outcome, now);
        };
        let said = || {
            let events = logged.events("deliveries became dead letters");
            let one = |event: &Value| {
                let rule = event["rule"].as_str().unwrap_or_default().to_owned();
                (rule, event["count"].as_u64().unwrap_or_default())
            };
            events.iter().map(one).collect::<Vec<_>>()
        };
        died("status-4xx", at(60));
        assert_eq!(said(), [("status-4xx".to_owned(), 1)], "said at once");
        assert_eq!(health.wait(at(60)), None);
        for _ in 0..2_700 {
            died("status-4xx", at(90));
        }
        health.sum_up(at(90));
        assert_eq!(said().len(), 1);
        assert_eq!(health.wait(at(90)), Some(at(30)));
        health.sum_up(at(120));
        assert_eq!(said()[1..], [("status-4xx".to_owned(), 2_700)]);
        died("status-4xx", at(150));
        assert_eq!(said().len(), 2, "the minute begins with each line");
        for rule in 0..1_000 {
            died(&rule.to_string(), at(151));
        }
        assert_eq!(
            said().len(),
            2 + RULES,
            "each of the rules that may be, and others"
        );
        health.sum_up_at_last(at(152));
        assert!(said().contains(&("other".to_owned(), 1_000 - RULES as u64)));
    }

    #[test]
    fn a_sink_that_fails_every_other_time_is_told_of_a_few_times_a_minute() {
        let logged = Logged::here();
        let health = Health::new("crm".into());
        let attempt = |kind, now| {
            health.attempt(DeliveryId(Uuid::nil()), &outcome(kind), now, now);
        };
        let said =
            || ["sink began to fail", "sink recovered"].map(|message| logged.events(message).len());
        for _ in 0..3 {
            attempt(OutcomeKind::Retry, at(60));
        }
        assert_eq!(said(), [1, 0]);
        attempt(OutcomeKind::Delivered, at(61));
        attempt(OutcomeKind::Delivered, at(61));
        assert_eq!(said(), [1, 1]);
        assert_eq!(logged.events("sink recovered")[0]["failed_attempts"], 3);
        for _ in 0..1_000 {
            attempt(OutcomeKind::Retry, at(62));
            attempt(OutcomeKind::Delivered, at(62));
        }
        attempt(OutcomeKind::Retry, at(63));
        assert_eq!(said(), [2, 2]);
        assert_eq!(
            health.wait(at(63)),
            Some(at(57)),
            "that it fails is said then"
        );
        health.sum_up(at(119));
        assert_eq!(said(), [2, 2]);
        health.sum_up(at(120));
        assert_eq!(said(), [3, 2]);
        assert_eq!(health.wait(at(120)), None);
    }

    #[test]
    fn throttling_is_one_thing_however_often_the_destination_asks() {
        let logged = Logged::here();
        let health = Health::new("crm".into());
        let attempt = |kind, began, now| {
            health.attempt(DeliveryId(Uuid::nil()), &outcome(kind), began, now);
        };
        let said = || {
            let ended = logged.events("throttling ended");
            let began = "throttling began: the destination asked for a wait, and nothing is sent until it is over or the sink is resumed";
            (logged.events(began).len(), ended.len())
        };
        attempt(OutcomeKind::Throttled, at(1), at(2));
        health.throttle(Some(at(5)), false, at(2));
        for second in (10..100).step_by(10) {
            health.throttle(None, false, at(second));
            attempt(OutcomeKind::Throttled, at(second), at(second + 1));
            health.throttle(Some(at(5)), false, at(second + 1));
            attempt(OutcomeKind::Delivered, at(second), at(second + 2));
        }
        assert_eq!(
            said(),
            (1, 0),
            "what had begun before it asked tells nothing"
        );
        attempt(OutcomeKind::Delivered, at(100), at(101));
        health.throttle(None, false, at(101));
        assert_eq!(said(), (1, 1));
        assert_eq!(logged.events("throttling ended")[0]["waits"], 10);
        health.throttle(Some(at(5)), false, at(200));
        health.throttle(Some(at(5)), true, at(201));
        health.throttle(None, true, at(206));
        assert_eq!(said(), (2, 2), "nothing waits");
    }
}
