//! The store alone: the outbox beside a raw log, both group-committed by one thread.

use std::fs::File;
use std::io::Write;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};
use std::time::{Duration, Instant};

use leadgate::lead::Lead;
use leadgate::outbox::sled::{Options, SledOutbox};
use leadgate::outbox::{Arrival, Outbox};
use leadgate::telemetry::metrics::Metrics;

fn folder() -> anyhow::Result<tempfile::TempDir> {
    Ok(tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?)
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
pub(crate) fn raw_log(producers: usize, each: usize) -> anyhow::Result<f64> {
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
    let record = arrival();
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
pub(crate) fn outbox(producers: usize, each: usize) -> anyhow::Result<f64> {
    let folder = folder()?;
    let store: Arc<dyn Outbox> = Arc::new(SledOutbox::open(Options {
        path: &folder.path().join("store"),
        queue: 4096,
        cache: 64 << 20,
        sinks: vec![],
        keys: &[],
        min_free: 0,
        metrics: Metrics::new().outbox,
    })?);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let template = arrival();
    let rate = runtime.block_on(async {
        let began = Instant::now();
        let tasks: Vec<_> = (0..producers)
            .map(|producer| {
                let store = Arc::clone(&store);
                let template = template.clone();
                tokio::spawn(async move {
                    for number in 0..each {
                        let id =
                            *blake3::hash(&(producer * each + number).to_be_bytes()).as_bytes();
                        let arrival = Arrival {
                            identity: id,
                            content: id,
                            ..template.clone()
                        };
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

fn arrival() -> Arrival {
    let raw = leadgate::lead::SAMPLE.to_owned();
    let lead = Lead::parse_json(&raw)
        .map(|lead| lead.json())
        .unwrap_or_default();
    Arrival {
        source: "shop".into(),
        received_at: 1_700_000_000_000,
        identity: [0; 32],
        stable: true,
        content: [0; 32],
        modified_at: None,
        request_id: None,
        method: None,
        lead: String::from_utf8_lossy(&lead).into_owned(),
        labels: "{}".to_owned(),
        raw,
        original: None,
        finds: Vec::new(),
        routes: Vec::new(),
    }
}

#[expect(clippy::cast_precision_loss)]
fn per_second(count: usize, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}
