//! The `http` sink: hands each event to a destination as one HTTP request.
//!
//! [`preset`] lays the settings over those of a known destination, [`parts`] understands them,
//! [`request`] makes a request of them and a lead, [`classify`] says what the answer means.
//! Nothing that a lead says can change where the request goes, and nothing that an answer
//! repeats of the lead is kept.

mod answer;
mod auth;
mod body;
mod classify;
mod endpoint;
mod jwt;
mod parts;
mod preset;
mod private;
mod redact;
mod request;
mod settings;
mod signer;
mod slot;
mod token;

use std::time::{Duration, SystemTime};

use leadgate_plugin::template::Context;
use leadgate_plugin::{Delivery, Ending, Host, Outcome, Problem, Problems, Secret, Sink};
use reqwest::Client;
use tokio::time::Instant;

use crate::answer::Answer;
use crate::auth::Proof;
use crate::parts::Parts;
use crate::preset::Settled;
pub use crate::preset::Written;
use crate::redact::Redactor;
pub use crate::settings::{
    Algorithm, Auth, AuthKind, BodyAs, Encoding, Preset, Rule, Settings, Sign, SignKind, Verdict,
};

/// Kept back from the host's timeout, so that our own outcome arrives first.
const MARGIN: Duration = Duration::from_millis(100);
/// Idle connections kept for each destination.
const IDLE: usize = 32;

/// The sink.
pub struct HttpSink {
    client: Client,
    parts: Parts,
}

impl Sink for HttpSink {
    type Settings = Written;

    fn check(written: &Written, host: &Host) -> Problems {
        understand(written, host).err().unwrap_or_default()
    }

    fn new(written: Written, host: Host) -> Result<Self, Problems> {
        let (settings, parts) = understand(&written, &host)?;
        Self::with(&settings, parts)
    }

    async fn deliver(&self, delivery: &Delivery) -> Outcome {
        let ends = Instant::now()
            + delivery
                .timeout()
                .saturating_sub(MARGIN)
                .max(delivery.timeout() / 2);
        let context = match self.parts.context(delivery) {
            Ok(context) => context,
            Err(problem) => return Outcome::rejected(problem.to_string()).rule("template"),
        };
        let lead = Lead {
            delivery,
            context,
            ends,
        };
        let Proof::Token(tokens, _) = &self.parts.proof else {
            return self.attempt(&lead, None).await;
        };
        let token = match tokens.get(&self.client, ends, None).await {
            Ok(token) => token,
            Err(outcome) => return outcome,
        };
        let outcome = self.attempt(&lead, Some(&token.secret)).await;
        if outcome.ending != Ending::Reauth {
            return outcome;
        }
        // Once: if another token is refused as well, it is not the token.
        match tokens.get(&self.client, ends, Some(&token)).await {
            Ok(newer) => self.attempt(&lead, Some(&newer.secret)).await,
            Err(outcome) => outcome,
        }
    }

    fn render(&self, delivery: &Delivery) -> Result<Option<String>, Problem> {
        let context = self.parts.context(delivery)?;
        // A token is not fetched for a look.
        let token = Secret::new("***");
        self.parts
            .request(delivery, &context, Some(&token), SystemTime::now())
            .map(|request| Some(request.render()))
    }
}

/// What was written, over its preset and understood. All that is wrong is found at once.
fn understand(written: &Written, host: &Host) -> Result<(Settings, Parts), Problems> {
    let Settled { settings, missing } = written.settle()?;
    let read = Parts::new(&settings, host);
    if missing.is_empty() {
        return read.map(|parts| (settings, parts));
    }
    let (places, lacking): (Vec<_>, Vec<_>) = missing
        .into_iter()
        .map(|missing| (missing.at, missing.problem))
        .unzip();
    // A part that lacks one of them would only say so again.
    let says_again = |problem: &Problem| places.iter().any(|at| at.starts_with(&problem.path));
    let others = read.err().unwrap_or_default().into_iter();
    let others = others.filter(|problem| !says_again(problem));
    Err(lacking.into_iter().chain(others).collect())
}

/// One attempt's lead, and when it must have ended.
struct Lead<'a> {
    delivery: &'a Delivery,
    context: Context,
    ends: Instant,
}

/// Never nothing, which would mean no limit to some.
pub(crate) fn left(ends: Instant) -> Duration {
    ends.saturating_duration_since(Instant::now())
        .max(Duration::from_millis(1))
}

impl HttpSink {
    fn with(settings: &Settings, parts: Parts) -> Result<Self, Problems> {
        // Fails only if the process has chosen a provider already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut client = Client::builder()
            .user_agent(concat!("leadgate/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(
                settings
                    .connect_timeout
                    .map_or(Duration::from_secs(5), |given| given.0),
            )
            .pool_max_idle_per_host(IDLE)
            .no_proxy();
        if settings.deny_private {
            client = client.dns_resolver(std::sync::Arc::new(private::PublicOnly));
        }
        let client = client
            .build()
            .map_err(|error| Problem::at("", format!("the HTTP client cannot be made: {error}")))?;
        Ok(Self { client, parts })
    }

    async fn attempt(&self, lead: &Lead<'_>, token: Option<&Secret>) -> Outcome {
        let now = SystemTime::now();
        let request = match self.parts.request(lead.delivery, &lead.context, token, now) {
            Ok(request) => request,
            Err(problem) => return Outcome::rejected(problem.to_string()).rule("template"),
        };
        let sent = request.summary();
        let outcome = match self
            .client
            .execute(request.into_reqwest(left(lead.ends)))
            .await
        {
            Ok(response) => {
                let answer = Answer::read(response).await;
                let event = lead.delivery.event_bytes();
                let redactor = Redactor::new(event, &self.parts.secrets, token);
                self.parts.rules.decide(&answer, &redactor, now)
            }
            Err(error) => classify::failure(&error),
        };
        outcome.request(sent)
    }
}

leadgate_plugin::export_sink!(leadgate_plugin_http, HttpSink);

#[cfg(test)]
mod tests;
