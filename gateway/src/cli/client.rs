//! The API client: commands that look into the outbox ask the running daemon.
//!
//! Of the configuration they need `[admin]` alone, and nothing of it if told both address and
//! token. A token from the configuration goes only where the configuration says. Where nobody
//! said a token and the daemon's socket on this machine takes them, none is needed.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use leadgate_plugin::Secret;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::{BAD_CONFIG, FAILED, Global, UNREACHABLE, fail, out, runtime};
use crate::config::{self, AdminTarget, Environment};
use crate::lang::Lang;

/// Longest wait for an answer; a bulk run takes its time.
const PATIENCE: Duration = Duration::from_secs(60);

/// Longest time that something streams.
const STREAMS: Duration = Duration::from_secs(60 * 60);
/// Longest wait of who asks again and again.
const SOON: Duration = Duration::from_secs(5);

/// The variable that holds the token where nothing else is said.
const TOKEN: &str = "LEADGATE_ADMIN_TOKEN";
/// Largest file with a token, in bytes.
const LARGEST_TOKEN: u64 = 64 * 1024;

/// Where the daemon's API is.
#[derive(clap::Args, Debug)]
#[expect(clippy::doc_markdown, reason = "these comments are the help text")]
pub(super) struct Target {
    /// Address of the daemon's API, e.g. http://127.0.0.1:8081 [default: from the configuration]
    #[arg(long, value_name = "URL")]
    pub(super) url: Option<String>,
    /// Name of the environment variable that holds the token [default: LEADGATE_ADMIN_TOKEN if set, else from the configuration]
    #[arg(long, value_name = "NAME")]
    token_env: Option<String>,
    /// File that holds the token
    #[arg(long, value_name = "FILE", conflicts_with = "token_env")]
    token_file: Option<PathBuf>,
}

/// A daemon's API, with what said where it is, so that a mistake can be told.
pub(super) struct Address {
    /// `http://HOST:PORT`
    pub(super) base: String,
    /// The socket that is used instead of it.
    socket: Option<PathBuf>,
    pub(super) token: Option<Secret>,
    /// What said the address: a file with its line, or a flag.
    said_by: SaidBy,
    /// What said the token, if that was not the configuration.
    token_from: Option<String>,
}

enum SaidBy {
    Flag,
    File(PathBuf, Option<usize>),
}

/// The API of the running daemon. An error is the exit code, its message already printed.
pub(super) struct Api<'a> {
    global: &'a Global,
    address: Address,
    client: reqwest::Client,
    runtime: tokio::runtime::Runtime,
}

impl<'a> Api<'a> {
    /// Finds the daemon; does not connect yet.
    pub(super) fn of(global: &'a Global, target: &Target) -> Result<Self, ExitCode> {
        let address = resolve(global, target)?;
        let client = address.client().timeout(PATIENCE);
        let client = client.build().map_err(|error| fail(error, FAILED))?;
        Ok(Self {
            global,
            address,
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

    /// The same, where `known` may be a problem of the command's own: then it gives the exit code,
    /// its message already printed.
    pub(super) fn post_or(
        &self,
        path: &str,
        body: &Value,
        patience: Duration,
        known: impl Fn(&Value) -> Option<ExitCode>,
    ) -> Result<Value, ExitCode> {
        let request = self.client.post(self.address(path)).timeout(patience);
        self.ask_or(request.json(body), known)
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
        format!("{}/api/v1{path}", self.address.base)
    }

    /// Prints what `GET /api/v1` and `path` streams, as it comes.
    pub(super) fn print(&self, path: &str) -> Result<(), ExitCode> {
        let request = self.client.get(self.address(path)).timeout(STREAMS);
        let request = match &self.address.token {
            Some(token) => request.bearer_auth(token.expose()),
            None => request,
        };
        let lang = self.global.lang();
        self.runtime.block_on(async {
            let lost = |error: reqwest::Error| self.address.out_of_reach(lang, &error).say();
            let mut response = request.send().await.map_err(lost)?;
            if !response.status().is_success() {
                let body: Value = response.json().await.unwrap_or_default();
                let refused = lang.pick("the daemon refused", "守护进程拒绝了请求");
                return Err(fail(detail(lang, &body).unwrap_or(refused), FAILED));
            }
            let broken = |error: reqwest::Error| fail(innermost(&error), FAILED);
            while let Some(piece) = response.chunk().await.map_err(broken)? {
                out::raw(&piece);
                if !out::is_read() {
                    break;
                }
            }
            Ok(())
        })
    }

    /// Runs what asks it more than once.
    pub(super) fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// `GET /api/v1` and `path`, soon, for who goes on if there is trouble.
    pub(super) async fn answer_to(&self, path: &str) -> Result<Value, Trouble> {
        let request = self.client.get(self.address(path)).timeout(SOON);
        self.answer(request).await
    }

    fn ask(&self, request: reqwest::RequestBuilder) -> Result<Value, ExitCode> {
        self.ask_or(request, |_| None)
    }

    fn ask_or(
        &self,
        request: reqwest::RequestBuilder,
        known: impl Fn(&Value) -> Option<ExitCode>,
    ) -> Result<Value, ExitCode> {
        let answer = self.runtime.block_on(self.answer(request));
        answer.map_err(|trouble| known(&trouble.problem).unwrap_or_else(|| trouble.say()))
    }

    async fn answer(&self, request: reqwest::RequestBuilder) -> Result<Value, Trouble> {
        let request = match &self.address.token {
            Some(token) => request.bearer_auth(token.expose()),
            None => request,
        };
        let lang = self.global.lang();
        let lost = |error: reqwest::Error| self.address.out_of_reach(lang, &error);
        let response = request.send().await.map_err(lost)?;
        let status = response.status();
        let text = response.text().await.map_err(lost)?;
        let body: Value = serde_json::from_str(&text).unwrap_or_default();
        let message = match detail(lang, &body) {
            _ if status.is_success() && !body.is_null() => return Ok(body),
            Some(detail) if status == reqwest::StatusCode::UNAUTHORIZED => {
                let hint = self.address.token_hint(lang);
                format!("{detail}{hint}")
            }
            Some(detail) => detail.to_owned(),
            None => {
                let base = self.address.place();
                lang.pick(
                    format!("{base} answered {status}, not as leadgate does"),
                    format!("{base} 应答 {status}，不像 leadgate"),
                )
            }
        };
        Err(Trouble {
            message,
            problem: body,
            code: FAILED,
        })
    }
}

/// Why there is no answer, with the exit code of a command that cannot go on without.
#[derive(Debug)]
pub(super) struct Trouble {
    message: String,
    /// What the daemon answered; null if nothing came.
    problem: Value,
    code: u8,
}

impl Trouble {
    pub(super) fn message(&self) -> &str {
        &self.message
    }

    /// Says it, for a command that ends.
    pub(super) fn say(self) -> ExitCode {
        fail(self.message, self.code)
    }
}

/// `GET /api/v1` and `path` of the daemon that the configuration names, for a command to which
/// the answer is a help and not a need: whatever goes wrong, nothing is said.
pub(super) fn quietly(global: &Global, path: &str) -> Option<Value> {
    let file = config::locate(global.config.as_deref()).ok()?;
    let load = |wants_token| config::load_admin(&file, &Environment::process(), wants_token).0;
    let address = match load(false).and_then(Address::local) {
        Some(local) => local,
        None => Address::of(load(true)?, None),
    };
    let client = address.client().timeout(Duration::from_secs(5));
    let client = client.build().ok()?;
    let mut request = client.get(format!("{}/api/v1{path}", address.base));
    if let Some(token) = &address.token {
        request = request.bearer_auth(token.expose());
    }
    runtime().ok()?.block_on(async {
        let answer = request.send().await.ok()?.error_for_status().ok()?;
        serde_json::from_str(&answer.text().await.ok()?).ok()
    })
}

/// What a problem of the API's says, in the reader's language; an older daemon says it in
/// English alone.
pub(super) fn detail(lang: Lang, problem: &Value) -> Option<&str> {
    let named = problem[lang.pick("detail", "detail_zh")].as_str();
    named.or_else(|| problem["detail"].as_str())
}

impl Address {
    /// Of a listener that the configuration names, with the token of a flag, if there was one.
    fn of(found: AdminTarget, given: Option<(Secret, String)>) -> Self {
        let (given, token_from) = given.unzip();
        Self {
            base: format!("http://{}", found.address),
            socket: None,
            token: given.or(found.token),
            said_by: SaidBy::File(found.file, found.line),
            token_from,
        }
    }

    /// Of the socket on this machine, if there is one that takes this user.
    fn local(found: AdminTarget) -> Option<Self> {
        let socket = found.socket?;
        UnixStream::connect(&socket).ok()?;
        Some(Self {
            base: "http://localhost".to_owned(),
            socket: Some(socket),
            token: None,
            said_by: SaidBy::File(found.file, found.line),
            token_from: None,
        })
    }

    /// What makes connections to it.
    pub(super) fn client(&self) -> reqwest::ClientBuilder {
        let client = reqwest::Client::builder()
            .no_proxy()
            .connect_timeout(Duration::from_secs(10));
        match &self.socket {
            Some(socket) => client.unix_socket(socket.as_path()),
            None => client,
        }
    }

    /// Where it is, for people.
    fn place(&self) -> String {
        let socket = self.socket.as_ref();
        socket.map_or_else(|| self.base.clone(), |socket| socket.display().to_string())
    }

    /// Says that nobody answers there, and what said that somebody would.
    pub(super) fn unreachable(&self, lang: Lang, error: &reqwest::Error) -> ExitCode {
        self.out_of_reach(lang, error).say()
    }

    fn out_of_reach(&self, lang: Lang, error: &reqwest::Error) -> Trouble {
        let what = lang.pick("the daemon cannot be reached at", "无法连接守护进程");
        let why = innermost(error);
        let hint = self.hint(lang);
        Trouble {
            message: format!("{what} {}: {why}\n{hint}", self.place()),
            problem: Value::Null,
            code: UNREACHABLE,
        }
    }

    /// What said the address, and what to do.
    fn hint(&self, lang: Lang) -> String {
        match &self.said_by {
            SaidBy::File(file, _) if self.socket.is_some() => {
                let file = file.display();
                lang.pick(
                    format!(
                        "  that is the socket that {file} names by admin.socket or outbox.path"
                    ),
                    format!("  该套接字由 {file} 的 admin.socket 或 outbox.path 确定"),
                )
            }
            SaidBy::Flag => lang
                .pick("  the address is the one of --url", "  该地址来自 --url")
                .to_owned(),
            SaidBy::File(file, Some(line)) => {
                let file = file.display();
                match lang {
                    Lang::En => format!(
                        "  the address is admin.listen of {file}:{line}; is `leadgate run` running, and was it started with this file?"
                    ),
                    Lang::ZhCn => format!(
                        "  该地址来自 {file}:{line} 的 admin.listen；`leadgate run` 在运行吗？启动时用的是这个文件吗？"
                    ),
                }
            }
            SaidBy::File(file, None) => {
                let file = file.display();
                match lang {
                    Lang::En => format!(
                        "  the address is the default, because {file} has no admin.listen; is `leadgate run` running, and was it started with this file?"
                    ),
                    Lang::ZhCn => format!(
                        "  {file} 没有写 admin.listen，故用默认地址；`leadgate run` 在运行吗？启动时用的是这个文件吗？"
                    ),
                }
            }
        }
    }

    /// Where the token that was refused is from.
    fn token_hint(&self, lang: Lang) -> String {
        let from = match (&self.token, &self.token_from, &self.said_by) {
            (Some(_), Some(from), _) => from.clone(),
            (Some(_), None, SaidBy::File(file, _)) => format!("admin.token, {}", file.display()),
            (None, _, _) | (Some(_), None, SaidBy::Flag) => {
                return lang
                    .pick(
                        "; no token was sent: set LEADGATE_ADMIN_TOKEN or use --token-file FILE",
                        "；未发送令牌：请设置 LEADGATE_ADMIN_TOKEN 或使用 --token-file 文件",
                    )
                    .to_owned();
            }
        };
        match lang {
            Lang::En => format!(" (the token is from {from})"),
            Lang::ZhCn => format!("（令牌来自 {from}）"),
        }
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

/// Where the daemon is and with which token, by the flags, then the environment, then the socket
/// on this machine, then `[admin]` of the configuration.
pub(super) fn resolve(global: &Global, target: &Target) -> Result<Address, ExitCode> {
    let given = given_token(target).map_err(|why| fail(why, FAILED))?;
    if let Some(url) = &target.url {
        let (token, token_from) = given.unzip();
        return Ok(Address {
            base: url.trim_end_matches('/').to_owned(),
            socket: None,
            token,
            said_by: SaidBy::Flag,
            token_from,
        });
    }
    // Who names a token wants to be who it names.
    if given.is_none()
        && let Some(local) = Address::local(configured(global, false)?)
    {
        return Ok(local);
    }
    let found = configured(global, given.is_none())?;
    Ok(Address::of(found, given))
}

/// What `[admin]` of the configuration says.
fn configured(global: &Global, wants_token: bool) -> Result<AdminTarget, ExitCode> {
    let file = super::check::located(global)?;
    let (target, report) = config::load_admin(&file, &Environment::process(), wants_token);
    target.ok_or_else(|| {
        super::check::print_report(global, &report);
        ExitCode::from(BAD_CONFIG)
    })
}

/// The token of a flag or of the environment, and which it was.
fn given_token(target: &Target) -> Result<Option<(Secret, String)>, String> {
    if let Some(file) = &target.token_file {
        let from = format!("--token-file {}", file.display());
        let token = token_in(file).map_err(|why| format!("{}: {why}", file.display()))?;
        return Ok(Some((token, from)));
    }
    let (name, is_asked) = match &target.token_env {
        Some(name) => (name.as_str(), true),
        None => (TOKEN, false),
    };
    match std::env::var(name) {
        Ok(token) if !token.trim().is_empty() => Ok(Some((
            Secret::new(token.trim().to_owned()),
            name.to_owned(),
        ))),
        _ if is_asked => Err(format!("environment variable {name} is not set")),
        _ => Ok(None),
    }
}

fn token_in(file: &Path) -> Result<Secret, String> {
    let length = std::fs::metadata(file)
        .map_err(|error| error.to_string())?
        .len();
    if length > LARGEST_TOKEN {
        return Err(format!("larger than {LARGEST_TOKEN} bytes"));
    }
    let text = std::fs::read_to_string(file).map_err(|error| error.to_string())?;
    // Editors of some systems begin a file with a mark.
    let token = text.trim_start_matches('\u{feff}').trim();
    if token.is_empty() {
        return Err("there is no token in it".to_owned());
    }
    Ok(Secret::new(token.to_owned()))
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
    fn a_problem_is_told_in_the_readers_language_if_the_daemon_has_it() {
        let both = serde_json::json!({ "detail": "over already", "detail_zh": "已结束" });
        assert_eq!(detail(Lang::ZhCn, &both), Some("已结束"));
        assert_eq!(detail(Lang::En, &both), Some("over already"));
        let old = serde_json::json!({ "detail": "over already" });
        assert_eq!(detail(Lang::ZhCn, &old), Some("over already"));
        assert_eq!(detail(Lang::ZhCn, &Value::Null), None);
    }

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
