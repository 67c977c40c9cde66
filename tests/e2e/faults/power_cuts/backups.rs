//! Power cuts while a backup is written, into a file and into a folder that has an earlier one.
//!
//! A backup that was said to be whole restores whole; what was cut off is refused, or is whole
//! none the less; taken once more it is whole.

use std::path::{Path, PathBuf};

use leadgate_tests::{
    Crm, Cut, Daemon, Load, SUCCESS, Setup, Trace, counted, output, output_of, times,
};

use super::super::segments;
use super::{SEED, files, texts_in};

/// Moments at which the power is cut, each strict and torn.
const CUTS: usize = 6;

/// A backup that was said to be whole.
struct Taken {
    to: &'static str,
    /// Leads that were acknowledged before it began.
    leads: u64,
    /// Length of the trace when it was said.
    ended: usize,
}

/// A folder and a file, by their names below the folder of backups.
const FOLDER: &str = "daily/";
const FILE: &str = "once";

struct Run {
    daemon: Daemon,
    _crm: Crm,
    trace: Trace,
    taken: Vec<Taken>,
    /// Leads that were acknowledged in the end.
    leads: u64,
}

fn path(path: &Path) -> &str {
    path.to_str().expect("text")
}

/// How many leads of a backup are whole in the store that is restored from it; what was said
/// if it is refused.
fn restored(from: &Path) -> Result<u64, String> {
    let folder = tempfile::tempdir().expect("a folder");
    let to = folder.path().join("restored");
    let args = ["outbox", "restore", "--from", path(from), "--to", path(&to)];
    let done = output(&args, &[]);
    if done.status.code() != Some(0) {
        assert!(!to.exists(), "something was restored and refused");
        return Err(output_of(&done));
    }
    let bytes: Vec<u8> = files(&to).into_values().flatten().collect();
    let mut texts = texts_in(&bytes);
    texts.retain(|lead| has(&bytes, Load::text(*lead).as_bytes()));
    // Pushed one after the other: what is there has no gaps.
    let count = texts.len() as u64;
    assert!(texts.into_iter().eq(1..=count), "a lead is missing");
    Ok(count)
}

impl Run {
    fn record() -> Self {
        // One that takes at once: what is tried again and again makes the store longer and longer.
        let crm = Crm::start();
        let daemon = Daemon::start(Setup {
            level: "warn",
            ..segments::roomy(Setup::with_crm(&crm.url()))
        });
        let backups = daemon.folder().join("backups");
        std::fs::create_dir(&backups).expect("makes");
        let mut leads = 0;
        let mut push = |daemon: &Daemon| {
            leads += 1;
            let answer = daemon.shop().push(Load::lead(leads)).expect("answered");
            assert_eq!(answer.body, SUCCESS);
            leads
        };
        let mut lengths = Vec::new();
        let mut back_up = |to: &'static str, leads: u64| {
            let args = ["outbox", "backup", "--to", path(&backups.join(to))].map(str::to_owned);
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            let done = daemon.recorded(&backups, &args);
            assert_eq!(done.status.code(), Some(0), "{}", output_of(&done));
            lengths.push((to, leads, Trace::length(&daemon.trace())));
        };
        segments::fill_one(&daemon, || {
            push(&daemon);
        });
        back_up(FOLDER, push(&daemon));
        (0..30).for_each(|_| {
            push(&daemon);
        });
        back_up(FILE, push(&daemon));
        back_up(FOLDER, push(&daemon));
        let leads = push(&daemon);
        let trace = Trace::read(&daemon.trace());
        let taken = lengths.into_iter().map(|(to, leads, length)| Taken {
            to,
            leads,
            ended: trace.records_within(length),
        });
        Self {
            taken: taken.collect(),
            daemon,
            _crm: crm,
            trace,
            leads,
        }
    }

    /// Backups as they are after a cut; how many of those said to be whole are, of how many, and
    /// how many are refused.
    fn check(&self, at: usize, cut: Cut) -> (u64, u64, u64) {
        let folder = tempfile::tempdir().expect("a folder");
        self.trace.rebuild(at, cut, folder.path());
        let (mut promised, mut whole, mut refused) = (0, 0, 0);
        for place in [FOLDER, FILE] {
            let from = folder.path().join(place);
            let said = self.taken.iter();
            let said = said.filter(|one| one.to == place && one.ended <= at);
            let needed = said.map(|one| one.leads).max();
            promised += u64::from(needed.is_some());
            match (restored(&from), needed) {
                (Ok(leads), _) => {
                    let least = needed.unwrap_or(self.taken[0].leads);
                    if leads >= least {
                        whole += u64::from(needed.is_some());
                    } else {
                        println!("cut {cut:?} after record {at}: {leads} of {least} leads");
                    }
                }
                (Err(why), None) => {
                    refused += 1;
                    assert!(why.lines().count() > 1, "refused without a word");
                }
                (Err(why), Some(_)) => {
                    println!("cut {cut:?} after record {at}: {place} is refused: {why}");
                }
            }
            self.again(&from, needed.is_some());
        }
        (promised, whole, refused)
    }

    /// Takes a backup once more where one was cut off.
    fn again(&self, to: &Path, is_there: bool) {
        let part = PathBuf::from(format!("{}.part", path(to)));
        if part.exists() {
            // What it may be called by somebody in a hurry.
            let leads = restored(&part);
            assert!(
                leads.is_err() || leads >= Ok(self.taken[0].leads),
                "{leads:?}"
            );
        }
        if path(to).ends_with(FILE) && to.exists() {
            return;
        }
        assert!(!is_there || to.exists(), "it is gone");
        let args = ["outbox", "backup", "--to", path(to)];
        let (code, said, errors) = self.daemon.command(&args);
        assert_eq!(code, 0, "{said}{errors}");
        assert_eq!(restored(to), Ok(self.leads));
    }
}

/// Whether the bytes have that text; it begins with a letter that is rare in them.
fn has(bytes: &[u8], text: &[u8]) -> bool {
    let starts = bytes
        .iter()
        .enumerate()
        .filter(|(_, byte)| **byte == text[0]);
    { starts }.any(|(at, _)| bytes[at..].starts_with(text))
}

#[test]
fn after_a_power_cut_while_a_backup_is_written_it_is_whole_or_refused_and_can_be_taken_again() {
    let run = Run::record();
    let mut random = fastrand::Rng::with_seed(SEED);
    let cuts = run.trace.steps(0..run.trace.len(), CUTS * times());
    let mut all = (0, 0, 0);
    for at in &cuts {
        for cut in [Cut::Strict, Cut::Torn(random.u64(..))] {
            let (promised, whole, refused) = run.check(*at, cut);
            all = (all.0 + promised, all.1 + whole, all.2 + refused);
        }
    }
    let (promised, whole, refused) = all;
    counted(format_args!(
        "cuts {} (each strict and torn), backups said to be whole {promised}, restored whole \
         {whole}, cut off and refused {refused}",
        cuts.len()
    ));
    assert!(promised > 0 && refused > 0, "nothing was asked");
    assert_eq!(promised, whole);
}
