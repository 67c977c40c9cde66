//! The survey: every record read, every invariant checked.
//!
//! Reads the tree once, in order, with look-ups to where each entry must lead; memory does not
//! grow with the store. Nothing is changed.

use uuid::Uuid;

use super::fault::Fault;
use super::index::{Entry, Tag};
use super::key::{self, SinkNumber};
use super::list::Reader;
use super::record::{self, IdentityRecord, LeadRecord, QuarantineRecord, Unreadable};
use super::whole::{Whole, gather};
use super::words::words;
use super::{engine, group};
use crate::outbox::{Delivery, DeliveryId, LeadId, QuarantineId, State, Totals, Verdict};
use crate::seal::SealError;

const REPAIR: &str = "`leadgate outbox salvage` rebuilds this";
const RESTORE: &str = "restore a backup, or save the rest with `leadgate outbox salvage`";
const KEY: &str = "add the missing key to outbox.key";

/// Checks everything.
pub(super) fn survey(reader: &Reader, verdict: &mut Verdict) {
    let mut survey = Survey {
        reader,
        verdict,
        counted: Totals::default(),
        last_lead: None,
    };
    let rooms: [(&str, Check<'_>); 5] = [
        ("deliveries", Survey::deliveries),
        ("index entries", Survey::indexes),
        ("leads", Survey::leads),
        ("quarantine", Survey::quarantined_pushes),
        ("counts", Survey::totals),
    ];
    for (name, check) in rooms {
        match engine::guarded(|| check(&mut survey)) {
            Ok(Ok(())) => {}
            Ok(Err(fault)) => {
                survey
                    .verdict
                    .problem(format!("page: {fault}"), name.to_owned(), RESTORE);
            }
            Err(panic) => {
                survey
                    .verdict
                    .problem(format!("page: {panic}"), name.to_owned(), RESTORE);
            }
        }
    }
}

type Check<'a> = fn(&mut Survey<'a>) -> Result<(), Fault>;

struct Survey<'a> {
    reader: &'a Reader,
    verdict: &'a mut Verdict,
    counted: Totals,
    /// The lead whose revisions go by, and the number of the last one.
    last_lead: Option<(LeadId, u32)>,
}

impl Survey<'_> {
    fn bad(&mut self, what: impl Into<String>, key: &[u8], advice: &'static str) {
        let key = words(key, &self.reader.sinks);
        self.verdict.problem(what, key, advice);
    }

    fn unreadable(&mut self, error: &Unreadable, key: &[u8]) {
        let advice = match error {
            Unreadable::Sealed(SealError::UnknownKey(_)) => KEY,
            Unreadable::Newer(_) => "use the newer leadgate that wrote it",
            _ => RESTORE,
        };
        self.bad(error.to_string(), key, advice);
    }

    fn has(&self, key: &[u8]) -> Result<bool, Fault> {
        Ok(self.reader.tree.contains_key(key)?)
    }

    /// Whether the index leads from that tag to that id.
    fn names(&self, tag: &Tag, id: Uuid) -> Result<bool, Fault> {
        let index = self.reader.index();
        index.has(&self.reader.tree, &Entry::new(tag, id))
    }

    fn has_under(&self, prefix: &[u8]) -> Result<bool, Fault> {
        let first = self.reader.tree.scan_prefix(prefix).keys().next();
        Ok(first.transpose()?.is_some())
    }

    fn deliveries(&mut self) -> Result<(), Fault> {
        for room in [key::WAITING, key::DONE, key::DEAD] {
            for entry in self.reader.tree.scan_prefix([room]) {
                let (key, bytes) = entry?;
                match room {
                    key::WAITING => self.verdict.waiting += 1,
                    key::DONE => self.verdict.done += 1,
                    _ => self.verdict.dead += 1,
                }
                match record::open(&self.reader.vault, &bytes) {
                    Ok(delivery) => self.delivery(room, &key, &delivery)?,
                    Err(error) => self.unreadable(&error, &key),
                }
            }
        }
        Ok(())
    }

    fn delivery(&mut self, room: u8, key: &[u8], delivery: &Delivery) -> Result<(), Fault> {
        let (Some(id), Some(number)) = (key::delivery_at_end(key), sink_at(key, 1)) else {
            self.bad("a key that is no delivery", key, RESTORE);
            return Ok(());
        };
        let sinks = &self.reader.sinks;
        let known = sinks.by_number.get(&number);
        if known.is_none_or(|sink| *sink.name != *delivery.sink) {
            self.bad("its sink is another than its key says", key, REPAIR);
        }
        if group::room_of(&delivery.state) != room {
            self.bad("it is not where its state belongs", key, REPAIR);
        }
        for other in [key::WAITING, key::DONE, key::DEAD] {
            if other != room && self.has(&key::delivery(other, number, id))? {
                self.bad("it is in two places", key, REPAIR);
            }
        }
        if let State::Waiting { due_at } = delivery.state {
            let queue = key::queue(delivery);
            if !self.has(&key::due(number, queue, due_at, id))? {
                self.bad("it waits and is not in the due index", key, REPAIR);
            }
        }
        let order = key::order(delivery.lead, number, delivery.revision);
        if self.reader.tree.get(order)?.as_deref() != Some(id.0.as_bytes()) {
            self.bad("the lead's order does not name it", key, REPAIR);
        }
        if !self.has(&key::lead(delivery.lead, delivery.revision, 0))? {
            self.bad("its lead is not there", key, RESTORE);
        }
        let sink = self.counted.sinks.entry(delivery.sink.clone()).or_default();
        group::count(sink, delivery, 1);
        Ok(())
    }

    fn find(&self, room: u8, sink: SinkNumber, id: DeliveryId) -> Result<Option<Delivery>, Fault> {
        let found = self.reader.tree.get(key::delivery(room, sink, id))?;
        // One that cannot be read was reported where it is.
        Ok(found.and_then(|bytes| record::open(&self.reader.vault, &bytes).ok()))
    }

    fn indexes(&mut self) -> Result<(), Fault> {
        for entry in self.reader.tree.scan_prefix(b"q").keys() {
            let key = entry?;
            let due = key::read_due(&key).zip(sink_at(&key, 1));
            let right = match due {
                Some(((queue, at, id), sink)) => {
                    self.find(key::WAITING, sink, id)?.is_some_and(|one| {
                        one.state == State::Waiting { due_at: at } && key::queue(&one) == queue
                    })
                }
                None => false,
            };
            if !right {
                self.bad("no delivery is due then", &key, REPAIR);
            }
        }
        for entry in self.reader.tree.scan_prefix(b"o") {
            let (key, id) = entry?;
            let lead = key::id_after_room(&key).map(LeadId);
            let mut right = false;
            if let (Some((sink, revision)), Ok(id)) = (key::read_order(&key), Uuid::from_slice(&id))
            {
                for room in [key::WAITING, key::DONE, key::DEAD] {
                    if let Some(one) = self.find(room, sink, DeliveryId(id))? {
                        right |= Some(one.lead) == lead && one.revision == revision;
                    }
                }
            }
            if !right {
                self.bad("it names no delivery of that lead", &key, REPAIR);
            }
        }
        for entry in self.reader.tree.scan_prefix(b"i").keys() {
            let key = entry?;
            let there = match key::id_after_room(&key).map(LeadId) {
                Some(lead) => self.has_under(&key::lead_revisions(lead))?,
                None => false,
            };
            if !there {
                self.bad("it names a lead that is not there", &key, REPAIR);
            }
        }
        for entry in self.reader.tree.scan_prefix([key::UNROUTED]).keys() {
            let key = entry?;
            self.counted.unrouted += 1;
            let right = match key::id_after_room(&key).map(LeadId) {
                Some(lead) => {
                    self.has_under(&key::lead_revisions(lead))?
                        && !self.has_under(&key::orders(lead))?
                }
                None => false,
            };
            if !right {
                self.bad("it has a delivery, or is not there", &key, REPAIR);
            }
        }
        let reader = self.reader;
        let index = reader.index();
        for entry in index.all(&reader.tree) {
            let (tag, id) = entry.map(|entry| (entry.tag(), entry.id()))?;
            let named = match tag[0] {
                key::FINGERPRINT => key::quarantine_of(QuarantineId(id)),
                _ => key::lead_revisions(LeadId(id)),
            };
            if !self.has_under(&named)? {
                self.bad("it names what is not there", &key::entry(&tag, id), REPAIR);
            }
        }
        Ok(())
    }

    fn leads(&mut self) -> Result<(), Fault> {
        let reader = self.reader;
        gather(&reader.tree, key::LEAD, |whole| self.lead(&whole))
    }

    fn lead(&mut self, whole: &Whole) -> Result<(), Fault> {
        let id = key::id_after_room(&whole.name).map(LeadId);
        let (Some(id), Some(revision)) = (id, sink_at(&whole.name, 17)) else {
            self.bad("a key that is no lead", &whole.name, RESTORE);
            return Ok(());
        };
        let before = self.last_lead.filter(|(last, _)| *last == id);
        self.verdict.leads += u64::from(before.is_none());
        self.verdict.revisions += 1;
        if revision != before.map_or(0, |(_, number)| number) + 1 {
            self.bad("an earlier revision is not there", &whole.name, RESTORE);
        }
        self.last_lead = Some((id, revision));
        if !whole.contiguous {
            self.bad("a part is missing", &whole.name, RESTORE);
            return Ok(());
        }
        let plain = match self.reader.vault.unseal(key::LEAD, &whole.bytes) {
            Ok(plain) => plain,
            Err(error) => {
                self.unreadable(&error, &whole.name);
                return Ok(());
            }
        };
        let lead: LeadRecord<'_> = match record::decode(&plain) {
            Ok(lead) => lead,
            Err(error) => {
                self.unreadable(&error, &whole.name);
                return Ok(());
            }
        };
        let known = self.reader.tree.get(key::identity(id))?;
        let known = known.and_then(|bytes| IdentityRecord::decode(&bytes).ok());
        let identity = key::tag(key::IDENTITY, &lead.identity);
        if known.is_none_or(|known| known.newest < revision) || !self.names(&identity, id.0)? {
            self.bad("its identity does not lead to it", &whole.name, REPAIR);
        }
        for tag in &lead.finds {
            if !self.names(tag, id.0)? {
                self.bad(
                    "it cannot be found by one of its values",
                    &whole.name,
                    REPAIR,
                );
            }
        }
        Ok(())
    }

    fn quarantined_pushes(&mut self) -> Result<(), Fault> {
        let reader = self.reader;
        gather(&reader.tree, key::QUARANTINE, |whole| {
            self.verdict.quarantined += 1;
            if !whole.contiguous {
                self.bad("a part is missing", &whole.name, RESTORE);
                return Ok(());
            }
            let read = reader.vault.unseal(key::QUARANTINE, &whole.bytes);
            let fingerprint = read.and_then(|plain| {
                let quarantined: QuarantineRecord<'_> = record::decode(&plain)?;
                Ok(quarantined.fingerprint)
            });
            match fingerprint {
                Ok(fingerprint) => {
                    let tag = key::tag(key::FINGERPRINT, &fingerprint);
                    let id = key::id_after_room(&whole.name).unwrap_or_default();
                    if !self.names(&tag, id)? {
                        self.bad("its fingerprint is not known", &whole.name, REPAIR);
                    }
                }
                Err(error) => self.unreadable(&error, &whole.name),
            }
            Ok(())
        })
    }

    fn totals(&mut self) -> Result<(), Fault> {
        let totals = self.reader.totals()?;
        self.total("leads", totals.leads, self.verdict.leads);
        self.total(
            "pushes in quarantine",
            totals.in_quarantine,
            self.verdict.quarantined,
        );
        self.total(
            "leads that no sink wanted",
            totals.unrouted,
            self.counted.unrouted,
        );
        let names: std::collections::BTreeSet<&String> = totals
            .sinks
            .keys()
            .chain(self.counted.sinks.keys())
            .collect();
        let names: Vec<String> = names.into_iter().cloned().collect();
        for name in names {
            let said = totals.sinks.get(&name).cloned().unwrap_or_default();
            let counted = self.counted.sinks.get(&name).cloned().unwrap_or_default();
            for (what, said, counted) in [
                ("waiting", said.waiting, counted.waiting),
                ("retrying", said.retrying, counted.retrying),
                ("behind", said.behind, counted.behind),
                ("dead", said.dead_letters(), counted.dead_letters()),
            ] {
                self.total(&format!("{what} deliveries of sink {name}"), said, counted);
            }
        }
        Ok(())
    }

    fn total(&mut self, what: &str, said: u64, counted: u64) {
        if said != counted {
            let key = format!("count of {what}");
            let advice = if counted < said { RESTORE } else { REPAIR };
            self.verdict
                .problem(format!("says {said}, there are {counted}"), key, advice);
        }
    }
}

/// Four bytes of a key as a number: a sink's, or a revision.
pub(super) fn sink_at(key: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(key.get(at..at + 4)?.try_into().ok()?))
}
