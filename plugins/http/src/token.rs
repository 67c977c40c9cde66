//! Tokens: fetched when needed, kept while good, renewed before they run out.
//!
//! One request for a token at a time, whoever needs it: some destinations forbid two, and a
//! refresh token may be good only once. A token that was refused is renewed once for all who
//! were refused with it. A token endpoint that fails is left alone for a moment. A refresh token
//! that the destination replaced is kept by the host for the next run ([`crate::refresh`]).

use std::time::{Duration, SystemTime};

use leadgate_plugin::template::{Condition, Template};
use leadgate_plugin::{Host, Level, Outcome, Secret};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Client, Method, Url};
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::answer::{Answer, Unread, wait};
use crate::body::form_of;
use crate::failure::{cause, is_late};
use crate::jwt::Assertion;
use crate::left;
use crate::refresh::Refresh;

/// A failed fetch speaks for everybody who asks within this time.
const PAUSE: Duration = Duration::from_secs(1);
/// A token is renewed when the tenth part of its life is left …
const EARLY: u32 = 10;
/// … but not earlier than this before its end.
const EARLIEST: Duration = Duration::from_mins(5);
/// Less time than this is not enough for a lead after its token.
const LAST: Duration = Duration::from_millis(50);
/// Longest life that is believed.
const LONGEST: Duration = Duration::from_hours(24 * 30);

/// How a token is fetched.
pub(crate) struct Fetch {
    pub(crate) url: Url,
    pub(crate) grant: Grant,
    /// Whether an answer is good; without it a status of 2xx is.
    pub(crate) ok_when: Option<Condition>,
    pub(crate) token: Template,
    pub(crate) expires_in: Template,
    pub(crate) lifetime: Duration,
}

/// What is sent for a token.
pub(crate) enum Grant {
    Form(Box<Form>),
    /// Headers and a JSON body.
    Request(HeaderMap, Option<Secret>),
}

impl Grant {
    /// The configured refresh token, if that is what is sent.
    fn refresh_token(&self) -> Option<&Secret> {
        let Self::Form(form) = self else {
            return None;
        };
        let used = form.fields.iter().find(|(name, _)| name == "refresh_token");
        used.map(|(_, secret)| secret)
    }
}

/// A grant of OAuth 2.
pub(crate) struct Form {
    pub(crate) fields: Vec<(String, Secret)>,
    /// The client as basic credentials.
    pub(crate) basic: Option<HeaderValue>,
    pub(crate) assertion: Option<Assertion>,
}

/// A token, and which one it is.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub(crate) secret: Secret,
    number: u64,
    renew_at: Instant,
    ends_at: Instant,
}

/// The tokens of one sink.
pub(crate) struct Tokens {
    fetch: Fetch,
    /// Held over the request: this is what makes it one at a time.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    token: Option<Token>,
    fetched: u64,
    failed: Option<(Instant, Outcome)>,
    /// What is used instead of the configured one, once it was looked for.
    refresh: Option<Refresh>,
}

impl Tokens {
    pub(crate) fn new(fetch: Fetch) -> Self {
        Self {
            fetch,
            state: Mutex::default(),
        }
    }

    /// Whether fetching one may cost the refresh token.
    pub(crate) fn may_be_replaced(&self) -> bool {
        self.fetch.grant.refresh_token().is_some()
    }

    /// Where tokens come from.
    pub(crate) fn url(&self) -> &Url {
        &self.fetch.url
    }

    /// A token that is good now, other than `refused`. The error is what it means for the
    /// delivery that there is none: nothing was sent.
    pub(crate) async fn get(
        &self,
        client: &Client,
        host: &Host,
        ends: Instant,
        refused: Option<&Token>,
    ) -> Result<Token, Outcome> {
        let late = || Outcome::retry(None, "no token in time").rule("token-timeout");
        let Ok(mut state) = tokio::time::timeout_at(ends, self.state.lock()).await else {
            return Err(late());
        };
        let now = Instant::now();
        let known = state
            .token
            .clone()
            .filter(|token| token.ends_at > now)
            .filter(|token| refused.is_none_or(|refused| refused.number != token.number));
        if let Some(token) = &known
            && token.renew_at > now
        {
            return Ok(token.clone());
        }
        if let Some((at, outcome)) = &state.failed
            && now.duration_since(*at) < PAUSE
        {
            return known.ok_or_else(|| outcome.clone());
        }
        match self.fetch(client, host, left(ends), &mut state).await {
            Ok(token) => {
                state.failed = None;
                state.token = Some(token.clone());
                // Whatever was sent now would hardly be answered, and be in doubt for nothing.
                if left(ends) < LAST {
                    return Err(late());
                }
                Ok(token)
            }
            Err(outcome) => {
                state.failed = Some((Instant::now(), outcome.clone()));
                host.log(
                    Level::Warn,
                    "a token could not be fetched",
                    &json!({"reason": outcome.reason, "rule": outcome.rule}),
                );
                // An early renewal that fails is tried again while the old token is good.
                known.ok_or(outcome)
            }
        }
    }

    async fn fetch(
        &self,
        client: &Client,
        host: &Host,
        patience: Duration,
        state: &mut State,
    ) -> Result<Token, Outcome> {
        let asked = Instant::now();
        if state.refresh.is_none()
            && let Some(configured) = self.fetch.grant.refresh_token()
        {
            state.refresh = Some(Refresh::load(host, configured).await);
        }
        let request = self.request(patience, state).ok_or_else(|| {
            Outcome::retry(None, "the assertion could not be signed").rule("token")
        })?;
        let answer = match client.execute(request).await {
            Ok(response) => Answer::read(response).await,
            Err(error) if is_late(&error) && !error.is_connect() => {
                return Err(
                    Outcome::retry(None, "the token endpoint did not answer in time")
                        .rule("token-timeout"),
                );
            }
            Err(error) => {
                let reason = format!("no connection to the token endpoint: {}", cause(&error));
                return Err(Outcome::retry(None, reason).rule("token-connect"));
            }
        };
        // Before anything else is asked of the answer: the old one may be worth nothing by now.
        if answer.is_success()
            && let (Some(refresh), Value::String(newer)) =
                (&mut state.refresh, answer.said("refresh_token"))
        {
            refresh.replace(host, newer).await;
        }
        // Of another status it is enough to know that it is one.
        let unread = |why: &Unread| {
            if answer.is_success() {
                not_read(&answer, why)
            } else {
                refused(&answer, "")
            }
        };
        let view = answer.view();
        let good = match &self.fetch.ok_when {
            Some(condition) => view.meets(condition).map_err(unread)?,
            None => answer.is_success(),
        };
        if !good {
            return Err(refused(
                &answer,
                "`auth.ok_when` does not hold for what is in it",
            ));
        }
        let token = view.text(&self.fetch.token).map_err(unread)?;
        let Some(token) = token.filter(|token| !token.is_empty()) else {
            return Err(refused(
                &answer,
                "there is no token where `auth` looks for it",
            ));
        };
        let life = view.text(&self.fetch.expires_in).ok().flatten();
        let life = life
            .and_then(|text| wait(&text))
            .filter(|life| !life.is_zero())
            .unwrap_or(self.fetch.lifetime)
            .min(LONGEST);
        state.fetched += 1;
        Ok(Token {
            secret: Secret::new(token),
            number: state.fetched,
            renew_at: asked + life.saturating_sub(early(life)),
            ends_at: asked + life,
        })
    }

    /// `None` if the assertion could not be signed.
    fn request(&self, patience: Duration, state: &State) -> Option<reqwest::Request> {
        let mut request = reqwest::Request::new(Method::POST, self.fetch.url.clone());
        *request.timeout_mut() = Some(patience);
        let headers = request.headers_mut();
        headers.insert("accept", HeaderValue::from_static("application/json"));
        let body = match &self.fetch.grant {
            Grant::Form(form) => {
                headers.insert(
                    CONTENT_TYPE,
                    HeaderValue::from_static("application/x-www-form-urlencoded"),
                );
                if let Some(basic) = &form.basic {
                    headers.insert(AUTHORIZATION, basic.clone());
                }
                let assertion = match &form.assertion {
                    None => None,
                    Some(assertion) => Some(assertion.sign(SystemTime::now())?),
                };
                let fields = form
                    .fields
                    .iter()
                    .map(|(name, value)| match &state.refresh {
                        Some(refresh) if name == "refresh_token" => {
                            (name.as_str(), refresh.current().expose())
                        }
                        _ => (name.as_str(), value.expose()),
                    });
                let assertion = assertion
                    .iter()
                    .map(|assertion| ("assertion", assertion.expose()));
                Some(form_of(fields.chain(assertion)))
            }
            Grant::Request(given, body) => {
                if body.is_some() {
                    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                }
                headers.extend(given.clone());
                body.as_ref().map(|body| body.expose().to_owned())
            }
        };
        match body {
            Some(body) => *request.body_mut() = Some(body.into()),
            None => *request.method_mut() = Method::GET,
        }
        Some(request)
    }
}

/// How long before its end a token that lives this long is renewed.
fn early(life: Duration) -> Duration {
    (life / EARLY).min(EARLIEST)
}

/// What it means that the answer could not be read: nothing of the credentials.
fn not_read(answer: &Answer, why: &Unread) -> Outcome {
    let reason = format!("the token endpoint answered {}, and {why}", answer.status);
    let after = answer.retry_after(SystemTime::now());
    Outcome::retry(after, reason).rule("token-unreadable")
}

/// What an answer means that gives no token. `lack` is what it lacks, if it says nothing itself.
fn refused(answer: &Answer, lack: &str) -> Outcome {
    let named = answer.said("error").as_str().filter(|name| {
        name.len() <= 40
            && name
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'_')
    });
    // Some say with 200 that there is no token.
    let code = ["code", "errcode", "errorCode"].iter().find_map(|key| {
        let code = answer.said(key).as_i64()?;
        (code != 0).then(|| code.to_string())
    });
    let named = named.map(str::to_owned).or(code);
    let more = match (named, answer.leads_to()) {
        (Some(name), _) => format!(" {name}"),
        (None, Some(place)) if (300..400).contains(&answer.status) => format!(" to {place}"),
        _ if answer.is_success() => format!(", and {lack}"),
        _ => String::new(),
    };
    let reason = format!("the token endpoint answered {}{more}", answer.status);
    let after = answer.retry_after(SystemTime::now());
    match answer.status {
        408 | 425 | 429 | 500..=599 => Outcome::retry(after, reason).rule("token-busy"),
        _ => Outcome::reauth(reason).rule("token"),
    }
}

#[cfg(test)]
mod tests {
    use leadgate_plugin::Tables;
    use leadgate_plugin::template::Engine;

    use super::*;
    use crate::answer::SCOPE;

    fn host() -> Host {
        Host::detached("crm", Tables::new())
    }

    /// Tokens from where nobody listens.
    fn tokens() -> Tokens {
        let engine = Engine::new(Tables::new());
        let template = |text| engine.template(text, &SCOPE).expect("valid");
        let fetch = Fetch {
            url: Url::parse("http://127.0.0.1:1/token").expect("a URL"),
            grant: Grant::Request(HeaderMap::new(), None),
            ok_when: None,
            token: template("{{ body.access_token }}"),
            expires_in: template("{{ body.expires_in }}"),
            lifetime: Duration::from_secs(60),
        };
        Tokens::new(fetch)
    }

    async fn with_token(renew_in: Duration, ends_in: Duration) -> (Tokens, Client, Token) {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let tokens = tokens();
        let now = Instant::now();
        let token = Token {
            secret: Secret::new("old"),
            number: 1,
            renew_at: now + renew_in,
            ends_at: now + ends_in,
        };
        tokens.state.lock().await.token = Some(token.clone());
        (tokens, Client::new(), token)
    }

    #[test]
    fn tokens_are_renewed_before_they_run_out() {
        assert_eq!(early(Duration::from_secs(7200)), Duration::from_mins(5));
        assert_eq!(early(Duration::from_secs(100)), Duration::from_secs(10));
        assert_eq!(early(Duration::ZERO), Duration::ZERO);
    }

    #[tokio::test]
    async fn an_early_renewal_that_fails_leaves_the_old_token() {
        let second = Duration::from_secs(60);
        let (tokens, client, _) = with_token(Duration::ZERO, second).await;
        let kept = tokens
            .get(&client, &host(), Instant::now() + second, None)
            .await;
        let token = kept.expect("the old one");
        assert_eq!(token.secret.expose(), "old");
        assert!(tokens.state.lock().await.failed.is_some(), "it was tried");
    }

    #[tokio::test]
    async fn a_token_that_ran_out_or_was_refused_is_not_used() {
        let second = Duration::from_secs(60);
        let (tokens, client, _) = with_token(Duration::ZERO, Duration::ZERO).await;
        let outcome = tokens
            .get(&client, &host(), Instant::now() + second, None)
            .await
            .expect_err("none");
        assert_eq!(outcome.rule, "token-connect");
        let (tokens, client, refused) = with_token(second, second).await;
        assert!(
            tokens
                .get(&client, &host(), Instant::now() + second, Some(&refused))
                .await
                .is_err()
        );
        assert!(
            tokens
                .get(&client, &host(), Instant::now() + second, None)
                .await
                .is_ok()
        );
    }
}
