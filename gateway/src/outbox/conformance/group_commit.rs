//! Promise 2: one writer drains what came, commits and wakes all; a full queue refuses.

use std::time::{Duration, Instant};

use futures_util::future::join_all;

use super::engine::{Engine, Setup};
use super::pushes::{arrival, lead_of, newest};
use super::subject::Subject;
use crate::outbox::{Intake, Operations, Refusal};

pub(super) async fn a_full_queue_refuses_at_once<E: Engine>() {
    let outbox = Subject::<E>::with(Setup {
        queue: 1,
        ..Setup::default()
    });
    // One permit: as long as the first was not taken, others are refused.
    let results = join_all((0..64).map(|record| outbox.accept(arrival(record, 1)))).await;
    let full = results
        .iter()
        .filter(|result| **result == Err(Refusal::Full))
        .count();
    assert!(full > 0, "64 arrivals at once do not fit a queue of one");
    let new = results.iter().filter(|result| result.is_ok()).count();
    assert_eq!(outbox.totals().accepted, new as u64);
    // A place is free again soon after its answer was given.
    let deadline = Instant::now() + Duration::from_secs(60);
    while outbox.accept(arrival(100, 1)).await == Err(Refusal::Full) {
        assert!(Instant::now() < deadline, "there is room again");
        tokio::task::yield_now().await;
    }
    assert_eq!(outbox.totals().accepted, new as u64 + 1);
}

pub(super) async fn those_who_come_together_are_committed_together<E: Engine>() {
    const TOGETHER: u64 = 1_000;
    let outbox = Subject::<E>::new();
    let before = outbox.setup.metrics.commit_duration.get_sample_count();
    let results = join_all((0..TOGETHER).map(|record| outbox.accept(arrival(record, 1)))).await;
    assert!(results.iter().all(Result::is_ok));
    let commits = outbox.setup.metrics.commit_duration.get_sample_count() - before;
    assert!(commits > 0, "commits are measured");
    assert!(
        commits <= TOGETHER / 4,
        "{commits} commits for {TOGETHER} pushes"
    );
    for record in 0..3 {
        // One alone does not wait for others to come.
        let alone = outbox.accept(arrival(TOGETHER + record, 1)).await;
        lead_of(alone.expect("accepted"));
    }
}

pub(super) async fn commits_follow_each_other_in_the_order_of_their_answers<E: Engine>() {
    let mut outbox = Subject::<E>::new();
    let mut last = None;
    for record in 0..50 {
        let lead = lead_of(outbox.accept(arrival(record, 1)).await.expect("accepted"));
        assert!(last < Some(lead), "ids sort by the time of the first push");
        last = Some(lead);
    }
    outbox.reopen();
    // Ids go on behind those of before.
    let lead = lead_of(outbox.accept(arrival(50, 1)).await.expect("accepted"));
    let page = outbox.leads(&newest(), None, 60).expect("reads");
    assert_eq!(page.items.len(), 51);
    assert!(page.items.contains(&lead));
}
