//! One segment as it is searched: by a table while it is open or its file is not yet there, by
//! its file, or by what its records say.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

use super::file::{FindFile, sync_folder, temporary};
use super::table::Table;
use super::{Tags, binding};
use crate::outbox::state::Tag;

/// What a segment is searched by.
///
/// | from | by | to |
/// |---|---|---|
/// | `Open` | `close` | `Waiting` |
/// | `Waiting` | its file was written | `Filed` |
/// | `Waiting` | its file cannot be written and too many wait | `Unmade` |
/// | `Filed` | its file is missing or damaged | `Unmade` |
/// | `Unmade` | a look-up, or the writer | `Filed`, or `Waiting` if it cannot be written |
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
    /// It cannot be written: what the disk said. The table stays if there was room for it.
    Failed(io::Error, Vec<u32>),
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
}

impl Segment {
    pub(super) fn open(number: u32, path: PathBuf) -> Self {
        Self::new(number, path, State::Open(Table::new()))
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
            making: Mutex::new(()),
        }
    }

    pub(super) fn add(&self, entries: &[(Tag, Uuid)]) {
        if let State::Open(table) = &mut *lock(&self.state) {
            entries.iter().for_each(|(tag, id)| table.add(tag, *id));
        }
    }

    /// No more is added. `true` if it was open.
    pub(super) fn close(&self) -> bool {
        let mut state = lock(&self.state);
        match std::mem::replace(&mut *state, State::Unmade) {
            State::Open(table) => {
                *state = State::Waiting(Arc::new(table));
                true
            }
            other => {
                *state = other;
                false
            }
        }
    }

    /// All ids of a tag, newest first; `None` if it must be made first.
    pub(super) fn find(&self, tag: &Tag) -> Option<Vec<Uuid>> {
        let (table, file) = match &*lock(&self.state) {
            State::Open(table) => return Some(table.find(tag)),
            State::Gone => return Some(Vec::new()),
            State::Unmade => return None,
            State::Waiting(table) => (Some(Arc::clone(table)), None),
            State::Filed(file) => (None, Some(Arc::clone(file))),
        };
        if let Some(table) = table {
            return Some(table.find(tag));
        }
        let file = file?;
        match file.find(tag) {
            Ok(found) => Some(found),
            Err(error) => {
                let mut state = lock(&self.state);
                // Somebody else may have made a new one meanwhile.
                if matches!(&*state, State::Filed(now) if Arc::ptr_eq(now, &file)) {
                    said(self.number, &error);
                    *state = State::Unmade;
                }
                None
            }
        }
    }

    /// Makes the file of a closed segment, of its table or else of its records. If the file
    /// cannot be written the table is kept only where `room` says so.
    pub(super) fn make(&self, tags: &Tags, room: impl FnOnce() -> bool) -> io::Result<Made> {
        let _making = lock(&self.making);
        let table = match &*lock(&self.state) {
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
        let (state, made) = match written {
            Ok((file, fingerprints)) => (State::Filed(Arc::new(file)), Made::Filed(fingerprints)),
            Err(error) => {
                // It may have been unloaded meanwhile, because there was no room.
                let state = if self.waits() || room() {
                    State::Waiting(table)
                } else {
                    State::Unmade
                };
                (
                    state,
                    Made::Failed(error, super::file::fingerprints(&sorted)),
                )
            }
        };
        *lock(&self.state) = state;
        Ok(made)
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
        *lock(&self.state) = State::Filed(Arc::new(file));
        Ok(Made::Filed(fingerprints))
    }

    /// Drops the table of a segment whose file cannot be written: its records can be read.
    pub(super) fn unload(&self) {
        let _making = lock(&self.making);
        let mut state = lock(&self.state);
        if matches!(&*state, State::Waiting(_)) {
            *state = State::Unmade;
        }
    }

    /// Removes the file; nothing makes it again. When it returns the name is off the disk.
    pub(super) fn remove(&self) -> io::Result<()> {
        let _making = lock(&self.making);
        *lock(&self.state) = State::Gone;
        remove(&self.path)
    }

    /// Whether a table waits for its file.
    pub(super) fn waits(&self) -> bool {
        matches!(&*lock(&self.state), State::Waiting(_))
    }

    /// Bytes of its table, if it has one.
    pub(super) fn memory(&self) -> usize {
        match &*lock(&self.state) {
            State::Open(table) => table.memory(),
            State::Waiting(table) => table.memory(),
            _ => 0,
        }
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

fn lock<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}
