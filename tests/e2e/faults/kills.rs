//! Kills: `kill -9` under load, again and again.

use leadgate_tests::{Crm, Daemon, Load, Setup, until};

#[test]
fn after_two_hundred_kills_under_load_every_acknowledged_lead_is_delivered() {
    const KILLS: usize = 200;
    let crm = Crm::start();
    let mut daemon = Daemon::start(Setup::with_crm(&crm.url()));
    let load = Load::start(&daemon.shop());
    for _ in 0..KILLS {
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
    println!(
        "kills {KILLS}, acknowledged {}, delivered {}, lost {}, duplicates {}",
        acknowledged.len(),
        delivered.len(),
        lost.len(),
        crm.taken() - delivered.len()
    );
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
