//! `leadgate bulk`: jobs over many leads or deliveries; and how the commands that make one go
//! about it: plan, show, ask, start, follow.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

use clap::Subcommand;
use serde_json::{Value, json};

use super::client::{Api, Target, encoded};
use super::table::{self, Column, coded, column};
use super::{FAILED, Global, ask, finish, out, preview, running};
use crate::lang::{Lang, counted};
use crate::words::Words;

/// Between two looks at a job that is followed.
const LOOK: Duration = Duration::from_millis(500);
/// Between two lines about it where there is no terminal.
const LINES: u64 = 20;

#[derive(Subcommand)]
pub(super) enum Command {
    /// List bulk jobs, the newest first
    List(Target),
    /// Show a bulk job: to what it is done, how far it is, what was skipped and why
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

    /// Who does it, and why.
    pub(super) fn signed(&self) -> Value {
        json!({ "note": self.note(), "by": me() })
    }
}

/// Who runs this command, as the system calls them.
fn me() -> String {
    std::env::var("USER").unwrap_or_default()
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

const JOB: [Column; 15] = [
    column("id", "bulk job", "任务"),
    coded("action", "action", "操作", Words::Action),
    column("to", "to", "投递到"),
    column("when", "when", "条件"),
    coded("state", "state", "状态", Words::Job),
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

/// The same, but nothing is started.
pub(super) fn rehearse(
    global: &Global,
    target: &Target,
    wish: Value,
    run: &Run,
) -> Result<(), ExitCode> {
    let api = Api::of(global, target)?;
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
    for line in preview::samples(lang, &job) {
        errln!("  {line}");
    }
    Ok(job)
}

/// Starts a job and, unless it is let go, shows how far it is to its end. Fails if it is stopped
/// before.
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
    if ended["state"] == "done" {
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
    lang.pick(
        format!(
            "bulk job {}: {action}, {}{}, {rate} a second, about {}",
            text("id"),
            if is_exact { "" } else { "at least " },
            counted(count, "target", "targets"),
            counted(seconds, "second", "seconds"),
        ),
        format!(
            "批量任务 {}：{action}，{}{count} 条，每秒 {rate} 条，约 {seconds} 秒",
            text("id"),
            if is_exact { "" } else { "至少 " },
        ),
    )
}

/// Shows how far a job is until it does not run any more; how it ended. On a terminal in one
/// line that is written anew.
fn follow(global: &Global, api: &Api<'_>, path: &str) -> Result<Value, ExitCode> {
    let lang = global.lang();
    let in_place = std::io::stderr().is_terminal() && !global.json;
    let mut look = 0_u64;
    loop {
        let job = api.get(path)?;
        let ended = job["state"] != "running";
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
    lang.pick(
        format!("{state}: {done} done, {skipped} skipped of {count}{more}"),
        format!("{state}：共 {count}{more} 条，完成 {done}，跳过 {skipped}"),
    )
}

fn print(global: &Global, job: &Value) {
    if global.json {
        out::json(job);
        return;
    }
    table::print_one(global, &JOB, job);
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
    }
}
