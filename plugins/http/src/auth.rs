//! Authentication: how the destination knows who sends.
//!
//! Fixed ways are ready from the start; the others fetch a token when the first request needs
//! one, and keep it in [`crate::token`].

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use leadgate_plugin::template::{self, Engine, Template};
use leadgate_plugin::{Problem, Problems, Secret, pointer_segment};
use reqwest::Url;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};

use crate::answer::SCOPE;
use crate::endpoint::{absolute, has_template};
use crate::jwt::{self, Assertion};
use crate::settings::{Auth, AuthKind};
use crate::token::{Fetch, Form, Grant, Tokens};

/// A token without a lifetime is believed good for this long.
const LIFETIME: Duration = Duration::from_hours(1);

/// How requests prove who sends.
pub(crate) enum Proof {
    None,
    /// The same header each time.
    Header(HeaderName, HeaderValue),
    /// The same query parameter each time.
    Query(String, Secret),
    /// A token that is fetched.
    Token(Box<Tokens>, Carrier),
}

/// Where a fetched token goes.
pub(crate) enum Carrier {
    Header(HeaderName, String),
    Query(String),
    /// A field of a JSON body.
    Body(String),
}

impl Carrier {
    /// Puts `token` where it belongs.
    pub(crate) fn carry(
        &self,
        token: &Secret,
        headers: &mut HeaderMap,
        query: &mut Vec<(String, String, bool)>,
    ) -> Result<(), Problem> {
        match self {
            Self::Header(name, prefix) => {
                let value = header_value(&format!("{prefix}{}", token.expose()), "/auth")?;
                headers.insert(name.clone(), value);
            }
            Self::Query(name) => query.push((name.clone(), token.expose().to_owned(), false)),
            // Where the body is made.
            Self::Body(_) => {}
        }
        Ok(())
    }
}

pub(crate) fn header_value(text: &str, at: &str) -> Result<HeaderValue, Problem> {
    let mut value = HeaderValue::from_str(text)
        .map_err(|_| Problem::at(at, "the value has characters that a header cannot carry"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// Reads what of `auth` its kind asks for, and refuses the rest.
struct Reader<'a> {
    auth: &'a Auth,
    kind: AuthKind,
    engine: &'a Engine,
    problems: Vec<Problem>,
}

/// Checks `auth` and makes what it describes.
pub(crate) fn build(auth: &Auth, engine: &Engine) -> Result<Proof, Vec<Problem>> {
    let Some(kind) = auth.kind else {
        let help = "such as { kind = \"bearer\", token = \"env:NAME\" }";
        return Err(vec![Problem::at("/auth", "`auth` needs `kind`").help(help)]);
    };
    let mut reader = Reader {
        auth,
        kind,
        engine,
        problems: Vec::new(),
    };
    reader.refuse_foreign();
    let proof = reader.proof();
    match proof {
        Some(proof) if reader.problems.is_empty() => Ok(proof),
        _ => Err(reader.problems),
    }
}

impl Reader<'_> {
    /// A key that the kind does not know would be believed obeyed.
    fn refuse_foreign(&mut self) {
        use AuthKind::{
            Basic, Bearer, Header, Oauth2ClientCredentials, Oauth2JwtBearer, Oauth2Password,
            Oauth2RefreshToken, Query, TokenRequest,
        };
        let auth = self.auth;
        let oauth: &[AuthKind] = &[
            Oauth2ClientCredentials,
            Oauth2RefreshToken,
            Oauth2Password,
            Oauth2JwtBearer,
        ];
        let fetched: &[AuthKind] = &[
            Oauth2ClientCredentials,
            Oauth2RefreshToken,
            Oauth2Password,
            Oauth2JwtBearer,
            TokenRequest,
        ];
        let keys: [(&str, bool, &[AuthKind]); 23] = [
            (
                "username",
                auth.username.is_some(),
                &[Basic, Oauth2Password],
            ),
            (
                "password",
                auth.password.is_some(),
                &[Basic, Oauth2Password],
            ),
            ("token", auth.token.is_some(), &[Bearer, TokenRequest]),
            ("name", auth.name.is_some(), &[Header, Query]),
            ("value", auth.value.is_some(), &[Header, Query]),
            ("token_url", auth.token_url.is_some(), fetched),
            ("client_id", auth.client_id.is_some(), oauth),
            ("client_secret", auth.client_secret.is_some(), oauth),
            ("client_basic", auth.client_basic.is_some(), oauth),
            ("scope", auth.scope.is_some(), oauth),
            ("params", !auth.params.is_empty(), oauth),
            (
                "refresh_token",
                auth.refresh_token.is_some(),
                &[Oauth2RefreshToken],
            ),
            (
                "private_key",
                auth.private_key.is_some(),
                &[Oauth2JwtBearer],
            ),
            ("issuer", auth.issuer.is_some(), &[Oauth2JwtBearer]),
            ("subject", auth.subject.is_some(), &[Oauth2JwtBearer]),
            ("audience", auth.audience.is_some(), &[Oauth2JwtBearer]),
            ("headers", !auth.headers.is_empty(), &[TokenRequest]),
            ("body", auth.body.is_some(), &[TokenRequest]),
            ("ok_when", auth.ok_when.is_some(), &[TokenRequest]),
            ("expires_in", auth.expires_in.is_some(), fetched),
            ("lifetime", auth.lifetime.is_some(), fetched),
            ("token_header", auth.token_header.is_some(), fetched),
            ("token_query", auth.token_query.is_some(), fetched),
        ];
        for (key, given, kinds) in keys {
            if given && !kinds.contains(&self.kind) {
                self.problem(
                    key,
                    format!("`{key}` means nothing for this kind of auth"),
                    "remove it",
                );
            }
        }
        if auth.token_prefix.is_some()
            && (!fetched.contains(&self.kind) || auth.token_query.is_some())
        {
            self.problem(
                "token_prefix",
                "`token_prefix` belongs to a fetched token in a header".to_owned(),
                "remove it",
            );
        }
        if auth.token_header.is_some() && auth.token_query.is_some() {
            self.problem(
                "token_query",
                "a token goes into a header or into the query, not both".to_owned(),
                "remove one of them",
            );
        }
    }

    fn problem(&mut self, key: &str, message: String, help: &str) {
        let at = if key.is_empty() {
            "/auth".to_owned()
        } else {
            format!("/auth/{key}")
        };
        self.problems.push(Problem::at(at, message).help(help));
    }

    fn need<T: Clone>(&mut self, key: &str, value: Option<&T>) -> Option<T> {
        if value.is_none() {
            self.problem("", format!("this kind of auth needs `{key}`"), "");
        }
        value.cloned()
    }

    fn take<T>(&mut self, read: Result<T, impl Into<Problems>>) -> Option<T> {
        read.map_err(|found| self.problems.extend(found.into()))
            .ok()
    }

    fn proof(&mut self) -> Option<Proof> {
        let auth = self.auth;
        match self.kind {
            AuthKind::None => Some(Proof::None),
            AuthKind::Basic => {
                let user = self.need("username", auth.username.as_ref());
                let password = self.need("password", auth.password.as_ref())?;
                let pair = STANDARD.encode(format!("{}:{}", user?, password.expose()));
                let value = self.take(header_value(&format!("Basic {pair}"), "/auth"))?;
                Some(Proof::Header(AUTHORIZATION, value))
            }
            AuthKind::Bearer => {
                let token = self.need("token", auth.token.as_ref())?;
                let value = self.take(header_value(
                    &format!("Bearer {}", token.expose()),
                    "/auth/token",
                ))?;
                Some(Proof::Header(AUTHORIZATION, value))
            }
            AuthKind::Header => {
                let name = self.need("name", auth.name.as_ref());
                let value = self.need("value", auth.value.as_ref())?;
                let value = self.take(header_value(value.expose(), "/auth/value"));
                let name = self.header_name("name", &name?)?;
                Some(Proof::Header(name, value?))
            }
            AuthKind::Query => {
                let name = self.need("name", auth.name.as_ref());
                Some(Proof::Query(
                    name?,
                    self.need("value", auth.value.as_ref())?,
                ))
            }
            _ => self.fetched(),
        }
    }

    fn header_name(&mut self, key: &str, text: &str) -> Option<HeaderName> {
        let name = HeaderName::from_bytes(text.as_bytes());
        self.take(name.map_err(|_| Problem::at(format!("/auth/{key}"), "not a header name")))
    }

    fn fetched(&mut self) -> Option<Proof> {
        let auth = self.auth;
        let url = self.need("token_url", auth.token_url.as_ref());
        let url = url.and_then(|text| self.url(&text));
        let grant = match self.kind {
            AuthKind::TokenRequest => Some(self.request()),
            _ => self.form(),
        };
        let token = match self.kind {
            AuthKind::TokenRequest => auth.token.as_ref().map(|token| token.expose().to_owned()),
            _ => Some("{{ body.access_token }}".to_owned()),
        };
        let token = self
            .need("token", token.as_ref())
            .and_then(|text| self.template("token", &text));
        let expires = auth
            .expires_in
            .as_deref()
            .unwrap_or("{{ body.expires_in }}");
        let expires_in = self.template("expires_in", expires);
        let ok_when = match &auth.ok_when {
            None => None,
            Some(text) => {
                let compiled = self.engine.condition_in(text, &SCOPE);
                self.take(
                    compiled.map_err(|mistakes| template::problems(mistakes, "/auth/ok_when")),
                )
            }
        };
        if auth.token_query.is_some() && auth.token_body.is_some() {
            self.problem(
                "token_body",
                "`token_query` says where the token goes already".to_owned(),
                "remove one of them",
            );
        }
        let carrier = match (&auth.token_query, &auth.token_body) {
            (Some(name), _) => Carrier::Query(name.clone()),
            (None, Some(name)) => Carrier::Body(name.clone()),
            (None, None) => {
                let name = auth.token_header.as_deref().unwrap_or("authorization");
                let prefix = auth
                    .token_prefix
                    .clone()
                    .unwrap_or_else(|| "Bearer ".to_owned());
                Carrier::Header(self.header_name("token_header", name)?, prefix)
            }
        };
        let fetch = Fetch {
            url: url?,
            grant: grant?,
            ok_when,
            token: token?,
            expires_in: expires_in?,
            lifetime: auth.lifetime.map_or(LIFETIME, |given| given.0),
        };
        Some(Proof::Token(Box::new(Tokens::new(fetch)), carrier))
    }

    fn url(&mut self, text: &str) -> Option<Url> {
        if has_template(text) {
            self.problem(
                "token_url",
                "a token's URL cannot be a template".to_owned(),
                "write it out",
            );
            return None;
        }
        self.take(absolute(text, "/auth/token_url"))
    }

    fn template(&mut self, key: &str, text: &str) -> Option<Template> {
        let compiled = self.engine.template(text, &SCOPE);
        self.take(
            compiled.map_err(|mistakes| template::problems(mistakes, &format!("/auth/{key}"))),
        )
    }

    /// The form of an OAuth 2 grant.
    fn form(&mut self) -> Option<Grant> {
        let auth = self.auth;
        let mut fields: Vec<(String, Secret)> = Vec::new();
        let mut add = |name: &str, value: Secret| fields.push((name.to_owned(), value));
        let mut assertion = None;
        match self.kind {
            AuthKind::Oauth2ClientCredentials => {
                add("grant_type", Secret::new("client_credentials"));
                self.need("client_id", auth.client_id.as_ref());
                self.need("client_secret", auth.client_secret.as_ref());
            }
            AuthKind::Oauth2RefreshToken => {
                add("grant_type", Secret::new("refresh_token"));
                add(
                    "refresh_token",
                    self.need("refresh_token", auth.refresh_token.as_ref())?,
                );
            }
            AuthKind::Oauth2Password => {
                add("grant_type", Secret::new("password"));
                let user = self.need("username", auth.username.as_ref());
                add("password", self.need("password", auth.password.as_ref())?);
                add("username", Secret::new(user?));
            }
            _ => {
                add(
                    "grant_type",
                    Secret::new("urn:ietf:params:oauth:grant-type:jwt-bearer"),
                );
                let issuer = self.need("issuer", auth.issuer.as_ref().or(auth.client_id.as_ref()));
                let subject = self.need("subject", auth.subject.as_ref());
                let pem = self.need("private_key", auth.private_key.as_ref())?;
                let key = self.take(jwt::key(&pem));
                let audience = auth.audience.clone().or_else(|| auth.token_url.clone());
                assertion = Some(Assertion::new(key?, issuer?, subject?, audience?));
            }
        }
        if let Some(scope) = &auth.scope {
            add("scope", Secret::new(scope.clone()));
        }
        for (name, value) in &auth.params {
            add(name, value.clone());
        }
        let mut basic = None;
        let id = auth.client_id.clone();
        if auth.client_basic == Some(true) {
            let id = self.need("client_id", id.as_ref());
            let secret = self.need("client_secret", auth.client_secret.as_ref())?;
            let pair = STANDARD.encode(format!("{}:{}", id?, secret.expose()));
            basic = Some(self.take(header_value(&format!("Basic {pair}"), "/auth"))?);
        } else if self.kind != AuthKind::Oauth2JwtBearer {
            if let Some(id) = id {
                fields.push(("client_id".to_owned(), Secret::new(id)));
            }
            if let Some(secret) = &auth.client_secret {
                fields.push(("client_secret".to_owned(), secret.clone()));
            }
        }
        Some(Grant::Form(Box::new(Form {
            fields,
            basic,
            assertion,
        })))
    }

    /// A request of the merchant's own. Its texts are no templates: there is no lead in it.
    fn request(&mut self) -> Grant {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.auth.headers {
            let at = format!("/auth/headers{}", pointer_segment(name));
            let read = HeaderName::from_bytes(name.as_bytes())
                .map_err(|_| Problem::at(at.clone(), "not a header name"));
            if let Some(name) = self.take(read)
                && let Some(value) = self.take(header_value(value.expose(), &at))
            {
                headers.insert(name, value);
            }
        }
        let body = self
            .auth
            .body
            .as_ref()
            .map(|body| Secret::new(body.to_string()));
        Grant::Request(headers, body)
    }
}
