//! Whole records: the parts of one in order, gathered while keys go by.

use super::fault::Fault;
use super::record::Unreadable;

/// A record gathered from its parts.
pub(super) struct Whole {
    /// The key without the part.
    pub(super) name: Vec<u8>,
    pub(super) bytes: Vec<u8>,
    /// Whether no part was missing before the last one.
    pub(super) contiguous: bool,
}

/// Gathers the records of one room, `l` or `u`, one after the other.
pub(super) fn gather(
    tree: &::sled::Tree,
    room: u8,
    mut each: impl FnMut(Whole) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let length = if room == super::key::LEAD { 21 } else { 17 };
    let mut open: Option<(Whole, u16)> = None;
    for entry in tree.scan_prefix([room]) {
        let (key, bytes) = entry?;
        let name = key.get(..length).ok_or(Unreadable::Damaged)?;
        let part = key.get(length..).and_then(|part| part.try_into().ok());
        let part = part.map(u16::from_be_bytes).ok_or(Unreadable::Damaged)?;
        match &mut open {
            Some((whole, next)) if whole.name == name => {
                whole.contiguous &= part == *next;
                whole.bytes.extend_from_slice(&bytes);
                *next = part.saturating_add(1);
            }
            _ => {
                if let Some((whole, _)) = open.take() {
                    each(whole)?;
                }
                let whole = Whole {
                    name: name.to_vec(),
                    bytes: bytes.to_vec(),
                    contiguous: part == 0,
                };
                open = Some((whole, part.saturating_add(1)));
            }
        }
    }
    open.map_or(Ok(()), |(whole, _)| each(whole))
}
