//! Verification: every record read, and everything that is made of them compared with them.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use super::super::audit;
use super::super::codec::{Codec, Standing, Unreadable};
use super::super::current::{self, Catalog};
use super::super::find;
use super::super::index::Change;
use super::super::indexed::Indexed;
use super::super::journal::{self, Disk, Journal, JournalError, Reader};
use super::super::keys;
use super::super::map::Map;
use super::super::open::{self, refusal};
use super::super::rebuild::{self, Failed};
use super::compare::compare;
use super::read::{How, Read};
use super::words::{self, COUNTED, KEY, MADE_ANEW, NEWER, RESTORE, TAMPERED};
use super::{beside, look};
use crate::lang::{Both, Text};
use crate::outbox::state::{Class, Fault, recount};
use crate::outbox::{AuditBreak, SinkTotals, Totals, UpkeepError, Verdict};
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
                return Err(refusal(path, &error).into());
            }
            verdict.problem(error.text(), ("the journal", "日志"), RESTORE);
            (None, 0)
        }
    };
    let reader = journal.as_ref().map(Journal::reader);
    let index = journal
        .as_ref()
        .and_then(|journal| index(path, cache, journal, last, &mut verdict));
    let names = index.as_ref().map(names).transpose()?;
    let read = Read::new(
        &folder,
        keys,
        &beside(path)?,
        &How::All(names.unwrap_or_default()),
    )?;
    let advice = |why: Option<&Unreadable>| match why {
        Some(Unreadable::Sealed(SealError::UnknownKey(_))) => KEY,
        Some(Unreadable::Newer { .. } | Unreadable::Kind(_)) => NEWER,
        _ => RESTORE,
    };
    let more = words::name(&read, advice, |what, key, advice| {
        verdict.problem(what, key, advice);
    });
    verdict.found += more;
    let counted = leads(&read.catalog, &mut verdict)?;
    if read.told {
        totals(&read.standing.totals, &counted, &mut verdict);
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
    audit(path, &read, keys, &mut verdict)?;
    Ok(verdict)
}

/// The audit log must have all that the journal knows of it.
fn audit(
    path: &Path,
    read: &Read,
    keys: &[OutboxKey],
    verdict: &mut Verdict,
) -> Result<(), UpkeepError> {
    if !read.opened {
        // Nobody knows how its entries are linked.
        return Ok(());
    }
    let codec = Arc::new(Codec::new(Keyring::new(keys), read.store));
    let linking = audit::Linking::new(codec, read.standing.index_key.clone());
    let state = audit::verify(&Disk, path, &linking, read.standing.audit)?;
    verdict.audit = state.entries;
    if let Some(AuditBreak { at, why }) = state.broken {
        let key = (
            format!("audit log, entry {at}"),
            format!("审计日志第 {at} 条"),
        );
        verdict.problem(why, key, TAMPERED);
    }
    Ok(())
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
    journal: &Journal,
    last: u64,
    verdict: &mut Verdict,
) -> Option<Arc<Catalog>> {
    let folder = path.join("index");
    if !folder.exists() {
        return None;
    }
    let opened = current::open(&folder, cache, journal.codec().store());
    let catalog = match opened {
        Ok(catalog) => Arc::new(catalog),
        Err(fault) => {
            unusable(&fault, verdict);
            return None;
        }
    };
    match rebuild::catch_up(&catalog, &journal.reader(), &journal.syncing(), last) {
        Ok(()) => return Some(catalog),
        Err(why @ Failed::Stale(_)) => unusable(&why, verdict),
        // What of the journal is in the way is named where that is read.
        Err(why) => tracing::debug!(%why, "the index was not brought up to date"),
    }
    None
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

/// Counts what there is, and checks each lead by itself.
fn leads(catalog: &Catalog, verdict: &mut Verdict) -> Result<Totals, Fault> {
    let mut totals = Totals::default();
    for entry in catalog.leads() {
        let (id, Indexed { lead, .. }) = entry?;
        recount(&mut totals, &lead);
        verdict.revisions += lead.revisions.len() as u64;
        for (number, revision) in (lead.oldest().max(1)..).zip(&lead.revisions) {
            if revision.number != number {
                verdict.problem(
                    ("an earlier revision is not there", "缺少更早的版本"),
                    words::lead(id, Some(revision.number)),
                    RESTORE,
                );
                break;
            }
        }
        for delivery in &lead.deliveries {
            match delivery.class() {
                Class::Pending | Class::Retrying | Class::Behind => verdict.waiting += 1,
                Class::Dead(_) => verdict.dead += 1,
                Class::Delivered | Class::Superseded | Class::Cancelled => verdict.done += 1,
            }
            let mut revisions = lead.revisions.iter();
            if !revisions.any(|one| one.number == delivery.revision) {
                verdict.problem(
                    ("its lead is not there", "其客资不存在"),
                    words::delivery(delivery.id, &delivery.sink),
                    RESTORE,
                );
            }
        }
    }
    for entry in catalog.pushes() {
        entry?;
        totals.in_quarantine += 1;
    }
    (verdict.leads, verdict.quarantined) = (totals.leads, totals.in_quarantine);
    Ok(totals)
}

/// One count of a sink.
type Count = fn(&SinkTotals) -> u64;

/// Names the counts that are not what there is.
fn totals(said: &Totals, counted: &Totals, verdict: &mut Verdict) {
    let mut total = |(en, zh): (String, String), count: &dyn Fn(&Totals) -> u64| {
        let (said, counted) = (count(said), count(counted));
        if said != counted {
            verdict.problem(
                (
                    format!("says {said}, there are {counted}"),
                    format!("记为 {said}，实有 {counted}"),
                ),
                (format!("count of {en}"), format!("{zh}的计数")),
                if counted < said { RESTORE } else { COUNTED },
            );
        }
    };
    let both = |(en, zh): Both| (en.to_owned(), zh.to_owned());
    total(both(("leads", "客资")), &|all| all.leads);
    let aside = ("pushes in quarantine", "隔离中的推送");
    total(both(aside), &|all| all.in_quarantine);
    let unrouted = ("leads that no sink wanted", "没有目的地要的客资");
    total(both(unrouted), &|all| all.unrouted);
    let kinds: [(Both, Count); 4] = [
        (("waiting", "等待中"), |sink| sink.waiting),
        (("retrying", "重试中"), |sink| sink.retrying),
        (("behind", "等待前版"), |sink| sink.behind),
        (("dead", "死信"), SinkTotals::dead_letters),
    ];
    let names: BTreeSet<&String> = said.sinks.keys().chain(counted.sinks.keys()).collect();
    for name in names {
        for ((en, zh), count) in kinds {
            let what = (
                format!("{en} deliveries of sink {name}"),
                format!("目的地 {name} 的{zh}投递"),
            );
            total(what, &|all| all.sinks.get(name).map_or(0, count));
        }
    }
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
