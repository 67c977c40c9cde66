//! The checked configuration: what the rest of the gateway is built from.
//!
//! [`model`] holds the types. Values here are valid, secrets are resolved, names exist.

pub mod model;

pub use model::*;
