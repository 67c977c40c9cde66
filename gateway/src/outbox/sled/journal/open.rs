//! Opening: the segments that should be there and those that are, and the newest one read.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use super::error::{JournalError, Tried};
use super::files::Files;
use super::mark;
use super::reader;
use super::recovery::{Cut, Recovery};
use super::writer::{Journal, NEW, Options, Written, create};
use super::{naming, segment};
use crate::outbox::sled::codec::{Codec, Opening, SegmentFacts, Standing, StoreId};
use crate::seal::Keyring;

/// What opening found.
pub struct Recovered {
    /// Whether there was none and it was made.
    pub created: bool,
    /// Small things as they stood when the newest segment was opened: what that segment says of
    /// them since counts more.
    pub standing: Standing,
    /// Number of the newest segment that was read, which may be closed.
    pub newest: u32,
    /// Sequence number of the last frame.
    pub last_sequence: u64,
    /// Whether the newest segment is closed: no other one followed it yet.
    pub closed: bool,
    /// What was cut off.
    pub cut: Option<Cut>,
    /// Segments whose removal had been begun, and is done now.
    pub removed: Vec<u32>,
}

impl Journal {
    /// Opens the journal in `folder`, or makes one if there is no segment in it; `fresh` gives
    /// what stands in a new one. Reads the newest segment, and of the others only their
    /// beginnings.
    pub fn open(
        files: Arc<dyn Files>,
        folder: &Path,
        keyring: Keyring,
        options: Options,
        fresh: impl FnOnce() -> Standing,
    ) -> Result<(Self, Recovered), JournalError> {
        files.make_folder(folder).tried("make", folder)?;
        let mut found = BTreeSet::new();
        for name in files.list(folder).tried("read", folder)? {
            if let Some(number) = naming::number_of(&name) {
                found.insert(number);
            } else if name.ends_with(NEW) {
                let path = folder.join(name);
                files.remove(&path).tried("remove", &path)?;
            }
        }
        match found.pop_last() {
            Some(newest) => Self::reopen(files, folder, keyring, options, newest, found),
            None => Self::make(files, folder, keyring, options, fresh()),
        }
    }

    fn make(
        files: Arc<dyn Files>,
        folder: &Path,
        keyring: Keyring,
        options: Options,
        standing: Standing,
    ) -> Result<(Self, Recovered), JournalError> {
        let codec = Arc::new(Codec::new(keyring, StoreId::generate()));
        let opening = Opening {
            store: codec.store(),
            manifest: Vec::new(),
            gone: Vec::new(),
            standing: standing.clone(),
        };
        let written = create(&*files, folder, options, &codec, (1, 1), opening)?;
        let recovered = Recovered {
            created: true,
            standing,
            newest: 1,
            last_sequence: 1,
            closed: false,
            cut: None,
            removed: Vec::new(),
        };
        let closed = BTreeMap::new();
        let journal = Self::of(files, folder, options, codec, written, closed, u64::MAX)?;
        Ok((journal, recovered))
    }

    fn reopen(
        files: Arc<dyn Files>,
        folder: &Path,
        keyring: Keyring,
        options: Options,
        newest: u32,
        mut others: BTreeSet<u32>,
    ) -> Result<(Self, Recovered), JournalError> {
        let path = segment::path(folder, newest);
        let file = files.open(&path, true).tried("open", &path)?;
        let header = reader::header(&*file, &path)?;
        let said = mark::read(&*files, folder, header.store)?;
        let read = Recovery::of(&file, &header, keyring, &path, said.synced)?;
        let mut closed: BTreeMap<u32, SegmentFacts> = read
            .opening
            .manifest
            .iter()
            .map(|facts| (facts.number, *facts))
            .collect();
        let mut removed = Vec::new();
        for number in read.gone.iter().chain(&read.opening.gone) {
            closed.remove(number);
            if others.remove(number) {
                let path = segment::path(folder, *number);
                files.remove(&path).tried("remove", &path)?;
                removed.push(*number);
            }
        }
        if let Some(stray) = others.iter().find(|number| !closed.contains_key(number)) {
            return Err(stray_or_worse(&*files, &segment::path(folder, *stray)));
        }
        for facts in closed.values() {
            there(&*files, folder, facts, read.codec.store())?;
        }
        files.sync_folder(folder).tried("write to", folder)?;
        let recovered = Recovered {
            created: false,
            standing: read.opening.standing,
            newest,
            last_sequence: read.last,
            closed: read.closed,
            cut: read.cut,
            removed,
        };
        let length = file.length().tried("read", &path)?;
        let written = Written {
            file,
            facts: SegmentFacts {
                number: newest,
                first: header.first,
                last: read.last,
                bytes: read.end,
            },
            allocated: length,
            watermarked: read.watermarked,
        };
        let mut journal = Self::of(
            files,
            folder,
            options,
            Arc::new(read.codec),
            written,
            closed,
            said.bound.min(read.last),
        )?;
        (journal.closed, journal.told) = (read.closed, read.told);
        Ok((journal, recovered))
    }
}

/// That a closed segment is at its place, as far as its beginning and its length tell.
fn there(
    files: &dyn Files,
    folder: &Path,
    facts: &SegmentFacts,
    store: StoreId,
) -> Result<(), JournalError> {
    let path = segment::path(folder, facts.number);
    if files.identity(&path).tried("find", &path)?.is_none() {
        return Err(JournalError::Missing {
            path,
            facts: *facts,
        });
    }
    let file = files.open(&path, false).tried("open", &path)?;
    let header = reader::header(&*file, &path)?;
    if header.store != store || header.first != facts.first {
        return Err(JournalError::Stray { path });
    }
    let length = file.length().tried("read", &path)?;
    if length != facts.bytes {
        let at = length.min(facts.bytes);
        return Err(JournalError::damaged(facts.number, at, None));
    }
    Ok(())
}

/// What is wrong with a file that has a segment's name and should not be there.
fn stray_or_worse(files: &dyn Files, path: &Path) -> JournalError {
    let file = files.open(path, false).tried("open", path);
    let stray = JournalError::Stray {
        path: path.to_owned(),
    };
    match file.and_then(|file| reader::header(&*file, path)) {
        Ok(_) | Err(JournalError::Damaged(_)) => stray,
        Err(other) => other,
    }
}
