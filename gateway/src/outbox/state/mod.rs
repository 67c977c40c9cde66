//! State: what a change does to leads and their deliveries. Pure: data in, data out; no I/O, no
//! threads, no engine.
//!
//! A [`Change`] is what somebody wants. [`State`] looks through a [`View`] at what is, decides,
//! and says what became of it ([`Done`]) and what is different now, as [`Record`]s in order
//! ([`Effects`]). Records are all that an engine needs to keep: whoever applies them in order
//! with [`Lead::apply`] comes to the same leads, at once or after a restart.
//!
//! | file | what it says |
//! |---|---|
//! | `change`, `record`, `lead`, `view` | the words: what goes in, what comes out, what is looked at |
//! | `commit` | [`State`]: the changes of one commit, each seeing those before it, each undone alone |
//! | `pending`, `counts` | what the records of the commit say so far; the totals that follow from them |
//! | `accept`, `deliver` | a push of a lead; its deliveries in the order of its revisions |
//! | `finish`, `repair` | the end of an attempt, a person's decision, and what follows for others |
//! | `quarantine`, `leave` | pushes for a person; what is removed |
//! | `load` | what another store exported, ids and states kept |
//! | `job`, `replay` | bulk jobs and their steps; a stored lead for a sink that a person names |
//! | `sink` | a sink's pause, and what its plugin keeps |
//! | `token` | the tokens of the API |
//! | `failure` | which failures are one group |
//!
//! Invariants: the totals are always those of the records (a recount gives the same); a delivery
//! that is claimed changes only by the end of its attempt; a sink has at most one delivery of a
//! revision of a lead.

mod accept;
mod apply;
mod change;
mod commit;
mod counts;
mod deliver;
mod failure;
mod finish;
mod job;
mod lead;
mod leave;
mod load;
#[cfg(test)]
pub(crate) mod memory;
mod pending;
mod quarantine;
mod record;
mod repair;
mod replay;
mod sink;
#[cfg(test)]
mod tests;
mod token;
mod view;

pub use change::{Change, Done, NewLead, NewQuarantined};
pub use commit::State;
pub use counts::recount;
pub use failure::{NORMALISED, normalise};
pub use lead::{Class, DeliveryHead, FailureKey, Lead, Revision};
pub use record::{Details, QuarantineHead, Record, Tag};
pub use view::{Effects, Fault, Ground, Holds, KnownSink, Sinks, View, known};
