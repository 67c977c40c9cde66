//! The stream of a backup: pieces of segments, and at the end which of them make the store.
//!
//! | bytes | what |
//! |---|---|
//! | 16 | `leadgate backup\n` |
//! | 4 | version of this format, little endian as all numbers here |
//! | 16 | id of the store |
//! | 4 | CRC-32 of all of the above |
//! | | pieces: `P`, segment (u32), offset (u64), length (u64), bytes, CRC-32 of all of it |
//! | | files of the audit log, behind them: `A`, first entry (u64), length (u64), bytes, CRC-32 |
//! | | end: `E`, length (u32), [`Summary`], CRC-32 of all of it. Nothing follows |
//!
//! Pieces of a segment follow each other without a gap. Segments of which the end does not tell
//! left the store while it was copied. What was sealed stays sealed.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::Path;

use crc32fast::Hasher;
use serde::{Deserialize, Serialize};

use crate::outbox::sled::codec::StoreId;
use crate::outbox::{AuditCopy, SegmentCopy, Totals, UpkeepError};

const MAGIC: &[u8; 16] = b"leadgate backup\n";
/// Version 1 was of the stores of format 4 and before, 2 had no audit log.
const VERSION: u32 = 3;
const WITHOUT_AUDIT: u32 = 2;
const PIECE: u8 = b'P';
const AUDIT: u8 = b'A';
const END: u8 = b'E';
/// A longer summary does not occur.
const LONGEST: u32 = 256 << 20;
/// Read and written at once, in bytes.
pub(super) const CHUNK: usize = 64 << 10;

/// What makes the store, and what is to be known of it without a key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::outbox::sled) struct Summary {
    /// Its segments, oldest first; the last one is open.
    pub segments: Vec<SegmentCopy>,
    /// Sequence number of the last frame.
    pub last: u64,
    /// Records in all of them.
    pub records: u64,
    /// The counts.
    pub totals: Totals,
    /// All sinks of which anything is known.
    pub sinks: Vec<String>,
    /// Those of them that are paused.
    pub paused: Vec<String>,
    /// The id of the key without which it cannot be opened.
    pub sealed_with: Option<String>,
}

/// What stands at the end: since version 3 also all files of the audit log.
#[derive(Clone, Debug)]
pub(in crate::outbox::sled) struct End {
    pub summary: Summary,
    pub audit: Vec<AuditCopy>,
}

/// What a backup's end tells of and what was not in it.
#[derive(Debug, Default)]
pub(in crate::outbox::sled) struct Missing {
    pub segments: Vec<SegmentCopy>,
    pub audit: Vec<AuditCopy>,
}

/// Writes a backup.
pub(super) struct Writer<W> {
    to: W,
    sum: Hasher,
}

impl<W: Write> Writer<W> {
    pub(super) fn begin(to: W, store: StoreId) -> io::Result<Self> {
        let mut head = MAGIC.to_vec();
        head.extend_from_slice(&VERSION.to_le_bytes());
        head.extend_from_slice(&store.0);
        head.extend_from_slice(&crc32fast::hash(&head).to_le_bytes());
        let mut writer = Self {
            to,
            sum: Hasher::new(),
        };
        writer.to.write_all(&head)?;
        Ok(writer)
    }

    /// Begins a piece; exactly its bytes and [`Writer::seal`] are to follow.
    pub(super) fn piece(&mut self, segment: u32, offset: u64, length: u64) -> io::Result<()> {
        let mut head = vec![PIECE];
        head.extend_from_slice(&segment.to_le_bytes());
        head.extend_from_slice(&offset.to_le_bytes());
        head.extend_from_slice(&length.to_le_bytes());
        self.bytes(&head)
    }

    /// A file of the audit log.
    pub(super) fn audit(&mut self, first: u64, bytes: &[u8]) -> io::Result<()> {
        let length = (bytes.len() as u64).to_le_bytes();
        self.bytes(&[&[AUDIT], &first.to_le_bytes()[..], &length].concat())?;
        self.bytes(bytes)?;
        self.seal()
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.sum.update(bytes);
        self.to.write_all(bytes)
    }

    /// Ends a piece.
    pub(super) fn seal(&mut self) -> io::Result<()> {
        let sum = std::mem::take(&mut self.sum).finalize();
        self.to.write_all(&sum.to_le_bytes())
    }

    pub(super) fn end(mut self, End { summary, audit }: &End) -> io::Result<W> {
        let bytes = postcard::to_stdvec(&(summary, audit)).map_err(io::Error::other)?;
        let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
        self.bytes(&[&[END], &length.to_le_bytes()[..], &bytes].concat())?;
        self.seal()?;
        self.to.flush()?;
        Ok(self.to)
    }
}

/// What comes of a backup, before its end.
pub(in crate::outbox::sled) enum Part<'a> {
    /// Whose it is.
    Store(StoreId),
    /// Bytes of a segment, right behind those that came before.
    Bytes(u32, &'a [u8]),
    /// Bytes of the file of the audit log with that first entry, likewise.
    Audit(u64, &'a [u8]),
}

/// Reads a whole backup and gives what comes of it to `each`. Gives the end, and what was not in it.
pub(in crate::outbox::sled) fn read(
    from: impl Read,
    each: &mut dyn FnMut(Part<'_>) -> Result<(), UpkeepError>,
) -> Result<(End, Missing), UpkeepError> {
    let mut from = Summed {
        from,
        sum: Hasher::new(),
    };
    let (store, version) = head(&mut from)?;
    each(Part::Store(store))?;
    let mut came = BTreeMap::<u32, (u64, Hasher)>::new();
    let mut audit = Vec::new();
    let mut buffer = vec![0; CHUNK];
    let end = loop {
        match from.array::<1>()? {
            [PIECE] => {
                let number = from.number()?;
                let (offset, length) = (from.wide()?, from.wide()?);
                let (bytes, sum) = came.entry(number).or_default();
                if *bytes != offset {
                    return Err(damaged());
                }
                from.chunks(length, &mut buffer, |some| {
                    sum.update(some);
                    *bytes += some.len() as u64;
                    each(Part::Bytes(number, some))
                })?;
            }
            [AUDIT] => {
                let (first, bytes) = (from.wide()?, from.wide()?);
                let mut sum = Hasher::new();
                from.chunks(bytes, &mut buffer, |some| {
                    sum.update(some);
                    each(Part::Audit(first, some))
                })?;
                let crc = sum.finalize();
                audit.push(AuditCopy { first, bytes, crc });
            }
            [END] => {
                let length = from.number()?;
                if length > LONGEST {
                    return Err(damaged());
                }
                let (mut bytes, mut left) = (Vec::new(), length as usize);
                while left > 0 {
                    let some = &mut buffer[..left.min(CHUNK)];
                    from.fill(some)?;
                    bytes.extend_from_slice(some);
                    left -= some.len();
                }
                from.check()?;
                break decode(version, &bytes).ok_or_else(damaged)?;
            }
            _ => return Err(damaged()),
        }
    };
    if from.from.read(&mut [0])? > 0 {
        return Err(damaged());
    }
    let mut missing = Missing::default();
    for copy in &end.audit {
        match audit.iter().find(|one| one.first == copy.first) {
            Some(came) if came != copy => return Err(damaged()),
            Some(_) => {}
            None => missing.audit.push(*copy),
        }
    }
    for segment in &end.summary.segments {
        match came.remove(&segment.number) {
            Some((bytes, sum)) => {
                if (bytes, sum.finalize()) != (segment.bytes, segment.crc) {
                    return Err(damaged());
                }
            }
            None => missing.segments.push(*segment),
        }
    }
    Ok((end, missing))
}

/// The same, of a file; an error says of which.
pub(in crate::outbox::sled) fn read_file(
    path: &Path,
    each: &mut dyn FnMut(Part<'_>) -> Result<(), UpkeepError>,
) -> Result<(End, Missing), UpkeepError> {
    let named = |why: &dyn std::fmt::Display| format!("{}: {why}", path.display());
    let file = File::open(path).map_err(|error| io::Error::new(error.kind(), named(&error)))?;
    read(BufReader::new(file), each).map_err(|error| match error {
        UpkeepError::Invalid(why) => UpkeepError::Invalid(named(&why)),
        other => other,
    })
}

/// Whose it is, and the version of its format.
fn head(from: &mut Summed<impl Read>) -> Result<(StoreId, u32), UpkeepError> {
    let magic: [u8; 16] = from.array()?;
    if magic != *MAGIC {
        return Err(invalid("the file is not a backup of leadgate"));
    }
    let version = from.number()?;
    // Those of before wrote theirs the other way round.
    if version == 1_u32.swap_bytes() {
        return Err(invalid(
            "the backup was made by an older leadgate, whose format this one does not read; \
             restore it with that one, write it out by its `leadgate outbox export`, and \
             `leadgate outbox import` that here",
        ));
    }
    if !(WITHOUT_AUDIT..=VERSION).contains(&version) {
        return Err(UpkeepError::Invalid(format!(
            "the backup has format {version}, this leadgate reads up to format {VERSION}; use the \
             leadgate that made it, or a newer one"
        )));
    }
    let store = StoreId(from.array()?);
    from.check()?;
    Ok((store, version))
}

fn decode(version: u32, bytes: &[u8]) -> Option<End> {
    let (summary, rest) = postcard::take_from_bytes(bytes).ok()?;
    let audit = match (version, rest) {
        (WITHOUT_AUDIT, []) => Vec::new(),
        (_, rest) => match postcard::take_from_bytes(rest).ok()? {
            (audit, []) => audit,
            _ => return None,
        },
    };
    Some(End { summary, audit })
}

fn invalid(why: &str) -> UpkeepError {
    UpkeepError::Invalid(why.to_owned())
}

pub(in crate::outbox::sled) fn damaged() -> UpkeepError {
    invalid("the backup is damaged: its checksum does not fit; make a new one")
}

struct Summed<R> {
    from: R,
    sum: Hasher,
}

impl<R: Read> Summed<R> {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), UpkeepError> {
        self.from
            .read_exact(bytes)
            .map_err(|error| match error.kind() {
                io::ErrorKind::UnexpectedEof => invalid("the backup is cut short; make a new one"),
                _ => UpkeepError::File(error),
            })?;
        self.sum.update(bytes);
        Ok(())
    }

    /// Gives so many bytes to `each`, and checks what is behind them.
    fn chunks(
        &mut self,
        mut left: u64,
        buffer: &mut [u8],
        mut each: impl FnMut(&[u8]) -> Result<(), UpkeepError>,
    ) -> Result<(), UpkeepError> {
        while left > 0 {
            let some = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
            self.fill(&mut buffer[..some])?;
            each(&buffer[..some])?;
            left -= some as u64;
        }
        self.check()
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], UpkeepError> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn number(&mut self) -> Result<u32, UpkeepError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn wide(&mut self) -> Result<u64, UpkeepError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// That all since the last one is what was written.
    fn check(&mut self) -> Result<(), UpkeepError> {
        let sum = std::mem::take(&mut self.sum).finalize();
        let said = self.number()?;
        self.sum = Hasher::new();
        if said == sum { Ok(()) } else { Err(damaged()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(segments: Vec<SegmentCopy>) -> Summary {
        Summary {
            segments,
            last: 9,
            records: 3,
            totals: Totals::default(),
            sinks: vec!["crm".to_owned()],
            paused: Vec::new(),
            sealed_with: None,
        }
    }

    fn copy(number: u32, bytes: &[u8]) -> SegmentCopy {
        SegmentCopy {
            number,
            bytes: bytes.len() as u64,
            crc: crc32fast::hash(bytes),
        }
    }

    fn audit(first: u64, bytes: &[u8]) -> AuditCopy {
        AuditCopy {
            first,
            bytes: bytes.len() as u64,
            crc: crc32fast::hash(bytes),
        }
    }

    #[test]
    fn a_backup_of_a_leadgate_that_kept_no_audit_log_is_read() {
        let mut before = Writer::begin(Vec::new(), StoreId([7; 16])).expect("writes");
        before.to[16..20].copy_from_slice(&WITHOUT_AUDIT.to_le_bytes());
        let crc = crc32fast::hash(&before.to[..36]);
        before.to[36..40].copy_from_slice(&crc.to_le_bytes());
        let end = postcard::to_stdvec(&summary(Vec::new())).expect("writes");
        let length = u32::try_from(end.len()).expect("short").to_le_bytes();
        before
            .bytes(&[&[END], &length[..], &end].concat())
            .expect("writes");
        before.seal().expect("writes");
        let (end, _) = read(&before.to[..], &mut |_| Ok(())).expect("reads");
        assert_eq!((end.summary.last, end.audit), (9, Vec::new()));
    }

    /// Two pieces of segment 2, one of segment 1, which has left since, and segment 3 untold.
    fn written() -> Vec<u8> {
        let mut writer = Writer::begin(Vec::new(), StoreId([7; 16])).expect("writes");
        for (number, offset, bytes) in [(1, 0, "gone"), (2, 0, "one "), (2, 4, "two")] {
            let length = bytes.len() as u64;
            writer.piece(number, offset, length).expect("writes");
            writer.bytes(bytes.as_bytes()).expect("writes");
            writer.seal().expect("writes");
        }
        let segments = vec![copy(2, b"one two"), copy(3, b"elsewhere")];
        writer.audit(4, b"who did what").expect("writes");
        let end = End {
            summary: summary(segments),
            audit: vec![audit(4, b"who did what"), audit(9, b"elsewhere")],
        };
        writer.end(&end).expect("writes")
    }

    #[test]
    fn a_backup_is_read_as_it_was_written() {
        let mut came = BTreeMap::<u32, Vec<u8>>::new();
        let read = read(&written()[..], &mut |part| {
            match part {
                Part::Store(store) => assert_eq!(store, StoreId([7; 16])),
                Part::Bytes(number, bytes) => came.entry(number).or_default().extend(bytes),
                Part::Audit(first, bytes) => {
                    assert_eq!((first, bytes), (4, &b"who did what"[..]));
                }
            }
            Ok(())
        });
        let (End { summary, .. }, missing) = read.expect("reads");
        assert_eq!((summary.last, summary.records), (9, 3));
        assert_eq!(missing.segments, [copy(3, b"elsewhere")]);
        assert_eq!(missing.audit, [audit(9, b"elsewhere")]);
        assert_eq!(came[&2], b"one two");
    }

    #[test]
    fn a_backup_with_any_bit_flipped_or_any_byte_missing_is_refused() {
        let whole = written();
        let reads = |bytes: &[u8]| read(bytes, &mut |_| Ok(())).is_ok();
        assert!(reads(&whole));
        for at in 0..whole.len() {
            for bit in 0..8 {
                let mut bytes = whole.clone();
                bytes[at] ^= 1 << bit;
                assert!(!reads(&bytes), "{at}:{bit}");
            }
            assert!(!reads(&whole[..at]), "{at}");
        }
        assert!(!reads(&[&whole[..], b"x"].concat()));
    }

    #[test]
    fn a_backup_of_before_says_what_to_do() {
        let old = [&MAGIC[..], &1_u32.to_be_bytes(), &[0; 40]].concat();
        let refused = read(&old[..], &mut |_| Ok(()));
        let said = refused.map(drop).expect_err("refused").to_string();
        assert!(
            said.contains("older leadgate") && said.contains("import"),
            "{said}"
        );
    }
}
