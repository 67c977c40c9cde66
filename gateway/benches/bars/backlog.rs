//! The backlog: a sink was paused for long, and a million leads wait for it.
//!
//! `LEADGATE_BENCH_LEADS=100000` for fewer. The store is filled by the library, then the real
//! daemon opens it; it was just written, so the disk's cache is warm.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use leadgate::clock::{Clock, SystemClock};
use leadgate::lead::Lead;
use leadgate::outbox::sled::SledOutbox;
use leadgate::outbox::{
    Arrival, Intake as _, Maintenance as _, Operations as _, PauseCause, Route,
};

use crate::bar::Bar;
use crate::load::{Load, Measured};
use crate::server::Server;
use crate::{Scale, accept, leads, per_second, server, store};

/// Arrivals that wait for the store at once while it is filled.
const IN_FLIGHT: usize = 1024;
/// Pushes that measure the accept rate.
const PUSHES: usize = 60_000;
/// Record ids of the backlog begin here, beyond those of the pushes.
const FIRST: usize = 1_000_000_000;
/// Nobody listens there; the sink is paused.
const NOWHERE: &str = "http://127.0.0.1:9/";

pub(crate) fn run(scale: Scale) -> anyhow::Result<()> {
    let count = std::env::var("LEADGATE_BENCH_LEADS")
        .ok()
        .map_or(Ok(1_000_000), |text| text.parse())?;
    let pushes = scale.of(PUSHES).max(accept::CONNECTIONS);

    let empty = server::folder()?;
    fill(&empty.path().join("store"), 0)?;
    let leadgate = Server::leadgate(empty.path(), &server::sink(NOWHERE))?;
    let reference = push(&leadgate, pushes)?;
    drop(leadgate);

    println!("\nbacklog of {count} leads");
    let full = server::folder()?;
    let path = full.path().join("store");
    let began = Instant::now();
    fill(&path, count)?;
    println!(
        "  filled at {:.0} leads/s",
        per_second(count, began.elapsed())
    );
    #[expect(clippy::cast_precision_loss)]
    let mib = size(&path)? as f64 / f64::from(1 << 20);
    println!("  disk {mib:.0} MiB");
    let leadgate = Server::leadgate(full.path(), &server::sink(NOWHERE))?;
    let ready = leadgate.ready_after.as_secs_f64();
    Bar::AtMost(5.0).judge("start to /readyz, disk cache warm", ready, " s");
    let process = leadgate.process();
    let at_ready = process.resident()?;
    let measured = push(&leadgate, pushes)?;
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

fn push(leadgate: &Server, count: usize) -> anyhow::Result<Measured> {
    Load {
        address: leadgate.address,
        connections: accept::CONNECTIONS,
    }
    .run(leads::signed_pushes(count))
}

/// Makes a store in which `count` leads wait for the paused sink `crm`.
fn fill(path: &Path, count: usize) -> anyhow::Result<()> {
    let outbox = Arc::new(SledOutbox::open(store::options(path, &["crm"]))?);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        outbox
            .pause("crm", Some(PauseCause::Person(String::new())))
            .await
            .map_err(|error| anyhow::anyhow!(error.0))?;
        let tasks: Vec<_> = (0..IN_FLIGHT)
            .map(|first| {
                let outbox = Arc::clone(&outbox);
                tokio::spawn(async move {
                    for number in (first..count).step_by(IN_FLIGHT) {
                        outbox.accept(waiting(FIRST + number)?).await?;
                    }
                    anyhow::Ok(())
                })
            })
            .collect();
        for task in tasks {
            task.await??;
        }
        anyhow::Ok(())
    })?;
    outbox.close();
    Ok(())
}

/// A lead for `crm`, as a push would bring it.
fn waiting(number: usize) -> anyhow::Result<Arrival> {
    let raw = leads::lead(number);
    let lead = Lead::parse_json(&raw).map_err(|_| anyhow::anyhow!("the sample is a lead"))?;
    Ok(Arrival {
        received_at: SystemClock.now(),
        routes: vec![Route {
            sink: Arc::from("crm"),
            failed: None,
        }],
        ..store::arrival(number, &lead, raw)
    })
}

fn size(folder: &Path) -> std::io::Result<u64> {
    use std::os::unix::fs::MetadataExt;
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += if metadata.is_dir() {
            size(&entry.path())?
        } else {
            metadata.blocks() * 512
        };
    }
    Ok(bytes)
}
