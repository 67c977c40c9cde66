//! Figures of many pushes: how long they took, and which answers there were.
//!
//! Bounded, however many there are: times go into buckets less than two percent wide, and of
//! the answers only the first few different ones are kept.

use std::time::Duration;

use serde_json::{Value, json};

use crate::lang::Lang;

/// Buckets for each doubling.
const FINE: u64 = 64;
/// Different answers that are kept.
const ANSWERS: usize = 8;

/// How pushes ended.
pub(super) struct Figures {
    /// By microseconds: each doubling in [`FINE`] steps.
    buckets: Vec<u64>,
    count: u64,
    accepted: u64,
    longest: Duration,
    answers: Vec<Answer>,
    /// Pushes whose answers were not kept.
    others: u64,
}

/// One answer that came so many times.
struct Answer {
    text: String,
    accepted: bool,
    count: u64,
}

impl Figures {
    pub(super) fn new() -> Self {
        Self {
            buckets: vec![0; bucket(u64::MAX) + 1],
            count: 0,
            accepted: 0,
            longest: Duration::ZERO,
            answers: Vec::new(),
            others: 0,
        }
    }

    pub(super) fn accepted(&self) -> u64 {
        self.accepted
    }

    /// Notes one; whether its answer is the first of its kind.
    pub(super) fn note(&mut self, took: Duration, answer: &str, accepted: bool) -> bool {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.buckets[bucket(micros)] += 1;
        self.count += 1;
        self.accepted += u64::from(accepted);
        self.longest = self.longest.max(took);
        if let Some(known) = self.answers.iter_mut().find(|known| known.text == answer) {
            known.count += 1;
            return false;
        }
        if self.answers.len() == ANSWERS {
            self.others += 1;
            return false;
        }
        self.answers.push(Answer {
            text: answer.to_owned(),
            accepted,
            count: 1,
        });
        true
    }

    /// The time within which `share` of the pushes were answered, in milliseconds.
    fn within(&self, share: f64) -> f64 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a rank among far fewer than 2^53"
        )]
        let rank = ((self.count as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        for (at, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return upper(at).min(self.longest).as_secs_f64() * 1e3;
            }
        }
        0.0
    }

    fn times(&self) -> [(&'static str, f64); 4] {
        [
            ("p50", self.within(0.5)),
            ("p90", self.within(0.9)),
            ("p99", self.within(0.99)),
            ("max", self.longest.as_secs_f64() * 1e3),
        ]
    }

    pub(super) fn json(&self, took: Duration) -> Value {
        let times = self.times().map(|(name, ms)| (name.to_owned(), json!(ms)));
        let answers = self.answers.iter().map(|answer| {
            let body = serde_json::from_str(&answer.text);
            json!({
                "count": answer.count,
                "accepted": answer.accepted,
                "answer": body.unwrap_or_else(|_| Value::from(answer.text.as_str())),
            })
        });
        json!({
            "count": self.count,
            "accepted": self.accepted,
            "failed": self.count - self.accepted,
            "duration_seconds": took.as_secs_f64(),
            "latency_ms": Value::Object(times.into_iter().collect()),
            "answers": answers.collect::<Vec<_>>(),
            "other_answers": self.others,
        })
    }

    pub(super) fn lines(&self, lang: Lang) -> Vec<String> {
        let times = self.times().map(|(name, ms)| format!("{name} {ms:.1} ms"));
        let mut lines = vec![times.join("  ")];
        let answers = self.answers.iter();
        lines.extend(answers.map(|answer| format!("{} × {}", answer.count, answer.text)));
        if self.others > 0 {
            let others = self.others;
            lines.push(lang.pick(
                format!("{others} × other answers"),
                format!("{others} × 其他应答"),
            ));
        }
        lines
    }
}

fn bucket(micros: u64) -> usize {
    if micros < FINE {
        return usize::try_from(micros).unwrap_or(0);
    }
    let doubling = u64::from(micros.ilog2()) - u64::from(FINE.ilog2());
    let step = (micros >> doubling) - FINE;
    usize::try_from(FINE + doubling * FINE + step).unwrap_or(usize::MAX)
}

/// The end of a bucket.
fn upper(bucket: usize) -> Duration {
    let bucket = bucket as u64;
    if bucket < FINE {
        return Duration::from_micros(bucket);
    }
    let (doubling, step) = ((bucket - FINE) / FINE, (bucket - FINE) % FINE);
    let end = u128::from(FINE + step + 1) << doubling;
    Duration::from_micros(u64::try_from(end - 1).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_exact_to_two_percent_and_the_longest_is_exact() {
        let mut figures = Figures::new();
        for ms in (1..=1000).rev() {
            figures.note(Duration::from_millis(ms), "x", true);
        }
        for (name, ms) in figures.times() {
            let exact = match name {
                "p50" => 500.0,
                "p90" => 900.0,
                "p99" => 990.0,
                _ => 1000.0,
            };
            assert!((exact..=exact * 1.02).contains(&ms), "{name} {ms}");
        }
        assert_eq!(figures.longest, Duration::from_secs(1));
    }

    #[test]
    fn equal_answers_are_shown_once_and_many_different_ones_are_counted() {
        let mut figures = Figures::new();
        assert!(figures.note(Duration::ZERO, "{\"a\":1}", true));
        assert!(!figures.note(Duration::ZERO, "{\"a\":1}", true));
        for n in 0..20 {
            figures.note(Duration::from_micros(7), &format!("error {n}"), false);
        }
        let lines = figures.lines(Lang::En);
        assert_eq!(lines[1], "2 × {\"a\":1}");
        assert_eq!(lines.len(), 1 + ANSWERS + 1);
        assert_eq!(lines[ANSWERS + 1], "13 × other answers");
        let json = figures.json(Duration::from_secs(1));
        assert_eq!(
            (&json["accepted"], &json["failed"]),
            (&json!(2), &json!(20))
        );
        assert_eq!(json["answers"][0]["answer"]["a"], 1);
    }

    proptest::proptest! {
        #[test]
        fn a_time_is_in_its_bucket(micros: u64) {
            let end = upper(bucket(micros)).as_micros();
            proptest::prop_assert!(end >= u128::from(micros));
            proptest::prop_assert!(end <= u128::from(micros) + u128::from(micros / 64) + 1);
        }
    }
}
