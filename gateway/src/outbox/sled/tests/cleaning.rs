//! Cleaning, and an index that breaks: what must not get lost between them.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::*;
use crate::outbox::sled::codec::Entry;
use crate::outbox::sled::index::IndexFault;
use crate::outbox::sled::job::Promise;
use crate::outbox::sled::journal::Batch;
use crate::outbox::sled::place::Place;
use crate::outbox::{LeadFilter, QuarantinedPush};

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

fn quarantine(outbox: &SledOutbox, body: &[u8]) -> QuarantineId {
    let quarantined = QuarantinedPush {
        source: "shop".into(),
        reason: "unparsable",
        received_at: 1,
        request_id: None,
        signature: String::new(),
        query: String::new(),
        content_type: String::new(),
        body: body.to_vec(),
        ceiling: crate::config::Ceiling::default(),
    };
    match runtime().block_on(outbox.quarantine(quarantined)) {
        Ok(Quarantined::New(id)) => id,
        _ => panic!("kept"),
    }
}

fn accept(outbox: &SledOutbox, arrival: Arrival) -> LeadId {
    let accepted = runtime().block_on(outbox.accept(arrival));
    accepted.expect("accepted").lead().expect("a lead")
}

fn segment(folder: &TempDir, number: u32) -> std::path::PathBuf {
    folder.path().join(format!("store/journal/{number:08}.seg"))
}

pub(super) fn break_index(outbox: &SledOutbox) {
    let catalog = outbox.reads.current.get().expect("an index");
    let fault = IndexFault::Damaged("injected".to_owned());
    catalog.index.fail(fault);
}

#[test]
fn a_lane_is_told_that_nothing_is_due_while_there_is_no_index_and_woken_when_there_is_one() {
    let (folder, runtime) = (folder(), runtime());
    let outbox = open(&folder);
    let arrivals = outbox.arrivals("crm");
    for record in 0..40 {
        let accepted = runtime.block_on(outbox.accept(arrival(record, 1)));
        accepted.expect("accepted");
    }
    for _ in 0..5 {
        // Of the arrivals, or of the index before.
        let _ = futures_util::FutureExt::now_or_never(arrivals.notified());
        break_index(&outbox);
        // Whether the committer has seen it or not, an error would be a person's.
        while outbox.reads.lacks_index() {
            let due = outbox.claim("crm", 5_000, 1).expect("no error");
            outbox.unclaim(
                "crm",
                &due.deliveries.iter().map(|one| one.id).collect::<Vec<_>>(),
            );
        }
        let woken = std::thread::spawn({
            let arrivals = Arc::clone(&arrivals);
            move || self::runtime().block_on(arrivals.notified())
        });
        until("the lane is woken", || woken.is_finished());
        let claimed = claims(&outbox, 5_000);
        assert_eq!(claimed.len(), 40);
        let ids: Vec<_> = claimed.iter().map(|claim| claim.id).collect();
        outbox.unclaim("crm", &ids);
    }
    outbox.close();
}

#[test]
fn an_index_that_cannot_be_made_is_tried_again_and_its_reason_is_news_once() {
    let (folder, runtime) = (folder(), runtime());
    let outbox = open(&folder);
    let accepted = runtime.block_on(outbox.accept(arrival(1, 1)));
    accepted.expect("accepted");
    // Nothing can be made where a file is.
    let index = folder.path().join("store").join("index");
    break_index(&outbox);
    until("it is made again", || !outbox.reads.lacks_index());
    std::fs::rename(&index, folder.path().join("away")).expect("renames");
    std::fs::write(&index, "in the way").expect("writes");
    break_index(&outbox);
    until("it is said", || outbox.shared.making_failed().is_some());
    let said = outbox.fault().expect("said");
    assert!(
        said.contains("nothing is delivered") && said.contains("tried again"),
        "{said}"
    );
    assert!(outbox.shared.set_making_failed("another reason"));
    assert!(!outbox.shared.set_making_failed("another reason"));
    let accepted = runtime.block_on(outbox.accept(arrival(2, 1)));
    accepted.expect("deferred");
    std::fs::remove_file(&index).expect("removes");
    until("it is made at last", || !outbox.reads.lacks_index());
    until("all is there", || outbox.totals().accepted == 2);
    assert_eq!(outbox.fault(), None);
    outbox.close();
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
    let deferred = |change: &dyn Fn(&mut BTreeSet<Place>)| {
        change(&mut outbox.standing.write().expect("nobody panicked").deferred);
    };
    deferred(&|places| {
        places.insert(place);
    });
    outbox.cleaner.clean(1).expect_err("a push is in there");
    let file = folder.path().join("store/journal/00000001.seg");
    assert!(file.exists());
    deferred(&BTreeSet::clear);
    outbox.cleaner.clean(1).expect("nothing counts any more");
    assert!(!file.exists());
    outbox.close();
}

#[test]
fn where_else_bytes_of_a_lead_lie_is_known_after_a_cleaning_and_without_the_index() {
    let (folder, runtime) = (folder(), runtime());
    let outbox = open(&folder);
    let id = quarantine(&outbox, b"a name and a phone");
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
fn a_damaged_segment_does_not_keep_the_others_from_being_cleaned() {
    let (folder, runtime) = (folder(), runtime());
    let outbox = open(&folder);
    for number in 1..=3_u8 {
        let id = quarantine(&outbox, &[number; 5_000]);
        roll(&outbox);
        assert_eq!(runtime.block_on(outbox.discard(id)), Ok(true));
    }
    let damaged = segment(&folder, 1);
    let mut bytes = std::fs::read(&damaged).expect("reads");
    bytes[3_000] ^= 1;
    std::fs::write(&damaged, bytes).expect("writes");
    let mut left = super::super::clean::LeftAlone::default();
    for _ in 0..3 {
        outbox.cleaner.look(&mut left);
    }
    assert_eq!(left.segments().collect::<Vec<_>>(), [1]);
    assert!(damaged.exists(), "what is whole in it can be saved");
    assert!(!segment(&folder, 2).exists() && !segment(&folder, 3).exists());
    outbox.close();
}

#[test]
fn what_nothing_can_be_done_about_is_not_written_anew_again_and_again() {
    let (folder, runtime) = (folder(), runtime());
    let outbox = open(&folder);
    // Most of the first segment counts, so it stays, and with it the words that pushes left it.
    let lead = Arrival {
        raw: "x".repeat(500_000),
        ..arrival(1, 1)
    };
    accept(&outbox, lead);
    let pushes: Vec<_> = (0..400_u32)
        .map(|number| quarantine(&outbox, &number.to_le_bytes()))
        .collect();
    roll(&outbox);
    for push in pushes {
        assert_eq!(runtime.block_on(outbox.discard(push)), Ok(true));
    }
    let mut left = super::super::clean::LeftAlone::default();
    let segments = |left: &mut _| {
        outbox.cleaner.look(left);
        let journal = std::fs::read_dir(folder.path().join("store/journal"));
        let names = journal.expect("reads").flatten().map(|one| one.file_name());
        let mut names: Vec<_> = names
            .filter(|name| name.to_string_lossy().ends_with(".seg"))
            .collect();
        names.sort();
        names
    };
    for _ in 0..3 {
        segments(&mut left);
    }
    let before = segments(&mut left);
    let after = segments(&mut left);
    assert_eq!(
        before[..2],
        after[..2],
        "the same is written again and again"
    );
    outbox.close();
}

#[test]
fn what_was_moved_between_the_look_up_and_the_reading_is_read_where_it_is_now() {
    let (folder, runtime) = (folder(), runtime());
    let outbox = open(&folder);
    let lead = accept(&outbox, arrival(1, 1));
    let claim = claims(&outbox, 5_000).remove(0);
    let later = State::Waiting { due_at: 9_000 };
    runtime.block_on(finish(&outbox, &claim, later));
    let catalog = outbox.reads.catalog().expect("an index");
    let before = catalog.lead(lead).expect("reads").expect("is there");
    roll(&outbox);
    outbox.cleaner.clean(1).expect("cleaned");
    let revision = || outbox.reads.ask(|reader| reader.revision(lead, &before, 1));
    let delivery = || {
        let read = outbox
            .reads
            .ask(|reader| reader.whole(lead, &before, claim.id));
        read.map(|delivery| delivery.map(|delivery| delivery.history.len()))
    };
    let read = revision().expect("reads").expect("is there");
    assert_eq!(read.raw, "raw");
    assert_eq!(delivery(), Ok(Some(1)));
    let erased = runtime.block_on(outbox.erase(lead.into()));
    assert_eq!(erased.expect("erases").leads, [lead]);
    assert!(revision().expect("reads").is_none(), "it has left");
    assert_eq!(delivery(), Ok(None));
    outbox.close();
}

#[test]
fn whatever_is_read_while_segments_are_removed_is_there() {
    let (folder, runtime) = (folder(), runtime());
    let outbox = open(&folder);
    let leads: Vec<LeadId> = (0..20)
        .map(|one| accept(&outbox, arrival(one, 1)))
        .collect();
    for claim in claims(&outbox, 5_000) {
        let later = State::Waiting { due_at: 9_000 };
        runtime.block_on(finish(&outbox, &claim, later));
    }
    let pushes: Vec<_> = (0..5).map(|one| quarantine(&outbox, &[one; 99])).collect();
    let over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reading = scope.spawn(|| {
            while !over.load(std::sync::atomic::Ordering::Relaxed) {
                for lead in &leads {
                    outbox.lead(*lead, 0).expect("reads").expect("a lead");
                    let history = outbox.history(*lead).expect("reads").expect("a lead");
                    let id = history.deliveries[0].id;
                    let claim = outbox.claim_one("crm", id).expect("reads");
                    assert_eq!(claim.expect("nobody has it").delivery.history.len(), 1);
                    outbox.unclaim("crm", &[id]);
                    outbox.delivery(id).expect("reads").expect("a delivery");
                }
                for push in &pushes {
                    let push = outbox.quarantined_push(*push).expect("reads");
                    push.expect("a push");
                }
                let mut dumped = 0;
                let dump = outbox.dump(&mut |_| {
                    dumped += 1;
                    Ok(())
                });
                dump.expect("dumps");
                assert_eq!(dumped, leads.len() + pushes.len());
                let due = outbox.claim("crm", 9_000, 100).expect("reads");
                assert_eq!((due.deliveries.len(), due.damaged.len()), (leads.len(), 0));
                let ids: Vec<_> = due.deliveries.iter().map(|claim| claim.id).collect();
                outbox.unclaim("crm", &ids);
            }
        });
        for number in 1..=40 {
            roll(&outbox);
            outbox.cleaner.clean(number).expect("cleaned");
        }
        over.store(true, std::sync::atomic::Ordering::Relaxed);
        reading.join().expect("all was there");
    });
    outbox.close();
}

#[test]
fn a_push_that_was_deferred_for_a_sink_that_is_gone_by_now_is_accepted_and_orphaned() {
    let folder = folder();
    let outbox = open(&folder);
    let mut push = arrival(1, 1);
    for sink in ["gone", "gone before"] {
        push.routes.push(Route {
            sink: sink.into(),
            failed: None,
        });
    }
    let deferred = Entry::ArrivedLead(outbox.vault.lead(push));
    let standing = outbox.standing.read().expect("nobody panicked").clone();
    outbox.close();
    drop(outbox);
    {
        let store = folder.path().join("store");
        let opened = super::super::open::open_journal(&store, &[]);
        let (mut journal, _) = opened.expect("opens");
        let mut batch = Batch::default();
        batch.entry(&Arc::clone(journal.codec()), &deferred);
        let appended = journal.append(&mut batch, &|| standing.clone());
        appended.expect("writes");
        journal.syncing().sync().expect("syncs");
    }
    let accepted = |outbox: &SledOutbox| {
        until("it is accepted", || outbox.totals().accepted == 1);
        let standing = outbox.standing.read().expect("nobody panicked");
        assert!(standing.deferred.is_empty(), "nothing is deferred any more");
        let orphaned = Filter {
            orphaned: true,
            ..Filter::default()
        };
        let orphaned = outbox.deliveries(&orphaned, None, 10).expect("reads").items;
        let sinks: Vec<_> = orphaned.into_iter().map(|one| one.delivery.sink).collect();
        assert_eq!(sinks, ["gone", "gone before"]);
        assert_eq!(claims(outbox, 5_000).len(), 1, "crm gets it");
    };
    for _ in 0..2 {
        let outbox = open(&folder);
        accepted(&outbox);
        outbox.close();
    }
}

#[test]
fn a_lead_that_changes_for_ever_takes_no_more_and_more_room() {
    let (folder, runtime) = (folder(), runtime());
    let outbox = open(&folder);
    let changed = |number: u32| {
        let mut push = arrival(1, 1);
        push.content[..4].copy_from_slice(&number.to_be_bytes());
        push.raw = number.to_string();
        push
    };
    let lead = accept(&outbox, changed(1));
    let pushed = join_all((2..=900).map(|number| outbox.accept(changed(number))));
    assert!(runtime.block_on(pushed).iter().all(Result::is_ok));
    roll(&outbox);
    accept(&outbox, changed(901));
    let length = |outbox: &SledOutbox| {
        let catalog = outbox.reads.catalog().expect("an index");
        let indexed = catalog.lead(lead).expect("reads").expect("is there");
        assert_eq!(indexed.places.revisions.len(), 256);
        assert_eq!(indexed.places.deliveries.len(), 256);
        crate::outbox::sled::indexed::encode(&indexed).len()
    };
    let before = length(&outbox);
    assert!(before < 64 << 10, "{before}");
    outbox.cleaner.clean(1).expect("cleaned");
    outbox.close();
    drop(outbox);
    std::fs::remove_dir_all(folder.path().join("store/index")).expect("removes");
    let outbox = open(&folder);
    until("there is an index", || outbox.reads.current.get().is_some());
    length(&outbox);
    let history = outbox.history(lead).expect("reads").expect("a lead");
    let revisions: Vec<u32> = history.revisions.iter().map(|one| one.revision).collect();
    assert_eq!(revisions, (646..=901).collect::<Vec<_>>());
    assert!(
        history
            .revisions
            .iter()
            .all(|one| one.raw == one.revision.to_string())
    );
    let first = &claims(&outbox, 5_000)[0];
    assert_eq!((first.lead.revision, first.lead.raw.as_str()), (646, "646"));
    assert_eq!(outbox.totals().sinks["crm"].superseded, 645);
    let leads = outbox
        .leads(&LeadFilter::default(), None, 9)
        .expect("reads");
    assert_eq!(leads.items, [lead]);
    outbox.close();
    drop(outbox);
    let store = folder.path().join("store");
    let verdict = crate::outbox::sled::verify(&store, &[], 16 << 20).expect("verifies");
    assert!(verdict.problems.is_empty(), "{:?}", verdict.problems);
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
