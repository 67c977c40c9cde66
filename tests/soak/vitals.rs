//! The vitals: memory, disk, descriptors and backlog of the daemon over time.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use leadgate_tests::Daemon;

/// One sample.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) at: Duration,
    pub(crate) resident_mib: f64,
    pub(crate) disk_mib: f64,
    pub(crate) descriptors: u32,
    pub(crate) stored: u64,
    pub(crate) waiting: u64,
}

impl Sample {
    pub(crate) fn take(daemon: &Daemon, at: Duration) -> Self {
        let pid = daemon.pid();
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
        let kilobytes = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"));
        let kilobytes: f64 = kilobytes.and_then(|text| text.parse().ok()).expect("VmRSS");
        let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("it runs");
        Self {
            at,
            resident_mib: kilobytes / 1024.0,
            disk_mib: f64::from(blocks(&daemon.folder().join("store"))) / 2048.0,
            descriptors: u32::try_from(descriptors.count()).expect("few"),
            stored: daemon.stat("/leads/stored"),
            waiting: waiting(daemon),
        }
    }

    pub(crate) fn print(&self) {
        println!(
            "{:>5.0} s  RSS {:>6.1} MiB  disk {:>7.1} MiB  descriptors {:>4}  stored {:>7}  waiting {:>6}",
            self.at.as_secs_f64(),
            self.resident_mib,
            self.disk_mib,
            self.descriptors,
            self.stored,
            self.waiting
        );
    }
}

/// Deliveries of all sinks that are not over.
pub(crate) fn waiting(daemon: &Daemon) -> u64 {
    let stats = daemon.stats();
    let sinks = stats["sinks"].as_object().expect("sinks");
    sinks
        .values()
        .flat_map(|sink| ["pending", "retrying", "behind", "in_flight"].map(|room| &sink[room]))
        .map(|count| count.as_u64().expect("a count"))
        .sum()
}

/// What must stay as it is: the median of the second half of the run beside that of the first.
pub(crate) struct Flat {
    pub(crate) name: &'static str,
    pub(crate) of: fn(&Sample) -> f64,
    /// How many times the first median the second may be.
    pub(crate) factor: f64,
    /// And how much more than that.
    pub(crate) slack: f64,
}

impl Flat {
    /// Prints both medians; whether they are as alike as they must be.
    pub(crate) fn holds(&self, samples: &[Sample]) -> bool {
        let (first, second) = samples.split_at(samples.len() / 2);
        let median = |samples: &[Sample]| {
            let mut values: Vec<f64> = samples.iter().map(self.of).collect();
            values.sort_unstable_by(f64::total_cmp);
            values[values.len() / 2]
        };
        let (first, second) = (median(first), median(second));
        let most = first * self.factor + self.slack;
        let flat = second <= most;
        let verdict = if flat { "flat" } else { "GROWS" };
        println!(
            "{:<12} median of the first half {first:.1}, of the second {second:.1}, at most {most:.1}: {verdict}",
            self.name
        );
        flat
    }
}

/// Disk blocks of 512 bytes.
fn blocks(folder: &Path) -> u32 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            // A file may go while it is looked at.
            let metadata = entry.metadata().ok()?;
            Some(if metadata.is_dir() {
                blocks(&entry.path())
            } else {
                u32::try_from(metadata.blocks()).expect("below 2 TiB")
            })
        })
        .sum()
}
