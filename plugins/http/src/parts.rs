//! The parts of a sink: its settings once they are understood. All that is wrong with them is
//! found at once.

use std::fmt::Write;
use std::time::SystemTime;

use leadgate_plugin::template::{Context, Engine, Scope};
use leadgate_plugin::{Delivery, Host, Problem, Problems, Secret};
use serde_json::Value;

use crate::auth::{self, Carrier, Proof};
use crate::classify::Rules;
use crate::digest::Digest;
use crate::draft::{self, Draft, Headers, Query, Written};
use crate::private;
use crate::settings::Settings;
use crate::signer::Signer;
use crate::slot::Slot;
use crate::step::{self, Step, Values};

/// Shorter secrets are not looked for in answers: they would hide everything.
const SHORTEST: usize = 6;

/// What every attempt needs.
pub(crate) struct Parts {
    pub(crate) engine: Engine,
    pub(crate) steps: Vec<Step>,
    pub(crate) digest: Option<Digest>,
    /// What all steps send besides their own.
    pub(crate) headers: Headers,
    pub(crate) query: Query,
    /// For all steps, after their own.
    pub(crate) rules: Rules,
    pub(crate) signer: Option<Signer>,
    pub(crate) proof: Proof,
    /// By which all requests go; its URL may hold a password.
    pub(crate) proxy: Option<Secret>,
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
        let steps = reader.steps();
        let digest = Digest::new(settings, &reader.engine);
        let digest = reader.take(digest).flatten();
        let (headers, query) = reader.shared();
        let signer = reader.signer();
        let proof = reader.proof();
        let rules = Rules::new(&settings.classify, &reader.engine);
        let rules = reader.take(rules);
        if let (Some(proof), Some(steps)) = (&proof, &steps) {
            reader.fit(signer.as_ref(), proof, steps);
            reader.not_private(steps, proof);
        }
        if let Some(proof) = &proof {
            reader.not_twice(proof);
        }
        let Reader {
            engine, problems, ..
        } = reader;
        match (steps, proof, rules) {
            (Some(steps), Some(proof), Some(rules)) => problems.into_result(Self {
                engine,
                steps,
                digest,
                headers,
                query,
                rules,
                signer,
                proof,
                proxy: settings.proxy.clone(),
                secrets: secrets(settings),
            }),
            _ => Err(problems),
        }
    }

    /// What a delivery's templates may say. Without any, its event is not even read.
    pub(crate) fn context(&self, delivery: &Delivery) -> Result<Context, Problem> {
        let fixed = |slot: &Slot| matches!(slot, Slot::Fixed(_));
        let plain = |step: &Step| step.when.is_none() && step.draft.is_plain();
        let plain = self.steps.iter().all(plain)
            && self.query.iter().all(|(_, slot)| fixed(slot))
            && self.headers.iter().all(|(_, slot)| fixed(slot));
        let event = if plain { Value::Null } else { delivery.json()? };
        Ok(self.engine.event(&event, delivery.id()))
    }

    /// What would be sent, each step with stand-ins for what earlier ones would have given.
    /// `token` stands for one that would be fetched.
    pub(crate) fn render(
        &self,
        delivery: &Delivery,
        lead: &Context,
        token: &Secret,
        now: SystemTime,
    ) -> Result<String, Problem> {
        let look = |step: &Step, context: &Context| {
            let request = self.request(step, delivery, context, Some(token), now);
            request.map(|request| request.render())
        };
        let mut values = Values::new();
        let mut text = String::new();
        for (number, step) in self.steps.iter().enumerate() {
            if step.name.is_empty() {
                return look(step, lead);
            }
            let context = step::context(lead, &values);
            let _ = write!(text, "# {}. {}", number + 1, step.name);
            if let Some(when) = &step.when {
                let _ = write!(text, ", when {}", when.written);
            }
            let request = look(step, &context)?;
            let _ = write!(text, "\n{}\n\n", request.trim_end());
            values.insert(step.name.clone(), step.stand_ins());
        }
        Ok(text)
    }
}

struct Reader<'a> {
    settings: &'a Settings,
    engine: Engine,
    problems: Problems,
}

impl Reader<'_> {
    fn take<T>(&mut self, read: Result<T, Vec<Problem>>) -> Option<T> {
        self.problems.keep(read)
    }

    fn steps(&mut self) -> Option<Vec<Step>> {
        let settings = self.settings;
        if settings.steps.is_empty() {
            let written = Written::whole(settings);
            let draft = Draft::new(&written, &self.engine, &Scope::EVENT);
            return self.take(draft).map(|draft| vec![Step::only(draft)]);
        }
        for (key, given) in [
            ("method", settings.method.is_some()),
            ("body", settings.body.is_some()),
            ("body_as", settings.body_as.is_some()),
        ] {
            if given {
                let message = format!("`{key}` belongs to one of the `steps`");
                let problem = Problem::at(format!("/{key}"), message);
                self.problems.push(problem.help("move it there"));
            }
        }
        let base = settings.url.as_deref();
        if let Some(Err(problem)) = base.map(draft::base) {
            self.problems.push(problem);
            return None;
        }
        let read = step::read(&settings.steps, base, &self.engine);
        self.take(read)
    }

    /// Headers and query for all steps; those of a single request are its own.
    fn shared(&mut self) -> (Headers, Query) {
        if self.settings.steps.is_empty() {
            return (Vec::new(), Vec::new());
        }
        let read = draft::shared(self.settings, &self.engine);
        self.take(read).unwrap_or_default()
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

    fn proof(&mut self) -> Option<Proof> {
        let Some(auth) = &self.settings.auth else {
            return Some(Proof::None);
        };
        let proof = auth::build(auth, &self.engine);
        self.take(proof)
    }

    /// `auth` and `headers` must not both set a header.
    fn not_twice(&mut self, proof: &Proof) {
        let (Proof::Header(carried, _) | Proof::Token(_, Carrier::Header(carried, _))) = proof
        else {
            return;
        };
        let own = self.settings.headers.keys();
        let mut names: Vec<(String, &String)> = own.map(|name| (String::new(), name)).collect();
        for (number, step) in self.settings.steps.iter().enumerate() {
            let at = format!("/steps/{number}");
            names.extend(step.headers.keys().map(|name| (at.clone(), name)));
        }
        for (at, name) in names {
            if name.eq_ignore_ascii_case(carried.as_str()) {
                let at = format!("{at}/headers{}", leadgate_plugin::pointer_segment(name));
                let problem = Problem::at(at, "`auth` sets this header already");
                self.problems.push(problem.help("remove one of them"));
            }
        }
    }

    /// What must go into the body needs one that can take it.
    fn fit(&mut self, signer: Option<&Signer>, proof: &Proof, steps: &[Step]) {
        let signed = signer.is_some_and(Signer::changes_body);
        let carried = matches!(proof, Proof::Token(_, Carrier::Body(_)));
        for (number, step) in steps.iter().enumerate() {
            let at = match step.name.as_str() {
                "" => String::new(),
                _ => format!("/steps/{number}"),
            };
            let json = step.draft.body.is_json();
            if signed && !json {
                let message = "this signature goes into a JSON body";
                let problem = Problem::at(format!("{at}/body_as"), message);
                self.problems.push(problem.help("leave `body_as` out"));
            }
            if carried && !(json && step.draft.sends_body()) {
                let problem = Problem::at(at, "`auth.token_body` needs a request with a JSON body");
                self.problems
                    .push(problem.help("use `token_header` or `token_query`"));
            }
        }
    }

    fn not_private(&mut self, steps: &[Step], proof: &Proof) {
        if !self.settings.deny_private {
            return;
        }
        let mut urls: Vec<_> = steps
            .iter()
            .enumerate()
            .map(|(number, step)| {
                let own = self.settings.steps.get(number);
                let own = own
                    .is_some_and(|step| step.url.as_ref().is_some_and(|url| !url.starts_with('/')));
                let at = if own {
                    format!("/steps/{number}/url")
                } else {
                    "/url".to_owned()
                };
                (at, step.draft.endpoint.base().clone())
            })
            .collect();
        if let Proof::Token(tokens, _) = proof {
            urls.push(("/auth/token_url".to_owned(), tokens.url().clone()));
        }
        urls.dedup();
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
    let steps = || settings.steps.iter();
    let mut secrets: Vec<Secret> = settings
        .headers
        .values()
        .chain(settings.query.values())
        .chain(steps().flat_map(|step| step.headers.values().chain(step.query.values())))
        .chain(&settings.secret)
        .chain(&settings.proxy)
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
