//! `leadgate check --connect`: whether the program starts, without a lead.
//!
//! With `check` in the settings the program itself says whether all is well, by its exit status.
//! Without, a persistent one is started and must not end by itself for a moment.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use leadgate_plugin::child::{Exit, LAUNCHED, Limits, Line, Stream, follow};
use leadgate_plugin::{Probe, Stop};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::start::{Running, Starter};

/// How long a program that waits for leads must stay.
const STAYS: Duration = Duration::from_secs(1);
/// Longest line that is repeated, in characters.
const LINE: usize = 300;

pub(crate) async fn walk(
    starter: &Arc<Starter>,
    check: Option<&[String]>,
    once: bool,
    probe: &Probe,
) -> Result<(), Stop> {
    let path = starter.program.path.display().to_string();
    if check.is_none() && once {
        let note = format!("{path}; not started: each lead starts it. Set `check` to try more");
        return probe.noted("program", async { Ok(((), note)) }).await;
    }
    probe.noted("program", async { Ok(((), path)) }).await?;
    let more = check.map(<[String]>::to_vec).unwrap_or_default();
    let trying = async {
        let starter = Arc::clone(starter);
        let started = tokio::task::spawn_blocking(move || starter.start(&more)).await;
        let started = started.map_err(|error| error.to_string())?;
        let running = started.map_err(|error| error.to_string())?;
        match check {
            Some(_) => says_that_all_is_well(running).await,
            None => stays(running).await,
        }
    };
    let name = if check.is_some() { "check" } else { "start" };
    Box::pin(probe.noted(name, trying)).await
}

/// It was started to look for itself.
async fn says_that_all_is_well(running: Running) -> Result<((), String), String> {
    let mut heard = Heard::of(running)?;
    let exit = heard.exit().await;
    let last = heard.last().await;
    if exit.is_success() {
        return Ok(((), last));
    }
    Err(with(exit, &last))
}

/// It was started as for leads, and gets none.
async fn stays(running: Running) -> Result<((), String), String> {
    let mut heard = Heard::of(running)?;
    match timeout(STAYS, heard.exit()).await {
        Err(_) => Ok(((), "it waits for leads".to_owned())),
        Ok(exit) => Err(format!(
            "{}, without waiting for leads",
            with(exit, &heard.last().await)
        )),
    }
}

fn with(exit: Exit, last: &str) -> String {
    if last.is_empty() {
        format!("it {exit}")
    } else {
        format!("it {exit}: {last}")
    }
}

/// A program and the last line that it writes. Gone when this is.
struct Heard {
    running: Running,
    lines: mpsc::Receiver<String>,
}

impl Heard {
    fn of(running: Running) -> Result<Self, String> {
        let (send, lines) = mpsc::channel(16);
        let each = move |_: Stream, line: Line| {
            let text: String = line.text.trim().chars().take(LINE).collect();
            if !text.is_empty() && !text.starts_with(LAUNCHED) {
                // The first ones are enough for somebody who writes a lot.
                let _ = send.try_send(text);
            }
        };
        let stderr = running
            .stderr
            .try_clone()
            .map_err(|error| error.to_string())?;
        let stdout = running.stdout.as_fd().try_clone_to_owned();
        let stdout = stdout.map_err(|error| error.to_string())?;
        let streams = vec![(Stream::Error, stderr), (Stream::Output, stdout)];
        follow(streams, Limits::default(), running.child.ended(), each)
            .map_err(|error| error.to_string())?;
        Ok(Self { running, lines })
    }

    async fn exit(&mut self) -> Exit {
        self.running.child.ended().wait().await
    }

    async fn last(&mut self) -> String {
        let mut last = String::new();
        while let Some(line) = self.lines.recv().await {
            last = line;
        }
        last
    }
}
