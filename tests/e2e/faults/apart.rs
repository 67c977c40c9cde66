//! Apart: only the index, or only the files by which leads are found, go wrong. Both are made of
//! the journal and can be made anew, so pushes are taken and acknowledged all the time, and
//! everything is delivered.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use leadgate_tests::{Crm, Daemon, Errno, Fault, Load, SUCCESS, Setup, counted, until, within};

/// Leads pushed before the fault, under it, and after it.
const LEADS: u64 = 60;
/// The index is given up when it has hung for half a minute.
const GIVEN_UP: Duration = Duration::from_secs(120);

fn push(daemon: &Daemon, records: std::ops::RangeInclusive<u64>) -> usize {
    let mut failed = 0;
    for record in records {
        let answer = daemon.shop().push(Load::lead(record)).expect("answered");
        failed += usize::from(answer.body != SUCCESS);
    }
    failed
}

fn delivered(crm: &Crm, all: u64) -> bool {
    let there: BTreeSet<u64> = crm.deliveries().into_keys().collect();
    (1..=all).all(|record| there.contains(&record))
}

/// Lets a fault happen to the index only; whether it `shows` at once.
fn goes_on(fault: Fault, shows: bool) {
    let crm = Crm::start();
    let mut daemon = Daemon::start(Setup::with_crm(&crm.url()).under_shim());
    assert_eq!(push(&daemon, 1..=LEADS), 0);
    daemon.only(INDEX);
    daemon.inject(fault);
    let began = Instant::now();
    let failed = push(&daemon, LEADS + 1..=2 * LEADS);
    let took = began.elapsed();
    assert_eq!(failed, 0, "a push was refused\n{}", daemon.log());
    // The fault goes on while sled writes what it holds back.
    if shows {
        until("the index breaks", || daemon.log().contains("index broke"));
    }
    assert_eq!(
        push(&daemon, 2 * LEADS + 1..=3 * LEADS),
        0,
        "{}",
        daemon.log()
    );
    daemon.heal();
    assert_eq!(
        push(&daemon, 3 * LEADS + 1..=4 * LEADS),
        0,
        "{}",
        daemon.log()
    );
    let all = within(GIVEN_UP, || delivered(&crm, 4 * LEADS));
    let lost = 4 * LEADS - crm.deliveries().len() as u64;
    counted(format_args!(
        "acknowledged {} ({LEADS} under the fault in {took:?}), index broke {}, lost {lost}, \
         delivered again {}",
        4 * LEADS,
        daemon.log().contains("index broke"),
        crm.taken() - crm.deliveries().len(),
    ));
    assert!(all, "{}", daemon.log());
    until("no attempt is left open", || {
        let stats = daemon.stats();
        let rooms = ["pending", "retrying", "in_flight"].map(|room| &stats["sinks"]["crm"][room]);
        rooms.iter().all(|count| count.as_u64() == Some(0))
    });
    assert!(crm.received().iter().all(Load::is_whole));
    until("it is ready", || daemon.readiness() == 200);
    daemon.kill();
    daemon.restart();
    assert_eq!(push(&daemon, 1..=4 * LEADS), 0);
    assert_eq!(daemon.stat("/leads/accepted"), 4 * LEADS, "each is known");
}

const INDEX: &[&str] = &["index/*"];

#[test]
fn without_room_for_its_index_pushes_are_taken_and_all_is_delivered_once_there_is_some() {
    goes_on(
        Fault::Write {
            errno: Errno::NoSpace,
            skip: 2,
            count: 0,
        },
        true,
    );
}

#[test]
fn an_index_whose_disk_refuses_one_write_is_made_anew() {
    goes_on(
        Fault::Write {
            errno: Errno::Io,
            skip: 3,
            count: 1,
        },
        true,
    );
}

#[test]
fn an_index_that_no_longer_syncs_holds_nothing_up() {
    // sled makes nothing durable by itself: it shows when the index is closed, if at all.
    goes_on(
        Fault::Sync {
            errno: Errno::Io,
            skip: 0,
            count: 0,
        },
        false,
    );
}

#[test]
fn while_the_index_s_disk_hangs_pushes_are_taken() {
    let crm = Crm::start();
    let mut daemon = Daemon::start(Setup::with_crm(&crm.url()).under_shim());
    let load = Load::start(&daemon.shop());
    until("some are acknowledged", || load.count() > 100);
    daemon.only(INDEX);
    daemon.inject(Fault::SlowWrite(100_000));
    let began = Instant::now();
    let mut longest = Duration::ZERO;
    // Until well behind the time at which a write that hangs is given up.
    while began.elapsed() < Duration::from_secs(50) {
        let (asked, before) = (Instant::now(), load.count());
        until("pushes are taken", || load.count() > before + 10);
        longest = longest.max(asked.elapsed());
    }
    let acknowledged = load.stop();
    let said = daemon.log().contains("index write hangs");
    assert!(daemon.runs());
    daemon.heal();
    daemon.kill();
    daemon.restart();
    let there = || -> BTreeSet<u64> { crm.deliveries().into_keys().collect() };
    let all = within(GIVEN_UP, || {
        let there = there();
        acknowledged.keys().all(|record| there.contains(record))
    });
    let there = there();
    let lost = acknowledged.keys().filter(|record| !there.contains(record));
    counted(format_args!(
        "writes to the index hung for 50 s, said {said}, acknowledged {}, longest without 10 more {longest:?}, \
         lost {}",
        acknowledged.len(),
        lost.count(),
    ));
    assert!(all, "{}", daemon.log());
}

#[test]
fn an_index_that_is_deleted_or_put_back_is_made_anew_with_nothing_lost_or_sent_again() {
    let crm = Crm::start();
    let mut daemon = Daemon::start(Setup::with_crm(&crm.url()));
    let index = daemon.folder().join("store/index");
    let earlier = daemon.folder().join("earlier");
    let mut all = 0;
    for round in 0..4 {
        assert_eq!(push(&daemon, all + 1..=all + LEADS), 0);
        all += LEADS;
        until("all is delivered", || delivered(&crm, all));
        until("and noted", || daemon.stat("/sinks/crm/delivered") == all);
        if round % 2 == 0 {
            assert_eq!(daemon.terminate(), Some(0));
        } else {
            daemon.kill();
        }
        match round {
            0 => std::fs::rename(&index, &earlier).expect("moves it away"),
            1 => {
                std::fs::remove_dir_all(&index).expect("removes");
                std::fs::rename(&earlier, &index).expect("puts the earlier one back");
            }
            _ => std::fs::remove_dir_all(&index).expect("removes"),
        }
        daemon.restart();
        until("all is known", || {
            daemon.stat("/sinks/crm/delivered") == all
        });
    }
    assert_eq!(push(&daemon, 1..=all), 0);
    counted(format_args!(
        "indexes deleted 3, put back 1, acknowledged {all}, lost 0, new {}, delivered again {}",
        daemon.stat("/leads/accepted") - all,
        crm.taken() as u64 - all
    ));
    assert_eq!(daemon.stat("/leads/accepted"), all, "each is known");
    assert_eq!(crm.taken() as u64, all, "none was sent again");
}
