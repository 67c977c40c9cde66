//! Kills: `kill -9` under load, again and again.

use leadgate_tests::{Crm, Daemon, Fault, Load, SUCCESS, Setup, Shop, counted, times, until};

#[test]
fn after_two_hundred_kills_under_load_every_acknowledged_lead_is_delivered() {
    const KILLS: usize = 200;
    let kills = KILLS * times();
    let crm = Crm::start();
    let mut daemon = Daemon::start(Setup::with_crm(&crm.url()));
    let load = Load::start(&daemon.shop());
    for _ in 0..kills {
        let before = load.count();
        until("the daemon acknowledges again", || {
            load.count() >= before + 20
        });
        daemon.kill();
        daemon.restart();
    }
    let acknowledged = load.stop();
    until("nothing waits any more", || {
        daemon.stat("/sinks/crm/pending") + daemon.stat("/sinks/crm/retrying") == 0
    });
    let delivered = crm.deliveries();
    let lost: Vec<_> = acknowledged
        .keys()
        .filter(|record| !delivered.contains_key(record))
        .collect();
    counted(format_args!(
        "kills {kills}, acknowledged {}, delivered {}, lost {}, duplicates {}",
        acknowledged.len(),
        delivered.len(),
        lost.len(),
        crm.taken() - delivered.len()
    ));
    assert!(lost.is_empty(), "lost: {lost:?}");
    assert!(
        crm.received().iter().all(Load::is_whole),
        "a lead came through damaged"
    );
    for (record, ids) in delivered {
        assert_eq!(
            ids.len(),
            1,
            "lead {record} was delivered under several ids"
        );
    }
}

#[test]
fn a_kill_while_the_store_is_opened_leaves_a_store_that_opens() {
    let mut daemon = Daemon::start(Setup::default().under_shim());
    let answer = daemon.shop().push(Shop::lead(1)).expect("answered");
    assert_eq!(answer.body, SUCCESS);
    assert_eq!(daemon.terminate(), Some(0));
    // Writes are slow, so that the kill comes while sled writes its snapshot.
    daemon.inject(Fault::SlowWrite(500));
    let index = daemon.folder().join("store/index");
    daemon.restart_and_kill("a snapshot is being written", || {
        let entries = std::fs::read_dir(&index).expect("reads").flatten();
        entries
            .filter_map(|entry| entry.file_name().into_string().ok())
            .any(|name| name.ends_with(".generating"))
    });
    daemon.heal();
    if let Some(status) = daemon.try_restart() {
        panic!("{status}\n{}", daemon.log());
    }
    let there = daemon.stat("/leads/accepted");
    counted(format_args!("kills 1, acknowledged 1, lost {}", 1 - there));
    assert_eq!(there, 1);
}
