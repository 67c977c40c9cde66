//! `leadgate leads erase`: one lead, or all that is stored of a person, goes for good; or all leads
//! of a source, a time, a condition, as a bulk job.
//!
//! Shows what would go and asks; then says what went, and who had been given it.

use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Value, json};

use super::super::client::{Api, Target};
use super::super::table::{self, Column, coded, column};
use super::super::{FAILED, Global, ask, bulk, out};
use super::whom::Whom;
use crate::admin::Given;
use crate::lang::{Lang, counted};
use crate::outbox::Skip;
use crate::words::Words;

/// Of what is left, so much is said line by line.
const SAID: usize = 20;
/// Longest wait: what else lies where the bytes are is written anew.
const PATIENCE: Duration = Duration::from_secs(60 * 60);

/// Many leads.
#[derive(clap::Args)]
#[group(id = "many", multiple = true, conflicts_with = "whom")]
pub(in crate::cli) struct Many {
    /// All of this source
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// All first received from then on: a time such as "2026-11-26 10:00:00" or 2026-11-26, which is GMT+8 unless it names another zone (Z, +08:00), or how long ago, such as 2h
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// All first received before then: a time (GMT+8 unless it names another zone), or how long ago
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// All that meet this condition, written as a sink's `when`
    #[arg(long, value_name = "EXPR")]
    when: Option<String>,
}

#[derive(clap::Args)]
#[group(id = "what", required = true, multiple = true, args = ["id", "phone", "record_id", "order_num", "nick", "openid", "source", "since", "until", "when"])]
pub(in crate::cli) struct Erase {
    #[command(flatten)]
    whom: Whom,
    #[command(flatten)]
    which: Many,
    /// Only show what would go
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    run: bulk::Run,
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
    if args.whom.is_nobody() {
        return many(global, args);
    }
    args.run.is_of_one(global, true)?;
    let lang = global.lang();
    let mut wish = args.whom.named(global)?;
    wish["note"] = args.run.note().into();
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
    if !args.run.yes && !is_nothing(&plan) {
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
    if is_all(&done) {
        Ok(())
    } else {
        Err(ExitCode::from(FAILED))
    }
}

/// Makes a job of it.
fn many(global: &Global, args: &Erase) -> Result<(), ExitCode> {
    let which = &args.which;
    let wish = json!({
        "action": "erase",
        "source": which.source,
        "since": which.since,
        "until": which.until,
        "when": which.when,
    });
    if args.dry_run {
        return bulk::rehearse(global, &args.target, wish, &args.run);
    }
    bulk::make(global, &args.target, wish, &args.run)
}

/// What is to be known of a job that erased, as far as it is, a line each.
pub(in crate::cli) fn of_job(lang: Lang, job: &Value) -> Vec<String> {
    let mut lines = given(lang, job);
    lines.push(elsewhere(lang).to_owned());
    let why = |(why, count): (&String, &Value)| {
        let count = count.as_u64().filter(|_| !is_gone(why))?;
        Some(format!("{} {count}", Words::Skip.of(lang, why)))
    };
    let left = job["skipped_because"].as_object().into_iter().flatten();
    let left: Vec<String> = left.filter_map(why).collect();
    if !left.is_empty() {
        let left = left.join(lang.comma());
        lines.push(lang.pick(
            format!("leads are left: {left}; run this again"),
            format!("有客资未擦除：{left}；请再次执行"),
        ));
    }
    lines
}

/// Whether a job erased all that it was to erase.
pub(in crate::cli) fn job_did_all(job: &Value) -> bool {
    let mut left = job["skipped_because"].as_object().into_iter().flatten();
    job["state"] == "done" && left.all(|(why, _)| is_gone(why))
}

/// Whether what was left for this reason is not there.
fn is_gone(why: &str) -> bool {
    why == Skip::Gone.as_str()
}

/// What a person has to see to beside it.
fn elsewhere(lang: Lang) -> &'static str {
    lang.pick(
        "destinations that were given it, and backups and exports made earlier, still have it: see to them, too",
        "曾收到的目的地，以及此前所做的备份与导出中仍有这些数据：请一并处理",
    )
}

/// What would go, as tables, and what would not.
fn show(global: &Global, plan: &Value) {
    let lang = global.lang();
    if is_nothing(plan) && items(plan, "left").is_empty() {
        outln!(
            "{}",
            lang.pick("nothing of it is stored", "没有存储任何相关内容")
        );
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
    for line in left(lang, plan) {
        errln!("leadgate: {line}");
    }
}

/// What went, who has it still, and what is left to do.
fn tell(lang: Lang, done: &Value) {
    if is_nothing(done) && is_all(done) {
        let nothing = lang.pick(
            "nothing of it is stored; what was erased before is off the disk",
            "没有存储任何相关内容；此前擦除的已不在磁盘上",
        );
        outln!("{nothing}");
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
    for line in to_do(lang, done) {
        errln!("leadgate: {line}");
    }
}

/// What a person has to see to, a line each.
fn to_do(lang: Lang, done: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    if !is_nothing(done) {
        lines.push(elsewhere(lang).to_owned());
    }
    lines.extend(detail(lang, &done["not_wiped"]));
    lines.extend(left(lang, done));
    if done["more"] == true {
        let more = lang.pick(
            "there may be more than one run takes: run this again",
            "可能还有本次未处理的：请再次执行",
        );
        lines.push(more.to_owned());
    }
    lines
}

/// What is left, and why, a line each.
fn left(lang: Lang, answer: &Value) -> Vec<String> {
    let left = items(answer, "left");
    let line = |one: &Value| {
        let detail = detail(lang, one)?;
        if let Some(lead) = one["lead"].as_str() {
            return Some(lang.pick(
                format!("lead {lead} {detail}"),
                format!("客资 {lead} {detail}"),
            ));
        }
        let push = one["quarantined"].as_str()?;
        Some(lang.pick(
            format!("push {push} in quarantine {detail}"),
            format!("隔离推送 {push} {detail}"),
        ))
    };
    let mut lines: Vec<String> = left.iter().take(SAID).filter_map(line).collect();
    let rest = left.len().saturating_sub(SAID);
    if rest > 0 {
        lines.push(lang.pick(
            format!("and {rest} more: --json shows all"),
            format!("另有 {rest} 条：用 --json 查看全部"),
        ));
    }
    lines
}

/// What the API says for people.
fn detail(lang: Lang, of: &Value) -> Option<String> {
    let detail = of[lang.pick("detail", "detail_zh")].as_str();
    detail.map(str::to_owned)
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
            let count = counts[how.as_str()].as_u64().filter(|count| *count > 0)?;
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
    let mut lines: Vec<String> = sinks.map(line).collect();
    if items(answer, "leads")
        .iter()
        .any(|lead| lead["unread"] == true)
    {
        let unread = lang.pick(
            "not every lead could be read: wherever one was tried, the destination counts as in doubt",
            "有客资无法读取：凡曾尝试投递的目的地一律视为可能已收到",
        );
        lines.push(unread.to_owned());
    }
    lines
}

/// Whether nothing is left to do here.
fn is_all(done: &Value) -> bool {
    items(done, "left").is_empty() && done["more"] != true && done["not_wiped"].is_null()
}

fn is_nothing(answer: &Value) -> bool {
    items(answer, "leads").is_empty() && items(answer, "quarantined").is_empty()
}

fn items<'a>(answer: &'a Value, name: &str) -> &'a [Value] {
    answer[name].as_array().map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
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

    #[test]
    fn what_is_left_is_said_with_what_to_do_and_is_not_all() {
        let text = |en: &str, zh: &str| json!({ "detail": en, "detail_zh": zh });
        let mut lead = text("is still there", "尚未擦除");
        lead["lead"] = "1".into();
        let mut push = text("was not read", "未能读取");
        push["quarantined"] = "2".into();
        let mut answer = json!({
            "leads": [], "quarantined": [], "left": [lead, push], "more": false,
        });
        assert!(!is_all(&answer));
        assert_eq!(
            to_do(Lang::En, &answer),
            ["lead 1 is still there", "push 2 in quarantine was not read"]
        );
        assert_eq!(
            to_do(Lang::ZhCn, &answer),
            ["客资 1 尚未擦除", "隔离推送 2 未能读取"]
        );
        answer["left"] = vec![answer["left"][0].clone(); SAID + 3].into();
        let lines = to_do(Lang::En, &answer);
        assert_eq!(lines.len(), SAID + 1);
        assert_eq!(lines[SAID], "and 3 more: --json shows all");
    }

    #[test]
    fn a_job_that_left_something_did_not_all_and_says_what_and_who_had_the_rest() {
        let mut job = json!({
            "state": "done", "skipped_because": { "gone": 2 },
            "sinks": { "crm": { "delivered": 3, "in_doubt": 0 } },
        });
        assert!(job_did_all(&job));
        let lines = of_job(Lang::En, &job);
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0], "was given to crm: 3 delivered");
        job["skipped_because"]["in_flight"] = 1.into();
        job["skipped_because"]["damaged"] = 4.into();
        assert!(!job_did_all(&job));
        assert_eq!(
            of_job(Lang::En, &job)[2],
            "leads are left: damaged 4, in_flight 1; run this again"
        );
        assert!(of_job(Lang::ZhCn, &job)[2].starts_with("有客资未擦除：存储的内容已损坏 4"));
        job = json!({ "state": "running", "wiping": true, "skipped_because": {} });
        assert!(!job_did_all(&job), "it is on the disk still");
    }

    #[test]
    fn what_is_on_the_disk_still_is_said_and_is_not_all() {
        let unread = json!({
            "leads": [{ "unread": true }], "quarantined": [], "left": [], "more": false,
            "sinks": { "crm": { "in_doubt": 1 } },
        });
        assert!(is_all(&unread));
        assert_eq!(given(Lang::En, &unread).len(), 2, "how it is known is said");
        let mut answer = unread;
        answer["not_wiped"] = json!({ "detail": "still on the disk", "detail_zh": "仍在磁盘上" });
        assert!(!is_all(&answer));
        for (lang, text) in [(Lang::En, "still on the disk"), (Lang::ZhCn, "仍在磁盘上")] {
            assert!(to_do(lang, &answer).iter().any(|line| line == text));
        }
        answer["leads"] = json!([]);
        assert!(!is_all(&answer), "nothing went this time, and it is there");
    }
}
