//! Restoring: a backup becomes a store, without any key. Its index and the files by which leads
//! are found are made when it is opened.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::audit;
use super::backup::folder::{self, BackupFolder};
use super::backup::stream::{self, End, Part, Summary};
use super::build::build;
use super::codec::{Codec, Entry, StoreId};
use super::journal::{frame_behind, path_in};
use super::key_file;
use crate::outbox::state::Record;
use crate::outbox::{Pause, Restored, SinkTotals, UpkeepError};
use crate::seal::Keyring;

/// Reads a backup, a file or a folder, to its end without storing anything.
pub fn check(from: &Path) -> Result<(), UpkeepError> {
    unpack(from, &mut |_| Ok(())).map(drop)
}

/// Makes a store of a backup in `to`, which must be empty or not there. Nothing is there unless
/// the backup was read to its end. With `paused` all of its sinks are.
pub fn restore(from: &Path, to: &Path, paused: bool) -> Result<Restored, UpkeepError> {
    build(to, |place| {
        let journal = place.join("journal");
        std::fs::create_dir(&journal)?;
        let log = place.join(audit::FOLDER);
        let mut open: Option<(PathBuf, File)> = None;
        let (store, End { summary, .. }) = unpack(from, &mut |part| {
            let (path, bytes) = match part {
                Part::Store(_) => return Ok(()),
                Part::Bytes(number, bytes) => (path_in(&journal, number), bytes),
                Part::Audit(first, bytes) => {
                    std::fs::create_dir_all(&log)?;
                    (log.join(audit::name(first)), bytes)
                }
            };
            let file = match &mut open {
                Some((of, file)) if *of == path => file,
                other => {
                    let mut options = File::options();
                    options.create(true).append(true);
                    let file = options.open(&path)?;
                    &mut other.insert((path, file)).1
                }
            };
            file.write_all(bytes)
        })?;
        drop(open);
        // What left the store while the backup was made.
        let told: BTreeSet<_> = summary
            .segments
            .iter()
            .map(|one| path_in(&journal, one.number))
            .collect();
        for entry in std::fs::read_dir(&journal)? {
            let path = entry?.path();
            if !told.contains(&path) {
                std::fs::remove_file(path)?;
            }
        }
        if paused {
            pause_all(&journal, store, &summary)?;
        }
        key_file::note_id(place, summary.sealed_with.as_deref())?;
        Ok(told_of(summary, paused))
    })
}

/// Reads a backup, and gives what comes of it to `each`, the bytes of one file in their order.
fn unpack(
    from: &Path,
    each: &mut dyn FnMut(Part<'_>) -> io::Result<()>,
) -> Result<(StoreId, End), UpkeepError> {
    if BackupFolder::is_meant(from) {
        let (store, end) = folder::list(from)?;
        for segment in &end.summary.segments {
            folder::segment(from, segment, &mut |bytes| {
                each(Part::Bytes(segment.number, bytes))
            })?;
        }
        for copy in &end.audit {
            folder::audit(from, copy, &mut |bytes| {
                each(Part::Audit(copy.first, bytes))
            })?;
        }
        return Ok((store, end));
    }
    let mut store = None;
    let (end, missing) = stream::read_file(from, &mut |part| {
        if let Part::Store(id) = part {
            store = Some(id);
        }
        Ok(each(part)?)
    })?;
    if !missing.segments.is_empty() || !missing.audit.is_empty() {
        return Err(UpkeepError::Invalid(
            "the file is only what an earlier backup did not have; it can be used only in that \
             one's folder"
                .to_owned(),
        ));
    }
    Ok((store.ok_or_else(stream::damaged)?, end))
}

/// Pauses all sinks, by a frame behind the last one. It needs no key: that it is paused is no
/// secret, and whatever is written plain is read with any key.
fn pause_all(journal: &Path, store: StoreId, summary: &Summary) -> Result<(), UpkeepError> {
    let Some(open) = summary.segments.last() else {
        return Err(stream::damaged());
    };
    let codec = Codec::new(Keyring::default(), store);
    let mut records = Vec::new();
    let running = summary.sinks.iter();
    let running = running.filter(|sink| !summary.paused.contains(sink));
    for sink in running {
        let record = Record::Paused {
            sink: sink.clone(),
            // A person's, of which nothing is known.
            pause: Some(Pause::decode(b"")),
        };
        let entry = Entry::Record {
            record,
            segments: Vec::new(),
        };
        codec.encode(&entry, &mut records);
    }
    let frame = frame_behind(store, open.number, summary.last, &records);
    let mut options = File::options();
    let mut file = options.write(true).open(path_in(journal, open.number))?;
    file.seek(SeekFrom::Start(open.bytes))?;
    Ok(file.write_all(&frame)?)
}

fn told_of(summary: Summary, paused: bool) -> Restored {
    let totals = summary.totals;
    let held = |sink: &String| paused || summary.paused.contains(sink);
    let sinks = totals.sinks.iter();
    let goes_out: BTreeMap<String, u64> = sinks
        .filter(|(name, sink)| sink.waiting > 0 && !held(name))
        .map(|(name, sink)| (name.clone(), sink.waiting))
        .collect();
    Restored {
        records: summary.records,
        newest_at: (totals.latest > 0).then_some(totals.latest),
        leads: totals.leads,
        quarantined: totals.in_quarantine,
        waiting: totals.sinks.values().map(|sink| sink.waiting).sum(),
        dead: totals.sinks.values().map(SinkTotals::dead_letters).sum(),
        goes_out,
        paused,
        sealed_with: summary.sealed_with,
    }
}
