//! The `http` sink: hands each event to a destination as one HTTP request.
//!
//! The body is the whole event or what a template makes of it; the request may be signed as
//! Standard Webhooks. What the answer means is in [`classify`]. Nothing that a lead says can
//! change where the request goes.

mod classify;
mod request;
mod settings;
mod signer;

use std::time::Duration;

use leadgate_plugin::template::{Engine, Tree};
use leadgate_plugin::{Delivery, Host, Outcome, Problem, Problems, Sink};
use reqwest::header::HeaderMap;
use reqwest::{Client, Method, Url};

pub use crate::settings::{Preset, Settings};
use crate::signer::Signer;

/// Kept back from the host's timeout, so that our own outcome arrives first.
const MARGIN: Duration = Duration::from_millis(100);
/// Idle connections kept for each destination.
const IDLE: usize = 32;

/// The sink: what every request has in common.
#[derive(Clone)]
pub struct HttpSink {
    client: Client,
    method: Method,
    url: Url,
    headers: HeaderMap,
    body: Option<Tree>,
    signer: Option<Signer>,
}

impl Sink for HttpSink {
    type Settings = Settings;

    fn check(settings: &Settings, host: &Host) -> Problems {
        match parts(settings, host) {
            Ok(_) => Problems::default(),
            Err(problems) => problems,
        }
    }

    fn new(settings: Settings, host: Host) -> Result<Self, Problems> {
        // Fails only if the process has chosen a provider already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let parts = parts(&settings, &host)?;
        let client = Client::builder()
            .user_agent(concat!("leadgate/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(
                settings
                    .connect_timeout
                    .map_or(Duration::from_secs(5), |given| given.0),
            )
            .pool_max_idle_per_host(IDLE)
            .no_proxy()
            .build()
            .map_err(|error| Problem::at("", format!("the HTTP client cannot be made: {error}")))?;
        let Parts {
            method,
            url,
            headers,
            body,
            signer,
        } = parts;
        Ok(Self {
            client,
            method,
            url,
            headers,
            body,
            signer,
        })
    }

    async fn deliver(&self, delivery: &Delivery) -> Outcome {
        let request = match self.request(delivery) {
            Ok(request) => request,
            Err(problem) => return Outcome::rejected(problem.message).rule("template"),
        };
        let sent = request.summary();
        let patience = delivery
            .timeout()
            .saturating_sub(MARGIN)
            .max(delivery.timeout() / 2);
        let outcome = match self.client.execute(request.into_reqwest(patience)).await {
            Ok(answer) => classify::answer(answer).await,
            Err(error) => classify::failure(&error),
        };
        outcome.request(sent)
    }

    fn render(&self, delivery: &Delivery) -> Result<Option<String>, Problem> {
        self.request(delivery)
            .map(|request| Some(request.render(&self.headers)))
    }
}

/// What settings become once they are understood.
struct Parts {
    method: Method,
    url: Url,
    headers: HeaderMap,
    body: Option<Tree>,
    signer: Option<Signer>,
}

fn parts(settings: &Settings, host: &Host) -> Result<Parts, Problems> {
    let mut problems = Problems::default();
    let url = settings::url(&settings.url)
        .map_err(|problem| problems.push(problem))
        .ok();
    let method = settings::method(settings.method.as_deref())
        .map_err(|problem| problems.push(problem))
        .ok();
    let headers = settings::headers(&settings.headers, &mut problems);
    let signer = match &settings.secret {
        Some(secret) => Signer::new(secret)
            .map_err(|problem| problems.push(problem))
            .ok(),
        None => None,
    };
    if settings.preset == Some(Preset::StandardWebhooks) {
        if settings.secret.is_none() {
            let help = "add the secret that the destination shows for this webhook, as \"env:NAME\" or \"file:PATH\"";
            problems
                .push(Problem::at("", "the preset `standard-webhooks` needs `secret`").help(help));
        }
        if method.as_ref().is_some_and(|method| method != Method::POST) {
            problems.push(
                Problem::at("/method", "Standard Webhooks are sent by POST")
                    .help("leave `method` out"),
            );
        }
    }
    let body = settings.body.as_ref().and_then(|body| {
        let compiled = Engine::new(host.tables().clone()).tree(body);
        let to_problem =
            |error: leadgate_plugin::template::TemplateError| error.into_problem("/body");
        compiled
            .map_err(|errors| problems.extend(errors.into_iter().map(to_problem)))
            .ok()
    });
    match (problems.is_empty(), method, url) {
        (true, Some(method), Some(url)) => Ok(Parts {
            method,
            url,
            headers,
            body,
            signer,
        }),
        _ => Err(problems),
    }
}

leadgate_plugin::export_sink!(leadgate_plugin_http, HttpSink);

#[cfg(test)]
mod tests;
