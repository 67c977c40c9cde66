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
    args.run.is_of_one(global, false)?;
    let path = format!("/deliveries/{}", encoded(id));
    let api = Api::of(global, &args.target)?;
    let lang = global.lang();
    let preview = api.get(&format!("{path}/preview"))?;
    running::warn_of_changes(global, &api);
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
    if is_stuck {
        return Err(stuck(global, &delivery));
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
