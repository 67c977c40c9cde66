//! Reading the audit log: page by page from its end, or all of it.

use std::collections::HashSet;
use std::io;

use super::Log;
use super::file::{self, Scan};
use super::format;
use crate::outbox::{AuditEntry, AuditFilter, Page, Unavailable, UpkeepError};

/// What one page reads at most before it ends, in bytes, about.
const READ: usize = 32 << 20;
/// Letters of a cursor.
const CURSOR: usize = 16;

/// Whether it can be the `next` of a page.
pub(in crate::outbox::sled) fn continues(cursor: &str) -> bool {
    number(cursor).is_some()
}

/// The entry before which a page begins.
fn number(cursor: &str) -> Option<u64> {
    let number = u64::from_str_radix(cursor, 16).ok()?;
    (cursor.len() == CURSOR && number > 0).then_some(number)
}

impl Log {
    /// Entries that pass, newest first.
    pub(in crate::outbox::sled) fn page(
        &self,
        filter: &AuditFilter,
        after: Option<&str>,
        limit: usize,
    ) -> io::Result<Page<AuditEntry>> {
        let told = self.mark().last.number;
        let mut end = after.and_then(number).unwrap_or(told + 1);
        let mut items = Vec::new();
        let mut read = 0;
        let mut all = file::list(&*self.files, &self.folder)?;
        all.retain(|(first, _)| *first < end);
        while let Some((first, path)) = all.pop() {
            let Some(bytes) = self.bytes(&path)? else {
                continue;
            };
            read += bytes.len();
            let scan = Scan::new(&self.linking, &bytes);
            let entries = scan
                .into_iter()
                .flatten()
                .filter_map(|seen| seen.entry.ok());
            let meant = |entry: &AuditEntry| {
                entry.number < end && entry.number <= told && filter.passes(&entry.event)
            };
            let some: Vec<_> = entries.filter(meant).collect();
            for entry in some.into_iter().rev() {
                if items.len() == limit {
                    return Ok(page(items, Some(end)));
                }
                end = entry.number;
                items.push(entry);
            }
            end = first;
            if read >= READ && !all.is_empty() {
                return Ok(page(items, Some(end)));
            }
        }
        Ok(page(items, None))
    }

    /// A file's bytes; `None` if it has left meanwhile.
    fn bytes(&self, path: &std::path::Path) -> io::Result<Option<Vec<u8>>> {
        match file::read(&*self.files, path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            bytes => bytes.map(Some),
        }
    }

    /// Gives all entries that can be read to `each`, oldest first.
    pub(in crate::outbox::sled) fn each(
        &self,
        each: &mut dyn FnMut(AuditEntry) -> io::Result<()>,
    ) -> Result<(), UpkeepError> {
        let told = self.mark().last.number;
        for (_, path) in file::list(&*self.files, &self.folder)? {
            let Some(bytes) = self.bytes(&path)? else {
                continue;
            };
            let scan = Scan::new(&self.linking, &bytes);
            let entries = scan
                .into_iter()
                .flatten()
                .filter_map(|seen| seen.entry.ok());
            for entry in entries.filter(|entry| entry.number <= told) {
                each(entry)?;
            }
        }
        Ok(())
    }

    /// The hashes of all entries, here and where they were first.
    pub(super) fn hashes(&self) -> Result<HashSet<[u8; 32]>, Unavailable> {
        let mut all = HashSet::new();
        let read = self.each(&mut |entry| {
            all.insert(entry.chain.0);
            all.extend(entry.origin.map(|origin| origin.chain.0));
            Ok(())
        });
        read.map_err(|error| Unavailable(error.to_string()))?;
        Ok(all)
    }

    /// The bytes of all files up to the newest entry of which anybody was told, each with the
    /// number of its first entry.
    pub(in crate::outbox::sled) fn copy(
        &self,
        mut each: impl FnMut(u64, &[u8]) -> Result<(), UpkeepError>,
    ) -> Result<(), UpkeepError> {
        let told = self.mark().last.number;
        for (first, path) in file::list(&*self.files, &self.folder)? {
            if first > told {
                continue;
            }
            let bytes = file::read(&*self.files, &path)?;
            each(first, &bytes[..told_length(&bytes, told)])?;
        }
        Ok(())
    }
}

/// How long a file is up to that entry; all of it if it cannot be read.
fn told_length(bytes: &[u8], told: u64) -> usize {
    let Some((_, mut rest)) = format::begin(bytes) else {
        return bytes.len();
    };
    while let Some((frame, behind)) = format::next(rest) {
        rest = behind;
        if frame.link.number == told {
            return bytes.len() - rest.len();
        }
    }
    // What cannot be read is evidence: it is copied, too.
    bytes.len()
}

fn page(items: Vec<AuditEntry>, end: Option<u64>) -> Page<AuditEntry> {
    let next = end.map(|end| format!("{end:0CURSOR$x}"));
    Page { items, next }
}
