//! The judge: whether sled may be given a log that cannot be read everywhere.
//!
//! What was written before a moment that is known to be on disk can only be damaged by the
//! disk. Behind the latest such moment a crash may have torn anything, in any order: nobody
//! was told of it, and sled takes the log up to the first tear.
//!
//! A crash may also tear a free segment that was about to be used again. What such a segment
//! held stands elsewhere by then.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use super::log::{Damage, Kind, Log, Message};
use super::page::{Change, Leaf, Range};
use super::{closed, key, mark, record};
use crate::outbox::Totals;

/// Most by which sled's own idea of the end lies behind the last message.
const ROUNDED: u64 = 32;

/// Why sled must not open the store, if so.
pub(super) fn refusal(folder: &Path) -> io::Result<Option<String>> {
    let log = Log::open(folder)?;
    let end = closed::end(folder);
    let mut acknowledged = Acknowledged::up_to(mark::read(folder).unwrap_or(0));
    let found = log.read(|message| {
        if end.is_none() {
            acknowledged.see(message);
        }
        Ok(())
    })?;
    let mut damage = found.damage;
    let whole_until = match end {
        Some(end) => end,
        None if acknowledged.missing() > 0 => {
            return Ok(Some(missing(acknowledged.missing())));
        }
        None => acknowledged.until.max(opened(folder)?),
    };
    if end != Some(found.end) {
        damage.retain(|one| one.written < whole_until);
        drop_superseded(&log, &mut damage)?;
    }
    Ok(match damage.first() {
        Some(first) => Some(format!(
            "{} places in its file `db` cannot be read, the first at byte {}",
            damage.len(),
            first.from
        )),
        None if found.end + ROUNDED < whole_until => {
            Some("the newest part of its file `db` cannot be read".to_owned())
        }
        None => None,
    })
}

/// What is said of pushes that a store has lost.
pub(super) fn missing(pushes: u64) -> String {
    format!("{pushes} pushes that were acknowledged are not in it any more")
}

/// Where the log ended when sled opened it last: the name of its snapshot says so. All before
/// was put on disk then.
fn opened(folder: &Path) -> io::Result<u64> {
    let mut newest = 0;
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name();
        let end = name.to_str().and_then(|name| name.strip_prefix("snap."));
        let end = end.and_then(|end| u64::from_str_radix(end, 16).ok());
        newest = newest.max(end.unwrap_or(0));
    }
    Ok(newest)
}

/// Drops the damage of segments that were free: of every page in them there is a newer state.
fn drop_superseded(log: &Log, damage: &mut Vec<Damage>) -> io::Result<()> {
    if damage.is_empty() {
        return Ok(());
    }
    let segment = |written| log.segment_of(written);
    let mut held: HashMap<u64, HashMap<u64, u64>> = damage
        .iter()
        .map(|one| (segment(one.written), HashMap::new()))
        .collect();
    log.read(|message| {
        if !matches!(message.kind, Kind::Batch | Kind::Other)
            && let Some(pages) = held.get_mut(&segment(message.written))
        {
            pages.insert(message.page, message.written);
        }
        Ok(())
    })?;
    log.read(|message| {
        if matches!(message.kind, Kind::Node | Kind::Free | Kind::Own) {
            for (number, pages) in &mut held {
                if *number < segment(message.written) {
                    pages.remove(&message.page);
                }
            }
        }
        Ok(())
    })?;
    damage.retain(|one| !held[&segment(one.written)].is_empty());
    Ok(())
}

/// Looks, in the order of all writes, for the first commit that has all acknowledged pushes.
struct Acknowledged {
    pushes: u64,
    known: u64,
    /// Where that commit ends.
    until: u64,
    /// The last message of the batch that goes by.
    last: u64,
    counts: Counts,
}

impl Acknowledged {
    fn up_to(pushes: u64) -> Self {
        Self {
            pushes,
            known: 0,
            until: 0,
            last: 0,
            counts: Counts::default(),
        }
    }

    fn see(&mut self, message: &Message<'_>) {
        if self.known >= self.pushes {
            return;
        }
        if message.kind == Kind::Batch
            && let Ok(last) = message.body.try_into()
        {
            self.last = u64::from_le_bytes(last);
        }
        if let Some(totals) = self.counts.see(message) {
            self.known = self.known.max(mark::pushes(&totals));
            self.until = self.last.max(message.written) + 1;
        }
    }

    fn missing(&self) -> u64 {
        self.pushes.saturating_sub(self.known)
    }
}

/// Finds the store's counts in a log that goes by.
#[derive(Default)]
pub(super) struct Counts {
    /// The page that holds them, or several as it moves.
    pages: HashMap<u64, Range>,
}

impl Counts {
    /// The counts, if this message has them.
    pub(super) fn see(&mut self, message: &Message<'_>) -> Option<Totals> {
        let bytes = match message.kind {
            Kind::Link => {
                let range = self.pages.get(&message.page)?;
                match Change::read(message.body)? {
                    Change::Set(rest, value) if range.key(&rest) == key::TOTALS => value,
                    _ => return None,
                }
            }
            Kind::Node | Kind::Free => {
                self.pages.remove(&message.page);
                let range = Range::of_leaf(message.body)?;
                if !range.covers(key::TOTALS) {
                    return None;
                }
                self.pages.insert(message.page, range);
                Leaf::read(message.body)?.entries.remove(key::TOTALS)?
            }
            Kind::Own | Kind::Batch | Kind::Other => return None,
        };
        record::totals(&bytes).ok()
    }
}
