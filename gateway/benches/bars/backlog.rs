//! The backlog: a sink was paused for long, and a million leads wait for it.

use crate::bar::Bar;
use crate::filled::{self, Leads};
use crate::{Scale, accept, server};

/// Pushes that measure the accept rate.
const PUSHES: usize = 60_000;

pub(crate) fn run(scale: Scale) -> anyhow::Result<()> {
    let count = filled::count(1_000_000)?;
    let pushes = scale.of(PUSHES).max(accept::CONNECTIONS);

    let folder = server::folder()?;
    let reference = filled::push(&filled::empty(folder.path())?, pushes)?;

    println!("\nbacklog of {count} leads");
    let folder = server::folder()?;
    filled::fill(&folder.path().join("store"), count, Leads::Wait)?;
    let leadgate = filled::start_twice(folder.path(), Bar::AtMost(2.0), Bar::AtMost(5.0))?;
    let process = leadgate.process();
    let at_ready = process.resident()?;
    let measured = filled::push(&leadgate, pushes)?;
    let after = process.resident()?;
    Bar::AtMost(256.0).judge("RSS when ready", at_ready, " MiB");
    Bar::AtMost(256.0).judge(&format!("RSS after {pushes} more"), after, " MiB");
    Bar::AtMost(256.0).judge("RSS at its peak", process.peak()?, " MiB");
    println!("\naccept over HTTP                requests/s      p50 ms      p99 ms");
    accept::line("store empty", &reference);
    accept::line("store with the backlog", &measured);
    let ratio = measured.rate / reference.rate;
    Bar::AtLeast(0.8).judge("accept rate with the backlog / empty", ratio, "");
    Ok(())
}
