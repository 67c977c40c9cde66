//! Faults: kills, power cuts, disks that fail, clocks that jump, floods, folders that are
//! damaged.
//!
//! Each test injects one fault into the real binary and asks the same two questions: was
//! anything acknowledged that is not there, and does the daemon say what is wrong? What it
//! counted it says in one line.

mod apart;
mod clock;
mod damage;
mod descriptors;
mod disk;
mod find_files;
mod flood;
mod kills;
mod power_cuts;
mod room;
mod segments;
mod store;
