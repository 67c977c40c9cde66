//! `leadgate demo`: the main job at once, with nothing configured.
//!
//! The real daemon on a temporary outbox, the real `http` plugin, and a stand-in CRM in this
//! process. The document's sample lead is signed, pushed, made durable, delivered and
//! verified, and each step is told from what was observed, not from what should happen.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::stand_in::{Key, Signature, StandIn, Terms, Told};
use super::{FAILED, Global, fail};
use crate::clock::{Clock, SystemClock};
use crate::daemon::{Daemon, Sockets};
use crate::lang::Lang;
use crate::lead;
use crate::outbox::{DeliveryId, State};
use crate::plugin::Plugins;
use crate::source::tmall::{PushParts, signed_push};

/// App key and secret of the demo's shop; they protect nothing.
const APP_KEY: &str = "23456789";
const APP_SECRET: &str = "demo-app-secret";
const WEBHOOK_SECRET: &str = "whsec_bGVhZGdhdGUtZGVtby13ZWJob29rLXNlY3JldCE=";
/// Longest wait for any one step.
const PATIENCE: Duration = Duration::from_secs(15);

#[derive(clap::Args)]
pub(super) struct Args {
    /// Stop after the first lead; exit 0 only if the stand-in really received it
    #[arg(long)]
    once: bool,
    /// Port for pushes [default: 8080 if free, else any]
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
}

pub(super) fn run(global: &Global, args: &Args) -> ExitCode {
    let runtime = match super::runtime() {
        Ok(runtime) => runtime,
        Err(error) => return fail(error, FAILED),
    };
    let code = match runtime.block_on(story(global.lang(), args)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => fail(why, FAILED),
    };
    runtime.shutdown_background();
    code
}

async fn story(lang: Lang, args: &Args) -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let terms = Terms {
        key: Some(Key::parse(WEBHOOK_SECRET)?),
        fail: None,
    };
    let (crm, mut received) = StandIn::start(0, terms).map_err(|error| error.to_string())?;
    let plugins = Plugins::builtin().map_err(|error| error.to_string())?;
    let config = configure(folder.path(), &crm.url(), port(args))?;
    crate::telemetry::log::start(&config.log);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let daemon = Daemon::start(&config, &plugins, &clock, Sockets::default())
        .await
        .map_err(|error| error.to_string())?;
    let url = format!("http://{}/tmall/leads", daemon.public_address());
    let say = |number: u8, en: String, zh: String| outln!("{number}. {}", lang.pick(en, zh));

    say(
        1,
        format!(
            "leadgate listens on {url}; its outbox is in {}",
            folder.path().display()
        ),
        format!("leadgate 监听 {url}；发件箱在 {}", folder.path().display()),
    );
    say(
        2,
        format!("a stand-in CRM listens on {}", crm.url()),
        format!("模拟 CRM 监听 {}", crm.url()),
    );

    let push = signed_push(&PushParts {
        app_key: APP_KEY,
        secret: APP_SECRET,
        method: None,
        now: clock.now(),
        body: lead::SAMPLE.as_bytes(),
    });
    let began = Instant::now();
    let answer = push_to(&url, &push).await?;
    let took = began.elapsed();
    say(
        3,
        format!(
            "pushed the sample lead, signed with MD5; answered in {:.1} ms: {answer}",
            millis(took)
        ),
        format!(
            "推送文档示例客资（MD5 签名），{:.1} 毫秒后应答：{answer}",
            millis(took)
        ),
    );
    let expected = String::from_utf8_lossy(crate::source::tmall::SUCCESS).into_owned();
    if answer != expected {
        return Err(lang.pick(
            "the push was not acknowledged".to_owned(),
            "推送未被确认".to_owned(),
        ));
    }
    let totals = daemon.outbox().totals();
    say(
        4,
        format!(
            "the answer came after the disk barrier: {} lead durable",
            totals.accepted
        ),
        format!(
            "应答在落盘屏障之后发出：已持久化 {} 条客资",
            totals.accepted
        ),
    );

    let first = next(&mut received, lang).await?;
    say(
        5,
        format!(
            "the CRM received delivery {}: record {}, phone {}",
            first.webhook.delivery,
            record(&first),
            first.webhook.phone.masked()
        ),
        format!(
            "CRM 收到投递 {}：客资 {}，手机 {}",
            first.webhook.delivery,
            record(&first),
            first.webhook.phone.masked()
        ),
    );
    say(
        6,
        "its Standard Webhooks signature was verified".to_owned(),
        "Standard Webhooks 签名校验通过".to_owned(),
    );
    let receipt = delivered(&daemon, &first).await?;
    if receipt != first.receipt {
        return Err(format!(
            "the outbox keeps receipt `{receipt}`, the CRM gave `{}`",
            first.receipt
        ));
    }
    say(
        7,
        format!("recorded as delivered, receipt {receipt}"),
        format!("已记录为已送达，回执 {receipt}"),
    );

    if args.once {
        outln!(
            "{}",
            lang.pick(
                "done: one lead, from push to CRM",
                "完成：一条客资，从推送到 CRM"
            )
        );
    } else {
        outln!(
            "\n{}\n  {} push --url {url} --app-key {APP_KEY} --secret {APP_SECRET} --record-id 400001 --count 3\n{}",
            lang.pick(
                "It keeps running. In a second terminal:",
                "演示继续运行。请在另一个终端执行："
            ),
            std::env::current_exe()
                .map_or_else(|_| "leadgate".to_owned(), |path| path.display().to_string()),
            lang.pick("Ctrl-C ends it.", "按 Ctrl-C 结束。"),
        );
        keep_telling(&mut received, lang).await;
    }
    daemon.stop().await;
    crm.stop().await;
    Ok(())
}

/// The configuration that a merchant would write, read the way theirs is.
fn configure(folder: &Path, crm: &str, port: u16) -> Result<crate::config::Config, String> {
    let text = format!(
        r#"[server]
listen = "127.0.0.1:{port}"
[admin]
listen = "127.0.0.1:0"
allow_without_token = true
[outbox]
path = "{path}"
key = "{key}"
[log]
level = "warn"
format = "human"
[sources.demo]
kind = "tmall"
path = "/tmall/leads"
app_key = "{APP_KEY}"
app_secret = ["{APP_SECRET}"]
[sinks.crm]
plugin = "http"
[sinks.crm.settings]
preset = "standard-webhooks"
url = "{crm}"
secret = "{WEBHOOK_SECRET}"
"#,
        path = folder.join("outbox").display(),
        key = *crate::seal::OutboxKey::generate().to_text(),
    );
    let file = folder.join("leadgate.toml");
    std::fs::write(&file, text).map_err(|error| error.to_string())?;
    let mut plugins = Plugins::builtin().map_err(|error| error.to_string())?;
    super::check::load_file(&file, &mut plugins)
}

fn port(args: &Args) -> u16 {
    args.port.unwrap_or_else(|| {
        let free = std::net::TcpListener::bind("127.0.0.1:8080").is_ok();
        if free && !args.once { 8080 } else { 0 }
    })
}

async fn push_to(url: &str, push: &crate::source::tmall::SignedPush) -> Result<String, String> {
    let client = reqwest::Client::builder()
        .no_proxy()
        .timeout(PATIENCE)
        .build()
        .map_err(|error| error.to_string())?;
    let response = client
        .post(format!("{url}?{}", push.query))
        .header("content-type", push.content_type)
        .body(push.body.clone())
        .send()
        .await
        .map_err(|error| super::client::innermost(&error))?;
    response
        .text()
        .await
        .map_err(|error| super::client::innermost(&error))
}

async fn next(received: &mut mpsc::Receiver<Told>, lang: Lang) -> Result<Told, String> {
    match tokio::time::timeout(PATIENCE, received.recv()).await {
        Ok(Some(told)) => match told.webhook.signature {
            Signature::Good => Ok(told),
            Signature::Wrong(why) => Err(why.to_owned()),
            Signature::Unchecked => Err("the signature was not checked".to_owned()),
        },
        _ => Err(lang.pick(
            "the CRM received nothing".to_owned(),
            "CRM 没有收到投递".to_owned(),
        )),
    }
}

fn record(told: &Told) -> &str {
    told.webhook.record_id.as_deref().unwrap_or("-")
}

/// Waits until the outbox says delivered, and gives the receipt it keeps.
async fn delivered(daemon: &Daemon, received: &Told) -> Result<String, String> {
    let id = DeliveryId(
        received
            .webhook
            .delivery
            .parse()
            .map_err(|_| "the delivery id is no UUID".to_owned())?,
    );
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        let delivery = daemon
            .outbox()
            .delivery(id)
            .map_err(|error| error.to_string())?;
        if let Some(delivery) = delivery
            && matches!(delivery.state, State::Delivered { .. })
        {
            return Ok(delivery
                .history
                .last()
                .map_or_else(String::new, |attempt| attempt.receipt.clone()));
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Err("the delivery was not recorded".to_owned())
}

async fn keep_telling(received: &mut mpsc::Receiver<Told>, lang: Lang) {
    loop {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => return,
            next = received.recv() => match next {
                Some(told) => outln!("   {}", told.text(lang, false)),
                None => return,
            },
        }
    }
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
