//! A plugin's file: opened once; what is looked at, hashed and loaded is that one descriptor.
//!
//! Whoever can change the file, or put another in its place, runs code as leadgate. So it, each
//! folder on the way to it and each symbolic link belong to root or to us, and nobody else may
//! write there; a folder as `/tmp`, where everybody may make files but move only their own, is
//! as good as what lies in it.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::{File, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};

use leadgate_plugin::hex;
use sha2::{Digest, Sha256};

use super::LoadError;

/// Symbolic links on one way, at most.
const LINKS: usize = 40;
/// Write permission for the group or for everybody.
const OTHERS: u32 = 0o022;
const STICKY: u32 = 0o1000;

/// A library that nobody else can change.
pub(super) struct Held {
    file: File,
    /// What the configuration called it.
    path: PathBuf,
}

impl Held {
    /// Opens the file and looks at it and its folders; compares its hash if one is given.
    pub(super) fn open(path: &Path, sha256: Option<&str>) -> Result<Self, LoadError> {
        let read = |source: io::Error| LoadError::Read {
            path: path.to_owned(),
            source,
        };
        // Never searched for among the system's libraries, as the linker would a bare name.
        let absolute = std::path::absolute(path).map_err(read)?;
        let (real, seen) = walk(&absolute, path)?;
        let mut options = File::options();
        options.read(true);
        options.custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed());
        let file = options.open(&real).map_err(read)?;
        let found = file.metadata().map_err(read)?;
        if (found.dev(), found.ino()) != (seen.dev(), seen.ino()) {
            return Err(read(io::Error::other("it was replaced just now")));
        }
        if !found.is_file() {
            return Err(read(io::Error::other("it is not a file")));
        }
        protected(&real, &found)?;
        let mut held = Self {
            file,
            path: path.to_owned(),
        };
        held.compare(sha256)?;
        Ok(held)
    }

    /// The same of a file that another process opened and looked at: it must still be
    /// protected, and the one that was meant.
    pub(super) fn adopt(file: File, path: &Path, sha256: Option<&str>) -> Result<Self, LoadError> {
        let found = file.metadata().map_err(|source| LoadError::Read {
            path: path.to_owned(),
            source,
        })?;
        protected(path, &found)?;
        let mut held = Self {
            file,
            path: path.to_owned(),
        };
        held.compare(sha256)?;
        Ok(held)
    }

    /// Its descriptor, to be given to another process.
    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// The hash of what is in it, in hex.
    pub(super) fn sha256(&mut self) -> Result<String, LoadError> {
        let mut bytes = Vec::new();
        // From its start, wherever somebody else has read to.
        let read = self.file.seek(SeekFrom::Start(0));
        let read = read.and_then(|_| self.file.read_to_end(&mut bytes));
        read.map_err(|source| LoadError::Read {
            path: self.path.clone(),
            source,
        })?;
        Ok(hex(&Sha256::digest(&bytes)))
    }

    fn compare(&mut self, sha256: Option<&str>) -> Result<(), LoadError> {
        let Some(wanted) = sha256 else { return Ok(()) };
        let found = self.sha256()?;
        if found.eq_ignore_ascii_case(wanted) {
            return Ok(());
        }
        Err(LoadError::Changed {
            path: self.path.clone(),
            wanted: wanted.to_owned(),
            found,
        })
    }

    /// What the configuration called it.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// A name under which the linker opens this descriptor's file and no other.
    pub(super) fn place(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.file.as_raw_fd()))
    }

    /// Keeps the descriptor for the life of the process: the linker knows what it has loaded
    /// by its name, so the number must not come to mean another file.
    pub(super) fn keep(self) {
        let _ = self.file.into_raw_fd();
    }
}

/// Goes to the file as the system would, and looks at all that lies on the way. Gives the path
/// without links, and what is there.
fn walk(absolute: &Path, named: &Path) -> Result<(PathBuf, Metadata), LoadError> {
    let read = |source: io::Error| LoadError::Read {
        path: named.to_owned(),
        source,
    };
    let mut left: VecDeque<OsString> = names(absolute);
    let mut at = PathBuf::from("/");
    let mut there = std::fs::symlink_metadata(&at).map_err(read)?;
    folder(&at, &there)?;
    let mut links = 0;
    while let Some(name) = left.pop_front() {
        if name == ".." {
            at.pop();
            continue;
        }
        let next = at.join(&name);
        let found = std::fs::symlink_metadata(&next).map_err(read)?;
        if found.is_symlink() {
            owned(&next, &found)?;
            links += 1;
            if links > LINKS {
                return Err(read(io::Error::other("too many symbolic links")));
            }
            let target = std::fs::read_link(&next).map_err(read)?;
            if target.is_absolute() {
                at = PathBuf::from("/");
            }
            for name in names(&target).into_iter().rev() {
                left.push_front(name);
            }
            continue;
        }
        if found.is_dir() {
            folder(&next, &found)?;
        }
        at = next;
        there = found;
    }
    Ok((at, there))
}

fn names(path: &Path) -> VecDeque<OsString> {
    let names = path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    });
    names.collect()
}

/// Root's or ours.
fn owned(path: &Path, found: &Metadata) -> Result<(), LoadError> {
    let us = rustix::process::geteuid().as_raw();
    if found.uid() == 0 || found.uid() == us {
        return Ok(());
    }
    Err(LoadError::Foreign {
        path: path.to_owned(),
        owner: found.uid(),
    })
}

fn protected(path: &Path, found: &Metadata) -> Result<(), LoadError> {
    owned(path, found)?;
    if found.mode() & OTHERS != 0 {
        return Err(LoadError::Writable(path.to_owned()));
    }
    Ok(())
}

fn folder(path: &Path, found: &Metadata) -> Result<(), LoadError> {
    if found.mode() & STICKY != 0 {
        // Others may make files here, and not touch ours.
        return owned(path, found);
    }
    protected(path, found)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn set(path: &Path, mode: u32) {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("sets");
    }

    /// `sub/lib.so` in a folder of its own.
    fn library() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let sub = folder.path().join("sub");
        std::fs::create_dir(&sub).expect("makes");
        set(&sub, 0o755);
        let path = sub.join("lib.so");
        std::fs::write(&path, b"not a library").expect("writes");
        set(&path, 0o644);
        (folder, path)
    }

    fn refused(path: &Path) -> LoadError {
        Held::open(path, None).err().expect("refused")
    }

    #[test]
    fn a_folder_on_the_way_that_others_may_write_is_refused_unless_it_is_sticky() {
        let (folder, path) = library();
        Held::open(&path, None).expect("as it should be");
        for mode in [0o777, 0o775, 0o757] {
            set(folder.path(), mode);
            let error = refused(&path);
            let LoadError::Writable(at) = &error else {
                panic!("{error}")
            };
            assert_eq!(at, &folder.path().canonicalize().expect("is there"));
        }
        set(folder.path(), 0o1777);
        Held::open(&path, None).expect("as in /tmp");
    }

    #[test]
    fn a_link_is_followed_and_where_it_lies_and_leads_is_looked_at() {
        let (folder, path) = library();
        let (other, _) = library();
        let link = other.path().join("link.so");
        symlink(&path, &link).expect("links");
        Held::open(&link, None).expect("good on both sides");
        set(other.path(), 0o777);
        assert!(
            matches!(refused(&link), LoadError::Writable(_)),
            "where it lies"
        );
        set(other.path(), 0o755);
        set(path.parent().expect("sub"), 0o777);
        assert!(
            matches!(refused(&link), LoadError::Writable(_)),
            "where it leads"
        );
        set(path.parent().expect("sub"), 0o755);
        let up = path.parent().expect("sub").join("up");
        symlink("..", &up).expect("links");
        Held::open(&up.join("sub/lib.so"), None).expect("relative, and up");
        let ring = folder.path().join("ring");
        symlink(&ring, &ring).expect("links");
        assert!(
            refused(&ring)
                .to_string()
                .contains("too many symbolic links")
        );
    }

    #[test]
    fn what_belongs_to_somebody_else_is_refused() {
        let (_folder, path) = library();
        // Only root may give a file away.
        if std::os::unix::fs::chown(&path, Some(65534), None).is_err() {
            return;
        }
        let error = refused(&path);
        assert!(
            matches!(error, LoadError::Foreign { owner: 65534, .. }),
            "{error}"
        );
        std::os::unix::fs::chown(&path, Some(0), None).expect("ours again");
        std::os::unix::fs::chown(path.parent().expect("sub"), Some(65534), None).expect("gives");
        assert!(matches!(refused(&path), LoadError::Foreign { .. }));
    }

    #[test]
    fn what_was_opened_is_what_is_loaded_whatever_comes_to_its_name() {
        let (_folder, path) = library();
        let held = Held::open(&path, None).expect("good");
        std::fs::rename(&path, path.with_extension("old")).expect("moves");
        std::fs::write(&path, b"something else").expect("writes");
        let read = std::fs::read(held.place()).expect("reads");
        assert_eq!(read, b"not a library");
    }

    #[test]
    fn a_folder_and_a_missing_file_are_refused() {
        let (folder, path) = library();
        assert!(refused(folder.path()).to_string().contains("not a file"));
        assert!(matches!(
            refused(&path.with_extension("no")),
            LoadError::Read { .. }
        ));
    }
}
