//! Crashes: which sinks were at work when this outbox's last process ended without stopping.
//!
//! A library that runs in this process can end it. Whoever was at work is named at the next
//! start, and a library that was at work in two crashes in a row starts paused: the daemon
//! does not go on dying of the same delivery. What is linked in is only named, for it is at
//! work in every crash, also in one that a power switch or a person caused.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::in_flight::{InFlight, Left};
use crate::clock::Millis;
use crate::outbox::{DeliveryId, Outbox, PauseCause, Unavailable};
use crate::telemetry::log;

/// Name of the file in the outbox's folder.
const FILE: &str = "crashes.json";
/// Crashes in a row after which a library's sink starts paused.
const ENOUGH: u32 = 2;
/// Deliveries that are named, at most.
const NAMED: usize = 5;

/// How one sink was involved in the last crash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crash {
    /// Crashes without a start between them in which it was not at work.
    pub in_a_row: u32,
    /// When the first of its attempts began.
    pub started_at: Millis,
    /// Some of what it was delivering.
    pub deliveries: Vec<DeliveryId>,
    /// Whether its code is a library's.
    pub library: bool,
}

/// What the last process left.
pub struct Crashes {
    /// Where attempts are noted from now on.
    pub file: Arc<InFlight>,
    /// Which sinks were at work.
    pub by_sink: BTreeMap<String, Crash>,
}

/// What is kept from start to start.
#[derive(Default, Serialize, Deserialize)]
struct Memory {
    in_a_row: BTreeMap<String, u32>,
}

impl Crashes {
    /// Looks into the outbox's folder, and remembers what it found for the next start.
    pub fn look(folder: &Path) -> io::Result<Self> {
        let (file, left) = InFlight::open(folder)?;
        let path = folder.join(FILE);
        let before: Memory = std::fs::read(&path)
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default();
        let by_sink = by_sink(left, &before.in_a_row);
        let now = by_sink
            .iter()
            .map(|(sink, crash)| (sink.clone(), crash.in_a_row));
        let now = Memory {
            in_a_row: now.collect(),
        };
        if now.in_a_row != before.in_a_row {
            remember(&path, &now)?;
        }
        Ok(Self { file, by_sink })
    }

    /// Names who was at work, and pauses the library that was so too often.
    pub fn act(&self, outbox: &dyn Outbox) {
        for (sink, crash) in &self.by_sink {
            let deliveries: Vec<_> = crash.deliveries.iter().map(ToString::to_string).collect();
            tracing::warn!(
                sink,
                library = crash.library,
                crashes = crash.in_a_row,
                deliveries = deliveries.join(" "),
                "leadgate ended without stopping while this sink was at work"
            );
            if crash.library && crash.in_a_row >= ENOUGH {
                match pause(outbox, sink, crash.in_a_row) {
                    Ok(()) => tracing::error!(
                        sink,
                        crashes = crash.in_a_row,
                        "sink starts paused: its library was at work in each of the last crashes; give it isolation = \"process\", then resume it"
                    ),
                    Err(error) => tracing::error!(
                        sink,
                        error = error.0,
                        "sink could not be paused after a crash"
                    ),
                }
            }
        }
        if !self.by_sink.is_empty() {
            // The next attempt may end this process as well.
            log::flush();
        }
    }
}

fn by_sink(left: Vec<Left>, before: &BTreeMap<String, u32>) -> BTreeMap<String, Crash> {
    let mut found: BTreeMap<String, Crash> = BTreeMap::new();
    for one in left {
        let count = before.get(&one.sink).copied().unwrap_or(0);
        let crash = found.entry(one.sink).or_insert(Crash {
            in_a_row: count.saturating_add(1),
            started_at: one.started_at,
            deliveries: Vec::new(),
            library: one.library,
        });
        crash.started_at = crash.started_at.min(one.started_at);
        if crash.deliveries.len() < NAMED {
            crash.deliveries.push(one.delivery);
        }
    }
    found
}

/// Whole or not at all.
fn remember(path: &Path, memory: &Memory) -> io::Result<()> {
    let written: PathBuf = path.with_extension("json.new");
    std::fs::write(&written, serde_json::to_vec(memory)?)?;
    std::fs::rename(&written, path)
}

/// Waits for the store, on a thread that may.
fn pause(outbox: &dyn Outbox, sink: &str, crashes: u32) -> Result<(), Unavailable> {
    let cause = match outbox.pause_of(sink).map(|pause| pause.cause) {
        // A person's note is worth more than ours.
        Some(PauseCause::Person(_)) => return Ok(()),
        _ => PauseCause::Crashes(crashes),
    };
    let paused = outbox.pause(sink, Some(cause));
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().build();
            let runtime = runtime.map_err(|error| error.to_string());
            runtime
                .map_err(Unavailable)
                .and_then(|runtime| runtime.block_on(paused))
        });
        let panicked = |_| Unavailable("the pause could not be stored".to_owned());
        waiting.join().map_err(panicked).flatten()
    })
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn left(sink: &str, library: bool) -> Left {
        Left {
            sink: sink.to_owned(),
            delivery: DeliveryId(Uuid::from_u128(7)),
            started_at: 5,
            library,
        }
    }

    #[test]
    fn crashes_are_counted_while_they_follow_each_other() {
        let folder = tempfile::tempdir().expect("a folder");
        let crash = |sinks: &[&str]| {
            let (file, _) = InFlight::open(folder.path()).expect("opened");
            for sink in sinks {
                let note = file.notes(true);
                std::mem::forget(note.note(sink, DeliveryId(Uuid::from_u128(7)), 5));
            }
            let found = Crashes::look(folder.path()).expect("looked").by_sink;
            found
                .into_iter()
                .map(|(sink, crash)| (sink, crash.in_a_row))
                .collect::<Vec<_>>()
        };
        let of = |sink: &str, count| (sink.to_owned(), count);
        assert_eq!(crash(&["erp", "erp"]), [of("erp", 1)]);
        assert_eq!(crash(&["erp", "other"]), [of("erp", 2), of("other", 1)]);
        assert_eq!(crash(&["other"]), [of("other", 2)], "erp was not there");
        assert_eq!(crash(&["erp"]), [of("erp", 1)]);
        assert_eq!(crash(&[]), []);
        assert_eq!(crash(&["erp"]), [of("erp", 1)], "it stopped whole between");
    }

    #[test]
    fn a_few_deliveries_are_named_and_all_are_counted_as_one() {
        let many = (0..100).map(|_| left("erp", true)).collect();
        let found = by_sink(many, &BTreeMap::new());
        assert_eq!(found["erp"].deliveries.len(), NAMED);
        assert_eq!(found["erp"].in_a_row, 1);
        assert!(found["erp"].library);
    }
}
