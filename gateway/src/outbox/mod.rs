//! The outbox: the durable store of leads and deliveries, and the only place where
//! receiving and delivering meet.
//!
//! [`Outbox`] is the seam between the gateway and a storage engine, split by who asks:
//! [`Intake`] is what receiving sees, [`Queue`] delivery, [`Operations`] the operators,
//! [`Tokens`] who lets them in, [`Maintenance`] upkeep, [`Audit`] whoever must answer for what was
//! done. [`state`] says what a change does to leads and deliveries, whatever
//! the engine; [`sled`] is the embedded engine. What an engine promises is written at the
//! traits' methods. Knows nothing of HTTP, routes or plugins.

mod access;
mod arrival;
mod audit;
mod belief;
mod bulk;
#[cfg(test)]
mod conformance;
mod delivery;
mod erasure;
mod export;
mod failure;
mod filter;
mod ids;
mod list;
mod pause;
pub mod sled;
pub mod state;
mod stored;
mod stored_lead;
mod token;
mod totals;
mod upkeep;

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::sync::Notify;

pub use access::{Actor, Role, Via};
pub use arrival::{
    Accepted, Arrival, Find, FindBy, Quarantined, QuarantinedPush, Refusal, Route, Unavailable,
};
pub use audit::{
    AUDIT_TEXT, AuditAction, AuditBreak, AuditEntry, AuditEvent, AuditFilter, AuditResult,
    AuditState, Chain, Origin,
};
pub use belief::{Announced, Belief, DAY, Doubt, Timekeeping};
pub use bulk::{
    BulkAction, BulkJob, BulkPlan, Count, Had, JOBS_KEPT, JobState, JobStep, Population,
    SKIPS_LISTED, STEP, Skip, Skipped, Steered, Stepped, Stop, Target,
};
pub use delivery::{
    ATTEMPTS_KEPT, Attempt, BY_HAND, Budget, Claim, DeathReason, Delivery, Due, Finish, Freshness,
    Repair, Repaired, SinkPolicy, State, StateName, Wanted,
};
pub use erasure::{Erased, Erasure};
pub use export::{
    EXPORT_VERSION, ExportHeader, Exported, ExportedDelivery, ExportedLead,
    ExportedQuarantinedPush, ExportedRevision,
};
pub use failure::{FailureGroup, NotAGroup};
pub use filter::{Filter, LeadFilter, PushFilter};
pub use ids::{DeliveryId, FailureGroupId, JobId, LeadId, QuarantineId, TokenId, made_at};
pub use list::{History, Listed, Outline, OutlinedDelivery, Page, Paged, SinkCount};
pub use pause::{PAUSE_NOTE, Pause, PauseCause};
pub use stored::{Expiring, QuarantineCount, Resealed, Retention, StoredQuarantinedPush, Swept};
pub use stored_lead::StoredLead;
pub use token::{TOKEN_NAME, TOKENS_KEPT, Token, TokenAdded, TokenHash, USE_NOTED};
pub use totals::{Orphaned, SinkTotals, Totals};
pub use upkeep::{
    AuditCopy, BackedUp, Imported, PROBLEMS_LISTED, Problem, Restored, Salvaged, SegmentCopy,
    UpkeepError, Verdict,
};

use crate::clock::Millis;

/// Values that a sink's plugin may keep.
pub const SINK_STATE_KEYS: usize = 16;

/// The side of the store that receiving sees.
pub trait Intake: Send + Sync + 'static {
    /// Stores a lead, its deliveries and its identity in one atomic step. The future is
    /// ready only when all of it is on disk. Never waits for room: a full queue is
    /// [`Refusal::Full`] at once.
    fn accept(&self, arrival: Arrival) -> BoxFuture<'static, Result<Accepted, Refusal>>;

    /// Stores an authentic push that nobody could read, as durably as a lead, unless as much
    /// of its source as may be is there already: then it is counted, as durably.
    fn quarantine(
        &self,
        quarantined: QuarantinedPush,
    ) -> BoxFuture<'static, Result<Quarantined, Refusal>>;
}

/// The side of the store that delivery sees.
pub trait Queue: Send + Sync + 'static {
    /// Claims the next deliveries of `sink` due by `now`, as `wanted`: earliest first for
    /// each source, or newest first, the sources in turn, so that the backlog of one does not
    /// starve another. What is claimed is not given again until it is finished or unclaimed.
    /// Claims are memory: a crash gives them all back. Reads the disk: call it from a blocking
    /// thread.
    fn claim_some(&self, sink: &str, now: Millis, wanted: Wanted) -> Result<Due, Unavailable>;

    /// Claims that delivery, due or not; `None` if it does not wait or someone has it. Reads
    /// the disk.
    fn claim_one(&self, sink: &str, id: DeliveryId) -> Result<Option<Claim>, Unavailable>;

    /// Claims what is fresh, then what is tried again, the oldest first.
    fn claim(&self, sink: &str, now: Millis, limit: usize) -> Result<Due, Unavailable> {
        let wanted = |freshness, limit| Wanted {
            freshness,
            limit,
            newest: false,
        };
        let mut due = self.claim_some(sink, now, wanted(Freshness::Fresh, limit))?;
        let left = limit - due.deliveries.len();
        let again = self.claim_some(sink, now, wanted(Freshness::Again, left))?;
        due.deliveries.extend(again.deliveries);
        due.damaged.extend(again.damaged);
        due.next = due.next.into_iter().chain(again.next).min();
        Ok(due)
    }

    /// Gives claims back that were not attempted.
    fn unclaim(&self, sink: &str, ids: &[DeliveryId]);

    /// Keeps what a plugin wants to know in later attempts of a claimed delivery. It is on disk
    /// when the future is ready. A delivery that does not wait any more is left alone.
    fn keep(
        &self,
        sink: &str,
        id: DeliveryId,
        journal: String,
    ) -> BoxFuture<'static, Result<(), Unavailable>>;

    /// Records how the attempt of a claimed delivery ended and what becomes of it; the claim
    /// ends. When the future is ready, [`Queue::claim`] shows the new state; whether it is on
    /// disk already is not promised, because a repeated attempt is allowed after a crash and
    /// a lost one is not. An error leaves the claim.
    fn finish(&self, finish: Finish) -> BoxFuture<'static, Result<(), Unavailable>>;

    /// Is notified whenever something becomes due for `sink` that was not before.
    fn arrivals(&self, sink: &str) -> Arc<Notify>;

    /// The latest time that was ever written: a clock that shows less was set back.
    fn latest(&self) -> Millis;

    /// The time by which something may have grown old, where the clock shows `now`: less while
    /// the clock is far ahead of what the store has seen. Cheap.
    fn believed(&self, now: Millis) -> Millis {
        now
    }

    /// Whether a sink is paused; cheap. [`Queue::arrivals`] is notified when it changes.
    fn paused(&self, sink: &str) -> bool;

    /// A sink's pause, if it is paused.
    fn pause_of(&self, sink: &str) -> Option<Pause>;
}

/// The side of the store that operators see: what is there, and what they decide about it.
pub trait Operations: Send + Sync + 'static {
    /// Counts since the store was made, kept with every commit; cheap.
    fn totals(&self) -> Totals;

    /// When the oldest waiting delivery of `sink` was made.
    fn oldest(&self, sink: &str) -> Result<Option<Millis>, Unavailable>;

    /// A lead as plugins see it; revision 0 asks for the newest.
    fn lead(&self, id: LeadId, revision: u32) -> Result<Option<StoredLead>, Unavailable>;

    /// One delivery with its attempts.
    fn delivery(&self, id: DeliveryId) -> Result<Option<Delivery>, Unavailable>;

    /// Deliveries that pass all of `filter`, by the time they were made. `after` is the `next`
    /// of the page before, of the same filter. What stays as it is meanwhile is on exactly one
    /// page.
    fn deliveries(
        &self,
        filter: &Filter,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<Listed>, Unavailable>;

    /// The same page; of one of which the attempts cannot be read, its id.
    fn deliveries_each(
        &self,
        filter: &Filter,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<Result<Listed, DeliveryId>>, Unavailable>;

    /// Does what a person decided about a delivery. Durable when the future is ready.
    fn repair(
        &self,
        id: DeliveryId,
        repair: Repair,
        now: Millis,
    ) -> BoxFuture<'static, Result<Repaired, Unavailable>>;

    /// Leads with this value, oldest first, at most `limit`.
    fn find(&self, find: &Find, limit: usize) -> Result<Vec<LeadId>, Unavailable>;

    /// Leads that pass all of `filter`, by the time of their first push.
    fn leads(
        &self,
        filter: &LeadFilter,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<LeadId>, Unavailable>;

    /// The failure groups that anything is in, of one sink or of all, the largest first.
    fn failure_groups(
        &self,
        sink: Option<&str>,
        limit: usize,
    ) -> Result<Vec<FailureGroup>, Unavailable>;

    /// How many deliveries are stored now, by sink, source and state, in that order.
    fn counts(&self) -> Result<Vec<SinkCount>, Unavailable>;

    /// A lead with its revisions and deliveries.
    fn history(&self, id: LeadId) -> Result<Option<History>, Unavailable>;

    /// What is known of a lead without reading what was pushed and how its attempts ended: also
    /// of one of which that cannot be read.
    fn outline(&self, id: LeadId) -> Result<Option<Outline>, Unavailable>;

    /// Removes leads with all that is stored of them, whatever their state, and quarantined
    /// pushes. When the future is ready no file of the store holds any of it, nor of what had
    /// left before, but for what [`Erased`] says. After an error nothing of it is known to be
    /// gone, after a crash some of it may be: the same again, or an erasure of nothing,
    /// finishes it.
    fn erase(&self, what: Erasure) -> BoxFuture<'static, Result<Erased, Unavailable>>;

    /// The ids of quarantined pushes, oldest first: also of those that cannot be read. Its pages
    /// are those of [`Operations::quarantined_pushes`].
    fn quarantined_ids(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<QuarantineId>, Unavailable>;

    /// Quarantined pushes, oldest first.
    fn quarantined_pushes(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<StoredQuarantinedPush>, Unavailable>;

    /// How much of each source is in quarantine, by name.
    fn quarantine_counts(&self) -> Result<Vec<(String, QuarantineCount)>, Unavailable>;

    /// One push kept aside.
    fn quarantined_push(
        &self,
        id: QuarantineId,
    ) -> Result<Option<StoredQuarantinedPush>, Unavailable>;

    /// Takes a push out of quarantine as the lead that a person says it is, in one atomic
    /// step; `None` if it is not there any more. Its deliveries grow old from `now` on.
    fn release(
        &self,
        id: QuarantineId,
        arrival: Arrival,
        now: Millis,
    ) -> BoxFuture<'static, Result<Option<Accepted>, Refusal>>;

    /// Removes a push from quarantine; `false` if it is not there. Its fingerprint goes too.
    fn discard(&self, id: QuarantineId) -> BoxFuture<'static, Result<bool, Unavailable>>;

    /// Pauses a sink for that cause, or resumes it, durably. A pause of one that is paused
    /// keeps the time of the first, and gets the new cause.
    fn pause(
        &self,
        sink: &str,
        cause: Option<PauseCause>,
    ) -> BoxFuture<'static, Result<(), Unavailable>>;

    /// Keeps what a person wants as a job that waits to be started; `None` if [`JOBS_KEPT`]
    /// run. Durable when the future is ready.
    fn plan_job(
        &self,
        plan: BulkPlan,
        now: Millis,
    ) -> BoxFuture<'static, Result<Option<JobId>, Unavailable>>;

    /// Lets a job run, from where it is. Durable when the future is ready.
    fn start_job(&self, id: JobId, now: Millis)
    -> BoxFuture<'static, Result<Steered, Unavailable>>;

    /// Stops a job: no step of it is made any more. Durable when the future is ready.
    fn cancel_job(
        &self,
        id: JobId,
        why: Stop,
        now: Millis,
    ) -> BoxFuture<'static, Result<Steered, Unavailable>>;

    /// Makes a step of a running job, with the progress that it is, in one atomic step; once,
    /// however often it is asked for. Durable when the future is ready. What is erased may be in
    /// files of the store until an [`Operations::erase`] that began later, be it of nothing, is
    /// over.
    fn step_job(
        &self,
        id: JobId,
        step: JobStep<Arrival>,
        now: Millis,
    ) -> BoxFuture<'static, Result<Stepped, Unavailable>>;

    /// All jobs, oldest first. Cheap.
    fn jobs(&self) -> Vec<(JobId, BulkJob)>;

    /// One job. Cheap.
    fn job(&self, id: JobId) -> Option<BulkJob>;

    /// Whether `cursor` can be the `next` of a page of this list. Whatever else comes as a
    /// cursor is a mistake of the caller's, not damage.
    fn continues(&self, of: Paged<'_>, cursor: &str) -> bool;

    /// Leads that no sink ever wanted, newest first.
    fn unrouted(&self, after: Option<&str>, limit: usize) -> Result<Page<LeadId>, Unavailable>;
}

/// The side of the store that knows who may use the API.
pub trait Tokens: Send + Sync + 'static {
    /// Keeps a new token. Durable when the future is ready.
    fn add_token(&self, token: Token) -> BoxFuture<'static, Result<TokenAdded, Unavailable>>;

    /// Lets nobody in by the token of that name any more; `false` if there is none that is not
    /// revoked. Durable, and seen by [`Tokens::tokens`], when the future is ready.
    fn revoke_token(
        &self,
        name: &str,
        now: Millis,
    ) -> BoxFuture<'static, Result<bool, Unavailable>>;

    /// Notes when a token was used, at most once in [`USE_NOTED`].
    fn token_used(&self, id: TokenId, at: Millis) -> BoxFuture<'static, Result<(), Unavailable>>;

    /// All tokens, revoked ones among them, oldest first; at most [`TOKENS_KEPT`]. Cheap.
    fn tokens(&self) -> Vec<(TokenId, Token)>;
}

/// The side of the store that keeps it well: retention, time, copies, keys, health.
pub trait Maintenance: Send + Sync + 'static {
    /// Seals again what is not sealed with the current key, looking at no more than `limit`
    /// records beyond `from`. What was done stays done, so a run that was cut short is simply
    /// begun again. Reads the disk: call it from a blocking thread.
    fn rekey(&self, from: Option<&str>, limit: usize) -> Result<Resealed, Unavailable>;

    /// The first line of an export.
    fn export_header(&self) -> ExportHeader;

    /// Gives everything that is stored to `each`, leads first; ends where that fails. Records
    /// that cannot be read are an error. Reads the disk: call it from a blocking thread.
    fn dump(
        &self,
        each: &mut dyn FnMut(Exported) -> std::io::Result<()>,
    ) -> Result<(), UpkeepError>;

    /// Stores what another store dumped, ids and states kept, but for what is there already.
    /// Durable when it returns. Blocks.
    fn load(&self, some: Vec<Exported>) -> Result<Imported, UpkeepError>;

    /// Writes a backup that only this engine restores: the state at its end, while writing goes
    /// on. Blocks as long as `to` does: call it from a blocking thread.
    fn backup(&self, to: &mut dyn std::io::Write) -> Result<BackedUp, UpkeepError>;

    /// Like [`Maintenance::backup`], but leaves out what an earlier backup has, if this engine
    /// can: the two together are the backup.
    fn backup_beyond(
        &self,
        have: &[SegmentCopy],
        to: &mut dyn std::io::Write,
    ) -> Result<BackedUp, UpkeepError> {
        let _ = have;
        self.backup(to)
    }

    /// What is known of the time. Cheap.
    fn time(&self) -> Timekeeping;

    /// Changes what is known of the time: for readers at once, on disk when the future is
    /// ready; a future that is dropped leaves the disk alone.
    fn keep_time(&self, time: Timekeeping) -> BoxFuture<'static, Result<(), Unavailable>>;

    /// Dead letters and quarantined pushes whose time is over by `until`. Reads the disk.
    fn expiring(&self, keep: Retention, until: Millis) -> Result<Expiring, Unavailable>;

    /// What a sink's plugin keeps under `key`.
    fn sink_state(&self, sink: &str, key: &str) -> Result<Option<Vec<u8>>, Unavailable>;

    /// Keeps a value for a sink's plugin, sealed like a lead, or forgets it. Durable when the
    /// future is ready. `false` if the sink has [`SINK_STATE_KEYS`] others already.
    fn keep_sink_state(
        &self,
        sink: &str,
        key: &str,
        value: Option<Vec<u8>>,
    ) -> BoxFuture<'static, Result<bool, Unavailable>>;

    /// Removes what is over for longer than `keep` says, looking at no more than `limit`
    /// leads from `from` on. Removes nothing while the clock is not believed. Reads the disk:
    /// call it from a blocking thread.
    fn sweep(
        &self,
        keep: Retention,
        now: Millis,
        from: Option<LeadId>,
        limit: usize,
    ) -> Result<Swept, Unavailable>;

    /// From now on these are the sinks that are configured. What came before keeps its
    /// deliveries: those of a sink that is not among them are orphaned, and no more so if it
    /// is again. When the future is ready, every method goes by it.
    fn set_sinks(&self, sinks: Vec<SinkPolicy>) -> BoxFuture<'static, Result<(), Unavailable>>;

    /// Why nothing can be accepted any more, if so.
    fn fault(&self) -> Option<String>;

    /// Why arrivals are refused for now although the store is sound, if so.
    fn short_of_space(&self) -> bool;

    /// Bytes that must be free on its disk for arrivals to be taken.
    fn min_free(&self) -> u64;

    /// From now on so many bytes must be free.
    fn set_min_free(&self, bytes: u64);

    /// Bytes on disk; measured with each commit, cheap.
    fn size(&self) -> u64;

    /// Bytes free on its disk; measured with each commit, cheap.
    fn free(&self) -> u64;

    /// Writes what is queued, stops, and makes all of it durable. Later calls are refused.
    fn close(&self);
}

/// The side of the store that keeps who did what, and who looked at whom.
///
/// What is kept outlives cleaning, erasing and the index, and leaves by a retention of its own.
/// Pushes and deliveries go on where nothing can be kept.
pub trait Audit: Send + Sync + 'static {
    /// Whether an entry can be kept now: tried, not only looked up. To be asked before what must
    /// not be done without one.
    fn audit_ready(&self) -> BoxFuture<'static, Result<(), Unavailable>>;

    /// Keeps an entry; its number once it is on disk. Texts are cut at [`AUDIT_TEXT`].
    fn record(&self, event: AuditEvent) -> BoxFuture<'static, Result<u64, Unavailable>>;

    /// Entries that pass a filter, newest first. `after` is the `next` of the page before. Reads
    /// the disk: call it from a blocking thread.
    fn audit(
        &self,
        filter: &AuditFilter,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<AuditEntry>, Unavailable>;

    /// Gives all entries that can be read to `each`, oldest first; ends where that fails. Reads
    /// the disk.
    fn each_audited(
        &self,
        each: &mut dyn FnMut(AuditEntry) -> std::io::Result<()>,
    ) -> Result<(), UpkeepError>;

    /// Reads all of it, and says where an entry was removed or changed, or an end cut off. Reads
    /// the disk.
    fn verify_audit(&self) -> Result<AuditState, Unavailable>;

    /// Removes what is older than `before`, the oldest first, as far as that can be done in whole
    /// files; gives how many entries left. What left is known to have left on purpose. Blocks.
    fn retire_audit(&self, before: Millis) -> Result<u64, Unavailable>;
}

/// A durable store of leads and deliveries.
pub trait Outbox: Intake + Queue + Operations + Tokens + Maintenance + Audit {}

impl<T: Intake + Queue + Operations + Tokens + Maintenance + Audit> Outbox for T {}
