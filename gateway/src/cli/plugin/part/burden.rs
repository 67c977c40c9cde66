//! The burden: what a plugin costs after ten thousand deliveries, and after many sinks.

use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::{Subject, Told, person};
use crate::plugin::examiner::{self, Age, Given};

/// Deliveries that are measured.
const DELIVERIES: usize = 10_000;
/// Shares in which they are made, and one before that is not measured.
const PHASES: usize = 6;
/// At the same moment.
const AT_ONCE: usize = 16;
/// A destination that does not answer makes deliveries slow; then fewer are made.
const BUDGET: Duration = Duration::from_secs(40);
/// Fewer deliveries show nothing.
const FEWEST: usize = 500;
/// Bytes a delivery that count as growth: the smallest that an allocator's own habits do not
/// make.
const GROWTH: u64 = 200;
/// Sinks that are made and destroyed.
const SINKS: usize = 200;
/// Threads or descriptors more than before that count as left behind.
const LEFT: usize = 10;

/// Memory that is really taken and belongs to no file, in bytes, with that of all children.
fn resident() -> u64 {
    let mut left = vec!["self".to_owned()];
    let mut sum = 0;
    while let Some(process) = left.pop() {
        let folder = format!("/proc/{process}");
        let text = std::fs::read_to_string(format!("{folder}/status")).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse().ok());
        sum += kib.unwrap_or(0_u64) * 1024;
        let threads = std::fs::read_dir(format!("{folder}/task"));
        for thread in threads.into_iter().flatten().flatten() {
            let children = std::fs::read_to_string(thread.path().join("children"));
            left.extend(
                children
                    .unwrap_or_default()
                    .split_whitespace()
                    .map(str::to_owned),
            );
        }
    }
    sum
}

fn entries(folder: &str) -> usize {
    std::fs::read_dir(folder).map_or(0, Iterator::count)
}

/// Descriptors and threads of this process.
fn held() -> (usize, usize) {
    (entries("/proc/self/fd"), entries("/proc/self/task"))
}

pub(super) fn memory(subject: &mut Subject<'_>) -> Result<(), Told> {
    let examined = subject.open()?;
    let instance = subject.make(&examined, Age::Current)?;
    subject.teller.step("delivering thousands", "投递上万条");
    let event = person::event();
    let deadline = Instant::now() + BUDGET;
    let timeout = subject.timeout();
    let made = AtomicUsize::new(0);
    // The same threads all the time, each with one attempt after the other: what an allocator
    // keeps for a thread is not growth. They meet after each share, and memory is read.
    let meeting = Barrier::new(AT_ONCE + 1);
    let deliver = || {
        for _ in 0..PHASES {
            for _ in 0..DELIVERIES / (PHASES - 1) / AT_ONCE {
                if Instant::now() > deadline {
                    break;
                }
                let number = instance.deliver(Given {
                    id: uuid::Uuid::now_v7().to_string(),
                    event: event.clone(),
                    attempt: 1,
                    step_record: String::new(),
                    timeout,
                });
                if !examiner::wait(&[number], timeout + Duration::from_secs(5)) {
                    break;
                }
                examiner::forget(number);
                made.fetch_add(1, Ordering::Relaxed);
            }
            meeting.wait();
            meeting.wait();
        }
    };
    let mut read: Vec<(usize, u64)> = Vec::new();
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(deliver);
        }
        for _ in 0..PHASES {
            meeting.wait();
            subject.tell_faults();
            read.push((made.load(Ordering::Relaxed), resident()));
            meeting.wait();
        }
    });
    // The first share is for what is made once.
    let (warm, before) = read[0];
    let (all, after) = read[PHASES - 1];
    let made = all - warm;
    if made < FEWEST {
        subject.teller.skip(
            format!(
                "only {made} deliveries ended in time: give settings of a destination that answers"
            ),
            format!("限时内只完成了 {made} 次投递：请给出会应答的目的地的设置"),
        );
        return Err(Told);
    }
    // What grows in some shares only has reached its size.
    let slowest = read
        .windows(2)
        .filter(|two| two[1].0 > two[0].0)
        .map(|two| two[1].1.saturating_sub(two[0].1) / (two[1].0 - two[0].0) as u64)
        .min();
    let slowest = slowest.unwrap_or(0);
    let kib = after.saturating_sub(before) / 1024;
    if slowest >= GROWTH {
        subject.teller.fault(
            format!(
                "memory grows by {slowest} bytes or more with each delivery: {kib} KiB after {made}"
            ),
            format!("每次投递内存至少增长 {slowest} 字节：{made} 次之后共 {kib} KiB"),
        );
    } else {
        subject.teller.note(
            format!("{made} deliveries: {kib} KiB more than before"),
            format!("{made} 次投递后内存多了 {kib} KiB"),
        );
    }
    instance.destroy(&[]);
    Ok(())
}

pub(super) fn destroy(subject: &mut Subject<'_>) -> Result<(), Told> {
    let examined = subject.open()?;
    let settings = subject.request.settings.to_string();
    let instance = subject.make(&examined, Age::Current)?;
    instance.destroy(&[]);
    subject
        .teller
        .step("making and destroying sinks", "反复创建与销毁目的地");
    let mut before = held();
    for round in 0..SINKS {
        match examined.create(&settings, Age::Current) {
            Ok(instance) => instance.destroy(&[]),
            Err(answer) => {
                let why = super::settings::reasons(&answer);
                subject.teller.fault(
                    format!("sink number {round} could not be made: {why}"),
                    format!("第 {round} 个目的地无法创建：{why}"),
                );
                return Err(Told);
            }
        }
        if round == SINKS / 10 {
            before = held();
        }
    }
    // Threads that were told to end may need a moment.
    let deadline = Instant::now() + Duration::from_secs(3);
    let left = || {
        let (files, threads) = held();
        let files = files.saturating_sub(before.0);
        (files, threads.saturating_sub(before.1))
    };
    while (left().0 > LEFT || left().1 > LEFT) && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(20));
    }
    let (files, threads) = left();
    if files > LEFT {
        subject.teller.fault(
            format!("{files} descriptors are left open by {SINKS} sinks that were destroyed"),
            format!("销毁 {SINKS} 个目的地之后仍有 {files} 个描述符未关闭"),
        );
    }
    if threads > LEFT {
        subject.teller.fault(
            format!("{threads} threads are left by {SINKS} sinks that were destroyed"),
            format!("销毁 {SINKS} 个目的地之后仍有 {threads} 个线程"),
        );
    }
    subject.tell_faults();
    Ok(())
}
