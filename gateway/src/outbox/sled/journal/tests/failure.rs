//! After the first error of a write or a sync nothing is written or said to be durable.

use super::*;

/// Writes until something fails; gives how many values were said to be durable.
fn work(journal: &mut Journal) -> (u8, Result<(), JournalError>) {
    let mut durable = 0;
    for value in 0..24_u8 {
        let step = |journal: &mut Journal| {
            append(journal, &[vec![value; 40]])?;
            journal.syncing().sync()?;
            if value % 5 == 4 {
                journal.watermark()?;
            }
            if value % 9 == 8 {
                // What is kept is carried on first, as cleaning does.
                let oldest = journal.reader().facts()[0].number;
                for kept in 0..=value {
                    append(journal, &[vec![kept; 40]])?;
                }
                let mut batch = Batch::default();
                batch.entry(journal.codec(), &Entry::SegmentGone(oldest));
                journal.append(&mut batch, &standing)?;
                journal.remove(oldest)?;
            }
            Ok(())
        };
        if let Err(error) = step(journal) {
            return (durable, Err(error));
        }
        durable = value + 1;
    }
    (durable, journal.close(&standing()))
}

#[test]
fn an_error_is_final_and_what_was_durable_before_is_there_after() {
    let mut failures = 0;
    for calls in 0.. {
        let files = PowerCut::default();
        let (mut journal, _) = open(&files).expect("opens");
        files.fail_after(calls);
        let (durable, ended) = work(&mut journal);
        if !files.has_failed() {
            ended.expect("no failure");
            break;
        }
        failures += 1;
        let why = ended.expect_err("failed").to_string();
        assert!(why.contains("os error 5"), "{why}");
        // The disk is well again; that changes nothing.
        let syncing = journal.syncing();
        let again = [
            append(&mut journal, &[b"x".to_vec()]).err(),
            syncing.sync().err(),
            journal.roll(&standing()).err(),
            journal.watermark().err(),
            journal.close(&standing()).err(),
            journal.remove(1).err(),
        ];
        for error in again {
            let error = error.expect("refused");
            assert!(matches!(&error, JournalError::Poisoned(first) if *first == why));
        }
        assert_eq!(syncing.poisoned(), Some(&*why));
        for seed in 0..8 {
            let files = files.cut(seed);
            let (journal, _) = open(&files).expect("opens");
            let all = read_all(&journal).expect("reads");
            for value in 0..durable {
                let wanted = vec![value; 40];
                assert!(
                    all.iter().any(|said| said.values[0].1 == wanted),
                    "{value} of {durable} is lost after failure {calls}, cut {seed}"
                );
            }
        }
    }
    assert!(failures > 60, "{failures}");
}

#[test]
fn a_sync_that_failed_is_not_tried_again() {
    let files = PowerCut::default();
    let (mut journal, _) = open(&files).expect("opens");
    append(&mut journal, &[b"a".to_vec()]).expect("appends");
    files.fail_after(0);
    let syncing = journal.syncing();
    let before = syncing.synced();
    syncing.sync().expect_err("fails");
    assert!(matches!(syncing.sync(), Err(JournalError::Poisoned(_))));
    assert_eq!(syncing.synced(), before);
}

#[test]
fn a_batch_too_long_is_refused_and_nothing_else_is() {
    let files = PowerCut::default();
    let (mut journal, _) = open(&files).expect("opens");
    let mut batch = Batch::default();
    let record = vec![0; 600 << 20];
    batch.raw(&record);
    batch.raw(&record);
    drop(record);
    let error = journal.append(&mut batch, &standing).expect_err("refused");
    assert!(matches!(error, JournalError::TooLong(_)), "{error}");
    batch.clear();
    drop(batch);
    append(&mut journal, &[b"a".to_vec()]).expect("appends");
}
