//! The `http` sink: hands each event to a destination as one HTTP request, or as several steps.
//!
//! [`preset`] lays the settings over those of a known destination, [`parts`] understands them,
//! [`attempt`] goes through the steps: [`request`] makes a request of a step and a lead,
//! [`classify`] says what the answer means, [`journal`] remembers what is done.
//! Nothing that a lead says can change where the request goes, and nothing that an answer
//! repeats of the lead is kept.

mod answer;
mod attempt;
mod auth;
mod body;
mod classify;
mod draft;
mod endpoint;
mod journal;
mod jwt;
mod parts;
mod preset;
mod private;
mod redact;
mod request;
mod settings;
mod signer;
mod slot;
mod step;
mod token;

use std::time::{Duration, SystemTime};

use leadgate_plugin::{Delivery, Host, Outcome, Problem, Problems, Secret, Sink};
use reqwest::Client;
use tokio::time::Instant;

use crate::attempt::Attempt;
use crate::parts::Parts;
use crate::preset::Settled;
pub use crate::preset::Written;
pub use crate::settings::{
    Algorithm, Auth, AuthKind, BodyAs, Encoding, Preset, Rule, Settings, Sign, SignKind, Step,
    Verdict,
};

/// Kept back from the host's timeout, so that our own outcome arrives first.
const MARGIN: Duration = Duration::from_millis(100);
/// Idle connections kept for each destination.
const IDLE: usize = 32;

/// The sink.
pub struct HttpSink {
    client: Client,
    parts: Parts,
    host: Host,
}

impl Sink for HttpSink {
    type Settings = Written;

    fn check(written: &Written, host: &Host) -> Problems {
        understand(written, host).err().unwrap_or_default()
    }

    fn new(written: Written, host: Host) -> Result<Self, Problems> {
        let (settings, parts) = understand(&written, &host)?;
        Self::with(&settings, parts, host)
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
        let attempt = Attempt {
            client: &self.client,
            parts: &self.parts,
            host: &self.host,
            delivery,
            lead: context,
            ends,
            token: None,
        };
        attempt.run().await
    }

    fn render(&self, delivery: &Delivery) -> Result<Option<String>, Problem> {
        let context = self.parts.context(delivery)?;
        // A token is not fetched for a look.
        let token = Secret::new("***");
        let now = SystemTime::now();
        self.parts.render(delivery, &context, &token, now).map(Some)
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
    let says_again = |problem: &Problem| {
        places.iter().any(|at| {
            at.starts_with(&problem.path) || (at == "/url" && problem.message == draft::NO_BASE)
        })
    };
    let others = read.err().unwrap_or_default().into_iter();
    let others = others.filter(|problem| !says_again(problem));
    Err(lacking.into_iter().chain(others).collect())
}

/// Never nothing, which would mean no limit to some.
pub(crate) fn left(ends: Instant) -> Duration {
    ends.saturating_duration_since(Instant::now())
        .max(Duration::from_millis(1))
}

impl HttpSink {
    fn with(settings: &Settings, parts: Parts, host: Host) -> Result<Self, Problems> {
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
        Ok(Self {
            client,
            parts,
            host,
        })
    }
}

leadgate_plugin::export_sink!(leadgate_plugin_http, HttpSink);

#[cfg(test)]
mod tests;
