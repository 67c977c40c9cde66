//! The binding: that a find file was made of the segment that lies beside it.
//!
//! Segments of a copy that was put back have the numbers of those that they replace. A find
//! file left from before would deny what is in them, and a lead would be taken twice.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// How much of a segment's beginning and end counts: there stand its opening and its closing
/// frame, with the store's id, sequence numbers and checksums.
const ENDS: u64 = 4096;

/// What a segment's file says of itself: its length, and how it begins and ends. 0 if there is
/// none.
pub(super) fn of(segment: &Path) -> io::Result<u64> {
    let file = match File::open(segment) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        file => file?,
    };
    let length = file.metadata()?.len();
    let mut hash = blake3::Hasher::new();
    hash.update(&length.to_le_bytes());
    let mut bytes = vec![0; usize::try_from(ENDS.min(length)).expect("small")];
    for at in [0, length - ENDS.min(length)] {
        file.read_exact_at(&mut bytes, at)?;
        hash.update(&bytes);
    }
    let hash = hash.finalize();
    Ok(u64::from_le_bytes(
        *hash.as_bytes().first_chunk().expect("longer"),
    ))
}
