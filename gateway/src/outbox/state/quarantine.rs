//! Quarantine: pushes kept for a person, as many of a source as may be, each once.

use super::change::NewQuarantined;
use super::record::{QuarantineHead, Record};
use super::view::Fault;
use crate::outbox::{QuarantineId, Quarantined};

impl super::State<'_> {
    /// Adds a push for a person, unless its like is kept already, or as much as may be.
    pub(super) fn quarantine(&mut self, push: &NewQuarantined) -> Result<Quarantined, Fault> {
        for tag in &push.tags {
            if self.pending.fingerprinted(self.ground.view, tag)? {
                self.counts.totals.duplicate += 1;
                return Ok(Quarantined::Duplicate);
            }
        }
        let view = self.ground.view;
        let mut count = self.pending.quarantine_count(view, &push.source)?;
        let now = push.received_at;
        if count.entries >= push.ceiling.max_entries
            || count.bytes.saturating_add(push.size) > push.ceiling.max_bytes
        {
            if count.not_kept == 0 {
                count.first_not_kept_at = now;
            }
            count.not_kept += 1;
            count.last_not_kept_at = now;
            self.push(Record::QuarantineCount {
                source: push.source.to_string(),
                count,
            });
            return Ok(Quarantined::Full);
        }
        let id = QuarantineId(self.new_id(now));
        let head = QuarantineHead {
            source: push.source.to_string(),
            size: push.size,
            received_at: now,
            tags: push.tags,
        };
        self.set_aside(id, head, push.body.clone())?;
        Ok(Quarantined::New(id))
    }

    /// Stores a quarantined push with its counts.
    pub(super) fn set_aside(
        &mut self,
        id: QuarantineId,
        head: QuarantineHead,
        body: bytes::Bytes,
    ) -> Result<(), Fault> {
        let view = self.ground.view;
        let mut count = self.pending.quarantine_count(view, &head.source)?;
        count.entries += 1;
        count.bytes = count.bytes.saturating_add(head.size);
        let source = head.source.clone();
        self.push(Record::Quarantined { id, head, body });
        self.push(Record::QuarantineCount { source, count });
        Ok(())
    }

    /// Removes a quarantined push with its fingerprint, `erased` or for another reason; `false`
    /// if it is not there.
    pub(super) fn discard(&mut self, id: QuarantineId, erased: bool) -> Result<bool, Fault> {
        let view = self.ground.view;
        let Some(head) = self.pending.quarantined(view, id)? else {
            return Ok(false);
        };
        let mut count = self.pending.quarantine_count(view, &head.source)?;
        count.entries = count.entries.saturating_sub(1);
        count.bytes = count.bytes.saturating_sub(head.size);
        if count.entries == 0 {
            // Everything was looked at: what was only counted is over.
            count.not_kept = 0;
        }
        let source = head.source;
        self.push(Record::QuarantineGone { id, erased });
        self.push(Record::QuarantineCount { source, count });
        Ok(true)
    }
}
