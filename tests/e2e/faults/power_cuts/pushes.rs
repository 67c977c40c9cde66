//! Power cuts: the store rebuilt as the disk would hold it at many moments of a recorded run.
//!
//! Sound because the client looks at the trace's length only after an acknowledgement has
//! arrived: whatever that acknowledgement rests on is among the records before.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use leadgate_tests::{Behaviour, Crm, Cut, Daemon, Load, Setup, Trace, counted, until};

/// Leads acknowledged in the recorded run, at least.
const LEADS: usize = 400;
/// Starts of the daemon in the recorded run.
const STARTS: usize = 4;
/// Moments at which the power is cut, each strict and torn.
const CUTS: usize = 60;
/// Records before a start in which the store is closed, and from it on in which it is opened.
const CLOSING: usize = 8;
const OPENING: usize = 16;
/// Seed of everything random here.
const SEED: u64 = 20_260_101;

/// A sink that takes at once and one that takes only after the cut: ends of attempts and
/// retries are written all the time, and every lead still has to come out of the store.
struct Run {
    prompt: Crm,
    late: Crm,
    trace: Trace,
    /// Acknowledged leads with the number of records they may rest on.
    acknowledged: BTreeMap<u64, usize>,
}

impl Run {
    fn record(leads: usize) -> Self {
        Self::of(leads, false)
    }

    fn of(leads: usize, heavy: bool) -> Self {
        let (prompt, late) = (Crm::start(), Crm::start());
        late.behave(Behaviour::Refuse(503, ""));
        let mut daemon = Daemon::start(setup(&prompt, &late).recorded());
        let path = daemon.trace();
        let note = move || std::fs::metadata(&path).expect("the trace is there").len();
        let load = if heavy {
            Load::heavy(&daemon.shop(), note)
        } else {
            Load::noting(&daemon.shop(), note)
        };
        // Starts on what is there already write to the store too.
        for part in 1..STARTS {
            until("a part is acknowledged", || {
                load.count() >= leads * part / STARTS
            });
            assert_eq!(daemon.terminate(), Some(0));
            daemon.restart();
        }
        until("enough is acknowledged", || load.count() >= leads);
        let acknowledged = load.stop();
        assert_eq!(daemon.terminate(), Some(0));
        let trace = Trace::read(&daemon.trace());
        assert_complete(&trace, &daemon.folder().join("store"));
        late.behave(Behaviour::Take);
        let acknowledged = acknowledged
            .into_iter()
            .map(|(record, length)| (record, trace.records_within(length)))
            .collect();
        Self {
            prompt,
            late,
            trace,
            acknowledged,
        }
    }

    /// Starts on the rebuilt store; gives how many leads are lost and how many damaged.
    fn check(&self, at: usize, cut: Cut) -> (usize, usize) {
        self.late.forget();
        self.prompt.forget();
        let needed = || {
            let acknowledged = self.acknowledged.iter();
            acknowledged.filter(|(_, needs)| **needs <= at)
        };
        let started = Daemon::try_start_on(setup(&self.prompt, &self.late), |folder| {
            self.trace.rebuild(at, cut, &folder.join("store"));
        });
        let daemon = match started {
            Ok(daemon) => daemon,
            Err(ended) => {
                let last = ended.log.lines().last().unwrap_or_default();
                println!("cut {cut:?} after record {at}: not opened: {last}");
                return (needed().count(), 0);
            }
        };
        until("nothing waits any more", || {
            let stats = daemon.stats();
            ["late", "prompt"].iter().all(|sink| {
                ["pending", "retrying"]
                    .iter()
                    .all(|room| stats["sinks"][sink][room].as_u64() == Some(0))
            })
        });
        let received = self.late.received();
        let torn = received.iter().filter(|one| !Load::is_whole(one)).count();
        let there: BTreeSet<u64> = received
            .iter()
            .filter(|one| one.taken)
            .map(leadgate_tests::Received::record_id)
            .collect();
        let lost = needed()
            .filter(|(record, _)| !there.contains(record))
            .count();
        (lost, torn)
    }
}

/// Nothing reached the store past the shim: without a cut the trace gives the very same files.
fn assert_complete(trace: &Trace, store: &Path) {
    let folder = tempfile::tempdir().expect("a folder");
    trace.rebuild(trace.len(), Cut::Without, folder.path());
    let (rebuilt, real) = (files(folder.path()), files(store));
    assert!(rebuilt.keys().eq(real.keys()), "the same names");
    for (name, bytes) in &real {
        assert!(rebuilt[name] == *bytes, "{} differs", name.display());
    }
}

/// All files of a store. The zeros behind the last byte of a segment are room that was taken
/// ahead, which the shim does not see.
fn files(store: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![store.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("reads").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let mut bytes = std::fs::read(&path).expect("reads");
            if path.extension().is_some_and(|end| end == "seg") {
                let last = bytes.iter().rposition(|byte| *byte != 0);
                bytes.truncate(last.map_or(0, |last| last + 1));
            }
            let name = path.strip_prefix(store).expect("is in there");
            found.insert(name.to_owned(), bytes);
        }
    }
    found
}

fn setup(prompt: &Crm, late: &Crm) -> Setup {
    let slow = Setup::http_sink("late", &late.url()).replace(
        "first = \"20ms\", max = \"100ms\"",
        "first = \"200ms\", max = \"400ms\"",
    );
    Setup {
        rest: Setup::http_sink("prompt", &prompt.url()) + &slow,
        level: "warn",
        ..Setup::default()
    }
}

/// Cuts the power at these moments, each strict and torn; what became of the leads.
fn cut(run: &Run, cuts: impl IntoIterator<Item = usize>, random: &mut fastrand::Rng) {
    let (mut number, mut asked, mut lost, mut torn) = (0, 0, 0, 0);
    for at in cuts {
        number += 1;
        asked += run
            .acknowledged
            .values()
            .filter(|needs| **needs <= at)
            .count();
        for cut in [Cut::Strict, Cut::Torn(random.u64(..))] {
            let (missing, damaged) = run.check(at, cut);
            if missing + damaged > 0 {
                println!("cut {cut:?} after record {at}: lost {missing}, torn {damaged}");
            }
            lost += missing;
            torn += damaged;
        }
    }
    counted(format_args!(
        "cuts {number} (each strict and torn), acknowledged {asked}, lost {lost}, torn {torn}"
    ));
    assert_eq!((lost, torn), (0, 0));
}

#[test]
fn after_a_power_cut_at_any_moment_every_acknowledged_lead_is_there_and_whole() {
    let run = Run::record(LEADS);
    let (syncs, writes, bytes) = run.trace.totals();
    println!(
        "recorded {} acknowledgements over {} records: {syncs} syncs, {writes} writes, {bytes} bytes",
        run.acknowledged.len(),
        run.trace.len()
    );
    let mut random = fastrand::Rng::with_seed(SEED);
    let moments: Vec<usize> = run.acknowledged.values().copied().collect();
    let first = *moments.iter().min().expect("some");
    let cuts: Vec<usize> = std::iter::repeat_with(|| {
        if random.u8(..3) > 0 {
            // Right after an acknowledgement.
            moments[random.usize(..moments.len())]
        } else {
            random.usize(first..=run.trace.len())
        }
    })
    .take(CUTS)
    .collect();
    cut(&run, cuts, &mut random);
    // The same question about a disk that did not keep its last promise must find losses.
    let unkept = moments
        .iter()
        .step_by(moments.len() / 10)
        .map(|at| run.check(*at, Cut::LastSyncForgotten).0)
        .sum::<usize>();
    counted(format_args!(
        "as a control, with the last sync forgotten, cuts 10, lost {unkept}"
    ));
    assert!(unkept > 0, "this test cannot see a loss");
}

#[test]
fn after_a_power_cut_while_the_store_is_closed_or_opened_every_acknowledged_lead_is_there() {
    let run = Run::record(LEADS / 4);
    let cuts = run.trace.restarts().into_iter();
    let cuts = cuts.flat_map(|start| start - CLOSING..start + OPENING);
    cut(&run, cuts, &mut fastrand::Rng::with_seed(SEED));
}

#[test]
fn a_power_cut_soon_after_the_first_start_leaves_a_store_that_opens() {
    const TRIES: u64 = 10;
    let run = Run::record(1);
    let first = *run.acknowledged.values().min().expect("some");
    let opened = (1..=TRIES)
        .filter(|seed| {
            let started = Daemon::try_start_on(setup(&run.prompt, &run.late), |folder| {
                let store = folder.join("store");
                run.trace.rebuild(first, Cut::TornEverywhere(*seed), &store);
            });
            if let Err(ended) = &started {
                println!("{}", ended.log.lines().last().unwrap_or_default());
            }
            started.is_ok()
        })
        .count();
    counted(format_args!("cuts {TRIES}, opened {opened}"));
    assert_eq!(opened as u64, TRIES);
}

#[test]
fn after_a_power_cut_while_one_segment_is_closed_and_the_next_begun_every_acknowledged_lead_is_there()
 {
    // A segment has room for about 300 of these.
    let run = Run::of(400, true);
    let next = run.trace.named("00000002.seg");
    let first = *next.first().expect("a second segment was begun");
    let find = *run
        .trace
        .named("00000001.find")
        .last()
        .expect("a find file");
    let cuts = (first - 4..first + 12).step_by(2);
    let cuts = cuts.chain((find - 2..find + 4).step_by(2));
    cut(&run, cuts, &mut fastrand::Rng::with_seed(SEED));
}
