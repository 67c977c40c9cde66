//! Power cuts: the store rebuilt as the disk would hold it at many moments of a recorded run.
//!
//! Sound because the client looks at the trace's length only after an acknowledgement has
//! arrived: whatever that acknowledgement rests on is among the records before. What was asked
//! to go may go from the record on at which it was asked.

mod backups;
mod cleaning;
mod erasing;
mod offline;
mod pushes;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use leadgate_tests::{
    Behaviour, Crm, Cut, Daemon, Load, Setup, Trace, counted, output, output_of, until,
};

/// Seed of everything random here.
const SEED: u64 = 20_260_101;

/// What was said to be gone.
#[derive(Clone, Copy, Debug)]
struct Gone {
    /// From this record on it may be gone.
    asked: usize,
    /// From this record on it must be.
    acknowledged: usize,
}

/// A recorded run, and what was promised in it. A sink takes at once and another only after the
/// cut: ends of attempts and retries are written all the time, and every lead still has to come
/// out of the store.
struct Run {
    prompt: Crm,
    late: Crm,
    trace: Trace,
    /// Acknowledged leads with the number of records they may rest on.
    acknowledged: BTreeMap<u64, usize>,
    /// Leads that were erased.
    erased: BTreeMap<u64, Gone>,
    /// Pushes in quarantine that were discarded.
    discarded: Vec<Gone>,
    /// Pushes that were put into quarantine, before any cut.
    quarantined: usize,
    /// Lines inside `[outbox]`, after the cut.
    outbox: String,
}

/// What a store that was cut does not hold to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Broken {
    /// Acknowledged and not there.
    lost: usize,
    /// There and not as it was pushed.
    torn: usize,
    /// Acknowledged as gone, and there.
    back: usize,
    /// `leadgate outbox verify` finds fault with it.
    faulty: usize,
}

impl Run {
    /// Of leads, with what is recorded as the trace that is as long as it is.
    fn of(prompt: Crm, late: Crm, daemon: &Daemon, acknowledged: BTreeMap<u64, u64>) -> Self {
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
            erased: BTreeMap::new(),
            discarded: Vec::new(),
            quarantined: 0,
            outbox: String::new(),
        }
    }

    /// What was asked to go, and said to be gone, when the trace was that long.
    fn gone_by(&self, (asked, acknowledged): (u64, u64)) -> Gone {
        Gone {
            asked: self.trace.records_within(asked),
            acknowledged: self.trace.records_within(acknowledged),
        }
    }

    /// Leads that must be there when it is cut after record `at`.
    fn needed(&self, at: usize) -> impl Iterator<Item = u64> {
        let may_be_gone = move |record: &u64| {
            let erased = self.erased.get(record);
            erased.is_some_and(|gone| gone.asked < at)
        };
        let acknowledged = self.acknowledged.iter();
        let needed = acknowledged.filter(move |(_, needs)| **needs <= at);
        needed
            .map(|(record, _)| *record)
            .filter(move |record| !may_be_gone(record))
    }

    /// Leads that must not be there when it is cut after record `at`.
    fn gone(&self, at: usize) -> BTreeSet<u64> {
        let gone = self.erased.iter();
        let gone = gone.filter(|(_, gone)| gone.acknowledged <= at);
        gone.map(|(record, _)| *record).collect()
    }

    /// How many pushes are in quarantine, at least and at most, when it is cut after record `at`.
    fn in_quarantine(&self, at: usize) -> (usize, usize) {
        let discarded = |by: &dyn Fn(&Gone) -> bool| {
            let discarded = self.discarded.iter().filter(|gone| by(gone));
            self.quarantined - discarded.count()
        };
        (
            discarded(&|gone| gone.asked < at),
            discarded(&|gone| gone.acknowledged <= at),
        )
    }

    /// Starts on the rebuilt store, on which `first` may run commands; gives what is wrong.
    fn check(&self, at: usize, cut: Cut, first: &dyn Fn(&Path)) -> Broken {
        self.late.forget();
        self.prompt.forget();
        let setup = Setup {
            outbox: self.outbox.clone(),
            ..setup(&self.prompt, &self.late)
        };
        let started = Daemon::try_start_on(setup, |folder| {
            self.trace.rebuild(at, cut, &folder.join("store"));
            first(folder);
        });
        let mut daemon = match started {
            Ok(daemon) => daemon,
            Err(ended) => {
                let last = ended.log.lines().last().unwrap_or_default();
                println!("cut {cut:?} after record {at}: not opened: {last}");
                return Broken {
                    lost: self.needed(at).count(),
                    ..Broken::default()
                };
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
        let lost = self.needed(at).filter(|record| !there.contains(record));
        let lost = lost.count();
        let kept = usize::try_from(daemon.stat("/leads/in_quarantine")).expect("few");
        let (least, most) = self.in_quarantine(at);
        let gone = self.gone(at);
        assert_eq!(daemon.terminate(), Some(0));
        let store = daemon.folder().join("store");
        let back = there.intersection(&gone).count() + files_with(&gone, &store);
        let config = daemon.folder().join("leadgate.toml");
        let config = config.to_str().expect("text");
        let verified = output(&["outbox", "verify", "--config", config], &[]);
        let faulty = verified.status.code() != Some(0);
        if faulty {
            println!("{}", output_of(&verified));
        }
        Broken {
            lost: lost + least.saturating_sub(kept),
            torn,
            back: back + kept.saturating_sub(most),
            faulty: usize::from(faulty),
        }
    }

    /// Cuts the power at these moments, each strict and torn; says what became of all that was
    /// promised.
    fn cut(&self, cuts: impl IntoIterator<Item = usize>) {
        self.cut_and(cuts, &|_| {});
    }

    /// The same; before the daemon starts, `first` runs commands.
    fn cut_and(&self, cuts: impl IntoIterator<Item = usize>, first: &dyn Fn(&Path)) {
        let mut random = fastrand::Rng::with_seed(SEED);
        let (mut number, mut asked, mut gone) = (0, 0, 0);
        let mut all = Broken::default();
        for at in cuts {
            number += 1;
            for cut in [Cut::Strict, Cut::Torn(random.u64(..))] {
                asked += self.needed(at).count();
                gone += self.gone(at).len();
                let broken = self.check(at, cut, first);
                if broken != Broken::default() {
                    println!("cut {cut:?} after record {at}: {broken:?}");
                }
                all.lost += broken.lost;
                all.torn += broken.torn;
                all.back += broken.back;
                all.faulty += broken.faulty;
            }
        }
        counted(format_args!(
            "cuts {number} (each strict and torn), acknowledged {asked}, lost {}, torn {}, \
             acknowledged as erased {gone}, back {}, not verified {}",
            all.lost, all.torn, all.back, all.faulty
        ));
        assert!(number > 0 && asked > 0, "nothing was asked");
        assert_eq!(all, Broken::default());
    }
}

/// The daemon's setup: a sink that takes, and one that may not yet.
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

/// How many files of a store have bytes of what was acknowledged as erased.
fn files_with(gone: &BTreeSet<u64>, store: &Path) -> usize {
    if gone.is_empty() {
        return 0;
    }
    let files = files(store).into_iter();
    let with = files.filter(|(name, bytes)| {
        let found: Vec<u64> = texts_in(bytes).intersection(gone).copied().collect();
        if !found.is_empty() {
            println!("{} has bytes of the erased {found:?}", name.display());
        }
        !found.is_empty()
    });
    with.count()
}

/// The leads whose texts begin somewhere in these bytes.
fn texts_in(bytes: &[u8]) -> BTreeSet<u64> {
    const MARK: &[u8] = b"lead ";
    let mut found = BTreeSet::new();
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|byte| *byte == MARK[0]) {
        rest = &rest[at + 1..];
        let Some(after) = rest.strip_prefix(&MARK[1..]) else {
            continue;
        };
        let digits = after.iter().take_while(|byte| byte.is_ascii_digit());
        let digits = &after[..digits.count()];
        if after.get(digits.len()) == Some(&b':')
            && let Ok(record) = String::from_utf8_lossy(digits).parse()
        {
            found.insert(record);
        }
    }
    found
}

/// Nothing reached the store past the shim: without a cut the trace gives the very same files.
fn assert_complete(trace: &Trace, store: &Path) {
    let folder = tempfile::tempdir().expect("a folder");
    trace.rebuild(trace.len(), Cut::Without, folder.path());
    let (rebuilt, real) = (files(folder.path()), files(store));
    assert!(
        rebuilt.keys().eq(real.keys()),
        "not the same names: {:?}, {:?}",
        rebuilt.keys(),
        real.keys()
    );
    for (name, bytes) in &real {
        assert!(rebuilt[name] == *bytes, "{} differs", name.display());
    }
}

/// All files of a store, sockets left out. The zeros behind the last byte of a segment are room that was taken
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
            if !path.is_file() {
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
