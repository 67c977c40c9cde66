//! Power cuts: the store rebuilt as the disk would hold it at many moments of a recorded run.
//!
//! Sound because the client looks at the trace's length only after an acknowledgement has
//! arrived: whatever that acknowledgement rests on is among the records before.

use std::collections::{BTreeMap, BTreeSet};

use leadgate_tests::{Behaviour, Crm, Cut, Daemon, Load, Setup, Trace, until};

/// Leads acknowledged in the recorded run, at least.
const LEADS: usize = 400;
/// Moments at which the power is cut, each strict and torn.
const CUTS: usize = 60;
/// Of these, right after an acknowledgement.
const AFTER_ACKNOWLEDGEMENTS: usize = 40;
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
        let (prompt, late) = (Crm::start(), Crm::start());
        late.behave(Behaviour::Refuse(503, ""));
        let mut daemon = Daemon::start(setup(&prompt, &late).recorded());
        let path = daemon.trace();
        let load = Load::noting(&daemon.shop(), move || {
            std::fs::metadata(&path).expect("the trace is there").len()
        });
        until("enough is acknowledged", || load.count() >= leads);
        let acknowledged = load.stop();
        daemon.kill();
        let trace = Trace::read(&daemon.trace());
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
        let daemon = Daemon::start_on(setup(&self.prompt, &self.late), |folder| {
            self.trace.rebuild(at, cut, &folder.join("store"));
        });
        until("nothing waits any more", || {
            let stats = daemon.stats();
            ["late", "prompt"].iter().all(|sink| {
                ["pending", "retrying"]
                    .iter()
                    .all(|room| stats["sinks"][sink][room].as_u64().expect("a number") == 0)
            })
        });
        let received = self.late.received();
        let torn = received.iter().filter(|one| !Load::is_whole(one)).count();
        let there: BTreeSet<u64> = received
            .iter()
            .filter(|one| one.taken)
            .map(leadgate_tests::Received::record_id)
            .collect();
        let lost = self
            .acknowledged
            .iter()
            .filter(|(record, needs)| **needs <= at && !there.contains(record))
            .count();
        (lost, torn)
    }
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

#[test]
fn after_a_power_cut_at_any_moment_every_acknowledged_lead_is_there_and_whole() {
    let run = Run::record(LEADS);
    let (syncs, writes, bytes) = run.trace.totals();
    println!(
        "recorded {} acknowledgements over {} records: {syncs} syncs, {writes} writes, {bytes} bytes",
        run.acknowledged.len(),
        run.trace.len()
    );
    let first = *run.acknowledged.values().min().expect("some");
    let mut random = fastrand::Rng::with_seed(SEED);
    let moments: Vec<usize> = run.acknowledged.values().copied().collect();
    let cuts: Vec<usize> = (0..CUTS)
        .map(|number| {
            if number < AFTER_ACKNOWLEDGEMENTS {
                moments[random.usize(..moments.len())]
            } else {
                random.usize(first..=run.trace.len())
            }
        })
        .collect();
    let (mut asked, mut lost, mut torn) = (0, 0, 0);
    for at in &cuts {
        asked += run
            .acknowledged
            .values()
            .filter(|needs| *needs <= at)
            .count();
        for cut in [Cut::Strict, Cut::Torn(random.u64(..))] {
            let (missing, damaged) = run.check(*at, cut);
            if missing + damaged > 0 {
                println!("cut {cut:?} after record {at}: lost {missing}, torn {damaged}");
            }
            lost += missing;
            torn += damaged;
        }
    }
    // The same question about a disk that did not keep its last promise must find losses.
    let unkept = moments
        .iter()
        .step_by(moments.len() / 10)
        .map(|at| run.check(*at, Cut::LastSyncForgotten).0)
        .sum::<usize>();
    println!(
        "cuts {} (each strict and torn), acknowledged {asked}, lost {lost}, torn {torn}; \
         with the last sync forgotten, of 10 cuts: lost {unkept}",
        cuts.len()
    );
    assert_eq!((lost, torn), (0, 0));
    assert!(unkept > 0, "this test cannot see a loss");
}

#[test]
#[ignore = "finding: sled never syncs its file `conf`, and one cut short is not opened again"]
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
    println!("cuts {TRIES}, opened {opened}");
    assert_eq!(opened as u64, TRIES);
}
