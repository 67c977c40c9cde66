//! leadgate: receives the leads Tmall pushes, keeps each in a durable outbox, and hands
//! it to the merchant's sinks.
//!
//! Modules use only modules further down in this list (`layers` reads it from the sources):
//! `cli` → `daemon` → `console` → `words` → `admin` → `bulk` → `ingress`, `delivery` → `route` → `source`, `plugin`
//! → `outbox` → `telemetry` → `config` → `lead` → `clock`, `lang`, `seal`, `swap`, `terminal`.
#![deny(unsafe_code)]
// They panic when their reader has gone: `cli::out` is the one place that prints.
#![cfg_attr(not(test), warn(clippy::print_stdout, clippy::print_stderr))]

pub mod admin;
pub mod bulk;
pub mod cli;
pub mod clock;
pub mod config;
pub mod console;
pub mod daemon;
pub mod delivery;
pub mod ingress;
pub mod lang;
#[cfg(test)]
mod layers;
pub mod lead;
pub mod outbox;
pub mod plugin;
pub mod route;
pub mod seal;
pub mod source;
pub mod swap;
pub mod telemetry;
pub mod terminal;
mod words;
