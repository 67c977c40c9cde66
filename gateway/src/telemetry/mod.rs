//! Logs and metrics: how leadgate is watched. Never carries personal data or a secret.

pub mod accept;
pub mod log;
#[cfg(test)]
pub(crate) mod logged;
pub mod metrics;
pub mod panics;
pub mod pushes;
pub mod signed;
pub mod summary;
mod writer;
