//! What the audit log promises, whatever happens to its files.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::file;
use super::format::Linking;
use super::writer::Job;
use super::*;
use crate::outbox::sled::codec::{Codec, StoreId};
use crate::outbox::sled::journal::power::PowerCut;
use crate::outbox::{Actor, AuditAction, AuditBreak, AuditFilter, AuditState, DAY, Role, Via};
use crate::seal::{IndexKey, Keyring, OutboxKey};

const STORE: &str = "/store";

/// A log on a disk that may lose its power, with a journal that is only a number.
struct Desk {
    files: PowerCut,
    key: OutboxKey,
    index: IndexKey,
    journal: Arc<Mutex<AuditMark>>,
}

impl Desk {
    fn new() -> Self {
        Self {
            files: PowerCut::default(),
            key: OutboxKey::generate(),
            index: IndexKey::generate(),
            journal: Arc::default(),
        }
    }

    /// The same with other files.
    fn with(&self, files: PowerCut) -> Self {
        let mark = self.mark();
        Self {
            files,
            key: self.key.clone(),
            index: self.index.clone(),
            journal: Arc::new(Mutex::new(mark)),
        }
    }

    fn mark(&self) -> AuditMark {
        *self.journal.lock().expect("not poisoned")
    }

    fn linking(&self) -> Linking {
        let keyring = Keyring::new(std::slice::from_ref(&self.key));
        Linking::new(
            Arc::new(Codec::new(keyring, StoreId([1; 16]))),
            self.index.clone(),
        )
    }

    fn open(&self) -> Audit {
        let journal = Arc::clone(&self.journal);
        let place = Place {
            path: Path::new(STORE),
            files: Arc::new(self.files.clone()),
            linking: self.linking(),
            mark: self.mark(),
        };
        let told = move |mark| {
            *journal.lock().expect("not poisoned") = mark;
            Ok(())
        };
        Audit::open(place, Box::new(told)).expect("opens")
    }

    fn state(&self) -> AuditState {
        verify(&self.files, Path::new(STORE), &self.linking(), self.mark()).expect("reads")
    }

    /// Where the chain is broken, and that what comes then is kept all the same.
    fn broken(&self) -> Option<u64> {
        let broken = || self.state().broken.map(|AuditBreak { at, .. }| at);
        let before = broken();
        let audit = self.open();
        let next = self.mark().last.number + 1;
        assert_eq!(record(&audit, 0), Ok(next), "numbers go on");
        audit.close();
        assert_eq!(broken(), before, "nothing hides it");
        let read = all(&self.open());
        assert_eq!(read.first(), Some(&next), "{read:?}");
        before
    }

    fn paths(&self) -> Vec<PathBuf> {
        let all = file::list(&self.files, &Path::new(STORE).join(FOLDER)).expect("lists");
        all.into_iter().map(|(_, path)| path).collect()
    }
}

fn event(day: i64) -> AuditEvent {
    let who = Actor {
        name: "li".to_owned(),
        role: Role::Admin,
        via: Via::Api,
        peer: None,
    };
    AuditEvent::new(day * DAY, who, AuditAction::LeadsReveal)
}

fn record(audit: &Audit, day: i64) -> Result<u64, Unavailable> {
    let stored = Stored {
        event: event(day),
        origin: None,
    };
    audit.wait(|promise| Job::Record(vec![stored], promise))
}

fn all(audit: &Audit) -> Vec<u64> {
    let page = audit.log().page(&AuditFilter::default(), None, 1_000);
    let items = page.expect("reads").items.into_iter();
    items.map(|entry| entry.number).collect()
}

/// Three files: one for each month.
fn filled() -> Desk {
    let desk = Desk::new();
    let audit = desk.open();
    for day in 0..90 {
        record(&audit, day).expect("recorded");
    }
    audit.close();
    assert_eq!(desk.paths().len(), 3);
    assert_eq!(desk.state().broken, None);
    assert_eq!(desk.state().entries, 90);
    desk
}

/// Where each whole entry of a file begins, and where the last one ends.
fn bounds(bytes: &[u8]) -> Vec<usize> {
    let (_, mut rest) = format::begin(bytes).expect("a header");
    let mut bounds = vec![bytes.len() - rest.len()];
    while let Some((_, behind)) = format::next(rest) {
        rest = behind;
        bounds.push(bytes.len() - rest.len());
    }
    bounds
}

#[test]
fn a_removed_entry_is_noticed_wherever_it_was() {
    for (at, which) in [(0, 0), (0, 29), (1, 0), (1, 13), (2, 29)] {
        let desk = filled();
        let path = desk.paths().swap_remove(at);
        let mut bytes = desk.files.bytes(&path);
        let bounds = bounds(&bytes);
        bytes.drain(bounds[which]..bounds[which + 1]);
        desk.files.put(&path, bytes);
        let number = (at * 30 + which + 1) as u64;
        assert_eq!(desk.broken(), Some(number), "{at} {which}");
    }
}

#[test]
fn an_end_that_was_cut_off_is_noticed_and_not_taken_for_torn() {
    for left in [0, 1, 17, 29] {
        let desk = filled();
        let path = desk.paths().swap_remove(2);
        let mut bytes = desk.files.bytes(&path);
        bytes.truncate(bounds(&bytes)[left]);
        desk.files.put(&path, bytes);
        assert_eq!(desk.broken(), Some(61 + left as u64), "{left}");
    }
}

#[test]
fn files_that_are_gone_are_noticed_and_so_is_the_whole_folder() {
    for (gone, broken) in [(&[0][..], 1), (&[1], 31), (&[2], 61), (&[0, 1, 2], 1)] {
        let desk = filled();
        let paths = desk.paths();
        for one in gone {
            desk.files.remove(&paths[*one]).expect("removes");
        }
        assert_eq!(desk.broken(), Some(broken), "{gone:?}");
    }
}

#[test]
fn any_bit_that_flips_is_noticed_and_the_rest_is_read() {
    let desk = filled();
    for path in desk.paths() {
        let bytes = desk.files.bytes(&path);
        for at in (0..bytes.len()).step_by(37) {
            let files = desk.files.copy();
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << (at % 8);
            files.put(&path, damaged);
            let desk = desk.with(files);
            assert!(desk.state().broken.is_some(), "{}: {at}", path.display());
        }
    }
}

#[test]
fn entries_that_change_places_or_come_from_elsewhere_are_noticed() {
    let desk = filled();
    let path = desk.paths().swap_remove(1);
    let bytes = desk.files.bytes(&path);
    let bounds = bounds(&bytes);
    let one = |at: usize| &bytes[bounds[at]..bounds[at + 1]];
    let mut swapped = bytes[..bounds[3]].to_vec();
    swapped.extend_from_slice(one(4));
    swapped.extend_from_slice(one(3));
    swapped.extend_from_slice(&bytes[bounds[5]..]);
    let with = |bytes: Vec<u8>| {
        let files = desk.files.copy();
        files.put(&path, bytes);
        desk.with(files)
    };
    assert_eq!(with(swapped).broken(), Some(34));
    // One that says something else, made by who has not the key.
    let (stranger, mut forged) = (Desk::new(), bytes[..bounds[3]].to_vec());
    let (frame, _) = format::next(one(2)).expect("an entry");
    let stored = Stored {
        event: event(0),
        origin: None,
    };
    let plain = Linking::new(
        Arc::new(Codec::new(Keyring::default(), StoreId([1; 16]))),
        stranger.index.clone(),
    );
    plain.append(frame.link, &stored, &mut forged);
    forged.extend_from_slice(&bytes[bounds[4]..]);
    assert_eq!(with(forged).broken(), Some(34));
}

#[test]
fn what_left_on_purpose_is_not_taken_for_removed() {
    let desk = filled();
    let audit = desk.open();
    assert_eq!(audit.retire(45 * DAY), Ok(30));
    audit.close();
    assert_eq!(desk.broken(), None);
    assert_eq!((desk.state().first, desk.paths().len()), (31, 2));
    // A crash before the files were gone.
    let desk = filled();
    let audit = desk.open();
    let before = desk.files.copy();
    assert_eq!(audit.retire(75 * DAY), Ok(60));
    audit.close();
    let after_crash = desk.with(before);
    assert_eq!(after_crash.broken(), None);
    assert_eq!(after_crash.paths().len(), 1, "it was finished");
    // One that nobody let go is missing after that.
    let path = after_crash.paths().swap_remove(0);
    after_crash.files.remove(&path).expect("removes");
    assert_eq!(after_crash.broken(), Some(61));
}

#[test]
fn nothing_leaves_while_it_is_copied() {
    let desk = filled();
    let audit = desk.open();
    let held = audit.log().all();
    assert_eq!(audit.retire(75 * DAY), Ok(0));
    drop(held);
    assert_eq!(audit.retire(75 * DAY), Ok(60));
    audit.close();
}

#[test]
fn a_power_cut_takes_nothing_of_which_anybody_was_told() {
    for seed in 0..300 {
        let desk = Desk::new();
        let audit = desk.open();
        let mut random = fastrand::Rng::with_seed(seed);
        let mut told = random.u64(0..40);
        for number in 1..=told {
            assert_eq!(record(&audit, random.i64(0..50)), Ok(number));
            if random.u8(..8) == 0 {
                audit.retire(random.i64(0..50) * DAY).expect("retires");
            }
        }
        // In the middle of another one, too.
        desk.files.fail_after(random.u64(0..3));
        told = record(&audit, 20).unwrap_or(told);
        let cut = desk.with(desk.files.cut(seed));
        drop(audit);
        let state = cut.state();
        assert_eq!((state.broken.clone(), state.last), (None, told), "{seed}");
        assert_eq!(cut.broken(), None, "{seed}");
    }
}

#[test]
fn a_write_that_fails_is_told_and_taken_back_and_the_next_one_goes() {
    for calls in 0..12 {
        let desk = Desk::new();
        let audit = desk.open();
        assert_eq!(record(&audit, 0), Ok(1));
        desk.files.fail_after(calls);
        // In a file of its own, and in the same one.
        let mut told = vec![1];
        let mut failed = false;
        for day in [40, 40, 80, 80] {
            let ready = audit.wait(Job::Ready);
            let recorded = record(&audit, day);
            failed |= ready.is_err() || recorded.is_err();
            told.extend(recorded.ok());
        }
        assert_eq!(failed, desk.files.has_failed(), "{calls}");
        let is_final = audit.log().fault().is_some();
        assert_eq!(record(&audit, 80).is_err(), is_final, "{calls}");
        audit.close();
        let state = desk.state();
        assert_eq!(state.broken, None, "{calls}");
        let read = all(&desk.open());
        assert!(
            told.iter().all(|number| read.contains(number)),
            "{calls}: {read:?}"
        );
    }
}

#[test]
fn after_a_sync_that_failed_nothing_is_kept_and_actions_are_refused() {
    let desk = Desk::new();
    let audit = desk.open();
    assert_eq!(record(&audit, 0), Ok(1));
    // The write goes, the sync does not.
    desk.files.fail_after(1);
    let why = record(&audit, 0).expect_err("it failed");
    assert!(why.0.contains("restarted"), "{why:?}");
    assert!(desk.files.has_failed());
    assert!(record(&audit, 0).is_err() && audit.wait(Job::Ready).is_err());
    audit.close();
    assert_eq!(desk.state().last, 1);
}
