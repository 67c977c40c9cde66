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
use crate::lang::{Both, Text};
use crate::outbox::{Delivery, DeliveryId, LeadId, QuarantineId, State, Totals, Verdict};
use crate::seal::SealError;

pub(super) const REPAIR: Both = (
    "`leadgate outbox salvage` rebuilds this",
    "`leadgate outbox salvage` 可重建",
);
pub(super) const RESTORE: Both = (
    "restore a backup, or save the rest with `leadgate outbox salvage`",
    "请恢复备份，或用 `leadgate outbox salvage` 抢救其余部分",
);
const KEY: Both = (
    "add the missing key to outbox.key",
    "请把缺少的密钥加入 outbox.key",
);
const NEWER: Both = (
    "use the newer leadgate that wrote it",
    "请使用写入它的较新版本 leadgate",
);

/// Checks everything.
pub(super) fn survey(reader: &Reader, verdict: &mut Verdict) {
    let mut survey = Survey {
        reader,
        verdict,
        counted: Totals::default(),
        last_lead: None,
    };
    let rooms: [(Both, Check<'_>); 5] = [
        (("deliveries", "投递"), Survey::deliveries),
        (("index entries", "索引项"), Survey::indexes),
        (("leads", "客资"), Survey::leads),
        (("quarantine", "隔离区"), Survey::quarantined_pushes),
        (("counts", "计数"), Survey::totals),
    ];
    for (name, check) in rooms {
        match engine::guarded(|| check(&mut survey)) {
            Ok(Ok(())) => {}
            Ok(Err(fault)) => {
                survey.verdict.problem(page(&fault), name, RESTORE);
            }
            Err(panic) => {
                survey.verdict.problem(page(&panic), name, RESTORE);
            }
        }
    }
}

/// What the store or a panic says of a page stays as it is.
fn page(why: &impl std::fmt::Display) -> Text {
    Text::new(format!("page: {why}"), format!("页：{why}"))
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
    fn bad(&mut self, what: impl Into<Text>, key: &[u8], advice: Both) {
        let key = words(key, &self.reader.sinks);
        self.verdict.problem(what, key, advice);
    }

    fn unreadable(&mut self, error: &Unreadable, key: &[u8]) {
        let advice = match error {
            Unreadable::Sealed(SealError::UnknownKey(_)) => KEY,
            Unreadable::Newer(_) => NEWER,
            _ => RESTORE,
        };
        self.bad(record::in_words(error), key, advice);
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
            self.bad(
                ("a key that is no delivery", "键不属于任何投递"),
                key,
                RESTORE,
            );
            return Ok(());
        };
        let sinks = &self.reader.sinks;
        let known = sinks.by_number.get(&number);
        if known.is_none_or(|sink| *sink.name != *delivery.sink) {
            self.bad(
                (
                    "its sink is another than its key says",
                    "目的地与键所示不符",
                ),
                key,
                REPAIR,
            );
        }
        if group::room_of(&delivery.state) != room {
            self.bad(
                ("it is not where its state belongs", "不在其状态应在之处"),
                key,
                REPAIR,
            );
        }
        for other in [key::WAITING, key::DONE, key::DEAD] {
            if other != room && self.has(&key::delivery(other, number, id))? {
                self.bad(("it is in two places", "同时存在于两处"), key, REPAIR);
            }
        }
        if let State::Waiting { due_at } = delivery.state {
            let queue = key::queue(delivery);
            if !self.has(&key::due(number, queue, due_at, id))? {
                self.bad(
                    (
                        "it waits and is not in the due index",
                        "在等待，但不在到期索引中",
                    ),
                    key,
                    REPAIR,
                );
            }
        }
        let order = key::order(delivery.lead, number, delivery.revision);
        if self.reader.tree.get(order)?.as_deref() != Some(id.0.as_bytes()) {
            self.bad(
                ("the lead's order does not name it", "客资的顺序中没有它"),
                key,
                REPAIR,
            );
        }
        if !self.has(&key::lead(delivery.lead, delivery.revision, 0))? {
            self.bad(("its lead is not there", "其客资不存在"), key, RESTORE);
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
                self.bad(
                    ("no delivery is due then", "该时刻没有到期的投递"),
                    &key,
                    REPAIR,
                );
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
                self.bad(
                    ("it names no delivery of that lead", "所指不是该客资的投递"),
                    &key,
                    REPAIR,
                );
            }
        }
        for entry in self.reader.tree.scan_prefix(b"i").keys() {
            let key = entry?;
            let there = match key::id_after_room(&key).map(LeadId) {
                Some(lead) => self.has_under(&key::lead_revisions(lead))?,
                None => false,
            };
            if !there {
                self.bad(
                    ("it names a lead that is not there", "所指的客资不存在"),
                    &key,
                    REPAIR,
                );
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
                self.bad(
                    ("it has a delivery, or is not there", "它有投递，或不存在"),
                    &key,
                    REPAIR,
                );
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
                self.bad(
                    ("it names what is not there", "所指之物不存在"),
                    &key::entry(&tag, id),
                    REPAIR,
                );
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
            self.bad(
                ("a key that is no lead", "键不属于任何客资"),
                &whole.name,
                RESTORE,
            );
            return Ok(());
        };
        let before = self.last_lead.filter(|(last, _)| *last == id);
        self.verdict.leads += u64::from(before.is_none());
        self.verdict.revisions += 1;
        if revision != before.map_or(0, |(_, number)| number) + 1 {
            self.bad(
                ("an earlier revision is not there", "缺少更早的版本"),
                &whole.name,
                RESTORE,
            );
        }
        self.last_lead = Some((id, revision));
        if !whole.contiguous {
            self.bad(("a part is missing", "缺少一部分"), &whole.name, RESTORE);
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
            self.bad(
                ("its identity does not lead to it", "其身份索引未指向它"),
                &whole.name,
                REPAIR,
            );
        }
        for tag in &lead.finds {
            if !self.names(tag, id.0)? {
                self.bad(
                    (
                        "it cannot be found by one of its values",
                        "无法按它的某个值找到它",
                    ),
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
                self.bad(("a part is missing", "缺少一部分"), &whole.name, RESTORE);
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
                        self.bad(
                            ("its fingerprint is not known", "其指纹未登记"),
                            &whole.name,
                            REPAIR,
                        );
                    }
                }
                Err(error) => self.unreadable(&error, &whole.name),
            }
            Ok(())
        })
    }

    fn totals(&mut self) -> Result<(), Fault> {
        let totals = self.reader.totals()?;
        self.total(("leads", "客资"), totals.leads, self.verdict.leads);
        self.total(
            ("pushes in quarantine", "隔离中的推送"),
            totals.in_quarantine,
            self.verdict.quarantined,
        );
        self.total(
            ("leads that no sink wanted", "没有目的地要的客资"),
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
            for ((en, zh), said, counted) in [
                (("waiting", "等待中"), said.waiting, counted.waiting),
                (("retrying", "重试中"), said.retrying, counted.retrying),
                (("behind", "等待前版"), said.behind, counted.behind),
                (
                    ("dead", "死信"),
                    said.dead_letters(),
                    counted.dead_letters(),
                ),
            ] {
                let what = (
                    format!("{en} deliveries of sink {name}"),
                    format!("目的地 {name} 的{zh}投递"),
                );
                self.total(what, said, counted);
            }
        }
        Ok(())
    }

    fn total(&mut self, what: impl Into<Text>, said: u64, counted: u64) {
        if said != counted {
            let (en, zh) = what.into().both();
            let key = (format!("count of {en}"), format!("{zh}的计数"));
            let advice = if counted < said { RESTORE } else { REPAIR };
            self.verdict.problem(
                (
                    format!("says {said}, there are {counted}"),
                    format!("记为 {said}，实有 {counted}"),
                ),
                key,
                advice,
            );
        }
    }
}

/// Four bytes of a key as a number: a sink's, or a revision.
pub(super) fn sink_at(key: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(key.get(at..at + 4)?.try_into().ok()?))
}
