//! The API client: commands that look into the outbox ask the running daemon.

use std::process::ExitCode;
use std::time::Duration;

use leadgate_plugin::Secret;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::{FAILED, Global, UNREACHABLE, fail, runtime};

/// Longest wait for an answer; a bulk run takes its time.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where the daemon's API is.
#[derive(clap::Args, Debug)]
pub(super) struct Target {
    /// Address of the daemon's API, e.g. http://127.0.0.1:8081 [default: from the configuration]
    #[arg(long, value_name = "URL")]
    pub(super) url: Option<String>,
    /// Name of the environment variable that holds the token [default: from the configuration]
    #[arg(long, value_name = "NAME")]
    token_env: Option<String>,
}

/// The API of the running daemon. An error is the exit code, its message already printed.
pub(super) struct Api<'a> {
    global: &'a Global,
    base: String,
    token: Option<Secret>,
    client: reqwest::Client,
    runtime: tokio::runtime::Runtime,
}

impl<'a> Api<'a> {
    /// Finds the daemon; does not connect yet.
    pub(super) fn of(global: &'a Global, target: &Target) -> Result<Self, ExitCode> {
        let (base, token) = resolve(global, target)?;
        let client = reqwest::Client::builder()
            .no_proxy()
            .timeout(PATIENCE)
            .connect_timeout(Duration::from_secs(10))
            .build()
            .map_err(|error| fail(error, FAILED))?;
        Ok(Self {
            global,
            base,
            token,
            client,
            runtime: runtime().map_err(|error| fail(error, FAILED))?,
        })
    }

    /// `GET /api/v1` and `path`.
    pub(super) fn get(&self, path: &str) -> Result<Value, ExitCode> {
        self.ask(self.client.get(self.address(path)))
    }

    /// `POST /api/v1` and `path`.
    pub(super) fn post(&self, path: &str, body: &Value) -> Result<Value, ExitCode> {
        self.ask(self.client.post(self.address(path)).json(body))
    }

    /// The same for what may take `patience`.
    pub(super) fn post_within(
        &self,
        path: &str,
        body: &Value,
        patience: Duration,
    ) -> Result<Value, ExitCode> {
        let request = self.client.post(self.address(path)).timeout(patience);
        self.ask(request.json(body))
    }

    /// The items of all pages of a list, or of the first one.
    pub(super) fn list(&self, path: &str, query: &Query, all: bool) -> Result<Value, ExitCode> {
        let mut query = query.clone();
        let mut list = self.get(&query.at(path))?;
        while all && let Some(next) = list["next"].as_str() {
            query.set("cursor", next);
            let mut page = self.get(&query.at(path))?;
            if let (Some(items), Some(more)) =
                (list["items"].as_array_mut(), page["items"].as_array_mut())
            {
                items.append(more);
            }
            list["next"] = page["next"].take();
        }
        Ok(list)
    }

    fn address(&self, path: &str) -> String {
        format!("{}/api/v1{path}", self.base)
    }

    fn ask(&self, request: reqwest::RequestBuilder) -> Result<Value, ExitCode> {
        let request = match &self.token {
            Some(token) => request.bearer_auth(token.expose()),
            None => request,
        };
        self.runtime.block_on(async {
            let response = request.send().await.map_err(|error| self.lost(&error))?;
            let status = response.status();
            let text = response.text().await.map_err(|error| self.lost(&error))?;
            let body: Value = serde_json::from_str(&text).unwrap_or_default();
            match body["detail"].as_str() {
                _ if status.is_success() && !body.is_null() => Ok(body),
                Some(detail) => Err(fail(detail, FAILED)),
                None => Err(fail(
                    format!("{} answered {status}, not as leadgate does", self.base),
                    FAILED,
                )),
            }
        })
    }

    fn lost(&self, error: &reqwest::Error) -> ExitCode {
        let lang = self.global.lang();
        let what = lang.pick("the daemon cannot be reached at", "无法连接守护进程");
        let why = innermost(error);
        fail(format!("{what} {}: {why}", self.base), UNREACHABLE)
    }
}

/// Parameters of a request.
#[derive(Clone, Debug, Default)]
pub(super) struct Query(Vec<(&'static str, String)>);

impl Query {
    /// Adds or replaces a parameter.
    pub(super) fn set(&mut self, name: &'static str, value: impl Into<String>) {
        self.0.retain(|(known, _)| *known != name);
        self.0.push((name, value.into()));
    }

    /// Adds a parameter that may not be given.
    pub(super) fn with(mut self, name: &'static str, value: Option<impl ToString>) -> Self {
        if let Some(value) = value {
            self.set(name, value.to_string());
        }
        self
    }

    /// `path` with the parameters.
    pub(super) fn at(&self, path: &str) -> String {
        let pairs = self.0.iter();
        let pairs: Vec<_> = pairs
            .map(|(name, value)| format!("{name}={}", encoded(value)))
            .collect();
        if pairs.is_empty() {
            path.to_owned()
        } else {
            format!("{path}?{}", pairs.join("&"))
        }
    }
}

/// Text as part of a URL.
pub(super) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

pub(super) fn resolve(
    global: &Global,
    target: &Target,
) -> Result<(String, Option<Secret>), ExitCode> {
    let from_env = |name: &String| {
        std::env::var(name)
            .map(Secret::new)
            .map_err(|_| fail(format!("environment variable {name} is not set"), FAILED))
    };
    let token = target.token_env.as_ref().map(from_env).transpose()?;
    if let Some(url) = &target.url {
        return Ok((url.trim_end_matches('/').to_owned(), token));
    }
    let mut plugins = crate::plugin::Plugins::builtin().map_err(|error| fail(error, FAILED))?;
    let config = super::check::load_quietly(global, &mut plugins)?;
    Ok((
        format!("http://{}", config.admin.listen),
        token.or(config.admin.token),
    ))
}

/// The last cause of an error, which is the one a person can act on. Leaves the URL out.
pub(super) fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_encoded_and_hold_each_name_once() {
        let mut query = Query::default()
            .with("sink", Some("旗舰 店"))
            .with("state", None::<&str>);
        query.set("cursor", "00");
        query.set("cursor", "ff");
        assert_eq!(
            query.at("/deliveries"),
            "/deliveries?sink=%E6%97%97%E8%88%B0%20%E5%BA%97&cursor=ff"
        );
        assert_eq!(Query::default().at("/sinks"), "/sinks");
    }
}
