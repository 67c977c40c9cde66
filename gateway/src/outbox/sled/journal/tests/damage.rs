//! What is not what was written is refused with its place; nothing is silently left out.

use super::*;

/// What is read of the files as they are now.
fn read(files: &PowerCut) -> Result<Vec<Said>, JournalError> {
    let (journal, _) = open(files)?;
    read_all(&journal)
}

#[test]
fn a_flipped_byte_anywhere_is_refused_or_was_of_nothing() {
    let (files, all) = filled();
    let (mut refused, mut of_nothing) = (0, 0);
    for segment in 1..=3 {
        let bytes = files.bytes(&path(segment));
        for at in 0..bytes.len() {
            for flip in [0x01, 0x80, 0xff] {
                let files = files.copy();
                let mut bytes = bytes.clone();
                bytes[at] ^= flip;
                files.put(&path(segment), bytes);
                match read(&files) {
                    Err(error) => {
                        let text = error.to_string();
                        assert!(text.contains(&name(segment)), "{at}: {text}");
                        refused += 1;
                    }
                    Ok(found) => {
                        assert_eq!(found, all, "{segment}, byte {at}");
                        of_nothing += 1;
                    }
                }
            }
        }
    }
    // What holds nothing is the last watermark and the room taken ahead.
    assert!(
        refused > 2500 && of_nothing < 900,
        "{refused}, {of_nothing}"
    );
}

#[test]
fn a_record_that_is_damaged_is_refused_with_its_place() {
    let (files, all) = filled();
    let (journal, _) = open(&files).expect("opens");
    let place = all[1].values[1].0;
    let mut bytes = files.bytes(&path(place.segment));
    bytes[place.offset as usize + 15] ^= 1;
    files.put(&path(place.segment), bytes);
    let error = journal.reader().read(place).expect_err("refused");
    let JournalError::Damaged(damage) = error else {
        panic!("{error}");
    };
    assert_eq!(
        (damage.segment, damage.offset),
        (place.segment, place.offset.into())
    );
    // A frame before it is read; the scan ends where the damage begins.
    let scan: Vec<_> = journal.reader().scan(1, 0).expect("scans").collect();
    assert_eq!(scan.len(), 3);
    let error = scan[2].as_ref().err().expect("refused").to_string();
    assert!(
        error.contains("00000001.seg") && error.contains("write 3"),
        "{error}"
    );
    assert!(scan[..2].iter().all(Result::is_ok));
}

#[test]
fn a_place_that_is_no_record_s_is_refused() {
    let (files, all) = filled();
    let (journal, _) = open(&files).expect("opens");
    let place = all[0].values[0].0;
    let wrong = [
        Place {
            segment: 9,
            ..place
        },
        Place {
            offset: place.offset + 1,
            ..place
        },
        Place {
            length: place.length - 1,
            ..place
        },
        Place {
            offset: u32::MAX,
            ..place
        },
        Place { length: 0, ..place },
    ];
    for place in wrong {
        assert!(journal.reader().read(place).is_err(), "{place:?}");
    }
}

#[test]
fn segments_that_are_not_what_they_should_be_are_refused_with_words() {
    type Meddle = fn(&PowerCut);
    fn rename(files: &PowerCut, from: u32, to: u32) {
        Files::rename(files, &path(from), &path(to)).expect("renames");
    }
    let other_store = || {
        let (other, _) = filled();
        other.bytes(&path(1))
    };
    let theirs = other_store();
    let cases: [(Meddle, &str); 11] = [
        (
            |files| {
                let mut bytes = files.bytes(&path(2));
                bytes[..64].fill(0);
                files.put(&path(2), bytes);
            },
            "00000002.seg has the name of a segment, but begins with zeros",
        ),
        (
            |files| Files::remove(files, &path(1)).expect("removes"),
            "00000001.seg is missing: it holds what was written from 1 to 5",
        ),
        (
            |files| {
                files.put(
                    &path(2),
                    b"a text that somebody put here, long enough to be read".to_vec(),
                );
            },
            "begins with other bytes, not as a segment of an outbox; if somebody put it there",
        ),
        (
            |files| {
                files.put(
                    &path(9),
                    b"a text that somebody put here, long enough to be read".to_vec(),
                );
            },
            "begins with other bytes, not as a segment of an outbox; if somebody put it there",
        ),
        (
            |files| rename(files, 2, 7),
            "is segment 2 under another name; give it back its name 00000002.seg",
        ),
        (
            |files| {
                let one = files.bytes(&path(1));
                files.put(&path(2), one);
            },
            "is segment 1 under another name",
        ),
        (
            |files| {
                let mut one = files.bytes(&path(1));
                one.truncate(300);
                files.put(&path(1), one);
            },
            "00000001.seg is damaged at byte 300",
        ),
        (
            |files| files.put(&path(2), Vec::new()),
            "00000002.seg is damaged at byte 0",
        ),
        (
            |files| newer(files, 3),
            "format 7, this leadgate reads up to format 6",
        ),
        (|files| older(files, 3), "was written by an older leadgate"),
        (
            |files| newer(files, 1),
            "format 7, this leadgate reads up to format 6",
        ),
    ];
    for (meddle, words) in cases {
        let (files, _) = filled();
        meddle(&files);
        let error = open(&files).err().expect("refused");
        assert!(error.to_string().contains(words), "{error} ({words})");
        let text = error.text();
        assert_ne!(text.pick(crate::lang::Lang::ZhCn), error.to_string());
    }
    for segment in [1, 7] {
        let (files, _) = filled();
        let mut bytes = theirs.clone();
        renumber(&mut bytes, segment);
        files.put(&path(segment), bytes);
        let error = open(&files).err().expect("refused");
        assert!(
            matches!(
                error,
                JournalError::Stray { .. }
                    | JournalError::Damaged(_)
                    | JournalError::Missing { .. }
            ),
            "{error}"
        );
    }
}

/// Gives a segment's header the format after ours.
fn newer(files: &PowerCut, segment: u32) {
    of_format(files, segment, 7);
}

fn older(files: &PowerCut, segment: u32) {
    of_format(files, segment, 5);
}

fn of_format(files: &PowerCut, segment: u32, format: u8) {
    let mut bytes = files.bytes(&path(segment));
    bytes[6] = format;
    resum(&mut bytes);
    files.put(&path(segment), bytes);
}

/// Gives a segment's header another number.
fn renumber(bytes: &mut [u8], number: u32) {
    bytes[8..12].copy_from_slice(&number.to_le_bytes());
    resum(bytes);
}

fn resum(bytes: &mut [u8]) {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&bytes[..12]);
    hasher.update(&bytes[16..40]);
    bytes[12..16].copy_from_slice(&hasher.finalize().to_le_bytes());
}

#[test]
fn a_stray_segment_of_ours_is_refused() {
    let (files, _) = filled();
    let (mut journal, _) = open(&files).expect("opens");
    let one = files.bytes(&path(1));
    let mut batch = Batch::default();
    batch.entry(journal.codec(), &Entry::SegmentGone(1));
    journal.append(&mut batch, &standing).expect("appends");
    journal.remove(1).expect("removes");
    journal.roll(&standing()).expect("rolls");
    // Somebody puts back what is gone.
    files.put(&path(1), one);
    let error = open(&files).err().expect("refused");
    assert!(matches!(error, JournalError::Stray { .. }), "{error}");
}

#[test]
fn bytes_that_somebody_pushed_are_no_frame() {
    // A push that holds a whole journal with frames of the highest numbers.
    let (theirs, _) = filled();
    let pushed = theirs.bytes(&path(1));
    for shift in 0..8 {
        let files = PowerCut::default();
        let (mut journal, _) = open(&files).expect("opens");
        let value = [&vec![0; shift][..], &pushed].concat();
        let done = append(&mut journal, &[value]).expect("appends");
        // It is torn: its first sector did not reach the disk.
        let at = done.places[0].offset as usize - 32;
        let file = path(done.places[0].segment);
        let mut bytes = files.bytes(&file);
        bytes[at..at + 32].fill(0);
        files.put(&file, bytes);
        let (journal, recovered) = open(&files).expect("opens");
        assert!(recovered.cut.is_some());
        assert_eq!(read_all(&journal).expect("reads"), []);
    }
}
