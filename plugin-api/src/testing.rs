//! Testing a sink without a gateway.

pub use crate::sink::{check, create};
