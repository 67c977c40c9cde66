//! `leadgate leads erase`: one lead, or all that is stored of a person, goes for good.
//!
//! Shows what would go and asks; then says what went, and who had been given it.

use std::process::ExitCode;
use std::time::Duration;

use serde_json::Value;

use super::super::client::{Api, Target};
use super::super::table::{self, Column, coded, column};
use super::super::words::Words;
use super::super::{FAILED, Global, ask, out};
use super::whom::Whom;
use crate::admin::Given;
use crate::lang::{Lang, counted};

/// Longest wait: what else lies where the bytes are is written anew.
const PATIENCE: Duration = Duration::from_secs(60 * 60);

#[derive(clap::Args)]
pub(in crate::cli) struct Erase {
    #[command(flatten)]
    whom: Whom,
    /// Why, in a line for the daemon's log; nothing personal
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    /// Only show what would go
    #[arg(long)]
    dry_run: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    target: Target,
}

const LEADS: [Column; 5] = [
    column("id", "lead", "客资"),
    column("source", "source", "来源"),
    column("revisions", "revisions", "版本数"),
    column("first_received_at", "received", "接收时间"),
    coded("sinks", "was given to", "曾交给", Words::Given),
];

const PUSHES: [Column; 4] = [
    column("id", "quarantined", "隔离推送"),
    column("source", "source", "来源"),
    coded("reason", "reason", "原因", Words::Quarantine),
    column("received_at", "received", "接收时间"),
];

pub(super) fn run(global: &Global, args: &Erase) -> Result<(), ExitCode> {
    let lang = global.lang();
    let mut wish = args.whom.named(global)?;
    if let Some(note) = &args.note {
        wish["note"] = note.as_str().into();
    }
    let api = Api::of(global, &args.target)?;
    let mut rehearsal = wish.clone();
    rehearsal["dry_run"] = true.into();
    let plan = api.post_within("/leads/erase", &rehearsal, PATIENCE)?;
    if args.dry_run {
        if global.json {
            out::json(&plan);
        } else {
            show(global, &plan);
        }
        return Ok(());
    }
    if !args.yes && !is_nothing(&plan) {
        errln!("leadgate: {}", would_go(lang, &plan));
        for line in given(lang, &plan) {
            errln!("{line}");
        }
        let question = lang.pick(
            "erase it for good, from this outbox and its disk?",
            "要从发件箱及其磁盘上永久擦除吗？",
        );
        ask::confirm(lang, question)?;
    }
    // Also where there is nothing: one that was cut short is finished so.
    let done = api.post_within("/leads/erase", &wish, PATIENCE)?;
    if global.json {
        out::json(&done);
    } else {
        tell(lang, &done);
    }
    let is_all = items(&done, "left").is_empty() && done["more"] != true;
    if is_all {
        Ok(())
    } else {
        Err(ExitCode::from(FAILED))
    }
}

/// What would go, as tables.
fn show(global: &Global, plan: &Value) {
    let lang = global.lang();
    if is_nothing(plan) {
        outln!("{}", nothing(lang));
        return;
    }
    let (leads, pushes) = (items(plan, "leads"), items(plan, "quarantined"));
    if !leads.is_empty() {
        table::print(global, &LEADS, leads);
    }
    if !leads.is_empty() && !pushes.is_empty() {
        outln!();
    }
    if !pushes.is_empty() {
        table::print(global, &PUSHES, pushes);
    }
    errln!("leadgate: {}", would_go(lang, plan));
}

/// What went, who has it still, and what is left to do.
fn tell(lang: Lang, done: &Value) {
    if is_nothing(done) && items(done, "left").is_empty() {
        outln!("{}", nothing(lang));
        return;
    }
    let what = amount(lang, done);
    outln!(
        "{}",
        lang.pick(format!("erased: {what}"), format!("已擦除：{what}"))
    );
    for line in given(lang, done) {
        outln!("{line}");
    }
    let elsewhere = lang.pick(
        "destinations that were given it, and backups and exports made earlier, still have it: see to them, too",
        "曾收到的目的地，以及此前所做的备份与导出中仍有这些数据：请一并处理",
    );
    errln!("leadgate: {elsewhere}");
    for left in items(done, "left") {
        let lead = left["lead"].as_str().unwrap_or_default();
        errln!(
            "leadgate: {}",
            lang.pick(
                format!("{lead} is still there: an attempt for it is under way; run this again"),
                format!("{lead} 尚未擦除：正在投递中；请再次执行"),
            )
        );
    }
    if done["more"] == true {
        let more = lang.pick(
            "there may be more than one run takes: run this again",
            "可能还有本次未处理的：请再次执行",
        );
        errln!("leadgate: {more}");
    }
}

fn nothing(lang: Lang) -> &'static str {
    lang.pick(
        "nothing of it is stored; what was erased before is off the disk",
        "没有存储任何相关内容；此前擦除的已不在磁盘上",
    )
}

fn would_go(lang: Lang, plan: &Value) -> String {
    let what = amount(lang, plan);
    lang.pick(format!("would go: {what}"), format!("将擦除：{what}"))
}

/// How much it is.
fn amount(lang: Lang, answer: &Value) -> String {
    let (leads, pushes) = (
        items(answer, "leads").len() as u64,
        items(answer, "quarantined").len() as u64,
    );
    let mut parts = Vec::new();
    if leads > 0 || pushes == 0 {
        let some = counted(leads, "lead", "leads");
        parts.push(lang.pick(some, format!("{leads} 条客资")));
    }
    if pushes > 0 {
        let some = counted(pushes, "push in quarantine", "pushes in quarantine");
        parts.push(lang.pick(some, format!("{pushes} 条隔离推送")));
    }
    parts.join(lang.comma())
}

/// Which sinks were given how many of the leads, a line each.
fn given(lang: Lang, answer: &Value) -> Vec<String> {
    let sinks = answer["sinks"].as_object().into_iter().flatten();
    let line = |(sink, counts): (&String, &Value)| {
        let counts = Given::ALL.into_iter().rev().filter_map(|how| {
            let count = counts[how.as_str()].as_u64()?;
            let how = match (lang, how) {
                (Lang::En, Given::Delivered) => "delivered".into(),
                (Lang::En, Given::InDoubt) => "in doubt: it may have it".into(),
                (Lang::En, Given::Tried) => "tried, not taken".into(),
                (Lang::ZhCn, how) => Words::Given.of(lang, how.as_str()),
            };
            Some(format!("{count} {how}"))
        });
        let counts = counts.collect::<Vec<_>>().join(lang.comma());
        lang.pick(
            format!("was given to {sink}: {counts}"),
            format!("曾交给 {sink}：{counts}"),
        )
    };
    sinks.map(line).collect()
}

fn is_nothing(answer: &Value) -> bool {
    items(answer, "leads").is_empty() && items(answer, "quarantined").is_empty()
}

fn items<'a>(answer: &'a Value, name: &str) -> &'a [Value] {
    answer[name].as_array().map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_goes_and_who_had_it_is_said_in_both_languages() {
        let answer = json!({
            "leads": [{}, {}], "quarantined": [{}],
            "sinks": { "crm": { "delivered": 1, "in_doubt": 1 }, "mail": { "tried": 2 } },
        });
        assert_eq!(amount(Lang::En, &answer), "2 leads, 1 push in quarantine");
        assert_eq!(amount(Lang::ZhCn, &answer), "2 条客资，1 条隔离推送");
        assert_eq!(
            given(Lang::En, &answer),
            [
                "was given to crm: 1 delivered, 1 in doubt: it may have it",
                "was given to mail: 2 tried, not taken"
            ]
        );
        assert_eq!(
            given(Lang::ZhCn, &answer),
            [
                "曾交给 crm：1 已送达，1 可能已收到",
                "曾交给 mail：2 试过，对方未收"
            ]
        );
        let none = json!({ "leads": [], "quarantined": [] });
        assert!(is_nothing(&none));
        assert_eq!(amount(Lang::En, &none), "0 leads");
    }
}
