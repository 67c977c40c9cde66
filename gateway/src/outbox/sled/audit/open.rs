//! Opening: where the audit log goes on.
//!
//! A torn end of which nobody was told is cut off. Anything else that is not as it must be stays
//! as it is, for whoever looks into it, and is reported by [`super::verify`]: what comes then
//! stands in a file of its own behind the newest entry that the journal knows.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::file::{self, PART, Scan};
use super::format::Linking;
use super::writer::Open;
use crate::outbox::sled::codec::{AuditMark, Link};
use crate::outbox::sled::journal::Files;

/// Where the log goes on.
pub(super) struct Opened {
    /// The newest entry.
    pub(super) last: Link,
    /// The file that has it, if more may go there.
    pub(super) open: Option<Open>,
}

/// Looks at the newest file, and takes away what a crash left: of the journal's `mark`.
pub(super) fn open(
    files: &dyn Files,
    folder: &Path,
    linking: &Linking,
    mark: AuditMark,
) -> io::Result<Opened> {
    tidy(files, folder, mark)?;
    let mut all = file::list(files, folder)?;
    while let Some((first, path)) = all.pop() {
        let bytes = file::read(files, &path)?;
        let Some(mut scan) = Scan::new(linking, &bytes) else {
            if first > mark.last.number {
                // Nobody was told of anything in it.
                files.remove(&path)?;
                files.sync_folder(folder)?;
                continue;
            }
            break;
        };
        let mut newest = i64::MIN;
        for seen in scan.by_ref() {
            newest = seen
                .entry
                .map_or(newest, |entry| newest.max(entry.event.at));
        }
        let (last, left) = (scan.link, scan.left());
        if last.number < mark.last.number {
            break;
        }
        let file = files.open(&path, true)?;
        let bytes = (bytes.len() - left) as u64;
        if left > 0 {
            file.truncate(bytes)?;
        }
        // What a process that was killed had written is not on disk by that.
        file.sync()?;
        let open = Some(Open {
            file: Arc::clone(&file),
            path,
            bytes,
            period: super::writer::period(newest),
            is_synced: true,
        });
        return Ok(Opened { last, open });
    }
    Ok(Opened {
        last: mark.last,
        open: None,
    })
}

/// Removes files that a crash left half made, or not yet removed.
fn tidy(files: &dyn Files, folder: &Path, mark: AuditMark) -> io::Result<()> {
    let mut gone: Vec<PathBuf> = match files.list(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        names => names?.into_iter(),
    }
    .filter(|name| name.ends_with(PART))
    .map(|name| folder.join(name))
    .collect();
    let all = file::list(files, folder)?;
    for (at, (_, path)) in all.iter().enumerate() {
        let next = all.get(at + 1).map(|(first, _)| *first);
        let all_retired = match next {
            Some(next) => next <= mark.retired.number + 1,
            None => {
                mark.retired == mark.last && mark.retired.number > 0 && {
                    let first = all[at].0;
                    first <= mark.retired.number
                }
            }
        };
        if all_retired {
            gone.push(path.clone());
        }
    }
    for path in &gone {
        files.remove(path)?;
    }
    if !gone.is_empty() {
        files.sync_folder(folder)?;
    }
    Ok(())
}
