//! The breaker's promises, by hand and against random histories.

use proptest::prelude::*;
use uuid::Uuid;

use super::*;

const WAIT: Duration = Duration::from_secs(10);

fn breaker(failures: u32) -> Breaker {
    Breaker::new(config::Breaker {
        failures,
        wait: WAIT,
        max: WAIT * 3,
    })
}

const fn lead(number: u128) -> LeadId {
    LeadId(Uuid::from_u128(number))
}

fn attempt(breaker: &mut Breaker, number: u128, signal: Signal, now: Duration) {
    let permit = breaker.start(now).expect("it may start");
    breaker.end(permit, lead(number), signal, now);
}

/// A breaker that two leads opened at 0, and one more attempt from before.
fn opened() -> (Breaker, Permit) {
    let mut breaker = breaker(2);
    let permits: Vec<_> = (0..3)
        .filter_map(|_| breaker.start(Duration::ZERO))
        .collect();
    for (number, permit) in (0_u8..).zip(&permits[..2]) {
        breaker.end(
            *permit,
            lead(number.into()),
            Signal::Failure,
            Duration::ZERO,
        );
    }
    assert_eq!(breaker.state(), BreakerState::Open);
    (breaker, permits[2])
}

#[test]
fn one_that_follows_stays_open_and_probes_when_it_would_have_been_time() {
    let (mut older, _) = opened();
    let mut newer = breaker(2);
    newer.follow(&older, WAIT / 2);
    assert_eq!(newer.admits(WAIT / 2), Admits::Nobody(Some(WAIT / 2)));
    assert!(newer.failed(lead(0)));
    assert!(older.start(WAIT).is_some_and(Permit::is_probe));
    let mut newest = breaker(2);
    newest.follow(&older, WAIT);
    assert_eq!(newest.admits(WAIT), Admits::Nobody(Some(WAIT)));
    assert!(newest.start(WAIT * 2).is_some_and(Permit::is_probe));
    let mut off = breaker(0);
    off.follow(&older, WAIT);
    assert_eq!(off.admits(WAIT), Admits::All);
}

#[test]
fn leads_that_fail_without_an_answer_between_open_it() {
    let mut breaker = breaker(2);
    attempt(&mut breaker, 1, Signal::Failure, Duration::ZERO);
    assert_eq!(breaker.admits(Duration::ZERO), Admits::All);
    attempt(&mut breaker, 2, Signal::Failure, Duration::ZERO);
    assert_eq!(breaker.admits(WAIT / 2), Admits::Nobody(Some(WAIT / 2)));
    assert_eq!(breaker.start(WAIT / 2), None);
}

#[test]
fn one_lead_never_opens_it_however_often_it_fails() {
    let mut breaker = breaker(2);
    for _ in 0..100 {
        attempt(&mut breaker, 1, Signal::Failure, WAIT);
    }
    assert_eq!(breaker.state(), BreakerState::Closed);
}

#[test]
fn leads_that_failed_while_others_were_answered_never_open_it_again() {
    let mut breaker = breaker(2);
    let mut now = Duration::ZERO;
    for number in 1..100 {
        attempt(&mut breaker, number, Signal::Failure, now);
        attempt(&mut breaker, 1_000 + number, Signal::Answer, now);
    }
    for _ in 0..10 {
        now += WAIT;
        for number in 1..100 {
            attempt(&mut breaker, number, Signal::Failure, now);
        }
    }
    assert_eq!(breaker.state(), BreakerState::Closed);
    attempt(&mut breaker, 5_001, Signal::Failure, now);
    attempt(&mut breaker, 5_002, Signal::Failure, now);
    assert_eq!(breaker.state(), BreakerState::Open, "others still do");
}

#[test]
fn right_after_an_answer_only_many_are_believed() {
    let mut breaker = breaker(2);
    attempt(&mut breaker, 0, Signal::Answer, WAIT);
    for number in 1..20 {
        attempt(&mut breaker, number, Signal::Failure, WAIT);
    }
    assert_eq!(breaker.state(), BreakerState::Closed);
    attempt(&mut breaker, 20, Signal::Failure, WAIT);
    assert_eq!(breaker.state(), BreakerState::Open);
}

#[test]
fn what_was_not_processed_neither_opens_nor_closes_it() {
    let mut not_processed = Outcome::new(OutcomeKind::Retry, "").rule("not-processed");
    assert_eq!(Signal::of(&not_processed), Signal::Neither);
    let in_part = Outcome::new(OutcomeKind::Retry, "").rule("taken-in-part");
    assert_eq!(Signal::of(&in_part), Signal::Answer);
    not_processed.rule = "connect".to_owned();
    assert_eq!(Signal::of(&not_processed), Signal::Failure);

    let mut closed = breaker(2);
    for number in 0..100 {
        attempt(&mut closed, number, Signal::Neither, WAIT);
    }
    assert_eq!(closed.state(), BreakerState::Closed);
    let (mut open, _) = opened();
    attempt(&mut open, 9, Signal::Neither, WAIT);
    assert_eq!(
        open.admits(WAIT),
        Admits::Nobody(Some(WAIT)),
        "as long as before"
    );
}

#[test]
fn a_probe_that_fails_doubles_the_wait_up_to_its_ceiling() {
    let (mut breaker, _) = opened();
    let mut now = Duration::ZERO;
    for wait in [WAIT, WAIT * 2, WAIT * 3, WAIT * 3] {
        assert_eq!(breaker.admits(now), Admits::Nobody(Some(wait)));
        now += wait;
        let probe = breaker.start(now).expect("its wait is over");
        assert!(probe.is_probe());
        assert!(matches!(breaker.admits(now), Admits::Nobody(_)));
        breaker.end(probe, lead(9), Signal::Failure, now);
    }
}

#[test]
fn what_is_new_may_probe_after_the_first_wait_and_a_person_at_once() {
    let (mut breaker, _) = opened();
    attempt(&mut breaker, 9, Signal::Failure, WAIT);
    assert_eq!(breaker.admits(WAIT), Admits::Nobody(Some(WAIT * 2)));
    assert_eq!(breaker.early(), Some((WAIT * 2, WAIT)));
    breaker.hasten(WAIT);
    assert_eq!(breaker.admits(WAIT), Admits::Probe);
}

#[test]
fn a_probe_that_hangs_is_followed_by_others_some_at_most() {
    let (mut breaker, _) = opened();
    let mut now = WAIT;
    let first = breaker.start(now).expect("its wait is over");
    for _ in 1..PROBES {
        assert_eq!(breaker.admits(now), Admits::Nobody(Some(WAIT)));
        now += WAIT;
        breaker.start(now).expect("the one before hangs");
    }
    now += WAIT;
    assert_eq!(breaker.admits(now), Admits::Nobody(None));
    breaker.end(first, lead(9), Signal::Failure, now);
    assert_eq!(breaker.state(), BreakerState::Open);
}

#[test]
fn a_probe_that_is_answered_closes_it() {
    let (mut breaker, _) = opened();
    let probe = breaker.start(WAIT).expect("its wait is over");
    assert_eq!(breaker.state(), BreakerState::HalfOpen);
    let answer = Signal::of(&Outcome::new(OutcomeKind::Rejected, ""));
    let change = breaker.end(probe, lead(9), answer, WAIT);
    assert_eq!(change, Some(Change::Closed { after: WAIT }));
    assert_eq!(breaker.state(), BreakerState::Closed);
}

#[test]
fn an_older_attempt_closes_it_with_an_answer_and_changes_nothing_by_failing() {
    for half_open in [false, true] {
        for signal in [Signal::Answer, Signal::Failure] {
            let (mut breaker, older) = opened();
            let probe = half_open.then(|| breaker.start(WAIT).expect("its wait is over"));
            let before = breaker.state();
            breaker.end(older, lead(8), signal, WAIT);
            match signal {
                Signal::Answer => assert_eq!(breaker.state(), BreakerState::Closed),
                _ => assert_eq!(breaker.state(), before),
            }
            if let Some(probe) = probe {
                breaker.end(probe, lead(9), Signal::Answer, WAIT);
                assert_eq!(breaker.state(), BreakerState::Closed);
            }
        }
    }
}

#[test]
fn without_a_limit_it_never_opens() {
    let mut breaker = breaker(0);
    for number in 0..1000 {
        attempt(&mut breaker, number, Signal::Failure, Duration::ZERO);
    }
    assert_eq!(breaker.admits(Duration::ZERO), Admits::All);
}

#[test]
fn what_is_remembered_is_bounded() {
    let mut recent = Recent::default();
    for number in 0..10_000 {
        recent.insert(lead(number));
    }
    assert_eq!(
        (recent.set.len(), recent.order.len()),
        (POISONOUS, POISONOUS)
    );
    recent.remove(lead(9_999));
    assert_eq!(recent.order.len(), POISONOUS - 1);
}

#[derive(Clone, Debug)]
enum Step {
    Start(u128),
    End(usize, Signal),
    Later(u64),
    Hasten,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let signal = prop_oneof![
        6 => Just(Signal::Failure),
        2 => Just(Signal::Answer),
        1 => Just(Signal::Neither)
    ];
    let step = prop_oneof![
        6 => (0_u128..8).prop_map(Step::Start),
        6 => (0_usize..16, signal).prop_map(|(which, signal)| Step::End(which, signal)),
        2 => (0_u64..20_000).prop_map(Step::Later),
        1 => Just(Step::Hasten),
    ];
    proptest::collection::vec(step, 0..200)
}

proptest! {
    #[test]
    fn open_lets_nobody_through_before_its_time_and_nobody_waits_for_ever(steps in steps(), failures in 1_u32..4) {
        let mut breaker = breaker(failures);
        let mut under_way: Vec<(Permit, LeadId)> = Vec::new();
        let mut now = Duration::ZERO;
        for step in steps {
            match step {
                Step::Later(ms) => now += Duration::from_millis(ms),
                Step::Hasten => {
                    breaker.hasten(now);
                }
                Step::Start(number) => {
                    let before = breaker.state();
                    let admits = breaker.admits(now);
                    let permit = breaker.start(now);
                    prop_assert_eq!(permit.is_some(), !matches!(admits, Admits::Nobody(_)));
                    if let Some(permit) = permit {
                        prop_assert_eq!(permit.is_probe(), before != BreakerState::Closed);
                        under_way.push((permit, lead(number)));
                    }
                }
                Step::End(which, signal) if !under_way.is_empty() => {
                    let at = which % under_way.len();
                    let (permit, lead) = under_way.swap_remove(at);
                    breaker.end(permit, lead, signal, now);
                }
                Step::End(..) => {}
            }
            let probes = under_way.iter().filter(|(permit, _)| permit.is_probe()).count();
            match breaker.admits(now) {
                Admits::Nobody(Some(left)) => prop_assert!(left <= WAIT * 3),
                Admits::Nobody(None) => prop_assert!(probes > 0, "waits for a probe that is not there"),
                Admits::All | Admits::Probe => {}
            }
        }
    }
}
