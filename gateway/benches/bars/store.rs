//! The store alone: the outbox beside a raw log, both group-committed by one thread.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};
use std::time::{Duration, Instant};

use leadgate::config::OnUpdate;
use leadgate::lead::Lead;
use leadgate::outbox::sled::{Options, SledOutbox};
use leadgate::outbox::{Arrival, Find, FindBy, Outbox, SinkPolicy};
use leadgate::telemetry::metrics::Metrics;

use crate::bar::Bar;
use crate::server::folder;
use crate::{Scale, leads, ms, per_second};

/// Producers that each wait for their own commit, and commits of each.
const PRODUCERS: usize = 64;
const EACH: usize = 1_500;

/// The comparison.
pub(crate) fn run(scale: Scale) -> anyhow::Result<()> {
    let each = scale.of(EACH).max(10);
    let sync = bare_sync()?;
    let log = raw_log(PRODUCERS, each)?;
    let outbox = outbox(PRODUCERS, each)?;
    println!("\nstore alone, {PRODUCERS} producers       commits/s");
    println!("raw log with fdatasync          {log:>9.0}");
    println!("outbox                          {outbox:>9.0}");
    println!("  one fdatasync of 4 KiB {:.2} ms", ms(sync));
    Bar::AtLeast(0.7).judge("store / raw log", outbox / log, "");
    Ok(())
}

/// Median of 200 appends of 4 KiB, each with its fdatasync.
pub(crate) fn bare_sync() -> anyhow::Result<Duration> {
    let folder = folder()?;
    let mut file = File::create(folder.path().join("log"))?;
    let mut took = Vec::new();
    for _ in 0..200 {
        let began = Instant::now();
        file.write_all(&[7; 4096])?;
        file.sync_data()?;
        took.push(began.elapsed());
    }
    took.sort_unstable();
    Ok(took[took.len() / 2])
}

/// Appends a second by `producers` threads that each wait for their own append.
fn raw_log(producers: usize, each: usize) -> anyhow::Result<f64> {
    let folder = folder()?;
    let mut file = File::create(folder.path().join("log"))?;
    let (queue, jobs): (_, Receiver<(Vec<u8>, Sender<()>)>) = sync_channel(4096);
    let committer = std::thread::spawn(move || -> std::io::Result<()> {
        while let Ok(first) = jobs.recv() {
            let mut group = vec![first];
            group.extend(jobs.try_iter().take(1023));
            let bytes: Vec<u8> = group
                .iter()
                .flat_map(|(bytes, _)| bytes.iter().copied())
                .collect();
            file.write_all(&bytes)?;
            file.sync_data()?;
            for (_, done) in group {
                let _ = done.send(());
            }
        }
        Ok(())
    });
    let record = sample()?;
    let size = record.lead.len() + record.raw.len() + 200;
    let began = Instant::now();
    let threads: Vec<_> = (0..producers)
        .map(|_| {
            let queue = queue.clone();
            std::thread::spawn(move || {
                let (done, wait) = channel();
                for _ in 0..each {
                    if queue.send((vec![7; size], done.clone())).is_err() || wait.recv().is_err() {
                        return;
                    }
                }
            })
        })
        .collect();
    drop(queue);
    for thread in threads {
        thread
            .join()
            .map_err(|_| anyhow::anyhow!("a producer panicked"))?;
    }
    let rate = per_second(producers * each, began.elapsed());
    committer
        .join()
        .map_err(|_| anyhow::anyhow!("the log's committer panicked"))??;
    Ok(rate)
}

/// Accepts a second by `producers` tasks that each wait for their own accept.
fn outbox(producers: usize, each: usize) -> anyhow::Result<f64> {
    let folder = folder()?;
    let path = folder.path().join("store");
    let store: Arc<dyn Outbox> = Arc::new(SledOutbox::open(options(&path, &[]))?);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let template = sample()?;
    let rate = runtime.block_on(async {
        let began = Instant::now();
        let tasks: Vec<_> = (0..producers)
            .map(|producer| {
                let store = Arc::clone(&store);
                let template = template.clone();
                tokio::spawn(async move {
                    for number in 0..each {
                        let arrival = another(&template, producer * each + number);
                        store.accept(arrival).await?;
                    }
                    Ok::<_, leadgate::outbox::Refusal>(())
                })
            })
            .collect();
        for task in tasks {
            task.await??;
        }
        anyhow::Ok(per_second(producers * each, began.elapsed()))
    })?;
    store.close();
    Ok(rate)
}

/// What the daemon opens its store with, for these sinks.
pub(crate) fn options<'a>(path: &'a Path, sinks: &[&str]) -> Options<'a> {
    let policy = |name: &&str| SinkPolicy {
        name: (*name).to_owned(),
        on_update: OnUpdate::Supersede,
        on_dead: None,
    };
    Options {
        path,
        queue: 4096,
        cache: 16 << 20,
        sinks: sinks.iter().map(policy).collect(),
        keys: &[],
        min_free: 0,
        metrics: Metrics::new().outbox,
    }
}

/// The arrival of a lead that has no sink.
pub(crate) fn arrival(number: usize, lead: &Lead, raw: String) -> Arrival {
    let id = *blake3::hash(&number.to_be_bytes()).as_bytes();
    let finds = [
        (FindBy::Phone, lead.phone.clone()),
        (FindBy::RecordId, lead.record_id.map(|id| id.to_string())),
        (FindBy::OrderNum, lead.order_num.clone()),
        (FindBy::Nick, lead.taobao_nick.clone()),
        (FindBy::Openid, lead.openid.clone()),
        (FindBy::PhoneEnd, lead.phone.clone()),
    ];
    Arrival {
        source: "shop".into(),
        received_at: 1_700_000_000_000,
        identity: id,
        stable: true,
        content: id,
        modified_at: None,
        request_id: None,
        method: None,
        lead: String::from_utf8_lossy(&lead.json()).into_owned(),
        labels: "{}".to_owned(),
        raw,
        original: None,
        finds: finds
            .into_iter()
            .filter_map(|(field, value)| Some(Find::new(field, &value?)))
            .collect(),
        routes: Vec::new(),
    }
}

fn sample() -> anyhow::Result<Arrival> {
    let raw = leads::lead(0);
    let lead = Lead::parse_json(&raw).map_err(|_| anyhow::anyhow!("the sample is a lead"))?;
    Ok(arrival(0, &lead, raw))
}

/// The same text under another identity, found by values of its own: making whole leads would
/// be measured too.
fn another(template: &Arrival, number: usize) -> Arrival {
    let id = *blake3::hash(&number.to_be_bytes()).as_bytes();
    let finds = template.finds.iter().map(|find| Find {
        field: find.field,
        value: format!("{:016x}", fastrand::u64(..)),
    });
    Arrival {
        identity: id,
        content: id,
        finds: finds.collect(),
        ..template.clone()
    }
}
