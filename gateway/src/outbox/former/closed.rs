//! The file `clean`: that the store was closed whole, and where its log ended then.
//!
//! It is written when everything is on disk and removed, durably, before sled is let near the
//! store again. So while it is there nothing can be torn: whatever cannot be read is damage.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use super::log::Log;

const NAME: &str = "clean";

/// Notes that the store was closed and all of it is on disk.
pub(super) fn leave(folder: &Path) -> io::Result<()> {
    File::open(folder.join("db"))?.sync_all()?;
    let end = Log::open(folder)?.end()?.to_be_bytes();
    let mut file = File::create(folder.join(NAME))?;
    file.write_all(&[end.as_slice(), &crc32fast::hash(&end).to_be_bytes()].concat())?;
    file.sync_all()?;
    File::open(folder)?.sync_all()
}

/// Where the log ended when the store was closed whole; nothing if it was not.
pub(super) fn end(folder: &Path) -> Option<u64> {
    let bytes = std::fs::read(folder.join(NAME)).ok()?;
    let bytes: [u8; 12] = bytes.try_into().ok()?;
    let (end, sum) = bytes.split_first_chunk::<8>()?;
    (crc32fast::hash(end).to_be_bytes() == *sum).then(|| u64::from_be_bytes(*end))
}

/// From now on the store is not closed whole.
pub(super) fn forget(folder: &Path) -> io::Result<()> {
    match std::fs::remove_file(folder.join(NAME)) {
        Ok(()) => File::open(folder)?.sync_all(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}
