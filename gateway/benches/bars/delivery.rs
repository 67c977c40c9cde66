//! End to end: from a push to the local HTTP sink that has it, with the memory it takes.
//!
//! Pushes come as fast as they are answered, and the rate is that of the whole: from the first
//! push until the sink has everything.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::ensure;

use crate::bar::Bar;
use crate::load::Load;
use crate::server::{Process, Server};
use crate::sink::Sink;
use crate::{Scale, accept, leads, server};

const LEADS: usize = 150_000;
const SAMPLED_EVERY: Duration = Duration::from_millis(500);
/// Longest time without any delivery before the run is given up.
const PATIENCE: Duration = Duration::from_secs(30);
/// How much memory may grow from the middle third of the run to the last.
const GROWTH: f64 = 1.2;

/// Relates the rate to `full`, the accept rate of the same run.
pub(crate) fn run(scale: Scale, full: f64) -> anyhow::Result<()> {
    let count = scale.of(LEADS).max(1_000);
    let pushes = leads::signed_pushes(count);
    let sink = Sink::start()?;
    let folder = server::folder()?;
    let url = format!("http://{}/", sink.address);
    let leadgate = Server::leadgate(folder.path(), &server::sink(&url))?;
    let over = AtomicBool::new(false);
    let began = Instant::now();
    let (accepted, samples) = std::thread::scope(|scope| {
        let watch = scope.spawn(|| watch(leadgate.process(), &over));
        let accepted = Load {
            address: leadgate.address,
            connections: accept::CONNECTIONS,
        }
        .run(pushes)
        .and_then(|accepted| {
            let meanwhile = (sink.taken(), began.elapsed());
            wait(&sink, count)?;
            Ok((accepted, meanwhile, began.elapsed()))
        });
        over.store(true, Ordering::SeqCst);
        anyhow::Ok((accepted?, watch.join().expect("the watch does not panic")?))
    })?;
    let (measured, (meanwhile, until), whole) = accepted;

    println!("\nend to end, {count} leads to one http sink");
    println!(
        "  accepted {:>8.0}/s for {:.1} s",
        measured.rate,
        until.as_secs_f64()
    );
    println!(
        "  waiting when the last push was answered {}",
        count - meanwhile.min(count)
    );
    let rate = crate::per_second(count, whole);
    println!("  delivered {rate:>7.0}/s for {:.1} s", whole.as_secs_f64());
    Bar::AtLeast(0.5).judge("delivered / accept rate of this run", rate / full, "");
    let shown: Vec<String> = samples
        .iter()
        .step_by((samples.len() / 12).max(1))
        .map(|mib| format!("{mib:.0}"))
        .collect();
    println!("  RSS in MiB over time: {}", shown.join(" "));
    let third = samples.len() / 3;
    let growth = median(&samples[2 * third..]) / median(&samples[third..2 * third]);
    Bar::AtMost(GROWTH).judge("RSS, last third / middle third", growth, "");
    Ok(())
}

fn wait(sink: &Sink, count: usize) -> anyhow::Result<()> {
    let mut seen = (sink.taken(), Instant::now());
    while seen.0 < count {
        std::thread::sleep(Duration::from_millis(2));
        let taken = sink.taken();
        if taken > seen.0 {
            seen = (taken, Instant::now());
        }
        ensure!(
            seen.1.elapsed() < PATIENCE,
            "deliveries ended at {taken} of {count}"
        );
    }
    Ok(())
}

fn watch(process: Process, over: &AtomicBool) -> anyhow::Result<Vec<f64>> {
    let mut samples = Vec::new();
    while !over.load(Ordering::SeqCst) || samples.len() < 3 {
        samples.push(process.resident()?);
        std::thread::sleep(SAMPLED_EVERY);
    }
    Ok(samples)
}

fn median(samples: &[f64]) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}
