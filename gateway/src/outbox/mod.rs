//! The outbox: the durable store of leads and deliveries, and the only place where
//! receiving and delivering meet.
//!
//! [`Outbox`] is the seam between the gateway and a storage engine; [`sled`] is the
//! embedded engine. What an engine promises is written at the trait's methods. Knows
//! nothing of HTTP, routes or plugins.

pub mod sled;
mod types;

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::sync::Notify;

pub use types::*;

use crate::clock::Millis;

/// A durable store of leads and deliveries.
pub trait Outbox: Send + Sync + 'static {
    /// Stores a lead, its deliveries and its identity in one atomic step. The future is
    /// ready only when all of it is on disk. Never waits for room: a full queue is
    /// [`Refusal::Full`] at once.
    fn accept(&self, arrival: Arrival) -> BoxFuture<'static, Result<Accepted, Refusal>>;

    /// Stores an authentic push that nobody could read, as durably as a lead.
    fn quarantine(&self, suspect: Suspect) -> BoxFuture<'static, Result<Quarantined, Refusal>>;

    /// Records how an attempt ended and what becomes of its delivery. When the future is
    /// ready, [`Outbox::due`] shows the new state; whether it is on disk already is not
    /// promised, because a repeated attempt is allowed after a crash and a lost one is not.
    fn finish(&self, finish: Finish) -> BoxFuture<'static, Result<(), Unavailable>>;

    /// The next deliveries of `sink` due by `now`, earliest first, at most `limit`, without
    /// those that `skip` names. Reads the disk: call it from a blocking thread.
    fn due(
        &self,
        sink: &str,
        now: Millis,
        limit: usize,
        skip: &dyn Fn(&DeliveryId) -> bool,
    ) -> Result<Due, Unavailable>;

    /// Is notified whenever something becomes due for `sink` that was not before.
    fn arrivals(&self, sink: &str) -> Arc<Notify>;

    /// Counts since the store was made, kept with every commit; cheap.
    fn totals(&self) -> Totals;

    /// When the oldest waiting delivery of `sink` was made.
    fn oldest(&self, sink: &str) -> Result<Option<Millis>, Unavailable>;

    /// A lead as plugins see it; revision 0 asks for the newest.
    fn lead(&self, id: LeadId, revision: u32) -> Result<Option<StoredLead>, Unavailable>;

    /// One delivery with its attempts.
    fn delivery(&self, id: DeliveryId) -> Result<Option<Delivery>, Unavailable>;

    /// Why nothing can be accepted any more, if so.
    fn fault(&self) -> Option<String>;

    /// Bytes on disk.
    fn size(&self) -> u64;

    /// Writes what is queued, stops, and makes all of it durable. Later calls are refused.
    fn close(&self);
}
