//! `leadgate push`: signed pushes, as Alibaba would send them.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use leadgate_plugin::Secret;
use reqwest::{Client, Url};
use serde_json::{Map, Value, json};

use super::client::innermost;
use super::figures::Figures;
use super::{FAILED, Global, fail, out, runtime};
use crate::clock::{Clock, SystemClock};
use crate::lang::Lang;
use crate::lead;
use crate::source::tmall::{PushParts, SignedPush, signed_push};

/// Alibaba's own limit is unknown; nobody waits longer than this for an answer.
const TIMEOUT: Duration = Duration::from_secs(30);

#[derive(clap::Args)]
#[expect(clippy::doc_markdown, reason = "these comments are the help text")]
pub(super) struct Args {
    /// Where to push, e.g. http://127.0.0.1:8080/tmall/leads
    #[arg(long, value_name = "URL", value_parser = url)]
    url: Url,
    /// Sent as app_key and target_appkey
    #[arg(long, value_name = "KEY")]
    app_key: String,
    /// What signs: env:NAME, file:PATH, or the secret itself (which others may see in the process list)
    #[arg(long, value_name = "SECRET")]
    secret: String,
    /// Sent as method [default: none]
    #[arg(long, value_name = "NAME")]
    method: Option<String>,
    /// File with the lead; sent as it is, valid or not [default: the document's sample lead]
    #[arg(long, value_name = "FILE")]
    lead: Option<PathBuf>,
    /// How many pushes; with more than one, each gets its own record_id, counted up from the lead's
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    count: u32,
    /// Record id of the first push [default: the lead's]
    #[arg(long, value_name = "ID")]
    record_id: Option<i64>,
    /// Pushes begun per second at most, e.g. 20 or 20/s, 600/min, 1000/h [default: no limit]
    #[arg(long, value_name = "RATE", value_parser = interval)]
    rate: Option<Duration>,
    /// Pushes in flight at once
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..))]
    concurrency: u32,
}

pub(super) fn run(global: &Global, args: Args) -> ExitCode {
    let count = args.count;
    let sender = match Sender::new(args) {
        Ok(sender) => sender,
        Err(message) => return fail(message, FAILED),
    };
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => return fail(error, FAILED),
    };
    let began = Instant::now();
    let (figures, hints) = runtime.block_on(sender.send_all(global));
    let took = began.elapsed();
    if count > 1 {
        if global.json {
            out::json(&figures.json(took));
        } else {
            for line in figures.lines(global.lang()) {
                outln!("{line}");
            }
        }
    }
    summarize(global.lang(), figures.accepted(), count, took);
    for hint in hints {
        errln!("leadgate: {}", hint.said(global.lang()));
    }
    if figures.accepted() == u64::from(count) {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(FAILED)
    }
}

struct Sender {
    args: Args,
    client: Client,
    secret: Secret,
    body: Body,
}

/// What is pushed.
enum Body {
    /// As it is.
    Verbatim(Vec<u8>),
    /// With record ids of its own, from this one up.
    Numbered(Map<String, Value>, i64),
}

/// How one push ended.
struct Ended {
    number: u32,
    record_id: Option<i64>,
    took: Duration,
    answer: Result<(u16, String), Lost>,
}

/// Why there is no answer.
struct Lost {
    why: String,
    /// Whether nobody listens there.
    is_refused: bool,
}

impl From<reqwest::Error> for Lost {
    fn from(error: reqwest::Error) -> Self {
        let mut cause: Option<&dyn std::error::Error> = Some(&error);
        let mut is_refused = false;
        while let Some(error) = cause {
            is_refused |= error
                .downcast_ref::<io::Error>()
                .is_some_and(|error| error.kind() == io::ErrorKind::ConnectionRefused);
            cause = error.source();
        }
        Self {
            why: innermost(&error),
            is_refused,
        }
    }
}

/// What a person should look at after a push that was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Hint {
    Signature,
    Path,
    Nobody,
}

impl Hint {
    const fn said(self, lang: Lang) -> &'static str {
        let (en, zh) = match self {
            Self::Signature => (
                "the signature was refused: is --secret the source's app_secret?",
                "签名被拒绝：--secret 是该来源的 app_secret 吗？",
            ),
            Self::Path => (
                "no source has this path: is --url the `path` of the source?",
                "没有来源使用此路径：--url 与来源的 path 一致吗？",
            ),
            Self::Nobody => (
                "nobody listens there: is `leadgate run` running, and is this its server.listen?",
                "该地址没有程序在监听：`leadgate run` 在运行吗？地址与 server.listen 一致吗？",
            ),
        };
        match lang {
            Lang::En => en,
            Lang::ZhCn => zh,
        }
    }
}

impl Sender {
    fn new(args: Args) -> Result<Self, String> {
        let mut client = Client::builder()
            .timeout(TIMEOUT)
            .redirect(reqwest::redirect::Policy::none());
        if is_loopback(&args.url) {
            client = client.no_proxy();
        }
        Ok(Self {
            client: client.build().map_err(|error| innermost(&error))?,
            secret: secret(&args.secret)?,
            body: Body::new(&args)?,
            args,
        })
    }

    /// Sends all. Says how a single one ended, and of many the first failure of each kind.
    async fn send_all(&self, global: &Global) -> (Figures, BTreeSet<Hint>) {
        let began = tokio::time::Instant::now();
        let interval = self.args.rate.unwrap_or_default();
        let ended = stream::iter(0..self.args.count)
            .then(|number| async move {
                tokio::time::sleep_until(began + interval * number).await;
                number
            })
            .map(|number| self.send(number))
            .buffer_unordered(self.args.concurrency as usize);
        let mut ended = std::pin::pin!(ended);
        let mut figures = Figures::new();
        let mut hints = BTreeSet::new();
        while let Some(ended) = ended.next().await {
            hints.extend(ended.hint());
            let accepted = ended.is_accepted();
            let first = figures.note(ended.took, &ended.said(), accepted);
            if self.args.count > 1 {
                if first && !accepted {
                    errln!("leadgate: {}", ended.line());
                }
            } else if global.json {
                outln!("{}", ended.json());
            } else {
                outln!("{}", ended.line());
            }
        }
        (figures, hints)
    }

    async fn send(&self, number: u32) -> Ended {
        let (body, record_id) = self.body.numbered(number);
        let push = signed_push(&PushParts {
            app_key: &self.args.app_key,
            secret: self.secret.expose(),
            method: self.args.method.as_deref(),
            now: SystemClock.now(),
            body: &body,
        });
        let began = Instant::now();
        let answer = self.exchange(push).await.map_err(Lost::from);
        Ended {
            number: number + 1,
            record_id,
            took: began.elapsed(),
            answer,
        }
    }

    async fn exchange(&self, push: SignedPush) -> reqwest::Result<(u16, String)> {
        let mut url = self.args.url.clone();
        url.set_query(Some(&push.query));
        let request = self.client.post(url).body(push.body);
        let request = request.header("content-type", push.content_type);
        let response = request.send().await?;
        Ok((response.status().as_u16(), response.text().await?))
    }
}

impl Body {
    fn new(args: &Args) -> Result<Self, String> {
        let bytes = match &args.lead {
            Some(path) => {
                std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?
            }
            None => lead::SAMPLE.as_bytes().to_vec(),
        };
        if args.count == 1 && args.record_id.is_none() {
            return Ok(Self::Verbatim(bytes));
        }
        let fields: Map<String, Value> = serde_json::from_slice(&bytes).map_err(|error| {
            format!("--lead: a JSON object is needed to count record ids: {error}")
        })?;
        let own = fields.get("record_id").and_then(Value::as_i64);
        let first = args.record_id.or(own).unwrap_or(1);
        Ok(Self::Numbered(fields, first))
    }

    fn numbered(&self, number: u32) -> (Vec<u8>, Option<i64>) {
        match self {
            Self::Verbatim(bytes) => (bytes.clone(), None),
            Self::Numbered(fields, first) => {
                let record_id = first.saturating_add(number.into());
                let mut fields = fields.clone();
                fields.insert("record_id".to_owned(), record_id.into());
                (
                    Value::Object(fields).to_string().into_bytes(),
                    Some(record_id),
                )
            }
        }
    }
}

impl Ended {
    /// Whether the answer is the document's success answer, by its meaning.
    fn is_accepted(&self) -> bool {
        let Ok((200..=299, body)) = &self.answer else {
            return false;
        };
        let answer: Value = serde_json::from_str(body).unwrap_or_default();
        answer["result"]["success"] == true
    }

    /// What to look at, where the end says it.
    fn hint(&self) -> Option<Hint> {
        match &self.answer {
            Err(lost) => lost.is_refused.then_some(Hint::Nobody),
            Ok((404, _)) => Some(Hint::Path),
            Ok((_, body)) => body
                .contains(r#""sign-check-failure""#)
                .then_some(Hint::Signature),
        }
    }

    /// The answer, or why there is none.
    fn said(&self) -> String {
        match &self.answer {
            Ok((status, body)) => format!("{status} {body}"),
            Err(lost) => lost.why.clone(),
        }
    }

    fn line(&self) -> String {
        let Self { number, took, .. } = self;
        let end = self.said();
        let record = self
            .record_id
            .map(|id| format!(" record {id}"))
            .unwrap_or_default();
        format!("{number}{record} {:.1} ms {end}", took.as_secs_f64() * 1e3)
    }

    fn json(&self) -> Value {
        let mut line = json!({
            "number": self.number,
            "record_id": self.record_id,
            "accepted": self.is_accepted(),
            "duration_ms": self.took.as_secs_f64() * 1e3,
        });
        match &self.answer {
            Ok((status, body)) => {
                line["status"] = (*status).into();
                line["answer"] =
                    serde_json::from_str(body).unwrap_or_else(|_| body.as_str().into());
            }
            Err(lost) => line["error"] = lost.why.as_str().into(),
        }
        line
    }
}

fn summarize(lang: Lang, accepted: u64, count: u32, took: Duration) {
    let seconds = took.as_secs_f64();
    errln!(
        "{}",
        lang.pick(
            format!("{accepted} of {count} accepted in {seconds:.2} s"),
            format!("共 {count} 次推送，{accepted} 次被接受，用时 {seconds:.2} 秒"),
        )
    );
}

fn url(text: &str) -> Result<Url, String> {
    let url: Url = text.parse().map_err(|error| format!("{error}"))?;
    match url.scheme() {
        "http" | "https" if url.query().is_none() => Ok(url),
        "http" | "https" => Err("leave the query out: a push makes its own".to_owned()),
        _ => Err("must begin with http:// or https://".to_owned()),
    }
}

/// The time between two pushes at a rate of `20`, `20/s`, `600/min` or `1000/h`.
fn interval(text: &str) -> Result<Duration, String> {
    let (count, unit) = text.split_once('/').unwrap_or((text, "s"));
    let unit = match unit {
        "s" => 1,
        "min" => 60,
        "h" => 3600,
        _ => return Err("the unit must be s, min or h".to_owned()),
    };
    match count.parse::<u32>() {
        Ok(count) if count > 0 => Ok(Duration::from_secs(unit) / count),
        _ => Err("must be a whole number above zero, e.g. 20/s".to_owned()),
    }
}

fn secret(text: &str) -> Result<Secret, String> {
    let value = if let Some(name) = text.strip_prefix("env:") {
        std::env::var(name)
            .map_err(|_| format!("--secret: environment variable {name} is not set"))?
    } else if let Some(path) = text.strip_prefix("file:") {
        let content = std::fs::read_to_string(path);
        let content = content.map_err(|error| format!("--secret: {path}: {error}"))?;
        content.trim_end_matches(['\r', '\n']).to_owned()
    } else {
        text.to_owned()
    };
    Ok(Secret::new(value))
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_intervals() {
        assert_eq!(interval("20"), Ok(Duration::from_millis(50)));
        assert_eq!(interval("20/s"), Ok(Duration::from_millis(50)));
        assert_eq!(interval("600/min"), Ok(Duration::from_millis(100)));
        assert_eq!(interval("3600/h"), Ok(Duration::from_secs(1)));
        for bad in ["", "0", "-1", "1.5", "1/d", "x/s"] {
            assert!(interval(bad).is_err(), "{bad}");
        }
    }

    fn ended(answer: Result<(u16, &str), Lost>) -> Ended {
        Ended {
            number: 1,
            record_id: None,
            took: Duration::ZERO,
            answer: answer.map(|(status, body)| (status, body.to_owned())),
        }
    }

    #[test]
    fn a_failure_says_what_to_look_at() {
        let refused = r#"{"success":"false","errCode":"sign-check-failure"}"#;
        assert_eq!(ended(Ok((200, refused))).hint(), Some(Hint::Signature));
        assert_eq!(ended(Ok((404, ""))).hint(), Some(Hint::Path));
        let accepted = r#"{"result":{"errCode":"0","success":true}}"#;
        assert_eq!(ended(Ok((200, accepted))).hint(), None);
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        drop(listener);
        let client = Client::builder().no_proxy().build().expect("a client");
        let sent = client.get(format!("http://{address}/")).send();
        let error = runtime()
            .expect("a runtime")
            .block_on(sent)
            .expect_err("nobody");
        assert_eq!(ended(Err(error.into())).hint(), Some(Hint::Nobody));
        for hint in [Hint::Signature, Hint::Path, Hint::Nobody] {
            assert_ne!(hint.said(Lang::En), hint.said(Lang::ZhCn));
        }
    }

    #[test]
    fn only_the_success_answer_is_accepted() {
        let accepted = |status, body: &str| ended(Ok((status, body))).is_accepted();
        assert!(accepted(
            200,
            r#"{"result":{"errCode":"0","success":true,"errMsg":"成功"}}"#
        ));
        assert!(!accepted(500, r#"{"result":{"success":true}}"#));
        assert!(!accepted(200, r#"{"result":{"success":"true"}}"#));
        assert!(!accepted(
            200,
            r#"{"success":"false","errCode":"sign-check-failure"}"#
        ));
        assert!(!accepted(200, "hello"));
    }

    #[test]
    fn numbered_pushes_count_up_from_the_first_record_id() {
        let fields = serde_json::from_str(lead::SAMPLE).expect("the sample");
        let (bytes, record_id) = Body::Numbered(fields, 7).numbered(2);
        assert_eq!(record_id, Some(9));
        let sent: Value = serde_json::from_slice(&bytes).expect("json");
        assert_eq!(sent["record_id"], 9);
        assert_eq!(sent["city_name"], "杭州");
    }

    #[test]
    fn urls_without_a_query_are_taken() {
        assert!(url("http://127.0.0.1:8080/tmall/leads").is_ok());
        assert!(url("http://127.0.0.1/x?a=1").is_err());
        assert!(url("ftp://127.0.0.1/x").is_err());
        for (text, loopback) in [
            ("http://[::1]/", true),
            ("http://127.0.0.2/", true),
            ("http://a/", false),
        ] {
            assert_eq!(is_loopback(&url(text).expect("a url")), loopback);
        }
    }
}
