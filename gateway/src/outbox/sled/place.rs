//! A place: where a record's bytes lie in the journal.

use serde::{Deserialize, Serialize};

/// One record's bytes, its header included.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Place {
    /// Number of the segment.
    pub segment: u32,
    /// First byte, from the start of the file.
    pub offset: u32,
    /// How many bytes.
    pub length: u32,
}
