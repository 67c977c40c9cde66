//! State: what a change does to leads and their deliveries. Pure: data in, data out; no I/O, no
//! threads, no engine.
//!
//! A [`Change`] is what somebody wants. [`State`] looks through a [`View`] at what is, decides,
//! and says what became of it ([`Done`]) and what is different now, as [`Record`]s in order
//! ([`Effects`]). Records are all that an engine needs to keep: whoever applies them in order
//! with [`Lead::apply`] comes to the same leads, at once or after a restart.

mod apply;
mod change;
mod lead;
mod record;
mod view;

pub use change::{Change, Done, NewLead, NewQuarantined};
pub use lead::{Class, DeliveryHead, FailureKey, Lead, Revision};
pub use record::{Details, QuarantineHead, Record, Tag};
pub use view::{Effects, Fault, Ground, Holds, KnownSink, Sinks, View};
