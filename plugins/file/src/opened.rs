//! An open file, and whether its path still leads to it.
//!
//! A path is what was promised, a descriptor is only what it led to once: an editor, a person
//! or another program that rotates may have moved, removed or emptied the file meanwhile.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use jiff::civil::Date;

/// A file that lines are appended to.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) file: File,
    /// Bytes that we know of.
    pub(crate) size: u64,
    /// Bytes of the head, or nothing in a file from before.
    pub(crate) begun: u64,
    /// The day of its leads, if days matter.
    pub(crate) day: Option<Date>,
    /// Device and inode.
    identity: (u64, u64),
    /// A device or a pipe has no size to compare.
    regular: bool,
}

/// What a path leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// The open file, with what we wrote and nothing else.
    Same,
    /// The open file, and somebody else wrote behind our lines.
    Longer,
    /// Nothing, another file, or one from which bytes were taken away.
    Gone,
}

impl Opened {
    pub(crate) fn new(
        file: File,
        facts: &Metadata,
        size: u64,
        begun: u64,
        day: Option<Date>,
    ) -> Self {
        Self {
            file,
            size,
            begun,
            day,
            identity: (facts.dev(), facts.ino()),
            regular: facts.is_file(),
        }
    }

    /// Looks where `path` leads now.
    pub(crate) fn find(&self, path: &Path) -> io::Result<Found> {
        let facts = match std::fs::metadata(path) {
            Ok(facts) => facts,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Gone),
            Err(error) => return Err(error),
        };
        Ok(if (facts.dev(), facts.ino()) != self.identity {
            Found::Gone
        } else if !self.regular || facts.len() == self.size {
            Found::Same
        } else if facts.len() > self.size {
            Found::Longer
        } else {
            Found::Gone
        })
    }
}
