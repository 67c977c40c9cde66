//! What the conformance suite does to a store of this engine's that the traits do not offer.

use std::path::Path;

use super::SledOutbox;
use super::job::Job;

/// Lets the committer panic, or else the syncer.
pub(in crate::outbox) fn panic(outbox: &SledOutbox, committer: bool) {
    let job = Job::Break { committer };
    assert!(outbox.jobs.try_send(job).is_ok(), "queued");
}

/// Writes the number of a later format into the newest segment of a closed store, or that of
/// this one.
pub(in crate::outbox) fn pretend_newer(store: &Path, newer: bool) {
    let segments = std::fs::read_dir(store.join("journal")).expect("reads");
    let segments = segments.map(|entry| entry.expect("reads").path());
    let newest = segments.filter(|path| path.extension().is_some_and(|ending| ending == "seg"));
    let newest = newest.max().expect("a segment");
    let mut bytes = std::fs::read(&newest).expect("reads");
    let format = u16::from_le_bytes([bytes[6], bytes[7]]);
    let format = if newer { format + 2 } else { format - 2 };
    bytes[6..8].copy_from_slice(&format.to_le_bytes());
    let mut sum = crc32fast::Hasher::new();
    sum.update(&bytes[..12]);
    sum.update(&bytes[16..40]);
    bytes[12..16].copy_from_slice(&sum.finalize().to_le_bytes());
    std::fs::write(&newest, &bytes).expect("writes");
}
