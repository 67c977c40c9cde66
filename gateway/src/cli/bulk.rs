//! `leadgate bulk`: jobs over many leads or deliveries; and how the commands that make one go
//! about it: plan, show, ask, start, follow.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

use clap::Subcommand;
use serde_json::{Value, json};

use super::audited::me;
use super::client::{Api, Target, encoded};
use super::leads::erase;
use super::table::{self, Column, coded, column};
use super::{FAILED, Global, USAGE, ask, fail, finish, out, preview, running};
use crate::lang::{Lang, counted};
use crate::terminal;
use crate::words::Words;

/// Between two looks at a job that is followed.
const LOOK: Duration = Duration::from_millis(500);
/// Between two lines about it where there is no terminal.
const LINES: u64 = 20;

#[derive(Subcommand)]
pub(super) enum Command {
    /// List bulk jobs, the newest first
    List(Target),
    /// Show a bulk job: to what it is done, how far it is, why it waits, what was skipped and why
    Show(Show),
    /// Start a bulk job that was only planned, or let a cancelled one go on from where it was
    Start(Start),
    /// Stop a bulk job; what is done stays done
    Cancel(One),
}

#[derive(clap::Args)]
pub(super) struct One {
    /// Id of the bulk job
    id: String,
    #[command(flatten)]
    target: Target,
}

#[derive(clap::Args)]
pub(super) struct Show {
    #[command(flatten)]
    one: One,
    /// Go on showing how far it is until it ends
    #[arg(long)]
    follow: bool,
}

#[derive(clap::Args)]
pub(super) struct Start {
    #[command(flatten)]
    one: One,
    /// Do not wait for its end
    #[arg(long)]
    detach: bool,
}

/// How a command that makes a job runs it.
#[derive(clap::Args)]
pub(super) struct Run {
    /// How many a second at most [default: 20]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    rate: Option<u32>,
    /// Why, for whoever looks at it later; names nobody
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    /// Do not ask
    #[arg(long)]
    pub(super) yes: bool,
    /// Do not wait for its end; `leadgate bulk show` tells how far it is
    #[arg(long)]
    detach: bool,
}

impl Run {
    /// Why.
    pub(super) fn note(&self) -> &str {
        self.note.as_deref().unwrap_or_default()
    }

    /// Refuses what is only for jobs where one is meant, so that nothing is dropped without a word.
    pub(super) fn is_of_one(&self, global: &Global, takes_note: bool) -> Result<(), ExitCode> {
        let Some(flag) = self.of_many(takes_note) else {
            return Ok(());
        };
        let why = global.lang().pick(
            format!("{flag} is for bulk jobs, and this is about one: leave it out"),
            format!("{flag} 仅用于批量任务，此处只针对一个：请去掉"),
        );
        Err(fail(why, USAGE))
    }

    /// The first of the flags given that are only for jobs.
    fn of_many(&self, takes_note: bool) -> Option<&'static str> {
        let flags = [
            ("--rate", self.rate.is_some()),
            ("--detach", self.detach),
            ("--note", self.note.is_some() && !takes_note),
        ];
        let given = flags.into_iter().find(|(_, is_given)| *is_given);
        given.map(|(flag, _)| flag)
    }

    /// Who does it, and why.
    pub(super) fn signed(&self) -> Value {
        json!({ "note": self.note(), "by": me() })
    }
}

const JOBS: [Column; 9] = [
    column("id", "bulk job", "任务"),
    coded("action", "action", "操作", Words::Action),
    coded("state", "state", "状态", Words::Job),
    column("count", "planned", "计划"),
    column("done", "done", "完成"),
    column("skipped", "skipped", "跳过"),
    column("rate", "per second", "每秒"),
    column("started_at", "started", "开始时间"),
    column("behind", "waits for", "排在其后"),
];

const JOB: [Column; 17] = [
    column("id", "bulk job", "任务"),
    coded("action", "action", "操作", Words::Action),
    column("to", "to", "投递到"),
    column("when", "when", "条件"),
    coded("state", "state", "状态", Words::Job),
    coded("stopped", "stopped", "停止原因", Words::Stop),
    column("waits", "waits", "等待原因"),
    column("behind", "waits for", "排在其后"),
    column("count", "planned", "计划"),
    column("done", "done", "完成"),
    column("skipped", "skipped", "跳过"),
    column("rate", "per second", "每秒"),
    column("note", "note", "备注"),
    column("by", "by", "操作人"),
    column("made_at", "planned at", "计划时间"),
    column("started_at", "started", "开始时间"),
    column("ended_at", "ended", "结束时间"),
];

const SKIPS: [Column; 2] = [
    column("id", "skipped", "跳过"),
    coded("why", "why", "原因", Words::Skip),
];

pub(super) fn run(global: &Global, command: &Command) -> ExitCode {
    finish(match command {
        Command::List(target) => list(global, target),
        Command::Show(args) => show(global, args),
        Command::Start(args) => start(global, args),
        Command::Cancel(one) => cancel(global, one),
    })
}

fn list(global: &Global, target: &Target) -> Result<(), ExitCode> {
    let jobs = Api::of(global, target)?.get("/bulk")?;
    table::print_list(global, &JOBS, &jobs);
    Ok(())
}

fn path(id: &str) -> String {
    format!("/bulk/{}", encoded(id))
}

fn show(global: &Global, args: &Show) -> Result<(), ExitCode> {
    let api = Api::of(global, &args.one.target)?;
    let path = path(&args.one.id);
    let job = if args.follow {
        follow(global, &api, &path)?
    } else {
        api.get(&path)?
    };
    print(global, &job);
    Ok(())
}

fn start(global: &Global, args: &Start) -> Result<(), ExitCode> {
    let api = Api::of(global, &args.one.target)?;
    let path = path(&args.one.id);
    run_to_end(global, &api, &path, args.detach)
}

fn cancel(global: &Global, one: &One) -> Result<(), ExitCode> {
    let path = format!("{}/cancel", path(&one.id));
    let job = Api::of(global, &one.target)?.post(&path, &json!({ "by": me() }))?;
    print(global, &job);
    Ok(())
}

/// Plans what is wished, shows it, asks, starts it, and follows it to its end.
pub(super) fn make(
    global: &Global,
    target: &Target,
    wish: Value,
    run: &Run,
) -> Result<(), ExitCode> {
    let api = Api::of(global, target)?;
    let lang = global.lang();
    let is_final = ["erase", "discard"].contains(&wish["action"].as_str().unwrap_or_default());
    let job = plan(global, &api, wish, run)?;
    running::warn_of_changes(global, &api);
    let is_none = job["count"] == 0 && job["exact"] == true;
    if !is_none && !run.yes {
        let question = if is_final {
            lang.pick(
                "start it? what it does cannot be taken back",
                "开始执行吗？执行后无法撤回",
            )
        } else {
            lang.pick("start it?", "开始执行吗？")
        };
        ask::confirm(lang, question)?;
    }
    let id = job["id"].as_str().unwrap_or_default();
    run_to_end(global, &api, &path(id), run.detach)
}

/// The same, but nothing is kept or started.
pub(super) fn rehearse(
    global: &Global,
    target: &Target,
    mut wish: Value,
    run: &Run,
) -> Result<(), ExitCode> {
    let api = Api::of(global, target)?;
    wish["dry_run"] = true.into();
    let job = plan(global, &api, wish, run)?;
    print(global, &job);
    Ok(())
}

/// Plans it and shows the plan.
fn plan(global: &Global, api: &Api<'_>, mut wish: Value, run: &Run) -> Result<Value, ExitCode> {
    let mut signed = run.signed();
    for name in ["note", "by"] {
        wish[name] = signed[name].take();
    }
    wish["rate"] = run.rate.into();
    let job = api.post("/bulk", &wish)?;
    let lang = global.lang();
    errln!("leadgate: {}", planned(lang, &job));
    for line in meant(lang, &job) {
        errln!("  {line}");
    }
    for line in preview::samples(lang, &job) {
        errln!("  {line}");
    }
    Ok(job)
}

/// Starts a job and, unless it is let go, shows how far it is to its end. Fails if it is stopped
/// before, and if what was to be erased is not gone.
fn run_to_end(global: &Global, api: &Api<'_>, path: &str, detach: bool) -> Result<(), ExitCode> {
    let started = api.post(&format!("{path}/start"), &json!({ "by": me() }))?;
    if detach {
        print(global, &started);
        return Ok(());
    }
    let lang = global.lang();
    if started["state"] == "running" {
        let id = started["id"].as_str().unwrap_or_default();
        errln!(
            "leadgate: {}",
            lang.pick(
                format!("it goes on if this command ends; `leadgate bulk cancel {id}` stops it"),
                format!("此命令退出后任务仍会继续；停止请用 `leadgate bulk cancel {id}`"),
            )
        );
    }
    let ended = follow(global, api, path)?;
    print(global, &ended);
    let is_erasure = ended["action"] == "erase";
    if is_erasure {
        for line in erase::of_job(lang, &ended) {
            errln!("leadgate: {line}");
        }
    }
    if ended["state"] == "done" && (!is_erasure || erase::job_did_all(&ended)) {
        Ok(())
    } else {
        Err(ExitCode::from(FAILED))
    }
}

/// What a plan is, in a line.
fn planned(lang: Lang, job: &Value) -> String {
    let text = |field: &str| job[field].as_str().unwrap_or_default();
    let count = job["count"].as_u64().unwrap_or_default();
    let is_exact = job["exact"] == true;
    let rate = job["rate"].as_u64().unwrap_or(1).max(1);
    let action = Words::Action.of(lang, text("action")).into_owned();
    let seconds = count / rate;
    // What is only shown is not kept, and has none.
    let named = |before: &str, after: &str| match text("id") {
        "" => String::new(),
        id => format!("{before}{id}{after}"),
    };
    lang.pick(
        format!(
            "{}{action}, {}{}, {rate} a second, about {}",
            named("bulk job ", ": "),
            if is_exact { "" } else { "at least " },
            counted(count, "target", "targets"),
            counted(seconds, "second", "seconds"),
        ),
        format!(
            "{}{action}，{}{count} 条，每秒 {rate} 条，约 {seconds} 秒",
            named("批量任务 ", "："),
            if is_exact { "" } else { "至少 " },
        ),
    )
}

/// What else is to be known of a plan before it is started, a line each.
fn meant(lang: Lang, job: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(when) = job["when"].as_str() {
        lines.push(lang.pick(format!("only where: {when}"), format!("仅限满足：{when}")));
    }
    if job["again"] == true {
        let to = job["to"].as_str().unwrap_or_default();
        lines.push(lang.pick(
            format!("what {to} was delivered already goes again: --only-undelivered leaves it out"),
            format!("{to} 已收到的会再次发送：用 --only-undelivered 可排除"),
        ));
    }
    lines
}

/// Shows how far a job is until it does not run any more, or what it erased cannot be taken off the
/// disk; how it stands then. On a terminal in one line that is written anew.
fn follow(global: &Global, api: &Api<'_>, path: &str) -> Result<Value, ExitCode> {
    let lang = global.lang();
    let in_place = std::io::stderr().is_terminal() && !terminal::is_dumb() && !global.json;
    let mut look = 0_u64;
    loop {
        let job = api.get(path)?;
        let is_stuck = job["wiping"] == true && job["waits"].is_string();
        let ended = job["state"] != "running" || is_stuck;
        if in_place {
            let end = if ended { "\n" } else { "" };
            out::message(&format!("\r\x1b[K{}{end}", progress(lang, &job)));
        } else if !global.json && (ended || look.is_multiple_of(LINES)) {
            errln!("leadgate: {}", progress(lang, &job));
        }
        if ended {
            return Ok(job);
        }
        look += 1;
        std::thread::sleep(LOOK);
    }
}

/// How far a job is, in a line.
fn progress(lang: Lang, job: &Value) -> String {
    let number = |field: &str| job[field].as_u64().unwrap_or_default();
    let (done, skipped, count) = (number("done"), number("skipped"), number("count"));
    let more = if job["exact"] == true { "" } else { "+" };
    let state = Words::Job.of(lang, job["state"].as_str().unwrap_or_default());
    let far = lang.pick(
        format!("{state}: {done} done, {skipped} skipped of {count}{more}"),
        format!("{state}：共 {count}{more} 条，完成 {done}，跳过 {skipped}"),
    );
    let text = |name: &str| job[name].as_str().map(str::to_owned);
    let beside = if let Some(why) = text(lang.pick("waits", "waits_zh")) {
        Some(lang.pick(format!("waits: {why}"), format!("等待：{why}")))
    } else if job["wiping"] == true {
        let wiping = lang.pick(
            "what was erased is being taken off the disk",
            "正在从磁盘上清除",
        );
        Some(wiping.to_owned())
    } else {
        text("stopped").map(|why| match lang {
            Lang::En => stopped(&why).to_owned(),
            Lang::ZhCn => Words::Stop.of(lang, &why).into_owned(),
        })
    };
    match beside {
        Some(beside) => format!("{far}{}{beside}", lang.pick("; ", "；")),
        None => far,
    }
}

/// Why a job was stopped, in English words.
fn stopped(why: &str) -> &str {
    match why {
        "no_sink" => "its sink is not configured any more",
        "condition" => "its condition cannot be used any more",
        _ => "by hand",
    }
}

fn print(global: &Global, job: &Value) {
    if global.json {
        out::json(job);
        return;
    }
    let mut shown = job.clone();
    if global.lang() == Lang::ZhCn {
        shown["waits"] = shown["waits_zh"].take();
    }
    table::print_one(global, &JOB, &shown);
    let skips = job["skipped_ids"].as_array().map(Vec::as_slice);
    if let Some(skips) = skips.filter(|skips| !skips.is_empty()) {
        outln!();
        table::print(global, &SKIPS, skips);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_and_its_progress_say_whether_there_may_be_more() {
        let mut job = json!({
            "id": "7", "action": "retry", "state": "running", "count": 450, "exact": true,
            "rate": 20, "done": 3, "skipped": 1,
        });
        assert_eq!(
            planned(Lang::En, &job),
            "bulk job 7: retry, 450 targets, 20 a second, about 22 seconds"
        );
        assert_eq!(
            progress(Lang::En, &job),
            "running: 3 done, 1 skipped of 450"
        );
        job["exact"] = false.into();
        assert_eq!(
            planned(Lang::ZhCn, &job),
            "批量任务 7：重新投递，至少 450 条，每秒 20 条，约 22 秒"
        );
        assert_eq!(
            progress(Lang::ZhCn, &job),
            "执行中：共 450+ 条，完成 3，跳过 1"
        );
        job["id"] = Value::Null;
        assert!(planned(Lang::En, &job).starts_with("retry, at least 450"));
        assert!(planned(Lang::ZhCn, &job).starts_with("重新投递，至少"));
    }

    #[test]
    fn progress_says_why_a_job_does_not_get_on() {
        let mut job = json!({ "state": "cancelled", "stopped": "no_sink", "count": 1 });
        assert!(progress(Lang::En, &job).ends_with("; its sink is not configured any more"));
        assert!(progress(Lang::ZhCn, &job).ends_with("；其目的地已不在配置中"));
        job = json!({ "state": "running", "wiping": true, "waits": null, "count": 1 });
        assert!(
            progress(Lang::En, &job).ends_with("; what was erased is being taken off the disk")
        );
        job["waits"] = "no room".into();
        job["waits_zh"] = "空间不足".into();
        assert!(progress(Lang::En, &job).ends_with("; waits: no room"));
        assert!(progress(Lang::ZhCn, &job).ends_with("；等待：空间不足"));
    }

    #[test]
    fn a_plan_says_by_what_it_goes_and_what_goes_again() {
        let mut job = json!({ "to": "crm", "when": "store_id == 7", "again": true });
        let lines = meant(Lang::En, &job);
        assert_eq!(lines[0], "only where: store_id == 7");
        assert!(
            lines[1].contains("goes again: --only-undelivered"),
            "{lines:?}"
        );
        assert_eq!(meant(Lang::ZhCn, &job).len(), 2);
        job["again"] = false.into();
        job["when"] = Value::Null;
        assert_eq!(meant(Lang::En, &job), [""; 0]);
    }

    #[test]
    fn what_is_only_for_jobs_is_not_dropped_where_one_is_meant() {
        let run = |rate, note: Option<&str>, detach| Run {
            rate,
            note: note.map(str::to_owned),
            yes: true,
            detach,
        };
        for (run, takes_note, flag) in [
            (run(None, None, false), false, None),
            (run(Some(9), None, false), true, Some("--rate")),
            (run(None, None, true), true, Some("--detach")),
            (run(None, Some("why"), false), false, Some("--note")),
            (run(None, Some("why"), false), true, None),
        ] {
            assert_eq!(run.of_many(takes_note), flag);
        }
    }

    #[test]
    fn who_counts_as_delivered_says_how_it_was_seen_to() {
        use clap::Parser;
        let parse = |args: &[&str]| super::super::Cli::try_parse_from(args).err();
        let base = ["leadgate", "outbox", "done", "--sink", "crm"];
        let error = parse(&base).expect("why is missing").to_string();
        assert!(error.contains("--note <TEXT>"), "{error}");
        assert!(parse(&[&base[..], &["--note", "by phone"]].concat()).is_none());
    }
}
