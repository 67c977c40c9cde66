//! The embedded engine: sled 0.34 as one tree, written by one committer thread.
//!
//! Promises what [`super::Outbox`] promises. Reads go straight to sled from any thread; all writes
//! go through the [`committer`]. Claims are memory ([`claims`]): a delivery in flight is a
//! waiting one on disk, so that a crash repeats it.

mod accept;
mod archive;
mod backup;
mod barrier;
mod claims;
mod closed;
mod committer;
mod due;
mod dump;
mod engine;
mod failures;
mod fault;
mod finish;
mod group;
mod index;
mod job;
mod judge;
mod key;
mod key_file;
mod leave;
mod list;
mod load;
mod log;
mod mark;
mod mend;
mod open;
mod page;
mod record;
mod recover;
mod repair;
mod reseal;
mod restored;
mod shared;
mod sink_state;
mod space;
mod submit;
mod survey;
mod syncer;
mod tap;
mod upkeep;
mod vault;
mod watch;
mod whole;
mod words;
mod writes;

use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, TryFutureExt};
use tokio::sync::{Notify, Semaphore, mpsc};

use self::accept::{EncodedLead, EncodedQuarantinedPush};
pub use self::backup::{check, restore};
use self::index::Tag;
use self::job::Job;
pub use self::key_file::missing_key;
use self::list::Reader;
pub use self::load::adopt;
pub use self::open::{OpenError, Options};
use self::record::{LeadRecord, QuarantineRecord};
use self::shared::Shared;
pub use self::upkeep::{salvage, verify};
use self::vault::Vault;
use super::{
    Accepted, Arrival, BackedUp, Claim, Delivery, DeliveryId, Due, Expiring, ExportHeader,
    Exported, FailureGroup, Filter, Find, Finish, History, Imported, Intake, LeadFilter, LeadId,
    Listed, Maintenance, Operations, Page, Paged, Pause, PauseCause, QuarantineCount, QuarantineId,
    Quarantined, QuarantinedPush, Queue, Refusal, Repair, Repaired, Resealed, Retention, SinkCount,
    StoredLead, StoredQuarantinedPush, Swept, Timekeeping, Totals, Unavailable, UpkeepError,
    Wanted,
};
use crate::clock::{Clock, Millis, SystemClock};

/// A sled store.
pub struct SledOutbox {
    reader: Reader,
    jobs: mpsc::Sender<Job>,
    room: Arc<Semaphore>,
    vault: Arc<Vault>,
    shared: Arc<Shared>,
    /// Of the committer and the syncer, until they are closed.
    threads: Mutex<Vec<JoinHandle<()>>>,
    path: PathBuf,
    /// Keeps the lock on the folder until everything else is gone.
    _db: ::sled::Db,
}

impl Intake for SledOutbox {
    fn accept(&self, arrival: Arrival) -> BoxFuture<'static, Result<Accepted, Refusal>> {
        let lead = self.encode(arrival);
        let unwanted = lead.routes.is_empty();
        let shared = Arc::clone(&self.shared);
        self.arrive(move |group| group.accept(&lead))
            .inspect_ok(move |accepted| {
                if let Accepted::New { lead, .. } = accepted
                    && unwanted
                {
                    shared.note_unrouted(*lead);
                }
            })
            .boxed()
    }

    fn quarantine(
        &self,
        quarantined: QuarantinedPush,
    ) -> BoxFuture<'static, Result<Quarantined, Refusal>> {
        let mut record = QuarantineRecord {
            source: &quarantined.source,
            reason: quarantined.reason,
            received_at: quarantined.received_at,
            request_id: quarantined.request_id.as_deref(),
            query: &quarantined.query,
            content_type: &quarantined.content_type,
            body: &quarantined.body,
            fingerprint: [0; 32],
        };
        let content = record.content(&self.vault);
        record.fingerprint = match quarantined.signature.as_bytes() {
            [] => content,
            signature => self.vault.index(
                FINGERPRINT,
                &[quarantined.source.as_bytes(), b"signature", signature],
            ),
        };
        let encoded = EncodedQuarantinedPush {
            tags: [record.fingerprint, content].map(|hash| key::tag(key::FINGERPRINT, &hash)),
            size: record.size(),
            record: record::seal(&self.vault, key::QUARANTINE, &record),
            source: Arc::clone(&quarantined.source),
            received_at: quarantined.received_at,
            ceiling: quarantined.ceiling,
        };
        self.arrive(move |group| group.quarantine(&encoded))
    }
}

impl Queue for SledOutbox {
    fn claim_some(&self, sink: &str, now: Millis, wanted: Wanted) -> Result<Due, Unavailable> {
        Ok(self.reader.claim(sink, now, wanted, &self.shared.claims)?)
    }

    fn claim_one(&self, sink: &str, id: DeliveryId) -> Result<Option<Claim>, Unavailable> {
        Ok(self.reader.claim_one(sink, id, &self.shared.claims)?)
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
        let sink = sink.to_owned();
        self.write(move |group| group.keep_journal(&sink, id, journal))
    }

    fn finish(&self, finish: Finish) -> BoxFuture<'static, Result<(), Unavailable>> {
        self.write(move |group| group.finish(finish))
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
        Ok(self.reader.oldest(sink)?)
    }

    fn lead(&self, id: LeadId, revision: u32) -> Result<Option<StoredLead>, Unavailable> {
        Ok(self.reader.lead(id, revision)?)
    }

    fn delivery(&self, id: DeliveryId) -> Result<Option<Delivery>, Unavailable> {
        Ok(self.reader.delivery(id)?)
    }

    fn deliveries(
        &self,
        filter: &Filter,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<Listed>, Unavailable> {
        let claims = &self.shared.claims;
        Ok(self.reader.deliveries(filter, after, limit, claims)?)
    }

    fn repair(
        &self,
        id: DeliveryId,
        repair: Repair,
        now: Millis,
    ) -> BoxFuture<'static, Result<Repaired, Unavailable>> {
        self.write(move |group| group.repair(id, repair, now))
    }

    fn find(&self, find: &Find, limit: usize) -> Result<Vec<LeadId>, Unavailable> {
        Ok(self.reader.find(&self.tag(find), limit)?)
    }

    fn leads(
        &self,
        filter: &LeadFilter,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<LeadId>, Unavailable> {
        Ok(self.reader.leads(filter, after, limit)?)
    }

    fn failure_groups(
        &self,
        sink: Option<&str>,
        limit: usize,
    ) -> Result<Vec<FailureGroup>, Unavailable> {
        Ok(self.reader.failure_groups(sink, limit)?)
    }

    fn counts(&self) -> Result<Vec<SinkCount>, Unavailable> {
        Ok(self.reader.counts()?)
    }

    fn history(&self, id: LeadId) -> Result<Option<History>, Unavailable> {
        Ok(self.reader.history(id, &self.shared.claims)?)
    }

    fn erase(&self, id: LeadId) -> BoxFuture<'static, Result<bool, Unavailable>> {
        self.write(move |group| group.erase(id))
    }

    fn quarantined_pushes(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<StoredQuarantinedPush>, Unavailable> {
        Ok(self.reader.quarantined_pushes(after, limit)?)
    }

    fn quarantine_counts(&self) -> Result<Vec<(String, QuarantineCount)>, Unavailable> {
        Ok(self.reader.quarantine_counts()?)
    }

    fn quarantined_push(
        &self,
        id: QuarantineId,
    ) -> Result<Option<StoredQuarantinedPush>, Unavailable> {
        Ok(self.reader.quarantined_push(id)?)
    }

    fn release(
        &self,
        id: QuarantineId,
        arrival: Arrival,
        now: Millis,
    ) -> BoxFuture<'static, Result<Option<Accepted>, Refusal>> {
        // The record keeps when the push came; what is made of it begins now.
        let lead = EncodedLead {
            received_at: now,
            ..self.encode(arrival)
        };
        self.arrive(move |group| {
            if !group.discard(id)? {
                return Ok(None);
            }
            group.accept(&lead).map(Some)
        })
    }

    fn discard(&self, id: QuarantineId) -> BoxFuture<'static, Result<bool, Unavailable>> {
        self.write(move |group| group.discard(id))
    }

    fn pause(
        &self,
        sink: &str,
        cause: Option<PauseCause>,
    ) -> BoxFuture<'static, Result<(), Unavailable>> {
        let name = sink.to_owned();
        let shared = Arc::clone(&self.shared);
        let since = shared.pause_of(sink).map(|pause| pause.since);
        let since = since.unwrap_or_else(|| SystemClock.now());
        let pause = cause.map(|cause| Pause { since, cause });
        let write = self.write({
            let (name, pause) = (name.clone(), pause.clone());
            move |group| {
                let known = group.on.sinks.named(&name)?;
                if let Some(pause) = pause {
                    let pause = pause.encode();
                    group.writes.put(key::paused(&known.name), pause.as_slice());
                } else {
                    group.writes.remove(key::paused(&known.name));
                }
                Ok(())
            }
        });
        async move {
            write.await?;
            shared.set_pause(&name, pause);
            Ok(())
        }
        .boxed()
    }

    fn unrouted(&self, after: Option<&str>, limit: usize) -> Result<Page<LeadId>, Unavailable> {
        Ok(self.reader.unrouted(after, limit)?)
    }

    fn continues(&self, of: Paged<'_>, cursor: &str) -> bool {
        self.reader.continues(of, cursor)
    }
}

impl Maintenance for SledOutbox {
    fn rekey(&self, from: Option<&str>, limit: usize) -> Result<Resealed, Unavailable> {
        let (stale, next) = self.reader.stale(from, limit)?;
        let resealed = stale.len() as u64;
        self.write_and_wait(move |group| stale.iter().try_for_each(|name| group.reseal(name)))?;
        Ok(Resealed { resealed, next })
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
        self.write_backup(to)
    }

    fn time(&self) -> Timekeeping {
        self.shared.time()
    }

    fn keep_time(&self, time: Timekeeping) -> BoxFuture<'static, Result<(), Unavailable>> {
        self.shared.set_time(time);
        self.write(move |group| {
            group.totals.time = time;
            Ok(())
        })
    }

    fn expiring(&self, keep: Retention, until: Millis) -> Result<Expiring, Unavailable> {
        Ok(self.reader.expiring(keep, until)?)
    }

    fn sink_state(&self, sink: &str, key: &str) -> Result<Option<Vec<u8>>, Unavailable> {
        Ok(self.reader.sink_state(sink, key)?)
    }

    fn keep_sink_state(
        &self,
        sink: &str,
        key: &str,
        value: Option<Vec<u8>>,
    ) -> BoxFuture<'static, Result<bool, Unavailable>> {
        let (sink, key) = (sink.to_owned(), key.to_owned());
        self.write(move |group| group.keep_sink_state(&sink, &key, value))
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
            let old = self.reader.old_quarantined(keep, now, limit)?;
            let gone = self.write_each(old, |group, id| Ok(group.discard(id)?.then_some(())))?;
            swept.quarantined = gone.len() as u64;
        }
        let (leads, next) = self.reader.old_leads(keep, now, from, limit)?;
        let gone = self.write_each(leads, move |group, id| group.expire(id, keep, now))?;
        swept.leads = gone.len() as u64;
        swept.dead_letters = gone.iter().sum();
        swept.next = next;
        Ok(swept)
    }

    fn fault(&self) -> Option<String> {
        self.shared.fault().or_else(|| self.shared.hangs())
    }

    fn short_of_space(&self) -> bool {
        self.shared.space.short()
    }

    fn size(&self) -> u64 {
        self.shared.space.size()
    }

    fn free(&self) -> u64 {
        self.shared.space.free()
    }

    fn close(&self) {
        let threads = self.threads.lock();
        let threads = std::mem::take(&mut *threads.unwrap_or_else(PoisonError::into_inner));
        if !threads.is_empty() {
            self.shared.close();
            // The queue may be full: wait for room on a thread that may block.
            let _ = self.jobs.blocking_send(Job::Close);
            let failed = threads.into_iter().filter_map(|thread| thread.join().err());
            let failed = failed.count();
            if failed == 0
                && self.shared.fault().is_none()
                && let Err(error) = closed::leave(&self.path)
            {
                tracing::warn!(error = %error, "outbox was not marked as closed whole");
            }
        }
    }
}

impl Drop for SledOutbox {
    fn drop(&mut self) {
        // Without `close` (a panic, a test) the thread ends by itself once `jobs` is gone.
        self.shared.close();
        let _ = self.jobs.try_send(Job::Close);
    }
}

/// What is hashed for the indexes, so that equal values of different kinds differ.
const IDENTITY: u8 = 1;
const CONTENT: u8 = 2;
const FIND: u8 = 3;
const FINGERPRINT: u8 = 4;

impl SledOutbox {
    fn encode(&self, arrival: Arrival) -> EncodedLead {
        let identity = self.vault.index(IDENTITY, &[&arrival.identity]);
        let finds: Vec<Tag> = arrival.finds.iter().map(|find| self.tag(find)).collect();
        let record = record::seal(
            &self.vault,
            key::LEAD,
            &LeadRecord::of(&arrival, identity, finds.clone()),
        );
        EncodedLead {
            record,
            source: arrival.source,
            identity,
            content: self.vault.index(CONTENT, &[&arrival.content]),
            modified_at: arrival.modified_at,
            received_at: arrival.received_at,
            finds,
            routes: arrival.routes,
        }
    }

    fn tag(&self, find: &Find) -> Tag {
        let hash = self.vault.index(
            FIND,
            &[find.field.as_str().as_bytes(), find.value.as_bytes()],
        );
        key::tag(find.field as u8, &hash)
    }
}

#[cfg(test)]
pub(in crate::outbox) mod tests;
