//! The leadgate plugin ABI, and the SDK to write a sink in safe Rust.
//!
//! A plugin is a [`Sink`] and one line:
//!
//! ```
//! use leadgate_plugin::{Delivery, Host, Outcome, Problems, Sink};
//!
//! /// Says every lead aloud.
//! struct Crier;
//!
//! #[derive(serde::Deserialize, schemars::JsonSchema)]
//! #[serde(deny_unknown_fields)]
//! struct Settings {}
//!
//! impl Sink for Crier {
//!     type Settings = Settings;
//!     type Parts = Self;
//!
//!     fn prepare(_: &Settings, _: &Host) -> Result<Self, Problems> {
//!         Ok(Self)
//!     }
//!
//!     fn new(parts: Self, _: Host) -> Result<Self, Problems> {
//!         Ok(parts)
//!     }
//!
//!     async fn deliver(&self, delivery: &Delivery) -> Outcome {
//!         println!("a lead came, delivery {}", delivery.id());
//!         Outcome::delivered("said")
//!     }
//! }
//!
//! leadgate_plugin::export_sink!(leadgate_plugin_crier, Crier);
//! # fn main() {}
//! ```
//!
//! Build it with `crate-type = ["cdylib"]`. The [`abi`] is for other languages; with the
//! feature `template` there are minijinja templates and conditions over a lead, with the feature
//! `tls` rustls connections that trust what a merchant named, with the feature `child` programs
//! that are started, watched and sandboxed.
#![deny(unsafe_code)]

/// The book, so that its blocks are compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod book {}

pub mod abi;
#[cfg(feature = "child")]
pub mod child;
mod delivery;
mod event;
#[doc(hidden)]
pub mod export;
mod health;
mod host;
pub mod net;
mod outcome;
pub mod phone;
mod probe;
mod problem;
pub mod quantity;
pub mod redact;
pub mod secret;
mod sink;
pub mod state;
#[cfg(feature = "template")]
pub mod template;
pub mod testing;
#[cfg(feature = "tls")]
pub mod tls;

pub use delivery::Delivery;
pub use event::{Event, EventKind, Lead};
pub use health::Health;
pub use host::{Host, Level, Tables};
pub use outcome::{Outcome, OutcomeKind};
pub use probe::{Probe, Step, Stop};
pub use problem::{Chinese, Problem, Problems, languages, pointer_segment};
pub use quantity::{ByteSize, HumanDuration};
pub use secret::Secret;
pub use sink::Sink;
pub use state::State;

// What a plugin needs of other crates: with these it depends on this one alone. Derives are told
// so by `#[serde(crate = "leadgate_plugin::serde")]` and
// `#[schemars(crate = "leadgate_plugin::schemars")]`.
pub use {schemars, serde, serde_json};

/// Runs what blocks on a thread that may, from [`Sink::deliver`] and [`Sink::connect`]. An attempt
/// that is cancelled does not stop it. A sink of which all blocks sets [`Sink::BLOCKING`] instead.
pub use tokio::task::spawn_blocking;

/// Bytes as lower-case hexadecimal digits.
///
/// ```
/// assert_eq!(leadgate_plugin::hex(&[0x0a, 0xff]), "0aff");
/// ```
pub fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    let digits = digits.map(|half| char::from(b"0123456789abcdef"[usize::from(half)]));
    digits.collect()
}

/// The bytes that [`hex`] wrote; `None` for what is not pairs of hexadecimal digits.
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let pairs = (0..text.len()).step_by(2);
    pairs
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok())
        .collect()
}
