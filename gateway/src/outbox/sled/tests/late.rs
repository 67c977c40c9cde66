//! An index that takes long to open: pushes are taken meanwhile, and nothing is lost or doubled.

use super::cleaning::runtime;
use super::damage::sound;
use super::flips::wait;
use super::*;
use crate::outbox::sled::journal::{self, Disk, Journal};
use crate::outbox::state::Record;
use crate::seal::{IndexKey, Keyring};

const LEADS: u64 = 40;

/// Opens the store without waiting for its index.
fn open_late(folder: &TempDir) -> SledOutbox {
    let path = folder.path().join("store");
    let options = options(&path, 4096, &[], 0);
    SledOutbox::open_within(options, None).expect("opens")
}

fn whole(outbox: &SledOutbox) {
    outbox.wait_until_whole(|_, _| {}).expect("an index");
    // What was deferred is accepted then, too.
    wait("the deferred", || {
        let deferred = committer::read(&outbox.standing).deferred.is_empty();
        deferred.then_some(())
    });
}

/// Waits until so many leads are on disk.
fn counted(outbox: &SledOutbox, leads: u64) {
    wait("the count", || {
        (outbox.reads.shared.totals().leads == leads).then_some(())
    });
}

fn push(outbox: &SledOutbox, record: u64, content: u8) -> Accepted {
    let accepted = runtime().block_on(outbox.accept(arrival(record, content)));
    accepted.expect("accepted")
}

fn filled(folder: &TempDir) {
    let outbox = open(folder);
    for record in 0..LEADS {
        push(&outbox, record, 1);
    }
    outbox.close();
}

#[test]
fn what_comes_while_an_index_is_opened_is_neither_lost_nor_doubled() {
    let folder = folder();
    filled(&folder);
    let outbox = open_late(&folder);
    // Half of them are known, some of these with other content.
    for record in LEADS / 2..LEADS * 2 {
        push(&outbox, record, u8::try_from(record % 3).expect("small"));
    }
    whole(&outbox);
    let leads = outbox.leads(&LeadFilter::default(), None, 1_000);
    assert_eq!(leads.expect("reads").items.len() as u64, LEADS * 2);
    let revised = (LEADS / 2..LEADS).filter(|record| record % 3 != 1).count() as u64;
    counted(&outbox, LEADS * 2);
    outbox.close();
    drop(outbox);
    let verdict = sound(&folder.path().join("store"), &[]);
    assert_eq!(
        (verdict.leads, verdict.revisions),
        (LEADS * 2, LEADS * 2 + revised)
    );
}

#[test]
fn a_store_that_is_closed_before_its_index_is_there_goes_on_at_the_next_start() {
    let folder = folder();
    filled(&folder);
    for start in 1..4 {
        let outbox = open_late(&folder);
        for record in 0..5 {
            push(&outbox, LEADS * start + record, 1);
        }
        outbox.close();
    }
    let outbox = open(&folder);
    whole(&outbox);
    counted(&outbox, LEADS + 15);
    outbox.close();
    drop(outbox);
    sound(&folder.path().join("store"), &[]);
}

#[test]
fn an_index_that_cannot_be_used_is_made_anew_also_if_that_shows_late() {
    let folder = folder();
    filled(&folder);
    let path = folder.path().join("store");
    for entry in std::fs::read_dir(path.join("index"))
        .expect("reads")
        .flatten()
    {
        if entry.path().is_file() {
            std::fs::write(entry.path(), b"nothing of sled's").expect("writes");
        }
    }
    let outbox = open_late(&folder);
    push(&outbox, LEADS, 1);
    whole(&outbox);
    counted(&outbox, LEADS + 1);
    outbox.close();
    drop(outbox);
    sound(&path, &[]);
}

#[test]
fn an_index_of_lost_frames_is_not_believed_once_others_have_their_numbers() {
    let folder = folder();
    filled(&folder);
    let path = folder.path().join("store");
    let outbox = open(&folder);
    let before = path.with_file_name("before");
    assert!(std::fs::create_dir_all(before.join("journal")).is_ok());
    outbox.close();
    drop(outbox);
    for file in std::fs::read_dir(path.join("journal"))
        .expect("reads")
        .flatten()
    {
        let to = before.join("journal").join(file.file_name());
        std::fs::copy(file.path(), to).expect("copies");
    }
    // Frames that the index holds, and that are lost then, as the mark is.
    let outbox = open(&folder);
    for record in 0..LEADS {
        push(&outbox, 1_000 + record, 1);
    }
    outbox.close();
    drop(outbox);
    std::fs::remove_file(path.join("synced")).expect("removes");
    std::fs::remove_dir_all(path.join("journal")).expect("removes");
    std::fs::rename(before.join("journal"), path.join("journal")).expect("puts back");
    // The journal grows past them, and the process ends before anybody looked at the index.
    let fresh = || codec::Standing::new(IndexKey::generate());
    let options = journal::Options::default();
    let (mut journal, recovered) = Journal::open(
        Arc::new(Disk),
        &path.join("journal"),
        Keyring::new(&[]),
        options,
        fresh,
    )
    .expect("opens");
    let mut batch = journal::Batch::default();
    for _ in 0..LEADS * 3 {
        let record = Record::SinkState {
            sink: "crm".to_owned(),
            key: "k".to_owned(),
            value: Some(vec![1]),
        };
        batch.record(&Arc::clone(journal.codec()), &record, &[]);
        let standing = recovered.standing.clone();
        journal
            .append(&mut batch, &|| standing.clone())
            .expect("appends");
    }
    journal.syncing().sync().expect("syncs");
    drop(journal);
    let verdict = verify(&path, &[], 16 << 20).expect("verifies");
    let named = verdict.problems.iter().map(|one| one.key.to_string());
    assert_eq!(named.collect::<Vec<_>>(), ["the index"]);
    let outbox = open(&folder);
    whole(&outbox);
    counted(&outbox, LEADS);
    let leads = outbox.leads(&LeadFilter::default(), None, 1_000);
    assert_eq!(leads.expect("reads").items.len() as u64, LEADS);
    outbox.close();
    drop(outbox);
    sound(&path, &[]);
}
