//! Power cuts while pushes are taken, and while the store is opened and closed.

use leadgate_tests::{Behaviour, Crm, Cut, Daemon, Load, Trace, counted, times, until};

use super::{Run, SEED, setup};

/// Leads acknowledged in the recorded run, at least.
const LEADS: usize = 400;
/// Starts of the daemon in the recorded run.
const STARTS: usize = 4;
/// Moments at which the power is cut, each strict and torn.
const CUTS: usize = 60;
/// The same around the moments at which the index becomes durable.
const CHECKPOINTS: usize = 16;
/// Records before a start in which the store is closed, and from it on in which it is opened.
const CLOSING: usize = 8;
const OPENING: usize = 16;

/// Pushes, over several starts of the daemon.
fn record(leads: usize, heavy: bool) -> Run {
    let (prompt, late) = (Crm::start(), Crm::start());
    late.behave(Behaviour::Refuse(503, ""));
    let mut daemon = Daemon::start(setup(&prompt, &late).recorded());
    let path = daemon.trace();
    let note = move || Trace::length(&path);
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
    Run::of(prompt, late, &daemon, acknowledged)
}

#[test]
fn after_a_power_cut_at_any_moment_every_acknowledged_lead_is_there_and_whole() {
    let run = record(LEADS, false);
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
    .take(CUTS * times())
    .collect();
    run.cut(cuts);
    // The same question about a disk that did not keep its last promise must find losses.
    let unkept = moments
        .iter()
        .step_by(moments.len() / 10)
        .map(|at| run.check(*at, Cut::LastSyncForgotten, &|_| {}).lost)
        .sum::<usize>();
    counted(format_args!(
        "as a control, with the last sync forgotten, cuts 10, lost {unkept}"
    ));
    assert!(unkept > 0, "this test cannot see a loss");
}

#[test]
fn after_a_power_cut_while_the_store_is_closed_or_opened_every_acknowledged_lead_is_there() {
    let run = record(LEADS / 4, false);
    let cuts = run.trace.restarts().into_iter();
    let cuts = cuts.flat_map(|start| start - CLOSING..start + OPENING);
    run.cut(cuts);
}

#[test]
fn after_a_power_cut_while_the_index_becomes_durable_every_acknowledged_lead_is_there() {
    let run = record(LEADS / 4, false);
    let syncs = run.trace.synced_below("index/");
    let most = (CHECKPOINTS * times()).min(syncs.len());
    // Right before and right after in turn.
    let cuts = (0..most).map(|number| syncs[number * syncs.len() / most] + number % 2);
    run.cut(cuts);
}

#[test]
fn a_power_cut_soon_after_the_first_start_leaves_a_store_that_opens() {
    const TRIES: u64 = 10;
    let run = record(1, false);
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
    let run = record(400, true);
    let next = run.trace.named("00000002.seg");
    let first = *next.first().expect("a second segment was begun");
    let find = *run
        .trace
        .named("00000001.find")
        .last()
        .expect("a find file");
    let cuts = (first - 4..first + 12).step_by(2);
    let cuts = cuts.chain((find - 2..find + 4).step_by(2));
    run.cut(cuts);
}
