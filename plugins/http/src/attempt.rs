//! An attempt: the steps of a delivery, one after the other.
//!
//! A step that was taken is kept before the next one is sent. Any other answer ends the
//! attempt and is its outcome; so is the answer to the last step that was sent.

use std::time::{Duration, SystemTime};

use leadgate_plugin::template::Context;
use leadgate_plugin::{Delivery, Host, Level, Outcome, OutcomeKind, Problem, Secret};
use reqwest::Client;
use serde_json::json;
use tokio::time::Instant;

use crate::answer::Answer;
use crate::auth::Proof;
use crate::classify;
use crate::digest::Digest;
use crate::failure::failure;
use crate::left;
use crate::parts::Parts;
use crate::redact::Redactor;
use crate::step::{Lack, Step, Values, context};
use crate::step_record::{Done, StepRecord};
use crate::token::Token;

/// Less time than this is not enough for another request.
const LEAST: Duration = Duration::from_millis(50);

/// One attempt under way.
pub(crate) struct Attempt<'a> {
    pub(crate) client: &'a Client,
    pub(crate) parts: &'a Parts,
    pub(crate) host: &'a Host,
    pub(crate) delivery: &'a Delivery,
    pub(crate) lead: Context,
    /// The events whose leads no record may show.
    pub(crate) events: &'a [u8],
    /// When it must have ended.
    pub(crate) ends: Instant,
    pub(crate) token: Option<Token>,
}

impl Attempt<'_> {
    pub(crate) async fn run(mut self) -> Outcome {
        let parts = self.parts;
        match parts.steps.as_slice() {
            [only] if only.name.is_empty() => {
                let lead = self.lead.clone();
                self.send(only, &lead).await.0
            }
            _ => self.steps().await,
        }
    }

    /// Sends one request for several leads. An error is that it cannot be written; nothing was
    /// sent then.
    pub(crate) async fn digest(
        mut self,
        digest: &Digest,
        count: usize,
    ) -> Result<Outcome, Problem> {
        let leads = self.lead.clone();
        let now = SystemTime::now();
        self.parts
            .request(&digest.step, self.delivery, &leads, None, now)?;
        let mut outcome = self.send(&digest.step, &leads).await.0;
        outcome.request = format!("{} for {count} leads", outcome.request);
        Ok(outcome)
    }

    async fn steps(&mut self) -> Outcome {
        let parts = self.parts;
        let mut done_before = StepRecord::read(&self.delivery.step_record());
        let mut values = Values::new();
        let mut record = Record::default();
        let mut last = None;
        for (number, step) in parts.steps.iter().enumerate() {
            if let Some(done) = done_before.of(step) {
                values.insert(step.name.clone(), done.values.clone());
                last = Some(Outcome::delivered(done.receipt.clone()).rule("step-record"));
                record.add(step, "done in an earlier attempt", "");
                continue;
            }
            let lead = context(&self.lead, &values);
            match wanted(step, &lead) {
                Ok(true) => {}
                Ok(false) => {
                    values.insert(step.name.clone(), step.nothing());
                    continue;
                }
                Err(problem) => {
                    let outcome = Outcome::rejected(problem.to_string()).rule("template");
                    return record.end(step, outcome);
                }
            }
            if last.is_some() && left(self.ends) < LEAST {
                let outcome = Outcome::retry(None, "no time was left for it").rule("step-timeout");
                return record.end(step, outcome);
            }
            let (mut outcome, answer) = self.send(step, &lead).await;
            if outcome.kind == OutcomeKind::Ambiguous && !step.kept {
                // What only looks can be asked again whatever became of it.
                outcome.kind = OutcomeKind::Retry;
            }
            record.add(step, &outcome.request, &outcome.response);
            let receipt = match outcome.kind {
                OutcomeKind::Delivered => outcome.receipt.clone(),
                OutcomeKind::Duplicate => String::new(),
                _ => return record.end(step, outcome),
            };
            // Nobody reads what the last one gives.
            let is_read = number + 1 < parts.steps.len();
            let given = answer
                .filter(|_| is_read)
                .map_or_else(|| Ok(step.nothing()), |answer| step.values(&answer));
            let given = match given {
                Ok(given) => given,
                Err(Lack::Missing(why)) => {
                    return record.end(step, Outcome::rejected(why).rule("extract"));
                }
                // What only looks made nothing and can be asked again.
                Err(Lack::Unread(why)) => {
                    let outcome = if step.kept {
                        Outcome::ambiguous(why)
                    } else {
                        Outcome::retry(None, why)
                    };
                    return record.end(step, outcome.rule(classify::UNREADABLE));
                }
            };
            if step.kept {
                let done = Done {
                    values: given.clone(),
                    receipt,
                };
                done_before.add(step, done);
                self.keep(&done_before);
            }
            values.insert(step.name.clone(), given);
            last = Some(outcome.rule_of(step));
        }
        match last {
            Some(outcome) => record.told(outcome),
            None => record.told(
                Outcome::rejected(
                    "no step is meant for this lead: each has a `when` that does not hold",
                )
                .rule("no-step"),
            ),
        }
    }

    fn keep(&self, record: &StepRecord) {
        if let Err(problem) = self.delivery.keep(&record.text()) {
            self.host.log(
                Level::Warn,
                "a finished step could not be kept; a retry would repeat it",
                &json!({"reason": problem.message, "delivery": self.delivery.id()}),
            );
        }
    }

    /// Sends a step; once more with another token if its token is refused.
    async fn send(&mut self, step: &Step, lead: &Context) -> (Outcome, Option<Answer>) {
        let Proof::Token(tokens, _) = &self.parts.proof else {
            return self.exchange(step, lead, None).await;
        };
        let known = self.token.take();
        let token = match known {
            Some(token) => token,
            None => match tokens.get(self.client, self.host, self.ends, None).await {
                Ok(token) => token,
                Err(outcome) => return (outcome, None),
            },
        };
        let (outcome, answer) = self.exchange(step, lead, Some(&token.secret)).await;
        if outcome.kind != OutcomeKind::Reauth {
            self.token = Some(token);
            return (outcome, answer);
        }
        // Once: if another token is refused as well, it is not the token.
        match tokens
            .get(self.client, self.host, self.ends, Some(&token))
            .await
        {
            Ok(newer) => {
                let told = self.exchange(step, lead, Some(&newer.secret)).await;
                self.token = Some(newer);
                told
            }
            Err(outcome) => (outcome, None),
        }
    }

    async fn exchange(
        &self,
        step: &Step,
        lead: &Context,
        token: Option<&Secret>,
    ) -> (Outcome, Option<Answer>) {
        let now = SystemTime::now();
        let request = match self.parts.request(step, self.delivery, lead, token, now) {
            Ok(request) => request,
            Err(problem) => {
                let outcome = Outcome::rejected(problem.to_string()).rule("template");
                return (outcome, None);
            }
        };
        let sent = request.summary();
        // Whoever mends it wants to know what was sent; what was taken is short.
        let in_full = |sent: String| {
            let again = self.parts.request(step, self.delivery, lead, token, now);
            let shape = again.ok().and_then(|again| again.shape());
            shape.map_or(sent.clone(), |shape| format!("{sent} {shape}"))
        };
        let timeout = left(self.ends);
        match self.client.execute(request.into_reqwest(timeout)).await {
            Ok(response) => {
                let answer = Answer::read(response).await;
                let redactor = Redactor::new(self.events, &self.parts.secrets, token);
                let rules = [&step.rules, &self.parts.rules];
                let outcome = classify::decide(rules, &answer, &redactor, now);
                let is_taken = matches!(
                    outcome.kind,
                    OutcomeKind::Delivered | OutcomeKind::Duplicate
                );
                let sent = if is_taken { sent } else { in_full(sent) };
                (outcome.request(sent), Some(answer))
            }
            Err(error) => (failure(&error).request(in_full(sent)), None),
        }
    }
}

/// Whether a step is meant for this lead.
fn wanted(step: &Step, lead: &Context) -> Result<bool, Problem> {
    step.when.as_ref().map_or(Ok(true), |when| {
        let holds = when.condition.meets(lead);
        holds.map_err(|error| error.into_problem("/when"))
    })
}

/// What was sent and answered, step by step.
#[derive(Default)]
struct Record {
    requests: Vec<String>,
    responses: Vec<String>,
}

impl Record {
    fn add(&mut self, step: &Step, request: &str, response: &str) {
        for (lines, said) in [
            (&mut self.requests, request),
            (&mut self.responses, response),
        ] {
            if !said.is_empty() {
                lines.push(format!("{}: {said}", step.name));
            }
        }
    }

    /// The step's outcome ends the attempt.
    fn end(self, step: &Step, mut outcome: Outcome) -> Outcome {
        if !outcome.reason.is_empty() {
            outcome.reason = format!("step `{}`: {}", step.name, outcome.reason);
        }
        self.told(outcome.rule_of(step))
    }

    fn told(self, outcome: Outcome) -> Outcome {
        outcome
            .request(self.requests.join("\n"))
            .response(self.responses.join("\n"))
    }
}

/// Names the step whose rule decided.
trait RuleOf {
    fn rule_of(self, step: &Step) -> Self;
}

impl RuleOf for Outcome {
    fn rule_of(self, step: &Step) -> Self {
        let rule = format!("{}/{}", step.name, self.rule);
        self.rule(rule)
    }
}
