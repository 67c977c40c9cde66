//! The embedded engine, as it is becoming: a journal that is the only truth, an index on sled
//! that can be thrown away, and files by which leads are found.

pub mod body;
pub mod codec;
pub mod find;
pub mod index;
pub mod journal;
pub mod place;
pub mod record;
