//! The history: ten million leads were delivered and are kept.
//!
//! A push of what is stored already is answered without storing anything, after a look into
//! the whole history; a new one is looked for in it, too. Both must stay cheap.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use leadgate::outbox::sled::SledOutbox;
use leadgate::outbox::{Accepted, Intake as _, Maintenance as _};

use crate::bar::Bar;
use crate::filled::{self, Leads};
use crate::{Scale, accept, per_second, server, store};

/// Pushes that measure the accept rate.
const PUSHES: usize = 60_000;
/// Leads of the small store that the large one is compared with.
const FEW: usize = 60_000;
/// Producers that each wait for their own answer.
const PRODUCERS: usize = 64;

pub(crate) fn run(scale: Scale) -> anyhow::Result<()> {
    let count = filled::count(10_000_000)?;
    let pushes = scale.of(PUSHES).max(accept::CONNECTIONS);

    println!("\n{FEW} leads kept, for comparison");
    let small = server::folder()?;
    filled::fill(&small.path().join("store"), FEW, Leads::Delivered)?;
    println!("\n{count} leads kept");
    let large = server::folder()?;
    filled::fill(&large.path().join("store"), count, Leads::Delivered)?;
    let leadgate = filled::start_twice(large.path(), Bar::AtMost(5.0), Bar::AtMost(5.0))?;
    let process = leadgate.process();
    println!("  RSS when ready {:.0} MiB", process.resident()?);
    let measured = filled::push(&leadgate, pushes)?;
    println!("  RSS at its peak {:.0} MiB", process.peak()?);
    drop(leadgate);

    let folder = server::folder()?;
    let reference = filled::push(&filled::empty(folder.path())?, pushes)?;
    println!("\naccept over HTTP                requests/s      p50 ms      p99 ms");
    accept::line("store empty", &reference);
    accept::line("store with the history", &measured);
    let ratio = measured.rate / reference.rate;
    Bar::AtLeast(0.8).judge("accept rate with the history / empty", ratio, "");

    let few = again(&small.path().join("store"), 0..FEW, pushes)?;
    // A sender that had no answer pushes again within minutes.
    let newest = again(&large.path().join("store"), count - FEW..count, pushes)?;
    let any = again(&large.path().join("store"), 0..count, pushes)?;
    println!("\nwhat is stored already, {PRODUCERS} producers        pushes/s");
    println!("{FEW:>10} leads kept               {few:>10.0}");
    println!("{count:>10} leads kept, the newest   {newest:>10.0}");
    println!("{count:>10} leads kept, any          {any:>10.0}");
    let bar = Bar::AtLeast(0.8);
    bar.judge(
        "known leads, the newest of many / few kept",
        newest / few,
        "",
    );
    bar.judge("known leads, any of many / few kept", any / few, "");
    Ok(())
}

/// Known leads accepted a second, drawn at random from `leads`.
fn again(path: &Path, leads: Range<usize>, pushes: usize) -> anyhow::Result<f64> {
    let outbox = Arc::new(SledOutbox::open(store::options(path, &["crm"]))?);
    let arrivals = (0..pushes).map(|_| filled::arrival(fastrand::usize(leads.clone())));
    let mut arrivals = arrivals.collect::<anyhow::Result<Vec<_>>>()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let rate = runtime.block_on(async {
        let began = Instant::now();
        let tasks: Vec<_> = (0..PRODUCERS)
            .map(|producer| {
                let some = arrivals.split_off(
                    arrivals.len() * (PRODUCERS - 1 - producer) / (PRODUCERS - producer),
                );
                let outbox = Arc::clone(&outbox);
                tokio::spawn(async move {
                    for arrival in some {
                        let accepted = outbox.accept(arrival).await?;
                        anyhow::ensure!(
                            matches!(accepted, Accepted::Duplicate { .. }),
                            "it was not known"
                        );
                    }
                    anyhow::Ok(())
                })
            })
            .collect();
        for task in tasks {
            task.await??;
        }
        anyhow::Ok(per_second(pushes, began.elapsed()))
    })?;
    outbox.close();
    Ok(rate)
}
