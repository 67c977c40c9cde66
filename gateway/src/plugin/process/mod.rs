//! Processes: plugins whose code runs in processes of their own, so that nothing it does ends
//! this one.
//!
//! [`plugin`] asks what a library is and makes sinks of it; a [`keeper`] keeps one process for
//! each sink, through a [`live`] connection of [`frame`]s; the [`host`] is what runs there.
//! [`voice`] is what it says, on its way into the log.

mod children;
mod fault;
#[doc(hidden)]
pub mod frame;
pub(super) mod host;
mod keeper;
mod link;
mod live;
mod message;
mod own_log;
mod plugin;
mod sink;
#[cfg(test)]
mod tests;
mod voice;
mod wire;

pub use self::children::{Children, Status};
pub use self::plugin::Plugin;
pub use self::sink::Sink;
