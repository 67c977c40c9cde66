//! `leadgate top`: how leads come and go, live, until `q` or a signal ends it.
//!
//! Without a terminal, and with `--json`, one snapshot: two looks a while apart, so that it has
//! rates. A daemon that restarts is waited for, and said.

mod screen;
mod snapshot;

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

use self::screen::{Event, Screen};
use self::snapshot::{Reading, Snapshot};
use super::client::{Api, Target, Trouble};
use super::{FAILED, Global, fail, finish, out};
use crate::terminal;

/// Groups of failures that are shown.
const FAILURES: usize = 3;
/// Between two looks of a snapshot.
const MOMENT: Duration = Duration::from_secs(1);

#[derive(clap::Args)]
pub(super) struct Args {
    /// Seconds between two looks, 1 to 60
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=60))]
    interval: u64,
    #[command(flatten)]
    target: Target,
}

pub(super) fn run(global: &Global, args: &Args) -> ExitCode {
    let live = !global.json && !terminal::is_dumb() && std::io::stdout().is_terminal();
    let interval = Duration::from_secs(args.interval);
    finish(Api::of(global, &args.target).and_then(|api| {
        api.block_on(async {
            if live {
                watch(global, &api, interval).await
            } else {
                once(global, &api).await
            }
        })
    }))
}

async fn look(api: &Api<'_>) -> Result<Reading, Trouble> {
    Ok(Reading {
        stats: api.answer_to("/stats").await?,
        sinks: api.answer_to("/sinks").await?,
        failures: api
            .answer_to(&format!("/failure-groups?limit={FAILURES}"))
            .await?,
        at: tokio::time::Instant::now(),
    })
}

async fn once(global: &Global, api: &Api<'_>) -> Result<(), ExitCode> {
    let before = look(api).await.map_err(Trouble::say)?;
    tokio::time::sleep(MOMENT).await;
    let now = look(api).await.map_err(Trouble::say)?;
    let snapshot = Snapshot::of(Some(&before), &now);
    if global.json {
        out::json(&snapshot.json());
    } else {
        for line in snapshot.lines(global, terminal::columns()) {
            outln!("{line}");
        }
    }
    Ok(())
}

async fn watch(global: &Global, api: &Api<'_>, interval: Duration) -> Result<(), ExitCode> {
    let failed = |error: std::io::Error| fail(error, FAILED);
    // Before the screen: a mistake is said where it can be read afterwards.
    let mut now = look(api).await.map_err(Trouble::say)?;
    let mut before = None;
    let mut trouble = None;
    let mut ends = Ends::new().map_err(failed)?;
    let mut screen = Screen::enter().map_err(failed)?;
    loop {
        let snapshot = Snapshot::of(before.as_ref(), &now);
        let mut lines = snapshot.lines(global, terminal::columns());
        if let Some(trouble) = &trouble {
            lines.insert(0, said(global, trouble));
        }
        lines.push(String::new());
        let lang = global.lang();
        lines.push(lang.pick("q quits", "按 q 退出").to_owned());
        screen.draw(&lines).map_err(failed)?;
        tokio::select! {
            event = screen.event() => match event {
                Event::Quit => return Ok(()),
                Event::Resized => {}
            },
            () = ends.next() => return Ok(()),
            looked = async {
                tokio::time::sleep(interval).await;
                look(api).await
            } => match looked {
                Ok(reading) => {
                    // What was before a daemon went away says nothing of now.
                    before = trouble.is_none().then_some(now);
                    now = reading;
                    trouble = None;
                }
                Err(found) => trouble = Some(found),
            },
        }
        if !out::is_read() {
            return Ok(());
        }
    }
}

/// What is wrong, on one line, above what was seen last.
fn said(global: &Global, trouble: &Trouble) -> String {
    let lang = global.lang();
    let first = trouble.message().lines().next().unwrap_or_default();
    let first = terminal::visible(first);
    lang.pick(
        format!("! {first}; below is what was seen last"),
        format!("！{first}；以下为最后一次所见"),
    )
}

/// Signals that end it, with the terminal as it was.
struct Ends {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Ends {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }
}
