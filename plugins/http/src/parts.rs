//! The parts of a sink: its settings once they are understood. All that is wrong with them is
//! found at once.

use leadgate_plugin::template::{Context, Engine};
use leadgate_plugin::{Delivery, Host, Problem, Problems, Secret, step};
use reqwest::Method;
use reqwest::header::{HeaderName, HeaderValue};

use serde_json::Value;

use crate::auth::{self, Carrier, Proof};
use crate::body::Body;
use crate::classify::Rules;
use crate::endpoint::Endpoint;
use crate::private;
use crate::settings::Settings;
use crate::signer::Signer;
use crate::slot::Slot;

/// Headers that this plugin or HTTP itself sets.
const OWN: [&str; 8] = [
    "content-length",
    "host",
    "transfer-encoding",
    "connection",
    "idempotency-key",
    "webhook-id",
    "webhook-timestamp",
    "webhook-signature",
];
/// Shorter secrets are not looked for in answers: they would hide everything.
const SHORTEST: usize = 6;

/// What every request has in common.
pub(crate) struct Parts {
    pub(crate) engine: Engine,
    pub(crate) method: Method,
    pub(crate) endpoint: Endpoint,
    pub(crate) query: Vec<(String, Slot)>,
    pub(crate) headers: Vec<(HeaderName, Slot)>,
    pub(crate) body: Body,
    pub(crate) signer: Option<Signer>,
    pub(crate) proof: Proof,
    pub(crate) rules: Rules,
    /// What no record may show.
    pub(crate) secrets: Vec<Secret>,
}

impl Parts {
    pub(crate) fn new(settings: &Settings, host: &Host) -> Result<Self, Problems> {
        let mut reader = Reader {
            settings,
            engine: Engine::new(host.tables().clone()),
            problems: Problems::default(),
        };
        let method = reader.method();
        let endpoint = reader.endpoint();
        let query = reader.query();
        let headers = reader.headers();
        let way = settings.body_as.unwrap_or_default();
        let body = Body::new(settings.body.as_ref(), way, &reader.engine);
        let body = reader.take(body);
        let signer = reader.signer();
        let proof = reader.proof(host);
        let rules = Rules::new(&settings.classify, &reader.engine);
        let rules = reader.take(rules);
        if let (Some(signer), Some(body)) = (&signer, &body)
            && signer.changes_body()
            && !body.is_json()
        {
            reader.problems.push(
                Problem::at("/body_as", "this signature goes into a JSON body")
                    .help("leave `body_as` out"),
            );
        }
        if let Some(proof) = &proof {
            reader.not_twice(proof);
            reader.not_private(endpoint.as_ref(), proof);
        }
        let Reader {
            engine, problems, ..
        } = reader;
        let parts = (|| {
            Some(Self {
                engine,
                method: method?,
                endpoint: endpoint?,
                query,
                headers,
                body: body?,
                signer,
                proof: proof?,
                rules: rules?,
                secrets: secrets(settings),
            })
        })();
        match parts {
            Some(parts) => problems.or(parts),
            None => Err(problems),
        }
    }

    /// What a delivery's templates may say. Without any, its event is not even read.
    pub(crate) fn context(&self, delivery: &Delivery) -> Result<Context, Problem> {
        let fixed = |slot: &Slot| matches!(slot, Slot::Fixed(_));
        let plain = self.endpoint.is_plain()
            && !self.body.is_given()
            && self.query.iter().all(|(_, slot)| fixed(slot))
            && self.headers.iter().all(|(_, slot)| fixed(slot));
        let event = if plain {
            Value::Null
        } else {
            serde_json::from_slice(delivery.event_bytes())
                .map_err(|_| Problem::at("", "the event is not JSON"))?
        };
        Ok(self.engine.event(&event, delivery.id()))
    }

    /// A GET without a body of its own sends none.
    pub(crate) fn sends_body(&self) -> bool {
        self.method != Method::GET || self.body.is_given()
    }
}

struct Reader<'a> {
    settings: &'a Settings,
    engine: Engine,
    problems: Problems,
}

impl Reader<'_> {
    fn take<T>(&mut self, read: Result<T, Vec<Problem>>) -> Option<T> {
        read.map_err(|problems| self.problems.extend(problems)).ok()
    }

    fn method(&mut self) -> Option<Method> {
        match self.settings.method.as_deref().unwrap_or("POST") {
            "POST" => Some(Method::POST),
            "PUT" => Some(Method::PUT),
            "PATCH" => Some(Method::PATCH),
            "GET" => Some(Method::GET),
            _ => {
                let problem = Problem::at("/method", "not a method for leads");
                self.problems
                    .push(problem.help("use POST, PUT, PATCH or GET"));
                None
            }
        }
    }

    fn endpoint(&mut self) -> Option<Endpoint> {
        let Some(url) = &self.settings.url else {
            let problem = Problem::at("", "`url` is missing: where to send");
            self.problems
                .push(problem.help("such as url = \"https://crm.example/leads\""));
            return None;
        };
        let read = Endpoint::new(url, &self.engine);
        self.take(read.map_err(|problem| vec![problem]))
    }

    fn query(&mut self) -> Vec<(String, Slot)> {
        let mut query = Vec::new();
        for (name, value) in &self.settings.query {
            let at = format!("/query{}", step(name));
            let slot = Slot::new(value, &at, &self.engine).map_err(|problem| vec![problem]);
            if let Some(slot) = self.take(slot) {
                query.push((name.clone(), slot));
            }
        }
        query
    }

    fn headers(&mut self) -> Vec<(HeaderName, Slot)> {
        let mut headers = Vec::new();
        for (name, value) in &self.settings.headers {
            let at = format!("/headers{}", step(name));
            let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else {
                self.problems.push(Problem::at(at, "not a header name"));
                continue;
            };
            if OWN.contains(&name.as_str()) {
                let problem = Problem::at(at, "this header is set by the plugin itself");
                self.problems.push(problem.help("leave it out"));
                continue;
            }
            let slot = Slot::new(value, &at, &self.engine).map_err(|problem| vec![problem]);
            let Some(slot) = self.take(slot) else {
                continue;
            };
            if let Slot::Fixed(secret) = &slot
                && HeaderValue::from_bytes(secret.expose().as_bytes()).is_err()
            {
                self.problems.push(Problem::at(
                    at,
                    "the value has characters that a header cannot carry",
                ));
                continue;
            }
            headers.push((name, slot));
        }
        headers
    }

    fn signer(&mut self) -> Option<Signer> {
        let short = self.settings.secret.as_ref();
        let Some(sign) = &self.settings.sign else {
            let signer = Signer::standard_webhooks(short?, "/secret");
            return self.take(signer.map_err(|problem| vec![problem]));
        };
        let (secret, at) = match (short, &sign.secret) {
            (Some(secret), None) => (secret, "/secret"),
            (None, Some(secret)) => (secret, "/sign/secret"),
            (Some(_), Some(_)) => {
                let problem = Problem::at("/secret", "`secret` and `sign.secret` say the same");
                self.problems.push(problem.help("remove one of them"));
                return None;
            }
            (None, None) => {
                let problem = Problem::at("/sign", "`sign` needs `secret`");
                self.problems.push(problem.help("secret = \"env:NAME\""));
                return None;
            }
        };
        let signer = Signer::new(sign, secret, at, &self.engine);
        self.take(signer)
    }

    fn proof(&mut self, host: &Host) -> Option<Proof> {
        let Some(auth) = &self.settings.auth else {
            return Some(Proof::None);
        };
        let proof = auth::build(auth, &self.engine, host);
        self.take(proof)
    }

    /// `auth` and `headers` must not both set a header.
    fn not_twice(&mut self, proof: &Proof) {
        let (Proof::Header(carried, _) | Proof::Token(_, Carrier::Header(carried, _))) = proof
        else {
            return;
        };
        for name in self.settings.headers.keys() {
            if name.eq_ignore_ascii_case(carried.as_str()) {
                let at = format!("/headers{}", step(name));
                let problem = Problem::at(at, "`auth` sets this header already");
                self.problems.push(problem.help("remove one of them"));
            }
        }
    }

    fn not_private(&mut self, endpoint: Option<&Endpoint>, proof: &Proof) {
        if !self.settings.deny_private {
            return;
        }
        let mut urls = Vec::new();
        urls.extend(endpoint.map(|endpoint| ("/url", endpoint.base().clone())));
        if let Proof::Token(tokens, _) = proof {
            urls.push(("/auth/token_url", tokens.url().clone()));
        }
        for (at, url) in urls {
            if private::is_private_url(&url) {
                let problem = Problem::at(at, "a private address, and `deny_private` is set");
                self.problems.push(problem);
            }
        }
    }
}

/// All secrets of the settings.
fn secrets(settings: &Settings) -> Vec<Secret> {
    let mut secrets: Vec<Secret> = settings
        .headers
        .values()
        .chain(settings.query.values())
        .chain(&settings.secret)
        .chain(settings.sign.iter().filter_map(|sign| sign.secret.as_ref()))
        .cloned()
        .collect();
    if let Some(auth) = &settings.auth {
        let named = [
            &auth.password,
            &auth.token,
            &auth.value,
            &auth.client_secret,
            &auth.refresh_token,
        ];
        secrets.extend(named.into_iter().flatten().cloned());
        secrets.extend(auth.headers.values().chain(auth.params.values()).cloned());
    }
    secrets.retain(|secret| secret.expose().len() >= SHORTEST);
    secrets
}
