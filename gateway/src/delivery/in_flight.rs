//! In flight: a note of each attempt that runs in this process, in a file that outlives it.
//!
//! A fault that ends the process leaves the notes behind, and the next start reads who was at
//! work. They go no further than the system's cache: that outlives the process, and what does
//! not outlive the machine was no fault of a plugin.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use uuid::Uuid;

use crate::clock::Millis;
use crate::outbox::DeliveryId;

/// Attempts that are noted at once, at most; further ones are not.
const SLOTS: usize = 1024;
/// Bytes of a note.
const SLOT: usize = 256;
/// Longest name of a sink in a note, in bytes; a longer one is cut.
const NAME: usize = 200;
/// Name of the file in the outbox's folder.
const FILE: &str = "in-flight";
/// Changes when the machine starts.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// The file with the notes.
pub struct InFlight {
    file: File,
    free: Mutex<Vec<usize>>,
}

/// An attempt that was running when a process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// Its sink.
    pub sink: String,
    /// What it was to deliver.
    pub delivery: DeliveryId,
    /// When it began.
    pub started_at: Millis,
    /// Whether the code was a library's.
    pub library: bool,
}

/// Notes the attempts of one sink.
#[derive(Clone)]
pub struct Notes {
    file: Arc<InFlight>,
    library: bool,
}

/// An attempt that is noted for as long as this lives.
pub(super) struct Noted {
    file: Arc<InFlight>,
    slot: Option<usize>,
}

impl InFlight {
    /// Opens the file in `folder`, which only this process may have, and gives what the last
    /// one left in it; nothing if the machine was started since.
    pub fn open(folder: &Path) -> io::Result<(Arc<Self>, Vec<Left>)> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(folder.join(FILE))?;
        let boot = std::fs::read(BOOT_ID).unwrap_or_default();
        let boot = &boot[..boot.len().min(SLOT)];
        let mut bytes = vec![0; SLOT * (SLOTS + 1)];
        let read = read_some(&file, &mut bytes)?;
        let same = read >= SLOT && bytes[..boot.len()] == *boot && bytes[boot.len()] == 0;
        let left = if same {
            bytes[SLOT..].chunks(SLOT).filter_map(decode).collect()
        } else {
            Vec::new()
        };
        // Written in full, so that a full disk is found now and never by an attempt.
        bytes.fill(0);
        bytes[..boot.len()].copy_from_slice(boot);
        file.write_all_at(&bytes, 0)?;
        let this = Self {
            file,
            free: Mutex::new((0..SLOTS).rev().collect()),
        };
        Ok((Arc::new(this), left))
    }

    /// Nobody is named for what runs now: the process is ended on purpose.
    pub fn forget(&self) {
        let _ = self.file.write_all_at(&vec![0; SLOT * (SLOTS + 1)], 0);
    }

    /// For a sink whose code is a `library`, or linked in.
    pub fn notes(self: &Arc<Self>, library: bool) -> Notes {
        Notes {
            file: Arc::clone(self),
            library,
        }
    }

    fn free(&self) -> std::sync::MutexGuard<'_, Vec<usize>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, slot: usize, bytes: &[u8]) {
        let at = SLOT * (slot + 1);
        // A note that could not be written names nobody; the attempt is worth more.
        let _ = self.file.write_all_at(bytes, at as u64);
    }
}

impl Notes {
    pub(super) fn note(&self, sink: &str, delivery: DeliveryId, started_at: Millis) -> Noted {
        let slot = self.file.free().pop();
        if let Some(slot) = slot {
            let note = encode(sink, delivery, started_at, self.library);
            self.file.write(slot, &note);
        }
        Noted {
            file: Arc::clone(&self.file),
            slot,
        }
    }
}

impl Drop for Noted {
    fn drop(&mut self) {
        if let Some(slot) = self.slot {
            self.file.write(slot, &[0]);
            self.file.free().push(slot);
        }
    }
}

/// Length of the name, name, delivery, time, and 1 for a library.
fn encode(sink: &str, delivery: DeliveryId, started_at: Millis, library: bool) -> Vec<u8> {
    let name = &sink.as_bytes()[..sink.floor_char_boundary(NAME)];
    let mut note = vec![u8::try_from(name.len()).unwrap_or(u8::MAX)];
    note.extend_from_slice(name);
    note.extend_from_slice(delivery.0.as_bytes());
    note.extend_from_slice(&started_at.to_be_bytes());
    note.push(u8::from(library));
    note
}

fn decode(slot: &[u8]) -> Option<Left> {
    let (length, rest) = slot.split_first()?;
    let (name, rest) = rest.split_at_checked(usize::from(*length))?;
    let (delivery, rest) = rest.split_first_chunk::<16>()?;
    let (started_at, rest) = rest.split_first_chunk::<8>()?;
    (!name.is_empty()).then(|| Left {
        sink: String::from_utf8_lossy(name).into_owned(),
        delivery: DeliveryId(Uuid::from_bytes(*delivery)),
        started_at: Millis::from_be_bytes(*started_at),
        library: rest.first() == Some(&1),
    })
}

/// As much as there is, up to the length of `into`.
fn read_some(file: &File, into: &mut [u8]) -> io::Result<usize> {
    let mut read = 0;
    while read < into.len() {
        match file.read_at(&mut into[read..], read as u64) {
            Ok(0) => break,
            Ok(some) => read += some,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u128) -> DeliveryId {
        DeliveryId(Uuid::from_u128(number))
    }

    #[test]
    fn what_was_running_is_left_and_what_ended_is_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let (file, left) = InFlight::open(folder.path()).expect("opened");
        assert_eq!(left, []);
        let (linked, library) = (file.notes(false), file.notes(true));
        let ended = linked.note("crm", id(1), 10);
        let running = library.note("erp", id(2), 20);
        drop(ended);
        let again = linked.note("mail", id(3), 30);
        // As a crash does: nothing is dropped.
        std::mem::forget((running, again));
        let (_, mut left) = InFlight::open(folder.path()).expect("opened");
        left.sort_by_key(|one| one.started_at);
        let left: Vec<_> = left
            .iter()
            .map(|one| (one.sink.as_str(), one.delivery, one.library))
            .collect();
        assert_eq!(left, [("erp", id(2), true), ("mail", id(3), false)]);
        let (_, left) = InFlight::open(folder.path()).expect("opened");
        assert_eq!(left, [], "said once");
    }

    #[test]
    fn a_start_of_the_machine_and_a_damaged_file_leave_nobody() {
        let folder = tempfile::tempdir().expect("a folder");
        let (file, _) = InFlight::open(folder.path()).expect("opened");
        std::mem::forget(file.notes(true).note("erp", id(2), 20));
        let path = folder.path().join(FILE);
        let mut bytes = std::fs::read(&path).expect("there");
        bytes[0] ^= 1;
        std::fs::write(&path, bytes).expect("written");
        let (_, left) = InFlight::open(folder.path()).expect("opened");
        assert_eq!(left, [], "another boot id");
        std::fs::write(&path, b"short").expect("written");
        let (_, left) = InFlight::open(folder.path()).expect("opened");
        assert_eq!(left, []);
    }

    #[test]
    fn more_attempts_than_slots_are_made_all_the_same() {
        let folder = tempfile::tempdir().expect("a folder");
        let (file, _) = InFlight::open(folder.path()).expect("opened");
        let notes = file.notes(false);
        let long = "名".repeat(200);
        let many: Vec<_> = (0..=SLOTS as u128)
            .map(|number| notes.note(&long, id(number), 0))
            .collect();
        assert_eq!(many.iter().filter(|one| one.slot.is_none()).count(), 1);
        drop(many);
        assert_eq!(file.free().len(), SLOTS);
    }
}
