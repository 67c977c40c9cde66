//! Conformance: what every engine promises, as tests that know nothing but the outbox's traits.
//!
//! One file for each promise of the outbox; [`suite`] names them all, and each engine runs them
//! under its own name (`outbox::conformance::sled::accept::…`). An engine takes part with one
//! short file that says how it is opened, how it ends in a crash, and how a test gets at what
//! the traits do not show ([`engine::Engine`]). What is true of an engine's files alone is
//! tested in its own folder.

mod accept;
mod audit;
mod claims;
mod copies;
mod counts;
mod engine;
mod erase;
mod failures;
mod faults;
mod finish;
mod folder;
mod formats;
mod group_commit;
mod jobs;
mod model;
mod operations;
mod order;
mod pushes;
mod retention;
mod sealed;
mod sink_state;
mod sinks;
mod subject;
mod suite;
mod tokens;
mod unrouted;
mod writers;

mod memory;
mod sled;
