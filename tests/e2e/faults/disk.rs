//! Disks: full, failing and slow. After the first failure nothing is acknowledged, readiness
//! is gone, and a restart on a healthy disk has every lead that was acknowledged.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use leadgate_tests::{Crm, Daemon, Errno, Fault, Load, SUCCESS, Setup, SmallDisk, counted, until};

/// Leads acknowledged before the fault.
const BEFORE: u64 = 30;
/// Leads pushed after the first failure.
const AFTER: u64 = 20;

/// Pushes one lead; whether it was acknowledged. Anything else must be the failure answer.
fn acknowledged(daemon: &Daemon, record: u64) -> bool {
    let answer = daemon.shop().push(Load::lead(record)).expect("answered");
    if answer.body == SUCCESS {
        return true;
    }
    assert_eq!(
        (answer.status, &answer.json()["result"]["success"]),
        (500, &false.into()),
        "neither success nor the failure answer"
    );
    false
}

/// What must hold whatever the disk does: `break_disk` lets it fail, `mend` makes it whole
/// while the daemon is down.
fn fails_safely(setup: Setup, break_disk: impl FnOnce(&Daemon), mend: impl FnOnce(&mut Daemon)) {
    fails_safely_on(setup, |_| {}, break_disk, mend);
}

/// The same on a folder that is prepared.
fn fails_safely_on(
    setup: Setup,
    prepare: impl FnOnce(&Path),
    break_disk: impl FnOnce(&Daemon),
    mend: impl FnOnce(&mut Daemon),
) {
    let crm = Crm::start();
    let setup = Setup {
        rest: Setup::http_sink("crm", &crm.url()),
        ..setup
    };
    let mut daemon = Daemon::start_on(setup, prepare);
    let mut kept: BTreeSet<u64> = (1..=BEFORE)
        .filter(|record| acknowledged(&daemon, *record))
        .collect();
    assert_eq!(kept.len() as u64, BEFORE, "the disk is healthy");
    break_disk(&daemon);
    let mut next = BEFORE;
    until("a push fails", || {
        next += 1;
        let taken = acknowledged(&daemon, next);
        if taken {
            kept.insert(next);
        }
        !taken
    });
    let at = next - BEFORE;
    for record in next + 1..=next + AFTER {
        assert!(!acknowledged(&daemon, record), "success after a failure");
    }
    // A write that failed may also leave the store waiting for it.
    until("it is not ready", || daemon.readiness() == 503);
    assert!(daemon.runs(), "it says so instead of ending");
    let log = daemon.log();
    assert!(
        log.contains("outbox write failed") || log.contains("outbox write hangs"),
        "{log}"
    );
    daemon.kill();
    mend(&mut daemon);
    daemon.restart();
    assert!(acknowledged(&daemon, 1_000_000), "there is room again");
    until("nothing waits any more", || {
        daemon.stat("/sinks/crm/pending") + daemon.stat("/sinks/crm/retrying") == 0
    });
    let delivered = crm.deliveries();
    let lost: Vec<_> = kept
        .iter()
        .filter(|record| !delivered.contains_key(record))
        .collect();
    counted(format_args!(
        "failed at push {at} after the fault, acknowledged {}, lost {}",
        kept.len(),
        lost.len()
    ));
    assert!(lost.is_empty(), "lost: {lost:?}");
    assert!(crm.received().iter().all(Load::is_whole));
}

/// The end of the last byte of a file that is not zero.
fn written(file: &Path) -> u64 {
    let bytes = std::fs::read(file).expect("the store is there");
    let last = bytes.iter().rposition(|byte| *byte != 0);
    last.map_or(0, |last| last as u64 + 1)
}

fn fails_safely_under(fault: Fault) {
    fails_safely(
        Setup::default().under_shim(),
        |daemon| {
            // What goes wrong with other files keeps nobody from acknowledging: see `apart`.
            daemon.only(&["journal/*.seg"]);
            daemon.inject(fault);
        },
        |daemon| daemon.heal(),
    );
}

#[test]
fn a_full_disk_is_said_and_nothing_is_acknowledged_until_there_is_room() {
    fails_safely_under(Fault::Write {
        errno: Errno::NoSpace,
        skip: 0,
        count: 0,
    });
}

#[test]
fn a_disk_that_was_full_for_one_write_is_not_trusted_again() {
    fails_safely_under(Fault::Write {
        errno: Errno::NoSpace,
        skip: 5,
        count: 1,
    });
}

#[test]
fn a_write_that_the_disk_refuses_is_the_end_of_success() {
    fails_safely_under(Fault::Write {
        errno: Errno::Io,
        skip: 3,
        count: 0,
    });
}

#[test]
fn a_sync_that_failed_once_is_the_end_of_success() {
    fails_safely_under(Fault::Sync {
        errno: Errno::Io,
        skip: 3,
        count: 1,
    });
}

#[test]
fn a_disk_that_no_longer_syncs_is_the_end_of_success() {
    fails_safely_under(Fault::Sync {
        errno: Errno::Io,
        skip: 0,
        count: 0,
    });
}

#[test]
fn a_store_that_may_not_grow_is_as_good_as_full() {
    // The kernel's own refusal, not one of the shim: no file may become larger than this.
    let ignoring = ["sh", "-c", "trap '' XFSZ; exec \"$0\" \"$@\""];
    let limit = |daemon: &Daemon, limit: &str| {
        let status = Command::new("prlimit")
            .args(["--pid", &daemon.pid().to_string()])
            .arg(format!("--fsize={limit}"))
            .status()
            .expect("prlimit runs");
        assert!(status.success(), "the limit is set");
    };
    fails_safely(
        Setup {
            under: ignoring.map(str::to_owned).to_vec(),
            ..Setup::default()
        },
        |daemon| {
            // In the middle of the room that was taken ahead: the last write is cut short, as
            // on a full disk.
            let written = written(&daemon.folder().join("store/journal/00000001.seg"));
            limit(daemon, &(written + 12_345).to_string());
        },
        |_| {},
    );
}

#[test]
fn a_disk_that_really_runs_full_is_said_and_a_larger_one_has_every_lead() {
    let disk = match SmallDisk::mount(24) {
        Ok(disk) => disk,
        Err(why) => {
            counted(format_args!("skipped, no tmpfs can be mounted here: {why}"));
            return;
        }
    };
    let path = disk.path().to_owned();
    fails_safely_on(
        Setup {
            outbox: "min_free = \"0B\"\n".to_owned(),
            under: disk.under(),
            ..Setup::default()
        },
        |folder| {
            std::os::unix::fs::symlink(path, folder.join("store")).expect("links the store");
        },
        |_| {},
        |daemon| {
            let log = daemon.log();
            assert!(log.contains("No space left on device"), "{log}");
            disk.grow(64);
        },
    );
}

#[test]
fn on_a_slow_disk_an_acknowledgement_waits_for_the_sync() {
    const SLOW: Duration = Duration::from_millis(300);
    let daemon = Daemon::start(Setup::default().under_shim());
    daemon.inject(Fault::SlowSync(300));
    let mut quickest = Duration::MAX;
    for record in 1..=5 {
        let began = Instant::now();
        assert!(acknowledged(&daemon, record));
        quickest = quickest.min(began.elapsed());
    }
    counted(format_args!(
        "a sync takes {SLOW:?} longer, quickest acknowledgement {quickest:?}"
    ));
    assert!(quickest >= SLOW, "acknowledged before the sync had ended");
}

#[test]
fn a_disk_slower_than_the_deadline_gives_the_failure_answer_in_time() {
    let mut daemon = Daemon::start(
        Setup {
            server: "ack_deadline = \"300ms\"\n".to_owned(),
            ..Setup::default()
        }
        .under_shim(),
    );
    assert!(acknowledged(&daemon, 1));
    daemon.inject(Fault::SlowSync(3_000));
    let began = Instant::now();
    assert!(!acknowledged(&daemon, 2));
    let took = began.elapsed();
    assert!(
        took >= Duration::from_millis(300) && took < Duration::from_millis(2_500),
        "answered after {took:?}"
    );
    assert_eq!(daemon.readiness(), 200, "slow is not broken");
    daemon.heal();
    until("it acknowledges again", || acknowledged(&daemon, 3));
    daemon.kill();
    daemon.restart();
    let there = daemon.stat("/leads/accepted");
    counted(format_args!(
        "late 1, answered with failure after {took:?}, pushed 3, there {there}"
    ));
    assert_eq!(there, 3, "what was late is there too");
}
