//! The embedded engine: a journal of the store's own that is the only truth, an index on sled
//! that can be thrown away, and files by which leads are found.
//!
//! Promises what [`super::Outbox`] promises. All writes go through the [`committer`], which is
//! told of them as [`crate::outbox::state::Change`]s; reads go to the index and the journal from
//! any thread. Claims are memory ([`claims`]): a delivery in flight is a waiting one on disk, so
//! that a crash repeats it.

mod adopt;
mod audit;
mod backup;
mod bodies;
pub mod body;
mod build;
mod by_hand;
pub mod catalog;
pub mod claims;
mod clean;
pub mod codec;
mod committer;
mod current;
mod defer;
pub mod due;
mod dump;
pub mod find;
pub mod index;
pub mod indexed;
#[cfg(test)]
pub(in crate::outbox) mod inside;
mod job;
pub mod journal;
mod key_file;
pub mod keys;
mod load;
mod lock;
pub mod map;
mod moving;
pub mod names;
mod open;
pub mod place;
pub mod project;
mod publish;
pub mod reader;
mod reads;
mod rebuild;
pub mod record;
mod rekey;
mod restore;
mod shared;
mod snapshot;
mod space;
mod submit;
mod syncer;
mod unreadable;
mod upkeep;
mod vault;
mod view;
mod watch;

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, TryFutureExt};
use tokio::sync::{Notify, Semaphore, mpsc};

pub use self::adopt::adopt;
pub use self::backup::folder::{BackupFolder, Taken};
pub use self::by_hand::forget_index;
use self::clean::Cleaner;
use self::codec::Standing;
use self::job::Job;
pub use self::key_file::missing_key;
pub(crate) use self::lock::in_use;
pub use self::open::{OpenError, Options};
use self::reads::Reads;
pub use self::restore::{check, restore};
use self::shared::Shared;
pub use self::upkeep::{salvage, verify};
use self::vault::Vault;
use super::state::{Change, Done, Fault, NewLead};
use super::{
    Accepted, Arrival, Audit, AuditEntry, AuditEvent, AuditFilter, AuditState, BackedUp, BulkJob,
    BulkPlan, Claim, Delivery, DeliveryId, Due, Erased, Erasure, Expiring, ExportHeader, Exported,
    FailureGroup, Filter, Find, Finish, History, Imported, Intake, JobId, JobStep, LeadFilter,
    LeadId, Listed, Maintenance, Operations, Outline, Page, Paged, Pause, PauseCause,
    QuarantineCount, QuarantineId, Quarantined, QuarantinedPush, Queue, Refusal, Repair, Repaired,
    Resealed, Retention, SegmentCopy, SinkCount, SinkPolicy, Steered, Stepped, Stop, StoredLead,
    StoredQuarantinedPush, Swept, Timekeeping, Token, TokenAdded, TokenId, Tokens, Totals,
    Unavailable, UpkeepError, Wanted,
};
use crate::clock::{Clock, Millis, SystemClock};

/// Leads and pushes that are erased in one frame.
const ERASED_AT_ONCE: usize = 1_000;

/// An embedded store.
pub struct SledOutbox {
    reads: Reads,
    jobs: mpsc::Sender<Job>,
    room: Arc<Semaphore>,
    vault: Arc<Vault>,
    shared: Arc<Shared>,
    standing: Arc<RwLock<Standing>>,
    cleaner: Cleaner,
    audit: audit::Audit,
    sums: backup::Sums,
    /// Until they are closed.
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// Held as long as the store is.
    _lock: lock::Lock,
}

impl Intake for SledOutbox {
    fn accept(&self, arrival: Arrival) -> BoxFuture<'static, Result<Accepted, Refusal>> {
        let lead = self.vault.lead(arrival);
        let unwanted = lead.routes.is_empty();
        let shared = Arc::clone(&self.shared);
        self.arrive(Change::Accept(lead))
            .map_ok(move |done| {
                let accepted = done.accepted();
                if let Accepted::New { lead, .. } = accepted
                    && unwanted
                {
                    shared.note_unrouted(lead);
                }
                accepted
            })
            .boxed()
    }

    fn quarantine(
        &self,
        quarantined: QuarantinedPush,
    ) -> BoxFuture<'static, Result<Quarantined, Refusal>> {
        let push = self.vault.quarantined(&quarantined);
        self.arrive(Change::Quarantine(push))
            .map_ok(Done::quarantined)
            .boxed()
    }
}

impl Queue for SledOutbox {
    fn claim_some(&self, sink: &str, now: Millis, wanted: Wanted) -> Result<Due, Unavailable> {
        let lacked = self.reads.lacks_index();
        let due = self
            .reads
            .ask(|reader| reader.claim_some(sink, now, wanted));
        if !lacked && !self.reads.lacks_index() {
            return due;
        }
        // Nothing more is due until there is an index, which wakes whoever waits; and what could
        // not be read for that is not damaged.
        let mut due = due.unwrap_or_default();
        let unread: Vec<DeliveryId> = due.damaged.drain(..).map(|(id, _)| id).collect();
        self.shared.claims.unclaim(&unread);
        Ok(due)
    }

    fn claim_one(&self, sink: &str, id: DeliveryId) -> Result<Option<Claim>, Unavailable> {
        self.reads.ask(|reader| reader.claim_one(sink, id))
    }

    fn unclaim(&self, _sink: &str, ids: &[DeliveryId]) {
        self.shared.claims.unclaim(ids);
    }

    fn keep(
        &self,
        sink: &str,
        id: DeliveryId,
        journal: String,
    ) -> BoxFuture<'static, Result<(), Unavailable>> {
        let sink = sink.into();
        self.change(Change::Keep { sink, id, journal })
            .map_ok(drop)
            .boxed()
    }

    fn finish(&self, finish: Finish) -> BoxFuture<'static, Result<(), Unavailable>> {
        self.change(Change::Finish(finish)).map_ok(drop).boxed()
    }

    fn arrivals(&self, sink: &str) -> Arc<Notify> {
        self.shared.arrivals(sink)
    }

    fn latest(&self) -> Millis {
        self.shared.latest()
    }

    fn believed(&self, now: Millis) -> Millis {
        self.shared.time().belief.bound(now)
    }

    fn paused(&self, sink: &str) -> bool {
        self.shared.paused(sink)
    }

    fn pause_of(&self, sink: &str) -> Option<Pause> {
        self.shared.pause_of(sink)
    }
}

impl Operations for SledOutbox {
    fn totals(&self) -> Totals {
        self.shared.totals()
    }

    fn oldest(&self, sink: &str) -> Result<Option<Millis>, Unavailable> {
        self.reads.ask(|reader| reader.oldest(sink))
    }

    fn lead(&self, id: LeadId, revision: u32) -> Result<Option<StoredLead>, Unavailable> {
        self.reads.ask(|reader| reader.lead(id, revision))
    }

    fn delivery(&self, id: DeliveryId) -> Result<Option<Delivery>, Unavailable> {
        self.reads.ask(|reader| reader.delivery(id))
    }

    fn deliveries(
        &self,
        filter: &Filter,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<Listed>, Unavailable> {
        self.reads
            .ask(|reader| reader.deliveries(filter, after, limit))
    }

    fn deliveries_each(
        &self,
        filter: &Filter,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<Result<Listed, DeliveryId>>, Unavailable> {
        self.reads
            .ask(|reader| reader.deliveries_each(filter, after, limit))
    }

    fn failure_groups(
        &self,
        sink: Option<&str>,
        limit: usize,
    ) -> Result<Vec<FailureGroup>, Unavailable> {
        self.reads.ask(|reader| reader.failure_groups(sink, limit))
    }

    #[expect(
        clippy::redundant_closure_for_method_calls,
        reason = "the method's path is not general enough in its lifetimes"
    )]
    fn counts(&self) -> Result<Vec<SinkCount>, Unavailable> {
        self.reads.ask(|reader| reader.counts())
    }

    fn repair(
        &self,
        id: DeliveryId,
        repair: Repair,
        now: Millis,
    ) -> BoxFuture<'static, Result<Repaired, Unavailable>> {
        self.change(Change::Repair { id, repair, now })
            .map_ok(Done::repaired)
            .boxed()
    }

    fn find(&self, find: &Find, limit: usize) -> Result<Vec<LeadId>, Unavailable> {
        self.reads
            .ask(|reader| reader.find(&self.vault.tag(find), limit))
    }

    fn leads(
        &self,
        filter: &LeadFilter,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<LeadId>, Unavailable> {
        self.reads.ask(|reader| reader.leads(filter, after, limit))
    }

    fn history(&self, id: LeadId) -> Result<Option<History>, Unavailable> {
        self.reads.ask(|reader| reader.history(id))
    }

    fn erase(&self, what: Erasure) -> BoxFuture<'static, Result<Erased, Unavailable>> {
        let parts = what.parts(ERASED_AT_ONCE).into_iter();
        let changes: Vec<_> = parts.map(|part| self.change(Change::Erase(part))).collect();
        let cleaner = self.cleaner.clone();
        async move {
            let mut erased = Erased::default();
            for (part, change) in changes.into_iter().enumerate() {
                match change.await {
                    Ok(done) => erased.add(done.erased()),
                    Err(error) if part == 0 => return Err(error),
                    // What has gone is said all the same.
                    Err(error) => {
                        erased.broken_off = Some(error.0);
                        break;
                    }
                }
            }
            // Once for all of them.
            let wiped = tokio::task::spawn_blocking(move || cleaner.wipe()).await;
            let wiped = wiped.unwrap_or_else(|error| Err(Unavailable(error.to_string())));
            erased.not_wiped = wiped.err().map(|error| error.0);
            Ok(erased)
        }
        .boxed()
    }

    fn outline(&self, id: LeadId) -> Result<Option<Outline>, Unavailable> {
        self.reads.ask(|reader| reader.outline(id))
    }

    fn quarantined_ids(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<QuarantineId>, Unavailable> {
        self.reads
            .ask(|reader| reader.quarantined_ids(after, limit))
    }

    fn quarantined_pushes(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<StoredQuarantinedPush>, Unavailable> {
        self.reads
            .ask(|reader| reader.quarantined_pushes(after, limit))
    }

    fn quarantine_counts(&self) -> Result<Vec<(String, QuarantineCount)>, Unavailable> {
        let standing = committer::read(&self.standing);
        let counts = standing.quarantine_counts.iter();
        Ok(counts
            .map(|(source, count)| (source.clone(), count.clone()))
            .collect())
    }

    fn quarantined_push(
        &self,
        id: QuarantineId,
    ) -> Result<Option<StoredQuarantinedPush>, Unavailable> {
        self.reads.ask(|reader| reader.quarantined_push(id))
    }

    fn release(
        &self,
        id: QuarantineId,
        arrival: Arrival,
        now: Millis,
    ) -> BoxFuture<'static, Result<Option<Accepted>, Refusal>> {
        // The record keeps when the push came; what is made of it begins now.
        let lead = NewLead {
            now,
            ..self.vault.lead(arrival)
        };
        self.arrive(Change::Release { id, lead })
            .map_ok(Done::released)
            .boxed()
    }

    fn discard(&self, id: QuarantineId) -> BoxFuture<'static, Result<bool, Unavailable>> {
        self.change(Change::Discard(id)).map_ok(Done::did).boxed()
    }

    fn pause(
        &self,
        sink: &str,
        cause: Option<PauseCause>,
    ) -> BoxFuture<'static, Result<(), Unavailable>> {
        let name = sink.to_owned();
        let (shared, standing) = (Arc::clone(&self.shared), Arc::clone(&self.standing));
        let paused = self.change(Change::Pause {
            sink: sink.into(),
            cause,
            now: SystemClock.now(),
        });
        async move {
            paused.await?;
            let standing = committer::read(&standing);
            shared.set_pause(&name, standing.pauses.get(&name).cloned());
            Ok(())
        }
        .boxed()
    }

    fn plan_job(
        &self,
        plan: BulkPlan,
        now: Millis,
    ) -> BoxFuture<'static, Result<Option<JobId>, Unavailable>> {
        self.change(Change::PlanJob { plan, now })
            .map_ok(Done::planned)
            .boxed()
    }

    fn start_job(
        &self,
        id: JobId,
        now: Millis,
    ) -> BoxFuture<'static, Result<Steered, Unavailable>> {
        self.change(Change::StartJob { id, now })
            .map_ok(Done::steered)
            .boxed()
    }

    fn cancel_job(
        &self,
        id: JobId,
        why: Stop,
        now: Millis,
    ) -> BoxFuture<'static, Result<Steered, Unavailable>> {
        self.change(Change::CancelJob { id, why, now })
            .map_ok(Done::steered)
            .boxed()
    }

    fn step_job(
        &self,
        id: JobId,
        step: JobStep<Arrival>,
        now: Millis,
    ) -> BoxFuture<'static, Result<Stepped, Unavailable>> {
        let step = step.map(|arrival| NewLead {
            now,
            ..self.vault.lead(arrival)
        });
        self.change(Change::StepJob { id, step, now })
            .map_ok(Done::stepped)
            .boxed()
    }

    fn jobs(&self) -> Vec<(JobId, BulkJob)> {
        let standing = committer::read(&self.standing);
        let jobs = standing.jobs.iter();
        jobs.map(|(id, job)| (*id, job.clone())).collect()
    }

    fn job(&self, id: JobId) -> Option<BulkJob> {
        let standing = committer::read(&self.standing);
        standing.jobs.get(&id).cloned()
    }

    fn continues(&self, of: Paged<'_>, cursor: &str) -> bool {
        reader::continues(of, cursor)
            || (matches!(of, Paged::Rekey) && cursor.parse::<u32>().is_ok())
            || (matches!(of, Paged::Audit) && audit::continues(cursor))
    }

    fn unrouted(&self, after: Option<&str>, limit: usize) -> Result<Page<LeadId>, Unavailable> {
        self.reads.ask(|reader| reader.unrouted(after, limit))
    }
}

impl Tokens for SledOutbox {
    fn add_token(&self, token: Token) -> BoxFuture<'static, Result<TokenAdded, Unavailable>> {
        self.change(Change::AddToken(token))
            .map_ok(Done::token_added)
            .boxed()
    }

    fn revoke_token(
        &self,
        name: &str,
        now: Millis,
    ) -> BoxFuture<'static, Result<bool, Unavailable>> {
        let name = name.to_owned();
        self.change(Change::RevokeToken { name, now })
            .map_ok(Done::did)
            .boxed()
    }

    fn token_used(&self, id: TokenId, at: Millis) -> BoxFuture<'static, Result<(), Unavailable>> {
        self.change(Change::TokenUsed { id, at })
            .map_ok(drop)
            .boxed()
    }

    fn tokens(&self) -> Vec<(TokenId, Token)> {
        let standing = committer::read(&self.standing);
        standing.tokens.clone().into_iter().collect()
    }
}

impl Maintenance for SledOutbox {
    fn rekey(&self, from: Option<&str>, _: usize) -> Result<Resealed, Unavailable> {
        self.rekey_next(from)
    }

    fn export_header(&self) -> ExportHeader {
        self.header()
    }

    fn dump(
        &self,
        each: &mut dyn FnMut(Exported) -> std::io::Result<()>,
    ) -> Result<(), UpkeepError> {
        self.dump_all(each)
    }

    fn load(&self, some: Vec<Exported>) -> Result<Imported, UpkeepError> {
        self.load_all(some)
    }

    fn backup(&self, to: &mut dyn Write) -> Result<BackedUp, UpkeepError> {
        self.write_backup(&[], to)
    }

    fn backup_beyond(
        &self,
        have: &[SegmentCopy],
        to: &mut dyn Write,
    ) -> Result<BackedUp, UpkeepError> {
        self.write_backup(have, to)
    }

    fn time(&self) -> Timekeeping {
        self.shared.time()
    }

    fn keep_time(&self, time: Timekeeping) -> BoxFuture<'static, Result<(), Unavailable>> {
        self.shared.set_time(time);
        self.change(Change::Time(time)).map_ok(drop).boxed()
    }

    fn expiring(&self, keep: Retention, until: Millis) -> Result<Expiring, Unavailable> {
        self.reads.ask(|reader| reader.expiring(keep, until))
    }

    fn sink_state(&self, sink: &str, key: &str) -> Result<Option<Vec<u8>>, Unavailable> {
        if !self.shared.sinks().contains_key(sink) {
            return Err(Unavailable(format!("sink `{sink}` is not registered")));
        }
        let standing = committer::read(&self.standing);
        let key = (sink.to_owned(), key.to_owned());
        Ok(standing.sink_states.get(&key).cloned())
    }

    fn keep_sink_state(
        &self,
        sink: &str,
        key: &str,
        value: Option<Vec<u8>>,
    ) -> BoxFuture<'static, Result<bool, Unavailable>> {
        let (sink, key) = (sink.into(), key.to_owned());
        self.change(Change::SinkState { sink, key, value })
            .map_ok(Done::did)
            .boxed()
    }

    fn sweep(
        &self,
        keep: Retention,
        now: Millis,
        from: Option<LeadId>,
        limit: usize,
    ) -> Result<Swept, Unavailable> {
        let mut swept = Swept::default();
        if self.shared.time().belief.ahead().is_some() {
            return Ok(swept);
        }
        if from.is_none() {
            // All of them: nothing else would make room for the next ones.
            loop {
                let old = self
                    .reads
                    .ask(|reader| reader.old_quarantined(keep, now, limit))?;
                let full = old.len() >= limit;
                let gone = self.change_each(old.into_iter().map(Change::Discard))?;
                let gone = gone.iter().filter(|done| **done == Done::Did(true));
                let gone = gone.count() as u64;
                swept.quarantined += gone;
                if !full || gone == 0 {
                    break;
                }
            }
        }
        let (leads, next) = self
            .reads
            .ask(|reader| reader.old_leads(keep, now, from, limit))?;
        let expire = |lead| Change::Expire { lead, keep, now };
        for done in self.change_each(leads.into_iter().map(expire))? {
            if let Done::Expired(Some(dead)) = done {
                swept.leads += 1;
                swept.dead_letters += dead;
            }
        }
        swept.next = next;
        Ok(swept)
    }

    fn set_sinks(&self, sinks: Vec<SinkPolicy>) -> BoxFuture<'static, Result<(), Unavailable>> {
        self.own(|promise| Job::Sinks(sinks, promise))
    }

    fn fault(&self) -> Option<String> {
        let fault = self.shared.fault().or_else(|| self.shared.hangs());
        fault.or_else(|| self.shared.making_failed())
    }

    fn short_of_space(&self) -> bool {
        self.shared.space.short()
    }

    fn min_free(&self) -> u64 {
        self.shared.space.floor()
    }

    fn set_min_free(&self, bytes: u64) {
        self.shared.space.set_floor(bytes);
    }

    fn size(&self) -> u64 {
        self.shared.space.size()
    }

    fn free(&self) -> u64 {
        self.shared.space.free()
    }

    fn close(&self) {
        // It tells the journal.
        self.audit.close();
        let threads = self.threads.lock();
        let threads = std::mem::take(&mut *threads.unwrap_or_else(PoisonError::into_inner));
        if !threads.is_empty() {
            self.shared.close();
            // The queue may be full: wait for room on a thread that may block.
            let _ = self.jobs.blocking_send(Job::Close);
            for thread in threads {
                let _ = thread.join();
            }
        }
    }
}

impl Audit for SledOutbox {
    fn audit_ready(&self) -> BoxFuture<'static, Result<(), Unavailable>> {
        if let Some(why) = self.shared.fault().or_else(|| self.shared.hangs()) {
            return std::future::ready(Err(Unavailable(why))).boxed();
        }
        self.audit.ready()
    }

    fn record(&self, event: AuditEvent) -> BoxFuture<'static, Result<u64, Unavailable>> {
        self.audit.record(event)
    }

    fn audit(
        &self,
        filter: &AuditFilter,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<AuditEntry>, Unavailable> {
        let page = self.audit.log().page(filter, after, limit);
        page.map_err(|error| Unavailable(format!("the audit log cannot be read: {error}")))
    }

    fn each_audited(
        &self,
        each: &mut dyn FnMut(AuditEntry) -> std::io::Result<()>,
    ) -> Result<(), UpkeepError> {
        self.audit.log().each(each)
    }

    fn verify_audit(&self) -> Result<AuditState, Unavailable> {
        let state = self.audit.log().verify();
        state.map_err(|error| Unavailable(format!("the audit log cannot be read: {error}")))
    }

    fn retire_audit(&self, before: Millis) -> Result<u64, Unavailable> {
        self.audit.retire(before)
    }
}

impl Drop for SledOutbox {
    fn drop(&mut self) {
        // Without `close` (a panic, a test) the threads end by themselves.
        self.shared.close();
        let _ = self.jobs.try_send(Job::Close);
    }
}

/// Something in the index is not what was put there.
fn unreadable(what: &str) -> Fault {
    Fault::Record(format!(
        "{what} in the outbox's index cannot be read; stop leadgate and run `leadgate outbox \
         rebuild`"
    ))
}

#[cfg(test)]
mod tests;
