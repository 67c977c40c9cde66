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
use super::survey::{REPAIR, RESTORE};
use super::vault::Vault;
use super::words::words;
use super::{OpenError, closed, engine, judge, key, mark, mend, survey};
use crate::lang::{Both, Text, counted};
use crate::outbox::{Salvaged, Unavailable, UpkeepError, Verdict};
use crate::seal::OutboxKey;

const LOST: Both = (
    "what lay there is lost, or stands as it was before: look for ended deliveries that wait \
     again and for leads that were erased",
    "此处的内容已丢失或回到之前的状态：请检查是否有已结束的投递重新等待，以及本已抹除的客资",
);

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
                verdict.problem(Text::plain(why), ("the store", "存储"), RESTORE);
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
            ("it is not there", "不存在"),
            words(key::INDEX_KEY, &no_sinks()),
            RESTORE,
        );
    }
    let index = Index::open(tree).map(|(index, _)| index);
    let index = index.unwrap_or_else(|fault| {
        let what = (
            format!("it cannot be read: {fault}"),
            format!("无法读取：{fault}"),
        );
        verdict.problem(what, ("the index", "索引"), REPAIR);
        Index::empty()
    });
    let reader = reader(tree, keys, index)?;
    if let Ok(totals) = reader.totals()
        && let Some(missing) = mark::missing(path, &totals)
    {
        verdict.problem(
            (
                judge::missing(missing),
                format!("有 {missing} 次已确认的推送不在其中"),
            ),
            ("the newest commits", "最新的提交"),
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
                ("a new one was made", "已新建一个"),
                words(key::INDEX_KEY, &no_sinks()),
                (
                    "leads of before are not found by phone, and their re-pushes are taken as new",
                    "此前的客资无法按手机号找到，再次推送会当作新客资",
                ),
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
                (
                    "how many leads are missing is not known",
                    "缺失多少客资无从得知",
                ),
                ("counts", "计数"),
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
fn name(recovered: &Recovered, mut each: impl FnMut(Both, Text)) {
    for damage in &recovered.damage {
        each(
            (
                "page: no record can be read there",
                "页：此处无法读出任何记录",
            ),
            Text::new(
                format!("file db, bytes {} to {}", damage.from, damage.to),
                format!("文件 db 第 {} 至 {} 字节", damage.from, damage.to),
            ),
        );
    }
    if recovered.strays > 0 {
        each(
            (
                "page: what they belong to is gone",
                "页：它们所属之物已不在",
            ),
            Text::new(
                counted(recovered.strays, "change", "changes"),
                format!("{} 处变更", recovered.strays),
            ),
        );
    }
    let sinks = no_sinks();
    for gap in &recovered.gaps {
        let to = if gap.high.is_empty() {
            Text::new("the end", "末尾")
        } else {
            words(&gap.high, &sinks)
        };
        let (from, to) = (words(&gap.low, &sinks).both(), to.both());
        each(
            ("page: a range of records is gone", "页：一段记录已丢失"),
            Text::new(
                format!("from {} to {}", from.0, to.0),
                format!("从{}到{}", from.1, to.1),
            ),
        );
    }
}

fn refused(error: &OpenError) -> UpkeepError {
    UpkeepError::Invalid(error.to_string())
}
