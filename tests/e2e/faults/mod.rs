//! Faults: kills, power cuts, disks that fail, clocks that jump, folders that are damaged.
//!
//! Each test injects one fault into the real binary and asks the same two questions: was
//! anything acknowledged that is not there, and does the daemon say what is wrong?

mod clock;
mod damage;
mod descriptors;
mod disk;
mod kills;
mod power_cuts;
mod store;
