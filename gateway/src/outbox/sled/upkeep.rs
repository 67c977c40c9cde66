//! Upkeep of a store that no daemon has: verify and salvage.
//!
//! A store whose log is damaged is never given to sled: what can be read of it is put into a
//! new store, and that one is looked at.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, RwLock};

use super::backup::build;
use super::index::Index;
use super::list::Reader;
use super::log::Log;
use super::open::{FORMAT, register};
use super::recover::{Recovered, recover};
use super::vault::Vault;
use super::words::words;
use super::{OpenError, closed, engine, judge, key, mark, mend, survey};
use crate::outbox::{Salvaged, Unavailable, UpkeepError, Verdict};
use crate::seal::OutboxKey;

const RESTORE: &str = "restore a backup, or save the rest with `leadgate outbox salvage`";
const REPAIR: &str = "`leadgate outbox salvage` rebuilds this";
const LOST: &str = "what lay there is lost, or stands as it was before: look for ended deliveries that wait \
    again and for leads that were erased";

/// Reads every record of the store in `path` and checks every invariant. Writes nothing that
/// an ordinary start would not write; nothing at all if the log is damaged.
pub fn verify(path: &Path, keys: &[OutboxKey], cache: usize) -> Result<Verdict, UpkeepError> {
    let log = look(path)?;
    let mut verdict = Verdict::default();
    let was_closed = closed::end(path).is_some();
    match engine::open(path, cache) {
        Ok(db) => {
            check(&db, path, keys, &mut verdict)?;
            // Looking must not make the store look as if it had crashed.
            db.flush().map_err(std::io::Error::other)?;
            drop(db);
            if was_closed && !engine::in_use(path) {
                closed::leave(path)?;
            }
        }
        Err(OpenError::Damaged { why, .. }) => {
            // Beside the store, which is private, and gone afterwards.
            let parent = std::path::absolute(path)?;
            let place = tempfile::tempdir_in(parent.parent().unwrap_or(&parent))?;
            build(&place.path().join("store"), |tree| {
                let recovered = recover(&log, tree)?;
                verdict.problem(why, "the store".to_owned(), RESTORE);
                name(&recovered, |what, key| verdict.problem(what, key, RESTORE));
                check(tree, path, keys, &mut verdict)
            })?;
        }
        Err(other) => return Err(refused(&other)),
    }
    Ok(verdict)
}

fn check(
    tree: &::sled::Tree,
    path: &Path,
    keys: &[OutboxKey],
    verdict: &mut Verdict,
) -> Result<(), UpkeepError> {
    if tree.get(key::INDEX_KEY).ok().flatten().is_none() {
        verdict.problem(
            "it is not there",
            words(key::INDEX_KEY, &no_sinks()),
            RESTORE,
        );
    }
    let index = Index::open(tree).map(|(index, _)| index);
    let index = index.unwrap_or_else(|fault| {
        let what = format!("it cannot be read: {fault}");
        verdict.problem(what, "the index".to_owned(), REPAIR);
        Index::empty()
    });
    let reader = reader(tree, keys, index)?;
    if let Ok(totals) = reader.totals()
        && let Some(missing) = mark::missing(path, &totals)
    {
        verdict.problem(
            judge::missing(missing),
            "the newest commits".to_owned(),
            RESTORE,
        );
    }
    survey::survey(&reader, verdict);
    Ok(())
}

/// Puts whatever is whole in the store at `from` into a new one at `to`, indexes and counts
/// made anew. `from` is only read.
pub fn salvage(from: &Path, to: &Path, keys: &[OutboxKey]) -> Result<Salvaged, UpkeepError> {
    let log = look(from)?;
    let mut saved = Salvaged::default();
    build(to, |tree| {
        let recovered = recover(&log, tree)?;
        name(&recovered, |what, key| saved.lose(what, key, LOST));
        tree.insert(key::FORMAT, &FORMAT.to_be_bytes())
            .map_err(|error| Unavailable(error.to_string()))?;
        if tree.get(key::INDEX_KEY).ok().flatten().is_none() {
            saved.lose(
                "a new one was made",
                words(key::INDEX_KEY, &no_sinks()),
                "leads of before are not found by phone, and their re-pushes are taken as new",
            );
        }
        let reader = reader(tree, keys, Index::empty())?;
        let said = mend::mend(&reader, &mut saved).map_err(Unavailable::from)?;
        // The counts found are the newest if they speak of every push that was acknowledged.
        let newest = match mark::read(from) {
            Some(acknowledged) => recovered.pushes >= Some(acknowledged),
            None => recovered.damage.is_empty() && recovered.pushes.is_some(),
        };
        if newest {
            saved.missing_leads = Some(said.saturating_sub(saved.leads));
        } else {
            saved.lose(
                "how many leads are missing is not known",
                "counts".to_owned(),
                LOST,
            );
        }
        Ok(())
    })?;
    Ok(saved)
}

/// The log of a store that nobody has.
fn look(path: &Path) -> Result<Log, UpkeepError> {
    if !path.join("db").exists() {
        return Err(UpkeepError::Invalid(format!(
            "there is no outbox in {}",
            path.display()
        )));
    }
    if engine::in_use(path) {
        return Err(refused(&OpenError::InUse(path.to_owned())));
    }
    Ok(Log::open(path)?)
}

fn reader(tree: &::sled::Tree, keys: &[OutboxKey], index: Index) -> Result<Reader, UpkeepError> {
    let sinks = register(tree, Vec::new()).map_err(|error| Unavailable(error.to_string()))?;
    let vault = Vault::open(tree, keys).map_err(Unavailable::from)?;
    Ok(Reader {
        tree: tree.clone(),
        sinks: Arc::new(sinks),
        vault: Arc::new(vault),
        index: Arc::new(RwLock::new(index)),
    })
}

fn no_sinks() -> super::group::Sinks {
    super::group::Sinks {
        by_name: HashMap::new(),
        by_number: HashMap::new(),
    }
}

/// Names everything that a recovery missed.
fn name(recovered: &Recovered, mut each: impl FnMut(&str, String)) {
    for damage in &recovered.damage {
        each(
            "page: no record can be read there",
            format!("file db, bytes {} to {}", damage.from, damage.to),
        );
    }
    if recovered.strays > 0 {
        each(
            "page: what they belong to is gone",
            format!("{} changes", recovered.strays),
        );
    }
    let sinks = no_sinks();
    for gap in &recovered.gaps {
        let to = if gap.high.is_empty() {
            "the end".to_owned()
        } else {
            words(&gap.high, &sinks)
        };
        let from = words(&gap.low, &sinks);
        each(
            "page: a range of records is gone",
            format!("from {from} to {to}"),
        );
    }
}

fn refused(error: &OpenError) -> UpkeepError {
    UpkeepError::Invalid(error.to_string())
}
