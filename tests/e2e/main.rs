//! End to end: the real binary, real ports, real counterparts.
//!
//! Tests marked `ignored` need a counterpart that `tests/run` installs.
#![allow(missing_docs)]

mod access;
#[cfg(feature = "all-plugins")]
mod amqp;
mod audit;
mod book;
mod commands;
mod configuration;
mod connect;
mod crashes;
mod delivery;
mod durability;
mod email;
mod erasing;
mod exec;
mod faults;
mod files;
#[cfg(feature = "all-plugins")]
mod first_party;
mod first_steps;
mod held;
mod hostile;
mod incident;
mod isolation;
#[cfg(feature = "all-plugins")]
mod kafka;
mod kit;
mod languages;
mod log;
mod logins;
mod memory;
#[cfg(feature = "all-plugins")]
mod nats;
mod older_plugins;
mod operators;
mod orphans;
mod output;
mod panics;
mod plugins;
mod privacy;
mod quarantine;
mod receiving;
mod reloads;
mod replays;
mod restarts;
mod said;
mod spreadsheet;
#[cfg(feature = "all-plugins")]
mod sql;
mod steps;
mod stopping;
mod strangers;
mod top;
mod trial;
mod tryton;
mod unrouted;
mod upkeep;
mod walk;
mod wrong_clock;
