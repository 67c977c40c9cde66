//! The API client: commands that look into the outbox ask the running daemon.

use std::process::ExitCode;
use std::time::Duration;

use leadgate_plugin::Secret;
use serde_json::Value;

use super::{FAILED, Global, UNREACHABLE, fail, runtime};

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

/// `GET path`, parsed. An error is the exit code, its message already printed.
pub(super) fn get(global: &Global, target: &Target, path: &str) -> Result<Value, ExitCode> {
    let (base, token) = resolve(global, target)?;
    let runtime = runtime().map_err(|error| fail(error, FAILED))?;
    runtime.block_on(async {
        let client = reqwest::Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(10))
            .build()
            .map_err(|error| fail(error, FAILED))?;
        let mut request = client.get(format!("{base}{path}"));
        if let Some(token) = token {
            request = request.bearer_auth(token.expose());
        }
        let response = request.send().await.map_err(|error| {
            let lang = global.lang();
            let what = lang.pick("the daemon cannot be reached at", "无法连接守护进程");
            fail(format!("{what} {base}: {}", innermost(&error)), UNREACHABLE)
        })?;
        let status = response.status();
        let body: Value = response
            .json()
            .await
            .map_err(|error| fail(innermost(&error), FAILED))?;
        if status.is_success() {
            Ok(body)
        } else {
            Err(fail(
                body["detail"].as_str().unwrap_or("the daemon refused"),
                FAILED,
            ))
        }
    })
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
    let config = super::check::load(global, &mut plugins)?;
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
