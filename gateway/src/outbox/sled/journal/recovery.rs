//! Recovery: where the newest segment ends, after whatever happened to the process that wrote
//! it.
//!
//! A frame that is not whole is either one that nobody was told about, torn by a power cut, or
//! one that was durable once and is damaged. Each frame says how far the disk had come when it
//! was written: a frame behind the bad one that says that the bad one was durable makes it
//! damage, and so does the [`super::mark`]; damage is refused. Else the bad one and all behind it are cut off: zeros are written
//! over them, durably, before anything is appended, so that no old frame is ever taken for a
//! new one.

use std::path::Path;
use std::sync::Arc;

use super::error::{JournalError, Tried};
use super::files::OpenFile;
use super::frame::Frame;
use super::naming;
use super::scan::Walk;
use super::segment::{self, Header};
use crate::outbox::sled::codec::{Codec, Entry, Opening, SegmentFacts};
use crate::seal::Keyring;

/// Zeros that are written at once.
const ZEROS: usize = 1 << 20;

/// What was cut off: it was never acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Number of the segment.
    pub segment: u32,
    /// Where it began.
    pub offset: u64,
    /// How many bytes it had.
    pub bytes: u64,
    /// Sequence number of the first frame that is not whole.
    pub sequence: u64,
}

/// The newest segment, read.
pub(super) struct Recovery {
    pub(super) codec: Codec,
    pub(super) opening: Opening,
    /// Segments that are removed since.
    pub(super) gone: Vec<u32>,
    /// Whether its last frame closes it.
    pub(super) closed: bool,
    /// Whether its opening stands in it a second time.
    pub(super) told: bool,
    /// Whether its last frame holds nothing and says that all before is durable.
    pub(super) watermarked: bool,
    /// Sequence number of its last frame.
    pub(super) last: u64,
    /// Where the last frame ends.
    pub(super) end: u64,
    pub(super) cut: Option<Cut>,
}

impl Recovery {
    /// Reads the newest segment and cuts off what is torn. What is left is durable then. All up
    /// to the frame `synced` was, whatever the segment says.
    pub(super) fn of(
        file: &Arc<dyn OpenFile>,
        header: &Header,
        keyring: Keyring,
        path: &Path,
        synced: u64,
    ) -> Result<Self, JournalError> {
        let length = file.length().tried("read", path)?;
        let mut walk = Walk::new(Arc::clone(file), header.number, header.seed(), length);
        let codec = Codec::new(keyring, header.store);
        let start = segment::HEADER as u64;
        // Invariant: a segment has its name only since its opening is durable.
        let damaged = || JournalError::damaged(header.number, start, Some(header.first));
        let first = walk.at(start).tried("read", path)?;
        let first = first.filter(|(frame, _)| frame.sequence == header.first);
        let (first, mut end) = first.ok_or_else(damaged)?;
        let opening = match about_segments(&codec, &first)?.pop() {
            Some(Entry::Opening(opening)) if opening.store == header.store => *opening,
            _ => return Err(damaged()),
        };
        let mut last = header.first;
        let (mut gone, mut closed, mut told, mut watermarked) = (Vec::new(), false, false, false);
        while !closed {
            match walk.at(end).tried("read", path)? {
                Some((frame, behind)) if frame.sequence == last + 1 => {
                    for entry in about_segments(&codec, &frame)? {
                        match entry {
                            Entry::SegmentGone(number) => gone.push(number),
                            Entry::Closing => closed = true,
                            Entry::Opening(_) => told = true,
                            _ => {}
                        }
                    }
                    watermarked = frame.is_watermark() && frame.synced == last;
                    (last, end) = (frame.sequence, behind);
                }
                _ => break,
            }
        }
        if synced > last {
            return Err(if closed {
                missing(path, header.number + 1, (last + 1, synced))
            } else {
                JournalError::damaged(header.number, end, Some(last + 1))
            });
        }
        let cut = cut(&mut walk, &**file, end, last + 1, path)?;
        file.sync().tried("write to", path)?;
        Ok(Self {
            codec,
            opening,
            gone,
            closed,
            told,
            watermarked,
            last,
            end,
            cut,
        })
    }
}

/// That the newest segment is not the last one that there was.
fn missing(path: &Path, number: u32, (first, last): (u64, u64)) -> JournalError {
    JournalError::Missing {
        path: path.with_file_name(naming::name(number)),
        facts: SegmentFacts {
            number,
            first,
            last,
            bytes: 0,
        },
    }
}

/// Entries of a frame that are about segments.
fn about_segments(codec: &Codec, frame: &Frame) -> Result<Vec<Entry>, JournalError> {
    let records = frame.records().map(|(_, record)| record);
    let ours = records.filter(|record| Codec::is_about_segments(record));
    let entries = ours.map(|record| codec.clear(record));
    entries
        .collect::<Result<_, _>>()
        .map_err(|why| JournalError::Unreadable {
            segment: frame.segment,
            why,
        })
}

/// Cuts off what lies from `end` on, where no whole frame of that sequence number begins.
fn cut(
    walk: &mut Walk,
    file: &dyn OpenFile,
    end: u64,
    sequence: u64,
    path: &Path,
) -> Result<Option<Cut>, JournalError> {
    let mut at = end;
    while let Some((frame, behind)) = walk.search(at, sequence).tried("read", path)? {
        if frame.synced >= sequence {
            return Err(JournalError::damaged(walk.segment, end, Some(sequence)));
        }
        at = behind;
    }
    let Some(last) = walk.last_byte(end).tried("read", path)? else {
        return Ok(None);
    };
    let zeros = vec![0; ZEROS];
    let mut at = end;
    while at < last {
        let some = usize::try_from(last - at).unwrap_or(ZEROS).min(ZEROS);
        file.write_at(&zeros[..some], at).tried("write to", path)?;
        at += some as u64;
    }
    Ok(Some(Cut {
        segment: walk.segment,
        offset: end,
        bytes: last - end,
        sequence,
    }))
}
