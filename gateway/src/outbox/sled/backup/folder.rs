//! Backups in a folder: each segment a file of its own, so that the next backup brings only
//! what is new. The audit log is small, and brought whole.
//!
//! `backup` says which files make the store: a stream of a backup that holds nothing but its
//! end. It is replaced when all that it tells of is on disk, and only then what it does not
//! tell of any more is removed. So a backup that is cut short leaves the one before.

use std::collections::{BTreeMap, btree_map};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crc32fast::Hasher;

use super::stream::{self, CHUNK, End, Part, Writer};
use crate::outbox::sled::codec::StoreId;
use crate::outbox::sled::lock::Lock;
use crate::outbox::{AuditCopy, SegmentCopy, UpkeepError};

/// Says which files make the store.
const LIST: &str = "backup";
/// What a file is called, behind its name, while it is made.
const PART: &str = ".part";
const SEGMENT: &str = ".seg";
const AUDIT: &str = ".audit";
const LOCK: &str = "lock";

/// A folder that holds a backup, or is to hold one.
pub struct BackupFolder {
    path: PathBuf,
    before: Option<(StoreId, End)>,
    _lock: Lock,
}

/// What became of a backup in a folder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Taken {
    /// Segments that are new.
    pub copied: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Segments that were there already.
    pub kept: u64,
    /// Files that were removed: they are not of the outbox any more.
    pub removed: u64,
}

impl BackupFolder {
    /// Whether a path is meant to be a folder: one is there, or it ends like one.
    pub fn is_meant(path: &Path) -> bool {
        path.is_dir() || path.as_os_str().as_encoded_bytes().ends_with(b"/")
    }

    /// Opens the folder, or makes it. One that holds anything else is refused.
    pub fn open(path: &Path) -> Result<Self, UpkeepError> {
        make(path)?;
        let listed = path.join(LIST).exists();
        if !listed && names(path)?.iter().any(|name| !is_ours(name)) {
            return Err(UpkeepError::Invalid(format!(
                "{} is not empty and holds no backup; name another folder",
                path.display()
            )));
        }
        let lock = Lock::take(path)?.ok_or(UpkeepError::Busy)?;
        Ok(Self {
            path: path.to_owned(),
            before: listed.then(|| list(path)).transpose()?,
            _lock: lock,
        })
    }

    /// What need not be copied again.
    pub fn have(&self) -> Vec<SegmentCopy> {
        let before = self.before.iter();
        let segments = before.flat_map(|(_, end)| &end.summary.segments);
        let there = |one: &&SegmentCopy| {
            let facts = std::fs::metadata(self.path.join(name(one)));
            facts.is_ok_and(|facts| facts.len() == one.bytes)
        };
        segments.filter(there).copied().collect()
    }

    /// Takes a backup that leaves out what is there. When this returns, the backup is whole and
    /// on disk; if it fails, the one before is.
    pub fn take(&mut self, from: impl Read) -> Result<Taken, UpkeepError> {
        let have = self.have();
        let mut store = None;
        // By the number of a segment, or of the first entry of a file of the audit log.
        let mut parts = BTreeMap::<(bool, u64), Incoming>::new();
        let read = stream::read(from, &mut |part| {
            let (key, bytes) = match part {
                Part::Store(id) => {
                    if self
                        .before
                        .as_ref()
                        .is_some_and(|(before, _)| *before != id)
                    {
                        return Err(UpkeepError::Invalid(format!(
                            "{} is the backup of another outbox; name another folder",
                            self.path.display()
                        )));
                    }
                    store = Some(id);
                    return Ok(());
                }
                Part::Bytes(number, bytes) => ((false, u64::from(number)), bytes),
                Part::Audit(first, bytes) => ((true, first), bytes),
            };
            let incoming = match parts.entry(key) {
                btree_map::Entry::Occupied(there) => there.into_mut(),
                btree_map::Entry::Vacant(free) => {
                    free.insert(Incoming::make(&self.path, &part_name(key))?)
                }
            };
            Ok(incoming.file.write_all(bytes)?)
        });
        let (end, missing) = read?;
        let mut taken = Taken::default();
        for segment in &end.summary.segments {
            if let Some(part) = parts.remove(&(false, u64::from(segment.number))) {
                part.keep((segment.bytes, segment.crc), &name(segment))?;
                taken.copied += 1;
                taken.bytes += segment.bytes;
            } else if missing.segments.contains(segment) && have.contains(segment) {
                taken.kept += 1;
            } else {
                return Err(stream::damaged());
            }
        }
        for copy in &end.audit {
            let part = parts
                .remove(&(true, copy.first))
                .ok_or_else(stream::damaged)?;
            part.keep((copy.bytes, copy.crc), &audit_name(copy))?;
        }
        // Of what left the store meanwhile.
        drop(parts);
        File::open(&self.path)?.sync_all()?;
        let store = store.ok_or_else(stream::damaged)?;
        let new = Incoming::make(&self.path, LIST)?;
        Writer::begin(&new.file, store)?.end(&end)?;
        new.file.sync_all()?;
        new.name(LIST)?;
        File::open(&self.path)?.sync_all()?;
        taken.removed = self.tidy(&end)?;
        self.before = Some((store, end));
        Ok(taken)
    }

    /// Removes files that are of no use any more.
    fn tidy(&self, end: &End) -> io::Result<u64> {
        let segments = end.summary.segments.iter().map(name);
        let told: Vec<String> = segments.chain(end.audit.iter().map(audit_name)).collect();
        let mut removed = 0;
        for name in names(&self.path)? {
            let kept = name == LIST || name == LOCK || told.contains(&name);
            if is_ours(&name) && !kept {
                std::fs::remove_file(self.path.join(&name))?;
                removed += u64::from(name.ends_with(SEGMENT));
            }
        }
        File::open(&self.path)?.sync_all()?;
        Ok(removed)
    }
}

/// Makes a folder that only its owner can look into, and its name durable.
fn make(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let path = std::path::absolute(path)?;
    let parent = path.parent().unwrap_or(&path);
    make(parent)?;
    match std::fs::DirBuilder::new().mode(0o700).create(&path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
        Ok(()) => File::open(parent)?.sync_all(),
    }
}

/// A file on its way.
struct Incoming {
    path: PathBuf,
    file: File,
}

impl Incoming {
    fn make(folder: &Path, name: &str) -> io::Result<Self> {
        let path = folder.join(format!("{name}{PART}"));
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let file = options.open(&path)?;
        Ok(Self { path, file })
    }

    /// Gives it its name, if it is what was told: so many bytes with that checksum.
    fn keep(self, told: (u64, u32), name: &str) -> Result<(), UpkeepError> {
        self.file.sync_all()?;
        // Read once more: a backup that cannot be read is none.
        if sum(&self.path)? != told {
            return Err(stream::damaged());
        }
        Ok(self.name(name)?)
    }

    fn name(self, name: &str) -> io::Result<()> {
        std::fs::rename(&self.path, self.path.with_file_name(name))
    }
}

/// Which files make the store, by the folder's own list.
pub(in crate::outbox::sled) fn list(folder: &Path) -> Result<(StoreId, End), UpkeepError> {
    let mut store = None;
    let (end, _) = stream::read_file(&folder.join(LIST), &mut |part| {
        if let Part::Store(id) = part {
            store = Some(id);
        }
        Ok(())
    })?;
    Ok((store.ok_or_else(stream::damaged)?, end))
}

/// Gives the bytes of a segment of a backup in a folder to `each`; an error at the end if they
/// are not what they were.
pub(in crate::outbox::sled) fn segment(
    folder: &Path,
    segment: &SegmentCopy,
    each: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> Result<(), UpkeepError> {
    checked(
        &folder.join(name(segment)),
        (segment.bytes, segment.crc),
        each,
    )
}

/// The same of a file of the audit log.
pub(in crate::outbox::sled) fn audit(
    folder: &Path,
    copy: &AuditCopy,
    each: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> Result<(), UpkeepError> {
    checked(&folder.join(audit_name(copy)), (copy.bytes, copy.crc), each)
}

fn checked(
    path: &Path,
    told: (u64, u32),
    each: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> Result<(), UpkeepError> {
    let found = read(path, each).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => UpkeepError::Invalid(format!(
            "the backup is damaged: {} is missing; make a new one",
            path.display()
        )),
        _ => UpkeepError::File(error),
    })?;
    if found != told {
        return Err(UpkeepError::Invalid(format!(
            "the backup is damaged: the checksum of {} does not fit; make a new one",
            path.display()
        )));
    }
    Ok(())
}

/// Length and checksum of a file.
fn sum(path: &Path) -> io::Result<(u64, u32)> {
    read(path, &mut |_| Ok(()))
}

fn read(path: &Path, each: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<(u64, u32)> {
    let mut file = File::open(path)?;
    let (mut length, mut sum, mut buffer) = (0, Hasher::new(), vec![0; CHUNK]);
    loop {
        let some = match file.read(&mut buffer) {
            Ok(0) => return Ok((length, sum.finalize())),
            Ok(some) => &buffer[..some],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        sum.update(some);
        each(some)?;
        length += some.len() as u64;
    }
}

/// What a segment's file is called: never the same for other bytes, so that no file is
/// overwritten that the list still tells of.
fn name(segment: &SegmentCopy) -> String {
    let SegmentCopy { number, bytes, crc } = segment;
    format!("{number:08}-{bytes}-{crc:08x}{SEGMENT}")
}

fn audit_name(copy: &AuditCopy) -> String {
    let AuditCopy { first, bytes, crc } = copy;
    format!("{first:012}-{bytes}-{crc:08x}{AUDIT}")
}

/// What a file is called, before its end, while it is made.
fn part_name((is_audit, number): (bool, u64)) -> String {
    if is_audit {
        format!("{number:012}{AUDIT}")
    } else {
        format!("{number:08}")
    }
}

fn names(folder: &Path) -> io::Result<Vec<String>> {
    let entries = std::fs::read_dir(folder)?;
    entries
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect()
}

/// Whether a backup makes files of that name.
fn is_ours(name: &str) -> bool {
    let number = |text: &str| text.len() >= 8 && text.bytes().all(|byte| byte.is_ascii_digit());
    if [LIST, LOCK].contains(&name) || name.strip_suffix(PART) == Some(LIST) {
        return true;
    }
    if let Some(part) = name.strip_suffix(PART) {
        return number(part.strip_suffix(AUDIT).unwrap_or(part));
    }
    let copy = name
        .strip_suffix(SEGMENT)
        .or_else(|| name.strip_suffix(AUDIT));
    let Some(segment) = copy else {
        return false;
    };
    let fields: Vec<&str> = segment.split('-').collect();
    matches!(fields[..], [one, bytes, crc]
        if number(one) && bytes.parse::<u64>().is_ok() && u32::from_str_radix(crc, 16).is_ok())
}
