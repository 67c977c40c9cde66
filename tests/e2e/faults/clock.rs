//! Clocks: the wall clock steps back and forth under a running daemon.
//!
//! Deliveries are due at times of the wall clock, so a step must neither hold them up nor
//! use up their attempts.

use std::time::Duration;

use leadgate_tests::{Behaviour, Crm, Daemon, Fault, Load, SUCCESS, Setup, counted, until, within};

const HOUR: i64 = 3600;
/// Far less than the step, far more than the longest wait between attempts.
const SOON: Duration = Duration::from_secs(45);

/// Retries within a fraction of a second, for longer than any step here.
const QUICK: &str =
    "retry = { first = \"20ms\", max = \"100ms\", max_attempts = 100000, max_age = \"7d\" }";

/// The daemon does not look at pushes' timestamps: its clock is not the shop's here.
fn start(crm: &Crm, retry: &str) -> Daemon {
    let sink = Setup::http_sink("crm", &crm.url());
    let sink = sink.replace(
        "retry = { first = \"20ms\", max = \"100ms\", max_attempts = 100000, max_age = \"1h\" }",
        retry,
    );
    assert!(sink.contains(retry), "the sink's retries are replaced");
    start_with(sink)
}

fn start_with(sink: String) -> Daemon {
    Daemon::start(
        Setup {
            source: "kind = \"tmall\"\npath = \"/tmall/leads\"\n\
                     app_secret = [\"e2e-app-secret\"]\ntimestamp_tolerance = \"off\"\n"
                .to_owned(),
            rest: sink,
            ..Setup::default()
        }
        .under_shim(),
    )
}

fn push(daemon: &Daemon, records: std::ops::RangeInclusive<u64>) {
    for record in records {
        let answer = daemon.shop().push(Load::lead(record)).expect("answered");
        assert_eq!(answer.body, SUCCESS);
    }
}

/// A daemon whose ten leads were all tried and refused.
fn refused(crm: &Crm, retry: &str) -> Daemon {
    crm.behave(Behaviour::Refuse(503, ""));
    let daemon = start(crm, retry);
    push(&daemon, 1..=10);
    until("each was tried", || {
        daemon.stat("/sinks/crm/retrying") == 10
    });
    daemon
}

/// The ten are delivered without waiting for the old time.
fn assert_delivered_soon(crm: &Crm) {
    let delivered = within(SOON, || crm.deliveries().len() == 10);
    counted(format_args!(
        "waiting 10, delivered {}",
        crm.deliveries().len()
    ));
    assert!(delivered, "retries wait for the old time");
}

#[test]
fn leads_accepted_around_steps_of_the_clock_are_all_delivered() {
    let crm = Crm::start();
    let daemon = start(&crm, QUICK);
    let mut next = 1;
    for offset in [0, HOUR, -HOUR, 24 * HOUR, 0] {
        daemon.inject(Fault::Clock(offset));
        push(&daemon, next..=next + 9);
        next += 10;
    }
    let all = usize::try_from(next - 1).expect("fits");
    let delivered = within(SOON, || crm.deliveries().len() == all);
    counted(format_args!(
        "pushed {all}, delivered {}",
        crm.deliveries().len()
    ));
    assert!(delivered, "some lead waits for the old time");
    assert_eq!(daemon.stat("/sinks/crm/dead"), 0);
}

#[test]
fn retries_do_not_wait_for_the_old_time_when_the_clock_steps_back() {
    let crm = Crm::start();
    let daemon = refused(&crm, QUICK);
    daemon.inject(Fault::Clock(-HOUR));
    crm.behave(Behaviour::Take);
    assert_delivered_soon(&crm);
}

#[test]
fn a_restart_with_an_earlier_clock_does_not_hold_up_what_waits() {
    let crm = Crm::start();
    let mut daemon = refused(&crm, QUICK);
    daemon.kill();
    daemon.inject(Fault::Clock(-HOUR));
    crm.behave(Behaviour::Take);
    daemon.restart();
    assert_delivered_soon(&crm);
}

#[test]
fn retries_are_not_used_up_when_the_clock_steps_forth() {
    let crm = Crm::start();
    let daemon = refused(
        &crm,
        "retry = { first = \"24h\", max = \"24h\", max_attempts = 5, max_age = \"30d\" }",
    );
    let before = crm.received().len();
    daemon.inject(Fault::Clock(24 * HOUR));
    // Arrivals wake the lane, which then sees the new time.
    push(&daemon, 11..=11);
    until("each is due and was tried again", || {
        crm.received().len() > before + 10
    });
    push(&daemon, 12..=12);
    until("the last is tried", || {
        crm.received().iter().any(|one| one.record_id() == 12)
    });
    let attempts = crm.received().len();
    counted(format_args!(
        "attempts before the step {before}, after it {attempts}, dead {}",
        daemon.stat("/sinks/crm/dead")
    ));
    // Jitter may put a retry or two close to the step; a burst would be at least ten.
    assert!(attempts < before + 10 + 2 + 8, "attempts are burnt");
    crm.behave(Behaviour::Take);
    daemon.inject(Fault::Clock(48 * HOUR));
    push(&daemon, 13..=13);
    until("all are delivered", || crm.deliveries().len() == 13);
    assert_eq!(daemon.stat("/sinks/crm/dead"), 0);
}

#[test]
fn the_age_limit_does_not_make_dead_letters_of_a_step() {
    let crm = Crm::start();
    let daemon = refused(
        &crm,
        "retry = { first = \"20ms\", max = \"100ms\", max_attempts = 100000, max_age = \"1h\" }",
    );
    daemon.inject(Fault::Clock(2 * HOUR));
    let tried = crm.received().len();
    until("each was tried after the step", || {
        crm.received().len() > tried + 20 || daemon.stat("/sinks/crm/dead") > 0
    });
    crm.behave(Behaviour::Take);
    let delivered = within(SOON, || {
        crm.deliveries().len() + usize::try_from(daemon.stat("/sinks/crm/dead")).expect("fits")
            == 10
    });
    counted(format_args!(
        "waiting 10, delivered {}, dead {}",
        crm.deliveries().len(),
        daemon.stat("/sinks/crm/dead")
    ));
    assert!(delivered);
    assert_eq!(
        daemon.stat("/sinks/crm/dead"),
        0,
        "a step made dead letters"
    );
}

#[test]
fn a_rated_sink_keeps_its_pace_over_steps_of_the_clock() {
    const RATE: usize = 5;
    const LEADS: u64 = 40;
    let second = Duration::from_secs(1);
    let crm = Crm::start();
    let sink = Setup::http_sink("crm", &crm.url());
    let daemon = start_with(sink.replacen(
        "concurrency = 8\n",
        &format!("concurrency = 8\nrate = \"{RATE}/s\"\n"),
        1,
    ));
    push(&daemon, 1..=LEADS);
    for (offset, after) in [(-HOUR, 10), (HOUR, 20), (0, 30)] {
        until("some more are delivered", || crm.taken() >= after);
        daemon.inject(Fault::Clock(offset));
    }
    let all = usize::try_from(LEADS).expect("fits");
    let delivered = within(SOON, || crm.deliveries().len() == all);
    let mut times: Vec<_> = crm.received().iter().map(|one| one.at).collect();
    times.sort_unstable();
    let stall = times.windows(2).map(|pair| pair[1] - pair[0]).max();
    let stall = stall.expect("several");
    // One more than a second's worth takes a second, but for the noise of the machine.
    let quickest = times.windows(RATE + 1).map(|some| some[RATE] - some[0]);
    let quickest = quickest.min().expect("several");
    counted(format_args!(
        "steps 3, pushed {LEADS}, delivered {}, attempts {}, quickest {} in {quickest:?}, longest gap {stall:?}",
        crm.deliveries().len(),
        times.len(),
        RATE + 1,
    ));
    assert!(delivered, "some lead waits for the old time");
    assert!(quickest > second * 2 / 3, "a burst over the rate");
    assert!(stall < second * 5, "the sink stood still");
    assert_eq!(times.len(), all, "none was tried twice");
}
