//! Files of the audit log: which there are, and one read from its beginning.

use std::io;
use std::path::{Path, PathBuf};

use super::format::{self, Linking, Seen};
use crate::outbox::sled::codec::Link;
use crate::outbox::sled::journal::Files;

const ENDING: &str = ".audit";
/// Behind the name of a file that takes another's place when it is whole.
pub(super) const PART: &str = ".part";

/// The file whose first entry has that number.
pub(in crate::outbox::sled) fn name(first: u64) -> String {
    format!("{first:012}{ENDING}")
}

fn number_of(name: &str) -> Option<u64> {
    let first = name.strip_suffix(ENDING)?.parse().ok()?;
    (first > 0 && self::name(first) == name).then_some(first)
}

/// The files of a folder, by the number of their first entry; none if there is no folder.
pub(super) fn list(files: &dyn Files, folder: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let names = match files.list(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        names => names?,
    };
    let numbers = names.iter().filter_map(|name| number_of(name));
    let mut all: Vec<_> = numbers
        .map(|first| (first, folder.join(name(first))))
        .collect();
    all.sort_unstable();
    Ok(all)
}

/// All bytes of a file.
pub(super) fn read(files: &dyn Files, path: &Path) -> io::Result<Vec<u8>> {
    let file = files.open(path, false)?;
    let mut bytes = Vec::new();
    // What is appended meanwhile is left for the next time.
    let length = usize::try_from(file.length()?).map_err(io::Error::other)?;
    bytes.resize(length, 0);
    let read = file.read_at(&mut bytes, 0)?;
    bytes.truncate(read);
    Ok(bytes)
}

/// A file's entries, as far as they are whole.
pub(super) struct Scan<'a> {
    linking: &'a Linking,
    rest: &'a [u8],
    /// Where the chain is before the next one.
    pub(super) link: Link,
}

impl<'a> Scan<'a> {
    /// Of all bytes of a file; `None` if it does not begin like one.
    pub(super) fn new(linking: &'a Linking, bytes: &'a [u8]) -> Option<Self> {
        let (link, rest) = format::begin(bytes)?;
        Some(Self {
            linking,
            rest,
            link,
        })
    }

    /// Bytes behind what was read.
    pub(super) fn left(&self) -> usize {
        self.rest.len()
    }
}

impl<'a> Iterator for Scan<'a> {
    type Item = Seen<'a>;

    fn next(&mut self) -> Option<Seen<'a>> {
        let (frame, rest) = format::next(self.rest)?;
        let seen = self.linking.see(self.link, frame);
        (self.rest, self.link) = (rest, frame.link);
        Some(seen)
    }
}
