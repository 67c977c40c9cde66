//! Copies: backups while segments come and go, in folders, and what keys have to do with them.

use std::path::{Path, PathBuf};

use super::*;
use crate::outbox::{Find, FindBy, Restored};

/// What a future gives, on a thread that may block.
fn now<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.build().expect("a runtime");
    runtime.block_on(future)
}

fn accept(outbox: &SledOutbox, records: std::ops::Range<u64>) -> Vec<LeadId> {
    let accepted = records.map(|record| match now(outbox.accept(arrival(record, 1))) {
        Ok(Accepted::New { lead, .. }) => lead,
        other => panic!("{other:?}"),
    });
    accepted.collect()
}

/// Closes the open segment: what comes then is in another file.
fn roll(outbox: &SledOutbox) {
    outbox.cleaner.ask(Job::Roll).expect("rolls");
}

fn lines(outbox: &SledOutbox) -> Vec<String> {
    outbox.wait_until_whole(|_, _| {}).expect("an index");
    let mut lines = Vec::new();
    let dumped = outbox.dump(&mut |line| {
        lines.push(serde_json::to_string(&line).expect("writes"));
        Ok(())
    });
    dumped.expect("dumps");
    lines
}

/// The store that a backup makes, in a folder of its own.
fn restored(backup: &Path, keys: &[OutboxKey], paused: bool) -> (TempDir, SledOutbox, Restored) {
    let folder = folder();
    let done = restore(backup, &folder.path().join("store"), paused).expect("restores");
    let outbox = open_with(&folder, 64, keys, 0).expect("opens");
    outbox.wait_until_whole(|_, _| {}).expect("an index");
    (folder, outbox, done)
}

fn into(folder: &Path, outbox: &SledOutbox) -> Result<Taken, UpkeepError> {
    let mut folder = BackupFolder::open(folder)?;
    let mut stream = Vec::new();
    outbox.backup_beyond(&folder.have(), &mut stream)?;
    folder.take(&stream[..])
}

fn segments(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("reads");
    let paths = entries.map(|entry| entry.expect("reads").path());
    let mut paths: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|ending| ending == "seg"))
        .collect();
    paths.sort();
    paths
}

/// Does something to the store before the second segment comes.
struct Meddling<'a, F> {
    outbox: &'a SledOutbox,
    meddle: Option<F>,
    bytes: Vec<u8>,
}

impl<F: FnOnce(&SledOutbox)> Write for Meddling<'_, F> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        if self.bytes.len() > 100
            && let Some(meddle) = self.meddle.take()
        {
            meddle(self.outbox);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_backup_while_segments_are_removed_and_made_is_the_store_at_its_end() {
    let folder = folder();
    let outbox = open(&folder);
    for segment in 0..4 {
        accept(&outbox, segment * 10..segment * 10 + 10);
        roll(&outbox);
    }
    let mut to = Meddling {
        outbox: &outbox,
        meddle: Some(|outbox: &SledOutbox| {
            // One that is copied, one whose turn comes, and one that is new.
            outbox.cleaner.clean(1).expect("cleans");
            outbox.cleaner.clean(3).expect("cleans");
            let leads = accept(outbox, 100..110);
            now(outbox.erase(leads[0].into())).expect("erases");
            roll(outbox);
            accept(outbox, 200..203);
        }),
        bytes: Vec::new(),
    };
    let done = outbox.backup(&mut to).expect("backs up");
    assert!(to.meddle.is_none() && done.changes > 10, "{done:?}");
    let file = folder.path().join("backup");
    std::fs::write(&file, &to.bytes).expect("writes");
    check(&file).expect("is whole");
    let numbers: Vec<u32> = outbox
        .reads
        .bodies
        .journal()
        .facts()
        .iter()
        .map(|one| one.number)
        .collect();
    assert!(
        !numbers.contains(&1) && !numbers.contains(&3),
        "{numbers:?}"
    );
    let (_folder, copy, said) = restored(&file, &[], false);
    assert_eq!(lines(&copy), lines(&outbox));
    assert_eq!(copy.totals(), outbox.totals());
    assert_eq!((said.leads, said.waiting), (52, 52));
    assert_eq!(said.goes_out.get("crm"), Some(&52));
    // It goes on like any other.
    accept(&copy, 300..301);
    copy.close();
    outbox.close();
}

#[test]
fn a_folder_takes_only_what_is_new_and_lets_go_what_left() {
    let folder = folder();
    let outbox = open(&folder);
    let to = folder.path().join("backups/daily");
    let leads = accept(&outbox, 0..10);
    roll(&outbox);
    accept(&outbox, 10..20);
    roll(&outbox);
    accept(&outbox, 20..30);
    let first = into(&to, &outbox).expect("backs up");
    assert_eq!((first.copied, first.kept, first.removed), (3, 0, 0));
    check(&to).expect("is whole");
    // The journal may still note how far the disk is.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    loop {
        let same = into(&to, &outbox).expect("backs up");
        assert!(same.kept >= 2, "{same:?}");
        if (same.copied, same.kept, same.removed) == (0, 3, 0) {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "{same:?}");
    }

    accept(&outbox, 30..40);
    let more = into(&to, &outbox).expect("backs up");
    // The open segment as far as it was is replaced.
    assert_eq!((more.copied, more.kept, more.removed), (1, 2, 1));
    assert_eq!(segments(&to).len(), 3);
    now(outbox.erase(leads[3].into())).expect("erases");
    let less = into(&to, &outbox).expect("backs up");
    assert_eq!(
        (less.kept, segments(&to).len()),
        (1, outbox.reads.bodies.journal().facts().len() + 1)
    );
    check(&to).expect("is whole");
    let (_folder, copy, said) = restored(&to, &[], false);
    assert_eq!(said.leads, 39);
    assert_eq!(lines(&copy), lines(&outbox));
    copy.close();
    outbox.close();
}

#[test]
fn a_folder_that_is_cut_short_keeps_the_backup_before() {
    let folder = folder();
    let outbox = open(&folder);
    let to = folder.path().join("backup");
    accept(&outbox, 0..10);
    into(&to, &outbox).expect("backs up");
    accept(&outbox, 10..20);
    roll(&outbox);
    accept(&outbox, 20..30);
    let mut taking = BackupFolder::open(&to).expect("opens");
    let busy = BackupFolder::open(&to).map(drop);
    assert!(matches!(busy, Err(UpkeepError::Busy)));
    let mut stream = Vec::new();
    outbox
        .backup_beyond(&taking.have(), &mut stream)
        .expect("backs up");
    for length in [50, stream.len() / 2, stream.len() - 1] {
        assert!(taking.take(&stream[..length]).is_err());
        check(&to).expect("is whole");
    }
    let mut flipped = stream.clone();
    flipped[stream.len() / 2] ^= 1;
    assert!(taking.take(&flipped[..]).is_err());
    let at = folder.path().join("before");
    assert_eq!(restore(&to, &at, false).expect("restores").leads, 10);
    // What came of it alone is no backup.
    let file = folder.path().join("stream");
    roll(&outbox);
    taking.take(&stream[..]).expect("takes");
    let mut rest = Vec::new();
    outbox
        .backup_beyond(&taking.have(), &mut rest)
        .expect("backs up");
    std::fs::write(&file, &rest).expect("writes");
    let refused = check(&file).expect_err("refused").to_string();
    assert!(refused.contains("earlier backup"), "{refused}");
    taking.take(&rest[..]).expect("takes");
    let parts = std::fs::read_dir(&to).expect("reads").filter(|entry| {
        let name = entry.as_ref().expect("reads").file_name();
        name.to_string_lossy().ends_with(".part")
    });
    assert_eq!(parts.count(), 0);
    outbox.close();
}

#[test]
fn a_folder_of_something_else_is_refused_and_a_damaged_one_named() {
    let folder = folder();
    let outbox = open(&folder);
    let to = folder.path().join("backup");
    accept(&outbox, 0..10);
    roll(&outbox);
    into(&to, &outbox).expect("backs up");
    let (other_folder, other) = {
        let folder = super::folder();
        let outbox = open(&folder);
        (folder, outbox)
    };
    let refused = into(&to, &other).expect_err("refused").to_string();
    assert!(refused.contains("another outbox"), "{refused}");
    let refused = into(other_folder.path(), &other)
        .expect_err("refused")
        .to_string();
    assert!(refused.contains("holds no backup"), "{refused}");
    other.close();

    let file = segments(&to).remove(0);
    let whole = std::fs::read(&file).expect("reads");
    let mut bytes = whole.clone();
    bytes[whole.len() / 2] ^= 1;
    std::fs::write(&file, &bytes).expect("writes");
    let refused = check(&to).expect_err("refused").to_string();
    let name = file
        .file_name()
        .expect("a name")
        .to_string_lossy()
        .into_owned();
    assert!(refused.contains(&name), "{refused}");
    let at = folder.path().join("restored");
    assert!(restore(&to, &at, false).is_err() && !at.exists());
    // One that is shorter is seen by the next backup, and copied again.
    std::fs::write(&file, &bytes[..10]).expect("writes");
    let again = into(&to, &outbox).expect("backs up");
    assert!(
        again.copied >= 1 && again.copied + again.kept == 2,
        "{again:?}"
    );
    check(&to).expect("is whole");
    std::fs::remove_file(&file).expect("removes");
    let refused = check(&to).expect_err("refused").to_string();
    assert!(refused.contains("missing"), "{refused}");
    outbox.close();
}

#[test]
fn a_backup_of_a_damaged_segment_is_refused() {
    let folder = folder();
    let outbox = open(&folder);
    accept(&outbox, 0..10);
    roll(&outbox);
    let path = outbox.reads.bodies.journal().path(1);
    let mut bytes = std::fs::read(&path).expect("reads");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, &bytes).expect("writes");
    let refused = outbox.backup(&mut Vec::new());
    let refused = refused.expect_err("refused").to_string();
    assert!(refused.contains("00000001.seg is damaged"), "{refused}");
    outbox.close();
}

#[test]
fn a_sealed_backup_is_restored_without_its_key_and_paused() {
    let folder = folder();
    let key = OutboxKey::generate();
    let keys = [key.clone()];
    let outbox = open_with(&folder, 64, &keys, 0).expect("opens");
    accept(&outbox, 0..5);
    let note = PauseCause::Person("the mail moves".to_owned());
    now(outbox.pause("mail", Some(note.clone()))).expect("pauses");
    let file = folder.path().join("backup");
    let mut to = std::fs::File::create(&file).expect("makes");
    outbox.backup(&mut to).expect("backs up");
    let id = key.id().to_string();
    let (at, copy, said) = restored(&file, &keys, true);
    assert_eq!(said.sealed_with.as_deref(), Some(&*id));
    assert!(said.paused && said.goes_out.is_empty() && said.records > 5);
    assert_eq!(
        (said.leads, said.waiting, said.newest_at),
        (5, 5, Some(1_000))
    );
    assert_eq!(missing_key(&at.path().join("store"), &[]), Some(id));
    for sink in ["crm", "mail", "once"] {
        assert!(copy.paused(sink), "{sink}");
    }
    assert_eq!(copy.pause_of("mail").expect("paused").cause, note);
    assert_eq!(lines(&copy), lines(&outbox));
    now(copy.pause("crm", None)).expect("resumes");
    copy.close();
    drop(copy);
    let copy = open_with(&at, 64, &keys, 0).expect("opens");
    assert!(!copy.paused("crm") && copy.paused("once"));
    copy.close();
    drop(copy);
    assert!(open_with(&at, 64, &[], 0).is_err(), "the key is needed");
    outbox.close();
}

#[test]
fn after_a_rekey_nothing_needs_the_old_key() {
    let folder = folder();
    let (old, new) = (OutboxKey::generate(), OutboxKey::generate());
    let outbox = open_with(&folder, 64, std::slice::from_ref(&old), 0).expect("opens");
    accept(&outbox, 0..10);
    roll(&outbox);
    accept(&outbox, 10..20);
    let note = PauseCause::Person("the mail moves".to_owned());
    now(outbox.pause("mail", Some(note.clone()))).expect("pauses");
    let state = Some(b"token".to_vec());
    assert_eq!(
        now(outbox.keep_sink_state("crm", "k", state.clone())),
        Ok(true)
    );
    let push = QuarantinedPush {
        source: "shop".into(),
        reason: "unparsable",
        received_at: 1,
        request_id: None,
        signature: String::new(),
        query: String::new(),
        content_type: String::new(),
        body: b"{".to_vec(),
        ceiling: crate::config::Ceiling::default(),
    };
    now(outbox.quarantine(push)).expect("kept");
    let before = lines(&outbox);
    outbox.close();
    drop(outbox);

    let both = [new.clone(), old];
    let outbox = open_with(&folder, 64, &both, 0).expect("opens");
    // A run that ends in the middle is begun again.
    let step = outbox.rekey(None, 1).expect("reseals");
    assert!(step.resealed > 0 && step.next.is_some());
    accept(&outbox, 20..21);
    outbox.close();
    drop(outbox);
    let outbox = open_with(&folder, 64, &both, 0).expect("opens");
    let (mut from, mut resealed) = (None, 0);
    loop {
        let step = outbox.rekey(from.as_deref(), 1).expect("reseals");
        resealed += step.resealed;
        from = step.next;
        if from.is_none() {
            break;
        }
        assert!(outbox.continues(Paged::Rekey, from.as_deref().unwrap_or_default()));
    }
    assert!(resealed > 0);
    let mut from = None;
    loop {
        let step = outbox.rekey(from.as_deref(), 1).expect("reads");
        assert_eq!(step.resealed, 0, "a second run finds nothing to do");
        from = step.next;
        if from.is_none() {
            break;
        }
    }
    outbox.close();
    drop(outbox);
    // Also without the index, which tells of what is in the journal.
    std::fs::remove_dir_all(folder.path().join("store/index")).expect("removes");
    let outbox = open_with(&folder, 64, &[new], 0).expect("opens with the new key only");
    let after = lines(&outbox);
    assert!(before.iter().all(|line| after.contains(line)));
    assert_eq!(outbox.pause_of("mail").expect("paused").cause, note);
    assert_eq!(outbox.sink_state("crm", "k"), Ok(state));
    outbox.close();
}

/// Made by the store of before, with [`arrival`]s of three records in two revisions each, one of
/// them delivered, and a quarantined push.
const VERSION_1: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/src/outbox/sled/tests/export-v1.jsonl"
);

#[test]
fn an_export_of_before_is_taken_with_all_that_it_knows() {
    let folder = folder();
    let text = std::fs::read_to_string(VERSION_1).expect("reads");
    let mut lines_of = text.lines();
    let header = lines_of.next().expect("a header");
    let header: ExportHeader = serde_json::from_str(header).expect("reads");
    assert_eq!(header.leadgate_export, 1);
    adopt(&folder.path().join("store"), &[], &header).expect("takes the index key");
    let outbox = open(&folder);
    let all = || {
        lines_of
            .clone()
            .map(|line| serde_json::from_str(line).expect("reads"))
    };
    let done = outbox.load(all().collect()).expect("loads");
    assert_eq!((done.leads, done.deliveries, done.quarantined), (3, 6, 1));
    let again = outbox.load(all().collect()).expect("loads");
    assert_eq!((again.leads_known, again.quarantined_known), (3, 1));
    let known = now(outbox.accept(arrival(2, 2)));
    assert!(
        matches!(known, Ok(Accepted::Duplicate { revision: 2, .. })),
        "{known:?}"
    );
    let changed = now(outbox.accept(arrival(2, 3)));
    let lead = changed.expect("accepted").lead();
    assert_eq!(lead, known.expect("known").lead());
    let push = QuarantinedPush {
        source: "shop".into(),
        reason: "unparsable",
        received_at: 9,
        request_id: Some("2".to_owned()),
        signature: String::new(),
        query: "another".to_owned(),
        content_type: String::new(),
        body: vec![0xfe, 1],
        ceiling: crate::config::Ceiling::default(),
    };
    assert_eq!(now(outbox.quarantine(push)), Ok(Quarantined::Duplicate));
    let found = outbox.find(&Find::new(FindBy::Phone, "+86 135 6765 8911"), 10);
    assert_eq!(found.expect("finds").len(), 3);
    // A store with leads of its own does not take another key.
    outbox.close();
    drop(outbox);
    let other = ExportHeader {
        index_key: "00".repeat(32),
        ..header
    };
    assert!(adopt(&folder.path().join("store"), &[], &other).is_err());
    // What it writes now is of the version of now.
    let outbox = open(&folder);
    let texts = lines(&outbox);
    assert!(texts.iter().all(|line| !line.contains("\"content\":")));
    assert_eq!(
        outbox.export_header().leadgate_export,
        crate::outbox::EXPORT_VERSION
    );
    outbox.close();
}
