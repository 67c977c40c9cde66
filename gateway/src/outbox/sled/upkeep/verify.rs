//! Verification: every record read, and everything that is made of them compared with them.

use std::path::Path;
use std::sync::Arc;

use super::super::codec::{Standing, Unreadable};
use super::super::current::{self, Catalog};
use super::super::find;
use super::super::index::Change;
use super::super::indexed::{Indexed, decode};
use super::super::journal::{self, Disk, Journal, JournalError, Reader};
use super::super::keys;
use super::super::map::Map;
use super::super::open::{self, refusal};
use super::super::project::numbers;
use super::super::rebuild::Replay;
use super::compare::compare;
use super::read::{Read, failed};
use super::words::{self, COUNTED, KEY, MADE_ANEW, NEWER, RESTORE};
use super::{beside, look, refused};
use crate::lang::{Both, Text};
use crate::outbox::state::{Class, Fault};
use crate::outbox::{LeadId, SinkTotals, Totals, UpkeepError, Verdict};
use crate::seal::{IndexKey, Keyring, OutboxKey, SealError};

/// Reads every record of the store in `path` and checks all that is made of them. Writes
/// nothing that an ordinary start would not write; nothing at all if the journal is damaged.
pub fn verify(path: &Path, keys: &[OutboxKey], cache: usize) -> Result<Verdict, UpkeepError> {
    let _lock = look(path)?;
    let mut verdict = Verdict::default();
    let folder = path.join("journal");
    let fresh = || Standing::new(IndexKey::generate());
    let opened = Journal::open(
        Arc::new(Disk),
        &folder,
        Keyring::new(keys),
        journal::Options::default(),
        fresh,
    );
    let (journal, last) = match opened {
        Ok((journal, recovered)) => (Some(journal), recovered.last_sequence),
        Err(error) => {
            if !may_be_damage(&error) {
                return Err(refused(&refusal(path, &error)));
            }
            verdict.problem(error.text(), ("the journal", "日志"), RESTORE);
            (None, 0)
        }
    };
    let reader = journal.as_ref().map(Journal::reader);
    let index = reader
        .as_ref()
        .and_then(|reader| index(path, cache, reader, last, &mut verdict));
    let names = index.as_ref().map(names).transpose().map_err(failed)?;
    let read = Read::all(&folder, keys, names.unwrap_or_default(), &beside(path)?)?;
    name(&read, &mut verdict);
    leads(&read.catalog, &mut verdict).map_err(failed)?;
    if read.told {
        totals(&read.standing.totals, &read.catalog, &mut verdict).map_err(failed)?;
    }
    if read.is_whole()
        && let Some(index) = &index
    {
        let compared = index.index.scrub().map_err(Fault::from);
        if let Err(fault) = compared.and_then(|()| compare(index, &read.catalog, &mut verdict)) {
            unusable(&fault, &mut verdict);
        }
    }
    if let Some(reader) = &reader {
        finds(&folder, reader, &mut verdict);
    }
    if let Some(index) = index {
        index.index.close();
    }
    Ok(verdict)
}

/// Whether reading on may say more. Else nothing can be read at all, or another leadgate can.
fn may_be_damage(error: &JournalError) -> bool {
    match error {
        JournalError::Unreadable { why, .. } => {
            !matches!(why, Unreadable::Sealed(SealError::UnknownKey(_)))
        }
        JournalError::Foreign { .. } | JournalError::Stray { .. } => true,
        other => other.is_damage(),
    }
}

/// The store's index, up to date as at a start; nothing if there is none or it is of no use.
fn index(
    path: &Path,
    cache: usize,
    reader: &Arc<Reader>,
    last: u64,
    verdict: &mut Verdict,
) -> Option<Arc<Catalog>> {
    let folder = path.join("index");
    if !folder.exists() {
        return None;
    }
    let opened = current::open(&folder, cache, reader.codec().store());
    let catalog = match opened {
        Ok(catalog) => Arc::new(catalog),
        Err(fault) => {
            unusable(&fault, verdict);
            return None;
        }
    };
    let applied = catalog.index.applied();
    if applied > last {
        unusable(&"it is ahead of the journal", verdict);
        return None;
    }
    if !open::covers(reader, applied + 1, last) {
        unusable(&"it is older than what the journal still has", verdict);
        return None;
    }
    let mut replay = Replay::new(Arc::clone(&catalog), Arc::clone(reader.codec()));
    if let Err(why) = replay.up_to(reader, last) {
        // What of the journal is in the way is named where that is read.
        tracing::debug!(%why, "the index was not brought up to date");
        return None;
    }
    Some(catalog)
}

fn unusable(why: &dyn std::fmt::Display, verdict: &mut Verdict) {
    let what = Text::new(
        format!("it cannot be used: {why}"),
        format!("无法使用：{why}"),
    );
    verdict.problem(what, ("the index", "索引"), MADE_ANEW);
}

/// The numbers of sinks and sources in an index.
fn names(index: &Arc<Catalog>) -> Result<Vec<Change>, Fault> {
    let mut names = Vec::new();
    for room in [keys::SINK, keys::SOURCE] {
        for entry in index.index.prefixed(&[room]) {
            let (key, value) = entry?;
            names.push(Change {
                key,
                old: None,
                new: Some(value),
            });
        }
    }
    Ok(names)
}

/// Names all that is missing, or cannot be read.
fn name(read: &Read, verdict: &mut Verdict) {
    for gap in &read.gaps {
        verdict.problem(words::missing(gap), words::gap(gap), RESTORE);
    }
    for (number, why) in &read.refused {
        let key = Text::plain(journal::name(*number));
        verdict.problem(why.text(), key, RESTORE);
    }
    let (all, first) = &read.unreadable;
    for (place, why) in first {
        let advice = match why {
            Unreadable::Sealed(SealError::UnknownKey(_)) => KEY,
            Unreadable::Newer { .. } | Unreadable::Kind(_) => NEWER,
            _ => RESTORE,
        };
        verdict.problem(why.text(), words::place(*place), advice);
    }
    verdict.found += all - first.len() as u64;
}

/// Counts what there is, and checks each lead by itself.
fn leads(catalog: &Catalog, verdict: &mut Verdict) -> Result<(), Fault> {
    for entry in catalog.index.prefixed(&[keys::LEAD]) {
        let (key, value) = entry?;
        let lead: Indexed = decode(&value)?;
        let id = LeadId(keys::id_at_end(&key).unwrap_or_default());
        verdict.leads += 1;
        verdict.revisions += lead.lead.revisions.len() as u64;
        for (number, revision) in (lead.lead.oldest().max(1)..).zip(&lead.lead.revisions) {
            if revision.number != number {
                verdict.problem(
                    ("an earlier revision is not there", "缺少更早的版本"),
                    words::lead(id, Some(revision.number)),
                    RESTORE,
                );
                break;
            }
        }
        for delivery in &lead.lead.deliveries {
            match delivery.class() {
                Class::Pending | Class::Retrying | Class::Behind => verdict.waiting += 1,
                Class::Dead(_) => verdict.dead += 1,
                Class::Delivered | Class::Superseded | Class::Cancelled => verdict.done += 1,
            }
            let mut revisions = lead.lead.revisions.iter();
            if !revisions.any(|one| one.number == delivery.revision) {
                verdict.problem(
                    ("its lead is not there", "其客资不存在"),
                    words::delivery(delivery.id, &delivery.sink),
                    RESTORE,
                );
            }
        }
    }
    for entry in catalog.index.prefixed(&[keys::QUARANTINED]) {
        entry?;
        verdict.quarantined += 1;
    }
    Ok(())
}

/// What is there now, as far as the totals say it.
pub(super) fn counted(catalog: &Catalog) -> Result<Totals, Fault> {
    let mut totals = Totals::default();
    for (room, count) in [
        (keys::LEAD, &mut totals.leads),
        (keys::UNROUTED, &mut totals.unrouted),
        (keys::QUARANTINED, &mut totals.in_quarantine),
    ] {
        for entry in catalog.index.prefixed(&[room]) {
            entry?;
            *count += 1;
        }
    }
    for entry in catalog.index.prefixed(&[keys::COUNT]) {
        let (key, value) = entry?;
        let number = numbers(&value).first().copied().unwrap_or(0);
        let Some((sink, _, class)) = keys::read_count(&key) else {
            continue;
        };
        let name = catalog.names.sinks.name(sink);
        let name = name.map_or_else(|| format!("#{sink}"), |name| name.to_string());
        let sink = totals.sinks.entry(name).or_default();
        match class {
            Class::Pending => sink.waiting += number,
            Class::Retrying => {
                sink.waiting += number;
                sink.retrying += number;
            }
            Class::Behind => {
                sink.waiting += number;
                sink.behind += number;
            }
            Class::Dead(reason) => *sink.dead.entry(reason).or_default() += number,
            Class::Delivered | Class::Superseded | Class::Cancelled => {}
        }
    }
    Ok(totals)
}

fn totals(said: &Totals, catalog: &Catalog, verdict: &mut Verdict) -> Result<(), Fault> {
    let counted = counted(catalog)?;
    let mut total = |what: Text, said: u64, counted: u64| {
        if said != counted {
            let (en, zh) = what.both();
            let advice = if counted < said { RESTORE } else { COUNTED };
            verdict.problem(
                (
                    format!("says {said}, there are {counted}"),
                    format!("记为 {said}，实有 {counted}"),
                ),
                (format!("count of {en}"), format!("{zh}的计数")),
                advice,
            );
        }
    };
    for (what, said, counted) in [
        (("leads", "客资"), said.leads, counted.leads),
        (
            ("pushes in quarantine", "隔离中的推送"),
            said.in_quarantine,
            counted.in_quarantine,
        ),
        (
            ("leads that no sink wanted", "没有目的地要的客资"),
            said.unrouted,
            counted.unrouted,
        ),
    ] {
        total(what.into(), said, counted);
    }
    let nothing = SinkTotals::default();
    let names: std::collections::BTreeSet<&String> =
        said.sinks.keys().chain(counted.sinks.keys()).collect();
    for name in names {
        let of = |totals: &'_ Totals| totals.sinks.get(name).cloned();
        let said = of(said).unwrap_or_else(|| nothing.clone());
        let counted = of(&counted).unwrap_or_else(|| nothing.clone());
        let kinds: [(Both, u64, u64); 4] = [
            (("waiting", "等待中"), said.waiting, counted.waiting),
            (("retrying", "重试中"), said.retrying, counted.retrying),
            (("behind", "等待前版"), said.behind, counted.behind),
            (
                ("dead", "死信"),
                said.dead_letters(),
                counted.dead_letters(),
            ),
        ];
        for ((en, zh), said, counted) in kinds {
            let what = Text::new(
                format!("{en} deliveries of sink {name}"),
                format!("目的地 {name} 的{zh}投递"),
            );
            total(what, said, counted);
        }
    }
    Ok(())
}

/// Find files that are there must have what their segments have. One that is not there is made.
fn finds(folder: &Path, reader: &Arc<Reader>, verdict: &mut Verdict) {
    for facts in reader.facts() {
        // A segment that cannot be read was named already.
        let Ok(tags) = open::tags(reader, facts.number) else {
            continue;
        };
        let Err(why) = find::check(folder, facts.number, &tags) else {
            continue;
        };
        if why.kind() != std::io::ErrorKind::NotFound {
            let what = Text::new(
                format!("it cannot be used: {why}"),
                format!("无法使用：{why}"),
            );
            let key = Text::plain(format!("{:08}.find", facts.number));
            verdict.problem(what, key, MADE_ANEW);
        }
    }
}
