//! The embedded engine, as it is becoming: a journal that is the only truth, an index on sled
//! that can be thrown away, and files by which leads are found.

pub mod body;
pub mod catalog;
pub mod claims;
pub mod codec;
pub mod due;
pub mod find;
pub mod index;
pub mod indexed;
pub mod journal;
pub mod keys;
pub mod map;
pub mod names;
pub mod place;
pub mod project;
pub mod reader;
pub mod record;

use super::state::Fault;

/// Something in the index is not what was put there.
fn unreadable(what: &str) -> Fault {
    Fault::Record(format!(
        "{what} in the outbox's index cannot be read; stop leadgate and run `leadgate outbox \
         rebuild`"
    ))
}
