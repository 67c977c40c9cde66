//! The journal: the only truth of the store, and all that an answer waits for.
//!
//! Segments are append-only files of frames; a frame is what one group commit wrote, in one
//! call. One thread writes ([`Journal`]), one makes durable ([`Syncing`]), any reads
//! ([`Reader`]). What was made durable is read back or refused with its place, never silently
//! skipped. Knows of entries only those that are about segments.

mod batch;
mod copy;
mod error;
mod files;
mod frame;
mod mark;
mod naming;
mod open;
mod reader;
mod recovery;
mod scan;
mod segment;
mod sync;
mod writer;

#[cfg(test)]
pub(crate) mod power;
#[cfg(test)]
mod tests;

pub use super::codec::SegmentFacts;
pub use batch::Batch;
pub use copy::{Held, frame_behind, path_in};
pub use error::{Damage, JournalError};
pub use files::{Disk, Files, Identity, OpenFile};
pub use frame::Frame;
pub use naming::name;
pub use open::Recovered;
pub use reader::{Reader, salvage};
pub use recovery::Cut;
pub use scan::{Salvage, Salvaged, Scan};
pub use sync::Syncing;
pub use writer::{Appended, Journal, Options};
