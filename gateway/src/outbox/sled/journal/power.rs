//! Power cuts: files in memory that forget what was not synced, as a disk does, and that fail
//! when they are told to.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::files::{Files, Identity, OpenFile};

/// What a disk writes whole or not at all, in bytes: small, so that frames are torn.
const SECTOR: usize = 64;

/// Files in memory.
#[derive(Clone, Default)]
pub(crate) struct PowerCut(Arc<Mutex<World>>);

#[derive(Clone, Default)]
struct World {
    inodes: Vec<Inode>,
    /// As the process sees them.
    names: BTreeMap<PathBuf, usize>,
    /// As they are on disk.
    durable: BTreeMap<PathBuf, usize>,
    /// What was done to names and is not on disk.
    pending: Vec<Name>,
    /// Calls that change something, until one fails.
    until_failure: Option<u64>,
}

#[derive(Clone, Default)]
struct Inode {
    now: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Change>,
}

#[derive(Clone)]
enum Change {
    Write(usize, Vec<u8>),
    Length(usize),
}

#[derive(Clone)]
enum Name {
    Is(PathBuf, usize),
    Gone(PathBuf),
    Moved(PathBuf, PathBuf, usize),
}

impl PowerCut {
    /// What is on disk after the power was cut now: of what was not synced, some.
    pub(crate) fn cut(&self, seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        // Sometimes nothing is kept, sometimes all, most often a part.
        let kept = [0.0, 0.3, 0.7, 0.95, 1.0][random.usize(..5)];
        let mut keep = || random.f64() < kept;
        let mut world = self.world().clone();
        for inode in &mut world.inodes {
            for change in std::mem::take(&mut inode.pending) {
                match change {
                    Change::Length(length) if keep() => inode.durable.resize(length, 0),
                    Change::Length(_) => {}
                    Change::Write(offset, bytes) => {
                        let mut at = 0;
                        while at < bytes.len() {
                            let until = (offset + at + 1).next_multiple_of(SECTOR) - offset;
                            let until = until.min(bytes.len());
                            if keep() {
                                write(&mut inode.durable, offset + at, &bytes[at..until]);
                            }
                            at = until;
                        }
                    }
                }
            }
            inode.now.clone_from(&inode.durable);
        }
        for name in std::mem::take(&mut world.pending) {
            if keep() {
                name.apply(&mut world.durable);
            }
        }
        world.names.clone_from(&world.durable);
        world.until_failure = None;
        Self(Arc::new(Mutex::new(world)))
    }

    /// The same files for another process, after this one was killed.
    pub(crate) fn copy(&self) -> Self {
        Self(Arc::new(Mutex::new(self.world().clone())))
    }

    /// Lets a call fail that changes something: after so many others that do not.
    pub(crate) fn fail_after(&self, calls: u64) {
        self.world().until_failure = Some(calls);
    }

    /// Whether the failure came.
    pub(crate) fn has_failed(&self) -> bool {
        self.world().until_failure.is_none()
    }

    /// A file's bytes.
    pub(crate) fn bytes(&self, path: &Path) -> Vec<u8> {
        let world = self.world();
        world.inodes[world.names[path]].now.clone()
    }

    /// Puts other bytes into a file, on disk.
    pub(crate) fn put(&self, path: &Path, bytes: Vec<u8>) {
        let mut world = self.world();
        let inode = world.names.get(path).copied().unwrap_or_else(|| {
            world.inodes.push(Inode::default());
            world.inodes.len() - 1
        });
        world.names.insert(path.to_owned(), inode);
        world.durable.insert(path.to_owned(), inode);
        world.inodes[inode] = Inode {
            now: bytes.clone(),
            durable: bytes,
            pending: Vec::new(),
        };
    }

    /// Paths of all files.
    pub(crate) fn paths(&self) -> Vec<PathBuf> {
        self.world().names.keys().cloned().collect()
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes something, unless it is time to fail.
    fn change<T>(&self, change: impl FnOnce(&mut World, bool) -> io::Result<T>) -> io::Result<T> {
        let mut world = self.world();
        let fails = world.until_failure == Some(0);
        world.until_failure = world.until_failure.and_then(|calls| calls.checked_sub(1));
        let done = change(&mut world, fails);
        if fails {
            return Err(io::Error::from_raw_os_error(5));
        }
        done
    }
}

impl Name {
    fn apply(self, names: &mut BTreeMap<PathBuf, usize>) {
        match self {
            Self::Is(path, inode) => {
                names.insert(path, inode);
            }
            Self::Gone(path) => {
                names.remove(&path);
            }
            Self::Moved(from, to, inode) => {
                names.remove(&from);
                names.insert(to, inode);
            }
        }
    }
}

fn write(file: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if file.len() < end {
        file.resize(end, 0);
    }
    file[offset..end].copy_from_slice(bytes);
}

fn index(offset: u64) -> usize {
    usize::try_from(offset).expect("small files")
}

impl Files for PowerCut {
    fn make_folder(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let paths = self.paths().into_iter();
        let inside = paths.filter_map(|path| Some(path.strip_prefix(folder).ok()?.to_owned()));
        Ok(inside
            .map(|path| path.to_string_lossy().into_owned())
            .collect())
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn OpenFile>> {
        self.change(|world, fails| {
            if world.names.contains_key(path) {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            if !fails {
                let inode = world.inodes.len();
                world.inodes.push(Inode::default());
                world.names.insert(path.to_owned(), inode);
                world.pending.push(Name::Is(path.to_owned(), inode));
            }
            Ok(())
        })?;
        self.open(path, true)
    }

    fn open(&self, path: &Path, _: bool) -> io::Result<Arc<dyn OpenFile>> {
        let inode = self.world().names.get(path).copied();
        let inode = inode.ok_or(io::ErrorKind::NotFound)?;
        Ok(Arc::new(Handle(self.clone(), inode)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.change(|world, fails| {
            let inode = *world.names.get(from).ok_or(io::ErrorKind::NotFound)?;
            if !fails {
                let name = Name::Moved(from.to_owned(), to.to_owned(), inode);
                name.clone().apply(&mut world.names);
                world.pending.push(name);
            }
            Ok(())
        })
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.change(|world, fails| {
            if !world.names.contains_key(path) {
                return Err(io::ErrorKind::NotFound.into());
            }
            if !fails {
                world.names.remove(path);
                world.pending.push(Name::Gone(path.to_owned()));
            }
            Ok(())
        })
    }

    fn sync_folder(&self, _: &Path) -> io::Result<()> {
        self.change(|world, fails| {
            if !fails {
                for name in std::mem::take(&mut world.pending) {
                    name.apply(&mut world.durable);
                }
            }
            Ok(())
        })
    }

    fn identity(&self, path: &Path) -> io::Result<Option<Identity>> {
        let inode = self.world().names.get(path).copied();
        Ok(inode.map(|inode| (0, inode as u64)))
    }
}

struct Handle(PowerCut, usize);

impl Handle {
    /// Changes the file. A write that fails may have written a part: so much.
    fn change(&self, part: usize, change: Change) -> io::Result<()> {
        self.0.change(|world, fails| {
            let inode = &mut world.inodes[self.1];
            let change = match change {
                Change::Write(offset, mut bytes) => {
                    if fails {
                        bytes.truncate(part);
                    }
                    write(&mut inode.now, offset, &bytes);
                    Change::Write(offset, bytes)
                }
                Change::Length(_) if fails => return Ok(()),
                Change::Length(length) => {
                    inode.now.resize(length, 0);
                    Change::Length(length)
                }
            };
            inode.pending.push(change);
            Ok(())
        })
    }
}

impl OpenFile for Handle {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let whole = Change::Write(index(offset), bytes.to_vec());
        self.change(bytes.len() / 2, whole)
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        let world = self.0.world();
        let now = &world.inodes[self.1].now;
        let there = now.get(index(offset)..).unwrap_or_default();
        let read = there.len().min(bytes.len());
        bytes[..read].copy_from_slice(&there[..read]);
        Ok(read)
    }

    fn allocate(&self, _: u64, end: u64) -> io::Result<()> {
        let now = self.length()?;
        self.change(0, Change::Length(index(end.max(now))))
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.change(0, Change::Length(index(length)))
    }

    fn sync(&self) -> io::Result<()> {
        self.0.change(|world, fails| {
            let inode = &mut world.inodes[self.1];
            // What a failed sync did not write is marked clean: no later one writes it.
            inode.pending.clear();
            if !fails {
                inode.durable.clone_from(&inode.now);
            }
            Ok(())
        })
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.0.world().inodes[self.1].now.len() as u64)
    }

    fn identity(&self) -> io::Result<Identity> {
        Ok((0, self.1 as u64))
    }
}
