//! The head of a file: what it begins with before the first lead.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use crate::csv::BOM;

/// A byte order mark, or not, and the header line of a CSV file; nothing for lines of JSON.
#[derive(Debug, Default)]
pub(crate) struct Head {
    bytes: Vec<u8>,
    header: Vec<u8>,
}

/// What a file that is there begins with.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// The same header.
    Same,
    /// A part of it and nothing else: a crash came in between.
    Torn,
    /// Something else, such as other columns.
    Other,
}

impl Head {
    pub(crate) fn new(header: &[u8], bom: bool) -> Self {
        let bom = if bom { BOM } else { &[] };
        Self {
            bytes: [bom, header].concat(),
            header: header.to_owned(),
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Looks at a file that is not empty. A byte order mark more or less is no difference.
    pub(crate) fn find(&self, file: &mut File) -> io::Result<Found> {
        let most = BOM.len() + self.header.len();
        let mut start = Vec::with_capacity(most);
        file.seek(SeekFrom::Start(0))?;
        file.take(most as u64).read_to_end(&mut start)?;
        let text = start.strip_prefix(BOM).unwrap_or(&start);
        Ok(if text.starts_with(&self.header) {
            Found::Same
        } else if self.header.starts_with(text) || BOM.starts_with(&start) {
            Found::Torn
        } else {
            Found::Other
        })
    }
}
