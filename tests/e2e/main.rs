//! End to end: the real binary, real ports, real counterparts.
//!
//! Tests marked `ignored` need a counterpart that `tests/run` installs.
#![allow(missing_docs)]

mod commands;
mod delivery;
mod durability;
mod email;
mod faults;
mod hostile;
mod operators;
mod plugins;
mod privacy;
mod receiving;
#[cfg(feature = "all-plugins")]
mod sql;
mod upkeep;
