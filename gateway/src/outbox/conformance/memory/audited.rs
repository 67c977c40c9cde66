//! The audit log in memory: a list, and where the chain was before its first entry.

use futures_util::FutureExt;

use super::store::{MemoryOutbox, Soon};
use super::{Kept, lock};
use crate::clock::Millis;
use crate::outbox::{
    Audit, AuditBreak, AuditEntry, AuditEvent, AuditFilter, AuditState, Chain, Page, Unavailable,
    UpkeepError,
};

/// The entry before which a page begins.
pub(super) fn before(cursor: &str) -> Option<u64> {
    cursor.parse().ok()
}

impl Kept {
    /// Where the chain is.
    fn end(&self) -> (u64, Chain) {
        let last = self.audit.last();
        last.map_or(self.retired, |last| (last.number, last.chain))
    }

    fn chain(&self, before: Chain, number: u64, event: &AuditEvent) -> Chain {
        let plain = postcard::to_stdvec(event).expect("a plain struct");
        let parts: [&[u8]; 3] = [&number.to_le_bytes(), &before.0, &plain];
        Chain(self.key.hash(6, &parts))
    }
}

impl Audit for MemoryOutbox {
    fn audit_ready(&self) -> Soon<()> {
        std::future::ready(self.0.open()).boxed()
    }

    fn record(&self, event: AuditEvent) -> Soon<u64> {
        let inner = std::sync::Arc::clone(&self.0);
        async move {
            inner.open()?;
            let event = event.bounded();
            let mut kept = lock(&inner.kept);
            let (last, chain) = kept.end();
            let number = last + 1;
            let entry = AuditEntry {
                number,
                chain: kept.chain(chain, number, &event),
                event,
                origin: None,
            };
            kept.audit.push(entry);
            Ok(number)
        }
        .boxed()
    }

    fn audit(
        &self,
        filter: &AuditFilter,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<AuditEntry>, Unavailable> {
        let end = after.and_then(before).unwrap_or(u64::MAX);
        let kept = lock(&self.0.kept);
        let all = kept.audit.iter().rev();
        let mut meant = all.filter(|one| one.number < end && filter.passes(&one.event));
        let items: Vec<_> = meant.by_ref().take(limit).cloned().collect();
        let more = meant.next().is_some();
        let next = items.last().filter(|_| more);
        let next = next.map(|last| last.number.to_string());
        Ok(Page { items, next })
    }

    fn each_audited(
        &self,
        each: &mut dyn FnMut(AuditEntry) -> std::io::Result<()>,
    ) -> Result<(), UpkeepError> {
        let all = lock(&self.0.kept).audit.clone();
        Ok(all.into_iter().try_for_each(each)?)
    }

    fn verify_audit(&self) -> Result<AuditState, Unavailable> {
        let kept = lock(&self.0.kept);
        let (last, chain) = kept.end();
        let mut state = AuditState {
            entries: kept.audit.len() as u64,
            first: kept.retired.0 + 1,
            last,
            chain,
            broken: None,
        };
        let mut before = kept.retired;
        for entry in &kept.audit {
            let at = before.0 + 1;
            if entry.number != at || entry.chain != kept.chain(before.1, at, &entry.event) {
                let why = ("it is not as it was", "与写入时不符").into();
                state.broken.get_or_insert(AuditBreak { at, why });
            }
            before = (entry.number, entry.chain);
        }
        Ok(state)
    }

    fn retire_audit(&self, before: Millis) -> Result<u64, Unavailable> {
        self.0.open()?;
        let mut kept = lock(&self.0.kept);
        let old = kept.audit.iter().take_while(|one| one.event.at < before);
        let count = old.count();
        let last = kept.audit.drain(..count).next_back();
        kept.retired = last.map_or(kept.retired, |last| (last.number, last.chain));
        Ok(count as u64)
    }
}
