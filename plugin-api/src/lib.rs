//! The leadgate plugin ABI, and the SDK to write a sink in safe Rust.

pub mod abi;
pub mod secret;

pub use secret::Secret;
