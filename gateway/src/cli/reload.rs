//! `leadgate reload`: the running daemon reads its configuration again.

use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Value, json};

use super::client::{Api, Target};
use super::{BAD_CONFIG, Global, finish, out};
use crate::lang::counted;

/// Longest wait: libraries are loaded and looked at, and a reload waits for the one before.
const PATIENCE: Duration = Duration::from_secs(300);

pub(super) fn run(global: &Global, target: &Target) -> ExitCode {
    finish(reload(global, target))
}

fn reload(global: &Global, target: &Target) -> Result<(), ExitCode> {
    let api = Api::of(global, target)?;
    let refused = |problem: &Value| {
        (problem["type"] == "urn:leadgate:problem:bad-configuration").then(|| {
            refusal(global, problem);
            ExitCode::from(BAD_CONFIG)
        })
    };
    let reloaded = api.post_or("/reload", &json!({}), PATIENCE, refused)?;
    if global.json {
        out::json(&reloaded);
        return Ok(());
    }
    let lang = global.lang();
    let applied = listed(&reloaded["applied"]);
    let restart = listed(&reloaded["needs_restart"]);
    let revision = reloaded["revision"].as_str().unwrap_or("-");
    if applied.is_empty() {
        let nothing = lang.pick(
            format!("nothing changed that a reload applies; revision {revision}"),
            format!("没有重新加载可生效的改动；版本 {revision}"),
        );
        outln!("{nothing}");
    } else {
        let head = lang.pick(
            format!("applied, revision {revision}:"),
            format!("已生效，版本 {revision}："),
        );
        outln!("{head}");
        for key in &applied {
            outln!("  {key}");
        }
    }
    if !restart.is_empty() {
        outln!(
            "{}",
            lang.pick(
                "changed in the files, and as before until leadgate is restarted:",
                "文件中已改动，重启 leadgate 后才生效："
            )
        );
        for key in &restart {
            outln!("  {key}");
        }
    }
    for one in reloaded["orphaned"].as_array().into_iter().flatten() {
        let sink = one["sink"].as_str().unwrap_or_default();
        let count = |key: &str| one[key].as_u64().unwrap_or_default();
        let (waiting, dead) = (count("waiting"), count("dead"));
        errln!(
            "leadgate: {}",
            lang.pick(
                format!(
                    "orphaned, because {sink} is not configured any more: {} and {}; see `leadgate outbox orphaned`",
                    counted(waiting, "delivery waits", "deliveries wait"),
                    counted(dead, "is dead", "are dead"),
                ),
                format!(
                    "{sink} 已不在配置中，其投递成为孤立投递：{waiting} 条等待，{dead} 条死信；见 `leadgate outbox orphaned`"
                )
            )
        );
    }
    let warnings = reloaded["warnings"].as_u64().unwrap_or(0);
    if warnings > 0 {
        errln!(
            "{}",
            lang.pick(
                format!("the configuration has warnings ({warnings}); `leadgate check` shows them"),
                format!("配置有 {warnings} 个警告；用 `leadgate check` 查看")
            )
        );
    }
    Ok(())
}

/// Prints what the daemon says is wrong, as `leadgate check` would; with `--json` for a program.
pub(super) fn refusal(global: &Global, problem: &Value) {
    let lang = global.lang();
    let pick = |en: &str, zh: &str| problem[lang.pick(en, zh)].clone();
    if global.json {
        out::json(&json!({
            "ok": false,
            "detail": pick("detail", "detail_zh"),
            "problems": pick("problems", "problems_zh"),
        }));
        return;
    }
    out::message(pick("report", "report_zh").as_str().unwrap_or_default());
    errln!(
        "leadgate: {}",
        pick("detail", "detail_zh").as_str().unwrap_or_default()
    );
}

fn listed(keys: &Value) -> Vec<&str> {
    let keys = keys.as_array().into_iter().flatten();
    keys.filter_map(Value::as_str).collect()
}
