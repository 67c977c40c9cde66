//! The log: whatever becomes of it, leads are taken. A pipe whose reader has gone, one that
//! nobody reads, a full disk from the start and a disk that fills while the daemon runs.

use std::fs::File;
use std::io::Read;
use std::process::{Child, Command, Stdio};

use leadgate_tests::{Bare, Crm, SAMPLE, SUCCESS, Setup, Shop, SmallDisk, counted, get, until};

/// A push whose timestamp is of another year: the log says so.
fn push_stale(shop: &Shop) {
    let stale = shop.request_at(SAMPLE.as_bytes(), "2020-01-01 00:00:00".to_owned());
    shop.send(&stale).expect("answered");
}

/// What must hold whatever stderr is: a stale push, then a hundred that are acknowledged.
fn takes_leads(bare: &Bare, child: &mut Child) {
    bare.wait_ready(child);
    push_stale(&bare.shop());
    bare.shop().give(1..=100);
    assert_eq!(
        child.try_wait().expect("waits"),
        None,
        "the daemon still runs"
    );
}

fn unwritten(bare: &Bare) -> u64 {
    let metrics = get(bare.admin(), "/metrics", &[]).expect("answered").body;
    let count = metrics
        .lines()
        .find_map(|line| line.strip_prefix("leadgate_log_write_errors_total "));
    count.expect("the metric").parse().expect("a number")
}

#[test]
fn a_log_that_nobody_reads_any_more_costs_no_lead() {
    let crm = Crm::start();
    let bare = Bare::new(&Setup::with_crm(&crm.url()));
    let (mut reader, writer) = std::io::pipe().expect("a pipe");
    let mut child = bare.run(Stdio::from(writer));
    bare.wait_ready(&mut child);
    let mut some = [0; 16];
    reader.read_exact(&mut some).expect("it logs at the start");
    drop(reader);
    takes_leads(&bare, &mut child);
    until("the lost lines are counted", || unwritten(&bare) > 0);
    assert_eq!(bare.terminate(child), Some(0), "it stops cleanly");
}

#[test]
fn a_log_on_a_full_disk_from_the_start_costs_no_lead() {
    let crm = Crm::start();
    let bare = Bare::new(&Setup::with_crm(&crm.url()));
    let full = File::options().write(true).open("/dev/full");
    let mut child = bare.run(Stdio::from(full.expect("/dev/full")));
    takes_leads(&bare, &mut child);
    assert!(unwritten(&bare) > 0, "the lost lines are counted");
    assert_eq!(bare.terminate(child), Some(0), "it stops cleanly");
}

#[test]
fn a_pipe_that_is_full_and_not_read_holds_nobody_up() {
    let crm = Crm::start();
    let bare = Bare::new(&Setup {
        level: "trace",
        ..Setup::with_crm(&crm.url())
    });
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let mut child = bare.run(Stdio::from(writer));
    bare.wait_ready(&mut child);
    // More lines than the pipe takes: 64 KiB on Linux.
    bare.shop().give(1..=2_000);
    takes_leads(&bare, &mut child);
    drop(reader);
    assert_eq!(bare.terminate(child), Some(0), "it stops cleanly");
}

#[test]
fn a_log_whose_disk_fills_while_it_runs_costs_no_lead_and_goes_on_when_there_is_room() {
    let disk = match SmallDisk::mount(1) {
        Ok(disk) => disk,
        Err(why) => {
            counted(format_args!("skipped, no tmpfs can be mounted here: {why}"));
            return;
        }
    };
    let crm = Crm::start();
    let under = disk.under();
    let log = disk.path().join("log");
    let script = ["sh", "-c", "log=$1; shift; exec \"$@\" 2>>\"$log\"", "sh"];
    let under = under
        .into_iter()
        .chain(script.map(str::to_owned))
        .chain([log.display().to_string()]);
    let bare = Bare::new(&Setup {
        level: "debug",
        under: under.collect(),
        ..Setup::with_crm(&crm.url())
    });
    let on_disk = |command: &str| {
        let under = disk.under();
        let done = Command::new(&under[0])
            .args(&under[1..])
            .args(["sh", "-c", command, "sh"])
            .arg(&log)
            .output()
            .expect("nsenter runs");
        String::from_utf8_lossy(&done.stdout).into_owned()
    };
    let mut child = bare.run(Stdio::null());
    bare.wait_ready(&mut child);
    on_disk("cat /dev/zero >\"$1.fill\" 2>/dev/null");
    takes_leads(&bare, &mut child);
    until("a line is lost", || {
        push_stale(&bare.shop());
        unwritten(&bare) > 0
    });
    on_disk("rm \"$1.fill\"");
    let lines = || on_disk("wc -l <\"$1\"").trim().parse::<u64>().unwrap_or(0);
    let before = lines();
    until("it is written again", || {
        bare.shop().push(SAMPLE).expect("answered").body == SUCCESS && lines() > before
    });
    assert_eq!(bare.terminate(child), Some(0), "it stops cleanly");
}
