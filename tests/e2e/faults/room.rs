//! Room: what the store takes of a small disk while it writes a segment anew, under load.
//!
//! At most what still counts is there twice, and more than half of `min_free` stays free: where
//! that is not to be had nothing is begun, and it is said.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use leadgate_tests::{Crm, Daemon, Load, SUCCESS, Setup, SmallDisk, counted, until, within};

use super::segments;

const MIB: u64 = 1 << 20;
/// Bytes of the disk, and of what is to stay free, in MiB.
const DISK: u32 = 176;
const MIN_FREE: u64 = 32;
/// What is left free before the cleaning: more than that, and too little to clean.
const TIGHT: u64 = 40;
/// Long pushes that still count in the segment.
const KEPT: usize = 6;
/// Room that the journal takes ahead, and what is pushed meanwhile.
const AHEAD: u64 = 24;

/// Bytes that are free on a disk.
fn free(disk: &Path) -> u64 {
    let asked = Command::new("stat")
        .args(["--file-system", "--format", "%a %S"])
        .arg(disk)
        .output()
        .expect("stat runs");
    let said = String::from_utf8_lossy(&asked.stdout).into_owned();
    let mut numbers = said.split_whitespace().map(str::parse::<u64>);
    let mut number = || numbers.next().and_then(Result::ok).expect("a number");
    number() * number()
}

struct Watched<'a> {
    daemon: &'a Daemon,
    disk: PathBuf,
    next: u64,
    least: u64,
}

impl Watched<'_> {
    /// Pushes one lead, and looks how much is free.
    fn push(&mut self) {
        let answer = self.daemon.shop().push(Load::lead(self.next));
        assert_eq!(
            answer.expect("answered").body,
            SUCCESS,
            "{}",
            self.daemon.log()
        );
        self.next += 1;
        self.least = self.least.min(free(&self.disk));
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_segment_is_cleaned_under_load_where_it_has_room_and_the_rest_of_the_disk_stays_free() {
    let disk = match SmallDisk::mount(DISK) {
        Ok(disk) => disk,
        Err(why) => {
            counted(format_args!("skipped, no tmpfs can be mounted here: {why}"));
            return;
        }
    };
    let crm = Crm::start();
    let path = disk.path().to_owned();
    let daemon = Daemon::start_on(
        Setup {
            outbox: format!("min_free = \"{MIN_FREE}MiB\"\n"),
            under: disk.under(),
            ..segments::roomy(Setup::with_crm(&crm.url()))
        },
        |folder| {
            std::os::unix::fs::symlink(&path, folder.join("store")).expect("links the store");
        },
    );
    // The disk as the daemon sees it.
    let seen = format!("/proc/{}/root{}", daemon.pid(), path.display());
    let journal = Path::new(&seen).join("journal");
    let mut watched = Watched {
        daemon: &daemon,
        disk: PathBuf::from(&seen),
        next: 1,
        least: u64::MAX,
    };
    let second = journal.join("00000002.seg");
    let long = segments::fill_until(&daemon, || second.exists(), || {});
    let ballast = Path::new(&seen).join("ballast");
    let fill = free(&watched.disk) - TIGHT * MIB;
    std::fs::write(&ballast, vec![1; usize::try_from(fill).expect("fits")]).expect("fills");
    segments::discard(&daemon, long - KEPT, || {});
    until("it is said that there is no room", || {
        watched.push();
        daemon.log().contains("outbox segment was not cleaned")
    });
    let (first, before) = (journal.join("00000001.seg"), free(&watched.disk));
    assert!(first.exists());
    let tight = watched.least;
    std::fs::remove_file(&ballast).expect("makes room");
    let (roomy, mut least) = (free(&watched.disk), u64::MAX);
    watched.least = u64::MAX;
    let cleaned = within(Duration::from_secs(120), || {
        watched.push();
        least = least.min(watched.least);
        !first.exists()
    });
    assert!(cleaned, "{}", daemon.log());
    until("its room is free", || {
        free(&watched.disk) > roomy + 16 * MIB
    });
    let all = watched.next - 1;
    until("all are delivered", || crm.deliveries().len() as u64 == all);
    let extra = roomy.saturating_sub(least) / MIB;
    counted(format_args!(
        "free of {DISK} MiB: least while there was no room to clean {} MiB (min_free {MIN_FREE}), \
         {} MiB before the cleaning and {extra} MiB less during it, {} MiB after it; acknowledged \
         {all}, lost 0",
        tight / MIB,
        roomy / MIB,
        free(&watched.disk) / MIB,
    ));
    assert!(before > MIN_FREE * MIB, "pushes would be refused");
    assert!(
        tight > MIN_FREE * MIB / 2,
        "what is to stay free was used up"
    );
    let live = KEPT as u64 * 4;
    assert!(extra <= live + AHEAD, "{extra} MiB for {live}");
    assert_eq!(daemon.readiness(), 200);
}
