//! The digest: leads that come faster than a destination takes messages share one.
//!
//! The first lead goes at once. One that comes before `every` has passed since the last message
//! waits for that, and whatever else comes meanwhile goes with it, as `digest.body` says, or as
//! the leads' own bodies with their texts one below the other. Who waits first sends for all and
//! tells the others what became of it.
//!
//! After a digest that was refused the leads go one by one for a while, no faster than digests
//! would: a chat silences who comes with all of them at once.
//!
//! Knows nothing of HTTP: what is sent, and how, is passed in. No more wait than the gateway
//! starts at once, which is the sink's `concurrency`.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use leadgate_plugin::template::{Context, Engine, Scope};
use leadgate_plugin::{Delivery, Outcome, Problem, hex};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::body::{Body, VALUE};
use crate::draft::{Draft, Written};
use crate::left;
use crate::settings::Settings;
use crate::step::Step;

/// Names of a digest's body.
const SCOPE: Scope = Scope::of(&["count", "leads"]).holding(&["count"], &[]);
/// Longest time between two messages.
const LONGEST: Duration = Duration::from_mins(1);
/// Longest text of leads that stand one below the other, in bytes, unless said otherwise.
const BYTES: usize = 8000;
/// How long leads go one by one after a digest that was refused.
const APART: Duration = Duration::from_mins(10);

/// The digest of one sink.
pub(crate) struct Digest {
    every: Duration,
    /// The request of a digest.
    pub(crate) step: Step,
    /// Longest text, if the body is that of the leads' own bodies.
    joins: Option<usize>,
    desk: Mutex<Desk>,
}

type Others = Vec<(Delivery, oneshot::Sender<Outcome>)>;

#[derive(Default)]
struct Desk {
    /// Somebody waits to send for all that are in `others`.
    led: bool,
    others: Others,
    /// When the next message may go.
    next: Option<Instant>,
    /// Until when leads go one by one.
    apart: Option<Instant>,
}

impl Digest {
    /// Understands `digest`; none if there is none, or it is switched off.
    pub(crate) fn new(settings: &Settings, engine: &Engine) -> Result<Option<Self>, Vec<Problem>> {
        let Some(given) = &settings.digest else {
            return Ok(None);
        };
        let problem =
            |at: &str, message: &str, help: &str| Err(vec![Problem::at(at, message).help(help)]);
        let every = given.every.map_or(Duration::ZERO, |every| every.0);
        if every.is_zero() {
            return Ok(None);
        }
        if every > LONGEST {
            return problem(
                "/digest/every",
                "longer than a lead should wait",
                "at most 1m, and less than half of the sink's `timeout`",
            );
        }
        if !settings.steps.is_empty() {
            return problem(
                "/digest",
                "several leads cannot share several steps",
                "remove `digest` or `steps`",
            );
        }
        let way = settings.body_as.unwrap_or_default();
        let body = match (&given.body, &settings.body) {
            (Some(body), _) => Body::new(Some(body), way, engine, &SCOPE).map_err(|found| {
                let below = |mut problem: Problem| {
                    problem.path = format!("/digest{}", problem.path);
                    problem
                };
                found.into_iter().map(below).collect::<Vec<_>>()
            })?,
            (None, Some(_)) => Body::of_value(way, engine)?,
            (None, None) => {
                return problem(
                    "/digest",
                    "`digest` needs a `body`: what is sent for several leads",
                    "a table of templates over `count` and `leads`, or a `body` of the sink, whose texts are then put one below the other",
                );
            }
        };
        let joins = match (&given.body, given.max_bytes) {
            (None, most) => Some(most.map_or(BYTES, |most| most as usize)),
            (Some(_), _) => None,
        };
        // What is wrong with the rest is said where the single request is read.
        let Ok(mut draft) = Draft::new(&Written::whole(settings), engine, &Scope::EVENT) else {
            return Ok(None);
        };
        draft.body = body;
        if !draft.is_plain_but_for_its_body() {
            return problem(
                "/digest",
                "several leads cannot share a request whose URL, query or headers are made of one",
                "write them out, or remove `digest`",
            );
        }
        Ok(Some(Self {
            every,
            step: Step::only(draft),
            joins,
            desk: Mutex::default(),
        }))
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What becomes of `delivery`, by `send`, which gets all deliveries that go together, this
    /// one first, and says what becomes of each.
    pub(crate) async fn deliver<F>(
        &self,
        delivery: &Delivery,
        ends: Instant,
        send: impl FnOnce(Vec<Delivery>) -> F,
    ) -> Outcome
    where
        F: Future<Output = Vec<Outcome>>,
    {
        if self.is_apart() {
            return match self.turn(ends).await {
                Ok(()) => send(vec![delivery.clone()])
                    .await
                    .pop()
                    .unwrap_or_else(unsent),
                Err(outcome) => outcome,
            };
        }
        let (leading, next) = match self.join(delivery) {
            Ok(leader) => leader,
            Err(outcome) => return outcome.await.unwrap_or_else(|_| unsent()),
        };
        let now = Instant::now();
        let wait = next.map_or(Duration::ZERO, |next| next.saturating_duration_since(now));
        if wait > left(ends) / 2 {
            let reason = "the next message may not go in time for this attempt";
            let outcome = Outcome::throttled(Some(wait), reason).rule("digest");
            for (_, told) in leading.end(None) {
                let _ = told.send(outcome.clone());
            }
            return outcome;
        }
        tokio::time::sleep(wait).await;
        let others = leading.end(Some(Instant::now() + self.every));
        let (mut all, mut waiting) = (vec![delivery.clone()], Vec::new());
        for (other, told) in others {
            all.push(other);
            waiting.push(told);
        }
        let mut outcomes = send(all).await.into_iter();
        let own = outcomes.next().unwrap_or_else(unsent);
        for (told, outcome) in waiting.into_iter().zip(outcomes) {
            // Who does not wait any more has an outcome from the gateway.
            let _ = told.send(outcome);
        }
        own
    }

    /// From now on, leads go one by one for a while.
    pub(crate) fn set_apart(&self) {
        self.desk().apart = Some(Instant::now() + APART);
    }

    fn is_apart(&self) -> bool {
        let mut desk = self.desk();
        desk.apart = desk.apart.filter(|until| *until > Instant::now());
        desk.apart.is_some()
    }

    /// Waits until one lead may go, if that is in time for its attempt.
    pub(crate) async fn turn(&self, ends: Instant) -> Result<(), Outcome> {
        let now = Instant::now();
        let wait = {
            let mut desk = self.desk();
            let next = desk.next.map_or(now, |next| next.max(now));
            let wait = next - now;
            if wait > left(ends) / 2 {
                let reason =
                    "leads go one by one after a digest was refused, and its turn comes later";
                return Err(Outcome::throttled(Some(wait), reason).rule("digest"));
            }
            desk.next = Some(next + self.every);
            wait
        };
        tokio::time::sleep(wait).await;
        Ok(())
    }

    /// What the body of a digest sees, if `bodies` gives the leads' own ones. None if they cannot
    /// be one message.
    pub(crate) fn context(
        &self,
        leads: &Value,
        bodies: impl FnOnce() -> Result<Vec<Value>, Problem>,
    ) -> Result<Context, Problem> {
        let Some(most) = self.joins else {
            return Ok(Context::of(leads));
        };
        let joined = joined(&bodies()?, most).ok_or_else(|| {
            Problem::at(
                "/digest",
                "these leads differ in more than texts, which cannot be one message",
            )
            .help("write `digest.body`")
        })?;
        Ok(Context::of(&json!({VALUE: joined})))
    }

    /// The turn to send, and when that may be; or the outcome, if another has the turn.
    fn join(
        &self,
        delivery: &Delivery,
    ) -> Result<(Leading<'_>, Option<Instant>), oneshot::Receiver<Outcome>> {
        let mut desk = self.desk();
        if desk.led {
            let (told, outcome) = oneshot::channel();
            desk.others.push((delivery.clone(), told));
            return Err(outcome);
        }
        desk.led = true;
        Ok((Leading(Some(self)), desk.next))
    }
}

fn unsent() -> Outcome {
    Outcome::retry(None, "the digest was not sent").rule("digest")
}

/// The turn to send for all. It ends when it is dropped, too: those that wait hear of that by
/// the end of their channel, and the next lead begins another digest.
struct Leading<'a>(Option<&'a Digest>);

impl Leading<'_> {
    /// Those that go with it; `next` is when the next message may go.
    fn end(mut self, next: Option<Instant>) -> Others {
        self.0
            .take()
            .map_or_else(Vec::new, |digest| give_up(digest, next))
    }
}

impl Drop for Leading<'_> {
    fn drop(&mut self) {
        if let Some(digest) = self.0.take() {
            give_up(digest, None);
        }
    }
}

/// Ends the turn and takes who waits, in one step.
fn give_up(digest: &Digest, next: Option<Instant>) -> Others {
    let mut desk = digest.desk();
    desk.led = false;
    desk.next = next.or(desk.next);
    std::mem::take(&mut desk.others)
}

/// One value of several: what is the same in all, and texts one below the other. None if they
/// differ in anything else.
fn joined(all: &[Value], most: usize) -> Option<Value> {
    let (first, others) = all.split_first()?;
    if others.iter().all(|other| other == first) {
        return Some(first.clone());
    }
    let texts: Option<Vec<&str>> = all.iter().map(Value::as_str).collect();
    if let Some(texts) = texts {
        return Some(Value::String(below(&texts, most)));
    }
    let mut keys: BTreeSet<&String> = BTreeSet::new();
    for one in all {
        keys.extend(one.as_object()?.keys());
    }
    let field = |key: &String| {
        let values: Vec<Value> = all.iter().filter_map(|one| one.get(key).cloned()).collect();
        Some((key.clone(), joined(&values, most)?))
    };
    keys.into_iter()
        .map(field)
        .collect::<Option<Map<_, _>>>()
        .map(Value::Object)
}

/// As many texts as there is room for, the first of them in any case, and how many more there are.
fn below(texts: &[&str], most: usize) -> String {
    /// For the number of those left out.
    const ROOM: usize = 16;
    let mut text = String::new();
    for (number, one) in texts.iter().enumerate() {
        let one = one.trim();
        let is_last = number + 1 == texts.len();
        let room = most.saturating_sub(if is_last { 0 } else { ROOM });
        if number > 0 && text.len() + 2 + one.len() > room {
            return format!("{text}\n\n… +{}", texts.len() - number);
        }
        if number > 0 {
            text.push_str("\n\n");
        }
        text.push_str(&one[..one.floor_char_boundary(most)]);
    }
    text
}

/// What a digest is sent as: its id is that of just these deliveries, so that a destination that
/// remembers ids does not take another digest for it.
pub(crate) fn message(all: &[Delivery]) -> Delivery {
    let mut hash = Sha256::new();
    for one in all {
        hash.update(one.id());
        hash.update([0]);
    }
    let hash = hash.finalize();
    let id = format!("digest-{}", hex(&hash[..16]));
    let first = &all[0];
    Delivery::new(id, first.attempt(), first.timeout(), first.event_bytes())
}

/// Several leads as a digest's body sees them, with the event's names beside the lead's.
pub(crate) fn leads(all: &[Delivery]) -> Value {
    let leads: Vec<Value> = all.iter().map(lead).collect();
    json!({"count": leads.len(), "leads": leads})
}

fn lead(one: &Delivery) -> Value {
    // The gateway makes the events; one that is none shows as a lead that says nothing.
    let event: Value = serde_json::from_slice(one.event_bytes()).unwrap_or_default();
    let mut lead = match &event["lead"] {
        Value::Object(fields) => fields.clone(),
        _ => Map::new(),
    };
    for name in ["event", "id", "revision", "source", "received_at", "labels"] {
        lead.insert(name.to_owned(), event[name].clone());
    }
    lead.insert("delivery_id".to_owned(), json!(one.id()));
    Value::Object(lead)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_joined_where_they_differ_in_texts() {
        let one = |text: &str| json!({"msgtype": "text", "text": {"content": text}, "n": 1});
        let all = [one("线索 1"), one("\n线索 2"), one("线索 1")];
        let text =
            |all: &[Value], most| joined(all, most).expect("texts")["text"]["content"].clone();
        assert_eq!(joined(&all, 99).expect("texts")["msgtype"], "text");
        assert_eq!(text(&all, 99), "线索 1\n\n线索 2\n\n线索 1");
        let many: Vec<Value> = (10..40)
            .map(|number| one(&format!("线索 {number}")))
            .collect();
        let cut = text(&many, 60);
        assert_eq!(cut, "线索 10\n\n线索 11\n\n线索 12\n\n线索 13\n\n… +26");
        let long = "长".repeat(99);
        let cut = text(&[one(&long), one("x")], 60);
        assert_eq!(cut, format!("{}\n\n… +1", "长".repeat(20)));
        assert_eq!(joined(&[json!({"n": 1}), json!({"n": 2})], 99), None);
        assert_eq!(joined(&[json!("a"), json!(2)], 99), None);
        let less = [json!({"a": "x", "b": "y"}), json!({"a": "z"})];
        assert_eq!(joined(&less, 99), Some(json!({"a": "x\n\nz", "b": "y"})));
    }
}
