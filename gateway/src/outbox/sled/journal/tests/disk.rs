//! The journal on a real disk.

use super::*;

fn on_disk(folder: &Path) -> Result<(Journal, Recovered), JournalError> {
    Journal::open(Arc::new(Disk), folder, Keyring::default(), SMALL, standing)
}

#[test]
fn what_was_written_is_read_after_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let journal = folder.path().join("store/journal");
    let (mut open, recovered) = on_disk(&journal).expect("opens");
    assert!(recovered.created);
    for value in 0..40_u8 {
        append(&mut open, &[vec![value; 50]]).expect("appends");
    }
    open.close(&standing()).expect("closes");
    let all = read_all(&open).expect("reads");
    for facts in open.reader().facts() {
        let length = std::fs::metadata(open.reader().path(facts.number)).expect("there");
        assert_eq!(
            length.len(),
            facts.bytes,
            "a closed segment takes no room ahead"
        );
    }
    let newest = open.reader().path(open.reader().open_segment().number);
    let length = std::fs::metadata(newest).expect("there").len();
    assert_eq!(length % SMALL.step, 0);
    drop(open);
    let (again, recovered) = on_disk(&journal).expect("opens");
    assert_eq!((recovered.created, recovered.cut), (false, None));
    assert_eq!(read_all(&again).expect("reads"), all);
    assert_eq!(all.len(), 40);
}

#[test]
fn a_segment_that_is_not_at_its_path_any_more_is_not_synced() {
    type Meddle = fn(&Path);
    let cases: [Meddle; 4] = [
        |journal| std::fs::remove_file(journal.join(name(1))).expect("removes"),
        |journal| std::fs::rename(journal.join(name(1)), journal.join("old")).expect("moves"),
        |journal| std::fs::rename(journal, journal.with_extension("old")).expect("moves"),
        |journal| {
            std::fs::copy(journal.join(name(1)), journal.join("new")).expect("copies");
            std::fs::rename(journal.join("new"), journal.join(name(1))).expect("replaces");
        },
    ];
    for meddle in cases {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("journal");
        let (mut journal, _) = on_disk(&path).expect("opens");
        append(&mut journal, &[b"a".to_vec()]).expect("appends");
        journal.syncing().sync().expect("syncs");
        meddle(&path);
        append(&mut journal, &[b"b".to_vec()]).expect("appends");
        let error = journal.syncing().sync().expect_err("refused");
        assert!(matches!(error, JournalError::Moved { .. }), "{error}");
        let error = append(&mut journal, &[b"c".to_vec()]).expect_err("refused");
        assert!(
            error.to_string().contains("moved, removed or replaced"),
            "{error}"
        );
    }
}
