//! The flight: attempts that a program has or is about to get, and what becomes of each.
//!
//! Pure: no process, no clock. An attempt is `Waiting` until the first byte of its line is
//! written, `Handed` from then on, and then ends once, by whatever comes first:
//!
//! | what happens | waiting | handed |
//! |---|---|---|
//! | an answer with its id | breach: it cannot know of it | the answer |
//! | its time is over | `retry` (`not-read`) | `ambiguous` (`timeout`) |
//! | the program ends, before it read the line | `retry` | `retry` |
//! | the program ends, having read some of it | | `ambiguous` |
//! | nobody waits any more | forgotten | forgotten |

use std::collections::{HashMap, VecDeque};

use leadgate_plugin::redact::Redactor;
use leadgate_plugin::{Delivery, Outcome};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::lines::Answer;

/// Ids that are remembered after they ended, so that a late or second answer is told from one
/// with a wrong id.
const REMEMBERED: usize = 1024;
/// The rule of an answer that names none.
const RULE: &str = "program";

/// An attempt that came in.
pub(crate) struct Handing {
    pub(crate) delivery: Delivery,
    /// When its time is over.
    pub(crate) ends: Instant,
    /// Who waits.
    pub(crate) done: oneshot::Sender<Outcome>,
}

struct Open {
    handing: Handing,
    came: Instant,
    /// Where its line begins in all that was written, once it is.
    handed: Option<u64>,
}

/// What an answer or a step record was.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fit {
    /// It belonged to an attempt that was waiting for it.
    Good,
    /// To one that had an answer already.
    Twice,
    /// To one whose time was over, or that nobody waited for any more.
    Late,
    /// To none.
    Wrong,
}

/// Attempts whose time is over.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Overdue {
    /// Ids of those whose line is with the program.
    pub(crate) handed: Vec<String>,
    /// Ids of those whose line is not.
    pub(crate) waiting: Vec<String>,
    /// When the one that came last of them came.
    pub(crate) since: Option<Instant>,
}

/// How many attempts an end cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cost {
    /// Those that may have been taken.
    pub(crate) ambiguous: usize,
    /// Those that surely were not.
    pub(crate) unread: usize,
}

/// Open attempts by id.
#[derive(Default)]
pub(crate) struct Flight {
    open: HashMap<String, Open>,
    /// The newest last; whether it had an answer.
    ended: VecDeque<(String, bool)>,
}

impl Flight {
    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Takes an attempt in; one of the same delivery that is open still is forgotten, because
    /// whoever makes another has given it up.
    pub(crate) fn take(&mut self, handing: Handing, now: Instant) {
        let id = handing.delivery.id().to_owned();
        let open = Open {
            handing,
            came: now,
            handed: None,
        };
        self.open.insert(id, open);
    }

    /// Whether somebody waits for what becomes of `id`, so that its line is worth writing.
    pub(crate) fn waits(&self, id: &str) -> bool {
        let open = self.open.get(id);
        open.is_some_and(|open| !open.handing.done.is_closed())
    }

    /// The line of `id` begins at byte `from` of all that is written.
    pub(crate) fn hand(&mut self, id: &str, from: u64) {
        if let Some(open) = self.open.get_mut(id) {
            open.handed = Some(from);
        }
    }

    /// The next time that is over for somebody.
    pub(crate) fn next_end(&self) -> Option<Instant> {
        self.open.values().map(|open| open.handing.ends).min()
    }

    /// Ends the attempt that the answer is to.
    pub(crate) fn answer(&mut self, answer: Answer) -> Fit {
        let fit = self.fit(&answer.id, answer.attempt);
        if fit != Fit::Good {
            return fit;
        }
        let Some(open) = self.forget(&answer.id, true) else {
            return Fit::Wrong;
        };
        let redactor = Redactor::of_events([open.handing.delivery.event_bytes()]);
        let outcome = match answer.outcome {
            Ok(outcome) => redacted(&redactor, outcome),
            Err(word) => Outcome::ambiguous(format!(
                "the program answered with the outcome `{}`, which is none",
                redactor.text(&word)
            ))
            .rule("unknown-outcome"),
        };
        // Whoever waited may be gone.
        let _ = open.handing.done.send(outcome);
        Fit::Good
    }

    /// Keeps a step record; false if it is too long.
    pub(crate) fn keep(&self, id: &str, step_record: &str) -> (Fit, bool) {
        let fit = self.fit(id, None);
        let kept = match self.open.get(id).filter(|_| fit == Fit::Good) {
            Some(open) => open.handing.delivery.keep(step_record).is_ok(),
            None => true,
        };
        (fit, kept)
    }

    fn fit(&self, id: &str, attempt: Option<u32>) -> Fit {
        if let Some(open) = self.open.get(id) {
            let current = open.handing.delivery.attempt();
            if attempt.is_some_and(|attempt| attempt < current) {
                return Fit::Late;
            }
            let fits = open.handed.is_some() && attempt.is_none_or(|attempt| attempt == current);
            return if fits { Fit::Good } else { Fit::Wrong };
        }
        match self.ended.iter().rev().find(|(one, _)| one == id) {
            Some((_, true)) => Fit::Twice,
            Some((_, false)) => Fit::Late,
            None => Fit::Wrong,
        }
    }

    fn forget(&mut self, id: &str, answered: bool) -> Option<Open> {
        let open = self.open.remove(id)?;
        if open.handed.is_some() {
            if self.ended.len() == REMEMBERED {
                self.ended.pop_front();
            }
            self.ended.push_back((id.to_owned(), answered));
        }
        Some(open)
    }

    /// Forgets those that nobody waits for any more; gives the ids of those that were handed.
    pub(crate) fn sweep(&mut self) -> Vec<String> {
        let given_up = |open: &Open| open.handing.done.is_closed();
        let gone: Vec<String> = self
            .open
            .iter()
            .filter(|(_, open)| given_up(open))
            .map(|(id, _)| id.clone())
            .collect();
        let handed = gone.into_iter().filter(|id| {
            self.forget(id, false)
                .is_some_and(|open| open.handed.is_some())
        });
        handed.collect()
    }

    /// Those whose time is over at `now`; they are open still.
    pub(crate) fn overdue(&self, now: Instant) -> Overdue {
        let mut overdue = Overdue::default();
        for (id, open) in &self.open {
            if open.handing.ends > now {
                continue;
            }
            overdue.since = overdue.since.max(Some(open.came));
            let ids = match open.handed {
                Some(_) => &mut overdue.handed,
                None => &mut overdue.waiting,
            };
            ids.push(id.clone());
        }
        overdue
    }

    /// Ends one attempt.
    pub(crate) fn end(&mut self, id: &str, outcome: Outcome) {
        if let Some(open) = self.forget(id, false) {
            let _ = open.handing.done.send(outcome);
        }
    }

    /// The program is gone, and of all that was written it read `read` bytes: ends all attempts.
    pub(crate) fn end_all(&mut self, read: u64, rule: &str, reason: &str) -> Cost {
        let mut cost = Cost::default();
        for (_, open) in self.open.drain() {
            let outcome = if open.handed.is_some_and(|from| from < read) {
                cost.ambiguous += 1;
                Outcome::ambiguous(reason)
            } else {
                cost.unread += 1;
                Outcome::retry(None, format!("{reason}, before it read this lead"))
            };
            let _ = open.handing.done.send(outcome.rule(rule));
        }
        cost
    }
}

/// Without what the lead says.
fn redacted(redactor: &Redactor, outcome: Outcome) -> Outcome {
    let mut outcome = outcome;
    // An id of the destination's may be a long number.
    outcome.receipt = redactor.hide(&outcome.receipt);
    for text in [
        &mut outcome.reason,
        &mut outcome.rule,
        &mut outcome.request,
        &mut outcome.response,
    ] {
        if !text.is_empty() {
            *text = redactor.text(text);
        }
    }
    if outcome.rule.is_empty() {
        RULE.clone_into(&mut outcome.rule);
    }
    outcome
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use leadgate_plugin::OutcomeKind;

    use super::*;

    const EVENT: &str = r#"{"lead":{"name":"张三","phone":"13567658911"}}"#;

    fn second(number: u64) -> Instant {
        use std::sync::LazyLock;
        static START: LazyLock<Instant> = LazyLock::new(Instant::now);
        *START + Duration::from_secs(number)
    }

    /// An attempt that came at `came` and has ten seconds.
    fn come(flight: &mut Flight, id: &str, attempt: u32, came: u64) -> oneshot::Receiver<Outcome> {
        let (done, outcome) = oneshot::channel();
        let handing = Handing {
            delivery: Delivery::new(id, attempt, Duration::from_secs(10), EVENT),
            ends: second(came + 10),
            done,
        };
        flight.take(handing, second(came));
        outcome
    }

    fn answer(id: &str, attempt: Option<u32>, outcome: Outcome) -> Answer {
        Answer {
            id: id.to_owned(),
            attempt,
            outcome: Ok(outcome),
            strange: Vec::new(),
        }
    }

    #[test]
    fn an_answer_ends_its_attempt_once_and_without_what_the_lead_says() {
        let mut flight = Flight::default();
        let mut one = come(&mut flight, "one", 1, 0);
        let early = flight.answer(answer("one", None, Outcome::duplicate()));
        assert_eq!(early, Fit::Wrong, "it was not handed yet");
        flight.hand("one", 0);
        let said = Outcome::delivered("id 20261128000123, 13567658911")
            .response("hello 张三, 135 6765 8911")
            .request("POST /");
        assert_eq!(
            flight.answer(answer("one", Some(1), said.clone())),
            Fit::Good
        );
        let expected = Outcome::delivered("id 20261128000123, ***")
            .rule("program")
            .request("POST /")
            .response("hello ***, ***");
        assert_eq!(one.try_recv(), Ok(expected));
        assert_eq!(flight.answer(answer("one", None, said.clone())), Fit::Twice);
        assert_eq!(flight.answer(answer("two", None, said)), Fit::Wrong);
        assert!(flight.is_empty());
    }

    #[test]
    fn a_late_answer_to_an_earlier_attempt_is_not_taken_for_one_to_a_later() {
        let mut flight = Flight::default();
        let first = come(&mut flight, "one", 1, 0);
        flight.hand("one", 0);
        drop(first);
        assert_eq!(flight.sweep(), ["one"]);
        assert_eq!(
            flight.answer(answer("one", None, Outcome::duplicate())),
            Fit::Late
        );
        let mut second = come(&mut flight, "one", 2, 20);
        flight.hand("one", 100);
        let old = answer("one", Some(1), Outcome::rejected("old"));
        assert_eq!(flight.answer(old), Fit::Late);
        let wrong = answer("one", Some(3), Outcome::rejected("future"));
        assert_eq!(flight.answer(wrong), Fit::Wrong);
        assert!(second.try_recv().is_err());
        assert_eq!(
            flight.answer(answer("one", Some(2), Outcome::duplicate())),
            Fit::Good
        );
    }

    #[test]
    fn an_unknown_outcome_costs_its_own_attempt() {
        let mut flight = Flight::default();
        let (mut one, mut two) = (
            come(&mut flight, "one", 1, 0),
            come(&mut flight, "two", 1, 0),
        );
        flight.hand("one", 0);
        flight.hand("two", 10);
        let unknown = Answer {
            outcome: Err("好 13567658911".to_owned()),
            ..answer("one", None, Outcome::duplicate())
        };
        assert_eq!(flight.answer(unknown), Fit::Good);
        let outcome = one.try_recv().expect("ended");
        assert_eq!(
            (outcome.kind, outcome.rule.as_str()),
            (OutcomeKind::Ambiguous, "unknown-outcome")
        );
        assert!(outcome.reason.contains("`好 ***`"), "{}", outcome.reason);
        assert!(two.try_recv().is_err() && flight.len() == 1);
    }

    #[test]
    fn what_the_program_did_not_read_is_tried_again_and_what_it_read_may_have_been_taken() {
        let mut flight = Flight::default();
        let mut all: Vec<_> = ["read", "begun", "unread", "waiting"]
            .map(|id| come(&mut flight, id, 1, 0))
            .into();
        for (id, from) in [("read", 0), ("begun", 100), ("unread", 200)] {
            flight.hand(id, from);
        }
        // It read 50 bytes of the second line.
        let cost = flight.end_all(150, "program-ended", "the program exited with code 1");
        assert_eq!(
            cost,
            Cost {
                ambiguous: 2,
                unread: 2
            }
        );
        let ended: Vec<_> = all
            .iter_mut()
            .map(|one| one.try_recv().expect("ended"))
            .collect();
        for outcome in &ended[..2] {
            assert_eq!(outcome.kind, OutcomeKind::Ambiguous);
            assert_eq!(outcome.reason, "the program exited with code 1");
        }
        for outcome in &ended[2..] {
            assert_eq!(outcome.kind, OutcomeKind::Retry);
            assert!(outcome.reason.ends_with("before it read this lead"));
        }
        assert!(ended.iter().all(|one| one.rule == "program-ended"));
        // The line ended exactly where it stopped reading.
        let mut exact = come(&mut flight, "exact", 1, 0);
        flight.hand("exact", 200);
        flight.end_all(200, "", "");
        assert_eq!(exact.try_recv().expect("ended").kind, OutcomeKind::Retry);
    }

    #[test]
    fn time_is_over_for_each_on_its_own() {
        let mut flight = Flight::default();
        let _kept = [
            come(&mut flight, "one", 1, 0),
            come(&mut flight, "two", 1, 3),
            come(&mut flight, "later", 1, 9),
        ];
        flight.hand("one", 0);
        assert_eq!(flight.next_end(), Some(second(10)));
        assert_eq!(flight.overdue(second(9)), Overdue::default());
        assert_eq!(
            flight.overdue(second(13)),
            Overdue {
                handed: vec!["one".to_owned()],
                waiting: vec!["two".to_owned()],
                since: Some(second(3)),
            }
        );
    }

    #[test]
    fn what_nobody_waits_for_is_not_written() {
        let mut flight = Flight::default();
        let waits = come(&mut flight, "one", 1, 0);
        assert!(flight.waits("one") && !flight.waits("two"));
        drop(waits);
        assert!(!flight.waits("one"));
        assert!(flight.sweep().is_empty(), "it was never handed");
        assert!(flight.is_empty());
    }

    #[test]
    fn step_records_are_kept_with_their_delivery() {
        let mut flight = Flight::default();
        let _waits = come(&mut flight, "one", 1, 0);
        let delivery = flight.open["one"].handing.delivery.clone();
        assert_eq!(flight.keep("one", "x"), (Fit::Wrong, true));
        flight.hand("one", 0);
        assert_eq!(flight.keep("one", "step 1"), (Fit::Good, true));
        assert_eq!(delivery.step_record(), "step 1");
        assert_eq!(flight.keep("one", &"x".repeat(5000)), (Fit::Good, false));
        assert_eq!(delivery.step_record(), "step 1");
    }

    #[test]
    fn the_memory_of_what_ended_is_bounded() {
        let mut flight = Flight::default();
        for number in 0..REMEMBERED + 10 {
            let id = number.to_string();
            let _outcome = come(&mut flight, &id, 1, 0);
            flight.hand(&id, 0);
            flight.answer(answer(&id, None, Outcome::duplicate()));
        }
        assert_eq!(flight.ended.len(), REMEMBERED);
    }
}
