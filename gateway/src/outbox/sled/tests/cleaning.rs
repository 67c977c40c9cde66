//! Cleaning, and an index that breaks: what must not get lost between them.

use std::time::{Duration, Instant};

use super::*;
use crate::outbox::QuarantinedPush;
use crate::outbox::sled::index::IndexFault;
use crate::outbox::sled::job::Promise;
use crate::outbox::sled::place::Place;

const PATIENCE: Duration = Duration::from_secs(60);

pub(super) fn until(what: &str, mut is: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

pub(super) fn runtime() -> tokio::runtime::Runtime {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.expect("a runtime")
}

pub(super) fn roll(outbox: &SledOutbox) {
    let (promise, answer) = Promise::new(None);
    let sent = outbox.jobs.blocking_send(Job::Roll(promise));
    assert!(sent.is_ok(), "the committer runs");
    answer.blocking_recv().expect("told").expect("rolled");
}

pub(super) fn segments_of(outbox: &SledOutbox, lead: LeadId) -> Vec<u32> {
    let catalog = outbox.reads.catalog().expect("an index");
    let lead = catalog.lead(lead).expect("reads");
    lead.map(|lead| lead.places.segments).unwrap_or_default()
}

pub(super) fn break_index(outbox: &SledOutbox) {
    let catalog = outbox.reads.current.get().expect("an index");
    let fault = IndexFault::Damaged("injected".to_owned());
    catalog.index.fail(fault);
}

#[test]
fn attempts_that_ended_without_an_index_end_once_the_deferred_pushes_are_accepted() {
    let (folder, runtime) = (folder(), runtime());
    let outbox = open(&folder);
    for record in 0..40 {
        let accepted = runtime.block_on(outbox.accept(arrival(record, 1)));
        accepted.expect("accepted");
    }
    let mut ended = 0;
    let mut record = 1_000;
    // Whether a push is still deferred when the index is there again is a matter of luck.
    for claim in claims(&outbox, 5_000).into_iter().take(20) {
        break_index(&outbox);
        let pushes: Vec<_> = (0..300)
            .map(|_| {
                record += 1;
                outbox.accept(arrival(record, 1))
            })
            .collect();
        let end = outbox.finish(attempt(&claim, State::Delivered { at: 5 }, 5));
        let late = outbox.accept(arrival(record + 1, 1));
        record += 1;
        let told = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build();
            runtime.expect("a runtime").block_on(async {
                let pushes = join_all(pushes).await;
                assert!(pushes.iter().all(Result::is_ok), "a push was refused");
                late.await.expect("taken");
                end.await.expect("written");
            });
        });
        until("the end of an attempt is told", || told.is_finished());
        told.join().expect("no panic");
        ended += 1;
        assert!(!outbox.shared.claims.is_claimed(claim.id));
        until("there is an index", || outbox.reads.current.get().is_some());
    }
    until("all is accepted", || {
        outbox.totals().accepted == 40 + record - 1_000
    });
    assert_eq!(outbox.totals().sinks["crm"].delivered, ended);
    outbox.close();
}

#[test]
fn a_segment_in_which_a_push_is_deferred_is_not_removed() {
    let (folder, runtime) = (folder(), runtime());
    let outbox = open(&folder);
    let accepted = runtime.block_on(outbox.accept(arrival(1, 1)));
    accepted.expect("accepted");
    roll(&outbox);
    let place = Place {
        segment: 1,
        offset: 0,
        length: 0,
    };
    let deferred = |change: &dyn Fn(&mut Vec<Place>)| {
        change(&mut outbox.standing.write().expect("nobody panicked").deferred);
    };
    deferred(&|places| places.push(place));
    outbox.cleaner.clean(1).expect_err("a push is in there");
    let file = folder.path().join("store/journal/00000001.seg");
    assert!(file.exists());
    deferred(&Vec::clear);
    outbox.cleaner.clean(1).expect("nothing counts any more");
    assert!(!file.exists());
    outbox.close();
}

#[test]
fn where_else_bytes_of_a_lead_lie_is_known_after_a_cleaning_and_without_the_index() {
    let (folder, runtime) = (folder(), runtime());
    let outbox = open(&folder);
    let quarantined = QuarantinedPush {
        source: "shop".into(),
        reason: "unparsable",
        received_at: 1,
        request_id: None,
        signature: String::new(),
        query: String::new(),
        content_type: String::new(),
        body: b"a name and a phone".to_vec(),
        ceiling: crate::config::Ceiling::default(),
    };
    let kept = runtime.block_on(outbox.quarantine(quarantined));
    let Ok(Quarantined::New(id)) = kept else {
        panic!("kept");
    };
    roll(&outbox);
    let released = runtime.block_on(outbox.release(id, arrival(1, 1), 5_000));
    let lead = released.expect("released").expect("was there").lead();
    let lead = lead.expect("a lead");
    roll(&outbox);
    assert_eq!(segments_of(&outbox, lead), [1, 2]);
    outbox.cleaner.clean(2).expect("cleaned");
    outbox.close();
    drop(outbox);
    std::fs::remove_dir_all(folder.path().join("store/index")).expect("removes");
    let outbox = open(&folder);
    until("there is an index", || outbox.reads.current.get().is_some());
    let segments = segments_of(&outbox, lead);
    assert!(segments.contains(&1), "{segments:?}");
    let erased = runtime.block_on(outbox.erase(lead.into()));
    assert_eq!(erased.expect("erases").leads, [lead]);
    assert!(!folder.path().join("store/journal/00000001.seg").exists());
    outbox.close();
}

#[test]
fn a_segment_is_written_anew_only_where_the_disk_has_room_for_it() {
    let (folder, runtime) = (folder(), runtime());
    let outbox = open(&folder);
    for record in 0..10 {
        let accepted = runtime.block_on(outbox.accept(arrival(record, 1)));
        accepted.expect("accepted");
    }
    roll(&outbox);
    outbox.close();
    drop(outbox);
    let file = folder.path().join("store/journal/00000001.seg");
    let outbox = open_with(&folder, 64, &[], u64::MAX / 2).expect("opens");
    let error = outbox.cleaner.clean(1).expect_err("no disk is that large");
    assert!(error.0.contains("make room"), "{error}");
    assert!(file.exists());
    outbox.close();
    drop(outbox);
    let outbox = open(&folder);
    outbox.cleaner.clean(1).expect("cleaned");
    assert!(!file.exists());
    outbox.close();
}

#[test]
fn a_lead_that_was_moved_far_behind_its_delivery_is_no_disorder() {
    let (folder, runtime) = (folder(), runtime());
    let outbox = open(&folder);
    let accepted = runtime.block_on(outbox.accept(arrival(1, 1)));
    accepted.expect("accepted");
    roll(&outbox);
    let claim = claims(&outbox, 5_000).remove(0);
    let state = State::Waiting { due_at: 9_000 };
    runtime.block_on(finish(&outbox, &claim, state));
    // More than is read at once.
    for hundred in 1..=15 {
        let records = hundred * 100..hundred * 100 + 100;
        let accepted = records.map(|record| outbox.accept(arrival(record, 1)));
        let accepted = runtime.block_on(join_all(accepted));
        assert!(accepted.iter().all(Result::is_ok));
    }
    outbox.cleaner.clean(1).expect("cleaned");
    outbox.close();
    drop(outbox);
    let store = folder.path().join("store");
    let verdict = verify(&store, &[], 16 << 20).expect("looks");
    assert_eq!(verdict.found, 0, "{:?}", verdict.problems);
}
