//! Floods: more pushes at once than the queue has room for.
//!
//! What there is no room for gets the failure answer at once, instead of waiting until the
//! sender gives up; what was acknowledged is there.

use std::collections::BTreeSet;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use leadgate_tests::{Crm, Daemon, Fault, Load, SUCCESS, Setup, counted, until};

/// Senders that push at the same moment, far more than there is room for.
const SENDERS: u64 = 60;
/// Pushes of each.
const EACH: u64 = 3;
/// How much longer the disk takes for a sync.
const SLOW: Duration = Duration::from_millis(1_500);

/// Sends one lead: whether it was acknowledged, and how long the answer took.
fn push(daemon: &Daemon, record: u64) -> (bool, Duration) {
    let began = Instant::now();
    let answer = daemon.shop().push(Load::lead(record)).expect("answered");
    let took = began.elapsed();
    if answer.body == SUCCESS {
        return (true, took);
    }
    let result = &answer.json()["result"];
    assert_eq!(
        (answer.status, &result["success"], &result["errCode"]),
        (500, &false.into(), &"overloaded".into()),
        "neither success nor the failure answer"
    );
    (false, took)
}

#[test]
fn a_push_that_the_queue_has_no_room_for_fails_at_once_is_counted_and_not_stored() {
    let crm = Crm::start();
    let daemon = Daemon::start(
        Setup {
            server: "ack_deadline = \"30s\"\n".to_owned(),
            outbox: "queue = 4\n".to_owned(),
            ..Setup::with_crm(&crm.url())
        }
        .under_shim(),
    );
    let slow = u32::try_from(SLOW.as_millis()).expect("fits");
    daemon.inject(Fault::SlowSync(slow));
    let start = Barrier::new(usize::try_from(SENDERS).expect("fits"));
    let answers: Vec<(u64, (bool, Duration))> = std::thread::scope(|scope| {
        let senders: Vec<_> = (0..SENDERS)
            .map(|sender| {
                let (daemon, start) = (&daemon, &start);
                scope.spawn(move || {
                    start.wait();
                    let records = 1 + sender * EACH..=(sender + 1) * EACH;
                    records
                        .map(|record| (record, push(daemon, record)))
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        let ended = senders.into_iter().map(std::thread::ScopedJoinHandle::join);
        ended
            .flat_map(|answers| answers.expect("no panic"))
            .collect()
    });
    daemon.heal();
    let kept: BTreeSet<u64> = answers
        .iter()
        .filter(|(_, (taken, _))| *taken)
        .map(|(record, _)| *record)
        .collect();
    let failed = || answers.iter().filter(|(_, (taken, _))| !taken);
    let slowest = failed().map(|(_, (_, took))| *took).max();
    let slowest = slowest.expect("some fail");
    until("nothing waits any more", || {
        daemon.stat("/sinks/crm/pending") + daemon.stat("/sinks/crm/retrying") == 0
    });
    let delivered = crm.deliveries();
    let lost = kept
        .iter()
        .filter(|record| !delivered.contains_key(record))
        .count();
    counted(format_args!(
        "pushed {}, acknowledged {}, failed {} (slowest answer {slowest:?}), lost {lost}",
        answers.len(),
        kept.len(),
        failed().count(),
    ));
    assert!(slowest < SLOW, "a failure waited for the disk");
    assert!(!kept.is_empty(), "some are taken");
    assert_eq!(lost, 0);
    assert!(crm.received().iter().all(Load::is_whole));
    let count = failed().count() as u64;
    assert_eq!(daemon.stat("/leads/failed"), count);
    assert_eq!(daemon.stat("/leads/accepted"), kept.len() as u64);
    let metric = format!(
        "leadgate_ingest_requests_total{{result=\"overloaded\",source=\"shop\"}} {count}\n"
    );
    let metrics = daemon.admin("/metrics").body;
    assert!(metrics.contains(&metric), "{metric} is not in {metrics}");
    assert_eq!(daemon.readiness(), 200, "a flood is no fault");
}
