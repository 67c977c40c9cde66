//! The `http` sink: hands each event to a destination as one HTTP request, or as several steps.
//!
//! [`preset`] lays the settings over those of a known destination, [`parts`] understands them,
//! [`attempt`] goes through the steps: [`request`] makes a request of a step and a lead,
//! [`answer`] reads what came back, [`classify`] says what it means, [`step_record`] remembers what is
//! done.
//! Nothing that a lead says can change where the request goes, and nothing that an answer
//! repeats of the lead is kept.

mod answer;
mod attempt;
mod auth;
mod body;
mod classify;
mod client;
mod connect;
mod digest;
mod draft;
mod endpoint;
mod failure;
mod jwt;
mod parts;
mod preset;
mod private;
mod redact;
mod refresh;
mod request;
mod settings;
mod signer;
mod slot;
mod step;
mod step_record;
mod token;

use std::time::{Duration, SystemTime};

use leadgate_plugin::template::Context;
use leadgate_plugin::{
    Delivery, Host, Level, Outcome, OutcomeKind, Probe, Problem, Problems, Secret, Sink, Stop,
};
use reqwest::Client;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::attempt::Attempt;
use crate::digest::Digest;
use crate::parts::Parts;
use crate::preset::Settled;
pub use crate::preset::Written;
pub use crate::settings::{
    Algorithm, Auth, AuthKind, BodyAs, Digest as DigestSettings, Encoding, Preset, Rule, Settings,
    Sign, SignKind, Step, Verdict,
};

/// The sink.
pub struct HttpSink {
    client: Client,
    parts: Parts,
    host: Host,
}

/// The settings, understood.
pub struct Prepared {
    client: Client,
    parts: Parts,
}

impl Sink for HttpSink {
    type Settings = Written;
    type Parts = Prepared;

    fn prepare(written: &Written, host: &Host) -> Result<Prepared, Problems> {
        understand(written, host)
    }

    fn new(Prepared { client, parts }: Prepared, host: Host) -> Result<Self, Problems> {
        Ok(Self {
            client,
            parts,
            host,
        })
    }

    async fn deliver(&self, delivery: &Delivery) -> Outcome {
        let ends = Instant::now() + delivery.patience();
        let Some(digest) = &self.parts.digest else {
            return self.one(delivery, ends).await;
        };
        let send = async |all: Vec<Delivery>| match all.as_slice() {
            [one] => vec![self.one(one, ends).await],
            several => self.several(digest, several, ends).await,
        };
        digest.deliver(delivery, ends, send).await
    }

    fn render(&self, delivery: &Delivery) -> Result<Option<String>, Problem> {
        let context = self.parts.context(delivery)?;
        // A token is not fetched for a look.
        let token = Secret::new("***");
        let now = SystemTime::now();
        self.parts.render(delivery, &context, &token, now).map(Some)
    }

    async fn connect(&self, probe: &Probe) -> Result<(), Stop> {
        connect::walk(&self.client, &self.parts, &self.host, probe).await
    }
}

impl HttpSink {
    /// A delivery on its own.
    async fn one(&self, delivery: &Delivery, ends: Instant) -> Outcome {
        match self.parts.context(delivery) {
            Ok(lead) => {
                let events = delivery.event_bytes();
                self.attempt(delivery, lead, events, ends).run().await
            }
            Err(problem) => Outcome::rejected(problem.to_string()).rule("template"),
        }
    }

    /// Several deliveries in one message; one by one, at its pace, if that cannot be written or is
    /// refused.
    async fn several(&self, digest: &Digest, all: &[Delivery], ends: Instant) -> Vec<Outcome> {
        let leads = digest::leads(all);
        let events = json!({"lead": leads["leads"]}).to_string();
        let message = digest::message(all);
        let why = match digest.context(&leads, || self.bodies(all)) {
            Err(problem) => problem.to_string(),
            Ok(context) => {
                let attempt = self.attempt(&message, context, events.as_bytes(), ends);
                match attempt.digest(digest, all.len()).await {
                    Ok(outcome) if outcome.kind != OutcomeKind::Rejected => {
                        return vec![outcome; all.len()];
                    }
                    Ok(refused) => refused.reason,
                    Err(problem) => problem.to_string(),
                }
            }
        };
        // None of them shall be lost for what is wrong with another.
        self.host.log(
            Level::Warn,
            "a digest was not taken; leads go one by one for ten minutes",
            &json!({"reason": why}),
        );
        digest.set_apart();
        let mut outcomes = Vec::with_capacity(all.len());
        for one in all {
            outcomes.push(match digest.turn(ends).await {
                Ok(()) => self.one(one, ends).await,
                Err(outcome) => outcome,
            });
        }
        outcomes
    }

    /// The leads' own bodies.
    fn bodies(&self, all: &[Delivery]) -> Result<Vec<Value>, Problem> {
        let [only] = self.parts.steps.as_slice() else {
            return Err(Problem::at(
                "/digest",
                "several leads cannot share several steps",
            ));
        };
        let body = |one: &Delivery| {
            let body = only.draft.body.value(&self.parts.context(one)?)?;
            Ok(body.unwrap_or_default())
        };
        all.iter().map(body).collect()
    }

    fn attempt<'a>(
        &'a self,
        delivery: &'a Delivery,
        lead: Context,
        events: &'a [u8],
        ends: Instant,
    ) -> Attempt<'a> {
        Attempt {
            client: &self.client,
            parts: &self.parts,
            host: &self.host,
            delivery,
            lead,
            events,
            ends,
            token: None,
        }
    }
}

/// What was written, over its preset and understood. All that is wrong is found at once.
fn understand(written: &Written, host: &Host) -> Result<Prepared, Problems> {
    let Settled { settings, missing } = written.settle()?;
    let read = read(&settings, host);
    if missing.is_empty() {
        return read;
    }
    let (places, lacking): (Vec<_>, Vec<_>) = missing
        .into_iter()
        .map(|missing| (missing.at, missing.problem))
        .unzip();
    // A part that lacks one of them would only say so again.
    let says_again = |problem: &Problem| {
        places.iter().any(|at| {
            at.starts_with(&problem.path) || (at == "/url" && problem.message == draft::NO_BASE)
        })
    };
    let others = read.err().unwrap_or_default().into_iter();
    let others = others.filter(|problem| !says_again(problem));
    Err(lacking.into_iter().chain(others).collect())
}

/// The settings understood, without a word about presets.
fn read(settings: &Settings, host: &Host) -> Result<Prepared, Problems> {
    let mut problems = Problems::default();
    let client = problems.keep(client::client(settings));
    let parts = problems.keep(Parts::new(settings, host));
    match (client, parts) {
        (Some(client), Some(parts)) => problems.into_result(Prepared { client, parts }),
        _ => Err(problems),
    }
}

/// Never nothing, which would mean no limit to some.
pub(crate) fn left(ends: Instant) -> Duration {
    ends.saturating_duration_since(Instant::now())
        .max(Duration::from_millis(1))
}

leadgate_plugin::export_sink!(leadgate_plugin_http, HttpSink);

#[cfg(test)]
mod tests;
