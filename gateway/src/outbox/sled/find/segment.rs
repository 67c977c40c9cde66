//! One segment as it is searched: by a table while it is open or its file is not yet there, by
//! its file, or by what its records say.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use parking_lot::Mutex;
use uuid::Uuid;

use super::file::{FindFile, sync_folder, temporary};
use super::table::Table;
use super::{Tags, binding};
use crate::outbox::state::Tag;

/// What a segment is searched by.
///
/// | from | by | to |
/// |---|---|---|
/// | `Open` | `close` | `Waiting`, or `Unmade` if too many wait |
/// | `Waiting` | its file was written | `Filed` |
/// | `Filed` | its file is missing or damaged | `Unmade` |
/// | `Unmade` | a look-up, or the writer, wrote its file | `Filed` |
/// | any | `remove` | `Gone` |
enum State {
    /// It still grows.
    Open(Table),
    /// It is closed; its file is to be written.
    Waiting(Arc<Table>),
    Filed(Arc<FindFile>),
    /// Only the segment itself is there.
    Unmade,
    /// The segment is not there any more.
    Gone,
}

/// What a step towards a file came to.
pub(super) enum Made {
    /// There is a file; its fingerprints, if they were not known before.
    Filed(Vec<u32>),
    /// It cannot be written: what the disk said, and what would be in it.
    Failed(io::Error, Vec<u32>, Arc<Table>),
    /// There was nothing to do.
    Already,
}

pub(super) struct Segment {
    pub(super) number: u32,
    /// Of its find file.
    path: PathBuf,
    state: Mutex<State>,
    /// Held while its file is being made, so that it is made once, and not when it is gone.
    making: Mutex<()>,
    /// Whether it was said that its file cannot be made.
    pub(super) failed: AtomicBool,
}

impl Segment {
    pub(super) fn open(number: u32, path: PathBuf) -> Self {
        Self::new(number, path, State::Open(Table::default()))
    }

    /// A closed one, with its fingerprints if its file is whole.
    pub(super) fn closed(number: u32, path: PathBuf) -> (Self, io::Result<Vec<u32>>) {
        let file = binding::of(&path.with_extension("seg"))
            .and_then(|binding| FindFile::open(&path, number, Some(binding)));
        match file {
            Ok((file, fingerprints)) => {
                let state = State::Filed(Arc::new(file));
                (Self::new(number, path, state), Ok(fingerprints))
            }
            Err(error) => (Self::new(number, path, State::Unmade), Err(error)),
        }
    }

    fn new(number: u32, path: PathBuf, state: State) -> Self {
        Self {
            number,
            path,
            state: Mutex::new(state),
            making: Mutex::default(),
            failed: AtomicBool::default(),
        }
    }

    pub(super) fn add(&self, entries: &[(Tag, Uuid)]) {
        if let State::Open(table) = &mut *self.state.lock() {
            table.add(entries);
        }
    }

    /// No more is added. Its table is given if it was open, and stays if there is `room`.
    pub(super) fn close(&self, room: bool) -> Option<Arc<Table>> {
        let mut state = self.state.lock();
        let State::Open(table) = &mut *state else {
            return None;
        };
        let table = Arc::new(std::mem::take(table));
        *state = if room {
            State::Waiting(Arc::clone(&table))
        } else {
            State::Unmade
        };
        Some(table)
    }

    /// All ids of a tag, newest first; `None` if it must be made first.
    pub(super) fn find(&self, tag: &Tag) -> Option<Vec<Uuid>> {
        let file = match &*self.state.lock() {
            State::Open(table) => return Some(table.find(tag)),
            State::Waiting(table) => return Some(table.find(tag)),
            State::Gone => return Some(Vec::new()),
            State::Unmade => return None,
            State::Filed(file) => Arc::clone(file),
        };
        match file.find(tag) {
            Ok(found) => Some(found),
            Err(error) => {
                let mut state = self.state.lock();
                // Somebody else may have made a new one meanwhile.
                if matches!(&*state, State::Filed(now) if Arc::ptr_eq(now, &file)) {
                    said(self.number, &error);
                    *state = State::Unmade;
                }
                None
            }
        }
    }

    /// Makes the file of a closed segment, of its table or else of its records.
    pub(super) fn make(&self, tags: &Tags) -> io::Result<Made> {
        let _making = self.making.lock();
        let table = match &*self.state.lock() {
            State::Open(_) | State::Filed(_) | State::Gone => return Ok(Made::Already),
            State::Waiting(table) => Some(Arc::clone(table)),
            State::Unmade => None,
        };
        let table = match table {
            Some(table) => table,
            None => match tags(self.number) {
                Ok(tags) => Arc::new(Table::of(&tags)),
                Err(error) => return self.keep(error),
            },
        };
        let sorted = table.sorted();
        let written = binding::of(&self.path.with_extension("seg"))
            .and_then(|binding| FindFile::write(&self.path, self.number, binding, &sorted));
        Ok(match written {
            Ok((file, fingerprints)) => {
                *self.state.lock() = State::Filed(Arc::new(file));
                Made::Filed(fingerprints)
            }
            Err(error) => Made::Failed(error, super::file::fingerprints(&sorted), table),
        })
    }

    /// The segment cannot be read: its file is taken as it is, if it is whole in itself, so that
    /// damage to one segment does not keep others from being told from what is in it.
    fn keep(&self, error: io::Error) -> io::Result<Made> {
        let Ok((file, fingerprints)) = FindFile::open(&self.path, self.number, None) else {
            return Err(error);
        };
        tracing::error!(
            segment = self.number,
            %error,
            "a segment cannot be read; its find file is taken as it is"
        );
        *self.state.lock() = State::Filed(Arc::new(file));
        Ok(Made::Filed(fingerprints))
    }

    /// Removes the file; nothing makes it again. When it returns the name is off the disk.
    pub(super) fn remove(&self) -> io::Result<()> {
        let _making = self.making.lock();
        *self.state.lock() = State::Gone;
        remove(&self.path)
    }

    /// Whether a table waits for its file.
    pub(super) fn waits(&self) -> bool {
        matches!(&*self.state.lock(), State::Waiting(_))
    }

    /// Whether its file is to be made.
    pub(super) fn lacks_file(&self) -> bool {
        matches!(&*self.state.lock(), State::Waiting(_) | State::Unmade)
    }
}

/// Removes a find file and what was begun of it, if they are there.
pub(super) fn remove(path: &std::path::Path) -> io::Result<()> {
    for path in [&temporary(path), path] {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    sync_folder(path)
}

/// Says that a file is of no use, in words that name no person.
pub(super) fn said(segment: u32, error: &io::Error) {
    if error.kind() == io::ErrorKind::NotFound {
        tracing::info!(segment, "find file was missing and is made anew");
    } else {
        tracing::warn!(segment, %error, "find file was of no use and is made anew");
    }
}
