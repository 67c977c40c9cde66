//! `leadgate outbox retry`: one delivery, after a look at what is otherwise now, or many as a bulk
//! job.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::super::client::{Api, Target, encoded};
use super::super::{FAILED, Global, ask, bulk, fail, held, out, preview, running};
use super::{in_short, many, say};
use crate::lang::Lang;
use crate::outbox::StateName;

#[derive(clap::Args)]
pub(in super::super) struct Retry {
    /// Id of the delivery
    #[arg(required_unless_present = "many", conflicts_with = "many")]
    id: Option<String>,
    /// Also if it was delivered or replaced already: the destination may get it twice
    #[arg(long, conflicts_with = "many")]
    force: bool,
    #[command(flatten)]
    which: many::Many,
    #[command(flatten)]
    run: bulk::Run,
    #[command(flatten)]
    target: Target,
}

pub(super) fn retry(global: &Global, args: &Retry) -> Result<(), ExitCode> {
    match &args.id {
        Some(id) => one(global, args, id),
        None => many::make(global, &args.target, "retry", &args.which, &args.run),
    }
}

/// Tries one again now. Fails if something holds it that does not end by itself soon.
fn one(global: &Global, args: &Retry, id: &str) -> Result<(), ExitCode> {
    let path = format!("/deliveries/{}", encoded(id));
    let api = Api::of(global, &args.target)?;
    let lang = global.lang();
    let preview = api.get(&format!("{path}/preview"))?;
    running::warn_of_changes(global, &args.target, &api);
    if !args.run.yes {
        let delivery = api.get(&path)?;
        // A person has decided otherwise before.
        if delivery["state"] == StateName::Cancelled.as_str() {
            let what = in_short(lang, &delivery);
            let question = lang.pick(
                format!("{what}: deliver it after all?"),
                format!("{what}：仍要投递吗？"),
            );
            ask::confirm_on_terminal(lang, &question)?;
        }
    }
    for line in preview::changes(lang, &preview) {
        errln!("{line}");
    }
    let mut delivery = api.post(&format!("{path}/retry"), &json!({ "force": args.force }))?;
    let is_stuck = held::needs_a_person(&delivery["held_by"]);
    if global.json {
        delivery["preview"] = preview;
        out::json(&delivery);
    } else if !is_stuck {
        // Not its history: that ends with an attempt of before.
        outln!("{}", tried_again(lang, id));
        for hold in held::lines(global, &delivery["held_by"]) {
            say(lang.pick("held", "受阻"), &hold);
        }
    }
<<<<<<< HEAD
    if is_stuck {
        return Err(stuck(global, &delivery));
=======
    running::warn_of_changes(global, &api);
    if !is_stuck {
        return Ok(());
>>>>>>> says
    }
    Ok(())
}

/// It is due, and nobody will try it.
fn stuck(global: &Global, delivery: &Value) -> ExitCode {
    let lang = global.lang();
    let why = held::lines(global, &delivery["held_by"]);
    let why = why.join(lang.pick("; ", "；"));
    fail(
        lang.pick(
            format!("it is due, and is not tried now: {why}"),
            format!("已设为立即投递，但现在不会尝试：{why}"),
        ),
        FAILED,
    )
}

fn tried_again(lang: Lang, id: &str) -> String {
    lang.pick(
        format!("{id}: will be tried again now; see `leadgate outbox show {id}`"),
        format!("{id}：即将重新投递；结果见 `leadgate outbox show {id}`"),
    )
}
<<<<<<< HEAD
=======

pub(super) fn retry(global: &Global, args: &Retry) -> Result<(), ExitCode> {
    if let Some(id) = &args.id {
        return retry_one(global, args, id);
    }
    let sink = args.sink.as_deref().unwrap_or_default();
    let path = format!("/sinks/{}/retry-dead", encoded(sink));
    let api = Api::of(global, &args.target)?;
    let plan = api.post(&path, &json!({ "plan": true, "group": args.group }))?;
    let count = plan["count"].as_u64().unwrap_or_default();
    let lang = global.lang();
    errln!(
        "leadgate: {}",
        lang.pick(
            format!(
                "{sink} has {}{}",
                counted(count, "dead letter", "dead letters"),
                if args.group.is_some() {
                    " of this group"
                } else {
                    ""
                }
            ),
            format!(
                "{sink} {}有 {count} 条死信",
                if args.group.is_some() {
                    "的该分组"
                } else {
                    ""
                }
            )
        )
    );
    if count == 0 {
        if global.json {
            out::json(&json!({ "retried": 0, "skipped": 0, "remaining": 0 }));
        }
        return Ok(());
    }
    if !args.yes {
        let question = lang.pick("try all of them again?", "全部重新投递吗？");
        ask::confirm(lang, question)?;
    }
    let confirmed = json!({ "confirm_count": count, "group": args.group });
    let outcome = api.post(&path, &confirmed)?;
    running::warn_of_changes(global, &api);
    if global.json {
        out::json(&outcome);
        return Ok(());
    }
    let (retried, skipped) = (&outcome["retried"], &outcome["skipped"]);
    let remaining = outcome["remaining"].as_u64().unwrap_or_default();
    outln!(
        "{}",
        lang.pick(
            format!(
                "{retried} tried again, {skipped} skipped, {} now",
                counted(remaining, "dead letter", "dead letters")
            ),
            format!("{retried} 条重新投递，{skipped} 条跳过，现有死信 {remaining} 条")
        )
    );
    let skipped = outcome["skipped_because"].as_object();
    for (reason, count) in skipped.into_iter().flatten() {
        let (en, zh) = match reason.as_str() {
            "newer" => (
                "the sink was given, or waits for, a newer revision of the lead",
                "目的地已收到或正等待该客资的新版本",
            ),
            "in_flight" => ("an attempt is under way", "正在投递"),
            "over" => (
                "it was delivered or superseded meanwhile",
                "其间已送达或被取代",
            ),
            "no_sink" => ("its sink is not configured", "目的地未配置"),
            "died_again" => ("it became a dead letter again meanwhile", "其间又成为死信"),
            _ => ("it is gone", "已不存在"),
        };
        outln!("  {count}: {}", lang.pick(en, zh));
    }
    Ok(())
}
>>>>>>> says
