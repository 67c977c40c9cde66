//! `leadgate sink listen`: a stand-in for a CRM, for a merchant who has none yet, or who wants
//! to see what a sink sends and how it takes a failure.

use std::process::ExitCode;

use actix_web::http::StatusCode;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::stand_in::{Key, Signature, StandIn, Terms, Told};
use super::{FAILED, Global, USAGE, fail, out};
use crate::lang::Lang;

/// Where it listens if nothing is said; `leadgate init` writes it into the first sink.
pub(super) const PORT: u16 = 9000;
/// Largest file with a secret, in bytes.
const LARGEST: u64 = 64 * 1024;

#[derive(clap::Args)]
#[expect(clippy::doc_markdown, reason = "these comments are the help text")]
pub(super) struct Args {
    /// Port on this machine; 0 takes a free one
    #[arg(long, value_name = "PORT", default_value_t = PORT)]
    port: u16,
    /// What the sink signs with, to verify it: env:NAME, file:PATH, or whsec_… itself
    #[arg(long, value_name = "SECRET")]
    secret: Option<String>,
    /// Answer with this status, to see what the sink makes of it
    #[arg(long, value_name = "STATUS", value_parser = clap::value_parser!(u16).range(300..600))]
    fail: Option<u16>,
    /// Take so many leads before that
    #[arg(long, value_name = "N", requires = "fail", default_value_t = 0)]
    after: u64,
    /// End once so many leads were taken
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Show names and phones as they are, and the whole body
    #[arg(long)]
    reveal: bool,
}

pub(super) fn run(global: &Global, args: &Args) -> ExitCode {
    let lang = global.lang();
    let key = match args.secret.as_deref().map(key).transpose() {
        Ok(key) => key,
        Err(why) => return fail(format!("--secret: {why}"), USAGE),
    };
    let is_checked = key.is_some();
    let status = args
        .fail
        .and_then(|status| StatusCode::from_u16(status).ok());
    let terms = Terms {
        key,
        fail: status.map(|status| (status, args.after)),
    };
    let runtime = match super::runtime() {
        Ok(runtime) => runtime,
        Err(error) => return fail(error, FAILED),
    };
    let code = runtime.block_on(async {
        // Before it listens: a signal that comes early is not lost.
        let (Ok(mut terminate), Ok(mut interrupt)) = (
            signal(SignalKind::terminate()),
            signal(SignalKind::interrupt()),
        ) else {
            return fail("signals cannot be received", FAILED);
        };
        let (stand_in, mut told) = match StandIn::start(args.port, terms) {
            Ok(started) => started,
            Err(error) => return fail(no_port(lang, args.port, &error), FAILED),
        };
        errln!("{}", greeting(lang, &stand_in.url(), is_checked));
        tokio::select! {
            () = tell(global, args, &mut told) => {}
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        stand_in.stop().await;
        ExitCode::SUCCESS
    });
    runtime.shutdown_background();
    code
}

/// Tells what comes until as many were taken as were asked for, or nobody reads it any more.
async fn tell(global: &Global, args: &Args, told: &mut mpsc::Receiver<Told>) {
    let mut taken = 0;
    while let Some(one) = told.recv().await {
        let text = if global.json {
            one.json(args.reveal)
        } else {
            one.text(global.lang(), args.reveal)
        };
        outln!("{text}");
        taken += u64::from(one.is_taken());
        if !out::is_read() || args.count.is_some_and(|count| taken >= count) {
            return;
        }
    }
}

impl Told {
    /// One line, and the body below it if it may be seen.
    pub(super) fn text(&self, lang: Lang, reveal: bool) -> String {
        let webhook = &self.webhook;
        let at = jiff::Timestamp::from_millisecond(webhook.at).unwrap_or_default();
        let at = format!("{at:.3}");
        let mut parts = vec![super::table::time(lang, &at).unwrap_or(at)];
        let known = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        parts.extend(known(&webhook.event));
        match &webhook.record_id {
            Some(id) => parts.push(format!("{} {id}", lang.pick("record", "客资"))),
            None => parts.push(
                lang.pick("(not an event of leadgate)", "（不是 leadgate 的事件格式）")
                    .to_owned(),
            ),
        }
        for person in [&webhook.name, &webhook.phone] {
            if reveal {
                parts.extend(known(person.revealed()));
            } else {
                parts.extend(known(&person.masked()));
            }
        }
        parts.push(match (webhook.signature, lang) {
            (Signature::Good, Lang::En) => "signature good".to_owned(),
            (Signature::Good, Lang::ZhCn) => "签名正确".to_owned(),
            (Signature::Unchecked, Lang::En) => "signature not checked".to_owned(),
            (Signature::Unchecked, Lang::ZhCn) => "未校验签名".to_owned(),
            (Signature::Wrong(why), Lang::En) => why.to_owned(),
            (Signature::Wrong(why), Lang::ZhCn) => wrong_in_chinese(why).to_owned(),
        });
        if self.again {
            parts.push(lang.pick("came before", "此前已收到").to_owned());
        }
        let answered = lang.pick("answered", "应答");
        parts.push(format!("{answered} {} {}", self.status, self.receipt));
        let mut text = parts.join("  ").trim_end().to_owned();
        if reveal {
            text.push('\n');
            text.push_str(&serde_json::to_string_pretty(&webhook.body).unwrap_or_default());
        }
        text
    }

    fn json(&self, reveal: bool) -> String {
        let webhook = &self.webhook;
        let shown = |person: &super::stand_in::Person| {
            if reveal {
                person.revealed().to_owned()
            } else {
                person.masked()
            }
        };
        let (signature, why) = match webhook.signature {
            Signature::Good => ("good", None),
            Signature::Unchecked => ("unchecked", None),
            Signature::Wrong(why) => ("wrong", Some(why)),
        };
        json!({
            "at": jiff::Timestamp::from_millisecond(webhook.at).unwrap_or_default().to_string(),
            "delivery": webhook.delivery,
            "event": webhook.event,
            "record_id": webhook.record_id,
            "name": shown(&webhook.name),
            "phone": shown(&webhook.phone),
            "signature": signature,
            "why": why,
            "again": self.again,
            "status": self.status,
            "receipt": self.receipt,
            "body": reveal.then_some(&webhook.body),
        })
        .to_string()
    }
}

/// The signing key that the flag names.
fn key(text: &str) -> Result<Key, String> {
    let secret = if let Some(name) = text.strip_prefix("env:") {
        std::env::var(name).map_err(|_| format!("environment variable {name} is not set"))?
    } else if let Some(path) = text.strip_prefix("file:") {
        let length = std::fs::metadata(path).map(|facts| facts.len());
        let length = length.map_err(|error| format!("{path}: {error}"))?;
        if length > LARGEST {
            return Err(format!("{path}: larger than {LARGEST} bytes"));
        }
        std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?
    } else {
        text.to_owned()
    };
    Key::parse(&secret).map_err(str::to_owned)
}

fn greeting(lang: Lang, url: &str, is_checked: bool) -> String {
    let unchecked = if is_checked {
        String::new()
    } else {
        lang.pick(
            "\nsignatures are not checked; --secret with the sink's secret checks them",
            "\n不校验签名；用 --secret 给出该目的地的密钥即可校验",
        )
        .to_owned()
    };
    match lang {
        Lang::En => format!("a stand-in CRM takes leads at {url}; Ctrl-C ends it{unchecked}"),
        Lang::ZhCn => format!("模拟 CRM 在 {url} 接收客资；按 Ctrl-C 结束{unchecked}"),
    }
}

fn no_port(lang: Lang, port: u16, error: &std::io::Error) -> String {
    match lang {
        Lang::En => format!(
            "cannot listen on 127.0.0.1:{port}: {error}; choose another with --port and write it into the sink's url"
        ),
        Lang::ZhCn => format!(
            "无法监听 127.0.0.1:{port}：{error}；请用 --port 换一个端口，并写进该目的地的 url"
        ),
    }
}

fn wrong_in_chinese(why: &'static str) -> &'static str {
    match why {
        "the request is not signed" => "请求没有签名",
        "the signature is wrong" => "签名错误",
        "the signed time is more than 5 minutes off" => "签名时间相差超过 5 分钟",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::super::stand_in::Webhook;
    use super::*;

    fn told(signature: Signature) -> Told {
        let body = r#"{"event":"lead.created","lead":{"record_id":7,"name":"张三","phone":"13567658911"}}"#;
        let mut webhook = Webhook::read(|_| None, body.as_bytes(), None, 0);
        webhook.signature = signature;
        Told {
            webhook,
            status: 200,
            receipt: "crm-7".to_owned(),
            again: false,
        }
    }

    #[test]
    fn a_lead_is_one_line_and_its_person_is_masked_unless_asked_for() {
        let told = told(Signature::Good);
        let text = told.text(Lang::En, false);
        assert!(
            text.ends_with(
                "  lead.created  record 7  张**  135****8911  signature good  answered 200 crm-7"
            ),
            "{text}"
        );
        for text in [&text, &told.json(false), &told.text(Lang::ZhCn, false)] {
            assert!(
                !text.contains("13567658911") && !text.contains("张三"),
                "{text}"
            );
            assert_eq!(text.lines().count(), 1, "{text}");
        }
        for text in [told.json(true), told.text(Lang::En, true)] {
            assert!(
                text.contains("13567658911") && text.contains("张三"),
                "{text}"
            );
        }
    }

    #[test]
    fn every_reason_against_a_signature_is_said_in_chinese_too() {
        for why in [
            "the request is not signed",
            "the signature is wrong",
            "the signed time is more than 5 minutes off",
        ] {
            let text = told(Signature::Wrong(why)).text(Lang::ZhCn, false);
            assert!(!text.contains(why), "{text}");
        }
    }
}
