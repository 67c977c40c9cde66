//! Archives: the file of a backup.
//!
//! | bytes | what |
//! |---|---|
//! | 16 | `leadgate backup\n` |
//! | 4 | version of this format, big endian |
//! | | entries: tag, lengths (u32), key, value. Tag 1 puts, 2 removes, 0 ends |
//! | 32 | BLAKE3 of everything before |
//!
//! Entries are to be applied in order. Values are as stored: sealed ones stay sealed.

use std::io::{self, Read, Write};

use crate::outbox::UpkeepError;

const MAGIC: &[u8; 16] = b"leadgate backup\n";
const VERSION: u32 = 1;
const END: u8 = 0;
const PUT: u8 = 1;
const REMOVE: u8 = 2;
/// Longer keys and values do not occur.
const LONGEST: u32 = 16 << 20;

/// Writes one archive.
pub(super) struct Writer<W> {
    to: W,
    hash: blake3::Hasher,
}

impl<W: Write> Writer<W> {
    pub(super) fn new(to: W) -> io::Result<Self> {
        let hash = blake3::Hasher::new();
        let mut writer = Self { to, hash };
        writer.write_all(MAGIC)?;
        writer.write_all(&VERSION.to_be_bytes())?;
        Ok(writer)
    }

    pub(super) fn finish(mut self) -> io::Result<()> {
        self.write_all(&[END])?;
        let hash = self.hash.finalize();
        self.to.write_all(hash.as_bytes())?;
        self.to.flush()
    }
}

impl<W: Write> Write for Writer<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.to.write(bytes)?;
        self.hash.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Writes one entry.
pub(super) fn write_change(
    to: &mut impl Write,
    key: &[u8],
    value: Option<&[u8]>,
) -> io::Result<()> {
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).map_err(io::Error::other);
    to.write_all(&[if value.is_some() { PUT } else { REMOVE }])?;
    to.write_all(&length(key)?.to_be_bytes())?;
    to.write_all(key)?;
    if let Some(value) = value {
        to.write_all(&length(value)?.to_be_bytes())?;
        to.write_all(value)?;
    }
    Ok(())
}

/// Reads a whole archive, gives each entry to `each`, and checks its hash at the end.
pub(super) fn read<R: Read>(
    from: R,
    mut each: impl FnMut(Vec<u8>, Option<Vec<u8>>) -> io::Result<()>,
) -> Result<(), UpkeepError> {
    let mut from = Hashing {
        from,
        hash: blake3::Hasher::new(),
    };
    let invalid = |why: &str| UpkeepError::Invalid(why.to_owned());
    let cut = |error: io::Error| match error.kind() {
        io::ErrorKind::UnexpectedEof => invalid("the backup is cut short; make a new one"),
        _ => UpkeepError::File(error),
    };
    let mut magic = [0; 16];
    from.read_exact(&mut magic).map_err(cut)?;
    if magic != *MAGIC {
        return Err(invalid("the file is not a backup of leadgate"));
    }
    let version = from.number().map_err(cut)?;
    if version != VERSION {
        return Err(UpkeepError::Invalid(format!(
            "the backup has format {version}, this leadgate reads format {VERSION}"
        )));
    }
    loop {
        let mut tag = [0];
        from.read_exact(&mut tag).map_err(cut)?;
        match tag[0] {
            END => break,
            PUT => {
                let key = from.string().map_err(cut)?;
                let value = from.string().map_err(cut)?;
                each(key, Some(value))?;
            }
            REMOVE => each(from.string().map_err(cut)?, None)?,
            _ => return Err(invalid("the backup is damaged")),
        }
    }
    let found = from.hash.finalize();
    let mut said = [0; 32];
    from.from.read_exact(&mut said).map_err(cut)?;
    if found != blake3::Hash::from_bytes(said) {
        return Err(invalid("the backup is damaged: its checksum does not fit"));
    }
    Ok(())
}

struct Hashing<R> {
    from: R,
    hash: blake3::Hasher,
}

impl<R: Read> Hashing<R> {
    fn read_exact(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        self.from.read_exact(bytes)?;
        self.hash.update(bytes);
        Ok(())
    }

    fn number(&mut self) -> io::Result<u32> {
        let mut number = [0; 4];
        self.read_exact(&mut number)?;
        Ok(u32::from_be_bytes(number))
    }

    fn string(&mut self) -> io::Result<Vec<u8>> {
        let length = self.number()?;
        if length > LONGEST {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut bytes = vec![0; length as usize];
        self.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}
