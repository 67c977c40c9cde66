//! The embedded engine, as it is becoming: a journal that is the only truth, an index on sled
//! that can be thrown away, and files by which leads are found.

pub mod find;
pub mod place;
